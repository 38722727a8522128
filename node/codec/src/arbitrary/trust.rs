//! Certificates of nodes, and recovery kits.

use proptest::prelude::*;
use types::Command;
use types::certificate::{NodeCertificates, NoteCertificates, Revocation, RevokeCertificates, Revoked, Serial};
use types::kit::{ConfirmKit, FormerKit, KitProposal, ProposeKit};

use super::keys::{holder, key_envelope, new_cluster_key};
use super::primitive::*;

structs!(note: NoteCertificates { serials: list(serial()), expires: timestamp() });
structs!(pub(super) node_certificates: NodeCertificates {
    serials: list(serial()), expires: timestamp(), since: timestamp(),
});
structs!(revoke: RevokeCertificates { what: revocation(), reason: text() });
structs!(pub(super) revoked: Revoked {
    at: timestamp(), by: maybe(user_id()), node: maybe(node_id()), reason: text(),
});
structs!(propose: ProposeKit { public: bytes32(), reason: text() });
structs!(confirm: ConfirmKit {
    public: bytes32(), envelopes: list((number32(), key_envelope()).boxed()), key: new_cluster_key(),
    dropped: list(holder()),
});
structs!(pub(super) proposal: KitProposal {
    public: bytes32(), by: user_id(), at: timestamp(), until: timestamp(), reason: text(),
});
structs!(pub(super) former_kit: FormerKit {
    public: bytes32(), since: timestamp(), until: timestamp(), last_version: number32(), proposed_by: user_id(),
    confirmed_by: user_id(),
});

pub(super) fn serial() -> BoxedStrategy<Serial> {
    prop_oneof![Just(Serial([0; 20])), any::<[u8; 20]>().prop_map(Serial)].boxed()
}

fn revocation() -> BoxedStrategy<Revocation> {
    prop_oneof![serial().prop_map(Revocation::Certificate), node_id().prop_map(Revocation::Node)].boxed()
}

/// Any command of certificates and recovery kits.
pub(super) fn command() -> BoxedStrategy<Command> {
    prop_oneof![
        note().prop_map(Command::NoteCertificates),
        revoke().prop_map(Command::RevokeCertificates),
        propose().prop_map(Command::ProposeKit),
        confirm().prop_map(Command::ConfirmKit),
        Just(Command::CancelKit),
    ]
    .boxed()
}
