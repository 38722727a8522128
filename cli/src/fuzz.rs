//! What reads files that people wrote, carried or typed, and what machines tell each other when one joins, as functions for
//! `tests/fuzz`.

use record::FoundingKeys;
use types::ClusterId;

use crate::address::{Address, user_name};
use crate::commands::audit::{tiles, verify};
use crate::import::check;
use crate::join::bundle;
use crate::recovery::Share;
use crate::{text, when};

/// A file of users to import.
pub fn users(bytes: &[u8]) {
    match check::rows(bytes) {
        Ok(rows) => assert!(rows.iter().all(|row| types::text::check_login(&row.user.login).is_ok()), "a bad login"),
        Err(faults) => {
            assert!(!faults.is_empty(), "refused for nothing");
            faults.iter().for_each(|fault| drop(fault.to_string()));
        }
    }
}

/// A good file, one with faults, one as a spreadsheet writes it.
#[must_use]
pub fn users_samples() -> Vec<Vec<u8>> {
    [
        "login,name,unit,kind,realm,external_ids\nj.ito,Jun Ito,Ward 3,person,staff,hr=17;ldap=ji\nward3,\"Ward 3, desk\",,location,,\n",
        "login,name\nJ.Ito,Jun Ito\nj.ito,\nj.ito,x\n",
        "\u{feff}Login,Name,Unit\r\n\"a.b\",\"say \"\"hi\"\"\",\r\n",
        "logn,nam\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

/// A share of the recovery kit as it is typed: what is taken is taken again as it prints.
pub fn share(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(share) = Share::parse(text) {
        let again = Share::parse(&share.to_string());
        assert!(again.is_ok_and(|again| again == share), "a share does not read back");
        drop(crate::recovery::combine(&[share.clone(), share]));
    }
}

/// Two good ones.
#[must_use]
pub fn share_samples() -> Vec<Vec<u8>> {
    let zoo = "zoo ".repeat(23);
    let abandon = "abandon ".repeat(23);
    vec![format!("1: {zoo}vote").into(), format!("2. {abandon}art").to_uppercase().into()]
}

/// A bundle of an exported audit log.
pub fn bundle_of_records(bytes: &[u8]) {
    if let Some(records) = tiles::unbundle(bytes) {
        assert!(tiles::bundled(&records).is_ok_and(|again| again == bytes), "a bundle has two spellings");
    }
}

/// Of none and of several.
#[must_use]
pub fn bundle_of_records_samples() -> Vec<Vec<u8>> {
    let several = [vec![1; 3], vec![], vec![2; 300]];
    [&[][..], &several[..]].into_iter().filter_map(|records| tiles::bundled(records).ok()).collect()
}

/// The proof of a message: none is believed that was not signed.
pub fn proof(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(keys) = FoundingKeys::new(ClusterId([7; 16]), [[1; 32], [2; 32], [3; 32]]) else { return };
    assert!(verify::one(text, "read the proof", &keys).is_err(), "a proof that nobody signed is believed");
}

/// One in the right form.
#[must_use]
pub fn proof_samples() -> Vec<Vec<u8>> {
    let head = format!("tricord/audit/{}\\n1\\nAAAA\\n\\n\u{2014} x AAAAAAA=\\n", ClusterId([7; 16]));
    let proven = format!(r#"{{"index":0,"stored":"0100","path":["{}"]}}"#, "00".repeat(32));
    vec![
        format!(r#"{{"tricord_proof":1,"head":"{head}","record":{proven},"last":{proven},"payload":"0a00"}}"#)
            .into_bytes(),
    ]
}

/// What two machines tell each other when one joins.
pub fn joining(bytes: &[u8]) {
    drop(serde_json::from_slice::<bundle::Greeting>(bytes));
    drop(serde_json::from_slice::<bundle::Adopted>(bytes));
    drop(serde_json::from_slice::<bundle::Outcome>(bytes));
    drop(serde_json::from_slice::<bundle::Given>(bytes));
}

/// One of each.
#[must_use]
pub fn joining_samples() -> Vec<Vec<u8>> {
    [
        r#"{"purpose":"replace","slot":"b"}"#,
        r#"{"Ready":{"node":5,"disk":"00","public_key":"00"}}"#,
        r#""Admitted""#,
        r#"{"Bundle":{"name":"x","lineage":"00","slot":"b","node":5,"node_name":"b2","pending":0,"files":[{"path":"tls/ca.crt","mode":420,"text":"x"}]}}"#,
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

/// What people type on the command line, and texts of others that are shown: nothing in them moves the cursor.
pub fn typed(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    drop(text.parse::<Address>());
    drop(user_name(text));
    assert!(when::parse_span(text).is_none_or(|seconds| (1..=366 * 86_400).contains(&seconds)), "a span out of bounds");
    let shown = text::line(text);
    assert!(!shown.chars().any(char::is_control), "a control character is shown");
    assert!(text::lines(text).chars().all(|c| c == '\n' || !c.is_control()), "a control character is shown");
    assert!(text::width(&text::shorten(&shown, 20)) <= 20, "a shortened text is too long");
    text::wrap(&shown, 40).iter().for_each(|row| assert!(!row.contains('\n')));
    drop(text::unhex(text));
}

/// Some.
#[must_use]
pub fn typed_samples() -> Vec<Vec<u8>> {
    [
        "@j.ito",
        "#Ward 3",
        "title:x",
        "90s",
        "366d",
        "0123456789abcdef0123456789abcdef",
        "a\u{202e}b\u{1b}[2J",
        "日本語 🏥 e\u{301}",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}
