//! A leaf: up to 128 entries in key order, and the range of keys that belong to it.
//!
//! ```text
//! | state | next | lo | hi | hints | keys ... | values ... |
//! ```
//! Keys and values are stored apart, on cache lines of their own, in blocks of eight. The leaf has every entry of the
//! map from `lo` up to `hi`, without `hi`. The first leaf has no `lo` and the last one no `hi`, so every key belongs to
//! a leaf. A search that finds a key in a leaf, or its place between two entries, need not read either bound.
//!
//! # Synchronization
//! Everything behind the state is payload of the leaf's seqlock ([SL-1] to [SL-8]). Leaves are freed with the map, and
//! their versions never go back, not even if a leaf is used again for other keys. So a reader may come to a leaf by an
//! outdated hint. The version tells it whether it has read a whole state, and `lo` and `hi` whether the leaf is the
//! right one.
//!
//! Bytes that were not validated are never used as a key, because not all bytes are a valid `K`. Integers are an
//! exception ([`is_exact`](super::rank::is_exact)): they are compared at once, and the result is dropped if the leaf
//! has changed.

use super::hints::{Hints, LANES_A_WORD, Scale};
use crate::facade::atomic::Ordering;
use crate::facade::{IN_A_MODEL, Word};
use crate::sync::backoff::{Backoff, WouldWait};
use crate::sync::cache::LINE_BYTES;
use crate::sync::prefetch;
use crate::sync::seqlock::{SeqLock, StateWord};
use crate::sync::words::{self, WORD, words_for};
use core::marker::PhantomData;
use core::mem::MaybeUninit;

/// Number of entries in a block.
pub(crate) const BLOCK: usize = if IN_A_MODEL { 2 } else { 8 };
/// Number of blocks in a leaf of small entries, and of lanes of hints in every leaf.
const BLOCKS: usize = if IN_A_MODEL { 2 } else { 16 };
pub(crate) const HINT_WORDS: usize = BLOCKS.div_ceil(LANES_A_WORD);
/// Most bytes of a leaf's keys and values, unless eight entries are larger.
const LEAF_BYTES: usize = 1 << 13;

/// Largest size of a key and of a value. Larger ones do not compile, because they are copied to the stack several
/// times.
pub(crate) const LARGEST: usize = 1 << 16;

pub(crate) type LeafHints = Hints<HINT_WORDS>;

/// The layout of a leaf. Offsets are in words from its address, if they do not say bytes.
pub(crate) struct LeafLayout<K, V>(PhantomData<(K, V)>);

impl<K, V> LeafLayout<K, V> {
    /// Asserts that the types fit. Every constructor of a map evaluates it.
    pub(crate) const FITS: () = assert!(
        size_of::<K>() <= LARGEST && size_of::<V>() <= LARGEST,
        "a FenceMap takes keys and values of up to 64 KiB each: an OrdMap takes larger ones"
    );
    /// Distance in bytes from one key to the next, and from one value to the next.
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
    /// A word of its own for the [`Meta`], if the state has no room for it.
    const META: usize = 1;
    const NEXT: usize = if StateWord::HAS_INDEX { 1 } else { 2 };
    const LO: usize = Self::NEXT + 1;
    const HI: usize = Self::LO + words_for(size_of::<K>());
    const HINTS: usize = Self::HI + words_for(size_of::<K>());
    const KEYS: usize = whole_lines(Self::HINTS + HINT_WORDS);
    const VALUES: usize = Self::KEYS + whole_lines(words_for(Self::ENTRIES * Self::KEY));
    pub(crate) const WORDS: usize =
        Self::VALUES + whole_lines(words_for(Self::ENTRIES * Self::VALUE));
}

/// Returns the distance from one item to the next: smaller ones than a word share it, larger ones begin with a word.
const fn stride(bytes: usize) -> usize {
    if bytes == 0 || WORD.is_multiple_of(bytes) { bytes } else { words_for(bytes) * WORD }
}

const fn whole_lines(words: usize) -> usize {
    (words * WORD).next_multiple_of(LINE_BYTES) / WORD
}

/// The leaf's count, scale and flags in one word, which changes with the version.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meta(usize);

impl Meta {
    const COUNT: usize = 0xFF;
    const SHIFT: u32 = 8;
    const SHIFT_MASK: usize = 0x3F;
    /// There is a leaf to the left, and `lo` is the lower bound of this one.
    const HAS_LO: usize = 1 << 14;
    /// There is a leaf to the right, and `hi` is the upper bound of this one.
    const HAS_HI: usize = 1 << 15;
    /// The words of `lo` have the key from which hints are counted.
    const HAS_BASE: usize = 1 << 16;
    /// The leaf is in use: not retired.
    const LIVE: usize = 1 << 17;
    /// A fence lists the leaf.
    const LISTED: usize = 1 << 18;

    /// The meta of an empty leaf without bounds.
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

    /// Returns the meta after a lower bound, which is the base too, was stored.
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

/// A leaf's state and meta as a thread read them. The leaf is validated, or locked, against them.
#[derive(Clone, Copy)]
pub(crate) struct LeafVersion {
    state: StateWord,
    pub(crate) meta: Meta,
}

impl LeafVersion {
    #[inline(always)]
    pub(crate) fn is_locked(self) -> bool {
        self.state.is_locked()
    }

    /// Returns the number of writes to the leaf, as far as the version can count them.
    pub(crate) fn write_count(self) -> usize {
        self.state.version()
    }
}

/// A leaf, and the version under which it was read.
pub(crate) type VersionedLeaf<'a, K, V> = (LeafRef<'a, K, V>, LeafVersion);

/// The leaf was written to since its version was read, so the data read of it must not be used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeafChanged;

/// Where the leaf's keys are stored, or its values.
#[derive(Clone, Copy)]
struct Column {
    /// Offset in words.
    start: usize,
    /// Distance in bytes from one item to the next.
    stride: usize,
}

pub(crate) struct LeafRef<'a, K, V> {
    words: *const Word,
    arena: PhantomData<(&'a Word, K, V)>,
}

// SAFETY: it is a reference to a leaf's words, which any thread reads and writes as atomics. Any thread may copy the
// leaf's entries, as any thread that shares the tree may, which asks for the same.
unsafe impl<K: Send, V: Send> Send for LeafRef<'_, K, V> {}
// SAFETY: as above; a shared reference to it is no more than a copy of it.
unsafe impl<K: Send, V: Send> Sync for LeafRef<'_, K, V> {}

impl<K, V> Clone for LeafRef<'_, K, V> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<K, V> Copy for LeafRef<'_, K, V> {}
impl<K, V> PartialEq for LeafRef<'_, K, V> {
    #[inline(always)]
    fn eq(&self, other: &Self) -> bool {
        self.words == other.words
    }
}

impl<'a, K, V> LeafRef<'a, K, V> {
    const KEYS: Column =
        Column { start: LeafLayout::<K, V>::KEYS, stride: LeafLayout::<K, V>::KEY };
    const VALUES: Column =
        Column { start: LeafLayout::<K, V>::VALUES, stride: LeafLayout::<K, V>::VALUE };

    /// # Safety
    /// `words` are the `LeafLayout::WORDS` words of a leaf, and are not freed within `'a`.
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
        // SAFETY: below `WORDS`, and `new` was promised that the words live for `'a`.
        unsafe { &*self.words.add(index) }
    }

    #[inline(always)]
    fn lock(self) -> SeqLock<'a> {
        SeqLock(self.word(LeafLayout::<K, V>::STATE).control())
    }

    /// Begins a read, or a write. [SL-4] in `SeqLock::begin` lets the caller see the last finished write.
    #[inline(always)]
    pub(crate) fn begin(self) -> LeafVersion {
        let state = self.lock().begin();
        let meta = if StateWord::HAS_INDEX {
            state.index()
        } else {
            // relaxed: payload, which the caller validates or locks before it relies on it.
            self.word(LeafLayout::<K, V>::META).control().load(Ordering::Relaxed)
        };
        LeafVersion { state, meta: Meta(meta) }
    }

    #[inline(always)]
    pub(crate) fn validate(self, version: LeafVersion) -> bool {
        self.lock().validate(version.state)
    }

    /// Loads the version. Waits while a writer has the leaf.
    #[inline(always)]
    pub(crate) fn begin_unlocked(self, backoff: &mut Backoff) -> Result<LeafVersion, WouldWait> {
        loop {
            let version = self.begin();
            if !version.is_locked() {
                return Ok(version);
            }
            backoff.wait()?;
        }
    }

    #[inline(always)]
    pub(crate) fn check(self, version: LeafVersion) -> Result<(), LeafChanged> {
        if self.validate(version) { Ok(()) } else { Err(LeafChanged) }
    }

    #[inline(always)]
    pub(crate) fn try_lock(self, version: LeafVersion) -> bool {
        self.lock().try_lock(version.state)
    }

    /// Returns whether the leaf is unchanged, by a swap instead of a load. A later writer of this leaf then sees the
    /// lock that the caller holds of another leaf [SL-7].
    pub(crate) fn confirm(self, version: LeafVersion) -> bool {
        self.lock().confirm(version.state)
    }

    /// Ends a write and publishes it.
    #[inline(always)]
    pub(crate) fn unlock(self, version: LeafVersion, meta: Meta) {
        if StateWord::HAS_INDEX {
            self.lock().unlock(version.state.next(meta.0));
        } else {
            // relaxed: payload, published by the unlock below.
            self.word(LeafLayout::<K, V>::META).control().store(meta.0, Ordering::Relaxed);
            self.lock().unlock(version.state.next(0));
        }
    }

    /// Unlocks a leaf to which nothing was written, with the version that it had: readers need not restart.
    pub(crate) fn unlock_unchanged(self, version: LeafVersion) {
        self.lock().give_back(version.state);
    }

    /// Prefetches the header's cache line.
    #[inline(always)]
    pub(crate) fn prefetch(self) {
        prefetch::read(self.words);
    }

    /// Prefetches the values of `block`.
    #[inline(always)]
    pub(crate) fn prefetch_values(self, block: usize) {
        let bytes = block * BLOCK * LeafLayout::<K, V>::VALUE;
        // Only an address, so it need not be inside the leaf.
        prefetch::read(self.words.wrapping_add(LeafLayout::<K, V>::VALUES + bytes / WORD));
    }

    /// Prefetches the keys of `block`.
    #[inline(always)]
    pub(crate) fn prefetch_keys(self, block: usize) {
        let bytes = block * BLOCK * LeafLayout::<K, V>::KEY;
        // Only an address, so it need not be inside the leaf.
        prefetch::read(self.words.wrapping_add(LeafLayout::<K, V>::KEYS + bytes / WORD));
    }
}

/// Fetches of readers. Fetched bytes may be torn until the version is validated.
impl<K: Copy, V: Copy> LeafRef<'_, K, V> {
    #[inline(always)]
    fn fetch<T>(self, column: Column, at: usize) -> MaybeUninit<T> {
        let offset = column.start * WORD + at * column.stride;
        // SAFETY: all callers keep `at` below `LeafLayout::ENTRIES`, so the item is inside the leaf.
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

    /// Returns a key that is an integer. A concurrent write may make it any integer.
    ///
    /// # Safety
    /// `K` is an integer type ([`is_exact`](super::rank::is_exact)).
    #[inline(always)]
    pub(crate) unsafe fn integer_key(self, at: usize) -> K {
        debug_assert!(at < LeafLayout::<K, V>::ENTRIES);
        let offset = LeafLayout::<K, V>::KEYS * WORD + at * LeafLayout::<K, V>::KEY;
        // SAFETY: inside the leaf; writers of this leaf store nothing but integers as keys, and new words are 0.
        unsafe { words::fetch_integer(self.words, offset) }
    }

    /// Returns the integer from which hints are counted, if the meta has one.
    ///
    /// # Safety
    /// As [`Self::integer_key`].
    #[inline(always)]
    pub(crate) unsafe fn integer_lo(self) -> K {
        // SAFETY: the caller's promise; writers store nothing but integers in the words of `lo`, and new words are 0.
        unsafe { words::fetch_integer(self.words, LeafLayout::<K, V>::LO * WORD) }
    }

    /// Returns the key at `at`.
    #[inline(always)]
    pub(crate) fn key(self, version: LeafVersion, at: usize) -> Result<K, LeafChanged> {
        debug_assert!(at < version.meta.count());
        let key = self.fetch_key(at);
        self.check(version)?;
        // SAFETY: unchanged since `version`, which counts more than `at` entries, so this is a whole key.
        Ok(unsafe { key.assume_init() })
    }

    /// Returns the value at `at`.
    #[inline(always)]
    pub(crate) fn value(self, version: LeafVersion, at: usize) -> Result<V, LeafChanged> {
        debug_assert!(at < version.meta.count());
        let value = self.fetch_value(at);
        self.check(version)?;
        // SAFETY: as in `key`.
        Ok(unsafe { value.assume_init() })
    }

    fn bound(self, version: LeafVersion, has: bool, at: usize) -> Result<Option<K>, LeafChanged> {
        // SAFETY: `LO` or `HI`, whose words are inside the leaf.
        let key = unsafe { words::fetch::<K>(self.words, at * WORD) };
        self.check(version)?;
        // SAFETY: unchanged since `version`, which says whether a key is stored there.
        Ok(has.then(|| unsafe { key.assume_init() }))
    }

    /// Returns the lower bound: the least key that belongs to the leaf.
    pub(crate) fn lo(self, version: LeafVersion) -> Result<Option<K>, LeafChanged> {
        self.bound(version, version.meta.has_lo(), LeafLayout::<K, V>::LO)
    }

    /// Returns the upper bound: the least key that belongs to the leaf to the right.
    pub(crate) fn hi(self, version: LeafVersion) -> Result<Option<K>, LeafChanged> {
        self.bound(version, version.meta.has_hi(), LeafLayout::<K, V>::HI)
    }

    /// Returns the key from which hints are counted.
    pub(crate) fn base(self, version: LeafVersion) -> Result<Option<K>, LeafChanged> {
        self.bound(version, version.meta.has_base(), LeafLayout::<K, V>::LO)
    }

    /// Returns the leaf to the right, or the leaf itself if it is the last one.
    pub(crate) fn next(self, version: LeafVersion) -> Result<Self, LeafChanged> {
        // SAFETY: the word is inside the leaf.
        let next =
            unsafe { words::fetch::<*const Word>(self.words, LeafLayout::<K, V>::NEXT * WORD) };
        self.check(version)?;
        if !version.meta.has_hi() {
            return Ok(self);
        }
        // SAFETY: unchanged since `version`, which says that a leaf follows to the right. The write that linked that
        // leaf is seen ([SL-4]), and so is its allocation. Leaves are freed with the arena.
        Ok(unsafe { Self::new(next.assume_init()) })
    }

    /// As `next`, for a thread that holds the lock of a leaf that is not the last one.
    pub(crate) fn next_locked(self) -> Self {
        // SAFETY: the word is inside the leaf, and only the owner of the lock writes to it. Taking the lock has shown
        // the write that linked the leaf to the right.
        unsafe {
            Self::new(
                words::fetch::<*const Word>(self.words, LeafLayout::<K, V>::NEXT * WORD)
                    .assume_init(),
            )
        }
    }

    /// As `hi`, for a thread that holds the lock.
    pub(crate) fn hi_locked(self, version: LeafVersion) -> Option<K> {
        // SAFETY: inside the leaf; only the owner of the lock writes there, and the meta says whether a key is stored.
        version.meta.has_hi().then(|| unsafe {
            words::fetch::<K>(self.words, LeafLayout::<K, V>::HI * WORD).assume_init()
        })
    }

    /// Returns the number of blocks whose hints are not greater than `hint`.
    #[inline(always)]
    pub(crate) fn blocks_at_most(self, hint: usize) -> usize {
        LeafHints::at_most(hint, |index| {
            // relaxed: payload, and any number leads to some block.
            self.word(LeafLayout::<K, V>::HINTS + index).control().load(Ordering::Relaxed)
        })
    }

    pub(crate) fn hints(self) -> LeafHints {
        Hints(core::array::from_fn(|index| {
            // relaxed: payload, which the caller validates or locks before it relies on it.
            self.word(LeafLayout::<K, V>::HINTS + index).control().load(Ordering::Relaxed)
        }))
    }

    /// Returns the scale of the hints under `version`, given the base's rank.
    #[inline(always)]
    pub(crate) fn scale(version: LeafVersion, base: usize) -> Scale {
        Scale { base, shift: version.meta.shift() }
    }
}

/// Stores by the owner of the lock.
impl<K: Copy, V: Copy> LeafRef<'_, K, V> {
    #[inline(always)]
    fn put<T: Copy>(self, column: Column, at: usize, value: &T) {
        debug_assert!(at < LeafLayout::<K, V>::ENTRIES);
        // SAFETY: inside the leaf, whose lock the caller holds.
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
            // relaxed: payload, published by the unlock.
            self.word(LeafLayout::<K, V>::HINTS + index).control().store(word, Ordering::Relaxed);
        }
    }

    pub(crate) fn put_lo(self, lo: &K) {
        // SAFETY: inside the leaf, whose lock the caller holds.
        unsafe { words::put(self.words, LeafLayout::<K, V>::LO * WORD, lo) }
    }

    pub(crate) fn put_hi(self, hi: &K) {
        // SAFETY: inside the leaf, whose lock the caller holds.
        unsafe { words::put(self.words, LeafLayout::<K, V>::HI * WORD, hi) }
    }

    pub(crate) fn put_next(self, next: Self) {
        // SAFETY: inside the leaf, whose lock the caller holds.
        unsafe { words::put(self.words, LeafLayout::<K, V>::NEXT * WORD, &next.words) }
    }

    /// Links a retired leaf to the next one of a list, by the word that otherwise leads to the right neighbour.
    pub(crate) fn put_next_free(self, next: *mut Word) {
        // SAFETY: inside the leaf, which is retired and the caller's. The lock under which it was retired was taken
        // before this store ([SL-1]), so a reader that loads this word fails to validate.
        unsafe { words::put(self.words, LeafLayout::<K, V>::NEXT * WORD, &next) }
    }

    /// Returns the leaf that `put_next_free` linked to this one. For the owner of the retired leaf.
    pub(crate) fn next_free(self) -> *mut Word {
        // SAFETY: inside the leaf; the last owner of the list has stored it, and passed the list on by [AR-1].
        unsafe {
            words::fetch::<*mut Word>(self.words, LeafLayout::<K, V>::NEXT * WORD).assume_init()
        }
    }

    /// Makes room for an entry at `at`: moves the entries from there up to `count` one place up.
    #[inline(always)]
    pub(crate) fn open_gap(self, at: usize, count: usize) {
        debug_assert!(at <= count && count < LeafLayout::<K, V>::ENTRIES);
        self.move_up::<K>(Self::KEYS, at, count);
        self.move_up::<V>(Self::VALUES, at, count);
    }

    /// Takes out `some` entries at `at`: moves the entries behind them, up to `count`, down.
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
            // SAFETY: there is room for one more item in the leaf, whose lock the caller holds.
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
            // SAFETY: items below the count, in the leaf, whose lock the caller holds.
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
        // SAFETY: an item below the count is a whole `T`, and the caller holds the lock.
        let value = unsafe { self.fetch::<T>(column, from).assume_init() };
        self.put(column, to, &value);
    }

    /// Copies the upper bound and the link to the right. The caller holds both locks.
    pub(crate) fn copy_end_to(self, other: Self) {
        let hi = LeafLayout::<K, V>::HI;
        for index in (hi..hi + words_for(size_of::<K>())).chain([LeafLayout::<K, V>::NEXT]) {
            other.word(index).store_payload(self.word(index).load_payload());
        }
    }

    /// Copies `count` entries to another leaf. The caller holds both locks.
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
            // SAFETY: inside both leaves, whose locks the caller holds. If the last word is only partly used, the bytes
            // behind the last item are copied too; the count does not include them.
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
