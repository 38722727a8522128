//! Makes the state of a node of a new history out of a backup: three new nodes that all begin with it are founded as any
//! three are, and go on from there.

use std::path::Path;

use seal::{ClusterKey, NodeKey, PublicKey};
use state::keys;
use state::view::{Rows, heads, newest_cluster_key};
use store::{Fault, RocksDisk, StateView};
use types::key::{Envelope, Holder};
use types::limits::SEATS_MAX;
use types::row::{Cluster, Heads};
use types::seat::Refounding;
use types::{Incarnation, Key, Lineage, NodeId, Row, Slot, Timestamp};

use crate::verify::{Expected, Opener, Verified};
use crate::{Error, Progress, Target, restore_into};

/// How the new history begins: the same on all three nodes.
#[derive(Clone, Copy, Debug)]
pub struct Beginning {
    /// The new lineage.
    pub lineage: Lineage,
    /// When, by the clock of whoever began it.
    pub at: Timestamp,
}

/// A state that was made out of a backup.
#[derive(Debug)]
pub struct Revived {
    /// What was shown of the backup.
    pub verified: Verified,
    /// The node of this slot: its id was never any other's.
    pub node: NodeId,
    /// Each live version of the cluster key, sealed to this node, ascending.
    pub envelopes: Vec<(u32, Envelope)>,
}

/// The first id of each slot that no node of the cluster in this state ever had.
fn incarnation(view: &StateView) -> Result<Incarnation, Fault> {
    let mut newest = 1;
    let (from, to) = keys::seats();
    let (first, last) = keys::signers();
    for (from, to) in [(from, to), (first, last)] {
        for (key, _) in state::View::scan(view, &from, &to, false, SEATS_MAX)? {
            if let Key::Seat(node) | Key::Signer(node) = key {
                newest = newest.max(u32::try_from(node.0 >> 2).unwrap_or(u32::MAX));
            }
        }
    }
    Ok(Incarnation(newest + 1))
}

/// What is made of which backup, and where.
#[derive(Debug)]
pub struct Revival<'a> {
    /// The target the backup is in.
    pub target: &'a Target,
    /// Its name.
    pub name: &'a str,
    /// What it must be of.
    pub expected: Expected,
    /// An empty directory to restore it to, on the file system of `state`.
    pub room: &'a Path,
    /// Where the state is made.
    pub state: &'a Path,
    /// The slot of the new node.
    pub slot: Slot,
    /// Its public key.
    pub public: PublicKey,
    /// How the new history begins.
    pub beginning: Beginning,
}

/// Restores and verifies a backup, and makes the state of a new node of it. The recovery kit is needed: nobody else can
/// seal the cluster key to the node.
pub fn revive(wish: &Revival<'_>, kit: NodeKey, progress: Progress<'_>) -> Result<Revived, Error> {
    let Revival { target, name, expected, room, state, slot, public, beginning } = wish;
    let opener = Opener::Kit(kit);
    let verified = restore_into(target, name, expected, &opener, room, progress)?;
    let Opener::Kit(kit) = opener else { return Err(Error::NoKit) };
    let disk = RocksDisk::default();
    let view = StateView::of_checkpoint(&disk, room)?;
    let cluster = view.cluster()?.ok_or(Error::NoKit)?;
    let incarnation = incarnation(&view)?;
    let node = NodeId::new(*slot, incarnation);
    let envelopes = seal_to(&view, &kit, node, *public)?;
    let refounding = Refounding {
        before: cluster.lineage,
        last: heads(&view)?.clock,
        at: beginning.at,
        node: NodeId::new(Slot::A, incarnation),
        single_copy: false,
        records: heads(&view)?.records,
    };
    // Later than all that survived, so that times tell what did.
    let heads = heads(&view)?;
    let rows = [
        (Key::Heads(), Row::Heads(Heads { clock: heads.clock.plus_ms(1), ..heads })),
        (Key::Cluster(), Row::Cluster(Cluster { lineage: beginning.lineage, ..cluster })),
        (Key::Refounding(), Row::Refounding(refounding)),
    ];
    drop(view);
    store::adopt(&disk, state, room, &rows)?;
    Ok(Revived { verified, node, envelopes })
}

/// Each version of the cluster key that is not retired, opened with the kit and sealed to this node.
fn seal_to(view: &StateView, kit: &NodeKey, node: NodeId, to: PublicKey) -> Result<Vec<(u32, Envelope)>, Error> {
    let mut envelopes = Vec::new();
    let newest = newest_cluster_key(view)?.map_or(0, |(version, _)| version);
    for version in 1..=newest {
        let Some(key) = view.cluster_key(version)?.filter(|key| key.retired.is_none()) else { continue };
        let sealed = view.key_envelope(version, Holder::Recovery)?.ok_or(Error::NoKit)?.sealed;
        let opened = ClusterKey::open(version, &key.check, &sealed, kit)?;
        let holder = Holder::Node(node);
        envelopes.push((version, Envelope { holder, public: to.0, sealed: opened.envelope(&to)? }));
    }
    Ok(envelopes)
}
