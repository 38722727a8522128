//! At equal log positions all nodes have the same state, to the byte; at equal sizes the same audit tree. Source: DESIGN 8, "the same log: equal bytes".

use checker::Print;
use store::TreeNodes;

use crate::cluster::Sim;

/// Reading a whole state costs time: so often is enough.
const EVERY_MS: u64 = 1_000;

/// See [`Agreement::look`].
const SIZES: u64 = 8;

#[derive(Default)]
pub(super) struct Agreement {
    last_ms: u64,
}

impl Agreement {
    pub(super) fn look(&mut self, sim: &Sim, findings: &mut Vec<String>) {
        if sim.now() < self.last_ms + EVERY_MS {
            return;
        }
        self.last_ms = sim.now();
        for (at, place) in sim.places.iter().enumerate() {
            let Some(node) = place.node().filter(|_| place.fatal().is_none()) else { continue };
            let state = node.state();
            let (Ok((Some(applied), _)), Ok(digest)) = (state.applied(), state.digest()) else { continue };
            match state.applied() {
                Ok((Some(after), _)) if after == applied => {
                    sim.recorder.fingerprint(at, Print::State, applied.index, &digest);
                    // At sizes that all nodes come by, for few are at one size at one moment.
                    let (size, view) = (state.heads().records / SIZES * SIZES, state.view());
                    match record::tree::root(&TreeNodes(&view), size) {
                        Ok(root) => sim.recorder.fingerprint(at, Print::AuditRoot, size, &root),
                        Err(fault) => findings.push(format!("{}: the audit tree has a hole: {fault}", place.host())),
                    }
                }
                _ => findings.push(format!("{}: the state changed while nothing ran", place.host())),
            }
        }
    }
}
