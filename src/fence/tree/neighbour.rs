//! The entry next to a key, or at an end of the map, in either direction.
//!
//! If the key's own leaf has no such entry, the search goes on in the neighbouring leaves. In the end it validates all
//! of them together, as a range does ([`read_set`](super::read_set)). A removal confirms them by swaps instead
//! ([SL-7]).

use super::descent::{FenceTree, SearchProbe};
use super::leaf::{LeafChanged, LeafRef, LeafVersion, VersionedLeaf};
use super::policy::KeyPolicy;
use super::read_set::ReadSet;
use super::search::{CompareKey, SearchKey};
use crate::api::failure::Failure;
use crate::sync::backoff::{Backoff, WouldWait};
use core::ops::Bound;

/// The entry to find.
#[derive(Clone, Copy)]
pub(crate) enum Neighbour<S> {
    /// The first entry within this lower bound.
    From(Bound<SearchKey<S>>),
    /// The last entry within this upper bound.
    UpTo(Bound<SearchKey<S>>),
}

/// An entry that was found. The leaves of the read set have no entry between it and the bound.
struct NeighbourEntry<'a, K, V> {
    leaf: LeafRef<'a, K, V>,
    version: LeafVersion,
    at: usize,
    read_set: ReadSet<'a, K, V>,
}

impl<K: Copy + Ord, V: Copy, R: KeyPolicy<K>> FenceTree<K, V, R> {
    /// Returns the entry, as of a single point in time.
    pub(crate) fn neighbour(
        &self,
        neighbour: Neighbour<impl CompareKey<K>>,
        mut backoff: Backoff,
    ) -> Result<Option<(K, V)>, Failure> {
        let _operation = self.scheduled.operation();
        loop {
            let Ok(found) = self.find_neighbour(neighbour, &mut backoff)? else { continue };
            let Some(found) = found else { return Ok(None) };
            let (key, value) = (found.leaf.fetch_key(found.at), found.leaf.fetch_value(found.at));
            if found.leaf.validate(found.version) && found.read_set.validate_all() {
                // SAFETY: validated since they were fetched, and the leaf has more than `at` entries.
                return Ok(Some(unsafe { (key.assume_init(), value.assume_init()) }));
            }
        }
    }

    /// Removes the entry, and passes its key to `taken` before any other user code runs. Linearizes when the entry's
    /// leaf is locked, or, if there is no entry, as `neighbour` does.
    pub(crate) fn remove_neighbour(
        &self,
        neighbour: Neighbour<impl CompareKey<K>>,
        mut backoff: Backoff,
        taken: impl FnOnce(K),
    ) -> Result<Option<(K, V)>, Failure> {
        let _operation = self.scheduled.operation();
        loop {
            let Ok(found) = self.find_neighbour(neighbour, &mut backoff)? else { continue };
            let Some(NeighbourEntry { leaf, version, at, read_set }) = found else {
                return Ok(None);
            };
            let (Ok(key), Ok(value)) = (leaf.key(version, at), leaf.value(version, at)) else {
                continue;
            };
            let Ok(plan) = self.plan_removal(leaf, version, at) else { continue };
            if !leaf.try_lock(version) {
                backoff.wait()?;
                continue;
            }
            // [SL-7] another thread may insert a closer entry into one of the empty leaves, and then look this entry
            // up. If it still finds this entry, its insertion came before this removal. Then the swap of that leaf
            // fails, and the removal starts again. Otherwise it would have skipped the closer entry.
            if !read_set.confirm_all_but(leaf) {
                leaf.unlock_unchanged(version);
                backoff.wait()?;
                continue;
            }
            let count = version.meta.count();
            leaf.close_gap(at, 1, count);
            leaf.unlock(version, plan.put(leaf, version.meta.with_count(count - 1)));
            self.len.add(-1);
            taken(key);
            self.merge_after_removal(leaf, version, &mut backoff);
            return Ok(Some((key, value)));
        }
    }

    /// Finds the entry. Its leaf is the last one of the read set.
    fn find_neighbour(
        &self,
        neighbour: Neighbour<impl CompareKey<K>>,
        backoff: &mut Backoff,
    ) -> Result<Result<Option<NeighbourEntry<'_, K, V>>, LeafChanged>, Failure> {
        match neighbour {
            Neighbour::From(start) => self.find_from(start, backoff),
            Neighbour::UpTo(end) => self.find_up_to(end, backoff),
        }
    }

    fn find_from(
        &self,
        start: Bound<SearchKey<impl CompareKey<K>>>,
        backoff: &mut Backoff,
    ) -> Result<Result<Option<NeighbourEntry<'_, K, V>>, LeafChanged>, Failure> {
        let Some((mut leaf, mut version)) = self.leaf_from(start, backoff)? else {
            return Ok(Ok(None));
        };
        let Ok(mut at) = self.first_at(leaf, version, start) else { return Ok(Err(LeafChanged)) };
        let mut read_set = ReadSet::new();
        loop {
            read_set.push(leaf, version)?;
            if at < version.meta.count() {
                return Ok(Ok(Some(NeighbourEntry { leaf, version, at, read_set })));
            }
            let Ok(next) = leaf.next(version) else { return Ok(Err(LeafChanged)) };
            // The last leaf. That all leaves are empty has to be true as of a single point in time too.
            if next == leaf {
                return Ok(if read_set.validate_all() { Ok(None) } else { Err(LeafChanged) });
            }
            (leaf, version, at) = (next, next.begin_unlocked(backoff)?, 0);
            // A retired leaf says nothing about its keys, which are in another leaf now.
            if !version.meta.is_live() {
                return Ok(Err(LeafChanged));
            }
        }
    }

    fn find_up_to(
        &self,
        end: Bound<SearchKey<impl CompareKey<K>>>,
        backoff: &mut Backoff,
    ) -> Result<Result<Option<NeighbourEntry<'_, K, V>>, LeafChanged>, Failure> {
        let start = match end {
            Bound::Unbounded => self.last_leaf(backoff)?,
            _ => self.leaf_from(end, backoff)?,
        };
        let Some((mut leaf, mut version)) = start else { return Ok(Ok(None)) };
        let place = |target| leaf.place(version, target, &self.policy);
        let before = match end {
            Bound::Included(target) => place(target).map(Self::index_after),
            Bound::Excluded(target) => place(target).map(|place| place.at),
            Bound::Unbounded => Ok(version.meta.count()),
        };
        let Ok(mut before) = before else { return Ok(Err(LeafChanged)) };
        let mut read_set = ReadSet::new();
        loop {
            read_set.push(leaf, version)?;
            if before > 0 {
                return Ok(Ok(Some(NeighbourEntry { leaf, version, at: before - 1, read_set })));
            }
            let Ok(lo) = leaf.lo(version) else { return Ok(Err(LeafChanged)) };
            let Some(lo) = lo else {
                return Ok(if read_set.validate_all() { Ok(None) } else { Err(LeafChanged) });
            };
            let Some((left, left_version)) = self.left_neighbour(leaf, &lo, backoff)? else {
                return Ok(Err(LeafChanged));
            };
            (leaf, version, before) = (left, left_version, left_version.meta.count());
        }
    }

    /// Returns the left neighbour of a leaf with the lower bound `lo`. None if a leaf has changed meanwhile.
    pub(crate) fn left_neighbour<'a>(
        &'a self,
        leaf: LeafRef<'a, K, V>,
        lo: &K,
        backoff: &mut Backoff,
    ) -> Result<Option<VersionedLeaf<'a, K, V>>, WouldWait> {
        let is_left = |left: LeafRef<'a, K, V>, next| next == leaf && left != leaf;
        let probe = SearchProbe { target: self.search_key(lo), below: true };
        if let Some((left, version)) = self.find_leaf(probe, backoff)? {
            // One write to the left leaf is no reason for a walk: the caller begins again.
            let Ok(next) = left.next(version) else { return Ok(None) };
            if is_left(left, next) {
                return Ok(Some((left, version)));
            }
        }
        // Leaves have changed, or `Ord` is inconsistent. A walk from the first leaf compares no keys.
        let Some(mut left) = self.head() else { return Ok(None) };
        loop {
            let version = left.begin_unlocked(backoff)?;
            if !version.meta.is_live() {
                return Ok(None);
            }
            match left.next(version) {
                Ok(next) if is_left(left, next) => return Ok(Some((left, version))),
                Ok(next) if next == left => return Ok(None),
                Ok(next) => left = next,
                Err(LeafChanged) => {}
            }
        }
    }

    /// Returns the last leaf. None in a map that has never had an entry.
    pub(crate) fn last_leaf(
        &self,
        backoff: &mut Backoff,
    ) -> Result<Option<VersionedLeaf<'_, K, V>>, WouldWait> {
        'tail: loop {
            let Some(mut leaf) = self.tail() else { return Ok(None) };
            loop {
                let version = leaf.begin_unlocked(backoff)?;
                if !version.meta.is_live() {
                    // A merge has named another last leaf before it retired this one.
                    continue 'tail;
                }
                match leaf.next(version) {
                    Ok(next) if next == leaf => return Ok(Some((leaf, version))),
                    Ok(next) => leaf = next,
                    Err(LeafChanged) => {}
                }
            }
        }
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;
    use crate::FenceMap;
    use crate::fence::Ranking;
    use core::cmp::Ordering;
    use std::cell::RefCell;
    use std::sync::Arc;

    type Map = FenceMap<Key, u64, ByNumber>;

    std::thread_local! {
        /// The first comparison with this key writes to it.
        static MEDDLES: RefCell<Option<(Key, Arc<Map>)>> = const { RefCell::new(None) };
    }

    #[derive(Clone, Copy, PartialEq, Eq)]
    struct Key(u64);
    impl Ord for Key {
        fn cmp(&self, other: &Self) -> Ordering {
            let meddles = MEDDLES.take();
            match meddles {
                Some((key, map)) if *other == key => _ = map.insert(key, 0),
                later => drop(MEDDLES.replace(later)),
            }
            self.0.cmp(&other.0)
        }
    }
    impl PartialOrd for Key {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }

    struct ByNumber;
    impl Ranking<Key> for ByNumber {
        fn rank(&self, key: &Key) -> u64 {
            // The upper half is all that 32-bit targets use.
            key.0 << 32
        }
    }

    fn right_of(leaf: LeafRef<'_, Key, u64>) -> LeafRef<'_, Key, u64> {
        leaf.next(leaf.begin()).unwrap_or(leaf)
    }

    /// A write to the left leaf, after the look-up has found it, makes the caller begin again. A walk from the first
    /// leaf would read all leaves before it.
    #[test]
    fn a_write_to_the_left_neighbour_causes_no_walk() {
        let map = Arc::new(Map::with_ranking(ByNumber));
        let tree = map.tree();
        for n in 0..500 {
            map.insert(Key(n), n);
        }
        let first = tree.head().unwrap();
        let second = right_of(first);
        let third = right_of(second);
        let bound =
            |leaf: LeafRef<'_, Key, u64>| leaf.lo(leaf.begin()).unwrap_or_default().unwrap();
        assert!(first != second && second != third, "there are too few leaves");
        MEDDLES.set(Some((bound(second), Arc::clone(&map))));
        // A walk waits for this lock.
        let version = first.begin();
        assert!(first.try_lock(version));
        let found = tree.left_neighbour(third, &bound(third), &mut Backoff::never());
        first.unlock_unchanged(version);
        assert!(MEDDLES.take().is_none(), "nobody has written to the left leaf");
        assert!(found.is_ok(), "a walk reads the first leaf");
        assert!(found.unwrap_or_default().is_none(), "a leaf that has changed is returned");
        let found = tree.left_neighbour(third, &bound(third), &mut Backoff::never());
        assert!(matches!(found, Ok(Some((left, _))) if left == second), "another leaf");
    }
}
