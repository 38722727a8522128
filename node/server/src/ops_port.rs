//! The ops port: is it alive, is it ready, what are its numbers. No names and no ids. The numbers tell how busy a ward is,
//! so they are for those who show a client certificate of the cluster's CA, or the token.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use prometheus::{Encoder, Registry, TextEncoder};
use tokio::net::TcpListener;
use tokio_stream::StreamExt;

use crate::accept::accept;
use crate::certificates::Shown;
use crate::page;
use crate::revocation::Revocations;
use crate::support::Diagnostics;

/// Connections at a time: a few scrapers and people.
const CONNECTIONS_MAX: usize = 64;
/// Longest connection; a scraper comes again.
const CONNECTION_MAX: Duration = Duration::from_secs(60);

/// Whether this node can do its work now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It has caught up and knows a leader.
    Ready,
    /// It is not yet, or no longer, of use to clients; the text says why.
    NotReady(&'static str),
}

/// What the port tells.
pub struct OpsPort {
    /// All metrics of this node.
    pub registry: Registry,
    /// Asked at each `/readyz`.
    pub readiness: Box<dyn Fn() -> Readiness + Send + Sync>,
    /// The token that opens `/metrics` without a client certificate, as `Authorization: Bearer`.
    pub metrics_token: Option<String>,
    /// The status page as of now.
    pub page: Box<dyn Fn() -> String + Send + Sync>,
    /// What a support bundle has of this node, as JSON.
    pub diagnostics: Diagnostics,
    /// Called before each `/metrics`, for what is read rather than counted.
    pub refresh: Box<dyn Fn() + Send + Sync>,
}

/// Serves until the task is dropped.
pub async fn serve(listener: TcpListener, tls: Shown, revocations: Arc<Revocations>, port: OpsPort) {
    let port = Arc::new(port);
    let mut connections = accept(listener, tls, revocations, CONNECTIONS_MAX);
    while let Some(Ok(connection)) = connections.next().await {
        let port = Arc::clone(&port);
        let certified = connection.is_certified();
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let port = Arc::clone(&port);
                async move { Ok::<_, Infallible>(port.answer(&request, certified)) }
            });
            let mut builder = auto::Builder::new(TokioExecutor::new());
            builder.http1().timer(TokioTimer::new());
            let served = builder.serve_connection(TokioIo::new(connection), service);
            if let Ok(Err(error)) = tokio::time::timeout(CONNECTION_MAX, served).await {
                tracing::debug!(%error, "a connection to the ops port failed");
            }
        });
    }
}

impl OpsPort {
    fn answer(&self, request: &Request<Incoming>, certified: bool) -> Response<Full<Bytes>> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return text(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD only\n");
        }
        match request.uri().path() {
            "/" => html((self.page)()),
            "/status.css" => respond(StatusCode::OK, "text/css; charset=utf-8", page::STYLE.into()),
            "/status.js" => respond(StatusCode::OK, "text/javascript; charset=utf-8", page::SCRIPT.into()),
            "/livez" => text(StatusCode::OK, "alive\n"),
            "/readyz" => match (self.readiness)() {
                Readiness::Ready => text(StatusCode::OK, "ready\n"),
                Readiness::NotReady(why) => text(StatusCode::SERVICE_UNAVAILABLE, &format!("not ready: {why}\n")),
            },
            "/metrics" if certified || self.has_token(request) => self.metrics(),
            "/metrics" => text(StatusCode::UNAUTHORIZED, "a client certificate or the metrics token is needed\n"),
            // The token is a scraper's: log lines are not for it.
            "/diagnostics" if certified => {
                respond(StatusCode::OK, "application/json", (self.diagnostics)().into_bytes())
            }
            "/diagnostics" => text(StatusCode::UNAUTHORIZED, "a client certificate is needed\n"),
            _ => text(StatusCode::NOT_FOUND, "here are / (the status page), /livez, /readyz and /metrics\n"),
        }
    }

    fn has_token(&self, request: &Request<Incoming>) -> bool {
        let Some(token) = &self.metrics_token else { return false };
        let shown = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let shown = shown.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        // Every byte is looked at, so that the time taken does not tell how many were right.
        shown.len() == token.len()
            && shown.bytes().zip(token.bytes()).fold(0, |differing, (one, other)| differing | (one ^ other)) == 0
    }

    fn metrics(&self) -> Response<Full<Bytes>> {
        (self.refresh)();
        let encoder = TextEncoder::new();
        let mut body = Vec::new();
        if let Err(error) = encoder.encode(&self.registry.gather(), &mut body) {
            tracing::warn!(%error, "could not write the metrics");
            return text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written\n");
        }
        respond(StatusCode::OK, encoder.format_type(), body)
    }
}

/// A page that takes nothing from elsewhere, is shown in nobody's frame and kept by nobody.
fn html(body: String) -> Response<Full<Bytes>> {
    const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; \
                          form-action 'none'; frame-ancestors 'none'";
    let mut response = respond(StatusCode::OK, "text/html; charset=utf-8", body.into_bytes());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn text(status: StatusCode, body: &str) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", body.as_bytes().to_vec())
}

fn respond(status: StatusCode, kind: &str, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    if let Ok(kind) = kind.parse() {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
