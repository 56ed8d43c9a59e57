//! Changes of one entry.
//!
//! A writer reads the leaf, decides with nothing locked, locks the leaf from the very version that it has read, and
//! stores. If another writer was faster, the lock fails and the writer starts again. So user code never runs under a
//! lock, and a writer's plan is still right when it is stored.
//!
//! An insertion of an integer key first tries a short way. If the key is greater than all keys, it goes to the end. If
//! the hints name one leaf, and the key is between two of its entries, it goes there. On average that moves half of the
//! leaf's keys and values up by one place, and computes the hints of the blocks that begin with another key then. It
//! takes 724 instructions (callgrind). It took 1,170 before wide registers moved the words
//! ([`wide`](crate::sync::wide)) and while each hint was stored by itself.

use super::descent::{FenceTree, LeafLocation};
use super::hints::Scale;
use super::leaf::{BLOCK, LeafChanged, LeafHints, LeafLayout, LeafRef, LeafVersion, Meta};
use super::policy::{BoundPolicy, KeyPolicy};
use super::rank::is_exact;
use super::search::{CompareKey, SearchKey};
use crate::api::failure::Failure;
use crate::api::op::{Altered, EntryChange};
use crate::sync::backoff::Backoff;
use core::mem::MaybeUninit;

/// The hints that a leaf will have after a change.
pub(crate) struct HintPlan<K> {
    pub(crate) hints: LeafHints,
    pub(crate) shift: u32,
    /// The new key from which hints are counted, if that changes.
    pub(crate) base: Option<K>,
}

impl<K: Copy + Ord, V: Copy, R: KeyPolicy<K>> FenceTree<K, V, R> {
    /// Applies what `decide` returns to the entry of a key. `read` fetches what `decide` needs of the old entry.
    ///
    /// - `decide` runs while nothing is locked, and again if the leaf has changed before it could be locked.
    /// - `taken` is called with the replaced or removed entry, before any other user code runs: if that panicked, the
    ///   entry would leak.
    /// - Linearizes when the leaf is locked, or, if the operation changes nothing, when it is validated last.
    #[inline(always)]
    pub(crate) fn alter<T: Copy>(
        &self,
        target: SearchKey<impl CompareKey<K>>,
        read: impl Fn(LeafRef<'_, K, V>, usize) -> MaybeUninit<T>,
        backoff: Backoff,
        decide: impl FnMut(Option<&T>) -> EntryChange<K, V>,
        taken: impl FnOnce(T),
    ) -> Result<Altered<K, V, T>, Failure>
    where
        R: BoundPolicy<K>,
    {
        let split = |location: &LeafLocation<'_, K, V>, key: &K, backoff: &mut Backoff| {
            self.split(location, key, backoff)
        };
        self.alter_or_split(target, read, backoff, decide, taken, split)
    }

    /// Removes the entry of a key if `wanted` returns true for it. Otherwise like [`alter`](Self::alter). It splits no
    /// leaf, so it does without the means to make bounds.
    #[cfg_attr(hedgerow_loom, allow(dead_code))] // No model calls it.
    #[inline(always)]
    pub(crate) fn remove_if<T: Copy>(
        &self,
        target: SearchKey<impl CompareKey<K>>,
        read: impl Fn(LeafRef<'_, K, V>, usize) -> MaybeUninit<T>,
        backoff: Backoff,
        mut wanted: impl FnMut(&T) -> bool,
        taken: impl FnOnce(T),
    ) -> Result<(), Failure> {
        let decide = |old: Option<&T>| match old {
            Some(old) if wanted(old) => EntryChange::Remove,
            _ => EntryChange::Keep,
        };
        let split = |_: &LeafLocation<'_, K, V>, _: &K, _: &mut Backoff| Ok(());
        self.alter_or_split(target, read, backoff, decide, taken, split).map(drop)
    }

    /// Does what [`alter`](Self::alter) does, with a function that splits a full leaf.
    #[inline(always)]
    fn alter_or_split<T: Copy>(
        &self,
        target: SearchKey<impl CompareKey<K>>,
        read: impl Fn(LeafRef<'_, K, V>, usize) -> MaybeUninit<T>,
        mut backoff: Backoff,
        mut decide: impl FnMut(Option<&T>) -> EntryChange<K, V>,
        taken: impl FnOnce(T),
        split: impl Fn(&LeafLocation<'_, K, V>, &K, &mut Backoff) -> Result<(), Failure>,
    ) -> Result<Altered<K, V, T>, Failure> {
        let _operation = self.scheduled.operation();
        let mut has_listed = false;
        loop {
            // Ascending keys that are not exact still begin their search at the last leaf.
            let location = match self.locate_fast(target) {
                Some(location) => Some(location),
                None => self.seek(target, self.tail_for(target.rank), &mut backoff)?,
            };
            let Some(location) = location else {
                let change = decide(None);
                if !matches!(change, EntryChange::Entry(..)) {
                    return Ok((None, change));
                }
                // At most once, since the first leaf is never retired.
                self.init_root(&mut backoff)?;
                continue;
            };
            if !location.version.meta.is_listed() && !has_listed {
                // The thread that split it off could not list it, or has yet to. If no thread did, ascending keys would
                // make a chain of leaves that lookups could only walk.
                has_listed = true;
                self.list_up_to(target, &mut backoff)?;
                continue;
            }
            let old = if location.place.found {
                let found = read(location.leaf, location.place.at);
                // `decide` is user code, so it must not see an entry that a writer is changing.
                if !location.leaf.validate(location.version) {
                    backoff.again()?;
                    continue;
                }
                // SAFETY: validated since it was fetched, and `place` is that of an entry.
                Some(unsafe { found.assume_init() })
            } else {
                None
            };
            let change = decide(old.as_ref());
            let done = match (&change, old) {
                (EntryChange::Keep, _) | (EntryChange::Value(_) | EntryChange::Remove, None) => {
                    return Ok((old, change));
                }
                (EntryChange::Value(value), Some(_)) => {
                    Self::replace(&location, |leaf, at| leaf.put_value(at, value))
                }
                (EntryChange::Entry(key, value), Some(_)) => {
                    Self::replace(&location, |leaf, at| leaf.put_entry(at, key, value))
                }
                (EntryChange::Entry(key, value), None) => {
                    if location.version.meta.count() == LeafLayout::<K, V>::ENTRIES {
                        split(&location, key, &mut backoff)?;
                        // Other writers may fill both halves before this one comes back. If it may not wait, the number
                        // of attempts is bounded.
                        backoff.again()?;
                        continue;
                    }
                    self.insert(&location, target, key, value)
                }
                (EntryChange::Remove, Some(_)) => self.remove(&location),
            };
            if done {
                // Before the merge, which calls `Ord` and so may panic.
                old.map(taken);
                if matches!(change, EntryChange::Remove) {
                    self.merge_after_removal(location.leaf, location.version, &mut backoff);
                }
                return Ok((old, change));
            }
            // Another writer was faster. The rebalancer counts such collisions as load.
            self.count_conflict(target.rank);
            backoff.wait()?;
        }
    }

    #[inline(always)]
    fn replace(location: &LeafLocation<'_, K, V>, put: impl Fn(LeafRef<'_, K, V>, usize)) -> bool {
        // A lock that is taken from this version proves that the entry is still at this place.
        let locked = location.leaf.try_lock(location.version);
        if locked {
            put(location.leaf, location.place.at);
            location.leaf.unlock(location.version, location.version.meta);
        }
        locked
    }

    #[inline(always)]
    fn insert(
        &self,
        location: &LeafLocation<'_, K, V>,
        target: SearchKey<impl CompareKey<K>>,
        key: &K,
        value: &V,
    ) -> bool {
        let (leaf, version, at) = (location.leaf, location.version, location.place.at);
        let count = version.meta.count();
        let Ok(plan) = self.plan_insertion(leaf, version, at, target.rank, key) else {
            return false;
        };
        if !leaf.try_lock(version) {
            return false;
        }
        // Nothing below calls user code: a panic would leave the leaf locked.
        leaf.open_gap(at, count);
        leaf.put_entry(at, key, value);
        leaf.unlock(version, plan.put(leaf, version.meta.with_count(count + 1)));
        self.len.add(1);
        true
    }

    #[inline(always)]
    fn remove(&self, location: &LeafLocation<'_, K, V>) -> bool {
        let (leaf, version, at) = (location.leaf, location.version, location.place.at);
        let count = version.meta.count();
        let Ok(plan) = self.plan_removal(leaf, version, at) else { return false };
        if !leaf.try_lock(version) {
            return false;
        }
        leaf.close_gap(at, 1, count);
        leaf.unlock(version, plan.put(leaf, version.meta.with_count(count - 1)));
        self.len.add(-1);
        true
    }

    /// Merges a leaf that a removal has made sparse. Does not try after each removal, because most attempts find that
    /// the neighbours are not sparse.
    #[inline(always)]
    pub(crate) fn merge_after_removal(
        &self,
        leaf: LeafRef<'_, K, V>,
        version: LeafVersion,
        backoff: &mut Backoff,
    ) {
        let count = version.meta.count();
        if count <= LeafLayout::<K, V>::ENTRIES / 4 && (count - 1).is_multiple_of(BLOCK) {
            self.merge_if_sparse(leaf, backoff);
        }
    }

    /// Counts a failed attempt to lock the leaf of a key of this rank.
    #[cold]
    #[inline(never)]
    pub(crate) fn count_conflict(&self, rank: usize) {
        let Some(table) = self.root.table() else { return };
        if let Some(fence) = table.fence(table.pick(rank)) {
            fence.count_conflict(rank);
        }
    }

    /// Returns the hints of the leaf with `key`, of this rank, inserted at `at`. Computes all ranks while nothing is
    /// locked, because ranking is user code.
    #[inline(always)]
    fn plan_insertion(
        &self,
        leaf: LeafRef<'_, K, V>,
        version: LeafVersion,
        at: usize,
        rank: usize,
        key: &K,
    ) -> Result<HintPlan<K>, LeafChanged> {
        let count = version.meta.count();
        let scale = leaf.scale_of(version, &self.policy)?;
        // The new key is outside of the range of the hints, or becomes the first key of a block below their base.
        let needs_new_scale = !version.meta.has_base()
            || scale.is_beyond(rank)
            || rank < scale.base && at == 0 && count.is_multiple_of(BLOCK);
        let first_rank = |block: usize| {
            let first = block * BLOCK;
            match first.cmp(&at) {
                core::cmp::Ordering::Less => leaf.rank_at(version, first, &self.policy),
                core::cmp::Ordering::Equal => Ok(rank),
                core::cmp::Ordering::Greater => leaf.rank_at(version, first - 1, &self.policy),
            }
        };
        if needs_new_scale {
            return self.plan_with_new_scale(leaf, version, at, rank, key, first_rank);
        }
        let mut hints = leaf.hints();
        if at.is_multiple_of(BLOCK) {
            hints.set(at / BLOCK, scale.hint(rank));
        }
        // Each block behind `at` begins with the last key of the block before it.
        let (next, end) = (at / BLOCK + 1, count / BLOCK + 1);
        for block in next..end {
            // The entries of these blocks move. Fetching them now shortens the time under the lock.
            leaf.prefetch_values(block);
            let first = leaf.rank_at(version, block * BLOCK - 1, &self.policy)?;
            hints.set(block, scale.hint(first));
        }
        Ok(HintPlan { hints, shift: scale.shift, base: None })
    }

    /// As `plan_insertion`, if the scale does not fit the new key.
    #[cold]
    #[inline(never)]
    fn plan_with_new_scale(
        &self,
        leaf: LeafRef<'_, K, V>,
        version: LeafVersion,
        at: usize,
        rank: usize,
        key: &K,
        first_rank: impl Fn(usize) -> Result<usize, LeafChanged>,
    ) -> Result<HintPlan<K>, LeafChanged> {
        let count = version.meta.count();
        let last = if at == count { rank } else { leaf.rank_at(version, count - 1, &self.policy)? };
        // The hints of a leaf without a lower bound are counted from the lowest key that it has had.
        let is_base = !version.meta.has_lo() && at == 0;
        let base = if is_base { rank } else { leaf.scale_of(version, &self.policy)?.base };
        let scale = Scale::spanning(base, last);
        let mut hints = LeafHints::EMPTY;
        for block in 0..=count / BLOCK {
            hints.set(block, scale.hint(first_rank(block)?));
        }
        Ok(HintPlan { hints, shift: scale.shift, base: is_base.then_some(*key) })
    }

    /// Returns the hints of the leaf without the entry at `at`.
    #[inline(always)]
    pub(crate) fn plan_removal(
        &self,
        leaf: LeafRef<'_, K, V>,
        version: LeafVersion,
        at: usize,
    ) -> Result<HintPlan<K>, LeafChanged> {
        let count = version.meta.count();
        let scale = leaf.scale_of(version, &self.policy)?;
        let mut hints = leaf.hints();
        for block in at.div_ceil(BLOCK)..(count - 1).div_ceil(BLOCK) {
            leaf.prefetch_values(block);
            let first = leaf.rank_at(version, block * BLOCK + 1, &self.policy)?;
            hints.set(block, scale.hint(first));
        }
        if (count - 1).is_multiple_of(BLOCK) {
            // The entry is the only one in the last block.
            hints.clear(count / BLOCK);
        }
        // Exact ranks may come from a torn read. The lock fails then, and the plan is dropped.
        if !is_exact::<K, R>() {
            leaf.check(version)?;
        }
        Ok(HintPlan { hints, shift: scale.shift, base: None })
    }
}

impl<K: Copy> HintPlan<K> {
    /// Stores the plan in a locked leaf. Returns the leaf's meta with it.
    #[inline(always)]
    pub(crate) fn put<V: Copy>(&self, leaf: LeafRef<'_, K, V>, meta: Meta) -> Meta {
        leaf.put_hints(&self.hints);
        let meta = meta.with_shift(self.shift);
        match self.base {
            Some(base) => {
                leaf.put_lo(&base);
                meta.with_base()
            }
            None => meta,
        }
    }
}
