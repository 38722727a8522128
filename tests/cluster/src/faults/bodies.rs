//! Messages whose text tells which they are.

/// What the text of a message carries besides its number.
const FILLER: &str = "the quick brown fox jumps over the lazy dog and wakes the ward at four in the morning once more";

/// The text of a message: its number, and as many words as its number says, so that lengths differ.
#[must_use]
pub fn text(body: u64) -> String {
    let length = usize::try_from(body % 97).unwrap_or(0).min(FILLER.len());
    format!("{body} {}", &FILLER[..length])
}

/// Which message a text is of; [`u64::MAX`] for one that nobody wrote so.
#[must_use]
pub fn body(written: &str) -> u64 {
    let number = written.split(' ').next().and_then(|number| number.parse().ok());
    number.filter(|&number| text(number) == written).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_was_altered_is_no_message() {
        assert_eq!(body(&text(1_234)), 1_234);
        assert_eq!(body(&text(1_234).replace("quick", "quack")), u64::MAX);
        assert_eq!(body(""), u64::MAX);
    }
}
