//! Signing in and out.

use std::time::Duration;

use proto::v1;
use proto::v1::directory_service_client::DirectoryServiceClient;
use proto::v1::session_service_client::SessionServiceClient;

use crate::args::Global;
use crate::client::{Call, Client};
use crate::error::{Error, Result};
use crate::output::{say, show_pairs};
use crate::profile::Profile;
use crate::renewal::{DeviceKey, renew_at};
use crate::rows::{self, id_of};
use crate::session::Session;
use crate::when::rfc3339;
use crate::{prompt, rpc};

/// `login`
pub async fn login(global: &Global, login: &str) -> Result<()> {
    let (profile, client, device) = anonymous(global, login)?;
    let password = prompt::password(&format!("Password of {login}"))?;
    let credentials = sign_in(&client, login, &password, &device).await?;
    keep(global, &profile, &client, device, credentials)
}

/// `enrol`
pub async fn enrol(global: &Global, login: &str) -> Result<()> {
    let (profile, client, device) = anonymous(global, login)?;
    let code = prompt::secret("One-time code")?.trim().to_owned();
    let password = prompt::new_password()?;
    let request = v1::EnrolRequest {
        login: login.into(),
        code,
        password: password.clone(),
        device: device.id.clone(),
        device_key: device.key.public(),
        second_factor: String::new(),
    };
    let call = Call::write(format!("enrol {login}")).slow();
    let mut answer = client.call(&call, |_| request.clone(), rpc!(SessionServiceClient.enrol)).await;
    if answer.as_ref().is_err_and(|error| error.code() == "SECOND_FACTOR_NEEDED") {
        let second_factor = prompt::secret("One-time password (or a recovery code)")?;
        let request = v1::EnrolRequest { second_factor, ..request.clone() };
        answer = client.call(&call, |_| request.clone(), rpc!(SessionServiceClient.enrol)).await;
    }
    let credentials = match answer {
        Ok(answer) => answer.credentials.unwrap_or_default(),
        // The code may have been used by an attempt whose answer was lost: then the new password works.
        Err(error @ Error::Unconfirmed { .. }) => {
            sign_in(&client, login, &password, &device).await.map_err(|_| error)?
        }
        Err(error) if error.code() == "BAD_CODE" => {
            sign_in(&client, login, &password, &device).await.map_err(|_| error)?
        }
        Err(error) => return Err(error),
    };
    keep(global, &profile, &client, device, credentials)
}

/// `logout`
pub async fn logout(global: &Global) -> Result<()> {
    let session = Session::open(global)?;
    let body = |id| v1::SignOutRequest { request_id: Some(id) };
    let ended = session.write(Call::write("sign out"), body, rpc!(SessionServiceClient.sign_out)).await;
    match ended {
        Ok(_) => {}
        Err(error) if error.code() == "NO_SESSION" => {}
        Err(error) => return Err(error),
    }
    session.store.leave_place()?; // One's own part at a place: the place stays signed in.
    if session.state.place.is_some() {
        say("Your part here has ended; the place stays signed in.");
        return Ok(());
    }
    session.store.update(|state| {
        state.token.clear();
        state.session.clear();
        Ok(())
    })?;
    say("Signed out.");
    Ok(())
}

/// `whoami`
pub async fn whoami(global: &Global) -> Result<()> {
    let session = Session::open(global)?;
    let body = |read| v1::GetSelfRequest { read: Some(read) };
    let answer = session.read("ask who is signed in", body, rpc!(SessionServiceClient.get_self)).await?;
    let (user, own) = (answer.user.unwrap_or_default(), answer.session.unwrap_or_default());
    crate::output::note_stale(answer.info.as_ref());
    let row = rows::User::from(&user);
    let document = serde_json::json!({
        "user": row, "session": id_of(&own.name), "device": own.device, "node": session.client.current(),
        "session_expires": rfc3339(own.expire_time.as_ref()), "auth_time": rfc3339(own.auth_time.as_ref()),
        "auth_methods": own.auth_methods, "locked": own.state() == v1::SessionState::Locked,
        "location": own.location,
    });
    let how = if own.state() == v1::SessionState::Locked { ", locked" } else { "" };
    let how = if own.location.is_empty() { how } else { ", at a place" };
    let pairs = [
        ("user", format!("@{}", user.login)),
        ("name", rows::with_unit(&user)),
        ("kind", format!("{}, {}", row.kind, row.realm)),
        ("permissions", row.permissions.join(", ")),
        ("messaging", if row.messaging { "yes".into() } else { "not entitled".into() }),
        ("id", row.id.clone()),
        ("session", format!("{}{how}", id_of(&own.name))),
        ("signed in by", own.auth_methods.join(", ")),
        ("expires", crate::when::minute(own.expire_time.as_ref())),
        ("device", own.device.clone()),
        ("node", session.client.current().to_owned()),
    ];
    show_pairs(global.output, &document, &pairs)
}

/// `password`
pub async fn password(global: &Global) -> Result<()> {
    let session = Session::open(global)?;
    let old_password = prompt::secret("Present password")?;
    let new_password = prompt::new_password()?;
    let body = |id| v1::SetPasswordRequest {
        old_password: old_password.clone(),
        new_password: new_password.clone(),
        request_id: Some(id),
    };
    let call = Call::write("change the password").slow().secret();
    session.write(call, body, rpc!(DirectoryServiceClient.set_password)).await?;
    say("Changed. Your other sessions have ended.");
    Ok(())
}

/// This device, as it signs in.
struct Device {
    /// From an earlier sign-in; empty: a new one.
    id: String,
    key: DeviceKey,
    /// For the state file.
    seed: String,
}

fn anonymous(global: &Global, login: &str) -> Result<(Profile, Client, Device)> {
    types::text::check_login(login).map_err(|error| Error::Usage(format!("the login {login:?}: {error}")))?;
    let profile = Profile::open(global)?;
    let client = Client::new(&profile.nodes, profile.ca.as_deref(), Duration::from_secs(global.deadline.max(15)))?;
    let state = profile.store().read()?;
    let (key, seed) = DeviceKey::generate()?;
    let device = Device { id: state.device, key, seed };
    Ok((profile, client, device))
}

async fn sign_in(client: &Client, login: &str, password: &str, device: &Device) -> Result<v1::Credentials> {
    let request = v1::SignInRequest {
        login: login.into(),
        password: password.into(),
        device: device.id.clone(),
        device_key: device.key.public(),
        ..v1::SignInRequest::default()
    };
    let call = || Call::read(format!("sign in as {login}")).slow();
    let answer = match client.call(&call(), |_| request.clone(), rpc!(SessionServiceClient.sign_in)).await {
        Err(error) if error.code() == "SECOND_FACTOR_NEEDED" => {
            let code = prompt::secret("One-time password (or a recovery code)")?;
            let request = v1::SignInRequest { code, ..request };
            client.call(&call(), |_| request.clone(), rpc!(SessionServiceClient.sign_in)).await?
        }
        answer => answer?,
    };
    Ok(answer.credentials.unwrap_or_default())
}

fn keep(
    global: &Global,
    profile: &Profile,
    client: &Client,
    device: Device,
    credentials: v1::Credentials,
) -> Result<()> {
    let user = credentials.user.unwrap_or_default();
    let mut salt = [0; 16];
    getrandom::fill(&mut salt)
        .map_err(|error| Error::Pki { doing: "draw randomness".into(), why: error.to_string() })?;
    profile.remember()?;
    profile.store().update(|state| {
        if state.device != credentials.device {
            // Another device: its numbering is its own, and what was pending on the old one cannot be asked again.
            state.pending.clear();
            state.next_number = 0;
            state.salt = crate::text::hex(&salt);
        }
        if state.user != user.name {
            state.cursor.clear();
        }
        state.version = 1;
        state.place = None;
        state.login.clone_from(&user.login);
        state.user.clone_from(&user.name);
        state.session = credentials.session;
        state.token = credentials.token;
        state.device = credentials.device;
        state.next_number = state.next_number.max(credentials.next_number).max(1);
        state.node = client.current().to_owned();
        state.device_key = device.seed;
        state.proofs = 0;
        state.cluster = credentials.cluster;
        state.token_renew_at = renew_at(credentials.token_lifetime.as_ref());
        Ok(())
    })?;
    profile.store().saw(&credentials.cursor)?;
    let reset = credentials.password_reset;
    if let Some(reset) = &reset {
        say(&format!(
            "Your password was taken away on {} by {}. If you did not ask for that, tell the help desk now.",
            crate::when::minute(reset.time.as_ref()),
            reset.user
        ));
    }
    let reset = reset.map(|reset| rfc3339(reset.time.as_ref()));
    let document = serde_json::json!({
        "user": rows::User::from(&user), "profile": profile.name, "node": client.current(), "password_reset": reset,
    });
    if global.output == crate::args::Format::Json {
        return crate::output::json(&document);
    }
    say(&format!(
        "Signed in as {} (@{}) on {}.",
        crate::text::line(&rows::with_unit(&user)),
        user.login,
        client.current()
    ));
    Ok(())
}
