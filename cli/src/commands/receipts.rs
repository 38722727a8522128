//! `receipts`: how far messages have come.

use proto::v1;
use proto::v1::message_service_client::MessageServiceClient;
use serde::Serialize;
use types::limits::PAGE_SIZE_MAX;

use crate::args::Global;
use crate::error::Result;
use crate::output::{note_stale, say, show};
use crate::rows::id_of;
use crate::session::Session;
use crate::when::{minute, rfc3339};
use crate::{address, rpc};

#[derive(Serialize)]
struct Row {
    user: String,
    login: Option<String>,
    device: String,
    delivered_seq: u64,
    delivered: Option<String>,
    displayed_seq: u64,
    displayed: Option<String>,
}

/// Does it, for a conversation or one message.
pub async fn run(session: &Session, global: &Global, text: &str, seq: Option<u64>) -> Result<()> {
    let conversation = address::conversation(session, text, false).await?;
    let parent = match seq {
        Some(seq) => format!("{}/messages/{seq}", conversation.name),
        None => conversation.name.clone(),
    };
    let (receipts, counts) = all(session, &parent, text).await?;
    let people = address::people(session, receipts.iter().map(|receipt| receipt.user.clone())).await?;
    let rows: Vec<Row> = receipts
        .iter()
        .map(|receipt| Row {
            user: id_of(&receipt.user).into(),
            login: people.get(&receipt.user).map(|user| user.login.clone()),
            device: receipt.device.clone(),
            delivered_seq: receipt.delivered_seq,
            delivered: rfc3339(receipt.deliver_time.as_ref()),
            displayed_seq: receipt.displayed_seq,
            displayed: rfc3339(receipt.display_time.as_ref()),
        })
        .collect();
    let cells = receipts
        .iter()
        .map(|receipt| {
            let come = |at: u64, time: Option<&prost_types::Timestamp>| {
                if at == 0 { String::new() } else { format!("{at}, {}", minute(time)) }
            };
            vec![
                people.name(&receipt.user),
                receipt.device.get(..8).unwrap_or("").to_owned(),
                come(receipt.delivered_seq, receipt.deliver_time.as_ref()),
                come(receipt.displayed_seq, receipt.display_time.as_ref()),
            ]
        })
        .collect();
    let document = serde_json::json!({
        "receipts": rows, "delivered_count": counts.map(|(delivered, _)| delivered),
        "displayed_count": counts.map(|(_, displayed)| displayed),
    });
    show(global.output, &document, &["name", "device", "delivered", "displayed"], cells)?;
    if let Some((delivered, displayed)) = counts
        && seq.is_some()
    {
        say(&format!(
            "Delivered to {delivered}, displayed by {displayed}, of {} who take part.",
            conversation.participant_count
        ));
    }
    Ok(())
}

async fn all(session: &Session, parent: &str, text: &str) -> Result<(Vec<v1::Receipt>, Option<(i32, i32)>)> {
    let (mut all, mut token, mut counts) = (Vec::new(), String::new(), None);
    loop {
        let body = |read| v1::ListReceiptsRequest {
            parent: parent.to_owned(),
            page_size: PAGE_SIZE_MAX as i32,
            page_token: token.clone(),
            read: Some(read),
        };
        let doing = format!("list receipts of {text}");
        let page = session.read(doing, body, rpc!(MessageServiceClient.list_receipts)).await?;
        if counts.is_none() {
            note_stale(page.info.as_ref());
            counts = Some((page.delivered_count, page.displayed_count));
        }
        all.extend(page.receipts);
        token = page.next_page_token;
        if token.is_empty() {
            return Ok((all, counts));
        }
    }
}
