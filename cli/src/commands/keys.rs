//! `key …`

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use proto::v1::key_service_client::KeyServiceClient;
use proto::v1::{self, KeyKind, KeyState};
use serde::Serialize;

use super::kit;
use crate::args::{Global, KeyCommand, RecoveryCommand, RotateCommand};
use crate::client::Call;
use crate::error::{Error, Result};
use crate::output::{note_stale, say, show};
use crate::recovery::{self, Share};
use crate::session::Session;
use crate::when::{minute, rfc3339};
use crate::{prompt, rpc};

/// How often it is asked how far a rotation is.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Digits of a public key that are shown in a table.
const ID_SHOWN: usize = 16;

#[derive(Serialize)]
struct Row {
    kind: &'static str,
    id: String,
    holder: String,
    state: &'static str,
    created: Option<String>,
    expires: Option<String>,
    data_keys: u64,
    protection: String,
}

/// Does it.
pub async fn run(session: &Session, global: &Global, command: KeyCommand) -> Result<()> {
    match command {
        KeyCommand::List => list(session, global).await,
        KeyCommand::Rotate(RotateCommand::Cluster) => rotate(session, global).await,
        KeyCommand::Approve { node, public_key } => approve(session, &node, &public_key).await,
        KeyCommand::Recovery(RecoveryCommand::Verify) => verify(session).await,
        KeyCommand::Recovery(RecoveryCommand::Replace { reason, custody }) => {
            kit::replace(session, global, &reason, &custody).await
        }
        KeyCommand::Recovery(RecoveryCommand::Confirm { fingerprint }) => kit::confirm(session, &fingerprint).await,
        KeyCommand::Recovery(RecoveryCommand::Cancel) => kit::cancel(session).await,
        KeyCommand::Recovery(RecoveryCommand::List) => kit::list(session, global).await,
    }
}

async fn keys(session: &Session) -> Result<v1::ListKeysResponse> {
    let body = |read| v1::ListKeysRequest { read: Some(read) };
    session.read("list the keys", body, rpc!(KeyServiceClient.list_keys)).await
}

async fn list(session: &Session, global: &Global) -> Result<()> {
    let answer = keys(session).await?;
    note_stale(answer.info.as_ref());
    let rows: Vec<Row> = answer.keys.iter().map(row).collect();
    let cells = answer.keys.iter().map(cells).collect();
    let header = ["key", "id", "of", "state", "since", "expires", "note"];
    show(global.output, &serde_json::json!({"keys": rows}), &header, cells)?;
    for key in answer.keys.iter().filter(|key| key.protection == "file on the data disk") {
        say(&format!("{}: key on the same disk: not breach-safe. Whoever takes the disk has both.", key.holder));
    }
    for key in answer.keys.iter().filter(|key| key.state() == KeyState::Waiting) {
        say(&format!("{0} waits: compare its key, then: tricord key approve {0} --public-key {1}", key.holder, key.id));
    }
    Ok(())
}

fn row(key: &v1::Key) -> Row {
    Row {
        kind: kind(key.kind()),
        id: key.id.clone(),
        holder: key.holder.clone(),
        state: state(key.state()),
        created: rfc3339(key.create_time.as_ref()),
        expires: rfc3339(key.expire_time.as_ref()),
        data_keys: key.data_keys,
        protection: key.protection.clone(),
    }
}

fn cells(key: &v1::Key) -> Vec<String> {
    let note = match key.kind() {
        KeyKind::Cluster => format!("{} data keys", key.data_keys),
        _ => key.protection.clone(),
    };
    vec![
        kind(key.kind()).into(),
        key.id.chars().take(ID_SHOWN).collect(),
        key.holder.clone(),
        state(key.state()).into(),
        minute(key.create_time.as_ref()),
        minute(key.expire_time.as_ref()),
        note,
    ]
}

const fn kind(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Unspecified => "?",
        KeyKind::Cluster => "cluster",
        KeyKind::Node => "node",
        KeyKind::Recovery => "recovery",
        KeyKind::Audit => "audit",
        KeyKind::Tls => "tls",
    }
}

const fn state(state: KeyState) -> &'static str {
    match state {
        KeyState::Unspecified => "?",
        KeyState::Active => "active",
        KeyState::Replaced => "replaced",
        KeyState::Retired => "retired",
        KeyState::Waiting => "waiting",
    }
}

/// Data keys under a version that was replaced and not retired yet, and all data keys.
fn under_way(keys: &[v1::Key]) -> Option<(u64, u64)> {
    let cluster = || keys.iter().filter(|key| key.kind() == KeyKind::Cluster);
    let left: Vec<u64> = cluster().filter(|key| key.state() == KeyState::Replaced).map(|key| key.data_keys).collect();
    let all = cluster().map(|key| key.data_keys).sum();
    (!left.is_empty()).then(|| (left.iter().sum(), all))
}

async fn rotate(session: &Session, global: &Global) -> Result<()> {
    if under_way(&keys(session).await?.keys).is_some() {
        say("A rotation is under way; this only watches it.");
    } else {
        prompt::confirm("Replace the cluster key?", global.yes)?;
        let body = |id| v1::RotateClusterKeyRequest { request_id: Some(id) };
        let call = Call::write("replace the cluster key");
        let done = session.write(call, body, rpc!(KeyServiceClient.rotate_cluster_key)).await?;
        say(&format!(
            "Cluster key {} is in use. Data keys are wrapped anew; Ctrl-C stops only this display.",
            done.version
        ));
    }
    let bar = ProgressBar::new(0).with_style(
        ProgressStyle::with_template("{bar:30} {pos} of {len} data keys")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    while let Some((left, all)) = under_way(&keys(session).await?.keys) {
        bar.set_length(all);
        bar.set_position(all.saturating_sub(left));
        tokio::time::sleep(LOOK_EVERY).await;
    }
    bar.finish_and_clear();
    say("Done: every data key is wrapped under the new cluster key, and the old one is removed.");
    Ok(())
}

async fn approve(session: &Session, node: &str, public_key: &str) -> Result<()> {
    let body = |id| v1::ApproveKeyHolderRequest {
        node: node.to_owned(),
        public_key: public_key.to_owned(),
        request_id: Some(id),
    };
    let call = Call::write(format!("let the node {node} hold the cluster key"));
    session.write(call, body, rpc!(KeyServiceClient.approve_key_holder)).await?;
    say(&format!("{node} holds the cluster key."));
    Ok(())
}

async fn verify(session: &Session) -> Result<()> {
    let call = Call::read("get the cluster key as it is sealed to the recovery kit");
    let body = |_| v1::GetRecoveryEnvelopeRequest {};
    let sealed = session.client.call(&call, body, rpc!(KeyServiceClient.get_recovery_envelope)).await?;
    let mut shares = Vec::new();
    for ordinal in ["One share", "Another share"] {
        shares.push(Share::parse(&prompt::secret(&format!("{ordinal} of the kit"))?)?);
    }
    let key = recovery::combine(&shares)?;
    let wrong = |why: &str| Error::Content { doing: "open the cluster key with the kit".into(), why: why.into() };
    let check = sealed.check.as_slice().try_into().map_err(|_| wrong("the node's answer is damaged"))?;
    let public = key.public().map_err(|error| wrong(&error.to_string()))?;
    if public.0.as_slice() != sealed.public_key {
        return Err(wrong(
            "these shares are not of the kit there is now, or not of one kit ('tricord key recovery list' says which it is)",
        ));
    }
    seal::ClusterKey::open(sealed.version, check, &sealed.envelope, &key)
        .map_err(|_| wrong("the envelope does not open with the kit that it names"))?;
    say(&format!("VERIFIED. These shares open cluster key {}, and with it all content.", sealed.version));
    Ok(())
}
