//! Look-ups of one key.

use super::descent::Tree;
use super::leaf::{Leaf, LeafVersion};
use super::policy::KeyPolicy;
use super::rank::is_exact;
use super::read_set::ReadSet;
use super::search::{CompareKey, SearchKey};
use crate::sync::backoff::{Backoff, WouldWait};
use crate::table::Failure;
use alloc::vec::Vec;
use core::mem::MaybeUninit;

/// The leaf is being written, or is perhaps not the right one.
pub(crate) struct Unsure;

impl<K: Copy + Ord, V: Copy, R: KeyPolicy<K>> Tree<K, V, R> {
    /// What `read` fetches beside the key's place. The value linearizes where its leaf is validated last.
    #[inline(always)]
    pub(crate) fn get<T: Copy>(
        &self,
        target: SearchKey<impl CompareKey<K>>,
        read: impl Fn(Leaf<'_, K, V>, usize) -> MaybeUninit<T>,
    ) -> Option<T> {
        if is_exact::<K, R>()
            && let Some(leaf) = self.hinted_leaf(target.rank)
        {
            let version = leaf.begin();
            if let Ok(value) = self.read_in_leaf(leaf, version, target, &read) {
                return value;
            }
        }
        self.get_by_search(target, read, &mut Backoff::spinning()).unwrap_or_default()
    }

    /// The answer of this leaf, if it is sure of one.
    #[inline(always)]
    fn read_in_leaf<T: Copy>(
        &self,
        leaf: Leaf<'_, K, V>,
        version: LeafVersion,
        target: SearchKey<impl CompareKey<K>>,
        read: impl Fn(Leaf<'_, K, V>, usize) -> MaybeUninit<T>,
    ) -> Result<Option<T>, Unsure> {
        // A locked leaf does not validate, and a dead one has no entries.
        let place = leaf.place(version, target, &self.ranking).map_err(|_| Unsure)?;
        if place.found {
            let value = read(leaf, place.at);
            if !leaf.validate(version) {
                return Err(Unsure);
            }
            // SAFETY: validated, and the key stands there.
            return Ok(Some(unsafe { value.assume_init() }));
        }
        if place.is_between(version.meta.count()) && leaf.validate(version) {
            Ok(None)
        } else {
            Err(Unsure)
        }
    }

    #[inline(always)]
    pub(crate) fn get_in_leaf(
        &self,
        leaf: Leaf<'_, K, V>,
        version: LeafVersion,
        target: SearchKey<impl CompareKey<K>>,
    ) -> Result<Option<V>, Unsure> {
        self.read_in_leaf(leaf, version, target, |leaf, at| leaf.fetch_value(at))
    }

    /// As `get`, from wherever the search may lead; waits as `backoff` has it.
    #[inline(never)]
    pub(crate) fn get_by_search<T: Copy>(
        &self,
        target: SearchKey<impl CompareKey<K>>,
        read: impl Fn(Leaf<'_, K, V>, usize) -> MaybeUninit<T>,
        backoff: &mut Backoff,
    ) -> Result<Option<T>, WouldWait> {
        loop {
            let Some(location) = self.seek(target, None, backoff)? else { return Ok(None) };
            if !location.place.found {
                return Ok(None);
            }
            let value = read(location.leaf, location.place.at);
            if location.leaf.validate(location.version) {
                // SAFETY: validated, and the key stands there.
                return Ok(Some(unsafe { value.assume_init() }));
            }
            backoff.again()?;
        }
    }

    /// What `read` fetches beside the place of each of `keys`, as of one moment: between the first and the second look
    /// at each leaf.
    pub(crate) fn get_snapshot<T: Copy>(
        &self,
        keys: &[SearchKey<impl CompareKey<K>>],
        read: impl Fn(Leaf<'_, K, V>, usize) -> MaybeUninit<T>,
        mut backoff: Backoff,
    ) -> Result<Vec<Option<T>>, Failure> {
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
                // SAFETY: validated, and the key stands there.
                found.push(value.map(|value| unsafe { value.assume_init() }));
            }
            if found.is_empty() && self.head().is_none() {
                // A map that has never had an entry.
                found.resize(keys.len(), None);
            }
            if found.len() == keys.len() && read_set.validate_all() {
                return Ok(found);
            }
            found.clear();
            read_set.clear();
            backoff.wait()?;
        }
    }
}
