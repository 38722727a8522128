//! Accounts.

use std::sync::Arc;

use proto::v1::directory_service_server::DirectoryService;
use proto::v1::*;
use raft::Handle;
use seal::Place;
use state::policy::Action;
use state::view::{Rows, View};
use tonic::{Request, Response, Status};
use types::command::{NewUser, SetPassword, UpdateUser};
use types::key::KeyScope;
use types::limits::{RESEALS_MAX, USERS_PER_COMMAND_MAX};
use types::user::UserKind;
use types::{Command, Key, Reject, Reply, Row, UserId};

use crate::call::Call;
use crate::errors::Error;
use crate::names::UserName;
use crate::passwords;
use crate::reads::Read;
use crate::sealing::{Fresh, SealingKey};
use crate::writes::{Done, Numbered, numbered, unexpected};
use crate::{Services, codes, names, pages, sealing, validation, words};

/// Rows one search looks at, at most.
const SEARCH_ROWS_MAX: usize = 5_000;
/// Rows one page looks at, at most: those left out are not for this reader or not asked for.
const PAGE_ROWS_MAX: usize = 10_000;
/// Longest query of a search, in bytes.
const QUERY_BYTES_MAX: usize = 128;
/// Sorts after every word and login.
const LAST: &str = "\u{10FFFF}";

#[tonic::async_trait]
impl<H: Handle> DirectoryService for Services<H> {
    async fn create_user(&self, request: Request<CreateUserRequest>) -> Result<Response<CreateUserResponse>, Status> {
        self.call("CreateUser", request, |call, body| create_user(self, call, body)).await
    }

    async fn batch_create_users(
        &self,
        request: Request<BatchCreateUsersRequest>,
    ) -> Result<Response<BatchCreateUsersResponse>, Status> {
        self.call("BatchCreateUsers", request, |call, body| batch_create_users(self, call, body)).await
    }

    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<GetUserResponse>, Status> {
        self.call("GetUser", request, |call, body| get_user(self, call, body)).await
    }

    async fn batch_get_users(
        &self,
        request: Request<BatchGetUsersRequest>,
    ) -> Result<Response<BatchGetUsersResponse>, Status> {
        self.call("BatchGetUsers", request, |call, body| batch_get_users(self, call, body)).await
    }

    async fn list_users(&self, request: Request<ListUsersRequest>) -> Result<Response<ListUsersResponse>, Status> {
        self.call("ListUsers", request, |call, body| list_users(self, call, body)).await
    }

    async fn search_users(
        &self,
        request: Request<SearchUsersRequest>,
    ) -> Result<Response<SearchUsersResponse>, Status> {
        self.call("SearchUsers", request, |call, body| search_users(self, call, body)).await
    }

    async fn update_user(&self, request: Request<UpdateUserRequest>) -> Result<Response<UpdateUserResponse>, Status> {
        self.call("UpdateUser", request, |call, body| update_user(self, call, body)).await
    }

    async fn deactivate_user(
        &self,
        request: Request<DeactivateUserRequest>,
    ) -> Result<Response<DeactivateUserResponse>, Status> {
        self.call("DeactivateUser", request, |call, body| deactivate_user(self, call, body)).await
    }

    async fn set_password(
        &self,
        request: Request<SetPasswordRequest>,
    ) -> Result<Response<SetPasswordResponse>, Status> {
        self.call("SetPassword", request, |call, body| set_password(self, call, body)).await
    }

    async fn create_enrolment_code(
        &self,
        request: Request<CreateEnrolmentCodeRequest>,
    ) -> Result<Response<CreateEnrolmentCodeResponse>, Status> {
        self.call("CreateEnrolmentCode", request, |call, body| create_enrolment_code(self, call, body)).await
    }
}

async fn create_user<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: CreateUserRequest,
) -> Result<CreateUserResponse, Error> {
    let id = numbered(body.request_id)?;
    let content = CreateUserRequest { request_id: None, ..body };
    let user = content.user.as_ref().ok_or_else(|| Error::invalid("user", "is missing"))?;
    let (new, code) = new_user("user", user, content.without_enrolment_code)?;
    let minted = new.id;
    let done = create_named(services, &call, ("CreateUser", id), &content, vec![new]).await;
    let done = done.map_err(|error| error.taken("user.login"))?;
    let Reply::Users(ids) = done.reply else { return Err(unexpected()) };
    let created = *ids.first().ok_or_else(unexpected)?;
    let user = services.seen(call.deadline, |view| view.user(created)).await?;
    Ok(CreateUserResponse {
        user: Some(services.inner.keyring.user(&services.inner.handle.view(), &user, true)?),
        // An earlier try created it: that one's code was shown, or is lost.
        enrolment_code: code.filter(|_| created == minted).unwrap_or_default(),
        cursor: services.cursor(done.event)?,
    })
}

async fn batch_create_users<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: BatchCreateUsersRequest,
) -> Result<BatchCreateUsersResponse, Error> {
    let id = numbered(body.request_id)?;
    let content = BatchCreateUsersRequest { request_id: None, ..body };
    validation::count("users", content.users.len(), 1, USERS_PER_COMMAND_MAX)?;
    let (mut new, mut codes, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
    for (at, user) in content.users.iter().enumerate() {
        match new_user(&format!("users[{at}]"), user, content.without_enrolment_codes) {
            Ok((user, code)) => {
                new.push(user);
                codes.push(code.unwrap_or_default());
            }
            Err(Error::Invalid(violations)) => wrong.extend(violations),
            Err(error) => return Err(error),
        }
    }
    if !wrong.is_empty() {
        wrong.truncate(validation::VIOLATIONS_MAX);
        return Err(Error::Invalid(wrong));
    }
    let minted: Vec<UserId> = new.iter().map(|user| user.id).collect();
    let done = create_named(services, &call, ("BatchCreateUsers", id), &content, new).await?;
    let Reply::Users(ids) = done.reply else { return Err(unexpected()) };
    let last = *ids.last().ok_or_else(unexpected)?;
    services.seen(call.deadline, |view| view.user(last)).await?;
    let view = services.inner.handle.view();
    let mut users = Vec::with_capacity(ids.len());
    for &id in &ids {
        if let Some(user) = view.user(id)? {
            users.push(services.inner.keyring.user(&view, &user, true)?);
        }
    }
    if ids != minted || content.without_enrolment_codes {
        codes.clear();
    }
    Ok(BatchCreateUsersResponse { users, enrolment_codes: codes, cursor: services.cursor(done.event)? })
}

/// A user to create, and the code to show for it.
fn new_user(field: &str, user: &User, without_code: bool) -> Result<(NewUser, Option<String>), Error> {
    let checked = validation::new_user(field, user)?;
    let (code, hash) =
        if without_code { (None, None) } else { codes::enrolment().map(|(code, hash)| (Some(code), Some(hash)))? };
    let patient = checked.kind == UserKind::Patient;
    // No word of a patient's name is kept where it can be searched.
    let words = if patient { Vec::new() } else { words::of(&user.login, &user.display_name, &user.unit) };
    let new = NewUser {
        id: UserId(codes::random_id()?),
        kind: checked.kind,
        realm: checked.realm,
        login: user.login.clone(),
        display_name: user.display_name.clone(),
        unit: user.unit.clone(),
        words,
        external_ids: checked.external_ids,
        may_message: !user.messaging_disabled,
        permissions: checked.permissions,
        enrolment: hash,
        sealed_name: Vec::new(),
        key: None,
    };
    Ok((new, code))
}

/// Creates users; patients' names are sealed, each with a key of its own user that comes with it.
async fn create_named<H: Handle, M: prost::Message>(
    services: &Services<H>,
    call: &Call,
    (method, id): (&str, Numbered),
    content: &M,
    users: Vec<NewUser>,
) -> Result<Done, Error> {
    for _ in 0..RESEALS_MAX {
        let (mut named, mut keys) = (Vec::with_capacity(users.len()), Vec::new());
        for user in users.iter().cloned() {
            named.push(if user.kind == UserKind::Patient { name_sealed(services, user, &mut keys)? } else { user });
        }
        match services.put(call, method, id, content, Command::CreateUsers(named)).await {
            // The cluster key was rotated meanwhile.
            Err(Error::Reject(Reject::UnknownKey)) => services.inner.handle.read_barrier(call.deadline).await?,
            Ok(done) => {
                let made = matches!(&done.reply, Reply::Users(ids) if ids.iter().eq(users.iter().map(|user| &user.id)));
                keys.iter().filter(|_| made).for_each(|fresh| services.keep_fresh(fresh));
                return Ok(done);
            }
            Err(error) => return Err(error),
        }
    }
    Err(Reject::UnknownKey.into())
}

fn name_sealed<H: Handle>(services: &Services<H>, mut user: NewUser, keys: &mut Vec<Fresh>) -> Result<NewUser, Error> {
    let fresh = services.fresh_key(KeyScope::User(user.id))?;
    user.sealed_name = sealing::text(&Some(Arc::clone(&fresh.key)), &Place::Name(user.id), &user.display_name)?;
    user.display_name.clear();
    user.key = Some(fresh.add.clone());
    keys.push(fresh);
    Ok(user)
}

/// The user as the reader may see them; none if not at all.
fn shown<V: View<Fault = raft::Fault>>(read: &Read<V>, id: UserId) -> Result<Option<User>, Error> {
    if !read.may(Action::SeeUser(id))?.is_yes() {
        return Ok(None);
    }
    let Some(user) = read.view.user(id)? else { return Ok(None) };
    let details = read.may(Action::SeeUserDetails(id))?.is_yes();
    Ok(Some(read.keyring.user(&read.view, &user, details)?))
}

/// Nobody's id.
const NOBODY: UserId = UserId([0; 16]);

/// The id a name stands for. An unknown login stands for nobody, who is looked for as anybody is: the time an answer
/// takes must not tell whether a login exists either.
fn resolve<V: View<Fault = raft::Fault>>(view: &V, name: &UserName) -> Result<UserId, Error> {
    Ok(match name {
        UserName::Id(id) => *id,
        UserName::Login(login) => view.login(login)?.unwrap_or(NOBODY),
    })
}

async fn get_user<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: GetUserRequest,
) -> Result<GetUserResponse, Error> {
    let name = names::user_or_login("name", &body.name)?;
    let read = services.read(&call, body.read).await?;
    let id = resolve(&read.view, &name)?;
    let user = shown(&read, id)?.ok_or(Reject::NotFound)?;
    let info = read.info;
    services.fetched_names(&call, std::slice::from_ref(&user)).await?;
    Ok(GetUserResponse { user: Some(user), info: Some(info) })
}

async fn batch_get_users<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: BatchGetUsersRequest,
) -> Result<BatchGetUsersResponse, Error> {
    validation::count("names", body.names.len(), 1, USERS_PER_COMMAND_MAX)?;
    let parsed = body.names.iter().enumerate().map(|(at, name)| names::user_or_login(&format!("names[{at}]"), name));
    let parsed: Vec<UserName> = parsed.collect::<Result<_, _>>()?;
    let read = services.read(&call, body.read).await?;
    let work = move |read: &Read<H::View>| {
        let mut users = Vec::with_capacity(parsed.len());
        for name in &parsed {
            users.extend(shown(read, resolve(&read.view, name)?)?);
        }
        Ok(users)
    };
    let (users, info) = services.scan(read, work).await?;
    services.fetched_names(&call, &users).await?;
    Ok(BatchGetUsersResponse { users, info: Some(info) })
}

async fn list_users<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: ListUsersRequest,
) -> Result<ListUsersResponse, Error> {
    let size = pages::size(body.page_size)?;
    let after = pages::after("users", &body.page_token)?.unwrap_or_default();
    let after = String::from_utf8(after).map_err(|_| Error::invalid("page_token", "is not a token of this list"))?;
    let read = services.read(&call, body.read).await?;
    read.check(Action::ListUsers)?;
    let work = move |read: &Read<H::View>| page_of_users(read, after, size, body.show_deactivated);
    let ((users, next_page_token), info) = services.scan(read, work).await?;
    services.fetched_names(&call, &users).await?;
    Ok(ListUsersResponse { users, next_page_token, info: Some(info) })
}

fn page_of_users<V: View<Fault = raft::Fault>>(
    read: &Read<V>,
    mut after: String,
    size: usize,
    deactivated: bool,
) -> Result<(Vec<User>, String), Error> {
    let (mut users, mut looked) = (Vec::new(), 0);
    loop {
        let limit = size.saturating_add(1);
        let rows = read.view.scan(&Key::Login(after.clone()), &Key::Login(LAST.into()), false, limit)?;
        let more = rows.len() == limit;
        for (key, row) in rows {
            let (Key::Login(login), Row::Login(id)) = (key, row) else { continue };
            if login == after {
                continue;
            }
            after = login;
            looked += 1;
            let shown = shown(read, id)?.filter(|user| deactivated || user.deactivate_time.is_none());
            users.extend(shown);
            if users.len() == size || looked == PAGE_ROWS_MAX {
                let rest = Key::Login(after.clone());
                let last = read.view.scan(&rest, &Key::Login(LAST.into()), false, 2)?.len() < 2;
                return Ok((users, if last { String::new() } else { pages::token("users", after.as_bytes()) }));
            }
        }
        if !more {
            return Ok((users, String::new()));
        }
    }
}

async fn search_users<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: SearchUsersRequest,
) -> Result<SearchUsersResponse, Error> {
    let size = pages::size(body.page_size)?;
    if body.query.len() > QUERY_BYTES_MAX {
        let what = format!("it is {} bytes, at most {QUERY_BYTES_MAX} are allowed", body.query.len());
        return Err(Error::invalid("query", what));
    }
    let wanted = words::split(&body.query);
    if wanted.is_empty() {
        return Err(Error::invalid("query", "it has no letter or digit: type the beginning of a name"));
    }
    let read = services.read(&call, body.read).await?;
    read.check(Action::ListUsers)?;
    let ((users, truncated), info) = services.scan(read, move |read| search(read, &wanted, size)).await?;
    services.fetched_names(&call, &users).await?;
    Ok(SearchUsersResponse { users, truncated, info: Some(info) })
}

fn search<V: View<Fault = raft::Fault>>(
    read: &Read<V>,
    wanted: &[String],
    size: usize,
) -> Result<(Vec<User>, bool), Error> {
    let longest = wanted.iter().max_by_key(|word| word.len()).cloned().unwrap_or_default();
    let (from, to) =
        (Key::Word(longest.clone(), UserId([0; 16])), Key::Word(format!("{longest}{LAST}"), UserId([0; 16])));
    let rows = read.view.scan(&from, &to, false, SEARCH_ROWS_MAX)?;
    let mut truncated = rows.len() == SEARCH_ROWS_MAX;
    let ids: std::collections::BTreeSet<UserId> =
        rows.into_iter().filter_map(|(key, _)| if let Key::Word(_, id) = key { Some(id) } else { None }).collect();
    let mut users = Vec::new();
    for id in ids {
        let Some(user) = shown(read, id)?.filter(|user| user.deactivate_time.is_none()) else { continue };
        let words = words::of(&user.login, &user.display_name, &user.unit);
        if wanted.iter().all(|wanted| words.iter().any(|word| word.starts_with(wanted))) {
            users.push(user);
        }
    }
    users.sort_by(|one, other| one.login.cmp(&other.login));
    truncated |= users.len() > size;
    users.truncate(size);
    Ok((users, truncated))
}

async fn update_user<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: UpdateUserRequest,
) -> Result<UpdateUserResponse, Error> {
    let id = numbered(body.request_id)?;
    let content = UpdateUserRequest { request_id: None, ..body };
    let user = content.user.as_ref().ok_or_else(|| Error::invalid("user", "is missing"))?;
    let which = names::user("user.name", &user.name)?;
    let mut update = validation::user_update(which, user, &content.update_paths)?;
    if update.display_name.is_some() || update.unit.is_some() {
        services.inner.handle.read_barrier(call.deadline).await?; // The words come of what stays, too.
        update.words = Some(words_after(services, &update)?);
    }
    let stored = services.inner.handle.view().user(which)?;
    let name = match stored {
        Some(user) if user.kind == UserKind::Patient => update.display_name.take(),
        Some(_) | None => None,
    };
    let done = match name {
        None => services.put(&call, "UpdateUser", id, &content, Command::UpdateUser(update)).await?,
        Some(name) => {
            let needs = (KeyScope::User(which), Action::UpdateUser { user: which, permissions: false });
            let make = |key: &SealingKey| {
                let sealed = sealing::text(key, &Place::Name(which), &name)?;
                Ok(Command::UpdateUser(UpdateUser { sealed_name: Some(sealed), ..update.clone() }))
            };
            services.put_sealed(&call, ("UpdateUser", id), &content, needs, make).await?
        }
    };
    let Reply::Version(version) = done.reply else { return Err(unexpected()) };
    let user =
        services.seen(call.deadline, |view| Ok(view.user(which)?.filter(|user| user.version >= version))).await?;
    let user = services.inner.keyring.user(&services.inner.handle.view(), &user, true)?;
    services.fetched_names(&call, std::slice::from_ref(&user)).await?; // It may not be what was changed.
    Ok(UpdateUserResponse { user: Some(user), cursor: services.cursor(done.event)? })
}

/// The words of a user whose name or unit changes; what does not change is read here.
///
/// An unknown user has none: the state refuses, so that the answer is the same whether there is one or not.
fn words_after<H: Handle>(services: &Services<H>, update: &UpdateUser) -> Result<Vec<String>, Error> {
    let Some(user) = services.inner.handle.view().user(update.id)? else { return Ok(Vec::new()) };
    if user.kind == UserKind::Patient {
        return Ok(Vec::new());
    }
    let display_name = update.display_name.as_ref().unwrap_or(&user.display_name);
    Ok(words::of(&user.login, display_name, update.unit.as_ref().unwrap_or(&user.unit)))
}

async fn deactivate_user<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: DeactivateUserRequest,
) -> Result<DeactivateUserResponse, Error> {
    let id = numbered(body.request_id)?;
    let which = names::user("name", &body.name)?;
    let content = DeactivateUserRequest { request_id: None, ..body };
    let done = services.put(&call, "DeactivateUser", id, &content, Command::DeactivateUser(which)).await?;
    Ok(DeactivateUserResponse { cursor: services.cursor(done.event)? })
}

async fn set_password<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: SetPasswordRequest,
) -> Result<SetPasswordResponse, Error> {
    let id = numbered(body.request_id)?;
    passwords::check_length("old_password", &body.old_password)?;
    let inner = &services.inner;
    inner.handle.read_barrier(call.deadline).await?;
    let view = inner.handle.view();
    let user = view.user(call.user)?.ok_or(Reject::NoSession)?;
    passwords::check_new("new_password", &body.new_password, &user.login)?;
    let answered = view.kept_answer(call.device, id.number)?.is_some();
    drop(view);
    let set = if answered {
        // A retry: the old password is not the old one any more. Version 0 is never current: this changes nothing.
        SetPassword { password: String::new(), credential_version: 0 }
    } else {
        let credential = services.verify_own(&call, body.old_password).await?;
        let password = inner.passwords.hash(body.new_password).await?;
        SetPassword { password, credential_version: credential.version }
    };
    // No password goes into the hash of the content: it would let whoever reads the disk try passwords fast.
    let content = SetPasswordRequest::default();
    let done = services.put(&call, "SetPassword", id, &content, Command::SetPassword(set)).await?;
    Ok(SetPasswordResponse { cursor: services.cursor(done.event)? })
}

async fn create_enrolment_code<H: Handle>(
    services: &Services<H>,
    call: Call,
    body: CreateEnrolmentCodeRequest,
) -> Result<CreateEnrolmentCodeResponse, Error> {
    let id = numbered(body.request_id)?;
    let which = names::user("name", &body.name)?;
    let (code, hash) = codes::enrolment()?;
    let content = CreateEnrolmentCodeRequest { request_id: None, ..body };
    let command = Command::IssueEnrolment(which, hash);
    let done = services.put(&call, "CreateEnrolmentCode", id, &content, command).await?;
    // A retry of what was done before gets its answer again, but its code was made by the earlier try.
    services.inner.handle.read_barrier(call.deadline).await.map_err(|_| raft::ProposeError::OutcomeUnknown)?;
    let kept = services.inner.handle.view().credential(which)?.and_then(|credential| credential.enrolment);
    let fresh = kept.is_some_and(|(kept, _)| codes::same(&kept, &hash));
    let reset = done.reply == Reply::PasswordReset;
    Ok(CreateEnrolmentCodeResponse {
        enrolment_code: if fresh { code } else { String::new() },
        cursor: services.cursor(done.event)?,
        reset,
    })
}
