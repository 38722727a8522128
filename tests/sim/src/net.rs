//! Connections between nodes, and from clients, over the simulated network. Without TLS: a caller says who it is.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use raft::{Certified, Dial, Handshake, Io, Listen};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tonic::transport::server::Connected;
use turmoil::net::{TcpListener, TcpStream};
use types::{ClusterId, Slot};

/// How a node reaches its peers.
pub(crate) struct SimDial(pub(crate) Certified);

impl Dial for SimDial {
    fn own(&self) -> Certified {
        self.0
    }

    fn dial(&self, address: String, _: Certified) -> BoxFuture<'static, io::Result<Io>> {
        let own = self.0;
        Box::pin(async move {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(&own.cluster.0).await?;
            stream.write_all(&[own.slot.number()]).await?;
            Ok(Box::new(stream) as Io)
        })
    }
}

/// How a node is reached by its peers.
pub(crate) struct SimListener(pub(crate) TcpListener);

impl Listen for SimListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Handshake>> {
        Box::pin(async {
            let (stream, _) = self.0.accept().await?;
            Ok(Box::pin(shake(stream)) as Handshake)
        })
    }
}

async fn shake(mut stream: TcpStream) -> io::Result<(Io, Certified)> {
    let mut name = [0; 17];
    stream.read_exact(&mut name).await?;
    let cluster = ClusterId(name[..16].try_into().map_err(io::Error::other)?);
    let slot = Slot::ALL.into_iter().find(|slot| slot.number() == name[16]);
    let slot = slot.ok_or_else(|| io::Error::other("no such slot"))?;
    Ok((Box::new(stream), Certified { cluster, slot }))
}

/// A client's connection, for tonic's server.
pub(crate) struct Accepted(pub(crate) TcpStream);

impl Connected for Accepted {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Accepted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
