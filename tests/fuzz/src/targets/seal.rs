//! What is sealed, and the files and messages about keys. Nothing opens that was changed.

use seal::join::{Code, Side, meet};
use seal::{ClusterKey, NodeKey, Protected, PublicKey, Secret, reveal, revealed};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::target::Target;

pub fn all() -> Vec<Target> {
    vec![
        Target::new("payload", payload, payloads),
        Target::new("node-key", node_key, node_keys),
        Target::new("key-envelope", key_envelope, || vec![vec![4; 80]]),
        Target::new("join-message", join_message, || {
            vec![[vec![0x42], vec![9; 32]].concat(), vec![0x41; 33], vec![7; 60]]
        }),
        Target::new("join-code", join_code, || {
            vec![b"ABCD-EFGH".to_vec(), b"oil0 abcd".to_vec(), "04".repeat(32).into()]
        }),
    ]
}

/// A payload that was given away, under its own commitment.
fn payload(bytes: &[u8]) {
    let salt = bytes.get(2..18).unwrap_or_default();
    let commitment =
        Sha256::new().chain_update(b"tricord/message/v1").chain_update(salt).chain_update(bytes).finalize();
    if let Ok(payload) = revealed(bytes, &commitment.into()) {
        assert!(reveal(&payload) == bytes, "a payload has two spellings");
    }
}

fn payloads() -> Vec<Vec<u8>> {
    let of = |text: &str| {
        let mut bytes = vec![0x0A, 16];
        bytes.extend_from_slice(&[5; 16]);
        bytes.push(0x12);
        prost::encoding::encode_varint(text.len() as u64, &mut bytes);
        bytes.extend_from_slice(text.as_bytes());
        bytes
    };
    vec![of("K 5.9, please call"), of(""), of(&"ä".repeat(100))]
}

/// A protected key pair. Passphrases are left out: they take as long as they should.
fn node_key(bytes: &[u8]) {
    if let Ok(read) = Protected::from_bytes(bytes.to_vec()) {
        assert!(read.as_bytes() == bytes);
        let _ = read.needs_passphrase();
        assert!(read.open(&Secret::Key(Zeroizing::new(vec![1; 32]))).is_err(), "a key opens that nobody sealed");
    }
}

fn node_keys() -> Vec<Vec<u8>> {
    let of = |kind: u8| [b"TNK1".as_slice(), &[kind], &[0, 1, 0, 0, 0, 0, 0, 3], &[5; 16], &[6; 32], &[7; 72]].concat();
    vec![of(1), of(2)]
}

fn key_envelope(bytes: &[u8]) {
    let own = NodeKey::from_private(&[3; 32]);
    assert!(ClusterKey::open(1, &[0; 32], bytes, &own).is_err(), "a cluster key opens that nobody sealed");
    assert!(seal::BackupKey::open(bytes, b"context", &own).is_err(), "a backup's key opens that nobody sealed");
}

/// What a machine that joins says first, and what it says then.
fn join_message(bytes: &[u8]) {
    let Some(code) = Code::parse("ABCD-EFGH") else { return };
    let side = if bytes.len().is_multiple_of(2) { Side::Offering } else { Side::Joining };
    if let Ok((meeting, _)) = meet(&code, side)
        && let Ok(mut channel) = meeting.finish(bytes)
    {
        assert!(channel.open(bytes).is_err(), "a message opens that nobody sealed");
    }
}

fn join_code(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(code) = Code::parse(text) {
        let again = Code::parse(&code.to_string()).map(|code| code.to_string());
        assert_eq!(again, Some(code.to_string()), "a code does not read back");
    }
    if let Ok(key) = text.parse::<PublicKey>() {
        assert_eq!(key.to_string(), text, "a public key has two spellings");
    }
}
