//! One-time passwords beside the password. A node checks them; that none is good twice is decided here.

use types::identity::{AddSecondFactor, Method, SecondFactor, SecondProof};
use types::limits::{RECOVERY_CODES_MAX, SECOND_FACTOR_BYTES_MAX};
use types::reply::Field;
use types::user::{Credential, UserState};
use types::{Key, Reject, Reply, Row, UserId};

use crate::policy::{self, Action, Actor, may};
use crate::tx::{Step, Tx, found};
use crate::view::{Rows, View};

/// Sets a second factor up for oneself. One that is confirmed must be taken away first.
pub(crate) fn add<V: View>(tx: &mut Tx<'_, V>, actor: &Actor, add: &AddSecondFactor) -> Step<Reply, V> {
    let ascending = add.recovery.iter().zip(add.recovery.iter().skip(1)).all(|(one, next)| one < next);
    let sized = !add.secret.is_empty() && add.secret.len() <= SECOND_FACTOR_BYTES_MAX;
    if !sized || !ascending || add.recovery.len() > RECOVERY_CODES_MAX {
        return Err(Reject::Invalid(Field::SecondFactor).into());
    }
    let mut credential = tx.credential(actor.user.id)?.unwrap_or_default();
    if credential.password.is_none() || credential.version != add.credential_version {
        return Err(Reject::CredentialChanged.into());
    }
    if credential.second.as_ref().is_some_and(|second| second.confirmed) {
        return Err(Reject::Taken(0).into());
    }
    let (secret, recovery) = (add.secret.clone(), add.recovery.clone());
    credential.second = Some(SecondFactor { secret, confirmed: false, last_step: 0, recovery });
    tx.put(Key::Credential(actor.user.id), Row::Credential(credential));
    Ok(Reply::Done)
}

/// Confirms one's second factor by a one-time password that was checked; the session has proved it by that.
pub(crate) fn confirm<V: View>(tx: &mut Tx<'_, V>, actor: &Actor, step: u64) -> Step<Reply, V> {
    let mut credential = tx.credential(actor.user.id)?.unwrap_or_default();
    let second = credential.second.as_mut().ok_or(Reject::NotFound)?;
    second.confirmed = true;
    prove(&mut credential, Some(SecondProof::Totp(step)))?;
    tx.put(Key::Credential(actor.user.id), Row::Credential(credential));
    let mut session = found::<_, V>(tx.session(actor.session.id)?)?;
    if !session.methods.contains(&Method::Totp) {
        session.methods.push(Method::Totp);
    }
    session.authenticated = tx.now;
    tx.put(Key::Session(session.id), Row::Session(session));
    Ok(Reply::Done)
}

/// Takes a second factor away. Someone else's password is not touched: who takes both away leaves two records.
pub(crate) fn remove<V: View>(tx: &mut Tx<'_, V>, actor: &Actor, id: UserId) -> Step<Reply, V> {
    may(tx, &actor.user, Action::RemoveSecondFactor(id))?.check()?;
    let user = found::<_, V>(tx.user(id)?)?;
    policy::spares(actor, &user.permissions)?;
    if user.state != UserState::Active {
        return Err(Reject::Deactivated.into());
    }
    let mut credential = tx.credential(id)?.unwrap_or_default();
    if credential.second.take().is_none() {
        return Err(Reject::NotFound.into());
    }
    credential.version = credential.version.saturating_add(1);
    tx.put(Key::Credential(id), Row::Credential(credential));
    Ok(Reply::Done)
}

/// Uses a proof of the second factor up. Without a confirmed one, none is asked for and none is used.
pub(crate) fn prove(credential: &mut Credential, proof: Option<SecondProof>) -> Result<(), Reject> {
    let Some(second) = credential.second.as_mut().filter(|second| second.confirmed) else { return Ok(()) };
    match proof {
        None => return Err(Reject::SecondFactorNeeded),
        Some(SecondProof::Totp(step)) if step > second.last_step => second.last_step = step,
        Some(SecondProof::Totp(_)) => return Err(Reject::BadSecondFactor),
        Some(SecondProof::Recovery(code)) => {
            let left = second.recovery.len();
            second.recovery.retain(|one| *one != code);
            if second.recovery.len() == left {
                return Err(Reject::BadSecondFactor);
            }
        }
    }
    Ok(())
}
