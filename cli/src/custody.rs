//! Shares of a recovery kit for people who are elsewhere: each is encrypted to one of three, so that it still takes two.

use std::path::{Path, PathBuf};

use crate::age;
use crate::args::Custody;
use crate::error::{Error, Result};
use crate::output::say;
use crate::recovery::{SHARES, Share};

/// What is being done, for errors.
const DOING: &str = "encrypt the shares of the recovery kit";

/// Whether the shares are to be encrypted, checked before anything is made: three keys that differ, and where to.
pub fn check(custody: &Custody) -> Result<bool> {
    if custody.recipient.is_empty() {
        return Ok(false);
    }
    custody.recipient.iter().try_for_each(|recipient| age::check_recipient(recipient))?;
    let mut keys = custody.recipient.clone();
    keys.sort();
    keys.dedup();
    if keys.len() != SHARES || custody.recipient.len() != SHARES {
        return Err(Error::Usage(format!(
            "--recipient: {SHARES} different keys are needed, one for each share: whoever had two would have the kit"
        )));
    }
    Ok(true)
}

/// Writes each share to a file of its own, and has one of them opened again, if an identity was given; whether it was.
///
/// Errors: an identity opens none of them, or what it opens is not the share. The files are removed then.
pub fn hand_over(custody: &Custody, kit: &str, shares: &[Share]) -> Result<bool> {
    let mut files = Vec::new();
    let done = write(custody, kit, shares, &mut files).and_then(|()| {
        custody.identity.iter().try_for_each(|identity| prove(identity, shares, &files))?;
        Ok(!custody.identity.is_empty())
    });
    if done.is_err() {
        files.iter().for_each(|file| drop(std::fs::remove_file(file)));
    }
    done
}

fn write(custody: &Custody, kit: &str, shares: &[Share], files: &mut Vec<PathBuf>) -> Result<()> {
    std::fs::create_dir_all(&custody.shares).map_err(|source| Error::File {
        doing: "create",
        path: custody.shares.clone(),
        source,
    })?;
    for (share, recipient) in shares.iter().zip(&custody.recipient) {
        let file = custody.shares.join(format!("recovery-{kit}-{}.age", share.number()));
        let text = zeroize::Zeroizing::new(format!("{share}\n"));
        age::encrypt(DOING, text.as_bytes(), recipient, &file)?;
        say(&format!("Share {} for {}…: {}", share.number(), &recipient[..recipient.len().min(16)], file.display()));
        files.push(file);
    }
    Ok(())
}

/// One of the files must open with it, and give the share that was put in.
fn prove(identity: &Path, shares: &[Share], files: &[PathBuf]) -> Result<()> {
    let opened = shares.iter().zip(files).find_map(|(share, file)| {
        let bytes = age::decrypt(DOING, file, identity).ok()?;
        Some((share, bytes))
    });
    let fits = opened.and_then(|(share, bytes)| {
        let typed = Share::parse(std::str::from_utf8(&bytes).ok()?).ok()?;
        (typed == *share).then(|| share.number())
    });
    let number = fits.ok_or_else(|| {
        Error::Usage(format!("--identity {}: it opens none of the three shares; nothing was made", identity.display()))
    })?;
    say(&format!("{} opens share {number} again.", identity.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::recovery;

    /// A new identity and its public key; none where age is not installed.
    fn identity(dir: &Path, name: &str) -> Option<(PathBuf, String)> {
        let file = dir.join(name);
        let made = Command::new("age-keygen").arg("-o").arg(&file).output().ok()?;
        assert!(made.status.success());
        let text = std::fs::read_to_string(&file).ok()?;
        let public = text.lines().find_map(|line| line.strip_prefix("# public key: "))?.to_owned();
        Some((file, public))
    }

    /// Says that a test does not run, also in the file that `ops/test` counts those in.
    fn skipped(why: &str) {
        use std::io::Write;
        eprintln!("SKIPPED, not run: {why}");
        let Some(path) = std::env::var_os("TRICORD_SKIPPED") else { return };
        let line = format!("test {}\t{why}\n", std::thread::current().name().unwrap_or("without a name"));
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        file.write_all(line.as_bytes()).unwrap();
    }

    #[test]
    fn each_of_three_opens_one_share_and_any_two_of_them_have_the_kit() {
        let dir = tempfile::tempdir().unwrap();
        let people: Vec<_> = ["a", "b", "c"].iter().filter_map(|name| identity(dir.path(), name)).collect();
        let Some((stranger, _)) = identity(dir.path(), "d") else {
            skipped("age is not installed");
            return;
        };
        let (public, shares) = recovery::split().unwrap();
        let custody = Custody {
            recipient: people.iter().map(|(_, public)| public.clone()).collect(),
            shares: dir.path().join("shares"),
            identity: vec![people[1].0.clone()],
        };
        assert!(check(&custody).unwrap());
        assert!(hand_over(&custody, "kit", &shares).unwrap());
        let opened: Vec<Share> = [0, 2]
            .map(|at| {
                let file = custody.shares.join(format!("recovery-kit-{}.age", at + 1));
                let text = age::decrypt(DOING, &file, &people[at].0).unwrap();
                assert!(age::decrypt(DOING, &file, &people[1].0).is_err(), "nobody opens another's");
                Share::parse(std::str::from_utf8(&text).unwrap()).unwrap()
            })
            .into();
        assert_eq!(recovery::combine(&opened).unwrap().public().unwrap(), public);

        let custody = Custody { identity: vec![stranger], shares: dir.path().join("others"), ..custody };
        assert!(hand_over(&custody, "kit", &shares).is_err(), "whoever proves it must be one of the three");
        assert_eq!(std::fs::read_dir(&custody.shares).unwrap().count(), 0, "and nothing is left behind");
    }

    #[test]
    fn two_shares_are_never_one_persons() {
        let (one, other) = (format!("age1{}", "q".repeat(58)), format!("age1{}", "p".repeat(58)));
        let custody = |recipient: &[&String]| Custody {
            recipient: recipient.iter().map(|one| (*one).clone()).collect(),
            shares: PathBuf::from("."),
            identity: Vec::new(),
        };
        assert!(!check(&custody(&[])).unwrap());
        for wrong in [&[&one][..], &[&one, &other], &[&one, &other, &one], &[&one, &other, &"--help".to_owned()]] {
            assert!(check(&custody(wrong)).is_err(), "{wrong:?}");
        }
    }
}
