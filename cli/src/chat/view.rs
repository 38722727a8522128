//! How the state looks on a terminal. Pure: the model in, cells out; every text from others is made safe here.

mod overlay;

use proto::v1;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph};

use super::delivery;
use super::model::Model;
use super::news::{Link, Overlay};
use super::talk::Talk;
use crate::rows::{People, body, presence_word, priority_word, title, with_unit};
use crate::text::{line, shorten, thousands, width, wrap};
use crate::when::{clock, day};

/// Draws everything. The number of rows of messages that fit is told to the model.
pub fn draw(frame: &mut Frame<'_>, model: &mut Model) {
    let area = frame.area();
    if let Some(locked) = &model.locked {
        overlay::locked(frame, locked, model.over.as_deref(), area);
        return;
    }
    let banner = banner(model);
    let rows = banner.map_or_else(Vec::new, |banner| wrap(&banner, usize::from(area.width).max(1)));
    let height = rows.len().min(BANNER_ROWS_MAX) as u16;
    let [top, middle, status] =
        Layout::vertical([Constraint::Length(height), Constraint::Min(3), Constraint::Length(1)]).areas(area);
    if height > 0 {
        let style = Style::new().fg(Color::Black).bg(Color::Yellow);
        let rows: Vec<Line<'_>> = rows.into_iter().map(Line::from).collect();
        frame.render_widget(Paragraph::new(rows).style(style), top);
    }
    let left_width = (area.width / 3).clamp(12, 30);
    let [left, right] = Layout::horizontal([Constraint::Length(left_width), Constraint::Min(10)]).areas(middle);
    draw_list(frame, model, left);
    draw_talk(frame, model, right);
    draw_status(frame, model, status);
    match &model.overlay {
        Overlay::None => {}
        Overlay::Help => overlay::help(frame, area),
        Overlay::New(search) => overlay::search(frame, search, area),
    }
}

/// Rows of the banner.
const BANNER_ROWS_MAX: usize = 2;

/// What must be known before anything on the screen is believed.
fn banner(model: &Model) -> Option<String> {
    let at = |ms: u64| clock(Some(&prost_types::Timestamp { seconds: (ms / 1000) as i64, nanos: 0 }));
    if let Some(why) = &model.over {
        return Some(line(why));
    }
    if let Some(since) = model.stale_since {
        return Some(format!("What you see is as of {}; no majority answers.", at(since)));
    }
    match model.link {
        Link::Lost(since) if model.now.saturating_sub(since) > 1_000 => {
            Some(format!("What you see is as of {}; reconnecting.", at(since)))
        }
        _ => restored(model).or_else(|| {
            let words = "ONE COPY ONLY: what you send is on one machine until another has joined.";
            model.single_copy.then(|| words.into())
        }),
    }
}

/// After a restoration, until someone has answered it.
fn restored(model: &Model) -> Option<String> {
    let words = model.restored.as_ref()?.words();
    Some(match model.lost() {
        0 => format!("{words}. [Esc]"),
        1 => format!("{words}; 1 of yours is missing [F4: send again]"),
        many => format!("{words}; {many} of yours are missing [F4: send again]"),
    })
}

fn draw_list(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let block = Block::new().borders(Borders::RIGHT);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let order = model.order();
    let at = order.iter().position(|name| Some(*name) == model.shown.as_deref()).unwrap_or(0);
    let height = usize::from(inner.height).max(1);
    let first = at.saturating_sub(height - 1);
    let columns = usize::from(inner.width);
    let lines: Vec<Line<'_>> = order
        .iter()
        .enumerate()
        .skip(first)
        .take(height)
        .filter_map(|(index, name)| Some(list_line(model, model.talks.get(*name)?, index == at, columns)))
        .collect();
    if lines.is_empty() {
        let words = if matches!(model.link, Link::Connecting) { "Connecting…" } else { "Nobody yet. Ctrl-N" };
        frame.render_widget(Paragraph::new(shorten(words, columns)), inner);
        return;
    }
    frame.render_widget(Paragraph::new(lines), inner);
}

fn list_line(model: &Model, talk: &Talk, shown: bool, columns: usize) -> Line<'static> {
    let direct = talk.info.kind() == v1::ConversationKind::Direct;
    let sign = if direct { presence_sign(model.presence.get(&talk.info.peer)) } else { "#" };
    let unread = match talk.info.unread_count {
        0 => String::new(),
        count @ 1..100 => format!(" {count}"),
        _ => " 99+".into(),
    };
    let room = columns.saturating_sub(2 + unread.len());
    let name = if direct {
        model
            .people
            .get(&talk.info.peer)
            .map_or_else(|| title(&talk.info, &model.people), |user| user.display_name.clone())
    } else {
        talk.info.title.clone()
    };
    let name = shorten(&line(&name), room);
    let pad = " ".repeat(room.saturating_sub(width(&name)));
    let mut style = Style::new();
    if shown {
        style = style.add_modifier(Modifier::REVERSED);
    }
    if !unread.is_empty() {
        style = style.add_modifier(Modifier::BOLD);
    }
    Line::styled(format!("{sign} {name}{pad}{unread}"), style)
}

fn presence_sign(presence: Option<&v1::Presence>) -> &'static str {
    match presence.map_or(v1::PresenceState::Unspecified, v1::Presence::state) {
        v1::PresenceState::Available => "●",
        v1::PresenceState::Busy => "■",
        v1::PresenceState::Dnd => "⊘",
        v1::PresenceState::Away | v1::PresenceState::Idle | v1::PresenceState::Locked => "◐",
        v1::PresenceState::Reconnecting | v1::PresenceState::Offline => "○",
        v1::PresenceState::Unspecified => " ",
    }
}

fn draw_talk(frame: &mut Frame<'_>, model: &mut Model, area: Rect) {
    let columns = usize::from(area.width).saturating_sub(2).max(4);
    let typed = wrap(&line_breaks(model.input.text()), columns);
    let height = (typed.len() as u16).clamp(1, 6);
    let [head, messages, typing, input] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Min(1),
        Constraint::Length(1),
        Constraint::Length(height + 2),
    ])
    .areas(area);
    model.rows = usize::from(messages.height);
    draw_head(frame, model, head);
    draw_messages(frame, model, messages);
    frame.render_widget(Paragraph::new(typing_line(model, columns)).style(dim()), typing);
    draw_input(frame, model, input, &typed);
}

fn dim() -> Style {
    Style::new().fg(Color::DarkGray)
}

fn draw_head(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let Some(talk) = model.talk() else { return };
    let direct = talk.info.kind() == v1::ConversationKind::Direct;
    let mut words = line(&title(&talk.info, &model.people));
    let more = if direct {
        model.presence.get(&talk.info.peer).map_or_else(String::new, presence_words)
    } else {
        format!("{} take part{}", talk.info.participant_count, if talk.info.closed { ", closed" } else { "" })
    };
    if !more.is_empty() {
        words += &format!(" · {}", line(&more));
    }
    let block = Block::new().borders(Borders::BOTTOM);
    let words = shorten(&words, usize::from(area.width));
    frame.render_widget(Paragraph::new(Line::from(words).style(Modifier::BOLD)).block(block), area);
}

fn presence_words(presence: &v1::Presence) -> String {
    let mut words = presence_word(presence.state()).to_owned();
    if !presence.text.is_empty() {
        words += &format!(" \"{}\"", presence.text);
    }
    if let Some(until) = &presence.expire_time {
        words += &format!(" until {}", clock(Some(until)));
    }
    words
}

fn draw_messages(frame: &mut Frame<'_>, model: &mut Model, area: Rect) {
    let columns = usize::from(area.width);
    let Some(talk) = model.talk() else {
        let hint = "Ctrl-N begins a conversation; ? shows the keys.";
        frame.render_widget(Paragraph::new(hint).style(dim()), area);
        return;
    };
    let lines = message_lines(model, talk, columns);
    let height = usize::from(area.height);
    let scroll = talk.scroll.min(lines.len().saturating_sub(height));
    let end = lines.len() - scroll;
    let window: Vec<Line<'_>> = lines[end.saturating_sub(height)..end].to_vec();
    let top = height.saturating_sub(window.len()) as u16;
    let area = Rect { y: area.y + top, height: area.height - top, ..area };
    frame.render_widget(Paragraph::new(window), area);
    if let Some(talk) = model.talk_mut() {
        talk.scroll = scroll; // Not beyond the first row.
    }
}

/// All rows of a conversation, oldest first.
fn message_lines(model: &Model, talk: &Talk, columns: usize) -> Vec<Line<'static>> {
    let mut rows = Rows { lines: Vec::new(), columns, day: String::new() };
    if talk.loading {
        rows.center("loading…");
    } else if talk.loaded && talk.complete && talk.messages.is_empty() && talk.outbox.is_empty() {
        rows.center("No messages yet.");
    }
    let mut hidden = talk.hidden.iter().peekable();
    let mut fates = own_fates(model, talk);
    for (seq, message) in &talk.messages {
        while let Some((from, to)) = hidden.next_if(|(from, _)| *from < seq) {
            rows.center(&hidden_words(*from, *to));
        }
        rows.day(&day(message.create_time.as_ref()));
        if talk.new_from == Some(*seq) {
            rows.rule("new", Style::new().fg(Color::Yellow));
        }
        rows.message(message, message.sender == model.me, &model.people);
        if let Some(words) = fates.remove(seq) {
            rows.under(&words);
        }
    }
    hidden.for_each(|(from, to)| rows.center(&hidden_words(*from, *to)));
    for outgoing in &talk.outbox {
        rows.head("  …   You", outgoing.priority, 0);
        rows.text(&crate::text::lines(&outgoing.text));
        rows.under(&delivery::of_outgoing(outgoing));
    }
    rows.lines
}

fn hidden_words(from: u64, to: u64) -> String {
    if from == to { format!("seq {from}: not visible to you") } else { format!("seq {from}-{to}: not visible to you") }
}

/// What to say under which own messages: where the words differ from the next one's.
fn own_fates(model: &Model, talk: &Talk) -> std::collections::BTreeMap<u64, String> {
    let mut fates = std::collections::BTreeMap::new();
    let mut last = String::new();
    for (seq, message) in talk.messages.iter().rev().filter(|(_, message)| message.sender == model.me) {
        let words = delivery::of_message(talk, message, &model.people);
        if words != last {
            last.clone_from(&words);
            fates.insert(*seq, words);
        }
    }
    fates
}

struct Rows {
    lines: Vec<Line<'static>>,
    columns: usize,
    day: String,
}

impl Rows {
    fn rule(&mut self, words: &str, style: Style) {
        let words = format!("── {words} ");
        let rest = "─".repeat(self.columns.saturating_sub(width(&words)));
        self.lines.push(Line::styled(format!("{words}{rest}"), style));
    }

    fn day(&mut self, day: &str) {
        if day != self.day {
            self.rule(day, dim());
            day.clone_into(&mut self.day);
        }
    }

    fn center(&mut self, words: &str) {
        self.lines.push(Line::styled(shorten(words, self.columns), dim()).centered());
    }

    fn message(&mut self, message: &v1::Message, mine: bool, people: &People) {
        let name = if mine { "You".into() } else { line(&people.name(&message.sender)) };
        let head = format!("{} {name}", clock(message.create_time.as_ref()));
        self.head(&head, message.priority(), message.reply_to);
        self.text(&body(message));
    }

    fn head(&mut self, head: &str, priority: v1::Priority, reply_to: u64) {
        let mut tail = String::new();
        if priority > v1::Priority::Routine {
            tail += &format!(" · {}", priority_word(priority).to_uppercase());
        }
        if reply_to > 0 {
            tail += &format!(" · answers {reply_to}");
        }
        let head = shorten(head, self.columns.saturating_sub(width(&tail)));
        let color = if priority >= v1::Priority::Asap { Color::Red } else { Color::Yellow };
        self.lines.push(Line::from(vec![
            Span::styled(head, Style::new().fg(Color::Cyan)),
            Span::styled(tail, Style::new().fg(color).add_modifier(Modifier::BOLD)),
        ]));
    }

    fn text(&mut self, safe: &str) {
        for row in wrap(safe, self.columns.saturating_sub(6)) {
            self.lines.push(Line::from(format!("      {row}")));
        }
    }

    fn under(&mut self, words: &str) {
        for row in wrap(words, self.columns.saturating_sub(6)) {
            self.lines.push(Line::styled(format!("      {row}"), dim()));
        }
    }
}

fn typing_line(model: &Model, columns: usize) -> String {
    let Some(talk) = model.talk() else { return String::new() };
    let names: Vec<String> =
        talk.typing.keys().filter_map(|name| model.people.get(name)).map(|user| line(&user.display_name)).collect();
    let words = match names.as_slice() {
        [] => return String::new(),
        [one] => format!("{one} is typing…"),
        [one, other] => format!("{one} and {other} are typing…"),
        several => format!("{} people are typing…", several.len()),
    };
    shorten(&words, columns)
}

fn line_breaks(text: &str) -> String {
    crate::text::lines(text)
}

fn draw_input(frame: &mut Frame<'_>, model: &Model, area: Rect, typed: &[String]) {
    let over = model.input.text().len().checked_sub(types::limits::MESSAGE_TEXT_BYTES_MAX + 1);
    let head = match (over, model.priority) {
        (Some(over), _) => format!(" too long by {} bytes ", thousands(over as u64 + 1)),
        (None, v1::Priority::Routine | v1::Priority::Unspecified) => String::new(),
        (None, priority) => format!(" {} ", priority_word(priority).to_uppercase()),
    };
    let block = Block::new().borders(Borders::ALL).title(head);
    let inner = block.inner(area);
    let columns = usize::from(inner.width).max(1);
    let before = wrap(&line_breaks(&format!("{}\u{2060}", model.input.before())).replace("<U+2060>", ""), columns);
    let row = before.len().saturating_sub(1);
    let column = before.last().map_or(0, |row| width(row)) + trailing_spaces(model.input.before());
    let height = usize::from(inner.height).max(1);
    let first = (row + 1).saturating_sub(height);
    let lines: Vec<Line<'_>> = typed.iter().skip(first).take(height).map(|row| Line::from(row.clone())).collect();
    frame.render_widget(Paragraph::new(lines).block(block), area);
    if matches!(model.overlay, Overlay::None) {
        let x = inner.x + (column.min(columns.saturating_sub(1))) as u16;
        frame.set_cursor_position((x, inner.y + (row - first) as u16));
    }
}

/// Wrapping drops spaces at the end of a row; the cursor stands after them.
fn trailing_spaces(text: &str) -> usize {
    text.len() - text.trim_end_matches(' ').len()
}

fn draw_status(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let link = match &model.link {
        Link::Connecting => "connecting…".into(),
        Link::CatchingUp => format!("{}: catching up…", model.node),
        Link::Live => model.node.clone(),
        Link::Lost(_) if model.why_lost.is_empty() => "reconnecting…".into(),
        Link::Lost(_) => format!("reconnecting… ({})", line(&model.why_lost)),
    };
    let left = match &model.notice {
        Some((words, _)) => words.clone(),
        None => format!("{} · {link}", model.people.get(&model.me).map_or_else(String::new, |me| line(&with_unit(me)))),
    };
    let right = "? help ";
    let columns = usize::from(area.width);
    let left = shorten(&left, columns.saturating_sub(right.len() + 1));
    let pad = " ".repeat(columns.saturating_sub(width(&left) + right.len()));
    let style = Style::new().add_modifier(Modifier::REVERSED);
    frame.render_widget(Paragraph::new(format!("{left}{pad}{right}")).style(style), area);
}

#[cfg(test)]
mod tests;
