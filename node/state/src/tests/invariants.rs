//! What holds in every state that commands can reach.

use alloc::collections::{BTreeMap, BTreeSet};

use types::emergency::Emergency;
use types::limits::{CONVERSATIONS_PER_USER_MAX, INTERVALS_MAX, REQUEST_WINDOW, SESSIONS_PER_USER_MAX};
use types::row::Timer;
use types::session::{Session, SessionState};
use types::{EventNumber, Key, Row, Scope, Seq};

use crate::model::Model;
use crate::view::{Rows, heads};

/// Panics with the first that does not hold.
pub(super) fn check(model: &Model) {
    let Ok(heads) = heads(model);
    let mut events = BTreeSet::new();
    let mut posted: BTreeMap<_, EventNumber> = BTreeMap::new();
    let mut records = 0;
    let mut active: BTreeMap<_, u32> = BTreeMap::new();
    let mut present: BTreeMap<_, u32> = BTreeMap::new();
    let mut open: BTreeMap<_, usize> = BTreeMap::new();
    let mut wrapped: BTreeMap<u32, u64> = BTreeMap::new();
    for (key, row) in &model.rows {
        assert_eq!(key.table(), row.table());
        match (key, row) {
            (Key::DataKey(_), Row::DataKey(key)) => *wrapped.entry(key.version).or_default() += 1,
            (Key::ScopeKey(scope, month), Row::ScopeKey(id)) => {
                let Ok(Some(key)) = model.data_key(*id) else { panic!("a scope without its key") };
                assert_eq!((key.scope, key.month), (*scope, *month));
            }
            (Key::EventScope(number), Row::EventScope((scope, at))) => {
                assert!(events.insert(*number), "an event has one place");
                let stored = match scope {
                    Scope::Conversation(id) => Key::ConversationEvent(*id, *number),
                    Scope::User(id) => Key::UserEvent(*id, *number),
                };
                assert!(model.rows.contains_key(&stored));
                assert!(*at <= heads.clock);
            }
            (Key::ConversationEvent(_, number) | Key::UserEvent(_, number), _) => {
                assert!(model.rows.contains_key(&Key::EventScope(*number)), "no event without its place");
            }
            (Key::Message(id, _), Row::Message(message)) => {
                assert!(events.insert(message.event), "a message is an event of its own");
                let before = posted.insert(*id, message.event);
                assert!(before < Some(message.event) && message.at <= heads.clock, "messages ascend in events");
            }
            (Key::Record(number), _) => {
                assert_eq!(*number, records, "records are dense");
                records += 1;
            }
            (Key::Answer(id, number), _) => {
                let Ok(Some(device)) = model.device(*id) else { panic!("an answer without its device") };
                assert!(device.settled <= *number && *number < device.settled.saturating_add(REQUEST_WINDOW));
                assert!(*number <= device.highest);
            }
            (Key::Session(id), Row::Session(session)) => {
                assert!(model.rows.contains_key(&Key::UserSession(session.user, *id)));
                if let Some(attachment) = session.attached {
                    assert!(!matches!(session.state, SessionState::Ended(..)), "only an open session is attached");
                    assert!(model.rows.contains_key(&Key::Attached(attachment, *id)));
                }
                idle_and_place(model, session);
                if !matches!(session.state, SessionState::Ended(..)) {
                    *open.entry(session.user).or_default() += 1;
                }
            }
            (Key::Timer(at, Timer::IdleDue(id)), _) => {
                let Ok(Some(session)) = model.session(*id) else { panic!("a timer of no session") };
                assert_eq!(session.idle_due, Some(*at), "one timer for each session");
            }
            (Key::EmergencyGrant(user), Row::EmergencyGrant(number)) => {
                let Ok(Some(emergency)) = model.emergency(*number) else { panic!("a grant of nothing") };
                assert!(emergency.is_of(*user) && emergency.approved.is_some() && emergency.ended.is_none());
            }
            (Key::Emergency(number), Row::Emergency(one)) => emergency(model, *number, one),
            (Key::UserSession(_, id), _) => assert!(matches!(model.session(*id), Ok(Some(_)))),
            (Key::Attached(attachment, id), _) => {
                let Ok(Some(session)) = model.session(*id) else { panic!("attached, but forgotten") };
                assert_eq!(session.attached, Some(*attachment));
            }
            (Key::Conversation(id), Row::Conversation(conversation)) => {
                let last = conversation.last_seq;
                let messages = model.rows.range(Key::Message(*id, Seq(0))..=Key::Message(*id, Seq(u64::MAX)));
                let seqs: std::vec::Vec<_> = messages.map(|(key, _)| key.clone()).collect();
                let expected: std::vec::Vec<_> = (1..=last.0).map(|seq| Key::Message(*id, Seq(seq))).collect();
                assert_eq!(seqs, expected, "messages are dense");
                present.entry(*id).or_insert(0);
            }
            (Key::Participant(id, principal), Row::Participant(participant)) => {
                let Ok(Some(conversation)) = model.conversation(*id) else { panic!("no conversation") };
                assert!(participant.displayed <= conversation.last_seq);
                assert!(participant.intervals.len() <= INTERVALS_MAX);
                let (mut covered, mut told) = (Seq(0), EventNumber(0));
                for (index, interval) in participant.intervals.iter().enumerate() {
                    assert!(interval.from > covered && interval.from_event > told, "ascending and disjoint");
                    let last = index + 1 == participant.intervals.len();
                    assert_eq!(interval.to.is_none(), last && participant.part.is_some(), "one is open while present");
                    assert_eq!(interval.to.is_none(), interval.to_event.is_none());
                    if let (Some(to), Some(to_event)) = (interval.to, interval.to_event) {
                        assert!(interval.from <= to.next() && interval.from_event <= to_event);
                        covered = covered.max(to);
                        told = to_event;
                    }
                }
                let takes_part = participant.part.is_some();
                let index = model.rows.get(&Key::Participation(*principal, *id));
                assert_eq!(index, Some(&Row::Participation(takes_part)));
                if takes_part {
                    *active.entry(*principal).or_default() += 1;
                    *present.entry(*id).or_default() += 1;
                }
            }
            (Key::Receipt(id, ..), Row::Receipt(receipt)) => {
                let Ok(Some(conversation)) = model.conversation(*id) else { panic!("no conversation") };
                assert!(receipt.displayed <= receipt.delivered && receipt.delivered <= conversation.last_seq);
            }
            (Key::UserWord(id, word), _) => assert!(model.rows.contains_key(&Key::Word(word.clone(), *id))),
            (Key::Word(word, id), _) => assert!(model.rows.contains_key(&Key::UserWord(*id, word.clone()))),
            _ => {}
        }
    }
    let kept = events.into_iter().filter(|number| *number > heads.events_dropped);
    assert!(kept.eq((heads.events_dropped.0 + 1..=heads.event.0).map(EventNumber)), "events are dense");
    assert_eq!(records, heads.records);
    for (id, count) in present {
        let Ok(Some(conversation)) = model.conversation(id) else { panic!("no conversation") };
        assert_eq!(conversation.participants, count, "participants are counted");
    }
    for (key, row) in &model.rows {
        if let (Key::ParticipationCount(principal), Row::ParticipationCount(count)) = (key, row) {
            assert_eq!(active.get(principal).copied().unwrap_or(0), *count, "participations are counted");
            assert!(*count as usize <= CONVERSATIONS_PER_USER_MAX);
        }
    }
    for (key, row) in &model.rows {
        if let (Key::ClusterKey(version), Row::ClusterKey(key)) = (key, row) {
            assert_eq!(wrapped.get(version).copied().unwrap_or(0), key.data_keys, "data keys are counted");
            assert!(key.retired.is_none() || key.data_keys == 0, "no data key under a key that is gone");
        }
    }
    assert!(open.values().all(|&count| count <= SESSIONS_PER_USER_MAX));
}

/// Only what is not locked has a timer to lock it; a place and the part in it name each other.
fn idle_and_place(model: &Model, session: &Session) {
    if let Some(due) = session.idle_due {
        assert_eq!(session.state, SessionState::Active);
        assert!(model.rows.contains_key(&Key::Timer(due, Timer::IdleDue(session.id))));
    }
    let ended = matches!(session.state, SessionState::Ended(..));
    if let Some(place) = session.place
        && !ended
    {
        assert_eq!(session.state, SessionState::Active, "a part ends instead of being locked");
        let Ok(Some(at)) = model.session(place.session) else { panic!("a part without its place") };
        assert_eq!((at.part, at.user, at.device), (Some(session.id), place.location, session.device));
    }
    if let Some(part) = session.part {
        let Ok(Some(part)) = model.session(part) else { panic!("a place with a part that is forgotten") };
        assert_eq!(part.place.map(|place| place.session), Some(session.id));
        assert!(!ended && !matches!(part.state, SessionState::Ended(..)), "a part ends with its place");
    }
}

fn emergency(model: &Model, number: u64, one: &Emergency) {
    let open = model.rows.contains_key(&Key::EmergencyOpen(number));
    let settled = one.ended.is_some() && (one.approved.is_none() || one.reviewed.is_some());
    assert_eq!(open, !settled, "what is not over, or not reviewed, stays open");
    assert_eq!(one.ended.is_none(), model.rows.contains_key(&Key::Timer(one.until, Timer::EmergencyEnd(number))));
    assert!(one.approved.is_none_or(|(by, _)| by != one.opened_by), "by two");
    assert!(one.reviewed.is_none_or(|(by, _)| !one.is_of(by)), "nobody reviews themselves");
}
