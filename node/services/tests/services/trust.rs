//! Recovery kits and certificates, as administrators replace and revoke them.

use proto::v1::certificate_service_client::CertificateServiceClient;
use proto::v1::recovery_service_client::RecoveryServiceClient;
use proto::v1::revoke_certificate_request::What;
use proto::v1::*;
use raft::Handle;
use seal::NodeKey;
use state::view::Rows;
use tonic::transport::Channel;
use types::Command;
use types::certificate::{NoteCertificates, Serial};
use types::key::Holder;

use crate::emergency::with_set;
use crate::world::{Person, World, own, refused};

fn recovery(person: &Person) -> RecoveryServiceClient<Channel> {
    RecoveryServiceClient::new(person.channel.clone())
}

fn propose(person: &Person, public: &str) -> ProposeKitRequest {
    ProposeKitRequest { public_key: public.into(), reason: "a share is lost".into(), request_id: person.id() }
}

fn confirm(person: &Person, fingerprint: &str) -> ConfirmKitRequest {
    ConfirmKitRequest { fingerprint: fingerprint.into(), request_id: person.id() }
}

async fn kits(person: &Person) -> Vec<RecoveryKit> {
    let list = ListKitsRequest::default();
    recovery(person).list_kits(person.with(list)).await.expect("listed").into_inner().kits
}

#[tokio::test]
async fn a_kit_is_replaced_by_two_and_opens_every_cluster_key_in_use() {
    let world = World::start().await;
    let one = world.admin().await;
    let two = with_set(&world, &one, "two", PermissionSet::Admin).await;
    let auditor = with_set(&world, &one, "auditor", PermissionSet::Auditor).await;
    let before = kits(&one).await;
    assert_eq!(before.len(), 1);
    let pair = NodeKey::generate().expect("a pair");
    let public = pair.public().expect("a key").to_string();
    let fingerprint: String = public[..32].chars().flat_map(|c| [c, '-']).collect();

    recovery(&one).propose_kit(one.with(propose(&one, &public))).await.expect("proposed");
    assert_eq!(refused(recovery(&two).propose_kit(two.with(propose(&two, &"7".repeat(64)))).await), "TAKEN");
    let waits = kits(&auditor).await;
    assert_eq!((waits[0].state(), waits[0].reason.as_str()), (KitState::Proposed, "a share is lost"));
    assert_eq!(waits[1].public_key, before[0].public_key, "nothing has changed");
    assert_eq!(refused(recovery(&one).confirm_kit(one.with(confirm(&one, &fingerprint))).await), "NOT_PERMITTED");
    assert_eq!(refused(recovery(&two).confirm_kit(two.with(confirm(&two, &"8".repeat(32)))).await), "NOT_FOUND");
    assert_eq!(refused(recovery(&two).confirm_kit(two.with(confirm(&two, "abc"))).await), "INVALID");
    let done = recovery(&two).confirm_kit(two.with(confirm(&two, &fingerprint.to_uppercase()))).await;
    assert_eq!(done.expect("confirmed").into_inner().version, 2);

    let after = kits(&one).await;
    assert_eq!((after[0].public_key.clone(), after[0].state()), (public, KitState::Active));
    assert_eq!((after[1].public_key.clone(), after[1].state()), (before[0].public_key.clone(), KitState::Former));
    assert_eq!((after[1].proposed_by.clone(), after[1].confirmed_by.clone()), (one.name.clone(), two.name.clone()));
    let view = world.node.view();
    for version in [1, 2] {
        let row = view.cluster_key(version).expect("read").expect("there");
        let Some(envelope) = view.key_envelope(version, Holder::Recovery).expect("read") else { continue }; // Retired.
        seal::ClusterKey::open(version, &row.check, &envelope.sealed, &pair).expect("the new kit opens it");
    }
    let conversation = one.group("Ward 3", &[&two]).await;
    one.send(&conversation, "sealed under the new key").await.expect("sent");
}

#[tokio::test]
async fn a_kit_that_was_withdrawn_is_not_confirmed() {
    let world = World::start().await;
    let one = world.admin().await;
    let two = with_set(&world, &one, "two", PermissionSet::Admin).await;
    let public = "77".repeat(32);
    recovery(&one).propose_kit(one.with(propose(&one, &public))).await.expect("proposed");
    let cancel = CancelKitRequest { request_id: two.id() };
    recovery(&two).cancel_kit(two.with(cancel)).await.expect("withdrawn");
    assert_eq!(refused(recovery(&two).confirm_kit(two.with(confirm(&two, &public[..32]))).await), "NOT_FOUND");
    assert_eq!(kits(&one).await.len(), 1);
}

#[tokio::test]
async fn certificates_are_listed_and_one_in_use_is_not_revoked() {
    let world = World::start().await;
    let admin = world.admin().await;
    let serials = vec![Serial([0x5E; 20])];
    own(&world.node, Command::NoteCertificates(NoteCertificates { serials, expires: types::Timestamp(7_000) })).await;
    let mut client = CertificateServiceClient::new(admin.channel.clone());
    let revoke = |what| RevokeCertificateRequest { what: Some(what), reason: "stolen".into(), request_id: admin.id() };
    let mut revoked = async |what| client.revoke_certificate(admin.with(revoke(what))).await;
    let serial = "5e".repeat(20);
    assert_eq!(refused(revoked(What::Serial(serial.clone())).await), "CERTIFICATE_IN_USE");
    assert_eq!(refused(revoked(What::Node("a1".into())).await), "MAJORITY_CUT_OFF");
    assert_eq!(refused(revoked(What::Serial("no digits".into())).await), "INVALID");
    revoked(What::Serial("AB:CD".into())).await.expect("revoked");
    let list =
        client.list_certificates(admin.with(ListCertificatesRequest::default())).await.expect("listed").into_inner();
    assert_eq!((list.nodes[0].node.as_str(), list.nodes[0].serials.clone()), ("a1", vec![serial]));
    let one = &list.revoked[0];
    assert_eq!(
        (one.serial.as_str(), one.reason.as_str(), one.revoked_by.as_str()),
        ("abcd", "stolen", admin.name.as_str())
    );
}
