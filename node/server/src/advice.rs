//! What a node says that cannot start because of its disk: who has its place, whether the others serve, and what to do.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use raft::{Places, ask_places};
use types::{Slot, Timestamp};

use crate::Failure;
use crate::certificates::Certificates;
use crate::config::Config;

/// Adds to a failure what the other nodes say. They are asked briefly; without an answer that is said.
pub fn about(config: &Config, what: &str, failure: Failure) -> Failure {
    let Ok(certificates) = Certificates::load(&config.tls) else { return failure };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return failure };
    let dial: Arc<dyn raft::Dial> = Arc::new(certificates.peer());
    let others = Slot::ALL.into_iter().filter(|slot| *slot != config.slot);
    let asked = others.map(|slot| {
        let (dial, address) = (Arc::clone(&dial), config.addresses(slot).peer.clone());
        async move { (slot, ask_places(dial, address, config.cluster, slot).await) }
    });
    let answers = runtime.block_on(futures::future::join_all(asked));
    runtime.shutdown_timeout(Duration::from_millis(100));
    format!("{failure}\n{}", words(config.slot, what, &answers)).into()
}

/// The same for damage that shows within a runtime: without asking anybody, so nothing is said of the others.
pub fn damaged(slot: Slot, failure: Failure) -> Failure {
    format!(
        "{failure}\nFirst see on the two others whether they take messages: tricord cluster status. If they do, nothing that was \
         acknowledged is only here: put this machine's disk aside and run `tricord node replace {slot}`. If they do not, this disk may \
         hold the only copy: keep it as it is, and go by the runbook two-nodes-lost."
    )
    .into()
}

/// The words.
fn words(slot: Slot, what: &str, answers: &[(Slot, Option<Places>)]) -> String {
    let told: Vec<(Slot, &Places)> =
        answers.iter().filter_map(|(slot, places)| places.as_ref().map(|places| (*slot, places))).collect();
    if told.is_empty() {
        return format!(
            "{what}, and no other node answers, so who had place {slot} is not known. Start the others first; then start this again."
        );
    }
    if told.iter().all(|(_, places)| !places.founded) {
        return format!("{what}, and the cluster is not founded yet. To found it: tricordd found on each machine.");
    }
    let place = usize::from(slot.number()) - 1;
    let node = told.iter().find_map(|(_, places)| places.places[place].0);
    let seen = told.iter().filter_map(|(_, places)| places.places[place].2).max();
    let last = seen.map_or_else(String::new, |at| format!(" last seen {}", clock(at)));
    let node = node.map_or_else(|| "a node".to_owned(), |node| format!("node {node}"));
    let serving: Vec<&str> = told.iter().filter(|(_, places)| places.serves).map(|(slot, _)| slot.letter()).collect();
    let serving = match serving.as_slice() {
        [one, other] => format!("{one} and {other} are serving; nobody is interrupted."),
        [one] => format!("{one} is serving."),
        _ => "The others answer, but none of them serves: see 'tricord cluster status' there.".to_owned(),
    };
    format!(
        "{what}, but place {slot} belonged to {node}{last}. It will not rejoin by itself. Wrong disk mounted? Fix it and restart. \
         Disk lost? Run `tricord node replace {slot}`. {serving}"
    )
}

/// The time of day in UTC, with the day if that is not today.
fn clock(at: Timestamp) -> String {
    let minutes = at.0 / 60_000;
    let time = format!("{:02}:{:02} UTC", minutes / 60 % 24, minutes % 60);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 60);
    match (now / 1_440).saturating_sub(minutes / 1_440) {
        0 => time,
        1 => format!("{time} yesterday"),
        days => format!("{time}, {days} days ago"),
    }
}

#[cfg(test)]
mod tests {
    use types::{Incarnation, Lineage, NodeId};

    use super::*;

    #[test]
    fn an_empty_disk_is_told_whose_place_it_is_and_what_to_do() {
        let places = |serves| Places {
            node: NodeId::new(Slot::A, Incarnation(1)),
            lineage: Lineage([1; 16]),
            before: None,
            founded: true,
            serves,
            places: [
                (None, true, None),
                (Some(NodeId::new(Slot::B, Incarnation(1))), false, Some(Timestamp(2 * 3_600_000 + 47 * 60_000))),
                (None, true, None),
            ],
        };
        let answers = [(Slot::A, Some(places(true))), (Slot::C, Some(places(true)))];
        let said = words(Slot::B, "This disk is empty", &answers);
        assert!(said.starts_with("This disk is empty, but place b belonged to node b1 last seen 02:47 UTC"), "{said}");
        assert!(said.ends_with("Run `tricord node replace b`. a and c are serving; nobody is interrupted."), "{said}");
        let said = words(Slot::B, "This disk is empty", &[(Slot::A, None), (Slot::C, None)]);
        assert!(said.contains("no other node answers"), "{said}");
    }
}
