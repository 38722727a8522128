//! `audit list`

use proto::v1;
use proto::v1::audit_service_client::AuditServiceClient;
use serde::Serialize;
use types::limits::PAGE_SIZE_MAX;

use crate::args::{AuditList, Format, Global};
use crate::client::Call;
use crate::error::Result;
use crate::output::{json_line, print, table};
use crate::rows::id_of;
use crate::session::Session;
use crate::when::{minute, rfc3339};
use crate::{address, rpc};

#[derive(Serialize)]
struct Line<'a> {
    index: u64,
    time: Option<String>,
    user: &'a str,
    session: &'a str,
    device: &'a str,
    action: &'a str,
    targets: &'a [String],
    outcome: &'static str,
    refusal: u32,
    node: &'a str,
    purpose: &'a str,
    reason: &'a str,
    count: u32,
}

/// Prints records, the newest first: a table, or one JSON document a line.
pub async fn run(session: &Session, global: &Global, wanted: AuditList) -> Result<()> {
    let mut request = v1::ListRecordsRequest {
        user: wanted.user.as_deref().map(address::user_name).transpose()?.unwrap_or_default(),
        action: wanted.action.unwrap_or_default(),
        target: wanted.target.unwrap_or_default(),
        start_time: wanted.from.map(wire),
        end_time: wanted.to.map(wire),
        ..v1::ListRecordsRequest::default()
    };
    if wanted.refused {
        request.set_outcome(v1::AuditOutcome::Refused);
    }
    let mut left = wanted.limit;
    let mut records = Vec::new();
    loop {
        request.page_size = i32::try_from(left.min(PAGE_SIZE_MAX)).unwrap_or(i32::MAX);
        let call = Call::read("list the audit log").slow();
        let page = session.client.call(&call, |_| request.clone(), rpc!(AuditServiceClient.list_records)).await?;
        left = left.saturating_sub(u32::try_from(page.records.len()).unwrap_or(u32::MAX));
        if global.output == Format::Json {
            page.records.iter().try_for_each(|record| json_line(&line(record)))?;
        } else {
            records.extend(page.records);
        }
        if left == 0 || page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    if global.output == Format::Json { Ok(()) } else { print(&rows(&records)) }
}

fn wire(time: jiff::Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() }
}

fn line(record: &v1::AuditRecord) -> Line<'_> {
    Line {
        index: record.index,
        time: rfc3339(record.create_time.as_ref()),
        user: &record.user,
        session: &record.session,
        device: &record.device,
        action: &record.action,
        targets: &record.targets,
        outcome: if record.outcome() == v1::AuditOutcome::Refused { "refused" } else { "done" },
        refusal: record.refusal,
        node: &record.node,
        purpose: &record.purpose,
        reason: &record.reason,
        count: record.count,
    }
}

fn rows(records: &[v1::AuditRecord]) -> String {
    let cells = records
        .iter()
        .map(|record| {
            let refused = if record.outcome() == v1::AuditOutcome::Refused { " (refused)" } else { "" };
            let times = if record.count > 0 { format!(" × {}", record.count) } else { String::new() };
            vec![
                record.index.to_string(),
                minute(record.create_time.as_ref()),
                id_of(&record.user).get(..8).unwrap_or("-").to_owned(),
                format!("{}{refused}{times}", record.action),
                record.targets.join(" "),
            ]
        })
        .collect();
    table(&["record", "time", "by", "action", "to"], cells)
}
