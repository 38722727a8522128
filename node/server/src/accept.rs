//! Accepting TLS connections: handshakes run beside each other, bounded in number and in time, so that a client that
//! connects and says nothing holds up nobody.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;

/// Handshakes at a time; more connections wait in the kernel's queue.
const HANDSHAKES_MAX: usize = 256;
/// Longest handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// Wait after a failed accept (out of file descriptors, say), so that it is not tried in a loop.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Connections on which the handshake is done, as they come, until the receiver is dropped.
pub fn accept(listener: TcpListener, config: Arc<ServerConfig>) -> ReceiverStream<io::Result<TlsStream<TcpStream>>> {
    let (ready, connections) = mpsc::channel(HANDSHAKES_MAX);
    let acceptor = TlsAcceptor::from(config);
    let places = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    tokio::spawn(async move {
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let accepted = tokio::select! {
                () = ready.closed() => return,
                accepted = listener.accept() => accepted,
            };
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "could not accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            let (acceptor, ready) = (acceptor.clone(), ready.clone());
            tokio::spawn(async move {
                let _ = stream.set_nodelay(true);
                match tokio::time::timeout(HANDSHAKE_MAX, acceptor.accept(stream)).await {
                    Ok(Ok(connection)) => {
                        let _ = ready.send(Ok(connection)).await;
                    }
                    Ok(Err(error)) => tracing::debug!(%error, "a client's TLS handshake failed"),
                    Err(_) => tracing::debug!("a client's TLS handshake took too long"),
                }
                drop(place);
            });
        }
    });
    ReceiverStream::new(connections)
}
