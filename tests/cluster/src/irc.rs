//! Reads a day of an IRC log. Texts stay bytes: some days hold bytes that are not UTF-8.

/// What one line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A message or an action, byte for byte as after the nick.
    Said {
        /// Who.
        nick: String,
        /// What.
        text: Vec<u8>,
    },
    /// Someone came.
    Joined(String),
    /// Someone went.
    Left(String),
    /// Someone goes by another name from now on.
    Renamed {
        /// The name before.
        from: String,
        /// The name now.
        to: String,
    },
    /// The channel's own matters (modes, topics), and lines by a bridge to another network.
    Other,
}

/// A line with its time of day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timed {
    /// Minutes since midnight, as of the newest line that says its time.
    pub minute: u32,
    /// What it says.
    pub line: Line,
}

/// All lines of a day's file, in its order.
#[must_use]
pub fn parse_day(file: &[u8]) -> Vec<Timed> {
    let mut minute = 0;
    let mut lines = Vec::new();
    for bytes in file.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let rest = match stamp(bytes) {
            Some((at, rest)) => {
                minute = at;
                rest
            }
            None => bytes,
        };
        lines.push(Timed { minute, line: parse_line(rest) });
    }
    lines
}

/// `[hh:mm]`, a space, and what follows; the space is absent after an empty line.
fn stamp(line: &[u8]) -> Option<(u32, &[u8])> {
    let time = line.strip_prefix(b"[")?;
    let (hours, colon, minutes, close) = (time.get(0..2)?, time.get(2)?, time.get(3..5)?, time.get(5)?);
    let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse::<u32>().ok();
    if *colon != b':' || *close != b']' {
        return None;
    }
    let rest = &time[6..];
    Some((number(hours)? * 60 + number(minutes)?, rest.strip_prefix(b" ").unwrap_or(rest)))
}

fn parse_line(rest: &[u8]) -> Line {
    if let Some(said) = rest.strip_prefix(b"<") {
        let Some(end) = said.iter().position(|&byte| byte == b'>') else { return Line::Other };
        let text = &said[end + 1..];
        return Line::Said { nick: name(&said[..end]), text: text.strip_prefix(b" ").unwrap_or(text).to_vec() };
    }
    if let Some(action) = rest.strip_prefix(b" * ") {
        return said(action);
    }
    let Some(notice) = rest.strip_prefix(b"=== ") else { return Line::Other };
    let words: Vec<&[u8]> = notice.split(|&byte| byte == b' ').collect();
    let has = |sentence: &[u8]| notice.windows(sentence.len()).any(|window| window == sentence);
    match words.as_slice() {
        [nick, b"is", b"now", b"known", b"as", to, ..] => Line::Renamed { from: name(nick), to: name(to) },
        [nick, host, ..] if host.starts_with(b"[") && has(b" has joined ") => Line::Joined(name(nick)),
        [nick, host, ..] if host.starts_with(b"[") && (has(b" has left ") || has(b" has quit")) => {
            Line::Left(name(nick))
        }
        [first, ..] if first.starts_with(b"mode/") || first.starts_with(b"#") => Line::Other,
        _ => said(notice),
    }
}

/// An action: `nick text`.
fn said(action: &[u8]) -> Line {
    match action.iter().position(|&byte| byte == b' ') {
        Some(space) if space > 0 => Line::Said { nick: name(&action[..space]), text: action[space + 1..].to_vec() },
        _ => Line::Other,
    }
}

fn name(nick: &[u8]) -> String {
    String::from_utf8_lossy(nick).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &[u8]) -> Line {
        parse_day(line).remove(0).line
    }

    fn says(nick: &str, text: &[u8]) -> Line {
        Line::Said { nick: nick.into(), text: text.to_vec() }
    }

    #[test]
    fn texts_are_kept_byte_for_byte() {
        assert_eq!(one(b"[06:29] <Fedge> a  b \xff "), says("Fedge", b"a  b \xff "));
        assert_eq!(one(b"[06:29] <a> <b> c"), says("a", b"<b> c"));
        assert_eq!(one(b"[11:30] <selinium>"), says("selinium", b""));
        assert_eq!(one(b"[15:18]  * gaelfx needs to start"), says("gaelfx", b"needs to start"));
        assert_eq!(one(b"=== clever slaps ubotu"), says("clever", b"slaps ubotu"));
    }

    #[test]
    fn arrivals_departures_and_renames_are_told_apart() {
        assert_eq!(one(b"=== x_ [n=x@host]  has joined #ubuntu"), Line::Joined("x_".into()));
        assert_eq!(one(b"=== x [n=x@host]  has left #ubuntu [\"bye\"]"), Line::Left("x".into()));
        assert_eq!(one(b"=== x [n=x@host]  has quit [timeout]"), Line::Left("x".into()));
        assert_eq!(one(b"=== x is now known as y"), Line::Renamed { from: "x".into(), to: "y".into() });
        assert_eq!(one(b"=== mode/#ubuntu [+o Madpilot]  by ChanServ"), Line::Other);
        assert_eq!(one(b"[01:09] (soundray/#ubuntu) thomas: have"), Line::Other);
    }

    #[test]
    fn lines_without_a_time_have_that_of_the_line_before() {
        let day = parse_day(b"[06:29] <a> b\n=== a is now known as c\n[06:31] <c> d\n");
        assert_eq!(day.iter().map(|line| line.minute).collect::<Vec<_>>(), [389, 389, 391]);
    }
}
