//! Nodes with a key: with a value, or without one.

use super::errors::Why;
use super::node::{Header, Node, Shared};
use super::retired::Fresh;
use crate::api::hash::KeyHash;
use crate::error::{OccupiedError, TryInsertError};
use alloc::alloc::alloc;
use alloc::boxed::Box;
use core::ptr::NonNull;

/// A key and its value, in an allocation of their own.
#[repr(C)]
pub(crate) struct Pair<K, V> {
    header: Header,
    pub(crate) key: K,
    pub(crate) value: V,
}

// SAFETY: `new` and `free` allocate and free with the layout of the same type; the header is the
// first field.
unsafe impl<K, V> Node for Pair<K, V> {
    unsafe fn free(node: NonNull<Self>) {
        // SAFETY: allocated by `new` as a box is, and the caller says that this is the end of it.
        drop(unsafe { Box::from_raw(node.as_ptr()) });
    }
}

impl<K, V> Pair<K, V> {
    /// A node; key and value again where there is no memory.
    pub(crate) fn new(hash: KeyHash, key: K, value: V) -> Result<Fresh<Self>, (K, V)> {
        // SAFETY: a header is not zero-sized, so the node is not.
        let node = unsafe { alloc(core::alloc::Layout::new::<Self>()) }.cast::<Self>();
        let Some(node) = NonNull::new(node) else { return Err((key, value)) };
        // SAFETY: just allocated, with the layout of a pair.
        unsafe { node.write(Self { header: Header::new(hash), key, value }) };
        Ok(Fresh(Shared(node)))
    }

    /// The key, as what a node of a key alone begins with too.
    pub(crate) fn stem(node: NonNull<Self>) -> NonNull<Stem<K>> {
        // Both are `repr(C)` and begin with the same fields.
        node.cast()
    }

    /// What a node was made of.
    pub(crate) fn into_inner(node: Fresh<Self>) -> (K, V) {
        // SAFETY: the node is ours alone, and was allocated as a box is.
        let Self { key, value, .. } = *unsafe { Box::from_raw(node.take().0.as_ptr()) };
        (key, value)
    }
}

/// A key alone. Begins as a [`Pair`] does, so that a key is found in either by a pointer to this.
#[repr(C)]
pub(crate) struct Stem<K> {
    header: Header,
    pub(crate) key: K,
}

// SAFETY: `new` and `free` allocate and free with the layout of the same type; the header is the
// first field.
unsafe impl<K> Node for Stem<K> {
    unsafe fn free(node: NonNull<Self>) {
        // SAFETY: allocated by `new` as a box is, and the caller says that this is the end of it.
        drop(unsafe { Box::from_raw(node.as_ptr()) });
    }
}

impl<K> Stem<K> {
    /// A node; the key again where there is no memory.
    pub(crate) fn new(key: K) -> Result<Fresh<Self>, K> {
        // SAFETY: a header is not zero-sized, so the node is not.
        let node = unsafe { alloc(core::alloc::Layout::new::<Self>()) }.cast::<Self>();
        let Some(node) = NonNull::new(node) else { return Err(key) };
        // SAFETY: just allocated, with the layout of this type.
        unsafe { node.write(Self { header: Header::new(KeyHash(0)), key }) };
        Ok(Fresh(Shared(node)))
    }
}

/// The error of an insertion that did not happen, with the entry that was made for it. `wrap` makes what is handed back
/// of the value.
pub(crate) fn refused<K, V, W>(
    why: Why,
    fresh: Fresh<Pair<K, V>>,
    wrap: impl FnOnce(V) -> W,
) -> TryInsertError<K, W> {
    let (key, value) = Pair::into_inner(fresh);
    why.of(key, wrap(value))
}

/// The error of an insertion whose key has an entry already.
pub(crate) fn occupied<K, V>(fresh: Fresh<Pair<K, V>>) -> OccupiedError<K, V> {
    let (key, value) = Pair::into_inner(fresh);
    OccupiedError::new(key, value, ())
}
