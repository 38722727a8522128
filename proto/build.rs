//! Generates the gRPC code from proto/, without protoc.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let client = [
        "common",
        "session",
        "directory",
        "conversation",
        "message",
        "presence",
        "sync",
        "cluster",
        "security",
        "audit",
    ]
    .map(|name| format!("tricord/v1/{name}.proto"));
    let mut files: Vec<String> = client.to_vec();
    files.push("tricord/local/v1/local.proto".into());
    files.push("tricord/peer/v1/peer.proto".into());
    let descriptors = protox::compile(&files, ["proto"])?;
    std::fs::write(out.join("descriptors.bin"), prost::Message::encode_to_vec(&descriptors))?;
    // Payload bytes travel as `Bytes`, so that what arrives in one piece is not copied again.
    tonic_prost_build::configure().bytes(".tricord.peer.v1").compile_fds(descriptors)?;
    Ok(())
}
