//! The entry next to a key, or to an end of the map, in either direction.
//!
//! If the key's own leaf has no such entry, the search goes on in its neighbours, and then validates all leaves once
//! more, as for a range ([`range`](super::range)). A removal confirms them by a swap instead ([SL-7]).

use super::descent::{Probe, Tree};
use super::leaf::{Changed, Leaf, LeafVersion, VersionedLeaf};
use super::policy::KeyPolicy;
use super::read_set::ReadSet;
use super::search::{CompareKey, SearchKey};
use crate::sync::backoff::{Backoff, WouldWait};
use crate::table::Failure;
use core::ops::Bound;

/// Which neighbour.
#[derive(Clone, Copy)]
pub(crate) enum Neighbour<S> {
    /// The first entry from here on.
    From(Bound<SearchKey<S>>),
    /// The last entry up to here.
    UpTo(Bound<SearchKey<S>>),
}

/// An entry that was found. No leaf on the way to it has an entry in between.
struct Found<'a, K, V> {
    leaf: Leaf<'a, K, V>,
    version: LeafVersion,
    at: usize,
    read_set: ReadSet<'a, K, V>,
}

impl<K: Copy + Ord, V: Copy, R: KeyPolicy<K>> Tree<K, V, R> {
    /// The entry, from a consistent snapshot.
    pub(crate) fn neighbour(
        &self,
        neighbour: Neighbour<impl CompareKey<K>>,
        mut backoff: Backoff,
    ) -> Result<Option<(K, V)>, Failure> {
        loop {
            let Ok(found) = self.find_neighbour(neighbour, &mut backoff)? else { continue };
            let Some(found) = found else { return Ok(None) };
            let (key, value) = (found.leaf.fetch_key(found.at), found.leaf.fetch_value(found.at));
            if found.leaf.validate(found.version) && found.read_set.validate_all() {
                // SAFETY: unchanged since the look, which said that there is such an entry.
                return Ok(Some(unsafe { (key.assume_init(), value.assume_init()) }));
            }
        }
    }

    /// Removes the entry, and passes it to `taken` before any other user code runs. Linearizes when the entry's leaf is
    /// locked; if there is no entry, as `neighbour` does.
    pub(crate) fn remove_neighbour(
        &self,
        neighbour: Neighbour<impl CompareKey<K>>,
        mut backoff: Backoff,
        taken: impl FnOnce(K),
    ) -> Result<Option<(K, V)>, Failure> {
        loop {
            let Ok(found) = self.find_neighbour(neighbour, &mut backoff)? else { continue };
            let Some(Found { leaf, version, at, read_set }) = found else { return Ok(None) };
            let (Ok(key), Ok(value)) = (leaf.key(version, at), leaf.value(version, at)) else {
                continue;
            };
            let Ok(plan) = self.plan_removal(leaf, version, at) else { continue };
            if !leaf.try_lock(version) {
                backoff.wait()?;
                continue;
            }
            // [SL-7] If a writer puts an entry into one of the empty leaves and then still finds this entry, its write
            // comes before this removal, and the removal finds that leaf changed.
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

    /// Where the entry is; its leaf is the last one of the trail.
    fn find_neighbour(
        &self,
        neighbour: Neighbour<impl CompareKey<K>>,
        backoff: &mut Backoff,
    ) -> Result<Result<Option<Found<'_, K, V>>, Changed>, Failure> {
        match neighbour {
            Neighbour::From(start) => self.find_from(start, backoff),
            Neighbour::UpTo(end) => self.find_up_to(end, backoff),
        }
    }

    fn find_from(
        &self,
        start: Bound<SearchKey<impl CompareKey<K>>>,
        backoff: &mut Backoff,
    ) -> Result<Result<Option<Found<'_, K, V>>, Changed>, Failure> {
        let Some((mut leaf, mut version)) = self.leaf_from(start, backoff)? else {
            return Ok(Ok(None));
        };
        let Ok(mut at) = self.first_at(leaf, version, start) else { return Ok(Err(Changed)) };
        let mut read_set = ReadSet::new();
        loop {
            read_set.push(leaf, version)?;
            if at < version.meta.count() {
                return Ok(Ok(Some(Found { leaf, version, at, read_set })));
            }
            let Ok(next) = leaf.next(version) else { return Ok(Err(Changed)) };
            if next == leaf {
                return Ok(if read_set.validate_all() { Ok(None) } else { Err(Changed) });
            }
            (leaf, version, at) = (next, next.begin(), 0);
            while version.is_locked() {
                backoff.wait()?;
                version = leaf.begin();
            }
            if !version.meta.is_live() {
                return Ok(Err(Changed));
            }
        }
    }

    fn find_up_to(
        &self,
        end: Bound<SearchKey<impl CompareKey<K>>>,
        backoff: &mut Backoff,
    ) -> Result<Result<Option<Found<'_, K, V>>, Changed>, Failure> {
        let start = match end {
            Bound::Unbounded => self.last_leaf(backoff)?,
            _ => self.leaf_from(end, backoff)?,
        };
        let Some((mut leaf, mut version)) = start else { return Ok(Ok(None)) };
        let place = |target| leaf.place(version, target, &self.ranking);
        let before = match end {
            Bound::Included(target) => place(target).map(Self::index_after),
            Bound::Excluded(target) => place(target).map(|place| place.at),
            Bound::Unbounded => Ok(version.meta.count()),
        };
        let Ok(mut before) = before else { return Ok(Err(Changed)) };
        let mut read_set = ReadSet::new();
        loop {
            read_set.push(leaf, version)?;
            if before > 0 {
                return Ok(Ok(Some(Found { leaf, version, at: before - 1, read_set })));
            }
            let Ok(lo) = leaf.lo(version) else { return Ok(Err(Changed)) };
            let Some(lo) = lo else {
                return Ok(if read_set.validate_all() { Ok(None) } else { Err(Changed) });
            };
            let Some((left, left_version)) = self.left_neighbour(leaf, &lo, backoff)? else {
                return Ok(Err(Changed));
            };
            (leaf, version, before) = (left, left_version, left_version.meta.count());
        }
    }

    /// The left neighbour of a leaf that begins with `lo`; None if things have changed.
    pub(crate) fn left_neighbour<'a>(
        &'a self,
        leaf: Leaf<'a, K, V>,
        lo: &K,
        backoff: &mut Backoff,
    ) -> Result<Option<VersionedLeaf<'a, K, V>>, WouldWait> {
        let is_left = |left: Leaf<'a, K, V>, version| {
            left.next(version).is_ok_and(|next| next == leaf && left != leaf)
        };
        let probe = Probe { target: self.search_key(lo), below: true };
        if let Some((left, version)) = self.find_leaf(probe, backoff)?
            && is_left(left, version)
        {
            return Ok(Some((left, version)));
        }
        // Things have changed, or `Ord` is broken. From the first leaf it goes without.
        let Some(mut left) = self.head() else { return Ok(None) };
        loop {
            let version = left.begin();
            if version.is_locked() {
                backoff.wait()?;
                continue;
            }
            if !version.meta.is_live() {
                return Ok(None);
            }
            if is_left(left, version) {
                return Ok(Some((left, version)));
            }
            match left.next(version) {
                Ok(next) if next == left => return Ok(None),
                Ok(next) => left = next,
                Err(Changed) => {}
            }
        }
    }

    /// The last leaf.
    pub(crate) fn last_leaf(
        &self,
        backoff: &mut Backoff,
    ) -> Result<Option<VersionedLeaf<'_, K, V>>, WouldWait> {
        'tail: loop {
            let Some(mut leaf) = self.tail() else { return Ok(None) };
            loop {
                let version = leaf.begin();
                if version.is_locked() {
                    backoff.wait()?;
                    continue;
                }
                if !version.meta.is_live() {
                    // Whoever let it die has named another one before.
                    continue 'tail;
                }
                match leaf.next(version) {
                    Ok(next) if next == leaf => return Ok(Some((leaf, version))),
                    Ok(next) => leaf = next,
                    Err(Changed) => {}
                }
            }
        }
    }
}
