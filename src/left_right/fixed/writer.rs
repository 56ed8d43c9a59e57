//! Writing.

use super::table::{Fixed, LeftRightTable};
use crate::api::fixed_hasher::FixedHashBuilder;
use crate::error::{Busy, TryInsertError};
use crate::left_right::bin::Hashed;
use crate::left_right::side::Place;
use crate::sync::backoff::Backoff;
use crate::sync::sides::{Sides, PendingSwap};
use core::fmt;
use core::hash::{BuildHasher, Hash};
use equivalent::Equivalent;
use heapless::Vec;

/// An entry with its place.
type Found<'a, K, V> = Option<(Place, &'a (K, V))>;

/// What the writer remembers between publishes. It goes on with the next writer.
pub(super) struct PendingChanges<const BINS: usize> {
    /// The bins in which the sides differ, each once.
    dirty: Vec<u32, BINS>,
    is_dirty: [bool; BINS],
    /// The last turn, and whether it is not over. An `Option` would not be all zeros where there was none, and so a
    /// `static` table would take flash.
    swap: PendingSwap,
    is_swapping: bool,
}

impl<const BINS: usize> PendingChanges<BINS> {
    pub(super) const fn new() -> Self {
        Self {
            dirty: Vec::new(),
            is_dirty: [false; BINS],
            swap: PendingSwap::NONE,
            is_swapping: false,
        }
    }

    fn mark(&mut self, bin: usize) {
        if !self.is_dirty[bin] {
            self.is_dirty[bin] = true;
            // There is room for all of them.
            let _ = self.dirty.push(bin as u32);
        }
    }
}

/// The writer of a [`LeftRightTable`]. Readers see its changes all at once, when it publishes them.
///
/// User code (`Hash`, `Eq`, closures) runs with nothing half done, and never when a change is made to the other side.
/// Nothing waits but [`wait_for_readers`](Self::wait_for_readers).
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

impl<'a, K: Copy, V: Copy, const BINS: usize, const READERS: usize, S>
    TableWriter<'a, K, V, BINS, READERS, S>
{
    /// Of a table whose writer's place was taken for it.
    pub(super) fn new(table: &'a LeftRightTable<K, V, BINS, READERS, S>) -> Self {
        Self { table }
    }

    fn pending_mut(&mut self) -> &mut PendingChanges<BINS> {
        // SAFETY: this is the writer, and `&mut self` is borrowed as long as the result.
        unsafe { self.table.pending_mut() }
    }

    /// The side with all changes, published or not.
    fn newest(&self) -> &Fixed<K, V, BINS> {
        // SAFETY: this is the writer, and changes and turns ask for `&mut self`.
        unsafe {
            if self.table.pending().is_swapping {
                self.table.side(self.table.sides.state())
            } else {
                self.table.write_side()
            }
        }
    }

    /// The side to be changed and the notes about it, if the last turn is over.
    fn write_side_mut(&mut self) -> Result<(&mut Fixed<K, V, BINS>, &mut PendingChanges<BINS>), Busy> {
        self.make_writable(true)?;
        // SAFETY: this is the writer, the turn is over, and `&mut self` is borrowed as long as the results.
        Ok(unsafe { (self.table.write_side_mut(), self.table.pending_mut()) })
    }

    /// Brings the hidden side up to date, if the slots say that the last turn is over, or if `ask_system` the operating
    /// system.
    fn make_writable(&mut self, ask_system: bool) -> Result<(), Busy> {
        let table = self.table;
        let pending = self.pending_mut();
        if pending.is_swapping {
            if !table.sides.is_over(&mut pending.swap, || table.slots(), ask_system) {
                return Err(Busy);
            }
            pending.is_swapping = false;
            // SAFETY: this is the writer, and the turn is over.
            let (write_side, shown) = unsafe { (table.write_side_mut(), table.side(table.sides.state())) };
            for &bin in &pending.dirty {
                write_side.copy_bin(shown, bin as usize);
                pending.is_dirty[bin as usize] = false;
            }
            pending.dirty.clear();
        }
        Ok(())
    }

    /// The number of entries, unpublished changes included. O(1).
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// assert_eq!(table.writer().unwrap().len(), 0);
    /// ```
    pub fn len(&self) -> usize {
        self.newest().len()
    }

    /// Whether there are no entries, unpublished changes included. O(1).
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// assert!(table.writer().unwrap().is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All entries, unpublished changes included, in no order.
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// assert_eq!(table.writer().unwrap().iter().count(), 0);
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.newest().entries().map(|(_, (key, value))| (key, value))
    }

    /// Removes all entries for which `keep` does not hold; readers see it after the next publish. O(capacity).
    ///
    /// # Errors
    /// When readers are still looking at what was shown before the last publish: then nothing was asked.
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
                    let hash = Hashed::of(key, hash_builder);
                    let home = write_side.home_of(hash, place);
                    write_side.take(home, place, |bin| pending.mark(bin));
                }
            }
        }
        Ok(())
    }

    /// Removes all entries; readers see it after the next publish. O(capacity).
    ///
    /// # Errors
    /// When readers are still looking at what was shown before the last publish.
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

    /// Has readers see all changes. Waits for nobody, and always succeeds.
    ///
    /// Some readers may still be looking at what was shown before: then changes are refused until they have looked
    /// away, which [`wait_for_readers`](Self::wait_for_readers) waits for. Linearizes where the sides change places.
    /// O(changes), for this and the next change together.
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
        // While a turn is not over there are no changes: they were refused.
        if let Ok((write_side, pending)) = self.write_side_mut()
            && !pending.dirty.is_empty()
        {
            // SAFETY: this is the writer, and the reference is not used across the turn.
            let shown = unsafe { table.side(table.sides.state()) };
            write_side.set_generation(shown.generation() + 1);
            pending.swap = table.sides.swap(table.slots());
            pending.is_swapping = true;
            // At once, so that who looks from now on is not waited for.
            let _ = self.make_writable(false);
        }
    }

    /// Returns true while a reader is still looking at what was shown before the last publish: changes would be refused
    /// now. O(`READERS`), and O(changes) the first time after a publish.
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// assert!(!table.writer().unwrap().is_pending());
    /// ```
    pub fn is_pending(&mut self) -> bool {
        self.write_side_mut().is_err()
    }

    /// Waits until changes are not refused: until nobody looks at what was shown before the last publish.
    ///
    /// In an interrupt handler, or where this thread itself holds a snapshot, that may be for ever.
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

    /// Numbers ([`TableReader::reader_id`](super::TableReader::reader_id)) of the readers who have been looking since
    /// before the last publish.
    ///
    /// ```
    /// # let table = hedgerow::LeftRightTable::<u32, u32, 8, 1>::new();
    /// assert_eq!(table.writer().unwrap().stalled_readers().count(), 0);
    /// ```
    pub fn stalled_readers(&self) -> impl Iterator<Item = usize> {
        // SAFETY: this is the writer, and the reference is not used across changes, which ask for `&mut self`.
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
    /// The key's hash, and where its entry lies, if it has one.
    #[inline(always)]
    fn find<'a, Q>(
        side: &'a Fixed<K, V, BINS>,
        hash_builder: &S,
        key: &Q,
    ) -> (Hashed, Found<'a, K, V>)
    where
        Q: Hash + Equivalent<K> + ?Sized,
    {
        let hash = Hashed::of(key, hash_builder);
        (hash, side.find(hash, move |(k, _)| key.equivalent(k)))
    }

    /// Returns the hash under which the entry of `key` at `place` was placed, which was found under `hash`. They differ
    /// if a key's `Hash` contradicts its `Eq`. An entry in its home bin is counted by no bin, so either will do.
    #[inline(always)]
    fn placed_under(hash: Hashed, place: Place, key: &K, hash_builder: &S) -> Hashed {
        if hash.home(BINS) == place.bin { hash } else { Hashed::of(key, hash_builder) }
    }

    /// The key's value, unpublished changes included. O(1) expected.
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

    /// Stores `value` under `key` and returns the value that it replaces. Readers see it after the next publish. O(1)
    /// expected.
    ///
    /// # Errors
    /// When the table is full, or readers are still looking at what was shown before the last publish. The error has
    /// key and value.
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
        write_side.place(hash, (key, value), |bin| pending.mark(bin));
        Ok(None)
    }

    /// Stores each of `entries` as [`insert`](Self::insert) does, until one is refused. Readers see them after the next
    /// publish.
    ///
    /// There is no `Extend`, because that could not say which entries were refused.
    ///
    /// # Errors
    /// [`TryInsertError`] with the first pair that `insert` refuses. Those before it are stored, and those after it are
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

    /// Takes out the entry at `place`, which belongs to the bin `home`, and places `entry`, which belongs elsewhere.
    #[cold]
    #[inline(never)]
    fn replace_elsewhere(
        write_side: &mut Fixed<K, V, BINS>,
        pending: &mut PendingChanges<BINS>,
        home: usize,
        place: Place,
        hash: Hashed,
        entry: (K, V),
    ) {
        write_side.take(home, place, |bin| pending.mark(bin));
        write_side.place(hash, entry, |bin| pending.mark(bin));
    }

    /// Removes the entry of `key`; says which value it had. Readers see it after the next publish. O(1) expected.
    ///
    /// # Errors
    /// When readers are still looking at what was shown before the last publish.
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
        write_side.take(home, place, |bin| pending.mark(bin));
        Ok(Some(value))
    }

    /// Replaces the key's value by what `with` makes of it, and gives that. Readers see it after the next publish. O(1)
    /// expected.
    ///
    /// # Errors
    /// When readers are still looking at what was shown before the last publish: then `with` was not called.
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
        self.table.release_writing();
    }
}

impl<K, V, const BINS: usize, const READERS: usize, S> fmt::Debug
    for TableWriter<'_, K, V, BINS, READERS, S>
where
    K: Copy + fmt::Debug,
    V: Copy + fmt::Debug,
{
    /// All entries, unpublished changes included.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}
