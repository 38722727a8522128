//! Delay between nodes, where the kernel has no netem: on each host a small proxy stands before each way to another node, and
//! holds what goes through it back for as long as one says. nftables leads the connections there without the nodes knowing.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::Hosts;
use crate::{Node, Result};

/// Where the proxy to a node listens on another node's host.
const LISTEN: u16 = 40_000;
/// A node's peer port plus this is the same port, but not led through a proxy.
const DIRECT: u16 = 20_000;
/// Read at once.
const CHUNK_BYTES: usize = 16 * 1024;
/// Chunks under way on one connection and direction; more wait with the sender.
const CHUNKS_MAX: usize = 4_096;

/// The proxies between three nodes. They end when dropped.
#[derive(Debug)]
pub struct Delays {
    microseconds: Arc<AtomicU64>,
    _stop: Vec<oneshot::Sender<()>>,
}

impl Delays {
    /// Puts proxies between the nodes, which listen for each other on these ports; begins without delay. To be called before
    /// the nodes connect.
    pub fn between(hosts: &Hosts, ports: [u16; 3]) -> Result<Self> {
        let microseconds = Arc::new(AtomicU64::new(0));
        let mut stop = Vec::new();
        for node in 0..3 {
            let mut rules = format!(
                "add table ip delays\n\
                 add chain ip delays in {{ type nat hook prerouting priority -100; }}\n\
                 add chain ip delays out {{ type nat hook output priority -100; }}\n\
                 add rule ip delays in tcp dport {} redirect to :{}\n",
                ports[node] + DIRECT,
                ports[node]
            );
            let mut ways = Vec::new();
            for (other, &port) in ports.iter().enumerate().filter(|(other, _)| *other != node) {
                let (address, listen) = (hosts.address(other), LISTEN + u16::try_from(other)?);
                rules.push_str(&format!(
                    "add rule ip delays out ip daddr {address} tcp dport {port} redirect to :{listen}\n"
                ));
                ways.push((listen, format!("{address}:{}", port + DIRECT).parse()?));
            }
            hosts.rules(node, &rules)?;
            stop.push(start(hosts, node, ways, Arc::clone(&microseconds))?);
        }
        Ok(Self { microseconds, _stop: stop })
    }

    /// What is sent from now on arrives so much later, both ways.
    pub fn set(&self, delay: Duration) {
        self.microseconds.store(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// Runs the proxies of one host in a thread that has moved there.
fn start(
    hosts: &Hosts,
    node: Node,
    ways: Vec<(u16, SocketAddr)>,
    delay: Arc<AtomicU64>,
) -> Result<oneshot::Sender<()>> {
    let space = File::open(hosts.space_path(node))?;
    let (stop, stopped) = oneshot::channel();
    let (ready, is_ready) = std::sync::mpsc::channel();
    std::thread::Builder::new().name("delays".to_owned()).spawn(move || {
        let served = || -> Result<()> {
            move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network))?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                for (listen, to) in ways {
                    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, listen)).await?;
                    tokio::spawn(accept(listener, to, Arc::clone(&delay)));
                }
                let _ = ready.send(());
                let _ = stopped.await;
                Ok(())
            })
        };
        if let Err(error) = served() {
            eprintln!("the proxies of a host ended: {error}");
        }
    })?;
    is_ready.recv_timeout(Duration::from_secs(10)).map_err(|_| "the proxies of a host did not start")?;
    Ok(stop)
}

async fn accept(listener: TcpListener, to: SocketAddr, delay: Arc<AtomicU64>) {
    while let Ok((near, _)) = listener.accept().await {
        let delay = Arc::clone(&delay);
        tokio::spawn(async move {
            // As the node would be refused or left waiting.
            let Ok(far) = TcpStream::connect(to).await else { return };
            let _ = (near.set_nodelay(true), far.set_nodelay(true));
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            tokio::select! {
                () = carry(near_in, far_out, &delay) => {}
                () = carry(far_in, near_out, &delay) => {}
            }
        });
    }
}

/// Carries bytes one way until either end is closed.
async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, delay: &AtomicU64) {
    let (sender, mut held) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS_MAX);
    let read = async move {
        loop {
            let mut chunk = vec![0; CHUNK_BYTES];
            let Ok(length @ 1..) = from.read(&mut chunk).await else { return };
            chunk.truncate(length);
            let due = Instant::now() + Duration::from_micros(delay.load(Ordering::Relaxed));
            if sender.send((due, chunk)).await.is_err() {
                return;
            }
        }
    };
    let write = async move {
        while let Some((due, chunk)) = held.recv().await {
            sleep_until(due).await;
            if to.write_all(&chunk).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(read, write);
}
