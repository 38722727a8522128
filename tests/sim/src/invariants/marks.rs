//! `purged ≤ durable applied ≤ applied`, and applied only grows. Source: DESIGN 4, "Invariants".

use crate::cluster::Sim;

#[derive(Default)]
pub(super) struct Marks {
    applied: [u64; 3],
}

impl Marks {
    pub(super) fn look(&mut self, sim: &Sim, findings: &mut Vec<String>) {
        for (at, place) in sim.places.iter().enumerate() {
            let Some(node) = place.node().filter(|_| place.fatal().is_none()) else { continue };
            let (purged, state) = (node.purged(), node.state());
            let (Ok((applied, _)), Ok(durable)) = (state.applied(), state.durable_applied()) else { continue };
            let (applied, durable) = (applied.map_or(0, |id| id.index), durable.map_or(0, |id| id.index));
            let host = place.host();
            if purged.is_some_and(|purged| purged > durable) {
                findings.push(format!("{host}: purged to {purged:?}, durable only to {durable}"));
            }
            if durable > applied {
                findings.push(format!("{host}: durable to {durable}, applied only to {applied}"));
            }
            if applied < self.applied[at] {
                findings.push(format!("{host}: applied fell from {} to {applied}", self.applied[at]));
            }
            self.applied[at] = applied;
        }
    }

    pub(super) fn ended(&mut self, place: usize) {
        self.applied[place] = 0;
    }
}
