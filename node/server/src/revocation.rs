//! Certificates that were revoked are refused on every port, and connections that were opened with them are closed.
//!
//! The rows of the state say which; this node goes by those it has applied. A node that has none yet, as it joins, goes by the
//! authority alone until its first snapshot.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use prometheus::{IntCounterVec, Opts, Registry};
use raft::Handle;
use rustls::pki_types::CertificateDer;
use state::View;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use types::certificate::Serial;
use types::limits::CERTIFICATES_REVOKED_MAX;
use types::{Key, Row};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::Failure;

/// The rows are looked at no more often than this, however much is written.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What is revoked, and which connections stand on what.
pub struct Revocations {
    inner: Mutex<Inner>,
    refused: IntCounterVec,
}

#[derive(Default)]
struct Inner {
    revoked: BTreeSet<Serial>,
    open: HashMap<u64, (Vec<Serial>, CancellationToken)>,
    next: u64,
}

impl Revocations {
    /// Nothing is revoked yet.
    pub fn new(registry: &Registry) -> Result<Arc<Self>, Failure> {
        let opts = Opts::new(
            "tricord_server_revoked_connections_total",
            "Connections with a certificate that is revoked: refused at the handshake, or closed when it was revoked",
        );
        let refused = IntCounterVec::new(opts, &["result"])?;
        registry.register(Box::new(refused.clone()))?;
        Ok(Arc::new(Self { inner: Mutex::default(), refused }))
    }

    /// Goes by the rows of this view from now on.
    pub fn look<V: View>(&self, view: &V) -> Result<(), V::Fault> {
        let (from, to) = state::keys::revoked();
        let rows = view.scan(&from, &to, false, CERTIFICATES_REVOKED_MAX)?;
        let revoked = rows.into_iter().filter_map(|(key, row)| match (key, row) {
            (Key::Revoked(serial), Row::Revoked(_)) => Some(serial),
            _ => None,
        });
        self.replace(revoked.collect());
        Ok(())
    }

    pub(crate) fn replace(&self, revoked: BTreeSet<Serial>) {
        let mut inner = self.lock();
        if inner.revoked == revoked {
            return;
        }
        inner.revoked = revoked;
        let Inner { revoked, open, .. } = &*inner;
        for (serials, token) in open.values() {
            if let Some(serial) = serials.iter().find(|serial| revoked.contains(serial)) {
                tracing::warn!(%serial, "a connection is closed: its certificate was revoked");
                self.refused.with_label_values(&["closed"]).inc();
                token.cancel();
            }
        }
    }

    /// Follows what is applied here, until the task is dropped.
    pub async fn follow(self: Arc<Self>, node: impl Handle) {
        let mut heads = node.heads();
        loop {
            // A node that cannot read its state is stopped by the services.
            drop(self.look(&node.view()));
            tokio::time::sleep(LOOK_EVERY).await;
            if heads.changed().await.is_err() {
                return;
            }
        }
    }

    /// Whether any of these is revoked.
    pub fn has_any(&self, serials: &[Serial]) -> bool {
        let inner = self.lock();
        serials.iter().any(|serial| inner.revoked.contains(serial))
    }

    /// The connection, whose other end has shown these certificates; it breaks off when one of them is revoked.
    ///
    /// Errors: one of them is.
    pub fn guard<S>(self: &Arc<Self>, stream: S, shown: &[CertificateDer<'_>]) -> io::Result<Guarded<S>> {
        let serials: Vec<Serial> = shown.iter().filter_map(serial).collect();
        let token = CancellationToken::new();
        let mut inner = self.lock();
        // Under the lock: whatever is revoked from here on finds the connection among those that are open.
        if let Some(serial) = serials.iter().find(|serial| inner.revoked.contains(serial)) {
            self.refused.with_label_values(&["refused"]).inc();
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("the certificate with serial number {serial} was revoked"),
            ));
        }
        let number = inner.next;
        inner.next = number.wrapping_add(1);
        if !serials.is_empty() {
            inner.open.insert(number, (serials, token.clone()));
        }
        drop(inner);
        Ok(Guarded { stream, cut: Box::pin(token.cancelled_owned()), _place: Place { number, of: Arc::clone(self) } })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The serial number of a certificate.
pub fn serial(certificate: &CertificateDer<'_>) -> Option<Serial> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Serial::of(parsed.raw_serial())
}

/// Among the open connections while it lives.
struct Place {
    number: u64,
    of: Arc<Revocations>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.of.lock().open.remove(&self.number);
    }
}

/// A connection that breaks off when a certificate it stands on is revoked.
pub struct Guarded<S> {
    stream: S,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    _place: Place,
}

impl<S> Guarded<S> {
    /// What is below.
    pub const fn get_ref(&self) -> &S {
        &self.stream
    }

    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.cut.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::Error::new(io::ErrorKind::ConnectionAborted, "its certificate was revoked")),
            Poll::Pending => Ok(()),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn certificate() -> (CertificateDer<'static>, Serial) {
        let key = rcgen::KeyPair::generate().expect("a key");
        let params = rcgen::CertificateParams::new(vec!["b.example".to_owned()]).expect("a name");
        let der = params.self_signed(&key).expect("signed").der().clone();
        let serial = serial(&der).expect("a serial number");
        (der, serial)
    }

    #[tokio::test]
    async fn what_is_revoked_is_refused_and_what_stands_on_it_is_closed() {
        let revocations = Revocations::new(&Registry::new()).expect("registered");
        let ((one, number), (other, _)) = (certificate(), certificate());
        let (mut near, far) = tokio::io::duplex(64);
        let mut guarded = revocations.guard(far, std::slice::from_ref(&one)).expect("good");
        let (mut kept_near, kept) = tokio::io::duplex(64);
        let mut kept = revocations.guard(kept, &[other]).expect("good");
        near.write_all(b"x").await.expect("written");
        assert_eq!(guarded.read_u8().await.expect("read"), b'x');

        let reading = tokio::spawn(async move { guarded.read_u8().await });
        tokio::task::yield_now().await;
        revocations.replace(BTreeSet::from([number]));
        let cut = reading.await.expect("ended").expect_err("it waited for bytes, and is woken");
        assert_eq!(cut.kind(), io::ErrorKind::ConnectionAborted);
        let refused = revocations.guard(near, &[one]).err().expect("refused");
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        kept_near.write_all(b"y").await.expect("written");
        assert_eq!(kept.read_u8().await.expect("others stay"), b'y');
        drop(kept);
        assert!(revocations.lock().open.is_empty(), "nothing is kept of what has ended");
    }
}
