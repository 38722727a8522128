use types::command::{Observation, Once, ResolveDivergence, SignHead};
use types::limits::{AUDIT_HEAD_KEPT_MS, AUDIT_HEAD_MS, NODE_NUMBERS_MAX};
use types::record::{Action, Agent, Entity, Result as End};
use types::reply::Field;
use types::row::Head;
use types::{Incarnation, Slot};

use super::*;
use crate::view::{Rows, heads};

const A: NodeId = NodeId::new(Slot::A, Incarnation(1));
const B: NodeId = NodeId::new(Slot::B, Incarnation(1));
const C: NodeId = NodeId::new(Slot::C, Incarnation(1));

impl World {
    pub(super) fn from(&mut self, origin: NodeId, command: Command) -> Result<Reply, Reject> {
        self.put(Envelope { origin, author: Author::Node, command }).answer.result
    }

    /// Names a head, later than the one before.
    fn mark(&mut self) -> u64 {
        self.now += AUDIT_HEAD_MS;
        self.from(A, Command::MarkHead).expect("marks");
        let size = heads(&self.model).expect("heads").records;
        assert!(self.head(size).is_some(), "there is news, so a head is named");
        size
    }

    fn sign(&mut self, node: NodeId, size: u64, root: u8) -> Result<Reply, Reject> {
        let number = self.head(size).map_or(0, |head| head.number);
        self.sign_number(node, number, size, root)
    }

    fn sign_number(&mut self, node: NodeId, number: u64, size: u64, root: u8) -> Result<Reply, Reject> {
        self.from(node, Command::SignHead(SignHead { number, size, root: [root; 32], signature: [node.0 as u8; 64] }))
    }

    fn head(&self, size: u64) -> Option<Head> {
        let Ok(head) = self.model.head(size);
        head
    }

    fn news(&mut self) {
        self.by(0, Command::SetStatus(types::command::SetStatus { availability: None, text: vec![], expires: None }))
            .expect("something to record");
    }

    pub(super) fn last_record(&self) -> types::record::Record {
        let Ok(heads) = heads(&self.model);
        let Ok(record) = self.model.record(heads.records - 1);
        record.expect("there")
    }
}

#[test]
fn a_head_is_named_when_there_is_news_and_not_too_often() {
    let mut world = World::new(0);
    let size = world.mark();
    world.now += AUDIT_HEAD_MS;
    world.from(B, Command::MarkHead).expect("nothing to do");
    assert_eq!(world.model.rows.keys().filter(|key| matches!(key, Key::Head(_))).count(), 1, "no news");
    world.news();
    world.now -= AUDIT_HEAD_MS; // The clock does not go back with it.
    let next = world.mark();
    assert!(next > size);
    world.news();
    world.from(A, Command::MarkHead).expect("nothing to do");
    assert_eq!(world.head(next + 1), None, "too soon");
}

#[test]
fn two_equal_roots_seal_a_head_and_the_third_is_kept_with_them() {
    let mut world = World::new(0);
    let size = world.mark();
    world.sign(B, size, 1).expect("signs");
    assert_eq!(world.head(size).expect("there").sealed, None);
    world.sign(B, size, 1).expect("again, to no effect");
    assert_eq!(world.head(size).expect("there").sealed, None, "one node is one node");
    world.sign(C, size, 1).expect("signs");
    let head = world.head(size).expect("there");
    assert_eq!((head.sealed, head.root()), (Some(Timestamp(world.now)), Some([1; 32])));
    world.sign(A, size, 1).expect("signs");
    assert_eq!(world.head(size).expect("there").signatures.len(), 3);
    assert_eq!(world.sign(NodeId(77), size, 1), Err(Reject::NotPermitted), "who is no signer signs nothing");
}

#[test]
fn two_against_one_goes_on_and_says_which_one() {
    let mut world = World::new(0);
    let size = world.mark();
    world.sign(A, size, 1).expect("signs");
    world.sign(B, size, 1).expect("signs");
    world.sign(C, size, 9).expect("its word is kept");
    let record = world.last_record();
    assert_eq!((record.action, record.entities), (Action::FindDivergence, vec![Entity::Head(size), Entity::Node(C)]));
    assert_eq!(world.head(size).expect("there").root(), Some([1; 32]));
    world.news();
}

#[test]
fn a_node_that_holds_more_or_fewer_records_is_found_out_on_both_sides() {
    for other in [-1, 3] {
        // As the two see it that hold the same.
        let mut world = World::new(0);
        let size = world.mark();
        let number = world.head(size).expect("there").number;
        world.sign(A, size, 1).expect("signs");
        world.sign(B, size, 1).expect("signs");
        world.sign_number(C, number, size.saturating_add_signed(other), 9).expect("its word is kept");
        let record = world.last_record();
        assert_eq!((record.action, &record.entities[1..]), (Action::FindDivergence, &[Entity::Node(C)][..]));

        // As the odd one sees it: two have another root than its own.
        let mut world = World::new(0);
        let size = world.mark();
        world.sign(C, size, 9).expect("signs");
        for node in [A, B] {
            world.sign_number(node, number, size.saturating_add_signed(other), 1).expect("their word is kept");
        }
        assert_eq!(world.head(size).expect("there").root(), Some([1; 32]));
    }
}

#[test]
fn one_against_one_refuses_writes_until_the_third_decides() {
    let mut world = World::new(0);
    let size = world.mark();
    world.sign(A, size, 1).expect("signs");
    world.sign(B, size, 9).expect("its word is kept");
    let status = || Command::SetStatus(types::command::SetStatus { availability: None, text: vec![], expires: None });
    assert_eq!(world.put(request(0, 50, 40, status())).answer.result, Err(Reject::StateDiverged));
    assert_eq!(world.node(enrol(0, 9)).answer.result, Err(Reject::StateDiverged));
    world.from(A, Command::RenewLease(Lease { epoch: 1 })).expect("a node goes on living");
    let Ok(credential) = world.model.credential(user(0));
    let version = credential.expect("there").version;
    world.node(Command::SignIn(sign_in(0, 9, version))).answer.result.expect("whoever decides can sign in");
    world.sign(C, size, 9).expect("decides");
    assert_eq!(world.last_record().entities, [Entity::Head(size), Entity::Node(A)], "the odd one is named");
    world.put(request(0, 50, 40, status())).answer.result.expect("the same number goes through now");
}

#[test]
fn an_operator_decides_where_the_third_is_silent() {
    let mut world = World::new(1);
    let size = world.mark();
    world.sign(A, size, 1).expect("signs");
    world.sign(B, size, 9).expect("its word is kept");
    let decide = |root| Command::ResolveDivergence(ResolveDivergence { size, root: [root; 32] });
    assert_eq!(world.by(1, decide(9)), Err(Reject::NotPermitted));
    assert!(matches!(world.by(0, decide(5)), Err(Reject::Invalid(_))), "a root that nobody has");
    world.by(0, decide(9)).expect("decides");
    assert_eq!(world.head(size).expect("there").root(), Some([9; 32]));
    world.news();
}

#[test]
fn a_decision_reaches_the_node_whose_records_have_another_size() {
    let mut world = World::new(0);
    let size = world.mark();
    let number = world.head(size).expect("there").number;
    world.sign(C, size, 9).expect("its own");
    world.sign_number(A, number, size + 2, 1).expect("the other's");
    world.now += AUDIT_HEAD_MS;
    world.from(A, Command::MarkHead).expect("nothing to do");
    let heads = world.model.rows.keys().filter(|key| matches!(key, Key::Head(_))).count();
    assert_eq!(heads, 1, "the head they differ about stays the newest");
    world.by(0, Command::ResolveDivergence(ResolveDivergence { size: size + 2, root: [1; 32] })).expect("decides");
    assert_eq!(world.head(size).expect("there").root(), Some([1; 32]), "by which this node sees that it is wrong");
    world.news();
}

#[test]
fn of_older_heads_the_first_sealed_of_each_hour_is_kept() {
    let mut world = World::new(0);
    world.now = 10 * AUDIT_HEAD_KEPT_MS;
    let mut sizes = vec![];
    for hour in 0..3 {
        world.now = (10 + hour) * AUDIT_HEAD_KEPT_MS;
        for number in 0..5 {
            world.news();
            let size = world.mark();
            if number != 3 {
                world.sign(A, size, 1).expect("signs");
                world.sign(B, size, 1).expect("signs");
            }
            sizes.push(size);
        }
    }
    let kept: Vec<u64> = sizes.iter().copied().filter(|&size| world.head(size).is_some()).collect();
    assert_eq!(kept, [sizes[0], sizes[5], sizes[10], sizes[14]]);
}

fn admission(node: NodeId) -> types::seat::AdmitNode {
    let envelope = KeyEnvelope { holder: Holder::Node(node), public: [2; 32], sealed: vec![1] };
    types::seat::AdmitNode {
        node,
        disk: [2; 16],
        public: [2; 32],
        peer_address: "b:2".to_string(),
        client_address: "b:1".to_string(),
        envelopes: vec![(1, envelope)],
    }
}

#[test]
fn a_node_that_takes_a_slot_signs_in_place_of_the_one_before() {
    let mut world = World::new(0);
    let next = NodeId::new(Slot::B, Incarnation(2));
    assert_eq!(world.from(next, Command::SetSigner([0xB2; 32])), Err(Reject::NotPermitted), "nobody let it in");
    world.from(A, Command::AdmitNode(admission(next))).expect("let in");
    world.from(next, Command::SetSigner([0xB2; 32])).expect("signs from here on");
    assert_eq!(world.last_record().entities[0], Entity::Signer(next, [0xB2; 32]));
    let records = heads(&world.model).expect("heads").records;
    world.from(next, Command::SetSigner([0xB2; 32])).expect("again, to no effect");
    assert_eq!(heads(&world.model).expect("heads").records, records, "a repeat leaves no record");
    assert_eq!(world.from(next, Command::SetSigner([0xB3; 32])), Err(Reject::NotPermitted), "one key to a node");
    let size = world.mark();
    assert_eq!(world.sign(B, size, 1), Err(Reject::NotPermitted));
    world.sign(next, size, 1).expect("signs");
    assert_eq!(world.from(B, Command::SetSigner([9; 32])), Err(Reject::NotPermitted), "the old one stays out");
}

#[test]
fn the_three_that_went_on_from_a_backup_sign_and_a_stranger_does_not() {
    let mut world = World::new(0);
    let node = |incarnation| NodeId::new(Slot::B, Incarnation(incarnation));
    assert_eq!(world.from(node(4), Command::SetSigner([4; 32])), Err(Reject::NotPermitted), "nobody let it in");
    let Ok(heads) = heads(&world.model);
    let refounding = types::seat::Refounding {
        before: types::Lineage([1; 16]),
        last: heads.clock,
        at: heads.clock,
        node: NodeId::new(Slot::A, Incarnation(4)),
        single_copy: false,
        records: heads.records,
    };
    world.model.rows.insert(Key::Refounding(), Row::Refounding(refounding));
    assert_eq!(world.from(node(3), Command::SetSigner([3; 32])), Err(Reject::NotPermitted), "of no history here");
    world.from(node(4), Command::SetSigner([4; 32])).expect("it is one of the three");
}

#[test]
fn what_is_observed_is_recorded_as_of_its_session_and_nothing_else_passes_for_it() {
    let mut world = World::new(1);
    let fetch = |session, action| Observation {
        session,
        by: None,
        action,
        entities: vec![Entity::Messages(conversation(1), Seq(1), Seq(9))],
        refused: None,
        purpose: None,
        reason: None,
        seen: None,
        count: None,
    };
    let observe = vec![fetch(Some(session(1)), Action::FetchMessages), fetch(None, Action::Look)];
    let Ok(Reply::Recorded(records)) = world.from(A, Command::Observe(once(1), observe)) else { panic!("recorded") };
    let Ok(Some(first)) = world.model.record(records - 2) else { panic!("there") };
    let agent = Agent::User { user: user(1), acting_role: None, device: device(1), session: session(1) };
    assert_eq!((first.agent, first.origin, first.result), (agent, A, End::Done));
    assert_eq!(world.last_record().agent, Agent::Unknown);
    let forged = vec![fetch(Some(session(1)), Action::Post)];
    assert!(matches!(world.from(A, Command::Observe(once(2), forged)), Err(Reject::Invalid(_))));
}

const fn once(number: u64) -> Once {
    Once { epoch: 1, number, settled: 1 }
}

fn look() -> Observation {
    Observation {
        session: Some(session(1)),
        by: None,
        action: Action::Look,
        entities: vec![],
        refused: None,
        purpose: None,
        reason: None,
        seen: None,
        count: None,
    }
}

#[test]
fn what_is_put_again_is_recorded_once_in_whatever_order_it_comes() {
    let mut world = World::new(1);
    let records = |world: &World| heads(&world.model).expect("heads").records;
    let before = records(&world);
    for number in [2, 1, 2, 1, 3, 3] {
        assert!(world.from(A, Command::Observe(once(number), vec![look()])).is_ok());
    }
    assert_eq!(records(&world), before + 3);
    world.from(B, Command::Observe(once(1), vec![look()])).expect("another node has its own numbers");
    let settled = Once { settled: 5, ..once(5) };
    world.from(A, Command::Observe(settled, vec![look()])).expect("those before are settled");
    assert_eq!(world.from(A, Command::Observe(once(4), vec![look()])), Err(Reject::DedupExpired));
    let anew = Once { epoch: 2, ..once(1) };
    world.from(A, Command::Observe(anew, vec![look()])).expect("it started anew");
    assert_eq!(world.from(A, Command::Observe(once(6), vec![look()])), Err(Reject::LeaseOver), "of the process before");
    assert_eq!(records(&world), before + 6);
    let far = Once { number: 1 + NODE_NUMBERS_MAX, ..anew };
    assert_eq!(world.from(A, Command::Observe(far, vec![look()])), Err(Reject::Limit(Field::Batch)));
    let Ok(Some(numbers)) = world.model.node_numbers(A) else { panic!("kept") };
    assert_eq!((numbers.epoch, numbers.done), (2, vec![1]));
}

#[test]
fn of_a_session_that_was_forgotten_the_node_says_whose_it_was() {
    let mut world = World::new(1);
    let of = |user_id, device_id, seen| Observation {
        session: Some(session(77)),
        by: Some((user_id, device_id)),
        seen,
        ..look()
    };
    let kept = Some(Timestamp(5));
    let cases = [
        (of(user(1), device(1), kept), Some(user(1)), "kept back while there was no majority"),
        (of(user(1), device(1), None), None, "a session of now is known, or there is none"),
        (of(user(0), device(1), kept), None, "the device of another"),
    ];
    for (number, (observation, who, why)) in (1..).zip(cases) {
        world.from(A, Command::Observe(once(number), vec![observation])).expect("recorded");
        let named = match world.last_record().agent {
            Agent::User { user, .. } => Some(user),
            Agent::Unknown | Agent::Cluster => None,
        };
        assert_eq!(named, who, "{why}");
    }
    let forged = Observation { by: Some((user(0), device(0))), seen: kept, ..look() };
    world.from(A, Command::Observe(once(9), vec![forged])).expect("recorded");
    assert!(
        matches!(world.last_record().agent, Agent::User { user: who, .. } if who == user(1)),
        "the session says whose"
    );
}

#[test]
fn the_first_record_names_the_keys_of_the_founding() {
    let world = World::new(0);
    let Ok(Some(first)) = world.model.record(0) else { panic!("there") };
    assert_eq!(
        first.entities[1..],
        [Entity::Signer(A, [1; 32]), Entity::Signer(B, [2; 32]), Entity::Signer(C, [3; 32])]
    );
    assert!(matches!(world.model.rows.get(&Key::Signer(B)), Some(Row::Signer(signer)) if signer.key == [2; 32]));
}
