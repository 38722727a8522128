//! Keys: the table's number, then the parts, so that bytes sort as values do.
//!
//! Shape: numbers are big-endian, ids 16 bytes, principals and timers a kind byte and an id. A text at the end stands as
//! it is; before another part its 0x00 become 0x00 0xFF and 0x00 0x00 ends it, which sorts before whatever goes on.

use types::certificate::{SERIAL_BYTES, Serial};
use types::key::{Holder, KeyScope, Month};
use types::row::Timer;
use types::session::Attachment;
use types::{ConversationId, DeviceId, EventNumber, Key, NodeId, Principal, Seq, SessionId, Table, Timestamp, UserId};

use crate::error::{Error, Problem};

/// Bytes of the longest key without a text: a receipt.
const KEY_BYTES: usize = 1 + 16 + 17 + 16;

/// The table whose key or prefix this is.
///
/// Errors: [`Error::Key`] if the first byte is the number of no table, or there is none.
pub fn table_of(bytes: &[u8]) -> Result<Table, Error> {
    let [number, ..] = bytes else { return Err(Error::Key { table: 0, problem: Problem::CutOff }) };
    let table = Table::ALL.iter().copied().find(|table| *table as u8 == *number);
    table.ok_or(Error::Key { table: *number, problem: Problem::Unknown })
}

macro_rules! keys {
    ($($table:ident($($part:ident),*)),* $(,)?) => {
        /// The bytes of a key. Within a table they sort as the keys do; tables sort by number.
        #[must_use]
        pub fn key_bytes(key: &Key) -> Vec<u8> {
            let mut out = Vec::with_capacity(KEY_BYTES);
            out.push(key.table() as u8);
            match key { $(Key::$table($($part),*) => { keys!(@put out $($part)*); })* }
            out
        }

        fn take_key(table: Table, rest: &mut &[u8]) -> Result<Key, Problem> {
            match table { $(Table::$table => { keys!(@take rest $($part)*); Ok(Key::$table($($part),*)) })* }
        }
    };
    (@put $out:ident) => {};
    (@put $out:ident $last:ident) => { KeyPart::put_last($last, &mut $out); };
    (@put $out:ident $part:ident $($more:ident)+) => {
        KeyPart::put($part, &mut $out);
        keys!(@put $out $($more)+);
    };
    (@take $rest:ident) => {};
    (@take $rest:ident $last:ident) => { let $last = KeyPart::take_last($rest)?; };
    (@take $rest:ident $part:ident $($more:ident)+) => {
        let $part = KeyPart::take($rest)?;
        keys!(@take $rest $($more)+);
    };
}

keys! {
    Cluster(), Heads(), User(user), Login(login), Word(word, user), Credential(user), Device(device),
    UserDevice(user, device), Answer(device, number), Session(session), UserSession(user, session),
    Attached(attachment, session), Conversation(conversation), Direct(lower, higher),
    Participant(conversation, principal), Participation(principal, conversation), Message(conversation, seq),
    Receipt(conversation, principal, device), ConversationEvent(conversation, event), UserEvent(user, event),
    EventScope(event), Status(user), NodeLease(node), Timer(at, timer), Policy(id, version), Record(index),
    ParticipationCount(principal), UserWord(user, word),
    TreeNode(level, place), Head(size), Signer(node), Divergence(),
    Failures(login), FailuresCount(), Settings(),
    Emergency(number), EmergencyOpen(number), EmergencyGrant(user),

    NodeNumbers(node),

    DataKey(id), ScopeKey(scope, month), ClusterKey(version), KeyEnvelope(version, holder), KeyHolder(holder),

    Seat(node), Refounding(),
    Backup(node),

    NodeCertificates(node), Revoked(serial), KitProposal(), FormerKit(number),
}

/// The key that has these bytes.
///
/// Errors: [`Error::Key`] for anything `key_bytes` would not have given.
pub fn key_from_bytes(bytes: &[u8]) -> Result<Key, Error> {
    let table = table_of(bytes)?;
    let mut rest = &bytes[1..];
    let key = take_key(table, &mut rest).and_then(|key| if rest.is_empty() { Ok(key) } else { Err(Problem::Length) });
    key.map_err(|problem| Error::Key { table: table as u8, problem })
}

/// A part of a key. As the last it may leave out what says where it ends.
trait KeyPart: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn take(rest: &mut &[u8]) -> Result<Self, Problem>;

    fn put_last(&self, out: &mut Vec<u8>) {
        self.put(out);
    }

    fn take_last(rest: &mut &[u8]) -> Result<Self, Problem> {
        Self::take(rest)
    }
}

impl KeyPart for String {
    fn put(&self, out: &mut Vec<u8>) {
        for byte in self.bytes() {
            out.push(byte);
            if byte == 0 {
                out.push(0xFF);
            }
        }
        out.extend_from_slice(&[0, 0]);
    }

    fn take(rest: &mut &[u8]) -> Result<Self, Problem> {
        let mut bytes = Vec::new();
        loop {
            let [byte] = take_array(rest)?;
            if byte == 0 {
                match take_array(rest)? {
                    [0] => break,
                    [0xFF] => {}
                    [_] => return Err(Problem::Unknown),
                }
            }
            bytes.push(byte);
        }
        Self::from_utf8(bytes).map_err(|_| Problem::Text)
    }

    fn put_last(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }

    fn take_last(rest: &mut &[u8]) -> Result<Self, Problem> {
        let text = core::str::from_utf8(core::mem::take(rest)).map_err(|_| Problem::Text)?;
        Ok(text.to_owned())
    }
}

impl KeyPart for u8 {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }

    fn take(rest: &mut &[u8]) -> Result<Self, Problem> {
        take_array(rest).map(|[byte]| byte)
    }
}

impl KeyPart for u32 {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_be_bytes());
    }

    fn take(rest: &mut &[u8]) -> Result<Self, Problem> {
        take_array(rest).map(Self::from_be_bytes)
    }
}

impl KeyPart for u64 {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_be_bytes());
    }

    fn take(rest: &mut &[u8]) -> Result<Self, Problem> {
        take_array(rest).map(Self::from_be_bytes)
    }
}

impl KeyPart for [u8; 16] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn take(rest: &mut &[u8]) -> Result<Self, Problem> {
        take_array(rest)
    }
}

impl KeyPart for Serial {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    fn take(rest: &mut &[u8]) -> Result<Self, Problem> {
        take_array::<SERIAL_BYTES>(rest).map(Self)
    }
}

macro_rules! wrappers {
    ($($name:ident),*) => {$(
        impl KeyPart for $name {
            fn put(&self, out: &mut Vec<u8>) {
                self.0.put(out);
            }

            fn take(rest: &mut &[u8]) -> Result<Self, Problem> {
                KeyPart::take(rest).map(Self)
            }
        }
    )*};
}

wrappers!(UserId, DeviceId, SessionId, ConversationId, Seq, EventNumber, Timestamp, NodeId, Month);

impl KeyPart for Principal {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(self.kind());
        self.id().put(out);
    }

    fn take(rest: &mut &[u8]) -> Result<Self, Problem> {
        let [kind] = take_array(rest)?;
        Self::new(kind, take_array(rest)?).ok_or(Problem::Unknown)
    }
}

impl KeyPart for KeyScope {
    fn put(&self, out: &mut Vec<u8>) {
        let (kind, id) = match self {
            Self::Conversation(id) => (1, id.0),
            Self::User(id) => (2, id.0),
            Self::Requests => return out.push(3),
            Self::Addresses => return out.push(4),
        };
        out.push(kind);
        id.put(out);
    }

    fn take(rest: &mut &[u8]) -> Result<Self, Problem> {
        match take_array(rest)? {
            [1] => KeyPart::take(rest).map(Self::Conversation),
            [2] => KeyPart::take(rest).map(Self::User),
            [3] => Ok(Self::Requests),
            [4] => Ok(Self::Addresses),
            [_] => Err(Problem::Unknown),
        }
    }
}

impl KeyPart for Holder {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Recovery => out.push(1),
            Self::Node(node) => {
                out.push(2);
                node.put(out);
            }
        }
    }

    fn take(rest: &mut &[u8]) -> Result<Self, Problem> {
        match take_array(rest)? {
            [1] => Ok(Self::Recovery),
            [2] => KeyPart::take(rest).map(Self::Node),
            [_] => Err(Problem::Unknown),
        }
    }
}

impl KeyPart for Attachment {
    fn put(&self, out: &mut Vec<u8>) {
        self.node.put(out);
        self.epoch.put(out);
    }

    fn take(rest: &mut &[u8]) -> Result<Self, Problem> {
        let node = KeyPart::take(rest)?;
        Ok(Self { node, epoch: KeyPart::take(rest)? })
    }
}

impl KeyPart for Timer {
    fn put(&self, out: &mut Vec<u8>) {
        let mut kind = |number| out.push(number);
        match self {
            Self::SessionExpiry(session) => {
                kind(1);
                session.put(out);
            }
            Self::AnswersExpiry(device) => {
                kind(2);
                device.put(out);
            }
            Self::StatusExpiry(user) => {
                kind(3);
                user.put(out);
            }
            Self::GraceEnd(attachment) => {
                kind(4);
                attachment.put(out);
            }
            Self::EventsExpiry => kind(5),
            Self::LogOff(session) => {
                kind(25);
                session.put(out);
            }
            Self::FailuresFade(login) => {
                kind(24);
                login.put(out);
            }
            Self::IdleDue(session) => {
                kind(48);
                session.put(out);
            }
            Self::TimesChanged(session) => {
                kind(49);
                session.put(out);
            }
            Self::EmergencyEnd(number) => {
                kind(50);
                number.put(out);
            }
            Self::KitLapse => kind(144),
        }
    }

    fn take(rest: &mut &[u8]) -> Result<Self, Problem> {
        match take_array(rest)? {
            [1] => KeyPart::take(rest).map(Self::SessionExpiry),
            [2] => KeyPart::take(rest).map(Self::AnswersExpiry),
            [3] => KeyPart::take(rest).map(Self::StatusExpiry),
            [4] => KeyPart::take(rest).map(Self::GraceEnd),
            [5] => Ok(Self::EventsExpiry),
            [25] => KeyPart::take(rest).map(Self::LogOff),
            [24] => KeyPart::take(rest).map(Self::FailuresFade),
            [48] => KeyPart::take(rest).map(Self::IdleDue),
            [49] => KeyPart::take(rest).map(Self::TimesChanged),
            [50] => KeyPart::take(rest).map(Self::EmergencyEnd),
            [144] => Ok(Self::KitLapse),
            [_] => Err(Problem::Unknown),
        }
    }
}

fn take_array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Problem> {
    let (array, after) = rest.split_first_chunk().ok_or(Problem::CutOff)?;
    *rest = after;
    Ok(*array)
}
