//! One bin: its tag word, its state word and its entries.
//!
//! # Synchronization
//! - `[FT-1]` acquire load of the tags ↔ `[FT-2]` release store of the tags (or the release
//!   `atomic::fence` of `[SL-1]` before a relaxed one): who sees a bin born, or a key's tag, sees what
//!   was written before, the directory entry of a child included.
//! - Entries are ordered by the seqlock in the state word (`[SL-1]` to `[SL-5]`).
//! - The order of the two loads matters: state first (`[SL-4]`), then tags (`[FT-1]`), so that tags which
//!   are newer than the state make the validation fail, never the other way round.

use super::layout::{BIN_HEAD, Layout, MAX_SLOTS};
use super::tags::Tags;
use crate::facade::Word;
use crate::facade::atomic::Ordering;
use crate::sync::prefetch;
use crate::sync::seqlock::{SeqLock, State};
use crate::sync::words::{self, WORD};
use core::marker::PhantomData;
use core::mem::MaybeUninit;

/// The bin changed while it was being read.
pub(crate) struct Changed;

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
    /// # Safety
    /// `segment` is the address of one with more than `index` bins, which stays live for `'a`.
    #[inline(always)]
    pub(crate) unsafe fn new(segment: *const Word, index: usize) -> Self {
        Self {
            head: segment.wrapping_add(index * BIN_HEAD),
            entries: segment.wrapping_sub((index + 1) * Layout::<K, V>::entries()),
            table: PhantomData,
        }
    }

    /// # Safety
    /// `head` is the address of `BIN_HEAD` words and `entries` that of `Layout::entries()`; all stay live
    /// for `'a`.
    #[inline(always)]
    pub(crate) unsafe fn from_parts(head: *const Word, entries: *const Word) -> Self {
        Self { head, entries, table: PhantomData }
    }

    #[inline(always)]
    fn word(self, index: usize) -> &'a Word {
        debug_assert!(index < BIN_HEAD);
        // SAFETY: whoever made the bin said that the words of its head live for `'a`.
        unsafe { &*self.head.add(index) }
    }

    /// Asks for the cache line of the third slot, which mostly has the first ones, or some of those after.
    /// One line costs misses, which need none, less than two; and two gained hits nothing.
    #[inline(always)]
    pub(crate) fn prefetch(self) {
        let third = 2 * Layout::<K, V>::ENTRY;
        if third + Layout::<K, V>::ENTRY <= Layout::<K, V>::entries() {
            prefetch::read(self.entries.wrapping_add(third));
        }
    }

    /// Asks for the line of the bin's head.
    #[inline(always)]
    pub(crate) fn prefetch_head(self) {
        prefetch::read(self.head);
    }

    /// Asks for the first line of one entry.
    #[inline(always)]
    pub(crate) fn prefetch_entry(self, slot: usize) {
        prefetch::read(self.entries.wrapping_add(slot * Layout::<K, V>::ENTRY));
    }

    #[inline(always)]
    pub(crate) fn tags(self) -> Tags {
        // [FT-1] acquire: pairs with [FT-2].
        Tags(self.word(0).control().load(Ordering::Acquire))
    }

    /// Stores the tags under the bin's lock, or before anybody else can see the bin.
    #[inline(always)]
    pub(crate) fn set_tags(self, tags: Tags) {
        // [FT-2] release: pairs with [FT-1]. The order between parent and child of a split rests on it.
        self.word(0).control().store(tags.0, Ordering::Release);
    }

    #[inline(always)]
    pub(crate) fn seq(self) -> SeqLock<'a> {
        SeqLock(self.word(1).control())
    }

    /// Number of the bin's first overflow line under `state`, 0 for none.
    #[inline]
    pub(crate) fn overflow(self, state: State) -> usize {
        if State::HAS_INDEX {
            state.index()
        } else {
            // relaxed: payload of the seqlock; the caller validates before the number is used.
            self.word(2).control().load(Ordering::Relaxed)
        }
    }

    /// Stores the number of the first overflow line; the caller holds the lock and unlocks with the
    /// returned state, or is the only one to know the bin.
    #[inline]
    pub(crate) fn state_after(self, state: State, overflow: usize) -> State {
        if !State::HAS_INDEX {
            // relaxed: payload of the seqlock, ordered by [SL-1] and [SL-3].
            self.word(2).control().store(overflow, Ordering::Relaxed);
        }
        state.next(overflow)
    }

    /// Gives a bin that nobody can see yet its first state.
    pub(crate) fn start(self, overflow: usize) {
        self.seq().unlock(self.state_after(self.seq().begin(), overflow));
    }

    #[inline(always)]
    pub(crate) fn entry(self, slot: usize) -> Entry<'a, K, V> {
        debug_assert!(slot < Layout::<K, V>::SLOTS);
        // SAFETY: a bin has `SLOTS` entries, and they live for `'a`.
        unsafe { Entry::nth(self.entries, slot) }
    }

    /// What is wanted of an entry, if it is the key's. The bin's tags, read since `state`, said that the
    /// place holds an entry.
    #[inline(always)]
    pub(crate) fn check<R>(
        self,
        state: State,
        entry: Entry<'_, K, V>,
        eq: impl Fn(&K) -> bool + Copy,
        read: impl Fn(Entry<'_, K, V>) -> MaybeUninit<R> + Copy,
    ) -> Result<Option<R>, Changed> {
        let (key, value) = (entry.key(), read(entry));
        if !self.seq().validate(state) {
            return Err(Changed);
        }
        // SAFETY: validated: nothing was written while key and value were fetched, and a tag says that
        // the place holds an entry, so both are whole.
        let (key, value) = unsafe { (key.assume_init(), value.assume_init()) };
        let same = eq(&key);
        // What the word leads to was the key's only as long as the word stood here.
        if words::is_indirect::<K>() && !self.seq().validate(state) {
            return Err(Changed);
        }
        Ok(same.then_some(value))
    }
}

/// The words of one key and its value, in a bin or in an overflow line. Of one among packed ones the address of them
/// all, with its number in the low bits.
pub(crate) struct Entry<'a, K, V> {
    words: *const Word,
    table: PhantomData<(&'a Word, K, V)>,
}

impl<K, V> Clone for Entry<'_, K, V> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<K, V> Copy for Entry<'_, K, V> {}

impl<K: Copy, V: Copy> Entry<'_, K, V> {
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

    /// The packed entries that it is among, and its number there.
    #[inline(always)]
    fn among(self) -> (*const Word, usize) {
        let index = self.words.addr() & (WORD - 1);
        (self.words.wrapping_byte_sub(index), index)
    }

    /// The key's bytes, perhaps torn: not to be looked at before the bin's state was validated.
    #[inline(always)]
    pub(crate) fn key(self) -> MaybeUninit<K> {
        if Layout::<K, V>::is_packed() {
            let (words, index) = self.among();
            // SAFETY: the entries are live, and packed ones.
            let key = unsafe { words::fetch_packed(words, index) };
            // SAFETY: a key among packed ones is a transparent integer of this size.
            return unsafe { (&raw const key).cast::<MaybeUninit<K>>().read() };
        }
        // SAFETY: the entry's words are live, and the key lies at their start.
        unsafe { words::fetch(self.words, 0) }
    }

    /// The value's bytes, perhaps torn: not to be looked at before the bin's state was validated.
    #[inline(always)]
    pub(crate) fn value(self) -> MaybeUninit<V> {
        // SAFETY: the entry's words are live, and the value ends within them.
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
            // SAFETY: a key among packed ones is a transparent integer of this size.
            let key = unsafe { core::ptr::from_ref(key).cast::<usize>().read() };
            // SAFETY: the entries are live, and the lock makes us the only writer of all of them.
            return unsafe { words::put_packed(words, index, key) };
        }
        // SAFETY: the words are live, and the lock makes us the only writer.
        unsafe { words::put(self.words, 0, key) }
    }

    /// Writes the value only. The caller holds the bin's lock.
    #[inline(always)]
    pub(crate) fn put_value(self, value: &V) {
        if size_of::<V>() == 0 {
            return;
        }
        // SAFETY: the words are live, and the lock makes us the only writer.
        unsafe { words::put(self.words, Layout::<K, V>::VALUE_AT, value) }
    }

    /// Copies the words of `from` here. The caller holds the locks of both bins.
    #[inline]
    pub(crate) fn copy_from(self, from: Self) {
        if Layout::<K, V>::is_packed() {
            let ((from, at), (words, index)) = (from.among(), self.among());
            // SAFETY: both entries are live, and nobody else writes to those around them.
            return unsafe { words::put_packed(words, index, words::fetch_packed(from, at)) };
        }
        // SAFETY: both entries are live for `ENTRY` words.
        unsafe { words::copy(from.words, self.words, Layout::<K, V>::ENTRY) }
    }
}
