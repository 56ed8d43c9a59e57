//! What may be allocated.
//!
//! Segments are not given back while the map is shared, and the index grows with the number of entries. So a
//! segment is taken only where the budget also has room for the index that its records will need.

use super::store::Store;
use super::sweep::House;
use super::types::StoreError;
use crate::bins::layout::{CHUNK_LINES, Layout};
use crate::facade::Word;
use crate::facade::atomic::Ordering;
use crate::sync::words::{Afar, WORD};

type Bins = Layout<Afar, ()>;

/// What an entry of the index takes, before there are enough to tell.
const ENTRY: usize = 3 * WORD;
/// Entries after which the index is looked at again.
const LOOK: usize = 256;
/// What a compressed record takes, before there are enough to tell.
const RECORD: usize = 64;

impl Store {
    /// Bytes of everything.
    pub(super) fn bytes(&self) -> usize {
        // relaxed: figures.
        let table = self.table_bytes.load(Ordering::Relaxed);
        // relaxed: as above.
        let models = self.models_bytes.load(Ordering::Relaxed);
        // relaxed: as above.
        self.fixed.load(Ordering::Relaxed) + models + table + self.pool.bytes()
    }

    /// Bytes by which the index may grow at a time.
    fn table_step(&self, table: usize) -> usize {
        let bins = 1 << Bins::SEGMENT_BITS;
        let segments = if table < Bins::segment_words(bins) * size_of::<Word>() { 1 } else { 2 };
        // Directories double: they are a hundredth of the whole, and the old ones stay.
        segments * Bins::segment_words(bins) * size_of::<Word>()
            + CHUNK_LINES * Bins::LINE * size_of::<Word>()
            + table / 32
            + 64 * WORD
    }

    /// Looks at what the index takes.
    pub(super) fn look_at_table(&self) -> usize {
        let bytes = self.table.usage().bytes;
        // relaxed: a figure.
        self.table_bytes.store(bytes, Ordering::Relaxed);
        bytes
    }

    /// Whether the index may have one more entry.
    pub(super) fn may_add_key(&self) -> bool {
        let len = self.table.len();
        // relaxed: a bound that was true when it was stored.
        len < self.looked_up_to.load(Ordering::Relaxed) || self.may_grow_table(len)
    }

    #[cold]
    fn may_grow_table(&self, len: usize) -> bool {
        let usage = self.table.usage();
        // relaxed: figures.
        self.table_bytes.store(usage.bytes, Ordering::Relaxed);
        if self.bytes() + self.table_step(usage.bytes) <= self.budget {
            // relaxed: as above.
            self.looked_up_to.store(len + LOOK, Ordering::Relaxed);
            return true;
        }
        // Nothing grows for this one, but for a line of those that there are.
        Bins::bins_for(len + 1) <= usage.bins && self.bytes() + self.table_step(0) <= self.budget
    }

    /// Bytes that the index has yet to grow by until `segments` are full of compressed records.
    fn table_to_come(&self, segments: usize) -> usize {
        // relaxed: a figure.
        let table = self.table_bytes.load(Ordering::Relaxed);
        let (records, stored) = self.models.cold();
        let record = if records < LOOK { RECORD } else { stored / records }.max(8);
        let len = self.table.len();
        let entry = if len < LOOK { ENTRY } else { table.div_ceil(len).clamp(2 * WORD, 4 * WORD) };
        let entries = segments.saturating_mul(self.shape().room()) / record;
        entries.saturating_mul(entry).saturating_sub(table).max(self.table_step(table))
    }

    /// Whether there may be one more segment.
    pub(super) fn may_grow(&self) -> bool {
        let next = self.bytes() + self.pool.next_bytes() + self.models_to_come();
        let segments = self.pool.made() + 1;
        // So few are needed for anything to go on.
        let to_come = if segments <= 4 { 0 } else { self.table_to_come(segments) };
        next.saturating_add(to_come) <= self.budget
    }

    /// Bytes that are kept for what codecs are yet to learn.
    fn models_to_come(&self) -> usize {
        // relaxed: a hint.
        let learned = self.learned.load(Ordering::Relaxed);
        if learned { 0 } else { self.models_room() * usize::from(!self.models.codecs().is_empty()) }
    }

    /// Bytes that what codecs learn may take.
    pub(super) fn models_room(&self) -> usize {
        (self.budget / 16).min(1 << 17)
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
        if self.bytes() + more > self.budget {
            return Err(StoreError::BudgetExceeded);
        }
        house.make_room(longest).map_err(|_| StoreError::Alloc)?;
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
