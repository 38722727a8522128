//! What people write lies sealed: unique texts are searched for in every byte of every file of every node.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::{Client, Cluster, FAILING, Options, Person, Result, SLOTS, create_group, enrol_all, reason, tricord};
use hmac::{Hmac, KeyInit, Mac};
use prost::Message;
use proto::v1::key_service_client::KeyServiceClient;
use proto::v1::message_service_client::MessageServiceClient;
use proto::v1::presence_service_client::PresenceServiceClient;
use proto::v1::session_service_client::SessionServiceClient;
use proto::v1::{
    Key, KeyKind, KeyState, ListKeysRequest, ListMessagesRequest, OutgoingMessage, PresenceState,
    RotateClusterKeyRequest, SendMessageRequest, SetPresenceRequest, SignInRequest, UserKind,
};
use sha2::Sha256;
use tokio::time::sleep;

/// Texts that are sealed; random letters and digits, so that no compression hides them.
const MESSAGE: &str = "canary-message-q7Zr1KfW9xLd3";
const TITLE: &str = "canary-title-Vb5Jt8NcYs2Gm";
const STATUS: &str = "canary-status-Hx4Pw6RzTk0Qe";
const PATIENT: &str = "canary-patient-Uj3Ld9MvBa7Sf";
const SEALED: [&str; 4] = [MESSAGE, TITLE, STATUS, PATIENT];
/// A name of staff, which is not: by it the search shows that it would find the others.
const STAFF: &str = "canary-staff-Ng2Xc5WoEi8Ry";
/// From where someone signs in, which is sealed too.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 66, 77, 88);
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn no_text_lies_in_any_file_and_all_are_read_after_the_cluster_key_was_replaced() -> Result<()> {
    let mut cluster = Cluster::found(Options::default()).await?;
    let (nurse, ward) = write_all(&cluster).await?;

    rotate(cluster.admin()).await?;
    for (node, slot) in SLOTS.iter().enumerate() {
        let request = ListMessagesRequest { parent: ward.clone(), page_size: 500, ..ListMessagesRequest::default() };
        let page = MessageServiceClient::new(nurse.wire_to(node)?).list_messages(request).await;
        let page = page.map_err(|status| format!("list at {slot}: {} {}", reason(&status), status.message()))?;
        let texts: Vec<String> = page.into_inner().messages.into_iter().map(|message| message.text).collect();
        let expected: Vec<String> = (0..20).map(|round| format!("{MESSAGE} {round}")).collect();
        assert_eq!(texts, expected, "at {slot}");
    }
    send(&nurse, &ward, MESSAGE).await?;

    let target = back_up_and_verify(&cluster)?;
    cluster.check_logs(&[])?;
    for node in 0..3 {
        // Stopping makes the state durable: what was only in memory and in the log is in the state's files too.
        assert!(cluster.node(node).stop(PATIENCE)?.success());
    }
    for slot in SLOTS {
        let files = files_of(cluster.dir(), slot)?;
        assert!(!lies_in(&files, end_of(STAFF)).is_empty(), "the search finds nothing at all at {slot}");
        for canary in SEALED {
            let found = lies_in(&files, end_of(canary));
            assert!(found.is_empty(), "{canary} lies in {found:?}");
        }
        for spelling in spellings(ADDRESS) {
            let found = lies_in(&files, &spelling);
            assert!(found.is_empty(), "the address {spelling:?} lies in {found:?}");
        }
    }
    let guessed = guesses_confirmed(&files_of(cluster.dir(), SLOTS[0])?, &ward);
    assert_eq!(guessed, 0, "whoever has the disk can test what a message says");
    // A backup is sealed as a whole: not even what lies in the clear on a node's disk can be read there.
    let files = files_below(&target)?;
    assert!(files.len() > 8, "there are files: {}", files.len());
    for canary in [MESSAGE, TITLE, STATUS, PATIENT, STAFF, "canary", "admin"] {
        let found = lies_in(&files, end_of(canary));
        assert!(found.is_empty(), "{canary} lies in {found:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_search_finds_each_text_and_the_address_where_sealing_is_off() -> Result<()> {
    let mut cluster = Cluster::found(Options::default()).await?;
    for node in 0..3 {
        let node = cluster.node(node);
        assert!(node.stop(PATIENCE)?.success());
        node.program = FAILING;
        node.environment.push(("TRICORD_UNSEALED".into(), "1".into()));
        node.start()?;
    }
    cluster.wait_until_well().await?;
    write_all(&cluster).await?;
    for node in 0..3 {
        assert!(cluster.node(node).stop(PATIENCE)?.success());
    }
    let mut in_state = 0;
    for slot in SLOTS {
        let files = files_of(cluster.dir(), slot)?;
        let texts = SEALED.map(|canary| (canary, lies_in(&files, end_of(canary))));
        let address = spellings(ADDRESS).map(|spelling| lies_in(&files, &spelling)).concat();
        for (what, found) in texts.into_iter().chain([("the address", address)]) {
            assert!(found.iter().any(|file| file.contains("/log/")), "{what} is not in the log of {slot}: {found:?}");
            in_state += found.iter().filter(|file| file.contains("/state-")).count();
        }
    }
    // Of all of them some: what compactions have packed with Zstd no search of bytes finds.
    assert!(in_state > 0, "nothing was found in any state");
    Ok(())
}

/// Writes one text of each kind, and signs in from the address, well and not.
async fn write_all(cluster: &Cluster) -> Result<(Arc<Client>, String)> {
    let people = [Person::new("nurse", STAFF), Person { kind: UserKind::Patient, ..Person::new("p-4711", PATIENT) }];
    let mut clients = enrol_all(cluster.links(), cluster.admin(), &people, || {}).await?;
    let patient = clients.pop().ok_or("a patient")?;
    let nurse = clients.pop().ok_or("a nurse")?;
    let ward = create_group(&nurse, TITLE, &[patient.user().to_owned()]).await?;
    for round in 0..20 {
        nurse.move_to(round % 3);
        send(&nurse, &ward, &format!("{MESSAGE} {round}")).await?;
    }
    set_status(&nurse, STATUS).await?;

    for password in ["password of nurse", "something else"] {
        let from = cluster.links().endpoint(0)?.local_address(Some(ADDRESS.into())).connect().await?;
        let request = SignInRequest { login: "nurse".into(), password: password.into(), ..SignInRequest::default() };
        let answer = SessionServiceClient::new(from).sign_in(request).await;
        assert_eq!(answer.is_ok(), password.starts_with("password"), "{answer:?}");
    }
    Ok((nurse, ward))
}

/// What is searched for of a text: its last word. Compression (LZ4) leaves what comes for the first time as it is, and refers
/// back for what came before, as the beginnings of these texts did.
fn end_of(canary: &str) -> &[u8] {
    canary.rsplit('-').next().unwrap_or(canary).as_bytes()
}

/// An address as text and in hexadecimal digits, which is how it is sealed, both but for the beginning that others have too; and
/// as the bytes it has as one of IPv6, the last of them.
fn spellings(address: Ipv4Addr) -> [Vec<u8>; 3] {
    let [_, ends @ ..] = address.octets();
    let text = ends.map(|byte| byte.to_string()).join(".");
    let digits = ends.map(|byte| format!("{byte:02x}")).concat();
    [text.into_bytes(), digits.into_bytes(), address.to_ipv6_mapped().octets()[10..].to_vec()]
}

/// Makes a backup of everything and verifies it with the recovery kit; where it is.
fn back_up_and_verify(cluster: &Cluster) -> Result<PathBuf> {
    let target = cluster.dir().join("target");
    std::fs::create_dir(&target)?;
    let made = tricord(cluster, 0, &["backup", "create", "--init", "--dir", &target.to_string_lossy()], "")?;
    let name = made.trim();
    assert!(name.ends_with("-a1"), "{made}");
    let shares = cluster.recovery_shares()[1..].join("\n");
    let founding = cluster.dir().join("audit.pub");
    let verified = tricord(
        cluster,
        0,
        &["backup", "verify", "--kit", "--dir", &target.to_string_lossy(), "--founding", &founding.to_string_lossy()],
        &shares,
    )?;
    assert!(verified.starts_with(&format!("GOOD. {name}")), "{verified}");
    assert!(verified.contains("founding keys vouch") && !verified.contains("NOT SHOWN"), "{verified}");
    Ok(target)
}

/// How often something on a disk confirms a guess at what was sent: a keyed hash of the request under any 32 bytes that
/// lie there as a field, or as hexadecimal digits.
fn guesses_confirmed(files: &[(String, Vec<u8>)], conversation: &str) -> usize {
    let message = OutgoingMessage { conversation: conversation.into(), text: MESSAGE.into(), ..Default::default() };
    let guess = [b"SendMessage\0".as_slice(), &message.encode_to_vec()].concat();
    let mut keys: HashSet<[u8; 32]> = HashSet::new();
    for (_, bytes) in files {
        let fields = bytes.windows(33).filter(|window| window[0] == 32);
        keys.extend(fields.filter_map(|window| window[1..].first_chunk().copied()));
        let digits = bytes.split(|byte| !byte.is_ascii_hexdigit()).filter(|digits| digits.len() == 64);
        keys.extend(digits.filter_map(|digits| {
            let text = std::str::from_utf8(digits).ok()?;
            let byte = |at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok();
            <[u8; 32]>::try_from((0..32).map(byte).collect::<Option<Vec<u8>>>()?).ok()
        }));
    }
    let hash = |key: &[u8; 32]| -> [u8; 16] {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
        mac.update(&guess);
        *mac.finalize().into_bytes().first_chunk().expect("32 bytes")
    };
    let hashes: HashSet<[u8; 16]> = keys.iter().map(hash).collect();
    assert!(keys.len() > 3, "the disk holds keys of some kind: {}", keys.len());
    let fields = files.iter().flat_map(|(_, bytes)| bytes.windows(17).filter(|window| window[0] == 16));
    fields.filter(|window| window[1..].first_chunk().is_some_and(|hash| hashes.contains(hash))).count()
}

/// Replaces the cluster key and waits until the one before is removed.
async fn rotate(admin: &Client) -> Result<()> {
    let before = cluster_keys(admin).await?;
    assert_eq!(before.len(), 1);
    let call = admin.write(|wire, id| {
        let request = RotateClusterKeyRequest { request_id: Some(id) };
        async move { KeyServiceClient::new(wire).rotate_cluster_key(request).await }
    });
    call.await.map_err(|status| format!("rotate: {} {}", reason(&status), status.message()))?;
    let began = Instant::now();
    loop {
        let keys = cluster_keys(admin).await?;
        if let [new, old] = keys.as_slice()
            && old.state() == KeyState::Retired
        {
            assert_eq!((new.id.as_str(), new.state(), old.data_keys), ("2", KeyState::Active, 0));
            assert_eq!(new.data_keys, before[0].data_keys, "all of them, and none twice");
            return Ok(());
        }
        assert!(began.elapsed() < PATIENCE, "not retired: {keys:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

async fn cluster_keys(admin: &Client) -> Result<Vec<Key>> {
    let answer = admin
        .read(|wire| async move { KeyServiceClient::new(wire).list_keys(ListKeysRequest::default()).await })
        .await
        .map_err(|status| format!("list the keys: {} {}", reason(&status), status.message()))?;
    Ok(answer.keys.into_iter().filter(|key| key.kind() == KeyKind::Cluster).collect())
}

async fn send(client: &Client, conversation: &str, text: &str) -> Result<()> {
    let message =
        OutgoingMessage { conversation: conversation.into(), text: text.into(), ..OutgoingMessage::default() };
    let call = client.write(|wire, id| {
        let request = SendMessageRequest { message: Some(message.clone()), request_id: Some(id) };
        async move { MessageServiceClient::new(wire).send_message(request).await }
    });
    call.await.map_err(|status| format!("send: {} {}", reason(&status), status.message()))?;
    Ok(())
}

async fn set_status(client: &Client, text: &str) -> Result<()> {
    let call = client.write(|wire, id| {
        let request = SetPresenceRequest {
            state: PresenceState::Busy.into(),
            text: text.into(),
            request_id: Some(id),
            ..SetPresenceRequest::default()
        };
        async move { PresenceServiceClient::new(wire).set_presence(request).await }
    });
    call.await.map_err(|status| format!("set a status: {} {}", reason(&status), status.message()))?;
    Ok(())
}

/// Every file of a node, and what it said, with all their bytes.
fn files_of(dir: &Path, slot: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = files_below(&dir.join(slot))?;
    let log = dir.join(format!("{slot}.log"));
    files.push((log.display().to_string(), std::fs::read(log)?));
    Ok(files)
}

fn files_below(dir: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.is_file() {
                files.push((path.display().to_string(), std::fs::read(&path)?));
            }
        }
    }
    Ok(files)
}

/// The names of the files that have these bytes somewhere.
fn lies_in<'a>(files: &'a [(String, Vec<u8>)], what: &[u8]) -> Vec<&'a str> {
    let has = |bytes: &[u8]| bytes.windows(what.len()).any(|window| window == what);
    files.iter().filter(|(_, bytes)| has(bytes)).map(|(name, _)| name.as_str()).collect()
}
