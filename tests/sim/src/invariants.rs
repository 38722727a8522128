//! What must hold at every moment, whatever happens. Each looks at the nodes that run and says what it found.

mod agreement;
mod leaders;
mod marks;
pub(crate) mod parts;

use crate::cluster::Sim;

/// All of them, with what each remembers.
#[derive(Default)]
pub(crate) struct Invariants {
    marks: marks::Marks,
    leaders: leaders::Leaders,
    agreement: agreement::Agreement,
    parts: parts::Parts,
}

impl Invariants {
    /// Looks now. Every tick would mostly see the same again: it is done every few milliseconds.
    pub(crate) fn look(&mut self, sim: &Sim, findings: &mut Vec<String>) {
        self.marks.look(sim, findings);
        self.leaders.look(sim, findings);
        self.agreement.look(sim, findings);
        self.parts.look(sim, findings);
    }

    /// A process has ended: what it knew of itself begins anew.
    pub(crate) fn ended(&mut self, place: usize) {
        self.marks.ended(place);
    }
}
