//! How many times of emergency access wait, are in force, or are not reviewed, for the metrics: each of them is a reason to
//! look. So is a recovery kit that waits.

use std::time::Duration;

use raft::Handle;
use state::keys;
use state::view::{Rows, View, heads};
use types::Key;
use types::limits::{CERTIFICATES_REVOKED_MAX, EMERGENCIES_OPEN_MAX};

use crate::Services;
use crate::errors::Error;

/// How often they are counted.
const LOOK: Duration = Duration::from_secs(1);

/// Counts them until the services end.
pub(crate) async fn watch<H: Handle>(services: Services<H>) {
    loop {
        tokio::time::sleep(LOOK).await;
        match count(&services.inner.handle.view()) {
            Ok((pending, in_force, unreviewed)) => {
                let metrics = &services.inner.metrics;
                metrics.emergencies_pending.set(pending);
                metrics.emergencies_in_force.set(in_force);
                metrics.emergencies_unreviewed.set(unreviewed);
            }
            Err(fault) => drop(services.status(&Error::Fault(fault))),
        }
        match trust(&services.inner.handle.view()) {
            Ok((pending, revoked)) => {
                services.inner.metrics.kits_pending.set(pending);
                services.inner.metrics.certificates_revoked.set(revoked);
            }
            Err(fault) => drop(services.status(&Error::Fault(fault))),
        }
    }
}

/// Recovery kits that wait, and certificates that are revoked.
fn trust<V: View<Fault = raft::Fault>>(view: &V) -> Result<(i64, i64), raft::Fault> {
    let now = heads(view)?.clock;
    let pending = view.kit_proposal()?.is_some_and(|kit| now < kit.until);
    let (from, to) = keys::revoked();
    let revoked = view.scan(&from, &to, false, CERTIFICATES_REVOKED_MAX)?.len();
    Ok((i64::from(pending), i64::try_from(revoked).unwrap_or(i64::MAX)))
}

fn count<V: View<Fault = raft::Fault>>(view: &V) -> Result<(i64, i64, i64), raft::Fault> {
    let now = heads(view)?.clock;
    let (mut pending, mut in_force, mut unreviewed) = (0, 0, 0);
    let (from, to) = keys::emergencies_open();
    for (key, _) in view.scan(&from, &to, false, EMERGENCIES_OPEN_MAX)? {
        let Key::EmergencyOpen(number) = key else { continue };
        let Some(one) = view.emergency(number)? else { continue };
        pending += i64::from(one.is_pending(now));
        in_force += i64::from(one.is_in_force(now));
        unreviewed += i64::from(one.approved.is_some());
    }
    Ok((pending, in_force, unreviewed))
}
