//! The General Data Protection Regulation, article by article.

use super::super::facts::Facts;
use super::super::{Item, Standing};
use super::{absent, nothing};

const LAW: &str = "GDPR";

pub(super) const ITEMS: &[Item] = &[
    Item {
        law: LAW,
        item: "Art. 5(1)(c),(e),(f), 5(2)",
        title: "Principles, accountability",
        standing: Standing::SupportsInPart,
        does: "Content is sealed, access is by participation, and everything is recorded. Messages are kept without end: there is no \
               retention by class yet.",
        evidence: Facts::retention,
        hospital: "decide how long what is kept, and say why",
        outside: "the purpose",
    },
    absent(
        LAW,
        "Art. 15",
        "Access by the data subject",
        "There is no export by person.",
        "answer from its own records",
    ),
    absent(
        LAW,
        "Art. 17",
        "Erasure",
        "Nothing can be erased: no message and no key.",
        "answer such requests otherwise",
    ),
    absent(LAW, "Art. 20", "Portability", "There is no export by person.", "answer from its own records"),
    Item {
        law: LAW,
        item: "Art. 25",
        title: "Data protection by design and by default",
        standing: Standing::SupportsInPart,
        does: "Deny by default; above 32 participants an author sees counts instead of names of who has displayed; presence is shown \
               to people who are signed in alone. Logs and metrics name nobody.",
        evidence: nothing,
        hospital: "set what is seen to what is needed",
        outside: "what people choose to write",
    },
    Item {
        law: LAW,
        item: "Art. 32(1)(a)",
        title: "Encryption",
        standing: Standing::Supports,
        does: "Content is sealed before it reaches a disk, TLS 1.3 on all ports, backups are encrypted to the recovery kit.",
        evidence: |facts| facts.keys().into_iter().chain(facts.transmission()).collect(),
        hospital: "keep keys elsewhere than on the disks they protect",
        outside: "metadata; memory of running nodes",
    },
    Item {
        law: LAW,
        item: "Art. 32(1)(b),(c)",
        title: "Resilience, timely restoration",
        standing: Standing::Supports,
        does: "Any one of three nodes may be lost without interruption and without a lost acknowledged message; restoration from a backup.",
        evidence: |facts| std::iter::once(facts.nodes_up()).chain(facts.backup()).collect(),
        hospital: "place the three apart, with power and networks of their own",
        outside: "the loss of two nodes at once",
    },
    Item {
        law: LAW,
        item: "Art. 32(1)(d)",
        title: "Regular testing",
        standing: Standing::SupportsInPart,
        does: "Backups are verified by restoring them, recovery kits without restoring. No drill report.",
        evidence: Facts::backup,
        hospital: "test regularly and write it down",
        outside: "organisational measures",
    },
    Item {
        law: LAW,
        item: "Art. 33, 30, 35",
        title: "Notification, records of processing, impact assessment",
        standing: Standing::SupportsInPart,
        does: "The exported audit log is evidence that a third party can verify. No templates for records of processing or an assessment.",
        evidence: Facts::audit,
        hospital: "notify within 72 hours, keep its records and make its assessment",
        outside: "all three documents",
    },
];
