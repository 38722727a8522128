//! `audit prove`, and the file it makes.

use std::path::PathBuf;

use proto::v1;
use proto::v1::audit_service_client::AuditServiceClient;
use serde::{Deserialize, Serialize};

use crate::client::Call;
use crate::error::{Error, Result};
use crate::output::{print, say};
use crate::rpc;
use crate::session::Session;
use crate::text::hex;

/// The proof of one message, as a file. Bytes are hexadecimal digits.
#[derive(Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// The format: 1.
    pub tricord_proof: u32,
    /// The head: a signed note.
    pub head: String,
    /// The message's record.
    pub record: Proven,
    /// The last record under the head.
    pub last: Proven,
    /// The opened payload with its salt, if it was given away.
    pub payload: Option<String>,
}

/// A record with its path.
#[derive(Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Proven {
    /// Its place.
    pub index: u64,
    /// Its bytes.
    pub stored: String,
    /// The hashes beside the path to the root.
    pub path: Vec<String>,
}

/// Asks for a proof and writes it.
pub async fn run(
    session: &Session,
    message: &str,
    reveal: bool,
    reason: Option<String>,
    out: Option<PathBuf>,
) -> Result<()> {
    let name = name(message)?;
    let reason = reason.unwrap_or_default();
    let body = |_| v1::ProveMessageRequest { name: name.clone(), reveal, reason: reason.clone() };
    let call = Call::read(format!("prove the message {message}")).slow();
    let answer = session.client.call(&call, body, rpc!(AuditServiceClient.prove_message)).await?;
    let missing = || Error::Content { doing: "read the proof".into(), why: "a part is missing".into() };
    let proof = Proof {
        tricord_proof: 1,
        head: answer.head.ok_or_else(missing)?.note,
        record: proven(answer.record.ok_or_else(missing)?),
        last: proven(answer.last.ok_or_else(missing)?),
        payload: reveal.then(|| hex(&answer.payload)),
    };
    let text = serde_json::to_string_pretty(&proof)
        .map_err(|error| Error::Terminal { doing: "write the proof", source: error.into() })?;
    let Some(path) = out else { return print(&text) };
    crate::pki::files::write_new(&path, format!("{text}\n").as_bytes(), 0o600)?;
    say(&format!("Wrote {}. Anyone can check it: tricord audit verify {0} --founding audit.pub", path.display()));
    Ok(())
}

fn proven(record: v1::ProvenRecord) -> Proven {
    let path = record.path.iter().map(|hash| hex(hash)).collect();
    Proven { index: record.index, stored: hex(&record.stored), path }
}

fn name(message: &str) -> Result<String> {
    if message.starts_with("conversations/") {
        return Ok(message.to_owned());
    }
    match message.rsplit_once('/') {
        Some((conversation, seq)) => Ok(format!("conversations/{conversation}/messages/{seq}")),
        None => Err(Error::Usage(format!("{message:?}: say CONVERSATION_ID/SEQ"))),
    }
}
