//! Whether the daemon may open what it needs: a command that ran as root leaves files that only root may read.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Report, Severity};
use crate::config::Config;

/// Files that are looked at: with very many attachments not all of them, so that it does not take minutes.
const FILES_MAX: usize = 100_000;
/// Files that are named; the others are counted.
const NAMED_MAX: usize = 3;
/// May do everything.
const ROOT: u32 = 0;

pub(super) fn examine(report: &mut Report, config: &Config) {
    let Ok(data) = fs::metadata(&config.data) else { return }; // Said where the directory is looked at.
    look(report, config, &Owner { user: data.uid(), group: data.gid() });
}

fn look(report: &mut Report, config: &Config, owner: &Owner) {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let (whose, data) = (name(&users, owner.user), config.data.display());
    let foreign = foreign(config, owner);
    if foreign.is_empty() {
        report.ok("data", format!("{data} belongs to {whose}, who may open all that the daemon needs"));
        return;
    }
    let named = |(path, user): &(PathBuf, u32)| format!("{} ({})", path.display(), name(&users, *user));
    let mut named: Vec<String> = foreign.iter().take(NAMED_MAX).map(named).collect();
    if foreign.len() > NAMED_MAX {
        named.push(format!("{} more", foreign.len() - NAMED_MAX));
    }
    let what = format!(
        "{data} belongs to {whose}, and these do not, so that the daemon may be refused them: {}",
        named.join(", ")
    );
    let tls = config.tls.peer_cert.parent().unwrap_or(Path::new("/"));
    let next = format!(
        "systemctl restart tricordd: the service hands them over; in other places than its own: chown -R {whose}: {data} {}",
        tls.display()
    );
    report.add(Severity::Warn, "data", what, &next).runbook = "install";
}

/// Whom the daemon runs as: the owner of its data.
struct Owner {
    user: u32,
    group: u32,
}

impl Owner {
    fn may_read(&self, file: &Metadata) -> bool {
        // It may be of the file's group besides its own; of root's it is not.
        let by_group = file.gid() == self.group || file.gid() != ROOT;
        let bits = if file.uid() == self.user {
            0o400
        } else if by_group {
            0o044
        } else {
            0o004
        };
        file.mode() & bits != 0
    }
}

/// What the daemon may not be able to open or to replace, and whose it is.
fn foreign(config: &Config, owner: &Owner) -> Vec<(PathBuf, u32)> {
    if owner.user == ROOT {
        return Vec::new();
    }
    let mut found = Vec::new();
    within(&config.data, owner, &mut FILES_MAX.clone(), &mut found);
    let tls = &config.tls;
    let renewal = ["renewal.crt", "renewal.key"].map(|name| tls.peer_cert.with_file_name(name));
    let read = [&config.written.path, &tls.ca, &tls.peer_cert, &tls.peer_key, &tls.client_cert, &tls.client_key];
    for path in read.into_iter().chain(&renewal).chain(&config.audit_key) {
        if let Ok(meta) = fs::metadata(path)
            && !owner.may_read(&meta)
        {
            found.push((path.clone(), meta.uid()));
        }
    }
    // It issues itself certificates there.
    if let Some(dir) = tls.peer_cert.parent()
        && let Ok(meta) = fs::metadata(dir)
        && meta.uid() != owner.user
    {
        found.push((dir.to_owned(), meta.uid()));
    }
    found
}

/// What is somebody else's in a directory, as far as `left` goes; symbolic links are not followed.
fn within(dir: &Path, owner: &Owner, left: &mut usize, found: &mut Vec<(PathBuf, u32)>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if *left == 0 {
            return;
        }
        *left -= 1;
        let Ok(meta) = entry.metadata() else { continue }; // It was removed meanwhile.
        if meta.uid() != owner.user && !meta.is_symlink() {
            found.push((entry.path(), meta.uid()));
        }
        if meta.is_dir() {
            within(&entry.path(), owner, left, found);
        }
    }
}

/// Of a user, as `/etc/passwd` has it; otherwise the number.
fn name(users: &str, user: u32) -> String {
    let number = user.to_string();
    let line = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let mut known = line.filter(|fields| fields.get(2).is_some_and(|id| *id == number));
    known.next().and_then(|fields| fields.first().map(|name| (*name).to_owned())).unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn config(dir: &Path) -> Config {
        for (file, mode) in [
            ("data/identity", 0o600),
            ("data/keys/node", 0o600),
            ("tls/ca.crt", 0o644),
            ("tls/peer.crt", 0o644),
            ("tls/peer.key", 0o600),
            ("tls/client.crt", 0o644),
            ("tls/client.key", 0o600),
            ("audit.key", 0o600),
        ] {
            let path = dir.join(file);
            fs::create_dir_all(path.parent().expect("a directory")).expect("made");
            fs::write(&path, "x").expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("changed");
        }
        let text = crate::config::DEFAULT
            .replace("/var/lib/tricord", &dir.join("data").to_string_lossy())
            .replace("#key = \"audit.key\"", "key = \"audit.key\"");
        fs::write(dir.join("tricordd.toml"), &text).expect("written");
        Config::load(&dir.join("tricordd.toml")).expect("good")
    }

    fn told(config: &Config, user: u32) -> Report {
        let mut report = Report::default();
        look(&mut report, config, &Owner { user, group: user });
        report
    }

    #[test]
    fn what_another_user_left_is_named_with_what_to_do() {
        let dir = tempfile::tempdir().expect("a directory");
        let config = config(dir.path());
        let own = fs::metadata(dir.path()).expect("there").uid();
        assert_eq!(told(&config, own).worst(), Severity::Ok);
        // As the daemon's user sees what root has made.
        let report = told(&config, own + 1);
        let [finding] = report.findings.as_slice() else { panic!("{report:?}") };
        assert_eq!((finding.severity, finding.runbook), (Severity::Warn, "install"));
        assert!(finding.what.contains("data/") && finding.what.contains("more"), "{finding:?}");
        assert!(finding.next.contains("systemctl restart tricordd") && finding.next.contains("chown"), "{finding:?}");
        let paths: Vec<String> = foreign(&config, &Owner { user: own + 1, group: own + 1 })
            .iter()
            .map(|(path, _)| path.strip_prefix(dir.path()).expect("below").display().to_string())
            .collect();
        for path in ["data/identity", "data/keys/node", "tls/peer.key", "tls/client.key", "audit.key", "tls"] {
            assert!(paths.iter().any(|one| one == path), "{path}: {paths:?}");
        }
        assert!(!paths.iter().any(|one| one.ends_with(".crt")), "anybody may read those: {paths:?}");
    }

    #[test]
    fn users_have_names_and_otherwise_numbers() {
        let users = "root:x:0:0:root:/root:/bin/bash\ntricord:x:107:113::/var/lib/tricord:/usr/sbin/nologin\n";
        assert_eq!(name(users, 107), "tricord");
        assert_eq!(name(users, 1107), "1107");
    }
}
