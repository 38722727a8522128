//! etcd: three members with their default settings, a `Put` of a new key for each message.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cluster::{Result, ports};
use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic_prost::ProstCodec;

use super::process::Nodes;
use super::{CONNECTIONS, Line};

/// Beyond what a run writes; by default etcd stops at 2 GiB.
const QUOTA_BYTES: u64 = 8_000_000_000;

/// `etcdserverpb.PutRequest`, the fields that are used.
#[derive(Clone, PartialEq, prost::Message)]
struct Put {
    #[prost(bytes = "vec", tag = "1")]
    key: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `etcdserverpb.PutResponse`: that it came is enough.
#[derive(Clone, PartialEq, prost::Message)]
struct PutDone {}

#[derive(Clone)]
pub struct Connection {
    channel: Channel,
    next: Arc<AtomicU64>,
}

impl Line for Connection {
    async fn keep(&self, text: Vec<u8>) -> Result<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let put = Put { key: format!("message/{number:016}").into_bytes(), value: text };
        let mut grpc = Grpc::new(self.channel.clone());
        grpc.ready().await?;
        let path = PathAndQuery::from_static("/etcdserverpb.KV/Put");
        grpc.unary(tonic::Request::new(put), path, ProstCodec::<Put, PutDone>::default()).await?;
        Ok(())
    }
}

/// Three members that keep messages, and connections spread over them.
pub async fn start() -> Result<(Nodes, Vec<Connection>)> {
    let mut nodes = Nodes::new()?;
    let [a, b, c, x, y, z] = ports::free_ports::<6>()?;
    let (clients, peers) = ([a, b, c], [x, y, z]);
    let url = |port: u16| format!("http://127.0.0.1:{port}");
    let members: Vec<String> = peers.iter().enumerate().map(|(at, port)| format!("e{at}={}", url(*port))).collect();
    for (at, (client, peer)) in clients.into_iter().zip(peers).enumerate() {
        let data = nodes.dir().join(format!("e{at}"));
        let arguments = [
            ("--name", format!("e{at}")),
            ("--data-dir", data.display().to_string()),
            ("--initial-cluster", members.join(",")),
            ("--initial-cluster-state", String::from("new")),
            ("--quota-backend-bytes", QUOTA_BYTES.to_string()),
            ("--log-level", String::from("error")),
            ("--logger", String::from("zap")),
            ("--listen-client-urls", url(client)),
            ("--advertise-client-urls", url(client)),
            ("--listen-peer-urls", url(peer)),
            ("--initial-advertise-peer-urls", url(peer)),
        ];
        let arguments: Vec<String> = arguments.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
        nodes.start("etcd", &arguments)?;
    }
    let next = Arc::new(AtomicU64::new(1));
    let lines: Vec<Connection> = (0..CONNECTIONS)
        .map(|at| {
            let endpoint = Endpoint::from_shared(url(clients[at % 3]))?.connect_timeout(Duration::from_secs(5));
            Ok(Connection { channel: endpoint.tcp_nodelay(true).connect_lazy(), next: next.clone() })
        })
        .collect::<Result<_>>()?;
    for line in &lines[..3] {
        super::first(line).await?;
    }
    Ok((nodes, lines))
}
