//! A model in the middle of its work, for tests.

use proto::v1;
use proto::v1::sync_response::Item;

use super::model::Model;
use super::news::News;

/// 2026-03-04 02:00 UTC.
pub const BASE: i64 = 1_772_589_600;

pub fn at(minutes: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds: BASE + 60 * minutes, nanos: 0 })
}

pub fn user(id: &str, display_name: &str, unit: &str) -> v1::User {
    v1::User {
        name: format!("users/{id}"),
        login: id.into(),
        display_name: display_name.into(),
        unit: unit.into(),
        ..Default::default()
    }
}

pub fn talk(id: &str, kind: v1::ConversationKind, title: &str, peer: &str, count: i32) -> v1::Conversation {
    v1::Conversation {
        name: format!("conversations/{id}"),
        kind: kind as i32,
        title: title.into(),
        peer: peer.into(),
        participant_count: count,
        part: v1::Part::Writer as i32,
        last_time: at(0),
        ..Default::default()
    }
}

pub fn message(conversation: &str, seq: u64, sender: &str, minutes: i64, text: &str) -> v1::Message {
    v1::Message {
        name: format!("conversations/{conversation}/messages/{seq}"),
        seq,
        sender: format!("users/{sender}"),
        create_time: at(minutes),
        kind: 1,
        text: text.into(),
        ..Default::default()
    }
}

pub fn item(item: Item) -> News {
    News::Item(Box::new(v1::SyncResponse { item: Some(item), ..Default::default() }))
}

pub fn posted(conversation: &str, message: v1::Message) -> News {
    item(Item::MessagePosted(v1::MessagePosted {
        conversation: format!("conversations/{conversation}"),
        seq: message.seq,
        message: Some(message),
    }))
}

pub fn receipt(conversation: &str, user: &str, delivered: u64, displayed: u64, minutes: i64) -> News {
    item(Item::ReceiptChanged(v1::ReceiptChanged {
        conversation: format!("conversations/{conversation}"),
        receipt: Some(v1::Receipt {
            user: format!("users/{user}"),
            device: "d".into(),
            delivered_seq: delivered,
            deliver_time: at(minutes),
            displayed_seq: displayed,
            display_time: at(minutes),
        }),
    }))
}

pub fn page(conversation: &str, messages: Vec<v1::Message>, hidden: Vec<v1::HiddenRange>, next_seq: u64) -> News {
    let last_seq = messages.iter().map(|message| message.seq).max().unwrap_or(0);
    let page = v1::ListMessagesResponse { messages, hidden, next_seq, last_seq, info: None };
    News::Page(format!("conversations/{conversation}"), Box::new(page))
}

pub fn now(minutes: i64) -> u64 {
    ((BASE + 60 * minutes) * 1000) as u64
}

/// Signed in as Dr Me, live at node b, with a direct conversation with Dr Ito and a group of six.
pub fn live() -> Model {
    let mut model = Model::new("users/me".into(), "users/me/sessions/s".into(), now(0));
    let mut ward = talk("ward", v1::ConversationKind::Group, "Ward 3 night", "", 6);
    ward.last_time = at(-60);
    let ito = talk("ito", v1::ConversationKind::Direct, "", "users/ito", 2);
    model.news(News::Connected("node-b:7401".into()));
    model.news(News::Bootstrapped(vec![ward, ito]));
    model.news(News::People(vec![
        user("me", "Dr Me", "ICU"),
        user("ito", "Dr Ito", "Cardiology"),
        user("ann", "Ann Bell", "Ward 3"),
    ]));
    model.news(item(Item::Progress(v1::Progress { live: true, stale: None, single_copy: false })));
    model
}
