//! Names and numbers of the protocol.

use super::hex;
use std::fmt;
use std::str::FromStr;

/// The number of a batch in the store. The first is 1.
pub type Seq = u64;

/// The number of an entry in the log: its log sequence number. The first is 1.
pub type Lsn = u64;

/// The number of a primary's time in office, which rises with each takeover: Raft's term. It fences: no transaction of
/// an earlier epoch is done.
pub type Epoch = u64;

/// Numbers of this size or larger are refused, so that no sum of them overflows.
pub const MOST_NUMBER: u64 = 1 << 62;

/// The name of a node: 20 random bytes, which its folder keeps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub [u8; 20]);

impl NodeId {
    /// Reads what `Display` prints, in any bytes.
    pub fn read(text: &[u8]) -> Option<Self> {
        str::from_utf8(text).ok()?.parse().ok()
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(&self.0, f)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not the name of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotANodeId;

impl fmt::Display for NotANodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a node has 40 hexadecimal digits")
    }
}

impl std::error::Error for NotANodeId {}

impl FromStr for NodeId {
    type Err = NotANodeId;

    fn from_str(text: &str) -> Result<Self, NotANodeId> {
        hex::parse(text).map(Self).ok_or(NotANodeId)
    }
}
