//! What `top` shows. Pure: answers in, cells out; every text from others is made safe here.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use proto::v1::{AlarmSeverity, ClusterHealth, GetClusterStatusResponse, NodeRole, NodeStatus};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Sparkline, Table};

use crate::figures::{NONE, behind, free, gone, millis, offset, rate, time, vitals};
use crate::text::{line, shorten, thousands, wrap};
use crate::when::{clock, roughly};

/// Seconds of the curves.
const CURVE_MAX: usize = 600;
/// Columns left for what runs on a node.
const RELEASE_COLUMNS: usize = 7;
/// What is older than this is said to be old.
const OLD: Duration = Duration::from_secs(3);

/// What is known, and when it was told.
#[derive(Default)]
pub struct Model {
    status: Option<(GetClusterStatusResponse, Instant)>,
    silent: Option<String>,
    sends: VecDeque<u64>,
    sending: VecDeque<u64>,
    delivery: VecDeque<u64>,
}

impl Model {
    /// Takes in an answer.
    pub fn told(&mut self, status: GetClusterStatusResponse, now: Instant) {
        let told = || status.nodes.iter().filter_map(vitals);
        let sends: f64 = told().map(|one| one.sends_per_second).sum();
        let sending = told().filter_map(|one| one.send_p99.as_ref()).map(millis).fold(0.0, f64::max);
        let delivery = told().filter_map(|one| one.delivery_p99.as_ref()).map(millis).fold(0.0, f64::max);
        push(&mut self.sends, sends as u64);
        push(&mut self.sending, sending.ceil() as u64);
        push(&mut self.delivery, delivery.ceil() as u64);
        self.silent = None;
        self.status = Some((status, now));
    }

    /// No node answered; `tried` says how each failed.
    pub fn silent(&mut self, tried: String) {
        self.silent = Some(tried);
    }
}

fn push(curve: &mut VecDeque<u64>, value: u64) {
    if curve.len() == CURVE_MAX {
        curve.pop_front();
    }
    curve.push_back(value);
}

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, model: &Model, now: Instant) {
    let area = frame.area();
    let alarms = model.status.as_ref().map_or(0, |(status, _)| status.alarms.len()).clamp(1, 8);
    let summary = summary(model, usize::from(area.width).saturating_sub(2));
    let [top, words, nodes, todo, curves, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(u16::try_from(summary.len()).unwrap_or(3) + 1),
        Constraint::Length(6),
        Constraint::Length(u16::try_from(alarms * 2).unwrap_or(16) + 1),
        Constraint::Min(0),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(title(model, now, usize::from(top.width))).style(colour(model, now)), top);
    frame.render_widget(Paragraph::new(summary), words);
    if let Some((status, _)) = &model.status {
        frame.render_widget(table(&status.nodes), nodes);
        frame.render_widget(Paragraph::new(to_do(status, usize::from(todo.width))), todo);
    }
    draw_curves(frame, model, curves);
    frame.render_widget(Paragraph::new("q leaves").style(Style::new().add_modifier(Modifier::DIM)), keys);
}

fn title(model: &Model, now: Instant, columns: usize) -> String {
    let (left, right) = match &model.status {
        None => (" tricord".to_owned(), "asking … ".to_owned()),
        Some((status, told)) => {
            let age = now.saturating_duration_since(*told);
            let when = if age > OLD {
                format!("OLD: as of {} ago ", roughly(i64::try_from(age.as_secs()).unwrap_or(i64::MAX)))
            } else {
                format!("node {} says, {} ", line(&status.answered_by), clock(status.cluster_time.as_ref()))
            };
            (format!(" {}", line(&status.display_name)), when)
        }
    };
    let room = columns.saturating_sub(right.chars().count() + 1);
    let left = shorten(&left, room);
    let pad = columns.saturating_sub(crate::text::width(&left) + crate::text::width(&right));
    format!("{left}{}{right}", " ".repeat(pad))
}

fn colour(model: &Model, now: Instant) -> Style {
    let white = Style::new().fg(Color::White).add_modifier(Modifier::BOLD);
    match &model.status {
        Some((_, told)) if now.saturating_duration_since(*told) > OLD => white.bg(Color::Red),
        Some((status, _)) => match status.health() {
            ClusterHealth::Ok => Style::new().fg(Color::Black).bg(Color::Green),
            ClusterHealth::Degraded => Style::new().fg(Color::Black).bg(Color::Yellow),
            ClusterHealth::NotAccepting | ClusterHealth::Unspecified => white.bg(Color::Red),
        },
        None => Style::new().add_modifier(Modifier::REVERSED),
    }
}

fn summary(model: &Model, columns: usize) -> Vec<Line<'static>> {
    let words = match (&model.silent, &model.status) {
        (Some(tried), _) => format!("No node answers from here: {}. What is below is as it was.", line(tried)),
        (None, Some((status, _))) => line(&status.summary),
        (None, None) => "Asking the nodes.".into(),
    };
    wrap(&words, columns).into_iter().take(3).map(|row| Line::from(format!(" {row}"))).collect()
}

fn table(nodes: &[NodeStatus]) -> Table<'static> {
    let head = ["", "state", "up", "behind", "sent/s", "deliver", "fsync", "sessions", "free", "clock", "release"];
    let widths = [3, 12, 7, 7, 7, 8, 7, 9, 6, 7].map(Constraint::Length).into_iter().chain([Constraint::Fill(1)]);
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let rows = nodes.iter().map(|node| Row::new(cells(node).map(Cell::from)).style(shade(node)));
    let total = total(nodes);
    Table::new(rows.chain([Row::new(total.map(Cell::from)).style(bold)]), widths).column_spacing(0).header(
        Row::new(head.map(|word| Cell::from(word.to_uppercase()))).style(Style::new().add_modifier(Modifier::DIM)),
    )
}

fn shade(node: &NodeStatus) -> Style {
    if node.reachable { Style::new() } else { Style::new().fg(Color::Red).add_modifier(Modifier::BOLD) }
}

fn cells(node: &NodeStatus) -> [String; 11] {
    let none = || NONE.to_owned();
    let vitals = vitals(node);
    let up = vitals.and_then(|one| one.start_time.as_ref()).map(|at| crate::when::now().seconds - at.seconds);
    [
        format!(" {}", line(&node.slot)),
        state(node),
        up.map_or_else(none, roughly),
        behind(node).unwrap_or_else(none),
        vitals.map_or_else(none, |one| rate(one.sends_per_second)),
        time(node, |one| one.delivery_p99.as_ref()),
        time(node, |one| one.fsync_p99.as_ref()),
        vitals.map_or_else(none, |one| thousands(one.sessions.into())),
        free(node),
        vitals.and_then(|one| one.clock_offset.as_ref()).map_or_else(none, offset),
        shorten(&line(&node.version), RELEASE_COLUMNS),
    ]
}

fn total(nodes: &[NodeStatus]) -> [String; 11] {
    let told = || nodes.iter().filter_map(vitals);
    let mut cells: [String; 11] = std::array::from_fn(|_| String::new());
    cells[1] = "together".into();
    cells[4] = rate(told().map(|one| one.sends_per_second).sum::<f64>());
    cells[7] = thousands(told().map(|one| u64::from(one.sessions)).sum());
    cells
}

fn state(node: &NodeStatus) -> String {
    if !node.reachable {
        return gone(node);
    }
    match node.role() {
        NodeRole::Leader => "leads",
        NodeRole::Follower => "follows",
        NodeRole::Candidate => "elects",
        NodeRole::Learner => "catches up",
        NodeRole::Unspecified => "starts",
    }
    .into()
}

fn to_do(status: &GetClusterStatusResponse, columns: usize) -> Vec<Line<'static>> {
    if status.alarms.is_empty() {
        return vec![Line::from(" Nothing to do.")];
    }
    let mut lines = Vec::new();
    for alarm in status.alarms.iter().take(8) {
        let (word, colour) = match alarm.severity() {
            AlarmSeverity::Page => (" NOW   ", Color::Red),
            AlarmSeverity::Warn => (" today ", Color::Yellow),
            AlarmSeverity::Note | AlarmSeverity::Unspecified => (" week  ", Color::Blue),
        };
        let whose = if alarm.slot.is_empty() { String::new() } else { format!("{}: ", alarm.slot) };
        let words = line(&format!("{whose}{} Runbook {}.", alarm.text, alarm.runbook));
        for (index, row) in wrap(&words, columns.saturating_sub(8)).into_iter().take(2).enumerate() {
            let word = if index == 0 { word } else { "       " };
            lines.push(Line::from(vec![Span::styled(word, Style::new().fg(colour)), Span::raw(row)]));
        }
    }
    lines
}

fn draw_curves(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    if area.height < 4 {
        return;
    }
    let thirds = Layout::horizontal([Constraint::Fill(1); 3]).spacing(1).areas::<3>(area);
    let curves = [("sent/s", "", &model.sends), ("send", " ms", &model.sending), ("deliver", " ms", &model.delivery)];
    for (third, (name, unit, curve)) in thirds.into_iter().zip(curves) {
        let [top, below] = Layout::vertical([Constraint::Length(1), Constraint::Max(6)]).areas(third);
        let width = usize::from(below.width);
        let data: Vec<u64> = curve.iter().skip(curve.len().saturating_sub(width)).copied().collect();
        let most = data.iter().copied().max().unwrap_or(0);
        let words = format!(" {name}: max {}{unit} in {} s", thousands(most), data.len());
        frame.render_widget(Paragraph::new(words).style(Style::new().add_modifier(Modifier::DIM)), top);
        frame.render_widget(Sparkline::default().data(data).max(most.max(1)), below);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::v1;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn node(slot: &str, role: NodeRole, reachable: bool) -> NodeStatus {
        let time = |ms: i32| Some(prost_types::Duration { seconds: 0, nanos: ms * 1_000_000 });
        NodeStatus {
            slot: slot.into(),
            reachable,
            role: role.into(),
            version: "1.12.3".into(),
            disk_free_bytes: 40 << 30,
            last_seen_time: Some(prost_types::Timestamp { seconds: 1_800_000_000, nanos: 0 }),
            vitals: Some(v1::NodeVitals {
                start_time: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 0 }),
                sends_per_second: 12_345.6,
                send_p99: time(321),
                delivery_p99: time(214),
                fsync_p99: time(3),
                sessions: 10_000,
                disk_size_bytes: 50 << 30,
                clock_offset: time(-20),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    fn status() -> GetClusterStatusResponse {
        GetClusterStatusResponse {
            health: ClusterHealth::Degraded.into(),
            summary: "ATTENTION. Serving, but do not stop a or c: b does not answer.".into(),
            display_name: "St Elsewhere".into(),
            answered_by: "a".into(),
            nodes: vec![
                node("a", NodeRole::Leader, true),
                node("b", NodeRole::Follower, false),
                node("c", NodeRole::Follower, true),
            ],
            alarms: vec![v1::Alarm {
                severity: AlarmSeverity::Warn.into(),
                slot: "b".into(),
                text: "It does not answer. Until it does, no other may stop. Look at its machine.".into(),
                runbook: "node-down".into(),
            }],
            ..Default::default()
        }
    }

    fn screen(model: &Model, now: Instant) -> String {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| draw(frame, model, now)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn it_fits_80_columns_and_shows_each_node() {
        let (mut model, now) = (Model::default(), Instant::now());
        model.told(status(), now);
        let screen = screen(&model, now);
        for part in [
            "St Elsewhere",
            "do not stop a or c",
            "leads",
            "gone",
            "12,346",
            "214 ms",
            "3.0 ms",
            "80 %",
            "-0.02s",
            "1.12.3",
            "24,691",
            "20,000",
            "send: max 321 ms",
            "deliver: max 214 ms",
            "Runbook node-down.",
            "q leaves",
        ] {
            assert!(screen.contains(part), "{part} is missing:\n{screen}");
        }
    }

    #[test]
    fn what_is_old_says_so_and_a_silence_is_told() {
        let (mut model, now) = (Model::default(), Instant::now());
        assert!(screen(&model, now).contains("Asking the nodes."));
        model.told(status(), now);
        model.silent("a: connection refused".into());
        let screen = screen(&model, now + Duration::from_secs(40));
        assert!(screen.contains("OLD: as of 40 s ago") && screen.contains("No node answers from here"), "{screen}");
    }

    #[test]
    fn the_smallest_terminals_do_no_harm() {
        let mut model = Model::default();
        model.told(status(), Instant::now());
        for (columns, rows) in [(1, 1), (20, 5), (80, 10), (300, 100)] {
            let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
            terminal.draw(|frame| draw(frame, &model, Instant::now())).unwrap();
        }
    }
}
