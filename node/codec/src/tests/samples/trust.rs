//! Certificates of nodes, and recovery kits.

use types::certificate::{NodeCertificates, NoteCertificates, Revocation, RevokeCertificates, Revoked, Serial};
use types::kit::{ConfirmKit, FormerKit, KitProposal, ProposeKit};
use types::row::Row;
use types::{Command, NodeId};

use super::logged::new_cluster_key;
use super::*;

pub(super) const SERIAL: Serial = Serial([0x5E; 20]);

pub(super) fn of_nodes() -> Vec<Command> {
    vec![Command::NoteCertificates(NoteCertificates { serials: vec![SERIAL], expires: LATER })]
}

pub(super) fn of_users() -> Vec<Command> {
    let revoke = |what| Command::RevokeCertificates(RevokeCertificates { what, reason: "stolen".to_owned() });
    vec![
        revoke(Revocation::Certificate(SERIAL)),
        revoke(Revocation::Node(NodeId(7))),
        Command::ProposeKit(ProposeKit { public: [0xD3; 32], reason: "a share is lost".to_owned() }),
        Command::ConfirmKit(ConfirmKit {
            public: [0xD3; 32],
            envelopes: vec![(1, key_envelope(Holder::Recovery))],
            key: new_cluster_key(),
            dropped: vec![Holder::Node(NodeId(7))],
        }),
        Command::CancelKit,
    ]
}

pub(super) fn node_certificates() -> Row {
    Row::NodeCertificates(NodeCertificates { serials: vec![SERIAL], expires: LATER, since: AT })
}

pub(super) fn revoked() -> Row {
    Row::Revoked(Revoked { at: AT, by: Some(ANA), node: Some(NodeId(7)), reason: "stolen".to_owned() })
}

pub(super) fn proposal() -> Row {
    let reason = "a share is lost".to_owned();
    Row::KitProposal(KitProposal { public: [0xD3; 32], by: ANA, at: AT, until: LATER, reason })
}

pub(super) fn former_kit() -> Row {
    Row::FormerKit(FormerKit {
        public: [0xD1; 32],
        since: AT,
        until: LATER,
        last_version: 2,
        proposed_by: ANA,
        confirmed_by: BEN,
    })
}
