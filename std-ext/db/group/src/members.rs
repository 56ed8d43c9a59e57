//! The list of members: `[{"node": "<40 digits>", "since": <milliseconds since 1970>}]`.
//!
//! A node adds itself once it starts, an operator removes one. The transaction of a takeover compares
//! the value, so a node that was removed cannot win in the same moment.

use super::entry::NodeId;
use serde::{Deserialize, Serialize};

/// The longest value that is read.
const MOST_BYTES: usize = 64 << 10;
/// The largest number of members.
const MOST_MEMBERS: usize = 256;

/// One member of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The node.
    pub node: NodeId,
    /// When it was added, in milliseconds since 1970.
    pub since: u64,
}

/// All members of a group, in the order in which they were added.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Members(pub Vec<Member>);

#[derive(Serialize, Deserialize)]
struct MembersJson {
    node: String,
    since: u64,
}

impl Members {
    /// Reads the value of the key.
    ///
    /// # Errors
    /// If it is not a list of members, with a sentence that says why.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let wrong = |why: String| {
            format!(
                "the key `members` cannot be read ({why}): restore it, or remove the key and restart all nodes"
            )
        };
        if bytes.len() > MOST_BYTES {
            return Err(wrong("it is too long".to_owned()));
        }
        let list: Vec<MembersJson> =
            serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
        let mut members = Self::default();
        for MembersJson { node, since } in list {
            let node = node.parse().map_err(|_| wrong(format!("{node:?} is no node")))?;
            // It would count as two copies when batches are trimmed.
            if members.has(node) {
                return Err(wrong(format!("it has {node} twice")));
            }
            members.0.push(Member { node, since });
        }
        if members.0.len() > MOST_MEMBERS {
            return Err(wrong(format!("it has more than {MOST_MEMBERS} members")));
        }
        Ok(members)
    }

    /// Returns the value to write.
    pub fn print(&self) -> String {
        let list = self
            .0
            .iter()
            .map(|member| format!(r#"{{"node":"{}","since":{}}}"#, member.node, member.since));
        format!("[{}]", list.collect::<Vec<_>>().join(","))
    }

    /// Whether a node is in the list.
    pub fn has(&self, node: NodeId) -> bool {
        self.0.iter().any(|member| member.node == node)
    }

    /// Returns the list with a node added.
    #[must_use]
    pub fn with(&self, node: NodeId, since: u64) -> Self {
        let mut members = self.clone();
        if !members.has(node) {
            members.0.push(Member { node, since });
        }
        members
    }

    /// Returns the list without a node.
    #[must_use]
    pub fn without(&self, node: NodeId) -> Self {
        Self(self.0.iter().filter(|member| member.node != node).copied().collect())
    }
}
