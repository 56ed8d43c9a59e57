//! One bin: its tag word, its state word and its entries.
//!
//! # Synchronization
//! - `[FT-1]` acquire load of the tags ↔ `[FT-2]` release store of the tags (or the release `atomic::fence` of `[SL-1]`
//!   before a relaxed store): a thread that sees an initialized bin, or a key's tag, also sees every word written
//!   before, including the directory entry of a child bin.
//! - Entries are ordered by the seqlock in the state word (`[SL-1]` to `[SL-5]`).
//! - Readers load the state first (`[SL-4]`), then the tags (`[FT-1]`). Tags that are newer than the state make the
//!   validation fail. In the other order, tags older than the state would pass it.

use super::layout::{BIN_HEAD, Layout, MAX_SLOTS};
use super::tags::Tags;
use crate::facade::Word;
use crate::facade::atomic::Ordering;
use crate::sync::prefetch;
use crate::sync::seqlock::{SeqLock, StateWord};
use crate::sync::words::{self, WORD};
use core::marker::PhantomData;
use core::mem::MaybeUninit;

/// The bin changed while it was being read.
pub(crate) struct BinChanged;

/// A bin that lives as long as `'a`.
pub(crate) struct Bin<'a, K, V> {
    head: *const Word,
    entries: *const Word,
    table: PhantomData<(&'a Word, K, V)>,
}

impl<K, V> Clone for Bin<'_, K, V> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<K, V> Copy for Bin<'_, K, V> {}

impl<'a, K: Copy, V: Copy> Bin<'a, K, V> {
    /// Returns bin `index` of a segment.
    ///
    /// # Safety
    /// `segment` is the address of a segment with more than `index` bins, which stays live for `'a`.
    #[inline(always)]
    pub(crate) unsafe fn new(segment: *const Word, index: usize) -> Self {
        Self {
            head: segment.wrapping_add(index * BIN_HEAD),
            entries: segment.wrapping_sub((index + 1) * Layout::<K, V>::entries()),
            table: PhantomData,
        }
    }

    /// Returns the bin that consists of this head and these entries.
    ///
    /// # Safety
    /// `head` is the address of `BIN_HEAD` words and `entries` that of `Layout::entries()` words; all stay live for
    /// `'a`.
    #[inline(always)]
    pub(crate) unsafe fn from_parts(head: *const Word, entries: *const Word) -> Self {
        Self { head, entries, table: PhantomData }
    }

    #[inline(always)]
    fn word(self, index: usize) -> &'a Word {
        debug_assert!(index < BIN_HEAD);
        // SAFETY: the caller of `new` or `from_parts` promised that the words of the head live for `'a`.
        unsafe { &*self.head.add(index) }
    }

    /// Prefetches the cache line of the third slot: it mostly holds the first slots too, or some of those after.
    /// Prefetching one line costs misses, which need no entry, less than prefetching two; a second line gained hits
    /// nothing.
    #[inline(always)]
    pub(crate) fn prefetch(self) {
        let third = 2 * Layout::<K, V>::ENTRY;
        if third + Layout::<K, V>::ENTRY <= Layout::<K, V>::entries() {
            prefetch::read(self.entries.wrapping_add(third));
        }
    }

    /// Prefetches the bin, as far as two cache lines hold its entries.
    #[cfg(feature = "alloc")]
    #[inline(always)]
    pub(crate) fn prefetch_all(self) {
        prefetch::read(self.head);
        prefetch::read(self.entries);
        prefetch::read(self.entries.wrapping_add(Layout::<K, V>::entries().saturating_sub(1)));
    }

    /// Prefetches the line of the bin's head.
    #[inline(always)]
    pub(crate) fn prefetch_head(self) {
        prefetch::read(self.head);
    }

    /// Prefetches the first line of one entry.
    #[inline(always)]
    pub(crate) fn prefetch_entry(self, slot: usize) {
        prefetch::read(self.entries.wrapping_add(slot * Layout::<K, V>::ENTRY));
    }

    /// Returns the bin's tags.
    #[inline(always)]
    pub(crate) fn tags(self) -> Tags {
        // [FT-1] acquire: pairs with the release in `set_tags` [FT-2], so a thread that finds a key's tag here, or a
        // bin initialized, also sees what was written before it.
        Tags(self.word(0).control().load(Ordering::Acquire))
    }

    /// Stores the tags. The caller holds the bin's lock, or is the only thread that can see the bin.
    #[inline(always)]
    pub(crate) fn set_tags(self, tags: Tags) {
        // [FT-2] release: pairs with the acquire in `tags` [FT-1]. A split relies on it: a reader that sees the parent
        // without the moved keys sees their child.
        self.word(0).control().store(tags.0, Ordering::Release);
    }

    /// Returns the seqlock that guards the bin's entries.
    #[inline(always)]
    pub(crate) fn seq(self) -> SeqLock<'a> {
        SeqLock(self.word(1).control())
    }

    /// Returns the number of the bin's first overflow line under `state`, 0 for none.
    #[inline]
    pub(crate) fn overflow(self, state: StateWord) -> usize {
        if StateWord::HAS_INDEX {
            state.index()
        } else {
            // relaxed: payload of the seqlock [SL-4]; the caller validates the state before it uses the number.
            self.word(2).control().load(Ordering::Relaxed)
        }
    }

    /// Stores the number of the first overflow line, and returns the state to unlock the bin with. The caller holds the
    /// lock, or is the only thread that can see the bin.
    #[inline]
    pub(crate) fn state_after(self, state: StateWord, overflow: usize) -> StateWord {
        if !StateWord::HAS_INDEX {
            // relaxed: payload of the seqlock, which `unlock` publishes ([SL-1], [SL-3]).
            self.word(2).control().store(overflow, Ordering::Relaxed);
        }
        state.next(overflow)
    }

    /// Sets the first state of a bin that no other thread can see yet.
    pub(crate) fn start(self, overflow: usize) {
        self.seq().unlock(self.state_after(self.seq().begin(), overflow));
    }

    /// Returns the entry in `slot`.
    #[inline(always)]
    pub(crate) fn entry(self, slot: usize) -> EntryWords<'a, K, V> {
        debug_assert!(slot < Layout::<K, V>::SLOTS);
        // SAFETY: a bin has `SLOTS` entries, and they live for `'a`.
        unsafe { EntryWords::nth(self.entries, slot) }
    }

    /// Returns what `read` fetched of an entry, if the entry is the key's. The bin's tags, loaded after `state`, must
    /// have said that the place holds an entry.
    #[inline(always)]
    pub(crate) fn check<R>(
        self,
        state: StateWord,
        entry: EntryWords<'_, K, V>,
        eq: impl Fn(&K) -> bool + Copy,
        read: impl Fn(EntryWords<'_, K, V>) -> MaybeUninit<R> + Copy,
    ) -> Result<Option<R>, BinChanged> {
        let (key, value) = (entry.key(), read(entry));
        // A writer was here since `state`: the fetched words may be torn, and `eq` must not see them.
        if !self.seq().validate(state) {
            return Err(BinChanged);
        }
        // SAFETY: the state is still the one that was read before, so nothing was written while key and value were
        // fetched; and a tag says that the place holds an entry. So both are whole.
        let (key, value) = unsafe { (key.assume_init(), value.assume_init()) };
        let same = eq(&key);
        // `eq` has read the key elsewhere, and that place may be overwritten once no entry refers to it. So `eq`
        // read the key only if the entry is still in this slot.
        if words::is_indirect::<K>() && !self.seq().validate(state) {
            return Err(BinChanged);
        }
        Ok(same.then_some(value))
    }
}

/// The words of one key and its value, in a bin or in an overflow line. For a packed entry: the address of the whole
/// pack, with the entry's number in the low bits.
pub(crate) struct EntryWords<'a, K, V> {
    words: *const Word,
    table: PhantomData<(&'a Word, K, V)>,
}

impl<K, V> Clone for EntryWords<'_, K, V> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<K, V> Copy for EntryWords<'_, K, V> {}

impl<K: Copy, V: Copy> EntryWords<'_, K, V> {
    /// Returns entry `index` of those at `words`.
    /// # Safety
    /// `words` must point at more than `index` entries that stay live for the lifetime named.
    #[inline(always)]
    pub(crate) unsafe fn nth(words: *const Word, index: usize) -> Self {
        const { assert!(MAX_SLOTS <= WORD) };
        let words = if Layout::<K, V>::is_packed() {
            words.wrapping_byte_add(index)
        } else {
            // SAFETY: within the entries, as the caller says.
            unsafe { words.add(index * Layout::<K, V>::ENTRY) }
        };
        Self { words, table: PhantomData }
    }

    /// Returns the address of the pack that this entry is in, and its number there.
    #[inline(always)]
    fn among(self) -> (*const Word, usize) {
        let index = self.words.addr() & (WORD - 1);
        (self.words.wrapping_byte_sub(index), index)
    }

    /// Returns the key's bytes, perhaps torn: the caller must validate the bin's state before it looks at them.
    #[inline(always)]
    pub(crate) fn key(self) -> MaybeUninit<K> {
        if Layout::<K, V>::is_packed() {
            let (words, index) = self.among();
            // SAFETY: the entries are live (`nth`), and packed.
            let key = unsafe { words::fetch_packed(words, index) };
            // SAFETY: a packed key is a transparent integer of this size (`Layout::is_packed`).
            return unsafe { (&raw const key).cast::<MaybeUninit<K>>().read() };
        }
        // SAFETY: the entry's words are live (`nth`), and the key starts at the first.
        unsafe { words::fetch(self.words, 0) }
    }

    /// Returns the value's bytes, perhaps torn: the caller must validate the bin's state before it looks at them.
    #[inline(always)]
    pub(crate) fn value(self) -> MaybeUninit<V> {
        // SAFETY: the entry's words are live (`nth`), and the value ends within them.
        unsafe { words::fetch(self.words, Layout::<K, V>::VALUE_AT) }
    }

    /// Writes key and value. The caller holds the bin's lock.
    #[inline(always)]
    pub(crate) fn put(self, key: &K, value: &V) {
        self.put_key(key);
        self.put_value(value);
    }

    /// Writes the key only. The caller holds the bin's lock.
    #[inline(always)]
    pub(crate) fn put_key(self, key: &K) {
        if Layout::<K, V>::is_packed() {
            let (words, index) = self.among();
            // SAFETY: a packed key is a transparent integer of this size (`Layout::is_packed`).
            let key = unsafe { core::ptr::from_ref(key).cast::<usize>().read() };
            // SAFETY: the entries are live, and the bin's lock, which the caller holds, makes this thread the only
            // writer of the pack.
            return unsafe { words::put_packed(words, index, key) };
        }
        // SAFETY: the words are live, and the bin's lock, which the caller holds, makes this thread their only writer.
        unsafe { words::put(self.words, 0, key) }
    }

    /// Writes the value only. The caller holds the bin's lock.
    #[inline(always)]
    pub(crate) fn put_value(self, value: &V) {
        if size_of::<V>() == 0 {
            return;
        }
        // SAFETY: the words are live, and the bin's lock, which the caller holds, makes this thread their only writer.
        unsafe { words::put(self.words, Layout::<K, V>::VALUE_AT, value) }
    }

    /// Copies the words of `from` to this entry. The caller holds the locks of both bins.
    #[inline]
    pub(crate) fn copy_from(self, from: Self) {
        if Layout::<K, V>::is_packed() {
            let ((from, at), (words, index)) = (from.among(), self.among());
            // SAFETY: both entries are live, and under the two locks no other thread writes to either pack.
            return unsafe { words::put_packed(words, index, words::fetch_packed(from, at)) };
        }
        // SAFETY: both entries are live for `ENTRY` words.
        unsafe { words::copy(from.words, self.words, Layout::<K, V>::ENTRY) }
    }
}
