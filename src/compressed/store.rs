//! The parts of a map, and the hot front, to which all new values are appended.

use super::builder::Builder;
use super::codec_lock::CodecLock;
use super::expiry::ExpirySettings;
use super::hash::KeyHasher;
use super::index::Index;
use super::loads::Loads;
use super::maintenance::Maintenance;
use super::memory::MemoryFigures;
use super::models::Models;
use super::pool::SegmentPool;
use super::record::{RecordHead, RecordLocation, Shape};
use super::records::{Chain, OpenSegment, Records};
use super::trainer::Training;
use super::types::{Merge, Policy};
use crate::api::hasher::DefaultHashBuilder;
use crate::facade::atomic::{AtomicBool, AtomicUsize};
use crate::facade::lock::Lock;
use crate::sync::hint::Hint;
use crate::sync::stripes::ShardedCounter;
use crate::sync::words::Indirect;
use crate::table::Table;
use alloc::boxed::Box;
use core::cell::Cell;

/// With fewer segments than this, no second segment is reserved for folding operands.
const MIN_FOR_RESERVE: usize = 8;

/// A map: the parts that its operations share. The operations are in the files above this one.
pub(super) struct Store {
    pub(super) index: Index,
    pub(super) memory: MemoryFigures,
    pub(super) training: Training,
    pub(super) maintenance: CodecLock<Maintenance>,
    pub(super) expiry: ExpirySettings,
    pub(super) merge: Option<Box<dyn Merge>>,
    pub(super) policy: Policy,
    pub(super) loads: Loads,
    /// The hot segment to which records are appended.
    pub(super) hot: Lock<Option<OpenSegment>>,
    /// Whether a writer waits for the maintenance lock.
    pub(super) sweep_wanted: Hint<AtomicBool>,
    /// The place from which read marks of cold records are cleared next.
    pub(super) age_cursor: AtomicUsize,
    /// Bytes of keys and values.
    pub(super) contents: ShardedCounter,
    pub(super) hits: ShardedCounter,
    pub(super) misses: ShardedCounter,
}

impl Store {
    pub(super) fn new(builder: Builder) -> Self {
        let shape = Shape::new(builder.segment_bits());
        let index_in_segments =
            shape.index_words().len() >= Table::<Indirect, ()>::least_arena_words();
        let (may_train, folds) = (!builder.codecs.is_empty(), builder.merge.is_some());
        // Sweeps need one segment to write to; folding may fill a second.
        let reserve = 1 + usize::from(folds && builder.budget / shape.bytes() >= MIN_FOR_RESERVE);
        let default_hasher = || KeyHasher::Default(DefaultHashBuilder::default());
        let hasher = builder.hasher.unwrap_or_else(default_hasher);
        let records = Records::new(shape, reserve, builder.codecs);
        let store = Self {
            index: Index::new(index_in_segments, hasher, records),
            memory: MemoryFigures::new(builder.budget, size_of::<Self>()),
            training: Training::new(may_train),
            maintenance: CodecLock::new(Maintenance::new()),
            expiry: ExpirySettings::new(builder.clock, builder.time_to_live, builder.listener),
            merge: builder.merge,
            policy: builder.policy,
            loads: Loads::new(),
            hot: Lock::new(None),
            sweep_wanted: Hint::<AtomicBool>::new(false),
            age_cursor: AtomicUsize::new(0),
            contents: ShardedCounter::new(),
            hits: ShardedCounter::new(),
            misses: ShardedCounter::new(),
        };
        if !cfg!(hedgerow_loom) && builder.budget > 1 << 20 {
            [&store.contents, &store.hits, &store.misses]
                .into_iter()
                .for_each(ShardedCounter::spread);
        }
        store.add_untrained_models();
        store
    }

    #[inline(always)]
    pub(super) fn records(&self) -> &Records {
        &self.index.records
    }

    #[inline(always)]
    pub(super) fn pool(&self) -> &SegmentPool {
        &self.index.records.pool
    }

    #[inline(always)]
    pub(super) fn models(&self) -> &Models {
        &self.index.records.models
    }

    pub(super) fn shape(&self) -> Shape {
        self.records().shape()
    }

    /// Appends a record to the hot front, on top of `below`. Makes a segment if there is none for it; returns `None` if
    /// there is no room for one.
    pub(super) fn append_hot(
        &self,
        below: RecordLocation,
        head: RecordHead,
        key: &[u8],
        value: &[u8],
    ) -> Option<RecordLocation> {
        let mut hot = self.hot.lock();
        let size = head.record_len(true);
        if let Some(open) = hot.as_mut() {
            if open.at + size <= self.shape().end() {
                return self.records().append(open, Some(below), head, key, value);
            }
            self.pool().seal(open.number, open.at, true);
            *hot = None;
        }
        let may_make = || self.reserve_segment();
        // The reserve stays for sweeps: if the hot front took it, no sweep could free a segment any more.
        let Some(number) = self.pool().take(self.pool().reserve, may_make) else {
            self.note_no_segment();
            return None;
        };
        self.records().append(self.opened(&mut hot, number), Some(below), head, key, value)
    }

    /// Appends as `append_hot` does, but waits for no lock, and makes no whole segment: if there is none, it makes a
    /// part of one, if it may allocate, and returns `None`. So it does if another thread has the front or the pool.
    pub(super) fn try_append_hot(
        &self,
        below: RecordLocation,
        head: RecordHead,
        key: &[u8],
        value: &[u8],
        may_allocate: bool,
    ) -> Option<RecordLocation> {
        let mut hot = self.hot.try_lock()?;
        let size = head.record_len(true);
        if let Some(open) = hot.as_mut().filter(|open| open.at + size <= self.shape().end()) {
            return self.records().append(open, Some(below), head, key, value);
        }
        let full = hot.as_ref().map(|open| (open.number, open.at));
        let Some(number) = self.pool().try_take(self.pool().reserve, full) else {
            if may_allocate && !self.try_grow_some() {
                self.note_no_segment();
            }
            return None;
        };
        self.records().append(self.opened(&mut hot, number), Some(below), head, key, value)
    }

    fn opened<'a>(&self, hot: &'a mut Option<OpenSegment>, number: usize) -> &'a mut OpenSegment {
        self.memory.note_change();
        self.note_room();
        hot.insert(OpenSegment::new(number, self.shape()))
    }

    /// Seals the hot segment to which records are appended.
    pub(super) fn seal_hot(&self) {
        let open = self.hot.lock().take();
        if let Some(open) = open {
            self.pool().seal(open.number, open.at, true);
        }
    }

    /// Notes that a chain was unlinked, whose bytes the index has counted as dead.
    pub(super) fn note_unlinked(&self, chain: &Chain) {
        self.contents.add(-chain.contents());
        self.memory.note_change();
    }
}

/// An appended record, to which an entry may refer by now. When this is dropped, the record is counted: as a value if
/// it is linked, else as dead. A panic of the user's code between the two cannot lose the difference.
pub(super) struct Appended<'a> {
    store: &'a Store,
    pub(super) at: RecordLocation,
    /// Whether an entry refers to the record, whose bytes stay live then.
    pub(super) is_linked: Cell<bool>,
    /// The bytes of key and value by which the map's contents grow with the record.
    pub(super) contents: isize,
}

impl<'a> Appended<'a> {
    pub(super) const fn new(store: &'a Store, at: RecordLocation, contents: isize) -> Self {
        Self { store, at, is_linked: Cell::new(false), contents }
    }
}

impl Drop for Appended<'_> {
    fn drop(&mut self) {
        if self.is_linked.get() {
            self.store.contents.add(self.contents);
        } else {
            self.store.records().drop_record(self.at);
        }
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::Duration;

    fn cold() -> Arc<Store> {
        let store = Arc::new(Store::new(Builder::new(256 << 10).segment_bytes(4 << 10)));
        for n in 0..200_u8 {
            store.insert(&[n], &[n; 40]).expect("there is room");
        }
        store.sweep_hot();
        store.seal_cold();
        store
    }

    /// Appends a record for a read.
    fn promote(store: &Store) -> Option<RecordLocation> {
        store.try_append_hot(
            RecordLocation::NONE,
            RecordHead::of_plain(1, 40),
            b"k",
            &[1; 40],
            true,
        )
    }

    /// More than one segment of them, so that the pool is asked for the next.
    #[test]
    fn a_promotion_does_not_wait_for_the_pool() {
        let store = cold();
        let (done, is_done) = channel();
        let other = store.clone();
        let in_time = store.pool().beside_its_lock(|| {
            thread::spawn(move || {
                (0..200).for_each(|_| _ = promote(&other));
                done.send(())
            });
            is_done.recv_timeout(Duration::from_secs(10)).is_ok()
        });
        assert!(in_time, "a read waits for the pool's lock");
    }

    /// Without a free segment, promotions make one, a part at a time.
    #[test]
    fn promotions_make_room_for_more() {
        let store = cold();
        let taken = store.pool().free();
        (0..taken).for_each(|_| _ = store.pool().take(0, || false));
        // A part a call, and the reserve first.
        let made = (0..10).find_map(|_| promote(&store));
        assert!(made.is_some(), "reads of cold values make no segment");
    }
}
