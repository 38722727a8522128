use std::os::unix::fs::PermissionsExt;

use rcgen::{BasicConstraints, GeneralSubtree, IsCa, NameConstraints};

use super::*;

const PEER: &str = "b.000102030405060708090a0b0c0d0e0f.peer.tricord";
const HOST: &str = "b.example";

struct Machine {
    dir: tempfile::TempDir,
    files: TlsFiles,
    pair: NodeKey,
}

fn ca(names: &[&str], path_length: u8) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.distinguished_name.push(DnType::CommonName, format!("authority of {names:?}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path_length));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.not_before = (SystemTime::now() - Duration::from_secs(DAY_S)).into();
    params.not_after = (SystemTime::now() + Duration::from_secs(4_000 * DAY_S)).into();
    if !names.is_empty() {
        let permitted_subtrees = names.iter().map(|name| GeneralSubtree::DnsName((*name).to_owned())).collect();
        params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
    }
    params
}

/// What a founding gives one node, its certificates good for so many days; its renewal certificate for these names.
fn machine(days: i64, names: &[&str]) -> Machine {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let files = TlsFiles {
        ca: at("ca.crt"),
        peer_cert: at("peer.crt"),
        peer_key: at("peer.key"),
        client_cert: at("client.crt"),
        client_key: at("client.key"),
    };
    let root_key = KeyPair::generate().expect("a key");
    let root = ca(&[], 1);
    fs::write(&files.ca, root.self_signed(&root_key).expect("signed").pem()).expect("written");
    let root = Issuer::new(root, root_key);
    let renewal_key = KeyPair::generate().expect("a key");
    let renewal = ca(names, 0).signed_by(&renewal_key, &root).expect("signed");
    fs::write(at("renewal.crt"), renewal.pem()).expect("written");
    fs::write(at("renewal.key"), renewal_key.serialize_pem()).expect("written");
    for (name, cert, key, among_nodes) in
        [(PEER, &files.peer_cert, &files.peer_key, true), (HOST, &files.client_cert, &files.client_key, false)]
    {
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        if among_nodes {
            params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
        }
        params.not_before = (SystemTime::now() - Duration::from_secs(100 * DAY_S)).into();
        let ends = SystemTime::now() + Duration::from_secs(1_000 * DAY_S);
        params.not_after = (ends - Duration::from_secs(u64::try_from(1_000 - days).expect("less") * DAY_S)).into();
        let own = KeyPair::generate().expect("a key");
        fs::write(cert, params.signed_by(&own, &root).expect("signed").pem()).expect("written");
        fs::write(key, own.serialize_pem()).expect("written");
    }
    Machine { dir, files, pair: NodeKey::generate().expect("a pair") }
}

impl Machine {
    fn data(&self) -> PathBuf {
        let data = self.dir.path().join("data");
        fs::create_dir_all(data.join("keys")).expect("made");
        data
    }

    fn open(&self) -> Renewal {
        Renewal::open(&self.files, &self.data(), &self.pair).expect("opened").expect("there is one")
    }
}

#[test]
fn what_is_about_to_expire_is_renewed_for_the_same_names_and_what_is_not_stays() {
    let machine = machine(5, &[PEER, HOST]);
    let renewal = machine.open();
    let before = fs::read(&machine.files.peer_cert).expect("read");
    assert!(renewal.look(&machine.files, |_| false).expect("renewed"));
    assert_ne!(fs::read(&machine.files.peer_cert).expect("read"), before);
    for (path, name) in [(&machine.files.peer_cert, PEER), (&machine.files.client_cert, HOST)] {
        let shown = Shown::read(path).expect("a certificate");
        assert_eq!(shown.names, [name]);
        assert_eq!(shown.among_nodes, name == PEER);
        let days = (shown.ends - seconds(SystemTime::now())) / DAY_S as i64;
        assert!((119..=120).contains(&days), "{days}");
    }
    raft::PeerTls::load(
        &fs::read(&machine.files.ca).expect("read"),
        &fs::read(&machine.files.peer_cert).expect("read"),
        &fs::read(&machine.files.peer_key).expect("read"),
    )
    .expect("the peer port takes it");
    let mode = fs::metadata(&machine.files.peer_key).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!renewal.look(&machine.files, |_| false).expect("looked"), "not again");
    assert!(renewal.look(&machine.files, |_| true).expect("renewed"), "unless it is revoked");
}

#[test]
fn what_has_expired_is_renewed_too_and_with_it_what_was_renewed_before() {
    let machine = machine(-3, &[PEER, HOST]);
    let renewal = machine.open();
    for _ in 0..2 {
        renewal.renew(&machine.files).expect("renewed");
    }
    assert!(renewal.due(&machine.files.peer_cert).expect("own") > seconds(SystemTime::now()));
}

#[test]
fn the_key_lies_in_the_data_directory_sealed_and_nowhere_else() {
    let machine = machine(5, &[PEER, HOST]);
    let given = machine.dir.path().join("renewal.key");
    let key = fs::read(&given).expect("read");
    drop(machine.open());
    assert!(!given.exists());
    let kept = fs::read(machine.data().join("keys/renewal")).expect("kept");
    let middle = &key[40..72];
    assert!(!kept.windows(32).any(|bytes| bytes == middle), "it cannot be read there");
    machine.open().renew(&machine.files).expect("it opens with the node's pair");
    let other = NodeKey::generate().expect("a pair");
    let error = Renewal::open(&machine.files, &machine.data(), &other).err().expect("another pair").to_string();
    assert!(error.contains("put the key there again"), "{error}");
}

#[test]
fn a_renewal_certificate_of_other_names_gives_nothing_and_the_old_pair_stays() {
    let machine = machine(5, &["a.000102030405060708090a0b0c0d0e0f.peer.tricord", HOST]);
    let renewal = machine.open();
    let before = fs::read(&machine.files.peer_cert).expect("read");
    let error = renewal.look(&machine.files, |_| false).expect_err("refused").to_string();
    assert!(error.contains("would not be accepted"), "{error}");
    assert_eq!(fs::read(&machine.files.peer_cert).expect("read"), before);
    assert!(!next(&machine.files.peer_cert).exists() && !next(&machine.files.peer_key).exists());
    assert!(renewal.failure().is_some());
    assert!(!renewal.look(&machine.files, |_| false).expect("it waits before it tries again"));
    assert!(renewal.failure().is_some(), "that nothing was tried mends nothing");
    let fresh = self::machine(900, &[PEER, HOST]);
    for (from, to) in [
        (&fresh.files.ca, &machine.files.ca),
        (&fresh.files.peer_cert, &machine.files.peer_cert),
        (&fresh.files.peer_key, &machine.files.peer_key),
        (&fresh.files.client_cert, &machine.files.client_cert),
        (&fresh.files.client_key, &machine.files.client_key),
    ] {
        fs::copy(from, to).expect("copied");
    }
    assert!(!renewal.look(&machine.files, |_| false).expect("nothing is due"));
    assert_eq!(renewal.failure(), None, "it was mended by hand");
}

#[test]
fn an_interrupted_replacement_leaves_one_pair_that_fits() {
    for step in 0..3 {
        let machine = machine(5, &[PEER, HOST]);
        let renewal = machine.open();
        let (cert, key) = (&machine.files.peer_cert, &machine.files.peer_key);
        let (new_cert, new_key) = renewal.issue(&Shown::read(cert).expect("a certificate")).expect("issued");
        fs::write(next(cert), new_cert).expect("written");
        if step > 0 {
            fs::write(next(key), new_key.as_bytes()).expect("written");
        }
        if step > 1 {
            fs::rename(next(key), key).expect("renamed");
        }
        settle(&machine.files).expect("settled");
        tls::server_config(cert, key, &[], None).expect("they fit");
        assert!(!next(cert).exists() && !next(key).exists(), "step {step}");
    }
}

#[test]
fn a_certificate_of_another_authority_is_left_to_whoever_issued_it() {
    let machine = machine(5, &[PEER, HOST]);
    let foreign = self::machine(10, &[PEER, HOST]);
    fs::copy(&foreign.files.client_cert, &machine.files.client_cert).expect("copied");
    fs::copy(&foreign.files.client_key, &machine.files.client_key).expect("copied");
    let mut params = CertificateParams::new(vec![HOST.to_owned()]).expect("a name");
    params.distinguished_name.push(DnType::CommonName, "the hospital");
    let key = KeyPair::generate().expect("a key");
    fs::write(&machine.files.client_cert, params.self_signed(&key).expect("signed").pem()).expect("written");
    let renewal = machine.open();
    assert!(renewal.due(&machine.files.client_cert).is_none() && renewal.due(&machine.files.peer_cert).is_some());
    assert!(renewal.look(&machine.files, |_| false).expect("the other one is renewed"));
    assert_eq!(Shown::read(&machine.files.client_cert).expect("a certificate").names, [HOST]);
}

#[test]
fn two_renewals_at_once_leave_pairs_that_fit() {
    let machine = machine(5, &[PEER, HOST]);
    let renewal = machine.open();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..5).for_each(|_| renewal.renew(&machine.files).expect("renewed")));
        }
    });
    for (cert, key) in pairs(&machine.files) {
        tls::server_config(cert, key, &[], None).expect("they fit");
    }
}

#[test]
fn a_revoked_renewal_certificate_is_said_and_nothing_is_issued_with_it() {
    use std::collections::BTreeSet;

    use crate::certificates::Certificates;
    use crate::revocation::Revocations;

    let machine = machine(5, &[PEER, HOST]);
    let renewal = machine.open();
    let serial = renewal.serial().expect("a serial number");
    let certificates = Certificates::load(&machine.files).expect("good").renewed_by(Some(renewal));
    let revocations = Revocations::new(&prometheus::Registry::new()).expect("registered");
    assert!(certificates.in_use().iter().all(|one| one.failure.is_none()));
    revocations.replace(BTreeSet::from([serial]));
    let before = fs::read(&machine.files.peer_cert).expect("read");
    assert!(!certificates.look_at_renewal(&revocations));
    for one in certificates.in_use().iter().filter(|one| one.purpose != "authority") {
        assert_eq!(one.renews, None, "{}", one.purpose);
        assert!(
            one.failure.as_ref().is_some_and(|why| why.contains("is revoked") && why.contains("tricord pki issue"))
        );
    }
    let refused = certificates.renew().expect_err("others would not take it").to_string();
    assert!(refused.contains("is revoked"), "{refused}");
    assert_eq!(fs::read(&machine.files.peer_cert).expect("read"), before, "what is good still stays");
}
