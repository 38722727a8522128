//! What can go wrong. No variant says anything of a key or a text.

/// Why something could not be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Shorter than its header.
    #[error("a payload of {0} bytes is too short")]
    Short(usize),
    /// Written by a newer release, or not sealed.
    #[error("payload version {0} is not known to this release")]
    Version(u8),
    /// Sealed with another key than the one at hand.
    #[error("key {0:016x} is not the one this was sealed with")]
    Key(u64),
    /// Changed since it was sealed, or moved to where it does not belong.
    #[error("it does not open: it was changed, or is not what it should be")]
    Damaged,
    /// The payload is not the one that was committed to.
    #[error("the payload is not the one its record commits to")]
    Commitment,
    /// What protects the node's key is not what it was protected with.
    #[error("the secret that protects the node's key is not the right one")]
    WrongSecret,
    /// The operating system gave no randomness.
    #[error("no randomness")]
    Randomness,
    /// The cryptographic library refused; it does so when out of memory.
    #[error("the cryptographic library refused")]
    Library,
}
