//! A client as real ones are: 500 ms for an attempt, then the next node, with the same number.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proto::v1::session_service_client::SessionServiceClient;
use proto::v1::{Credentials, EnrolRequest, RequestId, SignInRequest};
use tokio::time::{Instant, sleep, timeout};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request, Response, Status};

use crate::{Failure, Links, Node, Numbers, Result, reason, retryable};

/// How long one attempt may take.
pub const ATTEMPT: Duration = Duration::from_millis(500);
/// How long a client goes on trying before it gives up.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Between attempts, so that a cluster without a leader is not flooded.
const PAUSE: Duration = Duration::from_millis(20);
/// An attempt at signing in, which hashes a password and may wait in a queue for it.
const SIGN_IN_ATTEMPT: Duration = Duration::from_secs(20);

static SERIAL: AtomicUsize = AtomicUsize::new(0);

/// A connection that carries a session's token.
pub type Wire = InterceptedService<Channel, Bearer>;

/// Adds the session's token to each call.
#[derive(Clone, Debug)]
pub struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> std::result::Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// One session of one user.
#[derive(Debug)]
pub struct Client {
    links: Links,
    serial: usize,
    node: AtomicUsize,
    bearer: Bearer,
    /// Its request numbers.
    pub numbers: Numbers,
    /// What it got at sign-in.
    pub credentials: Credentials,
}

impl Client {
    /// Sets a password with a one-time code. An attempt whose answer was lost is followed by a sign-in.
    pub async fn enrol(links: &Links, node: Node, login: &str, code: &str, password: &str) -> Result<Self> {
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let mut lost = false;
        let began = Instant::now();
        let mut at = node;
        loop {
            let mut client = SessionServiceClient::new(links.to(at, serial)?);
            let request = EnrolRequest {
                login: login.to_owned(),
                code: code.to_owned(),
                password: password.to_owned(),
                ..EnrolRequest::default()
            };
            match attempt(SIGN_IN_ATTEMPT, client.enrol(request)).await {
                Ok(answer) => return Self::begin(links, serial, at, answer.credentials),
                Err(status) if lost && reason(&status) == "BAD_CODE" => {
                    return Self::sign_in(links, at, login, password).await;
                }
                Err(status) if retryable(&status) && began.elapsed() < PATIENCE => lost = true,
                Err(status) => return Err(told(&format!("enrol {login}"), &status)),
            }
            at = (at + 1) % 3;
            sleep(PAUSE * 5).await;
        }
    }

    /// Signs in on a new device, first at this node.
    pub async fn sign_in(links: &Links, node: Node, login: &str, password: &str) -> Result<Self> {
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let began = Instant::now();
        let mut at = node;
        loop {
            let mut client = SessionServiceClient::new(links.to(at, serial)?);
            let request =
                SignInRequest { login: login.to_owned(), password: password.to_owned(), ..SignInRequest::default() };
            match attempt(SIGN_IN_ATTEMPT, client.sign_in(request)).await {
                Ok(answer) => return Self::begin(links, serial, at, answer.credentials),
                Err(status) if retryable(&status) && began.elapsed() < PATIENCE => {}
                Err(status) => return Err(told(&format!("sign in as {login}"), &status)),
            }
            at = (at + 1) % 3;
            sleep(PAUSE * 5).await;
        }
    }

    fn begin(links: &Links, serial: usize, node: Node, credentials: Option<Credentials>) -> Result<Self> {
        let credentials = credentials.ok_or("an answer without credentials")?;
        let mut token: MetadataValue<Ascii> = format!("Bearer {}", credentials.token).parse()?;
        token.set_sensitive(true);
        Ok(Self {
            links: links.clone(),
            serial,
            node: AtomicUsize::new(node),
            bearer: Bearer(token),
            numbers: Numbers::new(credentials.next_number),
            credentials,
        })
    }

    /// `users/{id}` of who signed in.
    #[must_use]
    pub fn user(&self) -> &str {
        self.credentials.user.as_ref().map_or("", |user| &user.name)
    }

    /// The node it talks to now.
    #[must_use]
    pub fn node(&self) -> Node {
        self.node.load(Ordering::Relaxed)
    }

    /// Talks to this node from now on.
    pub fn move_to(&self, node: Node) {
        self.node.store(node % 3, Ordering::Relaxed);
    }

    /// The connection to the node it talks to now.
    pub fn wire(&self) -> Result<Wire> {
        self.wire_to(self.node())
    }

    /// The connection to a certain node.
    pub fn wire_to(&self, node: Node) -> Result<Wire> {
        Ok(InterceptedService::new(self.links.to(node, self.serial)?, self.bearer.clone()))
    }

    /// A connection to a certain node that nobody shares.
    pub fn own_wire_to(&self, node: Node) -> Result<Wire> {
        Ok(InterceptedService::new(self.links.endpoint(node)?.connect_lazy(), self.bearer.clone()))
    }

    /// Likewise, one whose machine takes no more than so many bytes that are not read.
    pub fn narrow_wire_to(&self, node: Node, bytes: u32) -> Result<Wire> {
        let endpoint =
            self.links.endpoint(node)?.initial_stream_window_size(bytes).initial_connection_window_size(bytes);
        Ok(InterceptedService::new(endpoint.connect_lazy(), self.bearer.clone()))
    }

    /// Writes with a new number, and goes on trying with it, on one node after the other, until there is an answer.
    pub async fn write<T, F, Fut>(&self, call: F) -> std::result::Result<T, Status>
    where
        F: Fn(Wire, RequestId) -> Fut,
        Fut: Future<Output = std::result::Result<Response<T>, Status>>,
    {
        let number = self.numbers.take();
        let answer = self.retry(|wire| call(wire, self.numbers.request_id(number))).await;
        self.numbers.done(number);
        answer
    }

    /// Reads, and goes on trying on one node after the other.
    pub async fn read<T, F, Fut>(&self, call: F) -> std::result::Result<T, Status>
    where
        F: Fn(Wire) -> Fut,
        Fut: Future<Output = std::result::Result<Response<T>, Status>>,
    {
        self.retry(call).await
    }

    /// One attempt at the node it talks to now, without another.
    pub async fn once<T, F, Fut>(&self, limit: Duration, call: F) -> std::result::Result<T, Status>
    where
        F: Fn(Wire) -> Fut,
        Fut: Future<Output = std::result::Result<Response<T>, Status>>,
    {
        let wire = self.wire().map_err(|error| Status::unavailable(error.to_string()))?;
        attempt(limit, call(wire)).await
    }

    async fn retry<T, F, Fut>(&self, call: F) -> std::result::Result<T, Status>
    where
        F: Fn(Wire) -> Fut,
        Fut: Future<Output = std::result::Result<Response<T>, Status>>,
    {
        let began = Instant::now();
        // Longer attempts later: a call that needs more than 500 ms on a busy machine must end some time.
        let mut limit = ATTEMPT;
        loop {
            let node = self.node();
            match self.once(limit, &call).await {
                Err(status) if retryable(&status) && began.elapsed() < PATIENCE => {
                    self.move_to(node + 1);
                    if began.elapsed() > ATTEMPT * 6 {
                        limit = (limit * 2).min(ATTEMPT * 16);
                    }
                    sleep(PAUSE).await;
                }
                answer => return answer,
            }
        }
    }
}

async fn attempt<T>(
    limit: Duration,
    call: impl Future<Output = std::result::Result<Response<T>, Status>>,
) -> std::result::Result<T, Status> {
    match timeout(limit, call).await {
        Ok(answer) => answer.map(Response::into_inner),
        Err(_) => Err(Status::new(Code::DeadlineExceeded, "no answer within the attempt")),
    }
}

fn told(doing: &str, status: &Status) -> Failure {
    format!("{doing}: {:?} {} {}", status.code(), reason(status), status.message()).into()
}
