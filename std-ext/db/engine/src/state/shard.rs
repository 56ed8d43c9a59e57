//! A shard: a left-right map of records, its writer, and the records that were removed from the map and not freed yet.
//!
//! Readers of an earlier state may still use a removed record. It is freed once a later state was published and no
//! reader can have an earlier one. The map's writer knows when that is ([`WriteHandle::is_pending`]).
//!
//! # Rollback
//! If the log cannot be written, the changes whose entries are not committed are undone. So every insertion and removal
//! is recorded ([`Undo`]) until its log entry is committed, and until then no removed record is freed.
//! [`Core::roll_back`] undoes the steps in reverse order. A change that modifies a record in place, or shares a part of
//! it with its successor, must leave it readable as it was until then.

use crate::encodings::EncodingLimit;
use crate::log::Lsn;
use crate::request::{RequestError, Usage};
use crate::state::cold::ColdStore;
use crate::state::encoding_limits::SharedEncodingLimits;
use crate::state::filtered_counts::FilteredCounts;
use crate::state::key_tracker::Invalidates;
use crate::state::limit::MemoryLimit;
use crate::state::noted_events::NotedEvents;
use crate::state::record::Record;
use crate::state::rope::{MAX_INLINE, Rope};
use crate::state::shard_stats::ShardStats;
use crate::state::slot_counts::{SlotCount, SlotCounts};
use crate::state::usage::UsageClock;
use crate::state::value::Value;
use crate::state::value::string::{self, RopeRef, StringValue};
use crate::state::waiters::WaitEnd;
use crate::state::waiters::table::Waiters;
use crate::state::watched_keys::WatchedKeys;
use hedgerow::LeftRightMap;
use hedgerow::left_right::{
    DefaultHashBuilder, Inline, ReadHandle, ReadHandleFactory, Snapshot, WriteHandle,
};
use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

mod collections;
pub mod pins;
mod rollback;
pub(crate) mod undo;

use pins::{NamedRecords, SnapshotPins};
use undo::Undo;

pub(crate) type ShardReader = ReadHandle<Record, (), DefaultHashBuilder, Inline>;
/// A published state of a shard, which does not change while this lives.
pub(crate) type Entered<'a> = Snapshot<'a, Record, (), DefaultHashBuilder, Inline>;
type ShardWriter = WriteHandle<Record, (), DefaultHashBuilder, Inline>;
type Factory = ReadHandleFactory<Record, (), DefaultHashBuilder, Inline>;

/// Tables with a smaller capacity are not shrunk.
const MIN_CAPACITY: usize = 64;
/// No record is relocated while more steps than this wait for the log.
const MOST_DEFERRED: usize = 1 << 12;
/// Blocks of trees that a publication frees besides as many as changes have left, so that a client's change takes a few
/// microseconds longer at most; and those that the maintenance thread frees while it holds the lock.
const BLOCKS_A_PUBLISH: usize = 64;
const BLOCKS_A_RECLAIM: usize = 1 << 11;

/// A shard, shared by all threads.
pub struct Shard {
    core: Mutex<Core>,
    factory: Factory,
    stats: ShardStats,
}

/// Where the ticket of a new record comes from, if its value is compressed.
#[derive(Clone, Copy)]
struct TicketOrigin {
    /// From the record that it replaces.
    from_old: bool,
    /// From any other record, or the replaced one.
    moved_in: bool,
}

impl TicketOrigin {
    const NEW: Self = Self { from_old: false, moved_in: false };
}

/// The parts that all shards of a database share.
#[derive(Clone, Default)]
pub struct ShardContext {
    pub cold: Option<Arc<ColdStore>>,
    pub limit: Arc<MemoryLimit>,
    pub encodings: Arc<SharedEncodingLimits>,
}

/// The part of a shard that its lock protects.
pub struct Core {
    writer: ShardWriter,
    /// For scans. Sees the published state.
    reader: ShardReader,
    context: ShardContext,
    /// Undo steps since the last publish; of the publish before; and those that may not be dropped yet.
    unpublished: Vec<Undo>,
    retired: Vec<Undo>,
    /// The last log entry of the steps in `retired`.
    retired_lsn: Lsn,
    /// Steps that wait until this log entry is committed, and for the end of a snapshot. Ascending.
    deferred: VecDeque<(Lsn, Undo)>,
    pins: SnapshotPins,
    /// Whether insertions are recorded, so that a rollback can undo them.
    records_undo: bool,
    /// Whether log entries are written to files.
    is_logged: bool,
    /// Bytes of the records in the map, and the number of keys with a TTL.
    bytes: usize,
    with_ttl: usize,
    /// The first time at which a field of a hash expires, and the key, for each hash with such fields.
    pub(super) field_times: BTreeSet<(u64, Box<[u8]>)>,
    /// The same for each slot; nothing without a cluster.
    slots: Option<Box<SlotCounts>>,
    /// The latest time of a change in this shard. Time does not go back.
    time: u64,
    /// Where the active expire cycle, and the one that moves records, continue.
    pub(super) expire_cursor: u64,
    pub(super) compaction_cursor: u64,
    /// The keys of this shard that transactions watch.
    pub watched_keys: WatchedKeys,
    /// The clients that wait for keys of this shard.
    pub(crate) waiters: Waiters,
    /// The events of changes that were not published yet.
    pub events: NotedEvents,
    /// What clients that track keys are told of the changes since the last publication.
    pub(crate) invalidates: Invalidates,
    /// A buffer in which new values are assembled.
    pub(super) scratch: Vec<u8>,
    /// Bytes of values that were replaced since the last publish: a rollback needs them until their log entry is
    /// committed.
    replaced: usize,
    /// The number of the changes since the last publish, which marks the pieces of ropes that they make. 0: none yet.
    window: u64,
}

/// Returns the hasher of a new shard.
fn hasher() -> DefaultHashBuilder {
    #[cfg(any(test, feature = "test-support"))]
    if REPEATED_SCANS.get() {
        return DefaultHashBuilder::with_seed(1);
    }
    DefaultHashBuilder::default()
}

#[cfg(any(test, feature = "test-support"))]
thread_local! {
    /// Whether each scan of the same keys has the same order, on this thread: a simulation repeats its runs.
    pub static REPEATED_SCANS: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

impl Shard {
    pub fn new(context: ShardContext) -> Self {
        let (writer, reader) = LeftRightMap::<Record, ()>::inline_with_hasher(hasher());
        let factory = reader.factory();
        let core = Core {
            writer,
            reader,
            context,
            unpublished: Vec::new(),
            retired: Vec::new(),
            retired_lsn: 0,
            deferred: VecDeque::new(),
            pins: SnapshotPins::default(),
            records_undo: false,
            is_logged: false,
            bytes: 0,
            with_ttl: 0,
            field_times: BTreeSet::new(),
            slots: None,
            time: 0,
            expire_cursor: 0,
            compaction_cursor: 0,
            watched_keys: WatchedKeys::default(),
            waiters: Waiters::default(),
            events: NotedEvents::default(),
            invalidates: Invalidates::default(),
            scratch: Vec::new(),
            replaced: 0,
            window: 0,
        };
        Self { core: Mutex::new(core), factory, stats: ShardStats::default() }
    }

    /// Locks the shard.
    pub fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(|poisoned| self.recover(poisoned.into_inner()))
    }

    /// Undoes what a holder has left that has panicked: it has logged nothing. Without a log its changes are published
    /// instead. Scans see the published state, and would find records that were removed already.
    #[cold]
    fn recover<'a>(&'a self, mut core: MutexGuard<'a, Core>) -> MutexGuard<'a, Core> {
        if core.has_unpublished() {
            if core.records_undo {
                core.undo_unpublished();
                core.events.discard();
                core.waiters.discard(WaitEnd::Refused(RequestError::LogUnavailable));
            }
            self.stats.begin_publish();
            core.publish(0, 0);
            self.stats.end_publish();
        }
        self.core.clear_poison();
        core
    }

    /// As `lock`, but returns None if another thread holds the lock.
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, Core>> {
        // A poisoned lock counts as taken. The next `lock` recovers it.
        self.core.try_lock().ok()
    }

    pub fn reader(&self) -> ShardReader {
        self.factory.handle()
    }

    pub fn stats(&self) -> &ShardStats {
        &self.stats
    }

    /// Updates the statistics before a state is published. Returns by how many bytes the memory has changed.
    pub(crate) fn update_stats(&self, core: &Core, entry: Option<Lsn>) -> isize {
        self.stats.update((core.len(), core.with_ttl, core.memory()), entry)
    }
}

impl Core {
    pub fn len(&self) -> usize {
        self.writer.len()
    }

    pub fn memory(&self) -> usize {
        self.bytes + self.writer.stats().memory_bytes
    }

    /// Returns the time of a change: `now`, or the time of the shard's last change if that is later.
    pub(crate) fn advance_time(&mut self, now: u64) -> u64 {
        self.time = self.time.max(now);
        self.time
    }

    fn usage_clock(&self) -> UsageClock<'_> {
        UsageClock { now: self.time, limit: &self.context.limit }
    }

    /// Records that a key is used by a request that does not write it.
    pub fn touch(&self, record: Record) {
        self.usage_clock().touch(record);
    }

    /// Records what a dump says of the use of a key that has just been written.
    pub(crate) fn restore_usage(&self, key: &[u8], usage: Option<Usage>) {
        if let Some(record) = self.find(key) {
            record.set_usage(self.usage_clock().of_restored(usage));
        }
    }

    /// Returns the record of a key, even if it has expired.
    pub fn find(&self, key: &[u8]) -> Option<Record> {
        self.writer.get_key_value(key).map(|(record, ())| *record)
    }

    /// Returns a limit of Redis's encodings.
    pub(crate) fn encoding_limit(&self, limit: EncodingLimit) -> usize {
        self.context.encodings.get(limit)
    }

    /// Calls `with` with a string and returns the result.
    pub fn read<R>(&self, value: StringValue<'_>, with: impl FnOnce(&[u8]) -> R) -> R {
        string::read(value, self.context.cold.as_deref(), with)
    }

    /// Stores a value. `old` is the key's present record.
    pub fn put(&mut self, old: Option<Record>, key: &[u8], value: &[u8], expires_at: Option<u64>) {
        // The common case, kept short so that it is inlined.
        if self.context.cold.is_none() && value.len() <= MAX_INLINE {
            let value = Value::String(StringValue::Inline(value));
            return self.place(old, old, key, value, expires_at, TicketOrigin::NEW);
        }
        self.put_out_of_line(old, key, value, expires_at);
    }

    /// As `put`, for a value that may be stored outside of its record.
    #[inline(never)]
    fn put_out_of_line(
        &mut self,
        old: Option<Record>,
        key: &[u8],
        value: &[u8],
        expires_at: Option<u64>,
    ) {
        let stored = self
            .context
            .cold
            .as_deref()
            .map_or(StringValue::Inline(value), |cold| cold.store(value));
        match stored {
            StringValue::Inline(value) if value.len() > MAX_INLINE => {
                let rope = Rope::of(value);
                let value = StringValue::Rope(RopeRef::of(&rope), value.len());
                self.place(old, old, key, Value::String(value), expires_at, TicketOrigin::NEW);
            }
            stored => {
                self.place(old, old, key, Value::String(stored), expires_at, TicketOrigin::NEW);
            }
        }
    }

    /// Stores the value of another record, in this shard or another, under `key`. `old` is the present record of `key`.
    ///
    /// A long value is shared, so this takes the same time for a value of any length. If `record` is not `old`, the
    /// caller removes it with [`remove_moved`](Self::remove_moved).
    pub(crate) fn put_moved(
        &mut self,
        old: Option<Record>,
        key: &[u8],
        record: Record,
        expires_at: Option<u64>,
    ) {
        let is_old = old.is_some_and(|old| old.is_same(record));
        let origin = TicketOrigin { from_old: is_old, moved_in: true };
        // [TR-2] Two records have the tree now. A change of one of them in place would change the other, to which a
        // rollback may return; and the number must be greater than those of the tree, which may come from another
        // shard.
        if record.tree().is_some() {
            self.window = 0;
        }
        self.place(old, Some(record), key, record.value(), expires_at, origin);
    }

    /// Whether records may be relocated: the places that they leave will soon be free, and no change is unpublished.
    pub(super) fn may_relocate(&self) -> bool {
        !self.has_unpublished() && self.pins.is_empty() && self.deferred.len() < MOST_DEFERRED
    }

    /// Stores a record in another place of the memory. Its key, value and use stay the same.
    pub(super) fn relocate(&mut self, record: Record) {
        self.put_moved(Some(record), record.key(), record, record.expires_at());
        // `place` has counted this as a use of the key, which it was not.
        if let Some(new) = self.find(record.key()) {
            new.set_usage(record.usage());
        }
    }

    /// Returns the store of compressed values, if there is one.
    pub fn cold(&self) -> Option<&ColdStore> {
        self.context.cold.as_deref()
    }

    /// Overwrites parts of a value, in order. Long values are not compressed, since they are likely to change again.
    pub fn write(
        &mut self,
        old: Option<Record>,
        current: Option<Record>,
        key: &[u8],
        parts: &[(usize, &[u8])],
    ) {
        let expires_at = current.and_then(|record| record.expires_at());
        let before = current.as_ref().and_then(Record::string);
        let length = before.map_or(0, |value| value.length());
        let total = parts.iter().map(|(at, part)| at + part.len()).fold(length, usize::max);
        if total <= MAX_INLINE {
            let mut scratch = std::mem::take(&mut self.scratch);
            scratch.clear();
            if let Some(before) = before {
                self.read(before, |value| scratch.extend_from_slice(value));
            }
            scratch.resize(total, 0);
            for (at, part) in parts {
                scratch[*at..at + part.len()].copy_from_slice(part);
            }
            self.put(old, key, &scratch, expires_at);
            self.scratch = scratch;
            return;
        }
        let rope = match before {
            Some(StringValue::Rope(rope_ref, _)) => Arc::clone(&rope_ref.rope()),
            Some(before) => self.read(before, Rope::of),
            None => Rope::of(b""),
        };
        let (window, replaced) = (self.window(), self.replaced);
        // SAFETY: `&mut self` proves that the lock is held, and the map has the newest record of this rope; or the rope
        // is new. No other changes have this window, and none of its records was published.
        let (rope, copied) = unsafe { rope.write(length, parts, window) };
        let value = Value::String(StringValue::Rope(RopeRef::of(&rope), total));
        self.place(old, old, key, value, expires_at, TicketOrigin::NEW);
        // The new record shares the rest with the old one.
        self.replaced = replaced.saturating_add(copied);
    }

    fn window(&mut self) -> u64 {
        present_window(&mut self.window)
    }

    /// Returns the bytes of values that changes since the last publish have replaced.
    pub fn replaced(&self) -> usize {
        self.replaced
    }

    /// Inserts a record. `old` is the key's present record, and `before` the one whose uses the new one continues.
    #[inline(always)]
    fn place(
        &mut self,
        old: Option<Record>,
        before: Option<Record>,
        key: &[u8],
        value: Value<'_>,
        expires_at: Option<u64>,
        TicketOrigin { from_old, moved_in }: TicketOrigin,
    ) {
        let usage = self.usage_clock().of_written(before);
        let new = Record::new(key, value, expires_at, usage);
        let step = |record| Undo::Removed { record, moved_out: from_old, moved_in };
        self.insert(new, old, moved_in, step);
    }

    /// Inserts a record. `step` returns how the removal of the key's present record is undone.
    #[inline(always)]
    fn insert(
        &mut self,
        new: Record,
        old: Option<Record>,
        moved_in: bool,
        step: impl FnOnce(Record) -> Undo,
    ) {
        self.count_inserted(new, old);
        self.writer.insert(new, ());
        // Each value of a key comes here, by a push, a rename, a copy or a dump. It goes by one of the removals below.
        self.waiters.note(new);
        match old {
            Some(record) => self.retire(step(record)),
            None if self.records_undo => {
                self.unpublished.push(Undo::Inserted { record: new, moved_in });
            }
            None => {}
        }
    }

    /// Removes a record that is in the map.
    pub fn remove(&mut self, record: Record) {
        let was_there = self.writer.remove(record.key());
        debug_assert!(was_there, "a record is removed twice, and would be freed twice");
        self.count_removed(record);
        self.waiters.note(record);
        self.retire(Undo::Removed { record, moved_out: false, moved_in: false });
    }

    /// Removes a record whose value another record has taken over.
    pub(crate) fn remove_moved(&mut self, record: Record) {
        self.writer.remove(record.key());
        self.count_removed(record);
        self.waiters.note(record);
        self.retire(Undo::Removed { record, moved_out: true, moved_in: false });
    }

    /// Removes all records whose keys count, for another shard that takes over their values. They are freed by the next
    /// publish but one.
    pub(super) fn take_moved(&mut self, counts: &impl Fn(&[u8]) -> bool) -> Vec<Record> {
        let all = self.writer.iter().map(|(record, ())| *record);
        let moved: Vec<Record> = all.filter(|record| counts(record.key())).collect();
        for record in &moved {
            self.remove_moved(*record);
        }
        moved
    }

    /// Inserts a copy of a record of another shard, which has taken it out. The key has none here.
    pub(super) fn put_moved_in(&mut self, record: Record) {
        self.put_moved(None, record.key(), record, record.expires_at());
    }

    /// Removes all records.
    pub fn clear(&mut self) {
        let all: Vec<Record> = self.writer.iter().map(|(record, ())| *record).collect();
        self.writer.clear();
        for record in all {
            self.count_removed(record);
            self.waiters.note(record);
            self.retire(Undo::Removed { record, moved_out: false, moved_in: false });
        }
        self.writer.shrink_to_fit();
    }

    /// Shrinks the table if less than a quarter of it is in use. O(capacity), which the removals before have paid for.
    ///
    /// Publishes all changes, and waits for readers of earlier states. `entry` and `committed` are as in
    /// [`publish`](Self::publish).
    pub(super) fn shrink(&mut self, entry: Lsn, committed: Lsn) {
        let (used, capacity) = (self.writer.len(), self.writer.capacity());
        // Not at half: a shard whose size varies a little would be resized again and again.
        if capacity < MIN_CAPACITY || used >= capacity / 4 {
            return;
        }
        self.writer.shrink_to_fit();
        self.publish(entry, committed);
        // The larger table is freed once the last reader has left it.
        self.writer.wait_for_readers();
    }

    /// Removes all records for which `wanted` returns true.
    pub(crate) fn remove_where(&mut self, mut wanted: impl FnMut(Record) -> bool) {
        let all = self.writer.iter().map(|(record, ())| *record);
        let gone: Vec<Record> = all.filter(|record| wanted(*record)).collect();
        for record in gone {
            self.remove(record);
        }
    }

    /// Sets the shard's time back. The caller has removed the expired keys.
    pub fn set_back(&mut self, time: u64) {
        self.time = time;
    }

    /// Counts a record that the map gets, and the one of the same key that it replaces.
    #[inline(always)]
    fn count_inserted(&mut self, record: Record, replaced: Option<Record>) {
        self.bytes += record.memory();
        self.with_ttl += usize::from(record.expires_at().is_some());
        if let Some(replaced) = replaced {
            self.bytes -= replaced.memory();
            self.with_ttl -= usize::from(replaced.expires_at().is_some());
            self.forget_field_time(replaced);
        }
        // After the one before was forgotten, which may have had the same time.
        if let Some(time) = record.next_field_time() {
            self.field_times.insert((time, record.key().into()));
        }
        if let Some(slots) = &mut self.slots {
            slots.inserted(record, replaced);
        }
    }

    #[inline]
    fn forget_field_time(&mut self, record: Record) {
        // Most shards have no such fields.
        if !self.field_times.is_empty()
            && let Some(time) = record.next_field_time()
        {
            self.field_times.remove(&(time, record.key().into()));
        }
    }

    /// Counts a record that the map loses.
    fn count_removed(&mut self, record: Record) {
        self.bytes -= record.memory();
        self.with_ttl -= usize::from(record.expires_at().is_some());
        self.forget_field_time(record);
        if let Some(slots) = &mut self.slots {
            slots.removed(record);
        }
    }

    /// Counts the records of each slot of this shard, which is empty.
    pub(super) fn count_slots(&mut self, slots: std::ops::Range<u16>) {
        debug_assert!(self.len() == 0, "records are not counted");
        self.slots = Some(Box::new(SlotCounts::new(slots)));
    }

    /// Returns the counts of records of slots that move; nothing without a cluster.
    pub(super) fn filtered_counts(&mut self) -> Option<&mut FilteredCounts> {
        self.slots.as_mut().map(|slots| &mut slots.filtered)
    }

    /// Swaps the watched keys of two shards whose databases are being swapped, and counts those as changed that exist
    /// in one of them. An expired key exists in neither, although it may not have been removed yet.
    pub(super) fn swap_watched_keys(&mut self, other: &mut Self, time: u64) {
        if self.watched_keys.is_empty() && other.watched_keys.is_empty() {
            return;
        }
        let mut of_self = std::mem::take(&mut self.watched_keys);
        let mut of_other = std::mem::take(&mut other.watched_keys);
        // As in `touchAllWatchedKeysInDb`, a key that neither database has does not change.
        let is_alive =
            |core: &Self, key: &[u8]| core.find(key).is_some_and(|record| !record.is_expired(time));
        let mut exists = |key: &[u8]| is_alive(self, key) || is_alive(other, key);
        of_self.note_where(&mut exists);
        of_other.note_where(&mut exists);
        // Watchers stay with the number of their database, which the other shard has from now on.
        (self.watched_keys, other.watched_keys) = (of_other, of_self);
    }

    /// Swaps the waiters of two shards whose databases were swapped: they stay with the number of their database. Their
    /// keys have other values there.
    pub(super) fn swap_waiters(&mut self, other: &mut Self) {
        self.waiters.swap(&mut other.waiters);
        self.waiters.note_all();
        other.waiters.note_all();
    }

    /// Returns the counts of this shard's slots; nothing without a cluster.
    pub fn slots(&self) -> &[SlotCount] {
        self.slots.as_ref().map_or(&[], |slots| slots.all())
    }

    /// Returns the records that were removed or replaced since the last publication.
    pub(super) fn removed(&self) -> impl Iterator<Item = &Record> {
        self.unpublished.iter().filter_map(|step| match step {
            Undo::Removed { record, .. } | Undo::Superseded(record) => Some(record),
            Undo::Inserted { .. } | Undo::Cut(_) => None,
        })
    }

    /// Records a removal for reclamation and undo.
    fn retire(&mut self, step: Undo) {
        // A value that was handed on stays in memory for its new record, and not for a rollback.
        if let Undo::Removed { record, moved_out: false, .. } = step {
            self.replaced = self.replaced.saturating_add(record.memory());
        }
        self.unpublished.push(step);
    }

    /// Records from now on the changes that a rollback has to undo.
    pub(crate) fn enable_undo(&mut self) {
        (self.records_undo, self.is_logged) = (true, true);
    }

    /// Records the changes of one holder of the lock, so that it can call
    /// [`undo_unpublished`](Self::undo_unpublished), or ends that.
    pub(crate) fn record_undo(&mut self, records: bool) {
        self.records_undo = records || self.is_logged;
    }

    /// Whether log entries are written to files. False also during replay.
    pub(crate) fn is_logged(&self) -> bool {
        self.is_logged
    }

    /// Returns whether there are changes that were not published.
    pub(crate) fn has_unpublished(&self) -> bool {
        !self.unpublished.is_empty()
    }

    /// Publishes all changes to readers. None of them belongs to a log entry after `entry`, and the entries up to
    /// `committed` are committed.
    pub fn publish(&mut self, entry: Lsn, committed: Lsn) {
        // A publish without changes would wait for readers for nothing.
        if !self.writer.has_changes() {
            return;
        }
        // [TR-1] From here on readers may see the ropes and the trees of these changes: none is changed in place.
        (self.window, self.replaced) = (0, 0);
        // Waits until no reader uses the state before the present one. So no reader can reach the records in `retired`
        // any more.
        self.writer.publish();
        self.reclaim_retired(committed);
        std::mem::swap(&mut self.unpublished, &mut self.retired);
        self.retired_lsn = entry;
    }

    /// Publishes only after many changes: during loading, no reader looks.
    pub(crate) fn publish_if_large(&mut self) {
        if self.unpublished.len() >= 1 << 10 {
            self.publish(0, 0);
        }
    }

    /// Frees the records that no reader can reach and no rollback needs. Does not wait for readers. Returns whether all
    /// readers have left the earlier states, and nothing waits to be freed but for the log or a snapshot.
    pub(crate) fn reclaim(&mut self, committed: Lsn) -> bool {
        let quiescent = !self.writer.has_changes() && !self.writer.is_pending();
        // Readers of an earlier state may still reach `retired`. What is in `deferred` only waits for the log.
        if quiescent && !self.retired.is_empty() {
            self.reclaim_retired(committed);
        } else {
            self.reclaim_deferred(committed);
        }
        quiescent & self.pins.free_blocks(BLOCKS_A_RECLAIM)
    }

    /// Returns whether blocks of trees wait to be freed, step by step.
    pub(crate) fn has_blocks_to_free(&self) -> bool {
        self.pins.has_blocks()
    }

    /// Frees the records in `retired`: they were removed before the earliest state that a reader can have was
    /// published.
    fn reclaim_retired(&mut self, committed: Lsn) {
        self.reclaim_deferred(committed);
        self.pins.keep_up(BLOCKS_A_PUBLISH);
        let entry = self.retired_lsn;
        // A rollback may still put these records back.
        if entry > committed {
            self.deferred.extend(self.retired.drain(..).map(|step| (entry, step)));
        } else {
            for step in self.retired.drain(..) {
                self.pins.free(step, self.context.cold.as_deref());
            }
        }
        // The buffer of one large transaction is not kept.
        if self.retired.capacity() > 1 << 12 {
            self.retired = Vec::new();
        }
    }

    /// Frees the deferred records whose log entries are committed, except those of a snapshot.
    #[inline]
    fn reclaim_deferred(&mut self, committed: Lsn) {
        if !self.deferred.is_empty() {
            self.reclaim_deferred_up_to(committed);
        }
    }

    #[inline(never)]
    fn reclaim_deferred_up_to(&mut self, committed: Lsn) {
        while self.deferred.front().is_some_and(|(entry, _)| *entry <= committed) {
            let Some((_, step)) = self.deferred.pop_front() else { break };
            self.pins.free(step, self.context.cold.as_deref());
        }
        if self.deferred.is_empty() && self.deferred.capacity() > 1 << 12 {
            self.deferred = VecDeque::new();
        }
    }

    /// Visits published records in the bucket of a hash. Returns the hash to continue from.
    pub fn scan(&self, from: u64, mut each: impl FnMut(Record)) -> Option<u64> {
        self.reader.enter().scan(from, |record, ()| each(*record))
    }

    /// Returns all records, those of unpublished changes included.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        self.writer.iter().map(|(record, ())| *record)
    }

    /// Returns all records. None of them is freed until `end_snapshot`, and no record that is removed meanwhile, unless
    /// the caller names those that it reads ([`name_records`](Self::name_records)).
    pub fn begin_snapshot(&mut self) -> Vec<Record> {
        self.begin_pinning();
        self.records().collect()
    }

    /// Begins a snapshot of one record, which the result names.
    pub(crate) fn hold(&mut self, record: Record) -> NamedRecords {
        self.begin_pinning();
        let records = pins::named(vec![record]);
        self.name_records(Arc::clone(&records));
        records
    }

    fn begin_pinning(&mut self) {
        self.window = 0;
        self.pins.begin(present_window(&mut self.window));
    }

    /// Lets later records be freed during the snapshot that reads these. [`pins::named`] has sorted them, which the
    /// caller does without this lock.
    pub(crate) fn name_records(&mut self, records: NamedRecords) {
        self.pins.name(records, self.context.cold.as_deref());
    }

    /// Ends a snapshot, which may have named its records.
    pub fn end_snapshot(&mut self, records: Option<&NamedRecords>, committed: Lsn) {
        self.pins.end(records, self.context.cold.as_deref());
        self.reclaim_deferred(committed);
    }

    /// Reserves room for more keys.
    pub fn reserve(&mut self, keys: usize) {
        self.writer.reserve(keys);
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // Sessions own the shard, so there are no readers any more.
        let all: Vec<Record> = self.writer.iter().map(|(record, ())| *record).collect();
        let deferred = self.deferred.drain(..).map(|(_, step)| step);
        let steps = self.unpublished.drain(..).chain(self.retired.drain(..)).chain(deferred);
        let all = all.into_iter().map(|record| Undo::Removed {
            record,
            moved_out: false,
            moved_in: false,
        });
        // Dropping the map does not access its entries.
        self.pins.free_all(steps.chain(all));
    }
}

/// Returns the number of the changes since the last publish, of which 0 means that there is none yet. The numbers of
/// all shards are different, because ropes and trees move between shards, and ascend.
fn present_window(window: &mut u64) -> u64 {
    static WINDOWS: AtomicU64 = AtomicU64::new(1);
    if *window == 0 {
        // Relaxed: a number that nobody else gets, and nothing else.
        *window = WINDOWS.fetch_add(1, Ordering::Relaxed);
    }
    *window
}

#[cfg(test)]
mod collection_tests;
#[cfg(test)]
mod tests;
