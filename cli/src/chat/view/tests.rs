use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use proto::v1::sync_response::Item;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::super::fixture::{at, item, live, message, now, page, posted, receipt, user};
use super::super::news::{Effect, News};
use super::*;
use crate::chat::search::Search;
use crate::chat::talk::Fate;
use crate::restored::Restored;

/// The screen as text, 80 columns by 24 rows.
fn screen(model: &mut Model) -> String {
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    terminal.draw(|frame| draw(frame, model)).unwrap();
    let buffer = terminal.backend().buffer();
    let mut rows = String::new();
    for y in 0..24 {
        let mut row = String::new();
        let mut skip = 0;
        for x in 0..80 {
            let symbol = buffer[(x, y)].symbol();
            if skip > 0 {
                skip -= 1;
                continue;
            }
            row.push_str(symbol);
            skip = width(symbol).saturating_sub(1);
        }
        rows += row.trim_end();
        rows.push('\n');
    }
    rows
}

/// Compares with the recorded screen; `TRICORD_RECORD=1` records anew.
fn check(name: &str, model: &mut Model) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/chat/view/screens").join(name);
    let actual = screen(model);
    if std::env::var_os("TRICORD_RECORD").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &actual).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert!(actual == expected, "{name} looks different now:\n{actual}\nrecorded:\n{expected}");
}

fn chatting() -> Model {
    let mut model = live();
    let mut stat = message("ito", 3, "ito", 5, "Herr 山田 in bed 4: K+ 6.8, please come now.\nECG is done.");
    stat.priority = v1::Priority::Stat as i32;
    let mut later = message("ito", 4, "ito", 6, "?");
    later.kind = 9;
    let evil = message("ito", 2, "ito", -300, "\x1b[2J\x1b]0;owned\x07 \u{202e}reversed");
    let hidden = vec![v1::HiddenRange { from_seq: 1, to_seq: 1, reason: 1 }];
    model.news(page("ito", vec![evil, stat, later], hidden, 0));
    model.news(posted("ito", message("ito", 5, "me", 7, "On my way. Two minutes, please keep the line open for me.")));
    model.news(posted("ito", message("ito", 6, "me", 8, "In the lift")));
    model.news(receipt("ito", "ito", 6, 5, 9));
    model.news(posted("ward", message("ward", 1, "ann", 9, "bed 2 is free")));
    let presence = v1::Presence {
        user: "users/ito".into(),
        state: v1::PresenceState::Busy as i32,
        text: "in theatre".into(),
        expire_time: at(90),
        since: None,
    };
    model.news(item(Item::PresenceChanged(v1::PresenceChanged { presence: Some(presence) })));
    model
}

#[test]
fn a_conversation_at_80_by_24() {
    let mut model = chatting();
    let typing = v1::Typing { conversation: "conversations/ito".into(), user: "users/ito".into() };
    model.news(item(Item::Typing(typing)));
    model.input.insert("first line\nsecond");
    check("conversation.txt", &mut model);
}

#[test]
fn nothing_from_others_reaches_the_terminal_as_a_control_character() {
    let mut model = chatting();
    model.news(News::People(vec![user("ito", "Dr\x1b[31m Ito\u{202e}", "\x07")]));
    let screen = screen(&mut model);
    assert!(!screen.chars().any(|c| c != '\n' && (c.is_control() || c == '\u{202e}')), "{screen:?}");
    assert!(screen.contains("newer client needed"), "{screen}");
}

#[test]
fn a_stale_screen_says_so_and_a_lost_send_too() {
    let mut model = chatting();
    model.news(item(Item::Progress(v1::Progress {
        live: true,
        stale: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
        single_copy: false,
    })));
    model.send("are you there".into());
    model.news(News::Fate("conversations/ito".into(), 1, Fate::Unconfirmed));
    check("stale.txt", &mut model);
}

#[test]
fn after_a_restoration_what_is_missing_is_said_and_can_be_sent_again() {
    let mut model = chatting();
    model.take_effects();
    let survived = |seq| v1::Conversation { surviving_seq: seq, last_seq: seq, ..model_talk(&model) };
    let ito = survived(5);
    model.news(News::Restored(Restored { survived: at(7), began: at(100) }));
    model.news(News::Bootstrapped(vec![ito]));
    model.news(page("ito", vec![message("ito", 5, "me", 7, "On my way.")], Vec::new(), 0));
    let shown = screen(&mut model);
    let banner = shown.lines().take(2).collect::<Vec<_>>().join(" ");
    let words = "Messaging was restored at 03:40. Messages of 02:07-03:40 may be missing; 1 of yours is missing [F4: \
                 send again]";
    assert_eq!(banner.split_whitespace().collect::<Vec<_>>().join(" "), words);
    assert!(shown.contains("Not there after the restoration."), "{shown}");
    model.take_effects();
    model.key(KeyEvent::new(KeyCode::F(4), KeyModifiers::NONE));
    let sent: Vec<String> = model
        .take_effects()
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::Send { text, .. } => Some(text),
            _ => None,
        })
        .collect();
    assert_eq!(sent, ["In the lift"], "what survived is not sent again");
    assert!(!screen(&mut model).contains("restored"));
}

/// The conversation shown, as the server describes it.
fn model_talk(model: &Model) -> v1::Conversation {
    model.talk().unwrap().info.clone()
}

#[test]
fn a_single_copy_is_said() {
    let mut model = chatting();
    model.news(item(Item::Progress(v1::Progress { live: true, stale: None, single_copy: true })));
    assert!(screen(&mut model).starts_with("ONE COPY ONLY: what you send is on one machine"));
}

#[test]
fn a_loss_of_the_connection_is_shown() {
    let mut model = chatting();
    model.news(News::Disconnected("UNAVAILABLE".into()));
    model.tick(now(0) + 2_000);
    let screen = screen(&mut model);
    assert!(screen.starts_with("What you see is as of 02:00; reconnecting."), "{screen}");
    assert!(screen.contains("reconnecting… (UNAVAILABLE)"), "{screen}");
}

#[test]
fn help_and_search_at_80_by_24() {
    let mut model = chatting();
    model.key(KeyEvent::new(KeyCode::F(1), KeyModifiers::NONE));
    check("help.txt", &mut model);
    model.key(KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE));
    model.key(KeyEvent::new(KeyCode::Char('n'), KeyModifiers::CONTROL));
    model.paste("be");
    let users = vec![user("ann", "Ann Bell", "Ward 3"), user("bea", "Bea 山田", "")];
    model.news(News::Found("be".into(), users, true));
    model.key(KeyEvent::new(KeyCode::Tab, KeyModifiers::NONE));
    check("search.txt", &mut model);
}

#[test]
fn before_anything_is_known_the_screen_is_not_empty() {
    let mut model = Model::new("users/me".into(), "s".into(), now(0));
    assert!(screen(&mut model).contains("Connecting…"));
}

#[test]
fn any_size_of_terminal_is_drawn() {
    let mut model = chatting();
    model.input.insert(&"long ".repeat(200));
    for (columns, rows) in [(1, 1), (5, 3), (20, 6), (40, 10), (200, 60)] {
        for overlay in [Overlay::None, Overlay::Help, Overlay::New(Search::default())] {
            model.overlay = overlay;
            let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
            terminal.draw(|frame| draw(frame, &mut model)).unwrap();
        }
    }
}

#[test]
fn a_locked_screen_shows_nothing_of_what_was_there() {
    let mut model = chatting();
    model.input.set("half a sentence about bed 4");
    model.news(News::Locked);
    model.news(item(Item::MessageAlert(v1::MessageAlert { priority: v1::Priority::Stat as i32 })));
    for character in "4711".chars() {
        model.key(KeyEvent::new(KeyCode::Char(character), KeyModifiers::NONE));
    }
    check("locked.txt", &mut model);
    let shown = screen(&mut model);
    for secret in ["Ito", "bed", "Ward", "4711", "山田"] {
        assert!(!shown.contains(secret), "{secret}");
    }
}
