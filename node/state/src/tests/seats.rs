use types::command::ApproveHolder;
use types::id::{Incarnation, Slot};
use types::reply::Field;
use types::seat::{AdmitNode, Refound};

use super::*;
use crate::view::Rows;

fn b(incarnation: u32) -> NodeId {
    NodeId::new(Slot::B, Incarnation(incarnation))
}

fn envelopes(node: NodeId, public: u8) -> Vec<(u32, KeyEnvelope)> {
    vec![(1, KeyEnvelope { holder: Holder::Node(node), public: [public; 32], sealed: vec![1] })]
}

fn admission(node: NodeId, disk: u8) -> AdmitNode {
    AdmitNode {
        node,
        disk: [disk; 16],
        public: [disk; 32],
        peer_address: "b:2".to_string(),
        client_address: "b:1".to_string(),
        envelopes: envelopes(node, disk),
    }
}

fn admit(world: &mut World, node: NodeId, disk: u8) -> Result<Reply, Reject> {
    world.node(Command::AdmitNode(admission(node, disk))).answer.result
}

fn is_holder(world: &World, node: NodeId) -> bool {
    let Ok(holder) = world.model.key_holder(Holder::Node(node));
    let Ok(envelope) = world.model.key_envelope(1, Holder::Node(node));
    assert_eq!(holder.is_some(), envelope.is_some());
    holder.is_some()
}

#[test]
fn a_node_that_was_let_in_holds_the_key_and_whoever_it_replaces_does_not() {
    let mut world = World::new(0);
    let approve = ApproveHolder { holder: Holder::Node(b(1)), public: [9; 32], envelopes: envelopes(b(1), 9) };
    world.by(0, Command::ApproveHolder(approve)).expect("approved");
    admit(&mut world, b(2), 2).expect("let in");
    assert!(is_holder(&world, b(1)) && is_holder(&world, b(2)));
    world.node(Command::SeatNode(b(2))).answer.result.expect("seated");
    assert!(!is_holder(&world, b(1)) && is_holder(&world, b(2)));
    let records = crate::heads(&world.model).expect("heads").records;
    world.node(Command::SeatNode(b(2))).answer.result.expect("again");
    admit(&mut world, b(2), 2).expect("again");
    assert_eq!(crate::heads(&world.model).expect("heads").records, records, "a repeat leaves no record");
}

#[test]
fn an_id_is_never_given_twice_and_only_one_node_is_on_its_way() {
    let mut world = World::new(0);
    assert_eq!(admit(&mut world, b(1), 1), Err(Reject::Invalid(Field::Node)), "an id of the founding");
    admit(&mut world, b(3), 3).expect("let in");
    assert_eq!(admit(&mut world, b(3), 4), Err(Reject::Taken(0)), "another disk");
    assert_eq!(admit(&mut world, b(2), 2), Err(Reject::Taken(0)), "an older id");
    let c = NodeId::new(Slot::C, Incarnation(2));
    assert_eq!(admit(&mut world, c, 5), Err(Reject::WrongPhase), "one at a time");
    admit(&mut world, b(4), 4).expect("the disk before was lost on its way");
    assert_eq!(world.node(Command::SeatNode(b(3))).answer.result, Err(Reject::WrongPhase));
    assert!(!is_holder(&world, b(3)));
    world.node(Command::SeatNode(b(4))).answer.result.expect("seated");
    admit(&mut world, c, 5).expect("now the other");
    assert_eq!(world.node(Command::SeatNode(b(9))).answer.result, Err(Reject::NotFound));
}

#[test]
fn who_is_let_in_without_every_key_or_by_a_user_is_not_let_in() {
    let mut world = World::new(1);
    let without = AdmitNode { envelopes: vec![], ..admission(b(2), 2) };
    assert_eq!(world.node(Command::AdmitNode(without)).answer.result, Err(Reject::Invalid(Field::Envelopes)));
    let nowhere = AdmitNode { peer_address: String::new(), ..admission(b(2), 2) };
    assert_eq!(world.node(Command::AdmitNode(nowhere)).answer.result, Err(Reject::Invalid(Field::Address)));
    assert_eq!(world.by(0, Command::AdmitNode(admission(b(2), 2))), Err(Reject::NotPermitted));
    let Ok(seat) = world.model.seat(b(2));
    assert_eq!(seat, None);
}

#[test]
fn a_new_history_has_another_lineage_and_says_from_where_on_something_may_be_missing() {
    let mut world = World::new(1);
    admit(&mut world, b(2), 2).expect("let in");
    let before = crate::heads(&world.model).expect("heads");
    let new = Refound { lineage: Lineage([2; 16]), node: NODE, at: Timestamp(9_000_000), single_copy: false };
    let foreign = Refound { node: OTHER_NODE, ..new };
    assert_eq!(world.node(Command::Refound(foreign)).answer.result, Err(Reject::NotPermitted));
    world.node(Command::Refound(new)).answer.result.expect("begun");
    let Ok(Some(cluster)) = world.model.cluster() else { panic!("there") };
    assert_eq!(cluster.lineage, Lineage([2; 16]));
    let Ok(Some(refounding)) = world.model.refounding() else { panic!("there") };
    assert_eq!((refounding.before, refounding.last), (Lineage([1; 16]), before.clock));
    let Ok(Some(seat)) = world.model.seat(b(2)) else { panic!("there") };
    assert!(seat.replaced.is_some(), "whoever was on its way has to ask again");
}
