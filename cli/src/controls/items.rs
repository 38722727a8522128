//! The items, and what this release does for each.

mod europe;
mod hipaa;
mod operation;
mod standards;

use super::facts::Facts;
use super::{Item, Standing};

/// All, in the order of the report.
pub const ALL: [&[Item]; 4] = [hipaa::ITEMS, operation::ITEMS, europe::ITEMS, standards::ITEMS];

/// Nothing a cluster could show.
const fn nothing(_: &Facts) -> Vec<String> {
    Vec::new()
}

/// One item that this release does nothing for.
const fn absent(
    law: &'static str,
    item: &'static str,
    title: &'static str,
    does: &'static str,
    hospital: &'static str,
) -> Item {
    Item {
        law,
        item,
        title,
        standing: Standing::Absent,
        does,
        evidence: nothing,
        hospital,
        outside: "everything about it, in this release",
    }
}
