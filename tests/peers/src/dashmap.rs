//! Dashmap's interface. References hold no lock here, so there are none that can change a value.

pub use hedgerow::entry::Entry;
use hedgerow::error::TryReserveError;
use hedgerow::flat::DefaultHashBuilder;
use hedgerow::owned::{Handle, HashMap as Inner, OwnedGuard, Ref};
use hedgerow::sets::ElementRef;
use hedgerow::{Equivalent, HashSet};
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use std::hash::{BuildHasher, Hash};

/// A map.
pub struct DashMap<K, V, S = DefaultHashBuilder>(Inner<K, V, S>);

impl<K, V> DashMap<K, V> {
    /// Returns an empty map.
    pub fn new() -> Self {
        Self(Inner::new())
    }
}

impl<K: Eq + Hash, V, S: BuildHasher> DashMap<K, V, S> {
    /// Returns an empty map with this hasher.
    pub fn with_hasher(hasher: S) -> Self {
        Self(Inner::with_hasher(hasher))
    }

    /// Stores a value, and drops the one before.
    pub fn insert(&self, key: K, value: V) {
        self.0.insert(key, value);
    }

    /// Returns the entry of a key.
    pub fn get<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<Ref<'_, K, V>> {
        self.0.get(key)
    }

    /// Returns whether a key has a value.
    pub fn contains_key<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> bool {
        self.0.contains_key(key)
    }

    /// Applies `f` to the entry of a key.
    pub fn view<Q, T>(&self, key: &Q, f: impl FnOnce(&K, &V) -> T) -> Option<T>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.0.get(key).map(|entry| f(entry.key(), entry.value()))
    }

    /// Returns the place of a key.
    pub fn entry(&self, key: K) -> Entry<'_, Inner<K, V, S>> {
        self.0.entry(key)
    }

    /// Returns all entries.
    pub fn iter(&self) -> impl Iterator<Item = Ref<'_, K, V>> {
        self.0.iter()
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns how many entries fit.
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Makes room.
    ///
    /// # Errors
    /// If there is no memory.
    pub fn try_reserve(&mut self, additional: usize) -> Result<(), TryReserveError> {
        self.0.try_reserve(additional)
    }

    /// Returns the map for reading alone.
    pub fn into_read_only(self) -> ReadOnlyView<K, V, S> {
        ReadOnlyView { map: self, guard: Handle::new().into_guard() }
    }
}

impl<K, V, S: Default> Default for DashMap<K, V, S> {
    fn default() -> Self {
        Self(Inner::default())
    }
}

impl<K: Clone + Eq + Hash, V: Clone, S: BuildHasher + Clone> Clone for DashMap<K, V, S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// A map for reading alone.
pub struct ReadOnlyView<K, V, S = DefaultHashBuilder> {
    map: DashMap<K, V, S>,
    guard: OwnedGuard,
}

impl<K: Eq + Hash, V, S: BuildHasher> ReadOnlyView<K, V, S> {
    fn lend<T>(&self, part: &T) -> &T {
        // SAFETY: nothing removes an entry of this map as long as `self` is borrowed.
        unsafe { &*std::ptr::from_ref(part) }
    }

    /// Returns the value of a key.
    pub fn get<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<&V> {
        self.get_key_value(key).map(|(_, value)| value)
    }

    /// Returns the entry of a key.
    pub fn get_key_value<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<(&K, &V)> {
        let map = self.map.0.with_guard(&self.guard);
        map.get_key_value(key).map(|(key, value)| (self.lend(key), self.lend(value)))
    }

    /// Returns whether a key has a value.
    pub fn contains_key<Q: Hash + Equivalent<K> + ?Sized>(&self, key: &Q) -> bool {
        self.map.contains_key(key)
    }

    /// Returns all entries.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.map.iter().map(|entry| (self.lend(entry.key()), self.lend(entry.value())))
    }

    /// Returns all keys.
    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    /// Returns all values.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Returns whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Returns how many entries fit.
    pub fn capacity(&self) -> usize {
        self.map.capacity()
    }

    /// Returns the map.
    pub fn into_inner(self) -> DashMap<K, V, S> {
        self.map
    }
}

/// An entry of a map for reading alone.
pub struct RefMulti<'a, K, V>(&'a K, &'a V);

impl<K, V> RefMulti<'_, K, V> {
    /// Returns the key.
    pub fn key(&self) -> &K {
        self.0
    }

    /// Returns the value.
    pub fn value(&self) -> &V {
        self.1
    }
}

impl<'a, K: Eq + Hash + Send + Sync, V: Send + Sync, S: BuildHasher + Send + Sync>
    IntoParallelIterator for &'a ReadOnlyView<K, V, S>
{
    type Item = RefMulti<'a, K, V>;
    type Iter = rayon::vec::IntoIter<Self::Item>;

    fn into_par_iter(self) -> Self::Iter {
        let map = self.map.0.with_guard(&self.guard);
        let lend = |(key, value)| RefMulti(self.lend(key), self.lend(value));
        map.par_iter().map(lend).collect::<Vec<_>>().into_par_iter()
    }
}

impl<K: Eq + Hash + Send, V: Send, S: BuildHasher> IntoParallelIterator for ReadOnlyView<K, V, S> {
    type Item = (K, V);
    type Iter = rayon::vec::IntoIter<Self::Item>;

    fn into_par_iter(self) -> Self::Iter {
        self.map.0.into_iter().collect::<Vec<_>>().into_par_iter()
    }
}

/// A set.
#[derive(Default)]
pub struct DashSet<K: Eq + Hash>(HashSet<K>);

impl<K: Eq + Hash + Clone> DashSet<K> {
    /// Returns an empty set.
    pub fn new() -> Self {
        Self(HashSet::new())
    }

    /// Inserts an element, and returns whether it is new.
    pub fn insert(&self, element: K) -> bool {
        self.0.insert(element)
    }

    /// Returns the element that is equal to `element`.
    pub fn get(&self, element: &K) -> Option<ElementRef<'_, K>> {
        self.0.get(element)
    }

    /// Removes an element, and returns it.
    pub fn remove(&self, element: &K) -> Option<K> {
        self.0.take(element).map(|removed| removed.into_owned().0)
    }
}
