//! The key that was meant, of those that are known: from what the parser says of one that is not.

/// Words further apart than this are not alike (Jaro-Winkler, 0 to 1).
const ALIKE: f64 = 0.75;

/// The known key nearest to the unknown one.
pub fn hint(message: &str) -> Option<&str> {
    let wrong = *quoted(message).first().filter(|_| message.starts_with("unknown field"))?;
    let alike = known(message).into_iter().map(|key| (strsim::jaro_winkler(wrong, key), key));
    alike.filter(|(how, _)| *how > ALIKE).max_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, key)| key)
}

/// The keys that are known there.
pub fn known(message: &str) -> Vec<&str> {
    quoted(message.split_once("expected").map_or("", |(_, known)| known))
}

/// What stands between backticks.
fn quoted(message: &str) -> Vec<&str> {
    message.split('`').skip(1).step_by(2).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_offered_and_what_is_not_is_not() {
        let message =
            |wrong: &str| format!("unknown field `{wrong}`, expected one of `listen`, `metrics_token`, `downtime`");
        assert_eq!(hint(&message("listne")), Some("listen"));
        assert_eq!(hint(&message("metric_token")), Some("metrics_token"));
        assert_eq!(hint(&message("xyz")), None);
        assert_eq!(hint("missing field `cluster`"), None);
    }
}
