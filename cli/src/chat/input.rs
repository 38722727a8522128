//! The line one types into; it may grow to several.

/// A text and a place in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Input {
    text: String,
    at: usize,
}

impl Input {
    /// What was typed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What stands before the cursor.
    pub fn before(&self) -> &str {
        &self.text[..self.at]
    }

    /// Whether nothing was typed.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Takes the text away.
    pub fn take(&mut self) -> String {
        self.at = 0;
        std::mem::take(&mut self.text)
    }

    /// Replaces the text.
    pub fn set(&mut self, text: &str) {
        text.clone_into(&mut self.text);
        self.at = self.text.len();
    }

    /// Inserts typed or pasted text: line breaks become `\n`, a tab four spaces, other control characters go.
    pub fn insert(&mut self, text: &str) {
        let text = text.replace("\r\n", "\n").replace('\r', "\n").replace('\t', "    ");
        let text: String = text.chars().filter(|c| *c == '\n' || !c.is_control()).collect();
        self.text.insert_str(self.at, &text);
        self.at += text.len();
    }

    /// Removes the character before the cursor.
    pub fn backspace(&mut self) {
        let from = self.left_of();
        self.text.replace_range(from..self.at, "");
        self.at = from;
    }

    /// Removes the character at the cursor.
    pub fn delete(&mut self) {
        let to = self.right_of();
        self.text.replace_range(self.at..to, "");
    }

    /// Removes the word before the cursor.
    pub fn delete_word(&mut self) {
        let kept = self.before().trim_end().rfind(char::is_whitespace).map_or(0, |space| space + 1);
        let kept = (kept..=self.at).find(|at| self.text.is_char_boundary(*at)).unwrap_or(self.at);
        self.text.replace_range(kept..self.at, "");
        self.at = kept;
    }

    /// Removes everything before the cursor.
    pub fn delete_to_start(&mut self) {
        self.text.replace_range(..self.at, "");
        self.at = 0;
    }

    /// One character to the left.
    pub fn left(&mut self) {
        self.at = self.left_of();
    }

    /// One character to the right.
    pub fn right(&mut self) {
        self.at = self.right_of();
    }

    /// To the beginning.
    pub fn home(&mut self) {
        self.at = 0;
    }

    /// To the end.
    pub fn end(&mut self) {
        self.at = self.text.len();
    }

    fn left_of(&self) -> usize {
        self.before().char_indices().next_back().map_or(0, |(at, _)| at)
    }

    fn right_of(&self) -> usize {
        self.text[self.at..].chars().next().map_or(self.at, |c| self.at + c.len_utf8())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn editing_keeps_to_whole_characters() {
        let mut input = Input::default();
        input.insert("Grüße 伊藤");
        input.left();
        input.backspace();
        assert_eq!(input.text(), "Grüße 藤");
        input.home();
        input.right();
        input.delete();
        assert_eq!(input.text(), "Güße 藤");
        input.end();
        input.delete_word();
        assert_eq!(input.text(), "Güße ");
        input.delete_word();
        assert_eq!(input.text(), "");
        input.backspace();
        input.delete();
        assert!(input.is_empty());
    }

    #[test]
    fn what_is_pasted_keeps_its_lines_and_loses_its_escapes() {
        let mut input = Input::default();
        input.insert("one\r\ntwo\x1b[31m\tthree\r");
        assert_eq!(input.text(), "one\ntwo[31m    three\n");
    }
}
