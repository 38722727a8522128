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
    /// Keys of nodes that came with a restoration, which nobody from before can vouch for.
    pub restored: Vec<(NodeId, Verifier)>,
}

impl FoundingKeys {
    /// The file of a cluster with these keys, by slot.
    pub fn new(cluster: ClusterId, keys: [[u8; 32]; 3]) -> Result<Self, Error> {
        let [a, b, c] = keys;
        let key = |slot, key| Verifier::new(&key_name(cluster, NodeId::new(slot, Incarnation(1))), key);
        Ok(Self { cluster, keys: [key(Slot::A, a)?, key(Slot::B, b)?, key(Slot::C, c)?], restored: Vec::new() })
    }

    /// Believes also the keys of another file, one a line between comments, as each node's machine says its own: whoever
    /// vouches for that file says that the cluster was restored and that these are its new nodes.
    ///
    /// Errors: [`Error::Key`] if it is anything else or too long, [`Error::Name`] for a key of another cluster.
    pub fn believe(mut self, text: &str) -> Result<Self, Error> {
        let keys: Vec<Verifier> = lines(text).map(Verifier::parse).collect::<Result<_, _>>()?;
        if keys.is_empty() || keys.len() > RESTORED_MAX {
            return Err(Error::Key);
        }
        for key in keys {
            let node = key.name().rsplit_once('/').and_then(|(_, node)| parse_node(node)).ok_or(Error::Name)?;
            if key.name() != key_name(self.cluster, node) {
                return Err(Error::Name);
            }
            self.restored.push((node, key));
        }
        Ok(self)
    }

    /// Reads the file: three keys for signed notes, one a line, between comments.
    ///
    /// Errors: [`Error::Key`] if it is anything else, [`Error::Name`] if the keys are not of one cluster's first nodes.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let keys: Vec<Verifier> = lines(text).map(Verifier::parse).collect::<Result<_, _>>()?;
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

/// Most keys of a file of those that came with a restoration.
const RESTORED_MAX: usize = 64;

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// A node as it prints: the letter of its slot and which of its nodes it is.
fn parse_node(text: &str) -> Option<NodeId> {
    let slot = Slot::ALL.into_iter().find(|slot| text.starts_with(slot.letter()))?;
    let node = NodeId::new(slot, Incarnation(text[slot.letter().len()..].parse().ok()?));
    (node.to_string() == text).then_some(node)
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

    #[test]
    fn keys_of_a_restoration_are_believed_by_name_and_only_of_this_cluster() {
        let keys = FoundingKeys::new(ClusterId([7; 16]), [[1; 32], [2; 32], [3; 32]]).expect("names");
        let b2 = NodeId::new(Slot::B, Incarnation(2));
        let line = |cluster| Verifier::new(&key_name(ClusterId([cluster; 16]), b2), [4; 32]).expect("a name");
        let believing = keys.clone().believe(&format!("# b\n{}\n", line(7))).expect("a key");
        assert_eq!(believing.restored, [(b2, line(7))]);
        assert_eq!(keys.clone().believe(&line(8).to_string()), Err(Error::Name));
        assert_eq!(keys.clone().believe("# none"), Err(Error::Key));
        let nobody = Verifier::new("tricord/audit/nobody", [4; 32]).expect("a name");
        assert_eq!(keys.believe(&nobody.to_string()), Err(Error::Name));
    }
}
