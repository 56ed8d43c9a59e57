//! The public interface of `CompressedMap`.

use super::builder::Builder;
use super::codec::Corrupt;
use super::iter::{Iter, Keys};
use super::read::ReadEntry;
use super::record::Shape;
use super::segment::Use;
use super::store::Store;
use super::transfer::{self, ExportError, ImportError};
use super::types::{ReadError, Stats, StoreError};
use crate::table::walk::WalkPosition;
use alloc::vec::Vec;
use core::fmt;
use core::panic::{RefUnwindSafe, UnwindSafe};

/// A concurrent hash map from byte strings to byte strings that stays within a memory budget, as a store or a cache. It
/// keeps recently read values uncompressed, and compresses the others automatically.
///
/// A lookup finds and copies its value without a lock. If [`get`](Self::get) keeps a decompressed value for later
/// reads, it makes room for it as a write does. A writer appends to a log under a short lock. If it needs room, it
/// first compresses a few values that have not been read recently; call [`compress_step`](Self::compress_step) to do
/// that ahead of time.
///
/// The compressed data of a map is limited to 32 GiB on 64-bit targets. [Sizing and tuning](crate::docs::compressing)
/// describes budgets and codecs.
///
/// ```
/// use hedgerow::CompressedMap;
///
/// let map = CompressedMap::with_budget(1 << 20);
/// map.insert("paris", r#"{"country":"FR"}"#).unwrap();
/// assert_eq!(map.get("paris")?.as_deref(), Some(&br#"{"country":"FR"}"#[..]));
/// assert!(map.remove("paris"));
/// # Ok::<(), hedgerow::compressed::codec::Corrupt>(())
/// ```
pub struct CompressedMap {
    pub(super) store: Store,
}

// Codecs, hashers, clocks and closures run only while the map is in a state that a panic may leave behind.
impl UnwindSafe for CompressedMap {}
impl RefUnwindSafe for CompressedMap {}

impl CompressedMap {
    /// Returns an empty map that takes at most `bytes` bytes, has the default codecs, and refuses values for which
    /// there is no room. While the codecs train, it may take up to 1 MiB more. A map of less than about 18 KiB (on
    /// 64-bit targets) has no room for any entry.
    ///
    /// ```
    /// let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// assert!(map.is_empty() && map.stats().memory_bytes < 1 << 20);
    /// ```
    #[must_use]
    pub fn with_budget(bytes: usize) -> Self {
        Self::builder(bytes).build()
    }

    /// Returns a builder for a map with another policy, other codecs, a time to live, or segments of another size.
    ///
    /// The map has the default codecs, unless [`codec`](Builder::codec) is called.
    ///
    /// ```
    /// use hedgerow::CompressedMap;
    /// use hedgerow::compressed::Policy;
    ///
    /// let map = CompressedMap::builder(1 << 20).policy(Policy::Evict).build();
    /// assert!(map.stats().codecs.iter().any(|codec| codec.name == "small-text"));
    /// ```
    pub fn builder(budget: usize) -> Builder {
        Self::builder_without_codecs(budget).with_default_codecs()
    }

    /// Returns a builder for a map without the default codecs, so that a program for a small machine does not contain
    /// their code. If you add no other codec, the map compresses nothing, and is just a cache within a budget.
    ///
    /// ```
    /// let map = hedgerow::CompressedMap::builder_without_codecs(1 << 20).build();
    /// assert!(map.stats().codecs.iter().all(|codec| codec.name == "none"));
    /// ```
    pub fn builder_without_codecs(budget: usize) -> Builder {
        Builder::new(budget)
    }

    /// Stores a value, and returns whether there was one before.
    ///
    /// If [`compress_step`](Self::compress_step) is called often enough, a write only appends, under a short lock. If
    /// room is short, it first compresses about 1 KiB of other values (or three times its own length, if that is more),
    /// or trains codecs for about as long; if another thread is already doing that, it waits for it briefly. If there
    /// is no room at all, it compresses until it has some. It then visits each segment at most twice, and waits for as
    /// long as another thread compresses, trains, or runs a codec or listener. Linearizes when the key's entry begins
    /// to refer to the new record.
    ///
    /// # Errors
    /// [`StoreError::BudgetExceeded`] if there is no room, [`StoreError::ValueTooLarge`] if key and value are longer
    /// than a segment, [`StoreError::Alloc`] if the allocator has no memory. The previous value is kept.
    ///
    /// ```
    /// # let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// assert_eq!(map.insert("key", "one"), Ok(false));
    /// assert_eq!(map.insert("key", "two"), Ok(true));
    /// ```
    pub fn insert(
        &self,
        key: &(impl AsRef<[u8]> + ?Sized),
        value: &(impl AsRef<[u8]> + ?Sized),
    ) -> Result<bool, StoreError> {
        self.store.insert(key.as_ref(), value.as_ref())
    }

    /// Returns the key's value, or `None` if there is none.
    ///
    /// The lookup takes no lock, and allocates the value. A read that promotes a compressed value makes room for it as
    /// a write does, which may take locks, compress and train. Linearizes when it finds the key's bin unchanged after
    /// it has copied the record.
    ///
    /// # Errors
    /// [`Corrupt`] if there is a value and its bytes are corrupt.
    ///
    /// ```
    /// # let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// map.insert("key", "value").unwrap();
    /// assert_eq!(map.get("key")?.as_deref(), Some(&b"value"[..]));
    /// assert_eq!(map.get("other"), Ok(None));
    /// # Ok::<(), hedgerow::compressed::codec::Corrupt>(())
    /// ```
    pub fn get(&self, key: &(impl AsRef<[u8]> + ?Sized)) -> Result<Option<Vec<u8>>, Corrupt> {
        self.store.get(key.as_ref())
    }

    /// Reads the key's value into the front of a buffer. Returns its length, or `None` if there is no value. The lookup
    /// takes no lock. Allocates only if the stored value takes more than 1 KiB (192 bytes on 32-bit targets) or has
    /// deferred changes. It promotes a cold value only as far as writes, [`get`](Self::get) and steps have made
    /// segments for that.
    ///
    /// # Errors
    /// [`ReadError::BufferTooSmall`] says how much is needed. Unless a length is returned, the buffer may hold
    /// anything, for example an old value of the key.
    ///
    /// ```
    /// use hedgerow::compressed::ReadError;
    /// # let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// map.insert("key", "value").unwrap();
    /// let mut buffer = [0; 16];
    /// assert_eq!(map.get_into("key", &mut buffer), Ok(Some(5)));
    /// assert_eq!(&buffer[..5], b"value");
    /// assert_eq!(map.get_into("key", &mut buffer[..4]), Err(ReadError::BufferTooSmall { need: 5 }));
    /// ```
    pub fn get_into(
        &self,
        key: &(impl AsRef<[u8]> + ?Sized),
        into: &mut [u8],
    ) -> Result<Option<usize>, ReadError> {
        let read = self.store.read(key.as_ref(), into, false);
        read.transpose().map(|read| read.map(|(len, _)| len))
    }

    /// Reads the key's value as [`get_into`](Self::get_into) does, but does not count as a read: it writes nothing and
    /// promotes nothing. Allocates only if the stored value takes more than 1 KiB (192 bytes on 32-bit targets) or has
    /// deferred changes.
    ///
    /// # Errors
    /// The same as for [`get_into`](Self::get_into).
    ///
    /// ```
    /// # let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// map.insert("key", "value").unwrap();
    /// let mut buffer = [0; 16];
    /// assert_eq!(map.peek_into("key", &mut buffer), Ok(Some(5)));
    /// assert_eq!(map.stats().hits, 0);
    /// ```
    pub fn peek_into(
        &self,
        key: &(impl AsRef<[u8]> + ?Sized),
        into: &mut [u8],
    ) -> Result<Option<usize>, ReadError> {
        let read = self.store.read(key.as_ref(), into, true);
        read.transpose().map(|read| read.map(|(len, _)| len))
    }

    /// Returns the result of `read`, applied to the key's value. No lock is held while `read` runs, and it may use the
    /// map. Allocates the value.
    ///
    /// # Errors
    /// [`Corrupt`] if there is a value and its bytes are corrupt. `read` does not run then.
    ///
    /// ```
    /// # let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// map.insert("key", "value").unwrap();
    /// assert_eq!(map.get_with("key", |value| value.len()), Ok(Some(5)));
    /// ```
    pub fn get_with<R>(
        &self,
        key: &(impl AsRef<[u8]> + ?Sized),
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>, Corrupt> {
        Ok(self.get(key)?.map(|value| read(&value)))
    }

    /// Returns the key's value, or an empty vector. Inserts nothing; otherwise as [`get`](Self::get).
    ///
    /// # Errors
    /// [`Corrupt`] if there is a value and its bytes are corrupt.
    ///
    /// ```
    /// # let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// map.insert("rose", "red").unwrap();
    /// assert_eq!((map.get_or_default("rose"), map.get_or_default("thorn")), (Ok(b"red".to_vec()), Ok(vec![])));
    /// ```
    pub fn get_or_default(&self, key: &(impl AsRef<[u8]> + ?Sized)) -> Result<Vec<u8>, Corrupt> {
        Ok(self.get(key)?.unwrap_or_default())
    }

    /// Returns whether the key has a value. Takes no lock and allocates nothing.
    ///
    /// ```
    /// # let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// assert!(!map.contains_key("key"));
    /// ```
    pub fn contains_key(&self, key: &(impl AsRef<[u8]> + ?Sized)) -> bool {
        self.store.contains(key.as_ref())
    }

    /// Removes the key's value, and returns whether there was one. Allocates nothing.
    ///
    /// ```
    /// # let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// map.insert("key", "value").unwrap();
    /// assert!(map.remove("key") && !map.remove("key"));
    /// ```
    pub fn remove(&self, key: &(impl AsRef<[u8]> + ?Sized)) -> bool {
        self.store.remove(key.as_ref())
    }

    /// Replaces the key's value by the result of `change`; `None` removes it. Returns false if there is no value.
    ///
    /// No lock is held while `change` runs. If another thread has written in the meantime, it runs again.
    ///
    /// # Errors
    /// Those of [`insert`](Self::insert); [`StoreError::Corrupt`] if the value is corrupt.
    ///
    /// ```
    /// # let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// map.insert("key", "value").unwrap();
    /// map.update("key", |mut value| { value.push(b's'); Some(value) }).unwrap();
    /// assert_eq!(map.get("key"), Ok(Some(b"values".to_vec())));
    /// ```
    pub fn update(
        &self,
        key: &(impl AsRef<[u8]> + ?Sized),
        mut change: impl FnMut(Vec<u8>) -> Option<Vec<u8>>,
    ) -> Result<bool, StoreError> {
        self.store.update(key.as_ref(), |value| Ok(change(value)))
    }

    /// Updates as `update` does. The change may find the value to be damaged, which then stays.
    pub(super) fn try_update(
        &self,
        key: &[u8],
        change: impl FnMut(Vec<u8>) -> Result<Option<Vec<u8>>, Corrupt>,
    ) -> Result<bool, StoreError> {
        self.store.update(key, change)
    }

    /// Stores a change without reading the value. The map's [`Merge`](super::Merge) applies it whenever the value is
    /// read, and permanently when the value is compressed or eight changes are waiting. If the key has no value, the
    /// change creates one, which does not expire, not even in a map with a default time to live.
    ///
    /// # Errors
    /// Those of [`insert`](Self::insert); [`StoreError::NoMerge`] if the map was built without a merge function.
    ///
    /// ```
    /// use hedgerow::CompressedMap;
    ///
    /// let append = |_: &[u8], value: Option<&[u8]>, changes: &[&[u8]]| {
    ///     [value.unwrap_or_default(), &changes.concat()].concat()
    /// };
    /// let map = CompressedMap::builder(1 << 20).merge(append).build();
    /// map.modify_deferred("key", "a").unwrap();
    /// map.modify_deferred("key", "b").unwrap();
    /// assert_eq!(map.get("key"), Ok(Some(b"ab".to_vec())));
    /// ```
    pub fn modify_deferred(
        &self,
        key: &(impl AsRef<[u8]> + ?Sized),
        change: &(impl AsRef<[u8]> + ?Sized),
    ) -> Result<(), StoreError> {
        self.store.defer(key.as_ref(), change.as_ref())
    }

    /// Returns the number of entries. It is exact if there are no concurrent writes.
    pub fn len(&self) -> usize {
        self.store.index.table.len()
    }

    /// Returns `true` if the map has no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns copies of all entries, in no particular order. A value whose bytes are corrupt is [`Corrupt`].
    ///
    /// ```
    /// # let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// map.insert("key", "value").unwrap();
    /// assert!(map.iter().eq([(b"key".to_vec(), Ok(b"value".to_vec()))]));
    /// ```
    pub fn iter(&self) -> Iter<'_> {
        Iter::new(&self.store)
    }

    /// Returns copies of all keys, in no particular order, including those of corrupt values. Decompresses nothing.
    ///
    /// ```
    /// # let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// map.insert("key", "value").unwrap();
    /// assert!(map.keys().eq([b"key"]));
    /// ```
    pub fn keys(&self) -> Keys<'_> {
        Keys(self.iter())
    }

    /// Returns copies of all values, in no particular order; see [`iter`](Self::iter).
    ///
    /// ```
    /// # let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// map.insert("key", "value").unwrap();
    /// assert!(map.values().eq([Ok(b"value".to_vec())]));
    /// ```
    pub fn values(&self) -> impl Iterator<Item = Result<Vec<u8>, Corrupt>> + '_ {
        self.iter().map(|(_, value)| value)
    }

    /// Removes the entries for which `keep` returns false. It is also called for values whose bytes are corrupt. No
    /// lock is held while it runs. It runs again for an entry that another thread has written in the meantime.
    ///
    /// ```
    /// # let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// map.insert("key", "value").unwrap();
    /// // What cannot be read stays, so that it can be examined.
    /// map.retain(|_, value| value.is_err() || value.is_ok_and(|value| value.len() > 5));
    /// assert!(map.is_empty());
    /// ```
    pub fn retain(&self, mut keep: impl FnMut(&[u8], Result<&[u8], Corrupt>) -> bool) {
        let store = &self.store;
        let (mut position, mut entries) = (Some(WalkPosition::START), Vec::new());
        while let Some(at) = position {
            position = store.copy_bin(at, &mut entries);
            for entry in entries.drain(..) {
                let (key, hash) = (&*entry.key, store.index.hash(&entry.key));
                let (top, generation) = (entry.chain.top, entry.chain.generation);
                let value = store.fold(key, &entry.chain);
                let mut now = Some(ReadEntry { top, generation, value, deadline: 0 });
                while let Some(ReadEntry { top, generation, value, .. }) = now {
                    let value = value.as_deref().map_err(|&corrupt| corrupt);
                    if keep(key, value) || store.unlink_exactly(hash, top, generation) {
                        break;
                    }
                    // A writer has changed the entry, or a sweep has moved it. `keep` decides again.
                    now = store.read_entry(hash, |at| store.records().has_key(at, key), key);
                }
            }
        }
    }

    /// Removes all entries that it finds. An entry that is inserted concurrently may stay.
    ///
    /// ```
    /// # let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// map.insert("key", "value").unwrap();
    /// map.clear();
    /// assert!(map.is_empty());
    /// ```
    pub fn clear(&self) {
        let (mut position, mut entries) = (Some(WalkPosition::START), Vec::new());
        while let Some(at) = position {
            position = self.store.index.copy_bin(at, &mut entries);
            for entry in entries.drain(..) {
                self.store.remove(&entry.key);
            }
        }
    }

    /// Returns statistics. Visits the index's directory and the list of segments.
    ///
    /// ```
    /// # let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// map.insert("key", "value").unwrap();
    /// let stats = map.stats();
    /// assert!(stats.len == 1 && stats.raw == 8 && stats.memory_bytes <= stats.budget);
    /// ```
    pub fn stats(&self) -> Stats {
        let (store, pool) = (&self.store, self.store.pool());
        let (own, in_segments) = (store.index.table.usage().bytes, pool.index_segments());
        let (mut hot, mut dead) = (0, 0);
        for number in 0..pool.numbers() {
            let Some(segment) = pool.segment(number) else { continue };
            if [Use::Hot, Use::Cold, Use::Swept].into_iter().any(|what| segment.is(what)) {
                dead += segment.dead();
            }
            hot += segment.live();
        }
        let (_, cold) = store.models().cold();
        Stats {
            len: self.len(),
            raw: store.contents.total(),
            memory_bytes: store.bytes_but_index().saturating_add(own),
            budget: store.memory.budget,
            index: own + in_segments * store.shape().bytes(),
            segments: pool.made() - in_segments,
            hot_segments: pool.hot(),
            free_segments: pool.free(),
            hot: hot.saturating_sub(cold),
            cold,
            dead,
            codecs: store.models().stats(),
            hits: store.hits.total(),
            misses: store.misses.total(),
        }
    }

    /// Does maintenance ahead of writers: compresses, compacts, merges, trains codecs and grows the index. Returns
    /// whether there was anything to do. Call it from a main loop or a maintenance thread.
    ///
    /// Does about as much work as compressing `bytes` bytes takes, and at most a few KiB more: one value, one step of
    /// training, or some bins of the index. Holds a lock that writers may want for about 1 KiB of work at a time.
    /// Returns at once if another thread is already doing maintenance.
    ///
    /// ```
    /// # let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// assert!(!map.compress_step(4096));
    /// ```
    pub fn compress_step(&self, bytes: usize) -> bool {
        self.store.step(bytes)
    }

    /// Trains the codecs with these values, instead of with values in the map when it first compresses. Returns whether
    /// any codec has a new model. Blocks until training has ended.
    pub fn train(&self, samples: &[&[u8]]) -> bool {
        self.store.train(samples)
    }

    /// Writes all entries to a stream of bytes, still compressed, together with the models that decompress them.
    /// Returns the number of entries. Each entry is consistent as of a single point in time. Allocates copies of the
    /// entries.
    ///
    /// # Errors
    /// [`ExportError`]. The bytes written before it are not a complete export.
    ///
    /// ```
    /// # let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// map.insert("key", "value").unwrap();
    /// let mut bytes = Vec::new();
    /// // To a file: `|part| file.write_all(part)`.
    /// map.export(|part| { bytes.extend_from_slice(part); Ok::<_, std::io::Error>(()) }).unwrap();
    ///
    /// let other = hedgerow::CompressedMap::with_budget(1 << 20);
    /// let mut rest = &bytes[..];
    /// assert_eq!(other.import(|part| std::io::Read::read(&mut rest, part)).unwrap(), 1);
    /// assert_eq!(other.get("key"), Ok(Some(b"value".to_vec())));
    /// ```
    pub fn export<E>(
        &self,
        write: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<usize, ExportError<E>> {
        transfer::export(&self.store, write)
    }

    /// Inserts all entries that another map has exported, and returns their number. `read` fills the front of its
    /// buffer and returns how many bytes it has filled, as `std::io::Read::read` does. Values are stored uncompressed
    /// and compressed again later.
    ///
    /// # Errors
    /// [`ImportError`]. Entries before the failed one stay in the map. Malicious bytes are safe to import.
    ///
    /// ```
    /// use hedgerow::compressed::ImportError;
    /// # let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// assert_eq!(map.import(|_| Ok::<_, ()>(0)), Err(ImportError::Corrupt));
    /// ```
    pub fn import<E>(
        &self,
        read: impl FnMut(&mut [u8]) -> Result<usize, E>,
    ) -> Result<usize, ImportError<E>> {
        transfer::import(&self.store, read)
    }

    /// Compresses all values, and frees the memory that is not in use.
    ///
    /// ```
    /// # let mut map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// map.insert("key", "value").unwrap();
    /// map.clear();
    /// map.shrink();
    /// assert_eq!(map.stats().segments, 0);
    /// ```
    pub fn shrink(&mut self) {
        self.store.shrink();
    }
}

impl Builder {
    /// Builds the map. It allocates nothing of its budget yet, except the models that codecs have without training.
    #[must_use]
    pub fn build(self) -> CompressedMap {
        debug_assert!(Shape::new(self.segment_bits()).room() > 0);
        CompressedMap { store: Store::new(self) }
    }
}

impl<'a> IntoIterator for &'a CompressedMap {
    type Item = (Vec<u8>, Result<Vec<u8>, Corrupt>);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl fmt::Debug for CompressedMap {
    /// Shows statistics only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompressedMap").field("stats", &self.stats()).finish()
    }
}
