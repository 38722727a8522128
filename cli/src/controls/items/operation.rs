//! HIPAA beyond the technical safeguards, and other rules of the United States.

use super::super::facts::Facts;
use super::super::{Item, Standing};
use super::{absent, nothing};

const LAW: &str = "HIPAA, administrative and other";
const OTHER: &str = "Other rules of the United States";

pub(super) const ITEMS: &[Item] = &[
    Item {
        law: LAW,
        item: "164.308(a)(1)(ii)(D)",
        title: "Information system activity review (R)",
        standing: Standing::SupportsInPart,
        does: "The audit log can be read, searched and exported, and reading it is recorded itself. There is no scheduled report that a \
               reviewer signs; emergency access has such a review.",
        evidence: Facts::emergencies,
        hospital: "review it regularly and keep a record of who did",
        outside: "the review itself",
    },
    Item {
        law: LAW,
        item: "164.308(a)(3)(ii)(C)",
        title: "Termination procedures (A)",
        standing: Standing::SupportsInPart,
        does: "Deactivating an account ends its sessions, streams and presence at once. It is done by hand: there is no SCIM yet.",
        evidence: nothing,
        hospital: "deactivate accounts when people leave",
        outside: "what their devices still show",
    },
    Item {
        law: LAW,
        item: "164.308(a)(4)",
        title: "Information access management",
        standing: Standing::SupportsInPart,
        does: "Permission sets and participation are data, each change is recorded. There is no export for an access review yet.",
        evidence: nothing,
        hospital: "grant, review and withdraw access by its own rules",
        outside: "the decision who needs what",
    },
    Item {
        law: LAW,
        item: "164.308(a)(5)(ii)(C)",
        title: "Log-in monitoring (A)",
        standing: Standing::Supports,
        does: "Sign-ins that fail are recorded and counted, accounts lock out, and a rule for Prometheus alerts on more than one a second.",
        evidence: nothing,
        hospital: "run Prometheus with these rules, or watch the log",
        outside: "guessing against other systems that use the same password",
    },
    Item {
        law: LAW,
        item: "164.308(a)(6)(ii)",
        title: "Response and reporting (R)",
        standing: Standing::Supports,
        does: "'tricord audit export' writes the whole record with its proofs, for a third party; the runbook suspected-breach says how to find \
               who saw what.",
        evidence: Facts::audit,
        hospital: "judge what happened, mitigate it and report it",
        outside: "the judgement, and the deadlines of the law",
    },
    Item {
        law: LAW,
        item: "164.308(a)(7)(ii)(A)",
        title: "Data backup plan (R)",
        standing: Standing::Supports,
        does: "Backups are made while writing goes on, encrypted to the recovery kit, and hold the state as of one place in the log; a \
               sealed head of the audit log covers it.",
        evidence: Facts::backup,
        hospital: "configure a target somewhere else and look whether backups succeed",
        outside: "the target, and who can delete there",
    },
    Item {
        law: LAW,
        item: "164.308(a)(7)(ii)(B)",
        title: "Disaster recovery plan (R)",
        standing: Standing::Supports,
        does: "Three new machines begin from a backup; one survivor can be refounded; a lost node is replaced while the others serve. \
               There is a runbook for each.",
        evidence: Facts::backup,
        hospital: "keep machines, kit shares and backups apart, and rehearse",
        outside: "what was written after the newest backup, when all three nodes are lost",
    },
    Item {
        law: LAW,
        item: "164.308(a)(7)(ii)(C)",
        title: "Emergency mode operation plan (R)",
        standing: Standing::Supports,
        does: "With two of three nodes people go on. With one, sessions that are open read what it has, marked with its age, and nothing \
               can be sent; the status page shows the hospital's own downtime instructions.",
        evidence: |facts| vec![facts.nodes_up()],
        hospital: "write those instructions ([ops] downtime) and have another way to reach people",
        outside: "the time without a majority",
    },
    Item {
        law: LAW,
        item: "164.308(a)(7)(ii)(D)",
        title: "Testing and revision procedures (A)",
        standing: Standing::SupportsInPart,
        does: "'tricord backup verify' restores a backup in a place of its own and compares it with the signed head. It writes no \
               signed report.",
        evidence: Facts::backup,
        hospital: "run it on a schedule and rehearse the whole recovery",
        outside: "the people's part of the plan",
    },
    Item {
        law: LAW,
        item: "164.308(a)(7)(ii)(E)",
        title: "Applications and data criticality analysis (A)",
        standing: Standing::SupportsInPart,
        does: "Messages carry a priority (routine, urgent, asap, stat). Under overload all are refused alike; urgent ones are not served \
               first.",
        evidence: nothing,
        hospital: "make that analysis",
        outside: "the analysis",
    },
    Item {
        law: LAW,
        item: "164.310(d)(2)(i),(ii)",
        title: "Disposal and media re-use (R)",
        standing: Standing::SupportsInPart,
        does: "Without its node's secret a data disk shows no message text. There is no proof that a key was destroyed.",
        evidence: Facts::keys,
        hospital: "destroy or wipe disks, above all where the secret lies on the data disk",
        outside: "metadata on the disk, and copies in backups",
    },
    Item {
        law: LAW,
        item: "164.316(b)(2)(i)",
        title: "Six years' retention (R)",
        standing: Standing::Supports,
        does: "Records of the audit log are never deleted; there is no command that could. The runbook capacity says what they take.",
        evidence: Facts::retention,
        hospital: "provide the room, and keep exports beyond the life of the cluster",
        outside: "disks and clusters that are given up",
    },
    Item {
        law: LAW,
        item: "164.502(b), 164.514(d)",
        title: "Minimum necessary",
        standing: Standing::SupportsInPart,
        does: "People see the conversations they take part in, by interval. Logs, metrics and alarms hold no names and no content.",
        evidence: nothing,
        hospital: "say what may be written where",
        outside: "what people choose to write",
    },
    absent(
        LAW,
        "164.524, 164.528",
        "Access of individuals, accounting of disclosures",
        "Records name accounts and conversations, not patients: there is no report by patient.",
        "answer such requests from its record system",
    ),
    Item {
        law: LAW,
        item: "164.404-410",
        title: "Breach notification",
        standing: Standing::SupportsInPart,
        does: "The record says which messages a session fetched and from where. Text on a lost disk is sealed, which helps only where the key \
               was elsewhere.",
        evidence: Facts::keys,
        hospital: "decide whether it is a breach and notify whom it must",
        outside: "lost clients: this release cannot wipe them",
    },
    absent(
        OTHER,
        "42 CFR Part 2",
        "Records of substance use disorder",
        "There are no sensitivity labels and no notice against redisclosure.",
        "keep such records out of it",
    ),
    Item {
        law: OTHER,
        item: "CMS QSO-24-05",
        title: "Texting of orders",
        standing: Standing::SupportsInPart,
        does: "Messages are encrypted, dated, and their author is authenticated. There is no kind of message for orders and no filing into \
               the record.",
        evidence: Facts::second_factor,
        hospital: "enter orders into its order system",
        outside: "the record system",
    },
    Item {
        law: OTHER,
        item: "Joint Commission 2024-06-05",
        title: "Secure texting",
        standing: Standing::SupportsInPart,
        does: "Secure sign-on, encryption, delivered and displayed receipts, date and time stamps. No retention times by kind, and no list of who \
               may take orders.",
        evidence: Facts::sessions,
        hospital: "have a policy for texting and assess the platform regularly",
        outside: "orders, and the record they belong in",
    },
    absent(
        OTHER,
        "21 CFR 880 (alarms)",
        "Medical devices",
        "Tricord is not an alarm system; nothing in it may be the primary notice of an alarm.",
        "notify alarms by its primary system",
    ),
];
