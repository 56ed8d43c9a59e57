//! `FenceMap`'s batches: changes of many keys at one moment.

use super::fence_map::FenceMap;
use crate::api::op::Op;
use crate::error::TryError;
use crate::fence::tree::batch::Request;
use crate::fence::tree::rank::Ranking;
use crate::sync::backoff::Backoff;
use alloc::vec::Vec;

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> FenceMap<K, V, R> {
    /// Does all of `changes` at one moment, wherever their keys lie; returns what each key had before.
    ///
    /// Keys come in any order. Several changes of one key are done in turn, each finding what the one before it left.
    /// Nobody sees some of the changes without the others: not [`get`](Self::get)s one after the other, not
    /// [`range`](Self::range), not another batch. `Op::Keep` asks what a key has at that moment.
    ///
    /// Looks at all leaves with nothing locked, then locks them for the time of the stores: readers of these leaves
    /// wait so long. Begins again if a leaf changes before it is locked; each time that happens some other write has
    /// been done, but there is no bound: where others write to its leaves without a pause, a batch of very many
    /// of them may be put off for as long as that lasts. Allocates some words a change, and leaves where they are full;
    /// running out of memory is handled as in std's collections. `n log n` time to sort the keys, then that of a
    /// search each. Linearizes when the last leaf is locked.
    ///
    /// # Panics
    /// May do so where `Ord` is no total order, as std's sorting does. Nothing is changed then.
    ///
    /// ```
    /// use hedgerow::Op;
    /// let balances: hedgerow::FenceMap<&str, i64> = [("ann", 70), ("bob", 30)].into();
    /// let had = balances.apply_batch(&[("bob", Op::Insert(50)), ("ann", Op::Insert(50)), ("cid", Op::Keep)]);
    /// assert_eq!(had, [Some(30), Some(70), None]);
    /// assert_eq!(balances.range(..).collect::<Vec<_>>(), [("ann", 50), ("bob", 50)]);
    /// ```
    pub fn apply_batch(&self, changes: &[(K, Op<V>)]) -> Vec<Option<V>> {
        self.finish(self.tree().apply(Request::Changes(changes), Backoff::spinning()))
    }

    /// As [`apply_batch`](Self::apply_batch), but neither waits nor aborts. Where it fails nothing was changed.
    ///
    /// # Errors
    /// [`TryError::Busy`] when a writer is inside one of the leaves, or has just been, or inside the lists that a
    /// new leaf comes from; [`TryError::Alloc`] when there is no memory.
    ///
    /// ```
    /// use hedgerow::Op;
    /// let map: hedgerow::FenceMap<u32, char> = [(1, 'a')].into();
    /// assert_eq!(map.try_apply_batch(&[(1, Op::Remove), (2, Op::Insert('b'))]), Ok(vec![Some('a'), None]));
    /// assert_eq!(map.iter().collect::<Vec<_>>(), [(2, 'b')]);
    /// ```
    pub fn try_apply_batch(&self, changes: &[(K, Op<V>)]) -> Result<Vec<Option<V>>, TryError> {
        Ok(self.tree().apply(Request::Changes(changes), Backoff::never())?)
    }

    /// Does all of `changes`, each atomic by itself; returns what each key had before.
    ///
    /// Several changes of one key are done in turn; others in any order. Where
    /// [`apply_batch`](Self::apply_batch) locks all leaves at a time, this locks one after the other, once for all the
    /// changes in it, unless there are only a few. The more of them lie close together, the more that saves; where
    /// each lies in a leaf of its own, it saves waits for memory in a map that is larger than the caches, and costs
    /// more in one that is not. Waits, allocates and panics as `apply_batch` does; where an `Ord` panics, some of
    /// the changes may have been done.
    ///
    /// ```
    /// use hedgerow::Op;
    /// let map: hedgerow::FenceMap<u32, u32> = (0..1000).map(|n| (n, n)).collect();
    /// let changes: Vec<_> = (100..200).map(|n| (n, Op::Remove)).collect();
    /// assert!(map.apply_each(&changes).into_iter().eq((100..200).map(Some)));
    /// assert_eq!(map.len(), 900);
    /// ```
    pub fn apply_each(&self, changes: &[(K, Op<V>)]) -> Vec<Option<V>> {
        self.finish(self.tree().apply_by_leaf(Request::Changes(changes), Backoff::spinning()))
    }

    /// The values of all `keys` as they were at one moment: [`get_many`](Self::get_many) is quicker, but looks at each
    /// key at another one.
    ///
    /// Takes no lock and writes no shared memory. Begins again if one of the leaves changes meanwhile, without a bound.
    /// Waits while a writer is inside one of them. Allocates some words a key; panics as
    /// [`apply_batch`](Self::apply_batch) does. Linearizes between the first and the second look at each leaf.
    ///
    /// ```
    /// let balances: hedgerow::FenceMap<&str, i64> = [("ann", 70), ("bob", 30)].into();
    /// assert_eq!(balances.snapshot_many(&["bob", "cid", "ann"]), [Some(30), None, Some(70)]);
    /// ```
    pub fn snapshot_many(&self, keys: &[K]) -> Vec<Option<V>> {
        self.finish(self.tree().apply(Request::Keys(keys), Backoff::spinning()))
    }
}
