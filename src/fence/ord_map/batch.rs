//! `OrdMap`'s batches: changes of many keys as of a single point in time.

use super::map::OrdMap;
use super::raw::RawKey;
use crate::api::op::Op;
use crate::fence::tree::batch::{BatchOps, BatchResult, OldEntry};
use crate::fence::tree::leaf::{LeafChanged, LeafRef, LeafVersion};
use crate::fence::tree::rank::Ranking;
use crate::reclaim::entry::NodeOf;
use crate::reclaim::map::NodeMap;
use crate::reclaim::pair::{KeyNode, Pair, out_of_memory};
use crate::reclaim::removed::Removed;
use crate::reclaim::retired::{Fresh, WaitMode};
use crate::sync::backoff::Backoff;
use alloc::vec::Vec;
use core::mem;

impl<K> OldEntry<RawKey<K>, ()> for RawKey<K> {
    /// An entry is one node, which is replaced as a whole.
    const REPLACES_KEYS: bool = true;

    fn read(
        leaf: LeafRef<'_, Self, ()>,
        version: LeafVersion,
        at: usize,
    ) -> Result<Self, LeafChanged> {
        leaf.key(version, at)
    }

    fn of(key: Self, (): ()) -> Self {
        key
    }
}

/// A change before it is made, with the owner of its key.
enum PendingChange<K, V> {
    Entry(Fresh<Pair<K, V>>),
    /// Removes the entry of this key, or keeps it.
    Key(Fresh<KeyNode<K>>, Op<()>),
    /// The change is made, and the map owns the entry.
    Stored,
}

impl<K, V> PendingChange<K, V> {
    /// Returns the change as the tree gets it.
    fn raw(&self, rank: impl FnOnce(&K) -> usize) -> (RawKey<K>, Op<()>) {
        let (node, op) = match self {
            Self::Entry(fresh) => (Pair::as_key_node(fresh.0.0), Op::Insert(())),
            Self::Key(fresh, op) => (fresh.0.0, *op),
            Self::Stored => unreachable!("nothing is stored before it is asked for"),
        };
        let mut raw = RawKey { rank: 0, node };
        // SAFETY: `self` owns the node.
        raw.rank = rank(unsafe { raw.key() });
        (raw, op)
    }
}

impl<K: Ord + Clone, V, R: Ranking<K>> OrdMap<K, V, R> {
    /// Applies all of `changes` atomically, even if their keys belong to different leaves. Returns, for each change,
    /// the entry that it replaced or removed.
    ///
    /// No other operation sees some of the changes without the others: not
    /// [`snapshot_many`](crate::owned::Pinned::snapshot_many), not [`range`](Self::range), not a sequence of
    /// [`get`](Self::get)s, not another batch. Keys may be in any order. Several changes of one key are applied in
    /// their order, and each sees the result of the one before it. `Op::Keep` does nothing.
    ///
    /// Creates all entries and reads all leaves while nothing is locked, then locks the leaves while it stores; readers
    /// of these leaves wait that long. Starts again if a leaf changes before it is locked. Each time, some other write
    /// has succeeded, but there is no bound: if other threads write to these leaves without a pause, a batch of very
    /// many leaves may not complete until they stop. Allocates as [`insert`](Self::insert) does for each change, even
    /// for a removal, and a few words more. Running out of memory is handled as in std's collections. Takes `n log n`
    /// time to sort the keys, plus a search for each. Linearizes when the last leaf is locked.
    ///
    /// If `Ord` panics, all changes are applied or none, and the caller does not learn which. If it is no total order,
    /// changes may be applied one by one.
    ///
    /// # Panics
    /// May panic if `Ord` is no total order, as std's sort does.
    ///
    /// ```
    /// use hedgerow::{OrdMap, Op};
    /// let shelf: OrdMap<String, Vec<&str>> = [("left".into(), vec!["hazel"])].into();
    /// let had = shelf.apply_batch([
    ///     ("left".into(), Op::Remove),
    ///     ("right".into(), Op::Insert(vec!["hazel"])),
    /// ]);
    /// assert_eq!((had[0].as_deref(), had[1].as_deref()), (Some(&vec!["hazel"]), None));
    /// assert_eq!(shelf.get_cloned("right"), Some(vec!["hazel"]));
    /// ```
    pub fn apply_batch(
        &self,
        changes: impl IntoIterator<Item = (K, Op<V>)>,
    ) -> Vec<Option<Removed<'_, K, V>>> {
        let mut pending = changes.into_iter().map(|change| self.name(change)).collect::<Vec<_>>();
        let rank = |key: &K| self.search_key(key).rank;
        let request = pending.iter().map(|one| one.raw(rank)).collect::<Vec<_>>();
        let mut removed = Vec::with_capacity(request.len());
        let guard = self.readers.pin();
        let stored = |had: &[Option<RawKey<K>>]| {
            for one in &mut pending {
                if let PendingChange::Entry(_) = one
                    && let PendingChange::Entry(fresh) = mem::replace(one, PendingChange::Stored)
                {
                    // In the map now, or replaced by a later change of the batch, which returns it.
                    fresh.take();
                }
            }
            let had = had.iter().zip(&request).map(|(had, (_, op))| match op {
                Op::Keep => None,
                _ => had.map(|raw| Removed::new(self.unlinked(raw))),
            });
            // Does not allocate: memory for them was reserved above.
            removed.extend(had);
        };
        let done =
            self.tree().apply_atomically(BatchOps::Changes(&request), Backoff::spinning(), stored);
        let done = done.unwrap_or_else(out_of_memory::<K, V, _, _>);
        drop(guard);
        match done {
            BatchResult::Done(_) => {
                self.free_bounds();
                // Drops keys of the user before the return value is complete: if one panicked after that, it would
                // leak.
                drop(pending);
            }
            BatchResult::OneByOne => {
                removed.extend(pending.into_iter().map(|one| self.apply_one(one)));
            }
        }
        removed
    }

    fn name(&self, (key, op): (K, Op<V>)) -> PendingChange<K, V> {
        let op = match op {
            Op::Insert(value) => {
                let made = Pair::make(self.hash(&key), key, value, None);
                return PendingChange::Entry(made.unwrap_or_else(out_of_memory::<K, V, _, _>).0);
            }
            Op::Remove => Op::Remove,
            Op::Keep => Op::Keep,
        };
        PendingChange::Key(KeyNode::new(key).unwrap_or_else(out_of_memory::<K, V, _, _>), op)
    }

    fn apply_one(&self, one: PendingChange<K, V>) -> Option<Removed<'_, K, V>> {
        match one {
            PendingChange::Entry(fresh) => {
                let done = self.store(fresh, WaitMode::Blocking, &self.readers.pin());
                done.unwrap_or_else(out_of_memory::<K, V, _, _>).map(Removed::new)
            }
            PendingChange::Key(key, Op::Remove) => self.remove(&key.live().fields().key),
            PendingChange::Key(..) | PendingChange::Stored => None,
        }
    }
}
