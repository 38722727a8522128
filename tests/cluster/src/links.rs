//! Connections to the three nodes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use crate::Result;

/// Which node, by place: 0 is a.
pub type Node = usize;

/// Most calls and streams that share one connection: the nodes allow some hundred.
const CLIENTS_PER_CONNECTION: usize = 48;

/// Connections to the nodes, made when first used and shared by so many clients each.
#[derive(Clone, Debug)]
pub struct Links(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    addresses: [String; 3],
    tls: ClientTlsConfig,
    open: Mutex<HashMap<(Node, usize), Channel>>,
}

impl Links {
    /// To nodes at these addresses (`host:port`), trusting this authority (PEM).
    #[must_use]
    pub fn new(addresses: [String; 3], authority: &[u8]) -> Self {
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority));
        Self(Arc::new(Inner { addresses, tls, open: Mutex::default() }))
    }

    /// The connection to a node for the client with this serial number.
    pub fn to(&self, node: Node, serial: usize) -> Result<Channel> {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = open.get(&(node, serial / CLIENTS_PER_CONNECTION)) {
            return Ok(channel.clone());
        }
        let channel = self.endpoint(node)?.connect_lazy();
        open.insert((node, serial / CLIENTS_PER_CONNECTION), channel.clone());
        Ok(channel)
    }

    /// Where a node is, for a connection of its own.
    pub fn endpoint(&self, node: Node) -> Result<Endpoint> {
        Ok(Endpoint::from_shared(format!("https://{}", self.0.addresses[node]))?
            .tls_config(self.0.tls.clone())?
            .connect_timeout(Duration::from_millis(500))
            .http2_keep_alive_interval(Duration::from_secs(5))
            .keep_alive_timeout(Duration::from_secs(5))
            .tcp_nodelay(true))
    }

    /// `host:port` of a node.
    #[must_use]
    pub fn address(&self, node: Node) -> &str {
        &self.0.addresses[node]
    }
}
