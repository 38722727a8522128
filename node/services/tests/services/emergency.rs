use proto::v1::emergency_service_client::EmergencyServiceClient;
use proto::v1::unlock_session_request::Proof;
use proto::v1::*;
use tonic::transport::Channel;
use types::limits::EMERGENCY_PROOF_MS_MAX;

use crate::identity::pass;
use crate::locking::unlock;
use crate::world::{PASSWORD, Person, World, refused};

pub async fn with_set(world: &World, admin: &Person, login: &str, set: PermissionSet) -> Person {
    let permission_sets = vec![set.into()];
    let user = User { login: login.into(), display_name: login.into(), permission_sets, ..User::default() };
    let create = CreateUserRequest { user: Some(user), without_enrolment_code: false, request_id: admin.id() };
    let made = admin.directory().create_user(admin.with(create)).await.expect("created").into_inner();
    world.enrol(login, &made.enrolment_code).await
}

fn emergencies(person: &Person) -> EmergencyServiceClient<Channel> {
    EmergencyServiceClient::new(person.channel.clone())
}

fn open(person: &Person) -> OpenEmergencyRequest {
    let duration = Some(prost_types::Duration { seconds: 600, nanos: 0 });
    OpenEmergencyRequest { reason: "no administrator".into(), duration, request_id: person.id() }
}

fn approve(person: &Person, name: &str) -> ApproveEmergencyRequest {
    ApproveEmergencyRequest { name: name.into(), request_id: person.id() }
}

fn create(person: &Person, login: &str) -> CreateUserRequest {
    let user = User { login: login.into(), display_name: "New".into(), ..User::default() };
    CreateUserRequest { user: Some(user), without_enrolment_code: true, request_id: person.id() }
}

async fn list(person: &Person) -> Vec<Emergency> {
    let list = ListEmergenciesRequest::default();
    emergencies(person).list_emergencies(person.with(list)).await.expect("listed").into_inner().emergencies
}

#[tokio::test]
async fn two_open_it_act_in_their_own_names_and_an_auditor_signs_it_off() {
    let world = World::start().await;
    let admin = world.admin().await;
    let one = with_set(&world, &admin, "one", PermissionSet::Keyholder).await;
    let two = with_set(&world, &admin, "two", PermissionSet::Keyholder).await;
    let auditor = with_set(&world, &admin, "auditor", PermissionSet::Auditor).await;
    assert_eq!(refused(one.directory().create_user(one.with(create(&one, "aa"))).await), "NOT_PERMITTED");
    let opened = emergencies(&one).open_emergency(one.with(open(&one))).await.expect("asked for").into_inner();
    assert_eq!(opened.name, "emergencies/1");
    assert_eq!(refused(emergencies(&one).open_emergency(one.with(open(&one))).await), "TAKEN");
    let own = emergencies(&one).approve_emergency(one.with(approve(&one, &opened.name))).await;
    assert_eq!(refused(own), "NOT_PERMITTED");
    assert_eq!(list(&auditor).await[0].state(), EmergencyState::Pending);

    // The second one proves who they are anew: what is an hour old is not enough.
    pass(&world, EMERGENCY_PROOF_MS_MAX + 1_000).await;
    let stale = emergencies(&two).approve_emergency(two.with(approve(&two, &opened.name))).await;
    assert_eq!(refused(stale), "PROOF_TOO_OLD");
    unlock(&two, Proof::Password(PASSWORD.into())).await.expect("proved");
    emergencies(&two).approve_emergency(two.with(approve(&two, &opened.name))).await.expect("approved");
    assert_eq!(list(&one).await[0].state(), EmergencyState::InForce);
    for (person, login) in [(&one, "aa"), (&two, "bb")] {
        person.directory().create_user(person.with(create(person, login))).await.expect("by emergency access");
    }
    let secret = admin.group("Ward", &[]).await;
    let read = ListMessagesRequest { parent: secret, ..ListMessagesRequest::default() };
    assert_eq!(refused(one.messages().list_messages(one.with(read)).await), "NOT_FOUND", "it shows no content");

    let end = EndEmergencyRequest { name: opened.name.clone(), request_id: one.id() };
    emergencies(&one).end_emergency(one.with(end)).await.expect("ended");
    assert_eq!(refused(one.directory().create_user(one.with(create(&one, "cc"))).await), "NOT_PERMITTED");
    let ended = list(&auditor).await.remove(0);
    assert_eq!(ended.state(), EmergencyState::Unreviewed);

    let records = ListRecordsRequest { page_size: 500, ..ListRecordsRequest::default() };
    let records = auditor.audit().list_records(auditor.with(records)).await.expect("listed").into_inner().records;
    let by_it: Vec<_> = records.iter().filter(|record| record.purpose == "BTG").collect();
    let within = |index: u64| ended.first_record <= index && index <= ended.last_record;
    let made: Vec<_> = by_it.iter().filter(|record| record.action == "create-user" && record.outcome == 1).collect();
    assert!(made.iter().all(|record| within(record.index)) && made.len() == 2, "{by_it:?}");
    assert!(made.iter().any(|record| record.user == one.name) && made.iter().any(|record| record.user == two.name));

    let review = |person: &Person| ReviewEmergencyRequest {
        name: opened.name.clone(),
        note: "two accounts, as said".into(),
        request_id: person.id(),
    };
    assert_eq!(refused(emergencies(&one).review_emergency(one.with(review(&one))).await), "NOT_PERMITTED");
    emergencies(&auditor).review_emergency(auditor.with(review(&auditor))).await.expect("signed off");
    let reviewed = list(&auditor).await.remove(0);
    assert_eq!((reviewed.state(), &reviewed.reviewed_by), (EmergencyState::Reviewed, &auditor.name));
}
