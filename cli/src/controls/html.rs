//! The report as one page that takes nothing from elsewhere: to print, or to hand over.

use maud::{DOCTYPE, Markup, html};

use super::{Report, Row, Standing};

const STYLE: &str = "body{font:15px/1.45 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#111}\
h1{font-size:1.6rem}h2{margin-top:2.5rem;border-bottom:2px solid #111}article{margin:1.2rem 0;break-inside:avoid}\
h3{font-size:1rem;margin:0}dl{display:grid;grid-template-columns:6rem 1fr;gap:.15rem .8rem;margin:.3rem 0}\
dt{color:#444}dd{margin:0}.supports_in_part dd.claim,.absent dd.claim{font-style:italic}\
aside{border:1px solid #777;padding:.6rem .9rem;margin:.8rem 0}\
@page{size:A4;margin:18mm 16mm 20mm}\
@media print{body{font-size:10pt;margin:0;padding:0;max-width:none}h1{font-size:18pt}h2{font-size:13pt;break-after:avoid}\
h3{font-size:10.5pt;break-after:avoid}article,aside{break-inside:avoid}p,dd{orphans:3;widows:3}}";

/// The page.
pub fn html(report: &Report) -> String {
    let mut laws: Vec<&str> = report.items.iter().map(|row| row.law).collect();
    laws.dedup();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { "Controls report of " (report.name) }
                style { (maud::PreEscaped(STYLE)) }
            }
            body {
                h1 { "Controls report of " (report.name) }
                p { "Cluster " code { (report.cluster) } ", as of " (report.as_of) ", release " (report.release) "." }
                aside { p { (report.reading) } p { (report.faults) } p { (report.outside) } }
                @for what in &report.not_read { p { strong { "Not read: " } (what) } }
                @for law in laws {
                    h2 { (law) }
                    @for row in report.items.iter().filter(|row| row.law == law) { (article(row)) }
                }
            }
        }
    }
    .into_string()
}

fn article(row: &Row) -> Markup {
    let class = match row.standing {
        Standing::Supports => "supports",
        Standing::SupportsInPart => "supports_in_part",
        Standing::Absent => "absent",
    };
    html! {
        article class=(class) {
            h3 { (row.item) " — " (row.title) }
            dl {
                dt { "Claim" } dd.claim { (row.claim()) }
                dt { "How" } dd { (row.does) }
                @for evidence in &row.evidence { dt { "Evidence" } dd { (evidence) } }
                dt { "Outside" } dd { (row.outside) }
            }
        }
    }
}
