//! What reads bytes and texts that a client sent, as functions for `tests/fuzz`: none may panic, and what is taken has one
//! spelling.

use proto::v1;
use sha2::{Digest, Sha256};
use tonic::metadata::{MetadataMap, MetadataValue};
use types::limits::CALL_MS_MAX;
use types::record::Action;
use types::{ConversationId, EventNumber, Lineage, SessionId, Timestamp, UserId};

use crate::audit::{observe, spool};
use crate::{call, codes, cursor, names, pages, totp, validation, words};

const LINEAGE: Lineage = Lineage([7; 16]);
const LIST: &str = "users";

/// A cursor.
pub fn cursor(bytes: &[u8]) {
    if let Ok(Some(number)) = cursor::decode(LINEAGE, bytes) {
        assert!(cursor::encode(LINEAGE, number) == bytes, "a cursor has two spellings");
    }
}

/// Of this history and of another.
#[must_use]
pub fn cursor_samples() -> Vec<Vec<u8>> {
    let numbers = [0, 1, 42, u64::MAX].map(EventNumber);
    numbers.into_iter().flat_map(|at| [LINEAGE, Lineage([8; 16])].map(|of| cursor::encode(of, at))).collect()
}

/// Gives it the right checksum.
pub fn cursor_mend(bytes: &mut Vec<u8>) {
    bytes.resize(25, 0);
    bytes[0] = 1;
    let hash: [u8; 32] = Sha256::new().chain_update(b"tricord/cursor").chain_update(&*bytes).finalize().into();
    bytes.extend_from_slice(&hash[..4]);
}

/// A page token.
pub fn page_token(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(Some(last)) = pages::after(LIST, text) {
        assert_eq!(pages::token(LIST, &last), text, "a page token has two spellings");
        drop(pages::after_id(LIST, text));
    }
}

/// After an id and after a login.
#[must_use]
pub fn page_token_samples() -> Vec<Vec<u8>> {
    [&[5; 16][..], b"j.ito", b""].iter().map(|last| pages::token(LIST, last).into_bytes()).collect()
}

/// Gives what it says the right checksum.
pub fn page_token_mend(bytes: &mut Vec<u8>) {
    *bytes = pages::token(LIST, bytes).into_bytes();
}

/// Access tokens, enrolment codes, second factors, timeouts: one text as each of them.
pub fn credential(bytes: &[u8]) {
    if let Ok(value) = MetadataValue::try_from(bytes) {
        let mut metadata = MetadataMap::new();
        metadata.insert("authorization", value.clone());
        metadata.insert("grpc-timeout", value);
        drop(call::bearer(&metadata));
        assert!(call::time_allowed(&metadata).as_millis() <= u128::from(CALL_MS_MAX), "a call may take too long");
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some((session, _)) = codes::parse_token(text) {
        assert!(text.starts_with(&session.to_string()), "a token names another session");
    }
    let _ = codes::parse_enrolment(text);
    let now = Timestamp(1_800_000_000_000);
    assert!(
        totp::step_of("JBSWY3DPEHPK3PXP", text, now).is_none()
            || text.chars().filter(char::is_ascii_digit).count() == 6
    );
    let _ = totp::step_of(text, "123456", Timestamp(u64::MAX));
}

/// One of each.
#[must_use]
pub fn credential_samples() -> Vec<Vec<u8>> {
    let token = SessionId([9; 16]).to_string().repeat(2);
    ["Bearer x", "500m", "99999999H", "123 456", "7K3M-7K3M-7K3M-7K3M", token.as_str()]
        .map(|text| text.as_bytes().to_vec())
        .into()
}

/// Names of resources: what is taken is written as it was.
pub fn name(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let spelled = [
        names::user("name", text).ok().map(names::of_user),
        names::session("name", text).ok().map(|(user, session)| names::of_session(user, session)),
        names::conversation("name", text).ok().map(names::of_conversation),
        names::message("name", text).ok().map(|(conversation, seq)| names::of_message(conversation, seq)),
        names::emergency("name", text).ok().map(names::of_emergency),
    ];
    for name in spelled.into_iter().flatten() {
        assert_eq!(name, text, "a name has two spellings");
    }
    drop(names::user_or_login("name", text));
}

/// One of each.
#[must_use]
pub fn name_samples() -> Vec<Vec<u8>> {
    let (user, conversation) = (UserId([0xAB; 16]), ConversationId([1; 16]));
    [
        names::of_user(user),
        "users/@j.ito".into(),
        names::of_session(user, SessionId([3; 16])),
        names::of_conversation(conversation),
        names::of_message(conversation, types::Seq(17)),
        names::of_emergency(5),
    ]
    .map(String::into_bytes)
    .into()
}

/// Texts that people type: a message, a login, a name.
pub fn text(bytes: &[u8]) {
    drop(validation::message_text("text", bytes));
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    drop(validation::status_text("text", text));
    let user = v1::User { login: text.into(), display_name: text.into(), unit: text.into(), ..v1::User::default() };
    drop(validation::new_user("users[0]", &user));
    assert!(words::of(text, text, text).iter().all(|word| word.len() <= 64), "a long word is kept");
}

/// Some with what text can do.
#[must_use]
pub fn text_samples() -> Vec<Vec<u8>> {
    ["K 5.9, please call", "j.ito", "Dr. Jun ITO", "a\u{202e}b", "ẞ İ ǆ", "e\u{301}\u{200d}", "\u{feff}", "\r\n\t\0"]
        .map(|text| text.as_bytes().to_vec())
        .into()
}

/// The spool of what was shown without a majority.
pub fn spool(bytes: &[u8]) {
    let (kept, whole) = spool::read(bytes);
    let (again, end) = spool::read(&bytes[..whole]);
    assert!(again == kept && end == whole, "the whole part of a spool does not read back");
}

/// Of one entry and of two.
#[must_use]
pub fn spool_samples() -> Vec<Vec<u8>> {
    let one = |session: u8| observe::seen(SessionId([session; 16]), Action::FetchMessages, Vec::new());
    let entry = |observations| {
        let command = types::Command::Observe(types::command::Once::default(), observations);
        let body =
            codec::encode_envelope(&types::Envelope { origin: types::NodeId(0), author: types::Author::Node, command });
        [&(body.len() as u32).to_be_bytes()[..], &crc32c::crc32c(&body).to_be_bytes(), &body].concat()
    };
    vec![entry(vec![one(1)]), [entry(vec![one(1), one(2)]), entry(vec![one(3)])].concat()]
}

/// Gives each entry its checksum.
pub fn spool_mend(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some(head) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let end = at + 8 + u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let Some(body) = bytes.get(at + 8..end) else { return };
        let crc = crc32c::crc32c(body).to_be_bytes();
        bytes[at + 4..at + 8].copy_from_slice(&crc);
        at = end;
    }
}
