//! A reader's lookups, and the guards that they return.

use super::reader::ReadHandle;
use super::storage::Storage;
use crate::facade::ScheduledRef;
use crate::sync::sides::Sides;
use crate::sync::slot::ReaderSlot;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::NonNull;
use equivalent::Equivalent;

impl<K, V, S, P: Storage<K, V>> ReadHandle<K, V, S, P> {
    /// Returns the number of entries. Wait-free; O(1).
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.insert(1, 'a');
    /// assert_eq!(r.len(), 0);
    /// w.publish();
    /// assert_eq!(r.len(), 1);
    /// ```
    pub fn len(&self) -> usize {
        self.enter().len()
    }

    /// Returns true if there are no entries. Wait-free; O(1).
    ///
    /// ```
    /// let (_w, r) = hedgerow::LeftRightMap::<u32, u32>::new();
    /// assert!(r.is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of publishes up to the state that this handle reads now. Its next read sees this state or a
    /// later one. Wait-free.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.insert(1, 'a');
    /// w.publish();
    /// assert_eq!(r.generation(), 1);
    /// ```
    pub fn generation(&self) -> u64 {
        self.enter().generation()
    }
}

impl<K: Eq + Hash, V, S: BuildHasher, P: Storage<K, V>> ReadHandle<K, V, S, P> {
    /// Returns a guard of the value of `key`, which keeps the value alive.
    ///
    /// Wait-free; allocates nothing; O(1) expected. Calls the hasher once, and `Eq` for the key that is found and for
    /// about one in a hundred other keys of its bin.
    ///
    /// # Panics
    /// If this handle already has 4,095 guards and snapshots (255 on 32-bit targets), leaked ones included.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.insert("rose", String::from("red"));
    /// w.publish();
    /// assert_eq!(r.get("rose").as_deref().map(String::as_str), Some("red"));
    /// ```
    #[inline(always)]
    pub fn get<Q>(&self, key: &Q) -> Option<ReadGuard<'_, V>>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let snapshot = self.enter();
        let value = NonNull::from(snapshot.get(key)?);
        // The guard takes over the read section of the snapshot and ends it.
        core::mem::forget(snapshot);
        let (slot, scheduled) = (self.slot(), self.scheduled());
        Some(ReadGuard { value, slot, scheduled, handle: PhantomData })
    }

    /// Returns what `with` returns for the value of `key`.
    ///
    /// Wait-free, if `with` is.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.insert("rose", String::from("red"));
    /// w.publish();
    /// assert_eq!(r.get_with("rose", |colour| colour.len()), Some(3));
    /// ```
    #[inline(always)]
    pub fn get_with<Q, R>(&self, key: &Q, with: impl FnOnce(&V) -> R) -> Option<R>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.enter().get(key).map(with)
    }

    /// Returns a copy of the value of `key`. Wait-free.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::inline();
    /// w.insert(7, 'a');
    /// w.publish();
    /// assert_eq!(r.get_copied(&7), Some('a'));
    /// ```
    #[inline(always)]
    pub fn get_copied<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
        V: Copy,
    {
        self.enter().get(key).copied()
    }

    /// Returns a clone of the value of `key`. Wait-free, if `V::clone` is.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.insert("rose", String::from("red"));
    /// w.publish();
    /// assert_eq!(r.get_cloned("rose"), Some("red".into()));
    /// ```
    #[inline(always)]
    pub fn get_cloned<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
        V: Clone,
    {
        self.enter().get(key).cloned()
    }

    /// Returns a clone of the value of `key`, or the default value. Inserts nothing. Wait-free, if `V::clone` and
    /// `V::default` are.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.insert(7, 1);
    /// w.publish();
    /// assert_eq!((r.get_or_default(&7), r.get_or_default(&8)), (1, 0));
    /// ```
    pub fn get_or_default<Q>(&self, key: &Q) -> V
    where
        Q: Hash + Equivalent<K> + ?Sized,
        V: Clone + Default,
    {
        self.get_cloned(key).unwrap_or_default()
    }

    /// Returns true if there is an entry for `key`. Wait-free.
    ///
    /// ```
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.insert(7, 'a');
    /// assert!(!r.contains_key(&7));
    /// w.publish();
    /// assert!(r.contains_key(&7));
    /// ```
    #[inline(always)]
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        self.enter().contains_key(key)
    }
}

/// A borrowed value of one published state. Dereferences to the value.
///
/// While a guard is held, the writer can publish once more. After that its changes are deferred
/// ([`WriteHandle::stalled_readers`](super::WriteHandle::stalled_readers)).
pub struct ReadGuard<'a, V: ?Sized> {
    value: NonNull<V>,
    slot: &'a ReaderSlot,
    scheduled: ScheduledRef<'a>,
    /// Neither `Send` nor `Sync`: the slot belongs to the thread of the handle.
    handle: PhantomData<(&'a V, *mut ())>,
}

impl<'a, V: ?Sized> ReadGuard<'a, V> {
    /// Returns a guard of a part of the value.
    ///
    /// ```
    /// use hedgerow::left_right::ReadGuard;
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.insert(7, (1, 'a'));
    /// w.publish();
    /// let letter = r.get(&7).map(|guard| ReadGuard::map(guard, |pair| &pair.1));
    /// assert_eq!(letter.as_deref(), Some(&'a'));
    /// ```
    pub fn map<U: ?Sized>(guard: Self, part: impl FnOnce(&V) -> &U) -> ReadGuard<'a, U> {
        let value = NonNull::from(part(&guard));
        guard.of_part(value)
    }

    /// Returns a guard of a part of the value, if there is one.
    ///
    /// # Errors
    /// The guard, if `part` returns `None`.
    ///
    /// ```
    /// use hedgerow::left_right::ReadGuard;
    /// let (mut w, r) = hedgerow::LeftRightMap::new();
    /// w.insert(7, vec!['a', 'b']);
    /// w.publish();
    /// let second = ReadGuard::filter_map(r.get(&7).unwrap(), |letters| letters.get(1));
    /// assert_eq!(second.ok().as_deref(), Some(&'b'));
    /// ```
    pub fn filter_map<U: ?Sized>(
        guard: Self,
        part: impl FnOnce(&V) -> Option<&U>,
    ) -> Result<ReadGuard<'a, U>, Self> {
        match part(&guard).map(NonNull::from) {
            Some(value) => Ok(guard.of_part(value)),
            None => Err(guard),
        }
    }

    /// Hands the read section over to a guard of a part of the value.
    fn of_part<U: ?Sized>(self, part: NonNull<U>) -> ReadGuard<'a, U> {
        let (slot, scheduled) = (self.slot, self.scheduled);
        core::mem::forget(self);
        ReadGuard { value: part, slot, scheduled, handle: PhantomData }
    }
}

impl<V: ?Sized> Deref for ReadGuard<'_, V> {
    type Target = V;

    #[inline(always)]
    fn deref(&self) -> &V {
        // SAFETY: found in the read section that this guard ends when it is dropped.
        unsafe { self.value.as_ref() }
    }
}

impl<V: ?Sized> Drop for ReadGuard<'_, V> {
    #[inline(always)]
    fn drop(&mut self) {
        let _operation = self.scheduled.operation();
        Sides::end_read(self.slot);
    }
}

impl<V: PartialEq + ?Sized> PartialEq for ReadGuard<'_, V> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<V: Eq + ?Sized> Eq for ReadGuard<'_, V> {}

impl<V: fmt::Display + ?Sized> fmt::Display for ReadGuard<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<V: fmt::Debug + ?Sized> fmt::Debug for ReadGuard<'_, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
