//! Users and groups for tests, made through the same calls as everyone's.

use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use proto::v1::conversation_service_client::ConversationServiceClient;
use proto::v1::directory_service_client::DirectoryServiceClient;
use proto::v1::{
    BatchCreateUsersRequest, Conversation, ConversationKind, CreateConversationRequest, CreateEnrolmentCodeRequest,
    Part, Participant, User, UserKind,
};

use crate::{Client, Links, Result, reason};

/// Users created by one call.
const BATCH: usize = 400;
/// Codes issued to one user before giving up: each try is lost only when its answer comes too late.
const CODES_MAX: usize = 8;
/// Sign-ins under way at a time: a node hashes two and lets some wait.
const SIGN_INS: usize = 12;

/// Someone to create.
#[derive(Clone, Debug)]
pub struct Person {
    /// The login name.
    pub login: String,
    /// What people see.
    pub display_name: String,
    /// What the account stands for.
    pub kind: UserKind,
}

impl Person {
    /// A person with a login and a name.
    #[must_use]
    pub fn new(login: &str, display_name: &str) -> Self {
        Self { login: login.to_owned(), display_name: display_name.to_owned(), kind: UserKind::Person }
    }

    /// The password that [`enrol_all`] sets.
    #[must_use]
    pub fn password(&self) -> String {
        format!("password of {}", self.login)
    }
}

/// Creates these users and signs each in once, the first at node a, the second at b, and so on; `step` is told of each.
pub async fn enrol_all(
    links: &Links,
    admin: &Client,
    people: &[Person],
    step: impl Fn() + Sync,
) -> Result<Vec<Arc<Client>>> {
    let mut codes = Vec::with_capacity(people.len());
    for batch in people.chunks(BATCH) {
        let users: Vec<User> = batch.iter().map(user).collect();
        let answer = admin
            .write(|wire, id| {
                let request = BatchCreateUsersRequest {
                    users: users.clone(),
                    without_enrolment_codes: false,
                    request_id: Some(id),
                };
                async move { DirectoryServiceClient::new(wire).batch_create_users(request).await }
            })
            .await
            .map_err(|status| format!("create users: {} {}", reason(&status), status.message()))?;
        if answer.enrolment_codes.len() == batch.len() {
            codes.extend(answer.enrolment_codes);
            continue;
        }
        for user in answer.users {
            codes.push(new_code(admin, &user.name).await?); // An attempt was repeated: codes are shown only once.
        }
    }
    let step = &step;
    stream::iter(people.iter().zip(codes).enumerate())
        .map(|(index, (person, code))| async move {
            let client = Client::enrol(links, index % 3, &person.login, &code, &person.password()).await?;
            step();
            Ok(Arc::new(client))
        })
        .buffered(SIGN_INS)
        .try_collect()
        .await
}

/// A new one-time code for a user: as many as it takes until one is shown.
async fn new_code(admin: &Client, user: &str) -> Result<String> {
    for _ in 0..CODES_MAX {
        let issued = admin.write(|wire, id| {
            let request = CreateEnrolmentCodeRequest { name: user.to_owned(), request_id: Some(id) };
            async move { DirectoryServiceClient::new(wire).create_enrolment_code(request).await }
        });
        let code = issued.await.map_err(|status| format!("issue a code: {} {}", reason(&status), status.message()))?;
        if !code.enrolment_code.is_empty() {
            return Ok(code.enrolment_code);
        }
    }
    Err(format!("no code was shown for {user} in {CODES_MAX} tries").into())
}

/// Creates a group with these participants (`users/{id}`) besides its creator; answers `conversations/{id}`.
pub async fn create_group(creator: &Client, title: &str, users: &[String]) -> Result<String> {
    let answer = creator
        .write(|wire, id| {
            let request = CreateConversationRequest {
                conversation: Some(Conversation {
                    kind: ConversationKind::Group.into(),
                    title: title.to_owned(),
                    ..Conversation::default()
                }),
                participants: users
                    .iter()
                    .map(|user| Participant { user: user.clone(), part: Part::Writer.into(), ..Participant::default() })
                    .collect(),
                request_id: Some(id),
            };
            async move { ConversationServiceClient::new(wire).create_conversation(request).await }
        })
        .await
        .map_err(|status| format!("create a group: {} {}", reason(&status), status.message()))?;
    Ok(answer.conversation.ok_or("an answer without the conversation")?.name)
}

fn user(person: &Person) -> User {
    User {
        login: person.login.clone(),
        display_name: person.display_name.clone(),
        kind: person.kind.into(),
        ..User::default()
    }
}
