use std::time::Duration;

use proto::v1::presence_service_client::PresenceServiceClient;
use proto::v1::sync_response::Item;
use proto::v1::*;
use raft::Handle;
use state::view::Rows;
use tonic::Streaming;
use types::command::Lease;
use types::limits::TIMERS_PER_TICK_MAX;
use types::session::Attachment;
use types::{Author, Command, Envelope, Incarnation, Key, NodeId, Row, SessionId, Slot, UserId};

use crate::world::{Person, World, next, refused};

async fn state(stream: &mut Streaming<SyncResponse>, wanted: PresenceState) -> Presence {
    loop {
        let item = next(stream).await.unwrap().unwrap();
        if let Some(Item::PresenceChanged(changed)) = item.item {
            assert!(item.cursor.is_empty());
            let presence = changed.presence.unwrap();
            if presence.state() == wanted {
                return presence;
            }
        }
    }
}

async fn status(person: &Person, state: PresenceState, text: &str) -> Result<(), tonic::Status> {
    let request =
        SetPresenceRequest { state: state.into(), text: text.into(), expire_time: None, request_id: person.id() };
    PresenceServiceClient::new(person.channel.clone()).set_presence(person.with(request)).await.map(|_| ())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_see_streams_open_close_and_what_is_said() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (ito, mori) = (world.person(&admin, "ito").await, world.person(&admin, "mori").await);
    let mut watcher = ito.sync(&ito.cursor, &[&mori]).await.unwrap();
    state(&mut watcher, PresenceState::Offline).await;
    let open = mori.sync(&mori.cursor, &[]).await.unwrap();
    state(&mut watcher, PresenceState::Available).await;
    status(&mori, PresenceState::Busy, "in theatre 2").await.unwrap();
    assert_eq!(state(&mut watcher, PresenceState::Busy).await.text, "in theatre 2");
    assert_eq!(refused(status(&mori, PresenceState::Offline, "").await), "INVALID");
    assert_eq!(refused(status(&mori, PresenceState::Busy, "a\u{202E}b").await), "INVALID");

    let idle = ReportActivityRequest { idle_since: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 0 }) };
    PresenceServiceClient::new(mori.channel.clone()).report_activity(mori.with(idle)).await.unwrap();
    assert!(state(&mut watcher, PresenceState::Idle).await.since.is_some());
    drop(open);
    state(&mut watcher, PresenceState::Offline).await;

    let get = BatchGetPresenceRequest { users: vec![mori.name.clone(), ito.name.clone()], read: None };
    let got = PresenceServiceClient::new(ito.channel.clone()).batch_get_presence(ito.with(get)).await.unwrap();
    let got = got.into_inner().presences;
    assert_eq!(got.iter().map(Presence::state).collect::<Vec<_>>(), [PresenceState::Offline, PresenceState::Available]);
}

/// The session of someone, many times over, attached to a node: each of a user of its own.
fn crowd(one: &types::session::Session, node: NodeId) -> Vec<(Key, Row)> {
    let attached = Attachment { node, epoch: 1 };
    let mut rows = Vec::new();
    for n in 0..=TIMERS_PER_TICK_MAX as u128 {
        let id = SessionId(n.to_be_bytes());
        // The last one is of the user we watch: the command that expires the lease does not come as far as this.
        let user = if n == TIMERS_PER_TICK_MAX as u128 { one.user } else { UserId(n.to_be_bytes()) };
        let session = types::session::Session { id, user, attached: Some(attached), ..one.clone() };
        rows.push((Key::Attached(attached, id), Row::Attached(())));
        rows.push((Key::UserSession(user, id), Row::UserSession(())));
        rows.push((Key::Session(id), Row::Session(session)));
    }
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_stays_available_on_a_node_that_is_gone_however_many_were_connected() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (ito, mori) = (world.person(&admin, "ito").await, world.person(&admin, "mori").await);
    let other = NodeId::new(Slot::B, Incarnation(1));
    let by_other = |command| Envelope { origin: other, author: Author::Node, command };
    world.node.apply(by_other(Command::RenewLease(Lease { epoch: 1 }))).await.result.unwrap();
    let session = mori.session.rsplit('/').next().unwrap().parse().unwrap();
    let session = world.node.view().session(session).unwrap().unwrap();
    world.node.insert(crowd(&session, other));
    let mut watcher = ito.sync(&ito.cursor, &[&mori]).await.unwrap();
    state(&mut watcher, PresenceState::Available).await;
    world.node.apply(by_other(Command::ExpireLease(other, Lease { epoch: 1 }))).await.result.unwrap();
    state(&mut watcher, PresenceState::Reconnecting).await;
    world.node.apply(by_other(Command::RenewLease(Lease { epoch: 1 }))).await.result.unwrap();
    state(&mut watcher, PresenceState::Available).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn typing_reaches_the_others_and_nobody_else() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (ito, mori) = (world.person(&admin, "ito").await, world.person(&admin, "mori").await);
    let ward = ito.group("Ward", &[&mori]).await;
    let mut stream = mori.sync(&[], &[]).await.unwrap();
    assert!(matches!(
        next(&mut stream).await.unwrap().unwrap().item,
        Some(Item::Progress(Progress { live: true, .. }))
    ));
    let typing = |person: &Person| person.with(SendTypingRequest { conversation: ward.clone() });
    let mut presence = PresenceServiceClient::new(world.channel.clone());
    assert_eq!(refused(presence.send_typing(typing(&admin)).await), "NOT_FOUND");
    presence.send_typing(typing(&mori)).await.unwrap();
    presence.send_typing(typing(&ito)).await.unwrap();
    presence.send_typing(typing(&ito)).await.unwrap();
    let Some(Item::Typing(notice)) = next(&mut stream).await.unwrap().unwrap().item else { panic!("typing") };
    assert_eq!((notice.conversation.as_str(), notice.user.as_str()), (ward.as_str(), ito.name.as_str()));
    assert_eq!(world.node.typing().len(), 2, "one a second for each, to the other nodes");
    // The second notice within a second did not come: what comes next is something else.
    ito.send(&ward, "hello").await.unwrap();
    let item = next(&mut stream).await.unwrap().unwrap().item;
    assert!(matches!(item, Some(Item::MessagePosted(_))), "{item:?}");
    let elsewhere = world.node.typing()[1];
    world.typing.send(elsewhere).await.unwrap();
    assert!(matches!(next(&mut stream).await.unwrap().unwrap().item, Some(Item::Typing(_))));
}

#[tokio::test]
async fn cluster_status_needs_permission() {
    use proto::v1::cluster_service_client::ClusterServiceClient;
    let world = World::start().await;
    let admin = world.admin().await;
    let ito = world.person(&admin, "ito").await;
    let mut cluster = ClusterServiceClient::new(world.channel.clone());
    assert_eq!(refused(cluster.get_cluster_status(ito.with(GetClusterStatusRequest {})).await), "NOT_PERMITTED");
    let status = cluster.get_cluster_status(admin.with(GetClusterStatusRequest {})).await.unwrap().into_inner();
    assert_eq!(status.summary, "OK. All three nodes are well; any one may be stopped now.");
    assert_eq!((status.nodes.len(), status.answered_by.as_str()), (3, "a"));
}

#[tokio::test]
async fn shutting_down_ends_streams_and_parts() {
    let world = World::start().await;
    let admin = world.admin().await;
    let mut stream = admin.sync(&[], &[]).await.unwrap();
    next(&mut stream).await.unwrap();
    world.services.shut_down(Duration::from_secs(5)).await;
    let end = loop {
        match next(&mut stream).await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("ended without a reason"),
            Err(status) => break status,
        }
    };
    assert_eq!(crate::world::reason(&end), "SHUTTING_DOWN");
}
