//! Who says what in which order.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::irc::{Line, parse_day};
use crate::{Person, Result};

/// Everything that will happen.
#[derive(Debug, Default)]
pub struct Plan {
    /// Everyone, in the order in which they first appear. Steps refer to places in it.
    pub people: Vec<Person>,
    /// The days, each to become a conversation.
    pub days: Vec<Day>,
    /// Lines that are neither said nor about someone's coming and going.
    pub skipped: usize,
}

/// One file.
#[derive(Debug)]
pub struct Day {
    /// The file's name without its ending.
    pub title: String,
    /// Who takes part.
    pub people: BTreeSet<usize>,
    /// What happens, in the file's order.
    pub steps: Vec<Step>,
}

/// One line of a file.
#[derive(Debug)]
pub struct Step {
    /// Minutes since midnight.
    pub minute: u32,
    /// Who.
    pub who: usize,
    /// What.
    pub what: What,
}

/// What someone does.
#[derive(Debug)]
pub enum What {
    /// Sends these bytes.
    Say(Vec<u8>),
    /// Opens a stream, and is seen.
    Arrive,
    /// Closes it.
    Depart,
}

impl Plan {
    /// Reads a directory of `YYYY-MM-DD.txt`, or such files in a `.tar.gz`; of these the first `days` by name.
    pub fn read(source: &Path, days: usize) -> Result<Self> {
        if source.is_dir() {
            return Self::read_directory(source, days);
        }
        let unpacked = tempfile::tempdir()?;
        let status = Command::new("tar").arg("-xzf").arg(source).arg("-C").arg(unpacked.path()).status()?;
        if !status.success() {
            return Err(format!("{} is neither a directory nor a .tar.gz", source.display()).into());
        }
        Self::read_directory(unpacked.path(), days)
    }

    /// Messages that will be sent, those to be refused included.
    #[must_use]
    pub fn messages(&self) -> usize {
        self.days.iter().flat_map(|day| &day.steps).filter(|step| matches!(step.what, What::Say(_))).count()
    }

    fn read_directory(directory: &Path, days: usize) -> Result<Self> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(directory)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<std::io::Result<_>>()?;
        files.retain(|path| path.extension().is_some_and(|ending| ending == "txt"));
        files.sort();
        files.truncate(days);
        if files.is_empty() {
            return Err(format!("{} holds no .txt files", directory.display()).into());
        }
        let mut plan = Self::default();
        let mut names = Names::default();
        for file in files {
            let title = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            plan.add_day(title, &std::fs::read(&file)?, &mut names);
        }
        Ok(plan)
    }

    fn add_day(&mut self, title: String, file: &[u8], names: &mut Names) {
        let mut day = Day { title, people: BTreeSet::new(), steps: Vec::new() };
        for timed in parse_day(file) {
            let mut step = |nick: &str, what| {
                let who = names.place(nick, &mut self.people);
                day.people.insert(who);
                day.steps.push(Step { minute: timed.minute, who, what });
            };
            match timed.line {
                Line::Said { nick, text } => step(&nick, What::Say(text)),
                Line::Joined(nick) => step(&nick, What::Arrive),
                Line::Left(nick) => step(&nick, What::Depart),
                Line::Renamed { from, to } => {
                    step(&from, What::Depart);
                    step(&to, What::Arrive);
                }
                Line::Other => self.skipped += 1,
            }
        }
        self.days.push(day);
    }
}

/// Nicks and the places of the users they became.
#[derive(Debug, Default)]
struct Names {
    places: BTreeMap<String, usize>,
    logins: BTreeSet<String>,
}

impl Names {
    fn place(&mut self, nick: &str, people: &mut Vec<Person>) -> usize {
        if let Some(&place) = self.places.get(nick) {
            return place;
        }
        let plain = login(nick);
        let mut login = plain.clone();
        // Nicks that differ only in what a login cannot hold stay different users.
        for count in 2.. {
            if self.logins.insert(login.clone()) {
                break;
            }
            login = format!("{plain}.{count}");
        }
        people.push(Person::new(&login, &display_name(nick)));
        self.places.insert(nick.to_owned(), people.len() - 1);
        people.len() - 1
    }
}

/// A legal login for a nick: it begins with a letter or digit and has 2 to 50 of what a login may hold.
fn login(nick: &str) -> String {
    let plain = |c: char| match c.to_ascii_lowercase() {
        c @ ('a'..='z' | '0'..='9' | '.' | '_') => c,
        _ => '-',
    };
    let name: String = nick.chars().map(plain).take(48).collect();
    // A prefix for all keeps them from colliding with the cluster's own accounts.
    format!("n{name}")
}

fn display_name(nick: &str) -> String {
    if types::text::check_name(nick, types::limits::DISPLAY_NAME_BYTES_MAX).is_ok() {
        nick.to_owned()
    } else {
        login(nick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nicks_become_different_legal_logins() {
        let (mut names, mut people) = (Names::default(), Vec::new());
        for nick in ["Foo|away", "foo-away", "_x", "`", "Foo|away"] {
            names.place(nick, &mut people);
        }
        let logins: Vec<&str> = people.iter().map(|person| person.login.as_str()).collect();
        assert_eq!(logins, ["nfoo-away", "nfoo-away.2", "n_x", "n-"]);
        assert!(logins.iter().all(|login| types::text::check_login(login).is_ok()));
    }

    #[test]
    fn a_rename_is_a_departure_and_an_arrival() {
        let mut plan = Plan::default();
        plan.add_day(
            "d".into(),
            b"[06:29] <a> hi\n=== a is now known as b\n=== mode/#u [+o b]\n",
            &mut Names::default(),
        );
        assert_eq!(plan.messages(), 1);
        assert_eq!(plan.skipped, 1);
        let who: Vec<usize> = plan.days[0].steps.iter().map(|step| step.who).collect();
        assert_eq!(who, [0, 0, 1]);
    }
}
