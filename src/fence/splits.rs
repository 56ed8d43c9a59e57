//! Fences that are there before their keys are.

use super::grow::give_to_fresh;
use super::map::FenceMap;
use super::rank::Ranking;
use super::rule::Rule;
use super::tree::{Probe, Tree};
use crate::api::failure::Failure;
use crate::sync::backoff::Backoff;

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> FenceMap<K, V, R> {
    /// The map with a fence that begins at each of `keys`: for who knows where the load will be, before it is there.
    ///
    /// What the map answers is the same with fences or without. They are where
    /// [`rebalance_step`](Self::rebalance_step) begins, which may move, split and join them as the load says. Each key
    /// costs a leaf and a fence, some kilobytes, so give tens of them, not thousands. Running out of memory is handled
    /// as in std's collections.
    ///
    /// ```
    /// let by_initial = hedgerow::FenceMap::<char, u32>::new().with_splits(['f', 'm', 't']);
    /// let lows: Vec<_> = by_initial.fences().iter().map(|fence| fence.low).collect();
    /// assert_eq!(lows, [None, Some('f'), Some('m'), Some('t')]);
    /// ```
    #[must_use]
    pub fn with_splits(self, keys: impl IntoIterator<Item = K>) -> Self {
        for key in keys {
            self.finish(self.tree().begin_fence_at(&key));
        }
        self
    }
}

impl<K: Copy + Ord, V: Copy, R: Rule<K>> Tree<K, V, R> {
    pub(super) fn begin_fence_at(&self, key: &K) -> Result<(), Failure> {
        let mut backoff = Backoff::spinning();
        if self.head().is_none() {
            self.plant(&mut backoff)?;
        }
        self.begin_leaf_at(key, &mut backoff)?;
        let probe = Probe { sought: self.sought(key), below: false };
        let Some((leaf, _)) = self.locate(probe, &mut backoff)? else { return Ok(()) };
        let Some(fence) = self.fence_for(probe, &mut backoff)? else { return Ok(()) };
        self.route.provide(true)?;
        let editor = fence.lock();
        if let Some(at) = editor.position(leaf.as_ptr()).filter(|&at| at > 0)
            && let Some(mut route) = self.route.edit(true)
        {
            give_to_fresh(&editor, &mut route, at);
        }
        Ok(())
    }

    /// Sees to it that a leaf begins with `key`, where `Ord` has it so.
    pub(super) fn begin_leaf_at(&self, key: &K, backoff: &mut Backoff) -> Result<(), Failure> {
        let Some(spot) = self.seek(self.sought(key), None, backoff)? else { return Ok(()) };
        let begins = matches!(spot.leaf.lo(spot.look), Ok(Some(lo)) if lo >= *key);
        if begins {
            return Ok(());
        }
        self.split_at((spot.leaf, spot.look), spot.place.at, key, backoff)
    }
}
