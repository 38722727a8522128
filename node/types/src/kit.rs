//! Replacing the recovery kit: one administrator proposes a new one, another confirms it.

use alloc::string::String;
use alloc::vec::Vec;

use crate::id::{Timestamp, UserId};
use crate::key::{Envelope, Holder, NewClusterKey};

/// A new recovery kit to take in place of the one there is, once a second person has confirmed it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProposeKit {
    /// Its public key: X25519.
    pub public: [u8; 32],
    /// Why, in words, for the audit log; they name nobody.
    pub reason: String,
}

/// Takes the proposed kit, with what must be sealed to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfirmKit {
    /// The public key that was compared and confirmed.
    pub public: [u8; 32],
    /// Each version of the cluster key that is not retired, ascending, sealed to it.
    pub envelopes: Vec<(u32, Envelope)>,
    /// The next version of the cluster key: the kit before never opens it.
    pub key: NewClusterKey,
    /// Holders that are none any more, as with a rotation.
    pub dropped: Vec<Holder>,
}

/// A kit that waits for a second person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KitProposal {
    /// Its public key.
    pub public: [u8; 32],
    /// Who proposed it.
    pub by: UserId,
    /// When.
    pub at: Timestamp,
    /// Until when it can be confirmed.
    pub until: Timestamp,
    /// Why.
    pub reason: String,
}

/// A recovery kit of before. It goes on opening what was sealed to it: backups of its time, and what is in them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FormerKit {
    /// Its public key.
    pub public: [u8; 32],
    /// Since when the cluster sealed to it.
    pub since: Timestamp,
    /// When another one took its place.
    pub until: Timestamp,
    /// The last version of the cluster key that was sealed to it.
    pub last_version: u32,
    /// Who proposed the one that took its place.
    pub proposed_by: UserId,
    /// Who confirmed that.
    pub confirmed_by: UserId,
}
