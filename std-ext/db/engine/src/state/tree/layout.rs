//! The sizes of nodes, and the pointer to one.

use std::ptr::NonNull;

/// The longest node. Nodes with twice the entries would save a level of a large tree, and double what a change copies.
pub(super) const MAX_NODE: usize = 704;
pub(super) const HEADER: usize = size_of::<NodeHeader>();
/// The bytes of a head and a slot.
pub(super) const SLOT: usize = size_of::<u32>() + size_of::<u16>();
/// The first eight bytes of each key are read as one number, also if the key is shorter and its entry the last one.
pub(super) const PADDING: usize = 8;
/// The bytes of a node without entries.
pub(super) const EMPTY: usize = HEADER + PADDING;
/// The most that entries and their slots take in a node.
pub(super) const ROOM: usize = MAX_NODE - EMPTY;

#[repr(C)]
pub(super) struct NodeHeader {
    /// The window in which the node was made. At the same place as a blob's.
    pub(super) birth: u64,
    pub(super) count: u16,
    pub(super) used: u16,
    pub(super) capacity: u16,
    pub(super) level: u8,
}

/// A pointer to a node: a leaf, at level 0, or an inner node.
///
/// The holder makes sure that the node was not freed. Only the tree's writer changes a node, and only in the window in
/// which it was made; it has the methods that are `unsafe`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Node(pub(super) NonNull<NodeHeader>);

// SAFETY: published nodes do not change, and the thread that frees a node has it alone.
unsafe impl Send for Node {}
// SAFETY: as above.
unsafe impl Sync for Node {}
