//! `OrdMap` itself: its construction and its end.

use super::raw::{Owner, RawKey};
use crate::fence::tree::descent::FenceTree;
use crate::fence::tree::rank::ByType;
use crate::reclaim::collector::Readers;
use crate::reclaim::node::{List, NodePtr};
use crate::reclaim::pair::{KeyNode, Pair};
use crate::reclaim::retired::NodeList;
use core::panic::{RefUnwindSafe, UnwindSafe};

/// A concurrent ordered map for keys and values of any type.
///
/// A lookup returns a [`Ref`](crate::owned::Ref), which borrows the entry and holds a [`Guard`](crate::owned::Guard);
/// [`pin`](Self::pin) takes one guard for many lookups, which then return plain references. Lookups take no lock and
/// write only to a slot of their own thread. They allocate nothing, except for new slots when more threads than ever
/// before hold guards. All methods take `&self`, except [`with_splits`](Self::with_splits) and
/// [`with_collector`](Self::with_collector), which build a map.
///
/// For `Copy` types, a [`FenceMap`](crate::FenceMap) stores the entries themselves in the same tree.
///
/// # Guarantees
/// - Every operation on one key is linearizable, and so are [`first_key_value`](Self::first_key_value),
///   [`floor`](Self::floor) and similar methods, [`pop_first`](Self::pop_first), [`range`](Self::range),
///   [`remove_range`](Self::remove_range) and [`apply_batch`](Self::apply_batch). A range is a consistent snapshot of
///   the entries between two keys.
/// - [`iter`](Self::iter), [`iter_range`](Self::iter_range), [`retain`](Self::retain) and [`clear`](Self::clear) visit
///   leaf after leaf in key order, each as of a single point in time, and every key that stays in the map exactly once.
/// - Guards never cause a deadlock: any thread may write to any map while a guard is held. Entries that are removed in
///   that time stay in memory until the guard is dropped.
/// - A replaced or removed entry is dropped exactly once: by a later operation that writes to the map (at most two
///   entries and two bounds of leaves per operation), by [`reclaim`](Self::reclaim), or with the map.
/// - User code (`Ord`, `Clone`, `Drop`, [`Ranking`], closures) runs while no lock is held, and may panic or use the
///   map. If `Ord` or the ranking is inconsistent, results are wrong, and nothing worse. A slow destructor delays only
///   its own thread.
///
/// Unlike std's maps, [`insert`](Self::insert) replaces the key together with the value, because other threads may
/// still be reading the old entry.
///
/// # Keys
/// A [`Ranking`] maps each key to a number, a `String` for example to its first eight bytes. The map compares these
/// numbers first, and reads keys, at the cost of a cache miss each, only if their numbers are equal. If all your keys
/// begin with the same bytes, rank them by the bytes that follow: see [`with_ranking`](Self::with_ranking).
///
/// Operations that may insert need `K: Clone`, because the map clones a key in every few dozen as the bound of a leaf.
///
/// A map of `String` can be searched with a `&str`. A borrowed form must have the same rank as its key, which
/// [`ByType`] ensures for `str` and `[u8]`. If it supports a key's type but not the borrowed form, lookups with that
/// form panic: implement a `Ranking` for both.
///
/// # Example
/// ```
/// use hedgerow::OrdMap;
///
/// let words = OrdMap::<String, usize>::new();
/// std::thread::scope(|s| {
///     s.spawn(|| words.insert("hazel".into(), 5));
///     s.spawn(|| words.insert("hawthorn".into(), 8));
/// });
/// assert_eq!(words.get("hazel").as_deref(), Some(&5));
/// assert_eq!(words.first_key_value().unwrap().key(), "hawthorn");
/// let words = words.pin(); // one guard for what follows, which returns references
/// let from_hay = words.range("hay".to_string()..);
/// assert_eq!(from_hay.collect::<Vec<_>>(), [(&"hazel".into(), &5)]);
/// ```
///
/// [`Ranking`]: crate::fence::Ranking
#[repr(C)]
pub struct OrdMap<K, V, R = ByType> {
    /// Those of the tree's retired nodes. Every lookup reads this: it is apart from the garbage, which writers change.
    pub(super) readers: Readers,
    pub(super) tree: FenceTree<RawKey<K>, (), Owner<K, V, R>>,
}

// SAFETY: the map moves with all its nodes, and no other thread has one of them then.
unsafe impl<K: Send, V: Send, R: Send> Send for OrdMap<K, V, R> {}
// SAFETY: many threads read the nodes, and any of them may drop one.
unsafe impl<K: Send + Sync, V: Send + Sync, R: Sync> Sync for OrdMap<K, V, R> {}
// User code runs only while the map is in a state that a panic may leave behind.
impl<K, V, R: UnwindSafe> UnwindSafe for OrdMap<K, V, R> {}
impl<K, V, R: RefUnwindSafe> RefUnwindSafe for OrdMap<K, V, R> {}

impl<K, V> OrdMap<K, V> {
    /// Returns an empty map. Allocates nothing, and fits a `static`.
    ///
    /// ```
    /// static MAP: hedgerow::OrdMap<String, u32> = hedgerow::OrdMap::new();
    /// MAP.insert("rose".into(), 1);
    /// assert_eq!(MAP.get_cloned("rose"), Some(1));
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self::with_ranking(ByType)
    }
}

impl<K, V, R> OrdMap<K, V, R> {
    /// Returns an empty map that ranks its keys by `ranking`. Allocates nothing.
    ///
    /// ```
    /// use hedgerow::fence::{OrdMap, Ranking};
    ///
    /// const ROOT: &str = "/srv/data/";
    /// /// All paths begin alike, so they are ranked by what follows.
    /// struct BehindRoot;
    /// impl Ranking<str> for BehindRoot {
    ///     fn rank(&self, path: &str) -> u64 {
    ///         match path.strip_prefix(ROOT) {
    ///             Some(rest) => hedgerow::fence::ByType.rank(rest),
    ///             None if path < ROOT => 0,
    ///             None => u64::MAX,
    ///         }
    ///     }
    /// }
    /// impl Ranking<String> for BehindRoot {
    ///     fn rank(&self, path: &String) -> u64 {
    ///         self.rank(path.as_str())
    ///     }
    /// }
    ///
    /// let files = OrdMap::with_ranking(BehindRoot);
    /// files.insert("/srv/data/roses".to_string(), 1);
    /// assert_eq!(files.get_cloned("/srv/data/roses"), Some(1));
    /// ```
    #[must_use]
    pub const fn with_ranking(ranking: R) -> Self {
        Self { readers: Readers::new(), tree: FenceTree::new(Owner::new(ranking)) }
    }

    #[inline(always)]
    pub(super) fn tree(&self) -> &FenceTree<RawKey<K>, (), Owner<K, V, R>> {
        &self.tree
    }

    #[inline(always)]
    pub(super) fn owner(&self) -> &Owner<K, V, R> {
        &self.tree.policy
    }

    /// Returns the map's ranking.
    ///
    /// ```
    /// use hedgerow::fence::Ranking;
    /// let map = hedgerow::OrdMap::<String, ()>::new();
    /// assert_eq!(map.ranking().rank("a"), u64::from(b'a') << 56);
    /// ```
    pub fn ranking(&self) -> &R {
        &self.owner().ranking
    }

    /// Returns the number of entries: exact if there are no concurrent writes, and slightly out of date otherwise.
    ///
    /// Lock-free, allocates nothing, constant time.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, char> = [(1, 'a'), (2, 'b')].into();
    /// assert_eq!(map.len(), 2);
    /// ```
    pub fn len(&self) -> usize {
        self.tree.len()
    }

    /// Returns `true` if [`len`](Self::len) is 0.
    ///
    /// ```
    /// assert!(hedgerow::OrdMap::<u8, u8>::new().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// All nodes of a map. Each list is dropped even if a destructor of another list panics.
pub(super) struct AllNodes<K, V> {
    /// In key order.
    pub(super) entries: NodeList<Pair<K, V>>,
    pub(super) garbage: NodeList<Pair<K, V>>,
    pub(super) bounds: NodeList<KeyNode<K>>,
}

impl<K, V, R> OrdMap<K, V, R> {
    /// Takes all nodes out of the map, which is of no use after that.
    pub(super) fn take_all(&mut self) -> AllNodes<K, V> {
        let (mut entries, mut garbage, mut bounds) = (List::new(), List::new(), List::new());
        // SAFETY: `drain` passes each node once, and the tree does not use it any more.
        let entry = |raw: RawKey<K>| unsafe { entries.push(raw.ptr()) };
        // SAFETY: as above.
        let bound = |raw: RawKey<K>| unsafe { bounds.push(NodePtr(raw.node)) };
        self.tree.drain(entry, bound);
        self.tree.policy.entries.move_to(&mut garbage);
        self.tree.policy.bounds.move_to(&mut bounds);
        AllNodes {
            entries: NodeList(entries),
            garbage: NodeList(garbage),
            bounds: NodeList(bounds),
        }
    }
}

impl<K, V, R> Drop for OrdMap<K, V, R> {
    fn drop(&mut self) {
        drop(self.take_all());
    }
}
