//! A node's disk comes back other than it was: damaged, empty, or of yesterday. The node may refuse or recover; it may never
//! serve what is wrong, nor vote as if it knew what it has forgotten.

#[path = "damage/refound.rs"]
mod refound;
#[path = "damage/replace.rs"]
mod replace;
#[path = "damage/rotten.rs"]
mod rotten;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use cluster::faults::{Load, Size, settle};
use cluster::replay::{Entry, list_all};
use cluster::{Client, Cluster, Options, Person, Result, create_group, enrol_all, reason, run_daemon};
use proto::v1::message_service_client::MessageServiceClient;
use proto::v1::{ClusterHealth, OutgoingMessage, SendMessageRequest};
use tokio::time::{Instant, sleep, timeout};

/// The victim: c.
const VICTIM: usize = 2;
/// How long a damaged node may take to say so, or to be well.
const JUDGED: Duration = Duration::from_secs(40);

async fn post(client: &Client, conversation: &str, text: &str) -> Result<u64> {
    let message =
        OutgoingMessage { conversation: conversation.into(), text: text.into(), ..OutgoingMessage::default() };
    let answer = client.write(|wire, id| {
        let request = SendMessageRequest { message: Some(message.clone()), request_id: Some(id) };
        async move { MessageServiceClient::new(wire).send_message(request).await }
    });
    Ok(answer.await.map_err(|status| format!("send: {} {}", reason(&status), status.message()))?.seq)
}

/// A cluster with so many messages in one conversation.
async fn ward(messages: usize) -> Result<(Cluster, std::sync::Arc<Client>, String)> {
    let cluster = Cluster::found(Options::default()).await?;
    let people = enrol_all(cluster.links(), cluster.admin(), &[Person::new("ito", "Dr Ito")], || {}).await?;
    let ward = create_group(&people[0], "Ward 3", &[]).await?;
    for index in 0..messages {
        post(&people[0], &ward, &format!("{index} {}", "x".repeat(500))).await?;
    }
    Ok((cluster, people[0].clone(), ward))
}

fn stop(cluster: &mut Cluster) -> Result<()> {
    let status = tokio::task::block_in_place(|| cluster.node(VICTIM).stop(Duration::from_secs(30)))?;
    if status.success() { Ok(()) } else { Err(format!("the node ended with {status}").into()) }
}

/// What became of a node.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    /// It ended by itself, and said why.
    Refused(String),
    /// It serves what the others serve.
    Recovered,
}

/// Starts the victim and waits until it has ended by itself, or serves all of this.
async fn judge(cluster: &mut Cluster, client: &Client, conversation: &str, expected: &[Entry]) -> Result<Fate> {
    let said_before = cluster.node(VICTIM).log().len();
    cluster.node(VICTIM).start()?;
    let began = Instant::now();
    loop {
        if cluster.node(VICTIM).ended()?.is_some() {
            // Takes the child away, so that it can be started again.
            cluster.node(VICTIM).kill()?;
            let log = cluster.node(VICTIM).log();
            return Ok(Fate::Refused(log[said_before..].lines().last().unwrap_or_default().to_owned()));
        }
        let well = cluster.status(VICTIM).await.is_ok_and(|status| status.health() == ClusterHealth::Ok);
        if well && let Ok(Ok(held)) = timeout(Duration::from_secs(5), list_all(client, VICTIM, conversation)).await {
            if held != expected {
                return Err("a node with a damaged disk served something else".into());
            }
            return Ok(Fate::Recovered);
        }
        if began.elapsed() > JUDGED {
            return Err("a node with a damaged disk neither refused nor recovered".into());
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Files of a directory and those below it.
fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    found.sort();
    Ok(found)
}

/// The largest file of a kind, if there is any.
fn largest(data: &Path, below: &str, kind: &dyn Fn(&str) -> bool) -> Result<Option<PathBuf>> {
    let named = |path: &PathBuf| path.file_name().is_some_and(|name| kind(&name.to_string_lossy()));
    let mut all: Vec<PathBuf> = files(&data.join(below))?.into_iter().filter(named).collect();
    all.sort_by_key(|path| fs::metadata(path).map(|file| file.len()).unwrap_or(0));
    Ok(all.pop().filter(|path| fs::metadata(path).is_ok_and(|file| file.len() > 0)))
}

/// Turns one bit; answers the byte as it is now.
fn flip(path: &Path, at: usize) -> Result<u8> {
    let mut bytes = fs::read(path)?;
    bytes[at] ^= 0x10;
    fs::write(path, &bytes)?;
    Ok(bytes[at])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_bit_in_any_file_is_noticed_or_harmless() -> Result<()> {
    let (mut cluster, client, ward) = ward(60).await?;
    let ended = flip_under_load(&mut cluster, &client, &ward).await;
    if ended.is_err() {
        eprintln!("the nodes' logs are kept in {}", cluster.keep_logs()?.display());
    }
    ended
}

/// People write to all nodes and read from them meanwhile, in conversations of their own; in the end every answer is checked, what each
/// node holds, and that all three agree.
async fn flip_under_load(cluster: &mut Cluster, client: &Client, ward: &str) -> Result<()> {
    let size = Size { writers: 4, conversations: 2, pause: Duration::from_millis(60), ..Size::default() };
    let mut load = Load::start(cluster, size).await?;
    flip_each(cluster, client, ward).await?;
    let report = settle(cluster, &mut load).await?;
    eprintln!("{report}");
    assert!(report.is_clean(), "{report}");
    assert!(report.acknowledged > 100, "{report}");
    Ok(())
}

async fn flip_each(cluster: &mut Cluster, client: &Client, ward: &str) -> Result<()> {
    // Stopped in order once, so that the state is in files; then killed, so that the log has something to bring back.
    stop(cluster)?;
    for index in 0..20 {
        post(client, ward, &format!("while c was away: {index}")).await?;
    }
    cluster.node(VICTIM).start()?;
    cluster.wait_until_well().await?;
    let data = cluster.dir().join("c").join("data");
    type Kind = (&'static str, &'static str, &'static dyn Fn(&str) -> bool);
    let kinds: [Kind; 9] = [
        ("identity", "", &|name| name == "identity"),
        ("boot", "", &|name| name == "boot"),
        ("log WAL", "log", &|name| name.ends_with(".log")),
        ("log MANIFEST", "log", &|name| name.starts_with("MANIFEST")),
        ("log CURRENT", "log", &|name| name == "CURRENT"),
        ("log SST", "log", &|name| name.ends_with(".sst")),
        ("state SST", "state", &|name| name.ends_with(".sst")),
        ("state MANIFEST", "state", &|name| name.starts_with("MANIFEST")),
        ("state CURRENT", "state", &|name| name == "CURRENT"),
    ];
    let (mut refused, mut tried) = (0, 0);
    for (name, below, kind) in kinds {
        for index in 0..10 {
            post(client, ward, &format!("before c was killed for its {name}: {index}")).await?;
        }
        let expected = list_all(client, VICTIM, ward).await?;
        cluster.node(VICTIM).kill()?;
        let Some(path) = largest(&data, below, kind)? else {
            eprintln!("{name}: there is none, not run");
            cluster.node(VICTIM).start()?;
            cluster.wait_until_well().await?;
            continue;
        };
        let at = usize::try_from(fs::metadata(&path)?.len() / 2)?;
        let turned = flip(&path, at)?;
        let fate = judge(cluster, client, ward, &expected).await.map_err(|why| format!("{name}: {why}"))?;
        eprintln!("{name}, byte {at} of {}: {fate:?}", path.display());
        tried += 1;
        // A bad end of the log cannot be told from a write that was torn: it is cut off, said, and fetched again.
        if name == "log WAL" && fate == Fate::Recovered {
            assert!(
                cluster.node(VICTIM).log().contains("that a power cut had torn"),
                "damage to the log went unnoticed"
            );
        }
        if fate == Fate::Recovered {
            // What nobody has read yet may still be damaged.
            cluster.node(VICTIM).kill()?;
        } else {
            refused += 1;
        }
        if fs::read(&path).is_ok_and(|bytes| bytes.get(at) == Some(&turned)) {
            flip(&path, at)?;
        }
        cluster.node(VICTIM).start()?;
        cluster.wait_until_well().await.map_err(|why| format!("{name}, the bit turned back: {why}"))?;
    }
    assert!(tried >= 9, "only {tried} kinds of file were there");
    assert!(refused >= 4, "only {refused} of {tried} damaged files were noticed");
    assert_eq!(list_all(client, 0, ward).await?, list_all(client, VICTIM, ward).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_disk_is_not_taken_for_a_new_node() -> Result<()> {
    let (mut cluster, client, ward) = ward(3).await?;
    stop(&mut cluster)?;
    let data = cluster.dir().join("c").join("data");
    fs::rename(&data, cluster.dir().join("lost"))?;
    let config = cluster.node(VICTIM).config().to_string_lossy().into_owned();
    let output = run_daemon(&["run", "--config", &config], Duration::from_secs(20))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("holds no node"), "{said}");
    assert!(!data.join("log").exists(), "a node without identity wrote something");
    assert_eq!(post(&client, &ward, "the others go on").await?, 4);

    // The disk was only not mounted.
    fs::rename(cluster.dir().join("lost"), &data)?;
    cluster.node(VICTIM).start()?;
    cluster.wait_until_well().await?;
    assert_eq!(list_all(&client, VICTIM, &ward).await?.len(), 4);
    cluster.check_logs(&[])
}

/// Waits a while for the victim to be taken up as one of three; it must not be.
async fn is_kept_out(cluster: &mut Cluster) -> Result<bool> {
    // Until the others have noticed that it is gone, they say that it is well.
    let began = Instant::now();
    while cluster.status(0).await.is_ok_and(|status| status.health() == ClusterHealth::Ok) {
        if began.elapsed() > JUDGED {
            return Err("nobody noticed that a node was stopped".into());
        }
        sleep(Duration::from_millis(100)).await;
    }
    cluster.node(VICTIM).start()?;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(8) {
        if cluster.node(VICTIM).ended()?.is_some() {
            return Ok(true);
        }
        if cluster.status(0).await.is_ok_and(|status| status.health() == ClusterHealth::Ok) {
            return Ok(false);
        }
        sleep(Duration::from_millis(100)).await;
    }
    Ok(true)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_founded_anew_over_a_lost_disk_does_not_vote() -> Result<()> {
    let (mut cluster, _, _) = ward(3).await?;
    stop(&mut cluster)?;
    fs::remove_dir_all(cluster.dir().join("c").join("data"))?;
    let config = cluster.node(VICTIM).config().to_string_lossy().into_owned();
    let output = run_daemon(&["found", "--config", &config], Duration::from_secs(20))?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(is_kept_out(&mut cluster).await?, "a node that has forgotten everything counts as one of three");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn yesterdays_copy_of_a_disk_does_not_vote() -> Result<()> {
    let (mut cluster, client, ward) = ward(3).await?;
    stop(&mut cluster)?;
    let (data, copy) = (cluster.dir().join("c").join("data"), cluster.dir().join("copy"));
    let copied = std::process::Command::new("cp").arg("-a").arg(&data).arg(&copy).status()?;
    assert!(copied.success());
    cluster.node(VICTIM).start()?;
    cluster.wait_until_well().await?;
    for index in 0..20 {
        post(&client, &ward, &format!("after the copy: {index}")).await?;
    }
    stop(&mut cluster)?;
    fs::remove_dir_all(&data)?;
    fs::rename(&copy, &data)?;
    assert!(is_kept_out(&mut cluster).await?, "a node that has forgotten what it acknowledged counts as one of three");
    Ok(())
}
