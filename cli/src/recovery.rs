//! The recovery kit: the key pair that every cluster key is also sealed to, so that content outlives all three nodes.
//!
//! Its private half is nowhere but in the kit: split into three shares, any two of which give it back (Shamir's scheme over
//! GF(2^8), crate `blahaj`). A share is its number and 24 words of BIP 39's English list, the last of which holds a
//! checksum.

use bip39::Mnemonic;
use blahaj::{Share as Point, Sharks};
use seal::{NodeKey, PublicKey};
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// Shares of a kit.
pub const SHARES: usize = 3;
/// Shares that give the key back.
pub const THRESHOLD: u8 = 2;

/// A share as people write it: `2: word word …`.
#[derive(Clone, PartialEq, Eq)]
pub struct Share {
    number: u8,
    words: Zeroizing<String>,
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.number, *self.words)
    }
}

impl Share {
    /// A share as it was typed: in any case, with any spaces.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |why: &str| Error::Usage(format!("not a share: {why}; a share is its number and its 24 words"));
        let (number, words) = text.trim().split_once([':', ' ', '.']).ok_or_else(|| wrong("no number in front"))?;
        let number = number.parse().ok().filter(|number| (1..=SHARES as u8).contains(number));
        let number = number.ok_or_else(|| wrong("its number is 1, 2 or 3"))?;
        let lower = words.to_lowercase();
        let words: Vec<&str> = lower.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty()).collect();
        let words = Zeroizing::new(words.join(" "));
        let mnemonic = Mnemonic::parse_normalized(&words).map_err(|error| wrong(&error.to_string()))?;
        if mnemonic.word_count() != 24 {
            return Err(wrong("it has too few words"));
        }
        Ok(Self { number, words })
    }

    /// Which of the three it is.
    pub const fn number(&self) -> u8 {
        self.number
    }

    fn point(&self) -> Result<Point> {
        let mnemonic = Mnemonic::parse_normalized(&self.words).map_err(|error| failed(&error))?;
        let mut bytes = Zeroizing::new(vec![self.number]);
        bytes.extend_from_slice(&Zeroizing::new(mnemonic.to_entropy()));
        Point::try_from(bytes.as_slice()).map_err(|error| failed(&error))
    }
}

/// By what people tell kits apart: the first half of the public key, in groups of four digits.
pub fn fingerprint(public: &PublicKey) -> String {
    let digits = public.to_string();
    let groups: Vec<&str> =
        digits.as_bytes()[..32].chunks(4).filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join("-")
}

/// A new recovery key, as its public half and its shares.
pub fn split() -> Result<(PublicKey, Vec<Share>)> {
    let pair = NodeKey::generate().map_err(|error| failed(&error))?;
    let shares = Sharks(THRESHOLD).dealer(pair.private_bytes()).take(SHARES).map(|point| {
        let bytes = Zeroizing::new(Vec::from(&point));
        let (number, value) = bytes.split_first().ok_or_else(|| failed(&"an empty share"))?;
        let words = Mnemonic::from_entropy(value).map_err(|error| failed(&error))?.to_string();
        Ok(Share { number: *number, words: Zeroizing::new(words) })
    });
    let shares: Vec<Share> = shares.collect::<Result<_>>()?;
    // What is printed is what is checked: the shares as they will be typed give the key back.
    for pair_of in [[0, 1], [1, 2], [0, 2]] {
        let typed = pair_of.map(|at| Share::parse(&shares[at].to_string()));
        let typed: Vec<Share> = typed.into_iter().collect::<Result<_>>()?;
        if combine(&typed)?.private_bytes() != pair.private_bytes() {
            return Err(failed(&"the shares do not give the key back"));
        }
    }
    Ok((pair.public().map_err(|error| failed(&error))?, shares))
}

/// The recovery key out of two shares. Of shares that are not of one kit comes a key that opens nothing.
pub fn combine(shares: &[Share]) -> Result<NodeKey> {
    let points: Vec<Point> = shares.iter().map(Share::point).collect::<Result<_>>()?;
    let secret =
        Sharks(THRESHOLD).recover(&points).map_err(|_| Error::Usage("two different shares are needed".into()))?;
    let secret = Zeroizing::new(secret);
    let private: &[u8; 32] = secret.as_slice().try_into().map_err(|_| failed(&"a share of another length"))?;
    Ok(NodeKey::from_private(private))
}

fn failed(error: &dyn std::fmt::Display) -> Error {
    Error::Pki { doing: "make or read the recovery kit".into(), why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_two_shares_give_the_key_back_and_one_does_not() {
        let (public, shares) = split().expect("a kit");
        for two in [[0, 1], [0, 2], [1, 2]] {
            let typed = two.map(|at| Share::parse(&shares[at].to_string().to_uppercase()).expect("a share"));
            assert_eq!(combine(&typed).and_then(|key| key.public().map_err(|e| failed(&e))).expect("a key"), public);
        }
        assert!(combine(&shares[..1]).is_err());
        assert!(combine(&[shares[0].clone(), shares[0].clone()]).is_err());
        let (_, others) = split().expect("a kit");
        let mixed = combine(&[shares[0].clone(), others[1].clone()]).expect("some key");
        assert_ne!(mixed.public().expect("a key"), public);
    }

    #[test]
    fn a_wrong_word_is_found_out_before_anything_else() {
        let (_, shares) = split().expect("a kit");
        let right = shares[1].to_string();
        let mut words: Vec<&str> = right.split(' ').collect();
        words.swap(1, 2);
        // A swapped pair passes the checksum of eight bits once in 256 times: then the words were equal, or luck.
        let swapped = Share::parse(&words.join(" "));
        assert!(swapped.is_err() || words[1] == words[2] || swapped.is_ok_and(|share| share != shares[1]));
        for wrong in ["", "2", "4: abandon", &right.replace("2:", "7:"), &right[..right.len() - 9]] {
            assert!(Share::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
