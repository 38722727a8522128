//! Declarations of messages. Each is written once, and both directions follow from it.
//!
//! The numbers are part of the format: a number is never given to another field, and a field once written stays. A
//! field is added as an optional one with the next number, so that what was written before still reads.

/// A struct: `number: field`, numbers ascending, every field named.
macro_rules! messages {
    ($($name:ty { $($tag:literal: $field:ident),* $(,)? })*) => {$(
        const _: () = assert!($crate::declare::ascend(&[$($tag),*]), "numbers must ascend from 1");

        impl $crate::wire::Value for $name {
            const WIRE: prost::encoding::WireType = prost::encoding::WireType::LengthDelimited;

            fn size(&self) -> usize {
                let Self { $($field),* } = self;
                0 $(+ $crate::wire::Field::field_size($field, $tag))*
            }

            fn put(&self, out: &mut Vec<u8>) {
                let Self { $($field),* } = self;
                $($crate::wire::Field::put_field($field, $tag, out);)*
            }

            fn take(reader: &mut $crate::reader::Reader<'_>) -> ::core::result::Result<Self, $crate::error::Error> {
                reader.enter(stringify!($name));
                Ok(Self { $($field: $crate::wire::Field::take_field($tag, reader)?),* })
            }
        }
    )*};
}

/// An enum as a message of which exactly one field is there. A variant is declared as it looks: `1: Unit`,
/// `2: One(value)` with the value straight in the field, and `3: Several(1: a, 2: b)` or `4: Named { 1: a, 2: b }`
/// with a message of these fields. A list always is a field of a message, as by itself it could be left out.
macro_rules! choices {
    ($($name:ty { $($tag:literal: $variant:ident
        $(($one:ident))? $(($($at:literal: $part:ident),+))? $({ $($ft:literal: $field:ident),+ })?
    ),* $(,)? })*) => {$(
        const _: () = assert!($crate::declare::ascend(&[$($tag),*]), "numbers must ascend from 1");

        impl $crate::wire::Value for $name {
            const WIRE: prost::encoding::WireType = prost::encoding::WireType::LengthDelimited;

            fn size(&self) -> usize {
                match self {$(
                    Self::$variant $(($one))? $(($($part),+))? $({ $($field),+ })? => {
                        $crate::declare::payload!(size $tag $(one $one)? $($($at $part)+)? $($($ft $field)+)?)
                    }
                )*}
            }

            fn put(&self, out: &mut Vec<u8>) {
                match self {$(
                    Self::$variant $(($one))? $(($($part),+))? $({ $($field),+ })? => {
                        $crate::declare::payload!(put out $tag $(one $one)? $($($at $part)+)? $($($ft $field)+)?)
                    }
                )*}
            }

            fn take(reader: &mut $crate::reader::Reader<'_>) -> ::core::result::Result<Self, $crate::error::Error> {
                reader.enter(stringify!($name));
                match reader.choice()? {
                    $($tag => {
                        $crate::declare::payload!(take reader $tag $(one $one)? $($($at $part)+)? $($($ft $field)+)?);
                        Ok(Self::$variant $(($one))? $(($($part),+))? $({ $($field),+ })?)
                    })*
                    tag => Err(reader.error_in(tag, $crate::error::Problem::Unknown)),
                }
            }
        }
    )*};
}

/// What stands in the field of a choice: one value, or a message of several.
macro_rules! payload {
    (size $tag:literal one $one:ident) => { $crate::wire::present_size($one, $tag) };
    (size $tag:literal $($at:literal $part:ident)*) => {
        $crate::wire::headed_size($tag, 0 $(+ $crate::wire::Field::field_size($part, $at))*)
    };
    (put $out:ident $tag:literal one $one:ident) => { $crate::wire::put_present($one, $tag, $out) };
    (put $out:ident $tag:literal $($at:literal $part:ident)*) => {{
        $crate::wire::put_head($tag, 0 $(+ $crate::wire::Field::field_size($part, $at))*, $out);
        $($crate::wire::Field::put_field($part, $at, $out);)*
    }};
    (take $reader:ident $tag:literal one $one:ident) => {
        let $one = $crate::wire::take_required($tag, $reader)?;
    };
    (take $reader:ident $tag:literal $($at:literal $part:ident)*) => {
        #[allow(unused_mut, reason = "a unit variant takes nothing from it")]
        let mut inner = $crate::wire::take_head($tag, $reader)?;
        $(let $part = $crate::wire::Field::take_field($at, &mut inner)?;)*
        inner.finish()?;
    };
}

/// An enum without payload, as a number. It is always written, so 0 stands for nothing.
macro_rules! numbers {
    ($($name:ty { $($number:literal: $variant:ident),* $(,)? })*) => {$(
        const _: () = assert!($crate::declare::ascend(&[$($number),*]), "numbers must ascend from 1");

        impl $crate::wire::Value for $name {
            const WIRE: prost::encoding::WireType = prost::encoding::WireType::Varint;

            fn size(&self) -> usize {
                prost::encoding::encoded_len_varint(match self { $(Self::$variant => $number),* })
            }

            fn put(&self, out: &mut Vec<u8>) {
                prost::encoding::encode_varint(match self { $(Self::$variant => $number),* }, out);
            }

            fn take(reader: &mut $crate::reader::Reader<'_>) -> ::core::result::Result<Self, $crate::error::Error> {
                match reader.varint()? {
                    $($number => Ok(Self::$variant),)*
                    _ => Err(reader.error($crate::error::Problem::Unknown)),
                }
            }
        }
    )*};
}

pub(crate) use {choices, messages, numbers, payload};

/// Whether the numbers of a declaration are from 1 and ascend, as the fields must on the wire.
pub(crate) const fn ascend(numbers: &[u32]) -> bool {
    let (mut at, mut last) = (0, 0);
    while at < numbers.len() {
        if numbers[at] <= last {
            return false;
        }
        last = numbers[at];
        at += 1;
    }
    true
}
