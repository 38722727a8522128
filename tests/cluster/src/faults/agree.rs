//! In the very end the nodes stop, and what each holds is compared to the byte.

use std::process::Command;
use std::time::Duration;

use checker::{Print, Recorder};

use crate::binaries::binary;
use crate::{Cluster, Result, SLOTS};

/// How long each may take to stop in order.
const STOP_MAX: Duration = Duration::from_secs(60);

/// Stops all three in order, and records the hash of the state and the root of the audit tree of each, at one place: what
/// `tests/compare` says of their directories. Blocks.
pub fn agree(cluster: &mut Cluster, recorder: &Recorder) -> Result<()> {
    for (node, slot) in SLOTS.iter().enumerate() {
        let status = cluster.node(node).stop(STOP_MAX)?;
        if !status.success() {
            return Err(format!("node {slot} ended with {status} when asked to stop").into());
        }
    }
    let data = SLOTS.map(|slot| cluster.dir().join(slot).join("data"));
    let output = Command::new(binary("tricord-compare")?).args(data).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let said = String::from_utf8(output.stdout)?;
    for (node, line) in said.lines().enumerate() {
        let [applied, state, records, root] = line.split(' ').collect::<Vec<_>>()[..] else {
            return Err(format!("tricord-compare says {line:?}").into());
        };
        recorder.fingerprint(node, Print::State, applied.parse()?, state.as_bytes());
        recorder.fingerprint(node, Print::AuditRoot, records.parse()?, root.as_bytes());
    }
    if said.lines().count() == SLOTS.len() { Ok(()) } else { Err(format!("tricord-compare says {said:?}").into()) }
}
