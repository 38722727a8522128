//! What is looked at leaves a record before it leaves, and what is in the log can be proven.

use std::time::{Duration, Instant};

use proto::v1::*;
use raft::Handle;
use record::checkpoint::{Checkpoint, origin};
use record::note::Note;
use record::{FoundingKeys, tree};
use state::Rows;
use types::command::{Observation, Once, SignHead};
use types::limits::{CLIENT_REQUEST_BYTES_MAX, OBSERVATIONS_MAX};
use types::record::{Action, Agent, Entity, Record, Result as End};
use types::{Author, Command, Envelope, Incarnation, NodeId, Seq, SessionId, Slot};

use crate::node::{NODE, SingleNode};
use crate::world::{CLUSTER, EPOCH, Person, World, next, outgoing, own, reason, refused, signer};

fn records(node: &SingleNode) -> Vec<Record> {
    let view = node.view();
    let count = state::heads(&view).unwrap().records;
    (0..count).map(|index| view.record(index).unwrap().unwrap()).collect()
}

/// Fetches in this person's session, as (conversation, first, last).
fn fetches(node: &SingleNode, person: &Person) -> Vec<(String, u64, u64)> {
    let by = |record: &Record| matches!(&record.agent, Agent::User { session, .. } if person.session.ends_with(&session.to_string()));
    let all = records(node).into_iter().filter(|record| record.action == Action::FetchMessages && by(record));
    all.flat_map(|record| record.entities)
        .map(|entity| match entity {
            Entity::Messages(id, first, last) => (format!("conversations/{id}"), first.0, last.0),
            other => panic!("{other:?}"),
        })
        .collect()
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(20), "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn list(person: &Person, conversation: &str, start_seq: u64) -> Result<ListMessagesResponse, tonic::Status> {
    let request = ListMessagesRequest { parent: conversation.into(), start_seq, ..ListMessagesRequest::default() };
    Ok(person.messages().list_messages(person.with(request)).await?.into_inner())
}

/// An account with these permission sets, signed in.
async fn operator(world: &World, admin: &Person, login: &str, sets: &[PermissionSet]) -> Person {
    let user = User {
        login: login.into(),
        display_name: login.into(),
        permission_sets: sets.iter().map(|&set| set.into()).collect(),
        ..User::default()
    };
    let create = CreateUserRequest { user: Some(user), without_enrolment_code: false, request_id: admin.id() };
    let made = admin.directory().create_user(admin.with(create)).await.unwrap().into_inner();
    world.enrol(login, &made.enrolment_code).await
}

#[tokio::test]
async fn a_fetch_is_recorded_with_its_range_and_what_comes_live_is_not() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (ana, ben) = (world.person(&admin, "ana").await, world.person(&admin, "ben").await);
    let ward = ana.group("Ward", &[&ben]).await;
    for text in ["one", "two", "three"] {
        ana.send(&ward, text).await.unwrap();
    }
    assert_eq!(list(&ben, &ward, 2).await.unwrap().messages.len(), 2);
    assert_eq!(fetches(&world.node, &ben), [(ward.clone(), 2, 3)]);
    let get = GetMessageRequest { name: format!("{ward}/messages/1"), read: None };
    ben.messages().get_message(ben.with(get)).await.unwrap();
    assert_eq!(fetches(&world.node, &ben)[1..], [(ward.clone(), 1, 1)]);
    assert!(list(&ben, &ward, 9).await.unwrap().messages.is_empty());
    assert_eq!(fetches(&world.node, &ben).len(), 2, "nothing was shown, so nothing is said");

    let mut stream = ben.sync(&ben.cursor, &[]).await.unwrap();
    let opened = |record: &Record| record.action == Action::OpenStream;
    assert_eq!(records(&world.node).iter().filter(|record| opened(record)).count(), 1);
    let mut seen = 0;
    while seen < 3 {
        let item = next(&mut stream).await.unwrap().unwrap();
        seen += u64::from(matches!(item.item, Some(sync_response::Item::MessagePosted(_))));
    }
    assert_eq!(fetches(&world.node, &ben)[2..], [(ward.clone(), 1, 3)], "what was missed is a fetch");
    ana.send(&ward, "live").await.unwrap();
    loop {
        let item = next(&mut stream).await.unwrap().unwrap();
        if matches!(item.item, Some(sync_response::Item::MessagePosted(MessagePosted { seq: 4, .. }))) {
            break;
        }
    }
    assert_eq!(fetches(&world.node, &ben).len(), 3);
}

#[tokio::test]
async fn a_read_that_is_refused_leaves_a_record() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (ana, eve) = (world.person(&admin, "ana").await, world.person(&admin, "eve").await);
    let ward = ana.group("Ward", &[]).await;
    ana.send(&ward, "secret").await.unwrap();
    assert_eq!(refused(list(&eve, &ward, 0).await), "NOT_FOUND");
    let found = || {
        records(&world.node).into_iter().find(|record| {
            let about =
                matches!(record.entities.first(), Some(Entity::Conversation(id)) if ward.ends_with(&id.to_string()));
            record.action == Action::Look && about && record.result == End::Refused(2)
        })
    };
    until("the refusal is recorded", || found().is_some()).await;
    assert!(matches!(found().unwrap().agent, Agent::User { user, .. } if eve.name.ends_with(&user.to_string())));
}

#[tokio::test]
async fn without_a_majority_content_leaves_only_once_it_is_in_the_spool() {
    let world = World::start().await;
    let admin = world.admin().await;
    let ward = admin.group("Ward", &[]).await;
    admin.send(&ward, "one").await.unwrap();
    world.node.set_no_majority(true);
    assert_eq!(refused(list(&admin, &ward, 0).await), "NO_MAJORITY", "not recorded, not shown");
    world.node.set_stale(Some(Duration::from_millis(1)));
    assert_eq!(list(&admin, &ward, 0).await.unwrap().messages.len(), 1);
    assert!(fetches(&world.node, &admin).is_empty());
    world.node.set_no_majority(false);
    world.node.set_stale(None);
    until("the spool is recorded", || !fetches(&world.node, &admin).is_empty()).await;
    let record = records(&world.node).into_iter().find(|record| record.action == Action::FetchMessages).unwrap();
    assert!(record.seen.is_some(), "it says when it was shown");
}

#[tokio::test]
async fn a_message_is_proven_and_revealed_to_those_who_may_and_each_time_is_recorded() {
    let world = World::start().await;
    let admin = world.admin().await;
    let auditor = operator(&world, &admin, "auditor", &[PermissionSet::Auditor]).await;
    let both = [PermissionSet::Auditor, PermissionSet::Discloser];
    let discloser = operator(&world, &admin, "discloser", &both).await;
    let ward = admin.group("Ward", &[]).await;
    admin.messages();
    let message = outgoing(&ward, "K 5.9, please call".as_bytes());
    let send = SendMessageRequest { message: Some(message), request_id: admin.id() };
    admin.messages().send_message(admin.with(send)).await.unwrap();
    let prove = ProveMessageRequest { name: format!("{ward}/messages/1"), ..ProveMessageRequest::default() };
    assert_eq!(refused(auditor.audit().prove_message(auditor.with(prove.clone())).await), "NOT_SEALED");

    // A head is named; this node signs by itself, and another one agrees.
    own(&world.node, Command::MarkHead).await;
    let size = state::heads(&world.node.view()).unwrap().records;
    let signed = || world.node.view().head(size).unwrap().and_then(|head| head.signatures.first().copied());
    until("this node has signed", || signed().is_some()).await;
    let (b, root) = (NodeId::new(Slot::B, Incarnation(1)), signed().unwrap().root);
    let text = Checkpoint { origin: origin(CLUSTER), size, root }.text();
    let command = Command::SignHead(SignHead { number: 1, size, root, signature: signer(Slot::B).sign(&text) });
    world.node.apply(Envelope { origin: b, author: Author::Node, command }).await.result.unwrap();

    let proof = auditor.audit().prove_message(auditor.with(prove.clone())).await.unwrap().into_inner();
    let keys = FoundingKeys::new(CLUSTER, Slot::ALL.map(|slot| *signer(slot).verifier().key())).unwrap();
    let note = Note::parse(&proof.head.unwrap().note).unwrap();
    let (checkpoint, signers) = Checkpoint::open(&note, &keys.keys).unwrap();
    assert_eq!(signers.len(), 2);
    for part in [proof.record.clone().unwrap(), proof.last.unwrap()] {
        let path: Vec<tree::Hash> = part.path.iter().map(|hash| hash.as_slice().try_into().unwrap()).collect();
        let leaf = record::leaf_hash(&part.stored);
        assert!(tree::verify_inclusion(&leaf, part.index, checkpoint.size, &path, &checkpoint.root));
    }
    let posted = record::read::record(&proof.record.unwrap().stored).unwrap();
    assert!(matches!(posted.entities[..], [Entity::Messages(_, Seq(1), Seq(1))]));
    assert!(proof.payload.is_empty());

    let reveal = ProveMessageRequest { reveal: true, reason: "case 12".into(), ..prove.clone() };
    assert_eq!(refused(auditor.audit().prove_message(auditor.with(reveal.clone())).await), "NOT_PERMITTED");
    let silent = ProveMessageRequest { reason: String::new(), ..reveal.clone() };
    assert_eq!(refused(discloser.audit().prove_message(discloser.with(silent)).await), "INVALID");
    let shown = discloser.audit().prove_message(discloser.with(reveal)).await.unwrap().into_inner();
    let payload = seal::revealed(&shown.payload, &posted.commitment.unwrap()).unwrap();
    assert_eq!(payload.text, "K 5.9, please call");
    let recorded = records(&world.node).into_iter().find(|record| record.action == Action::RevealMessage).unwrap();
    assert_eq!(recorded.reason.as_deref(), Some("case 12"));
    assert!(records(&world.node).iter().any(|record| record.action == Action::ProveMessage));
}

#[tokio::test]
async fn the_log_is_listed_by_what_is_asked_for_and_looking_is_recorded() {
    let world = World::start().await;
    let admin = world.admin().await;
    let auditor = operator(&world, &admin, "auditor", &[PermissionSet::Auditor]).await;
    let ward = admin.group("Ward", &[&auditor]).await;
    for number in 0..5 {
        admin.send(&ward, &format!("{number}")).await.unwrap();
    }
    let ask = |filter: ListRecordsRequest| {
        let auditor = auditor.clone();
        async move { auditor.audit().list_records(auditor.with(filter)).await.map(tonic::Response::into_inner) }
    };
    let posts = ListRecordsRequest { action: "post".into(), page_size: 2, ..ListRecordsRequest::default() };
    let mut found = Vec::new();
    let mut page = ask(posts.clone()).await.unwrap();
    loop {
        found.extend(page.records.iter().flat_map(|record| record.targets.clone()));
        if page.next_page_token.is_empty() {
            break;
        }
        page = ask(ListRecordsRequest { page_token: page.next_page_token, ..posts.clone() }).await.unwrap();
    }
    let expected: Vec<String> = (1..=5).rev().map(|seq| format!("{ward}/messages/{seq}")).collect();
    assert_eq!(found, expected, "the newest first");
    let of_ward = ListRecordsRequest { target: ward.clone(), ..ListRecordsRequest::default() };
    assert_eq!(ask(of_ward).await.unwrap().records.len(), 6, "its messages and its making");
    let by = ListRecordsRequest { user: "users/@auditor".into(), action: "read-audit".into(), ..Default::default() };
    assert!(ask(by).await.unwrap().records.len() >= 4, "looking is recorded");
    assert_eq!(refused(ask(ListRecordsRequest { action: "posted".into(), ..Default::default() }).await), "INVALID");
    let future = ListRecordsRequest {
        start_time: Some(prost_types::Timestamp { seconds: 9_999_999_999, nanos: 0 }),
        ..ListRecordsRequest::default()
    };
    assert!(ask(future).await.unwrap().records.is_empty());
}

#[tokio::test]
async fn an_export_has_every_record_up_to_a_sealed_head() {
    let world = World::start().await;
    let admin = world.admin().await;
    let auditor = operator(&world, &admin, "auditor", &[PermissionSet::Auditor]).await;
    let size = seal_head(&world).await;

    let request = auditor.with(ExportRecordsRequest { start_index: 2 });
    let mut stream = auditor.audit().export_records(request).await.unwrap().into_inner();
    let (mut heads, mut stored) = (Vec::new(), Vec::new());
    while let Some(part) = stream.message().await.unwrap() {
        match part.part.unwrap() {
            export_records_response::Part::Head(head) => heads.push(head.size),
            export_records_response::Part::Records(batch) => {
                assert_eq!(batch.first_index, 2 + stored.len() as u64);
                stored.extend(batch.stored);
            }
        }
    }
    assert_eq!((heads, stored.len() as u64), (vec![size], size - 2));
}

/// A log of many records, sealed as it is.
async fn many_records(world: &World, session: SessionId) {
    let observation = Observation {
        session: Some(session),
        by: None,
        action: Action::FetchMessages,
        entities: Vec::new(),
        refused: None,
        purpose: None,
        reason: None,
        seen: None,
        count: None,
    };
    for number in 500..540 {
        let observations = vec![observation.clone(); OBSERVATIONS_MAX];
        let once = Once { epoch: EPOCH, number, settled: 1 };
        own(&world.node, Command::Observe(once, observations)).await;
    }
    seal_head(world).await;
}

fn session_of(person: &Person) -> SessionId {
    person.session.rsplit('/').next().and_then(|id| id.parse().ok()).expect("an id")
}

/// Has the head of the log as it is signed by two.
async fn seal_head(world: &World) -> u64 {
    own(&world.node, Command::MarkHead).await;
    let size = state::heads(&world.node.view()).unwrap().records;
    let signed = || world.node.view().head(size).unwrap().and_then(|head| head.signatures.first().copied());
    until("this node has signed", || signed().is_some()).await;
    let (b, root) = (NodeId::new(Slot::B, Incarnation(1)), signed().unwrap().root);
    let command = Command::SignHead(SignHead { number: 1, size, root, signature: [0; 64] });
    world.node.apply(Envelope { origin: b, author: Author::Node, command }).await.result.unwrap();
    size
}

#[tokio::test]
async fn an_export_ends_with_its_token_or_the_permission_and_says_so() {
    let world = World::start().await;
    let admin = world.admin().await;
    let auditor = operator(&world, &admin, "auditor", &[PermissionSet::Auditor]).await;
    let other = operator(&world, &admin, "other", &[PermissionSet::Auditor]).await;
    many_records(&world, session_of(&auditor)).await;
    let open = |by: &Person| {
        let by = by.clone();
        async move {
            let mut stream =
                by.audit().export_records(by.with(ExportRecordsRequest::default())).await.unwrap().into_inner();
            stream.message().await.unwrap().expect("the head"); // And now nothing is read for a while.
            stream
        }
    };
    let rest = async |mut stream: tonic::Streaming<ExportRecordsResponse>| loop {
        match stream.message().await {
            Ok(Some(_)) => {}
            Ok(None) => return "it was complete".to_owned(),
            Err(status) => return reason(&status),
        }
    };
    assert_eq!(rest(open(&auditor).await).await, "it was complete");

    let stopped = open(&other).await;
    let update = UpdateUserRequest {
        user: Some(User { name: other.name.clone(), ..User::default() }),
        update_paths: vec!["permission_sets".into()],
        request_id: admin.id(),
    };
    admin.directory().update_user(admin.with(update)).await.unwrap();
    assert_eq!(rest(stopped).await, "NOT_PERMITTED", "it does not outlast the permission");

    let stopped = open(&auditor).await;
    let row = world.node.view().session(session_of(&auditor)).unwrap().unwrap();
    let later = Envelope { origin: NODE, author: Author::Node, command: Command::MarkHead };
    world.node.apply_at(later, row.token_expires.plus_ms(1)).await.result.unwrap();
    assert_eq!(rest(stopped).await, "TOKEN_EXPIRED", "nor its token");
}

#[tokio::test]
async fn what_is_too_large_or_not_there_is_refused_with_a_reason_like_all_else() {
    let world = World::start().await;
    let admin = world.admin().await;
    let large = outgoing("conversations/x", &vec![b'x'; CLIENT_REQUEST_BYTES_MAX]);
    let send = SendMessageRequest { message: Some(large.clone()), request_id: admin.id() };
    let status = admin.messages().send_message(admin.with(send)).await.expect_err("too large");
    assert_eq!((status.code(), reason(&status)), (tonic::Code::InvalidArgument, "REQUEST_TOO_LARGE".into()));
    let stream = tokio_stream::once(StreamMessagesRequest { message: Some(large), request_id: admin.id() });
    let answer = admin.messages().stream_messages(admin.with(stream)).await;
    let status = match answer {
        Ok(answers) => answers.into_inner().message().await.expect_err("too large"),
        Err(status) => status,
    };
    assert_eq!(reason(&status), "REQUEST_TOO_LARGE", "{status:?}");

    let mut grpc = tonic::client::Grpc::new(world.channel.clone());
    grpc.ready().await.unwrap();
    let path = "/tricord.v1.AuditService/DoWhatIsNotThere".parse().unwrap();
    let codec = tonic_prost::ProstCodec::<GetHeadRequest, GetHeadResponse>::default();
    let status = grpc.unary(admin.with(GetHeadRequest {}), path, codec).await.expect_err("no such method");
    assert_eq!((status.code(), reason(&status)), (tonic::Code::Unimplemented, "UNKNOWN_METHOD".into()));
}

#[tokio::test]
async fn a_node_whose_root_two_others_do_not_have_stops() {
    let world = World::start().await;
    world.admin().await;
    own(&world.node, Command::MarkHead).await;
    let size = state::heads(&world.node.view()).unwrap().records;
    for slot in [Slot::B, Slot::C] {
        let command = Command::SignHead(SignHead { number: 1, size, root: [9; 32], signature: [0; 64] });
        let origin = NodeId::new(slot, Incarnation(1));
        world.node.apply(Envelope { origin, author: Author::Node, command }).await.result.unwrap();
    }
    let why = tokio::time::timeout(Duration::from_secs(20), world.services.faulted()).await.expect("it stops");
    assert!(why.contains("not the one the others hold"), "{why}");
}

#[tokio::test]
async fn writes_are_refused_while_two_nodes_disagree_and_an_administrator_decides() {
    let world = World::start().await;
    let admin = world.admin().await;
    let auditor = operator(&world, &admin, "auditor", &[PermissionSet::Auditor]).await;
    let ward = admin.group("Ward", &[]).await;
    own(&world.node, Command::MarkHead).await;
    let size = state::heads(&world.node.view()).unwrap().records;
    let signed = || world.node.view().head(size).unwrap().and_then(|head| head.signatures.first().copied());
    until("this node has signed", || signed().is_some()).await;
    let command = Command::SignHead(SignHead { number: 1, size, root: [9; 32], signature: [0; 64] });
    let origin = NodeId::new(Slot::B, Incarnation(1));
    world.node.apply(Envelope { origin, author: Author::Node, command }).await.result.unwrap();
    assert_eq!(refused(admin.send(&ward, "no").await), "STATE_DIVERGED");
    let shown = auditor.audit().get_head(auditor.with(GetHeadRequest {})).await.unwrap().into_inner();
    assert_eq!((shown.diverged_size, shown.diverged_roots.len()), (size, 2));
    let root = signed().unwrap().root.to_vec();
    let decide = ResolveDivergenceRequest { size, root, request_id: admin.id() };
    admin.audit().resolve_divergence(admin.with(decide)).await.unwrap();
    admin.send(&ward, "yes").await.unwrap();
}

/// What was recorded of this person's session with this action.
fn shown(node: &SingleNode, person: &Person, action: Action) -> Vec<Entity> {
    let by = |record: &Record| matches!(&record.agent, Agent::User { session, .. } if person.session.ends_with(&session.to_string()));
    let all = records(node).into_iter().filter(|record| record.action == action && by(record));
    all.flat_map(|record| record.entities).collect()
}

async fn titles(person: &Person) -> Result<ListConversationsResponse, tonic::Status> {
    let request = ListConversationsRequest::default();
    Ok(person.conversations().list_conversations(person.with(request)).await?.into_inner())
}

async fn accounts(person: &Person) -> Result<ListUsersResponse, tonic::Status> {
    Ok(person.directory().list_users(person.with(ListUsersRequest::default())).await?.into_inner())
}

async fn statuses(person: &Person, of: &Person) -> Result<BatchGetPresenceResponse, tonic::Status> {
    let request = BatchGetPresenceRequest { users: vec![of.name.clone()], read: None };
    let mut client = presence_service_client::PresenceServiceClient::new(person.channel.clone());
    Ok(client.batch_get_presence(person.with(request)).await?.into_inner())
}

async fn say(person: &Person, text: &str) {
    let state = PresenceState::Busy.into();
    let request = SetPresenceRequest { state, text: text.into(), request_id: person.id(), ..Default::default() };
    let mut client = presence_service_client::PresenceServiceClient::new(person.channel.clone());
    client.set_presence(person.with(request)).await.unwrap();
}

#[tokio::test]
async fn titles_patients_names_and_status_texts_are_recorded_like_messages_and_kept_back_like_them() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (ana, ben) = (world.person(&admin, "ana").await, world.person(&admin, "ben").await);
    assert!(titles(&ben).await.unwrap().conversations.is_empty());
    accounts(&ben).await.unwrap();
    statuses(&ben, &ana).await.unwrap();
    let fetched = [Action::FetchTitles, Action::FetchNames, Action::FetchStatuses];
    let seen = |person: &Person| fetched.map(|action| shown(&world.node, person, action).len());
    assert_eq!(seen(&ben), [0, 0, 0], "nothing sealed was shown, so nothing is said");

    ana.group("Ward", &[&ben]).await;
    let patient = User {
        login: "p-1".into(),
        display_name: "Pat Ient".into(),
        kind: UserKind::Patient.into(),
        realm: Realm::Patient.into(),
        ..User::default()
    };
    let create = CreateUserRequest { user: Some(patient), without_enrolment_code: true, request_id: admin.id() };
    let patient = admin.directory().create_user(admin.with(create)).await.unwrap().into_inner().user.unwrap();
    say(&ana, "in theatre").await;
    assert_eq!(titles(&ben).await.unwrap().conversations[0].title, "Ward");
    assert!(accounts(&ben).await.unwrap().users.iter().any(|user| user.display_name == "Pat Ient"));
    assert_eq!(statuses(&ben, &ana).await.unwrap().presences[0].text, "in theatre");
    assert_eq!(seen(&ben), [1, 1, 1]);
    let [Entity::User(id)] = shown(&world.node, &ben, Action::FetchNames)[..] else { panic!("a patient") };
    assert_eq!(format!("users/{id}"), patient.name);
    statuses(&ana, &ana).await.unwrap();
    assert_eq!(seen(&ana)[2], 0, "one's own");

    // The majority went now, after ben's session was in use here and before any of these is.
    let gone = Instant::now();
    let [one, two, three, four] = [(); 4].map(|()| world.again("ben"));
    let (one, two, three, four) = (one.await, two.await, three.await, four.await);
    world.node.set_stale(Some(gone.elapsed()));
    assert_eq!(refused(titles(&one).await), "NO_MAJORITY");
    assert_eq!(refused(accounts(&two).await), "NO_MAJORITY");
    assert_eq!(refused(statuses(&three, &ana).await), "NO_MAJORITY");
    let opened = four.sync(&[], &[&ana]).await.map(drop).map_err(|status| reason(&status));
    assert_eq!(opened, Err("NO_MAJORITY".into()), "status texts come by streams too");
    assert!(titles(&ben).await.is_ok(), "this session was in use here before");
    assert_eq!(seen(&ben), [1, 1, 1], "it is in the spool");
    world.node.set_stale(None);
    until("the spool is recorded", || seen(&ben) == [2, 1, 1]).await;
}
