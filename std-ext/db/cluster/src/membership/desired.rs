//! The number of nodes that the cluster wants: the key `desired`, and the page `/cluster/desired`.

use hedgerow_db_engine::clock::TimeSource;
use serde::{Deserialize, Serialize};

/// The longest value that is read.
const MOST_BYTES: usize = 4096;

/// The nodes that the cluster wants. The names of the fields are a promise to programs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Desired {
    /// The number of nodes that should run now. A program that starts and stops nodes follows it.
    #[serde(rename = "desired")]
    pub(crate) nodes: u32,
    /// The nodes that should run once the others are empty. While it is the smaller number, nodes are being emptied.
    pub(crate) target: u32,
    /// Whether the log is the bottleneck: further nodes would not help.
    pub(crate) log_saturated: bool,
    /// Whether further nodes are needed, beyond the most that the settings allow.
    pub(crate) limited: bool,
    /// Why there should be as many, for people.
    pub(crate) reason: String,
    /// When this was decided, in milliseconds since 1970.
    pub(crate) since_ms: u64,
}

impl Desired {
    /// Makes the first value.
    pub(crate) fn first(nodes: u32) -> Self {
        let reason = "as many nodes as exist".to_owned();
        Self { nodes, target: nodes, reason, ..Self::default() }.now()
    }

    /// Returns the same, decided now.
    pub(crate) fn now(self) -> Self {
        Self { since_ms: TimeSource::System.now(), ..self }
    }

    /// Returns whether two values say the same, but for their reason and time.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let facts = |of: &Self| (of.nodes, of.target, of.log_saturated, of.limited);
        facts(self) == facts(other)
    }

    /// Returns whether nodes are being emptied.
    pub(crate) fn shrinks(&self) -> bool {
        self.target < self.nodes
    }

    /// Reads the value of the key.
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let value = Some(value).filter(|value| value.len() <= MOST_BYTES)?;
        let read: Self = serde_json::from_slice(value).ok()?;
        (read.target <= read.nodes).then_some(read)
    }

    /// Returns the value to write, which is the page, too.
    pub(crate) fn print(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_as_it_was_printed() {
        let value = Desired { nodes: 9, target: 6, limited: true, ..Desired::first(9) };
        assert_eq!(Desired::parse(value.print().as_bytes()), Some(value.clone()));
        assert!(
            value
                .print()
                .starts_with(r#"{"desired":9,"target":6,"log_saturated":false,"limited":true,"#)
        );
        for wrong in ["", "9", r#"{"desired":9}"#, &value.print().replace(":6", ":10")] {
            assert_eq!(Desired::parse(wrong.as_bytes()), None, "{wrong}");
        }
        let later = Desired { since_ms: 7, reason: "other".to_owned(), ..value.clone() };
        assert!(later.is_like(&value) && !later.is_like(&Desired { target: 9, ..value }));
    }
}
