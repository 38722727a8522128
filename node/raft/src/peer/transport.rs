//! The seam below the peer protocol: byte streams whose other end is known to be the node of a slot. TLS over TCP in a
//! hospital; a simulated network puts its own here, and everything above is what ships.

use std::io;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::tls::{self, Certified, PeerTls};

/// The bytes of one connection between nodes.
pub trait PeerIo: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> PeerIo for T {}

/// One connection between nodes.
pub type Io = Box<dyn PeerIo>;

/// An accepted connection on its way to saying who it is.
pub type Handshake = BoxFuture<'static, io::Result<(Io, Certified)>>;

/// How peers are reached.
pub trait Dial: Send + Sync + 'static {
    /// What this node proves to be when it dials.
    fn own(&self) -> Certified;

    /// A connection to `address` (`host:port`), whose other end has proven to be `expected`.
    ///
    /// Errors: it cannot be reached, or is someone else.
    fn dial(&self, address: String, expected: Certified) -> BoxFuture<'static, io::Result<Io>>;
}

/// How peers reach this node.
pub trait Listen: Send + 'static {
    /// The next connection; who it is comes out of its handshake, which runs beside others.
    ///
    /// Errors: the system cannot give one now; it may later.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Handshake>>;
}

impl Dial for PeerTls {
    fn own(&self) -> Certified {
        PeerTls::own(self)
    }

    fn dial(&self, address: String, expected: Certified) -> BoxFuture<'static, io::Result<Io>> {
        let connector = self.connector();
        Box::pin(async move {
            let tcp = TcpStream::connect(address).await?;
            tcp.set_nodelay(true)?;
            Ok(Box::new(connector.connect(expected.server_name(), tcp).await?) as Io)
        })
    }
}

/// The bound peer port, with the certificates for it.
pub struct TlsListener {
    listener: TcpListener,
    tls: PeerTls,
}

impl TlsListener {
    /// A peer port on this socket.
    #[must_use]
    pub fn new(listener: TcpListener, tls: &PeerTls) -> Self {
        Self { listener, tls: tls.clone() }
    }
}

impl Listen for TlsListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Handshake>> {
        Box::pin(async {
            let (tcp, _) = self.listener.accept().await?;
            let acceptor = self.tls.acceptor();
            Ok(Box::pin(handshake(acceptor, tcp)) as Handshake)
        })
    }
}

async fn handshake(acceptor: TlsAcceptor, tcp: TcpStream) -> io::Result<(Io, Certified)> {
    tcp.set_nodelay(true)?;
    let stream = acceptor.accept(tcp).await?;
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let certified = certificates.first().and_then(tls::certified);
    let certified = certified.ok_or_else(|| io::Error::other("its certificate names no cluster and slot"))?;
    Ok((Box::new(stream), certified))
}
