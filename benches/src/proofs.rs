//! What an auditor waits for: the proof of one message, and the verification of all records on a machine of their own.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use cluster::{Client, Cluster, Result, binary, reason};
use hdrhistogram::Histogram;
use proto::v1::audit_service_client::AuditServiceClient;
use proto::v1::directory_service_client::DirectoryServiceClient;
use proto::v1::{CreateUserRequest, PermissionSet, ProveMessageRequest, User};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::floor::micros;

const LOGIN: &str = "auditor";
const PASSWORD: &str = "an auditor's password";

/// What was measured.
pub struct Proofs {
    /// From asking for the proof of a message to having it, in microseconds.
    pub prove: Histogram<u64>,
    /// Records exported, and how long `tricord audit verify` took for them.
    pub verified: (u64, Duration),
}

/// Proofs of so many messages of a conversation of that length, from its older half; an export, and its verification.
pub async fn measure(cluster: &Cluster, conversation: &str, length: u64, proofs: u64) -> Result<Proofs> {
    enrol(cluster).await?;
    let auditor = Client::sign_in(cluster.links(), 0, LOGIN, PASSWORD).await?;
    // Until a head over all of these is sealed, seconds after the last was sent, the answer is to wait.
    proof(&auditor, &format!("{conversation}/messages/{}", (length / 2).max(1))).await?;
    let mut prove = Histogram::new(3)?;
    for round in 0..proofs {
        let seq = 1 + round * (length / 2).max(1) / proofs;
        prove.record(micros(proof(&auditor, &format!("{conversation}/messages/{seq}")).await?))?;
    }
    tricord(cluster, &["audit", "export", "log"], "").await?;
    let began = Instant::now();
    let words = tricord(cluster, &["audit", "verify", "log", "--founding", "audit.pub"], "").await?;
    let took = began.elapsed();
    if !words.starts_with("VERIFIED.") {
        return Err(words.into());
    }
    Ok(Proofs { prove, verified: (records(&cluster.dir().join("log"))?, took) })
}

/// The size under the exported head: the second line of its note.
fn records(log: &Path) -> Result<u64> {
    let note = std::fs::read_to_string(log.join("checkpoint"))?;
    Ok(note.lines().nth(1).ok_or("no size in the head")?.parse()?)
}

async fn proof(auditor: &Client, message: &str) -> Result<Duration> {
    let request = ProveMessageRequest { name: message.to_owned(), ..ProveMessageRequest::default() };
    let began = Instant::now();
    let answer = auditor.read(|wire| {
        let request = request.clone();
        async move { AuditServiceClient::new(wire).prove_message(request).await }
    });
    answer.await.map_err(|status| format!("prove {message}: {} {}", reason(&status), status.message()))?;
    Ok(began.elapsed())
}

async fn enrol(cluster: &Cluster) -> Result<()> {
    let user = User {
        login: LOGIN.into(),
        display_name: "Auditor".into(),
        permission_sets: vec![PermissionSet::Auditor.into()],
        ..User::default()
    };
    let made = cluster.admin().write(|wire, id| {
        let request =
            CreateUserRequest { user: Some(user.clone()), without_enrolment_code: false, request_id: Some(id) };
        async move { DirectoryServiceClient::new(wire).create_user(request).await }
    });
    let made = made.await.map_err(|status| format!("create the auditor: {} {}", reason(&status), status.message()))?;
    tricord(cluster, &["enrol", LOGIN], &format!("{}\n{PASSWORD}\n", made.enrolment_code)).await?;
    Ok(())
}

/// What `tricord` prints in the cluster's directory, as the auditor.
async fn tricord(cluster: &Cluster, arguments: &[&str], input: &str) -> Result<String> {
    let mut command = Command::new(binary("tricord")?);
    command.env("TRICORD_HOME", cluster.dir().join("auditor")).current_dir(cluster.dir());
    command.args(["--node", cluster.links().address(0), "--ca", "ca.crt", "--deadline", "60"]).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    child.stdin.take().ok_or("no stdin")?.write_all(input.as_bytes()).await?;
    let output = child.wait_with_output().await?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    Err(format!("tricord {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into())
}
