//! `CompressedMap`: the face. No algorithm.

use super::builder::Builder;
#[cfg(feature = "lz4")]
use super::codec::Lz4;
use super::codec::{Corrupt, SmallText};
use super::iter::{Iter, Keys};
use super::read::ReadEntry;
use super::record::Shape;
use super::segment::Use;
use super::store::Store;
use super::transfer::{self, ExportError, ImportError};
use super::types::{ReadError, Stats, StoreError};
use crate::table::walk::Position;
use alloc::vec::Vec;
use core::fmt;

/// A concurrent map from bytes to bytes that keeps within a budget of memory: what is read often is kept plain, all
/// else compressed, by itself.
///
/// On 64 bits the records of one map, compressed, take 32 GiB at most; on 32 bits, what there is.
///
/// Look-ups take no lock. Writers append to a log under a short lock, and compress what was not read lately a
/// little at a time, as they need room; [`compress_step`](Self::compress_step) does that ahead of them.
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

impl CompressedMap {
    /// A map that takes so many bytes at most, with the default codecs, and refuses what does not fit.
    ///
    /// ```
    /// let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// assert!(map.is_empty() && map.stats().memory_bytes < 1 << 20);
    /// ```
    #[must_use]
    pub fn with_budget(bytes: usize) -> Self {
        let builder = Self::builder(bytes).codec(SmallText::new());
        #[cfg(feature = "lz4")]
        let builder = builder.codec(Lz4::new());
        builder.build()
    }

    /// Makes a map with other codecs, another policy, or segments of another size.
    pub fn builder(budget: usize) -> Builder {
        Builder::new(budget)
    }

    /// Stores a value, and says whether there was one before.
    ///
    /// Takes a short lock to append. Where nobody calls [`compress_step`](Self::compress_step), or not often enough,
    /// it may compress about a kibibyte of other values, or learn for as long, to make room; where there is none at
    /// all, a segment at most. It linearizes where the
    /// key's entry is made to lead to the new record.
    ///
    /// # Errors
    /// [`StoreError::BudgetExceeded`] where there is no room, [`StoreError::ValueTooLarge`] where key and value are
    /// longer than a segment; what was there before is there still.
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

    /// Returns the key's value, None if there is none. Takes no lock; allocates the value.
    ///
    /// It linearizes where the key's bin is found unchanged after the record was copied.
    ///
    /// # Errors
    /// [`Corrupt`] where there is a value and its bytes are damaged.
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

    /// Reads the key's value into the front of a buffer; its length, None where there is no value. Takes no lock.
    /// Allocates where the value is stored in more than a kibibyte or has deferred changes, and nothing else: it
    /// becomes hot as far as there are segments for that, which writes, [`get`](Self::get) and steps have made.
    ///
    /// # Errors
    /// [`ReadError::BufferTooSmall`] says how much is needed. After an error the buffer may hold anything.
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

    /// As [`get_into`](Self::get_into), but nobody knows afterwards that the key was read: nothing becomes hot, nothing
    /// is written. Allocates only where the value is stored in more than a kibibyte or has deferred changes.
    ///
    /// # Errors
    /// Those of [`get_into`](Self::get_into).
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

    /// What `look` makes of the key's value. Nothing is locked while it runs, and it may use the map. Allocates the
    /// value.
    ///
    /// # Errors
    /// [`Corrupt`] where there is a value and its bytes are damaged; `look` does not run.
    ///
    /// ```
    /// # let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// map.insert("key", "value").unwrap();
    /// assert_eq!(map.get_with("key", |value| value.len()), Ok(Some(5)));
    /// ```
    pub fn get_with<R>(
        &self,
        key: &(impl AsRef<[u8]> + ?Sized),
        look: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>, Corrupt> {
        Ok(self.get(key)?.map(|value| look(&value)))
    }

    /// Returns the key's value, or no bytes. Inserts nothing. Takes no lock; allocates the value.
    ///
    /// # Errors
    /// [`Corrupt`] if there is a value and its bytes are damaged.
    ///
    /// ```
    /// # let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// map.insert("rose", "red").unwrap();
    /// assert_eq!((map.get_or_default("rose"), map.get_or_default("thorn")), (Ok(b"red".to_vec()), Ok(vec![])));
    /// ```
    pub fn get_or_default(&self, key: &(impl AsRef<[u8]> + ?Sized)) -> Result<Vec<u8>, Corrupt> {
        Ok(self.get(key)?.unwrap_or_default())
    }

    /// Whether the key has a value. Takes no lock and allocates nothing.
    ///
    /// ```
    /// # let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// assert!(!map.contains_key("key"));
    /// ```
    pub fn contains_key(&self, key: &(impl AsRef<[u8]> + ?Sized)) -> bool {
        self.store.contains(key.as_ref())
    }

    /// Removes the key's value, and says whether there was one. Allocates nothing.
    ///
    /// ```
    /// # let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// map.insert("key", "value").unwrap();
    /// assert!(map.remove("key") && !map.remove("key"));
    /// ```
    pub fn remove(&self, key: &(impl AsRef<[u8]> + ?Sized)) -> bool {
        self.store.remove(key.as_ref())
    }

    /// Replaces the key's value by what `change` makes of it; None removes it. False where there is no value.
    ///
    /// `change` runs with nothing locked, and again where somebody else wrote meanwhile.
    ///
    /// # Errors
    /// Those of [`insert`](Self::insert); [`StoreError::Corrupt`] where the value cannot be read.
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

    /// As `update`, with a change that may find the value to be damaged, which then stays.
    pub(super) fn try_update(
        &self,
        key: &[u8],
        change: impl FnMut(Vec<u8>) -> Result<Option<Vec<u8>>, Corrupt>,
    ) -> Result<bool, StoreError> {
        self.store.update(key, change)
    }

    /// Notes a change without reading the value: the map's [`Merge`](super::Merge) folds it in when the value is
    /// read, and for good when it is compressed, or when eight are waiting. A key that is not there comes to be.
    ///
    /// # Errors
    /// Those of [`insert`](Self::insert); [`StoreError::NoMerge`] where the map was made without one.
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

    /// Entries; exact where nobody writes meanwhile.
    pub fn len(&self) -> usize {
        self.store.index.table.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All entries, in no order, as copies. A value whose bytes are damaged is [`Corrupt`].
    ///
    /// ```
    /// # let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// map.insert("key", "value").unwrap();
    /// assert!(map.iter().eq([(b"key".to_vec(), Ok(b"value".to_vec()))]));
    /// ```
    pub fn iter(&self) -> Iter<'_> {
        Iter::new(&self.store)
    }

    /// All keys, in no order, as copies: those of damaged values too. Decompresses nothing.
    ///
    /// ```
    /// # let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// map.insert("key", "value").unwrap();
    /// assert!(map.keys().eq([b"key"]));
    /// ```
    pub fn keys(&self) -> Keys<'_> {
        Keys(self.iter())
    }

    /// All values, in no order, as copies; see [`iter`](Self::iter).
    ///
    /// ```
    /// # let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// map.insert("key", "value").unwrap();
    /// assert!(map.values().eq([Ok(b"value".to_vec())]));
    /// ```
    pub fn values(&self) -> impl Iterator<Item = Result<Vec<u8>, Corrupt>> + '_ {
        self.iter().map(|(_, value)| value)
    }

    /// Removes the entries for which `keep` returns false. It is also called for values whose bytes are damaged. It
    /// runs while nothing is locked, and runs again for an entry that was written meanwhile.
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
        let (mut position, mut entries) = (Some(Position::START), Vec::new());
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

    /// Removes all entries that are there when it comes to them.
    ///
    /// ```
    /// # let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// map.insert("key", "value").unwrap();
    /// map.clear();
    /// assert!(map.is_empty());
    /// ```
    pub fn clear(&self) {
        let (mut position, mut entries) = (Some(Position::START), Vec::new());
        while let Some(at) = position {
            position = self.store.index.copy_bin(at, &mut entries);
            for entry in entries.drain(..) {
                self.store.remove(&entry.key);
            }
        }
    }

    /// Figures. Walks the index's directory and the list of segments.
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
            raw: store.raw.total(),
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

    /// Makes room ahead of writers, if any is wanted: compresses, compacts and folds, has codecs learn and the index
    /// grow. Whether there was anything to do: where there was not, whoever calls may rest. For a main loop, or a
    /// thread of its own.
    ///
    /// Does about as much as compressing `bytes` bytes takes, and at most one value, one turn of learning or some bins
    /// of the index more, each of which is some kibibytes' worth. Locks what writers may want for a kibibyte's worth at
    /// a time. Where somebody else is at it, it leaves it to them.
    ///
    /// ```
    /// # let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// assert!(!map.compress_step(4096));
    /// ```
    pub fn compress_step(&self, bytes: usize) -> bool {
        self.store.step(bytes)
    }

    /// Has the codecs learn from these values, instead of from what the map holds when it first compresses. Whether
    /// any did. Takes as long as they do.
    pub fn train(&self, samples: &[&[u8]]) -> bool {
        self.store.train(samples)
    }

    /// Looks whether about `bytes` bytes of compressed records still are what was stored; how many it has looked at.
    /// It goes on where the last call ended, and round; 0 says that there is nothing to look at, or that somebody is
    /// compressing. For memory that may forget, where reads would find only some of the damage.
    ///
    /// Takes a lock that writers may want for as long. Allocates nothing.
    ///
    /// # Errors
    /// [`Corrupt`] where a segment that it has come to the end of is not what was written: any of the values in it,
    /// and any key's place, may be wrong.
    ///
    /// ```
    /// # let map = hedgerow::CompressedMap::with_budget(1 << 20);
    /// assert_eq!(map.verify_step(4096), Ok(0));
    /// ```
    pub fn verify_step(&self, bytes: usize) -> Result<usize, Corrupt> {
        self.store.verify(bytes)
    }

    /// Writes all entries as a stream of bytes, compressed as they are, and what codecs need to read them; how many
    /// entries. Each is as it was at one moment. Allocates what it copies.
    ///
    /// # Errors
    /// [`ExportError`]; what was written until then is no whole export.
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

    /// Inserts all that another map has exported; how many entries. `read` fills the front of what it is given and
    /// tells how much, as `std::io::Read::read` does. Values are compressed anew, by and by.
    ///
    /// # Errors
    /// [`ImportError`]; entries before the one that it is about stay. Bytes that were made to do harm do none.
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

    /// Gives back what memory can be given back.
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
    /// Figures only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompressedMap").field("stats", &self.stats()).finish()
    }
}
