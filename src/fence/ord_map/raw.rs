//! What the tree holds of an entry: its rank, and where it is.

use crate::fence::tree::policy::KeyPolicy;
use crate::fence::tree::search::CompareKey;
use crate::reclaim::node::{Node, Shared};
use crate::reclaim::pair::{Pair, Stem};
use crate::reclaim::retired::Retired;
use crate::table::memory::AllocError;
use core::cmp::Ordering;
use core::ptr::NonNull;
use equivalent::Comparable;

/// A key's rank and the node that it stands in: with its value, or, where it bounds a leaf, alone.
///
/// It is compared by rank, and only among equal ranks by the key. The tree compares none that it has not found in a
/// leaf whole, and all who use the tree hold a guard; what hints are counted from is asked for its rank alone, since
/// its entry may be gone. So whatever is compared is alive.
pub(super) struct Raw<K> {
    pub(super) rank: usize,
    pub(super) node: NonNull<Stem<K>>,
}

impl<K> Clone for Raw<K> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Raw<K> {}

// SAFETY: a tree of these hands nodes from thread to thread, to be looked at by many and dropped by any.
unsafe impl<K: Send + Sync> Send for Raw<K> {}

impl<K> Raw<K> {
    /// # Safety
    /// The node is not freed within `'a`.
    #[inline(always)]
    pub(super) unsafe fn key<'a>(self) -> &'a K {
        // SAFETY: alive, and the key is changed by nobody.
        unsafe { &(*self.node.as_ptr()).key }
    }

    /// # Safety
    /// The node is that of an entry of a map of this `V`, and not freed within `'a`.
    #[inline(always)]
    pub(super) unsafe fn entry<'a, V>(self) -> (&'a K, &'a V) {
        let pair = self.node.cast::<Pair<K, V>>().as_ptr();
        // SAFETY: the caller's promise; neither is changed by anybody.
        unsafe { (&(*pair).key, &(*pair).value) }
    }

    pub(super) fn shared<V>(self) -> Shared<Pair<K, V>> {
        Shared(self.node.cast())
    }

    pub(super) fn is(self, other: Self) -> bool {
        self.node == other.node
    }
}

impl<K: Ord> Ord for Raw<K> {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        // SAFETY: alive, both: see `Raw`.
        let by_key = || unsafe { self.key().cmp(other.key()) };
        self.rank.cmp(&other.rank).then_with(by_key)
    }
}

impl<K: Ord> PartialOrd for Raw<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: Ord> PartialEq for Raw<K> {
    fn eq(&self, other: &Self) -> bool {
        self.is(*other) || self.cmp(other).is_eq()
    }
}

impl<K: Ord> Eq for Raw<K> {}

/// Notices that the order of keys contradicts itself, so that an operation which tries again comes to an end.
///
/// An entry that has gone never comes back. So if one is found, then another one or none, and then the first again,
/// some search has missed it. The entry that is kept changes ever more rarely, and so is part of any cycle in the end.
pub(super) struct OrderCheck<K> {
    kept: Option<Raw<K>>,
    /// Whether something else was found since.
    is_gone: bool,
    rounds: usize,
}

impl<K> OrderCheck<K> {
    pub(super) const fn new() -> Self {
        Self { kept: None, is_gone: false, rounds: 0 }
    }

    /// Notes what searches for the key have found, one after the other; true if that contradicts the ones before.
    #[cold]
    pub(super) fn is_contradicted_by_any<const COUNT: usize>(
        &mut self,
        found: [Option<Raw<K>>; COUNT],
    ) -> bool {
        found.into_iter().any(|found| self.is_contradicted_by(found))
    }

    fn is_contradicted_by(&mut self, found: Option<Raw<K>>) -> bool {
        self.rounds += 1;
        let is_kept = self.kept.zip(found).is_some_and(|(kept, found)| kept.is(found));
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

/// What stands for a key: a borrowed form of it.
pub(super) struct NodeQuery<'q, Q: ?Sized>(pub(super) &'q Q);

impl<Q: ?Sized> Clone for NodeQuery<'_, Q> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<Q: ?Sized> Copy for NodeQuery<'_, Q> {}

impl<K, Q: Comparable<K> + ?Sized> CompareKey<Raw<K>> for NodeQuery<'_, Q> {
    #[inline(always)]
    fn compare(self, rank: usize, raw: &Raw<K>) -> Ordering {
        // SAFETY: alive: see `Raw`.
        let by_key = || self.0.compare(unsafe { raw.key() });
        rank.cmp(&raw.rank).then_with(by_key)
    }
}

/// The rule of a tree of pointers: bounds are clones of keys, and what goes is garbage.
pub(super) struct Owner<K, V, R> {
    pub(super) ranking: R,
    pub(super) entries: Retired<Pair<K, V>>,
    /// Of these there are few: two leaves are joined after tens of entries have gone, or more.
    pub(super) bounds: Retired<Stem<K>>,
}

impl<K, V, R> Owner<K, V, R> {
    pub(super) const fn new(ranking: R) -> Self {
        Self { ranking, entries: Retired::new(), bounds: Retired::new() }
    }
}

impl<K: Clone, V, R> KeyPolicy<Raw<K>> for Owner<K, V, R> {
    const OWNS: bool = true;

    #[inline(always)]
    fn word(&self, raw: &Raw<K>) -> usize {
        raw.rank
    }

    fn clone_bound(&self, raw: &Raw<K>) -> Result<Raw<K>, AllocError> {
        // SAFETY: found in the tree, or about to be put there, by a caller with a guard.
        let key = unsafe { raw.key() }.clone();
        let stem = Stem::new(key).map_err(|_| AllocError)?;
        Ok(Raw { rank: raw.rank, node: stem.take().0 })
    }

    fn drop_bound(&self, bound: Raw<K>) {
        // SAFETY: made by `clone_bound`, and never shown to anybody.
        unsafe { Stem::free(bound.node) }
    }

    fn retire_bound(&self, bound: Raw<K>) {
        // SAFETY: a bound of a tree that has just given it up, made by `clone_bound`.
        unsafe { self.bounds.add(Shared(bound.node)) }
    }

    fn retire_entry(&self, key: Raw<K>) {
        // SAFETY: an entry that the tree has just removed.
        unsafe { self.entries.add(key.shared()) }
    }
}
