//! `place …` and `pin …`: a person at a place's device, and what they show there.

use proto::v1;
use proto::v1::place_service_client::PlaceServiceClient;
use proto::v1::tap_in_request::Secret;

use crate::args::{Global, PinCommand, PlaceCommand};
use crate::client::Call;
use crate::error::Result;
use crate::output::say;
use crate::profile::Profile;
use crate::renewal::renew_at;
use crate::session::Session;
use crate::store::At;
use crate::{address, prompt, rpc};

/// `place`
pub async fn place(global: &Global, command: PlaceCommand) -> Result<()> {
    Profile::open(global)?.store().leave_place()?; // Whoever was there, the place asks.
    let session = Session::open(global)?;
    match command {
        PlaceCommand::TapIn { login, password } => tap_in(&session, login, password).await,
        PlaceCommand::TapOut => tap_out(&session).await,
    }
}

async fn tap_in(session: &Session, login: String, password: bool) -> Result<()> {
    let secret = if password {
        Secret::Password(prompt::secret(&format!("Password of {login}"))?)
    } else {
        Secret::Pin(prompt::secret(&format!("PIN of {login}"))?)
    };
    let request = v1::TapInRequest { login: login.clone(), secret: Some(secret), code: String::new() };
    let call = || Call::read(format!("tap in as {login}")).slow();
    let answer = match session.client.call(&call(), |_| request.clone(), rpc!(PlaceServiceClient.tap_in)).await {
        Err(error) if error.code() == "SECOND_FACTOR_NEEDED" => {
            let code = prompt::secret("One-time password (or a recovery code)")?;
            let request = v1::TapInRequest { code, ..request };
            session.client.call(&call(), |_| request.clone(), rpc!(PlaceServiceClient.tap_in)).await?
        }
        answer => answer?,
    };
    let credentials = answer.credentials.unwrap_or_default();
    let user = credentials.user.unwrap_or_default();
    session.store.update(|state| {
        state.place = Some(At {
            login: std::mem::replace(&mut state.login, user.login.clone()),
            user: std::mem::replace(&mut state.user, user.name.clone()),
            session: std::mem::replace(&mut state.session, credentials.session.clone()),
            token: std::mem::replace(&mut state.token, credentials.token.clone()),
            cursor: std::mem::take(&mut state.cursor),
        });
        state.next_number = state.next_number.max(credentials.next_number);
        state.token_renew_at = renew_at(credentials.token_lifetime.as_ref());
        Ok(())
    })?;
    let minutes = credentials.lock_after.map_or(0, |lasts| lasts.seconds / 60);
    say(&format!(
        "{} takes part here. It ends with tricord place tap-out, or when nothing is done for {minutes} minutes.",
        crate::rows::with_unit(&user)
    ));
    if let Some(cleared) = credentials.pin_cleared {
        say(&format!("Your PIN was taken away by {}; set another with tricord pin set.", cleared.user));
    }
    Ok(())
}

async fn tap_out(session: &Session) -> Result<()> {
    let body = |id| v1::TapOutRequest { request_id: Some(id) };
    session.write(Call::write("tap out"), body, rpc!(PlaceServiceClient.tap_out)).await?;
    say("Nobody takes part here now.");
    Ok(())
}

/// `pin`
pub async fn pin(session: &Session, global: &Global, command: PinCommand) -> Result<()> {
    match command {
        PinCommand::Set => {
            let password = prompt::password("Present password")?;
            let pin = prompt::new_pin()?;
            let body = |id| v1::SetPinRequest { pin: pin.clone(), password: password.clone(), request_id: Some(id) };
            let call = Call::write("set the PIN").slow().secret();
            session.write(call, body, rpc!(PlaceServiceClient.set_pin)).await?;
            say("Set. It is good at places and to unlock your sessions, never to sign in.");
        }
        PinCommand::Clear { user } => {
            let (name, whose) = match user {
                Some(user) => {
                    let user = address::user(session, &user).await?;
                    (user.name, format!("the PIN of @{}", user.login))
                }
                None => (session.state.user.clone(), "your PIN".into()),
            };
            prompt::confirm(&format!("This takes {whose} away."), global.yes)?;
            let body = |id| v1::ClearPinRequest { name: name.clone(), request_id: Some(id) };
            session.write(Call::write("take a PIN away"), body, rpc!(PlaceServiceClient.clear_pin)).await?;
            say("Taken away.");
        }
    }
    Ok(())
}
