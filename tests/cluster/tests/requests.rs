//! Bad input gets a clear error with a stable reason, and no change.

use std::time::Duration;

use cluster::{Client, Cluster, Options, Person, Result, create_group, enrol_all, reason};
use proto::v1::message_service_client::MessageServiceClient;
use proto::v1::sync_service_client::SyncServiceClient;
use proto::v1::{
    GetMessageRequest, ListMessagesRequest, OutgoingMessage, ReadOptions, RequestId, SendMessageRequest,
    SendMessageResponse, SyncRequest,
};
use tonic::{Code, Status};

/// A send as a later release may have it.
#[derive(Clone, PartialEq, prost::Message)]
struct Newer {
    #[prost(message, optional, tag = "1")]
    message: Option<OutgoingMessage>,
    #[prost(message, optional, tag = "2")]
    request_id: Option<RequestId>,
    #[prost(uint32, tag = "1000")]
    priority: u32,
}

async fn send(client: &Client, message: OutgoingMessage, id: RequestId) -> std::result::Result<u64, Status> {
    let wire = client.wire().map_err(|error| Status::internal(error.to_string()))?;
    let request = SendMessageRequest { message: Some(message), request_id: Some(id) };
    MessageServiceClient::new(wire).send_message(request).await.map(|answer| answer.into_inner().seq)
}

fn text(conversation: &str, text: &[u8]) -> OutgoingMessage {
    OutgoingMessage { conversation: conversation.into(), text: text.to_vec(), ..OutgoingMessage::default() }
}

fn id(number: u64, settled: u64) -> RequestId {
    RequestId { number, settled }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: std::result::Result<T, Status>, code: Code, why: &str) -> String {
    let status = answer.expect_err("it must be refused");
    assert_eq!((status.code(), reason(&status).as_str()), (code, why), "{}", status.message());
    status.message().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_refused_with_a_stable_reason_and_change_nothing() -> Result<()> {
    let cluster = Cluster::found(Options::default()).await?;
    let people = [Person::new("ito", "Dr Ito"), Person::new("weber", "A. Weber"), Person::new("okafor", "Dr Okafor")];
    let clients = enrol_all(cluster.links(), cluster.admin(), &people, || {}).await?;
    let (ito, weber, okafor) = (&clients[0], &clients[1], &clients[2]);
    let ward = create_group(ito, "Ward 3", &[weber.user().to_owned()]).await?;
    let first = weber.credentials.next_number;

    // Texts.
    refused(send(weber, text(&ward, b""), id(first, first)).await, Code::InvalidArgument, "INVALID");
    refused(send(weber, text(&ward, b"\xff\xfe"), id(first, first)).await, Code::InvalidArgument, "INVALID");
    let long = vec![b'x'; 16 * 1024 + 1_204];
    let told = refused(send(weber, text(&ward, &long), id(first, first)).await, Code::InvalidArgument, "INVALID");
    assert!(told.contains("1,204 bytes"), "{told}");

    // Request numbers. The refusals above changed nothing: the number is still free, and the first seq is 1.
    assert_eq!(send(weber, text(&ward, b"one"), id(first, first)).await?, 1);
    assert_eq!(send(weber, text(&ward, b"one"), id(first, first)).await?, 1, "a retry has the same answer");
    let other = send(weber, text(&ward, b"other"), id(first, first)).await;
    refused(other, Code::InvalidArgument, "REQUEST_ID_REUSED");
    assert_eq!(send(weber, text(&ward, b"two"), id(first + 1, first + 1)).await?, 2);
    let old = send(weber, text(&ward, b"one"), id(first, first)).await;
    refused(old, Code::FailedPrecondition, "DEDUP_EXPIRED");
    let beyond = send(weber, text(&ward, b"far"), id(first + 1 + 1_024, first + 1)).await;
    refused(beyond, Code::ResourceExhausted, "WINDOW_EXCEEDED");

    // What one may not see answers as what does not exist.
    let theirs = refused(send(okafor, text(&ward, b"hello"), id(first, first)).await, Code::NotFound, "NOT_FOUND");
    let nowhere = "conversations/00000000000000000000000000000001";
    let nothing =
        refused(send(okafor, text(nowhere, b"hello"), id(first + 1, first)).await, Code::NotFound, "NOT_FOUND");
    assert_eq!(theirs.replace(&ward, ""), nothing.replace(nowhere, ""), "the two must not be told apart");
    let mut reader = MessageServiceClient::new(okafor.wire()?);
    let request = ListMessagesRequest { parent: ward.clone(), ..ListMessagesRequest::default() };
    refused(reader.list_messages(request).await, Code::NotFound, "NOT_FOUND");
    let request = GetMessageRequest { name: format!("{ward}/messages/1"), read: None };
    refused(reader.get_message(request).await, Code::NotFound, "NOT_FOUND");

    // Pages and cursors.
    let mut reader = MessageServiceClient::new(weber.wire()?);
    let request =
        ListMessagesRequest { parent: ward.clone(), page_size: 1_000_000_000, ..ListMessagesRequest::default() };
    match reader.list_messages(request).await {
        Ok(page) => assert_eq!(page.into_inner().messages.len(), 2, "a large page is cut to the largest"),
        Err(status) => drop(refused::<()>(Err(status), Code::InvalidArgument, "INVALID")),
    }
    let mut sync = SyncServiceClient::new(weber.wire()?);
    let garbage = SyncRequest { cursor: b"not a cursor".to_vec(), ..SyncRequest::default() };
    refused(sync.sync(garbage).await.map(|_| ()), Code::InvalidArgument, "CURSOR_INVALID");

    // A client of a later release asks for something that this one would leave out.
    let newer = Newer { message: Some(text(&ward, b"three")), request_id: Some(id(first + 2, first + 2)), priority: 9 };
    let mut raw = tonic::client::Grpc::new(weber.wire()?);
    raw.ready().await.map_err(|_| "the connection is not ready")?;
    let codec = tonic_prost::ProstCodec::<Newer, SendMessageResponse>::default();
    let path = http::uri::PathAndQuery::from_static("/tricord.v1.MessageService/SendMessage");
    let told =
        refused(raw.unary(tonic::Request::new(newer), path, codec).await, Code::InvalidArgument, "UNKNOWN_FIELD");
    assert!(told.contains("field 1000"), "{told}");

    // Two messages are there, and no more.
    let read = Some(ReadOptions { linearizable: true, ..ReadOptions::default() });
    let page =
        reader.list_messages(ListMessagesRequest { parent: ward, read, ..ListMessagesRequest::default() }).await?;
    let texts: Vec<String> = page.into_inner().messages.into_iter().map(|message| message.text).collect();
    assert_eq!(texts, ["one", "two"]);
    cluster.check_logs(&[])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_without_a_session_learns_nothing() -> Result<()> {
    let cluster = Cluster::found(Options::default()).await?;
    let channel = cluster.links().to(0, 0)?;
    let request = ListMessagesRequest { parent: "conversations/x".into(), ..ListMessagesRequest::default() };
    let none = MessageServiceClient::new(channel.clone()).list_messages(request.clone()).await;
    refused(none, Code::Unauthenticated, "NO_SESSION");
    let mut forged = tonic::Request::new(request);
    forged.metadata_mut().insert("authorization", format!("Bearer {}", "0".repeat(64)).parse()?);
    refused(MessageServiceClient::new(channel).list_messages(forged).await, Code::Unauthenticated, "NO_SESSION");
    for login in ["admin", "nobody-of-this-name"] {
        let error = Client::sign_in(cluster.links(), 1, login, "not the password").await.err().ok_or("signed in")?;
        assert!(error.to_string().contains("BAD_CREDENTIALS"), "{error}");
    }
    // Without TLS there is no answer at all.
    let plain = tonic::transport::Endpoint::from_shared(format!("http://{}", cluster.links().address(0)))?
        .timeout(Duration::from_secs(3))
        .connect_lazy();
    let status = MessageServiceClient::new(plain).list_messages(ListMessagesRequest::default()).await;
    assert!(status.is_err(), "a client without TLS was answered");
    cluster.check_logs(&[])
}
