//! Sending, one message after the other, so that they arrive in the order typed; each until its fate is known.

use std::sync::Arc;
use std::time::Duration;

use proto::v1;
use tokio::sync::mpsc;

use super::news::News;
use super::talk::Fate;
use crate::client::Call;
use crate::commands::message::send_message;
use crate::error::Error;
use crate::session::Session;

/// The pause before a message is tried again.
const PAUSE: Duration = Duration::from_millis(500);

/// After this long without an answer that is said, and the message tried again.
const TRY: Duration = Duration::from_secs(3);

/// A message to send.
pub struct Order {
    /// `conversations/{id}`.
    pub conversation: String,
    /// What the model knows it by.
    pub key: u64,
    /// The text.
    pub text: String,
    /// How urgent.
    pub priority: v1::Priority,
}

/// Sends what is ordered until nobody orders any more.
pub async fn run(session: Arc<Session>, news: mpsc::Sender<News>, mut orders: mpsc::Receiver<Order>) {
    while let Some(order) = orders.recv().await {
        deliver(&session, &news, order).await;
    }
}

async fn deliver(session: &Session, news: &mpsc::Sender<News>, order: Order) {
    let Order { conversation, key, text, priority } = order;
    let message = v1::OutgoingMessage {
        conversation: conversation.clone(),
        text: text.clone().into_bytes(),
        priority: priority as i32,
        ..Default::default()
    };
    loop {
        // An unconfirmed one goes again under its number: the store recognises it by what it asks.
        let fate = match send_message(session, Call::write("send the message").within(TRY), &message).await {
            Ok(answer) => {
                let message = v1::Message {
                    name: answer.name,
                    seq: answer.seq,
                    create_time: answer.create_time,
                    sender: session.state.user.clone(),
                    kind: v1::MessageKind::Text as u32,
                    priority: priority as i32,
                    text,
                    ..Default::default()
                };
                let _ = news.send(News::Sent(conversation, key, Box::new(message))).await;
                return;
            }
            Err(error) => fate(&error),
        };
        let refused = matches!(fate, Fate::Refused(_));
        if news.send(News::Fate(conversation.clone(), key, fate)).await.is_err() || refused {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn fate(error: &Error) -> Fate {
    match error {
        Error::Unconfirmed { .. } => Fate::Unconfirmed,
        Error::NoAnswer { .. } => Fate::Waiting("no node answers.".into()),
        Error::Refused { reason, .. } => match reason.as_str() {
            "SESSION_LOCKED" => Fate::Waiting("the session is locked.".into()),
            "NO_MAJORITY" => Fate::Waiting("no majority answers.".into()),
            "DISK_FULL" => Fate::Waiting("the nodes' disks are full.".into()),
            "OVERLOADED" | "RATE_LIMITED" | "BEHIND" | "SHUTTING_DOWN" => Fate::Waiting("the cluster is busy.".into()),
            _ => Fate::Refused(format!("{} [{reason}]", reason_words(error))),
        },
        other => Fate::Refused(other.to_string()),
    }
}

fn reason_words(error: &Error) -> String {
    if let Error::Refused { why, .. } = error { crate::text::line(why) } else { error.to_string() }
}
