//! How far an own message has come, in words.

use proto::v1;

use super::talk::{Fate, Outgoing, Talk};
use crate::rows::People;
use crate::when::clock;

/// What to say under a message on its way.
pub fn of_outgoing(outgoing: &Outgoing) -> String {
    match &outgoing.fate {
        Fate::Sending => "Sending…".into(),
        Fate::Unconfirmed => "Not confirmed. Trying again is safe: it cannot arrive twice.".into(),
        Fate::Waiting(why) => format!("Not sent yet: {why} Trying again."),
        Fate::Saved(_) => "Saved".into(),
        Fate::Lost => "Not there after the restoration. F4 sends it again; Esc drops it.".into(),
        Fate::Refused(why) => format!("Not sent: {why}"),
    }
}

/// What to say under an own message that was saved.
pub fn of_message(talk: &Talk, message: &v1::Message, people: &People) -> String {
    let seq = message.seq;
    if talk.info.kind() == v1::ConversationKind::Direct {
        let noted = talk.noted.get(&seq).copied().unwrap_or_default();
        let mark = talk.marks.get(&talk.info.peer).copied().unwrap_or_default();
        if mark.displayed >= seq {
            return format!("Displayed {}", clock(noted.displayed.as_ref()));
        }
        if mark.delivered >= seq {
            let name = people.get(&talk.info.peer).map_or("the other", |user| &user.display_name);
            return format!("Delivered to {} {}", crate::text::line(name), clock(noted.delivered.as_ref()));
        }
        return format!("Saved {}", clock(message.create_time.as_ref()));
    }
    let count =
        |reached: &dyn Fn(&super::talk::Mark) -> u64| talk.marks.values().filter(|mark| reached(mark) >= seq).count();
    let (delivered, displayed) = match talk.counts {
        Some((newest, delivered, displayed)) if newest == seq => (delivered.max(0) as usize, displayed.max(0) as usize),
        _ => (count(&|mark| mark.delivered), count(&|mark| mark.displayed)),
    };
    let others = talk.others();
    if displayed > 0 {
        format!("Displayed by {displayed} of {others}")
    } else if delivered > 0 {
        format!("Delivered to {delivered} of {others}")
    } else {
        format!("Saved {}", clock(message.create_time.as_ref()))
    }
}
