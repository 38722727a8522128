//! `presence …`

use std::time::Duration;

use proto::v1;
use proto::v1::presence_service_client::PresenceServiceClient;
use proto::v1::sync_response::Item;
use proto::v1::sync_service_client::SyncServiceClient;
use serde::Serialize;
use types::limits::PRESENCE_WATCH_MAX;

use crate::args::{Format, Global, PresenceCommand, StateArg};
use crate::client::Call;
use crate::error::{Error, Result};
use crate::judge::{Verdict, judge};
use crate::output::{note_stale, print, say, show};
use crate::rows::{People, id_of, presence_word};
use crate::session::Session;
use crate::when::{clock, minute, now, parse_span, rfc3339};
use crate::{address, rpc};

#[derive(Serialize)]
struct Row {
    user: String,
    login: Option<String>,
    state: &'static str,
    text: String,
    expires: Option<String>,
    since: Option<String>,
}

/// Does it.
pub async fn run(session: Session, global: &Global, command: PresenceCommand) -> Result<()> {
    match command {
        PresenceCommand::Show { people } => show_all(&session, global, &people).await,
        PresenceCommand::Set { state, text, lasting } => set(&session, state, &text, lasting.as_deref()).await,
        PresenceCommand::Watch { people } => watch(&session, global, &people).await,
    }
}

async fn show_all(session: &Session, global: &Global, texts: &[String]) -> Result<()> {
    let (names, people) = watched(session, texts).await?;
    let body = |read| v1::BatchGetPresenceRequest { users: names.clone(), read: Some(read) };
    let answer = session.read("show presence", body, rpc!(PresenceServiceClient.batch_get_presence)).await?;
    note_stale(answer.info.as_ref());
    let rows: Vec<Row> = answer.presences.iter().map(|presence| row(presence, &people)).collect();
    let cells = answer
        .presences
        .iter()
        .map(|presence| vec![people.name(&presence.user), in_words(presence), presence.text.clone()])
        .collect();
    show(global.output, &serde_json::json!({"presences": rows}), &["name", "presence", "says"], cells)
}

async fn watched(session: &Session, texts: &[String]) -> Result<(Vec<String>, People)> {
    if texts.len() > PRESENCE_WATCH_MAX {
        return Err(Error::Usage(format!("{} people: at most {PRESENCE_WATCH_MAX} at once", texts.len())));
    }
    let users = address::users(session, texts).await?;
    let names = users.iter().map(|user| user.name.clone()).collect();
    Ok((names, People(users.into_iter().map(|user| (user.name.clone(), user)).collect())))
}

fn row(presence: &v1::Presence, people: &People) -> Row {
    Row {
        user: id_of(&presence.user).into(),
        login: people.get(&presence.user).map(|user| user.login.clone()),
        state: presence_word(presence.state()),
        text: presence.text.clone(),
        expires: rfc3339(presence.expire_time.as_ref()),
        since: rfc3339(presence.since.as_ref()),
    }
}

/// `idle since 2026-03-04 02:13`, `busy until 14:00`.
fn in_words(presence: &v1::Presence) -> String {
    let mut words = presence_word(presence.state()).to_owned();
    if let Some(since) = &presence.since {
        words += &format!(" since {}", minute(Some(since)));
    }
    if let Some(expires) = &presence.expire_time {
        words += &format!(" until {}", clock(Some(expires)));
    }
    words
}

async fn set(session: &Session, state: StateArg, text: &str, lasting: Option<&str>) -> Result<()> {
    let state = match state {
        StateArg::Auto => v1::PresenceState::Unspecified,
        StateArg::Available => v1::PresenceState::Available,
        StateArg::Busy => v1::PresenceState::Busy,
        StateArg::Dnd => v1::PresenceState::Dnd,
        StateArg::Away => v1::PresenceState::Away,
    };
    let expire_time = match lasting {
        None => None,
        Some(span) => {
            let seconds =
                parse_span(span).ok_or_else(|| Error::Usage(format!("the time {span:?}: say 30m, 2h or 1d")))?;
            let now = now();
            Some(prost_types::Timestamp { seconds: now.seconds + seconds, nanos: 0 })
        }
    };
    set_presence(session, state, text, expire_time).await?;
    say("Set.");
    Ok(())
}

/// Sets one's presence.
pub async fn set_presence(
    session: &Session,
    state: v1::PresenceState,
    text: &str,
    expire_time: Option<prost_types::Timestamp>,
) -> Result<()> {
    let body =
        |id| v1::SetPresenceRequest { state: state as i32, text: text.into(), expire_time, request_id: Some(id) };
    session.write(Call::write("set your presence"), body, rpc!(PresenceServiceClient.set_presence)).await?;
    Ok(())
}

async fn watch(session: &Session, global: &Global, texts: &[String]) -> Result<()> {
    let (names, people) = watched(session, texts).await?;
    say("Waiting for changes; Ctrl-C ends it.");
    loop {
        tokio::select! {
            ended = watch_once(session, global, &names, &people) => ended?,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
        let current = session.client.current().to_owned();
        session.client.avoid(&current);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Until the stream ends; current values come first on each new one.
async fn watch_once(session: &Session, global: &Global, names: &[String], people: &People) -> Result<()> {
    let request = v1::SyncRequest { cursor: Vec::new(), with_messages: false, watch_presence: names.to_vec() };
    let refused = |status: tonic::Status| match judge(&status) {
        judgement if judgement.verdict == Verdict::Final => Err(Error::Refused {
            doing: "watch presence".into(),
            reason: judgement.reason,
            why: status.message().to_owned(),
            fields: Vec::new(),
        }),
        _ => Ok(()),
    };
    let mut stream = match session.client.open(request, rpc!(SyncServiceClient.sync)).await {
        Ok(stream) => stream,
        Err(status) => return refused(status),
    };
    loop {
        let item = match stream.message().await {
            Ok(Some(item)) => item,
            Ok(None) => return Ok(()),
            Err(status) => return refused(status),
        };
        let Some(Item::PresenceChanged(v1::PresenceChanged { presence: Some(presence) })) = item.item else { continue };
        if global.output == Format::Json {
            crate::output::json_line(&row(&presence, people))?;
        } else {
            let says = if presence.text.is_empty() { String::new() } else { format!(": {}", presence.text) };
            let words =
                format!("{}  {}  {}{says}", clock(Some(&now())), people.name(&presence.user), in_words(&presence));
            print(&crate::text::shorten(&crate::text::line(&words), usize::from(crate::output::COLUMNS)))?;
        }
    }
}
