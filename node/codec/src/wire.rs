//! What can stand in a field. The format is that of protobuf, without its freedoms: one value, one spelling.

use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use crate::error::{Error, Problem};
use crate::reader::Reader;

/// A value with a wire type of its own: a number, bytes, a message.
pub(crate) trait Value: Sized {
    /// A varint, or bytes after their length.
    const WIRE: WireType;

    /// The value that is said by leaving the field out; none where the field must be there.
    fn left_out() -> Option<Self> {
        None
    }

    /// Whether this is the value of `left_out`.
    fn is_left_out(&self) -> bool {
        false
    }

    /// Bytes that `put` adds.
    fn size(&self) -> usize;

    /// Adds the value, without key and length.
    fn put(&self, out: &mut Vec<u8>);

    /// Takes a varint, or all there is.
    fn take(reader: &mut Reader<'_>) -> Result<Self, Error>;

    /// Bytes that `put_list` adds.
    fn list_size(list: &[Self], tag: u32) -> usize {
        list.iter().map(|item| present_size(item, tag)).sum()
    }

    /// Adds the items, each as a field of its own; `u8` has a shorter way.
    fn put_list(list: &[Self], tag: u32, out: &mut Vec<u8>) {
        list.iter().for_each(|item| put_present(item, tag, out));
    }

    /// Takes the items. Each has taken at least two bytes of input, so input bounds the list.
    fn take_list(tag: u32, reader: &mut Reader<'_>) -> Result<Vec<Self>, Error> {
        let mut list = Vec::new();
        while reader.next_is(tag, Self::WIRE)? {
            list.push(take_present(reader)?);
        }
        Ok(list)
    }
}

/// A value, an optional value, or a list, in a field of a message.
pub(crate) trait Field: Sized {
    /// Bytes that `put_field` adds.
    fn field_size(&self, tag: u32) -> usize;

    /// Adds key and value, or nothing.
    fn put_field(&self, tag: u32, out: &mut Vec<u8>);

    /// Takes what stands at `tag`, if anything.
    fn take_field(tag: u32, reader: &mut Reader<'_>) -> Result<Self, Error>;
}

impl<T: Value> Field for T {
    fn field_size(&self, tag: u32) -> usize {
        if self.is_left_out() { 0 } else { present_size(self, tag) }
    }

    fn put_field(&self, tag: u32, out: &mut Vec<u8>) {
        if !self.is_left_out() {
            put_present(self, tag, out);
        }
    }

    fn take_field(tag: u32, reader: &mut Reader<'_>) -> Result<Self, Error> {
        if !reader.next_is(tag, T::WIRE)? {
            return T::left_out().ok_or_else(|| reader.error_in(tag, Problem::Missing));
        }
        let value: T = take_present(reader)?;
        if value.is_left_out() { Err(reader.error(Problem::Needless)) } else { Ok(value) }
    }
}

impl<T: Value> Field for Option<T> {
    fn field_size(&self, tag: u32) -> usize {
        self.as_ref().map_or(0, |value| present_size(value, tag))
    }

    fn put_field(&self, tag: u32, out: &mut Vec<u8>) {
        if let Some(value) = self {
            put_present(value, tag, out);
        }
    }

    fn take_field(tag: u32, reader: &mut Reader<'_>) -> Result<Self, Error> {
        if reader.next_is(tag, T::WIRE)? { take_present(reader).map(Some) } else { Ok(None) }
    }
}

impl<T: Value> Field for Vec<T> {
    fn field_size(&self, tag: u32) -> usize {
        T::list_size(self, tag)
    }

    fn put_field(&self, tag: u32, out: &mut Vec<u8>) {
        T::put_list(self, tag, out);
    }

    fn take_field(tag: u32, reader: &mut Reader<'_>) -> Result<Self, Error> {
        T::take_list(tag, reader)
    }
}

/// An optional list is a message with the list as its field 1: an empty list is not none.
impl<T: Value> Field for Option<Vec<T>> {
    fn field_size(&self, tag: u32) -> usize {
        let Some(list) = self else { return 0 };
        headed_size(tag, T::list_size(list, 1))
    }

    fn put_field(&self, tag: u32, out: &mut Vec<u8>) {
        if let Some(list) = self {
            put_head(tag, T::list_size(list, 1), out);
            T::put_list(list, 1, out);
        }
    }

    fn take_field(tag: u32, reader: &mut Reader<'_>) -> Result<Self, Error> {
        if !reader.next_is(tag, WireType::LengthDelimited)? {
            return Ok(None);
        }
        let mut inner = reader.delimited()?;
        let list = T::take_list(1, &mut inner)?;
        inner.finish()?;
        Ok(Some(list))
    }
}

/// Bytes that `put_present` adds.
pub(crate) fn present_size<T: Value>(value: &T, tag: u32) -> usize {
    match T::WIRE {
        WireType::LengthDelimited => headed_size(tag, value.size()),
        _ => key_len(tag) + value.size(),
    }
}

/// Adds key and value, whatever the value.
pub(crate) fn put_present<T: Value>(value: &T, tag: u32, out: &mut Vec<u8>) {
    match T::WIRE {
        WireType::LengthDelimited => put_head(tag, value.size(), out),
        wire => encode_key(tag, wire, out),
    }
    value.put(out);
}

/// Takes key and value, which must be there.
pub(crate) fn take_required<T: Value>(tag: u32, reader: &mut Reader<'_>) -> Result<T, Error> {
    if reader.next_is(tag, T::WIRE)? { take_present(reader) } else { Err(reader.error_in(tag, Problem::Missing)) }
}

/// Bytes of key, length and `size` bytes of content.
pub(crate) fn headed_size(tag: u32, size: usize) -> usize {
    key_len(tag) + encoded_len_varint(size as u64) + size
}

/// Adds key and length of `size` bytes of content.
pub(crate) fn put_head(tag: u32, size: usize, out: &mut Vec<u8>) {
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(size as u64, out);
}

/// Takes key and length: a reader of the content.
pub(crate) fn take_head<'a>(tag: u32, reader: &mut Reader<'a>) -> Result<Reader<'a>, Error> {
    if reader.next_is(tag, WireType::LengthDelimited)? {
        reader.delimited()
    } else {
        Err(reader.error_in(tag, Problem::Missing))
    }
}

/// Takes a value whose key has been taken.
fn take_present<T: Value>(reader: &mut Reader<'_>) -> Result<T, Error> {
    if T::WIRE != WireType::LengthDelimited {
        return T::take(reader);
    }
    let mut inner = reader.delimited()?;
    let value = T::take(&mut inner)?;
    inner.finish()?;
    Ok(value)
}
