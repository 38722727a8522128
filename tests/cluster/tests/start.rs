//! What a daemon refuses to start with, in words that say what to do.

use std::fs;
use std::path::Path;
use std::time::Duration;

use cluster::{Cluster, Options, Result, run_daemon};

const SOON: Duration = Duration::from_secs(20);

/// Starts a daemon that must refuse; answers what it says.
fn refused(command: &str, config: &Path) -> Result<String> {
    let output = run_daemon(&[command, "--config", &config.to_string_lossy()], SOON)?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() {
        return Err(format!("tricordd {command} went well with {}", config.display()).into());
    }
    if said.contains("panicked") {
        return Err(format!("tricordd {command} panicked: {said}").into());
    }
    Ok(said)
}

/// A copy of a node's configuration beside the original, with one text replaced.
fn changed(config: &Path, name: &str, from: &str, to: &str) -> Result<std::path::PathBuf> {
    let text = fs::read_to_string(config)?;
    if !text.contains(from) {
        return Err(format!("the configuration does not say {from:?}:\n{text}").into());
    }
    let path = config.with_file_name(name);
    fs::write(&path, text.replacen(from, to, 1))?;
    Ok(path)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_refuses_what_is_not_its_own() -> Result<()> {
    let mut cluster = Cluster::found(Options::default()).await?;
    let [a, b] = [0, 1].map(|node| cluster.node(node).config().to_owned());

    let unknown = changed(&a, "unknown-key.toml", "level = ", "levle = ")?;
    for command in ["check", "run"] {
        let said = refused(command, &unknown)?;
        assert!(said.contains("levle"), "{said}");
    }

    // The data directory of another node, of another cluster, in use, and of a newer format.
    let data = |config: &Path| -> Result<String> {
        let text = fs::read_to_string(config)?;
        let table: toml::Table = text.parse()?;
        let data = table.get("node").and_then(|node| node.get("data")).and_then(toml::Value::as_str);
        Ok(config.with_file_name(data.ok_or("no node.data")?).to_string_lossy().into_owned())
    };
    let (data_a, data_b) = (data(&a)?, data(&b)?);
    let said = refused("run", &a)?;
    assert!(said.contains("in use") || said.contains("already"), "a second daemon on the same data: {said}");

    cluster.node(1).stop(SOON)?;
    let own = toml::Value::String(
        fs::read_to_string(&b)?.parse::<toml::Table>()?["node"]["data"].as_str().unwrap_or_default().into(),
    );
    cluster.node(0).stop(SOON)?;
    let foreign = changed(&b, "foreign-data.toml", &own.to_string(), &toml::Value::String(data_a.clone()).to_string())?;
    let said = refused("run", &foreign)?;
    assert!(said.contains("slot") || said.contains("node a"), "the data of another node: {said}");
    assert!(Path::new(&data_b).is_dir());

    // A port in use: this test holds it, so that it is surely taken when the daemon asks for it.
    let holder = std::net::TcpListener::bind("127.0.0.1:0")?;
    let held = holder.local_addr()?.to_string();
    let table: toml::Table = fs::read_to_string(&b)?.parse()?;
    let listen = table["client"]["listen"].as_str().unwrap_or_default();
    let taken = changed(&b, "port-in-use.toml", &format!("listen = \"{listen}\""), &format!("listen = \"{held}\""))?;
    let said = refused("run", &taken)?;
    assert!(said.contains(&held) && said.contains("in use"), "a port in use: {said}");

    cluster.node(0).start()?;
    cluster.node(1).start()?;
    cluster.wait_until_well().await?;
    cluster.check_logs(&[])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_brings_heads_outside_stops_without_waiting_for_that() -> Result<()> {
    let mut cluster = Cluster::found(Options::default()).await?;
    let config = cluster.node(1).config().to_owned();
    let heads = config.with_file_name("heads");
    fs::create_dir(&heads)?;
    cluster.node(1).stop(SOON)?;
    fs::copy(changed(&config, "with-heads.toml", "[audit]\n", "[audit]\nheads = \"heads\"\n")?, &config)?;
    cluster.node(1).start()?;
    let began = std::time::Instant::now();
    while fs::read_dir(&heads)?.next().is_none() {
        assert!(began.elapsed() < SOON, "no head arrived");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    cluster.wait_until_well().await?;
    cluster.node(1).stop(SOON)?;
    let log = cluster.node(1).log();
    assert!(log.contains("the node has stopped") && !log.contains("still in use"), "{log}");
    cluster.check_logs(&[])
}
