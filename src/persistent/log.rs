//! The log of a version: changes that were made after it was published, and that no version has yet.
//!
//! One writer at a time, the one that holds the turn, appends. Any thread seals the log, which ends it: what a version
//! is replaced by has all changes of its log, and there will be no others.
//!
//! # Synchronization
//! - `[SV-3]` release compare-and-swap that counts a change ↔ `[SV-4]` acquire read-modify-write that seals the log:
//!   whoever then reads the changes sees them complete.
//! - A seal and an append change the same word, so an append either is counted by the seal, or fails.
//! - The turn orders appends, and the reads by other writers that have it.

use super::map::PersistentMap;
use crate::facade::atomic::{AtomicUsize, Ordering};
use alloc::vec::Vec;
use core::cell::{Cell, UnsafeCell};
use core::mem::{ManuallyDrop, MaybeUninit};
use core::ptr;

/// A change of one entry.
pub(super) enum Change<K, V> {
    Put(K, V),
    Remove(K),
}

impl<K: Ord + Clone, V: Clone> Change<K, V> {
    /// Makes the change once more, in another copy of the map.
    fn apply(&self, map: &mut PersistentMap<K, V>) {
        match self {
            Self::Put(key, value) => drop(map.insert(key.clone(), value.clone())),
            Self::Remove(key) => drop(map.remove_entry(key)),
        }
    }
}

/// How a change is made: lookups replay a log, and their keys and values need not be `Ord` and `Clone`.
type Apply<K, V> = fn(&Change<K, V>, &mut PersistentMap<K, V>);

/// Blocks of changes. Each has room for twice as many as the one before.
const BLOCKS: usize = if cfg!(hedgerow_loom) { 1 } else { 8 };
/// Changes in the first block.
const FIRST: usize = if cfg!(hedgerow_loom) { 2 } else { 16 };
/// Changes in a log at most: 4,080.
///
/// The longer a log, the more changes a leaf gets for each copy of it. With 64 k entries, an insertion took 390, 240,
/// 195, 175 and 150 ns with 56, 504, 2,040, 4,088 and 16,376 changes. But who replays a log copies a leaf for each
/// change, and that should take no longer than the descheduled writer that makes it necessary: 1 to 2 ms.
const MOST: usize = FIRST * ((1 << BLOCKS) - 1);
/// Changes in the log of a small map at most.
const LEAST: usize = 4 * FIRST;

/// Set in the state when nothing can be appended any more. The rest of the state counts changes, in steps of 2.
const SEALED: usize = 1;

pub(super) struct Log<K, V> {
    /// How many changes there can be.
    most: usize,
    state: AtomicUsize,
    blocks: [Cell<*mut Change<K, V>>; BLOCKS],
    /// Set by the first change.
    apply: UnsafeCell<MaybeUninit<Apply<K, V>>>,
}

/// Returns the block of the change with this index, and where it is there.
fn position(index: usize) -> (usize, usize) {
    let block = (index / FIRST + 1).ilog2() as usize;
    (block, index - capacity_before(block))
}

/// Returns how many changes the blocks before this one have room for.
fn capacity_before(block: usize) -> usize {
    FIRST * ((1 << block) - 1)
}

impl<K, V> Log<K, V> {
    /// Returns the log of a version with this many entries. It has half as many changes at most, unless these are few:
    /// they keep values that the map has no more.
    pub(super) fn new(entries: usize) -> Self {
        Self {
            most: (entries / 2).clamp(LEAST.min(MOST), MOST),
            state: AtomicUsize::new(0),
            blocks: [const { Cell::new(ptr::null_mut()) }; BLOCKS],
            apply: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// Returns the number of changes.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        // relaxed: whoever reads the changes has sealed the log, or has the turn.
        self.state.load(Ordering::Relaxed) / 2
    }

    /// Returns whether a change can be appended, as far as is known.
    pub(super) fn is_open(&self) -> bool {
        // relaxed: a hint. `append` looks again.
        let state = self.state.load(Ordering::Relaxed);
        state & SEALED == 0 && state / 2 < self.most
    }

    /// Ends the log, and returns the number of its changes.
    pub(super) fn seal(&self) -> usize {
        // [SV-4] acquire: pairs with [SV-3], so we see the changes that are counted.
        self.state.fetch_or(SEALED, Ordering::Acquire) / 2
    }

    /// Returns a map with all changes of the log, which begins with the entries of `map`.
    ///
    /// # Safety
    /// The caller has sealed the log, or has the turn.
    pub(super) unsafe fn replay(&self, map: &PersistentMap<K, V>) -> PersistentMap<K, V> {
        let mut map = map.clone();
        for index in 0..self.len() {
            let (block, at) = position(index);
            // SAFETY: the change is counted, so it and `apply` were written, and the block was allocated, before the
            // log was sealed or we got the turn. They stay as they are as long as the log is shared.
            unsafe {
                let apply = (*self.apply.get()).assume_init();
                apply(&*self.blocks[block].get().add(at), &mut map);
            }
        }
        map
    }

    /// Returns the place of the next change, or null if there is no memory.
    ///
    /// # Safety
    /// The caller has the turn.
    unsafe fn place(&self, index: usize) -> *mut Change<K, V> {
        let (block, at) = position(index);
        if self.blocks[block].get().is_null() {
            let mut room = ManuallyDrop::new(Vec::new());
            if room.try_reserve_exact(FIRST << block).is_err() {
                return ptr::null_mut();
            }
            self.blocks[block].set(room.as_mut_ptr());
        }
        self.blocks[block].get().wrapping_add(at)
    }
}

impl<K: Ord + Clone, V: Clone> Log<K, V> {
    /// Appends a change. Hands it back if the log is full or sealed, or if there is no memory.
    ///
    /// # Safety
    /// No other thread appends: the caller has the turn.
    pub(super) unsafe fn append(&self, change: Change<K, V>) -> Result<(), Change<K, V>> {
        // relaxed: only appends change the count, and the turn orders those of others before.
        let state = self.state.load(Ordering::Relaxed);
        if state & SEALED != 0 || state / 2 >= self.most {
            return Err(change);
        }
        // SAFETY: the caller has the turn.
        let place = unsafe { self.place(state / 2) };
        if place.is_null() {
            return Err(change);
        }
        // SAFETY: the place is in a block, and no other thread uses it, because the change is not counted yet. Nobody
        // reads `apply` before there is a change.
        unsafe {
            if state == 0 {
                (*self.apply.get()).write(Change::apply);
            }
            place.write(change);
        }
        // [SV-3] release: pairs with [SV-4], so whoever sees the count sees the change. relaxed, if it fails: the log
        // is sealed, and nothing is read.
        match self.state.compare_exchange(state, state + 2, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => Ok(()),
            // SAFETY: it was just written, and is not counted.
            Err(_) => Err(unsafe { place.read() }),
        }
    }
}

impl<K, V> Drop for Log<K, V> {
    fn drop(&mut self) {
        let len = self.len();
        let blocks: [Vec<Change<K, V>>; BLOCKS] = core::array::from_fn(|block| {
            let changes = self.blocks[block].get();
            if changes.is_null() {
                return Vec::new();
            }
            let filled = len.saturating_sub(capacity_before(block)).min(FIRST << block);
            // SAFETY: the block is the memory of a vector of this capacity, and these changes are counted. Nobody else
            // uses them, and this drops them once.
            unsafe { Vec::from_raw_parts(changes, filled, FIRST << block) }
        });
        // If a destructor panics, the others run all the same, because the array owns the blocks.
        drop(blocks);
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_log_ends_when_it_is_full_or_sealed() {
        for entries in [0, 1000, usize::MAX] {
            let log = Log::new(entries);
            let most = (entries / 2).clamp(LEAST, MOST);
            for n in 0..most {
                assert!(log.is_open());
                // SAFETY: there are no other threads.
                assert!(unsafe { log.append(Change::Put(n, n)) }.is_ok());
            }
            // SAFETY: as above.
            assert!(!log.is_open() && unsafe { log.append(Change::Remove(0)) }.is_err());
            assert_eq!((log.len(), log.seal()), (most, most));
            // SAFETY: the log is sealed.
            let all = unsafe { log.replay(&PersistentMap::from([(most, 7)])) };
            assert!(all.keys().copied().eq(0..=most), "a change is missing");
        }
        let log = Log::<usize, usize>::new(0);
        // SAFETY: as above.
        assert!(unsafe { log.append(Change::Put(1, 1)) }.is_ok());
        assert_eq!(log.seal(), 1);
        // SAFETY: as above.
        assert!(unsafe { log.append(Change::Remove(1)) }.is_err() && log.len() == 1);
        // SAFETY: the log is sealed.
        let replayed = unsafe { log.replay(&PersistentMap::new()) };
        assert_eq!(replayed.get(&1), Some(&1));
    }
}
