//! The rows of a CSV file, checked by the same rules as the server's.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;

use proto::v1;
use types::limits::{DISPLAY_NAME_BYTES_MAX, EXTERNAL_ID_BYTES_MAX, EXTERNAL_IDS_MAX, UNIT_BYTES_MAX};
use types::text::{check_login, check_name};

use super::nearest;
use crate::rows::{kind_word, realm_word};

/// Most lines of one file.
const ROWS_MAX: usize = 100_000;
/// Most faults that are named.
const FAULTS_MAX: usize = 1_000;
const COLUMNS: [&str; 6] = ["login", "name", "unit", "kind", "realm", "external_ids"];
const KINDS: [v1::UserKind; 4] =
    [v1::UserKind::Person, v1::UserKind::Location, v1::UserKind::Service, v1::UserKind::Patient];
const REALMS: [v1::Realm; 3] = [v1::Realm::Staff, v1::Realm::Partner, v1::Realm::Patient];

/// A good line.
#[derive(Debug)]
pub struct Row {
    /// Its line in the file, from 1.
    pub line: u64,
    /// What to create.
    pub user: v1::User,
}

/// What is wrong with a field of a line.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1.
    pub line: u64,
    /// The column.
    pub field: String,
    /// The value and the reason.
    pub why: String,
    /// The nearest right value.
    pub nearest: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  line {}, {}: {}", self.line, self.field, self.why)?;
        if let Some(nearest) = &self.nearest {
            write!(f, "; did you mean {nearest:?}?")?;
        }
        Ok(())
    }
}

/// All rows, or all faults.
pub fn rows(file: impl Read) -> Result<Vec<Row>, Vec<Fault>> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(file);
    let header = reader.byte_headers().cloned().map_err(|error| vec![unreadable(1, &error)])?;
    let columns = columns(&header)?;
    let (mut rows, mut faults, mut seen) = (Vec::new(), Vec::new(), BTreeMap::new());
    let mut record = csv::ByteRecord::new();
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {}
            Err(error) => {
                faults.push(unreadable(reader.position().line(), &error));
                break;
            }
        }
        let line = record.position().map_or(0, csv::Position::line);
        let mut checker = Checker { line, faults: &mut faults };
        if let Some(user) = checker.user(&record, header.len(), &columns) {
            if let Some(first) = seen.insert(user.login.clone(), line) {
                checker.fault("login", format!("{:?} is on line {first} already", user.login), None);
            }
            rows.push(Row { line, user });
        }
        if rows.len() > ROWS_MAX {
            faults.push(Fault {
                line,
                field: "file".into(),
                why: format!("more than {ROWS_MAX} lines; split it"),
                nearest: None,
            });
            break;
        }
        if faults.len() >= FAULTS_MAX {
            break;
        }
    }
    if rows.is_empty() && faults.is_empty() {
        faults.push(Fault { line: 1, field: "file".into(), why: "no lines after the header".into(), nearest: None });
    }
    if faults.is_empty() { Ok(rows) } else { Err(faults) }
}

fn unreadable(line: u64, error: &csv::Error) -> Fault {
    Fault { line, field: "file".into(), why: format!("not readable as CSV: {error}"), nearest: None }
}

/// Where each known column stands.
fn columns(header: &csv::ByteRecord) -> Result<BTreeMap<&'static str, usize>, Vec<Fault>> {
    let (mut columns, mut faults) = (BTreeMap::new(), Vec::new());
    let fault =
        |field: &str, why: String, nearest: Option<String>| Fault { line: 1, field: field.into(), why, nearest };
    for (index, bytes) in header.iter().enumerate() {
        let text = String::from_utf8_lossy(bytes);
        let plain = text.trim_start_matches('\u{feff}').trim().to_lowercase().replace(' ', "_");
        match COLUMNS.iter().find(|column| **column == plain) {
            Some(column) if columns.insert(*column, index).is_some() => {
                faults.push(fault(column, "the column is there twice".into(), None));
            }
            Some(_) => {}
            None => {
                let nearest = nearest::word(&plain, &COLUMNS).map(str::to_owned);
                faults.push(fault("header", format!("{text:?} is not a column"), nearest));
            }
        }
    }
    for needed in ["login", "name"] {
        if !columns.contains_key(needed) {
            faults.push(fault("header", format!("the column {needed:?} is missing"), None));
        }
    }
    if faults.is_empty() { Ok(columns) } else { Err(faults) }
}

struct Checker<'a> {
    line: u64,
    faults: &'a mut Vec<Fault>,
}

impl Checker<'_> {
    fn fault(&mut self, field: &str, why: String, nearest: Option<String>) {
        self.faults.push(Fault { line: self.line, field: field.into(), why, nearest });
    }

    fn user(&mut self, record: &csv::ByteRecord, width: usize, columns: &BTreeMap<&str, usize>) -> Option<v1::User> {
        let before = self.faults.len();
        if record.len() != width {
            self.fault(
                "line",
                format!("{} fields where the header has {width}; is a comma not in quotes?", record.len()),
                None,
            );
            return None;
        }
        let mut values = BTreeMap::new();
        for (column, index) in columns {
            match std::str::from_utf8(&record[*index]) {
                Ok(value) => drop(values.insert(*column, value)),
                Err(_) => self.fault(column, "not UTF-8".into(), None),
            }
        }
        let value = |column: &str| values.get(column).copied().unwrap_or("");
        let user = v1::User {
            login: self.login(value("login")),
            display_name: self.name("name", value("name"), DISPLAY_NAME_BYTES_MAX),
            unit: if value("unit").is_empty() {
                String::new()
            } else {
                self.name("unit", value("unit"), UNIT_BYTES_MAX)
            },
            kind: self.one_of("kind", value("kind"), &KINDS.map(|kind| (kind_word(kind), kind as i32))),
            realm: self.one_of("realm", value("realm"), &REALMS.map(|realm| (realm_word(realm), realm as i32))),
            external_ids: self.external_ids(value("external_ids")),
            ..Default::default()
        };
        (self.faults.len() == before).then_some(user)
    }

    fn login(&mut self, value: &str) -> String {
        if let Err(error) = check_login(value) {
            self.fault("login", format!("{value:?}: {error}"), nearest::login(value));
        }
        value.to_owned()
    }

    fn name(&mut self, field: &str, value: &str, max: usize) -> String {
        if let Err(error) = check_name(value, max) {
            self.fault(field, format!("{value:?}: {error}"), nearest::name(value, max));
        }
        value.to_owned()
    }

    fn one_of(&mut self, field: &str, value: &str, words: &[(&'static str, i32)]) -> i32 {
        if value.is_empty() {
            return 0;
        }
        if let Some((_, number)) = words.iter().find(|(word, _)| *word == value) {
            return *number;
        }
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let nearest = nearest::word(value, &all).map(str::to_owned);
        self.fault(field, format!("{value:?} is none of {}", all.join(", ")), nearest);
        0
    }

    fn external_ids(&mut self, value: &str) -> Vec<v1::ExternalId> {
        let mut ids: Vec<v1::ExternalId> = Vec::new();
        for pair in value.split(';').map(str::trim).filter(|pair| !pair.is_empty()) {
            let Some((system, id)) = pair.split_once('=') else {
                self.fault("external_ids", format!("{pair:?}: SYSTEM=VALUE is needed"), None);
                continue;
            };
            for part in [system, id] {
                if let Err(error) = check_name(part, EXTERNAL_ID_BYTES_MAX) {
                    self.fault("external_ids", format!("{pair:?}: {error}"), None);
                }
            }
            if ids.iter().any(|known| known.system == system) {
                self.fault("external_ids", format!("{system:?} is there twice"), None);
            }
            ids.push(v1::ExternalId { system: system.into(), value: id.into() });
        }
        if ids.len() > EXTERNAL_IDS_MAX {
            self.fault("external_ids", format!("{}, at most {EXTERNAL_IDS_MAX}", ids.len()), None);
        }
        ids
    }
}

/// How a user that is there already differs from the line.
pub fn difference(row: &Row, there: &v1::User) -> Option<Fault> {
    let ids = |user: &v1::User| {
        let mut ids: Vec<String> = user.external_ids.iter().map(|id| format!("{}={}", id.system, id.value)).collect();
        ids.sort();
        ids.join(";")
    };
    let realm = match (row.user.realm(), row.user.kind()) {
        (v1::Realm::Unspecified, v1::UserKind::Patient) => v1::Realm::Patient,
        (realm, _) => realm,
    };
    let pairs = [
        ("name", row.user.display_name.clone(), there.display_name.clone()),
        ("unit", row.user.unit.clone(), there.unit.clone()),
        ("kind", kind_word(row.user.kind()).into(), kind_word(there.kind()).into()),
        ("realm", realm_word(realm).into(), realm_word(there.realm()).into()),
        ("external_ids", ids(&row.user), ids(there)),
    ];
    let (field, ours, theirs) = pairs.into_iter().find(|(_, ours, theirs)| ours != theirs)?;
    let why = format!("@{} is there already with {theirs:?}, the file says {ours:?}", row.user.login);
    Some(Fault { line: row.line, field: field.into(), why, nearest: Some(theirs) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<String> {
        rows(text.as_bytes()).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn good_lines_become_users() {
        let text = "\u{feff}Login,name,unit,kind,realm,external ids\n\
                    j.ito,\"Ito, Jun\",Cardiology,person,staff,hr=77; epic=E1\nroom1,Room 1,,location,,\n";
        let rows = rows(text.as_bytes()).unwrap();
        assert_eq!(rows.len(), 2);
        assert_eq!((rows[0].line, rows[1].line), (2, 3));
        assert_eq!(rows[0].user.display_name, "Ito, Jun");
        assert_eq!(rows[0].user.external_ids.len(), 2);
        assert_eq!(rows[1].user.kind(), v1::UserKind::Location);
        assert_eq!(rows[1].user.realm(), v1::Realm::Unspecified, "the server's default");
    }

    #[test]
    fn every_bad_line_is_named_with_the_nearest_right_value() {
        let mut text = String::from("login,name,kind\n");
        for number in 2..412 {
            text += &format!("user{number},Name {number},person\n");
        }
        text += "J.Ito,Jun Ito,perosn\nuser7,Twice,person\nx2,Dr\u{200b} X,person\n";
        let faults = faults(&text);
        assert_eq!(faults.len(), 4, "{faults:?}");
        assert!(faults[0].starts_with("  line 412, login: \"J.Ito\": only a-z"), "{}", faults[0]);
        assert!(faults[0].ends_with("did you mean \"j.ito\"?"), "{}", faults[0]);
        assert!(
            faults[1].contains("line 412, kind") && faults[1].ends_with("did you mean \"person\"?"),
            "{}",
            faults[1]
        );
        assert!(faults[2].contains("line 413, login: \"user7\" is on line 7 already"), "{}", faults[2]);
        assert!(faults[3].contains("U+200B") && faults[3].contains("did you mean \"Dr X\"?"), "{}", faults[3]);
    }

    #[test]
    fn a_wrong_header_is_said_to_be_one() {
        let faults = faults("logn,name,password\na,b,c\n");
        assert!(faults[0].contains("did you mean \"login\"?"), "{faults:?}");
        assert!(faults[1].contains("\"password\" is not a column"), "{faults:?}");
        assert!(faults[2].contains("\"login\" is missing"), "{faults:?}");
    }

    #[test]
    fn other_faults_of_lines() {
        assert!(faults("login,name\nab,Ab,more\n")[0].contains("3 fields where the header has 2"));
        assert!(faults("login,name\n")[0].contains("no lines"));
        assert!(faults("login,name,external_ids\nab,Ab,hr\n")[0].contains("SYSTEM=VALUE"));
        let bytes: &[u8] = b"login,name\nab,\xff\n";
        assert!(rows(bytes).unwrap_err()[0].to_string().contains("line 2, name: not UTF-8"));
    }

    #[test]
    fn who_is_there_with_the_same_values_is_no_fault() {
        let row = rows("login,name,kind\nab,Ab,\n".as_bytes()).unwrap().remove(0);
        let mut there = v1::User { kind: 1, realm: 1, ..row.user.clone() };
        assert_eq!(difference(&row, &there), None);
        there.unit = "ICU".into();
        let fault = difference(&row, &there).unwrap();
        assert_eq!((fault.line, fault.field.as_str()), (2, "unit"));
    }
}
