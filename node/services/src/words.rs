//! The words a user is found by. Folded here and not in `apply`, since Unicode tables differ between releases.

/// Most words of one user.
const WORDS_MAX: usize = 16;
/// Longest word, in bytes; more of it is cut off.
const WORD_BYTES_MAX: usize = 64;

/// The words of a login, display name and unit: lower case, sorted, without repeats.
pub fn of(login: &str, display_name: &str, unit: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in std::iter::once(cut(login)).chain(split(login)).chain(split(display_name)).chain(split(unit)) {
        if words.len() < WORDS_MAX && !words.contains(&word) {
            words.push(word);
        }
    }
    words.sort();
    words
}

/// The words of a text, in its order.
pub(crate) fn split(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(cut).collect()
}

fn cut(word: &str) -> String {
    let end = (0..=word.len().min(WORD_BYTES_MAX)).rev().find(|&at| word.is_char_boundary(at));
    word[..end.unwrap_or(0)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_login_name_and_unit() {
        let words = of("j.ito", "Dr. Jun ITO", "Cardiology, ward 3");
        for word in ["j.ito", "ito", "jun", "cardiology", "ward", "3"] {
            assert!(words.contains(&word.to_owned()), "{word}");
        }
        assert_eq!(words.iter().filter(|word| *word == "ito").count(), 1);
    }

    #[test]
    fn words_are_bounded() {
        let long = "ä".repeat(100);
        assert!(of("ab", &long, &"x ".repeat(99)).iter().all(|word| word.len() <= WORD_BYTES_MAX));
        let many: String = (0..99).map(|at| format!("w{at} ")).collect();
        assert_eq!(of("ab", &many, "").len(), WORDS_MAX);
        assert!(of(&"l".repeat(100), "", "").iter().all(|word| word.len() <= WORD_BYTES_MAX));
    }
}
