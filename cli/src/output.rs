//! What is printed: tables of at most 80 columns, or one JSON document.

use std::io::Write;

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};
use proto::v1::ReadInfo;
use serde::Serialize;

use crate::args::Format;
use crate::error::{Error, Result};

/// The widest a table may be.
pub const COLUMNS: u16 = 80;

/// Words to the person, on stderr.
pub fn say(words: &str) {
    let _ = writeln!(std::io::stderr(), "{words}");
}

/// Data to stdout, with a line break.
pub fn print(data: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{data}").and_then(|()| out.flush()).map_err(|source| Error::Terminal { doing: "print", source })
}

/// One JSON document.
pub fn json(document: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(document)
        .map_err(|error| Error::Terminal { doing: "print", source: error.into() })?;
    print(&text)
}

/// One JSON document on one line.
pub fn json_line(document: &impl Serialize) -> Result<()> {
    let text =
        serde_json::to_string(document).map_err(|error| Error::Terminal { doing: "print", source: error.into() })?;
    print(&text)
}

/// A table, or the document; the table's cells are made safe here.
pub fn show(format: Format, document: &impl Serialize, header: &[&str], rows: Vec<Vec<String>>) -> Result<()> {
    match format {
        Format::Json => json(document),
        Format::Table => print(&table(header, rows)),
    }
}

/// Pairs of a word and a value, one a line, or the document.
pub fn show_pairs(format: Format, document: &impl Serialize, pairs: &[(&str, String)]) -> Result<()> {
    if format == Format::Json {
        return json(document);
    }
    let left = pairs.iter().map(|(word, _)| word.len()).max().unwrap_or(0);
    let columns = usize::from(COLUMNS) - left - 2;
    let mut lines = Vec::new();
    for (word, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        for (index, row) in crate::text::wrap(&crate::text::line(value), columns).into_iter().enumerate() {
            let word = if index == 0 { word } else { "" };
            lines.push(format!("{word:left$}  {row}"));
        }
    }
    print(&lines.join("\n"))
}

/// A table of at most [`COLUMNS`].
pub fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_width(COLUMNS);
    table.set_header(header.iter().map(|word| word.to_uppercase()));
    for row in rows {
        table.add_row(row.iter().map(|cell| crate::text::line(cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
        // An id is there to be copied: it stays in one piece.
        if matches!(header.get(column.index), Some(&"id" | &"session")) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// Says so if an answer is stale.
pub fn note_stale(info: Option<&ReadInfo>) {
    if let Some(info) = info
        && info.stale
    {
        let age = info.age.map_or(0, |age| age.seconds);
        say(&format!(
            "STALE. What you see is as of {} ago; no majority answers. tricord cluster status says more.",
            crate::when::roughly(age)
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_stay_within_80_columns() {
        let id = "0123456789abcdef0123456789abcdef".to_owned();
        let long = "Dr Aleksandra Wojciechowska-Nyström of the Department of Cardiothoracic Surgery".to_owned();
        let wide = "伊藤先生".repeat(20);
        let table = table(
            &["login", "name", "unit", "kind", "id"],
            vec![vec!["a.very-long.login_name-of.sixty.four.characters".into(), long, wide, "person".into(), id]],
        );
        assert!(table.contains("0123456789abcdef0123456789abcdef"), "{table}");
        for line in table.lines() {
            assert!(crate::text::width(line) <= usize::from(COLUMNS), "{} columns: {line}", crate::text::width(line));
        }
    }

    #[test]
    fn a_cell_cannot_break_out_of_its_table() {
        let table = table(&["name"], vec![vec!["a\x1b[31m\nb".into()]]);
        assert_eq!(table.lines().count(), 2);
        assert!(!table.contains('\x1b'));
    }
}
