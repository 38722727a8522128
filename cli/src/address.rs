//! How people and conversations are named on the command line, and finding what is meant.

use proto::v1;
use proto::v1::conversation_service_client::ConversationServiceClient;
use proto::v1::directory_service_client::DirectoryServiceClient;
use types::limits::PAGE_SIZE_MAX;

use crate::client::Call;
use crate::error::{Error, Result};
use crate::rows::{People, conversation_word, id_of, title};
use crate::rpc;
use crate::session::Session;

/// What someone typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `@login`: the direct conversation with them.
    Login(String),
    /// `#title` or `title:NAME`.
    Title(String),
    /// An id, or `conversations/{id}`.
    Conversation(String),
}

impl std::str::FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = |why: &str| Error::Usage(format!("the address {text:?}: {why}"));
        if let Some(login) = text.strip_prefix('@') {
            types::text::check_login(login).map_err(|error| wrong(&error.to_string()))?;
            return Ok(Self::Login(login.into()));
        }
        if let Some(title) = text.strip_prefix('#').or_else(|| text.strip_prefix("title:")) {
            types::text::check_name(title, types::limits::TITLE_BYTES_MAX)
                .map_err(|error| wrong(&error.to_string()))?;
            return Ok(Self::Title(title.into()));
        }
        let id = text.strip_prefix("conversations/").unwrap_or(text);
        if id.parse::<types::ConversationId>().is_ok() {
            return Ok(Self::Conversation(format!("conversations/{id}")));
        }
        Err(wrong("say @login, '#title' or a conversation's id of 32 hexadecimal digits"))
    }
}

/// `users/@login` or `users/{id}` for what someone typed: `@login`, `login` or an id.
pub fn user_name(text: &str) -> Result<String> {
    let id = text.strip_prefix("users/").unwrap_or(text);
    if id.parse::<types::UserId>().is_ok() {
        return Ok(format!("users/{id}"));
    }
    let login = id.strip_prefix('@').unwrap_or(id);
    types::text::check_login(login).map_err(|error| Error::Usage(format!("the user {text:?}: {error}")))?;
    Ok(format!("users/@{login}"))
}

/// The user meant.
pub async fn user(session: &Session, text: &str) -> Result<v1::User> {
    let name = user_name(text)?;
    let answer = session
        .read(
            format!("find the user {text}"),
            |read| v1::GetUserRequest { name: name.clone(), read: Some(read) },
            rpc!(DirectoryServiceClient.get_user),
        )
        .await?;
    answer.user.ok_or_else(|| Error::Address { address: text.into(), why: "the answer was empty".into() })
}

/// The users meant; an error names all that are unknown.
pub async fn users(session: &Session, texts: &[String]) -> Result<Vec<v1::User>> {
    let names = texts.iter().map(|text| user_name(text)).collect::<Result<Vec<_>>>()?;
    let mut found = Vec::with_capacity(names.len());
    for chunk in names.chunks(PAGE_SIZE_MAX as usize) {
        let doing = if texts.len() == 1 { format!("find {}", texts[0]) } else { format!("find {} users", texts.len()) };
        let body = |read| v1::BatchGetUsersRequest { names: chunk.to_vec(), read: Some(read) };
        found.extend(session.read(doing, body, rpc!(DirectoryServiceClient.batch_get_users)).await?.users);
    }
    let fits = |name: &str, user: &v1::User| name == user.name || name.strip_prefix("users/@") == Some(&user.login);
    let missing: Vec<&str> = texts
        .iter()
        .zip(&names)
        .filter(|(_, name)| !found.iter().any(|user| fits(name, user)))
        .map(|(text, _)| text.as_str())
        .collect();
    if missing.is_empty() {
        return Ok(found);
    }
    Err(Error::Address { address: missing.join(", "), why: "there is no such user".into() })
}

/// The people behind these names, for showing; unknown ones are left out.
pub async fn people(session: &Session, names: impl IntoIterator<Item = String>) -> Result<People> {
    let names: std::collections::BTreeSet<String> = names.into_iter().filter(|name| !name.is_empty()).collect();
    let names: Vec<String> = names.into_iter().collect();
    let mut people = People::default();
    for chunk in names.chunks(PAGE_SIZE_MAX as usize) {
        let body = |read| v1::BatchGetUsersRequest { names: chunk.to_vec(), read: Some(read) };
        let answer = session.read("look up names", body, rpc!(DirectoryServiceClient.batch_get_users)).await?;
        people.0.extend(answer.users.into_iter().map(|user| (user.name.clone(), user)));
    }
    Ok(people)
}

/// All of one's conversations, and what the first page reflects.
pub async fn conversations(session: &Session, left: bool) -> Result<(Vec<v1::Conversation>, Option<v1::ReadInfo>)> {
    let (mut all, mut token, mut info) = (Vec::new(), String::new(), None);
    loop {
        let body = |read| v1::ListConversationsRequest {
            page_size: PAGE_SIZE_MAX as i32,
            page_token: token.clone(),
            show_left: left,
            read: Some(read),
        };
        let page = session.read("list conversations", body, rpc!(ConversationServiceClient.list_conversations)).await?;
        all.extend(page.conversations);
        info = info.or(page.info);
        token = page.next_page_token;
        if token.is_empty() {
            return Ok((all, info));
        }
    }
}

/// The conversation meant. With `create`, a direct one is begun if there is none.
pub async fn conversation(session: &Session, text: &str, create: bool) -> Result<v1::Conversation> {
    match text.parse()? {
        Address::Conversation(name) => {
            let body = |read| v1::GetConversationRequest { name: name.clone(), read: Some(read) };
            let doing = format!("find the conversation {}", id_of(&name));
            let answer = session.read(doing, body, rpc!(ConversationServiceClient.get_conversation)).await?;
            answer
                .conversation
                .ok_or_else(|| Error::Address { address: text.into(), why: "the answer was empty".into() })
        }
        Address::Title(wanted) => {
            let (all, _) = conversations(session, false).await?;
            pick(&wanted, all).map_err(|why| Error::Address { address: text.into(), why })
        }
        Address::Login(_) => direct(session, text, create).await,
    }
}

async fn direct(session: &Session, text: &str, create: bool) -> Result<v1::Conversation> {
    let peer = user(session, text).await?;
    if !create {
        let (all, _) = conversations(session, true).await?;
        return all.into_iter().find(|conversation| conversation.peer == peer.name).ok_or_else(|| Error::Address {
            address: text.into(),
            why: "no conversation with them yet; the first message begins it".into(),
        });
    }
    let body = |id| v1::CreateConversationRequest {
        conversation: Some(v1::Conversation { kind: v1::ConversationKind::Direct as i32, ..Default::default() }),
        participants: vec![v1::Participant { user: peer.name.clone(), ..Default::default() }],
        request_id: Some(id),
    };
    let call = Call::write(format!("open the conversation with {text}"));
    let answer = session.write(call, body, rpc!(ConversationServiceClient.create_conversation)).await?;
    answer.conversation.ok_or_else(|| Error::Address { address: text.into(), why: "the answer was empty".into() })
}

/// The one conversation of that title: exactly, else regardless of case. Otherwise why not, with the candidates.
fn pick(wanted: &str, all: Vec<v1::Conversation>) -> std::result::Result<v1::Conversation, String> {
    let titled = |conversation: &&v1::Conversation| conversation.kind() != v1::ConversationKind::Direct;
    let exact: Vec<_> = all.iter().filter(titled).filter(|conversation| conversation.title == wanted).collect();
    let lower = wanted.to_lowercase();
    let fits = if exact.is_empty() {
        all.iter().filter(titled).filter(|conversation| conversation.title.to_lowercase() == lower).collect()
    } else {
        exact
    };
    match fits.as_slice() {
        [one] => Ok((*one).clone()),
        [] => {
            let near: Vec<String> = all
                .iter()
                .filter(titled)
                .filter(|conversation| conversation.title.to_lowercase().contains(&lower))
                .take(5)
                .map(|conversation| format!("#{}", conversation.title))
                .collect();
            let hint = if near.is_empty() { String::new() } else { format!("; near: {}", near.join(", ")) };
            Err(format!("none of your conversations has this title{hint}"))
        }
        several => {
            let list: Vec<String> = several.iter().take(20).map(|conversation| candidate(conversation)).collect();
            Err(format!("{} conversations have this title; say the id of one:\n{}", several.len(), list.join("\n")))
        }
    }
}

fn candidate(conversation: &v1::Conversation) -> String {
    format!(
        "  {}  {}, {} participants, last message {}",
        id_of(&conversation.name),
        conversation_word(conversation.kind()),
        conversation.participant_count,
        crate::when::minute(conversation.last_time.as_ref())
    )
}

/// What to call a conversation in a sentence: `#title` or the other's name.
pub fn spoken(conversation: &v1::Conversation, people: &People) -> String {
    let title = title(conversation, people);
    if conversation.kind() == v1::ConversationKind::Direct { title } else { format!("#{title}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(id: u8, title: &str) -> v1::Conversation {
        v1::Conversation {
            name: format!("conversations/{id:032x}"),
            kind: v1::ConversationKind::Group as i32,
            title: title.into(),
            ..Default::default()
        }
    }

    #[test]
    fn addresses_are_people_titles_and_ids() {
        let id = "0123456789abcdef0123456789abcdef";
        assert_eq!("@j.ito".parse::<Address>().unwrap(), Address::Login("j.ito".into()));
        assert_eq!("#Ward 3".parse::<Address>().unwrap(), Address::Title("Ward 3".into()));
        assert_eq!("title:Ward 3".parse::<Address>().unwrap(), Address::Title("Ward 3".into()));
        let conversation = Address::Conversation(format!("conversations/{id}"));
        assert_eq!(id.parse::<Address>().unwrap(), conversation);
        assert_eq!(format!("conversations/{id}").parse::<Address>().unwrap(), conversation);
        for wrong in ["", "@", "@J.Ito", "#", "# ", "#a\u{202e}b", "ward", "0123", "@a b"] {
            let error = wrong.parse::<Address>().unwrap_err();
            assert_eq!(error.exit(), 2, "{wrong}");
        }
        assert_eq!(user_name("j.ito").unwrap(), "users/@j.ito");
        assert_eq!(user_name(id).unwrap(), format!("users/{id}"));
    }

    #[test]
    fn an_ambiguous_title_lists_its_candidates() {
        let all = vec![group(1, "Ward"), group(2, "ward"), group(3, "Theatre"), group(4, "Theatre")];
        assert_eq!(pick("Ward", all.clone()).unwrap().name, group(1, "").name, "exact wins");
        assert!(pick("WARD", all.clone()).unwrap_err().contains("2 conversations"));
        let why = pick("Theatre", all.clone()).unwrap_err();
        assert!(why.contains(id_of(&group(3, "").name)) && why.contains(id_of(&group(4, "").name)), "{why}");
        assert!(pick("heat", all).unwrap_err().contains("near: #Theatre"));
    }
}
