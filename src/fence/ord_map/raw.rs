//! The tree's keys: the rank of an entry, and a pointer to it.

use crate::fence::tree::policy::{BoundPolicy, KeyPolicy};
use crate::fence::tree::search::CompareKey;
use crate::memory::AllocError;
use crate::reclaim::node::{NodePtr, ReclaimNode};
use crate::reclaim::pair::{KeyNode, Pair};
use crate::reclaim::retired::Retired;
use core::cmp::Ordering;
use core::ptr::NonNull;
use equivalent::Comparable;

/// A key's rank, and a pointer to its node. The node of an entry has a value too; the node of a leaf's bound has not.
///
/// Comparisons go by rank, and read the key only if ranks are equal. The key they read is alive, for two reasons:
/// - The tree compares only pointers from validated leaves, and all callers of the tree hold a guard.
/// - The entry of the key from which hints are counted may be gone, but the tree uses the rank of that key alone.
pub(super) struct RawKey<K> {
    pub(super) rank: usize,
    pub(super) node: NonNull<KeyNode<K>>,
}

impl<K> Clone for RawKey<K> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for RawKey<K> {}

// SAFETY: a tree of these shares nodes between threads, and any thread may drop them.
unsafe impl<K: Send + Sync> Send for RawKey<K> {}

impl<K> RawKey<K> {
    /// # Safety
    /// The node is not freed within `'a`.
    #[inline(always)]
    pub(super) unsafe fn key<'a>(self) -> &'a K {
        // SAFETY: the caller's promise; keys in nodes never change.
        unsafe { &(*self.node.as_ptr()).key }
    }

    pub(super) fn ptr<V>(self) -> NodePtr<Pair<K, V>> {
        NodePtr(self.node.cast())
    }

    pub(super) fn is(self, other: Self) -> bool {
        self.node == other.node
    }
}

impl<K: Ord> Ord for RawKey<K> {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        // SAFETY: both are alive, for the reasons given at `RawKey`.
        let by_key = || unsafe { self.key().cmp(other.key()) };
        self.rank.cmp(&other.rank).then_with(by_key)
    }
}

impl<K: Ord> PartialOrd for RawKey<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: Ord> PartialEq for RawKey<K> {
    fn eq(&self, other: &Self) -> bool {
        self.is(*other) || self.cmp(other).is_eq()
    }
}

impl<K: Ord> Eq for RawKey<K> {}

/// Detects that keys are inconsistent, so that an operation which starts again whenever an entry has changed ends.
///
/// A removed entry never comes back. So if searches find an entry, then another one or none, and then the first one
/// again, one of them has missed it. The remembered entry changes ever more rarely, so in the end it is one of any
/// cycle.
pub(crate) struct OrderCheck<N> {
    kept: Option<NodePtr<N>>,
    /// Whether a search has found something else since.
    is_gone: bool,
    rounds: usize,
}

impl<N> Default for OrderCheck<N> {
    fn default() -> Self {
        Self { kept: None, is_gone: false, rounds: 0 }
    }
}

impl<N> OrderCheck<N> {
    /// Takes the result of a further search for the key. Returns whether it contradicts earlier ones.
    pub(super) fn is_contradicted_by(&mut self, found: Option<NodePtr<N>>) -> bool {
        self.rounds += 1;
        let is_kept = self.kept.is_some() && self.kept == found;
        if is_kept && self.is_gone {
            return true;
        }
        self.is_gone |= !is_kept;
        if self.kept.is_none() || self.rounds.is_power_of_two() {
            (self.kept, self.is_gone) = (found, false);
        }
        false
    }
}

/// A borrowed form of a key, to search for among [`RawKey`] keys.
pub(super) struct NodeQuery<'q, Q: ?Sized>(pub(super) &'q Q);

impl<Q: ?Sized> Clone for NodeQuery<'_, Q> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<Q: ?Sized> Copy for NodeQuery<'_, Q> {}

impl<K, Q: Comparable<K> + ?Sized> CompareKey<RawKey<K>> for NodeQuery<'_, Q> {
    #[inline(always)]
    fn compare(self, rank: usize, raw: &RawKey<K>) -> Ordering {
        // SAFETY: alive, for the reasons given at `RawKey`.
        let by_key = || self.0.compare(unsafe { raw.key() });
        rank.cmp(&raw.rank).then_with(by_key)
    }
}

/// The policy of a tree of pointers: bounds are clones of keys, and removed nodes are retired.
pub(super) struct Owner<K, V, R> {
    pub(super) ranking: R,
    pub(super) entries: Retired<Pair<K, V>>,
    /// Retired bounds. There are few of them, because a merge follows tens of removals or more.
    pub(super) bounds: Retired<KeyNode<K>>,
}

impl<K, V, R> Owner<K, V, R> {
    pub(super) const fn new(ranking: R) -> Self {
        Self { ranking, entries: Retired::new(), bounds: Retired::new() }
    }
}

impl<K, V, R> KeyPolicy<RawKey<K>> for Owner<K, V, R> {
    const OWNS: bool = true;

    #[inline(always)]
    fn rank_word(&self, raw: &RawKey<K>) -> usize {
        raw.rank
    }

    fn drop_bound(&self, bound: RawKey<K>) {
        // SAFETY: made by `clone_bound`, and never published.
        unsafe { KeyNode::free(bound.node) }
    }

    fn retire_bound(&self, bound: RawKey<K>) {
        // SAFETY: made by `clone_bound`, and no leaf of the tree has it any more.
        unsafe { self.bounds.add(NodePtr(bound.node)) }
    }

    fn retire_entry(&self, key: RawKey<K>) {
        // SAFETY: the tree has just removed the entry.
        unsafe { self.entries.add(key.ptr()) }
    }
}

impl<K: Clone, V, R> BoundPolicy<RawKey<K>> for Owner<K, V, R> {
    fn clone_bound(&self, raw: &RawKey<K>) -> Result<RawKey<K>, AllocError> {
        // SAFETY: in the tree, or about to be put there, and the caller of the tree holds a guard.
        let key = unsafe { raw.key() }.clone();
        let stem = KeyNode::new(key).map_err(|_| AllocError)?;
        Ok(RawKey { rank: raw.rank, node: stem.take().0 })
    }
}
