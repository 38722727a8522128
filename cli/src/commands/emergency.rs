//! `emergency …`: opened by two, reviewed by a third.

use proto::v1;
use proto::v1::emergency_service_client::EmergencyServiceClient;
use serde::Serialize;

use crate::args::{EmergencyCommand, EmergencyOpen, Format, Global};
use crate::client::Call;
use crate::error::Result;
use crate::output::{note_stale, print, say, show};
use crate::rows::id_of;
use crate::session::{Session, Unlock};
use crate::when::{minute, rfc3339};
use crate::{address, prompt, rpc};

/// Does it.
pub async fn run(session: &Session, global: &Global, command: EmergencyCommand) -> Result<()> {
    match command {
        EmergencyCommand::Open(what) => open(session, global, what).await,
        EmergencyCommand::Approve { number } => approve(session, number).await,
        EmergencyCommand::Close { number } => close(session, number).await,
        EmergencyCommand::Review { number, note } => review(session, number, note).await,
        EmergencyCommand::List => list(session, global).await,
    }
}

/// Whoever opens it has just said who they are.
async fn prove(session: &Session) -> Result<()> {
    session.unlock(Unlock::Password(prompt::secret("Your password")?)).await
}

async fn open(session: &Session, global: &Global, what: EmergencyOpen) -> Result<()> {
    prove(session).await?;
    let duration = Some(prost_types::Duration { seconds: i64::from(what.minutes) * 60, nanos: 0 });
    let body = |id| v1::OpenEmergencyRequest { reason: what.reason.clone(), duration, request_id: Some(id) };
    let call = Call::write("ask for emergency access");
    let answer = session.write(call, body, rpc!(EmergencyServiceClient.open_emergency)).await?;
    let number = id_of(&answer.name);
    if global.output == Format::Json {
        return crate::output::json(&serde_json::json!({ "emergency": number }));
    }
    print(number)?;
    say(&format!("Nothing is open yet. Another keyholder says, within 15 minutes: tricord emergency approve {number}"));
    Ok(())
}

async fn approve(session: &Session, number: u64) -> Result<()> {
    prove(session).await?;
    let body = |id| v1::ApproveEmergencyRequest { name: name(number), request_id: Some(id) };
    let call = Call::write(format!("approve emergency access {number}"));
    session.write(call, body, rpc!(EmergencyServiceClient.approve_emergency)).await?;
    say("Approved. Both of you act as administrators now, each in your own name, and every step is recorded.");
    say(&format!("When it is done: tricord emergency close {number}. An auditor reviews it afterwards."));
    Ok(())
}

async fn close(session: &Session, number: u64) -> Result<()> {
    let body = |id| v1::EndEmergencyRequest { name: name(number), request_id: Some(id) };
    let call = Call::write(format!("end emergency access {number}"));
    session.write(call, body, rpc!(EmergencyServiceClient.end_emergency)).await?;
    say("It is over.");
    Ok(())
}

async fn review(session: &Session, number: u64, note: String) -> Result<()> {
    let body = |id| v1::ReviewEmergencyRequest { name: name(number), note: note.clone(), request_id: Some(id) };
    let call = Call::write(format!("sign off the review of emergency access {number}"));
    session.write(call, body, rpc!(EmergencyServiceClient.review_emergency)).await?;
    say("Signed off.");
    Ok(())
}

fn name(number: u64) -> String {
    format!("emergencies/{number}")
}

#[derive(Serialize)]
struct Row {
    number: String,
    state: &'static str,
    reason: String,
    opened_by: String,
    opened: Option<String>,
    approved_by: String,
    approved: Option<String>,
    ends: Option<String>,
    first_record: u64,
    last_record: u64,
    reviewed_by: String,
    reviewed: Option<String>,
    note: String,
}

async fn list(session: &Session, global: &Global) -> Result<()> {
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let body =
            |read| v1::ListEmergenciesRequest { page_size: 500, page_token: page_token.clone(), read: Some(read) };
        let call = "list emergency access";
        let answer = session.read(call, body, rpc!(EmergencyServiceClient.list_emergencies)).await?;
        note_stale(answer.info.as_ref());
        all.extend(answer.emergencies);
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let by = all.iter().flat_map(|one| [&one.opened_by, &one.approved_by, &one.reviewed_by]);
    let mut names: Vec<String> = by.filter(|name| !name.is_empty()).cloned().collect();
    names.sort();
    names.dedup();
    let people = address::people(session, names).await?;
    let login =
        |name: &String| people.get(name).map_or_else(|| id_of(name).to_owned(), |user| format!("@{}", user.login));
    let login = |name: &String| if name.is_empty() { String::new() } else { login(name) };
    let rows: Vec<Row> = all
        .iter()
        .map(|one| Row {
            number: id_of(&one.name).into(),
            state: word(one.state()),
            reason: one.reason.clone(),
            opened_by: login(&one.opened_by),
            opened: rfc3339(one.open_time.as_ref()),
            approved_by: login(&one.approved_by),
            approved: rfc3339(one.approve_time.as_ref()),
            ends: rfc3339(one.end_time.as_ref()),
            first_record: one.first_record,
            last_record: one.last_record,
            reviewed_by: login(&one.reviewed_by),
            reviewed: rfc3339(one.review_time.as_ref()),
            note: one.note.clone(),
        })
        .collect();
    let cells = all
        .iter()
        .zip(&rows)
        .map(|(one, row)| {
            let records = match row.last_record {
                0 => format!("{}-", row.first_record),
                last => format!("{}-{last}", row.first_record),
            };
            vec![
                row.number.clone(),
                row.state.into(),
                minute(one.end_time.as_ref()),
                row.opened_by.clone(),
                row.approved_by.clone(),
                records,
                row.reason.clone(),
            ]
        })
        .collect();
    let header = ["no", "state", "until", "asked by", "approved by", "records", "reason"];
    show(global.output, &serde_json::json!({ "emergencies": rows }), &header, cells)
}

const fn word(state: v1::EmergencyState) -> &'static str {
    match state {
        v1::EmergencyState::Unspecified => "unknown",
        v1::EmergencyState::Pending => "pending",
        v1::EmergencyState::InForce => "IN FORCE",
        v1::EmergencyState::Unreviewed => "to review",
        v1::EmergencyState::Reviewed => "reviewed",
        v1::EmergencyState::Lapsed => "lapsed",
    }
}
