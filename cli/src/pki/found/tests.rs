use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use clap::Parser;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::*;
use crate::args::{Cli, ClusterCommand, Command};

fn bundle() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("bundle");
    let cli = Cli::parse_from([
        "tricord",
        "--output",
        "json",
        "cluster",
        "init",
        "--name",
        "St \"Anne's\"",
        "--admin",
        "root.admin",
        "--admin-name",
        "Dr Åsa",
        "--node",
        "a=10.0.0.1:7400,node-a.example:7401",
        "--node",
        "b=127.0.0.1:7410,127.0.0.1:7411,127.0.0.1:7412",
        "--node",
        "c=[::1]:7420,[::1]:7421",
        "--client-name",
        "localhost",
        "--data",
        "data-{slot}",
        "--recovery-unconfirmed",
        "--out",
        out.to_str().unwrap(),
    ]);
    let Command::Cluster(ClusterCommand::Init(init)) = &cli.command else { panic!("parsed as something else") };
    let kit = Kit::make(init, cli.global.output).unwrap();
    check(init).unwrap();
    make(init, &parse_nodes(&cli.global.node).unwrap(), kit.public).unwrap();
    (dir, out)
}

fn cluster(out: &Path) -> ClusterId {
    let config: toml::Table = std::fs::read_to_string(out.join("a/tricordd.toml")).unwrap().parse().unwrap();
    config["cluster"].as_str().unwrap().parse().unwrap()
}

fn certificate(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).unwrap()
}

fn expiry(path: &Path) -> i64 {
    let der = certificate(path);
    X509Certificate::from_der(&der).unwrap().1.validity().not_after.timestamp()
}

#[test]
fn the_bundle_has_what_each_machine_needs_and_secrets_are_their_owners() {
    let (_dir, out) = bundle();
    for slot in ["a", "b", "c"] {
        for file in ["tricordd.toml", "founding.toml", "tls/ca.crt", "tls/peer.crt", "tls/client.crt"] {
            assert!(out.join(slot).join(file).exists(), "{slot}/{file}");
        }
        for key in
            [format!("{slot}/tls/peer.key"), format!("{slot}/tls/client.key"), format!("spares/{slot}/tls/peer.key")]
        {
            let mode = std::fs::metadata(out.join(&key)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{key}");
        }
    }
    assert_eq!(std::fs::metadata(out.join("ca/ca.key")).unwrap().permissions().mode() & 0o777, 0o600);
    let again = Cli::parse_from([
        "tricord",
        "cluster",
        "init",
        "--name",
        "x",
        "--admin",
        "root",
        "--node",
        "a=h:1,h:2",
        "--node",
        "b=h:3,i:4",
        "--node",
        "c=h:5,j:6",
        "--out",
        out.to_str().unwrap(),
    ]);
    let Command::Cluster(ClusterCommand::Init(init)) = &again.command else { panic!("parsed as something else") };
    assert!(
        matches!(
            check(init).and_then(|()| make(init, &parse_nodes(&again.global.node).unwrap(), seal::PublicKey([7; 32]))),
            Err(Error::Usage(_))
        ),
        "a second one does not replace the first"
    );
}

#[test]
fn a_spare_is_all_that_a_new_machine_needs_and_no_secret_of_the_old_one() {
    let (_dir, out) = bundle();
    for slot in ["a", "b", "c"] {
        let spare = out.join("spares").join(slot);
        let text = std::fs::read_to_string(spare.join("tricordd.toml")).unwrap();
        let config: toml::Table = text.parse().unwrap();
        assert_eq!(config["node"]["slot"].as_str(), Some(slot));
        assert!(config.get("founding").is_none(), "nothing is founded with it");
        for (key, path) in config["tls"].as_table().unwrap() {
            assert!(spare.join(path.as_str().unwrap()).exists(), "{key}");
        }
        assert!(["renewal.crt", "renewal.key"].iter().all(|name| spare.join("tls").join(name).exists()));
        let public = |dir: &Path| std::fs::read_to_string(dir.join("audit.pub")).unwrap();
        assert_eq!(public(&spare), public(&out));
        let mut node: toml::Table =
            std::fs::read_to_string(out.join(slot).join("tricordd.toml")).unwrap().parse().unwrap();
        node.remove("founding");
        assert_eq!(config, node, "the node's own, but for that");
        assert!(["audit.key", "founding.toml", "node.secret"].iter().all(|name| !spare.join(name).exists()));
        let renewal = |dir: &Path| std::fs::read(dir.join("tls/renewal.crt")).unwrap();
        assert_ne!(renewal(&spare), renewal(&out.join(slot)), "a replacement revokes the node's, and not the spare's");
    }
}

#[test]
fn the_documents_say_what_the_daemon_reads() {
    let (_dir, out) = bundle();
    let founding: toml::Table = std::fs::read_to_string(out.join("b/founding.toml")).unwrap().parse().unwrap();
    assert_eq!(founding["name"].as_str(), Some("St \"Anne's\""));
    assert_eq!(founding["feature_level"].as_integer(), Some(i64::from(types::features::KNOWN)));
    assert!(founding.get("request_key").is_none(), "no key lies in it");
    assert_eq!(founding["admin"]["enrolment_sha256"].as_str().unwrap().len(), 64);
    assert_eq!(founding["admin"]["display_name"].as_str(), Some("Dr Åsa"));
    assert_eq!(founding["nodes"][2]["peer"].as_str(), Some("[::1]:7420"));
    assert_eq!(
        std::fs::read(out.join("a/founding.toml")).unwrap(),
        std::fs::read(out.join("c/founding.toml")).unwrap()
    );
    let config: toml::Table = std::fs::read_to_string(out.join("a/tricordd.toml")).unwrap().parse().unwrap();
    assert_eq!(config["node"]["data"].as_str(), Some("data-a"));
    assert_eq!(config["peer"]["listen"].as_str(), Some("10.0.0.1:7400"));
    assert_eq!(config["client"]["listen"].as_str(), Some("0.0.0.0:7401"), "a name is not an address to listen on");
    assert_eq!(config["nodes"]["b"]["client"].as_str(), Some("127.0.0.1:7411"));
    for section in ["peer", "client", "ops"] {
        let listen = config[section]["listen"].as_str().unwrap();
        assert!(listen.parse::<std::net::SocketAddr>().is_ok(), "{listen}");
    }
}

#[test]
fn peer_certificates_name_cluster_and_slot_and_expire_one_after_the_other() {
    let (_dir, out) = bundle();
    let cluster = cluster(&out);
    for slot in Slot::ALL {
        let der = certificate(&out.join(slot.letter()).join("tls/peer.crt"));
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        let names = certificate.subject_alternative_name().unwrap().unwrap();
        let [GeneralName::DNSName(name)] = names.value.general_names.as_slice() else { panic!("one DNS name") };
        assert_eq!(*name, format!("{slot}.{cluster}.peer.tricord"));
        let usage = certificate.extended_key_usage().unwrap().unwrap();
        assert!(usage.value.server_auth && usage.value.client_auth);
        assert!(!certificate.is_ca());
    }
    let days: Vec<i64> = ["a", "b", "c"].iter().map(|slot| expiry(&out.join(slot).join("tls/peer.crt"))).collect();
    assert!(days[0] < days[1] && days[1] < days[2], "{days:?}");
    assert!(expiry(&out.join("spares/a/tls/peer.crt")) > days[0]);
}

fn roots(out: &Path) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(&out.join("ca/ca.crt"))).unwrap();
    Arc::new(roots)
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// A handshake in memory, with client certificates if `mutual`.
fn handshake(out: &Path, server: &str, name: &str, client: Option<&str>) -> Result<(), rustls::Error> {
    let key = |path: &str| PrivateKeyDer::from_pem_file(out.join(format!("{path}.key"))).unwrap();
    let chain = |path: &str| vec![certificate(&out.join(format!("{path}.crt")))];
    let builder =
        ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&rustls::version::TLS13]).unwrap();
    let builder = if client.is_some() {
        builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(roots(out), provider()).build().unwrap(),
        )
    } else {
        builder.with_no_client_auth()
    };
    let config = builder.with_single_cert(chain(server), key(server)).unwrap();
    let mut server = ServerConnection::new(Arc::new(config)).unwrap();
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots(out));
    let config = match client {
        Some(client) => builder.with_client_auth_cert(chain(client), key(client)).unwrap(),
        None => builder.with_no_client_auth(),
    };
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    for _ in 0..10 {
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        server.read_tls(&mut bytes.as_slice()).unwrap();
        server.process_new_packets()?;
        let mut bytes = Vec::new();
        server.write_tls(&mut bytes).unwrap();
        client.read_tls(&mut bytes.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok(())
}

#[test]
fn nodes_shake_hands_and_a_wrong_slot_is_refused() {
    let (_dir, out) = bundle();
    let cluster = cluster(&out);
    let name = |slot: &str| format!("{slot}.{cluster}.peer.tricord");
    handshake(&out, "a/tls/peer", &name("a"), Some("b/tls/peer")).unwrap();
    handshake(&out, "spares/a/tls/peer", &name("a"), Some("b/tls/peer")).unwrap();
    assert!(handshake(&out, "c/tls/peer", &name("a"), Some("b/tls/peer")).is_err(), "c cannot pass for a");
    assert!(
        handshake(&out, "a/tls/peer", &name("a"), Some("b/tls/client")).is_err(),
        "a client port's is none of a peer"
    );
}

#[test]
fn clients_trust_the_client_port_at_its_names_only() {
    let (_dir, out) = bundle();
    handshake(&out, "a/tls/client", "node-a.example", None).unwrap();
    handshake(&out, "a/tls/client", "localhost", None).unwrap();
    handshake(&out, "b/tls/client", "127.0.0.1", None).unwrap();
    handshake(&out, "c/tls/client", "::1", None).unwrap();
    assert!(handshake(&out, "b/tls/client", "node-a.example", None).is_err());
    let (_other_dir, other) = bundle();
    std::fs::copy(other.join("ca/ca.crt"), out.join("ca/ca.crt")).unwrap();
    assert!(handshake(&out, "b/tls/client", "127.0.0.1", None).is_err(), "another authority");
}

#[test]
fn a_later_certificate_comes_from_the_same_authority() {
    let (_dir, out) = bundle();
    let authority = Authority::read(&out.join("ca")).unwrap();
    std::fs::remove_dir_all(out.join("b/tls")).unwrap();
    files::private_dir(&out.join("b/tls")).unwrap();
    authority.peer(cluster(&out), Slot::B, 10).unwrap().write(&out.join("b/tls"), "peer").unwrap();
    let name = format!("b.{}.peer.tricord", cluster(&out));
    handshake(&out, "b/tls/peer", &name, Some("a/tls/peer")).unwrap();
}

#[test]
fn nodes_are_three_with_ports_each_once() {
    let parse = |texts: &[&str]| parse_nodes(&texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>());
    assert!(parse(&["a=h:1,h:2", "b=i:1,i:2", "c=j:1,j:2"]).is_ok());
    for wrong in [
        &["a=h:1,h:2", "b=i:1,i:2"][..],
        &["a=h:1,h:2", "a=i:1,i:2", "c=j:1,j:2"],
        &["a=h:1,h:1", "b=i:1,i:2", "c=j:1,j:2"],
        &["d=h:1,h:2", "b=i:1,i:2", "c=j:1,j:2"],
        &["a=h,h:2", "b=i:1,i:2", "c=j:1,j:2"],
        &["a=::1:1,h:2", "b=i:1,i:2", "c=j:1,j:2"],
        &["a=h:0,h:2", "b=i:1,i:2", "c=j:1,j:2"],
        &["a=h h:1,h:2", "b=i:1,i:2", "c=j:1,j:2"],
    ] {
        assert_eq!(parse(wrong).unwrap_err().exit(), 2, "{wrong:?}");
    }
}

#[test]
fn the_administrators_code_is_what_the_server_will_hash() {
    let founding = Founding::draw(seal::PublicKey([7; 32])).unwrap();
    assert_eq!(founding.code.len(), 19);
    let plain = founding.code.replace('-', "");
    let hash: [u8; 32] = Sha256::digest(plain.as_bytes()).into();
    assert_eq!(hash, founding.code_hash);
}
