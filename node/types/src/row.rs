//! What the replicated state consists of: tables of rows, each with its key.

use alloc::string::String;
use alloc::vec::Vec;

use crate::backup::Backup;
use crate::certificate::{NodeCertificates, Revoked, Serial};
use crate::conversation::{Conversation, HistoryPolicy, Participant};
use crate::emergency::Emergency;
use crate::event::{EventBody, Scope};
use crate::id::{ClusterId, ConversationId, DeviceId, EventNumber, Lineage, NodeId, Seq, SessionId, Timestamp, UserId};
use crate::identity::{Failures, LoginKey, Settings};
use crate::key::{ClusterKey, DataKey, Envelope, Holder, HolderKey, KeyScope, Month};
use crate::kit::{FormerKit, KitProposal};
use crate::message::Message;
use crate::presence::{NodeLease, Status};
use crate::principal::Principal;
use crate::record::{AuditKey, Record};
use crate::reply::Answer;
use crate::seat::{Refounding, Seat};
use crate::session::{Attachment, Device, Receipt, Session};
use crate::user::{Credential, User};

macro_rules! tables {
    ($($(#[$doc:meta])* $number:literal $name:ident($($key:ty),*) => $row:ty;)*) => {
        /// A table. Its number is the first byte of its keys and never reused.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum Table { $($(#[$doc])* $name = $number,)* }

        impl Table {
            /// Every table, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }

        /// The key of a row. Keys of one table sort as their bytes do (`codec`).
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Key { $($(#[$doc])* $name($($key),*),)* }

        impl Key {
            /// The table it is a key of.
            #[must_use]
            pub const fn table(&self) -> Table {
                match self { $(Self::$name(..) => Table::$name,)* }
            }
        }

        /// The value of a row.
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub enum Row { $($(#[$doc])* $name($row),)* }

        impl Row {
            /// The table it is a row of.
            #[must_use]
            pub const fn table(&self) -> Table {
                match self { $(Self::$name(_) => Table::$name,)* }
            }
        }
    };
}

tables! {
    /// The one row about the cluster as such, present from founding on.
    1 Cluster() => Cluster;
    /// Cluster time, last event, and what else changes with every entry.
    2 Heads() => Heads;
    /// Accounts.
    3 User(UserId) => User;
    /// Who has a login name; never removed.
    4 Login(String) => UserId;
    /// Words to find a user by.
    5 Word(String, UserId) => ();
    /// What proves a user.
    6 Credential(UserId) => Credential;
    /// Devices.
    7 Device(DeviceId) => Device;
    /// The devices of a user.
    8 UserDevice(UserId, DeviceId) => ();
    /// Answers kept for a device, by number, with the hash of what was asked.
    9 Answer(DeviceId, u64) => KeptAnswer;
    /// Sessions, those that ended among them until they are forgotten.
    10 Session(SessionId) => Session;
    /// The sessions of a user.
    11 UserSession(UserId, SessionId) => ();
    /// The sessions attached to a node in one of its epochs.
    12 Attached(Attachment, SessionId) => ();
    /// Conversations.
    13 Conversation(ConversationId) => Conversation;
    /// The direct conversation of two users, the lower id first.
    14 Direct(UserId, UserId) => ConversationId;
    /// Who takes part, or did.
    15 Participant(ConversationId, Principal) => Participant;
    /// The conversations of a principal: true while they take part, false when they only may still look.
    16 Participation(Principal, ConversationId) => bool;
    /// Messages.
    17 Message(ConversationId, Seq) => Message;
    /// How far devices have come.
    18 Receipt(ConversationId, Principal, DeviceId) => Receipt;
    /// Events of a conversation but for its messages, each of which is an event itself.
    19 ConversationEvent(ConversationId, EventNumber) => StoredEvent;
    /// Events of a user.
    20 UserEvent(UserId, EventNumber) => StoredEvent;
    /// Where an event is that is not a message, for dropping it when it is too old.
    21 EventScope(EventNumber) => (Scope, Timestamp);
    /// What users say of themselves.
    22 Status(UserId) => Status;
    /// Node leases.
    23 NodeLease(NodeId) => NodeLease;
    /// What is due when.
    24 Timer(Timestamp, Timer) => ();
    /// Documents of history policy, by id and version.
    25 Policy(u32, u32) => HistoryPolicy;
    /// The audit log, from 0.
    26 Record(u64) => Record;
    /// How many active conversations a principal has.
    27 ParticipationCount(Principal) => u32;
    /// The words of a user in `Word`, so that a change of name takes the old ones away.
    28 UserWord(UserId, String) => ();
    /// Nodes of the audit tree that are complete: level (0 for leaves) and place. Written with the records, by `store`.
    29 TreeNode(u8, u64) => [u8; 32];
    /// Heads of the audit tree by size: the newest, and the first of each hour.
    30 Head(u64) => Head;
    /// Who signs the audit tree, or did.
    31 Signer(NodeId) => Signer;
    /// There while nodes hold different audit trees and none of them is known to be right.
    32 Divergence() => Divergence;

    /// Data keys, wrapped, by key id.
    35 DataKey(u64) => DataKey;
    /// The data key of a scope and month.
    36 ScopeKey(KeyScope, Month) => u64;
    /// Versions of the cluster key, those retired among them.
    37 ClusterKey(u32) => ClusterKey;
    /// Cluster keys sealed to those who hold them.
    38 KeyEnvelope(u32, Holder) => Envelope;
    /// Who may hold cluster keys, and what is sealed to.
    39 KeyHolder(Holder) => HolderKey;
    /// Sign-ins that failed, by the login tried.
    40 Failures(LoginKey) => Failures;
    /// How many rows of `Failures` there are.
    41 FailuresCount() => u32;
    /// What administrators set for the whole cluster.
    42 Settings() => Settings;

    /// Which of its numbered commands a node has had carried out.
    64 NodeNumbers(NodeId) => NodeNumbers;

    /// Emergency access, each time it was asked for, from 1.
    68 Emergency(u64) => Emergency;
    /// Which of them are not reviewed, or not over.
    69 EmergencyOpen(u64) => ();
    /// By which of them a user acts.
    70 EmergencyGrant(UserId) => u64;

    /// Nodes that were let in after founding.
    76 Seat(NodeId) => Seat;
    /// The last refounding; there is one row, or none.
    77 Refounding() => Refounding;
    /// What nodes say of their backups.
    80 Backup(NodeId) => Backup;

    /// Which certificates nodes show.
    96 NodeCertificates(NodeId) => NodeCertificates;
    /// Certificates that are good for nothing any more.
    97 Revoked(Serial) => Revoked;
    /// The recovery kit that waits for a second person; there is one row, or none.
    98 KitProposal() => KitProposal;
    /// Recovery kits of before, from 1.
    99 FormerKit(u32) => FormerKit;
}

/// The cluster as such.
#[derive(Clone, PartialEq, Eq)]
pub struct Cluster {
    /// Fixed at founding.
    pub id: ClusterId,
    /// New at each refounding.
    pub lineage: Lineage,
    /// What people call it.
    pub name: String,
    /// What `apply` may do.
    pub feature_level: u32,
    /// When it was founded.
    pub founded: Timestamp,
}

impl core::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Cluster").field("id", &self.id).field("lineage", &self.lineage).finish_non_exhaustive()
    }
}

/// What changes with every entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Heads {
    /// Cluster time: never goes back.
    pub clock: Timestamp,
    /// The newest event.
    pub event: EventNumber,
    /// Events up to here have been dropped.
    pub events_dropped: EventNumber,
    /// Records in the audit log.
    pub records: u64,
    /// There while cluster time has stepped and nobody has said that it is right.
    pub hold: Option<ClockHold>,
}

impl Heads {
    /// What expires irreversibly goes by this time: cluster time, but for a step that may be wrong.
    #[must_use]
    pub const fn steady(&self) -> Timestamp {
        match &self.hold {
            Some(hold) => hold.steady(self.clock),
            None => self.clock,
        }
    }
}

/// A head of the audit tree: a size, and what each node signed at it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    /// When its size was named.
    pub marked: Timestamp,
    /// Which one it is, from 1: what nodes sign is compared by this, for a node that has diverged may have another size.
    pub number: u64,
    /// At most one of each node.
    pub signatures: Vec<HeadSignature>,
    /// When two had signed the same root.
    pub sealed: Option<Timestamp>,
    /// The root that an operator said is right.
    pub decided: Option<[u8; 32]>,
}

impl Head {
    /// The root that two nodes signed, or that an operator said is right.
    #[must_use]
    pub fn root(&self) -> Option<[u8; 32]> {
        let agreed = |root| self.signatures.iter().filter(|one| one.root == root).count() >= 2;
        self.decided.or_else(|| self.signatures.iter().map(|one| one.root).find(|&root| agreed(root)))
    }
}

/// What one node signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeadSignature {
    /// Which node.
    pub node: NodeId,
    /// The root it computed.
    pub root: [u8; 32],
    /// Its signature of the checkpoint.
    pub signature: [u8; 64],
}

/// Who signs the audit tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Signer {
    /// The key.
    pub key: AuditKey,
    /// From which record on.
    pub since: u64,
    /// Up to which record, if another node has its slot now.
    pub until: Option<u64>,
}

/// Nodes disagree about the audit tree.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Divergence {
    /// At which size.
    pub size: u64,
    /// Since when that is known.
    pub since: Timestamp,
}

/// Which of its numbered commands a node has had carried out.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NodeNumbers {
    /// The node's lease epoch.
    pub epoch: u64,
    /// All below have been, or never will be.
    pub settled: u64,
    /// Those from there on that have been, ascending.
    pub done: Vec<u64>,
}

/// Cluster time has stepped. Until an operator says that it is right, or a day has passed, nothing irreversible fires because
/// of it: what expires goes by the time that it would be without the step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClockHold {
    /// What expires goes by this time, and what has passed since `after`.
    pub before: Timestamp,
    /// Cluster time right after the step.
    pub after: Timestamp,
    /// When cluster time is taken for right if nobody says so before.
    pub until: Timestamp,
}

impl ClockHold {
    /// What expires goes by this time, at this cluster time.
    #[must_use]
    pub const fn steady(&self, now: Timestamp) -> Timestamp {
        let passed = now.0.saturating_sub(self.after.0);
        Timestamp(self.before.0.saturating_add(passed))
    }
}

/// An answer kept for a retry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptAnswer {
    /// The keyed hash of what was asked.
    pub content: [u8; 16],
    /// What was answered.
    pub answer: Answer,
}

/// An event as it is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoredEvent {
    /// Cluster time.
    pub at: Timestamp,
    /// What changed.
    pub body: EventBody,
}

/// What fires when its time comes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Timer {
    /// A session ends if it was not used. Kind byte 1.
    SessionExpiry(SessionId),
    /// A device's answers are dropped if it did not write since. Kind byte 2.
    AnswersExpiry(DeviceId),
    /// A status ceases to hold. Kind byte 3.
    StatusExpiry(UserId),
    /// Sessions of a dead node go offline. Kind byte 4; the id is node ‖ epoch.
    GraceEnd(Attachment),
    /// Old events are dropped. Kind byte 5; there is one such timer.
    EventsExpiry,

    /// Failed sign-ins are forgotten. Kind byte 24.
    FailuresFade(LoginKey),
    /// Everybody's sessions end that began before it, from this one on. Kind byte 25.
    LogOff(SessionId),

    /// A session is locked, or as a part at a place ends, if nothing was done in it. Kind byte 48.
    IdleDue(SessionId),
    /// Sessions take over changed times, from this one on. Kind byte 49.
    TimesChanged(SessionId),
    /// Emergency access ends. Kind byte 50.
    EmergencyEnd(u64),

    /// A proposed recovery kit lapses. Kind byte 144; there is one such timer, or none.
    KitLapse,
}
