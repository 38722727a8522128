//! How a machine joins a cluster: it is given a code that another machine shows, and over the channel that the code makes (crate
//! `seal`, `join`) everything it needs. Used once, for a few minutes, with few tries.

pub mod bundle;
pub mod offer;
pub mod take;

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use types::limits::{JOIN_MESSAGE_BYTES_MAX, JOIN_STEP_MS_MAX};

use crate::error::{Error, Result};

/// The port that codes are taken at when none is said.
pub const PORT: u16 = 7404;
/// What a connection begins with.
const MAGIC: &[u8] = b"tricord-join-1\n";

/// A connection on which frames go back and forth: length (4 bytes, big-endian) ‖ bytes.
pub struct Wire {
    tcp: TcpStream,
    patience: Duration,
}

impl Wire {
    pub fn new(tcp: TcpStream) -> Self {
        Self { tcp, patience: Duration::from_millis(JOIN_STEP_MS_MAX) }
    }

    /// Waits this long for each frame from now on.
    pub fn set_patience(&mut self, patience: Duration) {
        self.patience = patience;
    }

    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        let length = u32::try_from(bytes.len()).map_err(|_| broken("a message is too long"))?;
        let all = [&length.to_be_bytes(), bytes].concat();
        let sent = timeout(self.patience, self.tcp.write_all(&all)).await;
        sent.map_err(|_| broken("the other machine does not take anything"))?
            .map_err(|error| broken(&error.to_string()))
    }

    pub async fn receive(&mut self) -> Result<Vec<u8>> {
        let read = async {
            let length = self.tcp.read_u32().await? as usize;
            if length > JOIN_MESSAGE_BYTES_MAX {
                return Err(std::io::Error::other("a message is too long"));
            }
            let mut bytes = vec![0; length];
            self.tcp.read_exact(&mut bytes).await?;
            Ok(bytes)
        };
        let received = timeout(self.patience, read).await.map_err(|_| broken("the other machine says nothing"))?;
        received.map_err(|error| broken(&error.to_string()))
    }
}

/// A wire and the channel over it.
pub struct Sealed {
    pub wire: Wire,
    pub channel: seal::join::Channel,
}

impl Sealed {
    pub async fn say<T: Serialize>(&mut self, what: &T) -> Result<()> {
        let text = serde_json::to_vec(what).map_err(|error| broken(&error.to_string()))?;
        let sealed = self.channel.seal(&text).map_err(|error| broken(&error.to_string()))?;
        self.wire.send(&sealed).await
    }

    pub async fn hear<T: DeserializeOwned>(&mut self) -> Result<T> {
        let sealed = self.wire.receive().await?;
        let text = self.channel.open(&sealed).map_err(|_| broken("the code is not the one the other machine shows"))?;
        serde_json::from_slice(&text)
            .map_err(|_| broken("the other machine speaks of another release; use the same release on both"))
    }
}

fn broken(why: &str) -> Error {
    Error::Content { doing: "join the two machines".into(), why: why.to_owned() }
}
