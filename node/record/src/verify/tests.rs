use types::{ClusterId, Incarnation, Slot};

use super::*;
use crate::note::{Signature, Signer};

const CLUSTER: ClusterId = ClusterId([7; 16]);

fn node(slot: Slot, incarnation: u32) -> NodeId {
    NodeId::new(slot, Incarnation(incarnation))
}

fn signer(node: NodeId) -> Signer {
    Signer::from_seed(&key_name(CLUSTER, node), [node.0 as u8; 32]).expect("a key")
}

fn founders() -> [NodeId; 3] {
    Slot::ALL.map(|slot| node(slot, 1))
}

fn founding() -> FoundingKeys {
    FoundingKeys::new(CLUSTER, founders().map(|node| *signer(node).verifier().key())).expect("names")
}

/// A record as `codec` writes it, of an action and signers.
fn stored(at: u64, action: Action, signers: &[NodeId]) -> Vec<u8> {
    stored_with(at, action, signers, true)
}

fn stored_with(at: u64, action: Action, signers: &[NodeId], done: bool) -> Vec<u8> {
    let varint = |mut number: u64| {
        let mut bytes = Vec::new();
        while number >= 0x80 {
            bytes.push((number as u8 & 0x7F) | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
        bytes
    };
    let headed = |tag: u64, body: &[u8]| [varint(tag << 3 | 2), varint(body.len() as u64), body.to_vec()].concat();
    let number = |tag: u64, value: u64| [varint(tag << 3), varint(value)].concat();
    let entities = signers.iter().map(|node| {
        let parts = [number(1, node.0), headed(2, signer(*node).verifier().key())].concat();
        headed(5, &headed(8, &parts))
    });
    let body = [
        number(1, at),
        headed(3, &headed(3, &[])),
        number(4, action as u64),
        entities.collect::<Vec<_>>().concat(),
        headed(6, &if done { headed(1, &[]) } else { number(2, 3) }),
    ]
    .concat();
    [&[1], varint(body.len() as u64).as_slice(), &body].concat()
}

fn records(count: u64) -> Vec<Vec<u8>> {
    let first = stored(1_000, Action::Found, &founders());
    std::iter::once(first).chain((1..count).map(|at| stored(1_000 + at, Action::Post, &[]))).collect()
}

fn log(records: &[Vec<u8>]) -> Log {
    let mut log = Log::default();
    records.iter().for_each(|stored| {
        log.push(stored);
    });
    log
}

fn note(records: &[Vec<u8>], size: u64, by: &[NodeId]) -> String {
    let root = tree::root(log(records).tree(), size).expect("complete");
    let text = Checkpoint { origin: founding().origin(), size, root }.text();
    let signatures = by.iter().map(|node| Signature::new(signer(*node).verifier(), &signer(*node).sign(&text)));
    Note { signatures: signatures.collect(), text }.to_string()
}

#[test]
fn a_whole_log_verifies_and_says_how_far_and_by_whom() {
    let [a, _, c] = founders();
    let records = records(20);
    let (checkpoint, earlier) = (note(&records, 20, &[a, c]), note(&records, 7, &[a, c]));
    let report = log(&records).verify(&founding(), &checkpoint, &[], Some(&earlier)).expect("verified");
    assert_eq!(report.head.signers, ["a", "c"]);
    assert_eq!((report.head.checkpoint.size, report.last, report.since), (20, Timestamp(1_019), Some(7)));
}

#[test]
fn each_thing_that_can_be_wrong_is_named() {
    let [a, b, c] = founders();
    let good = records(20);
    let checkpoint = note(&good, 20, &[a, c]);
    let verify = |records: &[Vec<u8>], checkpoint: &str, since: Option<&str>| {
        log(records).verify(&founding(), checkpoint, &[], since).expect_err("something is wrong")
    };
    let mut changed = good.clone();
    changed[9] = stored(5, Action::Post, &[]);
    assert_eq!(verify(&changed, &checkpoint, None), Problem::Root);
    changed[0] = stored(5, Action::Post, &[]);
    assert_eq!(verify(&changed, &checkpoint, None), Problem::Root);
    changed[0] = good[0].clone();
    assert_eq!(verify(&good[..19], &checkpoint, None), Problem::Missing(19));
    let short = note(&good, 12, &[a, c]);
    assert_eq!(verify(&good[..12], &short, Some(&checkpoint)), Problem::Cut { since: 20, size: 12 });
    let forked = note(&changed, 15, &[b, c]);
    let fork = Problem::Fork { size: 15, signers: vec!["b".into(), "c".into()] };
    assert_eq!(verify(&good, &checkpoint, Some(&forked)), fork);
    let few = Problem::TooFewSignatures { size: 20, signers: vec!["a".into()] };
    assert_eq!(verify(&good, &note(&good, 20, &[a, node(Slot::B, 9)]), None), few);
    assert_eq!(verify(&good, "nonsense", None), Problem::NoHead("the checkpoint"));
    let tampered = checkpoint.replacen("\n20\n", "\n19\n", 1);
    let forged = |size| Problem::FalseSignature { size, signer: "a".into() };
    assert_eq!(verify(&good, &tampered, None), forged(19));
    // Two true signatures do not make up for one that is false, on the head or on the one kept from earlier.
    let [all, other] = [20, 12].map(|size| Note::parse(&note(&good, size, &[a, b, c])).expect("a note"));
    let spoilt =
        Note { signatures: [&other.signatures[..1], &all.signatures[1..]].concat(), ..all.clone() }.to_string();
    assert_eq!(verify(&good, &spoilt, None), forged(20));
    assert_eq!(verify(&good, &all.to_string(), Some(&spoilt)), forged(20));
    let other = [vec![stored(1, Action::Found, &[a, b])], good[1..].to_vec()].concat();
    assert_eq!(verify(&other, &note(&other, 20, &[a, c]), None), Problem::Founding);
}

#[test]
fn a_signer_is_believed_when_two_from_before_vouch_for_it() {
    let [a, _, c] = founders();
    let (b2, c2) = (node(Slot::B, 2), node(Slot::C, 2));
    let mut records = records(10);
    records.push(stored(2_000, Action::AddSigner, &[b2]));
    records.extend((0..5).map(|at| stored(3_000 + at, Action::Post, &[])));
    records.push(stored(4_000, Action::AddSigner, &[c2]));
    records.extend((0..5).map(|at| stored(5_000 + at, Action::Post, &[])));
    let size = records.len() as u64;
    let last = note(&records, size, &[b2, c2]);
    let vouching = [note(&records, 13, &[a, c]), note(&records, 19, &[a, b2])];
    log(&records).verify(&founding(), &last, &vouching, None).expect("verified");
    let unvouched = log(&records).verify(&founding(), &last, &vouching[1..], None);
    assert_eq!(unvouched, Err(Problem::Signer(10)), "b2 cannot vouch for itself");
    let early = [note(&records, 9, &[a, c]), vouching[1].clone()];
    assert_eq!(log(&records).verify(&founding(), &last, &early, None), Err(Problem::Signer(10)), "a head from before");
}

#[test]
fn after_a_restoration_signers_are_believed_by_their_keys_alone_and_that_is_said() {
    let [a, _, _] = founders();
    let (b2, c2) = (node(Slot::B, 2), node(Slot::C, 2));
    let mut records = records(10);
    records.push(stored(2_000, Action::AddSigner, &[b2]));
    records.extend((0..5).map(|at| stored(3_000 + at, Action::Post, &[])));
    records.push(stored(4_000, Action::AddSigner, &[c2]));
    records.extend((0..5).map(|at| stored(5_000 + at, Action::Post, &[])));
    let size = records.len() as u64;
    let (last, between) = (note(&records, size, &[b2, c2]), [note(&records, 19, &[a, b2])]);
    assert_eq!(log(&records).verify(&founding(), &last, &between, None), Err(Problem::Signer(10)));
    let key = |node| signer(node).verifier().to_string();
    let other = founding().believe(&key(c2)).expect("a key");
    assert_eq!(log(&records).verify(&other, &last, &between, None), Err(Problem::Signer(10)), "of another node");
    let believing = founding().believe(&key(b2)).expect("a key");
    let report = log(&records).verify(&believing, &last, &between, None).expect("b2 is believed, and vouches for c2");
    assert_eq!(report.believed, [10]);
    let wrong = Signer::from_seed(&key_name(CLUSTER, b2), [0x99; 32]).expect("a key").verifier().to_string();
    let wrong = founding().believe(&wrong).expect("a key");
    assert_eq!(log(&records).verify(&wrong, &last, &between, None), Err(Problem::Signer(10)), "another key");
    assert!(head(&between[0], &founding()).is_err() && head(&between[0], &believing).is_ok());
}

#[test]
fn who_is_named_above_the_head_needs_no_voucher_and_seals_nothing_below() {
    let [a, b, c] = founders();
    let (b2, mut records) = (node(Slot::B, 2), records(10));
    records.push(stored(2_000, Action::AddSigner, &[b2]));
    records.push(stored(3_000, Action::Post, &[]));
    let log = log(&records);
    let report = log.verify(&founding(), &note(&records, 10, &[a, b]), &[], None).expect("verified up to the head");
    assert_eq!((report.head.checkpoint.size, report.believed), (10, vec![]));
    let signed_late = note(&records, 10, &[a, b2]);
    assert_eq!(log.verify(&founding(), &signed_late, &[], None), Err(Problem::Signer(10)));
    assert_eq!(log.verify(&founding(), &note(&records, 12, &[a, b2]), &[], None), Err(Problem::Signer(10)));
    let believing = founding().believe(&signer(b2).verifier().to_string()).expect("a key");
    log.verify(&believing, &signed_late, &[], None).expect("b2 is believed");
    assert!(log.verify(&founding(), &note(&records, 12, &[a, c]), &[], None).is_ok(), "a and c vouch for it");
}

#[test]
fn a_signer_that_was_refused_is_not_believed() {
    let [a, b, c] = founders();
    let mut records = records(10);
    records.push(stored_with(2_000, Action::AddSigner, &[node(Slot::B, 2)], false));
    records.extend((0..5).map(|at| stored(3_000 + at, Action::Post, &[])));
    let size = records.len() as u64;
    let vouching = [note(&records, 13, &[a, c])];
    log(&records).verify(&founding(), &note(&records, size, &[b, c]), &vouching, None).expect("b signs as before");
    let usurped = note(&records, size, &[node(Slot::B, 2), c]);
    assert!(log(&records).verify(&founding(), &usurped, &vouching, None).is_err(), "and nobody in its place");
}

#[test]
fn one_place_is_one_signer_whatever_keys_it_had() {
    let [a, b, _] = founders();
    let b2 = node(Slot::B, 2);
    let mut records = records(10);
    records.push(stored(2_000, Action::AddSigner, &[b2]));
    records.extend((0..5).map(|at| stored(3_000 + at, Action::Post, &[])));
    let size = records.len() as u64;
    let vouching = [note(&records, 13, &[a, b])];
    let head = note(&records, size, &[a, b2]);
    log(&records).verify(&founding(), &head, &vouching, Some(&note(&records, 12, &[a, b]))).expect("verified");
    let since = note(&records, 12, &[b, b2]);
    assert!(log(&records).verify(&founding(), &head, &vouching, Some(&since)).is_err(), "b twice is not two");
}

#[test]
fn one_record_is_shown_to_be_under_a_head() {
    let [a, b, _] = founders();
    let records = records(20);
    let sealed = head(&note(&records, 20, &[a, b]), &founding()).expect("sealed");
    let path = tree::prove_inclusion(log(&records).tree(), 4, 20).expect("complete").expect("inside");
    let read = record(&records[4], 4, &path, &sealed.checkpoint).expect("in the log").expect("readable");
    assert_eq!(read.at, Timestamp(1_004));
    assert_eq!(record(&records[5], 4, &path, &sealed.checkpoint), Err(Problem::NotIn(4)));
}
