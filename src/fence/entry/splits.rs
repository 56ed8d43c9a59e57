//! Fences that are there before their keys are.

use super::super::rank::Ranking;
use super::map::OrdMap;
use super::ops::give_up;
use super::raw::Raw;
use crate::reclaim::guard::pin;
use crate::reclaim::pair::KeyNode;

impl<K: Ord + Clone, V, R: Ranking<K>> OrdMap<K, V, R> {
    /// The map with a fence that begins at each of `keys`: for who knows where the load will be, before it is there. As
    /// [`FenceMap::with_splits`](crate::FenceMap::with_splits); each key is cloned.
    ///
    /// ```
    /// let by_initial = hedgerow::OrdMap::<String, u32>::new().with_splits(["f".into(), "t".into()]);
    /// let lows: Vec<_> = by_initial.fences().into_iter().map(|fence| fence.low).collect();
    /// assert_eq!(lows, [None, Some("f".into()), Some("t".into())]);
    /// ```
    #[must_use]
    pub fn with_splits(self, keys: impl IntoIterator<Item = K>) -> Self {
        let _guard = pin();
        for key in keys {
            // Lasts while the fence is made; what bounds the leaf is a clone.
            let stem = KeyNode::new(key).unwrap_or_else(give_up::<K, V, _, _>);
            // SAFETY: ours.
            let rank = self.sought(unsafe { &(*stem.0.0.as_ptr()).key }).rank;
            let raw = Raw { rank, node: stem.0.0 };
            self.tree().begin_fence_at(&raw).unwrap_or_else(give_up::<K, V, _, _>);
        }
        self
    }
}
