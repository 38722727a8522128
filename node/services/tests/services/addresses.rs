//! Network addresses of sessions: sealed in the records, shown to auditors who ask for them, and that they asked is recorded.

use std::net::{IpAddr, Ipv4Addr};

use proto::v1::session_service_client::SessionServiceClient;
use proto::v1::*;
use raft::Handle;
use state::view::Rows;
use tonic::transport::Channel;
use types::key::KeyScope;

use crate::emergency::with_set;
use crate::identity::{Keyed, pass};
use crate::world::{PASSWORD, Person, World, refused};

const WARD: Ipv4Addr = Ipv4Addr::new(127, 66, 77, 88);
const HOME: Ipv4Addr = Ipv4Addr::new(127, 99, 5, 4);

async fn list(person: &Person, action: &str, show_addresses: bool) -> Result<Vec<AuditRecord>, tonic::Status> {
    let request = ListRecordsRequest { action: action.into(), show_addresses, ..ListRecordsRequest::default() };
    Ok(person.audit().list_records(person.with(request)).await?.into_inner().records)
}

fn addresses(records: &[AuditRecord]) -> Vec<&str> {
    records.iter().map(|record| record.address.as_str()).collect()
}

async fn sign_in(from: Channel, login: &str, password: &str) -> Result<Credentials, tonic::Status> {
    let (login, password) = (login.into(), password.into());
    let request = SignInRequest { login, password, ..SignInRequest::default() };
    let answer = SessionServiceClient::new(from).sign_in(request).await?;
    Ok(answer.into_inner().credentials.expect("credentials"))
}

#[tokio::test]
async fn an_auditor_who_asks_sees_from_where_and_whoever_reads_the_records_does_not() {
    let world = World::start().await;
    let admin = world.admin().await;
    let auditor = with_set(&world, &admin, "auditor", PermissionSet::Auditor).await;
    world.person(&admin, "ito").await;
    sign_in(world.channel_from(WARD).await, "ito", PASSWORD).await.expect("signed in");
    assert_eq!(refused(sign_in(world.channel_from(HOME).await, "ito", "something else").await), "BAD_CREDENTIALS");

    let shown = list(&auditor, "sign-in", true).await.expect("listed");
    assert_eq!(addresses(&shown), [HOME.to_string(), WARD.to_string()], "the newest first, the refused one too");
    let plain = list(&auditor, "sign-in", false).await.expect("listed");
    assert_eq!(addresses(&plain), ["", ""], "not unless it is asked for");
    let enrolled = list(&auditor, "set-password", true).await.expect("listed");
    assert!(addresses(&enrolled).iter().all(|address| *address == "127.0.0.1"), "{:?}", addresses(&enrolled));
    assert_eq!(list(&auditor, "show-addresses", false).await.expect("listed").len(), 2, "it is known who asked");
    assert_eq!(refused(list(&admin, "sign-in", true).await), "NOT_PERMITTED");

    for record in shown.iter().chain(&enrolled) {
        for address in [WARD, HOME, Ipv4Addr::LOCALHOST] {
            let mapped = address.to_ipv6_mapped().octets();
            let spellings = [
                address.to_string().into_bytes(),
                mapped.to_vec(),
                hex(&mapped).into_bytes(),
                address.octets().to_vec(),
            ];
            for spelling in spellings {
                assert!(!record.stored.windows(spelling.len()).any(|part| part == spelling), "{address} lies open");
            }
        }
    }
    let lengths: Vec<usize> =
        [&shown[0], &shown[1]].map(|record| of(&world, record.index).expect("an address").len()).to_vec();
    assert_eq!(lengths[0], lengths[1], "not even its length is told");
    assert!(lengths[0] <= types::limits::SEALED_ADDRESS_BYTES_MAX, "{lengths:?}");
}

fn of(world: &World, index: u64) -> Option<Vec<u8>> {
    let record = world.node.view().record(index).expect("read").expect("a record");
    Some(record.address).filter(|address| !address.is_empty())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_session_that_goes_on_from_elsewhere_leaves_a_record_and_one_that_does_not_leaves_none() {
    let world = World::start().await;
    let admin = world.admin().await;
    let auditor = with_set(&world, &admin, "auditor", PermissionSet::Auditor).await;
    world.person(&admin, "ito").await;
    let ito = Keyed::sign_in(&world, "ito").await;
    let home = world.channel_from(HOME).await;
    ito.refresh_from(world.channel.clone(), 1).await.expect("from where it was");
    ito.refresh_from(home.clone(), 2).await.expect("from elsewhere");
    ito.refresh_from(home, 3).await.expect("from there again");
    let moved = list(&auditor, "refresh-session", true).await.expect("listed");
    assert_eq!(addresses(&moved), [HOME.to_string()]);
    assert_eq!(moved[0].user, ito.person(&world).name, "whose session it is");
    assert!(ito.credentials.session.ends_with(&moved[0].session));
}

#[tokio::test]
async fn an_address_whose_key_is_gone_is_said_to_be_unreadable_and_the_rest_is_shown() {
    let world = World::start().await;
    let admin = world.admin().await;
    let auditor = with_set(&world, &admin, "auditor", PermissionSet::Auditor).await;
    let first = list(&auditor, "set-password", true).await.expect("listed");
    let (admins, auditors) = (first.last().expect("the administrator's").index, first[0].index);
    let (one, other) = (of(&world, admins).expect("sealed"), of(&world, auditors).expect("sealed"));
    let mut record = world.node.view().record(admins).expect("read").expect("a record");
    assert_ne!(one, other);
    record.address = other; // As whoever can write to the disk might: it is of another session.
    world.node.insert(vec![(types::Key::Record(admins), types::Row::Record(record))]);
    let shown = list(&auditor, "set-password", true).await.expect("listed");
    assert_eq!(addresses(&shown), ["127.0.0.1", "unreadable"]);
}

#[tokio::test]
async fn all_addresses_of_a_month_are_sealed_with_one_key() {
    let world = World::start().await;
    let admin = world.admin().await;
    world.person(&admin, "ito").await;
    let from = |n: u8| IpAddr::from([127, 0, 3, n]);
    for n in 1..=5 {
        let IpAddr::V4(address) = from(n) else { continue };
        sign_in(world.channel_from(address).await, "ito", PASSWORD).await.expect("signed in");
    }
    let view = world.node.view();
    let month = types::key::Month::of(state::heads(&view).expect("read").clock);
    let key = view.scope_key(KeyScope::Addresses, month).expect("read").expect("a key");
    let sealed: Vec<Vec<u8>> =
        (0..state::heads(&view).expect("read").records).filter_map(|at| of(&world, at)).collect();
    assert!(sealed.len() >= 7, "{}", sealed.len());
    assert!(sealed.iter().all(|address| seal::key_id(address) == Some(key)));
}

#[tokio::test]
async fn a_session_goes_on_where_its_address_cannot_be_sealed() {
    let world = World::start().await;
    let admin = world.admin().await;
    with_set(&world, &admin, "auditor", PermissionSet::Auditor).await;
    world.person(&admin, "ito").await;
    let ito = Keyed::sign_in(&world, "ito").await;
    // On a node that nobody has let hold the keys yet, from elsewhere.
    ito.refresh_from(world.channel_without_keys().await, 1).await.expect("a token");
    // On disks without room for a key, in a month that has none yet.
    world.node.set_no_room_for_keys(true);
    pass(&world, 32 * 24 * 60 * 60 * 1_000).await;
    ito.refresh_from(world.channel_from(HOME).await, 2).await.expect("a token");
    world.node.set_no_room_for_keys(false);
    let auditor = world.again("auditor").await; // A month on, the other session is locked.
    assert!(addresses(&list(&auditor, "refresh-session", true).await.expect("listed")).is_empty());
}
