//! By what a reused request number is found out.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A keyed hash of what a request asks for, taken before sealing: a retry seals anew, with another salt, and is still
/// the same request. `content` says which call it is and has the request's bytes without its number; ids that the node
/// mints must not be in it.
///
/// Shape: the first 16 bytes of HMAC-SHA256 under the cluster's request key.
#[must_use]
pub fn request_hash(key: &[u8; 32], content: &[u8]) -> [u8; 16] {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of 32 bytes");
    mac.update(content);
    let full: [u8; 32] = mac.finalize().into_bytes().into();
    let mut hash = [0; 16];
    hash.copy_from_slice(&full[..16]);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_content_or_another_key_has_another_hash() {
        let hash = request_hash(&[1; 32], b"send hello");
        assert_eq!(hash, request_hash(&[1; 32], b"send hello"));
        assert_ne!(hash, request_hash(&[1; 32], b"send hullo"));
        assert_ne!(hash, request_hash(&[2; 32], b"send hello"));
    }
}
