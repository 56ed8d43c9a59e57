//! Look-ups of one key.

use super::leaf::{Leaf, Look};
use super::range::Trail;
use super::rank::is_exact;
use super::rule::Rule;
use super::search::{Sought, Stand};
use super::tree::Tree;
use crate::api::failure::Failure;
use crate::sync::backoff::{Backoff, WouldWait};
use alloc::vec::Vec;
use core::mem::MaybeUninit;

/// The leaf is being written, or is perhaps not the right one.
pub(super) struct Unsure;

impl<K: Copy + Ord, V: Copy, R: Rule<K>> Tree<K, V, R> {
    /// What `read` fetches beside the key's place. The value linearizes where its leaf is validated last.
    #[inline(always)]
    pub(crate) fn get<T: Copy>(
        &self,
        sought: Sought<impl Stand<K>>,
        read: impl Fn(Leaf<'_, K, V>, usize) -> MaybeUninit<T>,
    ) -> Option<T> {
        if is_exact::<K, R>()
            && let Some(leaf) = self.at_once(sought.rank)
        {
            let look = leaf.begin();
            if let Ok(value) = self.read_here(leaf, look, sought, &read) {
                return value;
            }
        }
        self.get_slowly(sought, read, &mut Backoff::spinning()).unwrap_or_default()
    }

    /// The answer of this leaf, if it is sure of one.
    #[inline(always)]
    fn read_here<T: Copy>(
        &self,
        leaf: Leaf<'_, K, V>,
        look: Look,
        sought: Sought<impl Stand<K>>,
        read: impl Fn(Leaf<'_, K, V>, usize) -> MaybeUninit<T>,
    ) -> Result<Option<T>, Unsure> {
        // A locked leaf does not validate, and a dead one has no entries.
        let place = leaf.place(look, sought, &self.ranking).map_err(|_| Unsure)?;
        if place.found {
            let value = read(leaf, place.at);
            if !leaf.is_as(look) {
                return Err(Unsure);
            }
            // SAFETY: validated, and the key stands there.
            return Ok(Some(unsafe { value.assume_init() }));
        }
        if place.is_between(look.meta.count()) && leaf.is_as(look) { Ok(None) } else { Err(Unsure) }
    }

    #[inline(always)]
    pub(super) fn get_here(
        &self,
        leaf: Leaf<'_, K, V>,
        look: Look,
        sought: Sought<impl Stand<K>>,
    ) -> Result<Option<V>, Unsure> {
        self.read_here(leaf, look, sought, |leaf, at| leaf.fetch_value(at))
    }

    /// As `get`, from wherever the search may lead; waits as `backoff` has it.
    #[inline(never)]
    pub(crate) fn get_slowly<T: Copy>(
        &self,
        sought: Sought<impl Stand<K>>,
        read: impl Fn(Leaf<'_, K, V>, usize) -> MaybeUninit<T>,
        backoff: &mut Backoff,
    ) -> Result<Option<T>, WouldWait> {
        loop {
            let Some(spot) = self.seek(sought, None, backoff)? else { return Ok(None) };
            if !spot.place.found {
                return Ok(None);
            }
            let value = read(spot.leaf, spot.place.at);
            if spot.leaf.is_as(spot.look) {
                // SAFETY: validated, and the key stands there.
                return Ok(Some(unsafe { value.assume_init() }));
            }
            backoff.again()?;
        }
    }

    /// What `read` fetches beside the place of each of `keys`, as of one moment: between the first and the second look
    /// at each leaf.
    pub(crate) fn get_at_once<T: Copy>(
        &self,
        keys: &[Sought<impl Stand<K>>],
        read: impl Fn(Leaf<'_, K, V>, usize) -> MaybeUninit<T>,
        mut backoff: Backoff,
    ) -> Result<Vec<Option<T>>, Failure> {
        let mut found = Vec::new();
        found.try_reserve_exact(keys.len()).map_err(|_| Failure::Alloc)?;
        let mut trail = Trail::new();
        loop {
            for &sought in keys {
                let Some(spot) = self.seek(sought, None, &mut backoff)? else { break };
                let value = spot.place.found.then(|| read(spot.leaf, spot.place.at));
                if !spot.leaf.is_as(spot.look) {
                    break;
                }
                trail.push(spot.leaf, spot.look)?;
                // SAFETY: validated, and the key stands there.
                found.push(value.map(|value| unsafe { value.assume_init() }));
            }
            if found.is_empty() && self.head().is_none() {
                // A map that has never had an entry.
                found.resize(keys.len(), None);
            }
            if found.len() == keys.len() && trail.holds() {
                return Ok(found);
            }
            found.clear();
            trail.clear();
            backoff.wait()?;
        }
    }
}
