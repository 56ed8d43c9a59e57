//! The writer of a fixed table.

use super::pending::PendingChanges;

use super::table::{Fixed, LeftRightTable};
use crate::api::fixed_hasher::FixedHashBuilder;
use crate::error::{Busy, TryInsertError};
use crate::left_right::bin::MixedHash;
use crate::left_right::side::SidePlace;
use crate::sync::backoff::Backoff;
use crate::sync::barrier;
use crate::sync::sides::Sides;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use equivalent::Equivalent;

/// The place and the entry that a search found.
type FoundPlace<'a, K, V> = Option<(SidePlace, &'a (K, V))>;

impl<K: Copy, V: Copy, const BINS: usize, const READERS: usize, S>
    LeftRightTable<K, V, BINS, READERS, S>
{
    /// Returns the writer, or `None` if there is one already. Changes that the previous writer did not publish are
    /// kept. Lock-free; O(1). Dropping the writer makes room for another.
    ///
    /// ```
    /// let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// let writer = table.writer();
    /// assert!(writer.is_some() && table.writer().is_none());
    /// ```
    pub fn writer(&self) -> Option<TableWriter<'_, K, V, BINS, READERS, S>> {
        barrier::prepare();
        let _operation = self.sides.scheduled.operation();
        self.writing.take().then(|| TableWriter { table: self })
    }
}

/// The writer of a [`LeftRightTable`]. Readers see its changes when it publishes them, all at once.
///
/// No method waits except [`wait_for_readers`](Self::wait_for_readers). User code (`Hash`, `Eq`, closures) never
/// observes a half-completed operation, and copying changes to the other side runs none of it.
pub struct TableWriter<
    'a,
    K: Copy,
    V: Copy,
    const BINS: usize,
    const READERS: usize,
    S = FixedHashBuilder,
> {
    table: &'a LeftRightTable<K, V, BINS, READERS, S>,
}

impl<K: Copy, V: Copy, const BINS: usize, const READERS: usize, S>
    TableWriter<'_, K, V, BINS, READERS, S>
{
    fn pending_mut(&mut self) -> &mut PendingChanges<BINS> {
        // SAFETY: this is the writer, and the result borrows `&mut self`.
        unsafe { self.table.pending_mut() }
    }

    /// Returns the side with all changes, published or not.
    fn newest(&self) -> &Fixed<K, V, BINS> {
        // SAFETY: this is the writer, and changes and swaps take `&mut self`.
        unsafe {
            // During a swap the write side still holds the state before the last publish.
            if self.table.pending().is_swapping {
                self.table.side(self.table.sides.state())
            } else {
                self.table.write_side()
            }
        }
    }

    /// Returns the write side and the notes about it, or fails if readers may still be in that side.
    fn write_side_mut(
        &mut self,
    ) -> Result<(&mut Fixed<K, V, BINS>, &mut PendingChanges<BINS>), Busy> {
        self.finish_swap(true)?;
        // SAFETY: this is the writer, the swap is over, and the results borrow `&mut self`.
        Ok(unsafe { (self.table.write_side_mut(), self.table.pending_mut()) })
    }

    /// Brings the write side up to date if the last swap is over. If the slots do not tell, and `ask_system` is set,
    /// this asks the operating system for a barrier.
    fn finish_swap(&mut self, ask_system: bool) -> Result<(), Busy> {
        let table = self.table;
        let pending = self.pending_mut();
        if pending.is_swapping {
            if !table.sides.is_over(&mut pending.swap, || table.slots(), ask_system) {
                return Err(Busy);
            }
            pending.is_swapping = false;
            // SAFETY: this is the writer, and the swap is over.
            let (write_side, read_side) =
                unsafe { (table.write_side_mut(), table.side(table.sides.state())) };
            for &bin in &pending.dirty {
                write_side.copy_bin(read_side, bin as usize);
                pending.is_dirty[bin as usize] = false;
            }
            pending.dirty.clear();
        }
        Ok(())
    }

    /// Returns the number of entries, unpublished changes included. O(1).
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// assert_eq!(table.writer().unwrap().len(), 0);
    /// ```
    pub fn len(&self) -> usize {
        self.newest().len()
    }

    /// Returns true if there are no entries, unpublished changes included. O(1).
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// assert!(table.writer().unwrap().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns an iterator over all entries, unpublished changes included, in no particular order.
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// assert_eq!(table.writer().unwrap().iter().count(), 0);
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.newest().entries().map(|(_, (key, value))| (key, value))
    }

    /// Removes all entries for which `keep` returns false. Readers see that after the next publish. O(capacity).
    ///
    /// # Errors
    /// If a reader is still in the state before the last publish. `keep` has not been called then.
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// let mut writer = table.writer().unwrap();
    /// writer.insert(1, 10).unwrap();
    /// writer.retain(|_, value| *value > 10).unwrap();
    /// assert!(writer.is_empty());
    /// ```
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &V) -> bool) -> Result<(), Busy>
    where
        K: Hash,
        S: BuildHasher,
    {
        let hash_builder = &self.table.hash_builder;
        let (write_side, pending) = self.write_side_mut()?;
        for bin in 0..BINS {
            for place in write_side.places_of(bin) {
                let Some((key, value)) = write_side.get(place) else { continue };
                if !keep(key, value) {
                    let hash = MixedHash::of(key, hash_builder);
                    let home = write_side.home_of(hash, place);
                    write_side.take(home, place, |place| pending.mark(place.bin));
                }
            }
        }
        Ok(())
    }

    /// Removes all entries. Readers see that after the next publish. O(capacity).
    ///
    /// # Errors
    /// If a reader is still in the state before the last publish.
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// assert!(table.writer().unwrap().clear().is_ok());
    /// ```
    pub fn clear(&mut self) -> Result<(), Busy> {
        let (write_side, pending) = self.write_side_mut()?;
        write_side.clear();
        (0..BINS).for_each(|bin| pending.mark(bin));
        Ok(())
    }

    /// Publishes all changes: reads that begin afterwards see them.
    ///
    /// Never waits and never fails. Some readers may still see the previous state. Until they have finished, the table
    /// refuses changes; [`wait_for_readers`](Self::wait_for_readers) waits for that. Linearizes when the sides are
    /// swapped. O(changes), for this call and the next change together.
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// let (mut writer, reader) = (table.writer().unwrap(), table.reader().unwrap());
    /// let before = reader.enter();
    /// writer.insert(1, 10).unwrap();
    /// writer.publish();
    /// assert_eq!((before.get(&1), reader.get(&1)), (None, Some(10)));
    /// assert!(writer.insert(2, 20).is_err());
    /// drop(before);
    /// assert!(writer.insert(2, 20).is_ok());
    /// ```
    pub fn publish(&mut self) {
        let table = self.table;
        // During a swap there is nothing to publish: the table has refused all changes since.
        if let Ok((write_side, pending)) = self.write_side_mut()
            && !pending.dirty.is_empty()
        {
            // SAFETY: this is the writer, and the reference is not used after the swap.
            let read_side = unsafe { table.side(table.sides.state()) };
            write_side.set_generation(read_side.generation() + 1);
            pending.swap = table.sides.swap(table.slots());
            pending.is_swapping = true;
            // Tried at once: then the next change need not wait for readers that begin from now on.
            let _ = self.finish_swap(false);
        }
    }

    /// Returns true if a reader is still in the state before the last publish, so that the table would refuse changes.
    /// O(`READERS`); O(changes) the first time after a publish.
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// assert!(!table.writer().unwrap().is_pending());
    /// ```
    pub fn is_pending(&mut self) -> bool {
        self.write_side_mut().is_err()
    }

    /// Waits until the table accepts changes: until no reader is in the state before the last publish.
    ///
    /// In an interrupt handler, or if this thread itself holds a snapshot, the wait may never end.
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// let mut writer = table.writer().unwrap();
    /// writer.insert(1, 10).unwrap();
    /// writer.publish();
    /// writer.wait_for_readers();
    /// assert_eq!(writer.insert(1, 20), Ok(Some(10)));
    /// ```
    pub fn wait_for_readers(&mut self) {
        let mut backoff = Backoff::spinning();
        while self.is_pending() {
            let _ = backoff.wait_long();
        }
    }

    /// Returns the numbers ([`TableReader::reader_id`](super::TableReader::reader_id)) of the readers that have been
    /// reading since before the last publish.
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// assert_eq!(table.writer().unwrap().stalled_readers().count(), 0);
    /// ```
    pub fn stalled_readers(&self) -> impl Iterator<Item = usize> {
        // SAFETY: this is the writer, and changes take `&mut self`, so no change is made while the reference is used.
        let pending = unsafe { self.table.pending() };
        let slots = self.table.slots().filter(|_| pending.is_swapping);
        Sides::stalled(&pending.swap, slots).map(|slot| self.table.number_of(slot))
    }
}

impl<K, V, const BINS: usize, const READERS: usize, S> TableWriter<'_, K, V, BINS, READERS, S>
where
    K: Copy + Eq + Hash,
    V: Copy,
    S: BuildHasher,
{
    /// Returns the hash of `key`, and the place and the entry if there is one.
    #[inline(always)]
    fn find<'a, Q>(
        side: &'a Fixed<K, V, BINS>,
        hash_builder: &S,
        key: &Q,
    ) -> (MixedHash, FoundPlace<'a, K, V>)
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let hash = MixedHash::of(key, hash_builder);
        (hash, side.find(hash, move |(k, _)| key.equivalent(k)))
    }

    /// Returns the hash under which the entry at `place` was placed. `hash` is the one under which it was found. They
    /// differ if a key's `Hash` contradicts its `Eq`. No bin counts an entry in its home bin, so there either will do.
    #[inline(always)]
    fn placed_under(hash: MixedHash, place: SidePlace, key: &K, hash_builder: &S) -> MixedHash {
        if hash.home(BINS) == place.bin { hash } else { MixedHash::of(key, hash_builder) }
    }

    /// Returns the value of `key`, unpublished changes included. O(1) expected.
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// let mut writer = table.writer().unwrap();
    /// writer.insert(1, 10).unwrap();
    /// assert_eq!(writer.get(&1), Some(10));
    /// ```
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let (_, found) = Self::find(self.newest(), &self.table.hash_builder, key);
        found.map(|(_, &(_, value))| value)
    }

    /// Stores `value` under `key` and returns the value that it replaces. Readers see the new one after the next
    /// publish. O(1) expected.
    ///
    /// # Errors
    /// If the table is full, or a reader is still in the state before the last publish. The error hands back key and
    /// value.
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// let mut writer = table.writer().unwrap();
    /// assert_eq!((writer.insert(1, 10), writer.insert(1, 20)), (Ok(None), Ok(Some(10))));
    /// ```
    pub fn insert(&mut self, key: K, value: V) -> Result<Option<V>, TryInsertError<K, V>> {
        let hash_builder = &self.table.hash_builder;
        let Ok((write_side, pending)) = self.write_side_mut() else {
            return Err(TryInsertError::Busy { key, value });
        };
        let (hash, found) = Self::find(write_side, hash_builder, &key);
        if let Some((place, &(ref old, before))) = found {
            let placed_under = Self::placed_under(hash, place, old, hash_builder);
            if placed_under == hash {
                pending.mark(place.bin);
                write_side.replace(place, (key, value));
            } else {
                let home = write_side.home_of(placed_under, place);
                Self::replace_elsewhere(write_side, pending, home, place, hash, (key, value));
            }
            return Ok(Some(before));
        }
        if write_side.len() >= write_side.capacity() {
            return Err(TryInsertError::Full { key, value });
        }
        write_side.place(hash, (key, value), |place| pending.mark(place.bin));
        Ok(None)
    }

    /// Stores each of `entries` as [`insert`](Self::insert) does, until the table refuses one. Readers see them after
    /// the next publish.
    ///
    /// The table does not implement `Extend`, which could not return the entries that it refuses.
    ///
    /// # Errors
    /// [`TryInsertError`] with the first pair that `insert` refuses. The pairs before it are stored. Those after it are
    /// still in the iterator, which the caller keeps by passing `&mut` of it.
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// let mut writer = table.writer().unwrap();
    /// assert!(writer.try_extend([(1, 10), (2, 20)]).is_ok());
    /// assert_eq!(writer.len(), 2);
    /// ```
    pub fn try_extend(
        &mut self,
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Result<(), TryInsertError<K, V>> {
        entries.into_iter().try_for_each(|(key, value)| self.insert(key, value).map(drop))
    }

    /// Takes out the entry at `place`, whose home is the bin `home`, and places `entry`, whose hash is another one.
    #[cold]
    #[inline(never)]
    fn replace_elsewhere(
        write_side: &mut Fixed<K, V, BINS>,
        pending: &mut PendingChanges<BINS>,
        home: usize,
        place: SidePlace,
        hash: MixedHash,
        entry: (K, V),
    ) {
        write_side.take(home, place, |place| pending.mark(place.bin));
        write_side.place(hash, entry, |place| pending.mark(place.bin));
    }

    /// Removes the entry of `key` and returns its value. Readers see that after the next publish. O(1) expected.
    ///
    /// # Errors
    /// If a reader is still in the state before the last publish.
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// let mut writer = table.writer().unwrap();
    /// writer.insert(1, 10).unwrap();
    /// assert_eq!(writer.remove(&1), Ok(Some(10)));
    /// ```
    pub fn remove<Q>(&mut self, key: &Q) -> Result<Option<V>, Busy>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let hash_builder = &self.table.hash_builder;
        let (write_side, pending) = self.write_side_mut()?;
        let (hash, found) = Self::find(write_side, hash_builder, key);
        let Some((place, &(ref found, value))) = found else { return Ok(None) };
        let hash = Self::placed_under(hash, place, found, hash_builder);
        let home = write_side.home_of(hash, place);
        write_side.take(home, place, |place| pending.mark(place.bin));
        Ok(Some(value))
    }

    /// Replaces the value of `key` by the result of `with`, and returns the new value. Readers see it after the next
    /// publish. O(1) expected.
    ///
    /// # Errors
    /// If a reader is still in the state before the last publish. `with` has not been called then.
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// let mut writer = table.writer().unwrap();
    /// writer.insert(1, 10).unwrap();
    /// assert_eq!(writer.update(&1, |value| value + 1), Ok(Some(11)));
    /// ```
    pub fn update<Q>(&mut self, key: &Q, with: impl FnOnce(V) -> V) -> Result<Option<V>, Busy>
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let hash_builder = &self.table.hash_builder;
        let (write_side, pending) = self.write_side_mut()?;
        let (_, found) = Self::find(write_side, hash_builder, key);
        let Some((place, &(key, value))) = found else { return Ok(None) };
        let value = with(value);
        pending.mark(place.bin);
        write_side.replace(place, (key, value));
        Ok(Some(value))
    }
}

impl<K: Copy, V: Copy, const BINS: usize, const READERS: usize, S> Drop
    for TableWriter<'_, K, V, BINS, READERS, S>
{
    fn drop(&mut self) {
        let _operation = self.table.sides.scheduled.operation();
        self.table.writing.release();
    }
}

impl<K, V, const BINS: usize, const READERS: usize, S> fmt::Debug
    for TableWriter<'_, K, V, BINS, READERS, S>
where
    K: Copy + fmt::Debug,
    V: Copy + fmt::Debug,
{
    /// Formats all entries, unpublished changes included.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
