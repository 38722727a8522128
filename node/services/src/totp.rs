//! One-time passwords: RFC 6238 with SHA-1, 6 digits and steps of 30 seconds, as every authenticator makes them.

use aws_lc_rs::hmac;
use data_encoding::BASE32_NOPAD;
use types::Timestamp;
use types::identity::{Method, SecondFactor, SecondProof};

use crate::codes;
use crate::errors::Error;

/// Bytes of a secret, as long as the hash (RFC 4226, 4).
const SECRET_BYTES: usize = 20;
/// Milliseconds of a step.
const STEP_MS: u64 = 30_000;
/// Digits of a one-time password.
const DIGITS: usize = 6;
/// Steps that an authenticator's clock may be off, each way.
const DRIFT: u64 = 1;

/// A new secret, in base 32.
pub(crate) fn secret() -> Result<String, Error> {
    Ok(BASE32_NOPAD.encode(&codes::random::<SECRET_BYTES>()?))
}

/// The URI that an authenticator takes.
pub(crate) fn uri(secret: &str, issuer: &str, login: &str) -> String {
    let plain = |text: &str| -> String {
        text.bytes()
            .map(|byte| {
                let kept = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
                if kept { char::from(byte).to_string() } else { format!("%{byte:02X}") }
            })
            .collect()
    };
    let (issuer, login) = (plain(issuer), plain(login));
    format!("otpauth://totp/{issuer}:{login}?secret={secret}&issuer={issuer}&algorithm=SHA1&digits=6&period=30")
}

/// What someone typed beside the password, held against their second factor.
pub(crate) fn prove(second: &SecondFactor, secret: &str, typed: &str, now: Timestamp) -> Option<SecondProof> {
    if let Some(step) = step_of(secret, typed, now) {
        return Some(SecondProof::Totp(step));
    }
    let code = codes::parse_enrolment(typed).filter(|code| second.recovery.iter().any(|one| codes::same(one, code)));
    code.map(SecondProof::Recovery)
}

/// By what a session says it was signed in.
pub(crate) const fn method(proof: SecondProof) -> Method {
    match proof {
        SecondProof::Totp(_) => Method::Totp,
        SecondProof::Recovery(_) => Method::RecoveryCode,
    }
}

/// The step whose one-time password was typed: now, or as far off as a clock may be.
pub(crate) fn step_of(secret: &str, typed: &str, now: Timestamp) -> Option<u64> {
    let digits: String = typed.chars().filter(|character| !character.is_whitespace()).collect();
    if digits.len() != DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let secret = BASE32_NOPAD.decode(secret.as_bytes()).ok()?;
    let present = now.0 / STEP_MS;
    // Each of them is computed, whichever it is. The newest first, should two be alike.
    let steps = (present.saturating_sub(DRIFT)..=present.saturating_add(DRIFT)).rev();
    let fitting: Vec<u64> = steps.filter(|step| same(&password(&secret, *step), &digits)).collect();
    fitting.first().copied()
}

fn password(secret: &[u8], step: u64) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let hash = tag.as_ref();
    // RFC 4226, 5.3: four bytes from where the last half byte says.
    let at = usize::from(hash[hash.len() - 1] & 0x0F);
    let number = u32::from_be_bytes([hash[at] & 0x7F, hash[at + 1], hash[at + 2], hash[at + 3]]);
    format!("{:06}", number % 1_000_000)
}

fn same(one: &str, other: &str) -> bool {
    let difference = one.bytes().zip(other.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
    one.len() == other.len() && std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_those_of_the_rfc() {
        // RFC 6238, appendix B, SHA-1; of the 8 digits given there the last 6.
        let vectors = [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ];
        for (seconds, expected) in vectors {
            assert_eq!(password(b"12345678901234567890", seconds / 30), expected, "{seconds}");
        }
    }

    #[test]
    fn a_clock_may_be_a_step_off_and_no_more() {
        let secret = secret().expect("randomness");
        let raw = BASE32_NOPAD.decode(secret.as_bytes()).expect("base 32");
        let at = |step: u64| Timestamp(step * STEP_MS + 5_000);
        let typed = password(&raw, 1_000);
        for step in 999..=1_001 {
            assert_eq!(step_of(&secret, &typed, at(step)), Some(1_000));
        }
        assert_eq!(step_of(&secret, &format!(" {} {}", &typed[..3], &typed[3..]), at(1_000)), Some(1_000));
        for wrong in ["", "12345", "1234567", "abcdef", "１２３４５６"] {
            assert_eq!(step_of(&secret, wrong, at(1_000)), None, "{wrong}");
        }
    }

    #[test]
    fn a_uri_names_who_and_where() {
        let uri = uri("ABCD", "St. Elsewhere", "ito");
        assert!(uri.starts_with("otpauth://totp/St.%20Elsewhere:ito?secret=ABCD&issuer=St.%20Elsewhere"), "{uri}");
    }
}
