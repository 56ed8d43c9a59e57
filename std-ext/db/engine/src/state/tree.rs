//! A persistent B+-tree of byte strings, for the values of keys that are collections.
//!
//! The tree orders its entries by the bytes of their keys; callers choose what these mean. A hash stores each field
//! after its 32-bit hash, so that the first bytes find it. A sorted set has two entries for each member: one that
//! begins with the member's hash and has the score as its value, and one that begins with the score.
//!
//! A *sequence* is a tree whose keys are all empty. Its entries have the order in which they were put at their indexes,
//! which the counts of inner nodes find: [`Tree::insert_at`] and others. Everything else is the same.
//!
//! Readers read published versions without a lock. The writer, which holds the shard's lock, makes new versions by path
//! copying: a change copies the leaf and the inner nodes that lead to it. There are no reference counts. Instead each
//! block (a node, or the blob of a long entry) has a *birth*: the number of the window in which it was made. A window
//! is the changes of one shard between two publishes. Blocks of the present window were never published, so the writer
//! edits such nodes in place and frees them at once: a transaction that changes a tree a thousand times copies each
//! node once. A block from an earlier window does not change. When the new version has no use for it, it is added to
//! [`Edit::replaced`], and the shard frees it when no reader, rollback or snapshot needs an older version.
//!
//! # Invariants
//! - **BIRTHS**: a block is not younger than the node that refers to it, because a change copies all nodes from the
//!   root down. So the blocks that a version does not share with an older one are at the top of the tree, and beneath a
//!   node that a snapshot may read there is nothing that the snapshot does not have.
//! - **SEPARATORS**: an entry of an inner node is a key, a child, and the number of entries beneath it. The key is at
//!   most the first key beneath the child, and greater than all keys beneath the child before. Between two leaves it is
//!   the shortest such key. If the child is an inner node, it is that node's first key. The first key of each level is
//!   empty. So a node is split or merged as a list of entries, whatever its level. Those of a sequence are all empty.
//! - **SIZES**: the entries of a node fill at least a third of the longest node. Exceptions are the root, and the first
//!   and the last node of each level: if entries come in ascending or descending order, a full node stays full and the
//!   new one starts with the last entries. An inner node has at least two children.
//! - **COUNTS**: the numbers of entries in inner nodes are exact.

mod block;
mod edit;
mod entry;
mod free;
mod layout;
mod node;
mod place;
mod read;
mod version;

pub(crate) use edit::Edit;
pub(crate) use entry::Key;
pub(crate) use free::{Freeing, TreePart, newer};
pub(crate) use read::TreeView;
pub(crate) use version::Tree;

/// Returns the number of blocks that this thread has allocated, less those that it has freed.
#[cfg(test)]
pub(crate) fn live_blocks() -> usize {
    block::LIVE.get()
}

#[cfg(test)]
mod tests;
