//! Two of three nodes are lost for good, and a new history begins from the one that is left: clients are told what survived,
//! what is on one disk alone is said to be, and the audit log can be verified beyond it.

use std::process::{Command, Stdio};

use cluster::ports::free_ports;
use cluster::replacing::{approve, replace, said};
use cluster::{FAILING, SLOTS, binary, skipped, survived, tricord};
use proto::v1::conversation_service_client::ConversationServiceClient;
use proto::v1::directory_service_client::DirectoryServiceClient;
use proto::v1::sync_response::Item;
use proto::v1::sync_service_client::SyncServiceClient;
use proto::v1::{
    Conversation, CreateUserRequest, Direction, GetConversationRequest, ListMessagesRequest, PermissionSet,
    ReadOptions, RequestId, SurvivingConversation, SyncRequest, SyncResponse, User,
};
use tonic::{Status, Streaming};

use super::*;

/// The one that is left: a.
const SURVIVOR: usize = 0;

async fn open(client: &Client, cursor: &[u8]) -> std::result::Result<Streaming<SyncResponse>, Status> {
    let wire = client.wire_to(SURVIVOR).map_err(|error| Status::unavailable(error.to_string()))?;
    let request = SyncRequest { cursor: cursor.to_vec(), ..SyncRequest::default() };
    Ok(SyncServiceClient::new(wire).sync(request).await?.into_inner())
}

/// Waits for a mark of the stream that says so.
async fn marked(stream: &mut Streaming<SyncResponse>, single_copy: bool) -> Result<()> {
    let wait = async {
        while let Some(item) = stream.message().await? {
            if matches!(item.item, Some(Item::Progress(progress)) if progress.single_copy == single_copy) {
                return Ok(());
            }
        }
        Err("the stream ended".into())
    };
    timeout(JUDGED, wait).await?
}

/// Where the client is: a cursor of the history that goes on.
async fn cursor(client: &Client, ward: &str) -> Result<Vec<u8>> {
    let request = ListMessagesRequest {
        parent: ward.into(),
        direction: Direction::Backward.into(),
        page_size: 1,
        read: Some(ReadOptions { linearizable: true, ..ReadOptions::default() }),
        ..ListMessagesRequest::default()
    };
    let answer = client.read(|wire| {
        let request = request.clone();
        async move { MessageServiceClient::new(wire).list_messages(request).await }
    });
    Ok(answer.await?.info.ok_or("no cursor")?.cursor)
}

async fn conversation(client: &Client, ward: &str) -> Result<Conversation> {
    let answer = client.read(|wire| {
        let request = GetConversationRequest { name: ward.into(), read: None };
        async move { ConversationServiceClient::new(wire).get_conversation(request).await }
    });
    Ok(answer.await?.conversation.ok_or("no conversation")?)
}

#[tokio::test(flavor = "multi_thread")]
async fn after_two_nodes_are_lost_for_good_people_are_told_what_survived_and_what_has_one_copy() -> Result<()> {
    let (mut cluster, client, ward) = ward(20).await?;
    let ended = refounded(&mut cluster, client, &ward).await;
    if ended.is_err() {
        eprintln!("the nodes' logs are kept in {}", cluster.keep_logs()?.display());
    }
    ended
}

async fn refounded(cluster: &mut Cluster, client: std::sync::Arc<Client>, ward: &str) -> Result<()> {
    let writer = client.clone();
    let client = client.as_ref();
    assert_eq!(list_all(client, SURVIVOR, ward).await?.len(), 20, "what is acknowledged so far is at a");
    assert_eq!(conversation(client, ward).await?.surviving_seq, 0, "nothing was restored yet");
    cluster.node(SURVIVOR).kill()?;
    for index in 21..26 {
        assert_eq!(post(client, ward, &format!("lost {index}")).await?, index);
    }
    let old = cursor(client, ward).await?;
    let config = cluster.dir().join("a/tricordd.toml").to_string_lossy().into_owned();
    let refound = |more: &[&str]| {
        let words = [&["disaster", "refound", "--config", &config], more].concat();
        tokio::task::block_in_place(|| tricord(cluster, SURVIVOR, &words, ""))
    };
    let refused = refound(&[]).expect_err("two others answer").to_string();
    assert!(refused.contains("together nothing is lost. Start this node instead"), "{refused}");
    // One has ended, the other hangs: what takes connections and says nothing is not taken for lost.
    cluster.node(1).kill()?;
    cluster.node(2).pause()?;
    let words = ["disaster", "refound", "--config", &config, "--begin", "--name", "Test hospital"];
    let refused = tokio::task::block_in_place(|| tricord(cluster, SURVIVOR, &words, ""));
    let refused = refused.expect_err("something listens").to_string();
    assert!(refused.contains("something listens at") && refused.contains("--lost c"), "{refused}");
    cluster.node(2).resume()?;
    cluster.node(2).kill()?;
    for node in [1, 2] {
        let data = cluster.dir().join(SLOTS[node]).join("data");
        fs::rename(&data, data.with_extension("burnt"))?;
    }
    let refound = |more: &[&str]| {
        let words = [&["disaster", "refound", "--config", &config], more].concat();
        tokio::task::block_in_place(|| tricord(cluster, SURVIVOR, &words, ""))
    };
    let refused = refound(&["--begin", "--name", "Another"]).expect_err("another cluster's name").to_string();
    assert!(refused.contains("nothing was done"), "{refused}");
    let begun = refound(&["--begin", "--name", "Test hospital", "--accept-single-copy"])?;
    assert!(begun.contains("A new history of Test hospital has begun with what a1 has."), "{begun}");
    cluster.node(SURVIVOR).start()?;
    client.move_to(SURVIVOR);

    // The cursor of before is refused, with what survived.
    let began = Instant::now();
    let status = loop {
        match open(client, &old).await {
            Err(status) if reason(&status) == "LINEAGE_CHANGED" => break status,
            other => assert!(began.elapsed() < JUDGED, "{:?}", other.map(drop)),
        }
        sleep(Duration::from_millis(50)).await;
    };
    let told = survived(&status).ok_or("nothing is told")?;
    assert_eq!(told.conversations, [SurvivingConversation { conversation: ward.into(), last_seq: 20 }]);
    let (last, at) = (told.survived_time.ok_or("no time")?, told.restore_time.ok_or("no time")?);
    assert!((last.seconds, last.nanos) < (at.seconds, at.nanos), "{told:?}");

    // What is written now is on one disk, and every answer says so.
    assert_eq!(post(client, ward, "on one disk").await?, 21, "the seqs that did not survive are given anew");
    let number = client.numbers.take();
    let message = OutgoingMessage { conversation: ward.into(), text: "again".into(), ..OutgoingMessage::default() };
    let id: RequestId = client.numbers.request_id(number);
    let request = SendMessageRequest { message: Some(message), request_id: Some(id) };
    let answer = MessageServiceClient::new(client.wire_to(SURVIVOR)?).send_message(request).await?;
    client.numbers.done(number);
    assert_eq!(answer.metadata().get("tricord-copies").map(|value| value.as_bytes()), Some(b"1".as_slice()));
    let mut stream = open(client, &[]).await?;
    marked(&mut stream, true).await?;
    let info = conversation(client, ward).await?;
    assert_eq!((info.surviving_seq, info.last_seq), (20, 22));

    // And it is kept.
    cluster.node(SURVIVOR).kill()?;
    cluster.node(SURVIVOR).start()?;
    assert_eq!(post(client, ward, "after a crash").await?, 23);
    assert_eq!(list_all(client, SURVIVOR, ward).await?.len(), 23);

    // A second copy: the streams say so at once.
    let mut stream = open(client, &[]).await?;
    marked(&mut stream, true).await?;
    let [port]: [u16; 1] = free_ports()?;
    let c = cluster.dir().join("c/tricordd.toml");
    let (showing, code) = tokio::task::block_in_place(|| approve(cluster, port, &[]))?;
    let output = tokio::task::block_in_place(|| replace(&c, port, &code))?;
    assert!(output.status.success(), "{}", said(&output));
    let output = tokio::task::block_in_place(|| showing.wait_with_output())?;
    assert!(output.status.success(), "{}", said(&output));
    let written = end_while_the_state_travels(cluster, writer, ward).await?;
    cluster.node(VICTIM).start()?;
    let mut stream = reopened(client).await?;
    marked(&mut stream, false).await?;
    assert_eq!(post(client, ward, "on two disks").await?, 24 + written);
    let held = list_all(client, SURVIVOR, ward).await?;
    assert_eq!(held.len() as u64, 24 + written);
    assert_eq!(list_all(client, VICTIM, ward).await?, held);
    audited(cluster).await?;
    cluster.check_logs(&[
        "the only one of the cluster",
        "a peer's calls are refused",
        "replace a snapshot that has rotted",
    ])
}

/// The new node needs the whole state: it ends at every step of taking it, the one that sends it ends too, and what is sent has
/// rotted on its disk. Answers how many messages were written meanwhile.
async fn end_while_the_state_travels(cluster: &mut Cluster, writer: std::sync::Arc<Client>, ward: &str) -> Result<u64> {
    if binary(FAILING).is_err() {
        skipped("there is no daemon with fail points")?;
        return Ok(0);
    }
    let ended = |cluster: &mut Cluster, node: usize, point: &str| -> Result<()> {
        let ended = tokio::task::block_in_place(|| cluster.node(node).has_ended_within(JUDGED))?;
        assert!(ended, "{} did not come to {point}: {}", SLOTS[node], cluster.node(node).log());
        Ok(())
    };
    cluster.node(SURVIVOR).kill()?;
    cluster.node(SURVIVOR).start_until("snapshot-sending=1*off->return")?;
    cluster.node(VICTIM).start()?;
    ended(cluster, SURVIVOR, "snapshot-sending")?;
    cluster.node(VICTIM).kill()?;
    cluster.node(SURVIVOR).start()?;
    let written = rotten::each_kind(cluster, writer, ward).await?;
    for point in ["snapshot-receiving", "snapshot-moved", "snapshot-before-switch", "snapshot-after-switch"] {
        cluster.node(VICTIM).start_until(&format!("{point}=return"))?;
        ended(cluster, VICTIM, point)?;
    }
    Ok(written)
}

/// A stream at the survivor, which may just have started.
async fn reopened(client: &Client) -> Result<Streaming<SyncResponse>> {
    let began = Instant::now();
    loop {
        match open(client, &[]).await {
            Ok(stream) => return Ok(stream),
            Err(status) => assert!(began.elapsed() < JUDGED, "{status:?}"),
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Two nodes sign again; who c2 is, only its own machine can tell.
async fn audited(cluster: &Cluster) -> Result<()> {
    let user = User {
        login: "auditor".into(),
        display_name: "Auditor".into(),
        permission_sets: vec![PermissionSet::Auditor.into()],
        ..User::default()
    };
    let made = cluster.admin().write(|wire, id| {
        let request =
            CreateUserRequest { user: Some(user.clone()), without_enrolment_code: false, request_id: Some(id) };
        async move { DirectoryServiceClient::new(wire).create_user(request).await }
    });
    let code = made.await?.enrolment_code;
    let dir = cluster.dir().to_owned();
    let node = cluster.links().address(SURVIVOR).to_owned();
    let run = |words: &[&str], typed: &str| -> Result<Output> {
        let mut child = Command::new(binary("tricord")?)
            .args(["--node", &node, "--ca", "ca.crt", "--deadline", "60"])
            .args(words)
            .current_dir(&dir)
            .env("HOME", dir.join("home"))
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_STATE_HOME")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        std::io::Write::write_all(&mut child.stdin.take().ok_or("no stdin")?, typed.as_bytes())?;
        Ok(child.wait_with_output()?)
    };
    let well = |words: &[&str], typed: &str| -> Result<String> {
        let output = run(words, typed)?;
        let said = said(&output);
        if output.status.success() { Ok(String::from_utf8(output.stdout)?) } else { Err(said.into()) }
    };
    tokio::task::block_in_place(|| {
        fs::create_dir_all(dir.join("home"))?;
        well(&["enrol", "auditor"], &format!("{code}\nan auditor's password\n"))?;
        let began = Instant::now();
        // A head that both sign covers the record of the second.
        let refused = loop {
            let _ = fs::remove_dir_all(dir.join("log"));
            if well(&["audit", "export", "log"], "").is_ok() {
                let refused = run(&["audit", "verify", "log", "--founding", "audit.pub"], "")?;
                if said(&refused).contains("UNKNOWN SIGNER") {
                    break refused;
                }
            }
            assert!(began.elapsed() < JUDGED, "no head names the new signer");
            std::thread::sleep(Duration::from_millis(500));
        };
        assert!(said(&refused).contains("If the cluster was restored then"), "{}", said(&refused));
        fs::write(dir.join("restored.pub"), well(&["audit", "key", "c/audit.key"], "")?)?;
        let verify = ["audit", "verify", "log", "--founding", "audit.pub", "--signers", "restored.pub"];
        let words = well(&verify, "")?;
        assert!(words.starts_with("VERIFIED. Records 0 to ") && words.contains("(signed by a and c)"), "{words}");
        assert!(words.contains("is believed because of the keys given (--signers) alone."), "{words}");
        Ok(())
    })
}
