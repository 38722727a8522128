//! `user …`: accounts.

use proto::v1;
use proto::v1::directory_service_client::DirectoryServiceClient;
use types::limits::PAGE_SIZE_MAX;

use crate::args::{Format, Global, Kind, Permission, RealmArg, UserAdd, UserCommand, UserUpdate};
use crate::client::Call;
use crate::error::{Error, Result};
use crate::output::{note_stale, say, show, show_pairs};
use crate::rows;
use crate::session::Session;
use crate::{address, import, prompt, rpc};

/// Does it.
pub async fn run(session: &Session, global: &Global, command: UserCommand) -> Result<()> {
    match command {
        UserCommand::Add(user) => add(session, global, user).await,
        UserCommand::List { deactivated, limit } => list(session, global, deactivated, limit).await,
        UserCommand::Show { user } => show_one(global, &address::user(session, &user).await?),
        UserCommand::Search { words } => search(session, global, &words.join(" ")).await,
        UserCommand::Import { file, codes, check } => import::run(session, global, &file, codes, check).await,
        UserCommand::Update(update) => self::update(session, global, update).await,
        UserCommand::Deactivate { user } => deactivate(session, global, &user).await,
        UserCommand::Code { user } => code(session, global, &user).await,
        UserCommand::Reset { user } => reset(session, global, &user).await,
    }
}

async fn add(session: &Session, global: &Global, user: UserAdd) -> Result<()> {
    let new = v1::User {
        login: user.login.trim_start_matches('@').to_owned(),
        display_name: user.name,
        unit: user.unit,
        kind: wire_kind(user.kind) as i32,
        realm: user.realm.map_or(v1::Realm::Unspecified, wire_realm) as i32,
        external_ids: external_ids(&user.external_ids)?,
        permission_sets: user.permissions.into_iter().map(|set| wire_permission(set) as i32).collect(),
        ..Default::default()
    };
    types::text::check_login(&new.login)
        .map_err(|error| Error::Usage(format!("the login {:?}: {error}", new.login)))?;
    let body = |id| v1::CreateUserRequest {
        user: Some(new.clone()),
        without_enrolment_code: user.without_code,
        request_id: Some(id),
    };
    let call = Call::write(format!("create the user @{}", new.login));
    let answer = session.write(call, body, rpc!(DirectoryServiceClient.create_user)).await?;
    let made = answer.user.unwrap_or(new);
    tell_code(global, &made, &answer.enrolment_code, !user.without_code)
}

/// The code goes to stdout, alone, so that a script can take it; everything else to stderr.
fn tell_code(global: &Global, user: &v1::User, code: &str, expected: bool) -> Result<()> {
    if global.output == Format::Json {
        let code = (!code.is_empty()).then_some(code);
        return crate::output::json(&serde_json::json!({"user": rows::User::from(user), "enrolment_code": code}));
    }
    say(&format!("@{}: {}.", user.login, crate::text::line(&rows::with_unit(user))));
    if !code.is_empty() {
        say("One-time enrolment code, shown only now (good for 7 days, after a reset for one):");
        crate::output::print(code)?;
        say(&format!("With it: tricord enrol {}", user.login));
    } else if expected {
        say(&format!(
            "The code was shown before and is not shown again; for a new one: tricord user code @{}",
            user.login
        ));
    }
    Ok(())
}

async fn list(session: &Session, global: &Global, deactivated: bool, limit: u32) -> Result<()> {
    let (mut users, mut token) = (Vec::new(), String::new());
    let limit = limit as usize;
    let more = loop {
        let page_size = (limit - users.len()).min(PAGE_SIZE_MAX as usize) as i32;
        let body = |read| v1::ListUsersRequest {
            page_size,
            page_token: token.clone(),
            show_deactivated: deactivated,
            read: Some(read),
        };
        let page = session.read("list users", body, rpc!(DirectoryServiceClient.list_users)).await?;
        if users.is_empty() {
            note_stale(page.info.as_ref());
        }
        users.extend(page.users);
        token = page.next_page_token;
        if token.is_empty() || users.len() >= limit {
            break !token.is_empty();
        }
    };
    show_users(global, &users, more)
}

async fn search(session: &Session, global: &Global, query: &str) -> Result<()> {
    let body = |read| v1::SearchUsersRequest { query: query.to_owned(), page_size: 50, read: Some(read) };
    let answer = session.read("search users", body, rpc!(DirectoryServiceClient.search_users)).await?;
    note_stale(answer.info.as_ref());
    show_users(global, &answer.users, answer.truncated)
}

fn show_users(global: &Global, users: &[v1::User], more: bool) -> Result<()> {
    let rows: Vec<rows::User> = users.iter().map(rows::User::from).collect();
    let cells = rows
        .iter()
        .map(|user| {
            let kind = if user.deactivated.is_some() { "deactivated" } else { user.kind };
            vec![
                format!("@{}", user.login),
                user.display_name.clone(),
                user.unit.clone(),
                kind.into(),
                user.permissions.join(" "),
            ]
        })
        .collect();
    let document = serde_json::json!({"users": rows, "more": more});
    show(global.output, &document, &["login", "name", "unit", "kind", "permissions"], cells)?;
    if more {
        say("There are more.");
    }
    Ok(())
}

fn show_one(global: &Global, user: &v1::User) -> Result<()> {
    let row = rows::User::from(user);
    let pairs = [
        ("user", format!("@{}", row.login)),
        ("name", row.display_name.clone()),
        ("unit", row.unit.clone()),
        ("kind", format!("{}, {}", row.kind, row.realm)),
        ("permissions", row.permissions.join(", ")),
        ("messaging", if row.messaging { "yes".into() } else { "not entitled".into() }),
        ("known as", row.external_ids.join(", ")),
        ("created", crate::when::minute(user.create_time.as_ref())),
        ("deactivated", user.deactivate_time.as_ref().map_or_else(String::new, |time| crate::when::minute(Some(time)))),
        ("id", row.id.clone()),
        ("version", row.version.to_string()),
    ];
    show_pairs(global.output, &row, &pairs)
}

async fn update(session: &Session, global: &Global, update: UserUpdate) -> Result<()> {
    let mut user = address::user(session, &update.user).await?;
    let mut paths = Vec::new();
    if let Some(name) = update.name {
        user.display_name = name;
        paths.push("display_name".to_owned());
    }
    if let Some(unit) = update.unit {
        user.unit = unit;
        paths.push("unit".into());
    }
    if let Some(ids) = update.external_ids {
        user.external_ids = external_ids(&ids)?;
        paths.push("external_ids".into());
    }
    if let Some(messaging) = update.messaging {
        user.messaging_disabled = !messaging;
        paths.push("messaging_disabled".into());
    }
    if update.no_permissions || update.permissions.is_some() {
        let sets = update.permissions.unwrap_or_default();
        user.permission_sets = sets.into_iter().map(|set| wire_permission(set) as i32).collect();
        paths.push("permission_sets".into());
    }
    if paths.is_empty() {
        return Err(Error::Usage(
            "nothing to change was named: --name, --unit, --external-id, --messaging, --permission".into(),
        ));
    }
    let body =
        |id| v1::UpdateUserRequest { user: Some(user.clone()), update_paths: paths.clone(), request_id: Some(id) };
    let call = Call::write(format!("change the user @{}", user.login));
    let answer = session.write(call, body, rpc!(DirectoryServiceClient.update_user)).await?;
    show_one(global, &answer.user.unwrap_or_default())
}

async fn deactivate(session: &Session, global: &Global, text: &str) -> Result<()> {
    let user = address::user(session, text).await?;
    let who = crate::text::line(&rows::with_unit(&user));
    prompt::confirm(&format!("The account @{} of {who} ends for ever; its sessions end now.", user.login), global.yes)?;
    let body = |id| v1::DeactivateUserRequest { name: user.name.clone(), request_id: Some(id) };
    let call = Call::write(format!("deactivate @{}", user.login));
    session.write(call, body, rpc!(DirectoryServiceClient.deactivate_user)).await?;
    say("Deactivated.");
    Ok(())
}

async fn code(session: &Session, global: &Global, text: &str) -> Result<()> {
    let user = address::user(session, text).await?;
    prompt::confirm(&format!("The sessions of @{} end with a new code.", user.login), global.yes)?;
    let body = |id| v1::CreateEnrolmentCodeRequest { name: user.name.clone(), request_id: Some(id) };
    let call = Call::write(format!("make an enrolment code for @{}", user.login));
    let answer = session.write(call, body, rpc!(DirectoryServiceClient.create_enrolment_code)).await?;
    tell_code(global, &user, &answer.enrolment_code, true)
}

async fn reset(session: &Session, global: &Global, text: &str) -> Result<()> {
    let user = address::user(session, text).await?;
    let who = crate::text::line(&rows::with_unit(&user));
    let question = format!(
        "The password of @{}, {who}, is taken away and all sessions end. Are you sure who is asking?",
        user.login
    );
    prompt::confirm(&question, global.yes)?;
    let body = |id| v1::CreateEnrolmentCodeRequest { name: user.name.clone(), request_id: Some(id) };
    let call = Call::write(format!("reset the password of @{}", user.login));
    let answer = session.write(call, body, rpc!(DirectoryServiceClient.create_enrolment_code)).await?;
    if answer.reset {
        say("Reset: the code is good for a day, and the user is told who did this.");
    } else {
        say("There was no password to take away.");
    }
    tell_code(global, &user, &answer.enrolment_code, true)
}

/// `SYSTEM=VALUE` of each.
pub fn external_ids(texts: &[String]) -> Result<Vec<v1::ExternalId>> {
    texts
        .iter()
        .map(|text| {
            let pair = text.split_once('=').filter(|(system, value)| !system.is_empty() && !value.is_empty());
            let (system, value) =
                pair.ok_or_else(|| Error::Usage(format!("the external id {text:?}: SYSTEM=VALUE is needed")))?;
            Ok(v1::ExternalId { system: system.into(), value: value.into() })
        })
        .collect()
}

/// A kind on the wire.
pub fn wire_kind(kind: Kind) -> v1::UserKind {
    match kind {
        Kind::Person => v1::UserKind::Person,
        Kind::Location => v1::UserKind::Location,
        Kind::Service => v1::UserKind::Service,
        Kind::Patient => v1::UserKind::Patient,
    }
}

/// A realm on the wire.
pub fn wire_realm(realm: RealmArg) -> v1::Realm {
    match realm {
        RealmArg::Staff => v1::Realm::Staff,
        RealmArg::Partner => v1::Realm::Partner,
        RealmArg::Patient => v1::Realm::Patient,
    }
}

/// A permission set on the wire.
pub fn wire_permission(set: Permission) -> v1::PermissionSet {
    match set {
        Permission::Admin => v1::PermissionSet::Admin,
        Permission::Auditor => v1::PermissionSet::Auditor,
        Permission::Helpdesk => v1::PermissionSet::Helpdesk,
        Permission::Integrator => v1::PermissionSet::Integrator,
        Permission::Viewer => v1::PermissionSet::Viewer,
        Permission::Discloser => v1::PermissionSet::Discloser,
        Permission::Keyholder => v1::PermissionSet::Keyholder,
    }
}
