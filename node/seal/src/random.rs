//! The one way by which this crate draws randomness, but for the ephemeral key that HPKE draws within its library.

use zeroize::Zeroizing;

use crate::Error;

/// Random bytes from the operating system.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| Error::Randomness)?;
    Ok(bytes)
}

/// Random bytes that are wiped after use.
pub(crate) fn secret() -> Result<Zeroizing<[u8; 32]>, Error> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut()).map_err(|_| Error::Randomness)?;
    Ok(bytes)
}
