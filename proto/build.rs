//! Generates the gRPC code from proto/, without protoc.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let mut client = Vec::new();
    for file in std::fs::read_dir("proto/tricord/v1")? {
        client.push(format!("tricord/v1/{}", file?.file_name().display()));
    }
    client.sort();
    let mut files = client.clone();
    files.push("tricord/local/v1/local.proto".into());
    files.push("tricord/local/v1/backup.proto".into());
    files.push("tricord/local/v1/upgrade.proto".into());
    files.push("tricord/local/v1/certificate.proto".into());
    files.push("tricord/local/v1/reload.proto".into());
    files.push("tricord/peer/v1/peer.proto".into());
    files.push("tricord/peer/v1/place.proto".into());
    files.push("tricord/local/v1/place.proto".into());
    let descriptors = protox::compile(&files, ["proto"])?;
    std::fs::write(out.join("descriptors.bin"), prost::Message::encode_to_vec(&descriptors))?;
    // Clients' requests are decoded strictly, and need the names of their types for it.
    let mut named = tonic_prost_build::Config::new();
    named.enable_type_names();
    let clients = protox::compile(&client, ["proto"])?;
    tonic_prost_build::configure().codec_path("crate::strict::StrictCodec").compile_fds_with_config(clients, named)?;
    // What nodes speak: a node of the next release may say more than this one knows. Payload bytes travel as `Bytes`, so
    // that what arrives in one piece is not copied again.
    let nodes = out.join("nodes");
    std::fs::create_dir_all(&nodes)?;
    tonic_prost_build::configure()
        .out_dir(nodes)
        .extern_path(".tricord.v1", "crate::v1")
        .bytes(".tricord.peer.v1")
        .compile_fds(descriptors)?;
    Ok(())
}
