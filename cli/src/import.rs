//! `user import`: many users from a CSV file. Everything is checked before anything is created.

pub mod check;
mod nearest;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use proto::v1;
use proto::v1::directory_service_client::DirectoryServiceClient;
use types::limits::USERS_PER_COMMAND_MAX;

use crate::args::{Format, Global};
use crate::client::Call;
use crate::error::{Error, Result};
use crate::output::say;
use crate::rpc;
use crate::session::Session;

/// What `user import --help` says.
pub const HELP: &str = "\
Create users from a CSV file (UTF-8, commas, a header line). Columns, in any order:

  login         a-z, 0-9, '.', '-', '_', 2 to 64 characters; needed
  name          what people see, up to 128 bytes; needed
  unit          where they work
  kind          person (default), location, service or patient
  realm         staff (default), partner or patient
  external_ids  what other systems know them by: SYSTEM=VALUE, several with ';' between

All lines are checked first; with one fault nothing is imported, and every fault is named with its line, field, reason and the \
nearest right value. Then users are created 500 at a time. The one-time enrolment codes go to a new file that only you can \
read, never to the terminal. After an interruption run it again: who is there already with the same values is skipped and \
counted.";

/// Checks the file and imports it.
pub async fn run(
    session: &Session,
    global: &Global,
    path: &Path,
    codes: Option<PathBuf>,
    check_only: bool,
) -> Result<()> {
    let file = File::open(path).map_err(|source| Error::File { doing: "open", path: path.to_owned(), source })?;
    let rows = check::rows(file).map_err(|faults| failed(path, &faults))?;
    let (new, present) = split(session, path, rows).await?;
    if check_only || new.is_empty() {
        return report(global, 0, new.len(), present, None);
    }
    let codes_path = codes.unwrap_or_else(|| free_name(path));
    let mut codes = Codes::create(&codes_path)?;
    let bar = progress(new.len() as u64);
    for batch in new.chunks(USERS_PER_COMMAND_MAX) {
        let body = |id| v1::BatchCreateUsersRequest {
            users: batch.to_vec(),
            without_enrolment_codes: false,
            request_id: Some(id),
        };
        let call = Call::write(format!("create {} users", batch.len())).slow();
        let answer = session.write(call, body, rpc!(DirectoryServiceClient.batch_create_users)).await?;
        codes.append(batch, &answer.enrolment_codes)?;
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    report(global, new.len(), 0, present, Some(&codes_path))
}

fn failed(path: &Path, faults: &[check::Fault]) -> Error {
    let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
    Error::Import { file: path.display().to_string(), count: faults.len(), lines: lines.join("\n") }
}

/// Those to create, and how many are there already with the same values. Other values are faults.
async fn split(session: &Session, path: &Path, rows: Vec<check::Row>) -> Result<(Vec<v1::User>, usize)> {
    let (mut new, mut present, mut faults) = (Vec::new(), 0, Vec::new());
    for chunk in rows.chunks(USERS_PER_COMMAND_MAX) {
        let names: Vec<String> = chunk.iter().map(|row| format!("users/@{}", row.user.login)).collect();
        let body = |read| v1::BatchGetUsersRequest { names: names.clone(), read: Some(read) };
        let found =
            session.read("look who is there already", body, rpc!(DirectoryServiceClient.batch_get_users)).await?;
        for row in chunk {
            match found.users.iter().find(|user| user.login == row.user.login) {
                None => new.push(row.user.clone()),
                Some(user) => match check::difference(row, user) {
                    None => present += 1,
                    Some(fault) => faults.push(fault),
                },
            }
        }
    }
    if faults.is_empty() { Ok((new, present)) } else { Err(failed(path, &faults)) }
}

fn report(global: &Global, created: usize, would: usize, present: usize, codes: Option<&Path>) -> Result<()> {
    if global.output == Format::Json {
        return crate::output::json(&serde_json::json!({
            "created": created, "to_create": would, "present": present, "codes": codes,
        }));
    }
    if would > 0 {
        say(&format!("The file is good: {would} to create, {present} there already. Nothing was imported."));
        return Ok(());
    }
    say(&format!("Created {created}; {present} were there already."));
    if let Some(codes) = codes {
        say(&format!(
            "Their one-time codes, good for 7 days: {} (only you can read it; remove it once handed out).",
            codes.display()
        ));
    }
    Ok(())
}

fn progress(total: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len}, {eta} left");
    let bar = ProgressBar::new(total);
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}

/// FILE.codes.csv, or with a number if an earlier run wrote that.
fn free_name(path: &Path) -> PathBuf {
    let first = path.with_extension("codes.csv");
    let numbered = (2..1000).map(|number| path.with_extension(format!("codes-{number}.csv")));
    std::iter::once(first.clone()).chain(numbered).find(|path| !path.exists()).unwrap_or(first)
}

/// The file of one-time codes: new, mode 0600, synced after each batch.
struct Codes {
    path: PathBuf,
    file: File,
}

impl Codes {
    fn create(path: &Path) -> Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        let fail = |source| Error::File { doing: "create", path: path.to_owned(), source };
        let file = File::options().write(true).create_new(true).mode(0o600).open(path).map_err(fail)?;
        let mut codes = Self { path: path.to_owned(), file };
        codes.write(&[["login".to_owned(), "enrolment_code".to_owned()]])?;
        Ok(codes)
    }

    fn append(&mut self, users: &[v1::User], codes: &[String]) -> Result<()> {
        let pair = |(user, code): (&v1::User, &String)| [user.login.clone(), code.clone()];
        self.write(&users.iter().zip(codes).map(pair).collect::<Vec<_>>())?;
        if codes.len() < users.len() || codes.iter().any(String::is_empty) {
            say("Some codes were shown before and are not shown again; for new ones: tricord user code @LOGIN");
        }
        Ok(())
    }

    fn write(&mut self, rows: &[[String; 2]]) -> Result<()> {
        let fail = |source| Error::File { doing: "write", path: self.path.clone(), source };
        let mut writer = csv::Writer::from_writer(Vec::new());
        for row in rows {
            writer.write_record(row).map_err(|error| fail(error.into()))?;
        }
        let bytes = writer.into_inner().map_err(|error| fail(error.into_error()))?;
        self.file.write_all(&bytes).and_then(|()| self.file.sync_all()).map_err(fail)
    }
}
