//! The configuration, taken up while the node runs: all of it or nothing, and on record.

use std::fs;

use cluster::{Cluster, Options, Result, tricord};

use super::audit::auditor;
use super::*;

/// Changes a node's configuration.
fn edit(cluster: &mut Cluster, change: impl FnOnce(String) -> String) -> Result<()> {
    let path = cluster.node(0).config().to_owned();
    let text = fs::read_to_string(&path)?;
    Ok(fs::write(&path, change(text))?)
}

async fn said(cluster: &mut Cluster, words: &str) -> Result<()> {
    let began = Instant::now();
    while !cluster.node(0).log().contains(words) {
        if began.elapsed() > Duration::from_secs(20) {
            return Err(format!("node a did not say {words:?}: {}", cluster.node(0).log()).into());
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_is_taken_up_while_the_node_runs_all_of_it_or_nothing() -> Result<()> {
    let mut cluster = Cluster::found(Options::default()).await?;
    let reload = |cluster: &Cluster| tokio::task::block_in_place(|| tricord(cluster, 0, &["node", "reload"], ""));
    assert_eq!(reload(&cluster)?, "", "nothing has changed");

    // What can change while it runs is in force; the rest is named, each time until it is.
    let port = cluster.links().address(0).to_owned();
    let other = port.replacen(':', ":1", 1).chars().take(port.len()).collect::<String>();
    edit(&mut cluster, |text| {
        let text = text.replacen(&format!("listen = \"{port}\""), &format!("listen = \"{other}\""), 1);
        text.replace("iterations = 1", "iterations = 2").replace("level = \"info\"", "level = \"warn\"")
    })?;
    let told = reload(&cluster)?;
    let wanted = "log.level: in force\npassword.iterations: in force\nclient.listen: takes effect at the next start\n";
    assert_eq!(told, wanted);
    let lines = |cluster: &mut Cluster| cluster.node(0).log().matches("the configuration was read again").count();
    let before = lines(&mut cluster);
    assert_eq!(reload(&cluster)?, "client.listen: takes effect at the next start\n");
    assert_eq!(lines(&mut cluster), before, "that is below a warning");

    // A mistake anywhere, and nothing of it is taken up.
    edit(&mut cluster, |text| text.replace("level = \"warn\"", "level = \"info\"") + "\n[lgo]\nlevel = \"warn\"\n")?;
    let refused = reload(&cluster).expect_err("a key that is none").to_string();
    assert!(refused.contains("unknown field `lgo`") && refused.contains("tricordd.toml"), "{refused}");
    cluster.node(0).hang_up()?;
    said(&mut cluster, "the configuration and the certificates stay as they were").await?;
    edit(&mut cluster, |text| text.replace("\n[lgo]\nlevel = \"warn\"\n", ""))?;
    cluster.node(0).hang_up()?;
    said(&mut cluster, "taken_up=\"log.level\"").await?;

    // What it takes of clients: within bounds, and in force at once.
    edit(&mut cluster, |text| text + "\n[limits]\ncalls_per_second = 501\n")?;
    let refused = reload(&cluster).expect_err("more than was measured").to_string();
    assert!(refused.contains("limits.calls_per_second") && refused.contains("10 to 500 are possible"), "{refused}");
    edit(&mut cluster, |text| text.replace("calls_per_second = 501", "calls_per_second = 10"))?;
    assert!(reload(&cluster)?.starts_with("limits.calls_per_second: in force\n"));
    let (mut calls, began) = (0, Instant::now());
    let limited = loop {
        match cluster.status(0).await {
            Ok(_) => calls += 1,
            Err(error) => break error.to_string(),
        }
        assert!(began.elapsed() < Duration::from_secs(30), "{calls} calls were answered");
    };
    assert!(limited.contains("too many calls") || limited.contains("ResourceExhausted"), "after {calls}: {limited}");
    edit(&mut cluster, |text| text.replace("calls_per_second = 10", "calls_per_second = 500"))?;
    reload(&cluster)?;

    // Which keys, when and where: on record.
    let auditor = auditor(&cluster).await?;
    let began = Instant::now();
    loop {
        let listed = auditor.well(&["--output", "json", "audit", "list", "--limit", "100"]).await?;
        let all = listed.matches("load-configuration").count();
        if all == 6 && listed.contains("log.level password.iterations") {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{all} of 6: {listed}");
        sleep(Duration::from_millis(200)).await;
    }
    cluster.check_logs(NO_ERRORS)
}
