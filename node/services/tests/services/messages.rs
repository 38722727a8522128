use std::time::Duration;

use proto::v1::stream_messages_response::Result as Outcome;
use proto::v1::*;
use tokio_stream::StreamExt;

use crate::world::{Person, World, outgoing, reason, refused};

async fn list(person: &Person, parent: &str, start: u64, direction: Direction, size: i32) -> ListMessagesResponse {
    let request = ListMessagesRequest {
        parent: parent.into(),
        start_seq: start,
        direction: direction.into(),
        page_size: size,
        read: None,
    };
    person.messages().list_messages(person.with(request)).await.unwrap().into_inner()
}

/// Every seq a list covers, in order: those of messages, and those said to be hidden.
fn covered(answer: &ListMessagesResponse) -> Vec<(u64, bool)> {
    let mut seqs: Vec<(u64, bool)> = answer.messages.iter().map(|message| (message.seq, true)).collect();
    for hidden in &answer.hidden {
        seqs.extend((hidden.from_seq..=hidden.to_seq).map(|seq| (seq, false)));
    }
    seqs.sort_unstable();
    seqs
}

#[tokio::test]
async fn a_retry_stores_nothing_new_and_has_the_same_answer() {
    let world = World::start().await;
    let ito = world.admin().await;
    let ward = ito.group("Ward", &[]).await;
    let request = SendMessageRequest { message: Some(outgoing(&ward, b"once")), request_id: ito.id() };
    let first = ito.messages().send_message(ito.with(request.clone())).await.unwrap().into_inner();
    let again = ito.messages().send_message(ito.with(request.clone())).await.unwrap().into_inner();
    assert_eq!(first, again);
    assert_eq!(list(&ito, &ward, 0, Direction::Forward, 0).await.messages.len(), 1);
    let other = SendMessageRequest { message: Some(outgoing(&ward, b"twice")), ..request };
    assert_eq!(refused(ito.messages().send_message(ito.with(other)).await), "REQUEST_ID_REUSED");

    let number = |number, settled| SendMessageRequest {
        message: Some(outgoing(&ward, b"x")),
        request_id: Some(RequestId { number, settled }),
    };
    ito.messages().send_message(ito.with(number(900, 900))).await.unwrap();
    assert_eq!(refused(ito.messages().send_message(ito.with(number(899, 1))).await), "DEDUP_EXPIRED");
    assert_eq!(refused(ito.messages().send_message(ito.with(number(1_924, 900))).await), "WINDOW_EXCEEDED");
    assert_eq!(refused(ito.messages().send_message(ito.with(number(0, 0))).await), "INVALID");
    assert_eq!(refused(ito.messages().send_message(ito.with(number(901, 902))).await), "INVALID");
}

#[tokio::test]
async fn bad_texts_and_fields_are_refused_with_the_reason() {
    let world = World::start().await;
    let ito = world.admin().await;
    let ward = ito.group("Ward", &[]).await;
    let send = async |message: OutgoingMessage| {
        let request = SendMessageRequest { message: Some(message), request_id: ito.id() };
        ito.messages().send_message(ito.with(request)).await.unwrap_err()
    };
    let long = send(outgoing(&ward, &vec![b'x'; 16_384 + 1_204])).await;
    assert!(long.message().contains("too long by 1,204 bytes: at most 16,384 are allowed"), "{}", long.message());
    let latin1 = send(outgoing(&ward, b"caf\xE9")).await;
    assert!(latin1.message().contains("not UTF-8"), "{}", latin1.message());
    let wrong = [
        outgoing(&ward, b""),
        outgoing("conversations/42", b"x"),
        OutgoingMessage { priority: 9, ..outgoing(&ward, b"x") },
        OutgoingMessage { mentions: vec!["ito".into()], ..outgoing(&ward, b"x") },
        OutgoingMessage { reply_to: 7, ..outgoing(&ward, b"x") },
        OutgoingMessage { location: "room".into(), ..outgoing(&ward, b"x") },
    ];
    for message in [long, latin1] {
        assert_eq!(reason(&message), "INVALID");
    }
    for message in wrong {
        let said = format!("{message:?}");
        assert_eq!(reason(&send(message).await), "INVALID", "{said}");
    }
    assert!(list(&ito, &ward, 0, Direction::Forward, 0).await.messages.is_empty());
}

#[tokio::test]
async fn texts_are_kept_byte_for_byte_up_to_the_limit() {
    let world = World::start().await;
    let ito = world.admin().await;
    let ward = ito.group("Ward", &[]).await;
    let controls: String = (0..0x20_u8).chain([0x7F]).map(char::from).chain("\u{85}\u{202E}\u{FEFF}".chars()).collect();
    let texts = ["x".repeat(16_384), "\u{10FFFF}".repeat(4_096), controls, "\0".into(), "\r\n\t ".into()];
    let mut stream = ito.sync(&[], &[]).await.unwrap();
    crate::world::next(&mut stream).await.unwrap();
    for text in &texts {
        ito.send(&ward, text).await.unwrap();
        let Some(sync_response::Item::MessagePosted(posted)) =
            crate::world::next(&mut stream).await.unwrap().unwrap().item
        else {
            panic!("a message")
        };
        assert_eq!(&posted.message.unwrap().text, text);
    }
    assert_eq!(refused(ito.send(&ward, &"x".repeat(16_385)).await), "INVALID");
    assert_eq!(refused(ito.send(&ward, "").await), "INVALID");
    let stored = list(&ito, &ward, 0, Direction::Forward, 0).await.messages;
    assert!(stored.iter().map(|message| &message.text).eq(&texts));
}

#[tokio::test]
async fn a_list_has_no_gap_in_either_direction() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (ito, mori) = (world.person(&admin, "ito").await, world.person(&admin, "mori").await);
    let ward = ito.group("Ward", &[&mori]).await;
    for phase in 0..4 {
        for at in 0..10 {
            ito.send(&ward, &format!("{phase}.{at}")).await.unwrap();
        }
        if phase % 2 == 0 { ito.remove(&ward, &mori).await } else { ito.add(&ward, &mori).await }
    }
    // Mori saw 1-10, was away for 11-20, saw 21-30, and is there again without 31-40.
    let expected: Vec<(u64, bool)> = (1..=40).map(|seq| (seq, matches!(seq, 1..=10 | 21..=30))).collect();
    for size in [1, 3, 7, 10, 500] {
        let (mut seqs, mut start) = (Vec::new(), 0);
        loop {
            let answer = list(&mori, &ward, start, Direction::Forward, size).await;
            assert!(answer.messages.len() <= size as usize);
            assert_eq!(answer.last_seq, 40);
            seqs.extend(covered(&answer));
            start = answer.next_seq;
            if start == 0 {
                break;
            }
        }
        assert_eq!(seqs, expected, "forward by {size}");
        let (mut seqs, mut start) = (Vec::new(), 0);
        loop {
            let answer = list(&mori, &ward, start, Direction::Backward, size).await;
            assert!(answer.messages.windows(2).all(|two| two[0].seq > two[1].seq));
            seqs.extend(covered(&answer));
            start = answer.next_seq;
            if start == 0 {
                break;
            }
        }
        seqs.sort_unstable();
        assert_eq!(seqs, expected, "backward by {size}");
    }
    let hidden = GetMessageRequest { name: format!("{ward}/messages/15"), read: None };
    assert_eq!(refused(mori.messages().get_message(mori.with(hidden)).await), "NOT_FOUND");
    let seen = GetMessageRequest { name: format!("{ward}/messages/21"), read: None };
    let seen = mori.messages().get_message(mori.with(seen)).await.unwrap().into_inner().message.unwrap();
    assert_eq!(seen.text, "2.0");
}

#[tokio::test]
async fn a_page_is_bounded_in_bytes() {
    let world = World::start().await;
    let ito = world.admin().await;
    let ward = ito.group("Ward", &[]).await;
    let text = "x".repeat(16_000);
    for _ in 0..80 {
        ito.send(&ward, &text).await.unwrap();
    }
    let answer = list(&ito, &ward, 0, Direction::Forward, 500).await;
    assert!(answer.messages.len() < 70, "{}", answer.messages.len());
    assert_eq!(answer.next_seq, answer.messages.len() as u64 + 1);
}

#[tokio::test]
async fn a_stream_answers_in_order_and_goes_on_after_an_error() {
    let world = World::start().await;
    let ito = world.admin().await;
    let ward = ito.group("Ward", &[]).await;
    let mut requests = Vec::new();
    for at in 0..600 {
        let text = if at == 300 { Vec::new() } else { format!("{at}").into_bytes() };
        requests.push(StreamMessagesRequest { message: Some(outgoing(&ward, &text)), request_id: ito.id() });
    }
    let numbers: Vec<u64> = requests.iter().map(|request| request.request_id.unwrap().number).collect();
    let stream = ito.with(tokio_stream::iter(requests));
    let mut answers = ito.messages().stream_messages(stream).await.unwrap().into_inner();
    let (mut answered, mut seqs, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(answer) = tokio::time::timeout(Duration::from_secs(20), answers.next()).await.unwrap() {
        let answer = answer.unwrap();
        answered.push(answer.number);
        match answer.result.unwrap() {
            Outcome::Sent(sent) => seqs.push(sent.seq),
            Outcome::Error(error) => errors.push((error.reason, error.retryable)),
        }
    }
    assert_eq!(answered, numbers);
    assert_eq!(seqs, (1..=599).collect::<Vec<u64>>());
    assert_eq!(errors, [("INVALID".to_owned(), false)]);
    let stored = list(&ito, &ward, 0, Direction::Forward, 500).await;
    assert!(stored.messages.iter().zip(0..300).all(|(message, at)| message.text == format!("{at}")));
}

#[tokio::test]
async fn receipts_are_folded_and_listed() {
    let world = World::start().await;
    let admin = world.admin().await;
    let (ito, mori) = (world.person(&admin, "ito").await, world.person(&admin, "mori").await);
    let ward = ito.group("Ward", &[&mori]).await;
    for at in 0..3 {
        ito.send(&ward, &format!("{at}")).await.unwrap();
    }
    let confirm = |delivered_seq, displayed_seq| ConfirmMessagesRequest {
        confirmations: vec![Confirmation { conversation: ward.clone(), delivered_seq, displayed_seq }],
    };
    assert_eq!(refused(mori.messages().confirm_messages(mori.with(confirm(0, 0))).await), "INVALID");
    assert_eq!(refused(admin.messages().confirm_messages(admin.with(confirm(1, 1))).await), "NOT_FOUND");
    let mut stream = mori.sync(&mori.cursor, &[]).await.unwrap();
    mori.messages().confirm_messages(mori.with(confirm(3, 0))).await.unwrap();
    mori.messages().confirm_messages(mori.with(confirm(1, 2))).await.unwrap();
    let receipt = loop {
        let item = crate::world::next(&mut stream).await.unwrap().unwrap();
        if let Some(sync_response::Item::ReceiptChanged(changed)) = item.item {
            break changed.receipt.unwrap();
        }
    };
    assert_eq!((receipt.user.as_str(), receipt.delivered_seq, receipt.displayed_seq), (mori.name.as_str(), 3, 2));
    assert!(receipt.deliver_time.is_some() && receipt.display_time.is_some());

    let list = |seq: &str| ListReceiptsRequest { parent: format!("{ward}{seq}"), ..ListReceiptsRequest::default() };
    let all = ito.messages().list_receipts(ito.with(list(""))).await.unwrap().into_inner();
    assert_eq!(all.receipts, [receipt]);
    let third = ito.messages().list_receipts(ito.with(list("/messages/3"))).await.unwrap().into_inner();
    assert_eq!((third.delivered_count, third.displayed_count), (1, 0));
    let second = ito.messages().list_receipts(ito.with(list("/messages/2"))).await.unwrap().into_inner();
    assert_eq!((second.delivered_count, second.displayed_count), (1, 1));
    assert_eq!(refused(mori.messages().list_receipts(mori.with(list("/messages/2"))).await), "NOT_PERMITTED");
}

#[tokio::test]
async fn reads_say_how_fresh_they_are() {
    let world = World::start().await;
    let ito = world.admin().await;
    let ward = ito.group("Ward", &[]).await;
    let sent = ito.send(&ward, "hello").await.unwrap();
    let read = |read: ReadOptions| {
        let request = ListMessagesRequest { parent: ward.clone(), read: Some(read), ..ListMessagesRequest::default() };
        let (ito, request) = (ito.clone(), ito.with(request));
        async move { ito.messages().list_messages(request).await.map(tonic::Response::into_inner) }
    };
    let at_least = |at_least: Vec<u8>| ReadOptions { at_least, ..ReadOptions::default() };
    let fresh = read(at_least(sent.cursor.clone())).await.unwrap().info.unwrap();
    assert_eq!((fresh.stale, fresh.cursor), (false, sent.cursor.clone()));
    assert_eq!(refused(read(at_least(vec![1, 2, 3])).await), "CURSOR_INVALID");
    assert_eq!(refused(read(at_least(cursor([0x11; 16], 1_000_000))).await), "BEHIND");
    assert_eq!(refused(read(at_least(cursor([0x22; 16], 1))).await), "LINEAGE_CHANGED");

    world.node.set_stale(Some(Duration::from_secs(0)));
    let stale = read(ReadOptions::default()).await.unwrap().info.unwrap();
    assert!(stale.stale && stale.age.is_some());
    world.node.set_no_majority(true);
    let linear = ReadOptions { linearizable: true, ..ReadOptions::default() };
    assert_eq!(refused(read(linear).await), "NO_MAJORITY");
    assert_eq!(refused(ito.send(&ward, "lost").await), "NO_MAJORITY");
    world.node.set_stale(Some(Duration::from_secs(9 * 3_600)));
    let any = ReadOptions { allow_stale: true, ..ReadOptions::default() };
    assert!(read(any).await.is_err());
}

/// A cursor as the services make it; tests may know its shape.
pub fn cursor(lineage: [u8; 16], number: u64) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let mut bytes = vec![1];
    bytes.extend_from_slice(&lineage);
    bytes.extend_from_slice(&number.to_be_bytes());
    let sum: [u8; 32] = Sha256::new().chain_update("tricord/cursor").chain_update(&bytes).finalize().into();
    bytes.extend_from_slice(&sum[..4]);
    bytes
}
