//! The types that `entry` returns, shared by the maps that have it.

use crate::error::OccupiedError;
use core::fmt;

/// The operations of a map that [`Entry`] calls. Sealed: only maps of this crate implement it.
///
/// | map | [`Found`](Self::Found) | [`Taken`](Self::Taken) |
/// |---|---|---|
/// | [`FlatMap`](crate::FlatMap), [`FenceMap`](crate::FenceMap) | a copy of the value | a copy |
/// | [`HashMap`](crate::HashMap), [`OrdMap`](crate::OrdMap) | a [`Ref`] | a [`Removed`] |
///
/// [`Ref`]: crate::owned::Ref
/// [`Removed`]: crate::owned::Removed
pub trait Entries: sealed::Sealed {
    /// The type of keys.
    type Key;
    /// The type of values.
    type Value;
    /// The return type of the map's `get`, and of methods that return the value that they store.
    type Found<'a>
    where
        Self: 'a;
    /// The return type of the map's `insert` and `remove` for an entry that was present.
    type Taken<'a>
    where
        Self: 'a;
    #[doc(hidden)]
    fn value<'f>(found: &'f Self::Found<'_>) -> &'f Self::Value;
    #[doc(hidden)]
    fn find(&self, key: &Self::Key) -> Option<Self::Found<'_>>;
    #[doc(hidden)]
    fn find_or_insert(
        &self,
        key: Self::Key,
        make: impl FnOnce(&Self::Key) -> Self::Value,
    ) -> Self::Found<'_>;
    /// Inserts an entry, or hands both back if the key has a value.
    #[doc(hidden)]
    fn insert_new(
        &self,
        key: Self::Key,
        value: Self::Value,
    ) -> Result<Self::Found<'_>, (Self::Key, Self::Value)>;
    /// Changes the value, or inserts one; returns the value after that.
    #[doc(hidden)]
    fn modify_or_insert(
        &self,
        key: Self::Key,
        modify: impl FnMut(&mut Self::Value),
        make: impl FnOnce(&Self::Key) -> Self::Value,
    ) -> Self::Found<'_>
    where
        Self::Key: Clone,
        Self::Value: Clone;
    #[doc(hidden)]
    fn store(&self, key: Self::Key, value: Self::Value) -> Option<Self::Taken<'_>>;
    /// Stores an entry, and returns its value.
    #[doc(hidden)]
    fn store_and_find(&self, key: Self::Key, value: Self::Value) -> Self::Found<'_>;
    #[doc(hidden)]
    fn take(&self, key: &Self::Key) -> Option<Self::Taken<'_>>;
}

pub(crate) mod sealed {
    pub trait Sealed {}
}

/// The entry of a key, present or absent, as it was when `entry` was called. Made by
/// [`FlatMap::entry`](crate::FlatMap::entry), [`FenceMap::entry`](crate::FenceMap::entry),
/// [`HashMap::entry`](crate::HashMap::entry) and [`OrdMap::entry`](crate::OrdMap::entry).
///
/// An `Entry` locks nothing, so other threads may insert or remove the key at any time. Each method that changes the
/// map is atomic, and acts on the entry that exists when it is called. A chain of [`and_modify`](Self::and_modify) and
/// [`or_insert`](ModifiedEntry::or_insert) is atomic as well, so it can be used to count.
///
/// Methods that store something block and allocate as the map's `insert` does. An `Entry` costs two lookups;
/// `get_or_insert_with`, `update` and `compute` cost one.
pub enum Entry<'a, M: Entries> {
    /// The key was present.
    Occupied(OccupiedEntry<'a, M>),
    /// The key was absent.
    Vacant(VacantEntry<'a, M>),
}

/// The entry of a key that was present.
pub struct OccupiedEntry<'a, M: Entries> {
    map: &'a M,
    key: M::Key,
    found: M::Found<'a>,
}

/// The entry of a key that was absent.
pub struct VacantEntry<'a, M: Entries> {
    map: &'a M,
    key: M::Key,
}

/// An entry whose value will be changed if there is one; from [`Entry::and_modify`].
#[must_use = "it changes nothing until `or_insert` or another method that ends the chain is called"]
pub struct ModifiedEntry<'a, M: Entries, F> {
    map: &'a M,
    key: M::Key,
    modify: F,
}

impl<'a, M: Entries> Entry<'a, M> {
    #[inline]
    pub(crate) fn of(map: &'a M, key: M::Key) -> Self {
        match map.find(&key) {
            Some(found) => Self::Occupied(OccupiedEntry { map, key, found }),
            None => Self::Vacant(VacantEntry { map, key }),
        }
    }

    fn into_parts(self) -> (&'a M, M::Key) {
        match self {
            Self::Occupied(OccupiedEntry { map, key, .. })
            | Self::Vacant(VacantEntry { map, key }) => (map, key),
        }
    }

    /// Returns the key.
    ///
    /// ```
    /// let map = hedgerow::HashMap::<u32, char>::new();
    /// assert_eq!(map.entry(7).key(), &7);
    /// ```
    pub fn key(&self) -> &M::Key {
        match self {
            Self::Occupied(entry) => entry.key(),
            Self::Vacant(entry) => entry.key(),
        }
    }

    /// Returns the value that was found, or stores `value`. If another thread has stored one since `entry`, returns
    /// that one.
    ///
    /// ```
    /// let map = hedgerow::HashMap::<u32, char>::new();
    /// assert_eq!((*map.entry(7).or_insert('a'), *map.entry(7).or_insert('b')), ('a', 'a'));
    /// ```
    pub fn or_insert(self, value: M::Value) -> M::Found<'a> {
        self.or_insert_with(|| value)
    }

    /// Does what [`or_insert`](Self::or_insert) does, with the value that `make` returns.
    ///
    /// ```
    /// let map = hedgerow::OrdMap::<u32, String>::new();
    /// assert_eq!(map.entry(7).or_insert_with(String::new).as_str(), "");
    /// ```
    pub fn or_insert_with(self, make: impl FnOnce() -> M::Value) -> M::Found<'a> {
        self.or_insert_with_key(|_| make())
    }

    /// Does what [`or_insert`](Self::or_insert) does, with the value that `make` returns for the key.
    ///
    /// ```
    /// let map = hedgerow::HashMap::<String, usize>::new();
    /// assert_eq!(*map.entry("rose".into()).or_insert_with_key(|key| key.len()), 4);
    /// ```
    pub fn or_insert_with_key(self, make: impl FnOnce(&M::Key) -> M::Value) -> M::Found<'a> {
        match self {
            Self::Occupied(entry) => {
                drop(make);
                entry.into_value()
            }
            Self::Vacant(VacantEntry { map, key }) => map.find_or_insert(key, make),
        }
    }

    /// Returns the value that was found. Otherwise calls `make`, and stores its value if it succeeds, as
    /// [`or_insert`](Self::or_insert) does.
    ///
    /// # Errors
    /// The error of `make`. The map stores nothing then.
    ///
    /// ```
    /// let map = hedgerow::HashMap::<u32, u8>::new();
    /// assert!(map.entry(7).or_try_insert_with(|| "many".parse()).is_err());
    /// assert_eq!(map.entry(7).or_try_insert_with(|| "7".parse()).as_deref(), Ok(&7));
    /// ```
    pub fn or_try_insert_with<E>(
        self,
        make: impl FnOnce() -> Result<M::Value, E>,
    ) -> Result<M::Found<'a>, E> {
        match self {
            Self::Occupied(entry) => {
                drop(make);
                Ok(entry.into_value())
            }
            Self::Vacant(VacantEntry { map, key }) => {
                let value = make()?;
                Ok(map.find_or_insert(key, |_| value))
            }
        }
    }

    /// Does what [`or_insert`](Self::or_insert) does, with the default value.
    ///
    /// ```
    /// let map = hedgerow::FenceMap::<u32, u32>::new();
    /// assert_eq!(map.entry(7).or_default(), 0);
    /// ```
    pub fn or_default(self) -> M::Found<'a>
    where
        M::Value: Default,
    {
        self.or_insert_with(M::Value::default)
    }

    /// Stores `value`, whether the key has a value or not, and returns the entry. A value that it replaces is dropped
    /// once no other thread can be reading it.
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, char> = [(7, 'a')].into();
    /// assert_eq!(map.entry(7).insert_entry('b').get(), &'b');
    /// ```
    pub fn insert_entry(self, value: M::Value) -> OccupiedEntry<'a, M>
    where
        M::Key: Clone,
    {
        let (map, key) = self.into_parts();
        let found = map.store_and_find(key.clone(), value);
        OccupiedEntry { map, key, found }
    }

    /// Lets the method that ends the chain change the value by `f`, if there is one by then.
    ///
    /// `f` changes a clone, while nothing is locked, and again if the entry was replaced in the meantime.
    ///
    /// ```
    /// let map = hedgerow::HashMap::<&str, Vec<u32>>::new();
    /// for (line, word) in (1..).zip(["rose", "thorn", "rose"]) {
    ///     map.entry(word).and_modify(|lines| lines.push(line)).or_insert_with(|| vec![line]);
    /// }
    /// assert_eq!(map.get_cloned("rose"), Some(vec![1, 3]));
    /// ```
    pub fn and_modify<F: FnMut(&mut M::Value)>(self, f: F) -> ModifiedEntry<'a, M, F> {
        let (map, key) = self.into_parts();
        ModifiedEntry { map, key, modify: f }
    }
}

impl<'a, M: Entries<Key: Clone, Value: Clone>, F: FnMut(&mut M::Value)> ModifiedEntry<'a, M, F> {
    /// Returns the key.
    ///
    /// ```
    /// let map = hedgerow::FlatMap::<u32, u32>::new();
    /// assert_eq!(map.entry(7).and_modify(|n| *n += 1).key(), &7);
    /// ```
    pub fn key(&self) -> &M::Key {
        &self.key
    }

    /// Changes the value, or stores `value` if there is none, in one atomic step; returns the new value.
    ///
    /// ```
    /// let map = hedgerow::FlatMap::<&str, u32>::new();
    /// for word in ["rose", "briar", "rose"] {
    ///     map.entry(word).and_modify(|n| *n += 1).or_insert(1);
    /// }
    /// assert_eq!((map.get("rose"), map.get("briar")), (Some(2), Some(1)));
    /// ```
    pub fn or_insert(self, value: M::Value) -> M::Found<'a> {
        self.or_insert_with(|| value)
    }

    /// Does what [`or_insert`](Self::or_insert) does, with the value that `make` returns.
    ///
    /// ```
    /// let map = hedgerow::HashMap::<u32, u32>::new();
    /// assert_eq!(*map.entry(7).and_modify(|n| *n += 1).or_insert_with(|| 5), 5);
    /// ```
    pub fn or_insert_with(self, make: impl FnOnce() -> M::Value) -> M::Found<'a> {
        self.or_insert_with_key(|_| make())
    }

    /// Does what [`or_insert`](Self::or_insert) does, with the value that `make` returns for the key.
    ///
    /// ```
    /// let map = hedgerow::HashMap::<String, usize>::new();
    /// let entry = map.entry("rose".into()).and_modify(|n| *n += 1);
    /// assert_eq!(*entry.or_insert_with_key(|key| key.len()), 4);
    /// ```
    pub fn or_insert_with_key(self, make: impl FnOnce(&M::Key) -> M::Value) -> M::Found<'a> {
        self.map.modify_or_insert(self.key, self.modify, make)
    }

    /// Does what [`or_insert`](Self::or_insert) does, with the default value.
    ///
    /// ```
    /// let map: hedgerow::OrdMap<u32, u32> = [(7, 1)].into();
    /// assert_eq!(*map.entry(7).and_modify(|n| *n += 1).or_default(), 2);
    /// ```
    pub fn or_default(self) -> M::Found<'a>
    where
        M::Value: Default,
    {
        self.or_insert_with(M::Value::default)
    }
}

impl<'a, M: Entries> OccupiedEntry<'a, M> {
    /// Returns the key that was passed to `entry`.
    ///
    /// ```
    /// use hedgerow::entry::Entry;
    /// let map: hedgerow::HashMap<u32, char> = [(7, 'a')].into();
    /// let Entry::Occupied(entry) = map.entry(7) else { unreachable!() };
    /// assert_eq!((entry.key(), entry.get()), (&7, &'a'));
    /// ```
    pub fn key(&self) -> &M::Key {
        &self.key
    }

    /// Returns the value that was found.
    ///
    /// ```
    /// use hedgerow::entry::Entry;
    /// let map: hedgerow::FlatMap<u32, char> = [(7, 'a')].into();
    /// let Entry::Occupied(entry) = map.entry(7) else { unreachable!() };
    /// assert_eq!(entry.get(), &'a');
    /// ```
    pub fn get(&self) -> &M::Value {
        M::value(&self.found)
    }

    /// Returns the value that was found, by value: a copy, or a guard.
    ///
    /// ```
    /// use hedgerow::entry::Entry;
    /// let map: hedgerow::HashMap<u32, char> = [(7, 'a')].into();
    /// let Entry::Occupied(entry) = map.entry(7) else { unreachable!() };
    /// assert_eq!(*entry.into_value(), 'a');
    /// ```
    pub fn into_value(self) -> M::Found<'a> {
        let Self { key, found, .. } = self;
        // Dropped first: if the key panicked after the return value is made, the guard in it would be leaked.
        drop(key);
        found
    }

    /// Stores `value`, and returns what it replaces, as the map's `insert` does.
    ///
    /// ```
    /// use hedgerow::entry::Entry;
    /// let map: hedgerow::HashMap<u32, char> = [(7, 'a')].into();
    /// let Entry::Occupied(entry) = map.entry(7) else { unreachable!() };
    /// assert_eq!(entry.insert('b').as_deref(), Some(&'a'));
    /// ```
    pub fn insert(self, value: M::Value) -> Option<M::Taken<'a>> {
        let Self { map, key, found } = self;
        drop(found);
        map.store(key, value)
    }

    /// Removes the key, with the value that it has by now, as the map's `remove` does.
    ///
    /// ```
    /// use hedgerow::entry::Entry;
    /// let map: hedgerow::FenceMap<u32, char> = [(7, 'a')].into();
    /// let Entry::Occupied(entry) = map.entry(7) else { unreachable!() };
    /// assert_eq!(entry.remove(), Some('a'));
    /// ```
    pub fn remove(self) -> Option<M::Taken<'a>> {
        let Self { map, key, found } = self;
        drop(found);
        let taken = map.take(&key);
        // Dropped first: if the key panicked after the return value is made, that would be leaked.
        drop(key);
        taken
    }
}

impl<'a, M: Entries> VacantEntry<'a, M> {
    /// Returns the key that was passed to `entry`.
    ///
    /// ```
    /// use hedgerow::entry::Entry;
    /// let map = hedgerow::HashMap::<u32, char>::new();
    /// let Entry::Vacant(entry) = map.entry(7) else { unreachable!() };
    /// assert_eq!(entry.key(), &7);
    /// ```
    pub fn key(&self) -> &M::Key {
        &self.key
    }

    /// Returns the key that was passed to `entry`, by value.
    ///
    /// ```
    /// use hedgerow::entry::Entry;
    /// let map = hedgerow::HashMap::<String, char>::new();
    /// let Entry::Vacant(entry) = map.entry("rose".into()) else { unreachable!() };
    /// assert_eq!(entry.into_key(), "rose");
    /// ```
    pub fn into_key(self) -> M::Key {
        self.key
    }

    /// Stores `value`, if no other thread has stored one since `entry` was called.
    ///
    /// # Errors
    /// The key has a value by now. The error hands key and value back.
    ///
    /// ```
    /// use hedgerow::entry::Entry;
    /// let map = hedgerow::OrdMap::<u32, char>::new();
    /// let Entry::Vacant(entry) = map.entry(7) else { unreachable!() };
    /// let Entry::Vacant(late) = map.entry(7) else { unreachable!() };
    /// assert_eq!(*entry.insert('a').unwrap(), 'a');
    /// assert_eq!(late.insert('b').unwrap_err().into_parts(), (7, 'b'));
    /// ```
    pub fn insert(self, value: M::Value) -> Result<M::Found<'a>, OccupiedError<M::Key, M::Value>> {
        let stored = self.map.insert_new(self.key, value);
        stored.map_err(|(key, value)| OccupiedError::new(key, value, ()))
    }

    /// Does what [`insert`](Self::insert) does, and returns the entry.
    ///
    /// # Errors
    /// The key has a value by now. The error hands key and value back.
    ///
    /// ```
    /// use hedgerow::entry::Entry;
    /// let map = hedgerow::FlatMap::<u32, char>::new();
    /// let Entry::Vacant(entry) = map.entry(7) else { unreachable!() };
    /// assert_eq!(entry.insert_entry('a').unwrap().remove(), Some('a'));
    /// ```
    pub fn insert_entry(
        self,
        value: M::Value,
    ) -> Result<OccupiedEntry<'a, M>, OccupiedError<M::Key, M::Value>>
    where
        M::Key: Clone,
    {
        let Self { map, key } = self;
        match map.insert_new(key.clone(), value) {
            Ok(found) => Ok(OccupiedEntry { map, key, found }),
            Err((key, value)) => Err(OccupiedError::new(key, value, ())),
        }
    }
}

impl<M: Entries<Key: fmt::Debug, Value: fmt::Debug>> fmt::Debug for Entry<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Occupied(entry) => entry.fmt(f),
            Self::Vacant(entry) => entry.fmt(f),
        }
    }
}

impl<M: Entries<Key: fmt::Debug, Value: fmt::Debug>> fmt::Debug for OccupiedEntry<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.get();
        f.debug_struct("OccupiedEntry").field("key", &self.key).field("value", value).finish()
    }
}

impl<M: Entries<Key: fmt::Debug>> fmt::Debug for VacantEntry<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("VacantEntry").field(&self.key).finish()
    }
}

impl<M: Entries<Key: fmt::Debug>, F> fmt::Debug for ModifiedEntry<'_, M, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModifiedEntry").field("key", &self.key).finish_non_exhaustive()
    }
}
