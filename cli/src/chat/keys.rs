//! What keys and pasted text do.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use proto::v1;
use types::limits::{MESSAGE_TEXT_BYTES_MAX, TITLE_BYTES_MAX};

use super::input::Input;
use super::model::Model;
use super::news::{Effect, Overlay, Typed};
use super::search::Search;
use super::talk::Fate;
use crate::text::thousands;

impl Model {
    /// A key was pressed.
    pub fn key(&mut self, key: KeyEvent) {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && matches!(key.code, KeyCode::Char('c' | 'q')) {
            self.ask(Effect::Quit);
            return;
        }
        if self.locked.is_some() {
            self.locked_key(key);
            return;
        }
        self.active();
        match std::mem::take(&mut self.overlay) {
            Overlay::Help => self.confirm_shown(), // Any key closes it.
            Overlay::New(search) => self.search_key(search, key),
            Overlay::None => self.main_key(key, control),
        }
    }

    /// Text was pasted, perhaps of several lines.
    pub fn paste(&mut self, text: &str) {
        if let Some(locked) = &mut self.locked {
            locked.input.insert(text.trim_end());
            return;
        }
        self.active();
        let now = self.now;
        match &mut self.overlay {
            Overlay::New(search) => {
                search.input.insert(&text.replace(['\r', '\n'], " "));
                search.touched(now);
            }
            Overlay::Help | Overlay::None => {
                self.input.insert(text);
                self.typing();
            }
        }
    }

    /// The terminal was left, or come back to.
    pub fn focus(&mut self, focused: bool) {
        self.focused = focused;
        if focused {
            self.confirm_shown();
        }
    }

    /// A locked screen takes what unlocks it, and nothing else.
    fn locked_key(&mut self, key: KeyEvent) {
        let Some(locked) = &mut self.locked else { return };
        if key.code == KeyCode::Enter {
            let typed = locked.input.take();
            if !typed.is_empty() && !locked.asked {
                (locked.asked, locked.why) = (true, String::new());
                self.ask(Effect::Unlock(Typed(typed)));
            }
        } else {
            edit(&mut locked.input, key);
        }
    }

    fn main_key(&mut self, key: KeyEvent, control: bool) {
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        match key.code {
            KeyCode::Char('l') if control => self.ask(Effect::Lock),
            KeyCode::Char('n') if control => self.overlay = Overlay::New(Search::default()),
            KeyCode::F(1) => self.overlay = Overlay::Help,
            KeyCode::Char('?') if self.input.is_empty() => self.overlay = Overlay::Help,
            KeyCode::F(2) => self.input.set("/status "),
            KeyCode::F(4) => self.send_lost(),
            KeyCode::F(3) => self.priority = next_priority(self.priority),
            KeyCode::Tab => self.step_unread(),
            KeyCode::Up if alt || control => self.step(-1),
            KeyCode::Down if alt || control => self.step(1),
            KeyCode::Up if self.input.is_empty() => self.step(-1),
            KeyCode::Down if self.input.is_empty() => self.step(1),
            KeyCode::PageUp => self.scroll(true),
            KeyCode::PageDown => self.scroll(false),
            KeyCode::Esc => {
                if let Some(talk) = self.talk_mut() {
                    talk.scroll = 0;
                    talk.new_from = None;
                    talk.outbox.retain(|outgoing| !matches!(outgoing.fate, Fate::Refused(_) | Fate::Lost));
                }
                if self.lost() == 0 {
                    self.restored = None;
                }
                self.confirm_shown();
            }
            KeyCode::Enter if alt => self.input.insert("\n"),
            KeyCode::Char('j') if control => self.input.insert("\n"),
            KeyCode::Enter => self.enter(),
            _ => {
                if edit(&mut self.input, key) {
                    self.typing();
                }
            }
        }
    }

    fn enter(&mut self) {
        let typed = self.input.text().to_owned();
        if let Some(command) = typed.strip_prefix('/').filter(|rest| !rest.starts_with('/')) {
            self.command(command);
            return;
        }
        let text = typed.strip_prefix('/').unwrap_or(&typed).trim_end();
        if text.trim().is_empty() || self.shown.is_none() {
            return;
        }
        if let Some(over) = text.len().checked_sub(MESSAGE_TEXT_BYTES_MAX + 1) {
            self.notify(&format!("Too long by {} bytes.", thousands(over as u64 + 1)));
            return;
        }
        if self.talk().is_some_and(|talk| talk.outbox.len() >= 64) {
            self.notify("64 messages wait to be sent here; let some go first.");
            return;
        }
        self.send(text.to_owned());
        self.input.take();
    }

    fn command(&mut self, command: &str) {
        let (word, rest) = command.split_once(' ').unwrap_or((command, ""));
        match word {
            "status" => self.status(rest.trim()),
            "urgent" => self.priority = v1::Priority::Urgent,
            "asap" => self.priority = v1::Priority::Asap,
            "stat" => self.priority = v1::Priority::Stat,
            "routine" => self.priority = v1::Priority::Routine,
            "new" => self.overlay = Overlay::New(Search::default()),
            "help" => self.overlay = Overlay::Help,
            "quit" => self.ask(Effect::Quit),
            "lock" => self.ask(Effect::Lock),
            _ => {
                self.notify(&format!(
                    "/{word} is not a command; ? shows what there is. For a text that begins with / type //."
                ));
                return;
            }
        }
        let text = if matches!(word, "urgent" | "asap" | "stat" | "routine") { rest } else { "" };
        self.input.set(text);
    }

    fn status(&mut self, rest: &str) {
        let (word, text) = rest.split_once(' ').unwrap_or((rest, ""));
        let state = match word {
            "auto" | "" => v1::PresenceState::Unspecified,
            "available" => v1::PresenceState::Available,
            "busy" => v1::PresenceState::Busy,
            "dnd" => v1::PresenceState::Dnd,
            "away" => v1::PresenceState::Away,
            _ => return self.notify("/status auto, available, busy, dnd or away, then perhaps a text"),
        };
        self.ask(Effect::Presence(state, text.trim().to_owned()));
    }

    fn step(&mut self, by: isize) {
        let order = self.order();
        let at = order.iter().position(|name| Some(*name) == self.shown.as_deref());
        let next = at.map_or(0, |at| at.saturating_add_signed(by).min(order.len().saturating_sub(1)));
        if let Some(name) = order.get(next).map(|&name| name.to_owned()) {
            self.show(&name);
        }
    }

    fn step_unread(&mut self) {
        let unread = |name: &&&str| {
            self.talks.get(**name).is_some_and(|talk| talk.info.unread_count > 0)
                && Some(**name) != self.shown.as_deref()
        };
        match self.order().iter().find(unread).map(|&name| name.to_owned()) {
            Some(name) => self.show(&name),
            None => self.notify("Nothing new elsewhere."),
        }
    }

    fn scroll(&mut self, up: bool) {
        let half = (self.rows / 2).max(1);
        let Some(talk) = self.talk_mut() else { return };
        talk.scroll = if up { talk.scroll + half } else { talk.scroll.saturating_sub(half) };
        if let Some(seq) = talk.older().filter(|_| up) {
            talk.loading = true;
            let name = talk.info.name.clone();
            self.ask(Effect::Load(name, seq));
        }
        self.confirm_shown();
    }

    fn search_key(&mut self, mut search: Search, key: KeyEvent) {
        match key.code {
            KeyCode::Esc if search.titling => search.titling = false,
            KeyCode::Esc => return self.confirm_shown(),
            KeyCode::Enter if search.titling => {
                let title = search.input.text().trim().to_owned();
                if let Err(error) = types::text::check_name(&title, TITLE_BYTES_MAX) {
                    self.notify(&format!("The title: {error}."));
                } else {
                    let users = search.marked.iter().map(|user| user.name.clone()).collect();
                    return self.ask(Effect::Create(title, users));
                }
            }
            KeyCode::Enter if !search.marked.is_empty() => {
                search.titling = true;
                search.input = Input::default();
            }
            KeyCode::Enter => {
                if let Some(user) = search.current() {
                    return self.ask(Effect::Open(user.name.clone()));
                }
            }
            KeyCode::Tab if !search.titling => search.mark(),
            KeyCode::Up => search.at = search.at.saturating_sub(1),
            KeyCode::Down => search.at = (search.at + 1).min(search.found.len().saturating_sub(1)),
            _ => {
                if edit(&mut search.input, key) {
                    search.touched(self.now);
                }
            }
        }
        self.overlay = Overlay::New(search);
    }
}

/// Edits a line; whether the text may have changed.
fn edit(input: &mut Input, key: KeyEvent) -> bool {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    match key.code {
        KeyCode::Char('u') if control => input.delete_to_start(),
        KeyCode::Char('w') if control => input.delete_word(),
        KeyCode::Char('a') if control => input.home(),
        KeyCode::Char('e') if control => input.end(),
        KeyCode::Char(character) if !control => input.insert(character.encode_utf8(&mut [0; 4])),
        KeyCode::Backspace => input.backspace(),
        KeyCode::Delete => input.delete(),
        KeyCode::Left => input.left(),
        KeyCode::Right => input.right(),
        KeyCode::Home => input.home(),
        KeyCode::End => input.end(),
        _ => return false,
    }
    !matches!(key.code, KeyCode::Left | KeyCode::Right | KeyCode::Home | KeyCode::End)
}

fn next_priority(priority: v1::Priority) -> v1::Priority {
    match priority {
        v1::Priority::Unspecified | v1::Priority::Routine => v1::Priority::Urgent,
        v1::Priority::Urgent => v1::Priority::Asap,
        v1::Priority::Asap => v1::Priority::Stat,
        v1::Priority::Stat => v1::Priority::Routine,
    }
}
