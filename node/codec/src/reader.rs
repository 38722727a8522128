//! Reading the wire format, strictly: what this crate would not have written is an error.

use prost::encoding::{WireType, decode_varint, encoded_len_varint};

use crate::error::{Error, Problem};

/// The rest of one message, and where it stands, for errors.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    message: &'static str,
    tag: u32,
}

impl<'a> Reader<'a> {
    /// A reader of all of `bytes`.
    pub fn new(bytes: &'a [u8], message: &'static str) -> Self {
        Self { rest: bytes, message, tag: 0 }
    }

    /// Names the message that is being read, for errors.
    pub fn enter(&mut self, message: &'static str) {
        self.message = message;
        self.tag = 0;
    }

    /// Steps over the key of field `tag` if it comes next.
    pub fn next_is(&mut self, tag: u32, wire: WireType) -> Result<bool, Error> {
        let Some((key, after)) = self.peek_key()? else { return Ok(false) };
        if key >> 3 != u64::from(tag) {
            return Ok(false); // Where nothing else takes it, `finish` refuses it.
        }
        self.tag = tag;
        if key & 7 != wire as u64 {
            return Err(self.error(Problem::WireType));
        }
        self.rest = after;
        Ok(true)
    }

    /// The number of the one field of a message that is a choice.
    pub fn choice(&mut self) -> Result<u32, Error> {
        let Some((key, _)) = self.peek_key()? else { return Err(self.error(Problem::Missing)) };
        u32::try_from(key >> 3).map_err(|_| self.error(Problem::Number))
    }

    /// A number in its shortest form.
    pub fn varint(&mut self) -> Result<u64, Error> {
        let (number, after) = self.peek_varint()?;
        self.rest = after;
        Ok(number)
    }

    /// A length and so many bytes, to be read on their own.
    pub fn delimited(&mut self) -> Result<Self, Error> {
        let length = usize::try_from(self.varint()?).map_err(|_| self.error(Problem::CutOff))?;
        let (inner, after) = self.rest.split_at_checked(length).ok_or_else(|| self.error(Problem::CutOff))?;
        self.rest = after;
        Ok(Self { rest: inner, message: self.message, tag: self.tag })
    }

    /// All that is left.
    pub fn bytes(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.rest)
    }

    /// That nothing is left.
    pub fn finish(mut self) -> Result<(), Error> {
        if self.rest.is_empty() {
            return Ok(());
        }
        self.tag = self.choice()?;
        Err(self.error(Problem::Unexpected))
    }

    /// An error at this place.
    pub fn error(&self, problem: Problem) -> Error {
        Error::Malformed { message: self.message, tag: self.tag, problem }
    }

    /// An error about the field `tag`.
    pub fn error_in(&self, tag: u32, problem: Problem) -> Error {
        Error::Malformed { message: self.message, tag, problem }
    }

    fn peek_key(&self) -> Result<Option<(u64, &'a [u8])>, Error> {
        if self.rest.is_empty() { Ok(None) } else { self.peek_varint().map(Some) }
    }

    fn peek_varint(&self) -> Result<(u64, &'a [u8]), Error> {
        if let [byte @ 0..0x80, after @ ..] = self.rest {
            return Ok((u64::from(*byte), after));
        }
        let mut after = self.rest;
        let number = decode_varint(&mut after).map_err(|_| self.error(self.varint_problem()))?;
        if self.rest.len() - after.len() != encoded_len_varint(number) {
            return Err(self.error(Problem::Number));
        }
        Ok((number, after))
    }

    fn varint_problem(&self) -> Problem {
        let ends = self.rest.iter().take(10).any(|byte| *byte < 0x80);
        if ends || self.rest.len() >= 10 { Problem::Number } else { Problem::CutOff }
    }
}
