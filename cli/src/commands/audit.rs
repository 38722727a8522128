//! `audit …`

mod export;
mod list;
mod proof;
pub mod tiles;
pub mod verify;

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proto::v1;
use proto::v1::audit_service_client::AuditServiceClient;

use crate::args::{AuditCommand, Format, Global};
use crate::client::Call;
use crate::error::{Error, Result};
use crate::output::{print, say};
use crate::rpc;
use crate::session::Session;
use crate::text::{thousands, unhex};

/// Does it.
pub async fn run(global: &Global, command: AuditCommand) -> Result<()> {
    match command {
        AuditCommand::Verify { path, founding, signers, since, witness } => {
            let keys = verify::keys(&founding, signers.as_deref())?;
            let earlier = verify::Earlier::read(since.as_deref(), witness.as_deref())?;
            verify::run(global, &path, &keys, earlier.as_ref())
        }
        AuditCommand::Key { file } => key(&file),
        AuditCommand::List(wanted) => list::run(&Session::open(global)?, global, wanted).await,
        AuditCommand::Head { out, qr } => head(&Session::open(global)?, global, out.as_deref(), qr).await,
        AuditCommand::Prove { message, reveal, reason, out } => {
            proof::run(&Session::open(global)?, &message, reveal, reason, out).await
        }
        AuditCommand::ProveConsistency { old, new } => consistency(&Session::open(global)?, global, old, new).await,
        AuditCommand::Export { dir } => export::run(&Session::open(global)?, &dir).await,
        AuditCommand::Decide { size, root } => decide(&Session::open(global)?, global, size, &root).await,
    }
}

async fn head(session: &Session, global: &Global, out: Option<&Path>, qr: bool) -> Result<()> {
    let call = Call::read("get the newest sealed head");
    let answer = session.client.call(&call, |_| v1::GetHeadRequest {}, rpc!(AuditServiceClient.get_head)).await?;
    if answer.diverged_size > 0 {
        say(&format!("THE NODES DISAGREE about the audit log at size {}; writes are refused.", answer.diverged_size));
        answer.diverged_roots.iter().for_each(|root| say(&format!("  {}", crate::text::line(root))));
        say("Restart the third node, or decide: tricord audit decide SIZE ROOT.");
    }
    let Some(head) = answer.head else {
        return Err(Error::Content {
            doing: "get the newest sealed head".into(),
            why: "none was sealed yet; do two nodes run, with their keys?".into(),
        });
    };
    if let Some(path) = out {
        crate::pki::files::write_new(path, head.note.as_bytes(), 0o644)?;
        say(&format!("Wrote {}: the head of {} records.", path.display(), thousands(head.size)));
        return Ok(());
    }
    if global.output == Format::Json {
        return crate::output::json(&serde_json::json!({
            "size": head.size, "note": head.note, "sealed": crate::when::rfc3339(head.seal_time.as_ref()),
            "records": answer.records,
        }));
    }
    if qr {
        print(&code(&head.note)?)?;
    }
    print(head.note.trim_end())?;
    say(&format!(
        "{} records under it, sealed {}; {} records by now.",
        thousands(head.size),
        crate::when::minute(head.seal_time.as_ref()),
        thousands(answer.records)
    ));
    Ok(())
}

/// A note as a QR code of half blocks, with the white border that readers need.
fn code(note: &str) -> Result<String> {
    let code = qrcode::QrCode::with_error_correction_level(note, qrcode::EcLevel::L);
    let code = code.map_err(|error| Error::Content { doing: "print the head".into(), why: error.to_string() })?;
    Ok(code.render::<qrcode::render::unicode::Dense1x2>().build())
}

async fn consistency(session: &Session, global: &Global, old: u64, new: Option<u64>) -> Result<()> {
    let doing = "prove that the log was only added to";
    let body = |_| v1::ProveConsistencyRequest { old_size: old, new_size: new.unwrap_or(0) };
    let call = Call::read(doing).slow();
    let answer = session.client.call(&call, body, rpc!(AuditServiceClient.prove_consistency)).await?;
    let hash = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).ok();
    let proof: Option<Vec<[u8; 32]>> = answer.proof.iter().map(|bytes| hash(bytes)).collect();
    let good = match (hash(&answer.old_root), hash(&answer.new_root), proof) {
        (Some(old_root), Some(new_root), Some(proof)) => {
            record::tree::verify_consistency((old, &old_root), (answer.new_size, &new_root), &proof)
        }
        _ => false,
    };
    if !good {
        return Err(Error::NotVerified("FORK: the proof that this node gave does not hold".into()));
    }
    let hexes = |proof: &[Vec<u8>]| proof.iter().map(|hash| crate::text::hex(hash)).collect::<Vec<_>>();
    if global.output == Format::Json {
        return crate::output::json(&serde_json::json!({
            "old_size": old, "old_root": crate::text::hex(&answer.old_root), "new_size": answer.new_size,
            "new_root": crate::text::hex(&answer.new_root), "proof": hexes(&answer.proof),
            "head": answer.head.map(|head| head.note),
        }));
    }
    print(&format!(
        "VERIFIED. The log of {} records is the beginning of that of {}.\nold root {}\nnew root {}",
        thousands(old),
        thousands(answer.new_size),
        STANDARD.encode(&answer.old_root),
        STANDARD.encode(&answer.new_root)
    ))?;
    say("Compare the roots with heads you keep (their third line): a node could answer with roots of\nits own making.");
    Ok(())
}

async fn decide(session: &Session, global: &Global, size: u64, root: &str) -> Result<()> {
    let root = unhex(root).filter(|root| root.len() == 32);
    let root = root.ok_or_else(|| Error::Usage("a root has 64 hexadecimal digits, as audit head shows it".into()))?;
    if !global.yes {
        say("Nodes with another audit log than this one stop, and must be replaced. Say so with --yes.");
        return Err(Error::Usage("nothing was decided".into()));
    }
    let body = |id| v1::ResolveDivergenceRequest { size, root: root.clone(), request_id: Some(id) };
    session
        .write(Call::write("decide which audit log is right"), body, rpc!(AuditServiceClient.resolve_divergence))
        .await?;
    say("Decided. Writing goes on.");
    Ok(())
}

fn key(file: &Path) -> Result<()> {
    let signer = record::note::Signer::parse(zeroize::Zeroizing::new(read(file)?).as_str());
    let doing = || format!("read the audit key {}", file.display());
    let signer = signer.map_err(|error| Error::Content { doing: doing(), why: error.to_string() })?;
    print(&signer.verifier().to_string())
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(failed("read", path))
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = PathBuf::from(path);
    move |source| Error::File { doing, path, source }
}
