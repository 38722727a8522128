//! `tricordd refound`: begins a new history on the one machine that is left. Called by `tricord disaster refound`, which says to a
//! person what it means. Nothing else may run on this data directory, and no other node may answer.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use raft::refound::{Dirs, Survey, refound, survey};
use raft::{NodeInfo, ask_places};
use store::DataDir;
use types::seat::Refound as NewHistory;
use types::{Lineage, Slot, Timestamp};

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
}

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
    nobody_answers(config)?;
    let data = DataDir::open(&config.data, Some(config.cluster), None)?; // Held: no daemon runs on it.
    let dirs = Dirs { log: data.log_dir(), state: data.state_dir() };
    let Survey { name, lineage, last, unapplied, refounding, .. } = survey(&dirs)?;
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

/// Errors: a node of this cluster answers: with it nothing is lost, so nothing may be begun anew.
fn nobody_answers(config: &Config) -> Result<(), Failure> {
    let certificates = Certificates::load(&config.tls)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let dial: Arc<dyn raft::Dial> = Arc::new(certificates.peer());
    for slot in Slot::ALL.into_iter().filter(|slot| *slot != config.slot) {
        let address = config.addresses(slot).peer.clone();
        if runtime.block_on(ask_places(Arc::clone(&dial), address.clone(), config.cluster, slot)).is_some() {
            return Err(format!(
                "{slot} answers at {address}: with it and this node together nothing is lost. Start this node instead: \
                 systemctl start tricordd"
            )
            .into());
        }
    }
    Ok(())
}
