//! Bytes as digits.

/// As digits.
pub fn of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// From digits; what is not a digit ends it.
pub fn read(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.trim().chars().map_while(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
