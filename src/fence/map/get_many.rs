//! Lookups of many keys at a time, whose waits for memory overlap (see [`batch`](crate::api::batch)).

use super::fence_map::FenceMap;
use crate::api::batch::{MIN_BATCH, WINDOW, same_length};
use crate::facade::IN_USERS_MODEL;
use crate::fence::tree::descent::FenceTree;
use crate::fence::tree::leaf::{LeafRef, LeafVersion};
use crate::fence::tree::policy::KeyPolicy;
use crate::fence::tree::rank::{Ranking, is_exact};
use crate::fence::tree::search::{CompareKey, SearchKey};
use crate::sync::backoff::Backoff;

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> FenceMap<K, V, R> {
    /// Stores the value of each of `keys` in `values`. Same as a [`get`](Self::get) of each, but twice as fast in a map
    /// that is larger than the caches, if its keys are integers of up to a word.
    ///
    /// Waits and linearizes as `get` does, key by key: a batch is not atomic. Allocates nothing.
    ///
    /// # Panics
    /// If the slices differ in length.
    ///
    /// ```
    /// let map: hedgerow::FenceMap<_, _> = [(1, 'a'), (2, 'b')].into();
    /// let mut values = [None; 3];
    /// map.get_many(&[2, 3, 1], &mut values);
    /// assert_eq!(values, [Some('b'), None, Some('a')]);
    /// ```
    pub fn get_many(&self, keys: &[K], values: &mut [Option<V>]) {
        same_length(keys.len(), values.len());
        for (keys, values) in keys.chunks(WINDOW).zip(values.chunks_mut(WINDOW)) {
            if !is_exact::<K, R>() || keys.len() < MIN_BATCH || IN_USERS_MODEL {
                keys.iter().zip(values).for_each(|(key, value)| *value = self.get(key));
            } else {
                self.tree().get_window(keys, values);
            }
        }
    }
}

impl<K: Copy + Ord, V: Copy, R: KeyPolicy<K>> FenceTree<K, V, R> {
    /// Looks up the keys of a window: prefetches all headers, then the blocks, and then reads.
    #[inline]
    fn get_window(&self, keys: &[K], values: &mut [Option<V>]) {
        let mut steps: [Option<(LeafRef<'_, K, V>, LeafVersion)>; WINDOW] = [None; WINDOW];
        let mut leaves = [None; WINDOW];
        for (key, slot) in keys.iter().zip(&mut leaves) {
            *slot = self.hinted_leaf(self.search_key(key).rank);
            if let Some(leaf) = slot {
                leaf.prefetch();
            }
        }
        for ((key, leaf), step) in keys.iter().zip(leaves).zip(&mut steps) {
            *step = leaf.map(|leaf| {
                let version = leaf.begin();
                leaf.prefetch_block(version, self.search_key(key).rank, &self.policy);
                (leaf, version)
            });
        }
        for ((key, step), value) in keys.iter().zip(steps).zip(values) {
            let target = self.search_key(key);
            *value = match step.map(|(leaf, version)| self.get_in_leaf(leaf, version, target)) {
                Some(Ok(value)) => value,
                _ => self.get_alone(target),
            };
        }
    }

    #[cold]
    fn get_alone(&self, target: SearchKey<impl CompareKey<K>>) -> Option<V> {
        let mut backoff = Backoff::spinning();
        self.get_by_search(target, |leaf, at| leaf.fetch_value(at), &mut backoff)
            .unwrap_or_default()
    }
}
