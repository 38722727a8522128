//! What covers the conversations for a moment.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Clear, Paragraph};

use super::dim;
use crate::chat::model::Locked;
use crate::chat::search::Search;
use crate::rows::with_unit;
use crate::text::{line, shorten};

const HELP: &[(&str, &str)] = &[
    ("Enter", "send; Alt-Enter or Ctrl-J: a new line"),
    ("Tab", "to the next conversation with something new"),
    ("Up Down", "other conversation (Alt while typing)"),
    ("PgUp PgDn", "earlier and later messages; Esc: the newest"),
    ("Ctrl-N", "write to someone new; Tab there marks for a group"),
    ("F2 /status", "auto, available, busy, dnd, away, then a text"),
    ("F3", "urgency: routine, urgent, asap, stat (also /stat TEXT)"),
    ("F4", "after a restoration: send again what did not survive"),
    ("Ctrl-L", "lock (also /lock): urgent messages still alert you"),
    ("Ctrl-C", "leave (also /quit)"),
    ("● ◐ ■ ⊘ ○", "available, idle or away, busy, do not disturb, offline"),
];

fn centered(area: Rect, columns: u16, rows: u16) -> Rect {
    let (columns, rows) = (columns.min(area.width), rows.min(area.height));
    Rect { x: (area.width - columns) / 2, y: (area.height - rows) / 2, width: columns, height: rows }
}

/// The keys.
pub fn help(frame: &mut Frame<'_>, area: Rect) {
    let area = centered(area, 72, HELP.len() as u16 + 2);
    let lines: Vec<Line<'_>> = HELP.iter().map(|(key, what)| Line::from(format!(" {key:<11} {what}"))).collect();
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" Keys; any key closes ")), area);
}

/// A locked session: nothing of what was there.
pub fn locked(frame: &mut Frame<'_>, locked: &Locked, over: Option<&str>, area: Rect) {
    let area = centered(area, 64, 9);
    let dots = "•".repeat(locked.input.text().chars().count().min(40));
    let waits = match locked.urgent {
        0 => String::new(),
        1 => " An URGENT message waits.".into(),
        count => format!(" {count} URGENT messages wait."),
    };
    let state = match over {
        Some(over) => format!(" {}", line(over)),
        None if locked.asked => " Looking…".into(),
        None => format!(" {}", locked.why),
    };
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let columns = usize::from(area.width).saturating_sub(2);
    let lines = vec![
        Line::styled(waits, bold),
        Line::default(),
        Line::from(" Your password or PIN, then Enter:"),
        Line::from(format!(" {dots}▏")),
        Line::default(),
        Line::styled(shorten(&state, columns), dim()),
        Line::styled(" Ctrl-C leaves.", dim()),
    ];
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(" Locked ")), area);
}

/// Looking for people.
pub fn search(frame: &mut Frame<'_>, search: &Search, area: Rect) {
    let area = centered(area, 64, 16);
    let head = if search.titling { " Title of the group " } else { " To whom? A few letters of name or unit " };
    let mut lines = vec![Line::from(format!(" {}▏", line(search.input.text()))), Line::default()];
    let columns = usize::from(area.width).saturating_sub(6);
    if search.titling {
        let names = search.marked.iter().map(|user| line(&with_unit(user)));
        lines.extend(names.map(|name| Line::from(format!("   {}", shorten(&name, columns)))));
    } else {
        let rows = usize::from(area.height).saturating_sub(5);
        let first = (search.at + 1).saturating_sub(rows);
        for (index, user) in search.found.iter().enumerate().skip(first).take(rows) {
            let mark = if search.marked.iter().any(|marked| marked.name == user.name) { "+" } else { " " };
            let style = if index == search.at { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
            let name = shorten(&format!("{} @{}", line(&with_unit(user)), user.login), columns);
            lines.push(Line::styled(format!(" {mark} {name}"), style));
        }
        if search.more {
            lines.push(Line::styled("   There are more: type another letter.", dim()));
        }
    }
    frame.render_widget(Clear, area);
    let foot =
        if search.titling { " Enter: create · Esc: back " } else { " Enter: write · Tab: mark for a group · Esc " };
    frame.render_widget(Paragraph::new(lines).block(Block::bordered().title(head).title_bottom(foot)), area);
}
