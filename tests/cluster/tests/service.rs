//! Three real processes: people chat over different nodes, and go on when nodes die.

#[path = "service/audit.rs"]
mod audit;
#[path = "service/backup.rs"]
mod backup;
#[path = "service/doctor.rs"]
mod doctor;
#[path = "service/kit.rs"]
mod kit;
#[path = "service/out.rs"]
mod out;
#[path = "service/people.rs"]
mod people;
#[path = "service/reload.rs"]
mod reload;
#[path = "service/runbooks.rs"]
mod runbooks;
#[path = "service/support.rs"]
mod support;
#[path = "service/upgrade.rs"]
mod upgrade;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cluster::{Client, Cluster, Observer, Options, Person, Result, SLOTS, create_group, enrol_all, reason};
use proto::v1::message_service_client::MessageServiceClient;
use proto::v1::{ListMessagesRequest, OutgoingMessage, ReadOptions, SendMessageRequest, SendMessageResponse};
use tokio::time::{sleep, timeout};
use tonic::Status;

/// What nodes may say at level error while others are being killed: nothing.
const NO_ERRORS: &[&str] = &[];
/// A loose bound; how short the gap really is, the benchmarks say.
const GAP_MAX: Duration = Duration::from_secs(10);

async fn send(client: &Client, conversation: &str, text: &str) -> std::result::Result<SendMessageResponse, Status> {
    let message = message(conversation, text);
    client
        .write(|wire, id| {
            let request = SendMessageRequest { message: Some(message.clone()), request_id: Some(id) };
            async move { MessageServiceClient::new(wire).send_message(request).await }
        })
        .await
}

fn message(conversation: &str, text: &str) -> OutgoingMessage {
    OutgoingMessage { conversation: conversation.into(), text: text.into(), ..OutgoingMessage::default() }
}

async fn list(client: &Client, node: usize, conversation: &str, read: ReadOptions) -> Result<Vec<(u64, String)>> {
    let mut messages = Vec::new();
    let mut start_seq = 0;
    loop {
        let request = ListMessagesRequest {
            parent: conversation.into(),
            start_seq,
            page_size: 500,
            read: Some(read.clone()),
            ..ListMessagesRequest::default()
        };
        let call = MessageServiceClient::new(client.wire_to(node)?).list_messages(request).await;
        let page =
            call.map_err(|status| format!("list at {}: {} {}", SLOTS[node], reason(&status), status.message()))?;
        let page = page.into_inner();
        messages.extend(page.messages.into_iter().map(|message| (message.seq, message.text)));
        if page.next_seq == 0 {
            return Ok(messages);
        }
        start_seq = page.next_seq;
    }
}

async fn all_nodes_hold(client: &Client, conversation: &str, sent: &[(u64, String)]) -> Result<()> {
    for (node, slot) in SLOTS.iter().enumerate() {
        assert_eq!(list(client, node, conversation, linearizable()).await?, sent, "at {slot}");
    }
    Ok(())
}

fn linearizable() -> ReadOptions {
    ReadOptions { linearizable: true, ..ReadOptions::default() }
}

async fn ward(cluster: &Cluster, count: usize) -> Result<(Vec<Arc<Client>>, String)> {
    let people: Vec<Person> =
        (0..count).map(|index| Person::new(&format!("nurse-{index}"), &format!("Nurse {index}"))).collect();
    let clients = enrol_all(cluster.links(), cluster.admin(), &people, || {}).await?;
    let others: Vec<String> = clients[1..].iter().map(|client| client.user().to_owned()).collect();
    let conversation = create_group(&clients[0], "Ward 3", &others).await?;
    Ok((clients, conversation))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_chat_through_different_nodes() -> Result<()> {
    let cluster = Cluster::found(Options { full_password_hash: true, ..Options::default() }).await?;
    let (people, conversation) = ward(&cluster, 2).await?;
    people[0].move_to(0);
    people[1].move_to(1);
    let mut at_b = Observer::start(Arc::clone(&people[1]), 1).await?;
    let mut at_c = Observer::start(Arc::clone(&people[0]), 2).await?;
    assert_eq!(send(&people[0], &conversation, "Bed 4 needs you").await?.seq, 1);
    assert_eq!(send(&people[1], &conversation, "On my way").await?.seq, 2);
    for observer in [&mut at_b, &mut at_c] {
        observer.wait_for(2, Duration::from_secs(5)).await?;
        let texts: Vec<String> = observer.seen(&conversation).into_iter().map(|seen| seen.text).collect();
        assert_eq!(texts, ["Bed 4 needs you", "On my way"]);
    }
    cluster.check_logs(NO_ERRORS)
}

/// Sends one message after the other until told to stop; answers the texts that were acknowledged, by seq, and the longest
/// time between two acknowledgements.
async fn keep_sending(
    client: Arc<Client>,
    conversation: String,
    name: usize,
    until: Instant,
) -> Result<(BTreeMap<u64, String>, Duration)> {
    let (mut acknowledged, mut gap, mut last) = (BTreeMap::new(), Duration::ZERO, Instant::now());
    for index in 0.. {
        if Instant::now() >= until {
            break;
        }
        let text = format!("{name}: {index}");
        let answer = send(&client, &conversation, &text).await;
        let answer = answer.map_err(|status| format!("send: {} {}", reason(&status), status.message()))?;
        gap = gap.max(last.elapsed());
        last = Instant::now();
        if acknowledged.insert(answer.seq, text).is_some() {
            return Err(format!("seq {} was given twice", answer.seq).into());
        }
    }
    Ok((acknowledged, gap))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_the_death_of_the_leader_under_load() -> Result<()> {
    let mut cluster = Cluster::found(Options::default()).await?;
    let (people, conversation) = ward(&cluster, 12).await?;
    let mut observer = Observer::start(Arc::clone(&people[0]), 1).await?;
    let until = Instant::now() + Duration::from_secs(8);
    let tasks: Vec<_> = people[1..]
        .iter()
        .enumerate()
        .map(|(index, client)| tokio::spawn(keep_sending(Arc::clone(client), conversation.clone(), index, until)))
        .collect();
    sleep(Duration::from_secs(2)).await;
    let leader = cluster.leader().await?;
    cluster.node(leader).kill()?;
    sleep(Duration::from_secs(2)).await;
    cluster.node(leader).start()?;

    let (mut sent, mut longest) = (BTreeMap::new(), Duration::ZERO);
    for task in tasks {
        let (acknowledged, gap) = task.await??;
        longest = longest.max(gap);
        for (seq, text) in acknowledged {
            assert!(sent.insert(seq, text).is_none(), "seq {seq} was given to two messages");
        }
    }
    eprintln!("{} messages acknowledged; longest gap for one sender {longest:?}", sent.len());
    assert!(longest < GAP_MAX, "no acknowledgement for {longest:?}");
    cluster.wait_until_well().await?;
    let sent: Vec<(u64, String)> = sent.into_iter().collect();
    all_nodes_hold(&people[0], &conversation, &sent).await?;
    observer.wait_for(sent.len(), Duration::from_secs(30)).await?;
    let streamed: Vec<(u64, String)> =
        observer.seen(&conversation).into_iter().map(|seen| (seen.seq, seen.text)).collect();
    assert_eq!(streamed, sent, "over the stream");
    cluster.check_logs(NO_ERRORS)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_of_all_three_loses_nothing() -> Result<()> {
    let mut cluster = Cluster::found(Options::default()).await?;
    let (people, conversation) = ward(&cluster, 2).await?;
    let mut sent = Vec::new();
    for index in 0..50 {
        let text = format!("before the cut: {index}");
        sent.push((send(&people[index % 2], &conversation, &text).await?.seq, text));
    }
    for node in 0..3 {
        cluster.node(node).kill()?;
    }
    for node in 0..3 {
        cluster.node(node).start()?;
    }
    cluster.wait_until_well().await?;
    all_nodes_hold(&people[0], &conversation, &sent).await?;
    assert_eq!(send(&people[1], &conversation, "after the cut").await?.seq, 51);
    cluster.check_logs(NO_ERRORS)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_alone_refuses_writes_in_time_and_says_that_its_reads_are_stale() -> Result<()> {
    let mut cluster = Cluster::found(Options::default()).await?;
    let (people, conversation) = ward(&cluster, 1).await?;
    send(&people[0], &conversation, "seen before").await?;
    list(&people[0], 0, &conversation, linearizable()).await?;
    cluster.node(1).kill()?;
    cluster.node(2).kill()?;

    // A write with a deadline of 3 s: it is refused within it, and says why.
    let began = Instant::now();
    let number = people[0].numbers.take();
    let mut request = tonic::Request::new(SendMessageRequest {
        message: Some(message(&conversation, "to nobody")),
        request_id: Some(people[0].numbers.request_id(number)),
    });
    request.set_timeout(Duration::from_secs(3));
    let mut at_a = MessageServiceClient::new(people[0].wire_to(0)?);
    let refused = timeout(Duration::from_secs(5), at_a.send_message(request));
    let status = refused.await?.err().ok_or("a node alone acknowledged a write")?;
    assert!(began.elapsed() < Duration::from_millis(3_500), "refused only after {:?}", began.elapsed());
    assert!(
        matches!(reason(&status).as_str(), "NO_MAJORITY" | "OUTCOME_UNKNOWN")
            || status.code() == tonic::Code::DeadlineExceeded,
        "{status:?}"
    );

    // A read says how old it may be; one that insists on the newest is refused.
    sleep(Duration::from_millis(1_500)).await; // Stale is what had no word from a leader for 1 s.
    let read = ReadOptions { allow_stale: true, ..ReadOptions::default() };
    let request = ListMessagesRequest { parent: conversation.clone(), read: Some(read), ..Default::default() };
    let page = MessageServiceClient::new(people[0].wire_to(0)?).list_messages(request).await?.into_inner();
    let info = page.info.ok_or("no word on what the read reflects")?;
    assert!(info.stale, "a node alone said that it is current");
    assert!(info.age.is_some_and(|age| age.seconds >= 1), "{:?}", info.age);
    assert_eq!(page.messages.len(), 1);
    let current = timeout(Duration::from_secs(12), list(&people[0], 0, &conversation, linearizable())).await?;
    assert!(current.is_err(), "a node alone answered a linearizable read");

    // With a second node it serves again, and the same number has one effect.
    cluster.node(1).start()?;
    let again = send(&people[0], &conversation, "after").await?;
    assert!(matches!(again.seq, 2 | 3), "the unanswered write may have been kept, once: {}", again.seq);
    cluster.check_logs(NO_ERRORS)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_hangs_does_not_hold_the_others_back() -> Result<()> {
    let mut cluster = Cluster::found(Options::default()).await?;
    let (people, conversation) = ward(&cluster, 2).await?;
    let leader = cluster.leader().await?;
    cluster.node(leader).pause()?;
    let began = Instant::now();
    for index in 0..20 {
        send(&people[0], &conversation, &format!("while one hangs: {index}")).await?;
    }
    assert!(began.elapsed() < GAP_MAX * 2, "20 messages took {:?}", began.elapsed());
    cluster.node(leader).resume()?;
    cluster.wait_until_well().await?;
    let sent: Vec<(u64, String)> = (0..20).map(|index| (index + 1, format!("while one hangs: {index}"))).collect();
    all_nodes_hold(&people[1], &conversation, &sent).await?;
    cluster.check_logs(NO_ERRORS)
}
