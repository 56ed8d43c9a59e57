//! A shard: a left-right map of records, the one who may write to it, and what was taken out of it and is still looked
//! at.
//!
//! A record that was taken out is looked at by readers of the state before. It is freed when a later state has been
//! shown and nobody can look at an earlier one: the map's writer knows when ([`WriteHandle::is_pending`]).
//!
//! # Rollback
//! Where the log cannot be written, what it does not have is undone. So each record that is put in or taken out is
//! noted ([`Undo`]) until the log's entry of that change is safe, and until then none that was taken out is freed.
//! [`Core::roll_back`] undoes the steps in reverse order. What changes a record in place, or keeps part of it for its
//! successor, has to leave it readable as it was until then.

use crate::log::Lsn;
use crate::request::Answer;
use crate::state::cold::ColdStore;
use crate::state::record::{AccessTime, Record, RopeRef, Value};
use crate::state::rope::{MAX_INLINE, Rope};
use hedgerow::LeftRightMap;
use hedgerow::left_right::{
    DefaultHashBuilder, Inline, ReadHandle, ReadHandleFactory, Snapshot, WriteHandle,
};
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) type Reader = ReadHandle<Record, (), DefaultHashBuilder, Inline>;
/// A shard's state, which stays as it is as long as this lives.
pub(crate) type Entered<'a> = Snapshot<'a, Record, (), DefaultHashBuilder, Inline>;
type Writer = WriteHandle<Record, (), DefaultHashBuilder, Inline>;
type Factory = ReadHandleFactory<Record, (), DefaultHashBuilder, Inline>;

/// Tables with room for fewer keys are not made smaller.
const MIN_CAPACITY: usize = 64;

/// A shard, as all threads share it.
pub(crate) struct Shard {
    core: Mutex<Core>,
    factory: Factory,
    stats: ShardStats,
}

/// What is known of a shard without its lock. OnEntry is stored under the lock and stands for itself, but for `shown`.
#[derive(Default)]
pub(crate) struct ShardStats {
    /// The log's last entry that changed what readers see. Stored before it is shown: who sees a state and then loads
    /// this is told that state's entry, or a later one.
    published_lsn: AtomicU64,
    /// Odd while a state is being shown.
    version: AtomicU64,
    keys: AtomicUsize,
    with_ttl: AtomicUsize,
    memory: AtomicUsize,
}

impl ShardStats {
    /// Says that a state will be shown. The caller has the shard's lock.
    pub(crate) fn begin_publish(&self) {
        // Relaxed: only who has the lock stores this.
        let version = self.version.load(Ordering::Relaxed);
        // [MO-1] Relaxed: the fence behind it orders it before what is shown.
        self.version.store(version + 1, Ordering::Relaxed);
        // [MO-1] Release: whoever sees what is shown sees the odd number, or a later one.
        fence(Ordering::Release);
    }

    /// Says that it has been shown.
    pub(crate) fn end_publish(&self) {
        // Relaxed: as in `begin`.
        let version = self.version.load(Ordering::Relaxed);
        // [MO-2] Release: whoever sees this sees what was shown.
        self.version.store(version + 1, Ordering::Release);
    }

    /// The number of the state that is shown, if none is being shown just now.
    pub(crate) fn version(&self) -> Option<u64> {
        // [MO-2] Acquire: sees what was shown before.
        let version = self.version.load(Ordering::Acquire);
        version.is_multiple_of(2).then_some(version)
    }

    /// Whether that state is still the one that is shown. A fence has been passed since it was looked at.
    pub(crate) fn is_still(&self, version: u64) -> bool {
        // [MO-1] Relaxed: the caller's fence orders it behind the look.
        self.version.load(Ordering::Relaxed) == version
    }

    pub(crate) fn published_lsn(&self) -> Lsn {
        // [RB-1] Acquire: pairs with the release in `note`. That it is the state's entry or a later one needs no more
        // than the look before, which has acquired what was stored before the state was shown.
        self.published_lsn.load(Ordering::Acquire)
    }

    pub(crate) fn keys(&self) -> usize {
        // Relaxed: a figure by itself.
        self.keys.load(Ordering::Relaxed)
    }

    pub(crate) fn keys_with_ttl(&self) -> usize {
        // Relaxed: a figure by itself.
        self.with_ttl.load(Ordering::Relaxed)
    }
}

/// A record came into the map, or went out of it.
#[derive(Clone, Copy)]
enum Undo {
    /// It came, and no record of its key was there.
    Inserted {
        record: Record,
        /// Whether its ticket is one that another record had: that one has it again when this step is undone.
        moved_in: bool,
    },
    /// It went, or gave its place to another.
    Removed {
        record: Record,
        /// Whether another record has its ticket now.
        moved_out: bool,
        /// Whether the record that has its place has the ticket of another, as above.
        moved_in: bool,
    },
}

/// Whose ticket a new record has, if its value is compressed elsewhere.
#[derive(Clone, Copy)]
struct TicketOrigin {
    /// That of the record whose place it takes.
    from_old: bool,
    /// That of any record.
    moved_in: bool,
}

impl TicketOrigin {
    const ITS_OWN: Self = Self { from_old: false, moved_in: false };
}

/// What the lock guards.
pub(crate) struct Core {
    writer: Writer,
    /// For walks; sees what is shown.
    reader: Reader,
    cold: Option<Arc<ColdStore>>,
    /// Taken out since the last show; before it; and while a snapshot is made, what was not freed for its sake.
    unpublished: Vec<Undo>,
    retired: Vec<Undo>,
    /// The entry of the log after which no step in `waiting` is undone.
    retired_lsn: Lsn,
    /// What waits for a snapshot, or for the log to have that entry safe; by entry.
    deferred: VecDeque<(Lsn, Undo)>,
    snapshots: usize,
    /// Whether records that are put in are noted.
    records_undo: bool,
    /// Of the records in the map.
    bytes: usize,
    with_ttl: usize,
    /// The latest at which something was changed here: time does not go back.
    time: u64,
    /// Where the walk that removes what has ended goes on.
    pub(super) expire_cursor: u64,
    /// New values are put together here.
    pub(super) scratch: Vec<u8>,
}

impl Shard {
    pub(crate) fn new(cold: Option<Arc<ColdStore>>) -> Self {
        let (writer, reader) =
            LeftRightMap::<Record, ()>::inline_with_hasher(DefaultHashBuilder::default());
        let factory = reader.factory();
        let core = Core {
            writer,
            reader,
            cold,
            unpublished: Vec::new(),
            retired: Vec::new(),
            retired_lsn: 0,
            deferred: VecDeque::new(),
            snapshots: 0,
            records_undo: false,
            bytes: 0,
            with_ttl: 0,
            time: 0,
            expire_cursor: 0,
            scratch: Vec::new(),
        };
        Self { core: Mutex::new(core), factory, stats: ShardStats::default() }
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

    pub(crate) fn stats(&self) -> &ShardStats {
        &self.stats
    }

    /// Notes what has changed, before it is shown. By how much the memory has add_memory or shrunk.
    pub(crate) fn update_stats(&self, core: &Core, entry: Option<Lsn>) -> isize {
        let ShardStats { published_lsn, keys, with_ttl, memory, .. } = &self.stats;
        if let Some(entry) = entry {
            // [RB-1] Release: a look that sees the entry of a rollback sees that there was one. Publishing the state
            // releases this, too.
            published_lsn.store(entry, Ordering::Release);
        }
        let now = core.memory();
        // Relaxed: figures, each by itself.
        keys.store(core.len(), Ordering::Relaxed);
        // Relaxed: as above.
        with_ttl.store(core.with_ttl, Ordering::Relaxed);
        // Relaxed: as above; stored under the lock only.
        now.wrapping_sub(memory.swap(now, Ordering::Relaxed)).cast_signed()
    }
}

impl Core {
    pub(crate) fn len(&self) -> usize {
        self.writer.len()
    }

    pub(crate) fn memory(&self) -> usize {
        self.bytes + self.writer.stats().memory_bytes
    }

    /// The time at which something is changed: that of the clock, but for what has been seen here.
    pub(crate) fn advance_time(&mut self, now: u64) -> u64 {
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
    pub(crate) fn put(
        &mut self,
        old: Option<Record>,
        key: &[u8],
        value: &[u8],
        expires_at: Option<u64>,
    ) {
        if self.cold.is_none() && value.len() <= MAX_INLINE {
            return self.place(old, key, Value::Inline(value), expires_at, TicketOrigin::ITS_OWN);
        }
        self.put_out_of_line(old, key, value, expires_at);
    }

    /// As `put`, where the value may be kept outside of its record.
    #[inline(never)]
    fn put_out_of_line(
        &mut self,
        old: Option<Record>,
        key: &[u8],
        value: &[u8],
        expires_at: Option<u64>,
    ) {
        let kept = self.cold.as_deref().map_or(Value::Inline(value), |cold| cold.store(value));
        match kept {
            Value::Inline(value) if value.len() > MAX_INLINE => {
                let rope = Rope::of(value);
                self.place(
                    old,
                    key,
                    Value::Rope(RopeRef::of(&rope), value.len()),
                    expires_at,
                    TicketOrigin::ITS_OWN,
                );
            }
            kept => self.place(old, key, kept, expires_at, TicketOrigin::ITS_OWN),
        }
    }

    /// Stores the value of a record of this shard or another under a key, in place of `old`, which the key has: shares
    /// a long value, so that it takes no time by its length. The caller removes the record, if it is not `old`, with
    /// [`remove_moved`](Self::remove_moved).
    pub(crate) fn put_moved(
        &mut self,
        old: Option<Record>,
        key: &[u8],
        record: Record,
        expires_at: Option<u64>,
    ) {
        let is_old = old.is_some_and(|old| old.is_same(record));
        self.place(
            old,
            key,
            record.value(),
            expires_at,
            TicketOrigin { from_old: is_old, moved_in: true },
        );
    }

    /// Overwrites part of a record's value. Long values stay out of `cold`, since they change.
    pub(crate) fn write(
        &mut self,
        old: Option<Record>,
        alive: Option<Record>,
        key: &[u8],
        (at, part): (usize, &[u8]),
    ) {
        let expires_at = alive.and_then(|record| record.expires_at());
        let length = alive.map_or(0, |record| record.value().length());
        let total = length.max(at + part.len());
        if total <= MAX_INLINE {
            let mut scratch = std::mem::take(&mut self.scratch);
            scratch.clear();
            if let Some(record) = alive {
                self.read(record, |value| scratch.extend_from_slice(value));
            }
            scratch.resize(total, 0);
            scratch[at..at + part.len()].copy_from_slice(part);
            self.put(old, key, &scratch, expires_at);
            self.scratch = scratch;
            return;
        }
        let rope = if let Some(Value::Rope(rope_ref, _)) = alive.as_ref().map(Record::value) {
            Arc::clone(&rope_ref.rope())
        } else {
            alive.map_or_else(|| Rope::of(b""), |record| self.read(record, Rope::of))
        };
        // SAFETY: the lock is held, as `&mut self` says, and the map has the newest record; or nobody else has it.
        let rope = unsafe { rope.write(length, at, part) };
        self.place(
            old,
            key,
            Value::Rope(RopeRef::of(&rope), total),
            expires_at,
            TicketOrigin::ITS_OWN,
        );
    }

    /// Stores a record in place of `old`, which the key has.
    #[inline(always)]
    fn place(
        &mut self,
        old: Option<Record>,
        key: &[u8],
        value: Value<'_>,
        expires_at: Option<u64>,
        TicketOrigin { from_old, moved_in }: TicketOrigin,
    ) {
        let new = Record::new(key, value, expires_at, AccessTime::of(self.time));
        self.bytes += new.memory();
        self.with_ttl += usize::from(expires_at.is_some());
        self.writer.insert(new, ());
        match old {
            Some(record) => self.retire(Undo::Removed { record, moved_out: from_old, moved_in }),
            None if self.records_undo => {
                self.unpublished.push(Undo::Inserted { record: new, moved_in })
            }
            None => {}
        }
    }

    /// Removes a record that is there.
    pub(crate) fn remove(&mut self, record: Record) {
        let was_there = self.writer.remove(record.key());
        debug_assert!(was_there, "a record is removed twice, and would be freed twice");
        self.retire(Undo::Removed { record, moved_out: false, moved_in: false });
    }

    /// Removes a record whose value another has now.
    pub(crate) fn remove_moved(&mut self, record: Record) {
        self.writer.remove(record.key());
        self.retire(Undo::Removed { record, moved_out: true, moved_in: false });
    }

    /// Removes all.
    pub(crate) fn clear(&mut self) {
        let all: Vec<Record> = self.writer.iter().map(|(record, ())| *record).collect();
        self.writer.clear();
        for record in all {
            self.retire(Undo::Removed { record, moved_out: false, moved_in: false });
        }
        self.writer.shrink_to_fit();
    }

    /// Makes the table smaller if less than a quarter of it is in use. Readers see all changes, and those of a state
    /// before are waited for. `entry` and `safe` are as in [`publish`](Self::publish). O(capacity), which is paid for by the
    /// removals before.
    pub(super) fn shrink(&mut self, entry: Lsn, safe: Lsn) {
        let (used, capacity) = (self.writer.len(), self.writer.capacity());
        if capacity < MIN_CAPACITY || used >= capacity / 4 {
            return;
        }
        self.writer.shrink_to_fit();
        self.publish(entry, safe);
        // The larger table is freed when the last reader has left it.
        self.writer.wait_for_readers();
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

    /// Notes that a record was taken out, as `step` says.
    fn retire(&mut self, step: Undo) {
        if let Undo::Removed { record, .. } = step {
            self.bytes -= record.memory();
            self.with_ttl -= usize::from(record.expires_at().is_some());
        }
        self.unpublished.push(step);
    }

    /// Notes from now on what a rollback has to undo.
    pub(crate) fn enable_undo(&mut self) {
        self.records_undo = true;
    }

    /// Whether the entries of changes are written to files. During replay they are not, either.
    pub(crate) fn is_logged(&self) -> bool {
        self.records_undo
    }

    /// Undoes all that was changed by entries of the log after `safe`, and shows nothing yet.
    pub(crate) fn roll_back(&mut self, safe: Lsn) {
        let from = self.deferred.partition_point(|(entry, _)| *entry <= safe);
        let mut steps: Vec<Undo> = self.deferred.drain(from..).map(|(_, step)| step).collect();
        if self.retired_lsn > safe {
            steps.append(&mut self.retired);
        }
        // What a panic kept from being logged, if there is any.
        steps.append(&mut self.unpublished);
        for step in steps.into_iter().rev() {
            match step {
                Undo::Inserted { record, moved_in: false } => self.remove(record),
                Undo::Inserted { record, moved_in: true } => self.remove_moved(record),
                Undo::Removed { record, moved_in, .. } => {
                    self.bytes += record.memory();
                    self.with_ttl += usize::from(record.expires_at().is_some());
                    let there = self.find(record.key());
                    self.writer.insert(record, ());
                    if let Some(record) = there {
                        self.retire(Undo::Removed { record, moved_out: moved_in, moved_in: false });
                    }
                }
            }
        }
    }

    /// Has readers see all changes. No change up to now belongs to an entry of the log behind `entry`, and those up to
    /// `safe` are safe.
    pub(crate) fn publish(&mut self, entry: Lsn, safe: Lsn) {
        if !self.writer.has_changes() {
            return;
        }
        // This waits until nobody looks at the state before the one shown now.
        self.writer.publish();
        self.reclaim_retired(safe);
        std::mem::swap(&mut self.unpublished, &mut self.retired);
        self.retired_lsn = entry;
    }

    /// As `show`, where much has been changed since: nobody looks yet.
    pub(crate) fn publish_if_large(&mut self) {
        if self.unpublished.len() >= 1 << 10 {
            self.publish(0, 0);
        }
    }

    /// Frees what no reader can look at any more and the log has safe, without waiting. Returns whether no reader looks
    /// at an earlier state.
    pub(crate) fn reclaim(&mut self, safe: Lsn) -> bool {
        let settled = !self.writer.has_changes() && !self.writer.is_pending();
        if settled && !self.retired.is_empty() {
            self.reclaim_retired(safe);
        } else {
            self.reclaim_deferred(safe);
        }
        settled
    }

    /// What has waited since before a state was shown that is the earliest anybody can be looking at.
    fn reclaim_retired(&mut self, safe: Lsn) {
        self.reclaim_deferred(safe);
        let entry = self.retired_lsn;
        if entry > safe {
            self.deferred.extend(self.retired.drain(..).map(|step| (entry, step)));
        } else if self.snapshots != 0 {
            // Only what a snapshot may read has to stay.
            let gone = self.retired.drain(..).filter(|step| matches!(step, Undo::Removed { .. }));
            self.deferred.extend(gone.map(|step| (entry, step)));
        } else {
            for step in self.retired.drain(..) {
                step.free(self.cold.as_deref());
            }
        }
        if self.retired.capacity() > 1 << 12 {
            self.retired = Vec::new();
        }
    }

    /// What was held up, as far as the log is safe, unless a snapshot is made.
    #[inline]
    fn reclaim_deferred(&mut self, safe: Lsn) {
        if !self.deferred.is_empty() && self.snapshots == 0 {
            self.reclaim_deferred_up_to(safe);
        }
    }

    #[inline(never)]
    fn reclaim_deferred_up_to(&mut self, safe: Lsn) {
        while self.deferred.front().is_some_and(|(entry, _)| *entry <= safe) {
            let Some((_, step)) = self.deferred.pop_front() else { break };
            step.free(self.cold.as_deref());
        }
        if self.deferred.is_empty() && self.deferred.capacity() > 1 << 12 {
            self.deferred = VecDeque::new();
        }
    }

    /// Visits what is shown, from a hash on; where to go on.
    pub(crate) fn scan(&self, from: u64, mut each: impl FnMut(Record)) -> Option<u64> {
        self.reader.enter().scan(from, |record, ()| each(*record))
    }

    /// All records, none of which is freed until `end_snapshot`.
    pub(crate) fn begin_snapshot(&mut self) -> Vec<Record> {
        self.snapshots += 1;
        self.writer.iter().map(|(record, ())| *record).collect()
    }

    pub(crate) fn end_snapshot(&mut self, safe: Lsn) {
        self.snapshots -= 1;
        self.reclaim_deferred(safe);
    }

    /// Room for so many keys more.
    pub(crate) fn reserve(&mut self, keys: usize) {
        self.writer.reserve(keys);
    }
}

/// What `with` makes of a record's value.
#[inline]
pub(crate) fn read<R>(
    record: Record,
    cold: Option<&ColdStore>,
    with: impl FnOnce(&[u8]) -> R,
) -> R {
    match record.value() {
        Value::Inline(value) => with(value),
        value => read_part(value, cold, 0..value.length(), with),
    }
}

/// Answers with a record's value, in pieces if it lies in several.
#[inline]
pub(crate) fn read_pieces(
    record: Record,
    cold: Option<&ColdStore>,
    answer: impl FnOnce(Answer<'_>),
) {
    match record.value() {
        Value::Inline(value) => answer(Answer::Bytes(value)),
        // SAFETY: the value belongs to a record that the caller holds.
        Value::Rope(rope_ref, length) => unsafe { rope_ref.rope().read_pieces(length, answer) },
        Value::Compressed(..) => read(record, cold, |value| answer(Answer::Bytes(value))),
    }
}

/// What `with` makes of a part of a record's value: of a long one only that is read.
pub(crate) fn read_part<R>(
    value: Value<'_>,
    cold: Option<&ColdStore>,
    part: Range<usize>,
    with: impl FnOnce(&[u8]) -> R,
) -> R {
    match value {
        Value::Inline(value) => with(&value[part]),
        // SAFETY: the caller that has the value has its record.
        Value::Rope(rope_ref, length) => unsafe { rope_ref.rope().read(length, part, with) },
        Value::Compressed(ticket, _) => {
            let value = cold.and_then(|cold| cold.read(ticket, |value| with(&value[part])));
            value.expect("a ticket leads to its value as long as its record is there")
        }
    }
}

impl Undo {
    /// Frees the record of a step that will not be undone, if it went.
    fn free(self, cold: Option<&ColdStore>) {
        let Self::Removed { record, moved_out, .. } = self else { return };
        if let (Value::Compressed(ticket, _), Some(cold), false) = (record.value(), cold, moved_out)
        {
            cold.remove(ticket);
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
        let deferred = self.deferred.drain(..).map(|(_, step)| step);
        let steps = self.unpublished.drain(..).chain(self.retired.drain(..)).chain(deferred);
        let gone = steps.filter_map(|step| match step {
            Undo::Inserted { .. } => None,
            Undo::Removed { record, .. } => Some(record),
        });
        for record in gone.chain(all) {
            // SAFETY: nobody can look, and the map does not ask for its entries when it is dropped.
            unsafe { record.free() };
        }
    }
}
