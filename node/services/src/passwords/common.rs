//! Passwords that are among the first to be tried.

use std::collections::BTreeSet;
use std::sync::LazyLock;

/// The list, with comments.
const LIST: &str = include_str!("common.txt");
/// Repetitions of a piece of up to so many characters are no password.
const PERIOD_MAX: usize = 4;
/// A login shorter than this is found in too much.
const LOGIN_CHARS_MIN: usize = 4;
/// What must be left of a password without the login.
const REST_CHARS_MIN: usize = 8;

static COMMON: LazyLock<BTreeSet<&str>> =
    LazyLock::new(|| LIST.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect());

/// Why a password is easily guessed, in words for its owner; none: it is not one of the first to be tried.
pub(super) fn why_weak(password: &str, login: &str) -> Option<&'static str> {
    let lower = password.to_lowercase();
    let word = lower.trim_end_matches(|character: char| !character.is_alphabetic());
    if COMMON.contains(lower.as_str()) || COMMON.contains(word) {
        return Some("it is one of the most common passwords, also with digits after it; take a few words instead");
    }
    let chars: Vec<char> = lower.chars().collect();
    if (1..=PERIOD_MAX).any(|period| chars.iter().zip(chars.iter().skip(period)).all(|(one, other)| one == other)) {
        return Some("it repeats the same few characters; take a few words instead");
    }
    if is_run(&chars) {
        return Some("it is a row of neighbouring characters; take a few words instead");
    }
    let mut names = vec!["tricord"];
    names.extend((login.chars().count() >= LOGIN_CHARS_MIN).then_some(login));
    let rest = names.iter().fold(lower.clone(), |rest, name| rest.replace(name, ""));
    if rest != lower && rest.chars().count() < REST_CHARS_MIN {
        return Some("it is little more than the login name or the product's; take a few words instead");
    }
    None
}

fn is_run(chars: &[char]) -> bool {
    let steps = || chars.windows(2).map(|two| i64::from(u32::from(two[1])) - i64::from(u32::from(two[0])));
    steps().all(|step| step == 1) || steps().all(|step| step == -1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_to_be_tried_are_refused() {
        for weak in [
            "qwertyuiop",
            "Password1234!",
            "SUNSHINE2026",
            "aaaaaaaaaaaa",
            "abcabcabcabc",
            "abcdefghijkl",
            "9876543210",
            "weberweber1",
            "tricord2026",
            "1234567890",
        ] {
            assert!(why_weak(weak, "weber").is_some(), "{weak}");
        }
    }

    #[test]
    fn length_is_enough_and_nothing_has_to_be_mixed() {
        for good in
            ["correct horse battery", "quiet river under the bridge", "grüne tulpen im mai", "weber likes brown bread"]
        {
            assert_eq!(why_weak(good, "weber"), None, "{good}");
        }
    }

    #[test]
    fn the_list_is_there_and_folded() {
        assert!(COMMON.len() > 2_000);
        assert!(COMMON.iter().all(|word| word.to_lowercase() == *word && !word.contains(' ')));
    }
}
