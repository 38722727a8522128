//! Text from others, made safe to show: nothing in it may move the cursor, change colours or reverse what is beside it.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Text for one line: line breaks show as `⏎`, other control and direction-changing characters as what they are.
pub fn line(text: &str) -> String {
    neutralise(text, false)
}

/// Text that may have several lines; everything else as [`line()`].
pub fn lines(text: &str) -> String {
    neutralise(text, true)
}

fn neutralise(text: &str, keep_breaks: bool) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' if characters.peek() == Some(&'\n') => {}
            '\n' if keep_breaks => safe.push('\n'),
            '\n' => safe.push('⏎'),
            '\t' => safe.push_str("    "),
            '\0'..='\x1f' => safe.push(char::from_u32(0x2400 + character as u32).unwrap_or('\u{FFFD}')),
            '\x7f' => safe.push('␡'),
            _ if character.is_control() || changes_direction(character) => {
                safe.push_str(&format!("<U+{:04X}>", character as u32));
            }
            _ => safe.push(character),
        }
    }
    safe
}

/// Embeddings, overrides, isolates, line and paragraph separators, tags, zero-width no-break space. The joiners and
/// marks that scripts and emoji need stay.
fn changes_direction(character: char) -> bool {
    matches!(character, '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}'
        | '\u{E0000}'..='\u{E007F}' | '\u{061C}' | '\u{200B}')
}

/// Columns it takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// At most `columns` wide, with `…` where something is cut off.
pub fn shorten(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut short = String::new();
    let mut used = 0;
    for character in text.chars() {
        let wide = character.width().unwrap_or(0);
        if used + wide + 1 > columns {
            break;
        }
        used += wide;
        short.push(character);
    }
    if columns > 0 {
        short.push('…');
    }
    short
}

/// Breaks safe text into rows of at most `columns`, at spaces where there are any. Never empty.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    text.split('\n').flat_map(|paragraph| wrap_paragraph(paragraph, columns)).collect()
}

fn wrap_paragraph(paragraph: &str, columns: usize) -> Vec<String> {
    let mut rows = Vec::new();
    let mut row = String::new();
    for word in paragraph.split_inclusive(' ') {
        if row.width() + word.trim_end().width() > columns && !row.is_empty() {
            rows.push(std::mem::take(&mut row).trim_end().to_owned());
        }
        for character in word.chars() {
            let full = row.width() + character.width().unwrap_or(0) > columns;
            if full && character == ' ' {
                continue;
            }
            if full {
                rows.push(std::mem::take(&mut row));
            }
            row.push(character);
        }
    }
    if !row.is_empty() || rows.is_empty() {
        rows.push(row.trim_end().to_owned());
    }
    rows
}

/// 1204 as `1,204`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes as 32..: lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of hexadecimal digits.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    // `from_str_radix` would also take a sign.
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_escape_sequence_survives() {
        let evil = "a\x1b[2J\x1b]0;title\x07b\u{9b}31m\u{202E}c\rd\x08\x7f\u{2066}";
        for safe in [line(evil), lines(evil)] {
            assert!(!safe.chars().any(|c| c.is_control()), "{safe:?}");
            assert!(!safe.contains('\u{202E}') && !safe.contains('\u{2066}'));
        }
        assert_eq!(line("a\r\nb"), "a⏎b");
        assert_eq!(lines("a\r\nb\n"), "a\nb\n");
        assert_eq!(line("👩‍⚕️ می‌خواهم"), "👩‍⚕️ می‌خواهم", "joiners of scripts and emoji stay");
    }

    #[test]
    fn rows_are_never_wider_than_asked() {
        let text = "Bitte Herrn 山田太郎 in Zimmer 4 ansehen, averyverylongwordwithoutanyspace indeed";
        for columns in 2..40 {
            for row in wrap(text, columns) {
                assert!(width(&row) <= columns, "{row:?} at {columns}");
            }
        }
        assert_eq!(wrap("", 10), [""]);
        assert_eq!(wrap("ab cd", 3), ["ab", "cd"]);
        assert_eq!(wrap("a\n\nb", 3), ["a", "", "b"]);
        assert_eq!(shorten("山田太郎", 5), "山田…");
    }

    #[test]
    fn numbers_have_thousands() {
        assert_eq!(thousands(1204), "1,204");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_000_000), "1,000,000");
        assert_eq!(unhex(&hex(b"\x00\xff")), Some(vec![0, 255]));
        assert_eq!((unhex("0g"), unhex("+1"), unhex("ä")), (None, None, None));
    }
}
