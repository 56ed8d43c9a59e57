//! An entry that is there or not, and what to do about it.

use super::map::HashMap;
use crate::reclaim::borrowed::Ref;
use crate::reclaim::removed::Removed;
use core::fmt;
use core::hash::{BuildHasher, Hash};

/// A key's place in a [`HashMap`], as it was when [`HashMap::entry`] looked.
///
/// Nothing is locked meanwhile, so others may insert or remove the key: each method decides again, atomically, and says
/// what it does if the place has changed.
pub enum Entry<'a, K, V, S> {
    /// The key had an entry.
    Occupied(OccupiedEntry<'a, K, V, S>),
    /// The key had none.
    Vacant(VacantEntry<'a, K, V, S>),
}

/// A place that had an entry.
pub struct OccupiedEntry<'a, K, V, S> {
    map: &'a HashMap<K, V, S>,
    key: K,
    found: Ref<'a, K, V>,
}

/// A place that had no entry.
pub struct VacantEntry<'a, K, V, S> {
    map: &'a HashMap<K, V, S>,
    key: K,
}

impl<K: Eq + Hash, V, S: BuildHasher> HashMap<K, V, S> {
    /// Looks at the place of `key`, to decide what to store there.
    ///
    /// Blocks and allocates as [`insert`](Self::insert) does when something is stored.
    ///
    /// ```
    /// let map = hedgerow::HashMap::<&str, u32>::new();
    /// for word in ["rose", "thorn", "rose"] {
    ///     map.entry(word).and_modify(|count| count + 1).or_insert(1);
    /// }
    /// assert_eq!(map.get_cloned("rose"), Some(2));
    /// ```
    pub fn entry(&self, key: K) -> Entry<'_, K, V, S> {
        match self.get(&key) {
            Some(found) => Entry::Occupied(OccupiedEntry { map: self, key, found }),
            None => Entry::Vacant(VacantEntry { map: self, key }),
        }
    }
}

impl<'a, K: Eq + Hash, V, S: BuildHasher> Entry<'a, K, V, S> {
    /// Returns the key.
    ///
    /// ```
    /// let map = hedgerow::HashMap::<u32, char>::new();
    /// assert_eq!(map.entry(7).key(), &7);
    /// ```
    pub fn key(&self) -> &K {
        match self {
            Self::Occupied(entry) => entry.key(),
            Self::Vacant(entry) => entry.key(),
        }
    }

    /// Returns the value that was found, or stores `value`. If another thread stored one meanwhile, returns that.
    ///
    /// ```
    /// let map = hedgerow::HashMap::<u32, char>::new();
    /// assert_eq!((*map.entry(7).or_insert('a'), *map.entry(7).or_insert('b')), ('a', 'a'));
    /// ```
    pub fn or_insert(self, value: V) -> Ref<'a, K, V> {
        self.or_insert_with(|| value)
    }

    /// As [`or_insert`](Self::or_insert), with the value that `make` returns.
    ///
    /// ```
    /// let map = hedgerow::HashMap::<u32, String>::new();
    /// assert_eq!(map.entry(7).or_insert_with(String::new).as_str(), "");
    /// ```
    pub fn or_insert_with(self, make: impl FnOnce() -> V) -> Ref<'a, K, V> {
        match self {
            Self::Occupied(entry) => {
                drop(make);
                entry.into_ref()
            }
            Self::Vacant(VacantEntry { map, key }) => map.get_or_insert_with(key, make),
        }
    }

    /// As [`or_insert`](Self::or_insert), with the value that `make` makes of the key.
    ///
    /// ```
    /// let map = hedgerow::HashMap::<String, usize>::new();
    /// assert_eq!(*map.entry("rose".into()).or_insert_with_key(|key| key.len()), 4);
    /// ```
    pub fn or_insert_with_key(self, make: impl FnOnce(&K) -> V) -> Ref<'a, K, V> {
        match self {
            Self::Occupied(entry) => {
                drop(make);
                entry.into_ref()
            }
            Self::Vacant(VacantEntry { map, key }) => {
                let value = make(&key);
                map.get_or_insert(key, value)
            }
        }
    }

    /// As [`or_insert`](Self::or_insert), with the default value.
    ///
    /// ```
    /// let map = hedgerow::HashMap::<u32, String>::new();
    /// assert_eq!(map.entry(7).or_default().as_str(), "");
    /// ```
    pub fn or_default(self) -> Ref<'a, K, V>
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }

    /// Replaces the value by what `f` makes of it, if the key has one now: see [`HashMap::update`].
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, u32> = [(7, 1)].into();
    /// assert_eq!(*map.entry(7).and_modify(|n| n + 1).or_insert(0), 2);
    /// ```
    #[must_use]
    pub fn and_modify(self, f: impl FnMut(&V) -> V) -> Self
    where
        K: Clone,
    {
        match self {
            Self::Occupied(OccupiedEntry { map, key, .. }) => match map.update(&key, f) {
                Some(found) => Self::Occupied(OccupiedEntry { map, key, found }),
                None => Self::Vacant(VacantEntry { map, key }),
            },
            vacant @ Self::Vacant(_) => vacant,
        }
    }
}

impl<'a, K: Eq + Hash, V, S: BuildHasher> OccupiedEntry<'a, K, V, S> {
    /// Returns the key that was looked for.
    ///
    /// ```
    /// use hedgerow::owned::Entry;
    /// let map: hedgerow::HashMap<u32, char> = [(7, 'a')].into();
    /// let Entry::Occupied(entry) = map.entry(7) else { unreachable!() };
    /// assert_eq!((entry.key(), entry.get()), (&7, &'a'));
    /// ```
    pub fn key(&self) -> &K {
        &self.key
    }

    /// Returns the value that was found.
    ///
    /// ```
    /// use hedgerow::owned::Entry;
    /// let map: hedgerow::HashMap<u32, char> = [(7, 'a')].into();
    /// let Entry::Occupied(entry) = map.entry(7) else { unreachable!() };
    /// assert_eq!(entry.get(), &'a');
    /// ```
    pub fn get(&self) -> &V {
        self.found.value()
    }

    /// Returns the entry that was found, to be kept.
    ///
    /// ```
    /// use hedgerow::owned::Entry;
    /// let map: hedgerow::HashMap<u32, char> = [(7, 'a')].into();
    /// let Entry::Occupied(entry) = map.entry(7) else { unreachable!() };
    /// assert_eq!(*entry.into_ref(), 'a');
    /// ```
    pub fn into_ref(self) -> Ref<'a, K, V> {
        let Self { key, found, .. } = self;
        // If the key panics after the return value is made, its guard is leaked.
        drop(key);
        found
    }

    /// Stores `value`, and returns the entry that it replaces: see [`HashMap::insert`].
    ///
    /// ```
    /// use hedgerow::owned::Entry;
    /// let map: hedgerow::HashMap<u32, char> = [(7, 'a')].into();
    /// let Entry::Occupied(entry) = map.entry(7) else { unreachable!() };
    /// assert_eq!(entry.insert('b').as_deref(), Some(&'a'));
    /// ```
    pub fn insert(self, value: V) -> Option<Removed<'a, K, V>> {
        self.map.insert(self.key, value)
    }

    /// Removes the entry of the key, whichever it is by now: see [`HashMap::remove`].
    ///
    /// ```
    /// use hedgerow::owned::Entry;
    /// let map: hedgerow::HashMap<u32, char> = [(7, 'a')].into();
    /// let Entry::Occupied(entry) = map.entry(7) else { unreachable!() };
    /// assert_eq!(entry.remove().as_deref(), Some(&'a'));
    /// ```
    pub fn remove(self) -> Option<Removed<'a, K, V>> {
        let Self { map, key, found } = self;
        drop(found);
        let removed = map.remove(&key);
        // If the key panics after the return value is made, that is leaked.
        drop(key);
        removed
    }
}

impl<'a, K: Eq + Hash, V, S: BuildHasher> VacantEntry<'a, K, V, S> {
    /// Returns the key that was looked for.
    ///
    /// ```
    /// use hedgerow::owned::Entry;
    /// let map = hedgerow::HashMap::<u32, char>::new();
    /// let Entry::Vacant(entry) = map.entry(7) else { unreachable!() };
    /// assert_eq!(entry.key(), &7);
    /// ```
    pub fn key(&self) -> &K {
        &self.key
    }

    /// Returns the key itself.
    ///
    /// ```
    /// use hedgerow::owned::Entry;
    /// let map = hedgerow::HashMap::<String, char>::new();
    /// let Entry::Vacant(entry) = map.entry("rose".into()) else { unreachable!() };
    /// assert_eq!(entry.into_key(), "rose");
    /// ```
    pub fn into_key(self) -> K {
        self.key
    }

    /// Stores `value`. If another thread stored one meanwhile, returns that.
    ///
    /// ```
    /// use hedgerow::owned::Entry;
    /// let map = hedgerow::HashMap::<u32, char>::new();
    /// let Entry::Vacant(entry) = map.entry(7) else { unreachable!() };
    /// assert_eq!(*entry.insert('a'), 'a');
    /// ```
    pub fn insert(self, value: V) -> Ref<'a, K, V> {
        self.map.get_or_insert(self.key, value)
    }
}

impl<K: fmt::Debug, V: fmt::Debug, S> fmt::Debug for Entry<'_, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Occupied(entry) => entry.fmt(f),
            Self::Vacant(entry) => entry.fmt(f),
        }
    }
}

impl<K: fmt::Debug, V: fmt::Debug, S> fmt::Debug for OccupiedEntry<'_, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.found.value();
        f.debug_struct("OccupiedEntry").field("key", &self.key).field("value", value).finish()
    }
}

impl<K: fmt::Debug, V, S> fmt::Debug for VacantEntry<'_, K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VacantEntry").field(&self.key).finish()
    }
}
