//! `tricord doctor` on a node's machine, with the daemon up and down, and with faults made.

use std::io::Write;
use std::process::{Command, Stdio};

use cluster::faults::Disk;
use cluster::{Cluster, Options, Result, binary, skipped};
use serde_json::Value;

/// What it finds with this configuration: the exit status and the findings.
fn doctor(config: &std::path::Path) -> Result<(i32, Vec<Value>)> {
    let mut command = Command::new(binary("tricord")?);
    command.args(["doctor", "--output", "json", "--config"]).arg(config).env("TRICORDD", binary("tricordd")?);
    let output = command.output()?;
    let report: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("{error}: {}", String::from_utf8_lossy(&output.stderr)))?;
    let findings = report["findings"].as_array().ok_or("no findings")?.clone();
    Ok((output.status.code().ok_or("killed")?, findings))
}

fn find<'a>(findings: &'a [Value], area: &str, words: &str) -> Result<&'a Value> {
    let fits = |one: &&Value| one["area"] == area && one["what"].as_str().is_some_and(|what| what.contains(words));
    findings.iter().find(fits).ok_or_else(|| format!("no finding of {area} says {words:?}: {findings:#?}").into())
}

/// The report for auditors, as the first operator gets it.
fn controls(cluster: &Cluster) -> Result<Value> {
    let home = tempfile::tempdir()?;
    let ask = |words: &[&str], stdin: &str| -> Result<Vec<u8>> {
        let mut command = Command::new(binary("tricord")?);
        for node in 0..3 {
            command.arg("--node").arg(cluster.links().address(node));
        }
        command.arg("--ca").arg(cluster.dir().join("ca.crt")).args(words).env("TRICORD_HOME", home.path());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        child.stdin.take().ok_or("no stdin")?.write_all(stdin.as_bytes())?;
        let output = child.wait_with_output()?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(format!("tricord {words:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
    };
    ask(&["login", "admin"], &format!("{}\n", cluster::ADMIN_PASSWORD))?;
    let page = home.path().join("report.html");
    let report = ask(&["controls", "report", "--output", "json", "--html", &page.to_string_lossy()], "")?;
    assert!(std::fs::read_to_string(page)?.contains("Test hospital"));
    Ok(serde_json::from_slice(&report)?)
}

/// That a page can be printed: a browser makes a PDF of some sheets of A4 of it.
fn prints(page: &std::path::Path) -> Result<()> {
    let out = page.with_extension("pdf");
    let mut browser = Command::new("timeout");
    browser.args(["60", "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer"]);
    browser.arg(format!("--user-data-dir={}", page.with_extension("browser").display()));
    browser.arg(format!("--print-to-pdf={}", out.display())).arg(format!("file://{}", page.display()));
    let output = browser.stdout(Stdio::null()).stderr(Stdio::piped()).output()?;
    if !output.status.success() && output.status.code() == Some(127) {
        return skipped("printing: there is no chromium");
    }
    let pdf = std::fs::read(&out).map_err(|error| format!("{error}: {}", String::from_utf8_lossy(&output.stderr)))?;
    let count = |what: &[u8]| pdf.windows(what.len()).filter(|bytes| *bytes == what).count();
    // Each sheet is an object of the file, and has its size there or from the one above it: A4 in points.
    let sheets = count(b"/Type /Page\n") + count(b"/Type /Page/");
    assert!(pdf.starts_with(b"%PDF-") && (5..40).contains(&sheets), "{sheets} sheets");
    assert!(count(b"594.95") + count(b"595") > 0, "not A4");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_what_was_broken_and_nothing_else() -> Result<()> {
    let mut cluster = Cluster::found(Options::default()).await?;
    let config = cluster.node(1).config().to_owned();

    // Well and running.
    let (_, findings) = doctor(&config)?;
    for (area, words) in [
        ("daemon", "runs and is ready"),
        ("versions", "all nodes that answer run"),
        ("ports", "client.listen"),
        ("peers", "node a at"),
        ("peers", "clients reach node c"),
        ("clock", "node a has the same time"),
        ("clock", "from cluster time"),
        ("disk", "made safe"),
        ("audit", "is there, and private"),
    ] {
        // How fast and how full this machine's disk is, is not what is tested here.
        let finding = find(&findings, area, words)?;
        assert!(area == "disk" || finding["severity"] == "ok", "{finding}");
    }
    let keys = find(&findings, "keys", "not breach-safe")?;
    assert_eq!(keys["severity"], "note");
    let bad: Vec<&Value> = findings
        .iter()
        .filter(|one| one["severity"] == "bad" && one["area"] != "disk" && one["area"] != "cluster")
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");

    // What an auditor gets, read from the same cluster.
    let report = controls(&cluster)?;
    // The first operator is no auditor: what they may not read is said to be not read, and nothing else is missing.
    let not_read = report["not_read"].as_array().ok_or("no list")?;
    assert!(
        not_read.len() == 1 && not_read[0].as_str().is_some_and(|one| one.starts_with("audit log")),
        "{not_read:?}"
    );
    let item =
        |wanted: &str| report["items"].as_array().into_iter().flatten().find(|one| one["item"] == wanted).cloned();
    let evidence = |wanted: &str| item(wanted).unwrap_or_default()["evidence"].to_string();
    assert!(evidence("164.312(a)(1)").contains("3 of 3 nodes answer"), "{report:#}");
    assert!(evidence("164.312(a)(2)(iii)").contains("sessions lock NEVER"), "{report:#}");
    assert!(evidence("164.312(a)(2)(iv)").contains("a1: key on the same disk: not breach-safe"), "{report:#}");
    assert!(evidence("164.312(b)").contains("not read"), "{report:#}");
    assert!(evidence("164.308(a)(7)(ii)(A)").contains("NONE was ever made"), "{report:#}");
    let wire = evidence("164.312(e)(2)(ii)");
    let agreed = (0..3).all(|node| wire.contains(&format!("{}: TLS 1.3 with ", cluster.links().address(node))));
    assert!(agreed, "{wire}");

    // One permission set is enough to read all of it, and the page prints.
    let auditor = super::audit::auditor(&cluster).await?;
    let page = cluster.dir().join("report.html");
    let printed = auditor.well(&["controls", "report", "--output", "json", "--html", &page.to_string_lossy()]).await?;
    let report: Value = serde_json::from_str(&printed)?;
    assert_eq!(report["not_read"].as_array().map(Vec::len), Some(0), "{report:#}");
    prints(&page)?;

    // The daemon down, one peer gone, a port taken, a key that others can read: without a daemon it finds all of that.
    cluster.node(1).kill()?;
    cluster.node(2).kill()?;
    let text = std::fs::read_to_string(&config)?;
    let listen = text.parse::<toml::Table>()?["client"]["listen"].as_str().ok_or("no listen")?.to_owned();
    let holder = std::net::TcpListener::bind(&listen)?;
    std::process::Command::new("chmod").arg("644").arg(config.with_file_name("audit.key")).status()?;
    let (status, findings) = doctor(&config)?;
    assert_eq!(status, 1, "{findings:#?}");
    find(&findings, "daemon", "does not run")?;
    find(&findings, "ports", "something else uses it")?;
    find(&findings, "peers", "node c cannot be reached")?;
    find(&findings, "peers", "hears no leader").or_else(|_| find(&findings, "peers", "node a at"))?;
    find(&findings, "audit", "can be read by others")?;
    let unanswered = findings.iter().find(|one| {
        let severity = one["severity"].as_str();
        matches!(severity, Some("warn" | "bad")) && one["next"].as_str().is_none_or(str::is_empty)
    });
    assert!(unanswered.is_none(), "nothing is said to do: {unanswered:?}");
    drop(holder);

    // A configuration with a key that is not known, and the certificates of another node.
    let broken = config.with_file_name("broken.toml");
    std::fs::write(&broken, text.replacen("level = ", "levle = ", 1))?;
    let (status, findings) = doctor(&broken)?;
    assert_eq!((status, findings.iter().filter(|one| one["severity"] == "bad").count()), (1, 1));
    find(&findings, "config", "did you mean 'level'")?;
    std::fs::write(&broken, text.replacen("tls/peer.crt", "../a/tls/peer.crt", 1))?;
    find(&doctor(&broken)?.1, "certificates", "peer")?;

    // A disk without room; this needs root, and loop devices.
    let mount = cluster.dir().join("small");
    match Disk::new(cluster.dir().join(Disk::image_name("small")), &mount, 320) {
        Ok(_disk) => {
            std::fs::write(mount.join("filler"), vec![0u8; 8 << 20])?;
            // Whatever is left, but for a little.
            let mut filler = std::fs::OpenOptions::new().append(true).open(mount.join("filler"))?;
            while std::io::Write::write_all(&mut filler, &vec![0u8; 1 << 20]).is_ok() {}
            let full = text.replacen("data = \"data\"", &format!("data = {:?}", mount.join("data")), 1);
            assert_ne!(full, text);
            std::fs::write(&broken, full)?;
            let (status, findings) = doctor(&broken)?;
            assert_eq!(status, 1);
            assert_eq!(find(&findings, "disk", "too little")?["severity"], "bad");
            find(&findings, "data", "there is no data directory")?;
        }
        Err(why) => skipped(&format!("the full disk: {why}"))?,
    }
    Ok(())
}
