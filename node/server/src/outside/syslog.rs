//! Heads as lines of a syslog: RFC 5424 messages, framed by their length (RFC 5425), over TLS 1.3.
//!
//! Syslog acknowledges nothing. A head that is lost in the receiver is made good by the next one, which covers the same
//! records and more.

use std::time::Duration;

use prost_types::Timestamp;
use rustix::system::uname;
use services::SealedHead;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Failure, SyslogConfig};

/// Facility 13 (log audit), severity 5 (notice).
const PRIORITY: u8 = 13 * 8 + 5;
/// A receiver that does not close by then has taken it: one that refuses our certificate says so at once.
const CLOSES_IN: Duration = Duration::from_secs(2);

/// A syslog receiver.
pub struct Syslog {
    config: SyslogConfig,
    host: String,
}

impl Syslog {
    pub fn new(config: SyslogConfig) -> Self {
        let host = uname().nodename().to_string_lossy().into_owned();
        Self { config, host: field(&host) }
    }

    /// Sends a head, over a connection of its own: that one was opened shows that somebody is there.
    pub async fn send(&self, head: &SealedHead) -> Result<(), Failure> {
        let server = &self.config.server;
        let failed = |error: std::io::Error| {
            Failure(format!("send to the syslog {server}: {error}; does it want a certificate ([audit.syslog] cert)?"))
        };
        let mut stream = self.config.trust.connect(server).await?;
        stream.write_all(frame(&self.message(head)).as_bytes()).await.map_err(failed)?;
        stream.shutdown().await.map_err(failed)?;
        // In TLS 1.3 a client certificate is refused after the handshake: only reading tells.
        match tokio::time::timeout(CLOSES_IN, stream.read(&mut [0; 1])).await {
            Ok(Err(error)) if error.kind() != std::io::ErrorKind::UnexpectedEof => Err(failed(error)),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn message(&self, head: &SealedHead) -> String {
        let SealedHead { cluster, size, note, .. } = head;
        let at = time(head.sealed);
        let body = serde_json::json!({ "cluster": cluster.to_string(), "size": size, "head": note });
        format!("<{PRIORITY}>1 {at} {} tricordd {} audit-head - {body}", self.host, std::process::id())
    }
}

/// RFC 3339, as RFC 5424 wants it.
fn time(at: types::Timestamp) -> Timestamp {
    let seconds = i64::try_from(at.0 / 1_000).unwrap_or_default();
    Timestamp { seconds, nanos: i32::try_from(at.0 % 1_000 * 1_000_000).unwrap_or_default() }
}

/// The length before the message, as RFC 5425 has it.
fn frame(message: &str) -> String {
    format!("{} {message}", message.len())
}

/// A header field: printable ASCII, not empty, at most 255 bytes.
fn field(text: &str) -> String {
    let text: String = text.chars().filter(char::is_ascii_graphic).take(255).collect();
    if text.is_empty() { "-".into() } else { text }
}

#[cfg(test)]
mod tests {
    use types::ClusterId;

    use super::*;
    use crate::outside::Trust;
    use crate::outside::testing::{Authority, listen};

    fn head() -> SealedHead {
        let note = "tricord/audit/x\n7\nAAAA\n\n\u{2014} a1 c2lnbmVk\n".to_owned();
        SealedHead { cluster: ClusterId([7; 16]), size: 7, sealed: types::Timestamp(1_772_598_540_123), note }
    }

    fn syslog(server: String, trust: Trust) -> Syslog {
        Syslog { config: SyslogConfig { server, trust }, host: field("ward 7\n") }
    }

    #[tokio::test]
    async fn a_head_arrives_as_one_framed_line_that_gives_the_note_back() {
        let authority = Authority::new();
        let (at, mut received) = listen(authority.server(false)).await;
        syslog(at, authority.trust(None)).send(&head()).await.expect("sent");
        let sent = received.recv().await.expect("a connection").expect("whole");
        let (length, message) = sent.split_once(' ').expect("framed");
        assert_eq!(length.parse(), Ok(message.len()));
        let pid = std::process::id();
        let beginning = format!("<109>1 2026-03-04T04:29:00.123Z ward7 tricordd {pid} audit-head - ");
        let body = message.strip_prefix(&beginning).unwrap_or_else(|| panic!("{message}"));
        assert!(!body.contains('\n'), "one line");
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!((body["size"].as_u64(), body["head"].as_str()), (Some(7), Some(&*head().note)));
    }

    #[tokio::test]
    async fn nothing_is_sent_to_somebody_else_and_a_refused_certificate_is_told() {
        let (authority, other) = (Authority::new(), Authority::new());
        let (at, mut received) = listen(other.server(false)).await;
        let said = syslog(at, authority.trust(None)).send(&head()).await.expect_err("not that authority").to_string();
        assert!(said.contains("does its certificate come from"), "{said}");
        assert!(received.recv().await.expect("a connection").is_err(), "it got nothing");

        let (at, mut received) = listen(authority.server(true)).await;
        let said =
            syslog(at.clone(), authority.trust(None)).send(&head()).await.expect_err("no certificate").to_string();
        assert!(said.contains("does it want a certificate"), "{said}");
        assert!(received.recv().await.expect("a connection").is_err());
        syslog(at, authority.trust(Some("node"))).send(&head()).await.expect("sent");
        assert!(received.recv().await.expect("a connection").is_ok());
    }
}
