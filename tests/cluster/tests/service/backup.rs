//! Backups of three real processes: made by the schedule, under load, told to the cluster.

use std::path::Path;

use cluster::ports::free_ports;
use cluster::replacing::{approve, replace, said};
use cluster::{survived, tricord};
use proto::v1::sync_service_client::SyncServiceClient;
use proto::v1::{GetClusterStatusResponse, SurvivingConversation, SyncRequest};

use super::*;

fn schedule(cluster: &mut Cluster, node: usize, target: &Path) -> Result<()> {
    let config = cluster.node(node).config().to_owned();
    let mut text = std::fs::read_to_string(&config)?;
    text += &format!("\n[backup]\ndir = {:?}\nevery = \"5m\"\n", target.display().to_string());
    std::fs::write(&config, text)?;
    assert!(cluster.node(node).stop(Duration::from_secs(30))?.success());
    cluster.node(node).start()
}

async fn wait_for(
    cluster: &Cluster,
    what: &str,
    there: impl Fn(&GetClusterStatusResponse) -> bool,
) -> Result<GetClusterStatusResponse> {
    let began = Instant::now();
    loop {
        let status = cluster.status(0).await?;
        if there(&status) {
            return Ok(status);
        }
        assert!(began.elapsed() < Duration::from_secs(90), "{what}: {:?}", status.backup);
        sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_made_by_itself_under_load_verified_and_refused_once_it_is_damaged() -> Result<()> {
    let mut cluster = Cluster::found(Options::default()).await?;
    let (people, conversation) = ward(&cluster, 3).await?;
    let target = cluster.dir().join("target");
    std::fs::create_dir(&target)?;
    let dir = target.to_string_lossy().into_owned();

    // The share is not mounted: said, and not written to.
    schedule(&mut cluster, 1, &target)?;
    cluster.wait_until_well().await?;
    let status = wait_for(&cluster, "told of the failure", |status| {
        status.backup.as_ref().is_some_and(|backup| backup.fail_time.is_some())
    });
    let failure = status.await?.backup.unwrap_or_default().failure;
    assert!(failure.contains("mounted"), "{failure}");
    assert_eq!(std::fs::read_dir(&target)?.count(), 0);

    let until = Instant::now() + Duration::from_secs(6);
    let sending: Vec<_> = (0..people.len())
        .map(|at| tokio::spawn(keep_sending(Arc::clone(&people[at]), conversation.clone(), at, until)))
        .collect();
    let first = tricord(&cluster, 1, &["backup", "create", "--init", "--dir", &dir], "")?;
    let second = tricord(&cluster, 1, &["backup", "create", "--dir", &dir, "--output", "json"], "")?;
    let second: serde_json::Value = serde_json::from_str(&second)?;
    assert!(second["reused_files"].as_u64() > Some(0) && second["sealed"] == true, "{second}");
    for task in sending {
        task.await??;
    }
    let status = wait_for(&cluster, "told of the backup", |status| {
        status.backup.as_ref().is_some_and(|backup| backup.last_time.is_some())
    });
    let backup = status.await?.backup.unwrap_or_default();
    assert_eq!((backup.node.as_str(), backup.fail_time), ("b1", None), "what failed before is mended");

    let listed = tricord(&cluster, 1, &["backup", "list"], "")?;
    assert!(listed.contains(first.trim()) && listed.lines().count() == 3, "{listed}");
    let verified = tricord(&cluster, 1, &["backup", "verify"], "")?;
    assert!(verified.starts_with("GOOD.") && verified.contains("NOT SHOWN that the recovery kit"), "{verified}");
    let status = wait_for(&cluster, "told of the verification", |status| {
        status.backup.as_ref().is_some_and(|backup| backup.verify_time.is_some())
    });
    status.await?;
    // Elsewhere, where nothing opens it, that much is said and no more.
    let closed = tricord(&cluster, 2, &["backup", "verify", first.trim(), "--dir", &dir, "--series", "/nowhere"], "");
    assert!(closed.is_err(), "a key that is not there");
    let room = tricord(&cluster, 1, &["backup", "verify", "--room", "/nowhere"], "").expect_err("no room").to_string();
    assert!(!room.contains("NOT VERIFIED"), "{room}");
    // The node on this machine makes backups too, with a key of its own.
    let other = tricord(&cluster, 0, &["backup", "create", "--dir", &dir], "")?;
    let verified = tricord(&cluster, 1, &["backup", "verify"], "")?;
    assert!(verified.starts_with("WHOLE.") && verified.contains(other.trim()), "{verified}");
    let backup = cluster.status(1).await?.backup.unwrap_or_default();
    assert_eq!(backup.fail_time, None, "nothing of that speaks against a backup: {}", backup.failure);

    let mut files = Vec::new();
    for series in std::fs::read_dir(target.join("files"))? {
        for file in std::fs::read_dir(series?.path())? {
            files.push(file?.path());
        }
    }
    files.sort();
    for file in files {
        let mut bytes = std::fs::read(&file)?;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&file, bytes)?;
    }
    let refused = tricord(&cluster, 1, &["backup", "verify", first.trim()], "").expect_err("damaged").to_string();
    assert!(refused.contains("NOT VERIFIED") && refused.contains("CHANGED FILE"), "{refused}");
    let status = wait_for(&cluster, "told that it is bad", |status| {
        status.backup.as_ref().is_some_and(|backup| backup.failure.contains("CHANGED FILE"))
    });
    status.await?;
    cluster.check_logs(&["no backup was made"])
}

#[tokio::test(flavor = "multi_thread")]
async fn three_new_machines_go_on_from_a_backup_and_the_old_nodes_are_refused() -> Result<()> {
    let mut cluster = Cluster::found(Options::default()).await?;
    let (people, conversation) = ward(&cluster, 2).await?;
    let mut sent = Vec::new();
    for index in 0..40 {
        let text = format!("before the fire: {index}");
        let seq = send(&people[index % 2], &conversation, &text).await.map_err(|status| reason(&status))?.seq;
        sent.push((seq, text));
    }
    let target = cluster.dir().join("target");
    std::fs::create_dir(&target)?;
    let dir = target.to_string_lossy().into_owned();
    let name = tricord(&cluster, 0, &["backup", "create", "--init", "--dir", &dir], "")?;
    let lost = send(&people[0], &conversation, "after the backup").await.map_err(|status| reason(&status))?;
    cluster.check_logs(NO_ERRORS)?;
    for (node, slot) in SLOTS.iter().enumerate() {
        cluster.node(node).kill()?;
        // Nothing is left of the machine: what the new one has for /etc/tricord is the spare in the safe.
        let machine = cluster.dir().join(slot);
        std::fs::rename(&machine, machine.with_extension("old"))?;
        let spare = cluster.dir().join("spares").join(slot);
        let copied = std::process::Command::new("cp").arg("-r").args([&spare, &machine]).status()?;
        assert!(copied.success(), "{} is copied", spare.display());
    }

    let began = Instant::now();
    let shares = cluster.recovery_shares()[..2].join("\n");
    let founding = cluster.dir().join("audit.pub").to_string_lossy().into_owned();
    let mut beginning: Option<String> = None;
    for (node, slot) in SLOTS.iter().enumerate() {
        let config = cluster.dir().join(slot).join("tricordd.toml").to_string_lossy().into_owned();
        let mut words = vec!["backup", "restore", name.trim(), "--dir", &dir, "--config", &config, "--yes"];
        words.extend(["--founding", &founding, "--output", "json"]);
        if let Some(beginning) = &beginning {
            words.extend(["--beginning", beginning]);
        }
        let restored: serde_json::Value = serde_json::from_str(&tricord(&cluster, node, &words, &shares)?)?;
        assert_eq!(restored["new_node"], format!("{slot}2"), "{restored}");
        beginning = restored["beginning"].as_str().map(str::to_owned);
        cluster.node(node).start()?;
    }
    cluster.wait_until_well().await?;
    // Each asks to be let in, and is given the keys then, one after the other.
    for node in 0..3 {
        while let Err(error) = list(&people[0], node, &conversation, linearizable()).await {
            let patient = error.to_string().contains("KEYS_NOT_HELD") && began.elapsed() < Duration::from_secs(60);
            assert!(patient, "{error}; {}", cluster.node(node).log());
            sleep(Duration::from_millis(100)).await;
        }
    }
    eprintln!("three machines serve what was backed up after {:?}", began.elapsed());
    all_nodes_hold(&people[0], &conversation, &sent).await?;
    let request = SyncRequest { cursor: lost.cursor, ..SyncRequest::default() };
    let refused = SyncServiceClient::new(people[0].wire()?).sync(request).await.err().ok_or("a cursor of before")?;
    assert_eq!(reason(&refused), "LINEAGE_CHANGED");
    let told = survived(&refused).ok_or("nothing is told")?.conversations;
    let last_seq = sent.len() as u64;
    assert_eq!(told, [SurvivingConversation { conversation: conversation.clone(), last_seq }]);
    let text = "we go on".to_owned();
    let seq = send(&people[1], &conversation, &text).await.map_err(|status| reason(&status))?.seq;
    assert_eq!(seq, sent.len() as u64 + 1, "what was written after the backup is gone");
    sent.push((seq, text));
    all_nodes_hold(&people[0], &conversation, &sent).await?;

    // The new history can be backed up in its turn: its nodes hold the keys, and sign.
    let again = tricord(&cluster, 2, &["backup", "create", "--dir", &dir], "")?;
    assert!(again.trim().ends_with("-c2"), "{again}");
    let verified = tricord(&cluster, 2, &["backup", "verify", again.trim(), "--dir", &dir, "--kit"], &shares)?;
    assert!(verified.starts_with("GOOD.") && verified.contains("head covers which"), "{verified}");
    held_to_the_founding_keys(&cluster, &dir, &founding, &shares).await?;

    // A disk that survived after all is of the history that ended. Its keys come with it; the certificates are the spare's, as those
    // of the old machine are revoked by now.
    assert!(cluster.node(2).stop(Duration::from_secs(30))?.success());
    let (old, new) = (cluster.dir().join("c.old"), cluster.dir().join("c"));
    for name in ["data", "audit.key", "node.secret"] {
        std::fs::rename(new.join(name), new.join(name).with_extension("new"))?;
        std::fs::rename(old.join(name), new.join(name))?;
    }
    cluster.node(2).start()?;
    let ended = Instant::now();
    while cluster.node(2).ended()?.is_none() {
        assert!(ended.elapsed() < Duration::from_secs(30), "a node of the history that ended runs on");
        sleep(Duration::from_millis(50)).await;
    }
    assert!(cluster.node(2).log().contains("founded anew"), "{}", cluster.node(2).log());
    let text = "two of three serve".to_owned();
    let seq = send(&people[0], &conversation, &text).await.map_err(|status| reason(&status))?.seq;
    sent.push((seq, text));

    // A machine in its place gets all of it: what the backup had is in no node's log.
    cluster.node(2).kill()?; // Which has ended already.
    std::fs::rename(new.join("data"), new.join("data.ended"))?;
    let ([port], config) = (free_ports()?, cluster.dir().join("c/tricordd.toml"));
    let (showing, code) = tokio::task::block_in_place(|| approve(&cluster, port, &["--confirm", "c2"]))?;
    let output = tokio::task::block_in_place(|| replace(&config, port, &code))?;
    assert!(output.status.success(), "{}", said(&output));
    tokio::task::block_in_place(|| showing.wait_with_output())?;
    cluster.node(2).start()?;
    cluster.wait_until_well().await?;
    timeout(Duration::from_secs(30), async {
        while all_nodes_answer(&people[0], &conversation).await.is_err() {
            sleep(Duration::from_millis(100)).await;
        }
    })
    .await?;
    all_nodes_hold(&people[0], &conversation, &sent).await
}

async fn all_nodes_answer(client: &Client, conversation: &str) -> Result<()> {
    for node in 0..SLOTS.len() {
        list(client, node, conversation, linearizable()).await?;
    }
    Ok(())
}

/// After a restoration nobody of before vouches for the three who sign now: their keys have to be given.
async fn held_to_the_founding_keys(cluster: &Cluster, dir: &str, founding: &str, shares: &str) -> Result<()> {
    let mut keys = String::new();
    for (node, slot) in SLOTS.iter().enumerate() {
        let key = cluster.dir().join(slot).join("audit.key").to_string_lossy().into_owned();
        keys += &tricord(cluster, node, &["audit", "key", &key], "")?;
    }
    let signers = cluster.dir().join("restored.pub");
    std::fs::write(&signers, keys)?;
    let signers = signers.to_string_lossy().into_owned();
    let began = Instant::now();
    let name = loop {
        let made = tricord(cluster, 2, &["backup", "create", "--dir", dir], "")?;
        let words = ["backup", "verify", made.trim(), "--dir", dir, "--kit", "--founding", founding];
        match tricord(cluster, 2, &words, shares) {
            // As long as only heads of before are in it, the founding keys reach up to those.
            Ok(verified) => assert!(verified.starts_with("GOOD."), "{verified}"),
            Err(error) => {
                let error = error.to_string();
                assert!(error.contains("UNKNOWN SIGNER") && !error.contains("NOT VERIFIED"), "{error}");
                break made.trim().to_owned();
            }
        }
        assert!(began.elapsed() < Duration::from_secs(60), "no new head is sealed");
    };
    let backup = cluster.status(2).await?.backup.unwrap_or_default();
    assert_eq!(backup.fail_time, None, "that says nothing against it: {}", backup.failure);
    let words = ["backup", "verify", &name, "--dir", dir, "--kit", "--founding", founding, "--signers", &signers];
    let verified = tricord(cluster, 2, &words, shares)?;
    let (good, said) = (verified.starts_with("GOOD."), verified.contains("--signers"));
    assert!(good && said && verified.contains("the founding keys vouch for"), "{verified}");
    Ok(())
}
