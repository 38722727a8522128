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
            let all = match sessions(&node) {
                Ok(all) => all,
                Err(why) => {
                    findings.push(format!("{}: the sessions cannot be read: {why}", place.host()));
                    continue;
                }
            };
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

/// The parts that are open on a node. Errors: its state cannot be read, or has more sessions than are looked at.
pub(crate) fn open(node: &SimNode) -> Result<Vec<SessionId>, String> {
    let all = sessions(node)?.into_iter();
    Ok(all.filter(|(_, session)| session.place.is_some() && is_open(session)).map(|(id, _)| id).collect())
}

fn is_open(session: &Session) -> bool {
    !matches!(session.state, SessionState::Ended(..))
}

fn sessions(node: &SimNode) -> Result<BTreeMap<SessionId, Session>, String> {
    let (from, to) = (Key::Session(SessionId([0; 16])), Key::Session(SessionId([0xff; 16])));
    let rows = node.state().view().scan(&from, &to, false, SESSIONS_MAX).map_err(|fault| fault.to_string())?;
    if rows.len() == SESSIONS_MAX {
        return Err(format!("there are {SESSIONS_MAX} or more"));
    }
    let session = |(_, row)| match row {
        Row::Session(session) => Some((session.id, session)),
        _ => None,
    };
    Ok(rows.into_iter().filter_map(session).collect())
}
