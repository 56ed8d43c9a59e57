//! What a map consists of; appending records, and what leads to them.

use super::builder::Builder;
use super::codec_lock::CodecLock;
use super::expiry::Expiry;
use super::hash::KeyHasher;
use super::learn::Class;
use super::loads::Loads;
use super::models::Models;
use super::pool::Pool;
use super::record::{Head, LONGEST_HEAD, Location, MOST_OPERANDS, Shape};
use super::segment::{self, Segment};
use super::sweep::House;
use super::types::{Merge, Policy};
use crate::api::hasher::DefaultHashBuilder;
use crate::facade::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::facade::lock::Lock;
use crate::sync::stripes::Counter;
use crate::sync::words::{Indirect, WORD};
use crate::table::Table;
use alloc::boxed::Box;
use crc32fast::Hasher as Hasher32;

/// Where there may be fewer segments, none of them is kept for what operands are folded into.
const FEW: usize = 8;

/// A segment that is appended to.
pub(super) struct Open {
    pub(super) number: usize,
    pub(super) at: usize,
    /// Of its bytes, if it is a cold one.
    pub(super) sum: Hasher32,
}

impl Open {
    pub(super) fn new(number: usize, shape: Shape) -> Self {
        Self { number, at: shape.begin(), sum: Hasher32::new() }
    }
}

pub(super) struct Store {
    pub(super) table: Table<Indirect, ()>,
    pub(super) pool: Pool,
    pub(super) models: Models,
    pub(super) hasher: KeyHasher,
    pub(super) merge: Option<Box<dyn Merge>>,
    pub(super) policy: Policy,
    pub(super) expiry: Expiry,
    pub(super) loads: Loads,
    /// The hot segment that is appended to.
    pub(super) hot: Lock<Option<Open>>,
    pub(super) house: CodecLock<House>,
    pub(super) budget: usize,
    /// Bytes of the table, when somebody last looked.
    pub(super) table_bytes: AtomicUsize,
    /// Its bins, then.
    pub(super) bins: AtomicUsize,
    /// So many entries the table may come to hold before somebody has to look again.
    pub(super) looked_up_to: AtomicUsize,
    /// Held while the index is lent a segment.
    pub(super) lending: Lock<()>,
    /// Bytes of what is worked in, and of the map itself.
    pub(super) fixed: AtomicUsize,
    /// Bytes of what codecs have learned.
    pub(super) models_bytes: AtomicUsize,
    /// Those of what they learned last, as far as as much is kept for what comes next.
    pub(super) next_models: AtomicUsize,
    /// The longest record that what is worked in has room for.
    pub(super) longest: AtomicUsize,
    /// Whether codecs have learned, and what that takes is counted.
    pub(super) learned: AtomicBool,
    /// Whether no segment is to be had but by sweeping another.
    pub(super) scarce: AtomicBool,
    /// Segments that are to be had without that, as far as it matters, when somebody last looked.
    pub(super) room: AtomicUsize,
    /// Whether a writer waits to sweep.
    pub(super) wanted: AtomicBool,
    /// Whether there is not one that holds nothing, and one can be made.
    pub(super) growing: AtomicBool,
    /// Whether nothing was found that could make room for what is hot.
    pub(super) crowded: AtomicBool,
    /// Which marks of cold records are forgotten next.
    pub(super) aged: AtomicUsize,
    /// Whether codecs are to learn.
    pub(super) to_learn: AtomicBool,
    /// Sweeps for which writers leave that to others.
    pub(super) patience: AtomicUsize,
    /// Held while they do.
    pub(super) school: CodecLock<Option<Class>>,
    /// Bytes of keys and values.
    pub(super) raw: Counter,
    pub(super) hits: Counter,
    pub(super) misses: Counter,
}

impl Store {
    pub(super) fn new(builder: Builder) -> Self {
        let shape = Shape::new(builder.segment_bits());
        let lends = shape.lent().len() >= Table::least_arena_words();
        let (may_learn, folds) = (!builder.codecs.is_empty(), builder.merge.is_some());
        let store = Self {
            table: if lends { Table::new_in_arena() } else { Table::new() },
            pool: Pool::new(shape, 1 + usize::from(folds && builder.budget / shape.bytes() >= FEW)),
            models: Models::new(builder.codecs),
            hasher: builder
                .hasher
                .unwrap_or_else(|| KeyHasher::Default(DefaultHashBuilder::default())),
            merge: builder.merge,
            policy: builder.policy,
            expiry: Expiry::new(builder.clock, builder.time_to_live, builder.listener),
            loads: Loads::new(),
            hot: Lock::new(None),
            house: CodecLock::new(House::new()),
            budget: builder.budget,
            table_bytes: AtomicUsize::new(0),
            bins: AtomicUsize::new(0),
            looked_up_to: AtomicUsize::new(0),
            lending: Lock::new(()),
            fixed: AtomicUsize::new(size_of::<Self>()),
            models_bytes: AtomicUsize::new(0),
            next_models: AtomicUsize::new(0),
            longest: AtomicUsize::new(0),
            learned: AtomicBool::new(false),
            scarce: AtomicBool::new(false),
            room: AtomicUsize::new(usize::MAX),
            wanted: AtomicBool::new(false),
            growing: AtomicBool::new(false),
            crowded: AtomicBool::new(false),
            aged: AtomicUsize::new(0),
            to_learn: AtomicBool::new(may_learn),
            patience: AtomicUsize::new(0),
            school: CodecLock::new(None),
            raw: Counter::new(),
            hits: Counter::new(),
            misses: Counter::new(),
        };
        if !cfg!(hedgerow_loom) && builder.budget > 1 << 20 {
            [&store.raw, &store.hits, &store.misses].into_iter().for_each(Counter::spread);
        }
        store.begin_models();
        store
    }

    pub(super) fn shape(&self) -> Shape {
        self.pool.shape
    }

    /// The segment of a record, and where its head begins.
    #[inline(always)]
    pub(super) fn place(&self, at: Location) -> Option<(Segment<'_>, usize)> {
        let segment = self.pool.segment(self.shape().segment(at))?;
        let offset = self.shape().offset(at);
        Some((segment, if at.is_over() { offset + WORD } else { offset }))
    }

    /// The head of a record.
    pub(super) fn head(&self, at: Location) -> Option<Head> {
        let (segment, start) = self.place(at)?;
        Some(segment.head(start)?.0)
    }

    /// What a record lies on, if anything.
    pub(super) fn below(&self, at: Location) -> Option<Location> {
        if !at.is_over() {
            return None;
        }
        let below = self.pool.segment(self.shape().segment(at))?.below(self.shape().offset(at));
        (!below.is_none()).then_some(below)
    }

    pub(super) fn generation(&self, at: Location) -> usize {
        self.pool.segment(self.shape().segment(at)).map_or(0, |segment| segment.generation())
    }

    /// Whether a record is of this key.
    #[inline(always)]
    pub(super) fn is_of(&self, at: Location, key: &[u8]) -> bool {
        self.place(at).is_some_and(|(segment, start)| {
            let head = segment.head(start);
            head.is_some_and(|(head, len)| {
                head.key == key.len() && segment.equals(start + len, key)
            })
        })
    }

    /// Whether `target` lies at `top` or below.
    pub(super) fn leads_to(&self, top: Location, target: Location) -> bool {
        let mut at = Some(top);
        for _ in 0..CHAIN {
            match at {
                Some(at) if at == target => return true,
                Some(above) => at = self.below(above),
                None => return false,
            }
        }
        false
    }

    /// Writes a record and counts it. The caller has the segment open. None, and nothing is written, if the record
    /// does not fit.
    pub(super) fn write(
        &self,
        open: &mut Open,
        over: Option<Location>,
        head: Head,
        key: &[u8],
        stored: &[u8],
    ) -> Option<Location> {
        let segment = self.pool.segment(open.number)?;
        let size = head.record(over.is_some());
        // Lengths come from codecs and merge functions, too. Each of them is checked where it comes from, and all here.
        if size > self.shape().end() - open.at
            || (head.key, head.stored) != (key.len(), stored.len())
        {
            return None;
        }
        segment::begin();
        let at = self.shape().location(open.number, open.at, over.is_some());
        let mut start = open.at;
        let mut bytes = [0; LONGEST_HEAD];
        let len = head.write(&mut bytes);
        if let Some(below) = over {
            segment.set_below(open.at, below);
            start += WORD;
        } else {
            for part in [&bytes[..len], key, stored] {
                open.sum.update(part);
            }
        }
        segment.put(start, [&bytes[..len], key, stored]);
        // Before it is linked: so a segment whose count is nothing has no record that may yet be.
        segment.count_up(size);
        open.at += size;
        Some(at)
    }

    /// Appends a record to the hot front, on `below`. None where no segment is to be had.
    pub(super) fn append_hot(
        &self,
        below: Location,
        head: Head,
        key: &[u8],
        value: &[u8],
    ) -> Option<Location> {
        let mut hot = self.hot.lock();
        self.append_to(&mut hot, below, head, key, value, true)
    }

    /// As `append_hot`, but waits for nobody, and has no segment made unless it may.
    pub(super) fn try_append_hot(
        &self,
        below: Location,
        head: Head,
        key: &[u8],
        value: &[u8],
        may_allocate: bool,
    ) -> Option<Location> {
        let mut hot = self.hot.try_lock()?;
        self.append_to(&mut hot, below, head, key, value, may_allocate)
    }

    fn append_to(
        &self,
        hot: &mut Option<Open>,
        below: Location,
        head: Head,
        key: &[u8],
        value: &[u8],
        may_allocate: bool,
    ) -> Option<Location> {
        let size = head.record(true);
        if let Some(open) = hot {
            if open.at + size <= self.shape().end() {
                return self.write(open, Some(below), head, key, value);
            }
            self.pool.seal(open.number, open.at, true);
            *hot = None;
        }
        let may_grow = || may_allocate && self.may_grow();
        let Some(number) = self.pool.take(self.pool.reserve, may_grow) else {
            if may_allocate {
                self.is_out_of_room();
            }
            return None;
        };
        self.has_changed();
        self.note_room();
        let open = hot.insert(Open::new(number, self.shape()));
        self.write(open, Some(below), head, key, value)
    }

    /// Whether no segment is to be had but by sweeping another.
    pub(super) fn is_scarce(&self) -> bool {
        // relaxed: a hint.
        self.scarce.load(Ordering::Relaxed)
    }

    /// Whether nothing was found that could make room for what is hot, and nothing has changed since.
    pub(super) fn is_crowded(&self) -> bool {
        // relaxed: a hint.
        self.crowded.load(Ordering::Relaxed)
    }

    fn has_changed(&self) {
        if self.is_crowded() {
            // relaxed: a hint.
            self.crowded.store(false, Ordering::Relaxed);
        }
    }

    /// A record that was appended was not linked, or is no more.
    pub(super) fn drop_record(&self, at: Location) {
        if let (Some(head), Some((segment, _))) = (self.head(at), self.place(at)) {
            self.count_down(segment, at, head);
        }
    }

    fn count_down(&self, segment: Segment<'_>, at: Location, head: Head) {
        segment.count_down(head.record(at.is_over()));
        if !at.is_over() {
            self.models.count_down(head);
            self.pool.note_dead(segment);
        }
    }

    /// What an entry leads to, all of it. Of one that leads there no more, something.
    pub(super) fn trace(&self, top: Location) -> Trace {
        let mut trace = Trace::default();
        self.trace_into(top, &mut trace);
        trace
    }

    /// As `trace`. A trace is long, and mostly has one record, so it is filled where it is instead of copied.
    pub(super) fn trace_into(&self, top: Location, trace: &mut Trace) {
        trace.len = 0;
        let mut at = Some(top);
        while let Some(here) = at.filter(|_| trace.len < CHAIN) {
            let Some(head) = self.head(here) else { break };
            trace.links[trace.len] = Some((here, head));
            trace.len += 1;
            at = self.below(here);
        }
    }

    /// Everything that an entry led to was unlinked by the caller.
    pub(super) fn unlinked(&self, trace: &Trace) {
        for (at, head) in trace.links() {
            if let Some((segment, _)) = self.place(at) {
                self.count_down(segment, at, head);
            }
        }
        self.raw.add(-trace.raw());
        self.has_changed();
    }
}

/// A record that was appended and that no entry leads to yet. If it is dropped without being linked, for instance
/// because a codec panics while room is made for the index, the record is dead.
pub(super) struct Appended<'a> {
    store: &'a Store,
    pub(super) at: Location,
}

impl<'a> Appended<'a> {
    pub(super) const fn new(store: &'a Store, at: Location) -> Self {
        Self { store, at }
    }

    /// It is linked, and counts as long as it is.
    pub(super) const fn linked(self) {
        core::mem::forget(self);
    }
}

impl Drop for Appended<'_> {
    fn drop(&mut self) {
        self.store.drop_record(self.at);
    }
}

/// Records that an entry may lead to: operands, a plain one, a compressed one.
pub(super) const CHAIN: usize = MOST_OPERANDS as usize + 2;

/// What an entry leads to, the topmost first.
#[derive(Default)]
pub(super) struct Trace {
    /// The first `len` are there.
    links: [Option<(Location, Head)>; CHAIN],
    len: usize,
}

impl Trace {
    /// The records, the topmost first.
    #[inline]
    pub(super) fn links(&self) -> impl DoubleEndedIterator<Item = (Location, Head)> {
        self.links[..self.len].iter().flatten().copied()
    }

    /// Forgets all of them.
    pub(super) const fn clear(&mut self) {
        self.len = 0;
    }

    /// Bytes of key and value, as far as they are counted.
    pub(super) fn raw(&self) -> isize {
        let base = self.links().find(|(_, head)| !head.is_operand()).or(self.links().next_back());
        base.map_or(0, |(_, head)| (head.key + head.plain).cast_signed())
    }

    /// When the entry expires; 0 for never.
    pub(super) fn deadline(&self) -> u64 {
        let base = self.links().find(|(_, head)| !head.is_operand());
        base.map_or(0, |(_, head)| head.deadline)
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;
    use alloc::vec;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn store() -> Store {
        Store::new(Builder::new(64 << 10).segment_bytes(1 << 10))
    }

    fn open(store: &Store) -> Open {
        let number = store.pool.take(0, || true).expect("there is room");
        Open::new(number, store.shape())
    }

    #[test]
    fn a_record_is_written_only_where_it_fits() {
        let store = store();
        let (end, begin) = (store.shape().end(), store.shape().begin());
        let most = end - begin - Head::raw(3, 900).len() - 3;
        for (at, stored, fits) in [
            (begin, most, true),
            (begin, most + 1, false),
            (begin, 1 << 20, false),
            (end - 10, 4, true),
            (end - 10, 5, false),
            (end, 0, false),
        ] {
            let mut open = open(&store);
            open.at = at;
            let stored = vec![7; stored];
            let written = store.write(&mut open, None, Head::raw(3, stored.len()), b"key", &stored);
            let told = "a record was written beyond its segment";
            assert_eq!(written.is_some(), fits, "{told}: {} bytes at {at}", stored.len());
            let segment = store.pool.segment(open.number).expect("it is open");
            assert_eq!((segment.live() > 0, open.at > at), (fits, fits));
        }
    }

    /// What a head says is what is written, or nothing.
    #[test]
    fn a_record_is_as_long_as_its_head_says() {
        let store = store();
        let mut open = open(&store);
        for (key, stored) in [(3, 4), (2, 5), (3, 6)] {
            let head = Head::raw(key, stored);
            let written = store.write(&mut open, None, head, b"key", b"value");
            assert_eq!(written, None, "a record of other lengths than its head says");
        }
        assert!(store.write(&mut open, None, Head::raw(3, 5), b"key", b"value").is_some());
    }

    #[test]
    fn no_word_is_written_beyond_a_segment() {
        let store = store();
        let open = open(&store);
        let segment = store.pool.segment(open.number).expect("it is open");
        let bytes = store.shape().bytes();
        // In release builds, too, where nothing is asserted of single words.
        let refused = |work: &dyn Fn()| {
            let payload = catch_unwind(AssertUnwindSafe(work)).err();
            let text = payload.and_then(|payload| payload.downcast_ref::<&str>().copied());
            text.is_some_and(|text| text.ends_with("would be written beyond a segment"))
        };
        let told = "was written without a look at the segment's end";
        for (at, len) in [(bytes - 8, 9), (bytes, 1), (0, bytes + 1), (usize::MAX, 1)] {
            assert!(
                refused(&|| segment.put(at, [&[], &vec![1; len - 1], &[1]])),
                "{len} bytes at {at} {told}"
            );
        }
        assert!(refused(&|| segment.set_below(bytes, Location::NONE)), "a word {told}");
        assert!(refused(&|| segment.put_kind(bytes, 1)), "a kind {told}");
        segment.put(bytes - 8, [&[1; 4], &[1; 4], &[]]);
    }
}
