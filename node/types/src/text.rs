//! What a name may consist of. Bidirectional controls and zero-width characters can make one name look like another,
//! so they are refused wherever a name is shown.

/// Why a text was refused as a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing but white space.
    #[error("it is empty")]
    Empty,
    /// Longer than the limit.
    #[error("it is {bytes} bytes, at most {max} are allowed")]
    TooLong {
        /// Bytes of UTF-8 it has.
        bytes: usize,
        /// Bytes it may have.
        max: usize,
    },
    /// A control character, a line break among them.
    #[error("it contains a control character (U+{0:04X})")]
    Control(u32),
    /// A bidirectional control or a zero-width character.
    #[error("it contains an invisible or direction-changing character (U+{0:04X})")]
    Invisible(u32),
    /// White space at the beginning or end.
    #[error("it begins or ends with a space")]
    Padded,
    /// A login name with something else than a-z, 0-9, dot, hyphen, underscore.
    #[error("only a-z, 0-9, '.', '-' and '_' are allowed, beginning with a letter or digit")]
    NotLogin,
    /// Shorter than the limit.
    #[error("it is {bytes} bytes, at least {min} are needed")]
    TooShort {
        /// Bytes it has.
        bytes: usize,
        /// Bytes it must have.
        min: usize,
    },
}

/// Checks a display name, unit or title: 1 to `max` bytes, visible characters and single spaces within.
pub fn check_name(text: &str, max: usize) -> Result<(), NameError> {
    if text.trim().is_empty() {
        return Err(NameError::Empty);
    }
    if text.len() > max {
        return Err(NameError::TooLong { bytes: text.len(), max });
    }
    text.chars().try_for_each(check_visible)?;
    if text.trim() != text {
        return Err(NameError::Padded);
    }
    Ok(())
}

/// Checks a login name: lower-case ASCII letters, digits, `.`, `-`, `_`, beginning with a letter or digit.
pub fn check_login(name: &str) -> Result<(), NameError> {
    use crate::limits::{LOGIN_NAME_BYTES_MAX as MAX, LOGIN_NAME_BYTES_MIN as MIN};
    if name.len() < MIN {
        return Err(NameError::TooShort { bytes: name.len(), min: MIN });
    }
    if name.len() > MAX {
        return Err(NameError::TooLong { bytes: name.len(), max: MAX });
    }
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    if !plain(bytes[0]) || !bytes.iter().all(|&byte| plain(byte) || matches!(byte, b'.' | b'-' | b'_')) {
        return Err(NameError::NotLogin);
    }
    Ok(())
}

fn check_visible(character: char) -> Result<(), NameError> {
    if character.is_control() {
        return Err(NameError::Control(character.into()));
    }
    let invisible = matches!(
        character,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
            | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{3164}'
            | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}'
    );
    if invisible { Err(NameError::Invisible(character.into())) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_pass_for_others_are_refused() {
        assert_eq!(check_name("Dr Ito\u{202E}", 99), Err(NameError::Invisible(0x202E)));
        assert_eq!(check_name("Dr\u{200B} Ito", 99), Err(NameError::Invisible(0x200B)));
        assert_eq!(check_name("Dr\nIto", 99), Err(NameError::Control(10)));
        assert_eq!(check_name("  ", 99), Err(NameError::Empty));
        assert_eq!(check_name(" Ito", 99), Err(NameError::Padded));
        assert_eq!(check_name("Ito", 2), Err(NameError::TooLong { bytes: 3, max: 2 }));
        assert_eq!(check_name("Dr. Åsa Nyström-Παπά 伊藤", 99), Ok(()));
    }

    #[test]
    fn login_names_are_plain() {
        assert_eq!(check_login("j.ito-2"), Ok(()));
        assert_eq!(check_login("J.ito"), Err(NameError::NotLogin));
        assert_eq!(check_login(".ito"), Err(NameError::NotLogin));
        assert_eq!(check_login("i"), Err(NameError::TooShort { bytes: 1, min: 2 }));
    }
}
