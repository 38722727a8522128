//! Secrets that this node makes: tokens, one-time codes, ids.

use sha2::{Digest, Sha256};
use types::SessionId;
use types::user::CodeHash;

use crate::errors::Error;

/// Crockford's base 32: no I, L, O, U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters of a one-time code: 80 bits.
const CODE_CHARS: usize = 16;
/// Bytes of a token: session id and secret.
const TOKEN_BYTES: usize = 32;

/// Sixteen random bytes, for an id.
pub(crate) fn random_id() -> Result<[u8; 16], Error> {
    random()
}

/// Random bytes, for a secret.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Error::Internal("no randomness"))?;
    Ok(bytes)
}

/// A token for a session, as the client gets it, and the hash that is kept: 32 digits of the session's id, then 32 of
/// a secret of 128 bits.
pub(crate) fn token(session: SessionId) -> Result<(String, CodeHash), Error> {
    let mut bytes = [0; TOKEN_BYTES];
    bytes[..16].copy_from_slice(&session.0);
    bytes[16..].copy_from_slice(&random::<16>()?);
    let text = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((text, Sha256::digest(bytes).into()))
}

/// The session a token names, and the token's hash.
pub(crate) fn parse_token(text: &str) -> Option<(SessionId, CodeHash)> {
    let bytes: [u8; TOKEN_BYTES] = crate::pages::unhex(text)?.try_into().ok()?;
    let mut session = [0; 16];
    session.copy_from_slice(&bytes[..16]);
    Some((SessionId(session), Sha256::digest(bytes).into()))
}

/// Whether two hashes are equal, in a time that does not tell where they differ.
pub(crate) fn same(one: &CodeHash, other: &CodeHash) -> bool {
    let difference = one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b));
    std::hint::black_box(difference) == 0
}

/// A one-time code in readable groups (`7K3M-…`), and the hash that is kept.
pub(crate) fn enrolment() -> Result<(String, CodeHash), Error> {
    let bits = u128::from_be_bytes(random::<16>()?);
    let chars: Vec<u8> = (0..CODE_CHARS).map(|at| ALPHABET[(bits >> (5 * at)) as usize & 31]).collect();
    let groups: Vec<&str> = chars.chunks(4).filter_map(|group| std::str::from_utf8(group).ok()).collect();
    Ok((groups.join("-"), Sha256::digest(&chars).into()))
}

/// The hash of a one-time code as someone typed it: case, spaces and hyphens do not count, O is 0, I and L are 1.
pub(crate) fn parse_enrolment(typed: &str) -> Option<CodeHash> {
    let mut chars = Vec::with_capacity(CODE_CHARS);
    for byte in typed.bytes() {
        let plain = match byte.to_ascii_uppercase() {
            b'-' | b' ' => continue,
            b'O' => b'0',
            b'I' | b'L' => b'1',
            other => other,
        };
        if !ALPHABET.contains(&plain) || chars.len() == CODE_CHARS {
            return None;
        }
        chars.push(plain);
    }
    (chars.len() == CODE_CHARS).then(|| Sha256::digest(&chars).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_session_and_only_itself() {
        let (text, hash) = token(SessionId([9; 16])).expect("randomness");
        assert_eq!(text.len(), 64);
        let (session, parsed) = parse_token(&text).expect("a token");
        assert_eq!(session, SessionId([9; 16]));
        assert!(same(&hash, &parsed));
        let other = token(SessionId([9; 16])).expect("randomness").1;
        assert!(!same(&hash, &other));
        assert!(parse_token(&text[1..]).is_none());
        assert!(parse_token("").is_none());
    }

    #[test]
    fn a_code_may_be_typed_in_any_way() {
        let (code, hash) = enrolment().expect("randomness");
        assert_eq!(code.len(), 19);
        let sloppy = code.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
        assert_eq!(parse_enrolment(&sloppy), Some(hash));
        assert_eq!(parse_enrolment(&code[1..]), None);
        assert_eq!(parse_enrolment("UUUU-UUUU-UUUU-UUUU"), None);
    }
}
