//! The nearest right value to a wrong one.

/// The closest of the words, if any is close.
pub fn word<'a>(wrong: &str, words: &[&'a str]) -> Option<&'a str> {
    let wrong = wrong.trim().to_lowercase();
    let near = words.iter().map(|word| (distance(&wrong, word), *word)).min()?;
    (near.0 <= 2.max(near.1.len() / 3)).then_some(near.1)
}

/// A login made of what was meant as one: lower case, spaces as dots, accents off, the rest left out.
pub fn login(wrong: &str) -> Option<String> {
    let mut login = String::new();
    for character in wrong.trim().chars().flat_map(char::to_lowercase) {
        match character {
            'a'..='z' | '0'..='9' | '.' | '-' | '_' => login.push(character),
            _ if character.is_whitespace() => login.push('.'),
            _ => login.push_str(base(character)),
        }
    }
    let login = login.trim_start_matches(['.', '-', '_']);
    let login: String = login.chars().take(types::limits::LOGIN_NAME_BYTES_MAX).collect();
    types::text::check_login(&login).is_ok().then_some(login)
}

/// A name without what may not be in it.
pub fn name(wrong: &str, max: usize) -> Option<String> {
    let kept: String = wrong
        .chars()
        .map(|character| if character.is_whitespace() { ' ' } else { character })
        .filter(|character| types::text::check_name(&format!("x{character}x"), 16).is_ok())
        .collect();
    let mut kept = kept.trim().to_owned();
    while kept.len() > max {
        kept.pop();
    }
    let kept = kept.trim_end().to_owned();
    types::text::check_name(&kept, max).is_ok().then_some(kept)
}

fn base(character: char) -> &'static str {
    match character {
        'à' | 'á' | 'â' | 'ã' | 'å' | 'ā' | 'ă' | 'ą' => "a",
        'ä' | 'æ' => "ae",
        'ç' | 'ć' | 'č' => "c",
        'ď' | 'đ' | 'ð' => "d",
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ę' | 'ě' => "e",
        'ğ' | 'ģ' => "g",
        'ì' | 'í' | 'î' | 'ï' | 'ī' | 'ı' => "i",
        'ķ' => "k",
        'ł' | 'ľ' | 'ļ' => "l",
        'ñ' | 'ń' | 'ň' | 'ņ' => "n",
        'ò' | 'ó' | 'ô' | 'õ' | 'ő' | 'ō' => "o",
        'ö' | 'ø' | 'œ' => "oe",
        'ŕ' | 'ř' => "r",
        'ś' | 'š' | 'ş' | 'ș' => "s",
        'ß' => "ss",
        'ť' | 'ţ' | 'ț' => "t",
        'ù' | 'ú' | 'û' | 'ű' | 'ů' | 'ū' => "u",
        'ü' => "ue",
        'ý' | 'ÿ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        'þ' => "th",
        _ => "",
    }
}

/// Levenshtein's distance.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, character) in one.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (at, against) in other.iter().enumerate() {
            let change = diagonal + usize::from(character != *against);
            diagonal = row[at + 1];
            row[at + 1] = change.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_value_is_what_was_meant() {
        let kinds = ["person", "location", "service", "patient"];
        assert_eq!(word("perosn", &kinds), Some("person"));
        assert_eq!(word("Persons", &kinds), Some("person"));
        assert_eq!(word("loction", &kinds), Some("location"));
        assert_eq!(word("xyz", &kinds), None);
        assert_eq!(login("J.Ito").as_deref(), Some("j.ito"));
        assert_eq!(login(" Åsa Nyström ").as_deref(), Some("asa.nystroem"));
        assert_eq!(login("伊藤"), None);
        assert_eq!(name("Dr\u{200b} Ito\t", 128).as_deref(), Some("Dr Ito"));
    }
}
