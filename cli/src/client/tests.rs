//! Failover against real TLS servers in this process.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use proto::v1;
use proto::v1::message_service_client::MessageServiceClient;
use proto::v1::message_service_server::{MessageService, MessageServiceServer};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::Code;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic_types::{ErrorDetails, StatusExt};

use super::*;
use crate::pki::Authority;
use crate::rpc;
use crate::session::Session;
use crate::store::{State, Store};

#[derive(Clone, Copy, PartialEq)]
enum Manner {
    Answers,
    Hangs,
    KnowsNoSession,
    HasNoMajority,
}

#[derive(Clone)]
struct Fake {
    manner: Manner,
    /// Numbers that came, in order, over all nodes.
    seen: Arc<Mutex<Vec<u64>>>,
    calls: Arc<AtomicU64>,
}

#[tonic::async_trait]
impl MessageService for Fake {
    type StreamMessagesStream = tokio_stream::Empty<Result<v1::StreamMessagesResponse, Status>>;

    async fn send_message(
        &self,
        request: Request<v1::SendMessageRequest>,
    ) -> Result<Response<v1::SendMessageResponse>, Status> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let number = request.into_inner().request_id.unwrap_or_default().number;
        self.seen.lock().unwrap().push(number);
        let refuse =
            |code, reason| Status::with_error_details(code, "no", ErrorDetails::with_error_info(reason, "tricord", []));
        match self.manner {
            Manner::Answers => Ok(Response::new(v1::SendMessageResponse { seq: number, ..Default::default() })),
            Manner::Hangs => std::future::pending().await,
            Manner::KnowsNoSession => Err(refuse(Code::Unauthenticated, "NO_SESSION")),
            Manner::HasNoMajority => Err(refuse(Code::Unavailable, "NO_MAJORITY")),
        }
    }

    async fn stream_messages(
        &self,
        _: Request<tonic::Streaming<v1::StreamMessagesRequest>>,
    ) -> Result<Response<Self::StreamMessagesStream>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_messages(
        &self,
        _: Request<v1::ListMessagesRequest>,
    ) -> Result<Response<v1::ListMessagesResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_message(&self, _: Request<v1::GetMessageRequest>) -> Result<Response<v1::GetMessageResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn confirm_messages(
        &self,
        _: Request<v1::ConfirmMessagesRequest>,
    ) -> Result<Response<v1::ConfirmMessagesResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_receipts(
        &self,
        _: Request<v1::ListReceiptsRequest>,
    ) -> Result<Response<v1::ListReceiptsResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

struct Cluster {
    authority: Authority,
    addresses: Vec<String>,
    seen: Arc<Mutex<Vec<u64>>>,
    calls: Vec<Arc<AtomicU64>>,
}

async fn cluster(manners: &[Manner]) -> Cluster {
    let authority = Authority::create("test").unwrap();
    let mut cluster = Cluster { authority, addresses: Vec::new(), seen: Arc::default(), calls: Vec::new() };
    for &manner in manners {
        let issued = cluster.authority.client(&["127.0.0.1".into()], 1).unwrap();
        let tls = ServerTlsConfig::new().identity(Identity::from_pem(issued.certificate, issued.key));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        cluster.addresses.push(listener.local_addr().unwrap().to_string());
        let calls = Arc::<AtomicU64>::default();
        let fake = Fake { manner, seen: Arc::clone(&cluster.seen), calls: Arc::clone(&calls) };
        cluster.calls.push(calls);
        let server = Server::builder().tls_config(tls).unwrap().add_service(MessageServiceServer::new(fake));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    }
    cluster
}

fn session(cluster: &Cluster, dir: &std::path::Path, seconds: u64) -> Session {
    let ca = cluster.authority.certificate().as_bytes();
    let client = Client::new(&cluster.addresses, Some(ca), Duration::from_secs(seconds)).unwrap();
    client.authorize(&"a".repeat(64)).unwrap();
    Session { client, store: Store::new(dir), state: State::default(), quiet: true }
}

async fn send(session: &Session) -> Result<v1::SendMessageResponse> {
    let body = |id| v1::SendMessageRequest { message: None, request_id: Some(id) };
    session.write(Call::write("send"), body, rpc!(MessageServiceClient.send_message)).await
}

#[tokio::test]
async fn a_silent_node_is_passed_over_with_the_same_number_and_the_next_is_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = cluster(&[Manner::Hangs, Manner::Answers]).await;
    let session = session(&cluster, dir.path(), 10);
    let begin = Instant::now();
    assert_eq!(send(&session).await.unwrap().seq, 1);
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    assert_eq!(*cluster.seen.lock().unwrap(), [1, 1]);
    assert_eq!(session.client.current(), cluster.addresses[1]);
    assert_eq!(send(&session).await.unwrap().seq, 2);
    assert_eq!(*cluster.seen.lock().unwrap(), [1, 1, 2], "the silent one was not asked again");
    assert_eq!(session.store.read().unwrap().node, cluster.addresses[1]);
}

#[tokio::test]
async fn an_unconfirmed_write_is_repeated_under_its_number_by_the_next_invocation() {
    let dir = tempfile::tempdir().unwrap();
    let silent = cluster(&[Manner::Hangs]).await;
    let error = send(&session(&silent, dir.path(), 1)).await.unwrap_err();
    assert_eq!(error.code(), "OUTCOME_UNKNOWN");
    let answering = cluster(&[Manner::Answers]).await;
    let session = session(&answering, dir.path(), 5);
    assert_eq!(send(&session).await.unwrap().seq, 1, "the same number");
    assert_eq!(send(&session).await.unwrap().seq, 2, "what was answered is another message");
}

#[tokio::test]
async fn a_node_that_does_not_know_the_session_yet_does_not_have_the_last_word() {
    let dir = tempfile::tempdir().unwrap();
    let mixed = cluster(&[Manner::KnowsNoSession, Manner::Answers]).await;
    assert!(send(&session(&mixed, dir.path(), 5)).await.is_ok());
    let none = cluster(&[Manner::KnowsNoSession, Manner::KnowsNoSession]).await;
    let error = send(&session(&none, dir.path(), 5)).await.unwrap_err();
    assert_eq!(error.code(), "NO_SESSION");
    assert!(none.calls.iter().all(|calls| calls.load(Ordering::SeqCst) >= 1));
}

#[tokio::test]
async fn without_a_majority_the_reason_is_said_at_the_deadline_and_nothing_is_pending() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = cluster(&[Manner::HasNoMajority, Manner::HasNoMajority]).await;
    let session = session(&cluster, dir.path(), 1);
    let error = send(&session).await.unwrap_err();
    assert_eq!(error.code(), "NO_MAJORITY");
    assert!(session.store.read().unwrap().pending.is_empty());
}

#[tokio::test]
async fn when_nobody_listens_nothing_was_done_and_that_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = cluster(&[]).await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    cluster.addresses.push(free.local_addr().unwrap().to_string());
    drop(free);
    let error = send(&session(&cluster, dir.path(), 1)).await.unwrap_err();
    assert_eq!(error.code(), "NO_ANSWER");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_server_of_another_authority_is_not_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = cluster(&[Manner::Answers]).await;
    cluster.authority = Authority::create("other").unwrap();
    let error = send(&session(&cluster, dir.path(), 1)).await.unwrap_err();
    assert_eq!(error.code(), "NO_ANSWER", "{error}");
    assert!(cluster.seen.lock().unwrap().is_empty());
}

#[test]
fn what_is_wrong_with_a_certificate_is_said_in_words_that_help() {
    use rustls::{CertificateError as Bad, Error as Tls};
    let said = |error: Tls| plain(&format!("transport error: {error}"));
    let at = |seconds| rustls::pki_types::UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    for error in [Bad::Expired, Bad::ExpiredContext { time: at(2), not_after: at(1) }] {
        assert!(said(Tls::InvalidCertificate(error)).contains("renew-certificates"));
    }
    for error in [Bad::NotValidYet, Bad::NotValidYetContext { time: at(1), not_before: at(2) }] {
        assert!(said(Tls::InvalidCertificate(error)).contains("clock"));
    }
    let name = rustls::pki_types::ServerName::try_from("127.0.0.1").unwrap();
    let another =
        |presented: &str| Bad::NotValidForNameContext { expected: name.clone(), presented: vec![presented.to_owned()] };
    assert!(said(Tls::InvalidCertificate(Bad::NotValidForName)).contains("another name"));
    assert!(said(Tls::InvalidCertificate(another("DnsName(\"x.example\")"))).contains("another name"));
    assert!(said(Tls::InvalidCertificate(another("DnsName(\"a.00.peer.tricord\")"))).contains("among themselves"));
    assert!(said(Tls::InvalidCertificate(Bad::UnknownIssuer)).contains("ca.crt"));
    assert!(said(Tls::AlertReceived(rustls::AlertDescription::NoApplicationProtocol)).contains("operators"));
    assert!(Client::new(&["https://tricord-a:7401".into()], Some(b""), Duration::from_secs(1)).is_err());
}
