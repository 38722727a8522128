//! A profile at work: calls with its token, numbered writes, and reads that see what was written before.

use std::time::Duration;

use proto::v1::lock_service_client::LockServiceClient;
use proto::v1::unlock_session_request::Proof;
use proto::v1::{ReadOptions, RequestId, UnlockSessionRequest};
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::args::Global;
use crate::client::{Call, Client};
use crate::error::{Error, Result};
use crate::profile::Profile;
use crate::prompt;
use crate::renewal::Renewal;
use crate::store::{State, Store};

/// Answers that reflect a cursor.
pub trait Reflects {
    /// The cursor; empty if it has none.
    fn cursor(&self) -> &[u8];
}

/// What a session is unlocked by.
pub enum Unlock {
    /// The password.
    Password(String),
    /// The PIN.
    Pin(String),
}

/// A signed-in profile.
pub struct Session {
    /// The nodes.
    pub client: Client,
    /// The state file.
    pub store: Store,
    /// Who, as it was at sign-in.
    pub state: State,
    /// Whether words may go to stderr: not while a full-screen client has the terminal.
    pub quiet: bool,
}

/// Calls a method of a generated client: `rpc!(DirectoryServiceClient.get_user)`.
#[macro_export]
macro_rules! rpc {
    ($client:ident . $method:ident) => {
        |channel, request| async move {
            $client::new(channel).max_decoding_message_size($crate::client::answer_bytes_max()).$method(request).await
        }
    };
}

impl Session {
    /// The profile's session; [`Error::NotSignedIn`] if there is none.
    pub fn open(global: &Global) -> Result<Self> {
        let profile = Profile::open(global)?;
        let store = profile.store();
        let state = store.read()?;
        if state.token.is_empty() {
            return Err(Error::NotSignedIn { profile: profile.name });
        }
        let mut client = Client::new(&profile.nodes, profile.ca.as_deref(), Duration::from_secs(global.deadline))?;
        client.authorize(&state.token)?;
        client.renew_with(Renewal::new(store.clone(), &state.token));
        client.prefer(&state.node);
        Ok(Self { client, store, state, quiet: false })
    }

    /// Unlocks this session; in one that is not locked, proves anew who one is.
    pub async fn unlock(&self, proof: Unlock) -> Result<()> {
        let body = |id| UnlockSessionRequest {
            proof: Some(match &proof {
                Unlock::Password(password) => Proof::Password(password.clone()),
                Unlock::Pin(pin) => Proof::Pin(pin.clone()),
            }),
            request_id: Some(id),
        };
        let call = Call::write("unlock the session").slow().secret();
        self.write_once(&call, &body, &rpc!(LockServiceClient.unlock_session)).await.map(drop)
    }

    /// What follows from a refusal: whether to ask again. A locked session is unlocked by whoever is at the terminal; a
    /// part at a place that has ended leaves the place to go on with.
    async fn mends(&self, error: &Error) -> Result<bool> {
        match error.code() {
            "SESSION_LOCKED" if !self.quiet && prompt::is_there() => {
                crate::output::say("This session is locked: nothing was done in it for a while.");
                self.unlock(Unlock::Password(prompt::password("Password")?)).await?;
                Ok(true)
            }
            "NO_SESSION" if self.state.place.is_some() && self.store.leave_place()? => {
                crate::output::say("Your part at this place has ended; tap in again: tricord place tap-in LOGIN.");
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    /// Asks something. When no node can answer freshly, what the nodes have is taken, and said to be stale.
    pub async fn read<Q, A, B, F, Fut>(&self, doing: impl Into<String>, body: B, f: F) -> Result<A>
    where
        A: Reflects,
        B: Fn(ReadOptions) -> Q,
        F: Fn(Channel, Request<Q>) -> Fut,
        Fut: Future<Output = Result<Response<A>, Status>>,
    {
        let call = Call::read(doing);
        let mut at_least = crate::text::unhex(&self.store.read()?.cursor).unwrap_or_default();
        loop {
            let options =
                |round| ReadOptions { at_least: at_least.clone(), allow_stale: round > 0, linearizable: false };
            match self.client.call(&call, |round| body(options(round)), &f).await {
                // A cursor from before a refounding is of no use; what is asked now is.
                Err(Error::Refused { reason, .. })
                    if !at_least.is_empty() && (reason == "CURSOR_INVALID" || reason == "LINEAGE_CHANGED") =>
                {
                    if !self.quiet
                        && let Some(restored) = self.client.take_restored()
                    {
                        crate::output::say(&format!("{}.", restored.words()));
                    }
                    at_least.clear();
                    self.store.update(|state| {
                        state.cursor.clear();
                        Ok(())
                    })?;
                }
                Err(error) if self.mends(&error).await? => {}
                Err(error) => return Err(error),
                Ok(answer) => {
                    self.store.saw(answer.cursor())?;
                    self.note_node()?;
                    return Ok(answer);
                }
            }
        }
    }

    /// Changes something under a number of its own, which is on disk before it is used. The same asked again after an
    /// unconfirmed end goes under the same number. Said to the user when that happens.
    pub async fn write<Q, A, B, F, Fut>(&self, call: Call, body: B, f: F) -> Result<A>
    where
        Q: prost::Message,
        A: Reflects,
        B: Fn(RequestId) -> Q,
        F: Fn(Channel, Request<Q>) -> Fut,
        Fut: Future<Output = Result<Response<A>, Status>>,
    {
        match self.write_once(&call, &body, &f).await {
            Err(error) if self.mends(&error).await? => self.write_once(&call, &body, &f).await,
            result => result,
        }
    }

    async fn write_once<Q, A, B, F, Fut>(&self, call: &Call, body: &B, f: &F) -> Result<A>
    where
        Q: prost::Message,
        A: Reflects,
        B: Fn(RequestId) -> Q,
        F: Fn(Channel, Request<Q>) -> Fut,
        Fut: Future<Output = Result<Response<A>, Status>>,
    {
        let content = body(RequestId { number: 0, settled: 0 });
        let digest = if call.secret {
            String::new() // Matches no other: it always gets a new number.
        } else {
            self.digest(std::any::type_name::<Q>(), &content.encode_to_vec())
        };
        let ticket = self.store.take(&digest)?;
        if ticket.repeated && !self.quiet {
            crate::output::say(
                "The same was asked before and not confirmed: it goes under its old number, and happens once.",
            );
        }
        let id = RequestId { number: ticket.number, settled: ticket.settled };
        let result = self.client.call(call, |_| body(id), f).await;
        match &result {
            Ok(answer) => self.store.settle(ticket.number, answer.cursor())?,
            Err(Error::Unconfirmed { .. }) => self.store.release(ticket.number)?,
            // Refused before or after: this number will not be asked for again. But one that ended unconfirmed before
            // and now only failed to reach anybody is still open.
            Err(Error::NoAnswer { .. }) if ticket.repeated => self.store.release(ticket.number)?,
            Err(_) => self.store.settle(ticket.number, &[])?,
        }
        self.note_node()?;
        result
    }

    fn digest(&self, method: &str, content: &[u8]) -> String {
        use sha2::{Digest, Sha256};
        let salt = &self.state.salt;
        let mut hash = Sha256::new();
        for part in [salt.as_bytes(), self.state.user.as_bytes(), method.as_bytes(), content] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        crate::text::hex(&hash.finalize())
    }

    /// Remembers which node works, for the next invocation.
    fn note_node(&self) -> Result<()> {
        let current = self.client.current();
        if self.state.node != current && self.store.read()?.node != current {
            self.store.update(|state| {
                state.node = current.to_owned();
                Ok(())
            })?;
        }
        Ok(())
    }
}

macro_rules! reflects {
    (cursor: $($write:ident),* ; info: $($read:ident),* ; nothing: $($none:ident),*) => {
        $(impl Reflects for proto::v1::$write {
            fn cursor(&self) -> &[u8] { &self.cursor }
        })*
        $(impl Reflects for proto::v1::$read {
            fn cursor(&self) -> &[u8] { self.info.as_ref().map_or(&[], |info| &info.cursor) }
        })*
        $(impl Reflects for proto::v1::$none {
            fn cursor(&self) -> &[u8] { &[] }
        })*
    };
}

reflects! {
    cursor: CreateConversationResponse, UpdateConversationResponse, AddParticipantsResponse, RemoveParticipantResponse,
        CreateUserResponse, BatchCreateUsersResponse, UpdateUserResponse, DeactivateUserResponse, SetPasswordResponse,
        CreateEnrolmentCodeResponse, SendMessageResponse, SetPresenceResponse, EndSessionResponse, CreateTotpResponse,
        ConfirmTotpResponse, DeleteTotpResponse, UpdateSettingsResponse, LogOffResponse, RotateClusterKeyResponse, ApproveKeyHolderResponse,
        LockSessionResponse, UnlockSessionResponse, TapOutResponse, SetPinResponse, ClearPinResponse, OpenEmergencyResponse,
        ApproveEmergencyResponse, EndEmergencyResponse, ReviewEmergencyResponse,
        ConfirmClockResponse, RevokeCertificateResponse, ProposeKitResponse, ConfirmKitResponse, CancelKitResponse;
    info: GetConversationResponse, ListConversationsResponse, ListParticipantsResponse, GetUserResponse,
        BatchGetUsersResponse, ListUsersResponse, SearchUsersResponse, ListMessagesResponse, GetMessageResponse,
        ListReceiptsResponse, BatchGetPresenceResponse, GetSelfResponse, ListSessionsResponse, GetSettingsResponse,
        ListKeysResponse, ListEmergenciesResponse, ListCertificatesResponse, ListKitsResponse;
    nothing: SignOutResponse, ResolveDivergenceResponse, GetClusterStatusResponse, ConfirmMessagesResponse,
        ReportActivityResponse
}
