//! `HashMap`: its type, constructors, size and memory.

use super::hashed::Hashed;
use super::nodes::{Nodes, OwnedStats};
use crate::api::hasher::DefaultHashBuilder;
use crate::error::TryReserveError;
use crate::reclaim::collector::{Collector, Readers};
use crate::reclaim::guard::Stalled;
use crate::reclaim::methods::{collector_methods, garbage_methods, table_methods};
use crate::reclaim::pair::Pair;
use crate::reclaim::retired::Retired;
use alloc::alloc::handle_alloc_error;

/// A concurrent hash map for keys and values of any type.
///
/// Threads share the map by reference: every method takes `&self`, except [`shrink_to_fit`](Self::shrink_to_fit) and
/// [`with_collector`](Self::with_collector). A lookup returns a [`Ref`](super::Ref), which borrows the entry and holds
/// a [`Guard`](super::Guard). [`pin`](Self::pin) takes one guard for many lookups, which then return plain references.
///
/// Lookups take no lock and write only to a slot of their own thread. They allocate nothing, except for new slots when
/// more threads than ever before hold guards.
///
/// # Guarantees
/// - Every operation on one key is linearizable, even while the table grows.
/// - `iter`, `retain` and `clear` are weakly consistent. They visit bin after bin (a bin is a few entries that share a
///   lock), see each bin as of a single point in time, and return every key that is present throughout exactly once.
/// - Guards never cause a deadlock: any thread may write to any map while a guard is held. Entries that are removed in
///   that time stay in memory until the guard is dropped.
/// - A replaced or removed entry is dropped exactly once: by a later operation that writes to the map (at most two per
///   operation), by [`reclaim`](Self::reclaim), or with the map.
/// - User code (`Hash`, `Eq`, `Clone`, `Drop`, closures) runs while no lock is held, and may panic or use the map. An
///   inconsistent `Hash` or `Eq` leads to wrong results, but never to undefined behaviour. A slow destructor delays
///   only its own thread.
///
/// Unlike std's map, [`insert`](Self::insert) replaces the key together with the value, because other threads may still
/// be reading the old entry.
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
    pub(super) inner: Hashed<Pair<K, V>, S>,
}

impl<K, V> HashMap<K, V> {
    /// Creates an empty map. Allocates nothing.
    ///
    /// ```
    /// let map = hedgerow::HashMap::<String, u32>::new();
    /// assert!(map.is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::with_hasher(DefaultHashBuilder::default())
    }

    /// Creates an empty map with room for `capacity` entries before its table grows.
    ///
    /// # Panics
    /// If the capacity overflows the address space. If there is no memory, the process aborts, as with the collections
    /// of std.
    ///
    /// ```
    /// let map = hedgerow::HashMap::<String, u32>::with_capacity(1000);
    /// map.insert("rose".into(), 1);
    /// ```
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self::with_capacity_and_hasher(capacity, DefaultHashBuilder::default())
    }

    /// Creates an empty map as [`with_capacity`](Self::with_capacity) does, or returns an error.
    ///
    /// # Errors
    /// If the capacity overflows the address space, or the allocator fails.
    ///
    /// ```
    /// use hedgerow::{HashMap, error::TryReserveError};
    /// let none = HashMap::<String, u32>::try_with_capacity(usize::MAX);
    /// assert_eq!(none.err(), Some(TryReserveError::CapacityOverflow));
    /// ```
    pub fn try_with_capacity(capacity: usize) -> Result<Self, TryReserveError> {
        Self::try_with_capacity_and_hasher(capacity, DefaultHashBuilder::default())
            .map_err(|(why, _)| why)
    }
}

impl<K, V, S> HashMap<K, V, S> {
    /// Creates an empty map that hashes with `hash_builder`. Allocates nothing, and is `const`, so a `static` can hold
    /// the map.
    ///
    /// ```
    /// use std::hash::{BuildHasherDefault, DefaultHasher};
    /// static MAP: hedgerow::HashMap<String, u32, BuildHasherDefault<DefaultHasher>> =
    ///     hedgerow::HashMap::with_hasher(BuildHasherDefault::new());
    /// MAP.insert("rose".into(), 1);
    /// ```
    #[must_use]
    pub const fn with_hasher(hash_builder: S) -> Self {
        Self { inner: Hashed::new(hash_builder) }
    }

    /// Creates an empty map that hashes with `hash_builder`, with room for `capacity` entries before its table grows.
    ///
    /// # Panics
    /// If the capacity overflows the address space. If there is no memory, the process aborts, as with the collections
    /// of std.
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

    /// Creates an empty map as [`with_capacity_and_hasher`](Self::with_capacity_and_hasher) does, or returns an error
    /// together with the hasher.
    ///
    /// # Errors
    /// If the capacity overflows the address space, or the allocator fails.
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
        Hashed::with_capacity(capacity, hash_builder).map(|inner| Self { inner })
    }

    pub(super) fn nodes(&self) -> &Nodes<Pair<K, V>> {
        &self.inner.nodes
    }

    fn garbage(&self) -> &Retired<Pair<K, V>> {
        self.nodes().retired()
    }

    #[inline(always)]
    pub(super) fn readers(&self) -> &Readers {
        self.nodes().readers()
    }

    pub(super) fn set_readers(&mut self, readers: &Readers) {
        self.inner.nodes.set_readers(readers);
    }

    collector_methods!("HashMap");

    table_methods!("HashMap<&str, &str>");

    garbage_methods!("HashMap<&str, &str>", "Lock-free.", use<K, V, S>);
}

/// Panics or aborts, as the collections of std do if they cannot reserve memory.
#[cold]
pub(super) fn reserve_failed(why: TryReserveError) -> ! {
    match why {
        TryReserveError::CapacityOverflow => panic!("capacity overflow"),
        TryReserveError::Alloc => handle_alloc_error(core::alloc::Layout::new::<[usize; 16]>()),
    }
}
