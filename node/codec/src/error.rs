//! Why bytes are not a value.

/// Bytes that are not what they should be. They were damaged, or written by something that is not this product.
/// Says where, never what stood there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    /// A newer release wrote it, or the first byte is damaged.
    #[error("decode {message}: format {found} is not known, this release reads format {known}")]
    Version {
        /// What should have stood there.
        message: &'static str,
        /// Its format byte.
        found: u8,
        /// The format byte this release knows.
        known: u8,
    },
    /// The bytes of a value.
    #[error("decode {message}, field {tag}: {problem}")]
    Malformed {
        /// The innermost message.
        message: &'static str,
        /// The number of the field; 0 where there is none.
        tag: u32,
        /// What is wrong with it.
        problem: Problem,
    },
    /// The bytes of a key.
    #[error("decode a key of table {table}: {problem}")]
    Key {
        /// The first byte; 0 if there is none.
        table: u8,
        /// What is wrong with it.
        problem: Problem,
    },
}

/// What can be wrong with bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Problem {
    /// They end too early.
    #[error("it is cut off")]
    CutOff,
    /// A number is written longer than needed, or is larger than its type.
    #[error("a number is too long")]
    Number,
    /// A number, kind or table that stands for nothing.
    #[error("it stands for nothing this release knows")]
    Unknown,
    /// The field is there, in another wire type.
    #[error("it is of another wire type")]
    WireType,
    /// The field is unknown, repeated, or out of its order.
    #[error("it is unknown, repeated or out of order")]
    Unexpected,
    /// The field must be there and is not.
    #[error("it is missing")]
    Missing,
    /// The field holds what is said by leaving it out.
    #[error("it should have been left out")]
    Needless,
    /// Bytes of a fixed length have another.
    #[error("it is not of its length")]
    Length,
    /// A text is not UTF-8.
    #[error("it is not UTF-8")]
    Text,
}
