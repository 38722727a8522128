//! What the product does for each item that an auditor asks for, with evidence read from the live cluster. Its words are
//! "supports"; what the hospital must do, and what lies outside the product, stands beside each.

pub mod facts;
mod html;
mod items;
pub mod wire;

use serde::Serialize;

use crate::text::{line, thousands, wrap};
use facts::Facts;
pub use html::html;

/// How far an item is supported.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// As far as a product can.
    Supports,
    /// Some of it; the text says what is missing.
    SupportsInPart,
    /// Not at all in this release.
    Absent,
}

impl Standing {
    fn words(self, item: &str) -> String {
        match self {
            Self::Supports => format!("supports {item}"),
            Self::SupportsInPart => format!("supports {item} in part"),
            Self::Absent => format!("does nothing for {item} in this release"),
        }
    }
}

/// An item as it is known before a cluster is asked.
pub struct Item {
    /// Under what it stands in the report.
    pub law: &'static str,
    /// As the law numbers it.
    pub item: &'static str,
    /// What it asks for, in a few words.
    pub title: &'static str,
    /// How far.
    pub standing: Standing,
    /// What the product does.
    pub does: &'static str,
    /// What the live cluster shows of it.
    pub evidence: fn(&Facts) -> Vec<String>,
    /// "the hospital must still …"
    pub hospital: &'static str,
    /// What this does not cover, whoever does what.
    pub outside: &'static str,
}

/// An item with its evidence.
#[derive(Debug, Serialize)]
pub struct Row {
    law: &'static str,
    item: &'static str,
    title: &'static str,
    standing: Standing,
    does: &'static str,
    evidence: Vec<String>,
    hospital_must: &'static str,
    outside: &'static str,
}

impl Row {
    fn claim(&self) -> String {
        format!("Tricord {}; the hospital must still {}.", self.standing.words(self.item), self.hospital_must)
    }
}

/// The whole report.
#[derive(Debug, Serialize)]
pub struct Report {
    cluster: String,
    name: String,
    as_of: String,
    release: String,
    /// What the words mean.
    reading: &'static str,
    /// What was made to fail, how often, and what that shows at most.
    faults: String,
    /// True whatever the cluster's settings.
    outside: &'static str,
    /// What could not be read, and why.
    not_read: Vec<String>,
    items: Vec<Row>,
}

const READING: &str = "\"Supports\" says what the product does. Whether the hospital meets an item depends on what it does besides, and is \
for it and its auditor to say. Evidence was read from the running cluster at the time given, with the rights of whoever made this report.";
/// Faults made on three real processes, over all runs, and writes that were acknowledged meanwhile: as tests/README.md counts them.
const FAULTS: u64 = 2_261;
/// See [`FAULTS`].
const WRITES: u64 = 685_360;

/// What no loss in so many shows at most: by the rule of three, at 95 % confidence, fewer than three in all of them.
fn faults() -> String {
    let [made, writes, one_in, of_faults] = [FAULTS, WRITES, WRITES / 3, FAULTS / 3].map(thousands);
    format!(
        "Failures were made on three real processes before this release: {made} faults (a killed node, power cuts, partitions, \
         stalled disks, wrong clocks and others) under {writes} acknowledged writes; none of those was lost. By the rule of three \
         that shows, at 95 % confidence, fewer than 1 loss in {one_in} writes and fewer than 1 in {of_faults} faults of these \
         kinds, and nothing of other kinds. tests/README.md says how each was made."
    )
}

const OUTSIDE: &str = "Outside of what the product can do: root on a node's machine can read its memory, and with a key on the same disk its \
data; a person who may see a message can photograph the screen; without a majority a node shows sessions already open what it has, for \
at most 8 hours, and that is recorded when the majority is back; who writes to whom and when is kept in the clear on the disk.";

/// The report of these facts.
pub fn report(facts: &Facts) -> Report {
    let items = items::ALL.iter().flat_map(|part| part.iter()).map(|item| Row {
        law: item.law,
        item: item.item,
        title: item.title,
        standing: item.standing,
        does: item.does,
        evidence: (item.evidence)(facts),
        hospital_must: item.hospital,
        outside: item.outside,
    });
    Report {
        cluster: facts.cluster(),
        name: facts.name(),
        as_of: facts.as_of(),
        release: facts.release(),
        reading: READING,
        faults: faults(),
        outside: OUTSIDE,
        not_read: facts.not_read.clone(),
        items: items.collect(),
    }
}

/// The report for a terminal.
pub fn text(report: &Report, columns: usize) -> String {
    let mut lines = vec![
        format!("Controls report of {} (cluster {})", line(&report.name), line(&report.cluster)),
        format!("as of {}, release {}", report.as_of, line(&report.release)),
        String::new(),
    ];
    for words in [report.reading, &report.faults, report.outside] {
        lines.extend(wrap(words, columns));
        lines.push(String::new());
    }
    for what in &report.not_read {
        lines.extend(wrap(&format!("NOT READ: {}", line(what)), columns));
    }
    let mut law = "";
    for row in &report.items {
        if row.law != law {
            law = row.law;
            lines.extend([String::new(), law.to_uppercase(), "=".repeat(law.chars().count())]);
        }
        lines.push(String::new());
        lines.extend(wrap(&format!("{}  {}", row.item, row.title), columns));
        let mut put = |head: &str, words: &str| {
            for (index, part) in wrap(&line(words), columns - 12).into_iter().enumerate() {
                lines.push(format!("  {:<10}{part}", if index == 0 { head } else { "" }));
            }
        };
        put("Claim", &row.claim());
        put("How", row.does);
        row.evidence.iter().for_each(|one| put("Evidence", one));
        put("Outside", row.outside);
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use proto::v1;

    use super::*;

    #[test]
    fn it_counts_the_faults_that_the_record_of_tests_counts() {
        let record = include_str!("../../../tests/README.md");
        let (_, table) = record.split_once("## Faults on real processes").expect("the part");
        assert!(table.contains(&format!("\n| all | | {FAULTS} | |\n")), "tests/README.md has another sum");
        assert!(table.contains(&format!("{} writes acknowledged", thousands(WRITES))), "or other writes");
        let said = faults();
        assert!(said.contains("fewer than 1 loss in 228,453 writes and fewer than 1 in 753 faults"), "{said}");
    }

    pub fn facts() -> Facts {
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let node = |slot: &str| v1::NodeStatus {
            slot: slot.into(),
            node: format!("{slot}1"),
            reachable: true,
            version: "0.1.0".into(),
            certificates_expire_time: at(1_900_000_000),
            ..Default::default()
        };
        let key = |node: &str, protection: &str| v1::Key {
            kind: v1::KeyKind::Node.into(),
            state: v1::KeyState::Active.into(),
            holder: node.into(),
            protection: protection.into(),
            ..Default::default()
        };
        Facts {
            status: Some(v1::GetClusterStatusResponse {
                display_name: "St <Elsewhere>".into(),
                cluster: "00ff".into(),
                nodes: ["a", "b", "c"].map(node).into(),
                cluster_time: at(1_800_000_000),
                backup: Some(v1::BackupStatus {
                    last_time: at(1_799_990_000),
                    node: "b1".into(),
                    ..Default::default()
                }),
                ..Default::default()
            }),
            keys: vec![key("a1", "file on the data disk"), key("b1", "credential")],
            settings: Some(v1::Settings::default()),
            head: None,
            emergencies: None,
            wire: vec!["a.example:7401: TLS 1.3 with AES_256_GCM_SHA384, key exchange X25519MLKEM768".into()],
            not_read: vec!["emergencies: this needs a permission set".into()],
        }
    }

    #[test]
    fn no_item_claims_compliance_and_each_says_what_remains_and_what_lies_outside() {
        let report = report(&facts());
        assert!(report.items.len() >= 40, "{}", report.items.len());
        for row in &report.items {
            let claim = row.claim();
            assert!(claim.contains("the hospital must still") && row.outside.len() > 10, "{claim}");
        }
        let all = [text(&report, 80), html(&report), serde_json::to_string(&report).unwrap()];
        for word in ["complian", "certified by", "guarantee"] {
            assert!(all.iter().all(|text| !text.to_lowercase().contains(word)), "{word}");
        }
    }

    #[test]
    fn a_key_on_the_disk_it_protects_is_said_to_be_no_protection() {
        let report = report(&facts());
        let row = report.items.iter().find(|row| row.item == "164.312(a)(2)(iv)").unwrap();
        let evidence = row.evidence.join("; ");
        assert!(evidence.contains("a1: key on the same disk: not breach-safe"), "{evidence}");
        assert!(evidence.contains("b1: key protected by credential"), "{evidence}");
    }

    #[test]
    fn ciphers_and_retention_are_what_was_read() {
        let report = report(&facts());
        let of = |item: &str| report.items.iter().find(|row| row.item == item).unwrap().evidence.join("; ");
        assert!(of("164.312(e)(2)(ii)").contains("TLS 1.3 with AES_256_GCM_SHA384"), "{}", of("164.312(e)(2)(ii)"));
        let kept = of("164.316(b)(2)(i)");
        assert!(kept.contains("without end") && kept.contains("30 days") && kept.contains("backup"), "{kept}");
    }

    #[test]
    fn it_fits_80_columns_and_a_page_on_which_no_name_is_markup() {
        let report = report(&facts());
        let text = text(&report, 80);
        assert!(text.lines().all(|line| crate::text::width(line) <= 80), "{text}");
        assert!(text.contains("NOT READ: emergencies"), "{text}");
        let page = html(&report);
        assert!(page.contains("St &lt;Elsewhere&gt;") && !page.contains("<Elsewhere>"), "{page}");
        assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("<script"), "self-contained");
    }
}
