//! `message tail`: messages as they come, over one stream that goes on at another node when one fails.

use std::time::Duration;

use proto::v1;
use proto::v1::conversation_service_client::ConversationServiceClient;
use proto::v1::sync_response::Item;
use proto::v1::sync_service_client::SyncServiceClient;
use tonic::{Status, Streaming};

use crate::args::{Format, Global};
use crate::error::{Error, Result};
use crate::judge::{Verdict, judge};
use crate::output::{print, say};
use crate::rows::{self, People, id_of};
use crate::session::Session;
use crate::{address, rpc};

/// A stream that is silent for longer than this, progress marks included, is taken for dead.
const SILENCE: Duration = Duration::from_millis(2 * types::limits::STREAM_PROGRESS_MS + 5_000);
/// The pause between attempts to open it, at most.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Follows one conversation, or all, from `cursor` or from now.
pub async fn run(
    session: Session,
    global: &Global,
    text: Option<&str>,
    cursor: Option<&str>,
    count: Option<u64>,
) -> Result<()> {
    let only = match text {
        Some(text) => Some(address::conversation(&session, text, false).await?.name),
        None => None,
    };
    let cursor = match cursor {
        Some(text) => crate::text::unhex(text)
            .ok_or_else(|| Error::Usage("a cursor is hexadecimal digits, as --output json prints it".into()))?,
        None => address::conversations(&session, false).await?.1.map(|info| info.cursor).unwrap_or_default(),
    };
    let mut tail = Tail {
        session,
        format: global.output,
        only,
        people: People::default(),
        titles: Vec::new(),
        day: String::new(),
    };
    say("Waiting for messages; Ctrl-C ends it.");
    let mut follow = Follow { cursor, stream: None, failures: 0 };
    let mut left = count.unwrap_or(u64::MAX);
    while left > 0 {
        let message = tokio::select! {
            message = follow.next(&mut tail) => message?,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        tail.show(&message).await?;
        left -= 1;
    }
    Ok(())
}

struct Tail {
    session: Session,
    format: Format,
    only: Option<String>,
    people: People,
    titles: Vec<(String, String)>,
    day: String,
}

struct Follow {
    cursor: Vec<u8>,
    /// Stays open from one message to the next: each opening is a connection that comes and goes, for the whole cluster.
    stream: Option<Streaming<v1::SyncResponse>>,
    failures: u32,
}

impl Follow {
    /// The next message; opens the stream as often as needed. Each is confirmed as delivered and displayed by whoever
    /// shows it.
    async fn next(&mut self, tail: &mut Tail) -> Result<(v1::Message, Vec<u8>)> {
        loop {
            let opened = match self.stream.take() {
                Some(stream) => Ok(stream),
                None => self.open(&tail.session).await,
            };
            match opened {
                Ok(stream) => {
                    if let Some(found) = self.read(stream, tail).await? {
                        return Ok(found);
                    }
                }
                Err(status) => self.judge(&status, tail)?,
            }
            self.failures += 1;
            let current = tail.session.client.current().to_owned();
            tail.session.client.avoid(&current);
            let pause = Duration::from_millis(50) * 2_u32.saturating_pow(self.failures.min(8));
            tokio::time::sleep(pause.min(PAUSE_MAX)).await;
        }
    }

    async fn open(&self, session: &Session) -> std::result::Result<Streaming<v1::SyncResponse>, Status> {
        let request = v1::SyncRequest { cursor: self.cursor.clone(), with_messages: true, watch_presence: Vec::new() };
        session.client.open(request, rpc!(SyncServiceClient.sync)).await
    }

    /// Reads until a message comes that is asked for, or the stream ends.
    async fn read(
        &mut self,
        mut stream: Streaming<v1::SyncResponse>,
        tail: &mut Tail,
    ) -> Result<Option<(v1::Message, Vec<u8>)>> {
        loop {
            let next = tokio::time::timeout(SILENCE, stream.message()).await;
            let item = match next.unwrap_or_else(|_| Err(Status::unavailable("the stream fell silent"))) {
                Ok(Some(item)) => item,
                Ok(None) => return Ok(None),
                Err(status) => {
                    self.judge(&status, tail)?;
                    return Ok(None);
                }
            };
            self.failures = 0;
            if !item.cursor.is_empty() {
                self.cursor = item.cursor;
            }
            match &item.item {
                Some(Item::SessionLocked(locked)) if locked.session == tail.session.state.session => {
                    say("This session is locked; messages wait. tricord session unlock goes on.");
                }
                Some(Item::MessageAlert(_)) => say("An urgent message waits. tricord session unlock shows it."),
                _ => {}
            }
            let Some(Item::MessagePosted(posted)) = item.item else { continue };
            let wanted = tail.only.as_ref().is_none_or(|only| *only == posted.conversation);
            if let Some(message) = posted.message
                && wanted
            {
                self.stream = Some(stream);
                return Ok(Some((message, self.cursor.clone())));
            }
        }
    }

    fn judge(&self, status: &Status, tail: &Tail) -> Result<()> {
        let judgement = judge(status);
        if let Some(restored) = tail.session.client.take_restored() {
            say(&format!("{}.", restored.words()));
        }
        if judgement.verdict == Verdict::Final {
            return Err(Error::Refused {
                doing: "follow messages".into(),
                reason: judgement.reason,
                why: status.message().to_owned(),
                fields: crate::judge::fields(status),
            });
        }
        if self.failures == 0 {
            say(&format!(
                "{} went away ({}); going on at another node.",
                tail.session.client.current(),
                judgement.reason
            ));
        }
        Ok(())
    }
}

impl Tail {
    async fn show(&mut self, (message, cursor): &(v1::Message, Vec<u8>)) -> Result<()> {
        if self.people.get(&message.sender).is_none() {
            self.people.0.extend(address::people(&self.session, [message.sender.clone()]).await?.0);
        }
        let conversation = message.name.rsplit_once("/messages/").map_or("", |(name, _)| name).to_owned();
        if self.format == Format::Json {
            let document = rows::Message::new(message, &self.people);
            let document = serde_json::json!({"cursor": crate::text::hex(cursor), "message": document});
            return crate::output::json_line(&document);
        }
        let title = if self.only.is_some() { None } else { Some(self.title(&conversation).await?) };
        let day = crate::when::day(message.create_time.as_ref());
        if day != self.day {
            print(&format!("── {day} ──"))?;
            self.day = day;
        }
        print(&rows::message_lines(message, &self.people, title.as_deref()).join("\n"))
    }

    async fn title(&mut self, name: &str) -> Result<String> {
        if let Some((_, title)) = self.titles.iter().find(|(known, _)| known == name) {
            return Ok(title.clone());
        }
        let body = |read| v1::GetConversationRequest { name: name.to_owned(), read: Some(read) };
        let doing = format!("find the conversation {}", id_of(name));
        let answer = self.session.read(doing, body, rpc!(ConversationServiceClient.get_conversation)).await?;
        let conversation = answer.conversation.unwrap_or_default();
        let people = address::people(&self.session, [conversation.peer.clone()]).await?;
        let title = address::spoken(&conversation, &people);
        if self.titles.len() >= types::limits::CONVERSATIONS_PER_USER_MAX {
            self.titles.clear();
        }
        self.titles.push((name.to_owned(), title.clone()));
        Ok(title)
    }
}
