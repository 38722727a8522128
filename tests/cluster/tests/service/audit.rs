//! The audit log from end to end, with the programs people use: prove, export, verify offline, and find what was changed.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use cluster::{Cluster, Options, Result, SLOTS, binary};
use proto::v1::directory_service_client::DirectoryServiceClient;
use proto::v1::{CreateUserRequest, PermissionSet, User};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::{NO_ERRORS, send, ward};

/// `tricord` as one person on one machine.
pub(super) struct Tricord {
    home: PathBuf,
    global: Vec<String>,
}

impl Tricord {
    fn new(cluster: &Cluster) -> Self {
        let home = cluster.dir().join("home");
        let nodes = (0..SLOTS.len()).flat_map(|node| ["--node".into(), cluster.links().address(node).to_owned()]);
        let ca = cluster.dir().join("ca.crt").display().to_string();
        let global = nodes.chain(["--ca".into(), ca, "--deadline".into(), "60".into()]).collect();
        Self { home, global }
    }

    /// Runs it: whether it went well, what it printed, and what it said.
    async fn run(&self, arguments: &[&str], input: &str) -> Result<(bool, String, String)> {
        let mut command = Command::new(binary("tricord")?);
        command.env("HOME", &self.home).env_remove("XDG_CONFIG_HOME").env_remove("XDG_STATE_HOME");
        command.args(&self.global).args(arguments).current_dir(self.home.parent().ok_or("no directory")?);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let mut stdin = child.stdin.take().ok_or("no stdin")?;
        stdin.write_all(input.as_bytes()).await?;
        drop(stdin);
        let output = child.wait_with_output().await?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok((output.status.success(), text(output.stdout), text(output.stderr)))
    }

    /// What it printed, if it went well.
    pub(super) async fn well(&self, arguments: &[&str]) -> Result<String> {
        match self.run(arguments, "").await? {
            (true, printed, _) => Ok(printed),
            (false, _, said) => Err(format!("tricord {arguments:?}: {said}").into()),
        }
    }

    /// What it said, if it did not go well.
    async fn wrong(&self, arguments: &[&str]) -> Result<String> {
        match self.run(arguments, "").await? {
            (false, _, said) => Ok(said),
            (true, printed, _) => Err(format!("tricord {arguments:?} went well: {printed}").into()),
        }
    }
}

pub(super) async fn auditor(cluster: &Cluster) -> Result<Tricord> {
    let user = User {
        login: "auditor".into(),
        display_name: "Auditor".into(),
        permission_sets: vec![PermissionSet::Auditor.into(), PermissionSet::Discloser.into()],
        ..User::default()
    };
    let made = cluster
        .admin()
        .write(|wire, id| {
            let request =
                CreateUserRequest { user: Some(user.clone()), without_enrolment_code: false, request_id: Some(id) };
            async move { DirectoryServiceClient::new(wire).create_user(request).await }
        })
        .await
        .map_err(|status| format!("create the auditor: {status}"))?;
    let tricord = Tricord::new(cluster);
    std::fs::create_dir_all(&tricord.home)?;
    let input = format!("{}\nan auditor's password\n", made.enrolment_code);
    match tricord.run(&["enrol", "auditor"], &input).await? {
        (true, ..) => Ok(tricord),
        (false, _, said) => Err(format!("enrol the auditor: {said}").into()),
    }
}

/// The first bundle of records of an export.
fn first_bundle(log: &Path) -> Result<PathBuf> {
    let mut path = log.join("tile/entries");
    while path.is_dir() {
        let mut entries: Vec<PathBuf> =
            std::fs::read_dir(&path)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
        entries.sort();
        path = entries.into_iter().next().ok_or("no records")?;
    }
    Ok(path)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_is_proven_offline_and_what_was_changed_is_named() -> Result<()> {
    let cluster = Cluster::found(Options::default()).await?;
    let (people, conversation) = ward(&cluster, 2).await?;
    send(&people[0], &conversation, "K 5.9, please call").await?;
    let auditor = auditor(&cluster).await?;
    let message = format!("{conversation}/messages/1");
    let reveal = ["audit", "prove", &message, "--reveal", "--reason", "walk", "--out", "proof.json"];
    auditor.well(&reveal).await?;
    auditor.well(&["audit", "export", "log"]).await?;
    let verify = |path: &'static str| ["audit", "verify", path, "--founding", "audit.pub"];
    let words = auditor.well(&verify("log")).await?;
    assert!(words.starts_with("VERIFIED. Records 0 to "), "{words}");
    let words = auditor.well(&verify("proof.json")).await?;
    assert!(words.starts_with("VERIFIED. Message 1 of conversation "), "{words}");
    assert!(words.ends_with("It says:\nK 5.9, please call\n"), "{words}");
    let listed = auditor.well(&["--output", "json", "audit", "list", "--action", "reveal-message"]).await?;
    assert_eq!(listed.lines().count(), 1, "giving it away was recorded: {listed}");
    assert!(listed.contains("\"reason\":\"walk\"") && listed.contains(&message), "{listed}");

    // A day later: the export goes on, and the earlier head is its beginning.
    let dir = cluster.dir();
    std::fs::copy(dir.join("log/checkpoint"), dir.join("kept"))?;
    for number in 0..300 {
        send(&people[1], &conversation, &format!("{number}")).await?;
    }
    // The newest message is under a head once it can be proven.
    auditor.well(&["audit", "prove", &format!("{conversation}/messages/301"), "--out", "newer.json"]).await?;
    std::fs::rename(dir.join("log"), dir.join("early"))?;
    auditor.well(&["audit", "export", "log"]).await?;
    let since =
        |path: &'static str, head: &'static str| ["audit", "verify", path, "--founding", "audit.pub", "--since", head];
    assert!(auditor.well(&since("log", "kept")).await?.contains("It goes on from the head of "));
    let said = auditor.wrong(&since("early", "log/checkpoint")).await?;
    assert!(said.contains("CUT TAIL"), "{said}");

    let bundle = first_bundle(&dir.join("log"))?;
    let good = std::fs::read(&bundle)?;
    let mut bad = good.clone();
    bad[40] ^= 1;
    std::fs::write(&bundle, &bad)?;
    let said = auditor.wrong(&verify("log")).await?;
    assert!(said.contains("NOT VERIFIED. CHANGED RECORD: record 0 is not the one that was signed"), "{said}");
    std::fs::remove_file(&bundle)?;
    let said = auditor.wrong(&verify("log")).await?;
    assert!(said.contains("MISSING RECORD"), "{said}");
    std::fs::write(&bundle, &good)?;
    let note = std::fs::read_to_string(dir.join("log/checkpoint"))?;
    let few: Vec<&str> = note.lines().take(5).collect(); // Three lines of text, an empty one, one signature.
    std::fs::write(dir.join("log/checkpoint"), few.join("\n") + "\n")?;
    let said = auditor.wrong(&verify("log")).await?;
    assert!(said.contains("TOO FEW SIGNATURES"), "{said}");
    let proof = std::fs::read_to_string(dir.join("proof.json"))?;
    let other = proof.replacen("4b20352e39", "4b20332e39", 1); // K 3.9 in place of K 5.9.
    assert_ne!(other, proof, "the text is in the proof");
    std::fs::write(dir.join("other.json"), other)?;
    let said = auditor.wrong(&verify("other.json")).await?;
    assert!(said.contains("CHANGED TEXT"), "{said}");
    cluster.check_logs(NO_ERRORS)
}
