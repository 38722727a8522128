//! Runbooks as a program reads them: which commands stand in them, which of those are run, and what they are said to print.
//!
//! | In the file | Means |
//! |---|---|
//! | a block of ```` ```console ```` | lines that begin with `$ ` are run; what follows each is what it prints |
//! | ```` ```console by-hand ````, ```` ```sh by-hand ```` | needs a hospital, or a person: commands are parsed and not run |
//! | `# exit status 3` behind a command | how it ends; 0 if nothing is said |
//! | `…` alone on a line, or within one | any lines, or any text |
//! | `<!-- test: kill b -->` | what hands do between commands; see `tests/service/runbooks.rs` |
//! | `` `tricord …` `` in the text | parsed; with `…` or `[` in it, up to there |

use std::path::Path;

use crate::Result;

/// One runbook.
#[derive(Debug)]
pub struct Runbook {
    /// Its file's name without the ending.
    pub name: String,
    /// What is to be done, in order.
    pub steps: Vec<Step>,
    /// Commands that are named within the text, with their line.
    pub named: Vec<(usize, String)>,
}

/// One thing to do.
#[derive(Debug)]
pub enum Step {
    /// What the reader does with a machine: the words of a `test:` comment.
    Hands(usize, String),
    /// A command.
    Command(Command),
}

/// A command of a block.
#[derive(Debug)]
pub struct Command {
    /// Its line in the file.
    pub line: usize,
    /// As it is typed.
    pub text: String,
    /// How it ends.
    pub exit: i32,
    /// The lines that stand below it.
    pub shown: Vec<String>,
    /// Not for a test to run.
    pub by_hand: bool,
}

impl Runbook {
    /// Reads a file. Errors: it cannot be read, or marks something in a way that is none.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.file_stem().and_then(|name| name.to_str()).ok_or("no name")?.to_owned();
        Self::parse(name, &std::fs::read_to_string(path)?)
    }

    fn parse(name: String, text: &str) -> Result<Self> {
        let (mut steps, mut named, mut block) = (Vec::new(), Vec::new(), None);
        let mut open = String::new(); // A command that goes on in the next line.
        for (line, raw) in text.lines().enumerate().map(|(index, line)| (index + 1, line)) {
            let at = |what: &str| format!("{name}.md:{line}: {what}");
            let plain = raw.trim();
            if let Some(info) = plain.strip_prefix("```") {
                block = match block {
                    Some(_) => None,
                    None => {
                        Some((kind(info).ok_or_else(|| at("no kind of block"))?, raw.len() - raw.trim_start().len()))
                    }
                };
                continue;
            }
            let Some((kind, indent)) = &block else {
                if let Some(words) = plain.strip_prefix("<!-- test:").and_then(|rest| rest.strip_suffix("-->")) {
                    steps.push(Step::Hands(line, words.trim().to_owned()));
                }
                named.extend(spans(plain).map(|span| (line, span.to_owned())));
                continue;
            };
            let shown = raw.get(*indent..).unwrap_or(plain);
            let typed = match kind {
                Kind::Plain if plain.starts_with("$ ") => {
                    return Err(at("a command in a block that is not console").into());
                }
                Kind::Plain => None,
                Kind::Script => Some(plain).filter(|plain| !plain.is_empty() && !plain.starts_with('#')),
                Kind::Console { .. } if !open.is_empty() => Some(plain),
                Kind::Console { .. } => plain.strip_prefix("$ "),
            };
            match (typed, steps.last_mut()) {
                (Some(typed), _) => {
                    open.push_str(typed.trim_end_matches('\\'));
                    if !typed.ends_with('\\') {
                        let by_hand = !matches!(kind, Kind::Console { by_hand: false });
                        steps.push(Step::Command(command(line, &std::mem::take(&mut open), by_hand)));
                    }
                }
                (None, Some(Step::Command(command))) if matches!(kind, Kind::Console { .. }) => {
                    command.shown.push(shown.trim_end().to_owned());
                }
                (None, _) => {}
            }
        }
        Ok(Self { name, steps, named })
    }
}

enum Kind {
    Plain,
    Script,
    Console { by_hand: bool },
}

fn kind(info: &str) -> Option<Kind> {
    Some(match info {
        "" | "text" | "toml" => Kind::Plain,
        "sh by-hand" => Kind::Script,
        "console" => Kind::Console { by_hand: false },
        "console by-hand" => Kind::Console { by_hand: true },
        _ => return None,
    })
}

fn command(line: usize, typed: &str, by_hand: bool) -> Command {
    let (text, said) = typed.split_once(" # ").map_or((typed, ""), |(text, said)| (text, said.trim()));
    let exit = said.strip_prefix("exit status ").and_then(|number| number.parse().ok()).unwrap_or(0);
    Command { line, text: text.trim().to_owned(), exit, shown: Vec::new(), by_hand }
}

/// What stands in backticks on a line and begins with the name of one of the programs.
fn spans(line: &str) -> impl Iterator<Item = &str> {
    let spans = line.split('`').skip(1).step_by(2);
    spans.filter(|span| span.starts_with("tricord ") || span.starts_with("tricordd "))
}

/// The words of each call of one of the programs in a line for a shell, without what the shell takes for itself.
#[must_use]
pub fn calls(text: &str) -> Vec<Vec<String>> {
    let mut calls = Vec::new();
    for part in words(text).split(|word| matches!(word.as_str(), "|" | "&&" | ";" | "||")) {
        let part: Vec<String> = part.iter().take_while(|word| !word.starts_with(['>', '<'])).cloned().collect();
        if part.first().is_some_and(|first| first == "tricord" || first == "tricordd") {
            calls.push(part);
        }
    }
    calls
}

/// Words as a shell splits them, quotes taken away.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in text.chars() {
        match (quote, letter) {
            (Some(end), _) if letter == end => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// What of `printed` is not as `shown` says: the line that was not found, where it should be; none if all is there.
///
/// Numbers, times, days of the week and ids are alike to it, spaces count as one, and who leads does not matter.
#[must_use]
pub fn missing<'a>(shown: &'a [String], printed: &str) -> Option<&'a str> {
    let printed: Vec<String> = printed.lines().map(stable).filter(|line| !line.is_empty()).collect();
    let (mut at, mut anywhere) = (0, false);
    for line in shown.iter().filter(|line| !line.trim().is_empty()) {
        if line.trim() == "…" {
            anywhere = true;
            continue;
        }
        let wanted = stable(line);
        let found =
            printed[at..].iter().position(|printed| fits(&wanted, printed)).filter(|away| anywhere || *away == 0);
        let Some(away) = found else { return Some(line) };
        at += away + 1;
        anywhere = false;
    }
    if at < printed.len() && !anywhere && !shown.iter().all(|line| line.trim().is_empty()) {
        return Some("(nothing more)");
    }
    None
}

/// The days of a week as they are printed.
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// What of a line is the same each time.
fn stable(line: &str) -> String {
    let words = line.split_whitespace().map(|word| match word {
        "leader" | "follower" => "role".to_owned(),
        day if DAYS.contains(&day) => "day".to_owned(),
        word => plain(word),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A word with `#` for each number and each id in it.
fn plain(word: &str) -> String {
    let (mut plain, mut run) = (String::new(), String::new());
    for letter in word.chars().chain(['\0']) {
        if letter.is_ascii_alphanumeric() {
            run.push(letter);
            continue;
        }
        let id = run.len() >= 8 && run.chars().all(|letter| letter.is_ascii_hexdigit());
        if id {
            plain.push('#');
        } else {
            for letter in run.chars() {
                match letter.is_ascii_digit() {
                    true if plain.ends_with('#') => {}
                    true => plain.push('#'),
                    false => plain.push(letter),
                }
            }
        }
        run.clear();
        plain.extend(Some(letter).filter(|letter| *letter != '\0'));
    }
    plain
}

/// Whether a line is as wanted, `…` standing for any text.
fn fits(wanted: &str, printed: &str) -> bool {
    let mut parts = wanted.split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = printed.strip_prefix(first.trim_end()) else { return false };
    let (mut last, mut open) = (first, false);
    for part in parts {
        open = true;
        last = part.trim();
        let Some(at) = rest.find(last) else { return false };
        rest = &rest[at + last.len()..];
    }
    rest.trim().is_empty() || open && last.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOK: &str = "Say `tricord cluster status`, or `systemctl x`.\n<!-- test: kill b -->\n1. so:\n\n   ```console\n   $ tricord \
                        cluster status   # exit status 3\n   ATTENTION. b has 12.\n   …\n   $ a | tricord x \\\n     --y 'z w' > f\n   ```\n";

    #[test]
    fn a_runbook_is_read_with_its_commands_and_what_they_print() {
        let book = Runbook::parse("x".into(), BOOK).expect("read");
        assert_eq!(book.named, [(1, "tricord cluster status".to_owned())]);
        let [Step::Hands(2, hands), Step::Command(one), Step::Command(two)] = book.steps.as_slice() else {
            panic!("{book:?}")
        };
        assert_eq!((hands.as_str(), one.exit, one.by_hand), ("kill b", 3, false));
        assert_eq!(one.shown, ["ATTENTION. b has 12.", "…"]);
        assert_eq!(calls(&two.text), [["tricord", "x", "--y", "z w"]]);
        for wrong in ["```text\n$ tricord x\n```\n", "```bash\n"] {
            assert!(Runbook::parse("x".into(), wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_printed_must_be_what_is_shown_but_for_what_differs_each_time() {
        let miss = |shown: &str, printed: &str| {
            let shown: Vec<String> = shown.lines().map(str::to_owned).collect();
            missing(&shown, printed).map(str::to_owned)
        };
        assert_eq!(miss("a  12 leader\n\n", "a 7   follower\n"), None);
        assert_eq!(miss("Sun 2026-11-22", "Mon 2026-11-23"), None, "another day");
        assert_eq!(miss("id 3d4a964dafd1f914\n…", "id 00ff00ff00ff00ff1\nmore\n"), None);
        assert_eq!(
            miss("2\nserial=764243F2B6CD48F91FA90B7A9889FB8A", "17\nserial=1BFAD3EB57C880C8C34377E9161547BE"),
            None
        );
        assert_eq!(miss("a\n…\nz", "a\nb\nc\nz\n"), None);
        assert_eq!(miss("said … by @ana …", "said 3 words by @ana today"), None);
        assert_eq!(miss("a\nz", "a\nb\nz\n").as_deref(), Some("z"));
        assert_eq!(miss("a", "a\nb\n").as_deref(), Some("(nothing more)"));
        assert_eq!(miss("a well", "a ill").as_deref(), Some("a well"));
        assert_eq!(miss("", "anything"), None, "where nothing is shown, nothing is compared");
    }
}
