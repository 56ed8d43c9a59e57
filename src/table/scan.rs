//! Walking over all bins while others write and the table grows.
//!
//! Bins are visited in the order of their *reversed* hash bits. In that order a bin at depth `d` covers one
//! interval, and splitting it cuts the interval in two without moving anything across its ends. So a plain
//! position between intervals is enough to go on from, and every key that is present throughout is met
//! exactly once, however often its bin is split.

use super::cursor::Cursor;
use super::overflow::{Head, Taken};
use super::read::Place;
use super::{Table, covers};
use crate::bins::bin::Bin;
use crate::bins::tags::{Hash, Tags};
use crate::sync::backoff::Backoff;
use crate::sync::seqlock::State;
use alloc::vec::Vec;
use core::mem::MaybeUninit;

/// A bin as it was at one moment.
struct Snapshot<'a, K, V> {
    bin: Bin<'a, K, V>,
    state: State,
    tags: Tags,
}

/// An entry of a snapshot: whole once the snapshot is taken, perhaps torn while it is being taken.
pub(crate) struct Raw<K, V> {
    place: Place,
    key: MaybeUninit<K>,
    value: MaybeUninit<V>,
}

impl<K: Copy, V: Copy> Clone for Raw<K, V> {
    fn clone(&self) -> Self {
        Self { place: self.place, key: self.key, value: self.value }
    }
}

impl<K: Copy, V: Copy> Raw<K, V> {
    /// # Safety
    /// The entry comes from a `snapshot` that has returned.
    pub(crate) unsafe fn whole(&self) -> (K, V) {
        // SAFETY: the caller's promise.
        unsafe { (self.key.assume_init(), self.value.assume_init()) }
    }
}

/// Where a scan goes on: the reversed hash bits of the next bin, or nothing is left.
pub(crate) type Position = Option<u64>;

/// The position of a scan that begins.
pub(crate) const START: Position = Some(0);

fn after(position: u64, tags: Tags) -> Position {
    match tags.depth().bits() {
        0 => None,
        // From the bin's first position, should this be one in its midst.
        bits => (position & (u64::MAX << (64 - bits))).checked_add(1 << (64 - bits)),
    }
}

/// How many bins ahead of a walk are asked for: about as many lines as a core waits for at once.
const AHEAD: u64 = 6;

impl<K: Copy, V: Copy> Table<K, V> {
    /// Adds all entries of the bin at `position` to `buffer`, as they were at one moment, and tells the
    /// next position. The buffer's entries are whole when this returns.
    pub(crate) fn snapshot(&self, position: u64, buffer: &mut Vec<Raw<K, V>>) -> Position {
        let next = after(position, self.snapshot_bin(position, buffer)?.tags)?;
        // Neighbours in this order lie far apart, so that no hardware guesses which comes next.
        let ahead = next.wrapping_add((next - position).wrapping_mul(AHEAD));
        if let Some(directory) = self.directory() {
            let (bin, _) = directory.locate(Hash::of_bin_bits(ahead.reverse_bits()));
            bin.prefetch_all();
        }
        Some(next)
    }

    /// Shows bins to `each`, each as it was at one moment, from `cursor` on, until they had at least `budget`
    /// entries; where to go on, None at the end. Entries are whole when they are shown.
    pub(crate) fn scan(
        &self,
        cursor: Cursor,
        budget: usize,
        mut each: impl FnMut(&[Raw<K, V>]),
    ) -> Option<Cursor> {
        let mut bin = Vec::new();
        let mut position = Some(cursor.to_bits());
        let mut shown = 0;
        while let Some(at) = position {
            bin.clear();
            position = self.snapshot(at, &mut bin);
            each(&bin);
            shown += bin.len();
            if shown >= budget {
                break;
            }
        }
        position.map(Cursor::from_bits)
    }

    fn snapshot_bin(
        &self,
        position: u64,
        buffer: &mut Vec<Raw<K, V>>,
    ) -> Option<Snapshot<'_, K, V>> {
        let hash = Hash::of_bin_bits(position.reverse_bits());
        let mut backoff = Backoff::spinning();
        let before = buffer.len();
        loop {
            buffer.truncate(before);
            let directory = self.directory()?;
            if let Some((bin, number)) = Self::home(directory, hash) {
                let (state, tags) = (bin.seq().begin(), bin.tags());
                let seen = self.visit(bin, state, tags, |entry, place| {
                    buffer.push(Raw { place, key: entry.key(), value: entry.value() });
                    Ok(())
                });
                // Validated after the last word was fetched: only now are the entries whole.
                if covers(tags.depth(), number, hash) && seen.is_ok() && bin.seq().validate(state) {
                    return Some(Snapshot { bin, state, tags });
                }
            }
            let _ = backoff.wait();
        }
    }

    /// Shows every entry of a table that nobody else uses. Allocates nothing.
    #[cfg_attr(hedgerow_loom, allow(dead_code))] // Of use to maps of owned data only.
    pub(crate) fn for_each_mut(&mut self, mut each: impl FnMut(K, V)) {
        let mut position = START;
        while let Some(at) = position {
            let hash = Hash::of_bin_bits(at.reverse_bits());
            let Some(directory) = self.directory() else { return };
            let home = Self::home(directory, hash);
            let (bin, _) = home.expect("no split is under way");
            let (state, tags) = (bin.seq().begin(), bin.tags());
            let seen = self.visit(bin, state, tags, |entry, _| {
                // SAFETY: a tag says that the place holds an entry, and nobody writes meanwhile.
                unsafe { each(entry.key().assume_init(), entry.value().assume_init()) };
                Ok(())
            });
            debug_assert!(seen.is_ok());
            position = after(at, tags);
        }
    }

    /// Asks `keep` of every entry, with no lock held, and removes or rewrites accordingly; where a bin
    /// changed meanwhile its entries are asked about again. What is removed is then shown to `gone`.
    pub(crate) fn retain(
        &self,
        mut keep: impl FnMut(&K, &mut V) -> bool,
        mut gone: impl FnMut(&K),
    ) {
        let mut entries: Vec<Raw<K, V>> = Vec::new();
        let mut verdicts = Vec::new();
        let mut position = START;
        let mut backoff = Backoff::spinning();
        while let Some(at) = position {
            entries.clear();
            let Some(snapshot) = self.snapshot_bin(at, &mut entries) else { return };
            verdicts.clear();
            verdicts.extend(entries.iter_mut().map(|raw| {
                // SAFETY: `snapshot_bin` returned, so the entry is whole.
                let (key, value) =
                    unsafe { (raw.key.assume_init_ref(), raw.value.assume_init_mut()) };
                keep(key, value)
            }));
            if entries.is_empty() || self.apply(&snapshot, &entries, &verdicts) {
                for (raw, _) in entries.iter().zip(&verdicts).filter(|(_, kept)| !**kept) {
                    // SAFETY: as above.
                    gone(unsafe { raw.key.assume_init_ref() });
                }
                position = after(at, snapshot.tags);
            } else {
                let _ = backoff.wait();
            }
        }
    }

    fn apply(
        &self,
        snapshot: &Snapshot<'_, K, V>,
        entries: &[Raw<K, V>],
        verdicts: &[bool],
    ) -> bool {
        let Snapshot { bin, state, mut tags } = *snapshot;
        if !bin.seq().try_lock(state) {
            return false;
        }
        let mut first = bin.overflow(state);
        let mut freed = 0;
        let mut removed = 0;
        // Last place first: emptying a line unlinks it, which must not disturb the places still to come.
        for (raw, kept) in entries.iter().zip(verdicts).rev() {
            // SAFETY: the entries come from a snapshot that returned: whole.
            let value = unsafe { raw.value.assume_init_ref() };
            match raw.place {
                Place::Slot(slot) if *kept => bin.entry(slot).put_value(value),
                Place::Line { number, slot, .. } if *kept => {
                    self.pool.owned(number).entry(slot).put_value(value);
                }
                place => {
                    let emptied: Taken;
                    (tags, first, emptied) = self.vacate(tags, first, place);
                    if emptied.first != 0 {
                        self.pool.owned(emptied.first).set_head(Head::new(freed));
                        freed = emptied.first;
                    }
                    removed += 1;
                }
            }
        }
        bin.set_tags(tags);
        bin.seq().unlock(bin.state_after(state, first));
        self.pool.push(freed);
        if removed > 0 {
            self.count.add(-removed);
        }
        true
    }

    /// Empties every bin, one after the other.
    pub(crate) fn clear(&self) {
        let mut position = START;
        let mut backoff = Backoff::spinning();
        while let Some(at) = position {
            let hash = Hash::of_bin_bits(at.reverse_bits());
            let Some(directory) = self.directory() else { return };
            let emptied =
                Self::home(directory, hash).and_then(|(bin, number)| self.empty(bin, number, hash));
            match emptied {
                Some(tags) => position = after(at, tags),
                None => drop(backoff.wait()),
            }
        }
    }

    fn empty(&self, bin: Bin<'_, K, V>, number: usize, hash: Hash) -> Option<Tags> {
        let (state, tags) = (bin.seq().begin(), bin.tags());
        if !covers(tags.depth(), number, hash) || !bin.seq().try_lock(state) {
            return None;
        }
        let chain = bin.overflow(state);
        let mut removed = tags.used().count();
        let mut line = chain;
        while line != 0 {
            let head = self.pool.owned(line).head();
            removed += head.count();
            line = head.next;
        }
        bin.set_tags(Tags::empty(tags.depth()));
        bin.seq().unlock(bin.state_after(state, 0));
        self.pool.push(chain);
        self.count.add(-removed.cast_signed());
        Some(tags)
    }
}
