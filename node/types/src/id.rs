//! Identifiers and positions. Random ids are 16 bytes, minted by the node that takes a request and never by `apply`;
//! they print as 32 lower-case hexadecimal digits, which is a legal FHIR id.

use core::fmt;
use core::str::FromStr;

/// A text that is not 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id is 32 hexadecimal digits")]
pub struct ParseIdError;

macro_rules! id16 {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(str::from_utf8(&hex(&self.0)).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse_hex(text).map(Self)
            }
        }
    )*};
}

id16! {
    /// An account: a person, a location, a service or a patient. Never reused.
    UserId;
    /// An enrolled device of a user; it numbers its writes.
    DeviceId;
    /// A signed-in period on a device.
    SessionId;
    /// An ordered stream of messages.
    ConversationId;
    /// A clinical duty one can write to.
    RoleId;
    /// The cluster, fixed at founding.
    ClusterId;
    /// The history since founding or refounding; cursors and peers of another lineage are refused.
    Lineage;
}

/// The digits of an id: every event told and every name in an answer has one.
fn hex(bytes: &[u8; 16]) -> [u8; 32] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [0; 32];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    digits
}

fn parse_hex(text: &str) -> Result<[u8; 16], ParseIdError> {
    let digits = text.as_bytes();
    if digits.len() != 32 {
        return Err(ParseIdError);
    }
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Ok(bytes)
}

fn digit(ascii: u8) -> Result<u8, ParseIdError> {
    match ascii {
        b'0'..=b'9' => Ok(ascii - b'0'),
        b'a'..=b'f' => Ok(ascii - b'a' + 10),
        _ => Err(ParseIdError),
    }
}

macro_rules! position {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
        pub struct $name(pub u64);

        impl $name {
            /// The position after this one. It cannot wrap: at a million a second that takes half a million years.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}

position! {
    /// The place of a message in its conversation, from 1 without gaps; 0 means none.
    Seq;
    /// The place of an event in the cluster's one order of events, from 1 without gaps; 0 means none.
    EventNumber;
}

/// Cluster time in milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// This time and `ms` milliseconds.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this time, 0 if it is not earlier.
    #[must_use]
    pub const fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// How often a slot has been filled; a node with a new or damaged disk is a new incarnation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Incarnation(pub u32);

/// One of the three places in the cluster.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Slot {
    /// The first place.
    A,
    /// The second place.
    B,
    /// The third place.
    C,
}

impl Slot {
    /// All three, in order.
    pub const ALL: [Self; 3] = [Self::A, Self::B, Self::C];

    /// 1, 2 or 3.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::A => 1,
            Self::B => 2,
            Self::C => 3,
        }
    }

    /// The slot with this number, if it is 1, 2 or 3.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::A),
            2 => Some(Self::B),
            3 => Some(Self::C),
            _ => None,
        }
    }

    /// `a`, `b` or `c`.
    #[must_use]
    pub const fn letter(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
            Self::C => "c",
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.letter())
    }
}

impl FromStr for Slot {
    type Err = ParseSlotError;
    fn from_str(text: &str) -> Result<Self, ParseSlotError> {
        Self::ALL.into_iter().find(|slot| slot.letter() == text).ok_or(ParseSlotError)
    }
}

/// A text that is not a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a slot is a, b or c")]
pub struct ParseSlotError;

/// The identity that fills a slot now: incarnation × 4 + slot number. Never reused; 0 is no node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct NodeId(pub u64);

impl NodeId {
    /// The id of the given incarnation of a slot.
    #[must_use]
    pub const fn new(slot: Slot, incarnation: Incarnation) -> Self {
        Self((incarnation.0 as u64) << 2 | slot.number() as u64)
    }

    /// The slot this node fills; none for the id 0.
    #[must_use]
    pub const fn slot(self) -> Option<Slot> {
        Slot::from_number((self.0 & 3) as u8)
    }

    /// Which one of its slot it is, from 1.
    #[must_use]
    pub const fn incarnation(self) -> Incarnation {
        Incarnation((self.0 >> 2) as u32)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.slot() {
            Some(slot) => write!(f, "{slot}{}", self.0 >> 2),
            None => f.write_str("none"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn an_id_prints_and_parses_back() {
        let id = UserId(*b"0123456789abcdef");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("zz".parse::<UserId>(), Err(ParseIdError));
        assert_eq!("ABCDEFABCDEFABCDEFABCDEFABCDEFAB".parse::<UserId>(), Err(ParseIdError), "one spelling only");
    }

    #[test]
    fn a_node_id_names_its_slot() {
        for slot in Slot::ALL {
            assert_eq!(NodeId::new(slot, Incarnation(7)).slot(), Some(slot));
        }
        assert_eq!(NodeId(0).slot(), None);
    }
}
