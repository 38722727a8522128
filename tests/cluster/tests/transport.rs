//! What the ports say to strangers, and how certificates are renewed under load.

#[path = "transport/certificates.rs"]
mod certificates;

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use cluster::{Client, Cluster, Options, Person, Result, SLOTS, binary, create_group, enrol_all, listens_on};
use proto::v1::message_service_client::MessageServiceClient;
use proto::v1::{OutgoingMessage, SendMessageRequest};
use tokio::net::TcpSocket;
use tokio::time::sleep;

/// How long a port may take to turn a stranger away.
const PATIENCE: Duration = Duration::from_secs(8);
/// Times that all certificates are renewed until nobody was elected meanwhile.
const ROUNDS_MAX: usize = 6;
/// The first byte of a TLS alert.
const ALERT: u8 = 0x15;

/// What a port answers to these bytes until it closes.
fn answer(address: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(bytes)?;
    let mut heard = Vec::new();
    match stream.read_to_end(&mut heard) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => {
            Err(format!("{address} keeps a stranger: {error}").into())
        }
        _ => Ok(heard),
    }
}

/// A `ClientHello` of TLS 1.2, as a client sends it that knows no newer version.
fn hello_of_tls_1_2() -> Vec<u8> {
    let extensions: &[u8] = &[
        0, 10, 0, 4, 0, 2, 0, 23, // supported_groups: secp256r1
        0, 11, 0, 2, 1, 0, // ec_point_formats: uncompressed
        0, 13, 0, 6, 0, 4, 4, 3, 8, 4, // signature_algorithms: ecdsa_secp256r1_sha256, rsa_pss_rsae_sha256
    ];
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 4, 0xC0, 0x2B, 0xC0, 0x2F, 1, 0]); // no session, two suites with AES-128-GCM, no compression
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    let mut hello = vec![0x16, 3, 1];
    hello.extend((body.len() as u16 + 4).to_be_bytes());
    hello.extend([1, 0]);
    hello.extend((body.len() as u16).to_be_bytes());
    hello.extend(body);
    hello
}

#[tokio::test(flavor = "multi_thread")]
async fn no_port_answers_in_clear_or_in_an_older_tls() -> Result<()> {
    let mut cluster = Cluster::found(Options::default()).await?;
    let mut strangers = Vec::new();
    for node in 0..3 {
        for address in listens_on(cluster.node(node).config())? {
            for (what, bytes) in [
                ("HTTP/1.1", b"GET /metrics HTTP/1.1\r\nHost: tricord\r\n\r\n".to_vec()),
                ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00".to_vec()),
                ("TLS 1.2", hello_of_tls_1_2()),
                ("nothing", Vec::new()),
            ] {
                let address = address.clone();
                strangers.push(std::thread::spawn(move || {
                    let heard = answer(&address, &bytes).map_err(|error| error.to_string())?;
                    match heard.first() {
                        None | Some(&ALERT) => Ok(()),
                        Some(_) => Err(format!("{address} answered {what} with {:?}", String::from_utf8_lossy(&heard))),
                    }
                }));
            }
        }
    }
    assert_eq!(strangers.len(), 36, "three ports of three nodes, each approached in four ways");
    for stranger in strangers {
        stranger.join().map_err(|_| "a stranger panicked")??;
    }
    cluster.wait_until_well().await?;
    cluster.check_logs(&[])
}

/// Issues a certificate for a node into its directory, in place of the one there.
/// Silent connections from a machine of their own: more than a node has places for handshakes, three times over.
const SILENT: usize = 800;

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_connects_and_says_nothing_keeps_nobody_out() -> Result<()> {
    let cluster = Cluster::found(Options::default()).await?;
    let people = enrol_all(cluster.links(), cluster.admin(), &[Person::new("ito", "Dr Ito")], || {}).await?;
    let ward = create_group(&people[0], "Ward 3", &[]).await?;
    let address: std::net::SocketAddr = cluster.links().address(0).parse()?;
    let silent = (0..SILENT).map(|_| async move {
        let socket = TcpSocket::new_v4()?;
        socket.bind("127.0.0.2:0".parse().map_err(std::io::Error::other)?)?;
        socket.connect(address).await
    });
    let silent = futures::future::try_join_all(silent).await?;
    let began = Instant::now();
    let number = people[0].numbers.take();
    let id = people[0].numbers.request_id(number);
    let message =
        OutgoingMessage { conversation: ward, text: "is anybody there?".into(), ..OutgoingMessage::default() };
    let request = SendMessageRequest { message: Some(message), request_id: Some(id) };
    MessageServiceClient::new(people[0].own_wire_to(0)?).send_message(request).await?;
    let waited = began.elapsed();
    assert!(waited < Duration::from_secs(8), "{waited:?} behind those who say nothing");
    drop(silent);
    cluster.check_logs(&[])
}

fn renew(dir: &Path, slot: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(binary("tricord")?)
        .args(["pki", "issue", "--ca"])
        .arg(dir.join("ca"))
        .args(arguments)
        .arg("--out")
        .arg(dir.join("new"))
        .output()?;
    if !output.status.success() {
        return Err(format!("tricord pki issue: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    for file in fs::read_dir(dir.join("new"))? {
        let file = file?.path();
        let name = file.file_name().ok_or("a file without a name")?;
        fs::rename(&file, dir.join(slot).join("tls").join(name))?;
    }
    Ok(fs::remove_dir(dir.join("new"))?)
}

/// What `tricord node …` says to whoever is root on a node's machine.
fn on_the_machine(dir: &Path, slot: &str, verb: &str) -> Result<(Option<i32>, String)> {
    let output = Command::new(binary("tricord")?)
        .args(["node", verb, "--socket"])
        .arg(dir.join(slot).join("data/local.sock"))
        .output()?;
    Ok((output.status.code(), String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?))
}

#[tokio::test(flavor = "multi_thread")]
async fn root_is_answered_on_the_machine_without_a_majority_and_without_certificates() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mut cluster = Cluster::found(Options::default()).await?;
    let dir = cluster.dir().to_owned();
    let socket = dir.join("a/data/local.sock");
    assert_eq!(fs::metadata(&socket)?.permissions().mode() & 0o777, 0o600, "nobody else may ask");
    let (exit, said) = on_the_machine(&dir, "a", "status")?;
    assert!(exit == Some(0) && said.contains("is ready") && said.contains("OK. All three"), "{exit:?} {said}");

    cluster.node(1).kill()?;
    cluster.node(2).kill()?;
    let began = Instant::now();
    let (exit, said) = loop {
        let (exit, said) = on_the_machine(&dir, "a", "status")?;
        if said.contains("start b or c") || began.elapsed() > Duration::from_secs(20) {
            break (exit, said);
        }
        sleep(Duration::from_millis(50)).await;
    };
    assert!(exit == Some(4) && said.contains("NOT READY") && said.contains("NOT ACCEPTING"), "{exit:?} {said}");

    fs::write(dir.join("a/tls/client.crt"), "expired, or worse")?;
    let (exit, said) = on_the_machine(&dir, "a", "reload-certificates")?;
    assert!(exit == Some(1) && said.contains("client.crt"), "{exit:?} {said}");
    renew(&dir, "a", &["--for", "client", "--host", "127.0.0.1"])?;
    let (exit, said) = on_the_machine(&dir, "a", "reload-certificates")?;
    assert!(exit == Some(0) && said.contains("client.crt"), "{exit:?} {said}");

    cluster.node(0).kill()?;
    let (exit, said) = on_the_machine(&dir, "a", "status")?;
    assert!(exit == Some(1) && said.contains("systemctl status tricordd"), "{exit:?} {said}");
    cluster.node(0).start()?; // The socket that is left behind does not keep it from starting.
    cluster.node(1).start()?;
    cluster.node(2).start()?;
    cluster.wait_until_well().await
}

async fn logged(cluster: &mut Cluster, node: usize, words: &str, times: usize) -> Result<()> {
    let began = Instant::now();
    while cluster.node(node).log().matches(words).count() < times {
        if began.elapsed() > Duration::from_secs(30) {
            return Err(format!("node {} did not say {words:?} {times} times", SLOTS[node]).into());
        }
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn send(client: &Client, conversation: &str, text: &str) -> Result<u64> {
    let message =
        OutgoingMessage { conversation: conversation.into(), text: text.into(), ..OutgoingMessage::default() };
    let sent = client.write(|wire, id| {
        let request = SendMessageRequest { message: Some(message.clone()), request_id: Some(id) };
        async move { MessageServiceClient::new(wire).send_message(request).await }
    });
    Ok(sent.await?.seq)
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_renewed_while_people_write_and_nobody_is_elected() -> Result<()> {
    let mut cluster = Cluster::found(Options::default()).await?;
    let people = [Person::new("ito", "Dr Ito"), Person::new("berg", "Nurse Berg")];
    let people = enrol_all(cluster.links(), cluster.admin(), &people, || {}).await?;
    let ward = create_group(&people[0], "Ward 3", &[people[1].user().to_owned()]).await?;
    let dir = cluster.dir().to_owned();
    let id = cluster.status(0).await?.cluster;

    // A machine that is busy with other things may elect for reasons of its own, though hardly each time.
    let mut rounds = 0;
    loop {
        rounds += 1;
        let before = cluster.status(0).await?.term;
        for (node, slot) in SLOTS.iter().enumerate() {
            renew(&dir, slot, &["--for", "peer", "--cluster", &id, "--slot", slot])?;
            renew(&dir, slot, &["--for", "client", "--host", "127.0.0.1"])?;
            cluster.node(node).hang_up()?;
            logged(&mut cluster, node, "the certificates were read again", rounds).await?;
            send(&people[0], &ward, "still there?").await?;
        }
        if cluster.status(0).await?.term == before {
            break;
        }
        assert!(rounds < ROUNDS_MAX, "renewing a certificate is no reason to elect, and each of {rounds} rounds did");
    }

    // A node that starts now meets nothing but new certificates.
    assert!(cluster.node(2).stop(Duration::from_secs(20))?.success());
    cluster.node(2).start()?;
    cluster.wait_until_well().await?;

    // A certificate of another node, and one that is none, are refused; the node goes on with what it has.
    renew(&dir, "b", &["--for", "peer", "--cluster", &id, "--slot", "c"])?;
    cluster.node(1).hang_up()?;
    logged(&mut cluster, 1, "the certificates stay as they were", 1).await?;
    fs::write(dir.join("b/tls/peer.crt"), "not a certificate")?;
    cluster.node(1).hang_up()?;
    logged(&mut cluster, 1, "the certificates stay as they were", 2).await?;
    people[1].move_to(1);
    let seq = send(&people[1], &ward, "yes").await?;
    assert_eq!(seq, 3 * rounds as u64 + 1);

    // Without being told: the files are looked at by themselves.
    renew(&dir, "b", &["--for", "peer", "--cluster", &id, "--slot", "b"])?;
    logged(&mut cluster, 1, "the certificates were read again", rounds + 1).await?;
    cluster.wait_until_well().await?;
    cluster.check_logs(&[])
}
