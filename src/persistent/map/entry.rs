//! `entry`: the place of a key, found once.

use super::ops::{PersistentMap, out_of_memory};
use crate::persistent::tree::Place;
use core::mem;

/// The place of a key in a map, vacant or occupied.
pub enum Entry<'a, K, V> {
    /// The key is absent.
    Vacant(VacantEntry<'a, K, V>),
    /// The key is present.
    Occupied(OccupiedEntry<'a, K, V>),
}

/// The place of a key that is absent.
pub struct VacantEntry<'a, K, V> {
    map: &'a mut PersistentMap<K, V>,
    place: Place,
    key: K,
}

/// The place of a key that is present.
pub struct OccupiedEntry<'a, K, V> {
    map: &'a mut PersistentMap<K, V>,
    place: Place,
}

impl<K: Ord + Clone, V: Clone> PersistentMap<K, V> {
    /// Returns the place of a key, to look at it, change, insert or remove it with one search.
    ///
    /// ```
    /// let mut counts = hedgerow::persistent::PersistentMap::new();
    /// for word in ["to", "be", "or", "not", "to", "be"] {
    ///     *counts.entry(word).or_insert(0) += 1;
    /// }
    /// assert_eq!(counts, [("be", 2), ("not", 1), ("or", 1), ("to", 2)].into());
    /// ```
    pub fn entry(&mut self, key: K) -> Entry<'_, K, V> {
        match self.place(&key) {
            Ok(place) => Entry::Occupied(OccupiedEntry { map: self, place }),
            Err(place) => Entry::Vacant(VacantEntry { map: self, place, key }),
        }
    }
}

impl<K: Ord + Clone, V: Clone> PersistentMap<K, V> {
    /// Returns the entry with the smallest key, to look at it, change or remove it. O(log n).
    ///
    /// ```
    /// let mut queue = hedgerow::persistent::PersistentMap::from([(1, "low"), (9, "high")]);
    /// assert_eq!(queue.first_entry().unwrap().remove(), "low");
    /// queue.last_entry().unwrap().insert("highest");
    /// assert_eq!(queue, [(9, "highest")].into());
    /// ```
    pub fn first_entry(&mut self) -> Option<OccupiedEntry<'_, K, V>> {
        self.entry_at(0)
    }

    /// Returns the entry with the greatest key, to look at it, change or remove it. O(log n).
    pub fn last_entry(&mut self) -> Option<OccupiedEntry<'_, K, V>> {
        self.entry_at(self.len().checked_sub(1)?)
    }

    fn entry_at(&mut self, index: usize) -> Option<OccupiedEntry<'_, K, V>> {
        let place = (index < self.len()).then(|| self.tree.place_of(index))?;
        Some(OccupiedEntry { map: self, place })
    }
}

impl<'a, K: Ord + Clone, V: Clone> Entry<'a, K, V> {
    /// Returns the value, after inserting `value` if the key is absent.
    pub fn or_insert(self, value: V) -> &'a mut V {
        self.or_insert_with(|| value)
    }

    /// Returns the value, after inserting the result of `make` if the key is absent.
    pub fn or_insert_with<F: FnOnce() -> V>(self, make: F) -> &'a mut V {
        match self {
            Self::Occupied(entry) => entry.into_mut(),
            Self::Vacant(entry) => entry.insert(make()),
        }
    }

    /// Returns the value, after inserting the result of `make` for the key if it is absent.
    pub fn or_insert_with_key<F: FnOnce(&K) -> V>(self, make: F) -> &'a mut V {
        match self {
            Self::Occupied(entry) => entry.into_mut(),
            Self::Vacant(entry) => {
                let value = make(&entry.key);
                entry.insert(value)
            }
        }
    }

    /// Returns the value, after inserting the default if the key is absent.
    pub fn or_default(self) -> &'a mut V
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }

    /// Changes the value with `change` if the key is present.
    #[must_use]
    pub fn and_modify<F: FnOnce(&mut V)>(mut self, change: F) -> Self {
        if let Self::Occupied(entry) = &mut self {
            change(entry.get_mut());
        }
        self
    }

    /// Returns the key.
    pub fn key(&self) -> &K {
        match self {
            Self::Occupied(entry) => entry.key(),
            Self::Vacant(entry) => &entry.key,
        }
    }
}

impl<'a, K: Ord + Clone, V: Clone> VacantEntry<'a, K, V> {
    /// Returns the key.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// Returns the key.
    pub fn into_key(self) -> K {
        self.key
    }

    /// Inserts the key with `value`, and returns the value.
    pub fn insert(self, value: V) -> &'a mut V {
        let index = self.map.tree.index_of(&self.place);
        let inserted = self.map.tree.insert_at(&self.place, self.key, value);
        inserted.unwrap_or_else(|(why, ..)| out_of_memory(why));
        let place = self.map.tree.place_of(index);
        self.map.tree.get_mut(&place).unwrap_or_else(|why| out_of_memory(why)).1
    }
}

impl<'a, K: Ord + Clone, V: Clone> OccupiedEntry<'a, K, V> {
    /// Returns the key.
    pub fn key(&self) -> &K {
        self.map.tree.entry_at(&self.place).0
    }

    /// Returns the value.
    pub fn get(&self) -> &V {
        self.map.tree.entry_at(&self.place).1
    }

    /// Returns the value for changes. Copies the nodes on the way if other versions share them.
    pub fn get_mut(&mut self) -> &mut V {
        self.map.tree.get_mut(&self.place).unwrap_or_else(|why| out_of_memory(why)).1
    }

    /// Returns the value for changes, for as long as the map is borrowed.
    pub fn into_mut(self) -> &'a mut V {
        self.map.tree.get_mut(&self.place).unwrap_or_else(|why| out_of_memory(why)).1
    }

    /// Stores a value, and returns the one that it replaces.
    pub fn insert(&mut self, value: V) -> V {
        mem::replace(self.get_mut(), value)
    }

    /// Removes the entry, and returns its value.
    pub fn remove(self) -> V {
        self.remove_entry().1
    }

    /// Removes the entry, and returns it.
    pub fn remove_entry(self) -> (K, V) {
        self.map.remove_place(&self.place)
    }
}
