//! Reads the canonical bytes of a record, for those who have no `codec`: whoever verifies an export.
//!
//! The bytes are a format byte, a length, and protobuf's wire format. What a newer release added is stepped over; a test
//! in `codec` holds this reader to what it writes.

use types::certificate::Serial;
use types::conversation::PolicyRef;
use types::record::{Action, Agent, Entity, Purpose, Record, Result as End};
use types::{ConversationId, DeviceId, NodeId, RoleId, Seq, SessionId, Timestamp, UserId};

/// Why bytes could not be read as a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Of a format this release does not know.
    #[error("the record is of a newer format")]
    Format,
    /// An action, an entity or the like that this release does not know.
    #[error("the record says something that this release does not know")]
    Newer,
    /// Not a record.
    #[error("these bytes are no record")]
    Damaged,
}

const FORMAT: u8 = 1;

/// The record that has these bytes.
pub fn record(bytes: &[u8]) -> Result<Record, Error> {
    let (format, mut rest) = bytes.split_first().ok_or(Error::Damaged)?;
    if *format != FORMAT {
        return Err(Error::Format);
    }
    let body = delimited(&mut rest)?;
    if !rest.is_empty() {
        return Err(Error::Damaged);
    }
    let agent = Agent::Cluster;
    let mut record = Record::new(Timestamp(0), NodeId(0), agent, Action::Found, Vec::new());
    let mut seen = [false; 3];
    for field in fields(body)? {
        match field {
            (1, Value::Number(at)) => record.at = Timestamp(at),
            (2, Value::Number(node)) => record.origin = NodeId(node),
            (3, Value::Bytes(bytes)) => {
                record.agent = self::agent(bytes)?;
                seen[0] = true;
            }
            (4, Value::Number(number)) => {
                record.action = action(number)?;
                seen[1] = true;
            }
            (5, Value::Bytes(bytes)) => record.entities.push(entity(bytes)?),
            (6, Value::Bytes(bytes)) => {
                record.result = end(bytes)?;
                seen[2] = true;
            }
            (7, Value::Bytes(bytes)) => record.commitment = Some(array(bytes)?),
            (8, Value::Bytes(bytes)) => record.location = Some(UserId(array(bytes)?)),
            (9, Value::Number(number)) => record.request = Some(number),
            (10, Value::Bytes(bytes)) => record.policy = Some(policy(bytes)?),
            (11, Value::Number(number)) => record.purpose = Some(purpose(number)?),
            (12, Value::Bytes(bytes)) => {
                record.reason = Some(String::from_utf8(bytes.to_vec()).map_err(|_| Error::Damaged)?);
            }
            (13, Value::Number(count)) => record.count = Some(u32::try_from(count).map_err(|_| Error::Damaged)?),
            (14, Value::Number(at)) => record.seen = Some(Timestamp(at)),
            (15, Value::Bytes(bytes)) => record.address = bytes.to_vec(),
            (1..=15, _) => return Err(Error::Damaged),
            _ => {}
        }
    }
    if seen.contains(&false) { Err(Error::Damaged) } else { Ok(record) }
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    const fn bytes(&self) -> Result<&'a [u8], Error> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Number(_) => Err(Error::Damaged),
        }
    }

    const fn number(&self) -> Result<u64, Error> {
        match self {
            Self::Number(number) => Ok(*number),
            Self::Bytes(_) => Err(Error::Damaged),
        }
    }
}

fn varint(rest: &mut &[u8]) -> Result<u64, Error> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first().ok_or(Error::Damaged)?;
        *rest = after;
        number |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Error::Damaged)
}

fn delimited<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Error> {
    let length = usize::try_from(varint(rest)?).map_err(|_| Error::Damaged)?;
    let (bytes, after) = rest.split_at_checked(length).ok_or(Error::Damaged)?;
    *rest = after;
    Ok(bytes)
}

fn fields(mut rest: &[u8]) -> Result<Vec<(u64, Value<'_>)>, Error> {
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        let value = match key & 7 {
            0 => Value::Number(varint(&mut rest)?),
            2 => Value::Bytes(delimited(&mut rest)?),
            _ => return Err(Error::Newer),
        };
        fields.push((key >> 3, value));
    }
    Ok(fields)
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Error> {
    bytes.try_into().map_err(|_| Error::Damaged)
}

/// The one field of a message that is a choice.
fn choice(bytes: &[u8]) -> Result<(u64, Value<'_>), Error> {
    let mut fields = fields(bytes)?;
    match (fields.pop(), fields.is_empty()) {
        (Some(field), true) => Ok(field),
        _ => Err(Error::Damaged),
    }
}

fn agent(bytes: &[u8]) -> Result<Agent, Error> {
    match choice(bytes)? {
        (1, value) => {
            let (mut user, mut acting_role, mut device, mut session) = (None, None, None, None);
            for (tag, value) in fields(value.bytes()?)? {
                match tag {
                    1 => user = Some(UserId(array(value.bytes()?)?)),
                    2 => acting_role = Some(RoleId(array(value.bytes()?)?)),
                    3 => device = Some(DeviceId(array(value.bytes()?)?)),
                    4 => session = Some(SessionId(array(value.bytes()?)?)),
                    _ => {}
                }
            }
            match (user, device, session) {
                (Some(user), Some(device), Some(session)) => Ok(Agent::User { user, acting_role, device, session }),
                _ => Err(Error::Damaged),
            }
        }
        (2, _) => Ok(Agent::Unknown),
        (3, _) => Ok(Agent::Cluster),
        _ => Err(Error::Newer),
    }
}

fn entity(bytes: &[u8]) -> Result<Entity, Error> {
    Ok(match choice(bytes)? {
        (1, id) => Entity::User(UserId(array(id.bytes()?)?)),
        (2, id) => Entity::Session(SessionId(array(id.bytes()?)?)),
        (3, id) => Entity::Conversation(ConversationId(array(id.bytes()?)?)),
        (4, parts) => {
            let (mut conversation, mut first, mut last) = (None, 0, 0);
            for (tag, value) in fields(parts.bytes()?)? {
                match tag {
                    1 => conversation = Some(ConversationId(array(value.bytes()?)?)),
                    2 => first = value.number()?,
                    3 => last = value.number()?,
                    _ => {}
                }
            }
            Entity::Messages(conversation.ok_or(Error::Damaged)?, Seq(first), Seq(last))
        }
        (5, id) => Entity::Policy(u32::try_from(id.number()?).map_err(|_| Error::Damaged)?),
        (6, node) => Entity::Node(NodeId(node.number()?)),
        (7, size) => Entity::Head(size.number()?),
        (8, parts) => {
            let (mut node, mut key) = (0, None);
            for (tag, value) in fields(parts.bytes()?)? {
                match tag {
                    1 => node = value.number()?,
                    2 => key = Some(array(value.bytes()?)?),
                    _ => {}
                }
            }
            Entity::Signer(NodeId(node), key.ok_or(Error::Damaged)?)
        }
        (9, parts) => {
            let (first, last) = pair(parts.bytes()?)?;
            Entity::Records(first, last)
        }
        (88, number) => Entity::Emergency(number.number()?),
        (144, serial) => Entity::Certificate(Serial(array(serial.bytes()?)?)),
        (145, public) => Entity::RecoveryKit(array(public.bytes()?)?),
        _ => return Err(Error::Newer),
    })
}

fn pair(bytes: &[u8]) -> Result<(u64, u64), Error> {
    let (mut first, mut last) = (0, 0);
    for (tag, value) in fields(bytes)? {
        match tag {
            1 => first = value.number()?,
            2 => last = value.number()?,
            _ => {}
        }
    }
    Ok((first, last))
}

fn end(bytes: &[u8]) -> Result<End, Error> {
    match choice(bytes)? {
        (1, _) => Ok(End::Done),
        (2, number) => Ok(End::Refused(u16::try_from(number.number()?).map_err(|_| Error::Damaged)?)),
        _ => Err(Error::Newer),
    }
}

fn policy(bytes: &[u8]) -> Result<PolicyRef, Error> {
    let (id, version) = pair(bytes)?;
    let number = |number| u32::try_from(number).map_err(|_| Error::Damaged);
    Ok(PolicyRef { id: number(id)?, version: number(version)? })
}

fn purpose(number: u64) -> Result<Purpose, Error> {
    let all = [Purpose::Treatment, Purpose::Emergency, Purpose::Operations, Purpose::Compliance, Purpose::BreakGlass];
    all.into_iter().find(|purpose| *purpose as u64 == number).ok_or(Error::Newer)
}

fn action(number: u64) -> Result<Action, Error> {
    Action::ALL.iter().copied().find(|action| *action as u64 == number).ok_or(Error::Newer)
}
