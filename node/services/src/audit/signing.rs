//! Signs heads of the audit log: at each size that was named, the root this node computed from its own records. A node
//! whose root is not the one that two have stops.

use std::time::{Duration, Instant};

use raft::{Handle, TreeNodes};
use record::checkpoint::{Checkpoint, origin};
use record::note::Signer;
use state::keys;
use state::view::{Rows, View};
use types::command::SignHead;
use types::limits::AUDIT_HEADS_LOOKED_AT;
use types::{Command, Key, NodeId, Row};

use crate::Services;
use crate::errors::Error;

/// How often a node looks for heads it has not signed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a signature may take to be written; the next look puts it again.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a node finds to do.
#[derive(Debug, PartialEq, Eq)]
enum Todo {
    /// Its key is not known yet.
    Enter,
    /// These it has not signed.
    Sign(Vec<SignHead>),
    /// Two others, or an operator, have another root than this node.
    Stop,
    /// Its key is not the one it is known by.
    WrongKey,
}

/// Signs until the node stops.
pub(crate) async fn run<H: Handle>(services: Services<H>) {
    let Some(signer) = services.inner.config.audit_key.clone() else { return };
    let node = services.inner.handle.node();
    let mut warned = false;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let (view, key) = (services.inner.handle.view(), signer.clone());
        let looked = raft::blocking::run(move || look(&view, node, &key)).await;
        let commands = match looked {
            Ok(Ok(None)) | Err(_) => continue,
            Ok(Ok(Some(Todo::Enter))) => vec![Command::SetSigner(*signer.verifier().key())],
            Ok(Ok(Some(Todo::Sign(heads)))) => heads.into_iter().map(Command::SignHead).collect(),
            Ok(Ok(Some(Todo::Stop))) => {
                tracing::error!("this node's audit log is not the one the others hold: it stops; replace it");
                services.inner.faults.send_replace(Some("this node's audit log is not the one the others hold"));
                return;
            }
            Ok(Ok(Some(Todo::WrongKey))) => {
                if !std::mem::replace(&mut warned, true) {
                    tracing::error!("this node signs no audit log: its key is not the one the cluster knows it by");
                }
                continue;
            }
            Ok(Err(error)) => {
                let _ = services.status(&error);
                return;
            }
        };
        for command in commands {
            if let Err(error) = services.put_own(command, Instant::now() + PATIENCE).await {
                tracing::debug!(%error, "a head of the audit log is not signed yet");
            }
        }
    }
}

fn look<V: View<Fault = raft::Fault>>(view: &V, node: NodeId, key: &Signer) -> Result<Option<Todo>, Error> {
    let Some(cluster) = view.cluster()? else { return Ok(None) };
    match view.signer(node)? {
        None => return Ok(Some(Todo::Enter)),
        Some(known) if known.key != *key.verifier().key() || known.until.is_some() => return Ok(Some(Todo::WrongKey)),
        Some(_) => {}
    }
    let (from, to) = keys::heads_to(u64::MAX);
    let mut unsigned = Vec::new();
    for (size, head) in view.scan(&from, &to, true, AUDIT_HEADS_LOOKED_AT)? {
        let (Key::Head(size), Row::Head(head)) = (size, head) else { continue };
        let root = record::tree::root(&TreeNodes(view), size)?;
        let own = head.signatures.iter().find(|one| one.node == node);
        if own.is_some_and(|own| own.root != root) || head.root().is_some_and(|right| right != root) {
            return Ok(Some(Todo::Stop));
        }
        if own.is_none() {
            let text = Checkpoint { origin: origin(cluster.id), size, root }.text();
            unsigned.push(SignHead { number: head.number, size, root, signature: key.sign(&text) });
        }
    }
    unsigned.reverse();
    Ok((!unsigned.is_empty()).then_some(Todo::Sign(unsigned)))
}
