//! An entry that was taken out of its map.

use super::pair::Pair;
use super::retired::Unlinked;
use core::fmt;
use core::ops::Deref;

/// An entry that was removed from a [`HashMap`](crate::HashMap). Dereferences to the value.
///
/// Readers that found the entry earlier may still be using it. The entry is shared with them, and dropped when they are
/// done. [`try_into_owned`](Self::try_into_owned) takes it out if no reader can still be using it. Leaking this value
/// leaks the entry.
pub struct Removed<'a, K, V>(Unlinked<'a, Pair<K, V>>);

impl<'a, K, V> Removed<'a, K, V> {
    pub(crate) fn new(node: Unlinked<'a, Pair<K, V>>) -> Self {
        Self(node)
    }

    /// Returns the entry's key.
    ///
    /// ```
    /// let map: hedgerow::HashMap<String, u32> = [("rose".into(), 1)].into();
    /// assert_eq!(map.remove("rose").unwrap().key(), "rose");
    /// ```
    pub fn key(&self) -> &K {
        self.0.live().key()
    }

    /// Returns the entry's value.
    ///
    /// ```
    /// let map: hedgerow::HashMap<String, u32> = [("rose".into(), 1)].into();
    /// assert_eq!(map.remove("rose").unwrap().value(), &1);
    /// ```
    pub fn value(&self) -> &V {
        self.0.live().value()
    }

    /// Returns the entry's key and value.
    ///
    /// ```
    /// let map: hedgerow::HashMap<String, u32> = [("rose".into(), 1)].into();
    /// assert_eq!(map.remove("rose").unwrap().pair(), (&"rose".into(), &1));
    /// ```
    pub fn pair(&self) -> (&K, &V) {
        (self.key(), self.value())
    }

    /// Returns the key and the value themselves, if no reader can still be using them.
    ///
    /// That fails while this thread or another holds a guard from before the removal, of this or any other map: a
    /// [`Ref`](super::borrowed::Ref), an iterator or a pinned map. Waits for no thread. Asks the operating system for a
    /// barrier of all threads (feature `std-ext`; a few hundred nanoseconds) and reads each reader's slot.
    ///
    /// # Errors
    /// If a reader may be using the entry. The error is the entry, unchanged; the caller can try again.
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, String> = [(7, "seven".into())].into();
    /// let guard = hedgerow::owned::pin();
    /// let mut seven = map.remove(&7).unwrap().try_into_owned();
    /// assert!(seven.is_err(), "the guard may be using it");
    /// drop(guard);
    /// while let Err(shared) = seven {
    ///     seven = shared.try_into_owned(); // other threads may have guards, too
    /// }
    /// assert_eq!(seven.unwrap(), (7, "seven".into()));
    /// ```
    pub fn try_into_owned(self) -> Result<(K, V), Self> {
        match self.0.try_take() {
            Ok(fresh) => Ok(Pair::into_inner(fresh)),
            Err(node) => Err(Self(node)),
        }
    }

    /// Returns the key and the value themselves if no reader can still be using them, and clones of them otherwise.
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, String> = [(7, "seven".into())].into();
    /// let seven = map.get(&7).unwrap();
    /// assert_eq!(map.remove(&7).unwrap().into_owned(), (7, "seven".into()));
    /// assert_eq!(*seven, "seven", "it is still here");
    /// ```
    pub fn into_owned(self) -> (K, V)
    where
        K: Clone,
        V: Clone,
    {
        self.try_into_owned().unwrap_or_else(|shared| {
            let (key, value) = shared.pair();
            (key.clone(), value.clone())
        })
    }
}

impl<K, V> Deref for Removed<'_, K, V> {
    type Target = V;
    fn deref(&self) -> &V {
        self.value()
    }
}

impl<K, V: fmt::Display> fmt::Display for Removed<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value().fmt(f)
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for Removed<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Removed").field("key", self.key()).field("value", self.value()).finish()
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for Removed<'_, K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key() && self.value() == other.value()
    }
}
