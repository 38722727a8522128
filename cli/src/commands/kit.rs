//! `key recovery replace|confirm|cancel|list`: another recovery kit, by two administrators.

use proto::v1::recovery_service_client::RecoveryServiceClient;
use proto::v1::{self, KitState, RecoveryKit};
use seal::PublicKey;
use serde::Serialize;

use crate::args::{Custody, Format, Global};
use crate::client::Call;
use crate::error::{Error, Result};
use crate::output::{note_stale, print, say, show};
use crate::recovery::{self, Share, fingerprint};
use crate::rows::id_of;
use crate::session::{Session, Unlock};
use crate::when::{minute, rfc3339};
use crate::{address, custody, prompt, rpc};

/// How often the shares that are asked for may be mistyped.
const TRIES: usize = 3;

/// Makes a kit on this machine, has two of its shares typed back, and proposes its public half.
pub async fn replace(session: &Session, global: &Global, reason: &str, custody: &Custody) -> Result<()> {
    types::text::check_name(reason, types::limits::RECORD_REASON_BYTES_MAX)
        .map_err(|error| Error::Usage(format!("--reason: {error}")))?;
    let elsewhere = custody::check(custody)?;
    if elsewhere && custody.identity.is_empty() {
        return Err(Error::Usage(
            "--identity: one of the three must be here and prove that their share opens again".into(),
        ));
    }
    let waiting = kits(session).await?.kits.into_iter().find(|kit| kit.state() == KitState::Proposed);
    if let Some(kit) = waiting {
        return Err(Error::Usage(format!(
            "the kit {} waits already, until {}: confirm it, or 'tricord key recovery cancel'",
            print_of(&kit),
            minute(kit.until_time.as_ref())
        )));
    }
    let (public, shares) = recovery::split()?;
    let name = fingerprint(&public);
    if elsewhere {
        custody::hand_over(custody, &name, &shares)?;
        print(&format!("Kit {name}"))?;
    } else {
        tell(global, &name, &shares)?;
        prove(&public)?;
    }
    drop(shares);
    say("The shares are good. Nothing has changed so far.");
    session.unlock(Unlock::Password(prompt::secret("Your password")?)).await?;
    let body =
        |id| v1::ProposeKitRequest { public_key: public.to_string(), reason: reason.to_owned(), request_id: Some(id) };
    session.write(Call::write("propose the new kit"), body, rpc!(RecoveryServiceClient.propose_kit)).await?;
    say("Proposed. Another administrator compares the fingerprint with the one on the paper and says, within an hour:");
    say(&format!("  tricord key recovery confirm {name}"));
    say("Until then the kit there is stays the cluster's.");
    Ok(())
}

fn tell(global: &Global, name: &str, shares: &[Share]) -> Result<()> {
    if global.output == Format::Json {
        let shares: Vec<String> = shares.iter().map(ToString::to_string).collect();
        return crate::output::json_line(&serde_json::json!({ "fingerprint": name, "shares": shares }));
    }
    say("The new recovery kit, made on this machine: its private half is nowhere else. Any two of these three shares");
    say("are it. They are shown only now. Write each, with the fingerprint, on paper, for three safes:");
    print(&format!("  Kit {name}"))?;
    for share in shares {
        print(&format!("  {share}"))?;
    }
    Ok(())
}

/// Two shares as they stand on the paper must give the key back.
fn prove(public: &PublicKey) -> Result<()> {
    for _ in 0..TRIES {
        let typed = [
            prompt::secret("Type one share as it is written on the paper, with its number")?,
            prompt::secret("And another one")?,
        ];
        let shares: Result<Vec<Share>> = typed.iter().map(|typed| Share::parse(typed)).collect();
        let key = shares.and_then(|shares| recovery::combine(&shares));
        match key.map(|key| key.public()) {
            Ok(Ok(typed)) if typed == *public => return Ok(()),
            Ok(_) => say("These two do not give the new kit: a word differs, or one is of another kit."),
            Err(error) => say(&error.to_string()),
        }
    }
    Err(Error::Usage("the shares were not typed rightly, so nothing was proposed; run the command again".into()))
}

/// Confirms what someone else proposed.
pub async fn confirm(session: &Session, typed: &str) -> Result<()> {
    let kit = kits(session).await?.kits.into_iter().find(|kit| kit.state() == KitState::Proposed);
    if let Some(kit) = &kit {
        if session.state.session.starts_with(&format!("{}/", kit.proposed_by)) {
            return Err(Error::Usage("you proposed this kit yourself; another administrator confirms it".into()));
        }
        let by = address::people(session, vec![kit.proposed_by.clone()]).await?;
        let by = by
            .get(&kit.proposed_by)
            .map_or_else(|| id_of(&kit.proposed_by).to_owned(), |user| format!("@{}", user.login));
        say(&format!("Proposed by {by}, {}: {}", minute(kit.since_time.as_ref()), crate::text::line(&kit.reason)));
    }
    session.unlock(Unlock::Password(prompt::secret("Your password")?)).await?;
    let body = |id| v1::ConfirmKitRequest { fingerprint: typed.to_owned(), request_id: Some(id) };
    let call = Call::write("confirm the new kit");
    let done = session.write(call, body, rpc!(RecoveryServiceClient.confirm_kit)).await?;
    say(&format!(
        "Confirmed. The cluster and its backups are sealed to the new kit from now on, and cluster key {} is in use.",
        done.version
    ));
    say(
        "KEEP THE OLD KIT as long as a backup of its time is kept: nothing else opens those. 'tricord key recovery list'",
    );
    say(
        "says which. Make a backup now, and verify it with the new kit: tricord backup create, tricord backup verify --kit",
    );
    Ok(())
}

/// Withdraws what waits.
pub async fn cancel(session: &Session) -> Result<()> {
    let body = |id| v1::CancelKitRequest { request_id: Some(id) };
    let call = Call::write("withdraw the proposed kit");
    session.write(call, body, rpc!(RecoveryServiceClient.cancel_kit)).await?;
    say("Withdrawn. Destroy its shares: they open nothing.");
    Ok(())
}

async fn kits(session: &Session) -> Result<v1::ListKitsResponse> {
    let body = |read| v1::ListKitsRequest { read: Some(read) };
    session.read("list the recovery kits", body, rpc!(RecoveryServiceClient.list_kits)).await
}

fn print_of(kit: &RecoveryKit) -> String {
    kit.public_key.parse().map_or_else(|_| kit.public_key.clone(), |public| fingerprint(&public))
}

#[derive(Serialize)]
struct Row {
    fingerprint: String,
    public_key: String,
    state: &'static str,
    since: Option<String>,
    until: Option<String>,
    last_version: u32,
    proposed_by: String,
    confirmed_by: String,
    reason: String,
}

/// Which kit opens what.
pub async fn list(session: &Session, global: &Global) -> Result<()> {
    let answer = kits(session).await?;
    note_stale(answer.info.as_ref());
    let by = answer.kits.iter().flat_map(|kit| [&kit.proposed_by, &kit.confirmed_by]);
    let mut names: Vec<String> = by.filter(|name| !name.is_empty()).cloned().collect();
    names.sort();
    names.dedup();
    let people = address::people(session, names).await?;
    let login = |name: &String| match people.get(name) {
        Some(user) => format!("@{}", user.login),
        None if name.is_empty() => String::new(),
        None => id_of(name).to_owned(),
    };
    let rows: Vec<Row> = answer
        .kits
        .iter()
        .map(|kit| Row {
            fingerprint: print_of(kit),
            public_key: kit.public_key.clone(),
            state: word(kit.state()),
            since: rfc3339(kit.since_time.as_ref()),
            until: rfc3339(kit.until_time.as_ref()),
            last_version: kit.last_version,
            proposed_by: login(&kit.proposed_by),
            confirmed_by: login(&kit.confirmed_by),
            reason: kit.reason.clone(),
        })
        .collect();
    let cells =
        answer.kits.iter().zip(&rows).map(|(kit, row)| vec![row.fingerprint.clone(), row.state.into(), opens(kit)]);
    show(global.output, &serde_json::json!({ "kits": rows }), &["id", "state", "opens"], cells.collect())
}

fn opens(kit: &RecoveryKit) -> String {
    let (since, until) = (minute(kit.since_time.as_ref()), minute(kit.until_time.as_ref()));
    match kit.state() {
        KitState::Proposed => format!("nothing; can be confirmed until {until}"),
        KitState::Active => format!("the cluster, and backups since {since}"),
        KitState::Former => format!("backups from {since} to {until}; cluster keys up to {}", kit.last_version),
        KitState::Unspecified => String::new(),
    }
}

const fn word(state: KitState) -> &'static str {
    match state {
        KitState::Unspecified => "unknown",
        KitState::Proposed => "PROPOSED",
        KitState::Active => "active",
        KitState::Former => "former",
    }
}
