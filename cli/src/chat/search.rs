//! Looking for people to begin a conversation with.

use proto::v1;

use super::input::Input;

/// A letter typed is searched for after this pause.
const PAUSE_MS: u64 = 200;

/// The state of the search.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// What is typed: letters of a name, or in the second step the title.
    pub input: Input,
    /// Who was found.
    pub found: Vec<v1::User>,
    /// There are more.
    pub more: bool,
    /// Which of them is highlighted.
    pub at: usize,
    /// Who was marked for a group.
    pub marked: Vec<v1::User>,
    /// The second step: a title for the group.
    pub titling: bool,
    changed: Option<u64>,
}

impl Search {
    /// What was typed changed.
    pub fn touched(&mut self, now: u64) {
        self.changed = Some(now);
    }

    /// What to search for now, once the typing pauses.
    pub fn due(&mut self, now: u64) -> Option<String> {
        let changed = self.changed.filter(|changed| !self.titling && now.saturating_sub(*changed) >= PAUSE_MS)?;
        let _ = changed;
        self.changed = None;
        let query = self.input.text().trim().to_owned();
        if query.is_empty() {
            self.found.clear();
            return None;
        }
        Some(query)
    }

    /// Takes what was found, if it is still asked for; oneself is left out.
    pub fn found(&mut self, query: &str, users: Vec<v1::User>, more: bool, me: &str) {
        if self.input.text().trim() == query {
            self.found = users.into_iter().filter(|user| user.name != me && user.deactivate_time.is_none()).collect();
            self.more = more;
            self.at = 0;
        }
    }

    /// The one highlighted.
    pub fn current(&self) -> Option<&v1::User> {
        self.found.get(self.at)
    }

    /// Marks the one highlighted for a group, or takes the mark away.
    pub fn mark(&mut self) {
        let Some(user) = self.current().cloned() else { return };
        match self.marked.iter().position(|marked| marked.name == user.name) {
            Some(at) => drop(self.marked.remove(at)),
            None => self.marked.push(user),
        }
    }
}
