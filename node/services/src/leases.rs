//! Whose presence looks different because a node's lease ran out, came back, or began anew.
//!
//! The command that changes a lease signals the first few hundred users concerned, so that it stays small; the rest
//! follow here. Nobody stays "available" who was connected to a node that is gone.

use std::collections::BTreeMap;

use raft::Handle;
use state::keys;
use state::view::{Rows, View};
use types::limits::NODE_LEASES_WATCHED_MAX;
use types::presence::NodeLease;
use types::session::Attachment;
use types::{Key, NodeId, Row, SessionId, UserId};

use crate::Services;
use crate::errors::Error;

/// Sessions read at a time.
const CHUNK: usize = 1_000;

type Leases = BTreeMap<NodeId, NodeLease>;

/// Follows the leases, until the services end. The hub says when to look: a change of a lease that concerns anybody
/// comes with signals.
pub(crate) async fn watch<H: Handle>(services: Services<H>) {
    let mut known = Leases::new();
    loop {
        services.inner.hub.presence_changed().await;
        let (looking, before) = (services.clone(), known.clone());
        let look = raft::blocking::run(move || {
            let view = looking.inner.handle.view();
            let now = leases(&view)?;
            for attachment in changed(&before, &now) {
                each_user(&view, attachment, |users| looking.inner.hub.touch_presence(users))?;
            }
            Ok::<_, Error>(now)
        });
        match look.await {
            Ok(Ok(now)) => known = now,
            Ok(Err(error)) => {
                services.status(&error);
            }
            Err(_) => {}
        }
    }
}

fn leases<V: View<Fault = raft::Fault>>(view: &V) -> Result<Leases, Error> {
    let (from, to) = (Key::NodeLease(NodeId(0)), Key::NodeLease(NodeId(u64::MAX)));
    let rows = view.scan(&from, &to, false, NODE_LEASES_WATCHED_MAX)?.into_iter();
    Ok(rows
        .filter_map(
            |row| if let (Key::NodeLease(node), Row::NodeLease(lease)) = row { Some((node, lease)) } else { None },
        )
        .collect())
}

/// The attachments under which sessions look different now: those of the epoch that is, and of the one that was.
fn changed(before: &Leases, now: &Leases) -> Vec<Attachment> {
    let mut attachments = Vec::new();
    for (&node, lease) in now {
        let was = before.get(&node);
        if was == Some(lease) {
            continue;
        }
        attachments.push(Attachment { node, epoch: lease.epoch });
        if let Some(was) = was.filter(|was| was.epoch != lease.epoch) {
            attachments.push(Attachment { node, epoch: was.epoch });
        }
    }
    attachments
}

/// The users of the sessions attached so, some at a time.
fn each_user<V: View<Fault = raft::Fault>>(
    view: &V,
    attachment: Attachment,
    mut tell: impl FnMut(&[UserId]),
) -> Result<(), Error> {
    let (mut from, to) = keys::attached(attachment);
    let mut last: Option<SessionId> = None;
    loop {
        let rows = view.scan(&from, &to, false, CHUNK)?;
        let more = rows.len() == CHUNK;
        let mut users = Vec::with_capacity(rows.len());
        for (key, _) in rows {
            let Key::Attached(_, session) = key else { continue };
            if last != Some(session) {
                users.extend(view.session(session)?.map(|row| row.user));
            }
            last = Some(session);
        }
        tell(&users);
        match last {
            Some(last) if more => from = Key::Attached(attachment, last),
            _ => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::Timestamp;

    #[test]
    fn a_lease_that_began_anew_concerns_both_epochs() {
        let (node, lease) = (NodeId(1), NodeLease { epoch: 4, expired: None });
        let attachment = |epoch| Attachment { node, epoch };
        let at = |lease| Leases::from([(node, lease)]);
        assert_eq!(changed(&at(lease), &at(lease)), []);
        let expired = NodeLease { expired: Some(Timestamp(9)), ..lease };
        assert_eq!(changed(&at(lease), &at(expired)), [attachment(4)]);
        assert_eq!(changed(&at(expired), &at(NodeLease { epoch: 5, expired: None })), [attachment(5), attachment(4)]);
    }
}
