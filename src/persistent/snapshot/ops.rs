//! Operations of single entries, as other maps have them: a lookup in the current version, or one `write`.

use super::SnapshotMap;
use crate::api::op::{Computed, Op};
use crate::error::OccupiedError;
use crate::persistent::PersistentMap;
use crate::persistent::log::Change;
use crate::persistent::map::out_of_memory;
use crate::reclaim::borrowed::Ref;
use core::borrow::Borrow;
use core::ops::{Bound, RangeBounds};

impl<K, V> SnapshotMap<K, V> {
    /// Borrows the entry that `find` finds in the current version.
    pub(super) fn borrow_entry(
        &self,
        find: impl FnOnce(&PersistentMap<K, V>) -> Option<(&K, &V)>,
    ) -> Option<Ref<'_, K, V>> {
        let guard = self.readers.pin();
        let (key, value) = find(self.load(&guard))?;
        let (key, value) = (key.into(), value.into());
        // SAFETY: `find` works for a borrow of any lifetime, so the entry is of the version, which the guard keeps, or
        // static.
        Some(unsafe { Ref::of_parts(key, value, guard) })
    }

    /// Returns the entry of a key, as [`get`](Self::get) does: [`Ref::key`] is the key in the map.
    ///
    /// ```
    /// let map = hedgerow::SnapshotMap::from([("rose", "red")]);
    /// assert_eq!(map.get_key_value("rose").unwrap().pair(), (&"rose", &"red"));
    /// ```
    pub fn get_key_value<Q: Ord + ?Sized>(&self, key: &Q) -> Option<Ref<'_, K, V>>
    where
        K: Borrow<Q>,
    {
        self.get(key)
    }

    /// Calls `read` with a key's value, and returns the result. Wait-free, O(log n).
    ///
    /// ```
    /// let map = hedgerow::SnapshotMap::from([("rose", "red")]);
    /// assert_eq!(map.get_with("rose", |colour| colour.len()), Some(3));
    /// ```
    pub fn get_with<Q: Ord + ?Sized, T>(&self, key: &Q, read: impl FnOnce(&V) -> T) -> Option<T>
    where
        K: Borrow<Q>,
    {
        let guard = self.readers.pin();
        self.load(&guard).get(key).map(read)
    }

    /// Returns a clone of a key's value, or the default if it has none. Inserts nothing. Wait-free, O(log n).
    ///
    /// ```
    /// let map = hedgerow::SnapshotMap::from([("rose", 3)]);
    /// assert_eq!((map.get_or_default("rose"), map.get_or_default("briar")), (3, 0));
    /// ```
    pub fn get_or_default<Q: Ord + ?Sized>(&self, key: &Q) -> V
    where
        K: Borrow<Q>,
        V: Clone + Default,
    {
        self.get_cloned(key).unwrap_or_default()
    }

    /// Returns the entry with the smallest key. Wait-free, O(log n).
    pub fn first_key_value(&self) -> Option<Ref<'_, K, V>> {
        self.borrow_entry(PersistentMap::first_key_value)
    }

    /// Returns the entry with the greatest key. Wait-free, O(log n).
    pub fn last_key_value(&self) -> Option<Ref<'_, K, V>> {
        self.borrow_entry(PersistentMap::last_key_value)
    }

    /// Returns the entry with the greatest key that is not above `key`. Wait-free, O(log n).
    ///
    /// ```
    /// let map = hedgerow::SnapshotMap::from([(1, 'a'), (3, 'c')]);
    /// assert_eq!(map.floor(&2).unwrap().pair(), (&1, &'a'));
    /// assert_eq!(map.ceiling(&2).unwrap().pair(), (&3, &'c'));
    /// assert!(map.predecessor(&1).is_none() && map.successor(&3).is_none());
    /// ```
    pub fn floor<Q: Ord + ?Sized>(&self, key: &Q) -> Option<Ref<'_, K, V>>
    where
        K: Borrow<Q>,
    {
        self.borrow_entry(|map| map.floor(key))
    }

    /// Returns the entry with the smallest key that is not below `key`. Wait-free, O(log n).
    pub fn ceiling<Q: Ord + ?Sized>(&self, key: &Q) -> Option<Ref<'_, K, V>>
    where
        K: Borrow<Q>,
    {
        self.borrow_entry(|map| map.ceiling(key))
    }

    /// Returns the entry with the greatest key below `key`. Wait-free, O(log n).
    pub fn predecessor<Q: Ord + ?Sized>(&self, key: &Q) -> Option<Ref<'_, K, V>>
    where
        K: Borrow<Q>,
    {
        self.borrow_entry(|map| map.predecessor(key))
    }

    /// Returns the entry with the smallest key above `key`. Wait-free, O(log n).
    pub fn successor<Q: Ord + ?Sized>(&self, key: &Q) -> Option<Ref<'_, K, V>>
    where
        K: Borrow<Q>,
    {
        self.borrow_entry(|map| map.successor(key))
    }

    /// Returns the number of keys in a range; 0 if it begins after its end. Wait-free, O(log n).
    ///
    /// ```
    /// let map: hedgerow::SnapshotMap<u32, u32> = (0..1000).map(|n| (n, n)).collect();
    /// assert_eq!(map.range_len(300..=400), 101);
    /// ```
    pub fn range_len<Q: Ord + ?Sized>(&self, range: impl RangeBounds<Q>) -> usize
    where
        K: Borrow<Q>,
    {
        let guard = self.readers.pin();
        if is_backward(&range) { 0 } else { self.load(&guard).range_len(range) }
    }
}

/// Whether a range cannot have a key, so that std's `BTreeMap::range` would panic.
fn is_backward<Q: Ord + ?Sized>(range: &impl RangeBounds<Q>) -> bool {
    match (range.start_bound(), range.end_bound()) {
        (Bound::Excluded(from), Bound::Excluded(to)) => from >= to,
        (
            Bound::Included(from) | Bound::Excluded(from),
            Bound::Included(to) | Bound::Excluded(to),
        ) => from > to,
        _ => false,
    }
}

impl<K: Ord + Clone, V: Clone> SnapshotMap<K, V> {
    /// Stores a value if the key has none. O(log n).
    ///
    /// # Errors
    /// The key and the value, with a clone of the value that the key has.
    ///
    /// ```
    /// let map = hedgerow::SnapshotMap::from([(1, 'a')]);
    /// let occupied = map.insert_if_absent(1, 'b').unwrap_err();
    /// assert_eq!((occupied.current, occupied.into_parts()), ('a', (1, 'b')));
    /// ```
    pub fn insert_if_absent(&self, key: K, value: V) -> Result<(), OccupiedError<K, V, V>> {
        self.edit(Some(Change::Put(key, value)), |map, change| {
            let Some(Change::Put(key, value)) = change else {
                unreachable!("each attempt gets what the one before it has left")
            };
            let current = match map.place(key) {
                Ok(place) => map.tree.entry_at(&place).1.clone(),
                Err(place) => {
                    let inserted = map.tree.insert_at(&place, key.clone(), value.clone());
                    inserted.unwrap_or_else(|(why, ..)| out_of_memory(why));
                    return Ok(());
                }
            };
            match change.take() {
                Some(Change::Put(key, value)) => Err(OccupiedError::new(key, value, current)),
                _ => unreachable!("as above"),
            }
        })
    }

    /// Returns a clone of the key's value, after storing `value` if it has none. O(log n).
    ///
    /// ```
    /// let map = hedgerow::SnapshotMap::from([(1, 'a')]);
    /// assert_eq!((map.get_or_insert(1, 'b'), map.get_or_insert(2, 'b')), ('a', 'b'));
    /// ```
    pub fn get_or_insert(&self, key: K, value: V) -> V {
        self.get_or_insert_with(key, || value)
    }

    /// As [`get_or_insert`](Self::get_or_insert), with the result of `make`, which is called if the key has no value.
    ///
    /// If several threads make a value, the first one stays, and all get it.
    pub fn get_or_insert_with(&self, key: K, make: impl FnOnce() -> V) -> V {
        let made: Result<V, core::convert::Infallible> =
            self.get_or_try_insert_with(key, || Ok(make()));
        made.unwrap_or_else(|never| match never {})
    }

    /// As [`get_or_insert_with`](Self::get_or_insert_with), with a `make` that may fail.
    ///
    /// # Errors
    /// The error of `make`. Nothing is stored then.
    pub fn get_or_try_insert_with<E>(
        &self,
        key: K,
        make: impl FnOnce() -> Result<V, E>,
    ) -> Result<V, E> {
        if let Some(there) = self.get_cloned(&key) {
            return Ok(there);
        }
        let value = make()?;
        let made = value.clone();
        Ok(self.insert_if_absent(key, value).map_or_else(|occupied| occupied.current, |()| made))
    }

    /// Replaces the value of a key that is present by `change` of it, and returns a clone of the new value. O(log n).
    ///
    /// `change` is called again if another writer was faster.
    ///
    /// ```
    /// let map = hedgerow::SnapshotMap::from([("rose", 1)]);
    /// assert_eq!((map.update("rose", |n| n + 1), map.update("briar", |n| n + 1)), (Some(2), None));
    /// ```
    pub fn update<Q: Ord + ?Sized>(&self, key: &Q, mut change: impl FnMut(&V) -> V) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.edit(None, |map, made| {
            *made = None;
            let place = map.place(key).ok()?;
            let new = change(map.tree.entry_at(&place).1);
            let after = new.clone();
            let (key, value) = map.tree.get_mut(&place).unwrap_or_else(|why| out_of_memory(why));
            *made = Some(Change::Put(key.clone(), new.clone()));
            *value = new;
            Some(after)
        })
    }

    /// Keeps, stores or removes a key's value, as `decide` says of the present one. Returns clones of the values before
    /// and after. O(log n).
    ///
    /// `decide` is called again if another writer was faster.
    ///
    /// ```
    /// use hedgerow::{Op, SnapshotMap};
    /// let map = SnapshotMap::<&str, u32>::new();
    /// let count = |n: Option<&u32>| Op::Insert(n.unwrap_or(&0) + 1);
    /// assert_eq!(map.compute("rose", count).after, Some(1));
    /// assert_eq!(map.compute("rose", count).before, Some(1));
    /// ```
    #[expect(clippy::needless_pass_by_value, reason = "as in other maps")]
    pub fn compute(&self, key: K, mut decide: impl FnMut(Option<&V>) -> Op<V>) -> Computed<V> {
        self.edit(None, |map, made| {
            *made = None;
            let found = map.get(&key);
            let before = found.cloned();
            let after = match decide(found) {
                Op::Keep => before.clone(),
                Op::Insert(value) => {
                    let after = value.clone();
                    *made = Some(Change::Put(key.clone(), value.clone()));
                    map.insert(key.clone(), value);
                    Some(after)
                }
                Op::Remove => {
                    *made = map.remove_entry(&key).map(|(key, _)| Change::Remove(key));
                    None
                }
            };
            Computed { before, after }
        })
    }

    /// Removes a key if `condition` holds for its entry, and returns a clone of its value. O(log n).
    ///
    /// ```
    /// let map = hedgerow::SnapshotMap::from([(1, 'a')]);
    /// assert_eq!(map.remove_if(&1, |_, value| *value == 'b'), None);
    /// assert_eq!(map.remove_if(&1, |_, value| *value == 'a'), Some('a'));
    /// ```
    pub fn remove_if<Q: Ord + ?Sized>(
        &self,
        key: &Q,
        mut condition: impl FnMut(&K, &V) -> bool,
    ) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.edit(None, |map, made| {
            *made = None;
            let place = map.place(key).ok()?;
            let (found, value) = map.tree.entry_at(&place);
            if !condition(found, value) {
                return None;
            }
            let (key, value) = map.remove_place(&place);
            *made = Some(Change::Remove(key));
            Some(value)
        })
    }

    /// Removes the entry with the smallest key, and returns a clone of it. O(log n).
    pub fn pop_first(&self) -> Option<(K, V)> {
        self.edit(None, |map, made| {
            *made = None;
            let popped = map.pop_first()?;
            *made = Some(Change::Remove(popped.0.clone()));
            Some(popped)
        })
    }

    /// Removes the entry with the greatest key, and returns a clone of it. O(log n).
    pub fn pop_last(&self) -> Option<(K, V)> {
        self.edit(None, |map, made| {
            *made = None;
            let popped = map.pop_last()?;
            *made = Some(Change::Remove(popped.0.clone()));
            Some(popped)
        })
    }

    /// Removes the keys in a range as one step, and returns how many there were; 0 if the range begins after its end.
    /// O(log n).
    ///
    /// ```
    /// let map: hedgerow::SnapshotMap<u32, u32> = (0..1000).map(|n| (n, n)).collect();
    /// assert_eq!((map.remove_range(..300), map.len()), (300, 700));
    /// ```
    pub fn remove_range<Q: Ord + ?Sized>(&self, range: impl RangeBounds<Q>) -> usize
    where
        K: Borrow<Q>,
    {
        if is_backward(&range) {
            return 0;
        }
        self.write(|map| map.remove_range((range.start_bound(), range.end_bound())))
    }

    /// Keeps the entries for which `keep` returns `true`, as one step. O(n).
    ///
    /// Copies only leaves that lose entries. All entries are passed to `keep` again if another writer was faster, so
    /// other writers may delay it without end.
    ///
    /// ```
    /// let map: hedgerow::SnapshotMap<u32, u32> = (0..1000).map(|n| (n, n)).collect();
    /// map.retain(|_, value| value % 2 == 0);
    /// assert_eq!(map.len(), 500);
    /// ```
    pub fn retain(&self, mut keep: impl FnMut(&K, &V) -> bool) {
        self.write(|map| {
            let done = map.tree.retain(&mut keep);
            done.unwrap_or_else(|why| crate::persistent::map::out_of_memory(why));
        });
    }
}
