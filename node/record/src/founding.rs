//! The founding key file: who signs a cluster's audit log from the first record on. Whoever verifies needs nothing else.

use std::fmt;

use types::{ClusterId, Incarnation, NodeId, Slot};

use crate::checkpoint::{key_name, origin};
use crate::note::{Error, Verifier};

/// The keys of the first three nodes, public.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FoundingKeys {
    /// The cluster.
    pub cluster: ClusterId,
    /// Each node's key, in the order of slots.
    pub keys: [Verifier; 3],
}

impl FoundingKeys {
    /// The file of a cluster with these keys, by slot.
    pub fn new(cluster: ClusterId, keys: [[u8; 32]; 3]) -> Result<Self, Error> {
        let [a, b, c] = keys;
        let key = |slot, key| Verifier::new(&key_name(cluster, NodeId::new(slot, Incarnation(1))), key);
        Ok(Self { cluster, keys: [key(Slot::A, a)?, key(Slot::B, b)?, key(Slot::C, c)?] })
    }

    /// Reads the file: three keys for signed notes, one a line, between comments.
    ///
    /// Errors: [`Error::Key`] if it is anything else, [`Error::Name`] if the keys are not of one cluster's first nodes.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let keys: Vec<Verifier> = lines.map(Verifier::parse).collect::<Result<_, _>>()?;
        let keys: [Verifier; 3] = keys.try_into().map_err(|_| Error::Key)?;
        let own = keys[0].name().rsplit_once('/').and_then(|(origin, _)| origin.rsplit_once('/'));
        let cluster = own.and_then(|(_, cluster)| cluster.parse().ok()).ok_or(Error::Name)?;
        let read = Self::new(cluster, [*keys[0].key(), *keys[1].key(), *keys[2].key()])?;
        if read.keys == keys { Ok(read) } else { Err(Error::Name) }
    }

    /// The name of the cluster's tree.
    #[must_use]
    pub fn origin(&self) -> String {
        origin(self.cluster)
    }
}

impl fmt::Display for FoundingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "# Whose signatures the audit log of cluster {} begins with. Public; keep it where the",
            self.cluster
        )?;
        writeln!(f, "# cluster's operators cannot change it: 'tricord audit verify' believes nothing else.")?;
        self.keys.iter().try_for_each(|key| writeln!(f, "{key}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_reads_back_and_nothing_else_passes_for_it() {
        let keys = FoundingKeys::new(ClusterId([7; 16]), [[1; 32], [2; 32], [3; 32]]).expect("names");
        let text = keys.to_string();
        assert_eq!(FoundingKeys::parse(&text).as_ref(), Ok(&keys));
        let lines: Vec<&str> = text.lines().collect();
        assert!(FoundingKeys::parse(&lines[..4].join("\n")).is_err(), "two keys");
        let swapped = [lines[3], lines[2], lines[4]].join("\n");
        assert_eq!(FoundingKeys::parse(&swapped), Err(Error::Name));
        let other = FoundingKeys::new(ClusterId([8; 16]), [[1; 32]; 3]).expect("names").keys[2].to_string();
        assert_eq!(FoundingKeys::parse(&[lines[2], lines[3], &other].join("\n")), Err(Error::Name));
    }
}
