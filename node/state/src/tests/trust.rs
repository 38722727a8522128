//! Certificates of nodes, and recovery kits.

use types::certificate::{NoteCertificates, Revocation, RevokeCertificates, Serial};
use types::command::UpdateUser;
use types::kit::{ConfirmKit, ProposeKit};
use types::limits::{KIT_PROOF_MS_MAX, KIT_PROPOSAL_MS};
use types::record::{Action, Agent, Entity};
use types::reply::Field;
use types::seat::AdmitNode;
use types::{Incarnation, Slot};

use super::locking::unlock;
use super::*;
use crate::view::Rows;

const fn node(slot: Slot, incarnation: u32) -> NodeId {
    NodeId::new(slot, Incarnation(incarnation))
}

const A: NodeId = node(Slot::A, 1);
const B: NodeId = node(Slot::B, 1);
const C: NodeId = node(Slot::C, 1);
const B2: NodeId = node(Slot::B, 2);

fn serial(n: u8) -> Serial {
    Serial([n; 20])
}

fn note(serials: &[u8]) -> Command {
    let serials = serials.iter().map(|n| serial(*n)).collect();
    Command::NoteCertificates(NoteCertificates { serials, expires: Timestamp(7) })
}

fn revoke(what: Revocation) -> Command {
    Command::RevokeCertificates(RevokeCertificates { what, reason: "stolen".into() })
}

fn one(n: u8) -> Command {
    revoke(Revocation::Certificate(serial(n)))
}

fn is_revoked(world: &World, n: u8) -> bool {
    let Ok(row) = world.model.revoked(serial(n));
    row.is_some()
}

fn from(world: &mut World, origin: NodeId, command: Command) -> Outcome {
    world.put(Envelope { origin, author: Author::Node, command })
}

fn hospital() -> World {
    let mut world = World::new(2);
    for (at, node) in [A, B, C].into_iter().enumerate() {
        let first = 10 * (at as u8 + 1);
        from(&mut world, node, note(&[first, first + 1])).answer.result.expect("noted");
    }
    world
}

#[test]
fn a_certificate_that_no_node_shows_is_revoked_and_one_in_use_is_not() {
    let mut world = hospital();
    assert_eq!(world.by(1, one(99)), Err(Reject::NotPermitted));
    let done = world.outcome_by(0, one(99));
    assert_eq!(done.answer.result, Ok(Reply::Done));
    assert_eq!(done.records[0].action, Action::RevokeCertificates);
    assert_eq!(done.records[0].entities, [Entity::Certificate(serial(99))]);
    assert_eq!(done.records[0].reason.as_deref(), Some("stolen"));
    assert!(is_revoked(&world, 99));
    assert_eq!(world.by(0, one(99)), Ok(Reply::Done), "it is");
    assert_eq!(world.by(0, one(21)), Err(Reject::CertificateInUse(B)));
    from(&mut world, B, note(&[22, 23])).answer.result.expect("renewed");
    assert_eq!(world.by(0, one(21)), Ok(Reply::Done), "nobody shows it any more");
}

#[test]
fn one_node_is_cut_off_and_never_the_majority() {
    let mut world = hospital();
    assert_eq!(world.by(0, revoke(Revocation::Node(B2))), Err(Reject::NotFound));
    world.by(0, revoke(Revocation::Node(B))).expect("a and c go on");
    assert!(is_revoked(&world, 20) && is_revoked(&world, 21));
    assert_eq!(world.by(0, revoke(Revocation::Node(A))), Err(Reject::MajorityCutOff));
    assert_eq!(world.by(0, revoke(Revocation::Node(B))), Ok(Reply::Done), "it is");
    from(&mut world, B, note(&[24])).answer.result.expect("with others from the safe");
    world.by(0, revoke(Revocation::Node(A))).expect("b and c go on");
    let mut silent = World::new(1);
    from(&mut silent, A, note(&[1])).answer.result.expect("noted");
    from(&mut silent, B, note(&[2])).answer.result.expect("noted");
    assert_eq!(silent.by(0, revoke(Revocation::Node(A))), Err(Reject::MajorityCutOff), "of c nothing is known");
    let mut shared = hospital();
    from(&mut shared, C, note(&[20, 30])).answer.result.expect("noted");
    assert_eq!(shared.by(0, revoke(Revocation::Node(B))), Err(Reject::MajorityCutOff), "c would go with it");
}

fn admit(world: &mut World) {
    let holder = Holder::Node(B2);
    let envelopes = vec![(1, KeyEnvelope { holder, public: [6; 32], sealed: vec![1] })];
    let admit = AdmitNode {
        node: B2,
        disk: [7; 16],
        public: [6; 32],
        peer_address: "b:1".into(),
        client_address: "b:2".into(),
        envelopes,
    };
    from(world, A, Command::AdmitNode(admit)).answer.result.expect("let in");
}

#[test]
fn what_a_replaced_node_showed_is_revoked_once_the_new_one_counts_and_has_said_what_it_shows() {
    for noted_first in [true, false] {
        let mut world = hospital();
        assert_eq!(from(&mut world, B2, note(&[21, 24])).answer.result, Err(Reject::NotPermitted), "nobody let it in");
        admit(&mut world);
        let steps = [(B2, note(&[21, 24])), (A, Command::SeatNode(B2))];
        let order = if noted_first { [0, 1] } else { [1, 0] };
        let mut records = Vec::new();
        for at in order {
            assert!(!is_revoked(&world, 20), "the old one may still be needed");
            let (origin, command) = steps[at].clone();
            let outcome = from(&mut world, origin, command);
            outcome.answer.result.expect("done");
            records = outcome.records;
        }
        assert!(is_revoked(&world, 20), "noted first: {noted_first}");
        assert!(!is_revoked(&world, 21), "the new machine has taken it over");
        let own = records.iter().find(|record| record.action == Action::RevokeCertificates).expect("recorded");
        assert_eq!(own.agent, Agent::Cluster);
        assert_eq!(own.entities, [Entity::Certificate(serial(20)), Entity::Node(B)]);
        assert_eq!(from(&mut world, B, note(&[20])).answer.result, Err(Reject::NotPermitted), "the old one stays out");
    }
}

#[test]
fn the_same_note_leaves_no_second_record_and_one_that_makes_no_sense_is_refused() {
    let mut world = hospital();
    assert!(from(&mut world, B, note(&[20, 21])).records.is_empty());
    for wrong in [&[][..], &[2, 1], &[1, 1], &[1, 2, 3, 4, 5, 6, 7, 8, 9]] {
        let refused = from(&mut world, B, note(wrong)).answer.result;
        assert_eq!(refused, Err(Reject::Invalid(Field::Certificate)), "{wrong:?}");
    }
}

const NEW: [u8; 32] = [0x77; 32];

fn appoint(world: &mut World, n: u8, permissions: Vec<PermissionSet>) {
    let update = UpdateUser {
        id: user(n),
        version: 0,
        display_name: None,
        unit: None,
        words: None,
        external_ids: None,
        may_message: None,
        permissions: Some(permissions),
        sealed_name: None,
    };
    world.by(0, Command::UpdateUser(update)).expect("granted");
}

fn propose(public: [u8; 32]) -> Command {
    Command::ProposeKit(ProposeKit { public, reason: "a share is lost".into() })
}

fn to_kit(version: u32) -> KeyEnvelope {
    KeyEnvelope { holder: Holder::Recovery, public: NEW, sealed: vec![version as u8] }
}

fn confirm(versions: &[u32]) -> Command {
    let mut key = cluster_key(2);
    key.envelopes[0] = to_kit(2);
    let envelopes = versions.iter().map(|version| (*version, to_kit(*version))).collect();
    Command::ConfirmKit(ConfirmKit { public: NEW, envelopes, key, dropped: Vec::new() })
}

fn recovery(world: &World) -> [u8; 32] {
    let Ok(Some(holder)) = world.model.key_holder(Holder::Recovery) else { panic!("no kit") };
    holder.public
}

fn two_administrators() -> World {
    let mut world = World::new(3);
    appoint(&mut world, 1, vec![PermissionSet::Admin]);
    world
}

#[test]
fn a_kit_takes_two_administrators_and_a_new_cluster_key_comes_with_it() {
    let mut world = two_administrators();
    let before = recovery(&world);
    assert_eq!(world.by(2, propose(NEW)), Err(Reject::NotPermitted));
    assert_eq!(world.by(1, confirm(&[1])), Err(Reject::NotFound), "nothing is proposed");
    let proposed = world.outcome_by(0, propose(NEW));
    assert_eq!(proposed.records[0].action, Action::ProposeKit);
    assert_eq!(proposed.records[0].entities, [Entity::RecoveryKit(NEW)]);
    assert_eq!(world.by(1, propose([8; 32])), Err(Reject::Taken(0)), "one at a time");
    assert_eq!(world.by(0, confirm(&[1])), Err(Reject::NotPermitted), "not by who proposed it");
    assert_eq!(world.by(2, confirm(&[1])), Err(Reject::NotPermitted));
    assert_eq!(recovery(&world), before, "and nothing has changed");
    assert_eq!(world.by(1, confirm(&[])), Err(Reject::UnknownKey), "made anew by the node");
    let confirmed = world.outcome_by(1, confirm(&[1]));
    assert_eq!(confirmed.answer.result, Ok(Reply::Version(2)));
    assert_eq!(confirmed.records[0].action, Action::ConfirmKit);
    assert_eq!(recovery(&world), NEW);
    for version in [1, 2] {
        let Ok(Some(envelope)) = world.model.key_envelope(version, Holder::Recovery) else { panic!("{version}") };
        assert_eq!(envelope.public, NEW, "cluster key {version}: what is in use opens with the new kit alone");
    }
    let former = world.model.rows.get(&Key::FormerKit(1));
    let Some(Row::FormerKit(former)) = former else { panic!("the old kit is not forgotten") };
    assert_eq!((former.public, former.last_version), (before, 1));
    assert_eq!((former.proposed_by, former.confirmed_by), (user(0), user(1)));
    assert_eq!(world.by(1, confirm(&[1, 2])), Err(Reject::NotFound), "once");
    assert_eq!(world.by(0, propose(before)), Err(Reject::Invalid(Field::Key)), "an old one does not come back");
    assert_eq!(world.by(0, propose(NEW)), Err(Reject::Invalid(Field::Key)), "it is");
    invariants::check(&world.model);
}

#[test]
fn another_key_than_the_proposed_one_is_not_confirmed_nor_while_a_rotation_is_under_way() {
    let mut world = two_administrators();
    world.by(0, propose([9; 32])).expect("proposed");
    assert_eq!(world.by(1, confirm(&[1])), Err(Reject::NotFound));
    world.by(1, Command::CancelKit).expect("withdrawn by another");
    assert_eq!(world.by(1, Command::CancelKit), Err(Reject::NotFound));
    world.by(0, propose(NEW)).expect("proposed");
    world.by(0, Command::RotateClusterKey(cluster_key(2), vec![])).expect("rotates");
    assert_eq!(world.by(1, confirm(&[1, 2])), Err(Reject::WrongPhase));
    assert!(matches!(world.model.kit_proposal(), Ok(Some(_))), "it waits");
}

#[test]
fn whoever_proposed_it_must_still_be_an_administrator_and_both_give_their_password() {
    let mut world = two_administrators();
    appoint(&mut world, 2, vec![PermissionSet::Admin]);
    world.by(1, propose(NEW)).expect("proposed");
    appoint(&mut world, 1, vec![]);
    assert_eq!(world.by(2, confirm(&[1])), Err(Reject::NotFound));
    world.by(0, Command::CancelKit).expect("withdrawn");
    world.now += KIT_PROOF_MS_MAX + 1;
    assert_eq!(world.by(0, propose(NEW)), Err(Reject::ProofTooOld));
    world.by(0, Command::UnlockSession(unlock(types::identity::Method::Password))).expect("proves anew");
    world.by(0, propose(NEW)).expect("proposed");
    assert_eq!(world.by(2, confirm(&[1])), Err(Reject::ProofTooOld));
}

#[test]
fn what_nobody_confirms_within_the_hour_lapses() {
    let mut world = two_administrators();
    world.by(0, propose(NEW)).expect("proposed");
    world.now += KIT_PROPOSAL_MS - 1;
    assert!(world.node(Command::Tick).records.iter().all(|record| record.action != Action::LapseKit));
    world.now += 1;
    let prove = Command::UnlockSession(unlock(types::identity::Method::Password));
    world.put(request(1, 90, 1, prove.clone())).answer.result.expect("proved");
    let late = world.put(request(1, 91, 1, confirm(&[1]))).answer.result;
    assert_eq!(late, Err(Reject::NotFound), "before any timer");
    let lapsed = world.node(Command::Tick);
    assert_eq!(lapsed.records.iter().filter(|record| record.action == Action::LapseKit).count(), 1);
    assert!(matches!(world.model.kit_proposal(), Ok(None)));
    world.put(request(0, 90, 1, prove)).answer.result.expect("proved");
    world.put(request(0, 91, 1, propose(NEW))).answer.result.expect("anew");
}
