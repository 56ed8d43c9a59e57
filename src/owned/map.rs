//! `HashMap` itself: the typed, hashed face of the nodes.

use super::nodes::Nodes;
use crate::api::hasher::DefaultHashBuilder;
use crate::error::TryReserveError;
use crate::reclaim::pair::Pair;
use alloc::alloc::handle_alloc_error;

/// A concurrent hash map of owned keys and values: `String`, boxes, whatever is `Send` and `Sync`.
///
/// A lookup returns a [`Ref`](super::Ref), which borrows the entry and holds a [`Guard`](super::Guard). It takes no
/// lock, writes nothing but its thread's own announcement, and allocates nothing. [`pin`](Self::pin) takes one guard
/// for many lookups, which then return plain references. All methods take `&self`, but for
/// [`shrink_to_fit`](Self::shrink_to_fit).
///
/// # Guarantees
/// - Every operation on one key is linearizable, through growth too. `iter`, `retain` and `clear` work
///   bin by bin: each bin as of one moment, and every key that is present throughout exactly once.
/// - A guard may be held while the same thread, or another, writes to the same map, or to others, and for
///   ever: nothing deadlocks. It keeps entries alive that are removed meanwhile.
/// - An entry that is replaced or removed is dropped once, by some later operation that writes to the map, at
///   most two an operation; by [`reclaim`](Self::reclaim); or with the map.
/// - User code (`Hash`, `Eq`, `Clone`, `Drop`, closures) runs with nothing locked: it may panic, or call the map. If
///   `Hash` or `Eq` lie, answers are wrong, and nothing worse. A slow destructor holds up its own thread only.
///
/// Unlike std's, [`insert`](Self::insert) keeps the new key, not the old one: the two are one entry, and
/// others may still be looking at the old one.
///
/// # Example
/// ```
/// use hedgerow::HashMap;
///
/// let capitals = HashMap::<String, String>::new();
/// std::thread::scope(|s| {
///     s.spawn(|| capitals.insert("Kenya".into(), "Nairobi".into()));
///     s.spawn(|| capitals.insert("Chile".into(), "Santiago".into()));
/// });
/// assert_eq!(*capitals.get("Chile").unwrap(), "Santiago");
/// assert_eq!(capitals.remove("Kenya").as_deref().map(String::as_str), Some("Nairobi"));
/// ```
pub struct HashMap<K, V, S = DefaultHashBuilder> {
    hash_builder: S,
    pub(super) nodes: Nodes<Pair<K, V>>,
}

impl<K, V> HashMap<K, V> {
    /// An empty map; allocates nothing.
    ///
    /// ```
    /// let map = hedgerow::HashMap::<String, u32>::new();
    /// assert!(map.is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::with_hasher(DefaultHashBuilder::default())
    }

    /// An empty map with room for `capacity` entries before its table grows.
    ///
    /// # Panics
    /// When the capacity cannot be addressed. Running out of memory is handled as in std's collections.
    ///
    /// ```
    /// let map = hedgerow::HashMap::<String, u32>::with_capacity(1000);
    /// map.insert("rose".into(), 1);
    /// ```
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self::with_capacity_and_hasher(capacity, DefaultHashBuilder::default())
    }
}

impl<K, V, S> HashMap<K, V, S> {
    /// An empty map that hashes with `hash_builder`; allocates nothing and fits a `static`.
    ///
    /// ```
    /// use std::hash::{BuildHasherDefault, DefaultHasher};
    /// static MAP: hedgerow::HashMap<String, u32, BuildHasherDefault<DefaultHasher>> =
    ///     hedgerow::HashMap::with_hasher(BuildHasherDefault::new());
    /// MAP.insert("rose".into(), 1);
    /// ```
    #[must_use]
    pub const fn with_hasher(hash_builder: S) -> Self {
        Self { hash_builder, nodes: Nodes::new() }
    }

    /// An empty map with room for `capacity` entries before its table grows, that hashes with `hash_builder`.
    ///
    /// # Panics
    /// When the capacity cannot be addressed. Running out of memory is handled as in std's collections.
    ///
    /// ```
    /// use std::hash::RandomState;
    /// let map = hedgerow::HashMap::with_capacity_and_hasher(100, RandomState::new());
    /// map.insert("rose", 1);
    /// ```
    #[must_use]
    pub fn with_capacity_and_hasher(capacity: usize, hash_builder: S) -> Self {
        Self::try_with_capacity_and_hasher(capacity, hash_builder)
            .unwrap_or_else(|(why, _)| reserve_failed(why))
    }

    /// As [`with_capacity_and_hasher`](Self::with_capacity_and_hasher), but says when there is no memory,
    /// and gives the hasher back.
    ///
    /// # Errors
    /// When the capacity cannot be addressed or the allocator has not got it.
    ///
    /// ```
    /// use std::hash::RandomState;
    /// let none = hedgerow::HashMap::<u64, u64, _>::try_with_capacity_and_hasher(usize::MAX, RandomState::new());
    /// assert!(none.is_err());
    /// ```
    pub fn try_with_capacity_and_hasher(
        capacity: usize,
        hash_builder: S,
    ) -> Result<Self, (TryReserveError, S)> {
        match Nodes::with_capacity(capacity) {
            Ok(nodes) => Ok(Self { hash_builder, nodes }),
            Err(why) => Err((why, hash_builder)),
        }
    }

    pub(super) fn nodes(&self) -> &Nodes<Pair<K, V>> {
        &self.nodes
    }

    pub(super) fn into_nodes(self) -> Nodes<Pair<K, V>> {
        let Self { hash_builder, nodes } = self;
        // Before this returns, as a panic of its destructor would then leak what it returns.
        drop(hash_builder);
        nodes
    }

    /// The map's hasher.
    ///
    /// ```
    /// use std::hash::BuildHasher;
    /// let map = hedgerow::HashMap::<u32, u32>::new();
    /// map.hasher().hash_one(7);
    /// ```
    pub fn hasher(&self) -> &S {
        &self.hash_builder
    }

    /// The number of entries: exact when nobody writes meanwhile, of the recent past otherwise.
    ///
    /// Lock-free, allocates nothing, constant time.
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, char> = [(1, 'a'), (2, 'b')].into();
    /// assert_eq!(map.len(), 2);
    /// ```
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Returns how many entries there is room for before the table grows: a lower bound. Some bins may need overflow
    /// lines before that. Lock-free, allocates nothing, constant time.
    ///
    /// ```
    /// assert_eq!(hedgerow::HashMap::<u32, u32>::new().capacity(), 0);
    /// assert!(hedgerow::HashMap::<u32, u32>::with_capacity(1000).capacity() >= 1000);
    /// ```
    pub fn capacity(&self) -> usize {
        self.nodes.capacity()
    }

    /// Whether [`len`](Self::len) is 0.
    ///
    /// ```
    /// assert!(hedgerow::HashMap::<u8, u8>::new().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cold]
pub(super) fn reserve_failed(why: TryReserveError) -> ! {
    match why {
        TryReserveError::CapacityOverflow => panic!("capacity overflow"),
        TryReserveError::Alloc => handle_alloc_error(core::alloc::Layout::new::<[usize; 16]>()),
    }
}
