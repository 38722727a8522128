//! The one decision about access: alike on every node, for commands, reads and every event of a stream. Deny by default.

use types::conversation::{ConversationKind, Part, Participant};
use types::emergency::Emergency;
use types::identity::{LogOffScope, Method};
use types::limits::CONVERSATIONS_PER_USER_MAX;
use types::record::Agent;
use types::session::{Device, Session, SessionState};
use types::user::{PermissionSet, Realm, User, UserKind, UserState};
use types::{
    Command, ConversationId, EventNumber, Key, Principal, Reject, Row, Scope, Seq, SessionId, Timestamp, UserId,
};

use crate::keys;
use crate::view::{Rows, View, steady};
use crate::visible::Visible;

/// A signed-in user, as the state knows them at one position of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Actor {
    /// Who.
    pub user: User,
    /// On which device.
    pub device: Device,
    /// In which session.
    pub session: Session,
    /// By which emergency access they act, if by one: their user holds `Admin` for its time.
    pub emergency: Option<u64>,
}

impl Actor {
    /// Whether the session must be unlocked first.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        self.session.state == SessionState::Locked
    }

    /// The place they take part at, if they do so at one.
    #[must_use]
    pub fn location(&self) -> Option<UserId> {
        self.session.place.map(|place| place.location)
    }
}

impl Actor {
    /// The actor as records name them.
    #[must_use]
    pub const fn agent(&self) -> Agent {
        Agent::User { user: self.user.id, acting_role: None, device: self.device.id, session: self.session.id }
    }
}

/// What someone wants to do or see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// End this session.
    EndSession(SessionId),
    /// Create users; with permission sets, or without any.
    CreateUsers {
        /// Whether any of them is given a permission set.
        permissions: bool,
    },
    /// Change this user; its permission sets, or not.
    UpdateUser {
        /// Which.
        user: UserId,
        /// Whether permission sets change.
        permissions: bool,
    },
    /// Deactivate this user.
    DeactivateUser(UserId),
    /// Set one's own password.
    SetPassword,
    /// Take away this user's second factor.
    RemoveSecondFactor(UserId),
    /// Sign someone, or everybody, out from outside.
    LogOff(LogOffScope),
    /// Change what holds for the whole cluster.
    ChangeSettings,
    /// See what holds for the whole cluster.
    SeeSettings,
    /// Reset this user's password with a one-time code.
    IssueEnrolment(UserId),
    /// Create a conversation.
    CreateConversation,
    /// Change title, policy or state of a conversation.
    UpdateConversation(ConversationId),
    /// Add participants or change their part.
    AddParticipants(ConversationId),
    /// Remove a participant; oneself to leave.
    RemoveParticipant(ConversationId, Principal),
    /// Define a document of history policy.
    DefinePolicy,
    /// Post a message.
    Post(ConversationId),
    /// Confirm what was delivered and displayed.
    Confirm(ConversationId),
    /// Set one's status.
    SetStatus,

    /// Tell others that one is typing.
    Type(ConversationId),
    /// Know of a conversation. Whoever has left it sees it as of then (`visible`).
    SeeConversation(ConversationId),
    /// See who takes part.
    SeeParticipants(ConversationId),
    /// See a message.
    SeeMessage(ConversationId, Seq),
    /// See how far whose devices have come with a message.
    SeeReceipts(ConversationId, Seq),
    /// See an event.
    SeeEvent(Scope, EventNumber),
    /// See whether a user can be reached.
    SeePresence(UserId),
    /// See a user's name and unit.
    SeeUser(UserId),
    /// See what operators see of a user: external ids, permission sets.
    SeeUserDetails(UserId),
    /// List and search users; each of the list is a `SeeUser`.
    ListUsers,
    /// See a user's sessions.
    ListSessions(UserId),
    /// See the history policies.
    SeePolicies,
    /// See how the cluster is.
    SeeClusterStatus,
    /// Read the audit log, prove what is in it, export it.
    ReadAudit,
    /// See in the audit log from which network addresses sessions were used.
    SeeAddresses,
    /// Give away the text of any message with its proof.
    RevealMessages,
    /// Say which nodes' audit log is right.
    ResolveDivergence,

    /// Lock this session.
    LockSession(SessionId),
    /// Unlock one's session.
    Unlock,
    /// See who one is and in which session.
    SeeSelf,
    /// Hear that an urgent message waits, and nothing else of it.
    HearAlerts,
    /// Let someone tap in: in the session of a place.
    LetTapIn,
    /// Set one's own PIN.
    SetPin,
    /// Take away this user's PIN.
    ClearPin(UserId),
    /// Ask for emergency access.
    OpenEmergency,
    /// Approve emergency access.
    ApproveEmergency(u64),
    /// End emergency access, or withdraw it.
    EndEmergency(u64),
    /// Sign the review of emergency access off.
    ReviewEmergency(u64),
    /// See when emergency access was asked for, and what came of it.
    SeeEmergencies,

    /// See which keys there are: ids, ages, expiries.
    SeeKeys,
    /// Rotate the cluster key, let a node hold it, check the recovery kit.
    ManageKeys,

    /// Say that cluster time is right after a step.
    ConfirmClock,

    /// Revoke certificates.
    ManageCertificates,
    /// See which certificates nodes show, and which are revoked.
    SeeCertificates,
    /// Propose a new recovery kit.
    ProposeKit,
    /// Confirm the recovery kit that someone else proposed.
    ConfirmKit,
    /// Withdraw the proposed recovery kit.
    CancelKit,
}

/// Whether they may.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Decision {
    /// They may.
    Yes,
    /// They may not even know whether it exists: answered as what does not.
    Hidden,
    /// They may not, and may know that.
    No,
    /// They would, if their account were entitled to message.
    NotEntitled,
}

impl Decision {
    /// Whether they may.
    #[must_use]
    pub const fn is_yes(self) -> bool {
        matches!(self, Self::Yes)
    }

    /// The decision as what an operation goes on with, or is refused with.
    pub const fn check(self) -> Result<(), Reject> {
        match self {
            Self::Yes => Ok(()),
            Self::Hidden => Err(Reject::NotFound),
            Self::No => Err(Reject::NotPermitted),
            Self::NotEntitled => Err(Reject::NotEntitled),
        }
    }

    const fn yes_if(yes: bool, otherwise: Self) -> Self {
        if yes { Self::Yes } else { otherwise }
    }
}

/// The actor of a session that is not locked, as [`standing`]: whoever may see and do things in it.
pub fn actor_of<V: View>(view: &V, now: Timestamp, session: SessionId) -> Result<Option<Actor>, V::Fault> {
    Ok(standing(view, now, session)?.filter(|actor| !actor.is_locked()))
}

/// The actor of a session, locked or not: none if the session is unknown or over, or its user is not active. Whoever
/// gets one that is locked asks [`while_locked`].
pub fn standing<V: View>(view: &V, now: Timestamp, session: SessionId) -> Result<Option<Actor>, V::Fault> {
    let Some(session) = view.session(session)? else { return Ok(None) };
    if matches!(session.state, SessionState::Ended(..)) || session.expires <= steady(view, now)? {
        return Ok(None);
    }
    let Some(mut user) = view.user(session.user)? else { return Ok(None) };
    let Some(device) = view.device(session.device)? else { return Ok(None) };
    let sound = user.state == UserState::Active && stands_at(view, now, &session, &device)?;
    if !user.permissions.is_empty() && !proved_twice(&session) {
        // What needs a second factor is not in force before it: everything else is, and setting one up.
        let needed = view.settings()?.unwrap_or_default().second_factor;
        user.permissions.retain(|set| !needed.contains(set));
    }
    if session.methods == [Method::Pin] {
        user.permissions.clear(); // A few digits are enough to write from a ward's screen, not to run the cluster.
    }
    let emergency = emergency_of(view, now, &user)?;
    if emergency.is_some() && !user.permissions.contains(&PermissionSet::Admin) {
        user.permissions.insert(0, PermissionSet::Admin); // The first of them all: they stay sorted.
    }
    Ok(sound.then_some(Actor { user, device, session, emergency }))
}

/// On a device of one's own; or, for a part at a place, on one where the place is signed in and the part is still there.
fn stands_at<V: View>(view: &V, now: Timestamp, session: &Session, device: &Device) -> Result<bool, V::Fault> {
    let Some(place) = session.place else { return Ok(device.user == session.user) };
    let steady = steady(view, now)?;
    let at = view.session(place.session)?.is_some_and(|at| {
        at.state == SessionState::Active && steady < at.expires && at.part == Some(session.id) && at.device == device.id
    });
    let location = view.user(place.location)?.is_some_and(|user| user.state == UserState::Active);
    Ok(at && location && device.user == place.location)
}

/// The emergency access a user acts by. An administrator needs none.
fn emergency_of<V: View>(view: &V, now: Timestamp, user: &User) -> Result<Option<u64>, V::Fault> {
    if !has(user, &[PermissionSet::Keyholder]) || admin(user) {
        return Ok(None);
    }
    let Some(number) = view.emergency_grant(user.id)? else { return Ok(None) };
    let emergency = view.emergency(number)?;
    Ok(emergency.filter(|one| one.is_in_force(now) && one.is_of(user.id)).map(|_| number))
}

/// Whether a locked session may still do this: be locked, be unlocked, end, say whose it is, and hear that something
/// urgent waits. It shows nothing and changes nothing else.
#[must_use]
pub fn while_locked(actor: &Actor, action: Action) -> bool {
    match action {
        Action::EndSession(id) | Action::LockSession(id) => id == actor.session.id,
        Action::Unlock | Action::SeeSelf | Action::HearAlerts => true,
        _ => false,
    }
}

/// The same for a command.
pub(crate) fn may_put_locked(actor: &Actor, command: &Command) -> bool {
    match command {
        Command::EndSession(id) => while_locked(actor, Action::EndSession(*id)),
        Command::LockSession(id) => while_locked(actor, Action::LockSession(*id)),
        Command::UnlockSession(_) => while_locked(actor, Action::Unlock),
        _ => false,
    }
}

/// Keeps whoever acts by emergency access off the accounts of those who watch over it: nobody makes themselves their own
/// reviewer, or takes the reviewer away.
pub(crate) fn spares(actor: &Actor, touched: &[PermissionSet]) -> Result<(), Reject> {
    let watched = [PermissionSet::Auditor, PermissionSet::Discloser, PermissionSet::Keyholder];
    let spared = actor.emergency.is_some() && touched.iter().any(|set| watched.contains(set));
    if spared { Err(Reject::NotPermitted) } else { Ok(()) }
}

fn proved_twice(session: &Session) -> bool {
    session.methods.iter().any(|method| matches!(method, Method::Totp | Method::RecoveryCode))
}

/// Decides whether a user may. The only decision about access there is.
pub fn may<V: View>(view: &V, user: &User, action: Action) -> Result<Decision, V::Fault> {
    if user.state != UserState::Active {
        return Ok(Decision::Hidden);
    }
    Ok(match action {
        Action::EndSession(id) => end_session(view, user, id)?,
        Action::CreateUsers { permissions: true } => Decision::yes_if(admin(user), Decision::No),
        Action::CreateUsers { permissions: false } => Decision::yes_if(directory(user), Decision::No),
        Action::UpdateUser { permissions: true, .. } => Decision::yes_if(admin(user), Decision::No),
        Action::UpdateUser { user: id, permissions: false } => account(view, user, id, directory(user))?,
        // Nobody deactivates themselves, so that one active administrator always remains.
        Action::DeactivateUser(id) if id == user.id => Decision::No,
        Action::DeactivateUser(id) => account(view, user, id, directory(user))?,
        Action::IssueEnrolment(id) => {
            account(view, user, id, directory(user) || has(user, &[PermissionSet::Helpdesk]))?
        }
        // One's own with the session; whoever takes it from others can get in as them only together with a reset.
        Action::RemoveSecondFactor(id) if id == user.id => Decision::Yes,
        Action::RemoveSecondFactor(id) => {
            account(view, user, id, has(user, &[PermissionSet::Admin, PermissionSet::Helpdesk]))?
        }
        Action::LogOff(LogOffScope::Everybody) => Decision::yes_if(admin(user), Decision::No),
        Action::LogOff(LogOffScope::User(id)) => account(view, user, id, may_end(user))?,
        Action::LogOff(LogOffScope::Device(_)) if !may_end(user) => Decision::No,
        Action::LogOff(LogOffScope::Device(id)) => match view.device(id)? {
            Some(device) => account(view, user, device.user, true)?,
            None => Decision::Hidden,
        },
        Action::ChangeSettings => Decision::yes_if(admin(user), Decision::No),
        Action::SeeSettings => {
            let sets = [PermissionSet::Admin, PermissionSet::Auditor, PermissionSet::Helpdesk, PermissionSet::Viewer];
            Decision::yes_if(has(user, &sets), Decision::No)
        }
        Action::SetPassword | Action::SetStatus => Decision::Yes,
        Action::DefinePolicy => Decision::yes_if(admin(user), Decision::No),
        Action::CreateConversation => Decision::yes_if(user.may_message, Decision::NotEntitled),
        Action::UpdateConversation(id) | Action::AddParticipants(id) => own(view, user, id)?,
        Action::RemoveParticipant(id, principal) if principal == Principal::User(user.id) => leave(view, user, id)?,
        Action::RemoveParticipant(id, _) => own(view, user, id)?,
        Action::Post(id) | Action::Type(id) => write(view, user, id)?,
        Action::Confirm(id) | Action::SeeParticipants(id) => take_part(view, user, id)?,
        Action::SeeConversation(id) => Decision::yes_if(known(view, user, id)?.is_some(), Decision::Hidden),
        Action::SeeMessage(id, seq) => Decision::yes_if(sees(view, user, id, seq)?, Decision::Hidden),
        Action::SeeReceipts(id, seq) => {
            let there = take_part(view, user, id)?.is_yes() && sees(view, user, id, seq)?;
            Decision::yes_if(there, Decision::Hidden)
        }
        Action::SeeEvent(Scope::User(id), _) => Decision::yes_if(id == user.id, Decision::Hidden),
        Action::SeeEvent(Scope::Conversation(id), number) => see_event(view, user, id, number)?,
        Action::SeeUser(id) | Action::SeePresence(id) => see_user(view, user, id)?,
        Action::SeeUserDetails(id) if id == user.id => Decision::Yes,
        Action::SeeUserDetails(id) => {
            let there = operator(user) && view.user(id)?.is_some();
            Decision::yes_if(there, Decision::Hidden)
        }
        Action::ListUsers => Decision::yes_if(user.realm == Realm::Staff || operator(user), Decision::No),
        Action::ListSessions(id) if id == user.id => Decision::Yes,
        Action::ListSessions(id) => {
            let permitted = has(user, &[PermissionSet::Admin, PermissionSet::Helpdesk]);
            if permitted { Decision::yes_if(view.user(id)?.is_some(), Decision::Hidden) } else { Decision::No }
        }
        Action::SeePolicies => Decision::Yes,
        Action::SeeClusterStatus => {
            let permitted = has(user, &[PermissionSet::Admin, PermissionSet::Auditor, PermissionSet::Viewer]);
            Decision::yes_if(permitted, Decision::No)
        }
        Action::ReadAudit => Decision::yes_if(has(user, &[PermissionSet::Auditor]), Decision::No),
        Action::SeeAddresses => Decision::yes_if(has(user, &[PermissionSet::Auditor]), Decision::No),
        Action::RevealMessages => Decision::yes_if(has(user, &[PermissionSet::Discloser]), Decision::No),
        Action::ResolveDivergence => Decision::yes_if(admin(user), Decision::No),

        Action::LockSession(id) => {
            let own = view.session(id)?.is_some_and(|session| session.user == user.id);
            Decision::yes_if(own, Decision::Hidden)
        }
        Action::Unlock | Action::SeeSelf | Action::HearAlerts => Decision::Yes,
        Action::LetTapIn => Decision::yes_if(user.kind == UserKind::Location, Decision::No),
        Action::SetPin => Decision::yes_if(user.kind == UserKind::Person, Decision::No),
        Action::ClearPin(id) if id == user.id => Decision::Yes,
        Action::ClearPin(id) => account(view, user, id, may_end(user))?,
        Action::OpenEmergency => Decision::yes_if(has(user, &[PermissionSet::Keyholder]), Decision::No),
        Action::ApproveEmergency(_) if !has(user, &[PermissionSet::Keyholder]) => Decision::No,
        Action::ApproveEmergency(number) => emergency(view, number, |one| one.opened_by != user.id)?,
        Action::EndEmergency(_) if !has(user, &[PermissionSet::Keyholder, PermissionSet::Admin]) => Decision::No,
        Action::EndEmergency(number) => emergency(view, number, |one| one.is_of(user.id) || admin(user))?,
        Action::ReviewEmergency(_) if !has(user, &[PermissionSet::Auditor]) => Decision::No,
        Action::ReviewEmergency(number) => emergency(view, number, |one| !one.is_of(user.id))?,
        Action::SeeEmergencies => {
            let sets = [PermissionSet::Admin, PermissionSet::Auditor, PermissionSet::Viewer, PermissionSet::Keyholder];
            Decision::yes_if(has(user, &sets), Decision::No)
        }

        Action::SeeKeys | Action::SeeCertificates => {
            let permitted = has(user, &[PermissionSet::Admin, PermissionSet::Auditor, PermissionSet::Viewer]);
            Decision::yes_if(permitted, Decision::No)
        }
        Action::ManageKeys => Decision::yes_if(admin(user), Decision::No),

        Action::ConfirmClock => Decision::yes_if(admin(user), Decision::No),

        Action::ManageCertificates | Action::ProposeKit => Decision::yes_if(admin(user), Decision::No),
        Action::ConfirmKit | Action::CancelKit if !admin(user) => Decision::No,
        Action::ConfirmKit => match view.kit_proposal()? {
            None => Decision::Hidden,
            Some(proposal) => Decision::yes_if(proposal.by != user.id, Decision::No),
        },
        Action::CancelKit => Decision::yes_if(view.kit_proposal()?.is_some(), Decision::Hidden),
    })
}

fn has(user: &User, any: &[PermissionSet]) -> bool {
    user.permissions.iter().any(|set| any.contains(set))
}

fn admin(user: &User) -> bool {
    has(user, &[PermissionSet::Admin])
}

/// Who ends sessions of others.
fn may_end(user: &User) -> bool {
    has(user, &[PermissionSet::Admin, PermissionSet::Helpdesk])
}

fn directory(user: &User) -> bool {
    has(user, &[PermissionSet::Admin, PermissionSet::Integrator])
}

/// Who looks after accounts sees them all.
fn operator(user: &User) -> bool {
    has(user, &[PermissionSet::Admin, PermissionSet::Integrator, PermissionSet::Helpdesk])
}

/// Acts on an account, if permitted; only an administrator on one that holds permission sets, or a reset password
/// would be a way to them.
fn account<V: View>(view: &V, user: &User, id: UserId, permitted: bool) -> Result<Decision, V::Fault> {
    if !permitted {
        return Ok(Decision::No); // Before the look-up: the answer must not tell whether the account exists.
    }
    let Some(other) = view.user(id)? else { return Ok(Decision::Hidden) };
    Ok(Decision::yes_if(other.permissions.is_empty() || admin(user), Decision::No))
}

fn end_session<V: View>(view: &V, user: &User, id: SessionId) -> Result<Decision, V::Fault> {
    let permitted = has(user, &[PermissionSet::Admin, PermissionSet::Helpdesk]);
    let session = view.session(id)?;
    // A place ends the part of whoever has left it.
    let own =
        |session: &Session| session.user == user.id || session.place.is_some_and(|place| place.location == user.id);
    Ok(Decision::yes_if(session.is_some_and(|session| permitted || own(&session)), Decision::Hidden))
}

fn emergency<V: View>(view: &V, number: u64, theirs: impl Fn(&Emergency) -> bool) -> Result<Decision, V::Fault> {
    Ok(match view.emergency(number)? {
        None => Decision::Hidden,
        Some(one) => Decision::yes_if(theirs(&one), Decision::No),
    })
}

/// The user's participation, of today or of before: what they may know the conversation by.
fn known<V: View>(view: &V, user: &User, id: ConversationId) -> Result<Option<Participant>, V::Fault> {
    view.participant(id, Principal::User(user.id))
}

fn sees<V: View>(view: &V, user: &User, id: ConversationId, seq: Seq) -> Result<bool, V::Fault> {
    let Some(participant) = known(view, user, id)? else { return Ok(false) };
    let Some(conversation) = view.conversation(id)? else { return Ok(false) };
    Ok(Visible::new(&conversation, &participant).sees(seq))
}

fn see_event<V: View>(view: &V, user: &User, id: ConversationId, number: EventNumber) -> Result<Decision, V::Fault> {
    let seen = known(view, user, id)?.is_some_and(|participant| {
        participant
            .intervals
            .iter()
            .any(|interval| interval.from_event <= number && interval.to_event.is_none_or(|to| number <= to))
    });
    Ok(Decision::yes_if(seen, Decision::Hidden))
}

fn take_part<V: View>(view: &V, user: &User, id: ConversationId) -> Result<Decision, V::Fault> {
    Ok(match known(view, user, id)? {
        None => Decision::Hidden,
        Some(participant) => Decision::yes_if(participant.part.is_some(), Decision::No),
    })
}

fn write<V: View>(view: &V, user: &User, id: ConversationId) -> Result<Decision, V::Fault> {
    let Some(participant) = known(view, user, id)? else { return Ok(Decision::Hidden) };
    Ok(match participant.part {
        _ if !user.may_message => Decision::NotEntitled,
        Some(Part::Writer | Part::Owner) => Decision::Yes,
        Some(Part::Reader) | None => Decision::No,
    })
}

fn own<V: View>(view: &V, user: &User, id: ConversationId) -> Result<Decision, V::Fault> {
    let Some(participant) = known(view, user, id)? else { return Ok(Decision::Hidden) };
    if !user.may_message {
        return Ok(Decision::NotEntitled);
    }
    let several = view.conversation(id)?.is_some_and(|conversation| conversation.kind != ConversationKind::Direct);
    Ok(Decision::yes_if(several && participant.part == Some(Part::Owner), Decision::No))
}

fn leave<V: View>(view: &V, user: &User, id: ConversationId) -> Result<Decision, V::Fault> {
    let Some(participant) = known(view, user, id)? else { return Ok(Decision::Hidden) };
    let several = view.conversation(id)?.is_some_and(|conversation| conversation.kind != ConversationKind::Direct);
    Ok(Decision::yes_if(several && participant.part.is_some(), Decision::No))
}

/// Staff see everyone, as do those who look after accounts; others see whom they share a conversation with.
fn see_user<V: View>(view: &V, user: &User, id: UserId) -> Result<Decision, V::Fault> {
    if id == user.id {
        return Ok(Decision::Yes);
    }
    // Others are not asked whether the account exists: a shared conversation says so, and without one both cases take
    // the same time.
    let everyone = user.realm == Realm::Staff || operator(user);
    let seen = if everyone { view.user(id)?.is_some() } else { share_conversation(view, user, id)? };
    Ok(Decision::yes_if(seen, Decision::Hidden))
}

fn share_conversation<V: View>(view: &V, user: &User, other: UserId) -> Result<bool, V::Fault> {
    let (from, to) = keys::participations(Principal::User(user.id));
    for (key, row) in view.scan(&from, &to, false, CONVERSATIONS_PER_USER_MAX)? {
        if let (Key::Participation(_, id), Row::Participation(true)) = (key, row)
            && view.participant(id, Principal::User(other))?.is_some_and(|there| there.part.is_some())
        {
            return Ok(true);
        }
    }
    Ok(false)
}
