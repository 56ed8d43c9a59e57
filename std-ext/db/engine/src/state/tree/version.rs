//! A version of a tree.

use super::block;
use super::node::{Node, node_bytes};
use std::ptr::NonNull;

/// Inner nodes count entries in 32 bits.
pub(crate) const MAX_ENTRIES: u32 = u32::MAX;

/// A version of a tree: plain data, whose blocks the shard frees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tree {
    pub(super) root: Node,
    pub(super) entries: u32,
    /// The footprint of all blocks.
    pub(super) bytes: u64,
}

/// The tree has [`MAX_ENTRIES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyEntries;

impl Tree {
    /// Returns a tree without entries.
    pub(crate) fn new(window: u64) -> Self {
        let root = Node::new(0, window, node_bytes(0));
        Self { root, entries: 0, bytes: block::footprint(root.capacity()) as u64 }
    }

    /// Returns what a record stores of a tree: the root, the number of entries, and the bytes of memory.
    pub(crate) fn into_parts(self) -> (NonNull<u8>, u32, u64) {
        (self.root.0.cast(), self.entries, self.bytes)
    }

    /// # Safety
    /// The parts are those of a tree.
    #[inline]
    pub(crate) unsafe fn from_parts((root, entries, bytes): (NonNull<u8>, u32, u64)) -> Self {
        Self { root: Node(root.cast()), entries, bytes }
    }

    /// Returns the number of entries.
    pub(crate) fn entries(self) -> u32 {
        self.entries
    }

    /// Returns the bytes of memory of all blocks.
    pub(crate) fn bytes(self) -> u64 {
        self.bytes
    }

    /// Returns the window of the youngest block: that in which the version was made, or an earlier one if it consists
    /// of a subtree of the version before.
    pub(crate) fn birth(self) -> u64 {
        self.root.birth()
    }
}
