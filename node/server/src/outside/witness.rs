//! Heads before a witness (C2SP `tlog-witness`): it signs those that go on from the ones it saw, and never two histories.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use record::Hash;
use record::note::{Note, Signature};
use services::SealedHead;
use tokio::io::{AsyncRead, AsyncWrite};
use types::limits::WITNESS_ANSWER_BYTES_MAX;

use super::{Failure, WitnessConfig, tcp};

/// A witness.
pub struct Witness {
    config: WitnessConfig,
    file: PathBuf,
    /// The size it said it has seen. A guess: it says so when that is wrong.
    seen: AtomicU64,
}

impl Witness {
    /// Writes what it signed to this file.
    pub const fn new(config: WitnessConfig, file: PathBuf) -> Self {
        Self { config, file, seen: AtomicU64::new(0) }
    }

    /// Has a head signed, and keeps the signed note. `prove` gives the hashes from one size to another.
    pub async fn add<F: Future<Output = Result<Vec<Hash>, Failure>> + Send>(
        &self,
        head: &SealedHead,
        prove: impl Fn(u64, u64) -> F + Sync,
    ) -> Result<(), Failure> {
        let url = &self.config.url;
        for _ in 0..2 {
            // What it saw of a newer head is no beginning of this one: asked from nothing, it says the size.
            let seen = Some(self.seen.load(Ordering::Relaxed)).filter(|seen| *seen <= head.size).unwrap_or(0);
            let (status, answer) = self.post(body(seen, &prove(seen, head.size).await?, &head.note)).await?;
            match status {
                StatusCode::OK => {
                    self.keep(head, &answer)?;
                    self.seen.store(head.size, Ordering::Relaxed);
                    return Ok(());
                }
                StatusCode::CONFLICT => {
                    let size = answer.trim().parse().map_err(|_| {
                        Failure(format!(
                            "the witness {url} answered 409 without the size it has seen: is it a witness?"
                        ))
                    })?;
                    if size > head.size {
                        return Ok(()); // Another node was first, with a newer head.
                    }
                    self.seen.store(size, Ordering::Relaxed);
                }
                StatusCode::UNPROCESSABLE_ENTITY => {
                    return Err(Failure(format!(
                        "the witness {url} holds another history: this log does not go on from the {seen} records it saw. \
                         Keep all files and see the runbook audit, FORK"
                    )));
                }
                StatusCode::NOT_FOUND => {
                    return Err(Failure(format!(
                        "the witness {url} does not know this log: give its operator audit.pub"
                    )));
                }
                StatusCode::FORBIDDEN => {
                    return Err(Failure(format!(
                        "the witness {url} trusts none of this head's signers: give its operator audit.pub, and the keys of \
                         nodes that came later"
                    )));
                }
                other => return Err(Failure(format!("the witness {url} answered {other}; its log says why"))),
            }
        }
        Err(Failure(format!("the witness {url} changed its mind about what it has seen; it is tried again")))
    }

    /// Keeps the note with the witness's line, once that verifies.
    fn keep(&self, head: &SealedHead, answer: &str) -> Result<(), Failure> {
        let WitnessConfig { url, key, .. } = &self.config;
        let mut note = Note::parse(&head.note).map_err(|error| Failure(format!("read the head: {error}")))?;
        // Of its own name alone: a line that is false, under a node's name, would spoil the head for whoever verifies it.
        let lines = answer.lines().filter_map(|line| Signature::parse(line).ok());
        note.signatures.extend(lines.filter(|line| line.name == key.name()));
        if key.saw(&note).is_none() {
            return Err(Failure(format!(
                "the witness {url} did not sign as {}: compare [audit.witness] key",
                key.name()
            )));
        }
        write(&self.file, &note.to_string())
            .map_err(|error| Failure(format!("keep what the witness signed in {}: {error}", self.file.display())))
    }

    async fn post(&self, body: String) -> Result<(StatusCode, String), Failure> {
        let url = &self.config.url;
        let (Some(host), secure) = (url.host(), self.config.trust.as_ref()) else {
            return Err(Failure(format!("{url} names no host")));
        };
        let port = url.port_u16().unwrap_or(if secure.is_some() { 443 } else { 80 });
        let server = format!("{host}:{port}");
        let path = format!("{}/add-checkpoint", url.path().trim_end_matches('/'));
        let request = Request::post(path)
            .header(header::HOST, &server)
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| Failure(format!("{url} is no address: {error}")))?;
        match secure {
            Some(trust) => ask(trust.connect(&server).await?, request).await,
            None => ask(tcp(&server).await?, request).await,
        }
        .map_err(|error| Failure(format!("ask the witness {url}: {error}")))
    }
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, String), Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the sender, at the end of this function.
    tokio::spawn(connection);
    let (parts, body) = sender.send_request(request).await?.into_parts();
    let answer = Limited::new(body, WITNESS_ANSWER_BYTES_MAX).collect().await?.to_bytes();
    Ok((parts.status, String::from_utf8_lossy(&answer).into_owned()))
}

/// The body of `add-checkpoint`: the size it has seen, the proof from there, and the note.
fn body(old: u64, proof: &[Hash], note: &str) -> String {
    let proof: String = proof.iter().map(|hash| STANDARD.encode(hash) + "\n").collect();
    format!("old {old}\n{proof}\n{note}")
}

/// Writes a file so that it is the old one or the new one.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let partial = path.with_extension("partial");
    std::fs::write(&partial, text)?;
    std::fs::File::open(&partial)?.sync_all()?;
    std::fs::rename(&partial, path)
}

#[cfg(test)]
mod tests;
