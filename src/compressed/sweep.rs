//! Sweeps: they empty the oldest hot segment, or the cold segment with the most dead bytes.
//!
//! One thread sweeps at a time, a few records at a time, under the maintenance lock. No other thread makes a segment
//! ready for reuse, so while the lock is held a location identifies a record. A sweep moves each linked record, or
//! links the record below it instead, and skips unlinked ones. A segment without live bytes is then given back. If live
//! bytes remain, a writer is between appending and linking, or between unlinking and counting: the segment waits for
//! another sweep.
//!
//! # How much a caller sweeps
//! Work is counted in bytes that are compressed. Bytes that are only copied or passed over count for less. The pool's
//! room is the number of segments that are available without sweeping, including those that may still be allocated.
//!
//! - A step sweeps until there are some segments ahead.
//! - A writer sweeps only if there are fewer: twice the bytes that it wrote, then four times, then eight times as room
//!   decreases. The most is 1 KiB, or three times the bytes that it wrote if that is more.
//! - A writer that finds no segment at all sweeps until there is one. The rules above are there to avoid that.
//! - A thread that sweeps releases the maintenance lock after each KiB and lets a waiting writer in. If a writer finds
//!   that other threads sweep, it waits a little, so that it is no faster than they are.
//! - A new segment is zeroed piece by piece before it is needed, because the system provides memory page by page, too.
//!
//! A sweep advances past a record before it calls a codec for it, so a codec that panics stops no other thread.

use super::codec::Work;
use super::expiry::RemovalCause;
use super::key_in_value;
use super::maintenance::{
    Maintenance, SegmentLimit, Sweep, SweepKind, SweepOutcome, SweptRecord, ValueCompressor,
};
use super::pool::COMPACT_PART;
use super::read::ReadEntry;
use super::record::{PLAIN, RecordHead, RecordLocation};
use super::records::OpenSegment;
use super::segment::{ReadScratch, SegmentRef, Use};
use super::store::Store;
use super::types::Policy;
use crate::facade::atomic::Ordering;

/// The work that counts for choosing a segment, in bytes.
const CHOICE: usize = 64;
/// The work that counts for a skipped record.
const RECORD: usize = 8;
/// A record that is copied, not compressed, counts for one byte in this many.
const COPIED: usize = 8;
/// Attempts to fold operands before the operand is copied as it is.
const FOLDS: usize = 4;

/// A cold segment is compacted before anything else if one part in this many is dead. If there is nothing to compress,
/// [`COMPACT_PART`] is enough.
pub(super) const COMPACT_FIRST_PART: usize = 4;
/// The part that is enough if a sweep has no room for the values that it compresses.
const COMPACT_LAST_PART: usize = 32;

/// The sweep cannot go on: there is no segment for the next record.
struct Stuck;

impl Store {
    /// Sweeps about `bytes` bytes, if that is needed and no other thread sweeps.
    pub(super) fn sweep(&self, bytes: usize) -> SweepOutcome {
        // Training comes first: values that are compressed before would have to be compressed again.
        if let Some(done) = self.train_first() {
            return if done { SweepOutcome::Training } else { SweepOutcome::Busy };
        }
        let Some(mut maintenance) = self.maintenance.try_lock() else {
            self.sweep_wanted.store(true);
            return SweepOutcome::Busy;
        };
        if self.has_enough(&maintenance) {
            return SweepOutcome::Advanced;
        }
        self.sweep_locked(&mut maintenance, bytes, None)
    }

    /// Whether no sweep is under way, and no sweep is needed.
    fn has_enough(&self, maintenance: &Maintenance) -> bool {
        maintenance.sweep.is_none()
            && self.pool().free() > self.pool().reserve + 1
            && self.missing_segments() == 0
    }

    /// Sweeps as `sweep` does, but allocates nothing: records that need an allocation wait for another sweep.
    pub(super) fn sweep_without_alloc(&self, bytes: usize) -> SweepOutcome {
        let Some(mut maintenance) = self.maintenance.try_lock() else { return SweepOutcome::Busy };
        if self.training.is_due() {
            return SweepOutcome::Training;
        }
        if self.has_enough(&maintenance) {
            return SweepOutcome::Advanced;
        }
        maintenance.compressor.no_alloc = true;
        self.continue_sweep(&mut maintenance, bytes, None)
    }

    /// Sweeps as `sweep` does, by evicting, and trains nothing.
    pub(super) fn evict_some(&self, bytes: usize) -> SweepOutcome {
        let Some(mut maintenance) = self.maintenance.try_lock() else {
            self.sweep_wanted.store(true);
            return SweepOutcome::Busy;
        };
        self.sweep_locked(&mut maintenance, bytes, Some(SweepKind::Evict))
    }

    /// Sweeps under the maintenance lock, and may allocate. A sweep that begins is of this kind, if one is given.
    pub(super) fn sweep_locked(
        &self,
        maintenance: &mut Maintenance,
        bytes: usize,
        kind: Option<SweepKind>,
    ) -> SweepOutcome {
        maintenance.compressor.no_alloc = false;
        // If there is no memory for longer buffers, the sweep goes on with those from before.
        let _ = self.make_buffers(maintenance);
        self.continue_sweep(maintenance, bytes, kind)
    }

    fn continue_sweep(
        &self,
        maintenance: &mut Maintenance,
        bytes: usize,
        kind: Option<SweepKind>,
    ) -> SweepOutcome {
        if maintenance.sweep.is_none() {
            maintenance.sweep = match kind {
                Some(kind) => {
                    self.next_cold(maintenance).map(|number| self.new_sweep(number, kind))
                }
                None => self.choose_sweep(maintenance),
            };
        }
        let begin = maintenance.compressor.worked;
        maintenance.compressor.add_work(CHOICE);
        loop {
            let Some(sweep) = maintenance.sweep else { return SweepOutcome::Nothing };
            let Some(segment) = self.pool().segment(sweep.number) else {
                return SweepOutcome::Nothing;
            };
            // A segment without live bytes need not be read to its end.
            if sweep.at >= sweep.end || segment.is_unused() {
                maintenance.sweep = None;
                self.end_sweep(sweep, segment);
                return SweepOutcome::Advanced;
            }
            let worked = maintenance.compressor.worked.wrapping_sub(begin);
            if worked >= bytes.saturating_add(CHOICE) {
                return SweepOutcome::Advanced;
            }
            let Ok(size) = self.sweep_record(maintenance, segment, sweep) else {
                // The record is swept again by the next call.
                maintenance.sweep = Some(sweep);
                let no_alloc = maintenance.compressor.no_alloc;
                return if no_alloc {
                    SweepOutcome::Busy
                } else {
                    self.switch_segment(maintenance, sweep, segment)
                };
            };
            maintenance.compressor.add_work(RECORD + size / COPIED);
        }
    }

    /// Puts off a stuck sweep, and begins one of a segment that needs less room. Without another segment there is no
    /// room left.
    #[cold]
    fn switch_segment(
        &self,
        maintenance: &mut Maintenance,
        sweep: Sweep,
        segment: SegmentRef<'_>,
    ) -> SweepOutcome {
        let next = if self.policy == Policy::Evict && sweep.kind != SweepKind::Evict {
            self.next_cold(maintenance).map(|number| self.new_sweep(number, SweepKind::Evict))
        } else {
            let dead = self.pool().most_dead(COMPACT_LAST_PART);
            let dead = dead.and_then(|(number, _)| self.new_compaction(number));
            dead.or_else(|| self.emptiest(segment.live()))
        };
        let Some(next) = next else { return SweepOutcome::Nothing };
        self.pool().seal(sweep.number, sweep.end, sweep.kind == SweepKind::Demote);
        maintenance.sweep = Some(next);
        SweepOutcome::Advanced
    }

    /// Takes the sealed segment with the fewest live bytes, if they are fewer than `live`.
    fn emptiest(&self, live: usize) -> Option<Sweep> {
        let pool = self.pool();
        let sealed = |number| {
            let segment = pool.segment(number)?;
            let hot = segment.is(Use::Hot);
            (hot || segment.is(Use::Cold)).then(|| (segment.live(), number, hot))
        };
        let (least, number, hot) = (0..pool.numbers()).filter_map(sealed).min()?;
        let taken =
            least < live && if hot { pool.take_hot(number) } else { pool.take_cold(number) };
        let kind = if hot { SweepKind::Demote } else { SweepKind::Compact };
        taken.then(|| self.new_sweep(number, kind))
    }

    fn new_sweep(&self, number: usize, kind: SweepKind) -> Sweep {
        let end = self.pool().segment(number).map_or(0, |segment| segment.end());
        Sweep { number, kind, at: self.shape().begin(), end }
    }

    fn end_sweep(&self, sweep: Sweep, segment: SegmentRef<'_>) {
        if segment.is_unused() {
            self.pool().give_back(sweep.number);
            self.note_room();
        } else {
            // A writer has yet to link a record here, or to count one as dead.
            self.pool().seal(sweep.number, sweep.end, sweep.kind == SweepKind::Demote);
        }
    }

    /// Chooses the segment that is emptied at the least cost: one that is mostly dead, then the oldest hot one.
    fn choose_sweep(&self, maintenance: &mut Maintenance) -> Option<Sweep> {
        let pool = self.pool();
        let dead = pool.has_dead().then(|| pool.most_dead(COMPACT_PART)).flatten();
        let compact = |part| {
            let (number, _) = dead.filter(|&(_, dead)| pool.is_part(dead, part))?;
            self.new_compaction(number)
        };
        let demote = || {
            let number = pool.take_oldest_hot()?;
            Some(self.new_sweep(number, SweepKind::Demote))
        };
        let evict = || {
            // Entries are removed only if nothing else makes room.
            let may = self.policy == Policy::Evict;
            let number = may.then(|| self.next_cold(maintenance)).flatten()?;
            Some(self.new_sweep(number, SweepKind::Evict))
        };
        let first = compact(COMPACT_FIRST_PART).or_else(demote);
        first.or_else(|| compact(COMPACT_PART)).or_else(evict)
    }

    /// Takes a segment to compact it, if it is still cold.
    fn new_compaction(&self, number: usize) -> Option<Sweep> {
        self.pool().take_cold(number).then(|| self.new_sweep(number, SweepKind::Compact))
    }

    /// Takes the next cold segment in the order of their numbers, so that eviction visits all of them.
    fn next_cold(&self, maintenance: &mut Maintenance) -> Option<usize> {
        let count = self.pool().numbers();
        for step in 0..count {
            let number = (maintenance.eviction_cursor + step) % count;
            if self.pool().take_cold(number) {
                maintenance.eviction_cursor = number + 1;
                return Some(number);
            }
        }
        None
    }

    /// Sweeps the next record. Returns its length.
    fn sweep_record(
        &self,
        maintenance: &mut Maintenance,
        segment: SegmentRef<'_>,
        sweep: Sweep,
    ) -> Result<usize, Stuck> {
        let hot = sweep.kind == SweepKind::Demote;
        let at = self.shape().location(sweep.number, sweep.at, hot);
        let Some((_, start)) = self.records().place(at) else { return Err(Stuck) };
        let (head, len) = segment.head(start).ok_or(Stuck)?;
        let size = head.record_len(hot);
        // Advanced before a codec is called: if it panics, its record is skipped and waits for another sweep. Otherwise
        // one value could stop all sweeps for good.
        maintenance.sweep = Some(Sweep { at: sweep.at + size, ..sweep });
        let hash = self.index.hash_of(at);
        if !self.index.is_linked(hash, at) {
            return Ok(size);
        }
        let Maintenance { record, plain, compressor, .. } = maintenance;
        let mut scratch = ReadScratch::new(record);
        if !segment.copy(start + len, head.key + head.stored, &scratch) {
            return Err(Stuck);
        }
        let (key, stored) = scratch.bytes().split_at(head.key);
        let was_read = segment.is_marked(sweep.at);
        // Eviction clears marks: an entry has to be read again to survive the next one.
        let keeps_mark = was_read && sweep.kind == SweepKind::Compact;
        let record = SweptRecord { at, hash, head, key, stored, was_read, keeps_mark };
        let expired = self.expiry.has_passed(head.deadline);
        let removes = expired || sweep.kind == SweepKind::Evict;
        // The listener gets the value, which has to be allocated.
        if removes && compressor.no_alloc && self.expiry.has_listener() {
            return Err(Stuck);
        }
        if expired {
            let leads = |top: RecordLocation| self.records().leads_to(top, at);
            self.discard(hash, key, leads, RemovalCause::Expired);
            return Ok(size);
        }
        match sweep.kind {
            SweepKind::Demote if head.is_operand() && compressor.no_alloc => return Err(Stuck),
            SweepKind::Demote if head.is_operand() => self.fold_chain(compressor, &record)?,
            SweepKind::Demote => self.demote(compressor, &record)?,
            SweepKind::Evict if !was_read && self.evict(&record) => {}
            SweepKind::Evict => {
                // Without room for a copy even a record that was read is evicted.
                let stays = self.compact(compressor, plain, &record).is_ok();
                (stays || self.evict(&record)).then_some(()).ok_or(Stuck)?;
            }
            SweepKind::Compact => self.compact(compressor, plain, &record)?,
        }
        Ok(size)
    }

    /// Moves a hot record of a value: to the hot front if it was read; otherwise only the cold record below it stays,
    /// or a new compressed one.
    fn demote(
        &self,
        compressor: &mut ValueCompressor,
        record: &SweptRecord<'_>,
    ) -> Result<(), Stuck> {
        let &SweptRecord { at, hash, head, key, stored, was_read, .. } = record;
        let below = self.records().below(at);
        let to = was_read.then(|| {
            let link = below.unwrap_or(RecordLocation::NONE);
            // A sweep that may not allocate is a read's, which waits for no writer that allocates.
            if compressor.no_alloc {
                self.try_append_hot(link, head, key, stored, false)
            } else {
                self.append_hot(link, head, key, stored)
            }
        });
        if let Some(to) = to.flatten() {
            self.index.relocate(hash, at, to);
            return Ok(());
        }
        let Some(below) = below else {
            let to = self.append_compressed(compressor, key, stored, head.deadline)?;
            self.index.relocate(hash, at, to);
            return Ok(());
        };
        // A promoted value is still stored compressed below, so dropping the plain copy is enough.
        self.index.relink(hash, at, below);
        Ok(())
    }

    /// Folds the chain of an operand into one compressed record.
    fn fold_chain(
        &self,
        compressor: &mut ValueCompressor,
        record: &SweptRecord<'_>,
    ) -> Result<(), Stuck> {
        let &SweptRecord { at, hash, head, key, stored, .. } = record;
        for _ in 0..FOLDS {
            let leads = |top: RecordLocation| self.records().leads_to(top, at);
            let Some(entry) = self.read_any_entry(hash, leads, key) else { return Ok(()) };
            if self.expiry.has_passed(entry.deadline) {
                self.discard(hash, key, leads, RemovalCause::Expired);
                return Ok(());
            }
            let ReadEntry { top, value: Ok(value), deadline, .. } = entry else { break };
            if !self.fits_buffers(key, &value) {
                break;
            }
            let to = self.append_compressed(compressor, key, &value, deadline)?;
            if let Some(chain) = self.index.replace_chain(hash, top, to) {
                self.note_unlinked(&chain);
                self.contents.add((key.len() + value.len()).cast_signed());
                return Ok(());
            }
            // A writer has changed the entry meanwhile.
            self.records().drop_record(to);
        }
        // The chain changes too often, or cannot be folded. The operand is moved as it is, to empty the segment.
        let below = self.records().below(at).unwrap_or(RecordLocation::NONE);
        let to = self.append_hot(below, head, key, stored).ok_or(Stuck)?;
        self.index.relocate(hash, at, to);
        Ok(())
    }

    /// Whether the buffers of sweeps and a segment have room for a record of the value. A merge function may return a
    /// value of any length.
    fn fits_buffers(&self, key: &[u8], value: &[u8]) -> bool {
        // relaxed: it changes under the maintenance lock only, which the caller holds.
        let longest = self.memory.longest.load(Ordering::Relaxed).min(self.shape().max_record());
        let record = RecordHead::of_plain(key.len(), value.len());
        value.len() <= longest && record.record_len(true) <= longest
    }

    /// Removes a cold record that has not been read recently, unless another record is on top of it.
    fn evict(&self, record: &SweptRecord<'_>) -> bool {
        let at = record.at;
        self.discard(record.hash, record.key, |top| top == at, RemovalCause::Evicted)
    }

    /// Copies a cold record to another segment. Compresses it again if its model is no longer in use.
    fn compact(
        &self,
        compressor: &mut ValueCompressor,
        plain: &mut [u8],
        record: &SweptRecord<'_>,
    ) -> Result<(), Stuck> {
        let &SweptRecord { at, hash, head, key, stored, keeps_mark, .. } = record;
        let old = head.model().is_some_and(|model| !compressor.current.contains(&model));
        let again = plain.get_mut(..head.plain).filter(|_| old).and_then(|plain| {
            self.models().decompress(head, key, stored, plain).ok()?;
            let new = self.compress(compressor, key, plain).with_deadline(head.deadline);
            // A longer record than before could leave the sweep without room.
            (new.record_len(false) <= head.record_len(false)).then_some((new, plain))
        });
        let limit = compressor.limit(0);
        let ValueCompressor { cold, out, .. } = compressor;
        let (head, stored) = match again {
            Some((new, plain)) => (new, new.stored_bytes(plain, out)),
            None => (head, stored),
        };
        let to = self.append_cold(cold, limit, head, key, stored)?;
        if keeps_mark {
            self.records().mark_read(to);
        }
        self.index.relocate(hash, at, to);
        Ok(())
    }

    /// Compresses a value and appends it to the cold segments. The folded values of one hot segment may fill more than
    /// one cold segment. The last free segment therefore stays for compaction, which frees one in any case.
    fn append_compressed(
        &self,
        compressor: &mut ValueCompressor,
        key: &[u8],
        plain: &[u8],
        deadline: u64,
    ) -> Result<RecordLocation, Stuck> {
        let head = self.compress(compressor, key, plain).with_deadline(deadline);
        let limit = compressor.limit(self.pool().reserve - 1);
        let ValueCompressor { cold, out, .. } = compressor;
        self.append_cold(cold, limit, head, key, head.stored_bytes(plain, out))
    }

    /// Compresses the value of a key into `out`, without the key if the value contains it. Returns the head of its
    /// record.
    fn compress(&self, compressor: &mut ValueCompressor, key: &[u8], plain: &[u8]) -> RecordHead {
        compressor.add_work(plain.len());
        let ValueCompressor { out, spare, rest, work, current, choice, ratio, .. } = compressor;
        let work: &mut Option<Work> = work;
        let as_plain = RecordHead::of_plain(key.len(), plain.len());
        // A map without codecs stores all values plain.
        let Some(work) = work else { return as_plain };
        // A value that is too long for the buffers is compressed with its key, or not at all.
        let fits = |_: &usize| plain.len() - key.len() <= rest.len();
        let key_at = key_in_value::position(key, plain).filter(fits);
        let rest = key_at.map_or(plain, |at| key_in_value::cut(plain, at, key.len(), rest));
        let (kind, len) = self.models().compress(current, choice, rest, out, spare, work);
        let head = if kind == PLAIN {
            as_plain
        } else {
            RecordHead { kind, stored: len, key_at, ..as_plain }
        };
        let len = head.stored;
        if ratio.note(plain.len(), len, &self.training) && self.room_to_train() > 0 {
            self.training.set_due(true);
        }
        head
    }

    fn append_cold(
        &self,
        cold: &mut Option<OpenSegment>,
        limit: SegmentLimit,
        head: RecordHead,
        key: &[u8],
        stored: &[u8],
    ) -> Result<RecordLocation, Stuck> {
        let size = head.record_len(false);
        if let Some(open) = cold.take_if(|open| open.at + size > self.shape().end()) {
            self.records().seal_cold(&open);
        }
        if cold.is_none() {
            let may_grow = || !limit.no_alloc && self.reserve_spill();
            let number = self.pool().take(limit.keep_free, may_grow).ok_or(Stuck)?;
            self.note_room();
            *cold = Some(OpenSegment::new(number, self.shape()));
        }
        let open = cold.as_mut().ok_or(Stuck)?;
        let at = self.records().append(open, None, head, key, stored).ok_or(Stuck)?;
        self.models().count_up(head);
        Ok(at)
    }
}

#[cfg(all(test, not(hedgerow_shuttle)))]
impl Store {
    /// Compresses all hot segments.
    pub(super) fn sweep_hot(&self) {
        self.seal_hot();
        while self.pool().hot() > 0 {
            assert_ne!(self.sweep(1 << 10), SweepOutcome::Nothing);
        }
        let _ = self.sweep(0);
    }

    pub(super) fn seal_cold(&self) {
        if let Some(open) = self.maintenance.lock().compressor.cold.take() {
            self.records().seal_cold(&open);
        }
    }

    /// Begins to compact a cold segment. Returns false if there is none.
    #[cfg(not(hedgerow_loom))]
    pub(super) fn begin_compaction(&self) -> bool {
        let mut maintenance = self.maintenance.lock();
        let taken = (0..self.pool().numbers()).find_map(|number| self.new_compaction(number));
        maintenance.sweep = taken;
        taken.is_some()
    }

    /// Compacts all cold segments.
    pub(super) fn sweep_cold(&self) {
        let mut maintenance = self.maintenance.lock();
        for number in 0..self.pool().numbers() {
            if self.pool().take_cold(number) {
                maintenance.sweep = Some(self.new_sweep(number, SweepKind::Compact));
                let _ = self.sweep_locked(&mut maintenance, 1 << 10, None);
            }
        }
    }
}
