//! The hash table below all hash maps of this crate, without hashers and without `Borrow`.
//!
//! Linear hashing over bins that never move and are never freed while the table is shared. Because of that, a reader
//! needs no guard, no pin and no reclamation. The modules: `read` looks keys up, `write` changes entries, `grow` and
//! `split` add bins, `walk` and `scan` visit all bins, and `window` looks many keys up together.

mod arena;
pub(crate) mod directory;
mod extent;
mod grow;
#[cfg(all(test, hedgerow_loom, not(hedgerow_shuttle)))]
mod keys_loom;
mod line_caches;
#[cfg(all(test, hedgerow_loom, not(hedgerow_shuttle)))]
mod loom;
mod overflow;
#[cfg(feature = "rayon")]
pub(crate) mod pieces;
pub(crate) mod read;
pub(crate) mod scan;
mod segment;
mod split;
pub(crate) mod walk;
pub(crate) mod window;
pub(crate) mod write;

use self::arena::TableArena;
use self::directory::{Directory, DirectoryHead};
use self::extent::Extents;
use self::overflow::OverflowPool;
use self::segment::NewSegment;
use crate::api::failure::Failure;
use crate::api::hash::KeyHash;
use crate::bins::bin::Bin;
use crate::bins::layout::Layout;
use crate::bins::tags::{Depth, Tags};
use crate::error::TryReserveError;
use crate::facade::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use crate::facade::lock::Lock;
use crate::facade::{IN_USERS_MODEL, Scheduled, Word};
use crate::memory::{self, AllocError, Words};
use crate::sync::backoff::{Backoff, WouldWait};
use crate::sync::hint::Hint;
use crate::sync::stripes::ShardedCounter;
use crate::sync::words::Indirect;
use alloc::vec::Vec;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::ptr;

/// The sizes of the small tables that a map begins with, in bits of the bin number. Each small table is one segment,
/// and growth moves all keys of one to the next. The table after the last has segments of full size, and grows by
/// splits.
const SMALL: &[u32] = if cfg!(hedgerow_loom) {
    &[0]
} else if IN_USERS_MODEL {
    // Entries are mostly in different bins, so a walk has a step for each.
    &[5]
} else {
    &[0, 2, 5]
};

/// The memory that a table uses.
#[derive(Default)]
pub(crate) struct TableUsage {
    pub(crate) bins: usize,
    /// Overflow lines that hold entries.
    pub(crate) overflow_lines: usize,
    /// Bytes of everything, except memory of the arena.
    pub(crate) bytes: usize,
    /// Bytes of the next directory and the next list of lines, which are twice as long as the current ones.
    pub(crate) doubling: usize,
    /// Bytes that are unused, but freed only with the table.
    pub(crate) retired_bytes: usize,
}

/// A hash table that grows.
///
/// The fields are in this order so that `count` and the free list of `pool`, which many inserts and removals write, are
/// not on the cache line of the directory's address, which every lookup reads. A gap in `count` keeps them apart.
#[repr(C)]
pub(crate) struct Table<K, V> {
    /// The current directory; `Directory::none` until the first insert.
    directory: AtomicPtr<DirectoryHead<K, V>>,
    /// The number of bins that writers have claimed to initialize, in a table of full segments: the next segment's
    /// first bin. Growth checks the bins themselves.
    claimed: Hint<AtomicUsize>,
    /// Whether a move to a larger table was interrupted: the table has uninitialized bins, and no thread is moving
    /// keys.
    interrupted: Hint<AtomicBool>,
    /// Held while the directory, or an entry of it, is replaced.
    growth: Lock<()>,
    extents: Extents<K, V>,
    count: ShardedCounter,
    /// The steps of operations, in a model of a user's program.
    scheduled: Scheduled,
    pool: OverflowPool<K, V>,
}

// SAFETY: the raw pointers are to memory that the table owns. Threads pass each other copies of keys and values through
// it, which needs `Send` alone: no thread borrows one in place.
unsafe impl<K: Send, V: Send> Send for Table<K, V> {}
// SAFETY: as above: all shared words are accessed atomically, and only copies of keys and values leave the table.
unsafe impl<K: Send, V: Send> Sync for Table<K, V> {}

// No user code runs while the table is in a state that a panic must not leave behind.
impl<K, V> UnwindSafe for Table<K, V> {}
impl<K, V> RefUnwindSafe for Table<K, V> {}

impl<K, V> Table<K, V> {
    crate::facade::const_unless_loom! {
        pub(crate) fn new() -> Self
        where
            K: Copy,
            V: Copy,
        {
            Self {
                directory: AtomicPtr::new(Directory::none()),
                claimed: Hint::<AtomicUsize>::new(0),
                interrupted: Hint::<AtomicBool>::new(false),
                growth: Lock::new(()),
                extents: Extents::new(),
                pool: OverflowPool::new(TableArena::none()),
                count: ShardedCounter::new(),
                scheduled: Scheduled::new(),
            }
        }
    }

    /// Returns the current directory, None in a table without bins.
    #[inline(always)]
    fn directory(&self) -> Option<Directory<'_, K, V>> {
        // SAFETY: null, or the current directory, which is freed with the table.
        unsafe { Directory::from_ptr(self.current()) }
    }

    /// Returns the current directory for a lookup. A table without bins has a static directory, so a lookup does not
    /// check for it: it finds an empty bin there.
    #[inline(always)]
    fn directory_to_read(&self) -> Option<Directory<'_, K, V>> {
        if cfg!(hedgerow_loom) {
            return self.directory();
        }
        // [DI-2] acquire: pairs with the release in `replace_directory` [DI-1], so the segments that the directory
        // lists are initialized.
        let directory = self.directory.load(Ordering::Acquire);
        // SAFETY: `new` stores `Directory::none()`, which is null only under the model checker, and `publish_directory`
        // stores live directories.
        unsafe { core::hint::assert_unchecked(!directory.is_null()) };
        // SAFETY: a static, or a directory that is freed with the table.
        unsafe { Directory::from_ptr(directory) }
    }

    /// Replaces the directory, if `expected` is still the current one. The caller holds the growth lock.
    fn replace_directory(
        &self,
        expected: *mut DirectoryHead<K, V>,
        new: *mut DirectoryHead<K, V>,
    ) -> bool {
        // relaxed: changes only under the growth lock, which the caller holds.
        if !ptr::eq(self.directory.load(Ordering::Relaxed), expected) {
            return false;
        }
        // [DI-1] release: pairs with the acquires in `current` and `directory_to_read` [DI-2], so a thread that loads
        // the new directory sees its segments.
        self.directory.store(new, Ordering::Release);
        true
    }

    /// Returns the current directory, null in a table without bins.
    #[inline(always)]
    fn current(&self) -> *mut DirectoryHead<K, V> {
        // [DI-2] acquire: pairs with the release in `replace_directory` [DI-1], so the segments that the directory
        // lists are initialized.
        let directory = self.directory.load(Ordering::Acquire);
        if ptr::eq(directory, Directory::none()) { ptr::null_mut() } else { directory }
    }

    /// Returns the bits of the next table that a small table with a need for `bins` bins moves to.
    fn next_bits(bins: usize) -> u32 {
        let full = Layout::<K, V>::SEGMENT_BITS;
        SMALL
            .iter()
            .copied()
            .filter(|&bits| bits < full)
            .find(|&bits| 1 << bits >= bins)
            .unwrap_or(full)
    }

    /// Returns the number of bins for `capacity` entries, if memory can hold them.
    pub(crate) fn checked_bins(capacity: usize) -> Result<usize, TryReserveError> {
        let bins = Layout::<K, V>::bins_for(capacity);
        let bytes = bins
            .checked_next_power_of_two()
            .and_then(|bins| bins.checked_mul(Layout::<K, V>::BIN * size_of::<usize>()))
            .filter(|&bytes| isize::try_from(bytes).is_ok())
            .ok_or(TryReserveError::CapacityOverflow)?;
        // Small requests fail by themselves if there is no memory.
        let large = bytes > 1 << 24;
        if large && !memory::can_allocate(bytes / 2) {
            Err(TryReserveError::Alloc)
        } else {
            Ok(bins)
        }
    }

    /// Makes a table of at least `bins` bins. If that number is large, begins with the power of two below, and splits.
    pub(crate) fn with_bins(bins: usize) -> Result<Self, AllocError>
    where
        K: Copy,
        V: Copy,
    {
        let table = Self::new();
        let bits = Self::next_bits(bins).max(bins.ilog2());
        table.extents.provide(bins.max(1 << bits), &Backoff::spinning());
        let made = table
            .make_directory(bits, true, ptr::null_mut(), &Backoff::spinning())
            .map_err(|_| AllocError)?;
        let published = table.publish_directory(Directory::none(), made, &Backoff::spinning());
        debug_assert!(published.is_ok());
        Ok(table)
    }

    /// Makes a directory with all segments for `bits` bits, whose bins are initialized (empty) if `initialized`. If
    /// this fails, returns the segments that it has made.
    fn make_directory(
        &self,
        bits: u32,
        initialized: bool,
        older: *mut DirectoryHead<K, V>,
        backoff: &Backoff,
    ) -> Result<*mut DirectoryHead<K, V>, Failure>
    where
        K: Copy,
        V: Copy,
    {
        let mut segments = Vec::new();
        let made = self.fill_directory(bits, initialized, older, &mut segments, backoff);
        // Segments of a small directory are allocations of their own, which their destructors free.
        if bits >= Layout::<K, V>::SEGMENT_BITS {
            for segment in segments {
                self.give_back(segment, backoff);
            }
        }
        made
    }

    /// Does what `make_directory` does. If it fails, the segments that it made are in `segments`.
    fn fill_directory(
        &self,
        bits: u32,
        initialized: bool,
        older: *mut DirectoryHead<K, V>,
        segments: &mut Vec<NewSegment<K, V>>,
        backoff: &Backoff,
    ) -> Result<*mut DirectoryHead<K, V>, Failure>
    where
        K: Copy,
        V: Copy,
    {
        let segment_bits = bits.min(Layout::<K, V>::SEGMENT_BITS);
        segments.try_reserve_exact(1usize << (bits - segment_bits)).map_err(|_| AllocError)?;
        for _ in 0..1usize << (bits - segment_bits) {
            let segment = if segment_bits == Layout::<K, V>::SEGMENT_BITS {
                self.segment(backoff)?
            } else {
                NewSegment::<K, V>::new(1 << segment_bits)?
            };
            for index in 0..if initialized { 1usize << segment_bits } else { 0 } {
                // SAFETY: `index` is below the segment's number of bins, and no other thread sees the segment yet.
                let bin = unsafe { Bin::<K, V>::new(segment.address(), index) };
                bin.set_tags(Tags::empty(Depth::of_bits(bits)));
            }
            segments.push(segment);
        }
        Ok(Directory::make(bits, segments, older)?)
    }

    /// Makes `made` the current directory if `expected` still is; else frees it and returns its segments.
    fn publish_directory(
        &self,
        expected: *mut DirectoryHead<K, V>,
        made: *mut DirectoryHead<K, V>,
        backoff: &Backoff,
    ) -> Result<(), WouldWait>
    where
        K: Copy,
        V: Copy,
    {
        // SAFETY: `made` is a live directory, which no other thread sees before it is published below.
        let Some(view) = (unsafe { Directory::from_ptr(made) }) else { return Ok(()) };
        let (small, bins) = (view.is_small(), view.root_bins());
        if !small {
            self.count.spread();
            self.pool.spread_beyond(bins);
        }
        let guard = backoff.lock(&self.growth);
        let published = guard.is_ok() && self.replace_directory(expected, made);
        if published && !small {
            self.claimed.store(bins);
        }
        let busy = guard.err();
        if !published {
            let words = Self::segment_words();
            let owns = |block| {
                if !small && self.has_arena() {
                    self.pool.arena.give_back(Words::borrowed(block), words, backoff);
                    return false;
                }
                let borrowed = self.extents.contains(block);
                if borrowed {
                    self.extents.take_back(block, backoff);
                }
                !borrowed
            };
            // SAFETY: `made` was never shared. It owns its segments, except those in extents and in the arena, for
            // which `owns` returns false.
            unsafe { Directory::free_with_segments(made, owns) };
        }
        busy.map_or(Ok(()), Err)
    }

    /// Returns a segment whose bins are all uninitialized.
    fn segment(&self, backoff: &Backoff) -> Result<NewSegment<K, V>, Failure> {
        if !self.has_arena() {
            return Ok(self.extents.segment(backoff)?);
        }
        let words = self.pool.arena.words(Self::segment_words(), backoff)?;
        Ok(NewSegment::of(words, 1 << Layout::<K, V>::SEGMENT_BITS))
    }

    /// Takes back a segment that no directory lists.
    fn give_back(&self, segment: NewSegment<K, V>, backoff: &Backoff) {
        if self.has_arena() {
            self.pool.arena.give_back(segment.into_words(), Self::segment_words(), backoff);
        } else {
            self.extents.give_back(segment, backoff);
        }
    }

    /// Makes the first directory.
    #[cold]
    fn make_first_directory(&self, backoff: &Backoff) -> Result<(), Failure>
    where
        K: Copy,
        V: Copy,
    {
        let made = self.make_directory(Self::next_bits(1), true, ptr::null_mut(), backoff)?;
        Ok(self.publish_directory(Directory::none(), made, backoff)?)
    }

    /// Returns the bin that holds the keys of `hash`, and its number. It starts at the bin that the hint names, and
    /// walks to the bin's ancestors until it meets one with keys.
    ///
    /// Returns None if a split is between two of its stores, or finished after the directory was read. The caller then
    /// reads the directory again.
    fn home(mut directory: Directory<'_, K, V>, hash: KeyHash) -> Option<(Bin<'_, K, V>, usize)>
    where
        K: Copy,
        V: Copy,
    {
        let hint = directory.hint(hash.bin_bits());
        let mut number = hash.bin_bits() & low_bits(hint.depth().bits());
        let mut bin = directory.bin_of(hint, number);
        loop {
            let depth = bin.tags().depth();
            // An initialized bin: it has the key's hash, unless it was split meanwhile and the hash belongs to the
            // child.
            if depth.is_live() {
                return covers(depth, number, hash).then_some((bin, number));
            }
            // A small table that was moved away: only a newer directory leads to the keys.
            if depth == Depth::MOVED {
                return None;
            }
            // The bin is uninitialized, so its keys are still in the bin that it will be split from: in the older,
            // small table for a bin of the first generation; else in the bin whose number lacks the topmost bit.
            (directory, number) = if number < directory.root_bins() {
                let small = directory.small()?;
                (small, hash.bin_bits() & (small.root_bins() - 1))
            } else {
                (directory, number & !(1 << number.ilog2()))
            };
            bin = directory.bin(number);
        }
    }

    /// Returns the number of entries: exact if there are no concurrent writes.
    pub(crate) fn len(&self) -> usize {
        let _operation = self.scheduled.operation();
        self.len_within()
    }

    /// Returns what `len` does, for a part of an operation, which is no step of its own.
    pub(crate) fn len_within(&self) -> usize {
        self.count.total()
    }

    /// Returns the memory that the table uses. Walks its directories.
    pub(crate) fn usage(&self) -> TableUsage
    where
        K: Copy,
        V: Copy,
    {
        let (overflow_lines, pool, table) = self.pool.usage();
        let mut usage = TableUsage {
            overflow_lines,
            bytes: pool + self.count.bytes(),
            ..TableUsage::default()
        };
        usage.doubling = 2 * table;
        usage.bytes += self.extents.bytes();
        let mut directory = self.current();
        let newest = directory;
        // SAFETY: directories live as long as the table.
        while let Some(this) = unsafe { Directory::<'_, K, V>::from_ptr(directory) } {
            let mut here = this.bytes();
            if directory == newest || this.is_small() {
                let mut segments = this.segments().count();
                if directory == newest {
                    usage.bins = segments * this.segment_bins();
                    usage.doubling += 2 * here;
                    // These were counted with the extents.
                    segments = segments.saturating_sub(self.extents.segments());
                }
                // The owner of the arena counts its memory.
                if self.has_arena() && !this.is_small() {
                    segments = 0;
                }
                let words = Layout::<K, V>::segment_words(this.segment_bins());
                here += segments * words * size_of::<Word>();
            }
            usage.bytes += here;
            usage.retired_bytes += if directory == newest { 0 } else { here };
            directory = this.older();
        }
        usage
    }
}

impl<K, V> Table<K, V> {
    /// Returns the words of a full segment.
    fn segment_words() -> usize {
        Layout::<K, V>::segment_words(1 << Layout::<K, V>::SEGMENT_BITS)
    }

    /// Whether the table takes full segments and overflow lines only from its arena.
    #[inline]
    pub(crate) fn has_arena(&self) -> bool {
        self.pool.arena.is_some()
    }
}

/// Tables with an arena. Their entries are integers, so all words that they write there are initialized, even for
/// threads that read the words as something else.
impl Table<Indirect, ()> {
    /// Makes a table that takes full segments and overflow lines only from its arena. Smaller blocks come from the
    /// allocator.
    pub(crate) fn new_in_arena() -> Self {
        let mut table = Self::new();
        table.pool = OverflowPool::new(TableArena::empty());
        table
    }

    /// Adds `words` words to the arena.
    ///
    /// # Safety
    /// The words at `first`, on a cache line, are initialized and live as long as the table. No other thread writes to
    /// them. Other threads read them only atomically, and believe what they read only if the bin that led there has not
    /// changed; and all bins of this table that led there have changed before this call.
    pub(crate) unsafe fn add_to_arena(&self, first: *mut Word, words: usize) {
        // SAFETY: the caller's promise, which is that of `TableArena::add`.
        unsafe { self.pool.arena.add(first, words) }
    }

    /// Returns the smallest number of words that a table with an arena uses without much waste.
    pub(crate) fn least_arena_words() -> usize {
        let few = if cfg!(hedgerow_loom) { 1 } else { 2 };
        few * (Self::segment_words() + Layout::<Indirect, ()>::chunk())
    }

    /// Takes all segments of the arena, and uses none of them.
    #[cfg(all(test, hedgerow_loom, not(hedgerow_shuttle)))]
    pub(crate) fn drain_arena(&self) {
        assert!(self.has_arena());
        while self.segment(&Backoff::spinning()).is_ok() {}
    }

    /// Whether the arena has no block left for overflow lines.
    pub(crate) fn arena_lacks_lines(&self) -> bool {
        self.pool.arena.blocks(Layout::<Indirect, ()>::chunk()) == 0
    }

    /// Returns the number of bins that fit into the unused words of the arena.
    pub(crate) fn arena_bins(&self) -> usize {
        self.pool.arena.blocks(Self::segment_words()) << Layout::<Indirect, ()>::SEGMENT_BITS
    }
}

impl<K, V> Drop for Table<K, V> {
    fn drop(&mut self) {
        let mut directory = self.current();
        let newest = directory;
        // SAFETY: `&mut self`: no other thread reads any more, and directories live as long as the table.
        while let Some(this) = unsafe { Directory::<'_, K, V>::from_ptr(directory) } {
            let newest = directory == newest && !self.has_arena();
            let (older, owns) = (this.older(), newest || this.is_small());
            let owns = |block| owns && !self.extents.contains(block);
            // SAFETY: the loop meets each directory once. A small table owns its segments. Those of a large table
            // belong to its newest directory, or are in extents, which are dropped after this, or in the arena.
            unsafe { Directory::free_with_segments(directory, owns) };
            directory = older;
        }
    }
}

#[inline(always)]
/// Returns a mask of the lowest `bits` bits.
fn low_bits(bits: u32) -> usize {
    (1usize << bits) - 1
}

/// Whether bin `number`, at `depth`, is the one that keys of `hash` belong to.
#[inline(always)]
fn covers(depth: Depth, number: usize, hash: KeyHash) -> bool {
    depth.is_live() && hash.bin_bits() & low_bits(depth.bits()) == number
}
