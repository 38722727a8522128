//! `totp …` and `settings …`.

use proto::v1;
use proto::v1::security_service_client::SecurityServiceClient;
use proto::v1::session_service_client::SessionServiceClient;

use types::limits;

use crate::args::{Format, Global, SettingsCommand, SettingsSet, TotpCommand, UnlockMethod};
use crate::client::Call;
use crate::commands::user::wire_permission;
use crate::error::{Error, Result};
use crate::output::{say, show_pairs};
use crate::session::Session;
use crate::when::{parse_span, roughly};
use crate::{address, prompt, rpc};

/// `totp`
pub async fn totp(session: &Session, global: &Global, command: TotpCommand) -> Result<()> {
    match command {
        TotpCommand::Add => add(session, global).await,
        TotpCommand::Confirm => confirm(session).await,
        TotpCommand::Remove { user } => remove(session, global, user.as_deref()).await,
    }
}

async fn add(session: &Session, global: &Global) -> Result<()> {
    let password = prompt::password("Present password")?;
    let body = |id| v1::CreateTotpRequest { password: password.clone(), request_id: Some(id) };
    let call = Call::write("set up one-time passwords").slow().secret();
    let answer = session.write(call, body, rpc!(SecurityServiceClient.create_totp)).await?;
    if answer.secret.is_empty() {
        return Err(Error::Usage("it was set up by an earlier try, whose secret is lost: run this again".into()));
    }
    if global.output == Format::Json {
        return crate::output::json(&serde_json::json!({
            "secret": answer.secret, "uri": answer.uri, "recovery_codes": answer.recovery_codes,
        }));
    }
    say("For the authenticator, shown only now:");
    crate::output::print(&answer.uri)?;
    say(&format!("To type: {}", grouped(&answer.secret)));
    say("Recovery codes, each good once, shown only now; keep them on paper, apart from the authenticator:");
    for code in &answer.recovery_codes {
        crate::output::print(code)?;
    }
    say("Then: tricord totp confirm");
    Ok(())
}

async fn confirm(session: &Session) -> Result<()> {
    let code = prompt::secret("One-time password")?;
    let body = |id| v1::ConfirmTotpRequest { code: code.clone(), request_id: Some(id) };
    let call = Call::write("confirm one-time passwords").secret();
    session.write(call, body, rpc!(SecurityServiceClient.confirm_totp)).await?;
    say("Confirmed. From now on it is asked for at each sign-in.");
    Ok(())
}

async fn remove(session: &Session, global: &Global, user: Option<&str>) -> Result<()> {
    let own = session.state.user.clone();
    let (name, whose) = match user {
        Some(user) => {
            let user = address::user(session, user).await?;
            (user.name, format!("@{}", user.login))
        }
        None => (own.clone(), "your account".into()),
    };
    let password = if name == own { prompt::password("Present password")? } else { String::new() };
    prompt::confirm(&format!("The password alone will do for {whose}. Are you sure who is asking?"), global.yes)?;
    let body = |id| v1::DeleteTotpRequest { name: name.clone(), password: password.clone(), request_id: Some(id) };
    let call = Call::write("take one-time passwords away").slow().secret();
    session.write(call, body, rpc!(SecurityServiceClient.delete_totp)).await?;
    say("Taken away.");
    Ok(())
}

/// `settings`
pub async fn settings(session: &Session, global: &Global, command: SettingsCommand) -> Result<()> {
    match command {
        SettingsCommand::Show => show(global, &read(session).await?),
        SettingsCommand::Set(set) => change(session, global, set).await,
    }
}

async fn read(session: &Session) -> Result<v1::Settings> {
    let body = |read| v1::GetSettingsRequest { read: Some(read) };
    let answer = session.read("read the settings", body, rpc!(SecurityServiceClient.get_settings)).await?;
    Ok(answer.settings.unwrap_or_default())
}

async fn change(session: &Session, global: &Global, set: SettingsSet) -> Result<()> {
    let mut settings = read(session).await?;
    let before = settings.clone();
    if set.second_factor.is_some() || set.no_second_factor {
        settings.second_factor =
            set.second_factor.unwrap_or_default().into_iter().map(|set| wire_permission(set) as i32).collect();
    }
    for (text, span) in [
        (&set.lock_after, &mut settings.lock_after),
        (&set.part_idle, &mut settings.part_idle),
        (&set.session_idle, &mut settings.session_idle),
        (&set.session_longest, &mut settings.session_longest),
    ] {
        if let Some(text) = text {
            *span = Some(lasts(text)?);
        }
    }
    if let Some(methods) = set.unlock {
        settings.unlock_methods = methods.into_iter().map(|method| wire_method(method) as i32).collect();
    }
    if settings == before {
        return Err(Error::Usage("nothing to change was named; tricord settings set --help says what there is".into()));
    }
    if settings.second_factor != before.second_factor {
        keeps_its_rights(session, &settings).await?;
    }
    let body = |id| v1::UpdateSettingsRequest { settings: Some(settings.clone()), request_id: Some(id) };
    let call = Call::write("change the settings");
    let answer = session.write(call, body, rpc!(SecurityServiceClient.update_settings)).await?;
    settings.version = answer.version;
    show(global, &settings)
}

/// Refuses to ask a second factor of who changes the settings before they have one: nobody may be left who could undo it.
async fn keeps_its_rights(session: &Session, settings: &v1::Settings) -> Result<()> {
    let body = |read| v1::GetSelfRequest { read: Some(read) };
    let answer = session.read("ask who is signed in", body, rpc!(SessionServiceClient.get_self)).await?;
    let (user, own) = (answer.user.unwrap_or_default(), answer.session.unwrap_or_default());
    if user.permission_sets.iter().any(|set| settings.second_factor.contains(set)) && !proved_twice(&own.auth_methods) {
        return Err(Error::Usage(
            "you would lose your own rights, for this session has no second factor: 'tricord totp add', then 'tricord totp \
             confirm', or sign in again where that is done; then this again"
                .into(),
        ));
    }
    Ok(())
}

/// Whether these methods of a sign-in count as a second factor.
fn proved_twice(methods: &[String]) -> bool {
    methods.iter().any(|method| matches!(method.as_str(), "totp" | "recovery_code"))
}

/// A span, or `never`.
fn lasts(text: &str) -> Result<prost_types::Duration> {
    let seconds = match text {
        "never" => Some(0),
        text => parse_span(text).filter(|seconds| *seconds > 0),
    };
    let seconds = seconds.ok_or_else(|| Error::Usage(format!("the span {text:?}: as 90s, 15m, 8h or 14d")))?;
    Ok(prost_types::Duration { seconds, nanos: 0 })
}

const fn wire_method(method: UnlockMethod) -> v1::UnlockMethod {
    match method {
        UnlockMethod::Password => v1::UnlockMethod::Password,
        UnlockMethod::Pin => v1::UnlockMethod::Pin,
        UnlockMethod::DeviceKey => v1::UnlockMethod::DeviceKey,
    }
}

fn show(global: &Global, settings: &v1::Settings) -> Result<()> {
    let sets: Vec<&str> = settings.second_factor().map(crate::rows::permission_word).collect();
    let seconds = |lasts: Option<prost_types::Duration>, default: u64| {
        lasts.map_or(default / 1_000, |lasts| lasts.seconds.unsigned_abs())
    };
    let times = [
        seconds(settings.lock_after, limits::LOCK_MS_DEFAULT),
        seconds(settings.part_idle, limits::PART_MS_DEFAULT),
        seconds(settings.session_idle, limits::SESSION_IDLE_MS_MAX),
        seconds(settings.session_longest, limits::SESSION_MS_MAX),
    ];
    let methods: Vec<&str> = if settings.unlock_methods.is_empty() {
        vec!["password", "pin"]
    } else {
        let others = settings.unlock_methods().filter_map(|method| match method {
            v1::UnlockMethod::Pin => Some("pin"),
            v1::UnlockMethod::DeviceKey => Some("device-key"),
            v1::UnlockMethod::Password | v1::UnlockMethod::Unspecified => None,
        });
        std::iter::once("password").chain(others).collect()
    };
    let document = serde_json::json!({
        "second_factor": sets, "version": settings.version, "lock_after_seconds": times[0],
        "part_idle_seconds": times[1], "session_idle_seconds": times[2], "session_longest_seconds": times[3],
        "unlock_methods": methods,
    });
    let words = |seconds: u64| match seconds {
        0 => "never".to_owned(),
        seconds => roughly(i64::try_from(seconds).unwrap_or(i64::MAX)),
    };
    let second_factor = if sets.is_empty() { "nobody".to_owned() } else { sets.join(", ") };
    show_pairs(
        global.output,
        &document,
        &[
            ("second factor needed by", second_factor),
            ("sessions lock after", words(times[0])),
            ("parts at places end after", words(times[1])),
            ("unused sessions end after", words(times[2])),
            ("all sessions end after", words(times[3])),
            ("unlocked by", methods.join(", ")),
            ("version", settings.version.to_string()),
        ],
    )
}

/// In fours, as one types.
fn grouped(secret: &str) -> String {
    secret.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ")
}
