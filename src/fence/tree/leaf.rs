//! A leaf: up to 128 entries in key order, and the range of keys that it answers for.
//!
//! ```text
//! | state | next | lo | hi | hints | keys ... | values ... |
//! ```
//! Keys and values lie apart, on lines of their own, in blocks of eight. The leaf holds every entry of the
//! map from `lo` on up to, and without, `hi`; the first leaf has no `lo`, the last no `hi`, and so no key
//! is too large. Whoever has found a key in a leaf, or its place between two others, need not look at either.
//!
//! # Synchronization
//! Everything behind the state is payload of the leaf's seqlock ([SL-1] to [SL-8]). Leaves are never freed while
//! the map is shared, and their versions never go back, not when a leaf is given another range either. So a
//! reader may come by any old way, and learns from the version whether what it read is whole, and
//! from `lo` and `hi` whether it came to the right leaf.
//!
//! What is not known to be whole is not looked at as a key: not any bytes are one. Integers are compared at
//! once ([`is_exact`](super::rank::is_exact)), and what came of it is dropped if the version has moved on.

use super::hints::{Hints, LANES_A_WORD, Scale};
use crate::bins::layout::LINE_BYTES;
use crate::facade::Word;
use crate::facade::atomic::Ordering;
use crate::sync::prefetch;
use crate::sync::seqlock::{SeqLock, State};
use crate::sync::words::{self, WORD, words_for};
use core::marker::PhantomData;
use core::mem::MaybeUninit;

/// Entries in a block.
pub(crate) const BLOCK: usize = if cfg!(hedgerow_loom) { 2 } else { 8 };
/// Blocks in a leaf of small entries, and lanes of hints in any.
const BLOCKS: usize = if cfg!(hedgerow_loom) { 2 } else { 16 };
pub(crate) const HINT_WORDS: usize = BLOCKS.div_ceil(LANES_A_WORD);
/// A leaf's keys and values take no more than this, if eight entries do not.
const LEAF_BYTES: usize = 1 << 13;

/// Keys and values larger than this are refused: they are moved by way of the stack, some of them several times.
pub(crate) const LARGEST: usize = 1 << 16;

pub(crate) type LeafHints = Hints<HINT_WORDS>;

/// The measures of leaves, in words from their address unless they say bytes.
pub(crate) struct LeafLayout<K, V>(PhantomData<(K, V)>);

impl<K, V> LeafLayout<K, V> {
    /// To be evaluated wherever a map is made.
    pub(crate) const FITS: () = assert!(
        size_of::<K>() <= LARGEST && size_of::<V>() <= LARGEST,
        "a FenceMap takes keys and values of up to 64 KiB each: an OrdMap takes larger ones"
    );
    /// Bytes from one key to the next, and from one value to the next.
    const KEY: usize = stride(size_of::<K>());
    const VALUE: usize = stride(size_of::<V>());
    pub(crate) const BLOCKS: usize = {
        let mut blocks = BLOCKS;
        while blocks > 1 && blocks * BLOCK * (Self::KEY + Self::VALUE) > LEAF_BYTES {
            blocks /= 2;
        }
        blocks
    };
    pub(crate) const ENTRIES: usize = Self::BLOCKS * BLOCK;

    const STATE: usize = 0;
    /// Where the state has no room for it.
    const META: usize = 1;
    const NEXT: usize = if State::HAS_INDEX { 1 } else { 2 };
    const LO: usize = Self::NEXT + 1;
    const HI: usize = Self::LO + words_for(size_of::<K>());
    const HINTS: usize = Self::HI + words_for(size_of::<K>());
    const KEYS: usize = whole_lines(Self::HINTS + HINT_WORDS);
    const VALUES: usize = Self::KEYS + whole_lines(words_for(Self::ENTRIES * Self::KEY));
    pub(crate) const WORDS: usize =
        Self::VALUES + whole_lines(words_for(Self::ENTRIES * Self::VALUE));
}

/// What is smaller than a word shares one with others of its kind; what is larger begins with one.
const fn stride(bytes: usize) -> usize {
    if bytes == 0 || WORD.is_multiple_of(bytes) { bytes } else { words_for(bytes) * WORD }
}

const fn whole_lines(words: usize) -> usize {
    (words * WORD).next_multiple_of(LINE_BYTES) / WORD
}

/// What a leaf says of itself in a few bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meta(usize);

impl Meta {
    const COUNT: usize = 0xFF;
    const SHIFT: u32 = 8;
    const SHIFT_MASK: usize = 0x3F;
    /// There is a leaf to the left, and `lo` is where this one begins.
    const HAS_LO: usize = 1 << 14;
    /// There is a leaf to the right, and `hi` is where this one ends.
    const HAS_HI: usize = 1 << 15;
    /// In `lo` is a key that hints are counted from.
    const HAS_BASE: usize = 1 << 16;
    /// In use.
    const LIVE: usize = 1 << 17;
    /// A directory leads here.
    const LISTED: usize = 1 << 18;

    /// An empty leaf for all keys there are.
    pub(crate) const ALL: Self = Self(Self::LIVE);
    pub(crate) const RETIRED: Self = Self(0);

    #[inline(always)]
    pub(crate) fn count(self) -> usize {
        self.0 & Self::COUNT
    }

    #[inline(always)]
    fn shift(self) -> u32 {
        (self.0 >> Self::SHIFT & Self::SHIFT_MASK) as u32
    }

    #[inline(always)]
    pub(crate) fn has_lo(self) -> bool {
        self.0 & Self::HAS_LO != 0
    }

    #[inline(always)]
    pub(crate) fn has_hi(self) -> bool {
        self.0 & Self::HAS_HI != 0
    }

    #[inline(always)]
    pub(crate) fn has_base(self) -> bool {
        self.0 & Self::HAS_BASE != 0
    }

    #[inline(always)]
    pub(crate) fn is_live(self) -> bool {
        self.0 & Self::LIVE != 0
    }

    #[inline(always)]
    pub(crate) fn is_listed(self) -> bool {
        self.0 & Self::LISTED != 0
    }

    #[inline(always)]
    pub(crate) fn with_count(self, count: usize) -> Self {
        Self(self.0 & !Self::COUNT | count)
    }

    #[inline(always)]
    pub(crate) fn with_shift(self, shift: u32) -> Self {
        Self(self.0 & !(Self::SHIFT_MASK << Self::SHIFT) | (shift as usize) << Self::SHIFT)
    }

    pub(crate) fn with_base(self) -> Self {
        Self(self.0 | Self::HAS_BASE)
    }

    /// Its lower bound, and so its base, has been stored.
    pub(crate) fn with_lo(self) -> Self {
        Self(self.0 | Self::HAS_LO | Self::HAS_BASE)
    }

    pub(crate) fn with_hi(self, has: bool) -> Self {
        if has { Self(self.0 | Self::HAS_HI) } else { Self(self.0 & !Self::HAS_HI) }
    }

    pub(crate) fn listed(self) -> Self {
        Self(self.0 | Self::LISTED)
    }
}

/// A leaf's state and meta as they were read.
#[derive(Clone, Copy)]
pub(crate) struct LeafVersion {
    state: State,
    pub(crate) meta: Meta,
}

impl LeafVersion {
    #[inline(always)]
    pub(crate) fn is_locked(self) -> bool {
        self.state.is_locked()
    }

    /// How many writes the leaf has seen, more or less: the trace that each leaves anyway.
    pub(crate) fn write_count(self) -> usize {
        self.state.version()
    }
}

/// A leaf, and what was read of it.
pub(crate) type VersionedLeaf<'a, K, V> = (Leaf<'a, K, V>, LeafVersion);

/// The leaf was written to since the look: what was read is of no use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Changed;

/// Where keys lie, or values.
#[derive(Clone, Copy)]
struct Column {
    /// In words from the leaf's address.
    start: usize,
    /// In bytes.
    stride: usize,
}

pub(crate) struct Leaf<'a, K, V> {
    words: *const Word,
    arena: PhantomData<(&'a Word, K, V)>,
}

impl<K, V> Clone for Leaf<'_, K, V> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<K, V> Copy for Leaf<'_, K, V> {}
impl<K, V> PartialEq for Leaf<'_, K, V> {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.words == other.words
    }
}

impl<'a, K, V> Leaf<'a, K, V> {
    const KEYS: Column =
        Column { start: LeafLayout::<K, V>::KEYS, stride: LeafLayout::<K, V>::KEY };
    const VALUES: Column =
        Column { start: LeafLayout::<K, V>::VALUES, stride: LeafLayout::<K, V>::VALUE };

    /// # Safety
    /// `words` are the `LeafLayout::WORDS` words of a leaf, which live for `'a`.
    #[inline(always)]
    pub(crate) unsafe fn new(words: *const Word) -> Self {
        Self { words, arena: PhantomData }
    }

    #[inline(always)]
    pub(crate) fn as_ptr(self) -> *mut Word {
        self.words.cast_mut()
    }

    #[inline(always)]
    fn word(self, index: usize) -> &'a Word {
        debug_assert!(index < LeafLayout::<K, V>::WORDS);
        // SAFETY: within the leaf, which lives for `'a`.
        unsafe { &*self.words.add(index) }
    }

    #[inline(always)]
    fn lock(self) -> SeqLock<'a> {
        SeqLock(self.word(LeafLayout::<K, V>::STATE).control())
    }

    /// Begins a read, or a write.
    #[inline(always)]
    pub(crate) fn begin(self) -> LeafVersion {
        let state = self.lock().begin();
        let meta = if State::HAS_INDEX {
            state.index()
        } else {
            // relaxed: guarded by the leaf's seqlock.
            self.word(LeafLayout::<K, V>::META).control().load(Ordering::Relaxed)
        };
        LeafVersion { state, meta: Meta(meta) }
    }

    #[inline(always)]
    pub(crate) fn validate(self, version: LeafVersion) -> bool {
        self.lock().validate(version.state)
    }

    #[inline(always)]
    pub(crate) fn check(self, version: LeafVersion) -> Result<(), Changed> {
        if self.validate(version) { Ok(()) } else { Err(Changed) }
    }

    #[inline(always)]
    pub(crate) fn try_lock(self, version: LeafVersion) -> bool {
        self.lock().try_lock(version.state)
    }

    /// Whether the leaf is as it was looked at, said so that its later writers see the lock that the caller holds of
    /// another leaf.
    pub(crate) fn confirm(self, version: LeafVersion) -> bool {
        self.lock().confirm(version.state)
    }

    /// Ends a write.
    #[inline(always)]
    pub(crate) fn unlock(self, version: LeafVersion, meta: Meta) {
        if State::HAS_INDEX {
            self.lock().unlock(version.state.next(meta.0));
        } else {
            // relaxed: guarded by the leaf's seqlock.
            self.word(LeafLayout::<K, V>::META).control().store(meta.0, Ordering::Relaxed);
            self.lock().unlock(version.state.next(0));
        }
    }

    /// Unlocks where nothing was written.
    pub(crate) fn unlock_unchanged(self, version: LeafVersion) {
        self.lock().give_back(version.state);
    }

    /// Starts fetching the header's line.
    #[inline(always)]
    pub(crate) fn prefetch(self) {
        prefetch::read(self.words);
    }

    /// Starts fetching the values of `block`.
    #[inline(always)]
    pub(crate) fn prefetch_values(self, block: usize) {
        let bytes = block * BLOCK * LeafLayout::<K, V>::VALUE;
        // Only an address.
        prefetch::read(self.words.wrapping_add(LeafLayout::<K, V>::VALUES + bytes / WORD));
    }

    /// Starts fetching the keys of `block`.
    #[inline(always)]
    pub(crate) fn prefetch_keys(self, block: usize) {
        let bytes = block * BLOCK * LeafLayout::<K, V>::KEY;
        // Only an address.
        prefetch::read(self.words.wrapping_add(LeafLayout::<K, V>::KEYS + bytes / WORD));
    }
}

/// What readers fetch. Nothing of it is whole before the look that it was fetched under has been checked.
impl<K: Copy, V: Copy> Leaf<'_, K, V> {
    #[inline(always)]
    fn fetch<T>(self, column: Column, at: usize) -> MaybeUninit<T> {
        let offset = column.start * WORD + at * column.stride;
        // SAFETY: `at < LeafLayout::ENTRIES`, as all who call this bound it, so it lies in the leaf.
        unsafe { words::fetch(self.words, offset) }
    }

    #[inline(always)]
    pub(crate) fn fetch_key(self, at: usize) -> MaybeUninit<K> {
        debug_assert!(at < LeafLayout::<K, V>::ENTRIES);
        self.fetch(Self::KEYS, at)
    }

    #[inline(always)]
    pub(crate) fn fetch_value(self, at: usize) -> MaybeUninit<V> {
        debug_assert!(at < LeafLayout::<K, V>::ENTRIES);
        self.fetch(Self::VALUES, at)
    }

    /// A key that is known to be an integer.
    ///
    /// # Safety
    /// `K` is an integer type ([`is_exact`](super::rank::is_exact)).
    #[inline(always)]
    pub(crate) unsafe fn integer_key(self, at: usize) -> K {
        debug_assert!(at < LeafLayout::<K, V>::ENTRIES);
        let offset = LeafLayout::<K, V>::KEYS * WORD + at * LeafLayout::<K, V>::KEY;
        // SAFETY: within the leaf; the row holds nothing but zeroes and integers.
        unsafe { words::fetch_integer(self.words, offset) }
    }

    /// Where hints are counted from, if the meta says that there is such a key.
    ///
    /// # Safety
    /// As [`Self::integer_key`].
    #[inline(always)]
    pub(crate) unsafe fn integer_lo(self) -> K {
        // SAFETY: as above; the words of `lo` hold nothing else.
        unsafe { words::fetch_integer(self.words, LeafLayout::<K, V>::LO * WORD) }
    }

    /// The key at `at`, whole.
    #[inline(always)]
    pub(crate) fn key(self, version: LeafVersion, at: usize) -> Result<K, Changed> {
        debug_assert!(at < version.meta.count());
        let key = self.fetch_key(at);
        self.check(version)?;
        // SAFETY: unchanged since the look, which said that there are more than `at` entries.
        Ok(unsafe { key.assume_init() })
    }

    /// The value at `at`, whole.
    #[inline(always)]
    pub(crate) fn value(self, version: LeafVersion, at: usize) -> Result<V, Changed> {
        debug_assert!(at < version.meta.count());
        let value = self.fetch_value(at);
        self.check(version)?;
        // SAFETY: as in `key`.
        Ok(unsafe { value.assume_init() })
    }

    fn bound(self, version: LeafVersion, has: bool, at: usize) -> Result<Option<K>, Changed> {
        // SAFETY: the words of a bound lie in the leaf.
        let key = unsafe { words::fetch::<K>(self.words, at * WORD) };
        self.check(version)?;
        // SAFETY: unchanged since the look, which said whether there is a key.
        Ok(has.then(|| unsafe { key.assume_init() }))
    }

    /// Where the leaf begins.
    pub(crate) fn lo(self, version: LeafVersion) -> Result<Option<K>, Changed> {
        self.bound(version, version.meta.has_lo(), LeafLayout::<K, V>::LO)
    }

    /// Where the leaf ends: at the key that is not its any more.
    pub(crate) fn hi(self, version: LeafVersion) -> Result<Option<K>, Changed> {
        self.bound(version, version.meta.has_hi(), LeafLayout::<K, V>::HI)
    }

    /// The key that hints are counted from.
    pub(crate) fn base(self, version: LeafVersion) -> Result<Option<K>, Changed> {
        self.bound(version, version.meta.has_base(), LeafLayout::<K, V>::LO)
    }

    /// The leaf to the right; itself, if the meta says that there is none.
    pub(crate) fn next(self, version: LeafVersion) -> Result<Self, Changed> {
        // SAFETY: the word lies in the leaf.
        let next =
            unsafe { words::fetch::<*const Word>(self.words, LeafLayout::<K, V>::NEXT * WORD) };
        self.check(version)?;
        if !version.meta.has_hi() {
            return Ok(self);
        }
        // SAFETY: unchanged since the look, which said that there is a leaf; what made it the next one is seen
        // ([SL-4]), its being allocated included, and leaves live as long as the arena.
        Ok(unsafe { Self::new(next.assume_init()) })
    }

    /// As `next`, for the holder of the lock of a leaf that has a right neighbour.
    pub(crate) fn next_locked(self) -> Self {
        // SAFETY: the word lies in the leaf; nobody else writes to it, and what made that leaf the next one was
        // seen when the lock was taken.
        unsafe {
            Self::new(
                words::fetch::<*const Word>(self.words, LeafLayout::<K, V>::NEXT * WORD)
                    .assume_init(),
            )
        }
    }

    /// As `hi`, for the holder of the lock.
    pub(crate) fn hi_locked(self, version: LeafVersion) -> Option<K> {
        // SAFETY: the words lie in the leaf, nobody else writes to them, and the meta says whether they are a key.
        version.meta.has_hi().then(|| unsafe {
            words::fetch::<K>(self.words, LeafLayout::<K, V>::HI * WORD).assume_init()
        })
    }

    /// The blocks whose hints are not greater than `hint`.
    #[inline(always)]
    pub(crate) fn blocks_at_most(self, hint: usize) -> usize {
        LeafHints::at_most(hint, |index| {
            // relaxed: guarded by the leaf's seqlock, and any number will do.
            self.word(LeafLayout::<K, V>::HINTS + index).control().load(Ordering::Relaxed)
        })
    }

    pub(crate) fn hints(self) -> LeafHints {
        Hints(core::array::from_fn(|index| {
            // relaxed: guarded by the leaf's seqlock.
            self.word(LeafLayout::<K, V>::HINTS + index).control().load(Ordering::Relaxed)
        }))
    }

    /// The scale that `version` is of, given the base's rank.
    #[inline(always)]
    pub(crate) fn scale(version: LeafVersion, base: usize) -> Scale {
        Scale { base, shift: version.meta.shift() }
    }
}

/// What the holder of the lock stores.
impl<K: Copy, V: Copy> Leaf<'_, K, V> {
    #[inline(always)]
    fn put<T: Copy>(self, column: Column, at: usize, value: &T) {
        debug_assert!(at < LeafLayout::<K, V>::ENTRIES);
        // SAFETY: within the leaf, whose lock the caller holds.
        unsafe { words::put(self.words, column.start * WORD + at * column.stride, value) }
    }

    #[inline(always)]
    pub(crate) fn put_value(self, at: usize, value: &V) {
        self.put(Self::VALUES, at, value);
    }

    #[inline(always)]
    pub(crate) fn put_entry(self, at: usize, key: &K, value: &V) {
        self.put(Self::KEYS, at, key);
        self.put(Self::VALUES, at, value);
    }

    pub(crate) fn put_hints(self, hints: &LeafHints) {
        for (index, word) in hints.0.into_iter().enumerate() {
            // relaxed: guarded by the leaf's seqlock.
            self.word(LeafLayout::<K, V>::HINTS + index).control().store(word, Ordering::Relaxed);
        }
    }

    pub(crate) fn put_lo(self, lo: &K) {
        // SAFETY: within the leaf, whose lock the caller holds.
        unsafe { words::put(self.words, LeafLayout::<K, V>::LO * WORD, lo) }
    }

    pub(crate) fn put_hi(self, hi: &K) {
        // SAFETY: within the leaf, whose lock the caller holds.
        unsafe { words::put(self.words, LeafLayout::<K, V>::HI * WORD, hi) }
    }

    pub(crate) fn put_next(self, next: Self) {
        // SAFETY: within the leaf, whose lock the caller holds.
        unsafe { words::put(self.words, LeafLayout::<K, V>::NEXT * WORD, &next.words) }
    }

    /// Links dead leaves to a list: the word that leads to the right is free for that.
    pub(crate) fn put_next_free(self, next: *mut Word) {
        // SAFETY: within the leaf, which is dead and the caller's: a reader that still looks finds its version
        // moved on, for the lock under which the leaf died was taken before this ([SL-1]).
        unsafe { words::put(self.words, LeafLayout::<K, V>::NEXT * WORD, &next) }
    }

    /// As stored by `put_next_free`, for whom the dead leaf belongs to.
    pub(crate) fn next_free(self) -> *mut Word {
        // SAFETY: within the leaf; stored by the list's last user, whose lock has been taken since.
        unsafe {
            words::fetch::<*mut Word>(self.words, LeafLayout::<K, V>::NEXT * WORD).assume_init()
        }
    }

    /// Makes room at `at` for an entry: those from there to `count` move up.
    #[inline(always)]
    pub(crate) fn open_gap(self, at: usize, count: usize) {
        debug_assert!(at <= count && count < LeafLayout::<K, V>::ENTRIES);
        self.move_up::<K>(Self::KEYS, at, count);
        self.move_up::<V>(Self::VALUES, at, count);
    }

    /// Takes out `some` entries at `at`: those behind them, to `count`, move down.
    #[inline(always)]
    pub(crate) fn close_gap(self, at: usize, some: usize, count: usize) {
        debug_assert!(at + some <= count && count <= LeafLayout::<K, V>::ENTRIES);
        self.move_down::<K>(Self::KEYS, at, some, count);
        self.move_down::<V>(Self::VALUES, at, some, count);
    }

    #[inline(always)]
    fn move_up<T: Copy>(self, column: Column, at: usize, count: usize) {
        if column.stride.is_multiple_of(WORD) {
            let width = column.stride / WORD;
            // SAFETY: there is room for one more in the leaf, whose lock the caller holds.
            unsafe {
                let first = self.words.add(column.start + at * width);
                words::move_up::<T>(first, (count - at) * width, width);
            }
        } else {
            for index in (at..count).rev() {
                self.copy_one::<T>(column, index, index + 1);
            }
        }
    }

    #[inline(always)]
    fn move_down<T: Copy>(self, column: Column, at: usize, some: usize, count: usize) {
        if column.stride.is_multiple_of(WORD) {
            let width = column.stride / WORD;
            // SAFETY: entries below the count, in the leaf, whose lock the caller holds.
            unsafe {
                let first = self.words.add(column.start + at * width);
                words::move_down::<T>(first, (count - some - at) * width, some * width);
            }
        } else {
            for index in at..count - some {
                self.copy_one::<T>(column, index + some, index);
            }
        }
    }

    #[inline(always)]
    fn copy_one<T: Copy>(self, column: Column, from: usize, to: usize) {
        // SAFETY: entries below the count, of which each is a whole `T`, and the caller holds the lock.
        let value = unsafe { self.fetch::<T>(column, from).assume_init() };
        self.put(column, to, &value);
    }

    /// Copies what bounds the leaf to the right; the caller holds both locks.
    pub(crate) fn copy_end_to(self, other: Self) {
        let hi = LeafLayout::<K, V>::HI;
        for index in (hi..hi + words_for(size_of::<K>())).chain([LeafLayout::<K, V>::NEXT]) {
            other.word(index).store_payload(self.word(index).load_payload());
        }
    }

    /// Copies `count` entries to another leaf; the caller holds both locks.
    pub(crate) fn copy_to(self, from: usize, other: Self, to: usize, count: usize) {
        debug_assert!(from + count <= LeafLayout::<K, V>::ENTRIES);
        debug_assert!(to + count <= LeafLayout::<K, V>::ENTRIES);
        self.copy_column::<K>(Self::KEYS, from, other, to, count);
        self.copy_column::<V>(Self::VALUES, from, other, to, count);
    }

    fn copy_column<T: Copy>(
        self,
        column: Column,
        from: usize,
        other: Self,
        to: usize,
        count: usize,
    ) {
        let (source, target) = (from * column.stride, to * column.stride);
        if source.is_multiple_of(WORD) && target.is_multiple_of(WORD) {
            let words = words_for(count * column.stride);
            // SAFETY: both within their leaves, whose locks the caller holds. A last word that is not all used
            // brings bytes along that nobody counts.
            unsafe {
                let source = self.words.add(column.start + source / WORD);
                words::copy(source, other.words.add(column.start + target / WORD), words);
            }
            return;
        }
        for index in 0..count {
            // SAFETY: as in `copy_one`.
            let value = unsafe { self.fetch::<T>(column, from + index).assume_init() };
            other.put(column, to + index, &value);
        }
    }
}
