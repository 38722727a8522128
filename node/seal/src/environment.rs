//! Secrets that a program is given in its environment: for machines where neither a person nor systemd can hand them over. The
//! environment of a process is in `/proc` for as long as it runs, and each program it starts inherits it, so [`hide`] takes
//! them out of it at the very beginning: it runs the program anew, in the same process, with the secrets in files without a
//! name (`memfd_create(2)`) that only this process has. [`take`] reads each of them once.
//!
//! Whoever started the program still has them: root, and whoever can read the unit or the script.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{MemfdFlags, memfd_create};
use zeroize::Zeroizing;

/// Longest secret that is taken, in bytes.
const SECRET_BYTES_MAX: u64 = 4_096;

/// Takes the variables of these names out of this process's environment, for [`take`]. Does not return when there are any:
/// the program begins anew without them. To be called first of all, before a second thread runs.
///
/// Errors: the program could not be begun anew; nothing has changed then.
pub fn hide(names: &[&str]) -> io::Result<()> {
    let given: Vec<&&str> = names.iter().filter(|name| std::env::var_os(name).is_some()).collect();
    if given.is_empty() {
        return Ok(());
    }
    let mut arguments = std::env::args_os();
    let mut anew = Command::new(std::env::current_exe()?);
    if let Some(name) = arguments.next() {
        anew.arg0(name);
    }
    anew.args(arguments);
    let mut kept = Vec::new(); // Open until the program begins anew, and beyond.
    for name in given {
        let value = Zeroizing::new(std::env::var(name).map_err(|_| invalid(name, "it is not UTF-8"))?);
        if value.len() as u64 > SECRET_BYTES_MAX {
            return Err(invalid(name, "it is too long for a secret"));
        }
        let mut file = File::from(memfd_create("tricord", MemfdFlags::empty())?);
        file.write_all(value.as_bytes())?;
        anew.env_remove(name).env(descriptor(name), file.as_raw_fd().to_string());
        kept.push(file);
    }
    Err(anew.exec())
}

/// The secret of this name, if the program was given one; it is given once.
///
/// Errors: it was given and cannot be read, or is empty.
pub fn take(name: &str) -> io::Result<Option<Zeroizing<String>>> {
    let Some(path) = given(name) else { return Ok(None) };
    let mut secret = Zeroizing::new(String::new());
    File::open(&path)?.take(SECRET_BYTES_MAX).read_to_string(&mut secret)?;
    OpenOptions::new().write(true).truncate(true).open(&path)?;
    if secret.is_empty() {
        return Err(invalid(name, "it is empty, or was used already"));
    }
    Ok(Some(secret))
}

/// The variable that says where the secret of a variable is now. It tells nothing by itself.
#[must_use]
pub fn descriptor(name: &str) -> String {
    format!("{name}_FD")
}

fn given(name: &str) -> Option<PathBuf> {
    let number: u32 = std::env::var(descriptor(name)).ok()?.parse().ok()?;
    Some(of(number)).filter(|path| is_ours(path))
}

fn of(number: u32) -> PathBuf {
    Path::new("/proc/self/fd").join(number.to_string())
}

/// Whether it is a file that [`hide`] made. Somebody may have set the variable to a file of theirs, which [`take`] would empty.
fn is_ours(path: &Path) -> bool {
    std::fs::read_link(path).is_ok_and(|target| target.to_string_lossy().starts_with("/memfd:tricord "))
}

fn invalid(name: &str, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{name}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A variable of these tests, and what it says.
    const VARIABLE: &str = "TRICORD_TEST_SECRET";
    const WORDS: &str = "correct-horse-battery-7Qx";

    /// This test alone, in a process of its own.
    fn alone(test: &str, secret: Option<&str>) -> std::process::Output {
        let mut anew = Command::new(std::env::current_exe().expect("a program"));
        anew.args(["--exact", &format!("environment::tests::{test}"), "--nocapture"]).env_remove(VARIABLE);
        anew.env("TRICORD_TEST_ALONE", "1").envs(secret.map(|secret| (VARIABLE, secret)));
        anew.output().expect("runs")
    }

    fn is_alone() -> bool {
        std::env::var_os("TRICORD_TEST_ALONE").is_some()
    }

    #[test]
    fn a_secret_leaves_the_environment_is_given_once_and_to_nobody_else() {
        if !is_alone() {
            let ran = alone("a_secret_leaves_the_environment_is_given_once_and_to_nobody_else", Some(WORDS));
            let said = String::from_utf8_lossy(&ran.stdout);
            assert!(
                ran.status.success() && said.contains("1 passed"),
                "{said}{}",
                String::from_utf8_lossy(&ran.stderr)
            );
            return;
        }
        hide(&[VARIABLE, "TRICORD_TEST_NOT_GIVEN"]).expect("begun anew");
        // From here on it is the second beginning of the same process.
        let has = |path: &str| {
            let bytes = std::fs::read(path).expect("readable");
            bytes.windows(WORDS.len()).any(|part| part == WORDS.as_bytes())
        };
        assert!(!has("/proc/self/environ") && !has("/proc/self/cmdline"));
        assert_eq!(std::env::var_os(VARIABLE), None);
        assert_eq!(std::env::var_os(descriptor("TRICORD_TEST_NOT_GIVEN")), None);
        let file = given(VARIABLE).expect("handed over");
        assert_eq!(take(VARIABLE).expect("readable").expect("given").as_str(), WORDS);
        assert_eq!(std::fs::read(&file).expect("still open"), b"", "what was taken is gone");
        let again = take(VARIABLE).expect_err("given once").to_string();
        assert!(again.contains("was used already") && !again.contains(WORDS), "{again}");
        let inherited = Command::new("sh").args(["-c", "env; cat \"$0\""]).arg(&file).output().expect("runs");
        assert!(!inherited.stdout.is_empty());
        assert!(!String::from_utf8_lossy(&inherited.stdout).contains(WORDS), "a program started from here has it");
    }

    #[test]
    fn without_the_variable_nothing_begins_anew_and_none_is_taken() {
        if !is_alone() {
            let ran = alone("without_the_variable_nothing_begins_anew_and_none_is_taken", None);
            assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
            return;
        }
        hide(&[VARIABLE]).expect("nothing to do");
        assert_eq!(take(VARIABLE).expect("nothing to read"), None);
    }

    #[test]
    fn a_file_that_was_not_made_here_is_not_taken_for_a_secret() {
        let path = |file: &File| of(u32::try_from(file.as_raw_fd()).expect("a descriptor"));
        let made = File::from(memfd_create("tricord", MemfdFlags::empty()).expect("a file in memory"));
        assert!(is_ours(&path(&made)));
        let theirs = File::open(std::env::current_exe().expect("a program")).expect("opens");
        assert!(!is_ours(&path(&theirs)));
        assert!(!is_ours(Path::new("/proc/self/fd/999999")));
    }
}
