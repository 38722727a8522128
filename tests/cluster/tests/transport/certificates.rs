//! Nodes renew their certificates by themselves; what is revoked is refused, and what stands on it is closed.

use cluster::Stolen;
use proto::v1::certificate_service_client::CertificateServiceClient;
use proto::v1::revoke_certificate_request::What;
use proto::v1::{ListCertificatesRequest, ListCertificatesResponse, RevokeCertificateRequest};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use tokio::io::AsyncReadExt;

use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a node may take for what it does by itself.
const BY_ITSELF: Duration = Duration::from_secs(40);

/// Puts a certificate for peers in its place that has `left` to live (or has been dead so long), and the same for clients.
fn let_run_out(dir: &Path, cluster: &str, slot: &str, left: Duration, expired: bool) -> Result<()> {
    let key = KeyPair::from_pem(&fs::read_to_string(dir.join("ca/ca.key"))?)?;
    let authority = Issuer::from_ca_cert_pem(&fs::read_to_string(dir.join("ca/ca.crt"))?, key)?;
    for (file, name) in [("peer", format!("{slot}.{cluster}.peer.tricord")), ("client", "127.0.0.1".to_owned())] {
        let mut params = CertificateParams::new(vec![name])?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        if file == "peer" {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        }
        let now = std::time::SystemTime::now();
        params.not_before = (now - 100 * DAY).into();
        params.not_after = if expired { now - left } else { now + left }.into();
        let own = KeyPair::generate()?;
        let tls = dir.join(slot).join("tls");
        fs::write(tls.join(format!("{file}.key")), own.serialize_pem())?;
        fs::write(tls.join(format!("{file}.crt")), params.signed_by(&own, &authority)?.pem())?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_run_out_are_renewed_without_an_election_and_expired_ones_at_the_start() -> Result<()> {
    let mut cluster = Cluster::found(Options::default()).await?;
    let people = enrol_all(cluster.links(), cluster.admin(), &[Person::new("ito", "Dr Ito")], || {}).await?;
    let ward = create_group(&people[0], "Ward 3", &[]).await?;
    let dir = cluster.dir().to_owned();
    let id = cluster.status(0).await?.cluster;
    let mut rounds = 0;
    loop {
        rounds += 1;
        let before = cluster.status(0).await?.term;
        for (node, slot) in SLOTS.iter().enumerate() {
            let_run_out(&dir, &id, slot, 2 * DAY, false)?;
            cluster.node(node).hang_up()?;
            logged(&mut cluster, node, "this node has issued itself new certificates", rounds).await?;
            send(&people[0], &ward, "still there?").await?;
        }
        if cluster.status(0).await?.term == before {
            break;
        }
        assert!(rounds < ROUNDS_MAX, "renewing is no reason to elect, and each of {rounds} rounds did");
    }
    let (exit, said) = on_the_machine(&dir, "b", "renew-certificates")?;
    assert!(exit == Some(0) && said.contains("open stay as they are"), "{exit:?} {said}");
    assert!(!dir.join("b/tls/renewal.key").exists(), "its key lies sealed in the data directory, and nowhere else");

    // Switched off for half a year: nothing is good any more, and no node reaches another.
    for (node, slot) in SLOTS.iter().enumerate() {
        assert!(cluster.node(node).stop(Duration::from_secs(30))?.success());
        let_run_out(&dir, &id, slot, 60 * DAY, true)?;
    }
    for node in 0..3 {
        cluster.node(node).start()?;
    }
    cluster.wait_until_well().await?;
    send(&people[0], &ward, "and here we are").await?;

    // The power fails while a pair is replaced: the new key is in its place, its certificate is not.
    assert!(cluster.node(1).stop(Duration::from_secs(30))?.success());
    let tls = dir.join("b/tls");
    fs::rename(tls.join("peer.crt"), tls.join("peer.crt.next"))?;
    fs::copy(tls.join("client.crt"), tls.join("peer.crt"))?;
    cluster.node(1).start()?;
    cluster.wait_until_well().await?;
    cluster.check_logs(&[])
}

async fn listed(cluster: &Cluster) -> Result<ListCertificatesResponse> {
    let wire = cluster.admin().wire_to(0)?;
    let asked = CertificateServiceClient::new(wire).list_certificates(ListCertificatesRequest::default()).await;
    Ok(asked.map_err(|status| format!("list certificates: {}", status.message()))?.into_inner())
}

async fn serials_of(cluster: &Cluster, node: &str, known: impl Fn(&[String]) -> bool) -> Result<Vec<String>> {
    let began = Instant::now();
    loop {
        let all = listed(cluster).await?;
        let one = all.nodes.into_iter().find(|one| one.node == node).unwrap_or_default();
        if known(&one.serials) {
            return Ok(one.serials);
        }
        assert!(began.elapsed() < BY_ITSELF, "{node} did not say what it shows: {:?}", one.serials);
        sleep(Duration::from_millis(200)).await;
    }
}

async fn revoke(cluster: &Cluster, what: What) -> std::result::Result<(), String> {
    let revoked = cluster.admin().write(|wire, id| {
        let (what, reason) = (Some(what.clone()), "stolen".to_owned());
        let request = RevokeCertificateRequest { what, reason, request_id: Some(id) };
        async move { CertificateServiceClient::new(wire).revoke_certificate(request).await }
    });
    revoked.await.map(drop).map_err(|status| cluster::reason(&status))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_certificate_is_refused_and_cut_and_nobody_cuts_the_majority_off() -> Result<()> {
    let mut cluster = Cluster::found(Options::default()).await?;
    let people = enrol_all(cluster.links(), cluster.admin(), &[Person::new("ito", "Dr Ito")], || {}).await?;
    let ward = create_group(&people[0], "Ward 3", &[]).await?;
    let dir = cluster.dir().to_owned();
    let a = listens_on(cluster.node(0).config())?;
    let name = format!("a.{}.peer.tricord", cluster.status(0).await?.cluster);
    for node in ["a1", "b1", "c1"] {
        serials_of(&cluster, node, |serials| !serials.is_empty()).await?;
    }
    let before = serials_of(&cluster, "b1", |_| true).await?;
    let stolen = Stolen::take(&dir, "b")?;
    assert!(
        stolen.is_taken(&a[0], &name, false).await && stolen.is_taken(&a[2], "127.0.0.1", true).await,
        "it is good"
    );
    for serial in &before {
        assert_eq!(revoke(&cluster, What::Serial(serial.clone())).await, Err("CERTIFICATE_IN_USE".into()));
    }
    assert_eq!(before.len(), 3, "what it shows to peers and to clients, and what it renews them with");
    let (exit, said) = on_the_machine(&dir, "b", "renew-certificates")?;
    assert_eq!(exit, Some(0), "{said}");
    let after =
        serials_of(&cluster, "b1", |serials| serials.iter().filter(|one| before.contains(one)).count() == 1).await?;

    // What is open on it is closed; what comes anew is refused, also after a restart.
    let mut open = stolen.connect(&a[0], &name, b"h2").await?;
    sleep(Duration::from_millis(200)).await; // It is accepted on the other side by then; if not, it is refused, which is as well.
    for serial in before.iter().filter(|serial| !after.contains(serial)) {
        revoke(&cluster, What::Serial(serial.clone())).await?;
    }
    let closed = async {
        let mut bytes = [0; 1024];
        while matches!(open.read(&mut bytes).await, Ok(read) if read > 0) {}
    };
    tokio::time::timeout(Duration::from_secs(10), closed).await.map_err(|_| "it stays open")?;
    assert!(!stolen.is_taken(&a[0], &name, false).await && !stolen.is_taken(&a[2], "127.0.0.1", true).await);
    cluster.wait_until_well().await?;
    assert!(cluster.node(0).stop(Duration::from_secs(30))?.success());
    cluster.node(0).start()?;
    cluster.wait_until_well().await?;
    assert!(!stolen.is_taken(&a[0], &name, false).await && !stolen.is_taken(&a[2], "127.0.0.1", true).await);
    assert!(Stolen::take(&dir, "b")?.is_taken(&a[0], &name, false).await, "the new one is good: {after:?}");

    // c is to go: it is cut off, a and b go on, and neither of them can be cut off now. What it issues itself does not help it.
    revoke(&cluster, What::Node("c1".into())).await?;
    let began = Instant::now();
    while Stolen::take(&dir, "c")?.is_taken(&a[0], &name, false).await {
        assert!(began.elapsed() < BY_ITSELF, "c is still let in");
        sleep(Duration::from_millis(100)).await;
    }
    send(&people[0], &ward, "without c").await?;
    on_the_machine(&dir, "c", "renew-certificates")?;
    assert!(!Stolen::take(&dir, "c")?.is_taken(&a[0], &name, false).await, "it has renewed its way back");
    assert_eq!(revoke(&cluster, What::Node("b1".into())).await, Err("MAJORITY_CUT_OFF".into()));
    send(&people[0], &ward, "still without c").await?;
    cluster.check_logs(&[])
}
