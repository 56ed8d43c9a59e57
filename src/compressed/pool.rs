//! All segments of a map: from a number to its address, and who may have one next.
//!
//! # Synchronization
//! - `[CP-1]` release store of a segment's address, and of the block of addresses that it is in ↔ `[CP-2]` acquire
//!   load: who has a location finds zeroed words there, or what was written since.
//!
//! What segments are used for and the lists that they are in change under the pool's lock.

use super::record::Shape;
use super::segment::{Segment, Use};
use crate::facade::Word;
use crate::facade::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use crate::facade::lock::Lock;
use crate::table::memory;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ptr;

/// Addresses in the first block; each one after has twice as many.
const FIRST_BITS: u32 = if cfg!(hedgerow_loom) { 1 } else { 4 };
const BLOCKS: usize = if cfg!(hedgerow_loom) { 3 } else { (usize::BITS - 10) as usize };
/// Words of a new segment that are zeroed at a time.
const ZEROED: usize = (4 << 10) / size_of::<usize>();
/// With such a part of a cold segment dead it may be worth compacting.
pub(super) const COMPACT_PART: usize = 10;

type Addresses = AtomicPtr<Word>;

/// Segments in the order in which they came; 0 is none, others one more than their number.
#[derive(Default)]
struct List {
    first: usize,
    last: usize,
    len: usize,
}

#[derive(Default)]
struct Lists {
    free: List,
    hot: List,
    /// Numbers that have been given out.
    count: usize,
    /// Below this one none is vacant.
    vacant: usize,
    /// Segments that the index has.
    index_segments: usize,
    /// The next one, which is zeroed a little at a time, and how far.
    next: Option<(memory::Blank, usize)>,
}

pub(super) struct Pool {
    pub(super) shape: Shape,
    /// Segments that only sweeps may take, so that they come to their ends.
    pub(super) reserve: usize,
    blocks: [AtomicPtr<Addresses>; BLOCKS],
    lists: Lock<Lists>,
    /// Segments that there are.
    made: AtomicUsize,
    /// Whether a cold one may be worth compacting.
    dead: AtomicBool,
}

// SAFETY: the pointers are to memory that the pool owns, all words of which are accessed atomically.
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
            made: AtomicUsize::new(0),
            dead: AtomicBool::new(false),
        }
    }

    /// The segment of this number, if there is one.
    #[inline(always)]
    pub(super) fn segment(&self, number: usize) -> Option<Segment<'_>> {
        let (block, index) = block_of(number);
        // [CP-2] acquire: pairs with [CP-1].
        let addresses = self.blocks.get(block)?.load(Ordering::Acquire);
        if addresses.is_null() {
            return None;
        }
        // SAFETY: a block has so many addresses, and lives as long as the pool.
        let address = unsafe { &*addresses.add(index) };
        // [CP-2] acquire: pairs with [CP-1].
        let words = address.load(Ordering::Acquire);
        // SAFETY: the words of a segment, which is not freed while the pool is shared.
        (!words.is_null()).then(|| unsafe { Segment::new(words, self.shape) })
    }

    /// Segments that there are.
    pub(super) fn made(&self) -> usize {
        // relaxed: a figure; a decision that rests on it is made under the lock.
        self.made.load(Ordering::Relaxed)
    }

    /// Numbers of segments that were given out.
    pub(super) fn numbers(&self) -> usize {
        self.lists.lock().count
    }

    /// Bytes of everything.
    pub(super) fn bytes(&self) -> usize {
        self.made() * self.shape.bytes() + self.addresses_bytes()
    }

    /// Bytes of the blocks of addresses.
    fn addresses_bytes(&self) -> usize {
        let there = |&block: &usize| {
            // relaxed: only whether it is there.
            !self.blocks[block].load(Ordering::Relaxed).is_null()
        };
        (0..BLOCKS).filter(there).map(|block| block_len(block) * size_of::<Addresses>()).sum()
    }

    /// Bytes that one more segment takes.
    pub(super) fn next_bytes(&self) -> usize {
        let (block, _) = block_of(self.made());
        // relaxed: only whether it is there.
        let there = self.blocks.get(block).is_some_and(|b| !b.load(Ordering::Relaxed).is_null());
        let addresses = if there { 0 } else { block_len(block) * size_of::<Addresses>() };
        self.shape.bytes() + addresses
    }

    /// A segment that is open and empty, of those that hold nothing or new ones, if `may_grow` says so, with nobody
    /// else growing meanwhile. `keep_free` of them are left, and made first.
    pub(super) fn take(&self, keep_free: usize, may_grow: impl Fn() -> bool) -> Option<usize> {
        self.take_in(&mut self.lists.lock(), keep_free, may_grow)
    }

    /// The words of a segment that is taken as by `take`, for good: where they begin, and how many.
    pub(super) fn take_for_index(&self, may_grow: impl Fn() -> bool) -> Option<(*mut Word, usize)> {
        let mut lists = self.lists.lock();
        let number = self.take_in(&mut lists, self.reserve, may_grow)?;
        self.segment(number)?.set_use(Use::Index);
        lists.index_segments += 1;
        let (block, index) = block_of(number);
        // relaxed: both were stored by who made the segment, under the lock that is held.
        let addresses = self.blocks[block].load(Ordering::Relaxed);
        // SAFETY: as in `segment`. relaxed: as above.
        let words = unsafe { &*addresses.add(index) }.load(Ordering::Relaxed);
        let range = self.shape.index_words();
        Some((words.wrapping_add(range.start), range.len()))
    }

    /// Segments that the index has.
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
                self.zero_next(lists, usize::MAX);
                continue;
            }
            let number = if may_grow() { self.make(lists)? } else { return None };
            self.push(&mut lists.free, number);
        }
        let number = self.pop(&mut lists.free)?;
        self.segment(number)?.open();
        Some(number)
    }

    /// Makes a little of the next segment, if `may_grow` says so; whether it is not complete yet. Memory that was
    /// not in use may take the system as long as that of a whole segment takes a writer to fill.
    pub(super) fn grow(&self, may_grow: impl Fn() -> bool) -> bool {
        let mut lists = self.lists.lock();
        if lists.next.is_none() {
            let blank = if cfg!(hedgerow_loom) || !may_grow() || !self.may_number(&mut lists) {
                None
            } else {
                memory::Blank::of(self.shape.words()).ok()
            };
            let Some(blank) = blank else { return false };
            lists.next = Some((blank, 0));
            // relaxed: a figure.
            self.made.fetch_add(1, Ordering::Relaxed);
            return true;
        }
        self.zero_next(&mut lists, ZEROED);
        lists.next.is_some()
    }

    /// Whether a segment is being made.
    pub(super) fn in_the_making(&self) -> usize {
        usize::from(self.lists.lock().next.is_some())
    }

    /// Zeroes so many words more of the next segment, which then holds nothing, if those are all.
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

    /// Segments that hold nothing.
    pub(super) fn free(&self) -> usize {
        self.lists.lock().free.len
    }

    /// Sealed hot segments.
    pub(super) fn hot(&self) -> usize {
        self.lists.lock().hot.len
    }

    /// Seals an open segment.
    pub(super) fn seal(&self, number: usize, end: usize, hot: bool) {
        let mut lists = self.lists.lock();
        let Some(segment) = self.segment(number) else { return };
        segment.seal(end, hot);
        if hot {
            self.push(&mut lists.hot, number);
        } else {
            self.note_dead(segment);
        }
    }

    /// A record of this segment was unlinked, or it was sealed.
    pub(super) fn note_dead(&self, segment: Segment<'_>) {
        // Models sweep when they say so. relaxed: hints.
        let asked = !cfg!(hedgerow_loom) && !self.dead.load(Ordering::Relaxed);
        if asked && segment.is(Use::Cold) && self.is_part(segment.dead(), COMPACT_PART) {
            // relaxed: as above.
            self.dead.store(true, Ordering::Relaxed);
        }
    }

    /// Whether `most_dead` is worth asking: it looks at all segments. It may be missed that one has come to be.
    pub(super) fn has_dead(&self) -> bool {
        // relaxed: a hint.
        self.dead.load(Ordering::Relaxed)
    }

    /// Whether so many bytes are such a part of a segment.
    pub(super) fn is_part(&self, bytes: usize, part: usize) -> bool {
        bytes * part >= self.shape.room()
    }

    /// The cold segment with the most dead bytes, and how many, if they are such a part of it.
    pub(super) fn most_dead(&self, part: usize) -> Option<(usize, usize)> {
        // relaxed: a hint, which stands again for what comes to be dead meanwhile.
        self.dead.store(false, Ordering::Relaxed);
        let cold = |number| {
            let segment = self.segment(number).filter(|segment| segment.is(Use::Cold))?;
            Some((segment.dead(), number, segment))
        };
        let all = (0..self.numbers()).filter_map(cold);
        let (dead, number, segment) = all.max_by_key(|&(dead, number, _)| (dead, number))?;
        self.note_dead(segment);
        self.is_part(dead, part).then_some((number, dead))
    }

    /// The hot segment that was sealed first, to be swept.
    pub(super) fn take_oldest_hot(&self) -> Option<usize> {
        let mut lists = self.lists.lock();
        let number = self.pop(&mut lists.hot)?;
        self.segment(number)?.set_use(Use::Swept);
        Some(number)
    }

    /// Takes this sealed hot segment out of the row, to be swept.
    pub(super) fn take_hot(&self, wanted: usize) -> bool {
        let mut lists = self.lists.lock();
        let mut found = false;
        for _ in 0..lists.hot.len {
            let Some(number) = self.pop(&mut lists.hot) else { break };
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

    /// Takes a sealed cold segment, to be swept.
    pub(super) fn take_cold(&self, number: usize) -> bool {
        let _lists = self.lists.lock();
        let cold = self.segment(number).filter(|segment| segment.is(Use::Cold));
        cold.inspect(|segment| segment.set_use(Use::Swept)).is_some()
    }

    /// Gives a segment back of which every record was unlinked.
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

    /// Frees the segments that hold nothing. Their numbers are given out again.
    pub(super) fn shrink(&mut self) {
        let mut lists = self.lists.lock();
        self.zero_next(&mut lists, usize::MAX);
        while let Some(number) = self.pop(&mut lists.free) {
            let (block, index) = block_of(number);
            // relaxed: `&mut self`: nobody reads.
            let addresses = self.blocks[block].load(Ordering::Relaxed);
            // SAFETY: as in `segment`.
            let address = unsafe { &*addresses.add(index) };
            // relaxed: as above.
            let words = address.swap(ptr::null_mut(), Ordering::Relaxed);
            // SAFETY: made by `make` with so many words, and nobody reads them any more.
            unsafe { memory::free_words(words, self.shape.words()) };
            // relaxed: as above.
            self.made.fetch_sub(1, Ordering::Relaxed);
        }
        lists.vacant = 0;
    }

    fn make(&self, lists: &mut Lists) -> Option<usize> {
        if !self.may_number(lists) {
            return None;
        }
        let words = memory::words(self.shape.words()).ok()?.take();
        // relaxed: a figure.
        self.made.fetch_add(1, Ordering::Relaxed);
        Some(self.publish(lists, words))
    }

    /// Whether there is a number for another segment, and a place for its address.
    fn may_number(&self, lists: &mut Lists) -> bool {
        // Some were given back, if there are fewer than numbers.
        while lists.vacant < lists.count && self.segment(lists.vacant).is_some() {
            lists.vacant += 1;
        }
        let number = lists.vacant;
        let (block, _) = block_of(number);
        if number >= self.shape.max_segments() || block >= BLOCKS {
            return false;
        }
        // relaxed: changes only under the lock, which is held.
        if self.blocks[block].load(Ordering::Relaxed).is_null() {
            let mut made: Vec<Addresses> = Vec::new();
            if made.try_reserve_exact(block_len(block)).is_err() {
                return false;
            }
            made.resize_with(block_len(block), || AtomicPtr::new(ptr::null_mut()));
            let addresses = Box::into_raw(made.into_boxed_slice()).cast();
            // [CP-1] release: pairs with [CP-2].
            self.blocks[block].store(addresses, Ordering::Release);
        }
        true
    }

    /// Gives these words the number that `may_number` has found.
    fn publish(&self, lists: &mut Lists, words: *mut Word) -> usize {
        let number = lists.vacant;
        let (block, index) = block_of(number);
        // relaxed: changes only under the lock, which is held.
        let addresses = self.blocks[block].load(Ordering::Relaxed);
        // SAFETY: as in `segment`.
        let address = unsafe { &*addresses.add(index) };
        // [CP-1] release: pairs with [CP-2].
        address.store(words, Ordering::Release);
        lists.count = lists.count.max(number + 1);
        lists.vacant = number + 1;
        number
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for (block, addresses) in self.blocks.iter().enumerate() {
            // relaxed: `&mut self` says that all else happened before.
            let addresses = addresses.load(Ordering::Relaxed);
            if addresses.is_null() {
                continue;
            }
            // SAFETY: made by `make` as a boxed slice of this length, and nobody shares it any more.
            let addresses = unsafe {
                Box::from_raw(ptr::slice_from_raw_parts_mut(addresses, block_len(block)))
            };
            for address in &addresses {
                // relaxed: as above. SAFETY: null, or made by `make` with so many words.
                unsafe { memory::free_words(address.load(Ordering::Relaxed), self.shape.words()) };
            }
        }
    }
}
