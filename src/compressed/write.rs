//! Storing, changing and removing values.
//!
//! A record is appended first, then the key's entry is made to lead to it, under the lock of its bin and from the
//! state in which it was found. What it led to before is unlinked by that, and by nobody else.

use super::budget::Shortage;
use super::codec::Corrupt;
use super::pool::DEAD;
use super::read::Resolved;
use super::record::{Head, Location, MOST_OPERANDS};
use super::store::{Appended, Store, Trace};
use super::sweep::Swept;
use super::types::{Policy, StoreError};
use crate::api::failure::Failure;
use crate::api::hash::KeyHash;
use crate::sync::backoff::Backoff;
use crate::sync::words::{Indirect, WORD};
use crate::table::write::Change;
use alloc::vec::Vec;
use core::cell::Cell;

/// Bytes that are swept at a time where a writer has to wait for room.
const SHARE: usize = 4096;
/// At most so many for what is written where there is still some room, or thrice what is written.
const PIECE: usize = 1024;
/// How often a writer waits for others who sweep, for each segment that is lacking,
const WAITS: usize = 32;
/// and how long: some microseconds.
const SPINS: usize = 32;

/// What became of an entry.
enum Linked {
    /// What it led to before is unlinked. It had this deadline.
    Replaced(u64),
    New,
    /// The index may not grow.
    NoRoom,
    /// The entry is not what it was.
    Other,
}

impl Store {
    /// Stores a value that lives as long as values do by default.
    pub(super) fn insert(&self, key: &[u8], value: &[u8]) -> Result<bool, StoreError> {
        // Mostly there is no such time, and then there is nothing to work out.
        let deadline = if self.expiry.time_to_live.is_none() { 0 } else { self.deadline(None)? };
        self.insert_until(key, value, deadline)
    }

    /// Stores a value that expires at `deadline`; 0 for never.
    pub(super) fn insert_until(
        &self,
        key: &[u8],
        value: &[u8],
        deadline: u64,
    ) -> Result<bool, StoreError> {
        let hash = self.hash(key);
        let head = Head::raw(key.len(), value.len()).until(deadline);
        let at = self.append(Location::NONE, head, key, value)?;
        let linked = self.link(hash, at.at, |top| self.is_of(top, key), |_, _| true, true);
        let raw = (key.len() + value.len()).cast_signed();
        self.finish(&linked, at, raw)
    }

    /// Counts what was linked, or takes back what was not.
    fn finish(
        &self,
        linked: &Result<Linked, Failure>,
        at: Appended<'_>,
        raw: isize,
    ) -> Result<bool, StoreError> {
        let replaced = match linked {
            // What has expired was not there.
            Ok(Linked::Replaced(deadline)) => Ok(!self.has_passed(*deadline)),
            Ok(Linked::New) => Ok(false),
            Ok(Linked::NoRoom | Linked::Other) => Err(StoreError::BudgetExceeded),
            Err(_) => Err(StoreError::Alloc),
        };
        if replaced.is_ok() {
            at.linked();
            self.raw.add(raw);
        } else {
            drop(at);
        }
        self.pace(raw.unsigned_abs());
        replaced
    }

    /// Sweeps a little, so that the next ones find room: twice what was written, and more as room runs out.
    fn pace(&self, bytes: usize) {
        if cfg!(hedgerow_loom) {
            return;
        }
        self.grow_some();
        let lack = self.lack();
        if lack == 0 {
            self.learn_in_time();
            return;
        }
        let piece = ((bytes + 32) << lack).min(PIECE.max(3 * bytes));
        let mut patience = WAITS * lack;
        // Where others sweep, or learn, but do not keep up, it goes no faster than they.
        while self.sweep_some(piece) == Swept::Busy && patience > 0 {
            // Anew each time, so that it gives way to none that has nothing to do with it.
            let mut backoff = Backoff::spinning();
            for _ in 0..SPINS {
                let _ = backoff.wait_long();
            }
            patience -= 1;
        }
    }

    /// Appends a hot record, having made room for it if need be.
    fn append(
        &self,
        below: Location,
        head: Head,
        key: &[u8],
        value: &[u8],
    ) -> Result<Appended<'_>, StoreError> {
        let most = self.shape().most();
        // Lengths first: what a record of any two takes may be beyond counting.
        let long = key.len().max(value.len()) >= 1 << 21;
        let size = if long { usize::MAX } else { head.record(true) };
        if size > most {
            return Err(StoreError::ValueTooLarge { most: most.saturating_sub(2 * WORD) });
        }
        self.admit_record(size)?;
        let mut patience = self.patience();
        loop {
            if let Some(at) = self.append_hot(below, head, key, value) {
                return Ok(Appended::new(self, at));
            }
            if !self.make_room(&mut patience) {
                return Err(StoreError::BudgetExceeded);
            }
        }
    }

    /// How often a writer sweeps before it gives up: all that there is, twice over, for others may take what is made
    /// empty.
    fn patience(&self) -> (usize, Backoff) {
        (2 * (self.pool.made() + 1) * self.shape().bytes() / SHARE, Backoff::spinning())
    }

    /// Sweeps a little where there is no segment to be had; false where that is of no use.
    fn make_room(&self, (patience, backoff): &mut (usize, Backoff)) -> bool {
        match self.sweep_some(SHARE) {
            Swept::Some if *patience > 0 => *patience -= 1,
            Swept::Busy => {
                self.house.refuse_holder();
                self.school.refuse_holder();
                let _ = backoff.wait_long();
            }
            // This thread has trained codecs for a turn: there is nobody to wait for.
            Swept::Later => {}
            // Nobody may have noticed that there is something.
            Swept::Nothing if *patience > 0 && self.pool.deadest(DEAD).is_some() => *patience -= 1,
            _ => return false,
        }
        true
    }

    /// Lets the entry that `wanted` knows, or a new one if `new` says so, lead to `at`, if `still` says so of what
    /// it leads to and of our own record.
    fn link(
        &self,
        hash: KeyHash,
        at: Location,
        wanted: impl Fn(Location) -> bool + Copy,
        still: impl Fn(Option<Location>, &mut Trace) -> bool,
        new: bool,
    ) -> Result<Linked, Failure> {
        let mut drops = 0;
        let mut patience = None;
        let mut make_room = || self.make_room(patience.get_or_insert_with(|| self.patience()));
        loop {
            let (mut trace, lack) = (Trace::default(), Cell::new(None));
            let same = |indirect: &Indirect| wanted(Location::from(*indirect));
            let decide = |found: Option<&Indirect>| {
                let top = found.map(|indirect| Location::from(*indirect));
                match top {
                    Some(top) => self.trace_into(top, &mut trace),
                    None => trace.clear(),
                }
                lack.set(if top.is_none() && new { self.may_add_key().err() } else { None });
                let may = (top.is_some() || new) && lack.get().is_none() && still(top, &mut trace);
                if may { Change::Entry(at.indirect(), ()) } else { Change::Keep }
            };
            let rehash = |indirect: &Indirect| self.rehash(*indirect);
            let key_of = |entry: crate::bins::bin::Entry<'_, Indirect, ()>| entry.key();
            let backoff = Backoff::spinning();
            let altered = self.table.alter(hash, same, key_of, rehash, backoff, decide);
            if matches!(altered, Err(Failure::Alloc)) && self.table.has_arena() && drops < 64 {
                // Of overflow lines there were none.
                match self.table.arena_lacks_lines() {
                    true if self.lend() || make_room() => continue,
                    true => return Ok(Linked::NoRoom),
                    // Or somebody has lent some meanwhile.
                    false => drops += 1,
                }
                continue;
            }
            return match altered? {
                (Some(_), Change::Entry(..)) => {
                    self.unlinked(&trace);
                    Ok(Linked::Replaced(trace.deadline()))
                }
                (None, Change::Entry(..)) => Ok(Linked::New),
                _ if lack.get().is_some() => {
                    if lack.get() == Some(Shortage::Segment) && make_room() {
                        continue;
                    }
                    drops += 1;
                    if self.policy == Policy::Evict && drops < 64 && self.evict_some(SHARE) {
                        continue;
                    }
                    Ok(Linked::NoRoom)
                }
                _ => Ok(Linked::Other),
            };
        }
    }

    pub(super) fn remove(&self, key: &[u8]) -> bool {
        let hash = self.hash(key);
        let removed = self.unlink(hash, |top| self.is_of(top, key));
        removed.is_some_and(|deadline| !self.has_passed(deadline))
    }

    /// Removes the entry that `wanted` knows by what it leads to, and returns its deadline.
    pub(super) fn unlink(
        &self,
        hash: KeyHash,
        wanted: impl Fn(Location) -> bool + Copy,
    ) -> Option<u64> {
        let mut trace = Trace::default();
        let same = |indirect: &Indirect| wanted(Location::from(*indirect));
        let decide = |found: Option<&Indirect>| {
            let Some(indirect) = found else { return Change::Keep };
            self.trace_into(Location::from(*indirect), &mut trace);
            Change::Remove
        };
        let rehash = |indirect: &Indirect| self.rehash(*indirect);
        let backoff = Backoff::spinning();
        let done = self.table.alter(hash, same, |entry| entry.key(), rehash, backoff, decide);
        let removed = matches!(done, Ok((Some(_), Change::Remove)));
        removed.then(|| {
            self.unlinked(&trace);
            trace.deadline()
        })
    }

    /// Removes the entry that leads to `at` as it was opened in `generation`.
    pub(super) fn unlink_exactly(&self, hash: KeyHash, at: Location, generation: usize) -> bool {
        let wanted = |top| top == at && self.generation(at) == generation;
        self.unlink(hash, wanted).is_some()
    }

    /// Stores what `change` makes of the value that there is. None: there is none.
    ///
    /// # Errors
    /// Those of storing, [`StoreError::Corrupt`], and what `change` has: then the value stays.
    pub(super) fn update(
        &self,
        key: &[u8],
        mut change: impl FnMut(Vec<u8>) -> Result<Option<Vec<u8>>, Corrupt>,
    ) -> Result<bool, StoreError> {
        let hash = self.hash(key);
        loop {
            let Some(resolved) = self.resolve(hash, |at| self.is_of(at, key), key) else {
                return Ok(false);
            };
            let Resolved { top, generation, value, deadline } = resolved;
            let changed = value.and_then(&mut change).map_err(|Corrupt| StoreError::Corrupt)?;
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

    /// Stores a value if the entry still leads to `top`.
    fn replace(
        &self,
        hash: KeyHash,
        key: &[u8],
        value: &[u8],
        deadline: u64,
        (top, generation): (Location, usize),
    ) -> Result<bool, StoreError> {
        let head = Head::raw(key.len(), value.len()).until(deadline);
        let at = self.append(Location::NONE, head, key, value)?;
        let still = |_: Option<Location>, _: &mut Trace| self.generation(top) == generation;
        let linked = self.link(hash, at.at, |found| found == top, still, false);
        if let Ok(Linked::Other) = linked {
            return Ok(false);
        }
        self.finish(&linked, at, (key.len() + value.len()).cast_signed())
    }

    /// Appends an operand that is folded into the value when that is read, or swept.
    pub(super) fn defer(&self, key: &[u8], operand: &[u8]) -> Result<(), StoreError> {
        if self.merge.is_none() {
            return Err(StoreError::NoMerge);
        }
        let hash = self.hash(key);
        loop {
            let head = Head { kind: Head::operand_kind(0), ..Head::raw(key.len(), operand.len()) };
            let at = self.append(Location::NONE, head, key, operand)?;
            let (full, expired) = (Cell::new(false), Cell::new(None));
            let now = self.now_if_used();
            // What the record lies on is known only now; nobody else knows the record yet.
            let still = |top: Option<Location>, trace: &mut Trace| {
                let depth = top
                    .and_then(|top| self.head(top))
                    .map_or(0, |head| Head::operands_below(head.kind).map_or(0, |below| below + 1));
                full.set(depth >= MOST_OPERANDS);
                let deadline = trace.deadline();
                let is_over = deadline != 0 && deadline <= now;
                expired.set(top.filter(|_| is_over).map(|top| (top, self.generation(top))));
                self.set_operand(at.at, top.unwrap_or(Location::NONE), depth);
                // Nothing is unlinked.
                trace.clear();
                !full.get() && !is_over
            };
            let linked = self.link(hash, at.at, |top| self.is_of(top, key), still, true);
            if let Ok(Linked::Other) = linked {
                drop(at);
                if let Some((top, generation)) = expired.get() {
                    // What has expired is not changed: there is no value any more.
                    self.unlink_exactly(hash, top, generation);
                } else if full.get() {
                    // Folds all there is, and then there is room for another.
                    self.update(key, |value| Ok(Some(value)))?;
                }
                continue;
            }
            let raw = match linked {
                Ok(Linked::New) => (key.len() + operand.len()).cast_signed(),
                _ => 0,
            };
            return self.finish(&linked, at, raw).map(drop);
        }
    }

    fn set_operand(&self, at: Location, below: Location, depth: u8) {
        if let Some((segment, start)) = self.place(at) {
            segment.set_below(start - WORD, below);
            segment.put_kind(start, Head::operand_kind(depth.min(MOST_OPERANDS - 1)));
        }
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;
    use crate::compressed::builder::Builder;
    use crate::compressed::codec::{Codec, Lesson, Model, Samples};
    use alloc::boxed::Box;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// Removes the record of the key, and writes another one of it in the same place, as others may between what an
    /// update reads and what it stores.
    fn put_in_place(store: &Store, key: &[u8], value: &[u8]) {
        let (place, generation) = (store.top(key), store.top(key).map(|at| store.generation(at)));
        for _ in 0..10 {
            assert!(store.remove(key));
            store.sweep_hot();
            store.insert(key, value).expect("there is room");
            if store.top(key) == place {
                assert_ne!(store.top(key).map(|at| store.generation(at)), generation);
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

    /// Its training never ends.
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

        fn lesson(&self, _: Samples, _: usize) -> Result<Lesson, Samples> {
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
        let mut patience = (0, Backoff::brief());
        for _ in 0..100 {
            assert!(store.make_room(&mut patience), "training ends by itself");
        }
        assert!(patience.1.may_wait(), "a writer waits though it is the one that trains");
    }

    /// Making room for the index calls codecs, after a record was appended and before it is linked.
    #[test]
    fn a_record_that_is_not_linked_is_dead() {
        let store = Store::new(Builder::new(64 << 10).segment_bytes(1 << 10));
        store.insert(b"key", b"value").expect("there is room");
        let live = || -> usize {
            (0..store.pool.numbers()).filter_map(|n| store.pool.segment(n)).map(|s| s.live()).sum()
        };
        let before = live();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let head = Head::raw(3, 5);
            let at = store.append(Location::NONE, head, b"key", b"other").expect("there is room");
            let still = |_: Option<Location>, _: &mut Trace| panic!("a codec");
            let _ = store.link(store.hash(b"key"), at.at, |_| true, still, true);
            at.linked();
        }));
        assert!(panicked.is_err());
        assert_eq!(live(), before, "a record that nobody links counts as live");
        assert_eq!(store.get(b"key"), Ok(Some(b"value".to_vec())));
    }
}
