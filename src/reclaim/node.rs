//! Nodes: a header, and behind it what the map stores.

use super::node_memory::NodeMemory;
use crate::api::hash::KeyHash;
#[cfg(not(target_pointer_width = "64"))]
use crate::facade::atomic::AtomicUsize;
use crate::facade::atomic::{AtomicPtr, Ordering};
use core::marker::PhantomData;
use core::ptr::{self, NonNull};

/// The beginning of a node. It has the node's hash, so that bins are split without calling the user's `Hash`. When the
/// node is garbage, a link to the next piece of garbage replaces the hash.
///
/// # Synchronization
/// The words are relaxed. The hash is written before the node is published with its table. The link is written when the
/// node has been unlinked. A thread that splits a bin may read the link as a hash. It cannot lock that bin from the
/// state that it read, because the bin has changed, and drops what it computed.
pub(crate) struct NodeHeader {
    /// The low word of the hash, or the next piece of garbage.
    low: AtomicPtr<()>,
    /// The upper half of the hash, where a word is too small for all of it.
    #[cfg(not(target_pointer_width = "64"))]
    high: AtomicUsize,
}

impl NodeHeader {
    pub(crate) fn new(hash: KeyHash) -> Self {
        Self {
            low: AtomicPtr::new(ptr::without_provenance_mut(hash.0 as usize)),
            #[cfg(not(target_pointer_width = "64"))]
            high: AtomicUsize::new((hash.0 >> 32) as usize),
        }
    }

    /// Returns the hash, unless the node has become garbage.
    #[inline]
    pub(crate) fn hash(&self) -> KeyHash {
        // relaxed: written before the node was published.
        let low = self.low.load(Ordering::Relaxed).addr() as u64;
        #[cfg(not(target_pointer_width = "64"))]
        // relaxed: as above.
        let low = low | (self.high.load(Ordering::Relaxed) as u64) << 32;
        KeyHash(low)
    }
}

/// A type that begins with a [`NodeHeader`].
///
/// # Safety
/// The header is at the address of the node, and `clear` is the counterpart of how nodes are made.
pub(crate) unsafe trait ReclaimNode {
    /// Whether `clear` runs destructors, which are user code and may panic.
    #[cfg_attr(any(not(feature = "std"), hedgerow_loom), allow(dead_code))]
    const RUNS_DESTRUCTORS: bool = true;

    /// Drops the node's fields, and returns its memory. If a destructor panics, the memory is freed.
    ///
    /// # Safety
    /// No thread uses the node any more, and this is the only call of `clear` or `free` for it.
    unsafe fn clear(node: NonNull<Self>) -> NodeMemory;

    /// Drops and frees the node.
    ///
    /// # Safety
    /// As `clear`.
    #[inline]
    unsafe fn free(node: NonNull<Self>) {
        // SAFETY: the caller promises the same.
        drop(unsafe { Self::clear(node) });
    }
}

/// A pointer to a node, as the table stores it.
pub(crate) struct NodePtr<N>(pub(crate) NonNull<N>);

impl<N> Clone for NodePtr<N> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<N> Copy for NodePtr<N> {}

impl<N> PartialEq for NodePtr<N> {
    fn eq(&self, other: &Self) -> bool {
        ptr::eq(self.0.as_ptr(), other.0.as_ptr())
    }
}

// SAFETY: a table hands nodes from thread to thread. Many threads may read a node (`Sync`), and any may drop it
// (`Send`).
unsafe impl<N: Send + Sync> Send for NodePtr<N> {}

impl<N: ReclaimNode> NodePtr<N> {
    /// # Safety
    /// The node is not freed within `'a`.
    #[inline(always)]
    pub(crate) unsafe fn live<'a>(self) -> Live<'a, N> {
        Live { node: self, lifetime: PhantomData }
    }
}

/// A node that is not freed within `'a`. Not a reference, because a node may have more bytes behind its fields.
pub(crate) struct Live<'a, N> {
    node: NodePtr<N>,
    lifetime: PhantomData<&'a N>,
}

impl<N> Clone for Live<'_, N> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<N> Copy for Live<'_, N> {}

impl<'a, N: ReclaimNode> Live<'a, N> {
    /// Returns the node's address, without the promise that it is alive.
    #[inline(always)]
    pub(crate) fn ptr(self) -> NodePtr<N> {
        self.node
    }

    pub(crate) fn hash(self) -> KeyHash {
        self.header().hash()
    }

    fn header(self) -> &'a NodeHeader {
        // SAFETY: the node is alive, and begins with its header.
        unsafe { self.node.0.cast().as_ref() }
    }

    /// Returns the node's fields.
    #[inline(always)]
    pub(crate) fn fields(self) -> &'a N {
        // SAFETY: the node is alive, and it changes only through atomics.
        unsafe { self.node.0.as_ref() }
    }
}

/// A list of nodes that are garbage, linked through their headers. First in, first out.
pub(crate) struct List<N> {
    first: Option<NodePtr<N>>,
    last: Option<NodePtr<N>>,
    len: usize,
}

impl<N: ReclaimNode> List<N> {
    pub(crate) const fn new() -> Self {
        Self { first: None, last: None, len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// # Safety
    /// The node is garbage, alive, and in no list.
    pub(crate) unsafe fn push(&mut self, node: NodePtr<N>) {
        // SAFETY: the caller promises that the node is alive.
        link(unsafe { node.live() }, None);
        match self.last {
            // SAFETY: all nodes of the list are alive.
            Some(last) => link(unsafe { last.live() }, Some(node)),
            None => self.first = Some(node),
        }
        self.last = Some(node);
        self.len += 1;
    }

    pub(crate) fn pop(&mut self) -> Option<NodePtr<N>> {
        let first = self.first?;
        // SAFETY: the node is alive, and `push` or `append` linked it.
        self.first = unsafe { follow(first.live()) };
        if self.first.is_none() {
            self.last = None;
        }
        self.len -= 1;
        Some(first)
    }

    /// Moves all nodes of `other` to the end of this list.
    pub(crate) fn append(&mut self, other: &mut Self) {
        let other = core::mem::replace(other, Self::new());
        match self.last {
            // SAFETY: all nodes of the list are alive.
            Some(last) => link(unsafe { last.live() }, other.first),
            None => self.first = other.first,
        }
        self.last = other.last.or(self.last);
        self.len += other.len;
    }
}

fn link<N: ReclaimNode>(node: Live<'_, N>, next: Option<NodePtr<N>>) {
    let next = next.map_or(ptr::null_mut(), |next| next.0.as_ptr());
    // relaxed: a lock guards each list. A thread that splits a bin may read this as the hash, see `NodeHeader`.
    node.header().low.store(next.cast(), Ordering::Relaxed);
}

/// # Safety
/// `link` was called for the node.
unsafe fn follow<N: ReclaimNode>(node: Live<'_, N>) -> Option<NodePtr<N>> {
    // relaxed: a lock guards the list.
    NonNull::new(node.header().low.load(Ordering::Relaxed).cast()).map(NodePtr)
}
