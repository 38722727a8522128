//! Whom one can address or admit.

use crate::id::{RoleId, UserId};

/// A user or a role; later a team, a unit. Its key is the kind byte, then the id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Principal {
    /// An account, kind byte 1.
    User(UserId),
    /// A clinical duty, kind byte 2. No command creates one yet.
    Role(RoleId),
}

impl Principal {
    /// The kind byte, the first of the key.
    #[must_use]
    pub const fn kind(self) -> u8 {
        match self {
            Self::User(_) => 1,
            Self::Role(_) => 2,
        }
    }

    /// The 16 bytes of the id, the rest of the key.
    #[must_use]
    pub const fn id(self) -> [u8; 16] {
        match self {
            Self::User(id) => id.0,
            Self::Role(id) => id.0,
        }
    }

    /// The principal with this kind byte and id, if the kind is known.
    #[must_use]
    pub const fn new(kind: u8, id: [u8; 16]) -> Option<Self> {
        match kind {
            1 => Some(Self::User(UserId(id))),
            2 => Some(Self::Role(RoleId(id))),
            _ => None,
        }
    }
}
