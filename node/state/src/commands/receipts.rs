//! How far devices have come.

use types::command::Confirmation;
use types::conversation::{Conversation, Participant};
use types::limits::{CONFIRMATIONS_MAX, RECEIPT_EVENTS_PARTICIPANTS_MAX};
use types::reply::Field;
use types::{EventBody, Key, Principal, Reject, Reply, Row, Scope, Seq};

use crate::policy::{Action, may, standing};
use crate::tx::{Step, Tx};
use crate::view::{Rows, View};
use crate::visible::Visible;

/// Takes what a node folded together. What is not theirs to confirm is passed over: the rest must not wait for it.
pub(crate) fn confirm<V: View>(tx: &mut Tx<'_, V>, confirmations: &[Confirmation]) -> Step<Reply, V> {
    if confirmations.len() > CONFIRMATIONS_MAX {
        return Err(Reject::Invalid(Field::Batch).into());
    }
    for confirmation in confirmations {
        confirm_one(tx, confirmation)?;
    }
    Ok(Reply::Done)
}

fn confirm_one<V: View>(tx: &mut Tx<'_, V>, confirmation: &Confirmation) -> Step<(), V> {
    let id = confirmation.conversation;
    // What was on a screen before it was locked was on a screen.
    let Some(actor) = standing(tx, tx.now, confirmation.session)? else { return Ok(()) };
    if !may(tx, &actor.user, Action::Confirm(id))?.is_yes() {
        return Ok(());
    }
    let principal = Principal::User(actor.user.id);
    let Some(mut conversation) = tx.conversation(id)? else { return Ok(()) };
    let Some(participant) = tx.participant(id, principal)? else { return Ok(()) };

    let last = Visible::new(&conversation, &participant).last_seq();
    let key = Key::Receipt(id, principal, actor.device.id);
    let known = tx.receipt(id, principal, actor.device.id)?.unwrap_or_default();
    let mut receipt = known;
    receipt.displayed = known.displayed.max(confirmation.displayed.min(last));
    // What was displayed was delivered.
    receipt.delivered = known.delivered.max(confirmation.delivered.min(last)).max(receipt.displayed);
    if (receipt.delivered, receipt.displayed) == (known.delivered, known.displayed) {
        return Ok(());
    }
    if receipt.delivered > known.delivered {
        receipt.delivered_at = tx.now;
    }
    if receipt.displayed > known.displayed {
        receipt.displayed_at = tx.now;
    }
    tx.put(key, Row::Receipt(receipt));
    raise_displayed(tx, &conversation, principal, participant, receipt.displayed);

    let body = EventBody::Confirmed {
        principal,
        device: actor.device.id,
        conversation: id,
        delivered: receipt.delivered,
        displayed: receipt.displayed,
    };
    if conversation.participants <= RECEIPT_EVENTS_PARTICIPANTS_MAX {
        conversation.last_event = tx.event(Scope::Conversation(id), body);
        tx.put(Key::Conversation(id), Row::Conversation(conversation));
    } else {
        tx.event(Scope::User(actor.user.id), body); // The user's other devices still converge.
    }
    Ok(())
}

fn raise_displayed<V: View>(
    tx: &mut Tx<'_, V>,
    conversation: &Conversation,
    principal: Principal,
    participant: Participant,
    displayed: Seq,
) {
    if displayed > participant.displayed {
        let participant = Participant { displayed, ..participant };
        tx.put(Key::Participant(conversation.id, principal), Row::Participant(participant));
    }
}
