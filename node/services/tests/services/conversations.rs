use proto::v1::*;

use crate::world::{Person, World, participant, reason, refused};

async fn get(person: &Person, name: &str) -> Result<Conversation, tonic::Status> {
    let request = GetConversationRequest { name: name.into(), read: None };
    let answer = person.conversations().get_conversation(person.with(request)).await?;
    Ok(answer.into_inner().conversation.unwrap())
}

#[tokio::test]
async fn someone_elses_conversation_answers_as_an_unknown_one() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (ito, mori) = (world.person(&admin, "ito").await, world.person(&admin, "mori").await);
    let ward = ito.group("Ward 3", &[]).await;
    let unknown = "conversations/00000000000000000000000000000001";
    for name in [ward.as_str(), unknown] {
        let status = get(&mori, name).await.unwrap_err();
        assert_eq!(reason(&status), "NOT_FOUND");
        let send = mori.send(name, "hello").await.unwrap_err();
        let list = ListMessagesRequest { parent: name.into(), ..ListMessagesRequest::default() };
        let list = mori.messages().list_messages(mori.with(list)).await.unwrap_err();
        let message = GetMessageRequest { name: format!("{name}/messages/1"), read: None };
        let message = mori.messages().get_message(mori.with(message)).await.unwrap_err();
        for other in [send, list, message] {
            assert_eq!((other.code(), other.message()), (status.code(), status.message()));
            assert_eq!(other.details(), status.details());
        }
    }
}

#[tokio::test]
async fn a_direct_conversation_is_made_once() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (ito, mori) = (world.person(&admin, "ito").await, world.person(&admin, "mori").await);
    let direct = |person: &Person, other: &Person, title: &str| CreateConversationRequest {
        conversation: Some(Conversation {
            kind: ConversationKind::Direct.into(),
            title: title.into(),
            ..Conversation::default()
        }),
        participants: vec![participant(&other.name)],
        request_id: person.id(),
    };
    let one = ito.conversations().create_conversation(ito.with(direct(&ito, &mori, ""))).await.unwrap().into_inner();
    let two = mori.conversations().create_conversation(mori.with(direct(&mori, &ito, ""))).await.unwrap().into_inner();
    let (a, b) = (one.conversation.unwrap(), two.conversation.unwrap());
    assert_eq!((a.name, one.existed, two.existed), (b.name, false, true));
    assert_eq!((a.peer, b.peer), (mori.name.clone(), ito.name.clone()));
    let titled = ito.conversations().create_conversation(ito.with(direct(&ito, &mori, "Us"))).await;
    assert_eq!(refused(titled), "INVALID");
}

#[tokio::test]
async fn unread_counts_those_of_others_after_what_was_displayed() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (ito, mori) = (world.person(&admin, "ito").await, world.person(&admin, "mori").await);
    let ward = ito.group("Ward 3", &[&mori]).await;
    for at in 0..3 {
        ito.send(&ward, &format!("{at}")).await.unwrap();
    }
    mori.send(&ward, "mine").await.unwrap();
    let seen = get(&mori, &ward).await.unwrap();
    assert_eq!((seen.last_seq, seen.unread_count, seen.title.as_str()), (4, 3, "Ward 3"));
    assert_eq!(get(&ito, &ward).await.unwrap().unread_count, 1);
}

#[tokio::test]
async fn conversations_are_listed_in_pages_and_left_ones_on_request() {
    let world = World::start().await;
    let admin = world.admin().await;
    let ito = world.person(&admin, "ito").await;
    let mut made = Vec::new();
    for at in 0..9 {
        made.push(admin.group(&format!("Group {at}"), &[&ito]).await);
    }
    admin.remove(&made[0], &ito).await;
    let list = async |show_left: bool| {
        let (mut names, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListConversationsRequest { page_size: 2, page_token, show_left, read: None };
            let page = ito.conversations().list_conversations(ito.with(request)).await.unwrap().into_inner();
            names.extend(page.conversations.into_iter().map(|one| one.name));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return names;
            }
        }
    };
    let mut expected = made.clone();
    expected.sort();
    assert_eq!(list(true).await, expected);
    expected.retain(|name| *name != made[0]);
    assert_eq!(list(false).await, expected);
    let left = get(&ito, &made[0]).await.unwrap();
    assert_eq!((left.title.as_str(), left.part), ("", 0), "how it goes on is not theirs to see");
}

#[tokio::test]
async fn owners_change_a_conversation_and_add_people() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (ito, mori) = (world.person(&admin, "ito").await, world.person(&admin, "mori").await);
    let ward = ito.group("Ward 3", &[]).await;
    ito.add(&ward, &mori).await;
    let update = |person: &Person, paths: &[&str]| UpdateConversationRequest {
        conversation: Some(Conversation {
            name: ward.clone(),
            title: "Ward 4".into(),
            closed: true,
            ..Conversation::default()
        }),
        update_paths: paths.iter().map(|&path| path.into()).collect(),
        request_id: person.id(),
    };
    let by_mori = mori.conversations().update_conversation(mori.with(update(&mori, &["title"]))).await;
    assert_eq!(refused(by_mori), "NOT_PERMITTED");
    let nothing = ito.conversations().update_conversation(ito.with(update(&ito, &[]))).await;
    assert_eq!(refused(nothing), "INVALID");
    ito.conversations().update_conversation(ito.with(update(&ito, &["title", "closed"]))).await.unwrap();
    let seen = get(&mori, &ward).await.unwrap();
    assert_eq!((seen.title.as_str(), seen.closed, seen.participant_count), ("Ward 4", true, 2));
    assert_eq!(refused(mori.send(&ward, "hello").await), "CONVERSATION_CLOSED");

    let list = ListParticipantsRequest { name: ward.clone(), page_size: 1, ..ListParticipantsRequest::default() };
    let page = mori.conversations().list_participants(mori.with(list)).await.unwrap().into_inner();
    assert_eq!(page.participants.len(), 1);
    let rest = ListParticipantsRequest {
        name: ward.clone(),
        page_token: page.next_page_token,
        ..ListParticipantsRequest::default()
    };
    let rest = mori.conversations().list_participants(mori.with(rest)).await.unwrap().into_inner();
    assert_eq!((rest.participants.len(), rest.next_page_token.as_str()), (1, ""));
}

#[tokio::test]
async fn a_retry_of_a_creation_gives_the_same_conversation() {
    let world = World::start().await;
    let admin = world.admin().await;
    let request = CreateConversationRequest {
        conversation: Some(Conversation {
            kind: ConversationKind::Group.into(),
            title: "Ward 3".into(),
            ..Conversation::default()
        }),
        participants: vec![],
        request_id: admin.id(),
    };
    let create = async |request: CreateConversationRequest| {
        let answer = admin.conversations().create_conversation(admin.with(request)).await;
        answer.map(|answer| answer.into_inner().conversation.unwrap().name)
    };
    let first = create(request.clone()).await.unwrap();
    assert_eq!(create(request.clone()).await.unwrap(), first);
    let mut other = request;
    other.conversation.as_mut().unwrap().title = "Ward 4".into();
    assert_eq!(refused(create(other).await), "REQUEST_ID_REUSED");
    let list = ListConversationsRequest::default();
    let list = admin.conversations().list_conversations(admin.with(list)).await.unwrap().into_inner();
    assert_eq!(list.conversations.len(), 1);
}
