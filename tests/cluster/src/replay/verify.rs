//! Compares what is there with what was acknowledged.

use std::collections::BTreeMap;
use std::time::Duration;

use proto::v1::message_service_client::MessageServiceClient;
use proto::v1::{Direction, ListMessagesRequest, ReadOptions};
use tokio::time::{Instant, sleep, timeout};

use crate::{Client, Links, Node, PATIENCE, Result, reason, retryable};

/// A message as it must be: its place is its index plus one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its place.
    pub seq: u64,
    /// `users/{id}`.
    pub sender: String,
    /// Byte for byte.
    pub text: String,
}

/// How many messages are not as they must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Acknowledged and not there.
    pub missing: usize,
    /// There more often than sent.
    pub duplicated: usize,
    /// There, and not in their place.
    pub out_of_order: usize,
}

impl Verdict {
    /// Compares one conversation.
    #[must_use]
    pub fn of(expected: &[Entry], got: &[Entry]) -> Self {
        if expected == got {
            return Self::default();
        }
        let mut counts: BTreeMap<(&str, &str), i64> = BTreeMap::new();
        for entry in expected {
            *counts.entry((&entry.sender, &entry.text)).or_default() += 1;
        }
        for entry in got {
            *counts.entry((&entry.sender, &entry.text)).or_default() -= 1;
        }
        let sum = |sign: i64| counts.values().map(|count| usize::try_from(count * sign).unwrap_or(0)).sum();
        let (missing, duplicated) = (sum(1), sum(-1));
        let displaced = expected.iter().zip(got).filter(|(expected, got)| expected != got).count();
        // One that is missing displaces all that follow; they are counted as out of order only if nothing else explains it.
        let out_of_order = if missing + duplicated == 0 { displaced.max(1) } else { 0 };
        Self { missing, duplicated, out_of_order }
    }

    /// Adds another conversation's.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            missing: self.missing + other.missing,
            duplicated: self.duplicated + other.duplicated,
            out_of_order: self.out_of_order + other.out_of_order,
        }
    }

    /// Whether everything is as it must be.
    #[must_use]
    pub fn is_well(&self) -> bool {
        *self == Self::default()
    }
}

/// Everything a conversation holds, read at one node by a client that signed in anew.
pub async fn list_all(client: &Client, node: Node, conversation: &str) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut start_seq = 0;
    loop {
        let request = ListMessagesRequest {
            parent: conversation.to_owned(),
            start_seq,
            direction: Direction::Forward.into(),
            page_size: 500,
            read: Some(ReadOptions { linearizable: true, ..ReadOptions::default() }),
        };
        let page = at_node(client, node, request).await?;
        if let Some(hidden) = page.hidden.first() {
            return Err(format!("seq {} to {} are hidden from a participant", hidden.from_seq, hidden.to_seq).into());
        }
        entries.extend(page.messages.into_iter().map(|message| Entry {
            seq: message.seq,
            sender: message.sender,
            text: message.text,
        }));
        if page.next_seq == 0 {
            return Ok(entries);
        }
        if page.next_seq <= start_seq {
            return Err("the pages do not go on".into());
        }
        start_seq = page.next_seq;
    }
}

/// Asks this node and no other: what it answers is what is verified.
async fn at_node(client: &Client, node: Node, request: ListMessagesRequest) -> Result<proto::v1::ListMessagesResponse> {
    let began = Instant::now();
    loop {
        let mut service = MessageServiceClient::new(client.wire_to(node)?).max_decoding_message_size(8 << 20);
        match timeout(Duration::from_secs(10), service.list_messages(request.clone())).await {
            Ok(Ok(answer)) => return Ok(answer.into_inner()),
            Ok(Err(status)) if !retryable(&status) || began.elapsed() > PATIENCE => {
                return Err(format!("list messages: {} {}", reason(&status), status.message()).into());
            }
            Err(_) if began.elapsed() > PATIENCE => return Err("listing messages takes too long".into()),
            _ => sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Three fresh clients of one user, one at each node.
pub async fn fresh_clients(links: &Links, login: &str, password: &str) -> Result<Vec<Client>> {
    let mut clients = Vec::new();
    for node in 0..3 {
        clients.push(Client::sign_in(links, node, login, password).await?);
    }
    Ok(clients)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(texts: &[&str]) -> Vec<Entry> {
        let entry = |(index, text): (usize, &&str)| Entry {
            seq: index as u64 + 1,
            sender: "users/1".into(),
            text: (*text).into(),
        };
        texts.iter().enumerate().map(entry).collect()
    }

    #[test]
    fn each_kind_of_damage_is_named() {
        let sent = entries(&["a", "b", "c"]);
        let verdict = |got: &[&str]| Verdict::of(&sent, &entries(got));
        assert!(verdict(&["a", "b", "c"]).is_well());
        assert_eq!(verdict(&["a", "c"]), Verdict { missing: 1, ..Verdict::default() });
        assert_eq!(verdict(&["a", "b", "b", "c"]), Verdict { duplicated: 1, ..Verdict::default() });
        assert_eq!(verdict(&["a", "c", "b"]), Verdict { out_of_order: 2, ..Verdict::default() });
        assert_eq!(verdict(&["a", "x", "c"]), Verdict { missing: 1, duplicated: 1, out_of_order: 0 });
    }

    #[test]
    fn a_wrong_number_alone_is_noticed() {
        let sent = entries(&["a"]);
        let mut got = sent.clone();
        got[0].seq = 2;
        assert_eq!(Verdict::of(&sent, &got).out_of_order, 1);
    }
}
