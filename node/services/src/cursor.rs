//! Positions in the order of events, as clients keep them: opaque to them.
//!
//! Shape: version 1 ‖ lineage (16) ‖ event number (8, big-endian) ‖ checksum (4). The checksum is no secret: it keeps
//! a truncated or mistyped cursor from being taken for another one.

use sha2::{Digest, Sha256};
use types::{EventNumber, Lineage};

use crate::errors::Error;

const VERSION: u8 = 1;
const BODY: usize = 25;
const CHECKSUM: usize = 4;

/// The cursor of an event.
pub(crate) fn encode(lineage: Lineage, number: EventNumber) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(BODY + CHECKSUM);
    bytes.push(VERSION);
    bytes.extend_from_slice(&lineage.0);
    bytes.extend_from_slice(&number.0.to_be_bytes());
    let sum = checksum(&bytes);
    bytes.extend_from_slice(&sum);
    bytes
}

/// The event of a cursor; none if it is empty.
///
/// Errors: [`Error::CursorInvalid`] for other bytes, [`Error::LineageChanged`] for a cursor of another history.
pub(crate) fn decode(lineage: Lineage, bytes: &[u8]) -> Result<Option<EventNumber>, Error> {
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.len() != BODY + CHECKSUM || bytes[0] != VERSION {
        return Err(Error::CursorInvalid);
    }
    let (body, sum) = bytes.split_at(BODY);
    if checksum(body) != sum {
        return Err(Error::CursorInvalid);
    }
    if body[1..17] != lineage.0 {
        return Err(Error::LineageChanged(None));
    }
    let number = body[17..].try_into().map_err(|_| Error::CursorInvalid)?;
    Ok(Some(EventNumber(u64::from_be_bytes(number))))
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM] {
    let hash: [u8; 32] = Sha256::new().chain_update(b"tricord/cursor").chain_update(body).finalize().into();
    [hash[0], hash[1], hash[2], hash[3]]
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Lineage = Lineage([7; 16]);

    #[test]
    fn a_cursor_comes_back() {
        assert_eq!(decode(HERE, &encode(HERE, EventNumber(42))).ok().flatten(), Some(EventNumber(42)));
        assert_eq!(decode(HERE, &[]).ok().flatten(), None);
    }

    #[test]
    fn other_bytes_are_no_cursor() {
        let good = encode(HERE, EventNumber(42));
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(matches!(decode(HERE, &bad), Err(Error::CursorInvalid)), "byte {at}");
        }
        assert!(matches!(decode(HERE, &good[..28]), Err(Error::CursorInvalid)));
    }

    #[test]
    fn a_cursor_of_another_lineage_is_named_as_such() {
        let other = encode(Lineage([8; 16]), EventNumber(42));
        assert!(matches!(decode(HERE, &other), Err(Error::LineageChanged(None))));
    }
}
