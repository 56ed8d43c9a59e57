//! `FenceMap`'s batches: changes and lookups of many keys as of a single point in time.

use super::fence_map::FenceMap;
use crate::api::op::Op;
use crate::error::TryError;
use crate::fence::tree::batch::BatchOps;
use crate::fence::tree::rank::Ranking;
use crate::sync::backoff::Backoff;
use alloc::vec::Vec;

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> FenceMap<K, V, R> {
    /// Applies all of `changes` atomically, even if their keys belong to different leaves. Returns each key's previous
    /// value.
    ///
    /// No other operation sees some of the changes without the others: not a sequence of [`get`](Self::get)s, not
    /// [`range`](Self::range), not another batch. Keys may be in any order. Several changes of one key are applied in
    /// the order of the slice, and each sees the result of the one before it. `Op::Keep` only reads.
    ///
    /// Reads all leaves while nothing is locked, then locks them while it stores; readers of these leaves wait that
    /// long. Starts again if a leaf changes before it is locked. Each time, some other write has succeeded, but there
    /// is no bound: if other threads write to these leaves without a pause, a batch of very many leaves may not
    /// complete until they stop. Allocates a few words per change, and leaves if they are full. Running out of memory
    /// is handled as in std's collections. Takes `n log n` time to sort the keys, plus a search for each. Linearizes
    /// when the last leaf is locked.
    ///
    /// # Panics
    /// May panic if `Ord` is no total order, as std's sort does. Then all changes are applied or none.
    ///
    /// ```
    /// use hedgerow::Op;
    /// let balances: hedgerow::FenceMap<&str, i64> = [("ann", 70), ("bob", 30)].into();
    /// let had = balances.apply_batch(&[("bob", Op::Insert(50)), ("ann", Op::Insert(50)), ("cid", Op::Keep)]);
    /// assert_eq!(had, [Some(30), Some(70), None]);
    /// assert_eq!(balances.range(..).collect::<Vec<_>>(), [("ann", 50), ("bob", 50)]);
    /// ```
    pub fn apply_batch(&self, changes: &[(K, Op<V>)]) -> Vec<Option<V>> {
        self.finish(self.tree().apply(BatchOps::Changes(changes), Backoff::spinning()))
    }

    /// As [`apply_batch`](Self::apply_batch), but neither waits nor aborts. If it fails, nothing was changed.
    ///
    /// # Errors
    /// [`TryError::Busy`] if one of the leaves, or a list that a new leaf comes from, is being written, or if a leaf
    /// has just changed; [`TryError::Alloc`] if memory runs out.
    ///
    /// ```
    /// use hedgerow::Op;
    /// let map: hedgerow::FenceMap<u32, char> = [(1, 'a')].into();
    /// assert_eq!(map.try_apply_batch(&[(1, Op::Remove), (2, Op::Insert('b'))]), Ok(vec![Some('a'), None]));
    /// assert_eq!(map.iter().collect::<Vec<_>>(), [(2, 'b')]);
    /// ```
    pub fn try_apply_batch(&self, changes: &[(K, Op<V>)]) -> Result<Vec<Option<V>>, TryError> {
        Ok(self.tree().apply(BatchOps::Changes(changes), Backoff::never())?)
    }

    /// Applies all of `changes`, each atomic by itself. Returns the previous value of each key.
    ///
    /// Several changes of one key are applied in the order of the slice; those of different keys in any order.
    ///
    /// [`apply_batch`](Self::apply_batch) locks all leaves together; this locks one after the other, once for all
    /// changes in it, unless there are only a few changes. So changes of neighbouring keys are cheaper than single
    /// operations. If each change is in a leaf of its own, the batch saves cache misses in a map that is larger than
    /// the caches, and costs more in a smaller one. Waits, allocates and panics as `apply_batch` does. If `Ord` panics,
    /// some of the changes may have been applied.
    ///
    /// ```
    /// use hedgerow::Op;
    /// let map: hedgerow::FenceMap<u32, u32> = (0..1000).map(|n| (n, n)).collect();
    /// let changes: Vec<_> = (100..200).map(|n| (n, Op::Remove)).collect();
    /// assert!(map.apply_each(&changes).into_iter().eq((100..200).map(Some)));
    /// assert_eq!(map.len(), 900);
    /// ```
    pub fn apply_each(&self, changes: &[(K, Op<V>)]) -> Vec<Option<V>> {
        self.finish(self.tree().apply_by_leaf(BatchOps::Changes(changes), Backoff::spinning()))
    }

    /// Returns the values of all `keys` as a consistent snapshot. [`get_many`](Self::get_many) is faster, but reads
    /// each key at a different time.
    ///
    /// Takes no lock and writes no shared memory. Starts again if one of the leaves changes in the meantime, any number
    /// of times. Waits while one of the leaves is being written. Allocates a few words per key. Panics as
    /// [`apply_batch`](Self::apply_batch) does. Linearizes between the first read of the last leaf and the validation
    /// of all leaves.
    ///
    /// ```
    /// let balances: hedgerow::FenceMap<&str, i64> = [("ann", 70), ("bob", 30)].into();
    /// assert_eq!(balances.snapshot_many(&["bob", "cid", "ann"]), [Some(30), None, Some(70)]);
    /// ```
    pub fn snapshot_many(&self, keys: &[K]) -> Vec<Option<V>> {
        self.finish(self.tree().apply(BatchOps::Keys(keys), Backoff::spinning()))
    }
}
