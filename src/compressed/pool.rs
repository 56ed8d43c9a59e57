//! The segments of a map: their addresses by number, and lists of free and hot ones.
//!
//! # Synchronization
//! - `[CP-1]` release store of a segment's address, and of the block of addresses that holds it ↔ `[CP-2]` acquire
//!   load: a thread that has a location finds zeroed words there, or newer ones.
//!
//! The use of a segment and the lists change under the pool's lock.

use super::record::Shape;
use super::segment::{Segment, Use};
use crate::facade::Word;
use crate::facade::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use crate::facade::lock::Lock;
use crate::memory;
use crate::sync::hint::{Gauge, Hint};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ptr;

/// Addresses in the first block. Each further block has twice as many.
const FIRST_BITS: u32 = if cfg!(hedgerow_loom) { 1 } else { 4 };
const BLOCKS: usize = if cfg!(hedgerow_loom) { 3 } else { (usize::BITS - 10) as usize };
/// Words of a new segment that one call zeroes.
const ZEROED: usize = (4 << 10) / size_of::<usize>();
/// A cold segment may be worth compacting if one part in this many is dead.
pub(super) const COMPACT_PART: usize = 10;

type Addresses = AtomicPtr<Word>;

/// A queue of segments. 0 means none; other values are one more than a segment's number.
#[derive(Default)]
struct List {
    first: usize,
    last: usize,
    len: usize,
}

/// The state that the pool's lock protects.
#[derive(Default)]
struct Lists {
    free: List,
    hot: List,
    /// Numbers that were given out.
    count: usize,
    /// All numbers below this one are in use.
    vacant: usize,
    /// Segments that belong to the index.
    index_segments: usize,
    /// The next segment, which is zeroed a little at a time, and the words of it that are zeroed.
    next: Option<(memory::Unzeroed, usize)>,
}

/// The segments of a map.
pub(super) struct Pool {
    pub(super) shape: Shape,
    /// Segments that only sweeps may take, so that each sweep can finish.
    pub(super) reserve: usize,
    blocks: [AtomicPtr<Addresses>; BLOCKS],
    lists: Lock<Lists>,
    /// Allocated segments.
    made: Gauge<AtomicUsize>,
    /// Whether a cold segment may be worth compacting.
    dead: Hint<AtomicBool>,
}

// SAFETY: the pool owns the memory behind the pointers, and all threads access its words atomically.
unsafe impl Send for Pool {}
// SAFETY: as above.
unsafe impl Sync for Pool {}

fn block_of(number: usize) -> (usize, usize) {
    let shifted = number + (1 << FIRST_BITS);
    let top = shifted.ilog2();
    ((top - FIRST_BITS) as usize, shifted - (1 << top))
}

const fn block_len(block: usize) -> usize {
    1 << (FIRST_BITS as usize + block)
}

impl Pool {
    pub(super) fn new(shape: Shape, reserve: usize) -> Self {
        Self {
            shape,
            reserve,
            blocks: core::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            lists: Lock::new(Lists::default()),
            made: Gauge::<AtomicUsize>::new(0),
            dead: Hint::<AtomicBool>::new(false),
        }
    }

    /// Returns the segment with this number, if there is one.
    #[inline(always)]
    pub(super) fn segment(&self, number: usize) -> Option<Segment<'_>> {
        let (block, index) = block_of(number);
        // [CP-2] acquire: pairs with the release in `publish` and `reserve_number` [CP-1], so the memory behind the
        // pointer is initialized.
        let addresses = self.blocks.get(block)?.load(Ordering::Acquire);
        if addresses.is_null() {
            return None;
        }
        // SAFETY: `block_of` returns an index within the block, and a block lives as long as the pool.
        let address = unsafe { &*addresses.add(index) };
        // [CP-2] acquire: pairs with the release in `publish` and `reserve_number` [CP-1], so the memory behind the
        // pointer is initialized.
        let words = address.load(Ordering::Acquire);
        // SAFETY: a segment's address is published after its words were zeroed, and the words are freed only through
        // `&mut Pool`.
        (!words.is_null()).then(|| unsafe { Segment::new(words, self.shape) })
    }

    /// Allocated segments.
    pub(super) fn made(&self) -> usize {
        // Decisions that rest on this number are made under the lock.
        self.made.load()
    }

    /// Returns the count of numbers that were given out.
    pub(super) fn numbers(&self) -> usize {
        self.lists.lock().count
    }

    /// Returns the bytes of all segments and blocks.
    pub(super) fn bytes(&self) -> usize {
        self.made() * self.shape.bytes() + self.addresses_bytes()
    }

    /// Returns the bytes of the blocks of addresses.
    fn addresses_bytes(&self) -> usize {
        let there = |&block: &usize| {
            // relaxed: the pointer is only compared with null.
            !self.blocks[block].load(Ordering::Relaxed).is_null()
        };
        (0..BLOCKS).filter(there).map(|block| block_len(block) * size_of::<Addresses>()).sum()
    }

    /// Returns the bytes that one more segment takes.
    pub(super) fn next_bytes(&self) -> usize {
        let (block, _) = block_of(self.made());
        // relaxed: the pointer is only compared with null.
        let there = self.blocks.get(block).is_some_and(|b| !b.load(Ordering::Relaxed).is_null());
        let addresses = if there { 0 } else { block_len(block) * size_of::<Addresses>() };
        self.shape.bytes() + addresses
    }

    /// Opens a free segment, or a new one if `may_grow` returns true. No other thread makes segments meanwhile. Leaves
    /// `keep_free` segments free, and makes those first.
    pub(super) fn take(&self, keep_free: usize, may_grow: impl Fn() -> bool) -> Option<usize> {
        self.take_in(&mut self.lists.lock(), keep_free, may_grow)
    }

    /// Takes a segment for the index, for good. Returns where the words begin that the index may use, and how many they
    /// are.
    pub(super) fn take_for_index(&self, may_grow: impl Fn() -> bool) -> Option<(*mut Word, usize)> {
        let mut lists = self.lists.lock();
        let number = self.take_in(&mut lists, self.reserve, may_grow)?;
        self.segment(number)?.set_use(Use::Index);
        lists.index_segments += 1;
        let (block, index) = block_of(number);
        // relaxed: both pointers were stored under the lock, which is held.
        let addresses = self.blocks[block].load(Ordering::Relaxed);
        // SAFETY: as in `segment`. relaxed: as above.
        let words = unsafe { &*addresses.add(index) }.load(Ordering::Relaxed);
        let range = self.shape.index_words();
        Some((words.wrapping_add(range.start), range.len()))
    }

    /// Segments that belong to the index.
    pub(super) fn index_segments(&self) -> usize {
        self.lists.lock().index_segments
    }

    fn take_in(
        &self,
        lists: &mut Lists,
        keep_free: usize,
        may_grow: impl Fn() -> bool,
    ) -> Option<usize> {
        while lists.free.len <= keep_free {
            if lists.next.is_some() {
                // Memory that was begun is counted already: finishing it never exceeds the budget.
                self.zero_next(lists, usize::MAX);
                continue;
            }
            // Asked under the lock: two threads that both passed the check could exceed the budget together.
            let number = if may_grow() { self.make(lists)? } else { return None };
            self.push(&mut lists.free, number);
        }
        let number = self.pop(&mut lists.free)?;
        self.segment(number)?.open();
        Some(number)
    }

    /// Zeroes a part of the next segment, or begins one if `may_grow` returns true. Returns whether it is still
    /// incomplete. The system may take as long for a whole segment of fresh memory as a writer takes to fill it, so
    /// writers share the work.
    pub(super) fn grow(&self, may_grow: impl Fn() -> bool) -> bool {
        let mut lists = self.lists.lock();
        if lists.next.is_none() {
            let blank = if cfg!(hedgerow_loom) || !may_grow() || !self.reserve_number(&mut lists) {
                None
            } else {
                memory::Unzeroed::of(self.shape.words()).ok()
            };
            let Some(blank) = blank else { return false };
            lists.next = Some((blank, 0));
            // Counted before it is complete, so that no other allocation takes its share of the budget.
            self.made.add(1);
            return true;
        }
        self.zero_next(&mut lists, ZEROED);
        lists.next.is_some()
    }

    /// Whether a segment is being made.
    pub(super) fn is_making(&self) -> bool {
        self.lists.lock().next.is_some()
    }

    /// Zeroes `words` more words of the next segment. A complete segment becomes free.
    fn zero_next(&self, lists: &mut Lists, words: usize) {
        let Some((mut blank, done)) = lists.next.take() else { return };
        let end = done.saturating_add(words).min(self.shape.words());
        blank.zero(done..end);
        if end < self.shape.words() {
            lists.next = Some((blank, end));
            return;
        }
        let number = self.publish(lists, blank.take());
        self.push(&mut lists.free, number);
    }

    /// Returns the count of free segments.
    pub(super) fn free(&self) -> usize {
        self.lists.lock().free.len
    }

    /// Returns the count of sealed hot segments.
    pub(super) fn hot(&self) -> usize {
        self.lists.lock().hot.len
    }

    /// Seals an open segment whose records end at `end`.
    pub(super) fn seal(&self, number: usize, end: usize, hot: bool) {
        let mut lists = self.lists.lock();
        let Some(segment) = self.segment(number) else { return };
        segment.seal(end, hot);
        // Hot segments are swept in the order of their sealing. Cold ones are chosen by their dead bytes.
        if hot {
            self.push(&mut lists.hot, number);
        } else {
            self.note_dead(segment);
        }
    }

    /// Notes that a record of this segment was unlinked, or that it was sealed.
    pub(super) fn note_dead(&self, segment: Segment<'_>) {
        // Loom models sweep explicitly.
        let asked = !cfg!(hedgerow_loom) && !self.dead.load();
        if asked && segment.is(Use::Cold) && self.is_part(segment.dead(), COMPACT_PART) {
            self.dead.store(true);
        }
    }

    /// Whether a call of `most_dead`, which examines all segments, is worth its time. The hint may miss a segment.
    pub(super) fn has_dead(&self) -> bool {
        self.dead.load()
    }

    /// Whether `bytes` bytes are one part in `part` of a segment.
    pub(super) fn is_part(&self, bytes: usize, part: usize) -> bool {
        bytes * part >= self.shape.room()
    }

    /// Returns the cold segment with the most dead bytes, and how many, if they are one part in `part` of it.
    pub(super) fn most_dead(&self, part: usize) -> Option<(usize, usize)> {
        // A record that is unlinked meanwhile sets the hint again.
        self.dead.store(false);
        let cold = |number| {
            let segment = self.segment(number).filter(|segment| segment.is(Use::Cold))?;
            Some((segment.dead(), number, segment))
        };
        let all = (0..self.numbers()).filter_map(cold);
        let (dead, number, segment) = all.max_by_key(|&(dead, number, _)| (dead, number))?;
        // The hint was cleared for a segment that this caller may not want, but another may.
        self.note_dead(segment);
        self.is_part(dead, part).then_some((number, dead))
    }

    /// Takes the hot segment that was sealed first, to sweep it.
    pub(super) fn take_oldest_hot(&self) -> Option<usize> {
        let mut lists = self.lists.lock();
        let number = self.pop(&mut lists.hot)?;
        self.segment(number)?.set_use(Use::Swept);
        Some(number)
    }

    /// Takes this sealed hot segment out of the queue, to sweep it.
    pub(super) fn take_hot(&self, wanted: usize) -> bool {
        let mut lists = self.lists.lock();
        let mut found = false;
        for _ in 0..lists.hot.len {
            let Some(number) = self.pop(&mut lists.hot) else { break };
            // The queue is singly linked, so the others are popped and pushed again, which keeps their order.
            if number == wanted {
                found = true;
                if let Some(segment) = self.segment(number) {
                    segment.set_use(Use::Swept);
                }
            } else {
                self.push(&mut lists.hot, number);
            }
        }
        found
    }

    /// Takes a sealed cold segment, to sweep it.
    pub(super) fn take_cold(&self, number: usize) -> bool {
        let _lists = self.lists.lock();
        let cold = self.segment(number).filter(|segment| segment.is(Use::Cold));
        cold.inspect(|segment| segment.set_use(Use::Swept)).is_some()
    }

    /// Makes a segment free. All its records were unlinked.
    pub(super) fn give_back(&self, number: usize) {
        let mut lists = self.lists.lock();
        let Some(segment) = self.segment(number) else { return };
        segment.set_use(Use::Free);
        self.push(&mut lists.free, number);
    }

    fn push(&self, list: &mut List, number: usize) {
        if let Some(segment) = self.segment(number) {
            segment.set_next(0);
        }
        if let Some(last) = list.last.checked_sub(1).and_then(|last| self.segment(last)) {
            last.set_next(number + 1);
        } else {
            list.first = number + 1;
        }
        list.last = number + 1;
        list.len += 1;
    }

    fn pop(&self, list: &mut List) -> Option<usize> {
        let number = list.first.checked_sub(1)?;
        list.first = self.segment(number)?.next();
        list.last = if list.first == 0 { 0 } else { list.last };
        list.len -= 1;
        Some(number)
    }

    /// Frees the memory of all free segments. Their numbers are given out again.
    pub(super) fn shrink(&mut self) {
        let mut lists = self.lists.lock();
        self.zero_next(&mut lists, usize::MAX);
        while let Some(number) = self.pop(&mut lists.free) {
            let (block, index) = block_of(number);
            // relaxed: `&mut self` excludes other threads.
            let addresses = self.blocks[block].load(Ordering::Relaxed);
            // SAFETY: as in `segment`.
            let address = unsafe { &*addresses.add(index) };
            // relaxed: as above.
            let words = address.swap(ptr::null_mut(), Ordering::Relaxed);
            // SAFETY: `make` allocated this many words, and `&mut self` excludes readers.
            unsafe { memory::free_words(words, self.shape.words()) };
            self.made.sub(1);
        }
        lists.vacant = 0;
    }

    fn make(&self, lists: &mut Lists) -> Option<usize> {
        if !self.reserve_number(lists) {
            return None;
        }
        let words = memory::words(self.shape.words()).ok()?.take();
        self.made.add(1);
        Some(self.publish(lists, words))
    }

    /// Finds a number for another segment, and makes the block for its address. Returns false if it cannot.
    fn reserve_number(&self, lists: &mut Lists) -> bool {
        // Numbers of freed segments are given out again.
        while lists.vacant < lists.count && self.segment(lists.vacant).is_some() {
            lists.vacant += 1;
        }
        let number = lists.vacant;
        let (block, _) = block_of(number);
        if number >= self.shape.max_segments() || block >= BLOCKS {
            return false;
        }
        // relaxed: it changes only under the lock, which is held.
        if self.blocks[block].load(Ordering::Relaxed).is_null() {
            let mut made: Vec<Addresses> = Vec::new();
            if made.try_reserve_exact(block_len(block)).is_err() {
                return false;
            }
            made.resize_with(block_len(block), || AtomicPtr::new(ptr::null_mut()));
            let addresses = Box::into_raw(made.into_boxed_slice()).cast();
            // [CP-1] release: pairs with the acquire in `segment` [CP-2], which hands out the memory behind the
            // pointer.
            self.blocks[block].store(addresses, Ordering::Release);
        }
        true
    }

    /// Publishes a segment's words under the number that `reserve_number` has found.
    fn publish(&self, lists: &mut Lists, words: *mut Word) -> usize {
        let number = lists.vacant;
        let (block, index) = block_of(number);
        // relaxed: it changes only under the lock, which is held.
        let addresses = self.blocks[block].load(Ordering::Relaxed);
        // SAFETY: as in `segment`.
        let address = unsafe { &*addresses.add(index) };
        // [CP-1] release: pairs with the acquire in `segment` [CP-2], which hands out the memory behind the pointer.
        address.store(words, Ordering::Release);
        lists.count = lists.count.max(number + 1);
        lists.vacant = number + 1;
        number
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for (block, addresses) in self.blocks.iter().enumerate() {
            // relaxed: `&mut self` excludes other threads.
            let addresses = addresses.load(Ordering::Relaxed);
            if addresses.is_null() {
                continue;
            }
            // SAFETY: `reserve_number` made it as a boxed slice of this length, and `&mut self` excludes other users.
            let addresses = unsafe {
                Box::from_raw(ptr::slice_from_raw_parts_mut(addresses, block_len(block)))
            };
            for address in &addresses {
                // relaxed: as above. SAFETY: null, or allocated by `make` with this many words.
                unsafe { memory::free_words(address.load(Ordering::Relaxed), self.shape.words()) };
            }
        }
    }
}
