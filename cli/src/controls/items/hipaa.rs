//! HIPAA, the technical safeguards: 45 CFR 164.312. (R) required, (A) addressable.

use super::super::facts::Facts;
use super::super::{Item, Standing};

const LAW: &str = "HIPAA technical safeguards";

pub(super) const ITEMS: &[Item] = &[
    Item {
        law: LAW,
        item: "164.312(a)(1)",
        title: "Access control",
        standing: Standing::Supports,
        does: "One decision function over replicated state, the same on every node, denies by default. Messages are for the \
               participants of a conversation; no permission set of an operator shows content. What one may not see answers as \
               what does not exist.",
        evidence: |facts| vec![facts.nodes_up()],
        hospital: "decide who has which permission set and who takes part where, and review both",
        outside: "root on a node's machine; what a participant does with what is on the screen",
    },
    Item {
        law: LAW,
        item: "164.312(a)(2)(i)",
        title: "Unique user identification (R)",
        standing: Standing::Supports,
        does: "Every account has an id that is never given again, and a login that is never given to a second person. At a place \
               shared by many (\"Room 1\") a person must tap in, and each message names both.",
        evidence: |_| Vec::new(),
        hospital: "give each person an account of their own and forbid that passwords and PINs are shared",
        outside: "people who let others use their session",
    },
    Item {
        law: LAW,
        item: "164.312(a)(2)(ii)",
        title: "Emergency access procedure (R)",
        standing: Standing::Supports,
        does: "Two keyholders open emergency access with a reason, also on a node's own machine when nothing else answers; it ends by \
               itself, each step is recorded, and an auditor signs its review off.",
        evidence: Facts::emergencies,
        hospital: "name the keyholders, write the procedure down, and rehearse it",
        outside: "two keyholders who agree to misuse it: that is seen afterwards, not prevented",
    },
    Item {
        law: LAW,
        item: "164.312(a)(2)(iii)",
        title: "Automatic logoff (A)",
        standing: Standing::Supports,
        does: "Sessions lock, and end, when they are not used. The cluster's time counts, not the device's; streams close and presence \
               goes with the session.",
        evidence: Facts::sessions,
        hospital: "set the times that fit its wards, and lock the devices' own screens too",
        outside: "what stays visible on a screen until the client has locked",
    },
    Item {
        law: LAW,
        item: "164.312(a)(2)(iv)",
        title: "Encryption and decryption (A)",
        standing: Standing::Supports,
        does: "Message text, titles, status texts and patients' names are sealed (XAES-256-GCM) on the node that takes them in, before they \
               reach a log or a disk; data keys per conversation and month, wrapped under a cluster key that is sealed to each node and to \
               the recovery kit. Core files are forbidden.",
        evidence: Facts::keys,
        hospital: "keep each node's key elsewhere than on its data disk, encrypt the disks and swap, and keep the recovery kit safe",
        outside: "who wrote to whom and when, and people's names, which are in the clear on the disk; memory of a running node",
    },
    Item {
        law: LAW,
        item: "164.312(b)",
        title: "Audit controls (R)",
        standing: Standing::Supports,
        does: "Every action and every fetch of content leaves a record in the same commit as its effect, before content leaves; refusals \
               and sign-ins that failed too. Records form a Merkle log that nobody can shorten; two nodes sign each head.",
        evidence: Facts::audit,
        hospital: "read it, keep exports and heads elsewhere, and decide for how long",
        outside: "what was read on a client that had it already; a node alone records what it showed when the majority is back",
    },
    Item {
        law: LAW,
        item: "164.312(c)(1)",
        title: "Integrity (R)",
        standing: Standing::Supports,
        does: "Messages are immutable. Every record on disk carries a checksum, a sealed text is authenticated at each opening, and nodes \
               compare the roots of their logs: one that differs from two others stops.",
        evidence: Facts::audit,
        hospital: "watch the alarms, and replace disks that are reported as damaged",
        outside: "what was already wrong when it was written",
    },
    Item {
        law: LAW,
        item: "164.312(c)(2)",
        title: "Mechanism to authenticate ePHI (A)",
        standing: Standing::Supports,
        does: "For each message there is a commitment in its record and a path from there to a signed head: 'tricord audit verify' shows on \
               any machine, without the cluster, that it was neither altered nor put in later.",
        evidence: Facts::audit,
        hospital: "give the public founding keys (audit.pub) to whoever verifies",
        outside: "that what a person wrote is true",
    },
    Item {
        law: LAW,
        item: "164.312(d)",
        title: "Person or entity authentication (R)",
        standing: Standing::SupportsInPart,
        does: "Passwords under Argon2id with lockout, one-time passwords as a second factor, tokens bound to the session and the device's key; nodes \
               and operators' machines by certificates. Sign-in through the hospital's own directory (OIDC, LDAP) is not there yet.",
        evidence: Facts::second_factor,
        hospital: "require the second factor of whom its risk analysis names, and prove who people are before it enrols them",
        outside: "a person who hands both factors to another",
    },
    Item {
        law: LAW,
        item: "164.312(e)(1)",
        title: "Transmission security (R)",
        standing: Standing::Supports,
        does: "TLS 1.3 and nothing older on all ports: clients, operators and between nodes, where both sides show certificates that name \
               cluster and place.",
        evidence: Facts::transmission,
        hospital: "keep the authority's key in a safe and renew certificates in time",
        outside: "the local socket, which root on the node's own machine may use without TLS",
    },
    Item {
        law: LAW,
        item: "164.312(e)(2)(i)",
        title: "Integrity controls in transmission (A)",
        standing: Standing::Supports,
        does: "TLS authenticates what is sent, and each conversation numbers its messages without gaps: a client that misses one is told.",
        evidence: |_| Vec::new(),
        hospital: "use clients that show what they were told",
        outside: "networks that let nothing through: then there is an error, and no message",
    },
    Item {
        law: LAW,
        item: "164.312(e)(2)(ii)",
        title: "Encryption in transmission (A)",
        standing: Standing::Supports,
        does: "TLS 1.3 on every connection, with the ciphers below; what is not TLS, or older, is refused.",
        evidence: Facts::transmission,
        hospital: "protect the machines at both ends",
        outside: "what travels from a client to anything else than a node",
    },
];
