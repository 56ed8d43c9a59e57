//! The value of `place/<node>`: the group in which the coordinator placed a node.

use hedgerow_db_formats::slot_set::MOST_GROUPS;
use serde::{Deserialize, Serialize};

/// The longest value that is read.
const MOST_BYTES: usize = 4096;

/// The place of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NodeAssignment {
    /// The number of the group.
    pub(crate) group: u32,
    /// Whether the node shall leave the group. It deletes the key once it has.
    #[serde(default)]
    pub(crate) leave: bool,
}

impl NodeAssignment {
    /// Returns a place in a group.
    pub(crate) fn of(group: u32) -> Self {
        Self { group, leave: false }
    }

    /// Returns the end of a place in a group.
    pub(crate) fn left(group: u32) -> Self {
        Self { group, leave: true }
    }

    /// Reads the value of the key.
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let value = Some(value).filter(|value| value.len() <= MOST_BYTES)?;
        let place: Self = serde_json::from_slice(value).ok()?;
        (place.group < MOST_GROUPS).then_some(place)
    }

    /// Returns the value to write.
    pub(crate) fn print(self) -> String {
        let leave = if self.leave { r#","leave":true"# } else { "" };
        format!(r#"{{"group":{}{leave}}}"#, self.group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_printed() {
        assert_eq!(NodeAssignment::of(7).print(), r#"{"group":7}"#);
        for place in [NodeAssignment::of(7), NodeAssignment::left(0)] {
            assert_eq!(NodeAssignment::parse(place.print().as_bytes()), Some(place));
        }
        for wrong in ["", "7", r#"{"group":4096}"#, r#"{"leave":true}"#] {
            assert_eq!(NodeAssignment::parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
