//! What is put to the cluster, and in what.

use alloc::string::String;
use alloc::vec::Vec;

use crate::backup::NoteBackup;
use crate::certificate::{NoteCertificates, RevokeCertificates};
use crate::conversation::{ConversationKind, HistoryPolicy, Part, PolicyRef};
use crate::emergency::{OpenEmergency, ReviewEmergency};
use crate::id::{ClusterId, ConversationId, DeviceId, Lineage, NodeId, Seq, SessionId, Timestamp, UserId};
use crate::identity::{
    AddSecondFactor, Attempt, DeviceKey, LogOff, Method, Refresh, RefuseSignIn, SecondProof, Settings,
};
use crate::key::{Envelope as KeyEnvelope, Holder, KeyScope, Month, NewClusterKey};
use crate::kit::{ConfirmKit, ProposeKit};
use crate::locking::UnlockSession;
use crate::message::{Header, Sealed};
use crate::place::{SetPin, TapIn};
use crate::presence::{Availability, Connection};
use crate::principal::Principal;
use crate::record::{Action, AuditKey, Entity, Purpose};
use crate::seat::{AdmitNode, Refound};
use crate::user::{CodeHash, ExternalId, PermissionSet, Realm, UserKind};

/// One entry of the log: what waited together travels together, under one time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The leader's cluster time.
    pub at: Timestamp,
    /// At least one, at most `ENVELOPES_PER_ENTRY_MAX`.
    pub envelopes: Vec<Envelope>,
}

/// A command, who puts it, and the node that took it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Envelope {
    /// The node that took the request; the leader checks it against the peer's certificate.
    pub origin: NodeId,
    /// On whose behalf.
    pub author: Author,
    /// What.
    pub command: Command,
}

/// On whose behalf a command is put. It names a session, not a user: `apply` looks the user up, so that a node speaks for
/// nobody who has no session. Whom it has signed in a node says itself, and that is recorded with it (ADR keys).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Author {
    /// A signed-in user.
    Session(Request),
    /// The node itself: leases, ticks, what it folded together, and a sign-in it has checked.
    Node,
}

/// What makes a write safe to retry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// The session it is made in; the device follows from it.
    pub session: SessionId,
    /// The device's number of this write, from 1.
    pub number: u64,
    /// Below this number the device has all its answers.
    pub settled: u64,
    /// A keyed hash of the content before sealing, by which a reused number is found out.
    pub content: [u8; 16],
}

/// What is asked. New behaviour is a new variant, used once the feature level allows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Founds the cluster: the first command of the log. By a node.
    Found(Found),
    /// A node is alive. By that node.
    RenewLease(Lease),
    /// The leader gives up on a node. By the leader.
    ExpireLease(NodeId, Lease),
    /// Fires due timers. By the leader.
    Tick,
    /// Sessions that connected to, or left, a node. By that node.
    Connections(Connections),
    /// How far devices have come. By a node, for sessions it names.
    Confirm(Vec<Confirmation>),
    /// Lets `apply` do what this release knows. By the leader.
    RaiseFeatureLevel(u32),

    /// Opens a session for a user whose password a node has checked. By that node.
    SignIn(SignIn),
    /// Sets a password with a one-time code and opens a session. By the node that hashed it.
    Enrol(Enrol),
    /// Ends a session of one's own, or with permission someone's.
    EndSession(SessionId),

    /// Creates users, all or none.
    CreateUsers(Vec<NewUser>),
    /// Changes a user.
    UpdateUser(UpdateUser),
    /// Ends an account: its sessions and participations end with it.
    DeactivateUser(UserId),
    /// Sets one's own password; other sessions end.
    SetPassword(SetPassword),
    /// Makes a one-time code good for setting a password; sessions of the user end.
    IssueEnrolment(UserId, CodeHash),

    /// Creates a conversation with its participants.
    CreateConversation(CreateConversation),
    /// Changes title, policy or state of a conversation.
    UpdateConversation(UpdateConversation),
    /// Adds participants, or changes their part.
    AddParticipants(ConversationId, Vec<(Principal, Part)>),
    /// Removes a participant; oneself to leave.
    RemoveParticipant(ConversationId, Principal),
    /// Adds the next version of a document of history policy.
    DefinePolicy(PolicyRef, HistoryPolicy),

    /// Posts a message.
    Post(Post),

    /// Sets one's status.
    SetStatus(SetStatus),

    /// Names the size at which all nodes sign the audit tree next: its size now. By the leader.
    MarkHead,
    /// A node's signature of the audit tree at a marked size. By that node.
    SignHead(SignHead),
    /// Says which audit tree is right where nodes disagree.
    ResolveDivergence(ResolveDivergence),
    /// The key a node signs with: the first of a node that takes a slot. By that node.
    SetSigner(AuditKey),
    /// What was looked at, or refused, without a command of its own. By a node, for sessions it names.
    Observe(Once, Vec<Observation>),
    /// Counts a sign-in that failed. By the node that checked it.
    RefuseSignIn(RefuseSignIn),
    /// Gives a session a new token. By the node that checked the device's proof.
    Refresh(Refresh),
    /// Sets a second factor up for oneself; it counts once it is confirmed.
    AddSecondFactor(AddSecondFactor),
    /// Confirms it with the one-time password of this step; the session counts as signed in with it.
    ConfirmSecondFactor(u64),
    /// Takes a second factor away: one's own, or with permission someone's.
    RemoveSecondFactor(UserId),
    /// Sets what holds for the whole cluster; its version is the one it was read with.
    ChangeSettings(Settings),
    /// Ends sessions from outside.
    LogOff(LogOff),
    /// Adds a data key; the first of a scope and month wins, and its id is the answer. By the node that minted it.
    AddDataKey(AddDataKey),
    /// Wraps data keys under the newest cluster key. By the leader.
    RewrapDataKeys(RewrapDataKeys),
    /// Removes the envelopes of a cluster key under which no data key is wrapped any more. By the leader.
    RetireClusterKey(u32),
    /// Makes a new version of the cluster key the one in use. Holders that are named cease to be holders; every other one
    /// has an envelope.
    RotateClusterKey(NewClusterKey, Vec<Holder>),
    /// Lets a node that has joined hold the cluster key.
    ApproveHolder(ApproveHolder),

    /// Says that cluster time is right after the step to this time: what waited for that goes on.
    ConfirmClock(Timestamp),
    /// Lets a new node into a slot. By a healthy node, for whoever is root there.
    AdmitNode(AdmitNode),
    /// A node that was let in counts as one of three now; whoever had its slot before is refused. By the leader.
    SeatNode(NodeId),
    /// Begins a new history with what one node had. By that node, before any other.
    Refound(Refound),
    /// Says what became of a backup. By the node that made or verified it.
    NoteBackup(NoteBackup),

    /// Locks a session of one's own; a part at a place ends.
    LockSession(SessionId),
    /// Unlocks the session it is put in.
    UnlockSession(UnlockSession),
    /// Opens a person's part at a place. By the node that checked who.
    TapIn(TapIn),
    /// Sets one's own PIN.
    SetPin(SetPin),
    /// Takes a PIN away: one's own, or with permission someone's.
    ClearPin(UserId),
    /// Asks for emergency access.
    OpenEmergency(OpenEmergency),
    /// Approves it as the second person: it is in force from then on.
    ApproveEmergency(u64),
    /// Ends it before its time, or withdraws it.
    EndEmergency(u64),
    /// Signs its review off.
    ReviewEmergency(ReviewEmergency),

    /// Which certificates a node shows from now on; those of the node before it in its slot are revoked. By that node.
    NoteCertificates(NoteCertificates),
    /// Revokes certificates for good.
    RevokeCertificates(RevokeCertificates),
    /// Proposes a new recovery kit.
    ProposeKit(ProposeKit),
    /// Takes the proposed kit, as the second person: the cluster key is replaced with it.
    ConfirmKit(ConfirmKit),
    /// Withdraws the proposed kit.
    CancelKit,
}

/// The first command of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// The cluster's id, as in the founding document.
    pub cluster: ClusterId,
    /// The first lineage.
    pub lineage: Lineage,
    /// What people call it.
    pub name: String,
    /// The feature level to begin with.
    pub feature_level: u32,
    /// The first administrator.
    pub admin: NewUser,
    /// The keys the three nodes sign the audit log with, by slot; none where nothing is signed.
    pub audit_keys: Vec<AuditKey>,
    /// The first cluster key, sealed to the three nodes and to the recovery kit.
    pub cluster_key: Option<NewClusterKey>,
    /// Key of the hash that recognises a repeated request, wrapped under the first cluster key; there when that is.
    pub request_key: Option<AddDataKey>,
}

/// What makes a command of a node safe to put again: each of its commands that would count twice has a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Once {
    /// The node's lease epoch: new, and higher, at each of its starts.
    pub epoch: u64,
    /// The command's number within it, from 1.
    pub number: u64,
    /// No command with a number below it is on its way any more.
    pub settled: u64,
}

/// A node's signature of the audit tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SignHead {
    /// Which of the heads named it is.
    pub number: u64,
    /// Its size, as marked in this node's own state.
    pub size: u64,
    /// The root at that size, as this node computed it from its own records.
    pub root: [u8; 32],
    /// Its Ed25519 signature of the checkpoint (C2SP `tlog-checkpoint`).
    pub signature: [u8; 64],
}

/// An operator's word on which audit tree is right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ResolveDivergence {
    /// The size at which nodes disagree.
    pub size: u64,
    /// The right root.
    pub root: [u8; 32],
}

/// Something that was looked at, or was refused, without a command of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Observation {
    /// In which session; none where nobody was signed in.
    pub session: Option<SessionId>,
    /// Whose session on which device: of use where the session has been forgotten by the time this is recorded.
    pub by: Option<(UserId, DeviceId)>,
    /// What; one of those that leave no other trace.
    pub action: Action,
    /// At what; at most `OBSERVED_ENTITIES_MAX`.
    pub entities: Vec<Entity>,
    /// The number of the refusal, if it was refused.
    pub refused: Option<u16>,
    /// Why, as a code.
    pub purpose: Option<Purpose>,
    /// Why, in words; at most `RECORD_REASON_BYTES_MAX`.
    pub reason: Option<String>,
    /// When, by the node's clock, if it was kept back while there was no majority.
    pub seen: Option<Timestamp>,
    /// That so many alike were folded into this one.
    pub count: Option<u32>,
}

/// A node's lease in one of its epochs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lease {
    /// New, and higher, at each start of the node.
    pub epoch: u64,
}

/// Changes of sessions connected to the node that sends it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Connections {
    /// The node's lease epoch.
    pub epoch: u64,
    /// At most `PRESENCE_CHANGES_MAX`.
    pub changes: Vec<(SessionId, Connection)>,
}

/// How far a session's device has come in a conversation, cumulatively.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Confirmation {
    /// The session.
    pub session: SessionId,
    /// The conversation.
    pub conversation: ConversationId,
    /// The device has everything up to here.
    pub delivered: Seq,
    /// Everything up to here was on a screen.
    pub displayed: Seq,
}

/// A session to open.
#[derive(Clone, PartialEq, Eq)]
pub struct SignIn {
    /// Whose; checked by the node.
    pub user: UserId,
    /// The session's id, minted by the node.
    pub session: SessionId,
    /// SHA-256 of the token the client gets.
    pub token: CodeHash,
    /// The device: one of the user's, else a new one is made with this id.
    pub device: DeviceId,
    /// The version of the credential the password was checked against.
    pub credential_version: u64,
    /// The password's hash anew, where parameters have changed.
    pub rehashed: Option<String>,
    /// As whom and from where, for those that failed before; none where a node signs in without being asked.
    pub attempt: Option<Attempt>,
    /// The device's key from now on; none: a short session.
    pub key: Option<DeviceKey>,
    /// By what the user proved who they are.
    pub methods: Vec<Method>,
    /// What proved the second factor, where the user has one.
    pub second: Option<SecondProof>,
    /// The network address it came from, sealed; none where the node does not know it.
    pub address: Option<Vec<u8>>,
}

impl core::fmt::Debug for SignIn {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SignIn").field("user", &self.user).field("session", &self.session).finish_non_exhaustive()
    }
}

/// A password set by a one-time code, and a session to open.
#[derive(Clone, PartialEq, Eq)]
pub struct Enrol {
    /// SHA-256 of the one-time code; `apply` compares it.
    pub code: CodeHash,
    /// The new password's hash.
    pub password: String,
    /// The session to open; its `credential_version` is not used.
    pub sign_in: SignIn,
}

impl core::fmt::Debug for Enrol {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Enrol").field("sign_in", &self.sign_in).finish_non_exhaustive()
    }
}

/// A user to create.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewUser {
    /// Minted by the node.
    pub id: UserId,
    /// What it stands for.
    pub kind: UserKind,
    /// Whose people it belongs to.
    pub realm: Realm,
    /// Unique for ever.
    pub login: String,
    /// What people see.
    pub display_name: String,
    /// May be empty.
    pub unit: String,
    /// Words of name and unit to find it by, folded by the node (Unicode tables differ between releases).
    pub words: Vec<String>,
    /// Sorted, no two of one system.
    pub external_ids: Vec<ExternalId>,
    /// The entitlement to message.
    pub may_message: bool,
    /// Sorted; only an administrator gives any.
    pub permissions: Vec<PermissionSet>,
    /// SHA-256 of the one-time code, if one was made.
    pub enrolment: Option<CodeHash>,
    /// A patient's name, sealed; `display_name` and `words` are empty then.
    pub sealed_name: Vec<u8>,
    /// The key of that name; it is kept only if the account comes to be.
    pub key: Option<AddDataKey>,
}

/// Changes of a user: what is none stays.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UpdateUser {
    /// Which.
    pub id: UserId,
    /// The version the change was made on; 0 takes any.
    pub version: u64,
    /// New display name, with the words that come with it.
    pub display_name: Option<String>,
    /// New unit.
    pub unit: Option<String>,
    /// New words, when name or unit changes.
    pub words: Option<Vec<String>>,
    /// New external ids.
    pub external_ids: Option<Vec<ExternalId>>,
    /// New entitlement.
    pub may_message: Option<bool>,
    /// New permission sets.
    pub permissions: Option<Vec<PermissionSet>>,
    /// A patient's new name, sealed.
    pub sealed_name: Option<Vec<u8>>,
}

/// A new password of one's own.
#[derive(Clone, PartialEq, Eq)]
pub struct SetPassword {
    /// Argon2id as a PHC string.
    pub password: String,
    /// The version of the credential the old password was checked against.
    pub credential_version: u64,
}

impl core::fmt::Debug for SetPassword {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SetPassword").finish_non_exhaustive()
    }
}

/// A conversation to create; its creator takes part as owner.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CreateConversation {
    /// Minted by the node.
    pub id: ConversationId,
    /// What it is for.
    pub kind: ConversationKind,
    /// The sealed title.
    pub title: Vec<u8>,
    /// The history policy; it must exist.
    pub history: PolicyRef,
    /// The patient of a care team.
    pub subject: Option<UserId>,
    /// Everyone but the creator, at most `PARTICIPANTS_PER_COMMAND_MAX`.
    pub participants: Vec<(Principal, Part)>,
    /// The key of the title; it is kept only if the conversation comes to be.
    pub key: Option<AddDataKey>,
}

/// Changes of a conversation: what is none stays.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UpdateConversation {
    /// Which.
    pub id: ConversationId,
    /// The version the change was made on; 0 takes any.
    pub version: u64,
    /// New sealed title.
    pub title: Option<Vec<u8>>,
    /// New policy, for those who are added from now on.
    pub history: Option<PolicyRef>,
    /// Whether it takes messages.
    pub open: Option<bool>,
}

/// A message to post.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Post {
    /// Where.
    pub conversation: ConversationId,
    /// The place it is written from, if not the sender's own device.
    pub location: Option<UserId>,
    /// What stays clear.
    pub header: Header,
    /// What does not.
    pub sealed: Sealed,
}

/// A status to set; without any it is cleared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SetStatus {
    /// What the user says.
    pub availability: Option<Availability>,
    /// The sealed text; may be empty.
    pub text: Vec<u8>,
    /// When it ceases to hold.
    pub expires: Option<Timestamp>,
}

/// A data key to add.
#[derive(Clone, PartialEq, Eq)]
pub struct AddDataKey {
    /// Minted at random by the node; never 0.
    pub id: u64,
    /// What it is for.
    pub scope: KeyScope,
    /// The month of cluster time as the node sees it.
    pub month: Month,
    /// The version of the cluster key it is wrapped under.
    pub version: u32,
    /// The key, wrapped: at most `WRAPPED_KEY_BYTES_MAX`.
    pub wrapped: Vec<u8>,
}

impl core::fmt::Debug for AddDataKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("AddDataKey").field("scope", &self.scope).field("month", &self.month).finish_non_exhaustive()
    }
}

/// Data keys wrapped anew, a slice of them.
#[derive(Clone, PartialEq, Eq)]
pub struct RewrapDataKeys {
    /// The version they were wrapped under; those that are not any more are passed over.
    pub from: u32,
    /// The version in use.
    pub to: u32,
    /// At most `REWRAPPED_KEYS_MAX`.
    pub keys: Vec<RewrappedKey>,
}

/// A data key wrapped anew.
#[derive(Clone, PartialEq, Eq)]
pub struct RewrappedKey {
    /// Its id.
    pub id: u64,
    /// The key, wrapped.
    pub wrapped: Vec<u8>,
}

impl core::fmt::Debug for RewrappedKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "RewrappedKey({:016x})", self.id)
    }
}

impl core::fmt::Debug for RewrapDataKeys {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "RewrapDataKeys({} keys, {} to {})", self.keys.len(), self.from, self.to)
    }
}

/// A holder to admit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApproveHolder {
    /// Who.
    pub holder: Holder,
    /// The public key that was compared and approved.
    pub public: [u8; 32],
    /// Each version of the cluster key that is not retired, sealed to it.
    pub envelopes: Vec<(u32, KeyEnvelope)>,
}
