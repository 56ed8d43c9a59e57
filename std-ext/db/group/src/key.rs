//! The keys of a group in the store.

use super::names::{NodeId, Seq};
use super::txn::{Put, Txn, ValueCompare};
use std::fmt;

/// A key of a group. `Display` prints its name, which a driver puts behind the group's prefix.
///
/// Names of batches have twenty digits, so that their order is that of the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// `tail`: the line that names the primary and the last batch.
    Tail,
    /// `members`: the list of members.
    Members,
    /// `halt`: the record of a node that has more than the store.
    Halt,
    /// `primary`: the process that is the primary. Only its own deletions compare it.
    Primary,
    /// `log/<seq>`: a batch.
    Batch(Seq),
    /// `durable/<node>`: the batch that a node begins with after a restart.
    Durable(NodeId),
}

impl Key {
    /// Reads what `Display` prints.
    pub fn parse(name: &str) -> Option<Self> {
        match name.split_once('/') {
            None => match name {
                "tail" => Some(Self::Tail),
                "members" => Some(Self::Members),
                "halt" => Some(Self::Halt),
                "primary" => Some(Self::Primary),
                _ => None,
            },
            Some(("log", seq)) => {
                let seq = Self::Batch(seq.parse().ok()?);
                (seq.to_string() == name).then_some(seq)
            }
            Some(("durable", node)) => node.parse().ok().map(Self::Durable),
            Some(_) => None,
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tail => f.write_str("tail"),
            Self::Members => f.write_str("members"),
            Self::Halt => f.write_str("halt"),
            Self::Primary => f.write_str("primary"),
            Self::Batch(seq) => write!(f, "log/{seq:020}"),
            Self::Durable(node) => write!(f, "durable/{node}"),
        }
    }
}

impl Put {
    /// The key.
    pub fn key(&self) -> Key {
        match self {
            Self::Tail(_) => Key::Tail,
            Self::Batch(seq, _) => Key::Batch(*seq),
            Self::Primary(_) => Key::Primary,
            Self::Members(_) => Key::Members,
        }
    }

    /// The value.
    pub fn value(&self) -> &[u8] {
        match self {
            Self::Tail(text) | Self::Primary(text) | Self::Members(text) => text.as_bytes(),
            Self::Batch(_, bytes) => bytes,
        }
    }
}

impl Txn {
    /// The keys that it compares, and the conditions. [`ValueCompare::Any`] is none.
    pub fn compares(&self) -> impl Iterator<Item = (Key, &ValueCompare)> {
        [(Key::Tail, &self.tail), (Key::Members, &self.members), (Key::Halt, &self.halt)]
            .into_iter()
            .filter(|(_, compare)| **compare != ValueCompare::Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_were_written_and_ordered_as_numbers() {
        let durable = Key::Durable(NodeId([7; 20]));
        for key in [Key::Tail, Key::Members, Key::Halt, Key::Primary, Key::Batch(3), durable] {
            assert_eq!(Key::parse(&key.to_string()), Some(key));
        }
        for wrong in ["", "tails", "log", "log/", "log/3", "log/x", "durable/3", "other/3"] {
            assert_eq!(Key::parse(wrong), None, "{wrong}");
        }
        assert!(Key::Batch(9).to_string() < Key::Batch(10).to_string());
    }
}
