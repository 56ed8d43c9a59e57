//! `OrdMap` itself: construction, and its end.

use super::raw::{Owner, Raw};
use crate::fence::tree::descent::Tree;
use crate::fence::tree::rank::{ByType, Ranking};
use crate::reclaim::garbage::free_all;
use crate::reclaim::node::{List, Node, Shared};
use crate::reclaim::pair::{Pair, Stem};
use core::panic::{RefUnwindSafe, UnwindSafe};

/// A concurrent ordered map of owned keys and values: `String`, boxes, whatever is `Send` and `Sync`.
///
/// [`FenceMap`](crate::FenceMap) for keys that are not `Copy`: the same leaves and fences, with pointers in them. A
/// lookup returns a [`Ref`](crate::owned::Ref), which borrows the entry and holds a [`Guard`](crate::owned::Guard). It
/// takes no lock, writes nothing but its thread's own announcement, and allocates nothing. [`pin`](Self::pin) takes one
/// guard for many lookups, which then return plain references. All methods take `&self`.
///
/// # Guarantees
/// - Every operation on one key is linearizable, and so are [`first_key_value`](Self::first_key_value),
///   [`floor`](Self::floor) and their like, [`pop_first`](Self::pop_first), [`range`](Self::range) and
///   [`remove_range`](Self::remove_range): a range is all of the map between two keys as it was at one moment.
///   [`iter`](Self::iter), [`iter_range`](Self::iter_range), [`retain`](Self::retain) and [`clear`](Self::clear) go
///   leaf by leaf: each leaf as of one moment, in key order, and every key that is present throughout exactly once.
/// - A guard may be held while the same thread, or another, writes to the same map, or to others, and for
///   ever: nothing deadlocks. It keeps entries alive that are removed meanwhile.
/// - An entry that is replaced or removed is dropped once, by some later operation that writes to the map, at
///   most two an operation; by [`reclaim`](Self::reclaim); or with the map.
/// - User code (`Ord`, `Clone`, `Drop`, [`Ranking`], closures) runs with nothing locked: it may panic, or call the map.
///   Where `Ord` is no order, or the ranking lies, answers are wrong, and nothing worse. A slow destructor holds up its
///   own thread only.
///
/// Unlike std's, [`insert`](Self::insert) keeps the new key, not the old one: the two are one entry, and
/// others may still be looking at the old one.
///
/// # Keys
/// A [`Ranking`] makes a number of a key, by which most of its place is found: of a `String` its first eight bytes.
/// Only keys of the same rank are looked at themselves, which costs a wait for memory each. So where all keys begin
/// with the same bytes, rank them by what follows: [`with_ranking`](Self::with_ranking).
///
/// Keys are `Clone`: the map keeps a clone of one key in some tens, to know where a leaf begins.
///
/// A map of `String` is asked by `&str`. What else a key is borrowed as has to be ranked as the key is: [`ByType`] does
/// so for `str` and `[u8]`, and panics where it knows the key's type and not the borrowed one; of your own `Ranking`
/// you say so with an implementation for each.
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
pub struct OrdMap<K, V, R = ByType> {
    pub(super) tree: Tree<Raw<K>, (), Owner<K, V, R>>,
}

// SAFETY: nodes and all; nobody else can have any of them while the whole is moved.
unsafe impl<K: Send, V: Send, R: Send> Send for OrdMap<K, V, R> {}
// SAFETY: nodes are looked at by many threads, and dropped by any.
unsafe impl<K: Send + Sync, V: Send + Sync, R: Sync> Sync for OrdMap<K, V, R> {}
// No user code runs while anything is in a state that a panic could leave behind.
impl<K, V, R: UnwindSafe> UnwindSafe for OrdMap<K, V, R> {}
impl<K, V, R: RefUnwindSafe> RefUnwindSafe for OrdMap<K, V, R> {}

impl<K: Ord + Clone, V> OrdMap<K, V> {
    /// An empty map; allocates nothing and fits a `static`.
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

impl<K: Ord + Clone, V, R: Ranking<K>> OrdMap<K, V, R> {
    /// An empty map that ranks its keys by `ranking`; allocates nothing.
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
        Self { tree: Tree::new(Owner::new(ranking)) }
    }

    #[inline(always)]
    pub(super) fn tree(&self) -> &Tree<Raw<K>, (), Owner<K, V, R>> {
        &self.tree
    }

    #[inline(always)]
    pub(super) fn owner(&self) -> &Owner<K, V, R> {
        &self.tree.ranking
    }

    /// The map's ranking.
    ///
    /// ```
    /// use hedgerow::fence::Ranking;
    /// let map = hedgerow::OrdMap::<String, ()>::new();
    /// assert_eq!(map.ranking().rank("a"), u64::from(b'a') << 56);
    /// ```
    pub fn ranking(&self) -> &R {
        &self.owner().ranking
    }

    /// The number of entries: exact when nobody writes meanwhile, of the recent past otherwise.
    ///
    /// Lock-free, allocates nothing, constant time.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, char> = [(1, 'a'), (2, 'b')].into();
    /// assert_eq!(map.len(), 2);
    /// ```
    pub fn len(&self) -> usize {
        self.tree.len.total()
    }

    /// Whether [`len`](Self::len) is 0.
    ///
    /// ```
    /// assert!(hedgerow::OrdMap::<u8, u8>::new().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Nodes that are nobody else's; freed on drop, those after one whose destructor panics too.
pub(super) struct NodeList<N: Node>(pub(super) List<N>);

impl<N: Node> Drop for NodeList<N> {
    fn drop(&mut self) {
        free_all(&mut self.0);
    }
}

/// All nodes that a map had; each list is dropped though another one's destructors panic.
pub(super) struct AllNodes<K, V> {
    /// In the order of keys.
    pub(super) entries: NodeList<Pair<K, V>>,
    pub(super) garbage: NodeList<Pair<K, V>>,
    pub(super) bounds: NodeList<Stem<K>>,
}

impl<K, V, R> OrdMap<K, V, R> {
    /// Takes all nodes out of a map that is given up.
    pub(super) fn take_all(&mut self) -> AllNodes<K, V> {
        let (mut entries, mut garbage, mut bounds) = (List::new(), List::new(), List::new());
        // SAFETY: the tree shows each once, and forgets it.
        let entry = |raw: Raw<K>| unsafe { entries.push(raw.shared()) };
        // SAFETY: as above.
        let bound = |raw: Raw<K>| unsafe { bounds.push(Shared(raw.node)) };
        self.tree.drain(entry, bound);
        self.tree.ranking.entries.move_to(&mut garbage);
        self.tree.ranking.bounds.move_to(&mut bounds);
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
