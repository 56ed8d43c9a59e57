//! The interface of crossbeam-skiplist, and what its tests use of crossbeam-epoch. The guards of the latter do nothing
//! here: each entry has one of hedgerow's.

use hedgerow::fence::OrdIntoIter;
use hedgerow::owned::Ref;
use hedgerow::{Op, OrdMap, OrdSet};
pub use std::ops::Bound;
use std::ops::{Deref, RangeBounds};

/// A guard that does nothing.
pub struct Guard;

impl Guard {
    /// Does nothing.
    pub fn flush(&self) {}
}

/// Returns a guard.
pub fn pin() -> Guard {
    Guard
}

/// A collector that does nothing.
#[derive(Clone)]
pub struct Collector;

/// Returns a collector.
pub fn default_collector() -> &'static Collector {
    &Collector
}

/// The module of the list that has its guards passed.
pub mod base {
    pub use super::Entry as RefEntry;
}

/// An entry of a map, or of a set: that dereferences to its element.
pub struct Entry<'a, K, V, const OF_SET: bool = false> {
    map: &'a OrdMap<K, V>,
    found: Ref<'a, K, V>,
}

impl<K, V, const OF_SET: bool> Entry<'_, K, V, OF_SET> {
    /// Returns the key.
    pub fn key(&self) -> &K {
        self.found.key()
    }

    /// Returns the value.
    pub fn value(&self) -> &V {
        self.found.value()
    }

    /// Drops it.
    pub fn release(self, _: &Guard) {}

    /// Drops it.
    pub fn release_with_pin(self, _: impl FnOnce() -> Guard) {}
}

impl<K: Ord + Clone, V, const OF_SET: bool> Entry<'_, K, V, OF_SET> {
    fn is(&self, key: &K) -> bool {
        std::ptr::eq(self.key(), key)
    }

    /// Removes this very entry, and returns whether this call did.
    pub fn remove(&self) -> bool {
        self.map.remove_if(self.key(), |key, _| self.is(key)).is_some()
    }

    /// Returns whether it is in the map no longer.
    pub fn is_removed(&self) -> bool {
        !self.map.get(self.key()).is_some_and(|found| self.is(found.key()))
    }

    /// Returns the entry after it.
    pub fn next(&self) -> Option<Self> {
        Some(Self { map: self.map, found: self.map.successor(self.key())? })
    }

    /// Returns the entry before it.
    pub fn prev(&self) -> Option<Self> {
        Some(Self { map: self.map, found: self.map.predecessor(self.key())? })
    }

    /// Goes to the entry after it, if there is one.
    pub fn move_next(&mut self) -> bool {
        self.next().map(|next| *self = next).is_some()
    }

    /// Goes to the entry before it, if there is one.
    pub fn move_prev(&mut self) -> bool {
        self.prev().map(|prev| *self = prev).is_some()
    }
}

impl<K> Deref for Entry<'_, K, (), true> {
    type Target = K;

    fn deref(&self) -> &K {
        self.key()
    }
}

/// An iterator over entries.
pub type Entries<'a, K, V, const OF_SET: bool = false> =
    Box<dyn DoubleEndedIterator<Item = Entry<'a, K, V, OF_SET>> + 'a>;

/// A map.
pub struct SkipMap<K, V>(OrdMap<K, V>);

/// A set.
pub struct SkipSet<K>(OrdSet<K>);

/// A map whose methods take a guard.
pub struct SkipList<K, V>(SkipMap<K, V>);

impl<K: Ord + Clone, V> SkipMap<K, V> {
    /// Returns an empty map.
    pub fn new() -> Self {
        Self(OrdMap::new())
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K: Ord + Clone, V> SkipList<K, V> {
    /// Returns an empty map.
    pub fn new(_: Collector) -> Self {
        Self(SkipMap::new())
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Removes all entries.
    pub fn clear(&self, _: &mut Guard) {
        self.0.clear();
    }
}

impl<K: Ord + Clone> SkipSet<K> {
    /// Returns an empty set.
    pub fn new() -> Self {
        Self(OrdSet::new())
    }

    /// Returns the number of elements.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Removes all elements.
    pub fn clear(&self) {
        self.0.clear();
    }

    /// Inserts an element, unless an equal one is there, and returns the one in the set.
    pub fn get_or_insert(&self, key: K) -> Entry<'_, K, (), true> {
        entry(self.0.as_map(), self.0.as_map().get_or_insert(key, ()))
    }

    /// Inserts an element, which replaces an equal one.
    pub fn insert(&self, key: K) -> Entry<'_, K, (), true> {
        insert(self.0.as_map(), key, ())
    }
}

fn entry<'a, K, V, const OF_SET: bool>(
    map: &'a OrdMap<K, V>,
    found: Ref<'a, K, V>,
) -> Entry<'a, K, V, OF_SET> {
    Entry { map, found }
}

fn insert<K, V, const OF_SET: bool>(map: &OrdMap<K, V>, key: K, value: V) -> Entry<'_, K, V, OF_SET>
where
    K: Ord + Clone,
    V: Clone,
{
    let done = map.compute(key, |_| Op::Insert(value.clone()));
    entry(map, done.after.expect("it was inserted"))
}

/// Writes the methods that maps, sets and lists have. `$of` is the map of hedgerow's.
macro_rules! lookups {
    ($name:ident<$($p:ident),*>, [$($value:tt)*], $self:ident, $of:expr $(, $guard:ty)?) => {
        impl<$($p),*> $name<$($p),*>
        where
            K: Ord + Clone,
        {
            /// Returns the entry of a key.
            pub fn get(&$self, key: &K $(, _: &$guard)?) -> Option<Entry<'_, K, $($value)*>> {
                $of.get(key).map(|found| entry($of, found))
            }

            /// Removes a key, and returns its entry.
            pub fn remove(&$self, key: &K $(, _: &$guard)?) -> Option<Entry<'_, K, $($value)*>> {
                loop {
                    let entry: Entry<'_, K, $($value)*> = entry($of, $of.get(key)?);
                    if entry.remove() {
                        return Some(entry);
                    }
                }
            }

            /// Returns the first entry.
            pub fn front(&$self $(, _: &$guard)?) -> Option<Entry<'_, K, $($value)*>> {
                $of.first_key_value().map(|found| entry($of, found))
            }

            /// Returns the last entry.
            pub fn back(&$self $(, _: &$guard)?) -> Option<Entry<'_, K, $($value)*>> {
                $of.last_key_value().map(|found| entry($of, found))
            }

            /// Returns the first entry above a bound.
            pub fn lower_bound(&$self, bound: Bound<&K> $(, _: &$guard)?) -> Option<Entry<'_, K, $($value)*>> {
                let found = match bound {
                    Bound::Included(key) => $of.ceiling(key),
                    Bound::Excluded(key) => $of.successor(key),
                    Bound::Unbounded => $of.first_key_value(),
                };
                found.map(|found| entry($of, found))
            }

            /// Returns the last entry below a bound.
            pub fn upper_bound(&$self, bound: Bound<&K> $(, _: &$guard)?) -> Option<Entry<'_, K, $($value)*>> {
                let found = match bound {
                    Bound::Included(key) => $of.floor(key),
                    Bound::Excluded(key) => $of.predecessor(key),
                    Bound::Unbounded => $of.last_key_value(),
                };
                found.map(|found| entry($of, found))
            }

            /// Returns all entries.
            pub fn iter<'a>(&'a $self $(, _: &'a $guard)?) -> Entries<'a, K, $($value)*> {
                Box::new($of.iter().map(|found| entry($of, found)))
            }

            /// Returns the entries within bounds.
            pub fn range<'a>(&'a $self, bounds: impl RangeBounds<K> + 'a $(, _: &'a $guard)?)
                -> Entries<'a, K, $($value)*>
            {
                Box::new($of.iter_range(bounds).map(|found| entry($of, found)))
            }
        }
    };
}
lookups!(SkipMap<K, V>, [V], self, &self.0);
lookups!(SkipSet<K>, [(), true], self, self.0.as_map());
lookups!(SkipList<K, V>, [V], self, &self.0.0, Guard);

/// Writes the insertions of maps and lists.
macro_rules! insertions {
    ($name:ident, $self:ident, $map:expr $(, $guard:ty)?) => {
        impl<K: Ord + Clone, V: Clone> $name<K, V> {
            /// Stores a value, and returns its entry.
            pub fn insert(&$self, key: K, value: V $(, _: &$guard)?) -> Entry<'_, K, V> {
                insert($map, key, value)
            }

            /// Stores a value if the key has none, or if `replaces` holds for the one that it has.
            pub fn compare_insert(&$self, key: K, value: V, replaces: impl Fn(&V) -> bool $(, _: &$guard)?)
                -> Entry<'_, K, V>
            {
                let done = $map.compute(key, |old| {
                    if old.is_none_or(&replaces) { Op::Insert(value.clone()) } else { Op::Keep }
                });
                entry($map, done.after.expect("nothing is removed"))
            }

            /// Returns the entry of a key, which has `value` if there was none.
            pub fn get_or_insert(&$self, key: K, value: V $(, _: &$guard)?) -> Entry<'_, K, V> {
                entry($map, $map.get_or_insert(key, value))
            }

            /// Returns the entry of a key, whose value `make` makes if there was none.
            pub fn get_or_insert_with(&$self, key: K, make: impl FnOnce() -> V $(, _: &$guard)?) -> Entry<'_, K, V> {
                entry($map, $map.get_or_insert_with(key, make))
            }
        }
    };
}
insertions!(SkipMap, self, &self.0);
insertions!(SkipList, self, &self.0.0, Guard);

impl<K: Ord + Clone, V> SkipMap<K, V> {
    /// Removes all entries.
    pub fn clear(&self) {
        self.0.clear();
    }
}

impl<K, V> IntoIterator for SkipMap<K, V> {
    type Item = (K, V);
    type IntoIter = OrdIntoIter<K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<K, V> IntoIterator for SkipList<K, V> {
    type Item = (K, V);
    type IntoIter = OrdIntoIter<K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<K> IntoIterator for SkipSet<K> {
    type Item = K;
    type IntoIter = <OrdSet<K> as IntoIterator>::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<K: Ord + Clone, V> FromIterator<(K, V)> for SkipMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        Self(OrdMap::from_iter(entries))
    }
}

impl<K: Ord + Clone> FromIterator<K> for SkipSet<K> {
    fn from_iter<I: IntoIterator<Item = K>>(elements: I) -> Self {
        Self(OrdSet::from_iter(elements))
    }
}
