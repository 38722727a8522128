//! A rolling upgrade: two releases in one cluster, the way back until it is finalized, and none after that.

use cluster::{binary, skipped, tricord};

use super::*;

/// The daemon as the release before would be: the same program, knowing one feature level less (`ops/test` builds it).
const BEFORE: &str = "tricordd-previous";
const NOW: &str = "tricordd";

async fn run_on(cluster: &mut Cluster, node: usize, release: &'static str) -> Result<()> {
    assert!(cluster.node(node).stop(Duration::from_secs(30))?.success());
    cluster.node(node).program = release;
    cluster.node(node).start()?;
    cluster.wait_until_well().await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_node_can_go_back_until_the_upgrade_is_finalized_and_none_after_that() -> Result<()> {
    if binary(BEFORE).is_err() {
        return skipped(&format!("there is no {BEFORE}; ops/test builds it"));
    }
    let mut cluster = Cluster::found(Options { release: Some((BEFORE, 1)), ..Options::default() }).await?;
    let (people, conversation) = ward(&cluster, 2).await?;
    let mut sent = Vec::new();
    let mut post = async |text: &str| -> Result<()> {
        let seq = send(&people[sent.len() % 2], &conversation, text).await.map_err(|status| reason(&status))?.seq;
        sent.push((seq, text.to_owned()));
        Ok(())
    };
    post("three of the release before").await?;

    // One after the other; in between each talks to the others, and writes only what all can read.
    for node in 0..3 {
        let refused = tricord(&cluster, 0, &["cluster", "finalize", "--yes"], "").expect_err("too early").to_string();
        assert!(refused.contains("nothing to finalize") || refused.contains("upgrade it first"), "{refused}");
        run_on(&mut cluster, node, NOW).await?;
        post(&format!("{node} is new")).await?;
    }
    let target = cluster.dir().join("target");
    std::fs::create_dir(&target)?;
    let dir = target.to_string_lossy().into_owned();
    tricord(&cluster, 0, &["backup", "create", "--init", "--dir", &dir], "")?;
    for node in 0..3 {
        run_on(&mut cluster, node, BEFORE).await?;
        people[0].move_to(node);
        post(&format!("{node} went back, and serves")).await?;
        run_on(&mut cluster, node, NOW).await?;
    }
    let status = cluster.status(0).await?;
    assert_eq!((status.feature_level, status.backup.unwrap_or_default().last_time), (1, None), "not told of yet");

    tricord(&cluster, 1, &["cluster", "finalize", "--yes"], "")?;
    tricord(&cluster, 0, &["backup", "create", "--dir", &dir], "")?;
    let began = Instant::now();
    loop {
        let status = cluster.status(0).await?;
        if status.feature_level == 2 && status.backup.unwrap_or_default().last_time.is_some() {
            break; // What is new has begun.
        }
        assert!(began.elapsed() < Duration::from_secs(30), "feature level {}", status.feature_level);
        sleep(Duration::from_millis(50)).await;
    }

    assert!(cluster.node(1).stop(Duration::from_secs(30))?.success());
    cluster.node(1).program = BEFORE;
    cluster.node(1).start()?;
    let began = Instant::now(); // Of the start of the release before.
    while cluster.node(1).ended()?.is_none() {
        assert!(began.elapsed() < Duration::from_secs(30), "the release before runs on");
        sleep(Duration::from_millis(50)).await;
    }
    let log = cluster.node(1).log();
    assert!(log.contains("finalized to feature level 2") && log.contains("start the newer release"), "{log}");
    let _ = cluster.node(1).kill();
    cluster.node(1).program = NOW;
    cluster.node(1).start()?;
    cluster.wait_until_well().await?;
    people[0].move_to(1);
    post("all new").await?;
    all_nodes_hold(&people[0], &conversation, &sent).await?;
    cluster.check_logs(NO_ERRORS)
}
