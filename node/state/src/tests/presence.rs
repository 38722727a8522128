use super::*;
use types::command::{Confirmation, SetStatus};
use types::limits::{EVENTS_KEPT_MS, GRACE_MS, TIMERS_PER_TICK_MAX};
use types::presence::{Availability, Presence};
use types::session::Session;
use types::{EventNumber, Key, Row};

use crate::presence::of;
use crate::view::{Rows, heads};

fn presence(world: &World, n: u8) -> Presence {
    let Ok(presence) = of(&world.model, Timestamp(world.now), user(n));
    presence
}

fn connection(world: &mut World, node: NodeId, epoch: u64, n: u8, connection: Connection) -> Result<Reply, Reject> {
    let command = Command::Connections(Connections { epoch, changes: vec![(session(n), connection)] });
    world.put(Envelope { origin: node, author: Author::Node, command }).answer.result
}

fn renew(world: &mut World, node: NodeId, epoch: u64) -> Result<Reply, Reject> {
    let command = Command::RenewLease(Lease { epoch });
    world.put(Envelope { origin: node, author: Author::Node, command }).answer.result
}

#[test]
fn several_sessions_combine() {
    let mut world = World::new(1);
    world.node(Command::SignIn(sign_in(1, 9, 2))).answer.result.expect("signs in");
    assert_eq!(presence(&world, 1), Presence::Offline(None));
    world.attach(1);
    world.attach(9);
    assert_eq!(presence(&world, 1), Presence::Available);
    let status =
        SetStatus { availability: Some(Availability::Dnd), text: vec![], expires: Some(Timestamp(world.now + 50)) };
    world.by(1, Command::SetStatus(status)).expect("sets");
    assert_eq!(presence(&world, 1), Presence::Dnd);
    world.now += 50;
    assert_eq!(presence(&world, 1), Presence::Available, "the status has expired");
    world.node(Command::Tick);
    assert!(!world.model.rows.contains_key(&Key::Status(user(1))));
    connection(&mut world, NODE, 1, 1, Connection::Idle(Timestamp(700))).expect("idle");
    assert_eq!(presence(&world, 1), Presence::Available);
    connection(&mut world, NODE, 1, 9, Connection::Idle(Timestamp(600))).expect("idle");
    assert_eq!(presence(&world, 1), Presence::Idle(Timestamp(700)));
    connection(&mut world, NODE, 1, 1, Connection::Gone).expect("gone");
    connection(&mut world, NODE, 1, 9, Connection::Gone).expect("gone");
    assert_eq!(presence(&world, 1), Presence::Offline(Some(Timestamp(world.now))));
}

#[test]
fn the_sessions_of_a_dead_node_are_in_grace_and_then_offline() {
    let mut world = World::new(1);
    world.attach(1);
    let died = world.now;
    let outcome = world.node(Command::ExpireLease(NODE, Lease { epoch: 1 }));
    assert_eq!(outcome.presence, [user(1)]);
    assert_eq!(presence(&world, 1), Presence::Reconnecting);
    assert_eq!(connection(&mut world, NODE, 1, 1, Connection::Active), Err(Reject::LeaseOver));
    world.now += GRACE_MS;
    assert_eq!(presence(&world, 1), Presence::Offline(Some(Timestamp(died))));
    assert_eq!(world.node(Command::Tick).presence, [user(1)]);
    assert_eq!(presence(&world, 1), Presence::Offline(Some(Timestamp(died))));
    assert_eq!(renew(&mut world, NODE, 1), Ok(Reply::Done));
    assert!(matches!(presence(&world, 1), Presence::Offline(_)), "until the node says that it is connected");
    world.attach(1);
    assert_eq!(presence(&world, 1), Presence::Available);
    assert_eq!(renew(&mut world, NODE, 2), Ok(Reply::Done));
    assert_eq!(presence(&world, 1), Presence::Reconnecting);
    invariants::check(&world.model);
}

#[test]
fn a_lease_renewed_within_grace_takes_its_sessions_back() {
    let mut world = World::new(1);
    world.attach(1);
    world.node(Command::ExpireLease(NODE, Lease { epoch: 1 }));
    world.now += GRACE_MS - 1;
    assert_eq!(renew(&mut world, NODE, 1), Ok(Reply::Done));
    assert_eq!(presence(&world, 1), Presence::Available);
    world.now += 1;
    world.node(Command::Tick);
    assert_eq!(presence(&world, 1), Presence::Available);
}

#[test]
fn a_session_that_moved_is_not_undone_by_the_node_it_left() {
    let mut world = World::new(1);
    world.attach(1);
    renew(&mut world, OTHER_NODE, 5).expect("a lease");
    connection(&mut world, OTHER_NODE, 5, 1, Connection::Active).expect("moves");
    connection(&mut world, NODE, 1, 1, Connection::Gone).expect("passed over");
    connection(&mut world, NODE, 1, 1, Connection::Idle(Timestamp(1))).expect("passed over");
    assert_eq!(presence(&world, 1), Presence::Available);
    renew(&mut world, OTHER_NODE, 6).expect("starts anew");
    assert_eq!(presence(&world, 1), Presence::Reconnecting);
    world.now += GRACE_MS;
    world.node(Command::Tick);
    assert!(matches!(presence(&world, 1), Presence::Offline(Some(_))));
    assert_eq!(renew(&mut world, OTHER_NODE, 5), Err(Reject::LeaseOver));
    invariants::check(&world.model);
}

#[test]
fn old_events_are_dropped_in_slices() {
    let mut world = World::new(2);
    world.group(1, 1, &[2]);
    for _ in 0..TIMERS_PER_TICK_MAX {
        let seq = posted(world.by(1, post(1)));
        let conversation = conversation(1);
        let displayed = Confirmation { session: session(2), conversation, delivered: seq, displayed: seq };
        world.node(Command::Confirm(vec![displayed])); // Tells of it, which is an event that is not a message.
    }
    world.now += EVENTS_KEPT_MS;
    let Ok(before) = heads(&world.model);
    world.node(Command::Tick);
    let Ok(first) = heads(&world.model);
    assert!(first.events_dropped > EventNumber(0) && first.events_dropped < before.event);
    invariants::check(&world.model);
    for _ in 0..3 {
        world.node(Command::Tick);
    }
    let Ok(last) = heads(&world.model);
    assert!(last.events_dropped >= before.event);
    let messages = world.model.rows.keys().filter(|key| matches!(key, Key::Message(..))).count();
    assert_eq!(messages, TIMERS_PER_TICK_MAX, "messages stay");
    invariants::check(&world.model);
}

#[test]
fn sessions_of_a_dead_node_go_offline_in_slices() {
    let mut world = World::new(1);
    world.attach(1);
    let Ok(Some(one)) = world.model.session(session(1)) else { panic!("no session") };
    let extra = 2 * TIMERS_PER_TICK_MAX as u32;
    let here = one.attached.expect("attached");
    for n in 0..extra {
        let mut id = [200; 16];
        id[..4].copy_from_slice(&n.to_be_bytes());
        let (id, user) = (SessionId(id), UserId(id));
        world.model.rows.insert(Key::Session(id), Row::Session(Session { id, user, ..one.clone() }));
        world.model.rows.insert(Key::UserSession(user, id), Row::UserSession(()));
        world.model.rows.insert(Key::Attached(here, id), Row::Attached(()));
    }
    world.node(Command::ExpireLease(NODE, Lease { epoch: 1 }));
    world.now += GRACE_MS;
    let mut offline = 0;
    for _ in 0..4 {
        let told = world.node(Command::Tick).presence.len();
        assert!(told <= TIMERS_PER_TICK_MAX);
        offline += told;
    }
    assert_eq!(offline, extra as usize + 1, "each once");
    assert!(!world.model.rows.keys().any(|key| matches!(key, Key::Attached(..))));
}
