//! `session …`: signed-in periods.

use proto::v1;
use proto::v1::lock_service_client::LockServiceClient;
use proto::v1::log_off_request::Scope;
use proto::v1::security_service_client::SecurityServiceClient;
use proto::v1::session_service_client::SessionServiceClient;
use serde::Serialize;

use crate::args::{Global, LogOff, SessionCommand};
use crate::client::Call;
use crate::error::Result;
use crate::output::{note_stale, say, show};
use crate::rows::id_of;
use crate::session::{Session, Unlock};
use crate::when::{minute, rfc3339};
use crate::{address, prompt, rpc};

#[derive(Serialize)]
struct Row {
    id: String,
    name: String,
    device: String,
    created: Option<String>,
    expires: Option<String>,
    connected: bool,
    current: bool,
    locked: bool,
    location: Option<String>,
}

/// Does it.
pub async fn run(session: &Session, global: &Global, command: SessionCommand) -> Result<()> {
    match command {
        SessionCommand::List { user } => list(session, global, user).await,
        SessionCommand::Lock { session: which } => lock(session, which).await,
        SessionCommand::Unlock { pin } => unlock(session, pin).await,
        SessionCommand::LogOff(who) => log_off(session, global, who).await,
        SessionCommand::End { session: which } => end(session, &which).await,
    }
}

async fn list(session: &Session, global: &Global, user: Option<String>) -> Result<()> {
    let parent = match user {
        Some(user) => address::user(session, &user).await?.name,
        None => String::new(),
    };
    let body = |read| v1::ListSessionsRequest { parent: parent.clone(), read: Some(read) };
    let answer = session.read("list sessions", body, rpc!(SessionServiceClient.list_sessions)).await?;
    note_stale(answer.info.as_ref());
    let rows: Vec<Row> = answer
        .sessions
        .iter()
        .map(|session| Row {
            id: id_of(&session.name).into(),
            name: session.name.clone(),
            device: session.device.clone(),
            created: rfc3339(session.create_time.as_ref()),
            expires: rfc3339(session.expire_time.as_ref()),
            connected: session.connected,
            current: session.current,
            locked: session.state() == v1::SessionState::Locked,
            location: Some(session.location.clone()).filter(|location| !location.is_empty()),
        })
        .collect();
    let cells = answer
        .sessions
        .iter()
        .map(|session| {
            let mut state = match (session.current, session.connected) {
                (true, _) => vec!["this one"],
                (_, true) => vec!["connected"],
                _ => Vec::new(),
            };
            if session.state() == v1::SessionState::Locked {
                state.push("locked");
            }
            if !session.location.is_empty() {
                state.push("at a place");
            }
            vec![
                id_of(&session.name).into(),
                minute(session.create_time.as_ref()),
                minute(session.expire_time.as_ref()),
                state.join(", "),
            ]
        })
        .collect();
    show(global.output, &serde_json::json!({"sessions": rows}), &["session", "since", "expires", ""], cells)
}

async fn lock(session: &Session, which: Option<String>) -> Result<()> {
    let name = match which {
        Some(which) if which.contains('/') => which,
        Some(which) => format!("{}/sessions/{which}", session.state.user),
        None => String::new(),
    };
    let body = |id| v1::LockSessionRequest { name: name.clone(), request_id: Some(id) };
    session.write(Call::write("lock the session"), body, rpc!(LockServiceClient.lock_session)).await?;
    say("Locked. You stay signed in; tricord session unlock goes on.");
    Ok(())
}

async fn unlock(session: &Session, pin: bool) -> Result<()> {
    let proof = if pin { Unlock::Pin(prompt::secret("PIN")?) } else { Unlock::Password(prompt::password("Password")?) };
    session.unlock(proof).await?;
    say("Unlocked.");
    Ok(())
}

async fn log_off(session: &Session, global: &Global, who: LogOff) -> Result<()> {
    let (scope, words) = if who.everybody {
        (Scope::Everybody(true), "everybody".to_owned())
    } else if let Some(device) = who.device {
        (Scope::Device(device.clone()), format!("whoever is signed in on the device {device}"))
    } else {
        let user = address::user(session, who.user.as_deref().unwrap_or_default()).await?;
        (Scope::User(user.name), format!("@{}", user.login))
    };
    prompt::confirm(&format!("This signs {words} out; what is not sent yet is lost to them."), global.yes)?;
    let body = |id| v1::LogOffRequest { scope: Some(scope.clone()), reason: who.reason.clone(), request_id: Some(id) };
    session.write(Call::write(format!("sign {words} out")), body, rpc!(SecurityServiceClient.log_off)).await?;
    say("Signed out.");
    Ok(())
}

async fn end(session: &Session, which: &str) -> Result<()> {
    let name = if which.contains('/') { which.to_owned() } else { format!("{}/sessions/{which}", session.state.user) };
    let body = |id| v1::EndSessionRequest { name: name.clone(), request_id: Some(id) };
    let call = Call::write(format!("end the session {which}"));
    session.write(call, body, rpc!(SessionServiceClient.end_session)).await?;
    say("Ended.");
    Ok(())
}
