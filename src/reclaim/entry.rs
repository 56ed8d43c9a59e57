//! Nodes of entries: how a node is read, made of a key and a value, and taken apart again.

use super::errors::RefusedInsert;
use super::node::{Live, ReclaimNode};
use super::node_memory::NodeMemory;
use super::retired::Fresh;
use crate::api::hash::KeyHash;

/// A node with a key and a value.
pub(crate) trait EntryNode: ReclaimNode + Sized {
    type Key: ?Sized;
    type Value: ?Sized;

    fn key(node: Live<'_, Self>) -> &Self::Key;
    fn value(node: Live<'_, Self>) -> &Self::Value;
}

/// A node that is made of a `K` and a `V`: it takes them over, or copies them.
pub(crate) trait NodeOf<K, V>: EntryNode {
    /// The parts of key and value that the node does not take over.
    type Kept;

    /// Makes a node in `spare`, if that is of its size, or in memory from the allocator. If there is none, returns key
    /// and value.
    fn make(
        hash: KeyHash,
        key: K,
        value: V,
        spare: Option<NodeMemory>,
    ) -> Result<(Fresh<Self>, Self::Kept), RefusedInsert<K, V>>;

    /// Returns the key and the value of a node that no map has stored, and frees the node.
    fn take_apart(fresh: Fresh<Self>, kept: Self::Kept) -> (K, V);
}

impl<'a, N: EntryNode> Live<'a, N> {
    #[inline(always)]
    pub(crate) fn key(self) -> &'a N::Key {
        N::key(self)
    }

    #[inline(always)]
    pub(crate) fn value(self) -> &'a N::Value {
        N::value(self)
    }

    #[inline(always)]
    pub(crate) fn entry(self) -> (&'a N::Key, &'a N::Value) {
        (self.key(), self.value())
    }
}
