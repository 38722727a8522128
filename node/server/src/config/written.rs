//! What a configuration file says, key by key: by this it is seen what has changed in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Which file it was, and each key in it as `section.key` with its value as written.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Written {
    /// Which file.
    pub path: PathBuf,
    keys: BTreeMap<String, toml::Value>,
}

impl Written {
    /// Of a file that was understood.
    pub(super) fn of(text: &str, path: &Path) -> Self {
        let mut keys = BTreeMap::new();
        flatten(&text.parse().unwrap_or_default(), "", &mut keys);
        Self { path: path.to_owned(), keys }
    }

    /// The keys that another one gives another value, has beside, or lacks.
    #[must_use]
    pub fn differing(&self, other: &Self) -> Vec<String> {
        let all = self.keys.keys().chain(other.keys.keys().filter(|key| !self.keys.contains_key(*key)));
        let mut differing: Vec<String> =
            all.filter(|key| self.keys.get(*key) != other.keys.get(*key)).cloned().collect();
        differing.sort();
        differing
    }

    /// The same with these keys as in another.
    #[must_use]
    pub fn with(mut self, keys: &[String], other: &Self) -> Self {
        for key in keys {
            match other.keys.get(key) {
                Some(value) => self.keys.insert(key.clone(), value.clone()),
                None => self.keys.remove(key),
            };
        }
        self
    }
}

fn flatten(table: &toml::Table, within: &str, into: &mut BTreeMap<String, toml::Value>) {
    for (key, value) in table {
        let name = format!("{within}{key}");
        match value {
            toml::Value::Table(table) => flatten(table, &format!("{name}."), into),
            value => drop(into.insert(name, value.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named_until_it_is_taken_up() {
        let of = |text: &str| Written::of(text, Path::new("x"));
        let old = of("a = 1\n[log]\nlevel = \"info\"\n[node]\nslot = \"a\"");
        let new = of("a = 1\nb = true\n[log]\nlevel = \"debug\"\n[node]\n");
        assert_eq!(old.differing(&new), ["b", "log.level", "node.slot"]);
        assert_eq!(old.differing(&new), new.differing(&old));
        let after = old.with(&["log.level".to_owned(), "node.slot".to_owned()], &new);
        assert_eq!(after.differing(&new), ["b"]);
    }
}
