//! A node that leads in a term leads alone in it among those of one vote: no two nodes lead in a term with the same id.
//! openraft orders leaders by (term, node), so two may be seen in one term for a moment, but a node that led and lost its
//! term never leads in it again. Source: RAFT.md 1.3, "leader-id", and 1.4 (a).

use std::collections::BTreeMap;

use raft::{Handle, Role};

use crate::cluster::Sim;

#[derive(Default)]
pub(super) struct Leaders {
    /// The start of the node that was seen to lead, by term.
    seen: BTreeMap<(u64, types::NodeId), u64>,
    starts: [u64; 3],
    running: [bool; 3],
}

impl Leaders {
    pub(super) fn look(&mut self, sim: &Sim, findings: &mut Vec<String>) {
        for (at, place) in sim.places.iter().enumerate() {
            let node = place.node();
            if node.is_some() && !self.running[at] {
                self.starts[at] += 1;
            }
            self.running[at] = node.is_some();
            let Some(node) = node else { continue };
            let status = node.status();
            if status.nodes[at].role != Role::Leader {
                continue;
            }
            let start = self.starts[at];
            let first = *self.seen.entry((status.term, place.id())).or_insert(start);
            if first != start {
                findings.push(format!("{} leads on in term {} after it started again", place.host(), status.term));
            }
        }
    }
}
