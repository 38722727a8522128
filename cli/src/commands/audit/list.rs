//! `audit list`: for an auditor's eyes, one line a record in 80 columns; `--wide` and JSON leave nothing out.

use proto::v1;
use proto::v1::audit_service_client::AuditServiceClient;
use serde::Serialize;
use types::limits::PAGE_SIZE_MAX;

use crate::args::{AuditList, Format, Global};
use crate::client::Call;
use crate::error::Result;
use crate::output::{COLUMNS, json_line, print, say};
use crate::rows::{People, id_of};
use crate::session::Session;
use crate::text::{shorten, width};
use crate::when::{day, local, rfc3339};
use crate::{address, rpc};

/// Columns of who did it, and of what was done.
const WHO: usize = 14;
const ACTION: usize = 21;
/// What stands before an address: it begins below who did it.
const FROM: &str = "                   from ";
/// Digits of an id where it only tells one from another.
const SHORT: usize = 8;

#[derive(Serialize)]
struct Line<'a> {
    index: u64,
    time: Option<String>,
    user: &'a str,
    /// Of the user, where whoever asks may see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    login: Option<&'a str>,
    session: &'a str,
    device: &'a str,
    action: &'a str,
    targets: &'a [String],
    /// Of the targets that are users, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    target_logins: Vec<&'a str>,
    outcome: &'static str,
    refusal: u32,
    node: &'a str,
    purpose: &'a str,
    reason: &'a str,
    count: u32,
    /// Where it came from, with `--addresses`.
    #[serde(skip_serializing_if = "str::is_empty")]
    address: &'a str,
}

/// Prints records, the newest first: a table, or one JSON document a line.
pub async fn run(session: &Session, global: &Global, wanted: AuditList) -> Result<()> {
    let mut request = v1::ListRecordsRequest {
        user: wanted.user.as_deref().map(address::user_name).transpose()?.unwrap_or_default(),
        action: wanted.action.unwrap_or_default(),
        target: wanted.target.unwrap_or_default(),
        start_time: wanted.from.map(wire),
        end_time: wanted.to.map(wire),
        show_addresses: wanted.addresses,
        ..v1::ListRecordsRequest::default()
    };
    if wanted.refused {
        request.set_outcome(v1::AuditOutcome::Refused);
    }
    let mut left = wanted.limit;
    let (mut last_day, mut found) = (String::new(), false);
    loop {
        request.page_size = i32::try_from(left.min(PAGE_SIZE_MAX)).unwrap_or(i32::MAX);
        let call = Call::read("list the audit log").slow();
        let page = session.client.call(&call, |_| request.clone(), rpc!(AuditServiceClient.list_records)).await?;
        left = left.saturating_sub(u32::try_from(page.records.len()).unwrap_or(u32::MAX));
        // Ids are what is recorded; names help whoever may see them, and whoever may not does without.
        let named = page.records.iter().flat_map(users).map(str::to_owned);
        let people = address::people(session, named).await.unwrap_or_default();
        for record in &page.records {
            match global.output {
                Format::Json => json_line(&line(record, &people))?,
                Format::Table if wanted.wide => print(&wide(record, &people))?,
                Format::Table => {
                    let today = day(record.create_time.as_ref());
                    if today != last_day {
                        print(&format!("{}{today}", if last_day.is_empty() { "" } else { "\n" }))?;
                        last_day = today;
                    }
                    print(&row(record, &people))?;
                    if !record.address.is_empty() {
                        print(&beneath(&record.address))?;
                    }
                }
            }
        }
        found |= !page.records.is_empty();
        if left == 0 || page.next_page_token.is_empty() {
            if !found && global.output == Format::Table {
                say("No record is like that.");
            }
            return Ok(());
        }
        request.page_token = page.next_page_token;
    }
}

fn wire(time: jiff::Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() }
}

/// The users a record names.
fn users(record: &v1::AuditRecord) -> impl Iterator<Item = &str> {
    let targets = record.targets.iter().map(String::as_str).filter(|target| target.starts_with("users/"));
    std::iter::once(record.user.as_str()).filter(|user| !user.is_empty()).chain(targets)
}

fn login<'a>(user: &str, people: &'a People) -> Option<&'a str> {
    people.0.get(user).map(|user| user.login.as_str())
}

fn outcome(record: &v1::AuditRecord) -> &'static str {
    if record.outcome() == v1::AuditOutcome::Refused { "refused" } else { "done" }
}

fn line<'a>(record: &'a v1::AuditRecord, people: &'a People) -> Line<'a> {
    Line {
        index: record.index,
        time: rfc3339(record.create_time.as_ref()),
        user: &record.user,
        login: login(&record.user, people),
        session: &record.session,
        device: &record.device,
        action: &record.action,
        targets: &record.targets,
        target_logins: record.targets.iter().filter_map(|target| login(target, people)).collect(),
        outcome: outcome(record),
        refusal: record.refusal,
        node: &record.node,
        purpose: &record.purpose,
        reason: &record.reason,
        count: record.count,
        address: &record.address,
    }
}

/// `   1204  14:05:09  @ana            ✗ add-participant      4f2a9c01… +1`: a cross where it was refused.
fn row(record: &v1::AuditRecord, people: &People) -> String {
    let time = record
        .create_time
        .as_ref()
        .and_then(local)
        .map_or_else(|| "-".into(), |at| at.strftime("%H:%M:%S").to_string());
    let mark = if record.outcome() == v1::AuditOutcome::Refused { '✗' } else { ' ' };
    let times = if record.count > 1 { format!(" × {}", record.count) } else { String::new() };
    let action = format!("{}{times}", record.action);
    let (who, action) = (padded(&who(record, people), WHO), padded(&action, ACTION));
    let begun = format!("{:>7}  {time:<8}  {who}  {mark} {action}  ", record.index);
    let room = usize::from(COLUMNS).saturating_sub(width(&begun));
    format!("{begun}{}", shorten(&what(record, people), room)).trim_end().to_owned()
}

/// From where, in a line of its own, as long as it may be: it is what was asked for.
fn beneath(address: &str) -> String {
    let room = usize::from(COLUMNS).saturating_sub(FROM.len());
    format!("{FROM}{}", shorten(&crate::text::line(address), room))
}

/// Everything, tabs between.
fn wide(record: &v1::AuditRecord, people: &People) -> String {
    let login = login(&record.user, people).map(|login| format!("@{login}"));
    let targets = record.targets.iter().map(|target| match self::login(target, people) {
        Some(login) => format!("{target} (@{login})"),
        None => target.clone(),
    });
    let count = if record.count > 1 { format!("× {}", record.count) } else { String::new() };
    let cells = [
        record.index.to_string(),
        rfc3339(record.create_time.as_ref()).unwrap_or_default(),
        login.unwrap_or_default(),
        record.user.clone(),
        record.action.clone(),
        outcome(record).to_owned(),
        targets.collect::<Vec<_>>().join(" "),
        count,
        record.reason.clone(),
        record.purpose.clone(),
        record.session.clone(),
        record.device.clone(),
        record.node.clone(),
        record.address.clone(),
    ];
    cells.map(|cell| if cell.is_empty() { "-".into() } else { crate::text::line(&cell) }).join("\t")
}

fn who(record: &v1::AuditRecord, people: &People) -> String {
    if record.user.is_empty() { format!("node {}", record.node) } else { named(&record.user, people) }
}

/// `@login`, or the beginning of the id.
fn named(user: &str, people: &People) -> String {
    login(user, people).map_or_else(|| short(id_of(user)), |login| format!("@{login}"))
}

/// The main target, and how many more there are.
fn what(record: &v1::AuditRecord, people: &People) -> String {
    let Some(first) = record.targets.first() else { return String::new() };
    let first = match first.split_once('/') {
        Some(("users", _)) => named(first, people),
        Some(("conversations", rest)) => match rest.split_once("/messages/") {
            Some((id, seqs)) => format!("{} no. {seqs}", short(id)),
            None => format!("conv. {}", short(rest)),
        },
        Some((kind, id)) => format!("{} {}", kind.strip_suffix('s').unwrap_or(kind), short(id)),
        None => first.clone(),
    };
    match record.targets.len() - 1 {
        0 => first,
        more => format!("{first} +{more}"),
    }
}

/// An id of 32 digits by its first; anything else as it is.
fn short(id: &str) -> String {
    if id.len() == 32 { format!("{}…", id.get(..SHORT).unwrap_or(id)) } else { id.to_owned() }
}

fn padded(text: &str, columns: usize) -> String {
    let short = shorten(&crate::text::line(text), columns);
    let missing = columns.saturating_sub(width(&short));
    short + &" ".repeat(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> v1::AuditRecord {
        v1::AuditRecord {
            index: 1_204,
            create_time: Some(prost_types::Timestamp { seconds: 1_795_356_309, nanos: 0 }),
            user: format!("users/{}", "a1".repeat(16)),
            action: "post".into(),
            targets: vec![
                format!("conversations/{}/messages/17", "b2".repeat(16)),
                format!("users/{}", "c3".repeat(16)),
            ],
            node: "a1".into(),
            ..v1::AuditRecord::default()
        }
    }

    fn people() -> People {
        let user = v1::User { name: record().user, login: "ana".into(), ..v1::User::default() };
        People([(user.name.clone(), user)].into())
    }

    #[test]
    fn a_record_is_one_line_with_names_where_they_are_known() {
        let row = row(&record(), &people());
        assert_eq!(row, "   1204  14:05:09  @ana              post                   b2b2b2b2… no. 17 +1".to_owned());
    }

    #[test]
    fn whatever_is_in_it_a_row_is_at_most_80_columns() {
        let mut record = record();
        record.action = "an-action-of-a-newer-release-with-a-long-name".into();
        record.index = u64::MAX;
        record.set_outcome(v1::AuditOutcome::Refused);
        record.count = 4_000_000_000;
        record.targets[0] = "伊藤先生\n".repeat(20);
        let row = row(&record, &People::default());
        assert!(width(&row) <= 80 && row.lines().count() == 1, "{} columns: {row}", width(&row));
    }

    #[test]
    fn an_address_is_never_cut() {
        let line = beneath("2001:0db8:85a3:0000:0000:8a2e:0370:7334");
        assert_eq!(line, "                   from 2001:0db8:85a3:0000:0000:8a2e:0370:7334");
        assert!(width(&beneath(&"x".repeat(200))) <= 80);
    }

    #[test]
    fn wide_leaves_nothing_out() {
        let wide = wide(&record(), &people());
        for part in ["1204", "@ana", &record().user, &record().targets[0], &record().targets[1], "a1"] {
            assert!(wide.contains(part), "{part}: {wide}");
        }
        assert_eq!(wide.split('\t').count(), 14);
    }
}
