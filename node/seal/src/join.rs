//! A channel between two machines that share a short code and nothing else: so a machine joins a cluster.
//!
//! SPAKE2 (RFC 9382, over Ed25519) makes a key of the code: whoever listens learns nothing, and whoever is in between has one try
//! for each time the code is entered. Each side then shows that it has the key by the first thing it sends under it. What is sent is
//! sealed with XAES-256-GCM under a key for each direction, and numbered, so that nothing is repeated, reordered or turned back.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use spake2::{Ed25519Group, Identity, Password, Spake2};
use zeroize::Zeroizing;

use crate::xaes::Xaes;
use crate::{Error, random};

/// Crockford's base 32: no I, L, O, U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// 40 bits: with a few tries for each code, nobody guesses one.
const CODE_CHARS: usize = 8;

/// A code of eight characters, shown on one machine and typed on another.
#[derive(Clone)]
pub struct Code(Zeroizing<String>);

impl Code {
    /// A new one.
    ///
    /// Errors: [`Error::Randomness`].
    pub fn draw() -> Result<Self, Error> {
        let bits = u64::from_be_bytes(random::bytes()?);
        let chars = (0..CODE_CHARS).filter_map(|at| ALPHABET.get((bits >> (5 * at)) as usize & 31));
        Ok(Self(Zeroizing::new(chars.map(|byte| char::from(*byte)).collect())))
    }

    /// What a person typed: spaces and hyphens do not count, nor does case; what looks alike is alike.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let typed = text.chars().filter(|c| !c.is_whitespace() && *c != '-');
        let chars: Zeroizing<String> = Zeroizing::new(
            typed
                .map(|c| match c.to_ascii_uppercase() {
                    'O' => '0',
                    'I' | 'L' => '1',
                    other => other,
                })
                .collect(),
        );
        let valid = chars.len() == CODE_CHARS && chars.bytes().all(|byte| ALPHABET.contains(&byte));
        valid.then_some(Self(chars))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (one, two) = self.0.split_at(CODE_CHARS / 2);
        write!(f, "{one}-{two}")
    }
}

/// Which of the two one is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Shows the code.
    Offering,
    /// Is given it.
    Joining,
}

/// Half a channel: the other side's message makes it whole.
pub struct Meeting {
    state: Spake2<Ed25519Group>,
    side: Side,
}

/// Begins; the bytes are for the other side.
///
/// Errors: [`Error::Randomness`].
pub fn meet(code: &Code, side: Side) -> Result<(Meeting, Vec<u8>), Error> {
    let password = Password::new(code.0.as_bytes());
    let (offering, joining) = (Identity::new(b"tricord/join/v1/offering"), Identity::new(b"tricord/join/v1/joining"));
    let (state, message) = match side {
        Side::Offering => Spake2::<Ed25519Group>::start_a(&password, &offering, &joining),
        Side::Joining => Spake2::<Ed25519Group>::start_b(&password, &offering, &joining),
    };
    Ok((Meeting { state, side }, message))
}

impl Meeting {
    /// The channel. That the other side had the same code shows when something it sent opens, and not before.
    ///
    /// Errors: [`Error::Damaged`] for bytes that are no such message.
    pub fn finish(self, theirs: &[u8]) -> Result<Channel, Error> {
        let shared = Zeroizing::new(self.state.finish(theirs).map_err(|_| Error::Damaged)?);
        let offered = direction(&shared, b"tricord/join/v1 from the one that offers")?;
        let joined = direction(&shared, b"tricord/join/v1 from the one that joins")?;
        let (send, receive) = match self.side {
            Side::Offering => (offered, joined),
            Side::Joining => (joined, offered),
        };
        Ok(Channel { send, receive, sent: 0, received: 0 })
    }
}

/// Sealed messages, both ways, each in its order.
pub struct Channel {
    send: Xaes,
    receive: Xaes,
    sent: u64,
    received: u64,
}

impl Channel {
    /// Seals the next message.
    ///
    /// Errors: [`Error::Randomness`], [`Error::Library`].
    pub fn seal(&mut self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let mut out = Vec::new();
        self.send.seal(&self.sent.to_be_bytes(), message, &mut out)?;
        self.sent = self.sent.saturating_add(1);
        Ok(out)
    }

    /// Opens the next message.
    ///
    /// Errors: [`Error::Damaged`] when it is not the next one of whoever has the same code.
    pub fn open(&mut self, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let message = self.receive.open(&self.received.to_be_bytes(), bytes)?;
        self.received = self.received.saturating_add(1);
        Ok(message)
    }
}

fn direction(shared: &[u8], name: &[u8]) -> Result<Xaes, Error> {
    let mut mac = Hmac::<Sha256>::new_from_slice(shared).map_err(|_| Error::Library)?;
    mac.update(name);
    let key: Zeroizing<[u8; 32]> = Zeroizing::new(mac.finalize().into_bytes().into());
    Xaes::new(&key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channels(offered: &Code, typed: &Code) -> (Channel, Channel) {
        let (offering, one) = meet(offered, Side::Offering).expect("begins");
        let (joining, other) = meet(typed, Side::Joining).expect("begins");
        (offering.finish(&other).expect("a message"), joining.finish(&one).expect("a message"))
    }

    #[test]
    fn whoever_has_the_code_reads_what_the_other_says() {
        let code = Code::draw().expect("a code");
        let typed = Code::parse(&format!(" {} ", code.to_string().to_lowercase().replace('0', "o"))).expect("a code");
        let (mut offering, mut joining) = channels(&code, &typed);
        for text in ["hello", "again"] {
            let sealed = joining.seal(text.as_bytes()).expect("sealed");
            assert_eq!(offering.open(&sealed).expect("opens").as_slice(), text.as_bytes());
        }
        let sealed = offering.seal(b"and back").expect("sealed");
        assert!(offering.open(&sealed).is_err(), "turned back");
        assert_eq!(joining.open(&sealed).expect("opens").as_slice(), b"and back");
        assert!(joining.open(&sealed).is_err(), "repeated");
    }

    #[test]
    fn another_code_opens_nothing() {
        let (mut offering, mut joining) =
            channels(&Code::parse("ABCD-EFGH").expect("a code"), &Code::parse("ABCD-EFGJ").expect("a code"));
        let sealed = joining.seal(b"hello").expect("sealed");
        assert_eq!(offering.open(&sealed).expect_err("another code"), Error::Damaged);
    }

    #[test]
    fn a_code_has_eight_characters_that_cannot_be_taken_for_others() {
        let code = Code::draw().expect("a code").to_string();
        assert_eq!(code.len(), 9);
        assert!(Code::parse(&code).is_some());
        assert!(Code::parse("ABCD-EFG").is_none() && Code::parse("ABCD-EFGU").is_none());
        assert_eq!(Code::parse("oil0-abcd").expect("read").to_string(), "0110-ABCD");
    }
}
