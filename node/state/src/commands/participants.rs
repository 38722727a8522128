//! Who takes part in a conversation, since when, and what each sees of it.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use types::conversation::{Cause, Conversation, ConversationKind, HistoryPolicy, Interval, Part, Participant};
use types::limits::{CONVERSATIONS_PER_USER_MAX, INTERVALS_MAX, PARTICIPANTS_MAX, PARTICIPANTS_PER_COMMAND_MAX};
use types::reply::Field;
use types::user::{User, UserState};
use types::{ConversationId, EventBody, EventNumber, Key, Principal, Reject, Reply, Row, Scope, Seq};

use super::conversations;
use crate::keys;
use crate::policy::{Action, Actor, may};
use crate::tx::{Step, Tx, found as found_row};
use crate::view::{Rows, View};

/// Most rows one command reads to find who takes over as owner; past it, the conversation stays without one.
pub(crate) const SUCCESSION_ROWS_MAX: usize = 32 * PARTICIPANTS_MAX;

/// Adds participants, or changes their part.
pub(crate) fn add<V: View>(
    tx: &mut Tx<'_, V>,
    actor: &Actor,
    id: ConversationId,
    added: &[(Principal, Part)],
) -> Step<Reply, V> {
    may(tx, &actor.user, Action::AddParticipants(id))?.check()?;
    if added.is_empty() || added.len() > PARTICIPANTS_PER_COMMAND_MAX {
        return Err(Reject::Invalid(Field::Participants).into());
    }
    let mut conversation = found_row::<_, V>(tx.conversation(id)?)?;
    let history = tx.policy(conversation.history)?.unwrap_or(HistoryPolicy::FromJoining); // The one that shows least.
    let mut parts: BTreeMap<Principal, Part> = BTreeMap::new();
    for &(principal, part) in added {
        parts.entry(principal).and_modify(|known| *known = part.max(*known)).or_insert(part);
    }
    for (principal, part) in parts {
        admissible(tx, &actor.user, principal)?;
        let participant = tx.participant(id, principal)?;
        match participant {
            Some(there) if there.part == Some(part) => {}
            Some(there) if there.part.is_some() => {
                if principal == Principal::User(actor.user.id) {
                    return Err(Reject::Invalid(Field::Part).into()); // An owner always remains.
                }
                let there = Participant { part: Some(part), ..there };
                tx.put(Key::Participant(id, principal), Row::Participant(there));
                conversation.last_event = tx.event(Scope::Conversation(id), EventBody::Added(principal));
            }
            left => join(tx, &mut conversation, principal, part, left, history)?,
        }
    }
    tx.put(Key::Conversation(id), Row::Conversation(conversation));
    Ok(Reply::Done)
}

/// Removes a participant, or oneself.
pub(crate) fn remove<V: View>(
    tx: &mut Tx<'_, V>,
    actor: &Actor,
    id: ConversationId,
    principal: Principal,
) -> Step<Reply, V> {
    may(tx, &actor.user, Action::RemoveParticipant(id, principal))?.check()?;
    let mut budget = SUCCESSION_ROWS_MAX;
    leave(tx, id, principal, &mut budget)?;
    Ok(Reply::Done)
}

/// Refuses whom the actor may not see, and who cannot take part.
pub(crate) fn admissible<V: View>(tx: &Tx<'_, V>, actor: &User, principal: Principal) -> Step<(), V> {
    let Principal::User(id) = principal else { return Err(Reject::NotFound.into()) }; // No role exists yet.
    may(tx, actor, Action::SeeUser(id))?.check()?;
    match found_row::<_, V>(tx.user(id)?)?.state {
        UserState::Active => Ok(()),
        UserState::Deactivated(_) => Err(Reject::Deactivated.into()),
    }
}

/// Puts a participant into a conversation that is being created: no event but to themselves.
pub(crate) fn found<V: View>(
    tx: &mut Tx<'_, V>,
    conversation: &mut Conversation,
    principal: Principal,
    part: Part,
) -> Step<(), V> {
    count_in(tx, conversation, principal)?;
    let from_event = joined(tx, conversation.id, principal);
    conversation.last_event = conversation.last_event.max(from_event);
    let intervals = vec![Interval { from: Seq(1), to: None, from_event, to_event: None, cause: Cause::Joined }];
    let participant = Participant { part: Some(part), intervals, displayed: Seq(0), joined: tx.now };
    tx.put(Key::Participant(conversation.id, principal), Row::Participant(participant));
    Ok(())
}

/// Takes a participant out: the event of it is the last they see.
pub(crate) fn leave<V: View>(
    tx: &mut Tx<'_, V>,
    id: ConversationId,
    principal: Principal,
    budget: &mut usize,
) -> Step<(), V> {
    let mut conversation = found_row::<_, V>(tx.conversation(id)?)?;
    let mut participant = found_row::<_, V>(tx.participant(id, principal)?)?;
    let Some(part) = participant.part.take() else { return Err(Reject::NotFound.into()) };
    let number = tx.event(Scope::Conversation(id), EventBody::Removed(principal));
    conversation.last_event = number;
    for interval in participant.intervals.iter_mut().filter(|interval| interval.to.is_none()) {
        interval.to = Some(conversation.last_seq);
        interval.to_event = Some(number);
    }
    tx.put(Key::Participant(id, principal), Row::Participant(participant));
    tx.put(Key::Participation(principal, id), Row::Participation(false));
    conversation.participants = conversation.participants.saturating_sub(1);
    let count = tx.participation_count(principal)?.unwrap_or(0).saturating_sub(1);
    tx.put(Key::ParticipationCount(principal), Row::ParticipationCount(count));
    if let Principal::User(user) = principal {
        tx.event(Scope::User(user), EventBody::Left(id));
    }
    if conversation.kind == ConversationKind::Direct {
        conversation.open = false; // Nobody is there to read what would be written.
        conversations::changed(tx, &mut conversation);
    } else if part == Part::Owner {
        succeed(tx, &mut conversation, budget)?;
    }
    tx.put(Key::Conversation(id), Row::Conversation(conversation));
    Ok(())
}

/// Where no owner is left, the writer who has been there longest becomes one.
fn succeed<V: View>(tx: &mut Tx<'_, V>, conversation: &mut Conversation, budget: &mut usize) -> Step<(), V> {
    let id = conversation.id;
    let (mut from, to) = keys::participants(id);
    let mut heir = None;
    loop {
        let limit = (*budget).min(PARTICIPANTS_MAX);
        let page = tx.scan(&from, &to, false, limit)?;
        *budget = budget.saturating_sub(page.len().max(1));
        let whole = page.len() < limit;
        for (key, row) in page {
            if let (Key::Participant(_, principal), Row::Participant(there)) = (&key, row) {
                match there.part {
                    Some(Part::Owner) => return Ok(()),
                    Some(Part::Writer) => {
                        let candidate = (there.joined, *principal);
                        heir = Some(heir.map_or(candidate, |known: (_, _)| candidate.min(known)));
                    }
                    Some(Part::Reader) | None => {}
                }
            }
            from = key;
        }
        if whole {
            break;
        }
        if *budget == 0 {
            return Ok(()); // Not all have been looked at: nobody becomes an owner by mistake.
        }
    }
    let Some((_, principal)) = heir else { return Ok(()) };
    let participant = found_row::<_, V>(tx.participant(id, principal)?)?;
    let participant = Participant { part: Some(Part::Owner), ..participant };
    tx.put(Key::Participant(id, principal), Row::Participant(participant));
    conversation.last_event = tx.event(Scope::Conversation(id), EventBody::Added(principal));
    Ok(())
}

fn join<V: View>(
    tx: &mut Tx<'_, V>,
    conversation: &mut Conversation,
    principal: Principal,
    part: Part,
    left: Option<Participant>,
    history: HistoryPolicy,
) -> Step<(), V> {
    count_in(tx, conversation, principal)?;
    let from_event = joined(tx, conversation.id, principal);
    let mut participant =
        left.unwrap_or(Participant { part: None, intervals: Vec::new(), displayed: Seq(0), joined: tx.now });
    if participant.intervals.len() >= INTERVALS_MAX {
        return Err(Reject::Limit(Field::Intervals).into());
    }
    let seen = participant.intervals.iter().filter_map(|interval| interval.to).max().unwrap_or(Seq(0));
    let caught_up = participant.displayed >= seen;
    let first = first_visible(history, conversation.last_seq);
    open_interval(&mut participant.intervals, first, conversation.last_seq, from_event);
    if caught_up && let Some(interval) = participant.intervals.last() {
        // What they cannot see does not count as unread.
        participant.displayed = participant.displayed.max(Seq(interval.from.0.saturating_sub(1)));
    }
    participant.part = Some(part);
    tx.put(Key::Participant(conversation.id, principal), Row::Participant(participant));
    conversation.last_event = tx.event(Scope::Conversation(conversation.id), EventBody::Added(principal));
    Ok(())
}

fn first_visible(history: HistoryPolicy, last: Seq) -> Seq {
    match history {
        HistoryPolicy::FromJoining => last.next(),
        HistoryPolicy::Everything => Seq(1),
        HistoryPolicy::Newest(count) => Seq(last.0.saturating_sub(u64::from(count)).saturating_add(1)),
    }
}

/// Opens an interval, and lets all of them together cover everything from `first` on.
///
/// Each keeps its own events: what happened while someone was away is read as a list, not replayed.
fn open_interval(intervals: &mut Vec<Interval>, first: Seq, last: Seq, from_event: EventNumber) {
    let from = last.next();
    intervals.push(Interval { from, to: None, from_event, to_event: None, cause: Cause::Joined });
    let mut covered = Seq(0);
    for interval in intervals {
        interval.from = interval.from.min(first.max(covered.next()));
        covered = covered.max(interval.to.unwrap_or(covered));
    }
}

/// Counts a principal into a conversation, within the limits of both.
fn count_in<V: View>(tx: &mut Tx<'_, V>, conversation: &mut Conversation, principal: Principal) -> Step<(), V> {
    let count = tx.participation_count(principal)?.unwrap_or(0);
    if usize::try_from(count).is_ok_and(|count| count >= CONVERSATIONS_PER_USER_MAX) {
        return Err(Reject::Limit(Field::Conversations).into());
    }
    if usize::try_from(conversation.participants).is_ok_and(|count| count >= PARTICIPANTS_MAX) {
        return Err(Reject::Limit(Field::Participants).into());
    }
    conversation.participants = conversation.participants.saturating_add(1);
    tx.put(Key::ParticipationCount(principal), Row::ParticipationCount(count.saturating_add(1)));
    tx.put(Key::Participation(principal, conversation.id), Row::Participation(true));
    Ok(())
}

/// Tells someone that they take part; from this event on they see the conversation's.
fn joined<V: View>(tx: &mut Tx<'_, V>, id: ConversationId, principal: Principal) -> EventNumber {
    match principal {
        Principal::User(user) => tx.event(Scope::User(user), EventBody::Joined(id)),
        Principal::Role(_) => tx.cursor(), // None is admitted yet; it would have no events of its own.
    }
}
