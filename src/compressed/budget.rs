//! What may be allocated.
//!
//! Segments are not given back while the map is shared, and the index grows with the number of entries. So it is lent
//! segments: as one is swept empty, it may be records' again or the index's. In a small map, of which a segment is
//! little more than the index takes at a time, a segment is only taken where the budget also has room for the index
//! that its records will need.

use super::codec::Work;
use super::store::Store;
use super::sweep::House;
use super::types::StoreError;
use crate::bins::layout::{BIN_HEAD, Layout};
use crate::facade::Word;
use crate::facade::atomic::Ordering;
use crate::sync::cache::LINE_BYTES;
use crate::sync::stripes::STRIPES;
use crate::sync::words::{Indirect, WORD};

type Bins = Layout<Indirect, ()>;

/// What the index lacks for one more entry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Shortage {
    /// A segment, which sweeping may make.
    Segment,
    Budget,
}

/// With so many segments to be had without sweeping writers leave that to others.
const ENOUGH: usize = 4;
/// Entries for which overflow lines take a word.
const LINE_ENTRIES: usize = 4;
/// Entries after which the index is looked at again.
const LOOK: usize = 256;
/// Records that are enough to tell what one takes.
const TOLD: usize = 32;
/// Such a part of the budget is kept for what leads to the index's memory.
const TABLES: usize = 128;
/// What codecs learn may take that much where there is plenty.
const MODELS: usize = 512 << 10;
/// Codecs take about that much for a while when they learn.
const LEARNING: usize = 1 << 20;
/// A budget from which on compressors are given much memory to work in.
const LARGE: usize = 4 << 20;
/// What a compressed record takes, before there are enough to tell: little, for many small ones need a large index,
/// and segments that were taken are not given back.
const RECORD: usize = 24;

impl Store {
    /// Bytes of everything, with what the index may come to take before somebody looks at it.
    pub(super) fn bytes(&self) -> usize {
        // relaxed: a figure.
        self.bytes_but_index().saturating_add(self.table_bytes.load(Ordering::Relaxed))
    }

    /// Bytes of everything else.
    pub(super) fn bytes_but_index(&self) -> usize {
        // relaxed: figures.
        let models = self.models_bytes.load(Ordering::Relaxed);
        // relaxed: as above. A model may say that it takes anything.
        (self.fixed.load(Ordering::Relaxed) + self.pool.bytes()).saturating_add(models)
    }

    /// Bytes by which the index may grow at a time.
    fn table_step(table: usize) -> usize {
        let bins = 1 << Bins::SEGMENT_BITS;
        let small = table < Bins::segment_words(bins) * size_of::<Word>();
        // The first large table counts in stripes.
        let (segments, stripes) = if small { (1, STRIPES * LINE_BYTES * 2) } else { (2, 0) };
        // Directories double: they are a hundredth of the whole, and the old ones stay.
        segments * Bins::segment_words(bins) * size_of::<Word>()
            + Bins::chunk() * size_of::<Word>()
            + table / 32
            + 64 * WORD
            + stripes
    }

    /// Bytes by which the index grows where it is asked for room for one more entry.
    fn table_least(table: usize) -> usize {
        let segment = Bins::segment_words(1 << Bins::SEGMENT_BITS) * size_of::<Word>();
        if table < segment {
            return Self::table_step(table);
        }
        segment + Self::lines_step() + table / 32 + 32 * WORD
    }

    /// Bytes by which the index grows where its bins do: for some more overflow lines.
    fn lines_step() -> usize {
        Bins::chunk() * size_of::<Word>() + 32 * WORD
    }

    /// Whether the index may have one more entry. Where it takes its memory from the pool, that is lent here.
    pub(super) fn may_add_key(&self) -> Result<(), Shortage> {
        let len = self.table.len();
        // relaxed: a bound that was true when it was stored.
        let looked = len < self.looked_up_to.load(Ordering::Relaxed);
        if looked { Ok(()) } else { self.may_grow_table(len) }
    }

    #[cold]
    fn may_grow_table(&self, len: usize) -> Result<(), Shortage> {
        if self.table.has_arena() {
            return self.provide_index(len);
        }
        let usage = self.table.usage();
        // relaxed: a figure.
        self.bins.store(usage.bins, Ordering::Relaxed);
        let fits = |upto: usize| Bins::bins_for(upto) <= usage.bins;
        let (upto, more) = match (fits(len + LOOK), fits(len + 1)) {
            (true, _) => (len + LOOK, Self::lines_step()),
            (_, true) => (len + 1, Self::lines_step()),
            _ => (len + LOOK, Self::table_step(usage.bytes)),
        };
        self.may_count(usage.bytes, more, upto).or_else(|lack| {
            if fits(len + 1) {
                return Err(lack);
            }
            // Little is left: what the very next one asks for.
            self.may_count(usage.bytes, Self::table_least(usage.bytes), len + 1)
        })
    }

    /// Counts what the index is about to take, before it does, so that no segment takes it meanwhile; whether that is
    /// within the budget.
    fn may_count(&self, now: usize, more: usize, upto: usize) -> Result<(), Shortage> {
        // relaxed: figures.
        self.table_bytes.store(now + more, Ordering::Relaxed);
        let may = self.bytes() <= self.budget;
        if may {
            // relaxed: as above.
            self.looked_up_to.store(upto, Ordering::Relaxed);
        } else {
            // relaxed: as above.
            self.table_bytes.store(now, Ordering::Relaxed);
        }
        may.then_some(()).ok_or(Shortage::Budget)
    }

    /// Lends the index what some more entries need; whether it has room for one more.
    pub(super) fn provide_index(&self, len: usize) -> Result<(), Shortage> {
        let _one_at_a_time = self.lending.lock();
        let usage = self.table.usage();
        let fits = |upto: usize| Bins::bins_for(upto) <= usage.bins + self.table.arena_bins();
        let upto = if fits(len + LOOK) || self.lend() {
            len + LOOK
        } else if fits(len + 1) {
            len + 1
        } else {
            return Err(Shortage::Segment);
        };
        // All that it still takes from the allocator: small tables, and what leads to segments and lines.
        let more = if usage.bins < 1 << Bins::SEGMENT_BITS {
            Self::table_step(0)
        } else {
            usage.doubling + 64 * WORD
        };
        self.may_count(usage.bytes, more, upto)
    }

    /// Lends the index a segment, if there is one; whether there was.
    pub(super) fn lend(&self) -> bool {
        let Some((first, words)) = self.pool.lend(|| self.may_grow()) else {
            self.is_out_of_room();
            return false;
        };
        self.note_room();
        // SAFETY: words of a segment, which lives as long as the pool, and that as long as the table. No entry leads
        // to a record in it, since it was taken from those that hold nothing, and it is not given back; whoever still
        // reads one that was there validates its bin ([CM-1]), and writes no word but those of the marks.
        unsafe { self.table.add_to_arena(first, words) }
        true
    }

    /// Bytes that the index has yet to grow by until `segments` are full of compressed records.
    fn table_to_come(&self, segments: usize) -> usize {
        let (records, stored) = self.models.cold();
        let record = match self.table.len() {
            _ if records >= TOLD => stored / records,
            // A quarter of what it was is less than most come to.
            len if len >= TOLD => RECORD.max(self.raw.total() / len / 4),
            _ => RECORD,
        };
        let record = record.max(8);
        let entries = segments.saturating_mul(self.shape().room()) / record;
        let entries = entries.max(self.table.len() + 1);
        // relaxed: a figure.
        let more = Bins::bins_for(entries).saturating_sub(self.bins.load(Ordering::Relaxed));
        let segments = more.div_ceil(1 << Bins::SEGMENT_BITS);
        let bins = segments << Bins::SEGMENT_BITS;
        // Directories double: they are a hundredth of the whole, and the old ones stay.
        let bytes = bins * (BIN_HEAD + Bins::entries()) * size_of::<Word>();
        bytes + bytes / 32 + entries / LINE_ENTRIES * WORD + Self::lines_step()
    }

    /// Whether there may be one more segment.
    pub(super) fn may_grow(&self) -> bool {
        self.may_grow_by(1)
    }

    fn may_grow_by(&self, more: usize) -> bool {
        let next = self.pool.next_bytes() + (more - 1) * self.shape().bytes();
        let next = self.bytes().saturating_add(next + self.models_to_come());
        let segments = self.pool.made() + more;
        // So few are needed for anything to go on.
        let to_come = match segments {
            ..=4 => 0,
            _ if self.table.has_arena() => self.tables_to_come(),
            _ => self.table_to_come(segments),
        };
        next.saturating_add(to_come) <= self.budget
    }

    /// Segments that steps see to it that there are without sweeping.
    pub(super) fn ahead(&self) -> usize {
        self.pool.reserve + 3 + (self.pool.made() / 32).min(11)
    }

    /// Looks how many segments are to be had without sweeping.
    pub(super) fn note_room(&self) {
        if cfg!(hedgerow_loom) {
            // Models sweep when they say so, and have memory without end.
            return;
        }
        let free = self.pool.free();
        let wanted = self.ahead().saturating_sub(free).max(1);
        let more = (1..=wanted).rev().find(|&more| self.may_grow_by(more)).unwrap_or(0);
        // relaxed: hints.
        self.scarce.store(more == 0, Ordering::Relaxed);
        let more = more + self.pool.coming();
        // relaxed: as above.
        self.room.store(free + more, Ordering::Relaxed);
        // The last ones are made all, so that nothing is left to be made later.
        let growing = more > 0 && (free <= self.pool.reserve || free + more < self.ahead());
        // relaxed: as above.
        self.growing.store(growing, Ordering::Relaxed);
    }

    /// Makes a little of the next segment, so that it is there when it is needed; whether there was anything to do.
    pub(super) fn grow_some(&self) -> bool {
        // relaxed: a hint.
        if !self.growing.load(Ordering::Relaxed) {
            return false;
        }
        if !self.pool.grow(|| self.may_grow()) {
            // There is one, or there will be none.
            self.note_room();
            // relaxed: a hint.
            self.growing.store(false, Ordering::Relaxed);
        }
        true
    }

    /// A segment was wanted, and there was none.
    pub(super) fn is_out_of_room(&self) {
        // relaxed: hints.
        self.scarce.store(true, Ordering::Relaxed);
        // relaxed: as above.
        self.room.store(self.pool.free().min(self.pool.reserve), Ordering::Relaxed);
    }

    /// Segments that are to be had without sweeping, as far as it matters.
    pub(super) fn room(&self) -> usize {
        // relaxed: a hint.
        self.room.load(Ordering::Relaxed)
    }

    /// Segments that are lacking until writers need not sweep.
    pub(super) fn lack(&self) -> usize {
        let room = self.room();
        // Fewer than steps see to, so that those come first.
        if room >= ENOUGH { 0 } else { (self.ahead() - 1).min(ENOUGH).saturating_sub(room) }
    }

    /// Bytes that an index which is lent its memory may yet take from the allocator: for what leads to its segments
    /// and lines, which is a fiftieth of them.
    fn tables_to_come(&self) -> usize {
        // relaxed: a figure.
        (self.budget / TABLES + (8 << 10)).saturating_sub(self.table_bytes.load(Ordering::Relaxed))
    }

    /// Whether there may be one more segment to sweep others into, which makes up for it.
    pub(super) fn may_spill(&self) -> bool {
        self.bytes().saturating_add(self.pool.next_bytes()) <= self.budget
    }

    /// Bytes that are kept for what codecs are yet to learn, and for what they take meanwhile.
    fn models_to_come(&self) -> usize {
        // relaxed: a hint.
        let learned = self.learned.load(Ordering::Relaxed);
        if learned || self.models.codecs().len() == 0 {
            // relaxed: a figure.
            return self.next_models.load(Ordering::Relaxed);
        }
        self.models_room() / 2 + (self.budget / 8).min(LEARNING)
    }

    /// Counts what a model takes, no more than all of them may, before it is added, so that no segment takes it
    /// meanwhile; whether that is within the budget.
    pub(super) fn may_keep(&self, bytes: usize) -> bool {
        // relaxed: a figure; models are added under the house's lock.
        self.models_bytes.fetch_add(bytes, Ordering::Relaxed);
        if self.bytes() > self.budget {
            // relaxed: as above.
            self.models_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        true
    }

    /// Bytes that what codecs learn may take.
    pub(super) fn models_room(&self) -> usize {
        (self.budget / 6).min(MODELS.max(self.budget / 64)).min(2 * MODELS)
    }

    /// Makes sure that what is worked in has room for a record of so many bytes.
    pub(super) fn admit_record(&self, size: usize) -> Result<(), StoreError> {
        // relaxed: it only grows, and a record is in no segment before this was told.
        if size <= self.longest.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut house = self.house.lock();
        // relaxed: changes under the lock only.
        let before = self.longest.load(Ordering::Relaxed);
        let longest = size.next_power_of_two().max(256).min(self.shape().bytes());
        if longest <= before {
            return Ok(());
        }
        let more = house.bytes_for(longest) - house.bytes();
        let small = self.budget < LARGE;
        let work = || match small {
            _ if self.models.codecs().len() == 0 => None,
            true => Some(Work::small()),
            false => Some(Work::new()),
        };
        let more = more + if before == 0 { if small { 2 << 10 } else { 20 << 10 } } else { 0 };
        if self.bytes().saturating_add(more) > self.budget {
            return Err(StoreError::BudgetExceeded);
        }
        house.make_room(longest, work).map_err(|_| StoreError::Alloc)?;
        self.settle_fixed(&house);
        // relaxed: as above.
        self.longest.store(longest, Ordering::Relaxed);
        Ok(())
    }

    /// Counts what is neither index nor segment nor learned.
    pub(super) fn settle_fixed(&self, house: &House) {
        let counters = self.raw.bytes() + self.hits.bytes() + self.misses.bytes();
        // relaxed: a figure.
        self.fixed.store(size_of::<Self>() + counters + house.bytes(), Ordering::Relaxed);
    }

    /// Counts what was learned.
    pub(super) fn settle_models(&self) {
        // relaxed: a figure.
        self.models_bytes.store(self.models.bytes(), Ordering::Relaxed);
    }
}
