//! Storing, changing and removing values.
//!
//! A writer first appends a record. It then makes the key's entry refer to the record, under the lock of the bin and
//! from the state in which it found the entry. The same critical section unlinks the chain before, so that only one
//! writer counts it as dead.

use super::codec::Corrupt;
use super::maintenance::SweepOutcome;
use super::memory::Shortage;
use super::pool::COMPACT_PART;
use super::read::ReadEntry;
use super::record::{MOST_OPERANDS, RecordHead, RecordLocation};
use super::records::Chain;
use super::store::{Appended, Store};
use super::types::{Policy, StoreError};
use crate::api::failure::Failure;
use crate::api::hash::KeyHash;
use crate::sync::backoff::Backoff;
use crate::table::write::EntryChange;
use alloc::vec::Vec;
use core::cell::Cell;

/// Bytes that a writer without room sweeps at a time.
const SHARE: usize = 4096;
/// The most bytes that a writer sweeps while there is still some room, unless it wrote more than a third of this.
const PIECE: usize = 1024;
/// How often a writer waits for a sweep by another thread, for each missing segment.
const WAITS: usize = 32;
/// The length of one such wait in backoff steps: some microseconds.
const SPINS: usize = 32;
/// Attempts to make room for one entry of the index, before the write fails.
const MAX_DROPS: usize = 64;

/// The result of linking a record.
enum Linked {
    /// The entry referred to another chain before, with this deadline. That chain is unlinked.
    Replaced(u64),
    New,
    /// The index may not grow.
    NoRoom,
    /// The entry does not satisfy the writer's condition.
    Other,
}

/// The limits of a writer that makes room.
struct RoomBudget {
    /// Sweeps that are left.
    sweeps: usize,
    backoff: Backoff,
}

impl Store {
    /// Stores a value with the map's default time to live.
    pub(super) fn insert(&self, key: &[u8], value: &[u8]) -> Result<bool, StoreError> {
        // Most maps have no default, and need no call of the clock.
        let deadline = if self.expiry.has_default() { self.expiry.deadline(None)? } else { 0 };
        self.insert_until(key, value, deadline)
    }

    /// Stores a value that expires at `deadline`; 0 means never.
    pub(super) fn insert_until(
        &self,
        key: &[u8],
        value: &[u8],
        deadline: u64,
    ) -> Result<bool, StoreError> {
        let hash = self.index.hash(key);
        let head = RecordHead::of_plain(key.len(), value.len()).with_deadline(deadline);
        let at = self.append(RecordLocation::NONE, head, key, value)?;
        let wanted = |top| self.records().has_key(top, key);
        let linked = self.link(hash, &at, wanted, |_, _| true, true);
        self.finish(&linked, at)
    }

    /// Counts the record as linked or dead. Then sweeps for the writers to come.
    fn finish(
        &self,
        linked: &Result<Linked, Failure>,
        at: Appended<'_>,
    ) -> Result<bool, StoreError> {
        let contents = at.contents;
        // Counted before the sweep, which frees what is dead.
        drop(at);
        let replaced = match linked {
            // An expired value counts as absent.
            Ok(Linked::Replaced(deadline)) => Ok(!self.expiry.has_passed(*deadline)),
            Ok(Linked::New) => Ok(false),
            Ok(Linked::NoRoom | Linked::Other) => Err(StoreError::BudgetExceeded),
            Err(_) => Err(StoreError::Alloc),
        };
        self.pace(contents.unsigned_abs());
        replaced
    }

    /// Sweeps twice as much as was written, and more as room runs out, so that the next writers find room.
    fn pace(&self, bytes: usize) {
        if cfg!(hedgerow_loom) {
            return;
        }
        self.grow_some();
        let missing = self.missing_segments();
        if missing == 0 {
            self.train_in_time();
            return;
        }
        let piece = ((bytes + 32) << missing).min(PIECE.max(3 * bytes));
        let mut waits = WAITS * missing;
        // Backpressure: if another thread sweeps or trains and does not keep up, this writer slows down to its pace.
        while self.sweep(piece) == SweepOutcome::Busy && waits > 0 {
            // A new backoff each time: an old one would yield to threads that have nothing to do with the sweep.
            let mut backoff = Backoff::spinning();
            for _ in 0..SPINS {
                let _ = backoff.wait_long();
            }
            waits -= 1;
        }
    }

    /// Appends a hot record, after making room for it if necessary.
    fn append(
        &self,
        below: RecordLocation,
        head: RecordHead,
        key: &[u8],
        value: &[u8],
    ) -> Result<Appended<'_>, StoreError> {
        // The lengths are checked first, because the length of a record of any two may overflow.
        let long = key.len().max(value.len()) >= 1 << 21;
        let size = if long { usize::MAX } else { head.record_len(true) };
        if size > self.shape().max_record() {
            // Not the room that this head leaves: with a deadline, the same key and value need a longer one.
            return Err(StoreError::ValueTooLarge { most: self.shape().max_contents() });
        }
        self.admit_record(size)?;
        let mut attempts = self.attempts();
        loop {
            if let Some(at) = self.append_hot(below, head, key, value) {
                let contents = (key.len() + value.len()).cast_signed();
                return Ok(Appended::new(self, at, contents));
            }
            if !self.make_room(&mut attempts) {
                return Err(StoreError::BudgetExceeded);
            }
        }
    }

    /// Returns the limits of a writer without room. It sweeps all segments twice before it fails, because other
    /// writers may take the segments that it frees.
    fn attempts(&self) -> RoomBudget {
        let all = self.shape().bytes().saturating_mul(self.pool().made() + 1);
        let sweeps = all / SHARE * 2;
        RoomBudget { sweeps, backoff: Backoff::spinning() }
    }

    /// Sweeps a little if there is no segment. Returns false if that is of no use.
    fn make_room(&self, attempts: &mut RoomBudget) -> bool {
        match self.sweep(SHARE) {
            SweepOutcome::Advanced if attempts.sweeps > 0 => attempts.sweeps -= 1,
            SweepOutcome::Busy => self.wait_for_sweep(&mut attempts.backoff),
            // This thread has just trained codecs: there is no other thread to wait for.
            SweepOutcome::Training => {}
            // The hint of dead bytes may have been lost in a race, so the segments themselves are examined.
            SweepOutcome::Nothing
                if attempts.sweeps > 0 && self.pool().most_dead(COMPACT_PART).is_some() =>
            {
                attempts.sweeps -= 1;
            }
            _ => return false,
        }
        true
    }

    /// Waits a little for the thread that sweeps or trains.
    #[cold]
    fn wait_for_sweep(&self, backoff: &mut Backoff) {
        // A codec that writes to its own map would wait for its own caller. It panics instead.
        self.maintenance.refuse_holder();
        self.training.trainer.refuse_holder();
        let _ = backoff.wait_long();
    }

    /// Makes the entry that `wanted` accepts refer to `at`; a new entry, if there is none and `new` is set. `still`
    /// decides from the top of the chain and the chain whether to go ahead, and again if the bin has changed since.
    fn link(
        &self,
        hash: KeyHash,
        at: &Appended<'_>,
        wanted: impl Fn(RecordLocation) -> bool,
        still: impl Fn(Option<RecordLocation>, &mut Chain) -> bool,
        new: bool,
    ) -> Result<Linked, Failure> {
        let mut drops = 0;
        let mut backoff = Backoff::spinning();
        let mut attempts = None;
        let mut make_room = || self.make_room(attempts.get_or_insert_with(|| self.attempts()));
        loop {
            // Dropped once the entry is counted, or before this writer makes room.
            let mut claim = None;
            let (mut chain, shortage) = (Chain::default(), Cell::new(None));
            let decide = |top: Option<RecordLocation>| {
                match top {
                    Some(top) => self.records().chain_into(top, &mut chain),
                    None => chain.clear(),
                }
                // Only a new entry may make the index grow.
                let mut lacks = None;
                if top.is_none() && new && claim.is_none() {
                    match self.claim_entry() {
                        Ok(granted) => claim = Some(granted),
                        Err(shortage) => lacks = Some(shortage),
                    }
                }
                shortage.set(lacks);
                let may = (top.is_some() || new) && lacks.is_none() && still(top, &mut chain);
                if may { EntryChange::Entry(at.at.entry(), ()) } else { EntryChange::Keep }
            };
            let altered = self.index.alter_and_note(hash, &wanted, decide, &at.is_linked);
            drop(claim);
            let table = &self.index.table;
            if matches!(altered, Err(Failure::Alloc)) && table.has_arena() && drops < MAX_DROPS {
                // The index needs an overflow line, and its segments have none left.
                match table.arena_lacks_lines() {
                    true if self.give_index_a_segment() || make_room() => continue,
                    true => return Ok(Linked::NoRoom),
                    // Another writer has given it a segment meanwhile.
                    false => drops += 1,
                }
                continue;
            }
            return match altered? {
                (Some(_), EntryChange::Entry(..)) => {
                    self.records().drop_chain(&chain);
                    self.note_unlinked(&chain);
                    Ok(Linked::Replaced(chain.deadline()))
                }
                (None, EntryChange::Entry(..)) => Ok(Linked::New),
                _ if shortage.get().is_some() => {
                    // Sweeping frees segments, but no part of the budget.
                    if shortage.get() == Some(Shortage::Segment) && make_room() {
                        continue;
                    }
                    if self.policy != Policy::Evict || drops == MAX_DROPS {
                        return Ok(Linked::NoRoom);
                    }
                    match self.evict_some(SHARE) {
                        SweepOutcome::Advanced => drops += 1,
                        // The other thread may free the entry that this writer needs.
                        SweepOutcome::Busy => self.wait_for_sweep(&mut backoff),
                        _ => return Ok(Linked::NoRoom),
                    }
                    continue;
                }
                _ => Ok(Linked::Other),
            };
        }
    }

    pub(super) fn remove(&self, key: &[u8]) -> bool {
        let hash = self.index.hash(key);
        let removed = self.unlink(hash, |top| self.records().has_key(top, key));
        removed.is_some_and(|deadline| !self.expiry.has_passed(deadline))
    }

    /// Removes the entry that `wanted` accepts by its location, and returns its deadline.
    pub(super) fn unlink(
        &self,
        hash: KeyHash,
        wanted: impl Fn(RecordLocation) -> bool,
    ) -> Option<u64> {
        let mut chain = Chain::default();
        let removed = self.index.unlink(hash, wanted, &mut chain);
        removed.then(|| {
            self.note_unlinked(&chain);
            chain.deadline()
        })
    }

    /// Removes the entry that refers to `at`, as opened in `generation`.
    pub(super) fn unlink_exactly(
        &self,
        hash: KeyHash,
        at: RecordLocation,
        generation: usize,
    ) -> bool {
        // The location alone may be that of a newer record of the key.
        let wanted = |top| top == at && self.records().generation(at) == generation;
        self.unlink(hash, wanted).is_some()
    }

    /// Stores the result of `change`, applied to the value. Returns false if there is no value.
    ///
    /// # Errors
    /// Those of storing, [`StoreError::Corrupt`], and those of `change`, which leave the value as it is.
    pub(super) fn update(
        &self,
        key: &[u8],
        mut change: impl FnMut(Vec<u8>) -> Result<Option<Vec<u8>>, Corrupt>,
    ) -> Result<bool, StoreError> {
        let hash = self.index.hash(key);
        loop {
            let wanted = |at| self.records().has_key(at, key);
            let Some(entry) = self.read_entry(hash, wanted, key) else {
                return Ok(false);
            };
            let ReadEntry { top, generation, value, deadline } = entry;
            let changed = value.and_then(&mut change).map_err(|Corrupt| StoreError::Corrupt)?;
            // `change` runs without a lock. If another thread has changed the entry, it runs again.
            let Some(value) = changed else {
                if self.unlink_exactly(hash, top, generation) {
                    return Ok(true);
                }
                continue;
            };
            let replaced = self.replace(hash, key, &value, deadline, (top, generation))?;
            if replaced {
                return Ok(true);
            }
        }
    }

    /// Stores a value if the entry still refers to `top`, as opened in `generation`.
    fn replace(
        &self,
        hash: KeyHash,
        key: &[u8],
        value: &[u8],
        deadline: u64,
        (top, generation): (RecordLocation, usize),
    ) -> Result<bool, StoreError> {
        let head = RecordHead::of_plain(key.len(), value.len()).with_deadline(deadline);
        let at = self.append(RecordLocation::NONE, head, key, value)?;
        // The location alone may be that of a newer record of the key.
        let still =
            |_: Option<RecordLocation>, _: &mut Chain| self.records().generation(top) == generation;
        let linked = self.link(hash, &at, |found| found == top, still, false);
        if let Ok(Linked::Other) = linked {
            return Ok(false);
        }
        // Replaced, even if the value before has expired meanwhile: the change must not run again.
        self.finish(&linked, at).map(|_| true)
    }

    /// Links an operand, which a read folds into the value, and a sweep for good.
    pub(super) fn defer(&self, key: &[u8], operand: &[u8]) -> Result<(), StoreError> {
        if self.merge.is_none() {
            return Err(StoreError::NoMerge);
        }
        let hash = self.index.hash(key);
        loop {
            let head = RecordHead {
                kind: RecordHead::operand_kind(0),
                ..RecordHead::of_plain(key.len(), operand.len())
            };
            let mut at = self.append(RecordLocation::NONE, head, key, operand)?;
            let (full, expired) = (Cell::new(false), Cell::new(None));
            let now = self.expiry.now_if_used();
            // The record below may change until the bin is locked; this then runs again. No other thread has the
            // operand yet, so its link and its kind can still be stored.
            let still = |top: Option<RecordLocation>, chain: &mut Chain| {
                let depth = top.and_then(|top| self.records().head(top)).map_or(0, |head| {
                    RecordHead::operands_below(head.kind).map_or(0, |below| below + 1)
                });
                full.set(depth >= MOST_OPERANDS);
                let deadline = chain.deadline();
                let is_over = deadline != 0 && deadline <= now;
                let generation = |top| (top, self.records().generation(top));
                expired.set(top.filter(|_| is_over).map(generation));
                self.records().set_operand(at.at, top.unwrap_or(RecordLocation::NONE), depth);
                // The chain stays linked below the operand.
                chain.clear();
                !full.get() && !is_over
            };
            let wanted = |top| self.records().has_key(top, key);
            let linked = self.link(hash, &at, wanted, still, true);
            if let Ok(Linked::Other) = linked {
                drop(at);
                if let Some((top, generation)) = expired.get() {
                    // A change must not revive an expired value: the entry is removed, and the change begins a new one.
                    self.unlink_exactly(hash, top, generation);
                } else if full.get() {
                    // Folds the whole chain, which makes room for another operand.
                    self.update(key, |value| Ok(Some(value)))?;
                }
                continue;
            }
            if !matches!(linked, Ok(Linked::New)) {
                // The value grows when a sweep folds the operand into it.
                at.contents = 0;
            }
            return self.finish(&linked, at).map(drop);
        }
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;
    use crate::compressed::builder::Builder;
    use crate::compressed::codec::{Codec, Model, Samples, TrainingTask};
    use alloc::boxed::Box;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// Removes the key's record, and writes another record of the key at the same location, as other threads may while
    /// an update runs its closure.
    fn put_in_place(store: &Store, key: &[u8], value: &[u8]) {
        let (place, generation) =
            (store.index.top(key), store.index.top(key).map(|at| store.records().generation(at)));
        for _ in 0..10 {
            assert!(store.remove(key));
            store.sweep_hot();
            store.insert(key, value).expect("there is room");
            if store.index.top(key) == place {
                assert_ne!(
                    store.index.top(key).map(|at| store.records().generation(at)),
                    generation
                );
                return;
            }
        }
        panic!("no record is written where the first one was");
    }

    #[test]
    fn an_update_knows_its_record_from_another_in_its_place() {
        let store = Store::new(Builder::new(64 << 10).segment_bytes(1 << 10));
        store.insert(b"key", b"first").expect("there is room");
        let mut seen = Vec::new();
        let done = store.update(b"key", |value| {
            if seen.is_empty() {
                put_in_place(&store, b"key", b"other");
            }
            seen.push(value.clone());
            Ok(Some([value, b"+".to_vec()].concat()))
        });
        assert_eq!(done, Ok(true));
        let lost = "an update of one record was stored over another";
        assert_eq!(store.get(b"key"), Ok(Some(b"other+".to_vec())), "{lost}");
        assert_eq!(seen, [b"first", b"other"], "{lost}");
    }

    #[test]
    fn a_removal_knows_its_record_from_another_in_its_place() {
        let store = Store::new(Builder::new(64 << 10).segment_bytes(1 << 10));
        store.insert(b"key", b"first").expect("there is room");
        let mut first = true;
        let done = store.update(b"key", |value| {
            if core::mem::take(&mut first) {
                put_in_place(&store, b"key", b"other");
            }
            Ok((value != b"first").then_some(value))
        });
        assert_eq!(done, Ok(true));
        let lost = "a removal of one record has removed another";
        assert_eq!(store.get(b"key"), Ok(Some(b"other".to_vec())), "{lost}");
    }

    /// A codec whose training never ends.
    struct Endless;

    impl Codec for Endless {
        fn name(&self) -> &'static str {
            "endless"
        }

        fn untrained(&self) -> Option<Box<dyn Model>> {
            None
        }

        fn train(&self, _: &[&[u8]], _: usize) -> Option<Box<dyn Model>> {
            None
        }

        fn start_training(&self, _: Samples, _: usize) -> Result<TrainingTask, Samples> {
            Ok(Box::pin(core::future::pending()))
        }

        fn import(&self, _: &[u8]) -> Result<Box<dyn Model>, Corrupt> {
            Err(Corrupt)
        }
    }

    #[test]
    fn a_writer_that_trains_codecs_waits_for_nobody() {
        let store = Store::new(Builder::new(64 << 10).segment_bytes(1 << 10).codec(Endless));
        store.insert(b"key", b"value").expect("there is room");
        let mut attempts = RoomBudget { sweeps: 0, backoff: Backoff::brief() };
        for _ in 0..100 {
            assert!(store.make_room(&mut attempts), "training ends by itself");
        }
        assert!(attempts.backoff.may_wait(), "a writer waits though it is the one that trains");
    }

    /// Making room for the index calls codecs between appending a record and linking it, and a codec may panic.
    #[test]
    fn a_record_that_is_not_linked_is_dead() {
        let store = Store::new(Builder::new(64 << 10).segment_bytes(1 << 10));
        store.insert(b"key", b"value").expect("there is room");
        let live = || -> usize {
            (0..store.pool().numbers())
                .filter_map(|n| store.pool().segment(n))
                .map(|s| s.live())
                .sum()
        };
        let before = live();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let head = RecordHead::of_plain(3, 5);
            let at =
                store.append(RecordLocation::NONE, head, b"key", b"other").expect("there is room");
            let still = |_: Option<RecordLocation>, _: &mut Chain| panic!("a codec");
            let _ = store.link(store.index.hash(b"key"), &at, |_| true, still, true);
        }));
        assert!(panicked.is_err());
        assert_eq!(live(), before, "a record without an entry counts as live");
        assert_eq!(store.get(b"key"), Ok(Some(b"value".to_vec())));
    }
}
