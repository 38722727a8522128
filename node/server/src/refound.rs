//! `tricordd refound`: begins a new history on the one machine that is left. Called by `tricord disaster refound`, which says to a
//! person what it means. Nothing else may run on this data directory, and no other node may answer.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use raft::refound::{Dirs, Survey, refound, survey};
use raft::{NodeInfo, ask_places};
use store::DataDir;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use types::seat::Refound as NewHistory;
use types::{ClusterId, Lineage, Slot, Timestamp};

use crate::Failure;
use crate::certificates::Certificates;
use crate::config::Config;
use crate::run::check_identity;

/// What is to be done.
#[derive(clap::Args)]
#[group(id = "refounding")]
pub struct Refound {
    /// Begin. Without it, only what would happen is said.
    #[arg(long)]
    pub begin: bool,
    /// With --begin: what people call the cluster.
    #[arg(long, value_name = "NAME", default_value = "")]
    pub name: String,
    /// Take clients' writes with this one disk, before another node has joined.
    #[arg(long)]
    pub accept_single_copy: bool,
    /// This place is lost for good, although something listens at its address.
    #[arg(long, value_name = "SLOT", value_parser = slot)]
    pub lost: Vec<Slot>,
}

fn slot(text: &str) -> Result<Slot, String> {
    Slot::ALL.into_iter().find(|slot| slot.letter() == text).ok_or_else(|| "is not a, b or c".to_owned())
}

/// How long the others are listened for.
const LISTENED: Duration = Duration::from_secs(3);
/// Between two looks.
const AGAIN: Duration = Duration::from_millis(300);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(2);

/// What was found, or done, for the caller.
pub struct Report {
    pub name: String,
    pub node: String,
    pub last: Timestamp,
    pub unapplied: u64,
    /// When the new history began, if it did.
    pub begun: Option<Timestamp>,
}

/// Looks, or begins.
pub fn run(config: &Config, to: &Refound) -> Result<Report, Failure> {
    let identity = DataDir::identify(&config.data)?;
    check_identity(config, &identity)?;
    nobody_answers(config, &configured(config), &to.lost)?;
    let data = DataDir::open(&config.data, Some(config.cluster), None)?; // Held: no daemon runs on it.
    let dirs = Dirs { log: data.log_dir(), state: data.state_dir() };
    let Survey { name, lineage, last, unapplied, refounding, addresses, .. } = survey(&dirs)?;
    nobody_answers(config, &moved(config, addresses), &to.lost)?;
    let mut report = Report { name, node: identity.node.to_string(), last, unapplied, begun: None };
    if !to.begin {
        return Ok(report);
    }
    if to.name.trim() != report.name {
        return Err("that is not the name of this cluster; nothing was done".into());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    // One that was begun and not ended goes on as it was.
    let unfinished = refounding.is_some() && lineage != identity.lineage;
    let lineage = if unfinished { lineage } else { new_lineage()? };
    let new = NewHistory {
        lineage,
        node: identity.node,
        at: Timestamp(u64::try_from(now.as_millis())?),
        single_copy: to.accept_single_copy,
    };
    let addresses = config.addresses(config.slot);
    let info = NodeInfo {
        node: identity.node,
        peer_address: addresses.peer.clone(),
        client_address: addresses.client.clone(),
        disk: identity.disk,
    };
    let begun = refound(&dirs, &info, new)?;
    data.set_lineage(lineage)?;
    report.begun = Some(begun.at);
    Ok(report)
}

fn new_lineage() -> Result<Lineage, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| "no randomness")?;
    Ok(Lineage(bytes))
}

/// What was found at the address of another node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Heard {
    /// No connection.
    Nothing,
    /// Connections are taken, and no node of this cluster could be spoken to.
    Something,
    /// It is a node of this cluster.
    Node,
}

/// Errors: a node of this cluster answers at one of these addresses: with it nothing is lost, so nothing may be begun anew. Or
/// something listens there that may be one, of which nobody said that it is lost.
fn nobody_answers(config: &Config, addresses: &[(Slot, String)], lost: &[Slot]) -> Result<(), Failure> {
    let dial = Certificates::load(&config.tls).map(|certificates| Arc::new(certificates.peer()) as Arc<dyn raft::Dial>);
    let unusable =
        dial.as_ref().err().map(|error| format!(" This machine's own certificates cannot be used: {error}."));
    let dial = dial.ok();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let looks = addresses.iter().map(|(slot, address)| heard(dial.clone(), address, config.cluster, *slot));
    let found = runtime.block_on(futures::future::join_all(looks));
    for ((slot, address), heard) in addresses.iter().zip(found) {
        if heard == Heard::Node {
            return Err(format!(
                "{slot} answers at {address}: with it and this node together nothing is lost. Start this node instead: \
                 systemctl start tricordd"
            )
            .into());
        }
        if heard == Heard::Something && !lost.contains(slot) {
            return Err(format!(
                "something listens at {address}, where {slot} is, and could not be understood. If it is {slot}, nothing is lost: a \
                 clock that is wrong, a certificate that has expired, or a daemon that hangs keeps the two apart.{} Run 'tricord \
                 doctor' on both machines, and mend that first. Only if {slot} is lost for good, and something else listens there: \
                 --lost {slot}",
                unusable.as_deref().unwrap_or_default()
            )
            .into());
        }
    }
    Ok(())
}

/// Looks more than once: one that is just starting, or busy, is heard a moment later.
async fn heard(dial: Option<Arc<dyn raft::Dial>>, address: &str, cluster: ClusterId, slot: Slot) -> Heard {
    let (began, mut heard) = (Instant::now(), Heard::Nothing);
    loop {
        if let Some(dial) = &dial
            && ask_places(Arc::clone(dial), address.to_owned(), cluster, slot).await.is_some()
        {
            return Heard::Node;
        }
        if matches!(timeout(CONNECT, TcpStream::connect(address)).await, Ok(Ok(_))) {
            heard = Heard::Something;
        }
        if began.elapsed() >= LISTENED {
            return heard;
        }
        sleep(AGAIN).await;
    }
}

/// Where the others may be, by what is configured.
fn configured(config: &Config) -> Vec<(Slot, String)> {
    let others = Slot::ALL.into_iter().filter(|slot| *slot != config.slot);
    others.map(|slot| (slot, config.addresses(slot).peer.clone())).collect()
}

/// Where else they may be, by the state: the configuration of this machine may be older.
fn moved(config: &Config, known: [Option<String>; 3]) -> Vec<(Slot, String)> {
    let known = Slot::ALL.into_iter().zip(known).filter(|(slot, _)| *slot != config.slot);
    let known = known.filter_map(|(slot, address)| address.map(|address| (slot, address)));
    known.filter(|(slot, address)| config.addresses(*slot).peer != *address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_takes_connections_and_says_nothing_is_not_taken_for_lost() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address").to_string();
        assert_eq!(heard(None, &address, ClusterId([1; 16]), Slot::B).await, Heard::Something);
        drop(listener);
        assert_eq!(heard(None, &address, ClusterId([1; 16]), Slot::B).await, Heard::Nothing);
    }
}
