//! The table without hashers and without `Borrow`: what all hash maps of this crate stand on.
//!
//! Linear hashing over bins that never move and are never freed while the table is shared. That one fact
//! lets a reader run with no guard, no pin and no reclamation. Reading is in `read`, writing in `write`,
//! growth in `grow` and `split`, walking over all bins in `walk` and `scan`, many keys at a time in
//! `window`.

mod arena;
pub(crate) mod directory;
mod extent;
mod grow;
#[cfg(all(test, hedgerow_loom, not(hedgerow_shuttle)))]
mod keys_loom;

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

use self::arena::Arena;
use self::directory::{Directory, Head};
use self::extent::Extents;
use self::overflow::Pool;
use self::segment::Segment;
use crate::api::failure::Failure;
use crate::api::hash::KeyHash;
use crate::bins::bin::Bin;
use crate::bins::layout::Layout;
use crate::bins::tags::{Depth, Tags};
use crate::error::TryReserveError;
use crate::facade::Word;
use crate::facade::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use crate::facade::lock::Lock;
use crate::memory::{self, AllocError, Words};
use crate::sync::backoff::{Backoff, WouldWait};
use crate::sync::stripes::Counter;
use crate::sync::words::Indirect;
use alloc::vec::Vec;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::ptr;

/// Sizes, in bits of the bin number, of the small tables that a map begins with. Each is one segment;
/// the keys of one move to the next whole. After the last come segments of full size, and splits.
const SMALL: &[u32] = if cfg!(hedgerow_loom) { &[0] } else { &[0, 2, 5] };

/// Figures about a table.
#[derive(Default)]
pub(crate) struct Usage {
    pub(crate) bins: usize,
    /// In use.
    pub(crate) overflow_lines: usize,
    /// Of everything, but for what was lent.
    pub(crate) bytes: usize,
    /// Of what leads to segments and lines, once it has to be twice as long.
    pub(crate) doubling: usize,
    /// Of what only waits for the table to be dropped.
    pub(crate) retired_bytes: usize,
}

pub(crate) struct Table<K, V> {
    /// The current directory; `Directory::none` until the first insert.
    directory: AtomicPtr<Head<K, V>>,
    /// How many bins have been asked to be born, in a table of full segments: the next segment's first.
    claimed: AtomicUsize,
    /// Whether a move to a larger table was cut short: bins of the table are unborn, and no thread is moving keys.
    cut_short: AtomicBool,
    /// Held while the directory, or an entry of it, is replaced.
    growth: Lock<()>,
    extents: Extents<K, V>,
    pool: Pool<K, V>,
    count: Counter,
}

// SAFETY: the raw pointers are to memory that the table owns. What threads hand each other through it
// are copies of keys and values, so `Send` is all that they need; nobody ever borrows one in place.
unsafe impl<K: Send, V: Send> Send for Table<K, V> {}
// SAFETY: as above: all shared words are accessed atomically, and only copies of payload leave.
unsafe impl<K: Send, V: Send> Sync for Table<K, V> {}

// No user code runs while the table is in a state that a panic could leave behind.
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
                claimed: AtomicUsize::new(0),
                cut_short: AtomicBool::new(false),
                growth: Lock::new(()),
                extents: Extents::new(),
                pool: Pool::new(Arena::none()),
                count: Counter::new(),
            }
        }
    }

    /// The current directory, None in a table without bins.
    #[inline(always)]
    fn directory(&self) -> Option<Directory<'_, K, V>> {
        // SAFETY: null, or a directory that lives as long as the table.
        unsafe { Directory::from_ptr(self.current()) }
    }

    /// The current directory for a look-up, which takes the one without bins for any other.
    #[inline(always)]
    fn directory_to_read(&self) -> Option<Directory<'_, K, V>> {
        if cfg!(hedgerow_loom) {
            return self.directory();
        }
        // [DI-2] acquire: pairs with [DI-1].
        let directory = self.directory.load(Ordering::Acquire);
        // SAFETY: it is never null but under the model checker.
        unsafe { core::hint::assert_unchecked(!directory.is_null()) };
        // SAFETY: a static, or a directory that lives as long as the table.
        unsafe { Directory::from_ptr(directory) }
    }

    /// Replaces the directory, if `expected` is still the current one. The caller holds the growth lock.
    fn replace_directory(&self, expected: *mut Head<K, V>, new: *mut Head<K, V>) -> bool {
        // relaxed: changes only under the growth lock, which is held.
        if !ptr::eq(self.directory.load(Ordering::Relaxed), expected) {
            return false;
        }
        // [DI-1] release: pairs with [DI-2].
        self.directory.store(new, Ordering::Release);
        true
    }

    /// The current directory, null in a table without bins.
    #[inline(always)]
    fn current(&self) -> *mut Head<K, V> {
        // [DI-2] acquire: pairs with [DI-1].
        let directory = self.directory.load(Ordering::Acquire);
        if ptr::eq(directory, Directory::none()) { ptr::null_mut() } else { directory }
    }

    /// Bits of the next table that a map of few bins moves to when it wants `bins` bins.
    fn next_bits(bins: usize) -> u32 {
        let full = Layout::<K, V>::SEGMENT_BITS;
        SMALL
            .iter()
            .copied()
            .filter(|&bits| bits < full)
            .find(|&bits| 1 << bits >= bins)
            .unwrap_or(full)
    }

    /// Bins for `capacity` entries, if there can be so many.
    pub(crate) fn checked_bins(capacity: usize) -> Result<usize, TryReserveError> {
        let bins = Layout::<K, V>::bins_for(capacity);
        let bytes = bins
            .checked_next_power_of_two()
            .and_then(|bins| bins.checked_mul(Layout::<K, V>::BIN * size_of::<usize>()))
            .filter(|&bytes| isize::try_from(bytes).is_ok())
            .ok_or(TryReserveError::CapacityOverflow)?;
        // Small requests find out by themselves.
        let large = bytes > 1 << 24;
        if large && !memory::could_have(bytes / 2) { Err(TryReserveError::Alloc) } else { Ok(bins) }
    }

    /// A table of at least `bins` bins, or the largest power of two below where that is not small.
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
        let adopted = table.adopt(Directory::none(), made, &Backoff::spinning());
        debug_assert!(adopted.is_ok());
        Ok(table)
    }

    /// A directory with all segments for `bits` bits, its bins born (empty) or not. If it fails, it gives back the
    /// segments that it has made.
    fn make_directory(
        &self,
        bits: u32,
        born: bool,
        older: *mut Head<K, V>,
        backoff: &Backoff,
    ) -> Result<*mut Head<K, V>, Failure>
    where
        K: Copy,
        V: Copy,
    {
        let mut segments = Vec::new();
        let made = self.fill_directory(bits, born, older, &mut segments, backoff);
        // Those of a directory that could not be had. A small one's are allocations of their own.
        if bits >= Layout::<K, V>::SEGMENT_BITS {
            for segment in segments {
                self.give_back(segment, backoff);
            }
        }
        made
    }

    /// As `make_directory`; if it fails, the segments that it made lie in `segments`.
    fn fill_directory(
        &self,
        bits: u32,
        born: bool,
        older: *mut Head<K, V>,
        segments: &mut Vec<Segment<K, V>>,
        backoff: &Backoff,
    ) -> Result<*mut Head<K, V>, Failure>
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
                Segment::<K, V>::new(1 << segment_bits)?
            };
            for index in 0..if born { 1usize << segment_bits } else { 0 } {
                // SAFETY: one of the segment's bins; nobody else sees the segment yet.
                let bin = unsafe { Bin::<K, V>::new(segment.address(), index) };
                bin.set_tags(Tags::empty(Depth::of_bits(bits)));
            }
            segments.push(segment);
        }
        Ok(Directory::make(bits, segments, older)?)
    }

    /// Takes the growth lock, waiting for it only if that is allowed.
    fn lock_growth(&self, backoff: &Backoff) -> Result<impl Sized + '_, WouldWait> {
        if backoff.may_wait() {
            Ok(self.growth.lock())
        } else {
            self.growth.try_lock().ok_or(WouldWait)
        }
    }

    /// Makes `made` the directory if `expected` still is; frees it otherwise, and gives its segments back.
    fn adopt(
        &self,
        expected: *mut Head<K, V>,
        made: *mut Head<K, V>,
        backoff: &Backoff,
    ) -> Result<(), WouldWait>
    where
        K: Copy,
        V: Copy,
    {
        // SAFETY: `made` is a live directory, ours until it is published.
        let Some(view) = (unsafe { Directory::from_ptr(made) }) else { return Ok(()) };
        let (small, bins) = (view.is_small(), view.root_bins());
        if !small {
            self.count.spread();
        }
        let guard = self.lock_growth(backoff);
        let adopted = guard.is_ok() && self.replace_directory(expected, made);
        if adopted && !small {
            // relaxed: a hint; `ensure` looks at the bins themselves.
            self.claimed.store(bins, Ordering::Relaxed);
        }
        let busy = guard.err();
        if !adopted {
            let words = Self::segment_words();
            let owns = |block| {
                if !small && self.has_arena() {
                    self.pool.arena.give_back(Words::borrowed(block), words, backoff);
                    return false;
                }
                let borrowed = self.extents.own(block);
                if borrowed {
                    self.extents.take_back(block, backoff);
                }
                !borrowed
            };
            // SAFETY: never shared, and its segments are its own but for those in extents, and those lent.
            unsafe { Directory::free_with_segments(made, owns) };
        }
        busy.map_or(Ok(()), Err)
    }

    /// A segment, all bins unborn.
    fn segment(&self, backoff: &Backoff) -> Result<Segment<K, V>, Failure> {
        if !self.has_arena() {
            return Ok(self.extents.segment(backoff)?);
        }
        let words = self.pool.arena.words(Self::segment_words(), backoff)?;
        Ok(Segment::of(words, 1 << Layout::<K, V>::SEGMENT_BITS))
    }

    /// Takes back a segment that was not entered.
    fn give_back(&self, segment: Segment<K, V>, backoff: &Backoff) {
        if self.has_arena() {
            self.pool.arena.give_back(segment.into_words(), Self::segment_words(), backoff);
        } else {
            self.extents.give_back(segment, backoff);
        }
    }

    /// Makes the first directory.
    #[cold]
    fn begin(&self, backoff: &Backoff) -> Result<(), Failure>
    where
        K: Copy,
        V: Copy,
    {
        let made = self.make_directory(Self::next_bits(1), true, ptr::null_mut(), backoff)?;
        Ok(self.adopt(Directory::none(), made, backoff)?)
    }

    /// The bin that holds the keys of `hash`, with its number, found from whatever the directory says.
    ///
    /// None when a split is between two stores, or was finished after the directory was read: look again.
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
            if depth.is_live() {
                return covers(depth, number, hash).then_some((bin, number));
            }
            if depth == Depth::MOVED {
                return None;
            }
            (directory, number) = if number < directory.root_bins() {
                let small = directory.small()?;
                (small, hash.bin_bits() & (small.root_bins() - 1))
            } else {
                (directory, number & !(1 << number.ilog2()))
            };
            bin = directory.bin(number);
        }
    }

    /// Entries: exact when nobody writes meanwhile.
    pub(crate) fn len(&self) -> usize {
        self.count.total()
    }

    /// What the table consists of. Walks its directories.
    pub(crate) fn usage(&self) -> Usage
    where
        K: Copy,
        V: Copy,
    {
        let (overflow_lines, pool, table) = self.pool.usage();
        let mut usage =
            Usage { overflow_lines, bytes: pool + self.count.bytes(), ..Usage::default() };
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
                    // Counted with the extents.
                    segments = segments.saturating_sub(self.extents.segments());
                }
                // Counted by who lends.
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
    /// Words of a full segment.
    fn segment_words() -> usize {
        Layout::<K, V>::segment_words(1 << Layout::<K, V>::SEGMENT_BITS)
    }

    /// Whether the table takes full segments and overflow lines only of what it is lent.
    #[inline]
    pub(crate) fn has_arena(&self) -> bool {
        self.pool.arena.is_some()
    }
}

/// A table that is lent its memory. Its entries are integers, so all that it writes there is initialised, whoever
/// reads it.
impl Table<Indirect, ()> {
    /// Takes full segments and overflow lines only of what it is lent; what is less, from the allocator.
    pub(crate) fn new_in_arena() -> Self {
        let mut table = Self::new();
        table.pool = Pool::new(Arena::empty());
        table
    }

    /// Lends it so many words more.
    ///
    /// # Safety
    /// They lie at `first`, on a cache line, are initialised, and live as long as the table. Nobody else writes to
    /// them, or reads them but atomically and to believe it only if a bin of this table has not changed since it led
    /// there; and all bins that led there have.
    pub(crate) unsafe fn add_to_arena(&self, first: *mut Word, words: usize) {
        // SAFETY: the caller's promise.
        unsafe { self.pool.arena.add(first, words) }
    }

    /// Words of which a table that is lent its memory makes use without much loss.
    pub(crate) fn least_arena_words() -> usize {
        let few = if cfg!(hedgerow_loom) { 1 } else { 2 };
        few * (Self::segment_words() + Layout::<Indirect, ()>::chunk())
    }

    /// Takes all that it was lent, a segment at a time, for nothing.
    #[cfg(all(test, hedgerow_loom, not(hedgerow_shuttle)))]
    pub(crate) fn drain_arena(&self) {
        assert!(self.has_arena());
        while self.segment(&Backoff::spinning()).is_ok() {}
    }

    /// Whether there is nothing left for overflow lines of what it was lent.
    pub(crate) fn arena_lacks_lines(&self) -> bool {
        self.pool.arena.blocks(Layout::<Indirect, ()>::chunk()) == 0
    }

    /// Bins that there is room for in what it was lent and does not use yet.
    pub(crate) fn arena_bins(&self) -> usize {
        self.pool.arena.blocks(Self::segment_words()) << Layout::<Indirect, ()>::SEGMENT_BITS
    }
}

impl<K, V> Drop for Table<K, V> {
    fn drop(&mut self) {
        let mut directory = self.current();
        let newest = directory;
        // SAFETY: `&mut self`: nobody reads any more.
        while let Some(this) = unsafe { Directory::<'_, K, V>::from_ptr(directory) } {
            let newest = directory == newest && !self.has_arena();
            let (older, owns) = (this.older(), newest || this.is_small());
            let owns = |block| owns && !self.extents.own(block);
            // SAFETY: each directory is met once; a small table's segments are its own, those of a
            // large one belong to its newest directory or lie in extents, which go after this, or were lent.
            unsafe { Directory::free_with_segments(directory, owns) };
            directory = older;
        }
    }
}

#[inline(always)]
fn low_bits(bits: u32) -> usize {
    (1usize << bits) - 1
}

/// Whether bin `number`, at `depth`, is the one that keys of `hash` belong to.
#[inline(always)]
fn covers(depth: Depth, number: usize, hash: KeyHash) -> bool {
    depth.is_live() && hash.bin_bits() & low_bits(depth.bits()) == number
}
