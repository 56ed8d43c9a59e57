//! Lookups of one key, and of several keys in a snapshot.

use super::descent::FenceTree;
use super::leaf::{LeafRef, LeafVersion};
use super::policy::KeyPolicy;
use super::rank::is_exact;
use super::read_set::ReadSet;
use super::search::{CompareKey, SearchKey};
use crate::api::failure::Failure;
use crate::sync::backoff::{Backoff, WouldWait};
use alloc::vec::Vec;
use core::mem::MaybeUninit;

/// The leaf is locked or has changed, or another leaf may be the right one.
pub(crate) struct Unsure;

impl<K: Copy + Ord, V: Copy, R: KeyPolicy<K>> FenceTree<K, V, R> {
    /// Looks up a key, and returns what `read` fetches at its place. Linearizes when the leaf is validated last.
    #[inline(always)]
    pub(crate) fn get<T: Copy>(
        &self,
        target: SearchKey<impl CompareKey<K>>,
        read: impl Fn(LeafRef<'_, K, V>, usize) -> MaybeUninit<T>,
    ) -> Option<T> {
        let _operation = self.scheduled.operation();
        // Fast path: exact keys are compared without validation first, and mostly the hints are right.
        if is_exact::<K, R>()
            && let Some(leaf) = self.hinted_leaf(target.rank)
        {
            let version = leaf.begin();
            if let Ok(value) = self.read_in_leaf(leaf, version, target, &read) {
                return value;
            }
        }
        self.search_and_read(target, read, &mut Backoff::spinning()).unwrap_or_default()
    }

    /// Looks the key up in this leaf alone.
    #[inline(always)]
    fn read_in_leaf<T: Copy>(
        &self,
        leaf: LeafRef<'_, K, V>,
        version: LeafVersion,
        target: SearchKey<impl CompareKey<K>>,
        read: impl Fn(LeafRef<'_, K, V>, usize) -> MaybeUninit<T>,
    ) -> Result<Option<T>, Unsure> {
        // A locked leaf does not validate, and a retired one has no entries.
        let place = leaf.place(version, target, &self.policy).map_err(|_| Unsure)?;
        if place.found {
            let value = read(leaf, place.at);
            if !leaf.validate(version) {
                return Err(Unsure);
            }
            // SAFETY: validated since it was fetched, and `place` is that of an entry.
            return Ok(Some(unsafe { value.assume_init() }));
        }
        // Between two entries the key belongs to this leaf, so it is absent. At either end the bounds decide, and the
        // search reads them.
        if place.is_between(version.meta.count()) && leaf.validate(version) {
            Ok(None)
        } else {
            Err(Unsure)
        }
    }

    #[inline(always)]
    pub(crate) fn get_in_leaf(
        &self,
        leaf: LeafRef<'_, K, V>,
        version: LeafVersion,
        target: SearchKey<impl CompareKey<K>>,
    ) -> Result<Option<V>, Unsure> {
        self.read_in_leaf(leaf, version, target, |leaf, at| leaf.fetch_value(at))
    }

    /// As `get`, by a search that finds the right leaf even if the hints are wrong. Waits as far as `backoff` allows.
    #[inline]
    pub(crate) fn get_by_search<T: Copy>(
        &self,
        target: SearchKey<impl CompareKey<K>>,
        read: impl Fn(LeafRef<'_, K, V>, usize) -> MaybeUninit<T>,
        backoff: &mut Backoff,
    ) -> Result<Option<T>, WouldWait> {
        let _operation = self.scheduled.operation();
        self.search_and_read(target, read, backoff)
    }

    #[inline(never)]
    fn search_and_read<T: Copy>(
        &self,
        target: SearchKey<impl CompareKey<K>>,
        read: impl Fn(LeafRef<'_, K, V>, usize) -> MaybeUninit<T>,
        backoff: &mut Backoff,
    ) -> Result<Option<T>, WouldWait> {
        loop {
            let Some(location) = self.seek(target, None, backoff)? else { return Ok(None) };
            // `seek` has validated the leaf after it read the keys, so the key was absent then.
            if !location.place.found {
                return Ok(None);
            }
            let value = read(location.leaf, location.place.at);
            if location.leaf.validate(location.version) {
                // SAFETY: validated since it was fetched, and `place` is that of an entry.
                return Ok(Some(unsafe { value.assume_init() }));
            }
            backoff.again()?;
        }
    }

    /// Looks up all `keys` as of a single point in time: between the last first read of a leaf and the first
    /// validation. Returns what `read` fetches at their places.
    pub(crate) fn get_snapshot<T: Copy>(
        &self,
        keys: &[SearchKey<impl CompareKey<K>>],
        read: impl Fn(LeafRef<'_, K, V>, usize) -> MaybeUninit<T>,
        mut backoff: Backoff,
    ) -> Result<Vec<Option<T>>, Failure> {
        let _operation = self.scheduled.operation();
        let mut found = Vec::new();
        found.try_reserve_exact(keys.len()).map_err(|_| Failure::Alloc)?;
        let mut read_set = ReadSet::new();
        loop {
            for &target in keys {
                let Some(location) = self.seek(target, None, &mut backoff)? else { break };
                let value = location.place.found.then(|| read(location.leaf, location.place.at));
                if !location.leaf.validate(location.version) {
                    break;
                }
                read_set.push(location.leaf, location.version)?;
                // SAFETY: validated since it was fetched, and `place` is that of an entry.
                found.push(value.map(|value| unsafe { value.assume_init() }));
            }
            if found.is_empty() && self.head().is_none() {
                // A map that has never had an entry.
                found.resize(keys.len(), None);
            }
            // [RA-1] each leaf was validated by itself. Only all of them together make a snapshot.
            if found.len() == keys.len() && read_set.validate_all() {
                return Ok(found);
            }
            found.clear();
            read_set.clear();
            backoff.wait()?;
        }
    }
}
