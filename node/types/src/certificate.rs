//! Certificates of nodes: which they show, and which are good for nothing any more.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::id::{NodeId, Timestamp, UserId};

/// Bytes of the longest serial number of a certificate (RFC 5280, 4.1.2.2).
pub const SERIAL_BYTES: usize = 20;

/// The serial number of a certificate: big-endian, with zeros in front. Printed as hexadecimal digits without these.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial(pub [u8; SERIAL_BYTES]);

impl Serial {
    /// The serial number of these bytes, as they stand in a certificate; none: it is zero, or longer than any may be.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let first = bytes.iter().position(|byte| *byte != 0)?;
        let bytes = bytes.get(first..)?;
        let mut serial = [0; SERIAL_BYTES];
        serial.get_mut(SERIAL_BYTES.checked_sub(bytes.len())?..)?.copy_from_slice(bytes);
        Some(Self(serial))
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().skip_while(|byte| **byte == 0).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no serial number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a serial number is up to 40 hexadecimal digits, as 'openssl x509 -serial' prints it")]
pub struct ParseSerialError;

impl FromStr for Serial {
    type Err = ParseSerialError;

    /// Takes colons between the digits, and capitals, as other programs print them.
    fn from_str(text: &str) -> Result<Self, ParseSerialError> {
        let mut serial = [0_u8; SERIAL_BYTES];
        let mut digits: usize = 0;
        for digit in text.trim().chars().filter(|c| *c != ':') {
            let value = digit.to_digit(16).and_then(|value| u8::try_from(value).ok()).ok_or(ParseSerialError)?;
            if serial[0] & 0xF0 != 0 {
                return Err(ParseSerialError); // The first digit would be pushed out.
            }
            let mut carried = value;
            for byte in serial.iter_mut().rev() {
                (*byte, carried) = ((*byte << 4) | carried, *byte >> 4);
            }
            digits = digits.saturating_add(1);
        }
        if digits == 0 || serial == [0; SERIAL_BYTES] { Err(ParseSerialError) } else { Ok(Self(serial)) }
    }
}

/// What a node shows from now on. By that node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NoteCertificates {
    /// Of the certificates that it shows, of those between them and the authority, and of the one that it renews them with,
    /// ascending; at most `CERTIFICATES_NOTED_MAX`.
    pub serials: Vec<Serial>,
    /// When the first of them ceases to be good.
    pub expires: Timestamp,
}

/// What a node shows, as it said itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeCertificates {
    /// See [`NoteCertificates::serials`].
    pub serials: Vec<Serial>,
    /// When the first of them ceases to be good.
    pub expires: Timestamp,
    /// Since when it shows them.
    pub since: Timestamp,
}

/// What is revoked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Revocation {
    /// One certificate, which no node shows.
    Certificate(Serial),
    /// All that this node shows: it is cut off from the others.
    Node(NodeId),
}

/// Revokes certificates for good.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RevokeCertificates {
    /// Which.
    pub what: Revocation,
    /// Why, in words; they name nobody.
    pub reason: String,
}

/// A certificate that is good for nothing any more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Revoked {
    /// Since when.
    pub at: Timestamp,
    /// Who revoked it; none: the cluster itself, because its node was replaced.
    pub by: Option<UserId>,
    /// Which node showed it, if one did.
    pub node: Option<NodeId>,
    /// Why.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn a_serial_number_reads_as_other_programs_print_it() {
        let serial = Serial::of(&[0, 0x0A, 0xBC]).expect("one");
        assert_eq!(serial.to_string(), "0abc");
        for text in ["0abc", "ABC", "0A:BC", " 00:0a:bc\n"] {
            assert_eq!(text.parse(), Ok(serial), "{text:?}");
        }
        for wrong in ["", "0", "00:00", "xyz", "-1", &"1".repeat(41)] {
            assert_eq!(wrong.parse::<Serial>(), Err(ParseSerialError), "{wrong:?}");
        }
        let longest = "f".repeat(40);
        assert_eq!(longest.parse::<Serial>().expect("forty digits").to_string(), longest);
        assert_eq!(Serial::of(&[1; 21]), None);
        assert_eq!(Serial::of(&[0; 20]), None);
    }
}
