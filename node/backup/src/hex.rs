//! Lower-case hexadecimal digits: one spelling for the same bytes.

/// As digits.
pub(crate) fn encode(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// From digits; nothing but what [`encode`] gives is taken.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let lower = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| lower(&byte)) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

/// As many bytes as are asked for, from digits.
pub(crate) fn array<const N: usize>(text: &str) -> Option<[u8; N]> {
    decode(text)?.try_into().ok()
}
