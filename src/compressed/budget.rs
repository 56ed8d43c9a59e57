//! Decisions on allocations within the budget.
//!
//! Segments are not freed while the map is shared, and the index grows with the number of entries. If segments are
//! large enough, the index therefore takes its memory from them: a segment that was swept empty serves records again,
//! or the index. In a small map a segment is hardly larger than a step of the index's growth. There, a segment is made
//! only if the budget also has room for the index that its records will need.
//!
//! - A reader of a record in a segment that became part of the index reads words of bins. It finds its own bin changed,
//!   as if other records had been written there ([CM-1]). The read marks of that segment stay allocated, because a late
//!   reader may still set one.
//! - If no memory is available, a write of a new key sweeps. If that makes no room, the write is refused.
//! - One segment is reserved for sweeps. A sweep never needs more, because a copy takes no more bytes than its
//!   original. Under a new model, a record is compressed again only if it does not become longer.
//! - Operands may become longer by any amount when they are folded. With a merge function, and a budget of at least
//!   eight segments, a second segment is therefore reserved, which folding never takes. If folding stops for lack of
//!   room, cold segments are compacted into it.
//! - A sweep copies each record into a buffer, and compresses it by four more. The buffers grow with the longest record
//!   so far. By the time a longer one arrives, segments may have taken the whole budget, and they are not given back.
//!   Therefore the buffer for a record of any length is reserved from the beginning: a 64th of the budget, if segments
//!   have their default size. Of the other four, a 128th is reserved for all together. A value that is longer than
//!   those is compressed only if its compressed form fits into them.
//! - Models stay as long as the map. A new model is kept only within the budget. For the next training, as many bytes
//!   are left free as the last one needed, but at most a 64th of the budget.

use super::codec::Work;
use super::index::IndexLayout;
use super::maintenance::Maintenance;
use super::memory::{EntryClaim, Shortage};
use super::store::Store;
use super::types::StoreError;
use crate::bins::layout::BIN_HEAD;
use crate::facade::Word;
use crate::facade::atomic::Ordering;
use crate::memory::AllocError;
use crate::sync::stripes::STRIPED_BYTES;
use crate::sync::words::WORD;

/// Writers do not sweep if this many segments can be had without.
const ENOUGH: usize = 4;
/// Entries for which overflow lines take one word.
const LINE_ENTRIES: usize = 4;
/// Entries after which the bytes of the index are counted again.
const CHECK_INTERVAL: usize = 256;
/// Compressed records that are enough to estimate the length of the next.
const ENOUGH_RECORDS: usize = 32;
/// One part in this number of the budget is reserved for the directories of the index.
const DIRECTORIES: usize = 128;
/// Bytes that codecs take for a while when they are trained.
const TRAINING: usize = 1 << 20;
/// From this budget on compressors get large working memory.
const LARGE: usize = 4 << 20;
/// The part of the budget that is reserved for compressing long values: one in this number.
const COMPRESSING: usize = 128;
/// With fewer segments than this in the budget, which only the caller can choose, nothing is reserved for moving longer
/// records than there are.
const MOVING: usize = 32;
/// The shortest buffers.
const SHORTEST: usize = 128;
/// The assumed length of a compressed record while there are few. It is short: many small records need a large index,
/// and segments that were taken are not given back.
const ASSUMED_RECORD: usize = 24;

impl Store {
    /// Returns the bytes of everything, including those that the index may take before a writer counts it again, and
    /// those that are reserved for the buffers of sweeps.
    pub(super) fn bytes(&self) -> usize {
        let (reserved, made) = (self.memory.reserved_buffers.load(), self.memory.buffers.load());
        let to_come = self.memory.table_bytes.load() + reserved.saturating_sub(made);
        self.bytes_but_index().saturating_add(to_come)
    }

    /// Returns the bytes of everything but the index.
    pub(super) fn bytes_but_index(&self) -> usize {
        let models = self.memory.models_bytes.load();
        // Saturating, because a caller's model may report any size.
        let own = self.memory.fixed.load() + self.memory.buffers.load();
        (own + self.pool().bytes()).saturating_add(models)
    }

    /// Returns the bytes of one step of the index's growth.
    fn table_step(table: usize) -> usize {
        let bins = 1 << IndexLayout::SEGMENT_BITS;
        let small = table < IndexLayout::segment_words(bins) * size_of::<Word>();
        // The first large table counts its entries in stripes.
        let (segments, stripes) = if small { (1, STRIPED_BYTES) } else { (2, 0) };
        // Directories double, and old ones stay. Together they are a hundredth of the whole.
        segments * IndexLayout::segment_words(bins) * size_of::<Word>()
            + IndexLayout::chunk() * size_of::<Word>()
            + table / 32
            + 64 * WORD
            + stripes
    }

    /// Returns the bytes by which the index grows for one more entry.
    fn smallest_table_step(table: usize) -> usize {
        let segment =
            IndexLayout::segment_words(1 << IndexLayout::SEGMENT_BITS) * size_of::<Word>();
        if table < segment {
            return Self::table_step(table);
        }
        segment + Self::lines_step() + table / 32 + 32 * WORD
    }

    /// Returns the bytes of one step of growth by overflow lines alone.
    fn lines_step() -> usize {
        IndexLayout::chunk() * size_of::<Word>() + 32 * WORD
    }

    /// Returns the permission to add one more entry, if there is room for it. If the index takes its memory from
    /// segments, this gives it one.
    pub(super) fn claim_entry(&self) -> Result<EntryClaim<'_>, Shortage> {
        let table = &self.index.table;
        // relaxed: a bound, which only grows, and whose bytes were reserved before it was stored.
        let upto = self.memory.table_checked_up_to.load(Ordering::Relaxed);
        if table.has_arena() {
            let len = table.len_within();
            if len >= upto {
                self.provide_index(len)?;
            }
            // The index grows within its segments only, however many writers pass this check together.
            return Ok(EntryClaim::UNCOUNTED);
        }
        let (claim, others) = self.memory.claim_entry();
        // Loaded after the claim: an entry whose claim has ended since is counted here.
        let entries = table.len_within() + others;
        if entries >= upto {
            self.may_grow_table(entries)?;
        }
        Ok(claim)
    }

    #[cold]
    fn may_grow_table(&self, len: usize) -> Result<(), Shortage> {
        let _one_at_a_time = self.memory.index_growth.lock();
        // relaxed: it changes under the lock only.
        if len < self.memory.table_checked_up_to.load(Ordering::Relaxed) {
            return Ok(());
        }
        let usage = self.index.table.usage();
        self.memory.bins.store(usage.bins);
        let fits = |upto: usize| IndexLayout::bins_for(upto) <= usage.bins;
        let (upto, more) = match (fits(len + CHECK_INTERVAL), fits(len + 1)) {
            (true, _) => (len + CHECK_INTERVAL, Self::lines_step()),
            (_, true) => (len + 1, Self::lines_step()),
            _ => (len + CHECK_INTERVAL, Self::table_step(usage.bytes)),
        };
        self.reserve_index(usage.bytes, more, upto).or_else(|shortage| {
            if fits(len + 1) {
                return Err(shortage);
            }
            // Little is left: enough for the very next entry.
            self.reserve_index(usage.bytes, Self::smallest_table_step(usage.bytes), len + 1)
        })
    }

    /// Counts what the index is about to take, before it does, so that no segment takes it in the meantime. Fails if
    /// that exceeds the budget. The caller holds the lock under which the index's bytes are counted.
    fn reserve_index(&self, now: usize, more: usize, upto: usize) -> Result<(), Shortage> {
        let _giving = self.memory.giving.lock();
        let before = self.memory.table_bytes.load();
        self.memory.table_bytes.store(now + more);
        let may = self.has_room();
        if may {
            // relaxed: a bound, as in `claim_entry`.
            self.memory.table_checked_up_to.store(upto, Ordering::Relaxed);
        } else {
            // Writers that have passed the check may still take what was counted before.
            self.memory.table_bytes.store(before);
        }
        may.then_some(()).ok_or(Shortage::Budget)
    }

    /// Whether the budget has room for all bytes that are counted, and for moving a longer record than any before.
    fn has_room(&self) -> bool {
        // relaxed: a bound, which only grows.
        let longest = self.memory.longest.load(Ordering::Relaxed);
        self.bytes().saturating_add(self.moving_to_come(longest)) <= self.memory.budget
    }

    /// Gives the index a segment if it needs one for the next entries. Fails if it has no room for one more.
    pub(super) fn provide_index(&self, len: usize) -> Result<(), Shortage> {
        let _one_at_a_time = self.memory.index_growth.lock();
        let usage = self.index.table.usage();
        let fits =
            |upto: usize| IndexLayout::bins_for(upto) <= usage.bins + self.index.table.arena_bins();
        let upto = if fits(len + CHECK_INTERVAL) || self.give_index_a_segment() {
            len + CHECK_INTERVAL
        } else if fits(len + 1) {
            len + 1
        } else {
            return Err(Shortage::Segment);
        };
        // The index still takes small tables from the allocator, and directories of segments and lines.
        let more = if usage.bins < 1 << IndexLayout::SEGMENT_BITS {
            Self::table_step(0)
        } else {
            usage.doubling + 64 * WORD
        };
        self.reserve_index(usage.bytes, more, upto)
    }

    /// Gives the index a segment for good. Returns false if there is none.
    pub(super) fn give_index_a_segment(&self) -> bool {
        let Some((first, words)) = self.pool().take_for_index(|| self.reserve_segment()) else {
            self.note_no_segment();
            return false;
        };
        self.note_room();
        // SAFETY: the words of a segment live as long as the pool, which lives as long as the table: `Index` owns both.
        // The segment was free, so no entry refers to a record in it, and it is never given back. A reader that still
        // reads an old record validates its bin ([CM-1]). It writes only read marks, which are not among these words.
        unsafe { self.index.table.add_to_arena(first, words) }
        true
    }

    /// Returns the bytes by which the index will grow until `segments` are full of compressed records.
    fn index_to_come(&self, segments: usize) -> usize {
        let (records, stored) = self.models().cold();
        let record = match self.index.table.len_within() {
            _ if records >= ENOUGH_RECORDS => stored / records,
            // Most values are compressed to more than a quarter.
            len if len >= ENOUGH_RECORDS => ASSUMED_RECORD.max(self.contents.total() / len / 4),
            _ => ASSUMED_RECORD,
        };
        let record = record.max(8);
        let entries = segments.saturating_mul(self.shape().room()) / record;
        let entries = entries.max(self.index.table.len_within() + 1);
        let bins = self.memory.bins.load();
        let more = IndexLayout::bins_for(entries).saturating_sub(bins);
        let segments = more.div_ceil(1 << IndexLayout::SEGMENT_BITS);
        let bins = segments << IndexLayout::SEGMENT_BITS;
        // Directories double, and old ones stay. Together they are a hundredth of the whole.
        let bytes = bins * (BIN_HEAD + IndexLayout::entries()) * size_of::<Word>();
        bytes + bytes / 32 + entries / LINE_ENTRIES * WORD + Self::lines_step()
    }

    /// Whether one more segment may be made.
    fn may_grow(&self) -> bool {
        self.may_grow_by(1)
    }

    fn may_grow_by(&self, more: usize) -> bool {
        let next = self.pool().next_bytes() + (more - 1) * self.shape().bytes();
        let next = self.bytes().saturating_add(next + self.models_to_come());
        let segments = self.pool().made() + more;
        // relaxed: a bound, which only grows.
        let moving = self.moving_to_come(self.memory.longest.load(Ordering::Relaxed));
        let to_come = match segments {
            // A map needs these segments to work at all.
            ..=4 => 0,
            _ if self.index.table.has_arena() => self.directories_to_come() + moving,
            // The index leaves as much of its share, and mostly more: its share is estimated.
            _ => self.index_to_come(segments).max(moving),
        };
        next.saturating_add(to_come) <= self.memory.budget
    }

    /// Counts one more segment if it may be made.
    pub(super) fn reserve_segment(&self) -> bool {
        self.reserve_segment_if(|| self.may_grow())
    }

    /// Counts one more segment if it may be made, or if a sweep may write to it, which frees another.
    pub(super) fn reserve_spill(&self) -> bool {
        self.reserve_segment_if(|| self.may_grow() || self.may_spill())
    }

    fn reserve_segment_if(&self, may: impl Fn() -> bool) -> bool {
        // Two threads that both passed the check could exceed the budget together.
        let _giving = self.memory.giving.lock();
        let may = may();
        if may {
            self.pool().count_one();
        }
        may
    }

    /// Returns the segments that steps keep available, so that writers need not sweep.
    pub(super) fn ahead(&self) -> usize {
        self.pool().reserve + 3 + (self.pool().made() / 32).min(11)
    }

    /// Counts the segments that can be had without sweeping.
    pub(super) fn note_room(&self) {
        if cfg!(hedgerow_loom) {
            // Models sweep explicitly, and have unlimited memory.
            return;
        }
        let free = self.pool().free();
        let wanted = self.ahead().saturating_sub(free).max(1);
        let more = (1..=wanted).rev().find(|&more| self.may_grow_by(more)).unwrap_or(0);
        self.memory.set_scarce(more == 0);
        let more = more + usize::from(self.pool().is_making());
        self.memory.set_room(free + more);
        // The last segments are made at once, so that no write has to make them later.
        let growing = more > 0 && (free <= self.pool().reserve || free + more < self.ahead());
        self.memory.set_growing(growing);
    }

    /// Zeroes a part of the next segment, so that it is there when a writer needs it. Returns whether there was
    /// anything to do.
    pub(super) fn grow_some(&self) -> bool {
        if !self.memory.is_growing() {
            return false;
        }
        if !self.pool().grow(|| self.reserve_segment()) {
            // The segment is complete, or the budget has no room for one.
            self.note_room();
            self.memory.set_growing(false);
        }
        true
    }

    /// Makes a part of a segment for a read, which never waits. Returns whether a segment is there or being made.
    pub(super) fn try_grow_some(&self) -> bool {
        // The first call begins one.
        (0..2).for_each(|_| self.pool().try_grow(|| self.reserve_segment()));
        self.pool().is_making() || self.pool().free() > self.pool().reserve
    }

    /// Notes that a thread needed a segment and there was none.
    pub(super) fn note_no_segment(&self) {
        self.memory.set_scarce(true);
        self.memory.set_room(self.pool().free().min(self.pool().reserve));
    }

    /// Returns the segments that are missing until writers need not sweep.
    pub(super) fn missing_segments(&self) -> usize {
        let room = self.memory.room();
        // Less than `ahead()`, so that steps sweep before writers have to.
        if room >= ENOUGH { 0 } else { (self.ahead() - 1).min(ENOUGH).saturating_sub(room) }
    }

    /// Returns the bytes that an index in segments may still take from the allocator: for directories of its segments
    /// and lines, which are a fiftieth of them.
    fn directories_to_come(&self) -> usize {
        let now = self.memory.table_bytes.load();
        (self.memory.budget / DIRECTORIES + (8 << 10)).saturating_sub(now)
    }

    /// Whether one more segment may be made for a sweep to write to, which frees another.
    fn may_spill(&self) -> bool {
        self.bytes().saturating_add(self.pool().next_bytes()) <= self.memory.budget
    }

    /// Returns the bytes that are reserved for models to come, and for training them.
    fn models_to_come(&self) -> usize {
        let is_done = self.training.is_done() && !self.training.has_failed();
        if is_done || self.models().codecs().len() == 0 {
            return self.memory.retraining_bytes.load();
        }
        self.memory.max_models() / 2 + (self.memory.budget / 8).min(TRAINING)
    }

    /// Counts the bytes of a model before it is added, so that no segment takes them meanwhile. Returns false if that
    /// exceeds the budget.
    pub(super) fn reserve_model(&self, bytes: usize) -> bool {
        let _giving = self.memory.giving.lock();
        self.memory.models_bytes.add(bytes);
        if !self.has_room() {
            self.memory.models_bytes.sub(bytes);
            return false;
        }
        true
    }

    /// Makes sure that sweeps can move a record of `size` bytes. Waits for no sweep.
    pub(super) fn admit_record(&self, size: usize) -> Result<(), StoreError> {
        // relaxed: it only grows, and the bytes were reserved before.
        if size <= self.memory.longest.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.reserve_buffers(size)?;
        // If another thread sweeps, the next sweep makes them: this writer need not wait for a codec.
        if let Some(mut maintenance) = self.maintenance.try_lock() {
            self.make_buffers(&mut maintenance).map_err(|AllocError| StoreError::Alloc)?;
        }
        Ok(())
    }

    #[cold]
    fn reserve_buffers(&self, size: usize) -> Result<(), StoreError> {
        let _giving = self.memory.giving.lock();
        // relaxed: these change under this lock only.
        let before = self.memory.longest.load(Ordering::Relaxed);
        let compressible = self.memory.compressible.load(Ordering::Relaxed);
        let most = self.shape().bytes();
        let longest = size.next_power_of_two().max(SHORTEST).min(most);
        if longest <= before {
            return Ok(());
        }
        let least = compressible.max(SHORTEST);
        let wanted = longest.max(self.reserved_for_compressing()).max(least);
        // A map without codecs only copies.
        let compresses = self.models().codecs().len() > 0;
        let work = if compresses { self.work_bytes() } else { 0 };
        let reserved = self.memory.reserved_buffers.load();
        for compressible in [wanted, least].map(|bytes| if compresses { bytes } else { 0 }) {
            self.memory
                .reserved_buffers
                .store(Maintenance::bytes_for(longest, compressible) + work);
            // Compression leaves the room for longer records alone.
            let rest = if compressible > least { self.moving_to_come(longest) } else { 0 };
            if self.bytes().saturating_add(rest) <= self.memory.budget {
                // relaxed: as above.
                self.memory.compressible.store(compressible, Ordering::Relaxed);
                self.memory.longest.store(longest, Ordering::Relaxed);
                return Ok(());
            }
        }
        self.memory.reserved_buffers.store(reserved);
        Err(StoreError::BudgetExceeded)
    }

    /// Returns the length of values for which all buffers are reserved from the beginning.
    fn reserved_for_compressing(&self) -> usize {
        let each = (self.memory.budget / COMPRESSING / 4).max(1);
        (1 << each.ilog2()).min(self.shape().bytes())
    }

    /// Returns the bytes that are reserved for moving longer records than `longest`.
    fn moving_to_come(&self, longest: usize) -> usize {
        let most = self.shape().bytes();
        if most > self.memory.budget / MOVING { 0 } else { most.saturating_sub(longest) }
    }

    /// Returns the bytes of the compressors' memory, at most.
    fn work_bytes(&self) -> usize {
        if self.memory.budget < LARGE { 2 << 10 } else { 20 << 10 }
    }

    /// Makes the buffers of sweeps as long as was reserved. Records that are too long for those that it could make wait
    /// for another sweep.
    pub(super) fn make_buffers(&self, maintenance: &mut Maintenance) -> Result<(), AllocError> {
        // relaxed: bounds, whose bytes were reserved before they were stored.
        let longest = self.memory.longest.load(Ordering::Relaxed);
        let compressible = self.memory.compressible.load(Ordering::Relaxed);
        if maintenance.has_buffers(longest, compressible) {
            return Ok(());
        }
        let work = &mut maintenance.compressor.work;
        if work.is_none() && self.models().codecs().len() > 0 {
            *work = Some(if self.memory.budget < LARGE { Work::small() } else { Work::new() });
        }
        let made = maintenance.allocate(longest, compressible);
        self.memory.buffers.store(maintenance.bytes());
        made
    }

    /// Counts the bytes of the map itself: of everything but index, segments, models and buffers.
    pub(super) fn count_fixed(&self, maintenance: &Maintenance) {
        let counters = self.contents.bytes() + self.hits.bytes() + self.misses.bytes();
        let current = maintenance.compressor.current.capacity() * size_of::<usize>();
        self.memory.fixed.store(size_of::<Self>() + counters + current);
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::super::builder::Builder;
    use super::*;
    use alloc::vec::Vec;

    /// Writers that have claimed an entry and not stored it yet count for those that come after them.
    #[test]
    fn claims_never_pass_the_entries_that_were_reserved() {
        let store = Store::new(Builder::new(64 << 10).segment_bytes(1 << 10));
        let mut claims = Vec::new();
        for n in 0..20_000_u32 {
            match store.claim_entry() {
                Ok(claim) => claims.push(claim),
                Err(_) => break,
            }
            // relaxed: no other thread.
            let upto = store.memory.table_checked_up_to.load(Ordering::Relaxed);
            let claimed = store.index.table.len() + claims.len();
            assert!(claimed <= upto, "{claimed} entries are claimed, {upto} reserved");
            if n % 100 == 99 {
                claims.clear();
                for n in n - 99..=n {
                    _ = store.insert(&n.to_le_bytes(), b"");
                }
            }
        }
        assert!(store.index.table.len() > 300, "{}", store.index.table.len());
    }
}
