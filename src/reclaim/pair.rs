//! Nodes with a key and a value, and nodes with a key alone.

use super::entry::{EntryNode, NodeOf};
use super::errors::{Cause, RefusedInsert};
use super::node::{Live, NodeHeader, NodePtr, ReclaimNode};
use super::node_memory::NodeMemory;
use super::retired::Fresh;
use crate::api::hash::KeyHash;
use alloc::alloc::handle_alloc_error;
use alloc::boxed::Box;
use core::alloc::Layout;
use core::mem::needs_drop;
use core::ptr::NonNull;

/// A key and its value, in an allocation of their own.
#[repr(C)]
pub(crate) struct Pair<K, V> {
    header: NodeHeader,
    pub(crate) key: K,
    pub(crate) value: V,
}

// SAFETY: `make` and `clear` use the layout of the same type, and the header is the first field.
unsafe impl<K, V> ReclaimNode for Pair<K, V> {
    const RUNS_DESTRUCTORS: bool = needs_drop::<Self>();

    #[inline]
    unsafe fn clear(node: NonNull<Self>) -> NodeMemory {
        // SAFETY: `make` allocated the node with this layout, and the caller promises that this is the only call.
        unsafe { clear_with_layout_of(node) }
    }
}

impl<K, V> EntryNode for Pair<K, V> {
    type Key = K;
    type Value = V;

    #[inline(always)]
    fn key(node: Live<'_, Self>) -> &K {
        &node.fields().key
    }

    #[inline(always)]
    fn value(node: Live<'_, Self>) -> &V {
        &node.fields().value
    }
}

/// Moves key and value into the node.
impl<K, V> NodeOf<K, V> for Pair<K, V> {
    type Kept = ();

    #[inline]
    fn make(
        hash: KeyHash,
        key: K,
        value: V,
        spare: Option<NodeMemory>,
    ) -> Result<(Fresh<Self>, ()), RefusedInsert<K, V>> {
        // SAFETY: the layout is not of size zero, because a node has a header.
        let memory = unsafe { NodeMemory::get(Layout::new::<Self>(), spare) };
        let Some(memory) = memory else { return Err((Cause::Alloc, key, value)) };
        let node = memory.into_raw().cast::<Self>();
        // SAFETY: the memory has the layout of a pair, and nothing else owns it.
        unsafe { node.write(Self { header: NodeHeader::new(hash), key, value }) };
        Ok((Fresh(NodePtr(node)), ()))
    }

    fn take_apart(fresh: Fresh<Self>, (): ()) -> (K, V) {
        Self::into_inner(fresh)
    }
}

impl<K, V> Pair<K, V> {
    /// Returns a pointer to the key's part of the node.
    pub(crate) fn as_key_node(node: NonNull<Self>) -> NonNull<KeyNode<K>> {
        // `Pair` and `KeyNode` are `repr(C)` and begin with the same fields.
        node.cast()
    }

    /// Returns the key and value of a node, and frees it.
    pub(crate) fn into_inner(node: Fresh<Self>) -> (K, V) {
        // SAFETY: no other thread has the node, and it was allocated with the layout of a box.
        let Self { key, value, .. } = *unsafe { Box::from_raw(node.take().0.as_ptr()) };
        (key, value)
    }
}

/// A key alone. It begins as a [`Pair`] does, so a pointer to it leads to the key of either.
#[repr(C)]
pub(crate) struct KeyNode<K> {
    header: NodeHeader,
    pub(crate) key: K,
}

// SAFETY: `new` and `clear` use the layout of the same type, and the header is the first field.
unsafe impl<K> ReclaimNode for KeyNode<K> {
    unsafe fn clear(node: NonNull<Self>) -> NodeMemory {
        // SAFETY: `new` allocated the node with this layout, and the caller promises that this is the only call.
        unsafe { clear_with_layout_of(node) }
    }
}

/// Drops the fields of a node, and returns its memory.
///
/// # Safety
/// The node was allocated with the layout of its type, and only the caller has it.
#[inline]
unsafe fn clear_with_layout_of<N>(node: NonNull<N>) -> NodeMemory {
    // Before the destructors: if one panics, the memory is freed.
    // SAFETY: the caller promises the layout, and that nothing else owns the node.
    let memory = unsafe { NodeMemory::from_raw(node.cast(), Layout::new::<N>()) };
    // SAFETY: the node is initialized, and nobody uses its fields afterwards.
    unsafe { node.drop_in_place() };
    memory
}

impl<K> KeyNode<K> {
    /// Makes a node, or hands the key back if there is no memory.
    pub(crate) fn new(key: K) -> Result<Fresh<Self>, K> {
        // SAFETY: the layout is not of size zero, because a node has a header.
        let Some(memory) = (unsafe { NodeMemory::get(Layout::new::<Self>(), None) }) else {
            return Err(key);
        };
        let node = memory.into_raw().cast::<Self>();
        // SAFETY: the memory has the layout of this type, and nothing else owns it.
        unsafe { node.write(Self { header: NodeHeader::new(KeyHash(0)), key }) };
        Ok(Fresh(NodePtr(node)))
    }
}

/// Ends an operation that waits, and therefore fails only if there is no memory.
#[cold]
pub(crate) fn out_of_memory<K, V, T, E>(_why: E) -> T {
    handle_alloc_error(Layout::new::<Pair<K, V>>())
}
