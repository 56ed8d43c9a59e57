//! The reasons for which a node takes its group over.

use super::entry::NodeId;
use std::fmt;

/// Why the last line of `tail` allowed a takeover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Takeover {
    /// There was no line: the group is new.
    #[default]
    New,
    /// The primary handed the group over to this node.
    HandedOver,
    /// The primary released the group without naming another node.
    Released,
    /// This node was named, and did not come.
    NotTaken(NodeId),
    /// The lease of this node ran out.
    LeaseEnded(NodeId),
    /// A process of this node was the primary, and has ended [C-15].
    TakenBack,
}

impl Takeover {
    /// The names of the reasons, as metrics have them.
    pub const KINDS: [&'static str; 6] =
        ["new", "handed-over", "released", "not-taken", "lease-ended", "taken-back"];

    /// Returns the index of the reason's name.
    pub fn kind(self) -> usize {
        match self {
            Self::New => 0,
            Self::HandedOver => 1,
            Self::Released => 2,
            Self::NotTaken(_) => 3,
            Self::LeaseEnded(_) => 4,
            Self::TakenBack => 5,
        }
    }
}

impl fmt::Display for Takeover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => f.write_str("the group is new"),
            Self::HandedOver => f.write_str("the group was handed over to this node"),
            Self::Released => f.write_str("the group was released to any node"),
            Self::NotTaken(node) => {
                write!(f, "{node}, to which the group was handed over, did not take over")
            }
            Self::LeaseEnded(node) => write!(f, "the lease of {node} ran out"),
            Self::TakenBack => {
                f.write_str("this node's former process was the primary, and has ended")
            }
        }
    }
}
