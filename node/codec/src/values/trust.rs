//! Certificates of nodes, and recovery kits.

use types::certificate::{NodeCertificates, NoteCertificates, Revocation, RevokeCertificates, Revoked};
use types::kit::{ConfirmKit, FormerKit, KitProposal, ProposeKit};

use crate::declare::{choices, messages};

messages! {
    NoteCertificates { 1: serials, 2: expires }
    NodeCertificates { 1: serials, 2: expires, 3: since }
    RevokeCertificates { 1: what, 2: reason }
    Revoked { 1: at, 2: by, 3: node, 4: reason }
    ProposeKit { 1: public, 2: reason }
    ConfirmKit { 1: public, 2: envelopes, 3: key, 4: dropped }
    KitProposal { 1: public, 2: by, 3: at, 4: until, 5: reason }
    FormerKit { 1: public, 2: since, 3: until, 4: last_version, 5: proposed_by, 6: confirmed_by }
}

choices! {
    Revocation { 1: Certificate(serial), 2: Node(node) }
}
