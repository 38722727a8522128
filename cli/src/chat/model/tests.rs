use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use proto::v1::sync_response::Item;

use super::super::delivery;
use super::super::fixture::{item, live, message, now, page, posted, receipt, user};
use super::super::news::News;
use super::*;

fn press(model: &mut Model, code: KeyCode) {
    model.key(KeyEvent::new(code, KeyModifiers::NONE));
}

fn type_in(model: &mut Model, text: &str) {
    text.chars().for_each(|character| press(model, KeyCode::Char(character)));
}

fn opened() -> Model {
    let mut model = live();
    let old = message("ito", 1, "ito", 1, "hello");
    model.news(page("ito", vec![old], vec![], 0));
    model.take_effects();
    model
}

fn sent_key(effects: &[Effect]) -> u64 {
    effects.iter().find_map(|effect| if let Effect::Send { key, .. } = effect { Some(*key) } else { None }).unwrap()
}

#[test]
fn after_the_bootstrap_the_newest_conversation_is_shown_and_loaded() {
    let mut model = live();
    assert_eq!(model.shown.as_deref(), Some("conversations/ito"));
    let effects = model.take_effects();
    assert!(effects.contains(&Effect::Load("conversations/ito".into(), 0)));
    assert!(effects.contains(&Effect::Receipts("conversations/ito".into())));
    assert!(effects.contains(&Effect::Watch(vec!["users/ito".into()])));
    assert_eq!(model.link, Link::Live);
}

#[test]
fn what_is_shown_to_someone_present_is_confirmed_as_displayed_and_else_as_delivered() {
    let mut model = opened();
    model.news(posted("ito", message("ito", 2, "ito", 2, "look")));
    assert!(model.take_effects().contains(&Effect::Confirm("conversations/ito".into(), 2, 2)));
    model.focus(false);
    model.news(posted("ito", message("ito", 3, "ito", 3, "again")));
    let effects = model.take_effects();
    assert!(effects.contains(&Effect::Confirm("conversations/ito".into(), 3, 2)), "{effects:?}");
    assert_eq!(model.talk().unwrap().info.unread_count, 1);
    model.focus(true);
    assert!(model.take_effects().contains(&Effect::Confirm("conversations/ito".into(), 3, 3)));
    assert_eq!(model.talk().unwrap().info.unread_count, 0);
}

#[test]
fn a_message_elsewhere_counts_as_unread_and_is_delivered() {
    let mut model = opened();
    model.news(posted("ward", message("ward", 1, "ann", 2, "bed 4")));
    let ward = &model.talks["conversations/ward"];
    assert_eq!(ward.info.unread_count, 1);
    assert!(model.take_effects().contains(&Effect::Confirm("conversations/ward".into(), 1, 0)));
    assert_eq!(model.order()[0], "conversations/ward", "the newest first");
    press(&mut model, KeyCode::Tab);
    assert_eq!(model.shown.as_deref(), Some("conversations/ward"));
    assert_eq!(model.talk().unwrap().new_from, Some(1));
}

#[test]
fn a_send_of_unknown_fate_says_so_and_arrives_once() {
    let mut model = opened();
    type_in(&mut model, "now");
    press(&mut model, KeyCode::Enter);
    let key = sent_key(&model.take_effects());
    assert!(model.input.is_empty());
    model.news(News::Fate("conversations/ito".into(), key, Fate::Unconfirmed));
    let words = delivery::of_outgoing(&model.talk().unwrap().outbox[0]);
    assert_eq!(words, "Not confirmed. Trying again is safe: it cannot arrive twice.");
    let saved = message("ito", 2, "me", 2, "now");
    model.news(posted("ito", saved.clone()));
    model.news(News::Sent("conversations/ito".into(), key, Box::new(saved)));
    let talk = model.talk().unwrap();
    assert_eq!((talk.messages.len(), talk.outbox.len()), (2, 0));
}

#[test]
fn delivery_goes_from_saved_to_displayed() {
    let mut model = opened();
    let own = message("ito", 2, "me", 2, "now");
    model.news(posted("ito", own.clone()));
    let words = |model: &Model| delivery::of_message(model.talk().unwrap(), &own, &model.people);
    assert_eq!(words(&model), "Saved 02:02");
    model.news(receipt("ito", "ito", 2, 1, 13));
    assert_eq!(words(&model), "Delivered to Dr Ito 02:13");
    model.news(receipt("ito", "ito", 2, 2, 14));
    assert_eq!(words(&model), "Displayed 02:14");
}

#[test]
fn in_a_group_delivery_is_counted() {
    let mut model = opened();
    model.show("conversations/ward");
    let own = message("ward", 1, "me", 2, "who is free?");
    model.news(page("ward", vec![own.clone()], vec![], 0));
    for (user, displayed) in [("ann", 1), ("bob", 1), ("cyd", 1), ("dee", 0)] {
        model.news(receipt("ward", user, 1, displayed, 3));
    }
    assert_eq!(delivery::of_message(model.talk().unwrap(), &own, &model.people), "Displayed by 3 of 5");
}

#[test]
fn idle_is_said_after_five_minutes_and_taken_back_with_a_key() {
    let mut model = opened();
    model.tick(now(0) + IDLE_MS - 1);
    assert!(model.take_effects().is_empty());
    model.tick(now(0) + IDLE_MS);
    assert_eq!(model.take_effects(), [Effect::Activity(Some(now(0)))]);
    model.news(posted("ito", message("ito", 2, "ito", 9, "?")));
    let effects = model.take_effects();
    assert!(!effects.contains(&Effect::Confirm("conversations/ito".into(), 2, 2)), "nobody is there to see it");
    press(&mut model, KeyCode::Left);
    let effects = model.take_effects();
    assert!(effects.contains(&Effect::Activity(None)));
    assert!(effects.contains(&Effect::Confirm("conversations/ito".into(), 2, 2)));
}

#[test]
fn after_a_loss_the_stream_goes_on_and_nothing_shown_is_forgotten() {
    let mut model = opened();
    model.news(News::Disconnected("UNAVAILABLE".into()));
    assert_eq!(model.link, Link::Lost(now(0)));
    model.news(News::Connected("node-c:7401".into()));
    assert_eq!(model.link, Link::CatchingUp);
    model.news(posted("ito", message("ito", 2, "ito", 2, "missed")));
    model.news(item(Item::Progress(v1::Progress { live: true, stale: None, single_copy: false })));
    assert_eq!((model.link.clone(), model.talk().unwrap().messages.len()), (Link::Live, 2));
    assert_eq!(model.node, "node-c:7401");
}

#[test]
fn commands_set_status_and_urgency_and_two_slashes_begin_a_text() {
    let mut model = opened();
    type_in(&mut model, "/status busy in theatre");
    press(&mut model, KeyCode::Enter);
    assert!(model.take_effects().contains(&Effect::Presence(v1::PresenceState::Busy, "in theatre".into())));
    type_in(&mut model, "/stat come");
    press(&mut model, KeyCode::Enter);
    assert_eq!((model.priority, model.input.text()), (v1::Priority::Stat, "come"));
    press(&mut model, KeyCode::Enter);
    let effects = model.take_effects();
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Send { priority: v1::Priority::Stat, .. })));
    assert_eq!(model.priority, v1::Priority::Routine, "for one message only");
    type_in(&mut model, "//etc");
    press(&mut model, KeyCode::Enter);
    assert!(model.take_effects().iter().any(|effect| matches!(effect, Effect::Send { text, .. } if text == "/etc")));
    type_in(&mut model, "/nonsense");
    press(&mut model, KeyCode::Enter);
    assert!(model.notice.is_some() && !model.input.is_empty());
}

#[test]
fn a_pasted_text_of_many_lines_is_not_sent_line_by_line() {
    let mut model = opened();
    model.paste("one\r\ntwo\r\n");
    assert!(!model.take_effects().iter().any(|effect| matches!(effect, Effect::Send { .. })));
    press(&mut model, KeyCode::Enter);
    assert!(
        model.take_effects().iter().any(|effect| matches!(effect, Effect::Send { text, .. } if text == "one\ntwo"))
    );
}

#[test]
fn a_text_too_long_stays_where_it_is() {
    let mut model = opened();
    model.paste(&"a".repeat(16 * 1024 + 1204));
    press(&mut model, KeyCode::Enter);
    assert_eq!(model.notice.as_ref().unwrap().0, "Too long by 1,204 bytes.");
    assert!(!model.input.is_empty());
}

#[test]
fn people_are_found_and_written_to_alone_or_in_a_group() {
    let mut model = opened();
    model.key(KeyEvent::new(KeyCode::Char('n'), KeyModifiers::CONTROL));
    type_in(&mut model, "be");
    model.tick(now(0) + 100);
    assert!(!model.take_effects().contains(&Effect::Search("be".into())), "not while one types");
    model.tick(now(0) + 300);
    assert!(model.take_effects().contains(&Effect::Search("be".into())));
    let users = vec![user("ann", "Ann Bell", ""), user("bea", "Bea", ""), user("me", "Dr Me", "")];
    model.news(News::Found("be".into(), users.clone(), false));
    press(&mut model, KeyCode::Tab);
    press(&mut model, KeyCode::Down);
    press(&mut model, KeyCode::Tab);
    press(&mut model, KeyCode::Enter);
    type_in(&mut model, "Night");
    press(&mut model, KeyCode::Enter);
    let group = Effect::Create("Night".into(), vec!["users/ann".into(), "users/bea".into()]);
    assert!(model.take_effects().contains(&group));
    model.key(KeyEvent::new(KeyCode::Char('n'), KeyModifiers::CONTROL));
    type_in(&mut model, "be");
    model.news(News::Found("be".into(), users, false));
    press(&mut model, KeyCode::Enter);
    assert!(model.take_effects().contains(&Effect::Open("users/ann".into())));
}

#[test]
fn scrolling_up_loads_what_is_earlier_once() {
    let mut model = live();
    let messages = (51..=100).map(|seq| message("ito", seq, "ito", 1, "x")).collect();
    model.news(page("ito", messages, vec![], 50));
    model.take_effects();
    press(&mut model, KeyCode::PageUp);
    assert_eq!(model.take_effects(), [Effect::Load("conversations/ito".into(), 50)]);
    press(&mut model, KeyCode::PageUp);
    assert!(model.take_effects().is_empty(), "a page is on its way");
}

#[test]
fn typing_is_said_seldom_and_shown_for_a_while() {
    let mut model = opened();
    type_in(&mut model, "abc");
    let typing = model.take_effects().into_iter().filter(|effect| matches!(effect, Effect::Typing(_))).count();
    assert_eq!(typing, 1);
    let notice = v1::Typing { conversation: "conversations/ito".into(), user: "users/ito".into() };
    model.news(item(Item::Typing(notice)));
    assert_eq!(model.talk().unwrap().typing.len(), 1);
    model.tick(now(0) + TYPING_MS + 1);
    assert!(model.talk().unwrap().typing.is_empty());
}

#[test]
fn a_new_bootstrap_keeps_what_is_on_its_way() {
    let mut model = opened();
    type_in(&mut model, "kept");
    press(&mut model, KeyCode::Enter);
    let infos = model.talks.values().map(|talk| talk.info.clone()).collect();
    model.news(News::Bootstrapped(infos));
    let talk = model.talk().unwrap();
    assert_eq!(talk.outbox.len(), 1);
    assert!(talk.messages.is_empty() && talk.loading, "messages are loaded anew");
}

#[test]
fn the_end_of_this_session_is_said() {
    let mut model = opened();
    model.news(item(Item::SessionEnded(v1::SessionEnded { session: "users/me/sessions/other".into() })));
    assert!(model.over.is_none());
    model.news(item(Item::SessionEnded(v1::SessionEnded { session: "users/me/sessions/s".into() })));
    assert!(model.over.is_some());
}

#[test]
fn a_locked_session_forgets_what_it_showed_and_takes_only_what_unlocks_it() {
    let mut model = opened();
    type_in(&mut model, "draft");
    model.take_effects();
    model.news(item(Item::SessionLocked(v1::SessionLocked { session: model.session.clone() })));
    assert!(model.locked.is_some() && model.talks.values().all(|talk| talk.messages.is_empty()));
    assert!(model.people.0.is_empty() && model.presence.is_empty());
    press(&mut model, KeyCode::F(1));
    type_in(&mut model, "my password");
    press(&mut model, KeyCode::Enter);
    press(&mut model, KeyCode::Enter);
    let effects = model.take_effects();
    assert_eq!(effects, [Effect::Unlock(super::super::news::Typed("my password".into()))], "once, and nothing else");
    assert!(!format!("{effects:?}").contains("password"), "in no log line");
    model.news(News::StillLocked("wrong".into()));
    assert_eq!(model.locked.as_ref().map(|locked| (locked.asked, locked.why.as_str())), Some((false, "wrong")));
    model.news(item(Item::SessionUnlocked(v1::SessionUnlocked { session: model.session.clone() })));
    assert!(model.locked.is_none());
    assert_eq!(model.input.text(), "draft", "what was typed is still there");
}

#[test]
fn someone_who_types_is_reported_now_and_then() {
    let mut model = opened();
    model.take_effects();
    type_in(&mut model, "ab");
    assert!(!model.take_effects().contains(&Effect::Activity(None)), "a keystroke costs nothing");
    model.tick(model.now + ACTIVE_MS);
    type_in(&mut model, "cd");
    let told = model.take_effects().into_iter().filter(|effect| *effect == Effect::Activity(None)).count();
    assert_eq!(told, 1);
}
