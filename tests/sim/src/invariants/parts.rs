//! At a place there is one person at most: at no log position of any node does a device have two parts, or one that its place
//! does not know of. Source: DESIGN 2, "device, session"; ADR 2026-11-22-places.

use std::collections::BTreeMap;

use state::view::View;
use types::session::{Session, SessionState};
use types::{Key, Row, SessionId};

use crate::cluster::Sim;
use crate::place::SimNode;

/// Reading all sessions costs time: so often is enough.
const EVERY_MS: u64 = 100;
/// More sessions than a run has.
const SESSIONS_MAX: usize = 10_000;

#[derive(Default)]
pub(super) struct Parts {
    last_ms: u64,
}

impl Parts {
    pub(super) fn look(&mut self, sim: &Sim, findings: &mut Vec<String>) {
        if sim.now() < self.last_ms + EVERY_MS {
            return;
        }
        self.last_ms = sim.now();
        for place in &sim.places {
            let Some(node) = place.node().filter(|_| place.fatal().is_none()) else { continue };
            let all = sessions(&node);
            let mut there: BTreeMap<SessionId, Vec<SessionId>> = BTreeMap::new();
            for (id, session) in all.iter().filter(|(_, session)| is_open(session)) {
                if let Some(at) = session.place {
                    there.entry(at.session).or_default().push(*id);
                }
            }
            for (at, parts) in there {
                let known = all.get(&at).filter(|at| is_open(at)).and_then(|at| at.part);
                if known.is_none_or(|known| parts != [known]) {
                    findings.push(format!("{}: at {at:?}, which knows of {known:?}, are {parts:?}", place.host()));
                }
            }
        }
    }
}

/// The parts that are open on a node.
pub(crate) fn open(node: &SimNode) -> Vec<SessionId> {
    let all = sessions(node).into_iter();
    all.filter(|(_, session)| session.place.is_some() && is_open(session)).map(|(id, _)| id).collect()
}

fn is_open(session: &Session) -> bool {
    !matches!(session.state, SessionState::Ended(..))
}

fn sessions(node: &SimNode) -> BTreeMap<SessionId, Session> {
    let (from, to) = (Key::Session(SessionId([0; 16])), Key::Session(SessionId([0xff; 16])));
    let rows = node.state().view().scan(&from, &to, false, SESSIONS_MAX).unwrap_or_default();
    let session = |(_, row)| match row {
        Row::Session(session) => Some((session.id, session)),
        _ => None,
    };
    rows.into_iter().filter_map(session).collect()
}
