//! Passwords that are handed over, where nobody is there to be asked: by a systemd credential, a file, or the environment, in this
//! order. All of this is for services and schedules; people type theirs.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The variable with the password itself; it is out of the environment before anything else happens.
pub const PASSWORD: &str = "TRICORD_PASSWORD";
/// The variable with the path of a file that holds it, for its owner alone.
const PASSWORD_FILE: &str = "TRICORD_PASSWORD_FILE";
/// The credential of a systemd service.
const CREDENTIAL: &str = "tricord-password";

/// The password that was handed over, if one was.
///
/// Errors: one was, and cannot be used.
pub fn password() -> Result<Option<String>> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = set("CREDENTIALS_DIRECTORY").map(|dir| dir.join(CREDENTIAL)).filter(|path| path.exists()) {
        return of_file(&path).map(Some);
    }
    if let Some(path) = set(PASSWORD_FILE) {
        return of_file(&path).map(Some);
    }
    let taken = seal::environment::take(PASSWORD);
    let taken = taken.map_err(|source| Error::Terminal { doing: "take the password from the environment", source })?;
    Ok(taken.map(|words| words.to_string()))
}

/// The first line of a file that nobody else can read.
fn of_file(path: &Path) -> Result<String> {
    let fail = |source| Error::File { doing: "read the password in", path: path.to_owned(), source };
    let refuse = |why: String| Error::Content { doing: format!("read the password in {}", path.display()), why };
    let file = std::fs::File::open(path).map_err(fail)?;
    let mode = file.metadata().map_err(fail)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(refuse(format!("others can read it (mode {:o}); chmod 600 it", mode & 0o777)));
    }
    let mut text = String::new();
    let limit = types::limits::PASSWORD_BYTES_MAX as u64 + 2;
    file.take(limit).read_to_string(&mut text).map_err(fail)?;
    match text.lines().next().filter(|line| !line.is_empty()) {
        Some(line) => Ok(line.to_owned()),
        None => Err(refuse("its first line is empty".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_others_can_read_or_that_is_empty_is_refused_and_its_content_is_not_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        std::fs::write(&path, "correct horse\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(of_file(&path).unwrap(), "correct horse");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let said = of_file(&path).unwrap_err().report();
        assert!(said.contains("chmod 600") && !said.contains("horse"), "{said}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "\n").unwrap();
        assert!(of_file(&path).unwrap_err().to_string().contains("empty"));
    }
}
