//! Many keys at a time: looked up one by one, or changed or looked at as of one moment.

use super::map::OrdMap;
use super::ops::out_of_memory;
use super::raw::Raw;
use crate::api::op::Op;
use crate::fence::tree::batch::{OldEntry, Outcome, Request};
use crate::fence::tree::leaf::{Changed, Leaf, LeafVersion};
use crate::fence::tree::rank::Ranking;
use crate::reclaim::guard::pin;
use crate::reclaim::pair::{Pair, Stem};
use crate::reclaim::removed::Removed;
use crate::reclaim::retired::{Fresh, Way};
use crate::sync::backoff::Backoff;
use alloc::vec::Vec;
use core::mem;

impl<K> OldEntry<Raw<K>, ()> for Raw<K> {
    /// Each entry is a node, and goes or stays as a whole.
    const REPLACES_KEYS: bool = true;

    fn read(leaf: Leaf<'_, Self, ()>, version: LeafVersion, at: usize) -> Result<Self, Changed> {
        leaf.key(version, at)
    }

    fn of(key: Self, (): ()) -> Self {
        key
    }
}

/// What a change names its key by, until the map has it.
enum Named<K, V> {
    Entry(Fresh<Pair<K, V>>),
    /// Whose entry is to be removed, or kept.
    Key(Fresh<Stem<K>>, Op<()>),
    /// The map has it.
    Stored,
}

impl<K, V> Named<K, V> {
    /// As the tree knows it.
    fn raw(&self, rank: impl FnOnce(&K) -> usize) -> (Raw<K>, Op<()>) {
        let (node, op) = match self {
            Self::Entry(fresh) => (Pair::stem(fresh.0.0), Op::Insert(())),
            Self::Key(fresh, op) => (fresh.0.0, *op),
            Self::Stored => unreachable!("nothing is stored before it is asked for"),
        };
        let mut raw = Raw { rank: 0, node };
        // SAFETY: ours, as long as `self` is.
        raw.rank = rank(unsafe { raw.key() });
        (raw, op)
    }
}

impl<K: Ord + Clone, V, R: Ranking<K>> OrdMap<K, V, R> {
    /// Does all of `changes` at one moment, wherever their keys lie; returns, for each, the entry that it replaced or
    /// removed.
    ///
    /// Keys come in any order. Several changes of one key are done in turn, each finding what the one before it left.
    /// Nobody sees some of the changes without the others: not [`snapshot_many`](crate::owned::Pinned::snapshot_many),
    /// not [`range`](Self::range), not [`get`](Self::get)s one after the other, not another batch. `Op::Keep` does
    /// nothing.
    ///
    /// Makes all entries and looks at all leaves with nothing locked, then locks the leaves for the time of the stores:
    /// readers of these leaves wait so long. Begins again if a leaf changes before it is locked; each time that happens
    /// some other write has been done, but there is no bound: where others write to its leaves without a pause, a
    /// batch of very many of them may be put off for as long as that lasts. Allocates what
    /// [`insert`](Self::insert) does for each change, whatever it is, and some words more; running out of memory is
    /// handled as in std's collections. `n log n` time to sort the keys, then that of a search each. Linearizes when
    /// the last leaf is locked. Where `Ord` panics, nothing is changed; where it is no total order, changes may be done
    /// one by one.
    ///
    /// # Panics
    /// May do so where `Ord` is no total order, as std's sorting does.
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
        let mut named = changes.into_iter().map(Self::name).collect::<Vec<_>>();
        let rank = |key: &K| self.search_key(key).rank;
        let request = named.iter().map(|one| one.raw(rank)).collect::<Vec<_>>();
        let mut removed = Vec::with_capacity(request.len());
        let guard = pin();
        let stored = |had: &[Option<Raw<K>>]| {
            for one in &mut named {
                if let Named::Entry(_) = one
                    && let Named::Entry(fresh) = mem::replace(one, Named::Stored)
                {
                    // In the map, or, where another change has come after it, among those that it had.
                    fresh.take();
                }
            }
            let had = had.iter().zip(&request).map(|(had, (_, op))| match op {
                Op::Keep => None,
                _ => had.map(|raw| Removed::new(self.unlinked(raw))),
            });
            // There is room for them.
            removed.extend(had);
        };
        let done =
            self.tree().apply_atomically(Request::Changes(&request), Backoff::spinning(), stored);
        let done = done.unwrap_or_else(out_of_memory::<K, V, _, _>);
        drop(guard);
        match done {
            Outcome::Done(_) => {
                self.free_bounds();
                // Now, with keys of the user's: were one to panic when this has returned, what it returns would leak.
                drop(named);
            }
            Outcome::OneByOne => {
                removed.extend(named.into_iter().map(|one| self.apply_one(one)));
            }
        }
        removed
    }

    fn name((key, op): (K, Op<V>)) -> Named<K, V> {
        let op = match op {
            Op::Insert(value) => return Named::Entry(Self::fresh(key, value)),
            Op::Remove => Op::Remove,
            Op::Keep => Op::Keep,
        };
        Named::Key(Stem::new(key).unwrap_or_else(out_of_memory::<K, V, _, _>), op)
    }

    fn apply_one(&self, one: Named<K, V>) -> Option<Removed<'_, K, V>> {
        match one {
            Named::Entry(fresh) => {
                let done = self.store(fresh, Way::Waiting, |_| true, &pin());
                done.unwrap_or_else(out_of_memory::<K, V, _, _>)
            }
            Named::Key(key, Op::Remove) => self.remove(&key.live().fields().key),
            Named::Key(..) | Named::Stored => None,
        }
    }
}
