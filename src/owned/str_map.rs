//! `StrMap`: strings to strings, each pair fused into one allocation.

use super::fused::{Fused, Refused};
use super::guard::{Guard, Stalled, pin, stalled, try_pin};
use super::map::fail;
use super::node::Live;
use super::nodes::{Fresh, Nodes, Unlinked};
use super::str_iter::StrIter;
use crate::bins::hasher::{DefaultHashBuilder, mixes_well};
use crate::bins::tags;
use crate::bins::types::{Busy, Op};
use crate::sync::backoff::Backoff;
use crate::table::Failure;
use crate::table::cursor::Cursor;
use crate::table::types::{TryInsertError, TryReserveError};
use crate::table::window::{WINDOW, hashes, same_length};
use core::fmt;
use core::hash::BuildHasher;
use core::ops::Deref;

/// A concurrent hash map from byte strings to byte strings.
///
/// Key and value are copied into one allocation behind the pointer that the table holds, so a look-up
/// that misses the caches waits for fewer lines than in a map of two `String`s, and an entry takes two thirds of
/// the memory. Whatever is [`AsRef<[u8]>`](AsRef) will do for either: `str`, `String`, slices, vectors.
///
/// Otherwise it is an [`EntryMap`](super::EntryMap), with the same guarantees: a look-up borrows what it finds
/// under a [`Guard`], takes no lock and writes nothing but its thread's own announcement; all methods take
/// `&self`; guards may be held while anybody writes, for ever.
///
/// # Example
/// ```
/// let capitals = hedgerow::StrMap::new();
/// capitals.insert("Kenya", "Nairobi");
/// capitals.insert(String::from("Chile"), b"Santiago");
/// let guard = hedgerow::owned::pin();
/// assert_eq!(capitals.get("Chile", &guard), Some("Santiago".as_bytes()));
/// assert_eq!(capitals.remove("Kenya").unwrap().value(), b"Nairobi");
/// ```
pub struct StrMap<S = DefaultHashBuilder> {
    hash_builder: S,
    nodes: Nodes<Fused>,
}

impl StrMap {
    /// An empty map; allocates nothing.
    ///
    /// ```
    /// assert!(hedgerow::StrMap::new().is_empty());
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty map with room for `capacity` entries before its table grows.
    ///
    /// # Panics
    /// When the capacity cannot be addressed. Running out of memory is handled as in std's collections.
    ///
    /// ```
    /// let map = hedgerow::StrMap::with_capacity(1000);
    /// ```
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        let made = Self::try_with_capacity_and_hasher(capacity, DefaultHashBuilder::default());
        made.unwrap_or_else(|(why, _)| fail(why))
    }
}

impl<S> StrMap<S> {
    /// An empty map that hashes with `hash_builder`; allocates nothing and fits a `static`.
    ///
    /// ```
    /// use std::hash::{BuildHasherDefault, DefaultHasher};
    /// static MAP: hedgerow::StrMap<BuildHasherDefault<DefaultHasher>> =
    ///     hedgerow::StrMap::with_hasher(BuildHasherDefault::new());
    /// MAP.insert("rose", "red");
    /// ```
    #[must_use]
    pub const fn with_hasher(hash_builder: S) -> Self {
        Self { hash_builder, nodes: Nodes::new() }
    }

    /// An empty map with room for `capacity` entries before its table grows, that hashes with `hash_builder`;
    /// or the hasher again, where there is no memory.
    ///
    /// # Errors
    /// When the capacity cannot be addressed or the allocator has not got it.
    ///
    /// ```
    /// use std::hash::RandomState;
    /// assert!(hedgerow::StrMap::try_with_capacity_and_hasher(100, RandomState::new()).is_ok());
    /// ```
    pub fn try_with_capacity_and_hasher(
        capacity: usize,
        hash_builder: S,
    ) -> Result<Self, (TryReserveError, S)> {
        match Nodes::with_capacity(capacity) {
            Ok(nodes) => Ok(Self { hash_builder, nodes }),
            Err(why) => Err((why, hash_builder)),
        }
    }

    /// The map's hasher.
    ///
    /// ```
    /// use std::hash::BuildHasher;
    /// hedgerow::StrMap::new().hasher().hash_one("rose");
    /// ```
    pub fn hasher(&self) -> &S {
        &self.hash_builder
    }

    /// The number of entries: exact when nobody writes meanwhile, of the recent past otherwise.
    ///
    /// ```
    /// assert_eq!(hedgerow::StrMap::from([("rose", "red")]).len(), 1);
    /// ```
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether [`len`](Self::len) is 0.
    ///
    /// ```
    /// assert!(hedgerow::StrMap::new().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entries that were replaced or removed and are not freed yet.
    ///
    /// ```
    /// let map = hedgerow::StrMap::from([("rose", "red")]);
    /// map.insert("rose", "white");
    /// assert_eq!(map.pending(), 1);
    /// ```
    pub fn pending(&self) -> usize {
        self.nodes.pending()
    }

    /// Frees what no reader can be looking at any more, all at once; see
    /// [`EntryMap::collect`](super::EntryMap::collect).
    ///
    /// ```
    /// hedgerow::StrMap::new().collect();
    /// ```
    pub fn collect(&self) {
        self.nodes.collect();
    }

    /// Readers, of whatever map, whose guards are older than the youngest batch of garbage; see
    /// [`EntryMap::stalled_readers`](super::EntryMap::stalled_readers).
    ///
    /// ```
    /// for stalled in hedgerow::StrMap::new().stalled_readers() {
    ///     println!("reader {} is {} batches behind", stalled.reader, stalled.batches);
    /// }
    /// ```
    pub fn stalled_readers(&self) -> impl Iterator<Item = Stalled> {
        stalled()
    }

    /// All keys and values, borrowed, in no particular order; see [`EntryMap::iter`](super::EntryMap::iter).
    ///
    /// ```
    /// let map = hedgerow::StrMap::from([("rose", "red")]);
    /// let guard = hedgerow::owned::pin();
    /// assert_eq!(map.iter(&guard).next(), Some((&b"rose"[..], &b"red"[..])));
    /// ```
    pub fn iter<'a>(&'a self, guard: &'a Guard<'_>) -> StrIter<'a> {
        StrIter::new(&self.nodes, guard)
    }

    /// Shows entries to `f`, from `cursor` on; see [`EntryMap::scan`](super::EntryMap::scan).
    ///
    /// ```
    /// use hedgerow::owned::{Cursor, pin};
    /// let map = hedgerow::StrMap::from([("rose", "red")]);
    /// let place = map.scan(Cursor::default(), 10, &pin(), |_, colour| assert_eq!(colour, b"red"));
    /// assert_eq!(place, None);
    /// ```
    pub fn scan<'a>(
        &'a self,
        cursor: Cursor,
        budget: usize,
        guard: &'a Guard<'_>,
        mut f: impl FnMut(&'a [u8], &'a [u8]),
    ) -> Option<Cursor> {
        self.nodes.scan(cursor, budget, guard, |node| f(node.key(), node.value()))
    }

    /// Keeps the entries for which `keep` says true; see [`EntryMap::retain`](super::EntryMap::retain).
    ///
    /// ```
    /// let map = hedgerow::StrMap::from([("rose", "red"), ("thorn", "green")]);
    /// map.retain(|_, colour| colour == b"red");
    /// assert_eq!(map.len(), 1);
    /// ```
    pub fn retain(&self, mut keep: impl FnMut(&[u8], &[u8]) -> bool) {
        self.nodes.retain(|node| keep(node.key(), node.value()), &pin());
    }

    /// Removes every entry, bin by bin; keeps the table's memory.
    ///
    /// ```
    /// let map = hedgerow::StrMap::from([("rose", "red")]);
    /// map.clear();
    /// assert!(map.is_empty());
    /// ```
    pub fn clear(&self) {
        self.retain(|_, _| false);
    }

    /// Makes room for `additional` more entries in the table.
    ///
    /// # Panics
    /// When the capacity cannot be addressed. Running out of memory is handled as in std's collections.
    ///
    /// ```
    /// hedgerow::StrMap::new().reserve(1000);
    /// ```
    pub fn reserve(&self, additional: usize) {
        self.try_reserve(additional).unwrap_or_else(|why| fail(why));
    }

    /// As [`reserve`](Self::reserve), but says when it cannot.
    ///
    /// # Errors
    /// When the capacity cannot be addressed or the allocator has not got it.
    ///
    /// ```
    /// assert!(hedgerow::StrMap::new().try_reserve(usize::MAX).is_err());
    /// ```
    pub fn try_reserve(&self, additional: usize) -> Result<(), TryReserveError> {
        self.nodes.reserve(additional)
    }

    /// Frees all garbage and gives back what memory the table does not need.
    ///
    /// ```
    /// let mut map = hedgerow::StrMap::from([("rose", "red")]);
    /// map.shrink_to_fit();
    /// assert_eq!(map.len(), 1);
    /// ```
    pub fn shrink_to_fit(&mut self) {
        self.nodes.shrink_to_fit();
    }

    /// Bytes that the table takes; the entries' own allocations come on top.
    ///
    /// ```
    /// assert_eq!(hedgerow::StrMap::new().table_bytes(), 0);
    /// ```
    pub fn table_bytes(&self) -> usize {
        self.nodes.usage().bytes
    }
}

impl<S: BuildHasher> StrMap<S> {
    #[inline(always)]
    fn hash(&self, key: &[u8]) -> tags::Hash {
        tags::Hash::spread(self.hash_builder.hash_one(key), mixes_well::<S>())
    }

    #[inline(always)]
    fn find<'a>(&'a self, key: &[u8], guard: &'a Guard<'_>) -> Option<Live<'a, Fused>> {
        self.nodes.get(self.hash(key), move |node| node.key() == key, guard)
    }

    /// The value of `key`, borrowed for as long as the guard is held.
    ///
    /// Takes no lock, writes no shared memory, allocates nothing; expected constant time. Waits while a
    /// writer is inside the key's bin, which a key that is absent mostly does not notice. Linearizes where
    /// the bin's tags are loaded.
    ///
    /// ```
    /// let map = hedgerow::StrMap::from([("rose", "red")]);
    /// let guard = hedgerow::owned::pin();
    /// assert_eq!((map.get("rose", &guard), map.get("thorn", &guard)), (Some(&b"red"[..]), None));
    /// ```
    #[inline]
    pub fn get<'a>(&'a self, key: impl AsRef<[u8]>, guard: &'a Guard<'_>) -> Option<&'a [u8]> {
        self.find(key.as_ref(), guard).map(Live::value)
    }

    /// As [`get`](Self::get), but never waits; see [`EntryMap::try_get`](super::EntryMap::try_get).
    ///
    /// # Errors
    /// [`Busy`] when a writer is inside the key's bin.
    ///
    /// ```
    /// let map = hedgerow::StrMap::from([("rose", "red")]);
    /// assert_eq!(map.try_get("rose", &hedgerow::owned::pin()), Ok(Some(&b"red"[..])));
    /// ```
    pub fn try_get<'a>(
        &'a self,
        key: impl AsRef<[u8]>,
        guard: &'a Guard<'_>,
    ) -> Result<Option<&'a [u8]>, Busy> {
        let key = key.as_ref();
        let found = self.nodes.try_get(self.hash(key), |node| node.key() == key, guard)?;
        Ok(found.map(Live::value))
    }

    /// What `f` makes of the value of `key`. `f` runs with nothing locked.
    ///
    /// ```
    /// let map = hedgerow::StrMap::from([("rose", "red")]);
    /// assert_eq!(map.get_with("rose", |colour| colour.len()), Some(3));
    /// ```
    #[inline]
    pub fn get_with<R>(&self, key: impl AsRef<[u8]>, f: impl FnOnce(&[u8]) -> R) -> Option<R> {
        self.get(key, &pin()).map(f)
    }

    /// Whether `key` has an entry.
    ///
    /// ```
    /// assert!(hedgerow::StrMap::from([("rose", "red")]).contains_key("rose"));
    /// ```
    #[inline]
    pub fn contains_key(&self, key: impl AsRef<[u8]>) -> bool {
        self.find(key.as_ref(), &pin()).is_some()
    }

    /// The value of each of `keys`, in `values`: as [`get`](Self::get) of each in turn, but a map that is
    /// larger than the caches answers several times sooner. Each key is an operation of its own.
    ///
    /// # Panics
    /// When the slices differ in length.
    ///
    /// ```
    /// let map = hedgerow::StrMap::from([("rose", "red")]);
    /// let guard = hedgerow::owned::pin();
    /// let mut colours = [None; 2];
    /// map.get_many(&["thorn", "rose"], &mut colours, &guard);
    /// assert_eq!(colours, [None, Some(&b"red"[..])]);
    /// ```
    pub fn get_many<'a>(
        &'a self,
        keys: &[impl AsRef<[u8]>],
        values: &mut [Option<&'a [u8]>],
        guard: &'a Guard<'_>,
    ) {
        same_length(keys.len(), values.len());
        for (keys, values) in keys.chunks(WINDOW).zip(values.chunks_mut(WINDOW)) {
            self.nodes.get_window(
                &hashes(keys.len(), |at| self.hash(keys[at].as_ref()))[..keys.len()],
                |at, node| node.key() == keys[at].as_ref(),
                |at, found| values[at] = found.map(Live::value),
                guard,
            );
        }
    }

    fn fresh(&self, key: &[u8], value: &[u8]) -> Fresh<Fused> {
        Fused::new(self.hash(key), key, value).unwrap_or_else(|why| match why {
            Refused::TooLong => fail(TryReserveError::CapacityOverflow),
            Refused::Alloc => fail(TryReserveError::Alloc),
        })
    }

    /// Stores a copy of `value` under a copy of `key`; returns the entry that this replaces.
    ///
    /// Allocates the entry, and now and then growth, of which each insert does a bounded part. Blocks
    /// while another writer is inside the key's bin. Running out of memory is handled as in std's collections;
    /// growth that finds none is put off.
    ///
    /// # Panics
    /// When either is longer than `u32::MAX` bytes.
    ///
    /// ```
    /// let map = hedgerow::StrMap::new();
    /// assert!(map.insert("rose", "red").is_none());
    /// assert_eq!(map.insert("rose", "white").unwrap().value(), b"red");
    /// ```
    pub fn insert(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Option<RemovedStr<'_>> {
        let key = key.as_ref();
        let fresh = self.fresh(key, value.as_ref());
        let stored =
            self.nodes.insert(fresh, |node| node.key() == key, Backoff::spinning(), &pin());
        match stored {
            Ok(before) => before.map(RemovedStr),
            // A waiting writer fails only for want of memory.
            Err(_) => fail(TryReserveError::Alloc),
        }
    }

    /// As [`insert`](Self::insert), but neither waits, nor panics, nor aborts.
    ///
    /// # Errors
    /// When a writer is inside the key's bin, when there is no memory, or when key or value is too long: key and
    /// value as they were given; the map stays as it was.
    ///
    /// ```
    /// assert!(hedgerow::StrMap::new().try_insert("rose", "red").unwrap().is_none());
    /// ```
    pub fn try_insert<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        key: K,
        value: V,
    ) -> Result<Option<RemovedStr<'_>>, TryInsertError<K, V>> {
        let name = key.as_ref();
        let Ok(guard) = try_pin() else {
            return Err(TryInsertError::Alloc { key, value });
        };
        let fresh = match Fused::new(self.hash(name), name, value.as_ref()) {
            Ok(fresh) => fresh,
            Err(Refused::Alloc) => return Err(TryInsertError::Alloc { key, value }),
            Err(Refused::TooLong) => return Err(TryInsertError::TooLong { key, value }),
        };
        match self.nodes.insert(fresh, |node| node.key() == name, Backoff::never(), &guard) {
            Ok(before) => Ok(before.map(RemovedStr)),
            Err((Failure::Busy, _)) => Err(TryInsertError::Busy { key, value }),
            Err((Failure::Alloc, _)) => Err(TryInsertError::Alloc { key, value }),
        }
    }

    /// Stores `value` under `key` unless there is one; says whether it did.
    ///
    /// ```
    /// let map = hedgerow::StrMap::new();
    /// assert!(map.insert_if_absent("rose", "red") && !map.insert_if_absent("rose", "white"));
    /// ```
    pub fn insert_if_absent(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> bool {
        let (key, guard) = (key.as_ref(), pin());
        self.find(key, &guard).is_none() && self.exchange(None, key, value.as_ref(), &guard).is_ok()
    }

    /// Puts a new entry in place of `expected`.
    fn exchange<'a>(
        &'a self,
        expected: Option<Live<'_, Fused>>,
        key: &[u8],
        value: &[u8],
        guard: &Guard<'_>,
    ) -> Result<Option<RemovedStr<'a>>, ()> {
        let (fresh, expected) = (self.fresh(key, value), expected.map(Live::shared));
        match self.nodes.exchange(expected, fresh, |node| node.key() == key, guard) {
            Ok(before) => Ok(before.map(RemovedStr)),
            Err((None, _)) => Err(()),
            Err((Some(_), _)) => fail(TryReserveError::Alloc),
        }
    }

    /// Removes `key` and returns its entry. Blocks while another writer is inside its bin; allocates nothing.
    ///
    /// ```
    /// let map = hedgerow::StrMap::from([("rose", "red")]);
    /// assert_eq!(map.remove("rose").unwrap().value(), b"red");
    /// ```
    pub fn remove(&self, key: impl AsRef<[u8]>) -> Option<RemovedStr<'_>> {
        let key = key.as_ref();
        let same = |node: Live<'_, Fused>| node.key() == key;
        self.nodes.remove(self.hash(key), same, |_| true, &pin()).map(RemovedStr)
    }

    /// Does with `key`'s entry what `f` decides from its value, atomically; returns the entry that this
    /// replaced or removed.
    ///
    /// `f` runs with nothing locked, and again if the entry was replaced or removed meanwhile.
    ///
    /// ```
    /// use hedgerow::owned::Op;
    /// let map = hedgerow::StrMap::new();
    /// let grow = |old: Option<&[u8]>| Op::Insert([old.unwrap_or_default(), b"a"].concat());
    /// map.compute("x", grow);
    /// map.compute("x", grow);
    /// assert_eq!(map.get_with("x", <[u8]>::to_vec), Some(b"aa".into()));
    /// ```
    pub fn compute<V: AsRef<[u8]>>(
        &self,
        key: impl AsRef<[u8]>,
        mut f: impl FnMut(Option<&[u8]>) -> Op<V>,
    ) -> Option<RemovedStr<'_>> {
        let (key, guard) = (key.as_ref(), pin());
        loop {
            let found = self.find(key, &guard);
            match (f(found.map(Live::value)), found) {
                (Op::Keep, _) | (Op::Remove, None) => return None,
                (Op::Remove, Some(node)) => {
                    if let Some(removed) = self.nodes.remove_exactly(node, &guard) {
                        return Some(RemovedStr(removed));
                    }
                }
                (Op::Insert(value), _) => {
                    if let Ok(before) = self.exchange(found, key, value.as_ref(), &guard) {
                        return before;
                    }
                }
            }
        }
    }
}

/// An entry that was taken out of a [`StrMap`], by whoever has this. Dereferences to the value.
pub struct RemovedStr<'a>(Unlinked<'a, Fused>);

impl RemovedStr<'_> {
    /// The entry's key.
    ///
    /// ```
    /// let map = hedgerow::StrMap::from([("rose", "red")]);
    /// assert_eq!(map.remove("rose").unwrap().key(), b"rose");
    /// ```
    pub fn key(&self) -> &[u8] {
        self.0.live().key()
    }

    /// The entry's value.
    ///
    /// ```
    /// let map = hedgerow::StrMap::from([("rose", "red")]);
    /// assert_eq!(map.remove("rose").unwrap().value(), b"red");
    /// ```
    pub fn value(&self) -> &[u8] {
        self.0.live().value()
    }
}

impl Deref for RemovedStr<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.value()
    }
}

impl fmt::Debug for RemovedStr<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, value) = (self.key().escape_ascii(), self.value().escape_ascii());
        write!(f, "RemovedStr {{ key: \"{key}\", value: \"{value}\" }}")
    }
}

impl<S: Default> Default for StrMap<S> {
    fn default() -> Self {
        Self::with_hasher(S::default())
    }
}

impl<S> fmt::Debug for StrMap<S> {
    /// Keys and values as text, with what is not ASCII escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Text<'a>(&'a [u8]);
        impl fmt::Debug for Text<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "\"{}\"", self.0.escape_ascii())
            }
        }
        let guard = pin();
        f.debug_map().entries(self.iter(&guard).map(|(k, v)| (Text(k), Text(v)))).finish()
    }
}

impl<S: BuildHasher, K: AsRef<[u8]>, V: AsRef<[u8]>> Extend<(K, V)> for StrMap<S> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<S, K, V> FromIterator<(K, V)> for StrMap<S>
where
    S: BuildHasher + Default,
    K: AsRef<[u8]>,
    V: AsRef<[u8]>,
{
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let entries = entries.into_iter();
        let mut map = Self::default();
        map.reserve(entries.size_hint().0);
        map.extend(entries);
        map
    }
}

impl<K: AsRef<[u8]>, V: AsRef<[u8]>, const N: usize> From<[(K, V); N]> for StrMap {
    fn from(entries: [(K, V); N]) -> Self {
        Self::from_iter(entries)
    }
}

impl<S: BuildHasher + Clone> Clone for StrMap<S> {
    /// A map of the entries that `iter` sees.
    fn clone(&self) -> Self {
        let mut copy = Self::with_hasher(self.hash_builder.clone());
        copy.reserve(self.len());
        copy.extend(self.iter(&pin()));
        copy
    }
}
