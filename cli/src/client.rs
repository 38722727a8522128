//! A connection to the cluster: whichever node answers. An attempt gets 500 ms, then the next node, with the same request.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Response, Status};

use proto::v1::session_service_client::SessionServiceClient;

use crate::error::{Error, Result};
use crate::judge::{self, Verdict, judge};
use crate::renewal::Renewal;
use crate::restored::Restored;

/// How long one attempt may take in the first round; doubled in each later one, for a cluster that is slow but alive.
const ATTEMPT: Duration = Duration::from_millis(500);
/// The longest an attempt may take.
const ATTEMPT_MAX: Duration = Duration::from_secs(4);
/// How long one node may take to renew a token: a majority must agree.
const RENEWAL: Duration = Duration::from_secs(2);
/// How long to wait once every node was tried.
const ROUND_PAUSE: Duration = Duration::from_millis(100);
/// What the address of a node's local socket begins with; a path follows.
const LOCAL: &str = "unix:";
/// Answers may be a little larger than a page.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What is asked, and how patiently.
pub struct Call {
    /// What is being done, to what: "send a message to #ward".
    pub doing: String,
    /// A first attempt's time.
    pub attempt: Duration,
    /// Whether it changes something.
    pub writes: bool,
    /// Whether it carries a secret, of which not even a hash may be kept.
    pub secret: bool,
    /// How long to go on trying, if not as long as the client does in general.
    pub within: Option<Duration>,
}

impl Call {
    /// A read.
    pub fn read(doing: impl Into<String>) -> Self {
        Self { doing: doing.into(), attempt: ATTEMPT, writes: false, secret: false, within: None }
    }

    /// A write.
    pub fn write(doing: impl Into<String>) -> Self {
        Self { writes: true, ..Self::read(doing) }
    }

    /// Something to report on soon, whoever goes on trying.
    pub fn within(self, limit: Duration) -> Self {
        Self { within: Some(limit), ..self }
    }

    /// Something that carries a secret.
    pub fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    /// Something that takes the server long by intent: the hashing of passwords.
    pub fn slow(self) -> Self {
        Self { attempt: ATTEMPT_MAX, ..self }
    }
}

struct Node {
    address: String,
    endpoint: Endpoint,
    channel: Mutex<Option<Channel>>,
}

/// A client of all nodes.
pub struct Client {
    nodes: Vec<Node>,
    preferred: AtomicUsize,
    bearer: Mutex<Option<MetadataValue<Ascii>>>,
    renewal: Option<Renewal>,
    /// Held while the token is renewed: the others wait for it.
    renewing: tokio::sync::Mutex<()>,
    /// What a node said last of a history that has ended, until somebody is told.
    restored: Mutex<Option<Restored>>,
    deadline: Duration,
}

impl Client {
    /// A client of these nodes. Connects when first asked.
    pub fn new(addresses: &[String], ca: Option<&[u8]>, deadline: Duration) -> Result<Self> {
        if addresses.is_empty() {
            return Err(Error::Usage("no node is known: name one with --node HOST:PORT (and --ca FILE)".into()));
        }
        let needed = || Error::Usage("no certificate authority is known: name its file with --ca FILE".into());
        let local = addresses.iter().all(|address| address.starts_with(LOCAL));
        let ca = if local { ca.unwrap_or_default() } else { ca.ok_or_else(needed)? };
        let nodes = addresses.iter().map(|address| Node::new(address, ca)).collect::<Result<_>>()?;
        let (preferred, bearer) = (AtomicUsize::new(0), Mutex::new(None));
        let (renewing, restored) = (tokio::sync::Mutex::new(()), Mutex::new(None));
        Ok(Self { nodes, preferred, bearer, renewal: None, renewing, restored, deadline })
    }

    /// That the cluster was restored, if a node said so since this was last asked.
    pub fn take_restored(&self) -> Option<Restored> {
        self.restored.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn note_restored(&self, status: &Status) {
        if let Some(restored) = Restored::of(status) {
            *self.restored.lock().unwrap_or_else(PoisonError::into_inner) = Some(restored);
        }
    }

    /// Signs all later calls with this token.
    pub fn authorize(&self, token: &str) -> Result<()> {
        let bearer = format!("Bearer {token}").parse::<MetadataValue<Ascii>>().map_err(|_| Error::Content {
            doing: "use the session".into(),
            why: "the stored token is damaged; sign in again".into(),
        })?;
        *self.bearer.lock().unwrap_or_else(PoisonError::into_inner) = Some(bearer);
        Ok(())
    }

    /// Renews the token with this, from now on, in good time and when a node says that it has expired.
    pub fn renew_with(&mut self, renewal: Renewal) {
        self.renewal = Some(renewal);
    }

    /// Sees to it that the token is good: renews it if that is due, or was said to be.
    ///
    /// What cannot be renewed now is tried as it is: the answer to that says more.
    async fn freshen(&self, expired: bool) {
        let Some(renewal) = &self.renewal else { return };
        if !expired && !renewal.is_due() {
            return;
        }
        let _one_at_a_time = self.renewing.lock().await;
        if let Some(token) = renewal.newer() {
            let _ = self.authorize(&token);
            return; // Another process of this profile was first.
        }
        if !expired && !renewal.is_due() {
            return; // Another call was.
        }
        let first = self.preferred.load(Ordering::Relaxed);
        for step in 0..self.nodes.len() {
            let Ok(Some(proof)) = renewal.proof() else { return };
            let index = (first + step) % self.nodes.len();
            let asked = self.attempt(index, RENEWAL, proof, &crate::rpc!(SessionServiceClient.refresh_session)).await;
            match asked {
                Ok(answer) => {
                    if renewal.keep(&answer).is_ok() {
                        let _ = self.authorize(&answer.token);
                    }
                    return;
                }
                Err(Attempt::Failed(status)) if judge(&status).verdict == Verdict::Final => return,
                Err(_) => {}
            }
        }
    }

    /// The addresses, in the order given.
    pub fn addresses(&self) -> Vec<&str> {
        self.nodes.iter().map(|node| node.address.as_str()).collect()
    }

    /// Where the last call that was answered went.
    pub fn current(&self) -> &str {
        &self.nodes[self.preferred.load(Ordering::Relaxed) % self.nodes.len()].address
    }

    /// Begins with this node, if it is one of them.
    pub fn prefer(&self, address: &str) {
        if let Some(index) = self.nodes.iter().position(|node| node.address == address) {
            self.preferred.store(index, Ordering::Relaxed);
        }
    }

    /// Begins with the node after this one.
    pub fn avoid(&self, address: &str) {
        if self.current() == address {
            let next = self.preferred.load(Ordering::Relaxed) + 1;
            self.preferred.store(next % self.nodes.len(), Ordering::Relaxed);
        }
    }

    /// Asks until a node gives a final answer or the deadline passes. `body` makes the request for a round: 0 for the
    /// first attempts at each node, then 1 and so on.
    pub async fn call<Q, A, B, F, Fut>(&self, call: &Call, body: B, f: F) -> Result<A>
    where
        B: Fn(u32) -> Q,
        F: Fn(Channel, Request<Q>) -> Fut,
        Fut: Future<Output = Result<Response<A>, Status>>,
    {
        let limit = call.within.unwrap_or(self.deadline);
        let deadline = Instant::now() + limit;
        let first = self.preferred.load(Ordering::Relaxed);
        let mut tried = Tried { call, seconds: limit.as_secs(), attempts: Vec::new(), uncertain: false, last: None };
        self.freshen(false).await;
        for round in 0_u32.. {
            for step in 0..self.nodes.len() {
                let index = (first + step) % self.nodes.len();
                let limit = (call.attempt * 2_u32.saturating_pow(round)).min(ATTEMPT_MAX);
                let limit = limit.min(deadline.saturating_duration_since(Instant::now()));
                if limit.is_zero() {
                    return Err(tried.error());
                }
                match self.attempt(index, limit, body(round), &f).await {
                    Ok(answer) => {
                        self.preferred.store(index, Ordering::Relaxed);
                        return Ok(answer);
                    }
                    Err(Attempt::NotSent(why)) => tried.note(&self.nodes[index].address, why),
                    Err(Attempt::Failed(status)) => {
                        if judge::reason(&status) == "TOKEN_EXPIRED" {
                            self.freshen(true).await;
                        }
                        let pause = tried.failed(&self.nodes[index].address, status, round)?;
                        tokio::time::sleep_until((Instant::now() + pause).min(deadline)).await;
                    }
                }
            }
            tokio::time::sleep_until((Instant::now() + ROUND_PAUSE).min(deadline)).await;
        }
        Err(tried.error())
    }

    /// Opens a stream at one node: the preferred one. Whoever reads it decides where to go when it ends.
    pub async fn open<Q, A, F, Fut>(&self, body: Q, f: F) -> std::result::Result<A, Status>
    where
        F: Fn(Channel, Request<Q>) -> Fut,
        Fut: Future<Output = Result<Response<A>, Status>>,
    {
        self.freshen(false).await;
        let node = &self.nodes[self.preferred.load(Ordering::Relaxed) % self.nodes.len()];
        let channel = node.connect(Duration::from_secs(1)).await.map_err(Status::unavailable)?;
        let opened = tokio::time::timeout(Duration::from_secs(2), f(channel, self.request(body))).await;
        let opened = opened.unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer")));
        match &opened {
            Err(status) if judge::reason(status) == "TOKEN_EXPIRED" => self.freshen(true).await,
            Err(status) => {
                self.note_restored(status);
                node.forget();
            }
            Ok(_) => {}
        }
        opened.map(Response::into_inner)
    }

    async fn attempt<Q, A, F, Fut>(&self, index: usize, limit: Duration, body: Q, f: &F) -> Result<A, Attempt>
    where
        F: Fn(Channel, Request<Q>) -> Fut,
        Fut: Future<Output = Result<Response<A>, Status>>,
    {
        let node = &self.nodes[index];
        let begin = Instant::now();
        let channel = node.connect(limit).await.map_err(Attempt::NotSent)?;
        let left = limit.saturating_sub(begin.elapsed()).max(Duration::from_millis(50));
        let mut request = self.request(body);
        request.set_timeout(left);
        match tokio::time::timeout(left, f(channel, request)).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => {
                self.note_restored(&status);
                if is_transport(&status) {
                    node.forget();
                }
                Err(Attempt::Failed(status))
            }
            Err(_) => {
                node.forget();
                Err(Attempt::Failed(Status::deadline_exceeded("no answer in time")))
            }
        }
    }

    fn request<Q>(&self, body: Q) -> Request<Q> {
        let mut request = Request::new(body);
        if let Some(bearer) = &*self.bearer.lock().unwrap_or_else(PoisonError::into_inner) {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        request
    }
}

/// The largest answer a service client takes.
pub const fn answer_bytes_max() -> usize {
    ANSWER_BYTES_MAX
}

enum Attempt {
    NotSent(String),
    Failed(Status),
}

impl Node {
    fn new(address: &str, ca: &[u8]) -> Result<Self> {
        let wrong = |why: String| Error::Usage(format!("the node address {address:?}: {why}; HOST:PORT is needed"));
        if address.starts_with(LOCAL) {
            // The kernel says who asks, and to whom: no certificate is needed.
            let endpoint = Endpoint::from_shared(address.to_owned()).map_err(|error| wrong(chain(&error)))?;
            return Ok(Self { address: address.to_owned(), endpoint, channel: Mutex::new(None) });
        }
        if address.contains('/') {
            return Err(wrong("no scheme and no path".into()));
        }
        if address.rsplit_once(':').is_none_or(|(host, port)| host.is_empty() || port.parse::<u16>().is_err()) {
            return Err(wrong("no port".into()));
        }
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
        let endpoint = Endpoint::from_shared(format!("https://{address}"))
            .and_then(|endpoint| endpoint.user_agent(concat!("tricord-cli/", env!("CARGO_PKG_VERSION"))))
            .map_err(|error| wrong(chain(&error)))?
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_secs(2))
            .keep_alive_timeout(Duration::from_secs(2))
            .keep_alive_while_idle(true)
            .tls_config(tls)
            .map_err(|error| Error::Content { doing: "use the certificate authority".into(), why: chain(&error) })?;
        Ok(Self { address: address.to_owned(), endpoint, channel: Mutex::new(None) })
    }

    async fn connect(&self, limit: Duration) -> Result<Channel, String> {
        if let Some(channel) = &*self.channel.lock().unwrap_or_else(PoisonError::into_inner) {
            return Ok(channel.clone());
        }
        let connected = tokio::time::timeout(limit, self.endpoint.connect()).await;
        let channel = connected.map_err(|_| "no answer".to_owned())?.map_err(|error| plain(&chain(&error)))?;
        *self.channel.lock().unwrap_or_else(PoisonError::into_inner) = Some(channel.clone());
        Ok(channel)
    }

    fn forget(&self) {
        *self.channel.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// What became of the attempts so far.
struct Tried<'a> {
    call: &'a Call,
    seconds: u64,
    attempts: Vec<(String, String)>,
    uncertain: bool,
    last: Option<Error>,
}

impl Tried<'_> {
    fn note(&mut self, address: &str, why: String) {
        self.attempts.retain(|(known, _)| known != address);
        self.attempts.push((address.to_owned(), why));
    }

    /// The pause before the next attempt, or the final error.
    fn failed(&mut self, address: &str, status: Status, round: u32) -> Result<Duration> {
        let judgement = judge(&status);
        let refused = Error::Refused {
            doing: self.call.doing.clone(),
            reason: judgement.reason.clone(),
            why: status.message().to_owned(),
            fields: judge::fields(&status),
        };
        // A node that is behind may not know a session yet that is a moment old: every node is asked once.
        let unknown_session = judgement.reason == "NO_SESSION";
        match judgement.verdict {
            Verdict::Final if unknown_session && round == 0 => {}
            Verdict::Final if unknown_session && self.uncertain && self.call.writes => return Err(self.error()),
            Verdict::Final => return Err(refused),
            Verdict::Next(_) => self.uncertain |= judgement.uncertain,
        }
        self.note(address, judgement.reason.clone());
        if judgement.reason == judgement.reason.to_uppercase() && !is_transport(&status) {
            self.last = Some(refused);
        }
        Ok(if let Verdict::Next(pause) = judgement.verdict { pause } else { Duration::ZERO })
    }

    fn error(&mut self) -> Error {
        let mut tried = String::new();
        for (address, why) in &self.attempts {
            let comma = if tried.is_empty() { "" } else { ", " };
            let _ = write!(tried, "{comma}{address}: {why}");
        }
        let (doing, seconds) = (self.call.doing.clone(), self.seconds);
        if self.call.writes && self.uncertain {
            return Error::Unconfirmed { doing, seconds, tried };
        }
        self.last.take().unwrap_or(Error::NoAnswer { doing, seconds, tried })
    }
}

/// Whether the status was made here, because there was no answer.
fn is_transport(status: &Status) -> bool {
    use tonic_types::StatusExt;
    status.get_details_error_info().is_none()
        && matches!(
            status.code(),
            tonic::Code::Unavailable
                | tonic::Code::Unknown
                | tonic::Code::Cancelled
                | tonic::Code::DeadlineExceeded
                | tonic::Code::Internal
        )
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            let _ = write!(text, ": {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// The usual causes in a few words, with what mends them where that is not plain.
fn plain(why: &str) -> String {
    let says = |words: &[&str]| words.iter().any(|word| why.contains(word));
    let words = if says(&["Connection refused"]) {
        "refused"
    } else if says(&["UnknownIssuer"]) {
        "its certificate is not signed by the authority of --ca; is that file this cluster's ca.crt?"
    } else if says(&[".peer.tricord"]) {
        "this is the port for nodes among themselves; clients have another"
    } else if says(&["NotValidForName", "not valid for name"]) {
        "its certificate is for another name than this address"
    } else if says(&["Expired", "certificate expired"]) {
        "its certificate has expired; as root on its machine: tricord node renew-certificates"
    } else if says(&["NotValidYet", "not valid yet"]) {
        "its certificate is not valid yet; is a clock wrong?"
    } else if says(&["NoApplicationProtocol"]) {
        "this is no port for clients; is it the one for operators?"
    } else if says(&["InvalidContentType", "corrupt message"]) {
        "it does not speak TLS: another service's port?"
    } else if says(&["dns error", "lookup"]) {
        "unknown host"
    } else {
        why
    };
    words.to_owned()
}

#[cfg(test)]
mod tests;
