//! The two ways to borrow from a map of owned data: one entry with a guard of its own, or many under one guard.
//!
//! A `compute` returns two `Ref`s, each with a guard of the same slot; the second guard costs an addition. A `Guard` is
//! not `Clone`, because threads may share an `OwnedGuard`, and only one of them may count.

use super::entry::EntryNode;
use super::guard::{Guard, HasGuard};
use super::node::NodePtr;
use crate::api::op::Computed;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;

/// A borrowed entry of a map of owned data. Dereferences to the value.
///
/// It holds a [`Guard`], so the entry is not dropped before it, even if it is removed from the map. It holds no lock:
/// the same thread and others may write to the map in the meantime, even to the same key.
///
/// ```
/// let map: hedgerow::HashMap<u32, String> = [(7, "seven".into())].into();
/// let seven = map.get(&7).unwrap();
/// map.remove(&7);
/// assert_eq!((*seven.key(), seven.as_str()), (7, "seven"));
/// ```
///
/// As with [`std::cell::Ref`](core::cell::Ref), a method call reaches the value: `entry.clone()` clones the value. The
/// operations of the borrow itself are functions, such as [`Ref::clone`] and [`Ref::map`]. The only methods are those
/// that users of dashmap expect: [`key`](Self::key), [`value`](Self::value) and [`pair`](Self::pair). If the value has
/// a method of one of these names, call it by `(*entry).key()`.
///
/// ```
/// let map: hedgerow::HashMap<u32, String> = [(7, "seven".into())].into();
/// let seven: Option<String> = map.get(&7).map(|v| v.clone());
/// assert_eq!(seven, Some("seven".into()));
/// ```
///
/// It stays in its thread. A future that has to keep the value across an `await` calls
/// [`get_cloned`](crate::HashMap::get_cloned), or [`pin_owned`](crate::HashMap::pin_owned), whose references it may
/// keep.
///
/// As it is not `Clone`, a function that clones what it gets does not collect guards, which would keep removed entries
/// alive:
///
/// ```compile_fail,E0277
/// # let map: hedgerow::HashMap<u32, String> = [(7, "seven".into())].into();
/// let all: Vec<_> = std::iter::repeat_n(map.get(&7).unwrap(), 3).collect();
/// ```
pub struct Ref<'a, K: ?Sized, V: ?Sized> {
    /// Pointers, because a function may drop its argument and with it the guard. A reference in an argument would have
    /// to be valid until the function returns.
    key: Pointer<K>,
    value: Pointer<V>,
    guard: Guard<'a>,
    borrows: PhantomData<(&'a K, &'a V)>,
}

/// A pointer to a key or a value. The guard next to it decides that it stays in its thread, so that the compiler's
/// error about an `await` names the guard alone.
struct Pointer<T: ?Sized>(NonNull<T>);

impl<T: ?Sized> Clone for Pointer<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T: ?Sized> Copy for Pointer<T> {}

// SAFETY: it is used as a `&T`, which is `Send` then.
unsafe impl<T: ?Sized + Sync> Send for Pointer<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Sync> Sync for Pointer<T> {}

impl<'a, K: ?Sized, V: ?Sized> Ref<'a, K, V> {
    /// Borrows an entry.
    ///
    /// # Safety
    /// The entry was found under the guard in a map that is borrowed for `'a`, or was put there.
    #[inline(always)]
    pub(crate) unsafe fn of<N>(node: NodePtr<N>, guard: Guard<'a>) -> Self
    where
        N: EntryNode<Key = K, Value = V>,
    {
        // SAFETY: the node is alive as long as the guard is held.
        let (key, value) = unsafe { node.live() }.entry();
        Self { key: Pointer(key.into()), value: Pointer(value.into()), guard, borrows: PhantomData }
    }

    /// Borrows a key and a value.
    ///
    /// # Safety
    /// Both live as long as the guard is held.
    #[cfg(feature = "persistent")]
    #[inline(always)]
    pub(crate) unsafe fn of_parts(key: NonNull<K>, value: NonNull<V>, guard: Guard<'a>) -> Self {
        Self { key: Pointer(key), value: Pointer(value), guard, borrows: PhantomData }
    }

    /// Borrows the entries before and after an operation. One of them takes `guard`, and the other a second guard of
    /// the same reader.
    ///
    /// # Safety
    /// As [`of`](Self::of), for both.
    #[inline(always)]
    pub(crate) unsafe fn of_both<N>(
        before: Option<NodePtr<N>>,
        after: Option<NodePtr<N>>,
        guard: Guard<'a>,
    ) -> Computed<Self>
    where
        N: EntryNode<Key = K, Value = V>,
    {
        // SAFETY: the caller promises what `of` requires.
        let borrow = |node, guard| unsafe { Self::of(node, guard) };
        match (before, after) {
            (before, Some(after)) => {
                let before = before.map(|node| borrow(node, guard.again()));
                Computed { before, after: Some(borrow(after, guard)) }
            }
            (Some(before), None) => Computed { before: Some(borrow(before, guard)), after: None },
            (None, None) => Computed { before: None, after: None },
        }
    }

    /// Returns the entry's key.
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, char> = [(7, 'a')].into();
    /// assert_eq!(map.get(&7).unwrap().key(), &7);
    /// ```
    #[inline(always)]
    pub fn key(&self) -> &K {
        // SAFETY: the guard keeps it alive, and lives as long as `self`.
        unsafe { self.key.0.as_ref() }
    }

    /// Returns the entry's value.
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, char> = [(7, 'a')].into();
    /// assert_eq!(map.get(&7).unwrap().value(), &'a');
    /// ```
    #[inline(always)]
    pub fn value(&self) -> &V {
        // SAFETY: as in `key`.
        unsafe { self.value.0.as_ref() }
    }

    /// Returns the entry's key and value.
    ///
    /// ```
    /// let map: hedgerow::HashMap<u32, char> = [(7, 'a')].into();
    /// assert_eq!(map.get(&7).unwrap().pair(), (&7, &'a'));
    /// ```
    #[inline(always)]
    pub fn pair(&self) -> (&K, &V) {
        (self.key(), self.value())
    }

    /// Borrows the entry again. A function and no implementation of `Clone`, so that `entry.clone()` clones the value.
    ///
    /// The other borrow has a guard of its own, and is of use where it outlives the first one.
    ///
    /// ```
    /// use hedgerow::owned::Ref;
    /// let map: hedgerow::HashMap<u32, String> = [(7, "seven".into())].into();
    /// let seven = map.get(&7).unwrap();
    /// let again = Ref::clone(&seven);
    /// drop(seven);
    /// assert_eq!(*again, "seven");
    /// ```
    #[expect(clippy::should_implement_trait, reason = "as of `std::cell::Ref`")]
    #[must_use]
    pub fn clone(orig: &Self) -> Self {
        Self { guard: orig.guard.again(), ..*orig }
    }

    /// Borrows a part of the value. A function, so that a method `map` of the value can still be called.
    ///
    /// ```
    /// use hedgerow::owned::Ref;
    /// let map: hedgerow::HashMap<u32, (i32, String)> = [(7, (1, "seven".into()))].into();
    /// let word = map.get(&7).map(|entry| Ref::map(entry, |pair| pair.1.as_str()));
    /// assert_eq!(word.as_deref(), Some("seven"));
    /// ```
    pub fn map<U: ?Sized>(entry: Self, part: impl FnOnce(&V) -> &U) -> Ref<'a, K, U> {
        let value = NonNull::from(part(&entry));
        // SAFETY: `part` works for a borrow of any lifetime, so it returns a part of the value, or of a static one.
        unsafe { entry.narrow(value) }
    }

    /// Borrows a part of the value, if there is one.
    ///
    /// # Errors
    /// The entry, if `part` returns `None`.
    ///
    /// ```
    /// use hedgerow::owned::Ref;
    /// let map: hedgerow::HashMap<u32, Vec<char>> = [(7, vec!['a', 'b'])].into();
    /// let letter = Ref::filter_map(map.get(&7).unwrap(), |letters| letters.get(1)).unwrap();
    /// assert_eq!((*letter.key(), *letter), (7, 'b'));
    /// assert!(Ref::filter_map(map.get(&7).unwrap(), |letters| letters.get(2)).is_err());
    /// ```
    pub fn filter_map<U: ?Sized>(
        entry: Self,
        part: impl FnOnce(&V) -> Option<&U>,
    ) -> Result<Ref<'a, K, U>, Self> {
        match part(&entry).map(NonNull::from) {
            // SAFETY: as in `map`.
            Some(value) => Ok(unsafe { entry.narrow(value) }),
            None => Err(entry),
        }
    }

    /// Borrows `value` by this borrow's guard.
    ///
    /// # Safety
    /// `value` is a part of the entry's value, which the guard keeps alive, or is static.
    unsafe fn narrow<U: ?Sized>(self, value: NonNull<U>) -> Ref<'a, K, U> {
        Ref { key: self.key, value: Pointer(value), guard: self.guard, borrows: PhantomData }
    }
}

impl<K: ?Sized, V: ?Sized> Deref for Ref<'_, K, V> {
    type Target = V;

    #[inline(always)]
    fn deref(&self) -> &V {
        self.value()
    }
}

impl<K: fmt::Debug + ?Sized, V: fmt::Debug + ?Sized> fmt::Debug for Ref<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ref").field("key", &self.key()).field("value", &self.value()).finish()
    }
}

impl<K: ?Sized, V: fmt::Display + ?Sized> fmt::Display for Ref<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value().fmt(f)
    }
}

impl<K: PartialEq + ?Sized, V: PartialEq + ?Sized> PartialEq for Ref<'_, K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.pair() == other.pair()
    }
}

impl<K: Eq + ?Sized, V: Eq + ?Sized> Eq for Ref<'_, K, V> {}

impl<'a, K: ?Sized, V: ?Sized> Ref<'a, K, V> {
    /// Drops the value's part and keeps the key with the guard.
    pub(crate) fn into_key(self) -> KeyRef<'a, K> {
        KeyRef { key: self.key, guard: self.guard, borrows: PhantomData }
    }
}

/// A borrowed key of a map of owned data, which holds a [`Guard`] as [`Ref`] does. Dereferences to the key, and has no
/// methods of its own, so `key.clone()` clones the key.
///
/// ```
/// let map: hedgerow::HashMap<String, u32> = [("rose".into(), 1)].into();
/// assert!(map.keys().all(|key| key.starts_with('r')));
/// ```
pub struct KeyRef<'a, K: ?Sized> {
    /// A pointer, for the reason given in `Ref`.
    key: Pointer<K>,
    guard: Guard<'a>,
    borrows: PhantomData<&'a K>,
}

impl<K: ?Sized> KeyRef<'_, K> {
    /// Borrows the key again, as [`Ref::clone`] does.
    ///
    /// ```
    /// use hedgerow::owned::KeyRef;
    /// let map: hedgerow::HashMap<String, u32> = [("rose".into(), 1)].into();
    /// let key = map.keys().next().unwrap();
    /// assert_eq!(*KeyRef::clone(&key), key.clone());
    /// ```
    #[expect(clippy::should_implement_trait, reason = "as of `std::cell::Ref`")]
    #[must_use]
    pub fn clone(orig: &Self) -> Self {
        Self { guard: orig.guard.again(), ..*orig }
    }
}

impl<K: ?Sized> Deref for KeyRef<'_, K> {
    type Target = K;

    #[inline(always)]
    fn deref(&self) -> &K {
        // SAFETY: the guard keeps it alive, and lives as long as `self`.
        unsafe { self.key.0.as_ref() }
    }
}

impl<K: fmt::Debug + ?Sized> fmt::Debug for KeyRef<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<K: PartialEq + ?Sized> PartialEq for KeyRef<'_, K> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<K: Eq + ?Sized> Eq for KeyRef<'_, K> {}

impl<K: PartialOrd + ?Sized> PartialOrd for KeyRef<'_, K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (**self).partial_cmp(&**other)
    }
}

impl<K: Ord + ?Sized> Ord for KeyRef<'_, K> {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl<K: Hash + ?Sized> Hash for KeyRef<'_, K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl<K: fmt::Display + ?Sized> fmt::Display for KeyRef<'_, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// A map of owned data together with a guard. Its methods return plain references.
///
/// Made by `pin`, `with_guard` or `pin_owned` of a map, and dereferences to that map, for its other methods. References
/// borrow from this value, even if the guard is the caller's. To use one beyond the statement, bind this value with
/// `let`: `let pinned = map.with_guard(&guard);`.
///
/// ```
/// let map: hedgerow::HashMap<u32, String> = [(1, "one".into()), (2, "two".into())].into();
/// let map = map.pin();
/// let mut words: Vec<&str> = map.values().map(String::as_str).collect();
/// words.sort();
/// assert_eq!(words, ["one", "two"]);
/// ```
pub struct Pinned<'a, M, G = Guard<'a>> {
    map: &'a M,
    guard: G,
}

impl<'a, M, G: HasGuard> Pinned<'a, M, G> {
    #[inline(always)]
    pub(crate) fn new(map: &'a M, guard: G) -> Self {
        Self { map, guard }
    }

    /// Returns the map.
    #[inline(always)]
    pub(crate) fn map(&self) -> &'a M {
        self.map
    }

    /// Returns what holds the guard. Its type tells whether an iterator may move to another thread.
    #[inline(always)]
    pub(crate) fn holder(&self) -> &G {
        &self.guard
    }

    /// Returns the guard.
    ///
    /// ```
    /// let map = hedgerow::HashMap::<u32, char>::new();
    /// let map = map.pin();
    /// println!("reader {}", map.guard().reader_id());
    /// ```
    #[inline(always)]
    pub fn guard(&self) -> &Guard<'_> {
        self.guard.guard()
    }
}

impl<M, G> Deref for Pinned<'_, M, G> {
    type Target = M;

    #[inline(always)]
    fn deref(&self) -> &M {
        self.map
    }
}

impl<M: fmt::Debug, G> fmt::Debug for Pinned<'_, M, G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.map.fmt(f)
    }
}
