//! Posting.

use alloc::sync::Arc;

use types::command::Post;
use types::conversation::Participant;
use types::key::{KeyScope, key_id_of};
use types::limits::{MENTIONS_MAX, MESSAGE_PAYLOAD_BYTES_MAX};
use types::message::{Header, Message, MessageKind, Sender};
use types::reply::Field;
use types::{ConversationId, Key, Principal, Reject, Reply, Row};

use super::keys::check_key;
use crate::policy::{Action, Actor, may};
use crate::tx::{Step, Tx, found};
use crate::view::{Rows, View};

/// Gives a message its place.
pub(crate) fn post<V: View>(tx: &mut Tx<'_, V>, actor: &Actor, post: &Post) -> Step<Reply, V> {
    let id = post.conversation;
    may(tx, &actor.user, Action::Post(id))?.check()?;
    let me = Principal::User(actor.user.id);
    let mut conversation = found::<_, V>(tx.conversation(id)?)?;
    let participant = found::<_, V>(tx.participant(id, me)?)?;
    if !conversation.open {
        return Err(Reject::ConversationClosed.into());
    }
    if post.sealed.bytes.is_empty() || post.sealed.bytes.len() > MESSAGE_PAYLOAD_BYTES_MAX {
        return Err(Reject::Invalid(Field::Payload).into());
    }
    check_header(tx, actor, id, &participant, &post.header)?;
    check_location(actor, post)?;
    if key_id_of(&post.sealed.bytes) != Some(post.sealed.key_id) {
        return Err(Reject::Invalid(Field::Payload).into());
    }
    check_key(tx, KeyScope::Conversation(id), &post.sealed.bytes)?;

    let before = conversation.last_seq;
    let seq = before.next();
    let event = tx.cursor().next();
    let message = Message {
        seq,
        at: tx.now,
        event,
        sender: Sender {
            user: actor.user.id,
            acting_role: None,
            location: actor.location(),
            service: None,
            device: actor.device.id,
        },
        header: post.header.clone(),
        sealed: post.sealed.clone(),
    };
    tx.put(Key::Message(id, seq), Row::Message(message.clone()));
    conversation.last_seq = seq;
    conversation.last_at = tx.now;
    conversation.last_event = tx.posted(id, Arc::new(message));
    tx.put(Key::Conversation(id), Row::Conversation(conversation));
    if participant.displayed == before {
        // Who has seen all the others has seen their own.
        tx.put(Key::Participant(id, me), Row::Participant(Participant { displayed: seq, ..participant }));
    }
    Ok(Reply::Posted { seq, at: tx.now })
}

fn check_header<V: View>(
    tx: &Tx<'_, V>,
    actor: &Actor,
    id: ConversationId,
    participant: &Participant,
    header: &Header,
) -> Step<(), V> {
    if header.kind != MessageKind::TEXT {
        return Err(Reject::Invalid(Field::Kind).into());
    }
    if header.expires_at.is_some_and(|expires| expires <= tx.now) {
        return Err(Reject::Invalid(Field::ExpiresAt).into());
    }
    check_mentions(tx, id, &header.mentions)?;
    if let Some(seq) = header.reply_to
        && !(participant.sees(seq) && tx.message(id, seq)?.is_some())
    {
        return Err(Reject::Invalid(Field::ReplyTo).into());
    }
    if let Some(seq) = header.supersedes {
        let own = tx.message(id, seq)?.is_some_and(|message| message.sender.user == actor.user.id);
        if !(own && participant.sees(seq)) {
            return Err(Reject::Invalid(Field::Supersedes).into());
        }
    }
    Ok(())
}

fn check_mentions<V: View>(tx: &Tx<'_, V>, id: ConversationId, mentions: &[Principal]) -> Step<(), V> {
    let ascending = mentions.iter().zip(mentions.iter().skip(1)).all(|(one, next)| one < next);
    if mentions.len() > MENTIONS_MAX || !ascending {
        return Err(Reject::Invalid(Field::Mentions).into());
    }
    for &principal in mentions {
        if tx.participant(id, principal)?.is_none_or(|there| there.part.is_none()) {
            return Err(Reject::Invalid(Field::Mentions).into());
        }
    }
    Ok(())
}

/// A message says where it was written only if the cluster knows: the place is signed in on that device.
fn check_location(actor: &Actor, post: &Post) -> Result<(), Reject> {
    let there = post.location.is_none_or(|location| actor.location() == Some(location));
    if there { Ok(()) } else { Err(Reject::Invalid(Field::Location)) }
}
