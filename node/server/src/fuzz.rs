//! What reads files that people wrote or carried, as functions for `tests/fuzz`.

use std::path::Path;

use store::Identity;
use types::{ClusterId, Incarnation, Lineage, NodeId, Slot, Timestamp};

use crate::config::Config;
use crate::founding::Founding;
use crate::restored;

const CONFIG: &str = r#"cluster = "000102030405060708090a0b0c0d0e0f"
founding = "founding.toml"
node = { slot = "b", data = "data" }
peer = { listen = "127.0.0.1:7412" }
client = { listen = "127.0.0.1:7402" }
ops = { listen = "127.0.0.1:7422", downtime = "Call 4711" }
[tls]
ca = "tls/ca.crt"
peer_cert = "tls/peer.crt"
peer_key = "tls/peer.key"
client_cert = "tls/client.crt"
client_key = "tls/client.key"
[nodes]
a = { peer = "127.0.0.1:7411", client = "127.0.0.1:7401" }
b = { peer = "127.0.0.1:7412", client = "127.0.0.1:7402" }
c = { peer = "[::1]:7413", client = "tricord-c.example:7403" }
[log]
level = "info,raft=debug"
[password]
memory_kib = 19456
[keys]
protection = "passphrase"
passphrase_from = "fd:3"
[backup]
dir = "/mnt/backup"
every = "12h"
"#;

const FOUNDING: &str = r#"cluster = "000102030405060708090a0b0c0d0e0f"
lineage = "0f0e0d0c0b0a09080706050403020100"
name = "St. Elsewhere"
feature_level = 1
recovery_key = "0404040404040404040404040404040404040404040404040404040404040404"
[admin]
user = "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1"
login = "ana"
display_name = "Ana Perez"
enrolment_sha256 = "0505050505050505050505050505050505050505050505050505050505050505"
[[nodes]]
slot = "a"
peer = "127.0.0.1:7411"
client = "127.0.0.1:7401"
[[nodes]]
slot = "b"
peer = "127.0.0.1:7412"
client = "127.0.0.1:7402"
[[nodes]]
slot = "c"
peer = "127.0.0.1:7413"
client = "127.0.0.1:7403"
"#;

/// The daemon's configuration: what is taken is within what it may be.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(config) = Config::parse(text, Path::new("/etc/tricord/tricordd.toml")) {
        assert!(
            (8..=1024 * 1024).contains(&config.password_memory_kib) && (1..=64).contains(&config.password_iterations)
        );
        assert!(config.backup.every.as_secs() >= 300, "backups are made too often");
    }
}

/// One that says most of what can be said.
#[must_use]
pub fn config_samples() -> Vec<Vec<u8>> {
    vec![CONFIG.into()]
}

/// The founding document.
pub fn founding(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        drop(Founding::parse(text, Path::new("founding.toml")));
    }
}

/// One.
#[must_use]
pub fn founding_samples() -> Vec<Vec<u8>> {
    vec![FOUNDING.into()]
}

/// What a restored node begins with, and how a history begins as people carry it.
pub fn restored(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let own = Identity {
        cluster: ClusterId([1; 16]),
        lineage: Lineage([2; 16]),
        node: NodeId::new(Slot::A, Incarnation(1)),
        disk: [3; 16],
        created: Timestamp(7),
    };
    drop(restored::parse(text, &own));
    if let Some(beginning) = restored::parse_beginning(text) {
        assert_eq!(format!("{}-{}", beginning.lineage, beginning.at.0), text, "a beginning has two spellings");
    }
}

/// One of each.
#[must_use]
pub fn restored_samples() -> Vec<Vec<u8>> {
    let (hash, key) = ("03".repeat(32), "04".repeat(32));
    vec![
        format!("tricord-restored 1\nrecords 7\nroot {hash}\nbytes 70000\nenvelope 1 {key} {}\n", "05".repeat(80))
            .into(),
        format!("{}-1800000000000", Lineage([2; 16])).into(),
    ]
}
