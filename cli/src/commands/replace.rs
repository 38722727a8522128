//! `node approve`, `node replace`, `node join`, `node place`: a new machine takes a place of the cluster.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use proto::local::place_service_client::PlaceServiceClient;
use proto::local::{
    AdmitNodeRequest, GetPlaceRequest, GetPlaceResponse, PlaceState, PlanReplacementRequest, PlanReplacementResponse,
};
use seal::join::Code;
use tonic::transport::Channel;

use super::node::{connect, refused};
use crate::args::{Approve, Format, Global, Join, PlaceOf, Replace};
use crate::error::{Error, Result};
use crate::join::bundle::{Adopted, Bundle, Given, Greeting, Outcome, Purpose};
use crate::join::offer::Offer;
use crate::join::{Sealed, take};
use crate::output::{print, say};
use crate::pki::handed;
use crate::prompt;

/// What is sent in a second, about, beside the load.
const BYTES_PER_S: u64 = 20 << 20;
/// How often progress is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// On a healthy machine: shows a code, and lets whoever has it in.
pub async fn approve(global: &Global, args: &Approve) -> Result<u8> {
    let slot = crate::pki::slot(&args.slot)?.to_string();
    let doing = format!("let a new node into place {slot}");
    let mut client = PlaceServiceClient::new(connect(&args.at.socket, &doing, None).await?);
    let plan = client.plan_replacement(PlanReplacementRequest { slot: slot.clone() }).await;
    let plan = plan.map_err(|status| refused(&doing, &status))?.into_inner();
    tell_plan(&slot, &plan);
    if plan.old_answers {
        confirm_old(&plan.old_node_name, args.confirm.as_deref())?;
    }
    let text = std::fs::read_to_string(&args.config).map_err(|source| Error::File {
        doing: "read",
        path: args.config.clone(),
        source,
    })?;
    let mut offer = Offer::open(args.listen).await?;
    let code = offer.code();
    if global.output == Format::Json {
        let line = serde_json::json!({"code": code, "port": offer.port(), "node": plan.node_name});
        print(&line.to_string())?;
    } else {
        say(&format!("On the new machine: tricord node replace {slot} --from THIS_MACHINE"));
        say("and type there, within a quarter of an hour:");
        print(&code)?;
    }
    let (mut sealed, greeting) = offer.take(|_| {}).await?;
    if greeting.purpose != Purpose::Replace || greeting.slot.as_deref().is_some_and(|asked| asked != slot) {
        let why = format!("this code is for replacing the node of place {slot}, and for nothing else");
        sealed.say(&Given::Refused(why.clone())).await?;
        return Err(Error::Content { doing, why });
    }
    let handed = handed::bundle(&plan, &slot, &text, &args.config, args)?;
    sealed.say(&Given::Bundle(Box::new(handed.bundle))).await?;
    let admitted = admit(&mut sealed, &mut client, &doing, &handed.peer, &handed.client).await;
    let word = match &admitted {
        Ok(_) => Outcome::Admitted,
        Err(error) => Outcome::Refused(error.to_string()),
    };
    sealed.say(&word).await?;
    let node = admitted?;
    say(&format!("{node} is let in and holds the cluster key. The leader takes it to place {slot} once it runs."));
    if !args.detach {
        watch(&args.at.socket, &slot, global).await?;
    }
    Ok(0)
}

async fn admit(
    sealed: &mut Sealed,
    client: &mut PlaceServiceClient<Channel>,
    doing: &str,
    peer: &str,
    clients: &str,
) -> Result<String> {
    let fail = |why: String| Error::Content { doing: doing.to_owned(), why };
    sealed.wire.set_patience(Duration::from_secs(300)); // A passphrase may have to be typed there.
    let (node, disk, public_key) = match sealed.hear().await? {
        Adopted::Ready { node, disk, public_key } => (node, disk, public_key),
        Adopted::Failed(why) => return Err(fail(format!("on the new machine: {why}"))),
    };
    let request =
        AdmitNodeRequest { node, disk, public_key, peer_address: peer.to_owned(), client_address: clients.to_owned() };
    client.admit_node(request).await.map_err(|status| refused(doing, &status))?;
    Ok(types::NodeId(node).to_string())
}

fn tell_plan(slot: &str, plan: &PlanReplacementResponse) {
    let serving = match plan.serving.as_slice() {
        [one, other] => format!("neither {one} nor {other} may stop"),
        [one] => format!("{one} must not stop"),
        _ => "no other node may stop".into(),
    };
    let seconds = plan.bytes / BYTES_PER_S + 10;
    let time = if seconds < 90 { format!("{seconds} s") } else { format!("{} min", seconds.div_ceil(60)) };
    let seen = match plan.old_last_seen_ms {
        0 => String::new(),
        ms => format!(", last seen {}", crate::when::minute(Some(&stamp(ms)))),
    };
    say(&format!(
        "Place {slot} of {}: {} takes the place of {}{seen}.",
        plan.display_name, plan.node_name, plan.old_node_name
    ));
    say(&format!("Until this ends (about {time}, {}) {serving}.", size(plan.bytes)));
    if plan.pending > 0 {
        let pending = types::NodeId(plan.pending);
        say(&format!("{pending} was let in before and is on its way; if it is that machine, it goes on."));
    }
}

fn confirm_old(old: &str, confirmed: Option<&str>) -> Result<()> {
    let question = format!(
        "{old} STILL ANSWERS. It is not lost: stop it and mend it if that can be done. If it is to go all the same, it is refused \
         for ever from then on"
    );
    let typed = match confirmed {
        Some(name) => name.to_owned(),
        None if std::io::stdin().is_terminal() => {
            say(&format!("{question}."));
            prompt::line(&format!("Type its name ({old}) to go on"))?
        }
        None => return Err(Error::Usage(format!("{question}: say --confirm {old}"))),
    };
    if typed.trim() == old { Ok(()) } else { Err(Error::Usage("that is not its name; nothing was done".into())) }
}

/// On the new machine.
pub async fn replace(global: &Global, args: &Replace) -> Result<u8> {
    let slot = crate::pki::slot(&args.slot)?.to_string();
    let code = code(&format!("Code that 'tricord node approve {slot}' shows on {}", args.from))?;
    let greeting = Greeting { purpose: Purpose::Replace, slot: Some(slot.clone()) };
    let (mut sealed, bundle) = take::meet_other(&args.from, &code, &greeting).await?;
    say(&format!("This machine becomes {} of {}.", bundle.node_name, crate::text::line(&bundle.name)));
    let (node, or) = (bundle.node.to_string(), bundle.pending.to_string());
    let arguments = ["adopt", "--lineage", &bundle.lineage, "--node", &node, "--or", &or];
    settle(&mut sealed, &bundle, &args.config, &arguments).await?;
    say("It is let in. Start it now, if it does not run: systemctl start tricordd");
    if args.detach {
        return Ok(0);
    }
    watch(&args.at.socket, &slot, global).await?;
    Ok(0)
}

/// On a further machine of the founding.
pub async fn join(args: &Join) -> Result<u8> {
    let code = code(&format!("Code that 'tricord cluster init' shows on {}", args.from))?;
    let greeting = Greeting { purpose: Purpose::Found, slot: None };
    let (mut sealed, bundle) = take::meet_other(&args.from, &code, &greeting).await?;
    say(&format!("This machine becomes {} of {}.", bundle.node_name, crate::text::line(&bundle.name)));
    settle(&mut sealed, &bundle, &args.config, &["found"]).await?;
    say("Start it now: systemctl start tricordd. Nothing is served until all three run.");
    Ok(0)
}

async fn settle(sealed: &mut Sealed, bundle: &Bundle, config: &Path, arguments: &[&str]) -> Result<()> {
    let settled = take::settle(bundle, config, arguments).map(|said| {
        let found: serde_json::Value = serde_json::from_str(said.trim()).unwrap_or_default();
        let text = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
        let node = found["node"].as_u64().unwrap_or(bundle.node);
        Adopted::Ready { node, disk: text("disk"), public_key: text("public_key") }
    });
    match settled {
        Ok(ready) => take::conclude(sealed, &ready).await,
        Err(error) => {
            let _ = sealed.say(&Adopted::Failed(error.to_string())).await;
            Err(error)
        }
    }
}

fn code(what: &str) -> Result<Code> {
    let typed = prompt::secret(what)?;
    Code::parse(&typed).ok_or_else(|| Error::Usage("a code has eight letters and digits, as ABCD-2345".into()))
}

/// Says once how far a place is.
pub async fn place(global: &Global, args: &PlaceOf) -> Result<u8> {
    let slot = crate::pki::slot(&args.slot)?.to_string();
    let place = look(&args.at.socket, &slot, global).await?;
    if global.output == Format::Json {
        crate::output::json(&serde_json::json!({
            "slot": slot, "node": place.node_name, "state": place.state().as_str_name().trim_start_matches("PLACE_STATE_").to_lowercase(),
            "snapshot_bytes": place.snapshot_bytes, "snapshot_bytes_all": place.snapshot_bytes_all, "behind": place.behind,
        }))?;
    } else {
        print(&words(&place))?;
    }
    Ok(0)
}

async fn look(socket: &Path, slot: &str, global: &Global) -> Result<GetPlaceResponse> {
    let doing = "ask how far the new node is";
    let mut client = PlaceServiceClient::new(connect(socket, doing, Some(global.deadline)).await?);
    let place = client.get_place(GetPlaceRequest { slot: slot.to_owned() }).await;
    Ok(place.map_err(|status| refused(doing, &status))?.into_inner())
}

/// Says how far it is, until it is one of three.
async fn watch(socket: &Path, slot: &str, global: &Global) -> Result<()> {
    let mut said = String::new();
    loop {
        let now = match look(socket, slot, global).await {
            Ok(place) if place.state() == PlaceState::Seated => {
                say(&format!(
                    "{} counts now: done. Whether any one may stop, 'tricord cluster status' says.",
                    place.node_name
                ));
                return Ok(());
            }
            Ok(place) => words(&place),
            Err(_) => "The node on this machine does not run yet.".to_owned(),
        };
        if now != said {
            say(&now);
            said = now;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn words(place: &GetPlaceResponse) -> String {
    let node = &place.node_name;
    match place.state() {
        PlaceState::Waiting => format!("{node} was let in and does not answer yet."),
        PlaceState::Snapshot => {
            let percent = place.snapshot_bytes.saturating_mul(100).checked_div(place.snapshot_bytes_all).unwrap_or(0);
            format!("{node}: snapshot, {} % of {}.", percent.min(100), size(place.snapshot_bytes_all))
        }
        PlaceState::CatchingUp => {
            // In steps, or each look would be news.
            let step = if place.behind > 10_000 { 10_000 } else { 1_000 };
            match place.behind / step {
                0 => format!("{node}: nearly caught up."),
                steps => format!("{node}: catching up, {} entries to go.", crate::text::thousands(steps * step)),
            }
        }
        PlaceState::Seated => format!("{node} counts: nobody is on the way to this place."),
        PlaceState::None | PlaceState::Unspecified => format!("{node}: nobody is on the way to this place."),
    }
}

fn size(bytes: u64) -> String {
    let mib = bytes >> 20;
    if mib < 1_024 {
        format!("{} MiB", mib.max(1))
    } else {
        format!("{}.{} GiB", mib >> 10, (mib & 1_023) * 10 / 1_024)
    }
}

fn stamp(ms: u64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: i64::try_from(ms / 1_000).unwrap_or(i64::MAX), nanos: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_answers_goes_only_by_name() {
        assert!(confirm_old("b1", Some("b1")).is_ok());
        assert!(confirm_old("b1", Some("b")).is_err() && confirm_old("b1", Some("yes")).is_err());
    }

    #[test]
    fn progress_is_said_in_words() {
        let place = |state: PlaceState, snapshot_bytes, behind| GetPlaceResponse {
            node_name: "b2".into(),
            state: state.into(),
            snapshot_bytes,
            snapshot_bytes_all: 1_288_490_188,
            behind,
        };
        assert_eq!(words(&place(PlaceState::Snapshot, 644_245_094, 0)), "b2: snapshot, 50 % of 1.1 GiB.");
        assert_eq!(words(&place(PlaceState::CatchingUp, 0, 12_345)), "b2: catching up, 10,000 entries to go.");
        assert_eq!(words(&place(PlaceState::CatchingUp, 0, 12)), "b2: nearly caught up.");
    }
}
