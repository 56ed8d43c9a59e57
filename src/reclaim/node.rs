//! What the table points at: a hash, and behind it whatever the map keeps.

use crate::api::hash::KeyHash;
#[cfg(not(target_pointer_width = "64"))]
use crate::facade::atomic::AtomicUsize;
use crate::facade::atomic::{AtomicPtr, Ordering};
use core::marker::PhantomData;
use core::ptr::{self, NonNull};

/// How a node begins: with its hash, so that bins split without asking the user's `Hash`, and, once it is
/// garbage, with the next piece of garbage in place of that.
///
/// # Synchronization
/// The words are relaxed. The hash is written before the node is published with its table. The link is
/// written over it when the node has been unlinked: whoever splits a bin and reads it as a hash meanwhile
/// cannot lock that bin from the state that it read, and drops what it has worked out.
pub(crate) struct Header {
    /// The low word of the hash, or the next piece of garbage.
    low: AtomicPtr<()>,
    /// The rest of the hash, where a word has no room for all.
    #[cfg(not(target_pointer_width = "64"))]
    high: AtomicUsize,
}

impl Header {
    pub(crate) fn new(hash: KeyHash) -> Self {
        Self {
            low: AtomicPtr::new(ptr::without_provenance_mut(hash.0 as usize)),
            #[cfg(not(target_pointer_width = "64"))]
            high: AtomicUsize::new((hash.0 >> 32) as usize),
        }
    }

    /// The hash, unless the node has become garbage.
    pub(crate) fn hash(&self) -> KeyHash {
        // relaxed: written before the node was published.
        let low = self.low.load(Ordering::Relaxed).addr() as u64;
        #[cfg(not(target_pointer_width = "64"))]
        // relaxed: as above.
        let low = low | (self.high.load(Ordering::Relaxed) as u64) << 32;
        KeyHash(low)
    }
}

/// Something that begins with a [`Header`].
///
/// # Safety
/// The header lies at the very address of the node, and `free` is the counterpart of how nodes are made.
pub(crate) unsafe trait Node {
    /// Drops and frees the node.
    ///
    /// # Safety
    /// Nobody uses it any more, and this is the only call for it.
    unsafe fn free(node: NonNull<Self>);
}

/// A pointer to a node, as the table holds it.
pub(crate) struct Shared<N>(pub(crate) NonNull<N>);

impl<N> Clone for Shared<N> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<N> Copy for Shared<N> {}

impl<N> PartialEq for Shared<N> {
    fn eq(&self, other: &Self) -> bool {
        ptr::eq(self.0.as_ptr(), other.0.as_ptr())
    }
}

// SAFETY: a table of these hands nodes from thread to thread, to be looked at by many and dropped by any.
unsafe impl<N: Send + Sync> Send for Shared<N> {}

impl<N: Node> Shared<N> {
    /// # Safety
    /// The node is not freed within `'a`.
    #[inline(always)]
    pub(crate) unsafe fn live<'a>(self) -> Live<'a, N> {
        Live { node: self, lifetime: PhantomData }
    }
}

/// A node that is not freed within `'a`. Not a reference, since what lies behind a node's fields may be
/// part of it.
pub(crate) struct Live<'a, N> {
    node: Shared<N>,
    lifetime: PhantomData<&'a N>,
}

impl<N> Clone for Live<'_, N> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<N> Copy for Live<'_, N> {}

impl<'a, N: Node> Live<'a, N> {
    #[inline(always)]
    pub(crate) fn shared(self) -> Shared<N> {
        self.node
    }

    pub(crate) fn hash(self) -> KeyHash {
        self.header().hash()
    }

    fn header(self) -> &'a Header {
        // SAFETY: alive, and a node begins with its header.
        unsafe { self.node.0.cast().as_ref() }
    }

    /// The node's fields.
    #[inline(always)]
    pub(crate) fn fields(self) -> &'a N {
        // SAFETY: alive, and changed by nobody but through atomics.
        unsafe { self.node.0.as_ref() }
    }
}

/// A list of nodes that are garbage, linked by their headers; first in, first out.
pub(crate) struct List<N> {
    first: Option<Shared<N>>,
    last: Option<Shared<N>>,
    len: usize,
}

impl<N: Node> List<N> {
    pub(crate) const fn new() -> Self {
        Self { first: None, last: None, len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// # Safety
    /// The node is garbage, alive, and in no list.
    pub(crate) unsafe fn push(&mut self, node: Shared<N>) {
        // SAFETY: alive.
        link(unsafe { node.live() }, None);
        match self.last {
            // SAFETY: alive, as everything in the list.
            Some(last) => link(unsafe { last.live() }, Some(node)),
            None => self.first = Some(node),
        }
        self.last = Some(node);
        self.len += 1;
    }

    pub(crate) fn pop(&mut self) -> Option<Shared<N>> {
        let first = self.first?;
        // SAFETY: alive, and linked by `push` or `append`.
        self.first = unsafe { follow(first.live()) };
        if self.first.is_none() {
            self.last = None;
        }
        self.len -= 1;
        Some(first)
    }

    /// Moves all of `other` behind the last.
    pub(crate) fn append(&mut self, other: &mut Self) {
        let other = core::mem::replace(other, Self::new());
        match self.last {
            // SAFETY: alive, as everything in the list.
            Some(last) => link(unsafe { last.live() }, other.first),
            None => self.first = other.first,
        }
        self.last = other.last.or(self.last);
        self.len += other.len;
    }
}

fn link<N: Node>(node: Live<'_, N>, next: Option<Shared<N>>) {
    let next = next.map_or(ptr::null_mut(), |next| next.0.as_ptr());
    // relaxed: lists are handed on under a lock; others may take this for the hash, see `Header`.
    node.header().low.store(next.cast(), Ordering::Relaxed);
}

/// # Safety
/// The node was linked.
unsafe fn follow<N: Node>(node: Live<'_, N>) -> Option<Shared<N>> {
    // relaxed: as in `link`.
    NonNull::new(node.header().low.load(Ordering::Relaxed).cast()).map(Shared)
}
