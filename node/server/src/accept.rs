//! Accepting TLS connections: handshakes run beside each other, bounded in number and in time, so that a client that
//! connects and says nothing holds up nobody; likewise one that says nothing after the handshake. Connections are bounded
//! too: past that, the next one is closed at once. No address alone has all places; nearly all it may, for a gateway may stand
//! before everybody.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

use crate::addresses::{Addresses, Counted};
use crate::certificates::Shown;
use crate::revocation::{Guarded, Revocations};

/// Handshakes at a time; more connections wait for their turn.
const HANDSHAKES_MAX: usize = 256;
/// Of one address: a gateway may stand before many.
const HANDSHAKES_PER_ADDRESS_MAX: usize = 64;
/// Longest handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// How long a connection may wait for the turn of its handshake.
const TURN_MAX: Duration = Duration::from_secs(20);
/// From the handshake to the first byte: a client that speaks HTTP says something at once.
const FIRST_BYTE_MAX: Duration = Duration::from_secs(10);
/// Wait after a failed accept (out of file descriptors, say), so that it is not tried in a loop.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// At most `connections_max` connections on which the handshake is done, as they come, until the receiver is dropped. Each
/// handshake goes by the certificate that is shown then. Whoever shows one that was revoked is refused.
pub fn accept(
    listener: TcpListener,
    shown: Shown,
    revocations: Arc<Revocations>,
    connections_max: usize,
) -> ReceiverStream<io::Result<Connection>> {
    let (ready, connections) = mpsc::channel(HANDSHAKES_MAX);
    let places = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    let open = Arc::new(Semaphore::new(connections_max));
    let addresses = Addresses::new(connections_max - connections_max / 8, HANDSHAKES_PER_ADDRESS_MAX);
    tokio::spawn(async move {
        loop {
            let accepted = tokio::select! {
                () = ready.closed() => return,
                accepted = listener.accept() => accepted,
            };
            let (stream, address) = match accepted {
                Ok((stream, address)) => (stream, address.ip()),
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            let Ok(counted) = Arc::clone(&open).try_acquire_owned() else {
                tracing::debug!(connections_max, "too many connections; a new one was closed");
                continue;
            };
            let Some(of_address) = addresses.enter(address) else {
                tracing::debug!("too many connections of one address; a new one was closed");
                continue;
            };
            let (shown, ready, places) = (Arc::clone(&shown), ready.clone(), Arc::clone(&places));
            let revocations = Arc::clone(&revocations);
            tokio::spawn(async move {
                let _ = stream.set_nodelay(true);
                let Ok(Some(place)) = timeout(TURN_MAX, turn(&of_address, places)).await else {
                    return tracing::debug!("a connection waited too long for its handshake; it was closed");
                };
                let acceptor = TlsAcceptor::from(shown.load_full());
                match timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => match guard(&revocations, stream) {
                        Ok(stream) => {
                            let silent = Some(Box::pin(sleep(FIRST_BYTE_MAX)));
                            let connection = Connection { stream, silent, _counted: (counted, of_address) };
                            drop(ready.send(Ok(connection)).await);
                        }
                        Err(error) => tracing::warn!(%error, "a client was refused"),
                    },
                    Ok(Err(error)) => tracing::debug!(%error, "a client's TLS handshake failed"),
                    Err(_) => tracing::debug!("a client's TLS handshake took too long"),
                }
                drop(place);
            });
        }
    });
    ReceiverStream::new(connections)
}

fn guard(revocations: &Arc<Revocations>, stream: TlsStream<TcpStream>) -> io::Result<Guarded<TlsStream<TcpStream>>> {
    let shown: Vec<_> = stream.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
    revocations.guard(stream, &shown)
}

/// A place for a handshake: one of those of its address first, so that whoever has many waits behind itself alone.
async fn turn(of: &Counted, places: Arc<Semaphore>) -> Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)> {
    let own = Arc::clone(&of.handshakes).acquire_owned().await.ok()?;
    Some((own, places.acquire_owned().await.ok()?))
}

/// An accepted connection; its place is free again when it is dropped.
pub struct Connection {
    stream: Guarded<TlsStream<TcpStream>>,
    /// Until something was read.
    silent: Option<Pin<Box<Sleep>>>,
    _counted: (OwnedSemaphorePermit, Counted),
}

impl Connection {
    /// Whether the other side has shown a certificate, which the handshake has then verified.
    pub fn is_certified(&self) -> bool {
        self.stream.get_ref().get_ref().1.peer_certificates().is_some()
    }
}

impl Connected for Connection {
    type ConnectInfo = <TlsStream<TcpStream> as Connected>::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.stream.get_ref().connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_ready() {
            self.silent = None;
        } else if self.silent.as_mut().is_some_and(|silent| silent.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(Err(io::Error::from(io::ErrorKind::TimedOut)));
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
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
