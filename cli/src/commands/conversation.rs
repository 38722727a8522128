//! `conversation …`

use std::path::Path;

use proto::v1;
use proto::v1::conversation_service_client::ConversationServiceClient;
use serde::Serialize;
use types::limits::{PAGE_SIZE_MAX, PARTICIPANTS_PER_COMMAND_MAX};

use crate::args::{ConversationCommand, ConversationKindArg, Format, Global, History, PartArg};
use crate::client::Call;
use crate::error::{Error, Result};
use crate::output::{note_stale, say, show, show_pairs};
use crate::rows::{self, People, id_of};
use crate::session::Session;
use crate::when::{minute, rfc3339};
use crate::{address, prompt, rpc};

/// Does it.
pub async fn run(session: &Session, global: &Global, command: ConversationCommand) -> Result<()> {
    match command {
        ConversationCommand::Create { title, kind, subject, history, people, reader, writer, owner, people_from } => {
            let mut parts: Vec<(String, v1::Part)> = Vec::new();
            parts.extend(people.into_iter().map(|login| (login, v1::Part::Unspecified)));
            parts.extend(from_file(people_from.as_deref())?.into_iter().map(|login| (login, v1::Part::Unspecified)));
            parts.extend(reader.into_iter().map(|login| (login, v1::Part::Reader)));
            parts.extend(writer.into_iter().map(|login| (login, v1::Part::Writer)));
            parts.extend(owner.into_iter().map(|login| (login, v1::Part::Owner)));
            create(session, global, &title, kind, subject.as_deref(), history, parts).await
        }
        ConversationCommand::List { left } => list(session, global, left).await,
        ConversationCommand::Show { conversation } => show_one(session, global, &conversation).await,
        ConversationCommand::Add { conversation, people, part } => add(session, &conversation, &people, part).await,
        ConversationCommand::Remove { conversation, person } => {
            let user = address::user(session, &person).await?;
            remove(session, &conversation, &user.name, &person).await
        }
        ConversationCommand::Leave { conversation } => {
            prompt::confirm(&format!("You leave {conversation} and get no more of its messages."), global.yes)?;
            remove(session, &conversation, &session.state.user, "yourself").await
        }
        ConversationCommand::Rename { conversation, title } => {
            update(session, &conversation, "title", |conversation| conversation.title = title.clone()).await
        }
        ConversationCommand::Close { conversation, reopen } => {
            update(session, &conversation, "closed", |conversation| conversation.closed = !reopen).await
        }
    }
}

async fn create(
    session: &Session,
    global: &Global,
    title: &str,
    kind: ConversationKindArg,
    subject: Option<&str>,
    history: Option<History>,
    parts: Vec<(String, v1::Part)>,
) -> Result<()> {
    let kind = match kind {
        ConversationKindArg::Direct => v1::ConversationKind::Direct,
        ConversationKindArg::Group => v1::ConversationKind::Group,
        ConversationKindArg::Channel => v1::ConversationKind::Channel,
        ConversationKindArg::CareTeam => v1::ConversationKind::CareTeam,
    };
    if parts.len() > PARTICIPANTS_PER_COMMAND_MAX {
        return Err(Error::Usage(format!(
            "{} people: at most {PARTICIPANTS_PER_COMMAND_MAX} at once; add the others with conversation add",
            parts.len()
        )));
    }
    let participants = participants(session, &parts).await?;
    let subject = match subject {
        Some(subject) => address::user(session, subject).await?.name,
        None => String::new(),
    };
    let history = history.map(|history| match history {
        History::Nothing => v1::HistoryPolicyRef { id: 1, version: 1 },
        History::Everything => v1::HistoryPolicyRef { id: 2, version: 1 },
    });
    let wanted = v1::Conversation {
        kind: kind as i32,
        title: title.into(),
        subject,
        history_policy: history,
        ..Default::default()
    };
    let body = |id| v1::CreateConversationRequest {
        conversation: Some(wanted.clone()),
        participants: participants.clone(),
        request_id: Some(id),
    };
    let name = if title.is_empty() { "the conversation".into() } else { format!("#{title}") };
    let call = Call::write(format!("create {name}"));
    let answer = session.write(call, body, rpc!(ConversationServiceClient.create_conversation)).await?;
    let made = answer.conversation.unwrap_or_default();
    if global.output == Format::Json {
        let people = address::people(session, [made.peer.clone()]).await?;
        let row = rows::Conversation::new(&made, &people);
        return crate::output::json(&serde_json::json!({"conversation": row, "existed": answer.existed}));
    }
    say(if answer.existed { "It existed already." } else { "Created." });
    crate::output::print(id_of(&made.name))
}

/// The people meant, each with a part; named twice, the last part counts.
async fn participants(session: &Session, parts: &[(String, v1::Part)]) -> Result<Vec<v1::Participant>> {
    let texts: Vec<String> = parts.iter().map(|(text, _)| text.clone()).collect();
    let users = address::users(session, &texts).await?;
    let mut by_user = std::collections::BTreeMap::new();
    for (text, part) in parts {
        let name = address::user_name(text)?;
        let user = users.iter().find(|user| user.name == name || name.strip_prefix("users/@") == Some(&user.login));
        if let Some(user) = user {
            by_user.insert(user.name.clone(), *part);
        }
    }
    let participant =
        |(user, part): (String, v1::Part)| v1::Participant { user, part: part as i32, ..Default::default() };
    Ok(by_user.into_iter().map(participant).collect())
}

fn from_file(path: Option<&Path>) -> Result<Vec<String>> {
    let Some(path) = path else { return Ok(Vec::new()) };
    let text =
        if path == Path::new("-") { std::io::read_to_string(std::io::stdin()) } else { std::fs::read_to_string(path) };
    let text = text.map_err(|source| Error::File { doing: "read", path: path.to_owned(), source })?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

async fn list(session: &Session, global: &Global, left: bool) -> Result<()> {
    let (mut all, info) = address::conversations(session, left).await?;
    note_stale(info.as_ref());
    all.sort_by_key(|conversation| {
        std::cmp::Reverse(conversation.last_time.map_or((0, 0), |time| (time.seconds, time.nanos)))
    });
    let people = address::people(session, all.iter().map(|conversation| conversation.peer.clone())).await?;
    let rows: Vec<rows::Conversation> =
        all.iter().map(|conversation| rows::Conversation::new(conversation, &people)).collect();
    let cells = all
        .iter()
        .map(|conversation| {
            let unread = match conversation.unread_count {
                0 => String::new(),
                100.. => "99+".into(),
                count => count.to_string(),
            };
            let state = match (conversation.part(), conversation.closed) {
                (v1::Part::Unspecified, _) => "left",
                (_, true) => "closed",
                _ => rows::conversation_word(conversation.kind()),
            };
            let last = minute(conversation.last_time.as_ref());
            vec![address::spoken(conversation, &people), unread, last, state.into(), id_of(&conversation.name).into()]
        })
        .collect();
    let document = serde_json::json!({"conversations": rows});
    show(global.output, &document, &["conversation", "new", "last message", "kind", "id"], cells)
}

#[derive(Serialize)]
struct ParticipantRow {
    user: String,
    login: Option<String>,
    name: Option<String>,
    unit: Option<String>,
    part: &'static str,
    joined: Option<String>,
    displayed_seq: u64,
}

async fn show_one(session: &Session, global: &Global, text: &str) -> Result<()> {
    let conversation = address::conversation(session, text, false).await?;
    let participants = list_participants(session, &conversation.name, text).await?;
    let names = participants.iter().map(|participant| participant.user.clone());
    let people =
        address::people(session, names.chain([conversation.peer.clone(), conversation.subject.clone()])).await?;
    let row = rows::Conversation::new(&conversation, &people);
    if global.output == Format::Json {
        let rows: Vec<_> = participants.iter().map(|participant| participant_row(participant, &people)).collect();
        return crate::output::json(&serde_json::json!({"conversation": row, "participants": rows}));
    }
    let history = match row.history_policy {
        1 => "newcomers see nothing from before".into(),
        2 => "newcomers see everything".into(),
        other => format!("history policy {other}"),
    };
    let pairs = [
        ("conversation", address::spoken(&conversation, &people)),
        ("kind", format!("{}{}", row.kind, if row.closed { ", closed" } else { "" })),
        ("about", if conversation.subject.is_empty() { String::new() } else { people.name(&conversation.subject) }),
        ("messages", format!("{}, {} new to you", row.last_seq, row.unread)),
        ("history", history),
        ("created", minute(conversation.create_time.as_ref())),
        ("id", row.id.clone()),
    ];
    show_pairs(global.output, &row, &pairs)?;
    let cells = participants
        .iter()
        .map(|participant| {
            let login = people.get(&participant.user).map_or_else(String::new, |user| format!("@{}", user.login));
            let displayed =
                if participant.displayed_seq > 0 { participant.displayed_seq.to_string() } else { String::new() };
            vec![login, people.name(&participant.user), rows::part_word(participant.part()).into(), displayed]
        })
        .collect();
    crate::output::print("")?;
    crate::output::print(&crate::output::table(&["login", "name", "part", "displayed"], cells))
}

fn participant_row(participant: &v1::Participant, people: &People) -> ParticipantRow {
    let user = people.get(&participant.user);
    ParticipantRow {
        user: id_of(&participant.user).into(),
        login: user.map(|user| user.login.clone()),
        name: user.map(|user| user.display_name.clone()),
        unit: user.map(|user| user.unit.clone()),
        part: rows::part_word(participant.part()),
        joined: rfc3339(participant.join_time.as_ref()),
        displayed_seq: participant.displayed_seq,
    }
}

/// All who take part now.
pub async fn list_participants(session: &Session, name: &str, text: &str) -> Result<Vec<v1::Participant>> {
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let body = |read| v1::ListParticipantsRequest {
            name: name.to_owned(),
            page_size: PAGE_SIZE_MAX as i32,
            page_token: token.clone(),
            read: Some(read),
        };
        let doing = format!("list who takes part in {text}");
        let page = session.read(doing, body, rpc!(ConversationServiceClient.list_participants)).await?;
        all.extend(page.participants);
        token = page.next_page_token;
        if token.is_empty() {
            return Ok(all);
        }
    }
}

async fn add(session: &Session, text: &str, people: &[String], part: Option<PartArg>) -> Result<()> {
    let conversation = address::conversation(session, text, false).await?;
    let part = match part {
        None => v1::Part::Unspecified,
        Some(PartArg::Reader) => v1::Part::Reader,
        Some(PartArg::Writer) => v1::Part::Writer,
        Some(PartArg::Owner) => v1::Part::Owner,
    };
    let parts: Vec<_> = people.iter().map(|login| (login.clone(), part)).collect();
    let participants = participants(session, &parts).await?;
    for chunk in participants.chunks(PARTICIPANTS_PER_COMMAND_MAX) {
        let body = |id| v1::AddParticipantsRequest {
            name: conversation.name.clone(),
            participants: chunk.to_vec(),
            request_id: Some(id),
        };
        let call = Call::write(format!("add {} people to {text}", chunk.len()));
        session.write(call, body, rpc!(ConversationServiceClient.add_participants)).await?;
    }
    say(&format!("Added {}.", participants.len()));
    Ok(())
}

async fn remove(session: &Session, text: &str, user: &str, who: &str) -> Result<()> {
    let conversation = address::conversation(session, text, false).await?;
    let body = |id| v1::RemoveParticipantRequest {
        name: conversation.name.clone(),
        user: user.to_owned(),
        request_id: Some(id),
    };
    let call = Call::write(format!("remove {who} from {text}"));
    session.write(call, body, rpc!(ConversationServiceClient.remove_participant)).await?;
    say("Done. What was seen can still be read.");
    Ok(())
}

async fn update(session: &Session, text: &str, path: &str, change: impl Fn(&mut v1::Conversation)) -> Result<()> {
    let mut conversation = address::conversation(session, text, false).await?;
    change(&mut conversation);
    let body = |id| v1::UpdateConversationRequest {
        conversation: Some(conversation.clone()),
        update_paths: vec![path.into()],
        request_id: Some(id),
    };
    let call = Call::write(format!("change {text}"));
    session.write(call, body, rpc!(ConversationServiceClient.update_conversation)).await?;
    say("Changed.");
    Ok(())
}
