//! Samples that several targets share: the golden bytes of `codec`, and one of each request, made from its description.

use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};

use crate::hex;

/// The golden envelopes, an entry among them.
pub const ENVELOPES: &str = include_str!("../../../node/codec/golden/envelopes.txt");
/// The golden answers.
pub const ANSWERS: &str = include_str!("../../../node/codec/golden/answers.txt");
/// The golden rows.
pub const ROWS: &str = include_str!("../../../node/codec/golden/rows.txt");
/// The golden keys.
pub const KEYS: &str = include_str!("../../../node/codec/golden/keys.txt");

/// How deep messages are filled; some can lie in themselves.
const DEPTH: usize = 6;

/// Names and bytes of a golden file.
pub fn golden(file: &str) -> impl Iterator<Item = (&str, Vec<u8>)> {
    file.lines().filter_map(|line| line.split_once(' ')).map(|(name, digits)| (name, hex::read(digits)))
}

/// The messages of the client's API, by their names without the package.
pub fn described() -> Vec<DescriptorProto> {
    let set = FileDescriptorSet::decode(proto::DESCRIPTORS).expect("the descriptors that were built in");
    set.file.into_iter().filter(|file| file.package() == "tricord.v1").flat_map(|file| file.message_type).collect()
}

/// A message with every field set.
pub fn filled(name: &str, all: &[DescriptorProto], depth: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let Some(message) = all.iter().find(|message| message.name() == name) else {
        // One of Google's: a number of seconds fits all that we use but the field mask, which takes it as a path.
        return if name == "FieldMask" { vec![0x0A, 1, b'x'] } else { vec![0x08, 7] };
    };
    for field in &message.field {
        let times = if field.label() == Label::Repeated { 2 } else { 1 };
        for _ in 0..times {
            put(field, all, depth, &mut out);
        }
    }
    out
}

fn put(field: &FieldDescriptorProto, all: &[DescriptorProto], depth: usize, out: &mut Vec<u8>) {
    let tag = field.number().unsigned_abs();
    let bytes = match field.r#type() {
        Type::String => b"conversations/01010101010101010101010101010101".to_vec(),
        Type::Bytes => vec![7; 32],
        Type::Message if depth < DEPTH => {
            let name = field.type_name().rsplit('.').next().unwrap_or_default();
            filled(name, all, depth + 1)
        }
        Type::Message => Vec::new(),
        Type::Double | Type::Fixed64 | Type::Sfixed64 => {
            encode_key(tag, WireType::SixtyFourBit, out);
            return out.extend_from_slice(&[1; 8]);
        }
        Type::Float | Type::Fixed32 | Type::Sfixed32 => {
            encode_key(tag, WireType::ThirtyTwoBit, out);
            return out.extend_from_slice(&[1; 4]);
        }
        _ => {
            encode_key(tag, WireType::Varint, out);
            return encode_varint(1, out);
        }
    };
    encode_key(tag, WireType::LengthDelimited, out);
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(&bytes);
}
