//! A node whose disk is lost is replaced while people write, and its old disk stays out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cluster::ports::free_ports;
use cluster::replacing::{approve, replace, said};
use cluster::{FAILING, Stolen, binary, listens_on, skipped};
use proto::v1::ListCertificatesRequest;
use proto::v1::certificate_service_client::CertificateServiceClient;

use super::*;

/// Writes until it is told to stop; how many were acknowledged.
pub(crate) fn write_on(
    client: Arc<Client>,
    ward: String,
    stop: Arc<AtomicBool>,
) -> tokio::task::JoinHandle<Result<u64>> {
    tokio::spawn(async move {
        let mut acknowledged = 0;
        while !stop.load(Ordering::Relaxed) {
            post(&client, &ward, &format!("while c is replaced: {acknowledged}")).await?;
            acknowledged += 1;
        }
        Ok(acknowledged)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_disk_is_replaced_under_load_and_the_old_one_stays_out() -> Result<()> {
    let (mut cluster, client, ward) = ward(20).await?;
    let ended = replaced(&mut cluster, client, &ward).await;
    if ended.is_err() {
        eprintln!("the nodes' logs are kept in {}", cluster.keep_logs()?.display());
    }
    ended
}

async fn replaced(cluster: &mut Cluster, client: Arc<Client>, ward: &str) -> Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    let writing = write_on(client.clone(), ward.to_owned(), stop.clone());
    let config = cluster.node(VICTIM).config().to_owned();
    let (data, old) = (cluster.dir().join("c").join("data"), cluster.dir().join("old"));
    let [port, other]: [u16; 2] = free_ports()?;
    // Whoever took the lost machine has its certificate, which it has told the others of.
    shows(cluster, "c1").await?;
    let stolen = Stolen::take(cluster.dir(), "c")?;
    assert_eq!(doors(cluster, &stolen).await?, [true; 4], "it is good, at the peer and the ops ports of a and b");

    // It still answers: it is not lost, and goes only by its name.
    let refused = tokio::task::block_in_place(|| approve(cluster, port, &[])).err().ok_or("taken for lost")?;
    assert!(refused.to_string().contains("c1 STILL ANSWERS"), "{refused}");

    cluster.node(VICTIM).kill()?;
    fs::rename(&data, &old)?;
    let began = Instant::now();
    while cluster.status(0).await.is_ok_and(|status| status.health() == ClusterHealth::Ok) {
        assert!(began.elapsed() < JUDGED, "nobody noticed that a node is gone");
        sleep(Duration::from_millis(100)).await;
    }
    let path = config.to_string_lossy().into_owned();
    let output = tokio::task::block_in_place(|| run_daemon(&["run", "--config", &path], Duration::from_secs(30)))?;
    let told = said(&output);
    assert!(told.contains("This disk is empty, but place c belonged to node c1 last seen"), "{told}");
    assert!(told.contains("`tricord node replace c`. a and b are serving; nobody is interrupted."), "{told}");

    // A wrong code, then somebody who gives up, then the right one: it can be begun again.
    let (mut showing, _) = tokio::task::block_in_place(|| approve(cluster, port, &[]))?;
    let output = tokio::task::block_in_place(|| replace(&config, port, "ABCD-2345"))?;
    assert!(!output.status.success() && said(&output).contains("the code is not the one"), "{}", said(&output));
    showing.kill()?;
    showing.wait()?;
    // Another machine, with certificates made for it: those of the old one, which may be in a thief's hands, are not there. An
    // attempt before this one was interrupted, which had written one certificate and no key.
    let names = ["peer", "client", "renewal"].iter().flat_map(|name| [format!("{name}.crt"), format!("{name}.key")]);
    for name in names.filter(|name| name != "peer.crt") {
        let file = cluster.dir().join("c").join("tls").join(name);
        if file.exists() {
            fs::remove_file(file)?;
        }
    }
    let authority = cluster.dir().join("ca").to_string_lossy().into_owned();
    let anew = ["--authority", authority.as_str()];
    let (showing, code) = tokio::task::block_in_place(|| approve(cluster, other, &anew))?;
    let output = tokio::task::block_in_place(|| replace(&config, other, &code))?;
    assert!(output.status.success(), "{}", said(&output));
    let output = tokio::task::block_in_place(|| showing.wait_with_output())?;
    assert!(output.status.success() && said(&output).contains("neither a nor b may stop"), "{}", said(&output));

    // Killed on its way, and started again; whoever leads ends before and after the vote changes hands.
    end_half_way(cluster)?;
    cluster.wait_until_well().await?;
    let status = cluster.status(0).await?;
    assert!(status.nodes.iter().any(|node| node.node == "c2"), "{status:?}");

    // Once the new one counts and has said what it shows, what the old one showed is revoked without anybody asking for it.
    shows(cluster, "c2").await?;
    let began = Instant::now();
    while doors(cluster, &stolen).await? != [false; 4] {
        assert!(began.elapsed() < JUDGED, "the certificate of c1 is still taken: {:?}", doors(cluster, &stolen).await?);
        sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(doors(cluster, &Stolen::take(cluster.dir(), "c")?).await?, [true; 4], "that of c2 is good");

    // It counts: without a, it and b go on.
    tokio::task::block_in_place(|| cluster.node(0).stop(Duration::from_secs(30)))?;
    post(&client, ward, "with c2 as the second").await?;
    cluster.node(0).start()?;
    cluster.wait_until_well().await?;
    assert_eq!(doors(cluster, &stolen).await?, [false; 4], "and after a start too");
    stop.store(true, Ordering::Relaxed);
    let acknowledged = writing.await??;
    assert!(acknowledged > 0, "nobody wrote meanwhile");
    let held = list_all(&client, 0, ward).await?;
    assert_eq!(held.len() as u64, 20 + acknowledged + 1);
    for node in [1, VICTIM] {
        assert_eq!(list_all(&client, node, ward).await?, held, "node {node}");
    }

    // The old disk is put back: it ends by itself, and is told why.
    stop_victim(cluster)?;
    let new = cluster.dir().join("new");
    fs::rename(&data, &new)?;
    fs::rename(&old, &data)?;
    let keys = ["audit.key", "audit.key.before", "audit.key.new"].map(|name| cluster.dir().join("c").join(name));
    fs::rename(&keys[0], &keys[2])?;
    fs::rename(&keys[1], &keys[0])?;
    cluster.node(VICTIM).start()?;
    let began = Instant::now();
    while cluster.node(VICTIM).ended()?.is_none() {
        assert!(began.elapsed() < JUDGED, "it went on as if it counted");
        sleep(Duration::from_millis(100)).await;
    }
    cluster.node(VICTIM).kill()?;
    assert!(cluster.node(VICTIM).log().contains("this node, c1, was replaced"), "it was not told");
    fs::remove_dir_all(&data)?;
    fs::rename(&new, &data)?;
    fs::rename(&keys[2], &keys[0])?;
    cluster.node(VICTIM).start()?;
    cluster.wait_until_well().await?;
    cluster.check_logs(&["was replaced", "a peer's calls are refused"])
}

/// Waits until the cluster knows what certificates a node shows.
async fn shows(cluster: &Cluster, node: &str) -> Result<()> {
    let began = Instant::now();
    loop {
        let wire = cluster.admin().wire_to(0)?;
        let asked = CertificateServiceClient::new(wire).list_certificates(ListCertificatesRequest::default()).await;
        let known = asked.map(|answer| answer.into_inner().nodes);
        if known.as_ref().is_ok_and(|all| all.iter().any(|one| one.node == node && !one.serials.is_empty())) {
            return Ok(());
        }
        assert!(began.elapsed() < JUDGED, "{node} did not say what it shows: {known:?}");
        sleep(Duration::from_millis(200)).await;
    }
}

/// Whether a and b let somebody with this certificate in: each at its peer port and its ops port.
async fn doors(cluster: &mut Cluster, stolen: &Stolen) -> Result<[bool; 4]> {
    let id = cluster.status(0).await?.cluster;
    let mut open = [false; 4];
    for (node, slot) in ["a", "b"].into_iter().enumerate() {
        let [peer, _, ops] = listens_on(cluster.node(node).config())?;
        let name = format!("{slot}.{id}.peer.tricord");
        open[2 * node] = stolen.is_taken(&peer, &name, false).await;
        open[2 * node + 1] = stolen.is_taken(&ops, "127.0.0.1", true).await;
    }
    Ok(open)
}

/// The two others end when they lead and come to these points, and c is killed on its way. They are set before c starts, and
/// whoever ended stays down until the next is set: so nothing goes past a point unseen, however quick it is.
fn end_half_way(cluster: &mut Cluster) -> Result<()> {
    if binary(FAILING).is_err() {
        skipped("there is no daemon with fail points")?;
        return cluster.node(VICTIM).start();
    }
    for point in ["replace-before-vote", "replace-after-vote"] {
        for node in [0, 1] {
            kill_if_it_runs(cluster, node)?;
            cluster.node(node).start_until(&format!("{point}=return"))?;
        }
        cluster.node(VICTIM).start()?;
        let began = Instant::now();
        let ended = tokio::task::block_in_place(|| {
            while began.elapsed() < JUDGED {
                for node in [0, 1] {
                    if cluster.node(node).has_ended_within(Duration::from_millis(20))? {
                        return Ok(true);
                    }
                }
            }
            Ok::<_, cluster::Failure>(false)
        })?;
        if !ended {
            return Err(format!("nobody came to {point}").into());
        }
        cluster.node(VICTIM).kill()?;
    }
    for node in [0, 1] {
        kill_if_it_runs(cluster, node)?;
        cluster.node(node).start()?;
    }
    cluster.node(VICTIM).start()
}

fn kill_if_it_runs(cluster: &mut Cluster, node: usize) -> Result<()> {
    if cluster.node(node).pid().is_some() { cluster.node(node).kill() } else { Ok(()) }
}

fn stop_victim(cluster: &mut Cluster) -> Result<()> {
    tokio::task::block_in_place(|| stop(cluster))
}
