//! An entry that was taken out of its map.

use super::pair::Pair;
use super::retired::Unlinked;
use core::fmt;
use core::ops::Deref;

/// An entry that the caller has taken out of a [`HashMap`](crate::HashMap). Dereferences to the value.
///
/// Readers that found the entry before may still be using it. It is shared with them until they are gone, and dropped
/// then. [`try_into_owned`](Self::try_into_owned) tells whether they are gone. Leaking this leaks the entry.
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

    /// Returns the key and the value themselves, if no reader can be using them any more.
    ///
    /// That fails while this thread or another holds a guard from before the removal. Waits for no thread. Asks the
    /// operating system for a barrier of all threads (feature `std-ext`; some hundred nanoseconds) and reads each
    /// reader's slot.
    ///
    /// # Errors
    /// If a reader may be using the entry. The error is the entry, unchanged; the caller can try again.
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, String> = [(7, "seven".into())].into();
    /// let guard = hedgerow::owned::pin();
    /// let seven = map.remove(&7).unwrap().try_into_owned().unwrap_err();
    /// drop(guard);
    /// # let mut seven = Err(seven);
    /// # while let Err(removed) = seven { seven = removed.try_into_owned(); }
    /// # #[cfg(any())]
    /// let seven = seven.try_into_owned();
    /// assert_eq!(seven.unwrap(), (7, "seven".into()));
    /// ```
    pub fn try_into_owned(self) -> Result<(K, V), Self> {
        match self.0.try_take() {
            Ok(fresh) => Ok(Pair::into_inner(fresh)),
            Err(node) => Err(Self(node)),
        }
    }
}

impl<K, V> Deref for Removed<'_, K, V> {
    type Target = V;
    fn deref(&self) -> &V {
        self.value()
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
