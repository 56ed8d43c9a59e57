//! Overflow lines: the place of keys whose bin is full.
//!
//! Lines come from chunks that are never freed while the map is shared, and return to free lists of the map: one that
//! all threads share, and in a large map one for each of a few threads ([`LineCaches`]). So a walk that has become
//! stale reads live memory, and its validation fails.
//!
//! # Synchronization
//! - `[OV-1]` release store of a chunk's address, and of the table of chunks ↔ `[OV-2]` acquire load: a thread that
//!   finds a line's chunk finds it zeroed or later.
//! - `[OV-3]` the lock of a free list, taken to push ↔ to pop: a thread that pops a line sees the last words that its
//!   former owner wrote. A line that moves between two lists is popped from one and pushed to the other.
//! - `[OV-4]` release `atomic::fence` in `chain`, between taking a list's lock and the first store to a line of it ↔
//!   `[SL-2]`: a stale walker that loads a word that was stored since also sees that the line was returned, thus that
//!   its bin has changed. (A thread that returns lines after unlinking them itself needs no such fence: that of the
//!   lock under which it did so, `[SL-1]`, stands before its stores.)
//! - A walker validates its bin's state before every hop and before it answers None. This bounds the walk, and keeps it
//!   from following a number that is no longer the bin's.

use super::Failure;
use super::arena::TableArena;
use super::line_caches::{FreeLines, KEPT, LEAST_BINS, LineCaches, REFILL, Stripe};
use crate::bins::bin::EntryWords;
use crate::bins::layout::{CHUNK_LINES, LINE_HEAD, Layout};
use crate::bins::tags::SlotMask;
use crate::facade::Word;
use crate::facade::atomic::{self, AtomicPtr, Ordering};
use crate::facade::lock::{Guard, Lock};
use crate::memory::{self, AllocError, Words};
use crate::sync::backoff::{Backoff, WouldWait};
use crate::sync::seqlock::StateWord;
use crate::sync::words;
use core::marker::PhantomData;
use core::ptr;

/// An overflow line. The number of a line is never 0.
pub(crate) struct OverflowLine<'a, K, V> {
    words: *const Word,
    pool: PhantomData<(&'a Word, K, V)>,
}

impl<K, V> Clone for OverflowLine<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K, V> Copy for OverflowLine<'_, K, V> {}

/// The head of a line: the number of the next line, and a tag for each slot.
#[derive(Clone, Copy)]
pub(crate) struct LineHead {
    pub(crate) next: usize,
    tags: u32,
}

impl LineHead {
    #[inline]
    pub(crate) fn tag(self, slot: usize) -> u8 {
        (self.tags >> (8 * slot)) as u8
    }

    #[inline]
    pub(crate) fn with(self, slot: usize, tag: u8) -> Self {
        Self { tags: self.tags & !(0xFF << (8 * slot)) | u32::from(tag) << (8 * slot), ..self }
    }

    /// Returns the slots whose tag is `tag`.
    #[inline]
    pub(crate) fn matches(self, tag: u8) -> SlotMask {
        // As in the tag word of a bin: tags have seven bits, so adding 0x7F carries into no other lane, and leaves the
        // top bit of a lane clear only if the lane is zero.
        let differs = self.tags ^ (u32::from(tag) * 0x0101_0101);
        SlotMask((!(differs + 0x7F7F_7F7F) & 0x8080_8080) as usize)
    }

    #[inline]
    pub(crate) fn is_empty(self) -> bool {
        self.tags == 0
    }

    /// Returns the slots in use.
    #[inline]
    pub(crate) fn used(self) -> SlotMask {
        // As in `matches`: the top bit of a lane is set if the lane is not zero.
        SlotMask(((self.tags + 0x7F7F_7F7F) & 0x8080_8080) as usize)
    }

    /// Returns the number of slots in use.
    pub(crate) fn count(self) -> usize {
        self.used().count()
    }

    pub(crate) fn new(next: usize) -> Self {
        Self { next, tags: 0 }
    }

    pub(crate) fn linked_to(self, next: usize) -> Self {
        Self { next, ..self }
    }
}

impl<'a, K: Copy, V: Copy> OverflowLine<'a, K, V> {
    fn word(self, index: usize) -> &'a Word {
        debug_assert!(index < LINE_HEAD);
        // SAFETY: `OverflowPool::line` made this of `Layout::line` words of a chunk, which lives as long as the pool is
        // borrowed.
        unsafe { &*self.words.add(index) }
    }

    #[cfg(target_pointer_width = "64")]
    pub(crate) fn head(self) -> LineHead {
        // relaxed: guarded by the seqlock of the bin that owns the line.
        let word = self.word(0).control().load(Ordering::Relaxed);
        LineHead { next: word & 0xFFFF_FFFF, tags: (word >> 32) as u32 }
    }

    #[cfg(target_pointer_width = "64")]
    pub(crate) fn set_head(self, head: LineHead) {
        // relaxed: guarded by the seqlock of the bin that owns the line.
        self.word(0).control().store(head.next | (head.tags as usize) << 32, Ordering::Relaxed);
    }

    #[cfg(not(target_pointer_width = "64"))]
    pub(crate) fn head(self) -> LineHead {
        // relaxed: guarded by the seqlock of the bin that owns the line.
        let (next, tags) = (
            self.word(0).control().load(Ordering::Relaxed),
            self.word(1).control().load(Ordering::Relaxed),
        );
        LineHead { next, tags: tags as u32 }
    }

    #[cfg(not(target_pointer_width = "64"))]
    pub(crate) fn set_head(self, head: LineHead) {
        // relaxed: guarded by the seqlock of the bin that owns the line.
        self.word(0).control().store(head.next, Ordering::Relaxed);
        // relaxed: as above.
        self.word(1).control().store(head.tags as usize, Ordering::Relaxed);
    }

    pub(crate) fn entry(self, slot: usize) -> EntryWords<'a, K, V> {
        debug_assert!(slot < Layout::<K, V>::LINE_SLOTS);
        // SAFETY: a line has `LINE_SLOTS` entries behind its head, which live as long as the line.
        unsafe { EntryWords::nth(self.words.add(LINE_HEAD), slot) }
    }
}

/// The addresses of all chunks. A full table of chunks is replaced by a longer copy, and kept for stale walkers.
struct Chunks {
    len: usize,
    older: *mut Chunks,
    // Followed by `len` of `AtomicPtr<Word>`.
}

impl Chunks {
    const FIRST: usize = 4;

    fn slot(this: *const Self, index: usize) -> *const AtomicPtr<Word> {
        // SAFETY: `memory::with_tail` put `len` pointers right behind the header, and callers pass an `index` below
        // `len`.
        unsafe { this.add(1).cast::<AtomicPtr<Word>>().add(index) }
    }
}

/// The lines that all threads share.
pub(super) struct Free {
    /// Lines that were returned.
    list: FreeLines,
    /// Lines with numbers below this have been popped at least once.
    fresh: usize,
    /// The number of chunks.
    chunks: usize,
}

impl Free {
    /// Returns the number of lines that can be popped.
    fn lines(&self) -> usize {
        let end = (self.chunks * CHUNK_LINES).min(StateWord::INDEX_MAX + 1);
        self.list.len + end.saturating_sub(self.fresh)
    }
}

/// All overflow lines of a map.
pub(crate) struct OverflowPool<K, V> {
    chunks: AtomicPtr<Chunks>,
    pub(super) free: Lock<Free>,
    pub(super) line_caches: LineCaches,
    /// The source of the memory of chunks, and of the table's segments.
    pub(crate) arena: TableArena,
    entries: PhantomData<(K, V)>,
}

/// Lines that belong to no bin, linked by their heads.
#[derive(Clone, Copy)]
pub(crate) struct LineList {
    /// The number of the first line; 0 means none.
    pub(crate) first: usize,
}

/// The pool, during one write.
pub(crate) struct PoolSession<'a, K, V> {
    pool: &'a OverflowPool<K, V>,
    held: LockedList<'a>,
}

/// The list that a writer has locked. One that may not wait locks it before it changes a bin, so that it can always
/// return the lines that it popped. Other writers lock a list when they need it.
enum LockedList<'a> {
    None,
    /// The thread's own list.
    Own(Guard<'a, FreeLines>),
    /// The common one, because there are no others.
    Common(Guard<'a, Free>),
}

impl<K: Copy, V: Copy> PoolSession<'_, K, V> {
    /// Pops `count` lines, or returns None if the pool needs another chunk first. Fails only if the writer may not
    /// wait.
    pub(crate) fn pop(&mut self, count: usize) -> Result<Option<LineList>, WouldWait> {
        if count == 0 {
            return Ok(Some(LineList { first: 0 }));
        }
        let pool = self.pool;
        match (&mut self.held, pool.line_caches.own()) {
            (LockedList::Common(free), _) => Ok(pool.pop_from(free, count)),
            (LockedList::Own(own), _) => pool.pop_own(own, count, || pool.free.try_lock()),
            (LockedList::None, Some(own)) if count <= REFILL => {
                pool.pop_own(&mut own.lock(), count, || Some(pool.free.lock()))
            }
            (LockedList::None, _) => Ok(pool.pop_from(&mut pool.free.lock(), count)),
        }
    }

    /// Returns a list of lines to the pool. The bin that owned them must be unlocked.
    pub(crate) fn push(&mut self, lines: LineList) {
        match &mut self.held {
            LockedList::Common(free) => self.pool.push_to(&mut free.list, lines),
            LockedList::Own(own) => self.pool.push_own(own, lines, || self.pool.free.try_lock()),
            LockedList::None => self.pool.push(lines),
        }
    }
}

impl<K: Copy, V: Copy> OverflowPool<K, V> {
    /// The lowest number of a line: 0 means none.
    const FIRST_LINE: usize = 1;

    crate::facade::const_unless_loom! {
        pub(crate) fn new(arena: TableArena) -> Self {
            Self {
                arena,
                chunks: AtomicPtr::new(ptr::null_mut()),
                free: Lock::new(Free {
                    list: FreeLines { first: 0, len: 0 },
                    fresh: Self::FIRST_LINE,
                    chunks: 0,
                }),
                line_caches: LineCaches::new(),
                entries: PhantomData,
            }
        }
    }

    /// Gives threads lists of their own if a table of `bins` bins is large enough for it. The index of a map with a
    /// budget never is: that budget has no room for lines that are set aside.
    pub(crate) fn spread_beyond(&self, bins: usize) {
        let has_budget = self.arena.is_some() || words::is_indirect::<K>();
        if bins >= LEAST_BINS && !has_budget && !cfg!(hedgerow_loom) {
            self.line_caches.spread();
        }
    }

    /// Returns the line of a number, or None if this thread sees no line of that number (yet).
    pub(crate) fn line(&self, number: usize) -> Option<OverflowLine<'_, K, V>> {
        // [OV-2] acquire: pairs with the release in `lengthen` [OV-1], so the table's pointers are visible.
        let chunks = self.chunks.load(Ordering::Acquire);
        let chunk = number / CHUNK_LINES;
        // SAFETY: tables of chunks are freed with the pool.
        if chunks.is_null() || chunk >= unsafe { (*chunks).len } {
            return None;
        }
        // SAFETY: `chunk < len`. [OV-2] acquire: pairs with the release in `add_chunk` [OV-1], so the chunk's words are
        // zeroed or later.
        let words = unsafe { &*Chunks::slot(chunks, chunk) }.load(Ordering::Acquire);
        if words.is_null() {
            return None;
        }
        // SAFETY: a chunk has `CHUNK_LINES` lines of `line` words, and is freed with the pool.
        let words = unsafe { words.add(number % CHUNK_LINES * Layout::<K, V>::line()) };
        Some(OverflowLine { words, pool: PhantomData })
    }

    /// Returns a line that exists: its number was read under the lock of the bin that owns it, or comes from `pop`.
    pub(crate) fn owned(&self, number: usize) -> OverflowLine<'_, K, V> {
        self.line(number).expect("the number of a line in use")
    }

    /// Begins a write that may pop lines or return some.
    pub(crate) fn session(&self, backoff: &Backoff) -> Result<PoolSession<'_, K, V>, WouldWait> {
        if backoff.may_wait() {
            return Ok(PoolSession { pool: self, held: LockedList::None });
        }
        let held = match self.line_caches.own() {
            Some(own) => LockedList::Own(own.try_lock().ok_or(WouldWait)?),
            None => LockedList::Common(self.lock(backoff)?),
        };
        Ok(PoolSession { pool: self, held })
    }

    /// Pops `count` lines from a thread's own list, or returns None if the pool needs another chunk first. If the list
    /// is too short, `common` locks the common one, from which it is refilled.
    pub(super) fn pop_own<'a>(
        &'a self,
        own: &mut FreeLines,
        count: usize,
        common: impl FnOnce() -> Option<Guard<'a, Free>>,
    ) -> Result<Option<LineList>, WouldWait> {
        if own.len < count {
            let mut free = common().ok_or(WouldWait)?;
            let refill = free.lines().min(REFILL.max(count - own.len));
            if own.len + refill < count {
                return Ok(None);
            }
            let Some(taken) = self.pop_from(&mut free, refill) else { return Ok(None) };
            drop(free);
            self.push_to(own, taken);
        }
        Ok(Some(self.take(own, count)))
    }

    fn pop_from(&self, free: &mut Free, count: usize) -> Option<LineList> {
        if free.lines() < count {
            return None;
        }
        Some(self.chain(count, || {
            if free.list.len > 0 {
                return self.unlink(&mut free.list);
            }
            free.fresh += 1;
            free.fresh - 1
        }))
    }

    /// Takes `count` lines off a list that has as many.
    fn take(&self, list: &mut FreeLines, count: usize) -> LineList {
        self.chain(count, || self.unlink(list))
    }

    /// Links `count` lines. The caller holds the lock of the list that `next` takes them from.
    fn chain(&self, count: usize, mut next: impl FnMut() -> usize) -> LineList {
        // [OV-3] the lock pairs with that of `push`: the former owners' last words are visible to this thread.
        // [OV-4] release fence: pairs with the acquire fence of `validate` [SL-2], so a stale walker that loads a word
        // stored below finds its bin's state changed.
        atomic::fence(Ordering::Release);
        let mut first = 0;
        for _ in 0..count {
            let number = next();
            self.owned(number).set_head(LineHead::new(first));
            first = number;
        }
        LineList { first }
    }

    fn unlink(&self, list: &mut FreeLines) -> usize {
        let number = list.first;
        list.first = self.owned(number).head().next;
        list.len -= 1;
        number
    }

    fn push_to(&self, list: &mut FreeLines, LineList { mut first }: LineList) {
        while first != 0 {
            let line = self.owned(first);
            let next = line.head().next;
            line.set_head(LineHead::new(list.first));
            list.first = first;
            list.len += 1;
            first = next;
        }
    }

    /// Returns a list of lines to the pool. The bin that owned them must be unlocked.
    pub(crate) fn push(&self, lines: LineList) {
        if lines.first == 0 {
            return;
        }
        // [OV-3] the lock pairs with that of `pop`, so the next owner sees the last words of these lines.
        match self.line_caches.own() {
            Some(own) => self.push_own(&mut own.lock(), lines, || Some(self.free.lock())),
            None => self.push_to(&mut self.free.lock().list, lines),
        }
    }

    /// Returns lines to a thread's own list. If it has become too long, the common list gets some, unless `common`
    /// cannot lock that one now.
    fn push_own<'a>(
        &'a self,
        own: &mut FreeLines,
        lines: LineList,
        common: impl FnOnce() -> Option<Guard<'a, Free>>,
    ) {
        self.push_to(own, lines);
        if own.len > KEPT
            && let Some(mut free) = common()
        {
            let spare = own.len - REFILL;
            let spare = self.take(own, spare);
            self.push_to(&mut free.list, spare);
        }
    }

    /// Moves the lines of all threads' lists to the common one. Returns whether there were any.
    pub(super) fn gather(&self, backoff: &Backoff) -> Result<bool, WouldWait> {
        let mut any = false;
        for Stripe(list) in self.line_caches.all() {
            let mut list = backoff.lock(list)?;
            let len = list.len;
            if len > 0 {
                let mut free = self.lock(backoff)?;
                let taken = self.take(&mut list, len);
                self.push_to(&mut free.list, taken);
                any = true;
            }
        }
        Ok(any)
    }

    /// Ensures that `count` lines exist, in use or not, beside those that may be in other threads' lists.
    pub(crate) fn provide(&self, count: usize, backoff: &Backoff) -> Result<(), Failure> {
        let count = count.saturating_add(self.line_caches.capacity());
        while self.lock(backoff)?.chunks * CHUNK_LINES < count.saturating_add(Self::FIRST_LINE) {
            self.grow(backoff)?;
        }
        Ok(())
    }

    /// Adds chunks until `count` lines can be popped.
    pub(crate) fn grow_for(&self, count: usize, backoff: &Backoff) -> Result<(), Failure> {
        while self.lock(backoff)?.lines() < count {
            self.grow(backoff)?;
        }
        Ok(())
    }

    /// Adds a chunk. The caller holds no lock, because this calls the allocator.
    pub(crate) fn grow(&self, backoff: &Backoff) -> Result<(), Failure> {
        let mut words = match self.arena.words(Layout::<K, V>::chunk(), backoff) {
            Ok(words) => Some(words),
            // Without memory, the lines that threads have set aside are the last ones.
            Err(_) if self.gather(backoff)? => return Ok(()),
            Err(failure) => return Err(failure),
        };
        let done = self.add_chunk(&mut words, backoff);
        if let Some(unused) = words {
            self.arena.give_back(unused, Layout::<K, V>::chunk(), backoff);
        }
        done
    }

    /// Adds a chunk to the table of chunks. Starts again only after this thread or another has published a table of
    /// twice the length, so a few times at most.
    fn add_chunk(&self, words: &mut Option<Words>, backoff: &Backoff) -> Result<(), Failure> {
        loop {
            let mut free = self.lock(backoff)?;
            // relaxed: the table of chunks changes only under the lock, which this thread holds.
            let chunks = self.chunks.load(Ordering::Relaxed);
            // SAFETY: tables of chunks are freed with the pool.
            let len = if chunks.is_null() { 0 } else { unsafe { (*chunks).len } };
            if free.chunks * CHUNK_LINES > StateWord::INDEX_MAX {
                return Err(AllocError.into());
            }
            if free.chunks < len {
                if let Some(mut words) = words.take() {
                    // SAFETY: `free.chunks < len`. [OV-1] release: pairs with the acquire in `line` [OV-2], so a thread
                    // that finds the chunk finds it zeroed.
                    unsafe { &*Chunks::slot(chunks, free.chunks) }
                        .store(words.take(), Ordering::Release);
                    free.chunks += 1;
                }
                return Ok(());
            }
            // Unlocked, because `lengthen` calls the allocator.
            drop(free);
            self.lengthen(chunks, len, backoff)?;
        }
    }

    /// Replaces a full table of chunks by one of twice its length.
    fn lengthen(&self, full: *mut Chunks, len: usize, backoff: &Backoff) -> Result<(), Failure> {
        let longer = if len == 0 { Chunks::FIRST } else { len.checked_mul(2).ok_or(AllocError)? };
        let made: *mut Chunks = memory::with_tail::<_, AtomicPtr<Word>>(
            Chunks { len: longer, older: full },
            longer,
            || AtomicPtr::new(ptr::null_mut()),
        )?;
        let free = self.lock(backoff);
        // relaxed: the table of chunks changes only under the lock.
        if free.is_err() || self.chunks.load(Ordering::Relaxed) != full {
            let busy = free.err();
            // SAFETY: made above with this length, and never shared.
            unsafe { memory::free_with_tail::<_, AtomicPtr<Word>>(made, longer) };
            return busy.map_or(Ok(()), |busy| Err(busy.into()));
        }
        for index in 0..len {
            // SAFETY: `index < len`, in both tables. relaxed: only the lock's holder changes them.
            let (old, new) = unsafe { (&*Chunks::slot(full, index), &*Chunks::slot(made, index)) };
            // relaxed: published by the release store of the table below.
            new.store(old.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        // [OV-1] release: pairs with the acquire in `line` [OV-2], so the copied pointers are visible.
        self.chunks.store(made, Ordering::Release);
        drop(free);
        Ok(())
    }

    fn lock(&self, backoff: &Backoff) -> Result<Guard<'_, Free>, WouldWait> {
        backoff.lock(&self.free)
    }

    /// Returns the number of lines in use; the bytes of all lines and tables, except memory of the arena; and the bytes
    /// of the longest table.
    pub(crate) fn usage(&self) -> (usize, usize, usize) {
        let free = self.free.lock();
        let (in_use, chunks) = (free.fresh - Self::FIRST_LINE - free.list.len, free.chunks);
        drop(free);
        let cached: usize = self.line_caches.all().iter().map(|stripe| stripe.0.lock().len).sum();
        // Other threads may have moved lines between the two.
        let in_use = in_use.saturating_sub(cached);
        let chunks = if self.arena.is_some() { 0 } else { chunks };
        let mut bytes = self.line_caches.bytes() + self.arena.bytes();
        bytes += chunks * Layout::<K, V>::chunk() * size_of::<Word>();
        // [OV-2] acquire: pairs with the release in `lengthen` [OV-1].
        let mut table = self.chunks.load(Ordering::Acquire);
        let mut newest = 0;
        while !table.is_null() {
            // SAFETY: tables of chunks are freed with the pool.
            let (len, older) = unsafe { ((*table).len, (*table).older) };
            newest = newest.max(len * size_of::<AtomicPtr<Word>>());
            bytes += size_of::<Chunks>() + len * size_of::<AtomicPtr<Word>>();
            table = older;
        }
        (in_use, bytes, newest)
    }
}

impl<K, V> Drop for OverflowPool<K, V> {
    fn drop(&mut self) {
        // relaxed: `&mut self`, so every other use of the pool happened before.
        let mut table = self.chunks.load(Ordering::Relaxed);
        let newest = table;
        while !table.is_null() {
            // SAFETY: no other thread uses the pool, and the loop meets each table once.
            let (len, older) = unsafe { ((*table).len, (*table).older) };
            if table == newest {
                for index in 0..if self.arena.is_some() { 0 } else { len } {
                    // SAFETY: `index < len`. relaxed: as above.
                    let words = unsafe { &*Chunks::slot(table, index) }.load(Ordering::Relaxed);
                    // SAFETY: null, or a chunk of this length; the newest table has each chunk once.
                    unsafe { memory::free_words(words, Layout::<K, V>::chunk()) };
                }
            }
            // SAFETY: `lengthen` allocated it with this length.
            unsafe { memory::free_with_tail::<_, AtomicPtr<Word>>(table, len) };
            table = older;
        }
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;

    type Lines = OverflowPool<u64, u64>;

    /// Returns the numbers of the lines in a list.
    fn numbers(pool: &Lines, mut first: usize) -> std::vec::Vec<usize> {
        let mut numbers = std::vec::Vec::new();
        while first != 0 {
            numbers.push(first);
            assert!(numbers.len() < 1_000, "a list leads back to itself");
            first = pool.owned(first).head().next;
        }
        numbers
    }

    fn pop(pool: &Lines, backoff: &Backoff, count: usize) -> Option<usize> {
        pool.session(backoff).unwrap().pop(count).unwrap().map(|taken| taken.first)
    }

    /// Lines pass through several lists. Each has one owner at a time, and all of them come back.
    #[test]
    fn each_line_is_popped_once() {
        let pool = Lines::new(TableArena::none());
        pool.spread_beyond(LEAST_BINS);
        assert!(!pool.line_caches.all().is_empty());
        pool.provide(0, &Backoff::spinning()).unwrap();
        let (mut owned, mut all) = (std::vec::Vec::new(), 0);
        for round in 0..200 {
            let backoff = if round % 3 == 0 { Backoff::never() } else { Backoff::spinning() };
            let count = round % (REFILL + 5);
            if let Some(first) = pop(&pool, &backoff, count) {
                let popped = numbers(&pool, first);
                assert_eq!(popped.len(), count);
                all += count;
                owned.push(first);
                let mut in_use: std::vec::Vec<_> =
                    owned.iter().flat_map(|&first| numbers(&pool, first)).collect();
                in_use.sort_unstable();
                let len = in_use.len();
                in_use.dedup();
                assert_eq!(in_use.len(), len, "a line has two owners");
                assert_eq!(pool.usage().0, len, "lines in use are counted");
            }
            if round % 2 == 0 && !owned.is_empty() {
                let lines = LineList { first: owned.remove(0) };
                pool.session(&backoff).unwrap().push(lines);
            }
        }
        assert!(all > 500, "only {all} lines were popped");
        for first in owned {
            pool.push(LineList { first });
        }
        assert_eq!(pool.usage().0, 0, "all lines were returned");
    }

    /// The budget counts each step of the index before it is made, and counts no lists.
    #[test]
    fn an_index_with_a_budget_sets_no_lines_aside() {
        let pool = OverflowPool::<words::Indirect, ()>::new(TableArena::none());
        pool.spread_beyond(LEAST_BINS);
        assert_eq!(pool.line_caches.bytes(), 0, "bytes that no budget counts");
    }

    /// A thread that only returns lines does not keep them from the others.
    #[test]
    fn a_long_list_gives_lines_to_the_common_one() {
        let pool = Lines::new(TableArena::none());
        pool.spread_beyond(LEAST_BINS);
        pool.provide(0, &Backoff::spinning()).unwrap();
        let count = pool.free.lock().lines();
        let first = pop(&pool, &Backoff::spinning(), count).unwrap();
        for line in numbers(&pool, first) {
            pool.owned(line).set_head(LineHead::new(0));
            pool.push(LineList { first: line });
        }
        let cached = pool.line_caches.own().unwrap().lock().len;
        assert!(cached <= KEPT, "{cached} lines are set aside for one thread");
        assert_eq!(pool.free.lock().list.len + cached, count);
    }

    /// Lines that are set aside for other threads are not among those that a table reserves.
    #[test]
    fn room_that_is_provided_is_there_for_each_thread() {
        const WANTED: usize = 100;
        let pool = Lines::new(TableArena::none());
        pool.spread_beyond(LEAST_BINS);
        pool.provide(WANTED, &Backoff::spinning()).unwrap();
        for stripe in pool.line_caches.all() {
            let taken =
                pool.pop_from(&mut pool.free.lock(), KEPT).expect("no lines for the last thread");
            pool.push_to(&mut stripe.0.lock(), taken);
        }
        let left = pool.pop_from(&mut pool.free.lock(), WANTED);
        assert!(left.is_some(), "no lines for the last thread");
    }

    /// Lines that other threads have set aside are the last ones, if there is no memory for more.
    #[test]
    fn lines_of_other_threads_can_be_gathered() {
        let pool = Lines::new(TableArena::none());
        pool.spread_beyond(LEAST_BINS);
        pool.provide(0, &Backoff::spinning()).unwrap();
        for stripe in pool.line_caches.all() {
            let taken = pool.pop_from(&mut pool.free.lock(), 2).unwrap();
            pool.push_to(&mut stripe.0.lock(), taken);
        }
        let before = pool.free.lock().lines();
        let held = pool.line_caches.all()[3].0.lock();
        assert!(pool.gather(&Backoff::never()).is_err(), "it waits for a list");
        drop(held);
        assert!(pool.gather(&Backoff::never()).is_ok_and(|any| any));
        assert!(pool.gather(&Backoff::never()).is_ok_and(|any| !any), "nothing is left");
        assert_eq!(pool.free.lock().lines(), before + 2 * pool.line_caches.all().len());
    }
}
