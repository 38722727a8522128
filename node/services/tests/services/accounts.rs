use proto::v1::*;
use tonic::Code;
use tonic_types::StatusExt;

use crate::world::{PASSWORD, World, reason, refused};

#[tokio::test]
async fn one_enrols_signs_in_and_out() {
    let world = World::start().await;
    let admin = world.admin().await;
    let ito = world.person(&admin, "ito").await;
    let me = ito.sessions().get_self(ito.with(GetSelfRequest::default())).await.unwrap().into_inner();
    assert_eq!(me.user.unwrap().login, "ito");
    assert_eq!(me.session.unwrap().name, ito.session);

    let again = world.sign_in("ito", PASSWORD, &ito.device).await.unwrap();
    assert_eq!(again.device, ito.device, "the same device goes on");
    let new = world.sign_in("ito", PASSWORD, "ffffffffffffffffffffffffffffffff").await.unwrap();
    assert_ne!(new.device, ito.device);

    let list = ito.sessions().list_sessions(ito.with(ListSessionsRequest::default())).await.unwrap().into_inner();
    assert_eq!(list.sessions.len(), 3);
    assert_eq!(list.sessions.iter().filter(|session| session.current).count(), 1);
    let end = EndSessionRequest { name: again.session, request_id: ito.id() };
    ito.sessions().end_session(ito.with(end)).await.unwrap();
    ito.sessions().sign_out(ito.with(SignOutRequest { request_id: ito.id() })).await.unwrap();
    let after = ito.sessions().sign_out(ito.with(SignOutRequest { request_id: ito.id() })).await;
    assert_eq!(refused(after), "NO_SESSION");
}

#[tokio::test]
async fn wrong_credentials_and_unknown_logins_answer_alike() {
    let world = World::start().await;
    let admin = world.admin().await;
    world.person(&admin, "ito").await;
    let wrong = world.sign_in("ito", "something else", "").await.unwrap_err();
    let unknown = world.sign_in("nobody", "something else", "").await.unwrap_err();
    assert_eq!((wrong.code(), reason(&wrong).as_str()), (Code::Unauthenticated, "BAD_CREDENTIALS"));
    assert_eq!((wrong.message(), wrong.details()), (unknown.message(), unknown.details()));
    for _ in 0..4 {
        for login in ["ito", "nobody"] {
            assert_eq!(refused(world.sign_in(login, "something else", "").await), "BAD_CREDENTIALS");
        }
    }
    let (locked, unknown) = (world.sign_in("ito", PASSWORD, "").await, world.sign_in("nobody", PASSWORD, "").await);
    let (locked, unknown) = (locked.unwrap_err(), unknown.unwrap_err());
    assert_eq!(reason(&locked), "LOCKED_OUT", "also with the right password");
    assert!(locked.get_error_details().retry_info().is_some());
    assert_eq!((locked.code(), reason(&locked)), (unknown.code(), reason(&unknown)));
}

#[tokio::test]
async fn forged_and_missing_tokens_are_no_session() {
    let world = World::start().await;
    let admin = world.admin().await;
    let mut forged = admin.clone();
    for token in ["", "x", &"0".repeat(64), &format!("{}{}", &admin.token[..32], "0".repeat(32))] {
        forged.token = token.into();
        let answer = forged.sessions().get_self(forged.with(GetSelfRequest::default())).await;
        assert_eq!(refused(answer), "NO_SESSION", "{token:?}");
    }
    let bare = admin.sessions().get_self(GetSelfRequest::default()).await;
    assert_eq!(refused(bare), "NO_SESSION");
}

#[tokio::test]
async fn a_code_is_good_once_and_shown_once() {
    let world = World::start().await;
    let admin = world.admin().await;
    let user = User { login: "mori".into(), display_name: "Mori".into(), ..User::default() };
    let create = CreateUserRequest { user: Some(user), without_enrolment_code: false, request_id: admin.id() };
    let made = admin.directory().create_user(admin.with(create.clone())).await.unwrap().into_inner();
    let again = admin.directory().create_user(admin.with(create.clone())).await.unwrap().into_inner();
    assert_eq!(again.user, made.user, "a retry creates nothing new");
    assert_eq!(again.enrolment_code, "", "and shows no code");

    let other = User { login: "tanaka".into(), display_name: "Tanaka".into(), ..User::default() };
    let reused = CreateUserRequest { user: Some(other), ..create };
    assert_eq!(refused(admin.directory().create_user(admin.with(reused)).await), "REQUEST_ID_REUSED");

    let enrol = |code: String, password: &str| EnrolRequest {
        login: "mori".into(),
        code,
        password: password.into(),
        ..EnrolRequest::default()
    };
    let mut sessions = admin.sessions();
    assert_eq!(refused(sessions.enrol(enrol(made.enrolment_code.clone(), "short")).await), "INVALID");
    assert_eq!(refused(sessions.enrol(enrol("0000-0000-0000-0000".into(), PASSWORD)).await), "BAD_CODE");
    sessions.enrol(enrol(made.enrolment_code.clone(), PASSWORD)).await.unwrap();
    assert_eq!(refused(sessions.enrol(enrol(made.enrolment_code, PASSWORD)).await), "BAD_CODE");

    let name = made.user.unwrap().name;
    let anew = CreateEnrolmentCodeRequest { name, request_id: admin.id() };
    let code = admin.directory().create_enrolment_code(admin.with(anew.clone())).await.unwrap().into_inner();
    let retry = admin.directory().create_enrolment_code(admin.with(anew)).await.unwrap().into_inner();
    assert_eq!((code.enrolment_code.len(), retry.enrolment_code.as_str()), (19, ""));
    sessions.enrol(enrol(code.enrolment_code, PASSWORD)).await.unwrap();
}

#[tokio::test]
async fn a_password_is_changed_with_the_old_one_and_a_retry_is_answered() {
    let world = World::start().await;
    let admin = world.admin().await;
    let ito = world.person(&admin, "ito").await;
    let set = |old: &str, request_id| SetPasswordRequest {
        old_password: old.into(),
        new_password: "another long one".into(),
        request_id,
    };
    assert_eq!(refused(ito.directory().set_password(ito.with(set("wrong", ito.id()))).await), "BAD_CREDENTIALS");
    let id = ito.id();
    ito.directory().set_password(ito.with(set(PASSWORD, id))).await.unwrap();
    ito.directory().set_password(ito.with(set(PASSWORD, id))).await.unwrap();
    world.sign_in("ito", "another long one", "").await.unwrap();
    assert!(world.sign_in("ito", PASSWORD, "").await.is_err());
}

#[tokio::test]
async fn people_are_listed_and_found() {
    let world = World::start().await;
    let admin = world.admin().await;
    let users: Vec<User> = (0..60)
        .map(|at| User {
            login: format!("user{at:02}"),
            display_name: format!("Jun Ito {at}"),
            unit: "Cardiology".into(),
            ..User::default()
        })
        .collect();
    let batch = BatchCreateUsersRequest { users, without_enrolment_codes: true, request_id: admin.id() };
    admin.directory().batch_create_users(admin.with(batch)).await.unwrap();

    let (mut logins, mut page_token) = (Vec::new(), String::new());
    loop {
        let list = ListUsersRequest { page_size: 7, page_token, ..ListUsersRequest::default() };
        let page = admin.directory().list_users(admin.with(list)).await.unwrap().into_inner();
        assert!(page.users.len() <= 7);
        logins.extend(page.users.into_iter().map(|user| user.login));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(logins.len(), 61);
    assert!(logins.is_sorted());

    let search = |query: &str, page_size| SearchUsersRequest { query: query.into(), page_size, read: None };
    let found = admin.directory().search_users(admin.with(search("ITO card", 5))).await.unwrap().into_inner();
    assert_eq!((found.users.len(), found.truncated), (5, true));
    let found = admin.directory().search_users(admin.with(search("user07", 0))).await.unwrap().into_inner();
    assert_eq!((found.users.len(), found.truncated), (1, false));
    assert_eq!(refused(admin.directory().search_users(admin.with(search(" - ", 0))).await), "INVALID");

    let list = |page_size| ListUsersRequest { page_size, ..ListUsersRequest::default() };
    assert_eq!(refused(admin.directory().list_users(admin.with(list(-1))).await), "INVALID");
    let all = admin.directory().list_users(admin.with(list(1_000_000_000))).await.unwrap().into_inner();
    assert_eq!(all.users.len(), 61);
    let forged = ListUsersRequest { page_token: "abcd".into(), ..ListUsersRequest::default() };
    assert_eq!(refused(admin.directory().list_users(admin.with(forged)).await), "INVALID");

    let get = GetUserRequest { name: "users/@user07".into(), read: None };
    let got = admin.directory().get_user(admin.with(get)).await.unwrap().into_inner().user.unwrap();
    let names = vec![got.name.clone(), "users/@nobody".into(), "users/@user08".into()];
    let batch = BatchGetUsersRequest { names, read: None };
    let got = admin.directory().batch_get_users(admin.with(batch)).await.unwrap().into_inner();
    assert_eq!(got.users.iter().map(|user| user.login.as_str()).collect::<Vec<_>>(), ["user07", "user08"]);
}

#[tokio::test]
async fn bad_accounts_are_refused_with_every_wrong_field() {
    let world = World::start().await;
    let admin = world.admin().await;
    let user = User { login: "J Ito".into(), display_name: "a\u{7}b".into(), kind: 99, ..User::default() };
    let create = CreateUserRequest { user: Some(user), without_enrolment_code: true, request_id: admin.id() };
    let status = admin.directory().create_user(admin.with(create)).await.unwrap_err();
    assert_eq!(reason(&status), "INVALID");
    let details = status.get_error_details();
    let fields: Vec<_> = details.bad_request().unwrap().field_violations.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["user.login", "user.display_name", "user.kind"]);

    let user = User { login: "admin".into(), display_name: "Other".into(), ..User::default() };
    let create = CreateUserRequest { user: Some(user), without_enrolment_code: true, request_id: admin.id() };
    let taken = admin.directory().create_user(admin.with(create)).await.unwrap_err();
    assert_eq!(reason(&taken), "TAKEN");
    assert_eq!(taken.get_error_details().bad_request().unwrap().field_violations[0].field, "user.login");
}

#[tokio::test]
async fn accounts_are_changed_by_version_and_deactivated() {
    let world = World::start().await;
    let admin = world.admin().await;
    let ito = world.person(&admin, "ito").await;
    let update = |version, request_id| UpdateUserRequest {
        user: Some(User {
            name: ito.name.clone(),
            display_name: "Dr Jun Ito".into(),
            unit: "Ward 3".into(),
            version,
            ..User::default()
        }),
        update_paths: vec!["display_name".into(), "unit".into()],
        request_id,
    };
    let changed = admin.directory().update_user(admin.with(update(0, admin.id()))).await.unwrap().into_inner();
    let changed = changed.user.unwrap();
    assert_eq!((changed.display_name.as_str(), changed.unit.as_str()), ("Dr Jun Ito", "Ward 3"));
    let old = changed.version - 1;
    assert_eq!(refused(admin.directory().update_user(admin.with(update(old, admin.id()))).await), "VERSION_MISMATCH");
    assert_eq!(refused(ito.directory().update_user(ito.with(update(0, ito.id()))).await), "NOT_PERMITTED");

    let search = SearchUsersRequest { query: "war 3".into(), page_size: 0, read: None };
    let found = admin.directory().search_users(admin.with(search)).await.unwrap().into_inner();
    assert_eq!(found.users.len(), 1);

    let deactivate = DeactivateUserRequest { name: ito.name.clone(), request_id: admin.id() };
    admin.directory().deactivate_user(admin.with(deactivate)).await.unwrap();
    let after = ito.sessions().get_self(ito.with(GetSelfRequest::default())).await;
    assert_eq!(refused(after), "NO_SESSION");
    assert_eq!(refused(world.sign_in("ito", PASSWORD, "").await), "BAD_CREDENTIALS");
}

#[tokio::test]
async fn without_permission_accounts_answer_alike_whether_they_exist_or_not() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (ito, mori) = (world.person(&admin, "ito").await, world.person(&admin, "mori").await);
    let nobody = "users/00000000000000000000000000000042".to_owned();
    let mut answers = Vec::new();
    for name in [mori.name.clone(), nobody] {
        let user = User { name: name.clone(), display_name: "Other".into(), ..User::default() };
        let update =
            UpdateUserRequest { user: Some(user), update_paths: vec!["display_name".into()], request_id: ito.id() };
        let update = ito.directory().update_user(ito.with(update)).await.unwrap_err();
        let deactivate = DeactivateUserRequest { name: name.clone(), request_id: ito.id() };
        let deactivate = ito.directory().deactivate_user(ito.with(deactivate)).await.unwrap_err();
        let code = CreateEnrolmentCodeRequest { name: name.clone(), request_id: ito.id() };
        let code = ito.directory().create_enrolment_code(ito.with(code)).await.unwrap_err();
        let list = ListSessionsRequest { parent: name, ..ListSessionsRequest::default() };
        let list = ito.sessions().list_sessions(ito.with(list)).await.unwrap_err();
        answers.push([update, deactivate, code, list].map(|status| (status.code(), status.message().to_owned())));
    }
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn patients_see_only_whom_they_share_a_conversation_with() {
    let world = World::start().await;
    let admin = world.admin().await;
    let mori = world.person(&admin, "mori").await;
    let user = User {
        login: "patient".into(),
        display_name: "A Patient".into(),
        kind: UserKind::Patient.into(),
        ..User::default()
    };
    let create = CreateUserRequest { user: Some(user), without_enrolment_code: false, request_id: admin.id() };
    let made = admin.directory().create_user(admin.with(create)).await.unwrap().into_inner();
    let patient = world.enrol("patient", &made.enrolment_code).await;
    let get = async |name: &str| {
        let request = GetUserRequest { name: name.into(), read: None };
        patient.directory().get_user(patient.with(request)).await
    };
    let unknown = get("users/00000000000000000000000000000042").await.unwrap_err();
    assert_eq!(reason(&unknown), "NOT_FOUND");
    for hidden in [mori.name.as_str(), "users/@mori", "users/@nobody"] {
        let status = get(hidden).await.unwrap_err();
        assert_eq!((status.message(), status.details()), (unknown.message(), unknown.details()), "{hidden}");
    }
    let ward = mori.group("Ward", &[&patient]).await;
    assert_eq!(get("users/@mori").await.unwrap().into_inner().user.unwrap().name, mori.name);
    mori.remove(&ward, &patient).await;
    assert_eq!(refused(get(&mori.name).await), "NOT_FOUND");
    let search = SearchUsersRequest { query: "mori".into(), page_size: 0, read: None };
    assert_eq!(refused(patient.directory().search_users(patient.with(search)).await), "NOT_PERMITTED");
}
