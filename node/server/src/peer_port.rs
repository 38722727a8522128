//! The peer port, and reaching peers: mutual TLS, and no certificate that was revoked.

use std::io;
use std::sync::Arc;

use futures::future::BoxFuture;
use raft::{Certified, Dial, Handshake, Io, Listen, PeerTls};
use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use types::limits::PEER_HANDSHAKES_MAX;

use crate::addresses::Addresses;
use crate::revocation::Revocations;

/// The bound peer port, with the certificates for it.
pub struct PeerPort {
    /// Bound.
    pub listener: TcpListener,
    /// What it shows and accepts.
    pub tls: PeerTls,
    /// What it does not.
    pub revocations: Arc<Revocations>,
    /// Whose handshakes are under way: a stranger that connects and says nothing leaves places for the peers.
    pub shaking: Arc<Addresses>,
}

/// Handshakes of one address at a time.
pub const HANDSHAKES_PER_ADDRESS_MAX: usize = PEER_HANDSHAKES_MAX / 2;

impl Listen for PeerPort {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Handshake>> {
        Box::pin(async {
            loop {
                let (tcp, address) = self.listener.accept().await?;
                let Some(counted) = self.shaking.enter(address.ip()) else {
                    tracing::debug!("too many handshakes of one address; a new connection was closed");
                    continue;
                };
                let (tls, revocations) = (self.tls.clone(), Arc::clone(&self.revocations));
                return Ok(Box::pin(async move {
                    let shaken = handshake(tcp, tls, revocations).await;
                    drop(counted);
                    shaken
                }) as Handshake);
            }
        })
    }
}

async fn handshake(tcp: TcpStream, tls: PeerTls, revocations: Arc<Revocations>) -> io::Result<(Io, Certified)> {
    tcp.set_nodelay(true)?;
    let stream = tls.acceptor().accept(tcp).await?;
    let shown: Vec<CertificateDer<'static>> =
        stream.get_ref().1.peer_certificates().unwrap_or_default().iter().map(|one| one.clone().into_owned()).collect();
    let certified = shown.first().and_then(Certified::of);
    let certified = certified.ok_or_else(|| io::Error::other("its certificate names no cluster and slot"))?;
    Ok((Box::new(revocations.guard(stream, &shown)?), certified))
}

/// How peers are reached.
pub struct PeerDial {
    /// What is shown and accepted.
    pub tls: PeerTls,
    /// What is not.
    pub revocations: Arc<Revocations>,
}

impl Dial for PeerDial {
    fn own(&self) -> Certified {
        self.tls.own()
    }

    fn dial(&self, address: String, expected: Certified) -> BoxFuture<'static, io::Result<Io>> {
        let (connector, revocations) = (self.tls.connector(), Arc::clone(&self.revocations));
        Box::pin(async move {
            let tcp = TcpStream::connect(address).await?;
            tcp.set_nodelay(true)?;
            let stream = connector.connect(expected.server_name(), tcp).await?;
            let shown: Vec<CertificateDer<'static>> = stream
                .get_ref()
                .1
                .peer_certificates()
                .unwrap_or_default()
                .iter()
                .map(|one| one.clone().into_owned())
                .collect();
            Ok(Box::new(revocations.guard(stream, &shown)?) as Io)
        })
    }
}
