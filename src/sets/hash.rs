//! A set of owned data by hashes.

use super::{common, tables};
use crate::api::hasher::DefaultHashBuilder;
use crate::error::{TryInsertError, TryReserveError};
use crate::owned::{Collector, HashMap, Ref, Removed};
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::ops::Deref;
use equivalent::Equivalent;

/// A concurrent hash set for elements of any type, whose lookups take no lock: a [`HashMap`] without values.
///
/// ```
/// let seen = hedgerow::HashSet::<String>::new();
/// assert!(seen.insert("rose".into()) && !seen.insert("rose".into()) && seen.contains("rose"));
/// ```
pub struct HashSet<T, S = DefaultHashBuilder> {
    pub(super) map: HashMap<T, (), S>,
}

/// A reference to an element of a set of owned data. It holds a guard, as [`Ref`] does.
///
/// ```
/// let set: hedgerow::HashSet<String> = ["rose".into()].into();
/// let rose = set.get("rose").unwrap();
/// assert_eq!((rose.len(), format!("{rose}")), (4, "rose".into()));
/// ```
pub struct ElementRef<'a, T>(Ref<'a, T, ()>);

impl<'a, T> ElementRef<'a, T> {
    pub(super) fn new(entry: Ref<'a, T, ()>) -> Self {
        Self(entry)
    }
}

impl<T> Deref for ElementRef<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.key()
    }
}

impl<T: fmt::Debug> fmt::Debug for ElementRef<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: PartialEq> PartialEq for ElementRef<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for ElementRef<'_, T> {}

impl<T: fmt::Display> fmt::Display for ElementRef<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T> HashSet<T> {
    /// Returns an empty set; allocates nothing.
    ///
    /// ```
    /// assert!(hedgerow::HashSet::<String>::new().is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self { map: HashMap::new() }
    }

    /// Returns an empty set with room for `capacity` elements before its table grows.
    ///
    /// ```
    /// let set = hedgerow::HashSet::<u32>::with_capacity(100);
    /// (0..100).for_each(|n| assert!(set.insert(n)));
    /// ```
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { map: HashMap::with_capacity(capacity) }
    }
}

impl<T, S> HashSet<T, S> {
    /// Returns an empty set that hashes with `hash_builder`.
    ///
    /// ```
    /// let set = hedgerow::HashSet::with_hasher(std::hash::RandomState::new());
    /// assert!(set.insert("rose"));
    /// ```
    #[must_use]
    pub const fn with_hasher(hash_builder: S) -> Self {
        Self { map: HashMap::with_hasher(hash_builder) }
    }

    /// Returns an iterator over the elements, each read at its own time: see [`HashMap::iter`].
    ///
    /// ```
    /// let set: hedgerow::HashSet<u32> = [7, 8].into();
    /// assert_eq!(set.iter().map(|n| *n).sum::<u32>(), 15);
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = ElementRef<'_, T>> {
        self.map.iter().map(ElementRef)
    }

    /// Returns an iterator that removes the elements for which `wanted` returns true, one by one: see
    /// [`HashMap::extract_if`].
    ///
    /// ```
    /// let set: hedgerow::HashSet<u32> = [7, 8].into();
    /// assert_eq!((set.extract_if(|n| *n == 7).count(), set.len()), (1, 1));
    /// ```
    pub fn extract_if(
        &self,
        mut wanted: impl FnMut(&T) -> bool,
    ) -> impl Iterator<Item = Removed<'_, T, ()>> {
        self.map.extract_if(move |value, ()| wanted(value))
    }

    /// Returns an iterator that removes all elements, one by one: see [`HashMap::drain`].
    ///
    /// ```
    /// let set: hedgerow::HashSet<u32> = [7, 8].into();
    /// assert_eq!((set.drain().count(), set.len()), (2, 0));
    /// ```
    pub fn drain(&self) -> impl Iterator<Item = Removed<'_, T, ()>> {
        self.map.drain()
    }
}

impl<T, S> HashSet<T, S> {
    /// Returns the set with this [`Collector`], as [`HashMap::with_collector`] does.
    ///
    /// ```
    /// use hedgerow::owned::Collector;
    /// let set = hedgerow::HashSet::from([7]).with_collector(&Collector::new());
    /// assert!(set.as_map().collector().is_some());
    /// ```
    #[must_use]
    pub fn with_collector(self, collector: &Collector) -> Self {
        Self { map: self.map.with_collector(collector) }
    }
}

impl<T: Eq + Hash, S: BuildHasher> HashSet<T, S> {
    /// Returns the element that is equal to `value`, with a guard of its own: see [`HashMap::get`].
    ///
    /// ```
    /// let set: hedgerow::HashSet<String> = ["rose".into()].into();
    /// assert_eq!(set.get("rose").unwrap().as_str(), "rose");
    /// ```
    pub fn get<Q>(&self, value: &Q) -> Option<ElementRef<'_, T>>
    where
        Q: Hash + Equivalent<T> + ?Sized,
    {
        self.map.get(value).map(ElementRef)
    }

    /// Removes the element that is equal to `value` and returns it: see [`HashMap::remove`].
    ///
    /// ```
    /// let set: hedgerow::HashSet<String> = ["rose".into()].into();
    /// assert_eq!(set.take("rose").unwrap().key(), "rose");
    /// ```
    pub fn take<Q>(&self, value: &Q) -> Option<Removed<'_, T, ()>>
    where
        Q: Hash + Equivalent<T> + ?Sized,
    {
        self.map.remove(value)
    }
}

common! { HashSet<T, S>, HashMap, "HashSet<u32>";
where [] [] [T: Eq + Hash, S: BuildHasher,] [T: Eq + Hash, S: BuildHasher,];
found by Q [Q: Hash + Equivalent<T> + ?Sized];
ElementRef::deref }
tables! { HashSet<T, S>, HashMap, "HashSet<u32"; where [] [] [] }
