//! The crates use each other as the map in node/ARCHITECTURE.md says: a new arrow is a decision, not an accident.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Each crate and what it may use.
const MAP: [(&str, &[&str]); 19] = [
    ("proto", &[]),
    ("types", &[]),
    ("state", &["types"]),
    ("record", &["types"]),
    ("seal", &["types"]),
    ("codec", &["types", "proto"]),
    ("store", &["state", "record", "codec", "types"]),
    ("backup", &["store", "state", "record", "seal", "codec", "types"]),
    ("raft", &["store", "state", "codec", "types", "proto"]),
    ("services", &["raft", "state", "seal", "record", "codec", "types", "proto"]),
    ("server", &["services", "raft", "backup", "store", "codec", "seal", "record", "state", "types", "proto"]),
    ("cli", &["proto", "types", "record", "seal"]),
    ("tests-checker", &[]),
    ("tests-cluster", &["proto", "types", "tests-checker"]),
    ("tests-compare", &["store", "record"]),
    ("tests-sim", &["services", "raft", "store", "state", "seal", "record", "types", "proto", "tests-checker"]),
    (
        "tests-fuzz",
        &["proto", "types", "record", "seal", "codec", "store", "backup", "raft", "services", "server", "cli"],
    ),
    ("benches", &["proto", "types", "tests-cluster"]),
    ("xtask", &[]),
];

#[test]
fn no_crate_uses_what_the_map_does_not_allow() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let map: BTreeMap<&str, BTreeSet<&str>> =
        MAP.iter().map(|(name, uses)| (*name, uses.iter().copied().collect())).collect();
    let mut found = BTreeSet::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let name = ours(&package["name"]).expect("every member is called tricord-…");
        let allowed = map.get(name).unwrap_or_else(|| panic!("{name} is not on the map"));
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let Some(used) = ours(&dependency["name"]) else { continue };
            // What only tests use makes no arrow, but for the crate itself and those below it all the same.
            let for_tests = dependency["kind"].as_str() == Some("dev");
            assert!(for_tests || allowed.contains(used), "{name} uses {used}, which the map does not allow");
        }
        found.insert(name);
    }
    assert_eq!(found, map.keys().copied().collect(), "the map names crates that are not there");
}

fn ours(name: &serde_json::Value) -> Option<&str> {
    name.as_str()?.strip_prefix("tricord-")
}
