//! The peer port: accepts connections that prove which slot of which cluster they come from.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;
use types::limits::{PEER_CONNECT_MS_MAX, PEER_HANDSHAKES_MAX};

use super::tls::Certified;
use super::transport::{Handshake, Io, Listen};

/// Accepts connections until the receiver is dropped, each with what its certificate names.
///
/// A handshake that takes too long, or comes while too many are under way, is dropped: a stranger must not keep the
/// peers out.
pub(crate) async fn accept(
    mut listener: Box<dyn Listen>,
    stop: CancellationToken,
    accepted: mpsc::Sender<io::Result<PeerStream>>,
) {
    let handshakes = Arc::new(Semaphore::new(PEER_HANDSHAKES_MAX));
    loop {
        let handshake = tokio::select! {
            () = accepted.closed() => return,
            next = listener.accept() => match next {
                Ok(handshake) => handshake,
                Err(error) => {
                    // Out of file descriptors, most likely: give those in use time to end.
                    tracing::warn!(%error, "accept a peer");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        let Ok(permit) = handshakes.clone().try_acquire_owned() else {
            tracing::warn!("too many peers connect at once; one was dropped");
            continue;
        };
        let accepted = accepted.clone();
        let stop = stop.clone();
        tokio::spawn(async move {
            let _permit = permit;
            let limit = Duration::from_millis(4 * PEER_CONNECT_MS_MAX);
            match tokio::time::timeout(limit, shake(handshake, stop)).await {
                Ok(Ok(stream)) => drop(accepted.send(Ok(stream)).await),
                Ok(Err(error)) => tracing::warn!(%error, "a peer's handshake failed"),
                Err(_) => tracing::warn!("a peer's handshake took too long"),
            }
        });
    }
}

async fn shake(handshake: Handshake, stop: CancellationToken) -> io::Result<PeerStream> {
    let (inner, certified) = handshake.await?;
    Ok(PeerStream { inner, certified, stopped: Box::pin(stop.cancelled_owned()) })
}

/// An accepted connection, and who it has proven to be. It breaks off when the node stops: its own task would
/// go on answering for a node that is gone.
pub(crate) struct PeerStream {
    inner: Io,
    certified: Certified,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Connected for PeerStream {
    type ConnectInfo = Certified;

    fn connect_info(&self) -> Certified {
        self.certified
    }
}

impl AsyncRead for PeerStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.stopped.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::Error::from(io::ErrorKind::ConnectionAborted)));
        }
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for PeerStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
