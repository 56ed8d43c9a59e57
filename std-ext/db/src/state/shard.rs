//! A shard: a left-right map of records, the one who may write to it, and what was taken out of it and is still looked
//! at.
//!
//! A record that was taken out is looked at by readers of the state before. It is freed when a later state has been
//! shown and nobody can look at an earlier one: the map's writer knows when ([`WriteHandle::is_settled`]).
//!
//! # Rollback
//! Where the log cannot be written, what it does not have is undone. So each record that is put in or taken out is
//! noted ([`Step`]) until the log's entry of that change is safe, and until then none that was taken out is freed.
//! [`Core::roll_back`] undoes the steps in reverse order. What changes a record in place, or keeps part of it for its
//! successor, has to leave it readable as it was until then.

use crate::log::Lsn;
use crate::state::cold::Cold;
use crate::state::record::{Record, UsedAt, Value};
use hedgerow::LeftRightMap;
use hedgerow::left_right::{
    DefaultHashBuilder, Inline, ReadHandle, ReadHandleFactory, Snapshot, WriteHandle,
};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) type Reader = ReadHandle<Record, (), DefaultHashBuilder, Inline>;
/// A shard's state, which stays as it is as long as this lives.
pub(crate) type Entered<'a> = Snapshot<'a, Record, (), DefaultHashBuilder, Inline>;
type Writer = WriteHandle<Record, (), DefaultHashBuilder, Inline>;
type Factory = ReadHandleFactory<Record, (), DefaultHashBuilder, Inline>;

/// A shard, as all threads share it.
pub(crate) struct Shard {
    core: Mutex<Core>,
    factory: Factory,
    figures: Figures,
}

/// What is known of a shard without its lock. Each is stored under the lock and stands for itself, but for `shown`.
#[derive(Default)]
pub(crate) struct Figures {
    /// The log's last entry that changed what readers see. Stored before it is shown: who sees a state and then loads
    /// this is told that state's entry, or a later one.
    shown: AtomicU64,
    /// Odd while a state is being shown.
    turn: AtomicU64,
    keys: AtomicUsize,
    ending: AtomicUsize,
    memory: AtomicUsize,
}

impl Figures {
    /// Says that a state will be shown. The caller has the shard's lock.
    pub(crate) fn begin(&self) {
        // Relaxed: only who has the lock stores this.
        let turn = self.turn.load(Ordering::Relaxed);
        // [MO-1] Relaxed: the fence behind it orders it before what is shown.
        self.turn.store(turn + 1, Ordering::Relaxed);
        // [MO-1] Release: whoever sees what is shown sees the odd number, or a later one.
        fence(Ordering::Release);
    }

    /// Says that it has been shown.
    pub(crate) fn end(&self) {
        // Relaxed: as in `begin`.
        let turn = self.turn.load(Ordering::Relaxed);
        // [MO-2] Release: whoever sees this sees what was shown.
        self.turn.store(turn + 1, Ordering::Release);
    }

    /// The number of the state that is shown, if none is being shown just now.
    pub(crate) fn turn(&self) -> Option<u64> {
        // [MO-2] Acquire: sees what was shown before.
        let turn = self.turn.load(Ordering::Acquire);
        turn.is_multiple_of(2).then_some(turn)
    }

    /// Whether that state is still the one that is shown. A fence has been passed since it was looked at.
    pub(crate) fn is_still(&self, turn: u64) -> bool {
        // [MO-1] Relaxed: the caller's fence orders it behind the look.
        self.turn.load(Ordering::Relaxed) == turn
    }

    pub(crate) fn shown(&self) -> Lsn {
        // [RB-1] Acquire: pairs with the release in `note`. That it is the state's entry or a later one needs no more
        // than the look before, which has acquired what was stored before the state was shown.
        self.shown.load(Ordering::Acquire)
    }

    pub(crate) fn keys(&self) -> usize {
        // Relaxed: a figure by itself.
        self.keys.load(Ordering::Relaxed)
    }

    pub(crate) fn ending(&self) -> usize {
        // Relaxed: a figure by itself.
        self.ending.load(Ordering::Relaxed)
    }
}

/// A record came into the map, or went out of it.
#[derive(Clone, Copy)]
enum Step {
    /// It came, and no record of its key was there.
    In(Record),
    /// It went, or gave its place to another.
    Out(Record),
}

/// What the lock guards.
pub(crate) struct Core {
    writer: Writer,
    /// For walks; sees what is shown.
    eyes: Reader,
    cold: Option<Arc<Cold>>,
    /// Taken out since the last show; before it; and while a snapshot is made, what was not freed for its sake.
    fresh: Vec<Step>,
    waiting: Vec<Step>,
    /// The entry of the log after which no step in `waiting` is undone.
    waiting_for: Lsn,
    /// What waits for a snapshot, or for the log to have that entry safe; by entry.
    held: VecDeque<(Lsn, Step)>,
    snapshots: usize,
    /// Whether records that are put in are noted.
    undoes: bool,
    /// Of the records in the map.
    bytes: usize,
    ending: usize,
    /// The latest at which something was changed here: time does not go back.
    time: u64,
    /// Where the walk that removes what has ended goes on.
    pub(super) walked: u64,
    /// New values are put together here.
    pub(super) room: Vec<u8>,
}

impl Shard {
    pub(crate) fn new(cold: Option<Arc<Cold>>) -> Self {
        let (writer, eyes) =
            LeftRightMap::<Record, ()>::inline_with_hasher(DefaultHashBuilder::default());
        let factory = eyes.factory();
        let core = Core {
            writer,
            eyes,
            cold,
            fresh: Vec::new(),
            waiting: Vec::new(),
            waiting_for: 0,
            held: VecDeque::new(),
            snapshots: 0,
            undoes: false,
            bytes: 0,
            ending: 0,
            time: 0,
            walked: 0,
            room: Vec::new(),
        };
        Self { core: Mutex::new(core), factory, figures: Figures::default() }
    }

    /// A thread that panicked left a whole shard: each step leaves one, and what was not shown is shown with the next.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As `lock`, if nobody has it.
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, Core>> {
        self.core.try_lock().ok()
    }

    pub(crate) fn reader(&self) -> Reader {
        self.factory.handle()
    }

    pub(crate) fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Notes what has changed, before it is shown. By how much the memory has grown or shrunk.
    pub(crate) fn note(&self, core: &Core, entry: Option<Lsn>) -> isize {
        let Figures { shown, keys, ending, memory, .. } = &self.figures;
        if let Some(entry) = entry {
            // [RB-1] Release: a look that sees the entry of a rollback sees that there was one. Showing the state
            // releases this, too.
            shown.store(entry, Ordering::Release);
        }
        let now = core.memory();
        // Relaxed: figures, each by itself.
        keys.store(core.len(), Ordering::Relaxed);
        // Relaxed: as above.
        ending.store(core.ending, Ordering::Relaxed);
        // Relaxed: as above; stored under the lock only.
        now.wrapping_sub(memory.swap(now, Ordering::Relaxed)).cast_signed()
    }
}

impl Core {
    pub(crate) fn len(&self) -> usize {
        self.writer.len()
    }

    pub(crate) fn memory(&self) -> usize {
        self.bytes + self.writer.table_bytes()
    }

    /// The time at which something is changed: that of the clock, but for what has been seen here.
    pub(crate) fn at(&mut self, now: u64) -> u64 {
        self.time = self.time.max(now);
        self.time
    }

    /// The key's record, though it may have ended.
    pub(crate) fn find(&self, key: &[u8]) -> Option<Record> {
        self.writer.get_key_value(key).map(|(record, ())| *record)
    }

    /// What `with` makes of a record's value.
    pub(crate) fn read<R>(&self, record: Record, with: impl FnOnce(&[u8]) -> R) -> R {
        read(record, self.cold.as_deref(), with)
    }

    /// Stores a value in place of `old`, which the key has.
    pub(crate) fn put(&mut self, old: Option<Record>, key: &[u8], value: &[u8], ends: Option<u64>) {
        let kept = self.cold.as_deref().map_or(Value::Here(value), |cold| cold.keep(value));
        let record = Record::new(key, kept, ends, UsedAt::of(self.time));
        self.bytes += record.memory();
        self.ending += usize::from(ends.is_some());
        self.writer.insert(record, ());
        match old {
            Some(old) => self.retire(old),
            None if self.undoes => self.fresh.push(Step::In(record)),
            None => {}
        }
    }

    /// Removes a record that is there.
    pub(crate) fn remove(&mut self, record: Record) {
        self.writer.remove(record.key());
        self.retire(record);
    }

    /// Removes all.
    pub(crate) fn clear(&mut self) {
        let all: Vec<Record> = self.writer.iter().map(|(record, ())| *record).collect();
        self.writer.clear();
        for record in all {
            self.retire(record);
        }
        self.writer.shrink_to_fit();
    }

    /// Removes all that are `wanted`.
    pub(crate) fn remove_where(&mut self, mut wanted: impl FnMut(Record) -> bool) {
        let all = self.writer.iter().map(|(record, ())| *record);
        let gone: Vec<Record> = all.filter(|record| wanted(*record)).collect();
        for record in gone {
            self.remove(record);
        }
    }

    /// Goes on from an earlier time than was seen here. The caller has removed what had ended.
    pub(crate) fn set_back(&mut self, time: u64) {
        self.time = time;
    }

    /// Notes that a record was taken out.
    fn retire(&mut self, record: Record) {
        self.bytes -= record.memory();
        self.ending -= usize::from(record.ends().is_some());
        self.fresh.push(Step::Out(record));
    }

    /// Notes from now on what a rollback has to undo.
    pub(crate) fn begin_to_undo(&mut self) {
        self.undoes = true;
    }

    /// Undoes all that was changed by entries of the log after `safe`, and shows nothing yet.
    pub(crate) fn roll_back(&mut self, safe: Lsn) {
        let from = self.held.partition_point(|(entry, _)| *entry <= safe);
        let mut steps: Vec<Step> = self.held.drain(from..).map(|(_, step)| step).collect();
        if self.waiting_for > safe {
            steps.append(&mut self.waiting);
        }
        // What a panic kept from being logged, if there is any.
        steps.append(&mut self.fresh);
        for step in steps.into_iter().rev() {
            match step {
                Step::In(record) => self.remove(record),
                Step::Out(record) => {
                    self.bytes += record.memory();
                    self.ending += usize::from(record.ends().is_some());
                    let there = self.find(record.key());
                    self.writer.insert(record, ());
                    if let Some(there) = there {
                        self.retire(there);
                    }
                }
            }
        }
    }

    /// Has readers see all changes. No change up to now belongs to an entry of the log behind `entry`, and those up to
    /// `safe` are safe.
    pub(crate) fn show(&mut self, entry: Lsn, safe: Lsn) {
        if !self.writer.has_changes() {
            return;
        }
        // This waits until nobody looks at the state before the one shown now.
        self.writer.publish();
        self.free_waiting(safe);
        std::mem::swap(&mut self.fresh, &mut self.waiting);
        self.waiting_for = entry;
    }

    /// As `show`, where much has been changed since: nobody looks yet.
    pub(crate) fn show_soon(&mut self) {
        if self.fresh.len() >= 1 << 10 {
            self.show(0, 0);
        }
    }

    /// Frees what nobody can be looking at any more and the log has safe, without waiting.
    pub(crate) fn tidy(&mut self, safe: Lsn) {
        if !self.waiting.is_empty() && !self.writer.has_changes() && self.writer.is_settled() {
            self.free_waiting(safe);
        } else {
            self.free_held(safe);
        }
    }

    /// What has waited since before a state was shown that is the earliest anybody can be looking at.
    fn free_waiting(&mut self, safe: Lsn) {
        self.free_held(safe);
        let entry = self.waiting_for;
        if entry > safe {
            self.held.extend(self.waiting.drain(..).map(|step| (entry, step)));
        } else if self.snapshots != 0 {
            // Only what a snapshot may read has to stay.
            let gone = self.waiting.drain(..).filter(|step| matches!(step, Step::Out(_)));
            self.held.extend(gone.map(|step| (entry, step)));
        } else {
            for step in self.waiting.drain(..) {
                step.free(self.cold.as_deref());
            }
        }
        if self.waiting.capacity() > 1 << 12 {
            self.waiting = Vec::new();
        }
    }

    /// What was held up, as far as the log is safe, unless a snapshot is made.
    #[inline]
    fn free_held(&mut self, safe: Lsn) {
        if !self.held.is_empty() && self.snapshots == 0 {
            self.free_held_up_to(safe);
        }
    }

    #[inline(never)]
    fn free_held_up_to(&mut self, safe: Lsn) {
        while let Some((_, step)) = self.held.pop_front_if(|(entry, _)| *entry <= safe) {
            step.free(self.cold.as_deref());
        }
        if self.held.is_empty() && self.held.capacity() > 1 << 12 {
            self.held = VecDeque::new();
        }
    }

    /// Visits what is shown, from a hash on; where to go on.
    pub(crate) fn scan(&self, from: u64, mut each: impl FnMut(Record)) -> Option<u64> {
        self.eyes.enter().scan(from, |record, ()| each(*record))
    }

    /// All records, none of which is freed until `end_snapshot`.
    pub(crate) fn begin_snapshot(&mut self) -> Vec<Record> {
        self.snapshots += 1;
        self.writer.iter().map(|(record, ())| *record).collect()
    }

    pub(crate) fn end_snapshot(&mut self, safe: Lsn) {
        self.snapshots -= 1;
        self.free_held(safe);
    }

    /// Room for so many keys more.
    pub(crate) fn reserve(&mut self, keys: usize) {
        self.writer.reserve(keys);
    }
}

/// What `with` makes of a record's value.
#[inline]
pub(crate) fn read<R>(record: Record, cold: Option<&Cold>, with: impl FnOnce(&[u8]) -> R) -> R {
    match record.value() {
        Value::Here(value) => with(value),
        Value::Away(ticket, _) => {
            let value = cold.and_then(|cold| cold.read(ticket, with));
            value.expect("a ticket leads to its value as long as its record is there")
        }
    }
}

impl Step {
    /// Frees the record of a step that will not be undone, if it went.
    fn free(self, cold: Option<&Cold>) {
        let Self::Out(record) = self else { return };
        if let (Value::Away(ticket, _), Some(cold)) = (record.value(), cold) {
            cold.drop(ticket);
        }
        // SAFETY: taken out of the map, and every state that had it has been left by all readers; snapshots that have
        // it are done, and no rollback puts it back. An earlier step that names it goes before this one.
        unsafe { record.free() };
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // Sessions hold what the shard is part of, so all readers have gone.
        let all: Vec<Record> = self.writer.iter().map(|(record, ())| *record).collect();
        let held = self.held.drain(..).map(|(_, step)| step);
        let steps = self.fresh.drain(..).chain(self.waiting.drain(..)).chain(held);
        let gone = steps.filter_map(|step| match step {
            Step::In(_) => None,
            Step::Out(record) => Some(record),
        });
        for record in gone.chain(all) {
            // SAFETY: nobody can look, and the map does not ask for its entries when it is dropped.
            unsafe { record.free() };
        }
    }
}
