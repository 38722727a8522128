//! Page sizes and page tokens.

use types::limits::{PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX};

use crate::errors::Error;

/// The page size asked for: 0 means the default, more than the most is taken as the most (AIP-158).
pub(crate) fn size(page_size: i32) -> Result<usize, Error> {
    let size = match u32::try_from(page_size) {
        Err(_) => return Err(Error::invalid("page_size", "may not be negative")),
        Ok(0) => PAGE_SIZE_DEFAULT,
        Ok(size) => size.min(PAGE_SIZE_MAX),
    };
    Ok(size as usize)
}

/// Makes a token of where a page ended. `list` names what is listed, so that a token fits no other list.
pub(crate) fn token(list: &str, last: &[u8]) -> String {
    let sum = checksum(list, last);
    sum.iter().chain(last).map(|byte| format!("{byte:02x}")).collect()
}

/// Where the page before ended; none for the first page.
pub(crate) fn after(list: &str, token: &str) -> Result<Option<Vec<u8>>, Error> {
    if token.is_empty() {
        return Ok(None);
    }
    let wrong = || Error::invalid("page_token", "is not a token that this list gave");
    let bytes = unhex(token).ok_or_else(wrong)?;
    let (sum, last) = bytes.split_first_chunk::<4>().ok_or_else(wrong)?;
    if *sum != checksum(list, last) {
        return Err(wrong());
    }
    Ok(Some(last.to_vec()))
}

/// The same where a page ends with an id.
pub(crate) fn after_id(list: &str, token: &str) -> Result<Option<[u8; 16]>, Error> {
    after(list, token)?
        .map(|last| last.try_into().map_err(|_| Error::invalid("page_token", "is not a token that this list gave")))
        .transpose()
}

fn checksum(list: &str, last: &[u8]) -> [u8; 4] {
    use sha2::{Digest, Sha256};
    let hash: [u8; 32] = Sha256::new().chain_update(list).chain_update([0]).chain_update(last).finalize().into();
    [hash[0], hash[1], hash[2], hash[3]]
}

/// Lower-case hexadecimal digits to bytes.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || text.len() > 1_024 {
        return None;
    }
    let digit = |ascii: u8| match ascii {
        b'0'..=b'9' => Some(ascii - b'0'),
        b'a'..=b'f' => Some(ascii - b'a' + 10),
        _ => None,
    };
    text.as_bytes().chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_bounded() {
        assert_eq!(size(0).ok(), Some(50));
        assert_eq!(size(7).ok(), Some(7));
        assert_eq!(size(1_000_000_000).ok(), Some(500));
        assert!(size(-1).is_err());
    }

    #[test]
    fn a_token_fits_its_own_list_only() {
        let made = token("users", b"j.ito");
        assert_eq!(after("users", &made).ok().flatten().as_deref(), Some(b"j.ito".as_slice()));
        assert!(after("conversations", &made).is_err());
        assert!(after("users", "zz").is_err());
        assert!(after("users", &made[2..]).is_err());
    }
}
