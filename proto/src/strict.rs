//! The codec of the client port: a request with a field that this release does not know is refused. protobuf would leave the
//! field out in silence, and a client that asked for something newer would believe it was done.
//!
//! Only requests are looked at: what a client meets in an answer of a newer node it may ignore.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::OnceLock;

use prost::bytes::{Buf, Bytes};
use prost::encoding::{WireType, decode_key, decode_varint};
use prost::{Message, Name};
use prost_types::FileDescriptorSet;
use prost_types::field_descriptor_proto::Type;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic::{Code, Status};
use tonic_prost::{ProstCodec, ProstEncoder};
use tonic_types::{ErrorDetails, StatusExt};

/// As everywhere in the API.
const DOMAIN: &str = "tricord";
/// How deep messages may lie in each other; prost's own limit.
const DEPTH_MAX: usize = 100;

/// Encodes as prost does; decodes requests strictly.
#[derive(Debug, Clone)]
pub struct StrictCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for StrictCodec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T, U> Codec for StrictCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Name + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = StrictDecoder<U>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<T, U>::raw_encoder(BufferSettings::default())
    }

    fn decoder(&mut self) -> Self::Decoder {
        // `buf lint` sees to it that requests, and nothing else, are called so.
        let shape = if U::NAME.ends_with("Request") { shapes().get(&U::full_name()) } else { None };
        StrictDecoder { shape, decoded: PhantomData }
    }
}

/// See [`StrictCodec`].
#[derive(Debug)]
pub struct StrictDecoder<U> {
    shape: Option<&'static Shape>,
    decoded: PhantomData<U>,
}

impl<U: Message + Default> Decoder for StrictDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        if let Some(shape) = self.shape {
            check(shape, bytes.clone(), 0)?;
        }
        match U::decode(bytes) {
            Ok(message) => Ok(Some(message)),
            Err(error) if self.shape.is_some() => Err(refused("MALFORMED", "", &error.to_string())),
            Err(error) => Err(Status::internal(error.to_string())),
        }
    }
}

/// The fields of a message, by number.
#[derive(Debug, Default)]
struct Shape {
    name: String,
    fields: HashMap<u32, Field>,
}

#[derive(Debug)]
struct Field {
    name: String,
    /// The type of a field that is a message.
    message: Option<String>,
}

/// All messages, by full name.
fn shapes() -> &'static HashMap<String, Shape> {
    static SHAPES: OnceLock<HashMap<String, Shape>> = OnceLock::new();
    SHAPES.get_or_init(|| {
        // A set that could not be read would let everything pass; a test sees that it can.
        let set = FileDescriptorSet::decode(crate::DESCRIPTORS).unwrap_or_default();
        let mut shapes = HashMap::new();
        for file in set.file {
            let package = file.package().to_owned();
            file.message_type.iter().for_each(|message| add(&mut shapes, &package, message));
        }
        shapes
    })
}

fn add(shapes: &mut HashMap<String, Shape>, within: &str, message: &prost_types::DescriptorProto) {
    let name = format!("{within}.{}", message.name());
    message.nested_type.iter().for_each(|nested| add(shapes, &name, nested));
    let fields = message.field.iter().filter_map(|field| {
        let of = (field.r#type() == Type::Message).then(|| field.type_name().trim_start_matches('.').to_owned());
        Some((u32::try_from(field.number()).ok()?, Field { name: field.name().to_owned(), message: of }))
    });
    shapes.insert(name.clone(), Shape { name: message.name().to_owned(), fields: fields.collect() });
}

fn check(shape: &Shape, mut bytes: Bytes, depth: usize) -> Result<(), Status> {
    let malformed = |why: &str| refused("MALFORMED", "", why);
    if depth > DEPTH_MAX {
        return Err(malformed("messages lie too deep in each other"));
    }
    while bytes.has_remaining() {
        let (number, wire) = decode_key(&mut bytes).map_err(|error| malformed(&error.to_string()))?;
        let Some(field) = shape.fields.get(&number) else {
            let what = format!("{} has no field {number} in this release; nothing was done", shape.name);
            return Err(refused("UNKNOWN_FIELD", &number.to_string(), &what));
        };
        let length = match wire {
            WireType::Varint => {
                decode_varint(&mut bytes).map_err(|error| malformed(&error.to_string()))?;
                0
            }
            WireType::SixtyFourBit => 8,
            WireType::ThirtyTwoBit => 4,
            WireType::LengthDelimited => decode_varint(&mut bytes).map_err(|error| malformed(&error.to_string()))?,
            WireType::StartGroup | WireType::EndGroup => {
                return Err(malformed(&format!("the field {} is a group", field.name)));
            }
        };
        let length = usize::try_from(length).ok().filter(|&length| length <= bytes.remaining());
        let value = bytes.split_to(length.ok_or_else(|| malformed(&format!("the field {} is cut off", field.name)))?);
        if wire == WireType::LengthDelimited
            && let Some(inner) = field.message.as_ref().and_then(|of| shapes().get(of))
        {
            check(inner, value, depth + 1)?;
        }
    }
    Ok(())
}

fn refused(reason: &str, field: &str, what: &str) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, DOMAIN, HashMap::<String, String>::new());
    if !field.is_empty() {
        details.add_bad_request_violation(field, what);
    }
    Status::with_error_details(Code::InvalidArgument, what, details)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::{OutgoingMessage, RequestId, SendMessageRequest};

    fn told(bytes: Vec<u8>) -> Result<(), (String, String)> {
        let shape = shapes().get(&SendMessageRequest::full_name()).expect("it is described");
        check(shape, bytes.into(), 0).map_err(|status| {
            let details = status.get_error_details();
            let reason = details.error_info().map(|info| info.reason.clone()).unwrap_or_default();
            (reason, status.message().to_owned())
        })
    }

    fn request() -> SendMessageRequest {
        let message = OutgoingMessage { conversation: "conversations/1".into(), ..OutgoingMessage::default() };
        SendMessageRequest { message: Some(message), request_id: Some(RequestId { number: 7, settled: 3 }) }
    }

    #[test]
    fn what_this_release_encodes_passes() {
        assert_eq!(told(request().encode_to_vec()), Ok(()));
        assert_eq!(told(Vec::new()), Ok(()));
    }

    #[test]
    fn an_unknown_field_is_named_at_any_depth() {
        let mut bytes = request().encode_to_vec();
        bytes.extend([0xF8, 0x3F, 1]); // field 1023, a varint
        let (reason, message) = told(bytes).expect_err("unknown");
        assert!(reason == "UNKNOWN_FIELD" && message.contains("SendMessageRequest has no field 1023"), "{message}");

        let inner = [0xF8, 0x3F, 1];
        let (reason, message) = told([&[0x0A, 3][..], &inner].concat()).expect_err("unknown");
        assert!(reason == "UNKNOWN_FIELD" && message.contains("OutgoingMessage has no field 1023"), "{message}");
    }

    #[test]
    fn what_is_no_message_is_malformed_and_never_a_panic() {
        let good = request().encode_to_vec();
        for length in 1..good.len() {
            let _ = told(good[..length].to_vec());
        }
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bytes = good.clone();
                bytes[at] ^= 1 << bit;
                let _ = told(bytes);
            }
        }
        assert_eq!(told(vec![0x0A, 200]).map_err(|(reason, _)| reason), Err("MALFORMED".into()));
        assert_eq!(told(vec![0x0B]).map_err(|(reason, _)| reason), Err("MALFORMED".into()), "a group");
    }

    #[test]
    fn every_request_of_the_client_port_is_checked() {
        let set = FileDescriptorSet::decode(crate::DESCRIPTORS).expect("readable");
        let client = set.file.iter().filter(|file| file.package() == "tricord.v1");
        let methods: Vec<_> = client.flat_map(|file| &file.service).flat_map(|service| &service.method).collect();
        assert!(methods.len() > 30, "there are {} calls", methods.len());
        for method in methods {
            let request = method.input_type().trim_start_matches('.');
            assert!(request.ends_with("Request") && shapes().contains_key(request), "{request}");
        }
    }
}
