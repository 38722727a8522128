//! `message …`

use std::io::BufRead;

use proto::v1;
use proto::v1::message_service_client::MessageServiceClient;
use types::limits::{MESSAGE_TEXT_BYTES_MAX, PAGE_SIZE_MAX};

use crate::args::{Format, Global, MessageCommand, PriorityArg};
use crate::client::Call;
use crate::error::{Error, Result};
use crate::output::{note_stale, print, say};
use crate::rows;
use crate::session::Session;
use crate::text::thousands;
use crate::when::{clock, day, rfc3339};
use crate::{address, prompt, rpc};

use super::tail;

/// Does it.
pub async fn run(session: Session, global: &Global, command: MessageCommand) -> Result<()> {
    match command {
        MessageCommand::Send { to, priority, reply_to, supersedes, mention, lines } => {
            let priority = wire_priority(priority) as i32;
            let draft = v1::OutgoingMessage {
                priority,
                reply_to: reply_to.unwrap_or(0),
                supersedes: supersedes.unwrap_or(0),
                ..Default::default()
            };
            send(&session, global, &to, draft, &mention, lines).await
        }
        MessageCommand::List { conversation, from, limit } => list(&session, global, &conversation, from, limit).await,
        MessageCommand::Tail { conversation, cursor, count } => {
            tail::run(session, global, conversation.as_deref(), cursor.as_deref(), count).await
        }
        MessageCommand::Get { conversation, seq } => get(&session, global, &conversation, seq).await,
    }
}

async fn send(
    session: &Session,
    global: &Global,
    to: &str,
    mut draft: v1::OutgoingMessage,
    mention: &[String],
    lines: bool,
) -> Result<()> {
    let conversation = address::conversation(session, to, true).await?;
    draft.conversation.clone_from(&conversation.name);
    if !mention.is_empty() {
        draft.mentions = address::users(session, mention).await?.into_iter().map(|user| user.name).collect();
    }
    if !lines {
        draft.text = prompt::message()?;
        return send_one(session, global, to, draft).await;
    }
    for line in std::io::stdin().lock().split(b'\n') {
        let line = line.map_err(|source| Error::Terminal { doing: "read the text", source })?;
        send_one(session, global, to, v1::OutgoingMessage { text: line, ..draft.clone() }).await?;
    }
    Ok(())
}

async fn send_one(session: &Session, global: &Global, to: &str, message: v1::OutgoingMessage) -> Result<()> {
    check_text(&message.text)?;
    let answer = send_message(session, Call::write(format!("send a message to {to}")), &message).await?;
    if global.output == Format::Json {
        return crate::output::json_line(&serde_json::json!({
            "conversation": rows::id_of(&message.conversation), "seq": answer.seq,
            "time": rfc3339(answer.create_time.as_ref()), "cursor": crate::text::hex(&answer.cursor),
        }));
    }
    say(&format!("Saved as {} at {}.", answer.seq, clock(answer.create_time.as_ref())));
    Ok(())
}

/// Sends one message under a number of its own.
pub async fn send_message(
    session: &Session,
    call: Call,
    message: &v1::OutgoingMessage,
) -> Result<v1::SendMessageResponse> {
    let body = |id| v1::SendMessageRequest { message: Some(message.clone()), request_id: Some(id) };
    session.write(call, body, rpc!(MessageServiceClient.send_message)).await
}

/// What the server would refuse, said before anything is sent.
pub fn check_text(text: &[u8]) -> Result<()> {
    if text.is_empty() {
        return Err(Error::Usage("the text is empty".into()));
    }
    if text.len() > MESSAGE_TEXT_BYTES_MAX {
        let over = (text.len() - MESSAGE_TEXT_BYTES_MAX) as u64;
        return Err(Error::Usage(format!("the text is too long by {} bytes", thousands(over))));
    }
    match std::str::from_utf8(text) {
        Ok(_) => Ok(()),
        Err(error) => {
            Err(Error::Usage(format!("the text is not UTF-8 from byte {} on", thousands(error.valid_up_to() as u64))))
        }
    }
}

async fn list(session: &Session, global: &Global, text: &str, from: Option<u64>, limit: u32) -> Result<()> {
    let conversation = address::conversation(session, text, false).await?;
    let direction = if from.is_some() { v1::Direction::Forward } else { v1::Direction::Backward };
    let page = messages(session, &conversation.name, text, from.unwrap_or(0), direction, limit as usize).await?;
    note_stale(page.info.as_ref());
    let people = address::people(session, page.messages.iter().map(|message| message.sender.clone())).await?;
    if global.output == Format::Json {
        let messages: Vec<_> = page.messages.iter().map(|message| rows::Message::new(message, &people)).collect();
        let hidden: Vec<_> = page
            .hidden
            .iter()
            .map(|run| serde_json::json!({"from_seq": run.from_seq, "to_seq": run.to_seq, "reason": "not_visible"}))
            .collect();
        let stale = page.info.as_ref().is_some_and(|info| info.stale);
        return crate::output::json(&serde_json::json!({
            "conversation": rows::id_of(&conversation.name), "messages": messages, "hidden": hidden,
            "last_seq": page.last_seq, "next_seq": page.next_seq, "stale": stale,
            "cursor": page.info.as_ref().map(|info| crate::text::hex(&info.cursor)),
        }));
    }
    let mut today = String::new();
    for item in in_order(&page) {
        match item {
            Item::Hidden(run) => print(&format!("        seq {}-{}: not visible to you", run.from_seq, run.to_seq))?,
            Item::Message(message) => {
                let day = day(message.create_time.as_ref());
                if day != today {
                    print(&format!("── {day} ──"))?;
                    today = day;
                }
                print(&rows::message_lines(message, &people, None).join("\n"))?;
            }
        }
    }
    if page.messages.is_empty() && page.hidden.is_empty() {
        say("No messages.");
    }
    Ok(())
}

enum Item<'a> {
    Hidden(&'a v1::HiddenRange),
    Message(&'a v1::Message),
}

/// Messages and hidden runs together, oldest first.
fn in_order(page: &v1::ListMessagesResponse) -> Vec<Item<'_>> {
    let mut items: Vec<(u64, Item<'_>)> = page.messages.iter().map(|one| (one.seq, Item::Message(one))).collect();
    items.extend(page.hidden.iter().map(|run| (run.from_seq, Item::Hidden(run))));
    items.sort_by_key(|(seq, _)| *seq);
    items.into_iter().map(|(_, item)| item).collect()
}

/// Up to `limit` messages, oldest first, and what is hidden between them.
pub async fn messages(
    session: &Session,
    name: &str,
    text: &str,
    start: u64,
    direction: v1::Direction,
    limit: usize,
) -> Result<v1::ListMessagesResponse> {
    let mut all = v1::ListMessagesResponse { next_seq: start, ..Default::default() };
    loop {
        let page_size = (limit - all.messages.len()).min(PAGE_SIZE_MAX as usize) as i32;
        let next = all.next_seq;
        let body = |read| v1::ListMessagesRequest {
            parent: name.to_owned(),
            start_seq: next,
            direction: direction as i32,
            page_size,
            read: Some(read),
        };
        let doing = format!("list messages of {text}");
        let page = session.read(doing, body, rpc!(MessageServiceClient.list_messages)).await?;
        let empty = page.messages.is_empty() && page.hidden.is_empty();
        all.messages.extend(page.messages);
        all.hidden.extend(page.hidden);
        all.next_seq = page.next_seq;
        all.last_seq = page.last_seq;
        all.info = all.info.or(page.info);
        if page.next_seq == 0 || empty || all.messages.len() >= limit {
            all.messages.sort_by_key(|message| message.seq);
            all.hidden.sort_by_key(|run| run.from_seq);
            return Ok(all);
        }
    }
}

async fn get(session: &Session, global: &Global, text: &str, seq: u64) -> Result<()> {
    let conversation = address::conversation(session, text, false).await?;
    let name = format!("{}/messages/{seq}", conversation.name);
    let body = |read| v1::GetMessageRequest { name: name.clone(), read: Some(read) };
    let doing = format!("get message {seq} of {text}");
    let answer = session.read(doing, body, rpc!(MessageServiceClient.get_message)).await?;
    note_stale(answer.info.as_ref());
    let message = answer.message.unwrap_or_default();
    let people = address::people(session, [message.sender.clone()]).await?;
    if global.output == Format::Json {
        return crate::output::json(&rows::Message::new(&message, &people));
    }
    print(&format!("── {} ──", day(message.create_time.as_ref())))?;
    print(&rows::message_lines(&message, &people, None).join("\n"))
}

/// An urgency on the wire.
pub fn wire_priority(priority: PriorityArg) -> v1::Priority {
    match priority {
        PriorityArg::Routine => v1::Priority::Routine,
        PriorityArg::Urgent => v1::Priority::Urgent,
        PriorityArg::Asap => v1::Priority::Asap,
        PriorityArg::Stat => v1::Priority::Stat,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_would_be_refused_is_refused_here() {
        let long = vec![b'a'; MESSAGE_TEXT_BYTES_MAX + 1204];
        assert_eq!(check_text(&long).unwrap_err().to_string(), "the text is too long by 1,204 bytes");
        assert!(check_text(b"").is_err());
        assert!(check_text(b"ab\xff").unwrap_err().to_string().contains("from byte 2"));
        assert!(check_text(&long[..MESSAGE_TEXT_BYTES_MAX]).is_ok());
    }

    #[test]
    fn hidden_runs_stand_where_they_belong() {
        let page = v1::ListMessagesResponse {
            messages: vec![v1::Message { seq: 41, ..Default::default() }],
            hidden: vec![v1::HiddenRange { from_seq: 1, to_seq: 40, reason: 1 }],
            ..Default::default()
        };
        assert!(matches!(in_order(&page).as_slice(), [Item::Hidden(_), Item::Message(_)]));
    }
}
