//! Numbers, ids, texts, bytes.

use prost::encoding::{WireType, encode_varint, encoded_len_varint};
use types::certificate::Serial;
use types::key::Month;
use types::message::MessageKind;
use types::{
    ClusterId, ConversationId, DeviceId, EventNumber, Lineage, NodeId, Principal, RoleId, Seq, SessionId, Timestamp,
    UserId,
};

use crate::declare::choices;
use crate::error::{Error, Problem};
use crate::reader::Reader;
use crate::wire::{Value, headed_size, present_size, put_head, put_present, take_required};

choices! {
    Principal { 1: User(id), 2: Role(id) }
}

macro_rules! integers {
    ($($name:ty),*) => {$(
        impl Value for $name {
            const WIRE: WireType = WireType::Varint;

            fn left_out() -> Option<Self> {
                Some(0)
            }

            fn is_left_out(&self) -> bool {
                *self == 0
            }

            fn size(&self) -> usize {
                encoded_len_varint(u64::from(*self))
            }

            fn put(&self, out: &mut Vec<u8>) {
                encode_varint(u64::from(*self), out);
            }

            fn take(reader: &mut Reader<'_>) -> Result<Self, Error> {
                Self::try_from(reader.varint()?).map_err(|_| reader.error(Problem::Number))
            }
        }
    )*};
}

integers!(u16, u32, u64);

impl Value for bool {
    const WIRE: WireType = WireType::Varint;

    fn left_out() -> Option<Self> {
        Some(false)
    }

    fn is_left_out(&self) -> bool {
        !*self
    }

    fn size(&self) -> usize {
        1
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Error> {
        match reader.varint()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(reader.error(Problem::Number)),
        }
    }
}

/// A single byte is not used; a list of bytes is one field of bytes.
impl Value for u8 {
    const WIRE: WireType = WireType::Varint;

    fn size(&self) -> usize {
        encoded_len_varint(u64::from(*self))
    }

    fn put(&self, out: &mut Vec<u8>) {
        encode_varint(u64::from(*self), out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Error> {
        Self::try_from(reader.varint()?).map_err(|_| reader.error(Problem::Number))
    }

    fn list_size(list: &[Self], tag: u32) -> usize {
        if list.is_empty() { 0 } else { headed_size(tag, list.len()) }
    }

    fn put_list(list: &[Self], tag: u32, out: &mut Vec<u8>) {
        if !list.is_empty() {
            put_head(tag, list.len(), out);
            out.extend_from_slice(list);
        }
    }

    fn take_list(tag: u32, reader: &mut Reader<'_>) -> Result<Vec<Self>, Error> {
        if !reader.next_is(tag, WireType::LengthDelimited)? {
            return Ok(Vec::new());
        }
        match reader.delimited()?.bytes() {
            [] => Err(reader.error(Problem::Needless)),
            bytes => Ok(bytes.to_vec()),
        }
    }
}

impl Value for String {
    const WIRE: WireType = WireType::LengthDelimited;

    fn left_out() -> Option<Self> {
        Some(Self::new())
    }

    fn is_left_out(&self) -> bool {
        self.is_empty()
    }

    fn size(&self) -> usize {
        self.len()
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Error> {
        match core::str::from_utf8(reader.bytes()) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(reader.error(Problem::Text)),
        }
    }
}

impl<const N: usize> Value for [u8; N] {
    const WIRE: WireType = WireType::LengthDelimited;

    fn size(&self) -> usize {
        N
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.bytes().try_into().map_err(|_| reader.error(Problem::Length))
    }
}

/// What has no content: a row that only is there.
impl Value for () {
    const WIRE: WireType = WireType::LengthDelimited;

    fn size(&self) -> usize {
        0
    }

    fn put(&self, _: &mut Vec<u8>) {}

    fn take(_: &mut Reader<'_>) -> Result<Self, Error> {
        Ok(())
    }
}

/// A pair is a message of its two.
impl<A: Value, B: Value> Value for (A, B) {
    const WIRE: WireType = WireType::LengthDelimited;

    fn size(&self) -> usize {
        present_size(&self.0, 1) + present_size(&self.1, 2)
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_present(&self.0, 1, out);
        put_present(&self.1, 2, out);
    }

    fn take(reader: &mut Reader<'_>) -> Result<Self, Error> {
        reader.enter("pair");
        Ok((take_required(1, reader)?, take_required(2, reader)?))
    }
}

macro_rules! wrappers {
    ($($name:ident($inner:ty)),* $(,)?) => {$(
        impl Value for $name {
            const WIRE: WireType = <$inner as Value>::WIRE;

            fn left_out() -> Option<Self> {
                <$inner as Value>::left_out().map(Self)
            }

            fn is_left_out(&self) -> bool {
                self.0.is_left_out()
            }

            fn size(&self) -> usize {
                self.0.size()
            }

            fn put(&self, out: &mut Vec<u8>) {
                self.0.put(out);
            }

            fn take(reader: &mut Reader<'_>) -> Result<Self, Error> {
                <$inner as Value>::take(reader).map(Self)
            }
        }
    )*};
}

wrappers! {
    UserId([u8; 16]), DeviceId([u8; 16]), SessionId([u8; 16]), ConversationId([u8; 16]), RoleId([u8; 16]),
    ClusterId([u8; 16]), Lineage([u8; 16]), Seq(u64), EventNumber(u64), Timestamp(u64), NodeId(u64), MessageKind(u32), Month(u32),
    Serial([u8; 20]),
}
