//! The segments of a map: their addresses by number, and lists of free and hot ones.
//!
//! # Synchronization
//! - `[CP-1]` release store of a segment's address, and of the block of addresses that holds it ↔ `[CP-2]` acquire
//!   load: a thread that has a location finds zeroed words there, or newer ones.
//!
//! The use of a segment and the lists change under the pool's lock. It is held for a few instructions: segments are
//! allocated and zeroed outside of it, so no thread that needs the lists waits for the allocator.

use super::record::Shape;
use super::segment::{SegmentRef, Use};
use crate::facade::Word;
use crate::facade::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};
use crate::facade::lock::{Guard, Lock};
use crate::memory;
use crate::sync::backoff::Backoff;
use crate::sync::hint::{Hint, Statistic};
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

/// The ends of a queue of segments. 0 means none; other values are one more than a segment's number.
#[derive(Default)]
struct SegmentQueue {
    first: usize,
    last: usize,
}

/// A segment that is not complete yet, and the words of it that are zeroed.
type Begun = (memory::Unzeroed, usize);

/// The state that the pool's lock protects.
#[derive(Default)]
struct Lists {
    free: SegmentQueue,
    hot: SegmentQueue,
    /// All numbers below this one are in use.
    vacant: usize,
    /// The next segment, which is zeroed a little at a time.
    next: Option<Begun>,
    /// Segments that threads are making outside of the lock.
    making: usize,
}

/// The segments of a map.
pub(super) struct SegmentPool {
    pub(super) shape: Shape,
    /// Segments that only sweeps may take, so that each sweep can finish.
    pub(super) reserve: usize,
    blocks: [AtomicPtr<Addresses>; BLOCKS],
    lists: Lock<Lists>,
    /// The lengths of the two lists, which change under the lock. Read without it, they guide only.
    free: Statistic<AtomicUsize>,
    hot: Statistic<AtomicUsize>,
    /// Numbers that were given out.
    count: Statistic<AtomicUsize>,
    /// Segments that belong to the index.
    index_segments: Statistic<AtomicUsize>,
    /// Segments that were allocated, or for which the budget has room reserved.
    made: Statistic<AtomicUsize>,
    /// Whether the next segment was begun.
    begun: Hint<AtomicBool>,
    /// Whether a cold segment may be worth compacting.
    dead: Hint<AtomicBool>,
}

// SAFETY: the pool owns the memory behind the pointers, and all threads access its words atomically.
unsafe impl Send for SegmentPool {}
// SAFETY: as above.
unsafe impl Sync for SegmentPool {}

fn block_of(number: usize) -> (usize, usize) {
    let shifted = number + (1 << FIRST_BITS);
    let top = shifted.ilog2();
    ((top - FIRST_BITS) as usize, shifted - (1 << top))
}

const fn block_len(block: usize) -> usize {
    1 << (FIRST_BITS as usize + block)
}

impl SegmentPool {
    pub(super) fn new(shape: Shape, reserve: usize) -> Self {
        Self {
            shape,
            reserve,
            blocks: core::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            lists: Lock::new(Lists::default()),
            free: Statistic::<AtomicUsize>::new(0),
            hot: Statistic::<AtomicUsize>::new(0),
            count: Statistic::<AtomicUsize>::new(0),
            index_segments: Statistic::<AtomicUsize>::new(0),
            made: Statistic::<AtomicUsize>::new(0),
            begun: Hint::<AtomicBool>::new(false),
            dead: Hint::<AtomicBool>::new(false),
        }
    }

    /// Returns the segment with this number, if there is one.
    #[inline(always)]
    pub(super) fn segment(&self, number: usize) -> Option<SegmentRef<'_>> {
        let (block, index) = block_of(number);
        // [CP-2] acquire: pairs with the release in `has_block` [CP-1], so the memory behind the pointer is
        // initialized.
        let addresses = self.blocks.get(block)?.load(Ordering::Acquire);
        if addresses.is_null() {
            return None;
        }
        // SAFETY: `block_of` returns an index within the block, and a block lives as long as the pool.
        let address = unsafe { &*addresses.add(index) };
        // [CP-2] acquire: pairs with the release in `publish` [CP-1], so the memory behind the pointer is initialized.
        let words = address.load(Ordering::Acquire);
        // SAFETY: a segment's address is published after its words were zeroed, and the words are freed only through
        // `&mut Pool`.
        (!words.is_null()).then(|| unsafe { SegmentRef::new(words, self.shape) })
    }

    /// Returns the count of segments: those that were allocated, and those that are being made.
    pub(super) fn made(&self) -> usize {
        self.made.load()
    }

    /// Counts a segment that is about to be made. The caller holds the lock under which the budget is given out.
    pub(super) fn count_one(&self) {
        self.made.add(1);
    }

    /// Returns the count of numbers that were given out.
    pub(super) fn numbers(&self) -> usize {
        self.count.load()
    }

    /// Returns the bytes of all segments and blocks.
    pub(super) fn bytes(&self) -> usize {
        self.made() * self.shape.bytes() + self.addresses_bytes()
    }

    /// Returns the bytes of the blocks of addresses, and of those for segments that are being made.
    fn addresses_bytes(&self) -> usize {
        let counted = self.made().checked_sub(1).map(|last| block_of(last).0);
        let there = |&block: &usize| {
            // relaxed: the pointer is only compared with null.
            counted >= Some(block) || !self.blocks[block].load(Ordering::Relaxed).is_null()
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

    /// Opens a free segment, or a new one if `may_make` has counted it and returns true. Leaves `keep_free` segments
    /// free, and makes those first.
    pub(super) fn take(&self, keep_free: usize, may_make: impl Fn() -> bool) -> Option<usize> {
        let mut backoff = Backoff::spinning();
        loop {
            let mut lists = self.lists.lock();
            if let Some(number) = self.take_free(&mut lists, keep_free) {
                return Some(number);
            }
            // A segment that was begun is counted already: finishing it never exceeds the budget.
            let begun = lists.next.take();
            if begun.is_none() && !may_make() {
                // Another thread makes a segment, which may become free.
                if lists.making > 0 {
                    drop(lists);
                    let _ = backoff.wait_long();
                    continue;
                }
                return None;
            }
            lists.making += 1;
            drop(lists);
            if !self.make(begun) {
                return None;
            }
        }
    }

    /// Takes a segment as `take` does, and seals the `full` one, whose records end at the given place. Neither waits
    /// nor makes a segment: returns `None` if no segment is free or another thread has the lists, and has done nothing.
    pub(super) fn try_take(&self, keep_free: usize, full: Option<(usize, usize)>) -> Option<usize> {
        let mut lists = self.lists.try_lock()?;
        let number = self.take_free(&mut lists, keep_free)?;
        if let Some((full, end)) = full {
            self.seal_in(&mut lists, full, end, true);
        }
        Some(number)
    }

    fn take_free(&self, lists: &mut Lists, keep_free: usize) -> Option<usize> {
        if self.free.load() <= keep_free {
            return None;
        }
        let number = self.pop(&mut lists.free, &self.free)?;
        self.segment(number)?.open();
        Some(number)
    }

    /// Takes a segment for the index, for good. Returns where the words begin that the index may use, and how many they
    /// are.
    pub(super) fn take_for_index(&self, may_make: impl Fn() -> bool) -> Option<(*mut Word, usize)> {
        let number = self.take(self.reserve, may_make)?;
        let _lists = self.lists.lock();
        self.segment(number)?.set_use(Use::Index);
        self.index_segments.add(1);
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
        self.index_segments.load()
    }

    /// Zeroes a part of the next segment, or begins one if `may_make` returns true. Returns whether it is still
    /// incomplete. The system may take as long for a whole segment of fresh memory as a writer takes to fill it, so
    /// writers share the work.
    pub(super) fn grow(&self, may_make: impl Fn() -> bool) -> bool {
        self.grow_in(self.lists.lock(), may_make)
    }

    /// Grows as `grow` does, unless another thread has the lists.
    pub(super) fn try_grow(&self, may_make: impl Fn() -> bool) {
        if let Some(lists) = self.lists.try_lock() {
            self.grow_in(lists, may_make);
        }
    }

    fn grow_in(&self, mut lists: Guard<'_, Lists>, may_make: impl Fn() -> bool) -> bool {
        let begun = lists.next.take();
        if begun.is_none() && lists.making > 0 {
            return true;
        }
        // Models have no use for a segment that is not complete.
        if begun.is_none() && (cfg!(hedgerow_loom) || !may_make()) {
            return false;
        }
        lists.making += 1;
        drop(lists);
        let (begun, part) = match begun {
            Some(begun) => (Some(begun), ZEROED),
            None => (memory::Unzeroed::of(self.shape.words()).ok().map(|blank| (blank, 0)), 0),
        };
        let Some((mut blank, done)) = begun else {
            self.give_up();
            return false;
        };
        self.begun.store(true);
        let end = done.saturating_add(part).min(self.shape.words());
        blank.zero(done..end);
        if end < self.shape.words() {
            let mut lists = self.lists.lock();
            lists.next = Some((blank, end));
            lists.making -= 1;
            return true;
        }
        self.make(Some((blank, end)));
        false
    }

    /// Whether a segment is being made that no thread waits for.
    pub(super) fn is_making(&self) -> bool {
        self.begun.load()
    }

    /// Returns the count of free segments.
    pub(super) fn free(&self) -> usize {
        self.free.load()
    }

    /// Returns the count of sealed hot segments.
    pub(super) fn hot(&self) -> usize {
        self.hot.load()
    }

    /// Seals an open segment whose records end at `end`.
    pub(super) fn seal(&self, number: usize, end: usize, hot: bool) {
        self.seal_in(&mut self.lists.lock(), number, end, hot);
    }

    fn seal_in(&self, lists: &mut Lists, number: usize, end: usize, hot: bool) {
        let Some(segment) = self.segment(number) else { return };
        segment.seal(end, hot);
        // Hot segments are swept in the order of their sealing. Cold ones are chosen by their dead bytes.
        if hot {
            self.push(&mut lists.hot, &self.hot, number);
        } else {
            self.note_dead(segment);
        }
    }

    /// Notes that a record of this segment was unlinked, or that it was sealed.
    pub(super) fn note_dead(&self, segment: SegmentRef<'_>) {
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
        let number = self.pop(&mut lists.hot, &self.hot)?;
        self.segment(number)?.set_use(Use::Swept);
        Some(number)
    }

    /// Takes this sealed hot segment out of the queue, to sweep it.
    pub(super) fn take_hot(&self, wanted: usize) -> bool {
        let mut lists = self.lists.lock();
        let mut found = false;
        for _ in 0..self.hot.load() {
            let Some(number) = self.pop(&mut lists.hot, &self.hot) else { break };
            // The queue is singly linked, so the others are popped and pushed again, which keeps their order.
            if number == wanted {
                found = true;
                if let Some(segment) = self.segment(number) {
                    segment.set_use(Use::Swept);
                }
            } else {
                self.push(&mut lists.hot, &self.hot, number);
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
        self.push(&mut lists.free, &self.free, number);
    }

    fn push(&self, list: &mut SegmentQueue, len: &Statistic<AtomicUsize>, number: usize) {
        if let Some(segment) = self.segment(number) {
            segment.set_next(0);
        }
        if let Some(last) = list.last.checked_sub(1).and_then(|last| self.segment(last)) {
            last.set_next(number + 1);
        } else {
            list.first = number + 1;
        }
        list.last = number + 1;
        len.add_alone(1);
    }

    fn pop(&self, list: &mut SegmentQueue, len: &Statistic<AtomicUsize>) -> Option<usize> {
        let number = list.first.checked_sub(1)?;
        list.first = self.segment(number)?.next();
        list.last = if list.first == 0 { 0 } else { list.last };
        len.add_alone(usize::MAX);
        Some(number)
    }

    /// Frees the memory of all free segments. Their numbers are given out again.
    pub(super) fn shrink(&mut self) {
        let mut lists = self.lists.lock();
        if lists.next.take().is_some() {
            self.made.sub(1);
            self.begun.store(false);
        }
        while let Some(number) = self.pop(&mut lists.free, &self.free) {
            let (block, index) = block_of(number);
            // relaxed: `&mut self` excludes other threads.
            let addresses = self.blocks[block].load(Ordering::Relaxed);
            // SAFETY: as in `segment`.
            let address = unsafe { &*addresses.add(index) };
            // relaxed: as above.
            let words = address.swap(ptr::null_mut(), Ordering::Relaxed);
            // SAFETY: `make` published this many words, and `&mut self` excludes readers.
            unsafe { memory::free_words(words, self.shape.words()) };
            self.made.sub(1);
        }
        lists.vacant = 0;
    }

    /// Completes a segment, or makes a whole one, which becomes free. The caller has counted it, and itself as making.
    /// Returns false if there is no memory.
    fn make(&self, begun: Option<Begun>) -> bool {
        let words = match begun {
            Some((mut blank, done)) => {
                blank.zero(done..self.shape.words());
                self.begun.store(false);
                blank.take()
            }
            None => match memory::words(self.shape.words()) {
                Ok(mut words) => words.take(),
                Err(memory::AllocError) => return self.give_up(),
            },
        };
        // Dropped after the lock was released.
        let mut addresses = None;
        loop {
            let mut lists = self.lists.lock();
            let number = self.vacant_number(&mut lists);
            let (block, _) = block_of(number);
            let is_possible = number < self.shape.max_segments() && block < BLOCKS;
            if is_possible && self.has_block(block, &mut addresses) {
                self.publish(&mut lists, number, words);
                self.push(&mut lists.free, &self.free, number);
                lists.making -= 1;
                return true;
            }
            drop(lists);
            let made = is_possible.then(|| Self::addresses(block_len(block))).flatten();
            if made.is_none() {
                // SAFETY: from above, of this length, and no thread has seen it.
                unsafe { memory::free_words(words, self.shape.words()) };
                return self.give_up();
            }
            addresses = made;
        }
    }

    /// Ends the making of a segment for which there is no memory. Returns false.
    fn give_up(&self) -> bool {
        self.made.sub(1);
        self.lists.lock().making -= 1;
        false
    }

    /// Returns the lowest number that no segment has. Numbers of freed segments are given out again.
    fn vacant_number(&self, lists: &mut Lists) -> usize {
        while lists.vacant < self.count.load() && self.segment(lists.vacant).is_some() {
            lists.vacant += 1;
        }
        lists.vacant
    }

    fn addresses(len: usize) -> Option<Box<[Addresses]>> {
        let mut made: Vec<Addresses> = Vec::new();
        made.try_reserve_exact(len).ok()?;
        made.resize_with(len, || AtomicPtr::new(ptr::null_mut()));
        Some(made.into_boxed_slice())
    }

    /// Whether there is a block of addresses with this number, or `made` becomes it. The caller holds the lock.
    fn has_block(&self, block: usize, made: &mut Option<Box<[Addresses]>>) -> bool {
        // relaxed: it changes only under the lock, which is held.
        if !self.blocks[block].load(Ordering::Relaxed).is_null() {
            return true;
        }
        let Some(made) = made.take_if(|made| made.len() == block_len(block)) else { return false };
        // [CP-1] release: pairs with the acquire in `segment` [CP-2], which hands out the memory behind the pointer.
        self.blocks[block].store(Box::into_raw(made).cast(), Ordering::Release);
        true
    }

    /// Publishes a segment's words under a vacant number, whose block there is.
    fn publish(&self, lists: &mut Lists, number: usize, words: *mut Word) {
        let (block, index) = block_of(number);
        // relaxed: it changes only under the lock, which is held.
        let addresses = self.blocks[block].load(Ordering::Relaxed);
        // SAFETY: as in `segment`.
        let address = unsafe { &*addresses.add(index) };
        // [CP-1] release: pairs with the acquire in `segment` [CP-2], which hands out the memory behind the pointer.
        address.store(words, Ordering::Release);
        self.count.store(self.count.load().max(number + 1));
        lists.vacant = number + 1;
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
impl SegmentPool {
    /// Calls `work` while this thread has the lists.
    pub(super) fn beside_its_lock<R>(&self, work: impl FnOnce() -> R) -> R {
        let _lists = self.lists.lock();
        work()
    }
}

impl Drop for SegmentPool {
    fn drop(&mut self) {
        for (block, addresses) in self.blocks.iter().enumerate() {
            // relaxed: `&mut self` excludes other threads.
            let addresses = addresses.load(Ordering::Relaxed);
            if addresses.is_null() {
                continue;
            }
            // SAFETY: `addresses` made it as a boxed slice of this length, and `&mut self` excludes other users.
            let addresses = unsafe {
                Box::from_raw(ptr::slice_from_raw_parts_mut(addresses, block_len(block)))
            };
            for address in &addresses {
                // relaxed: as above. SAFETY: null, or published by `make` with this many words.
                unsafe { memory::free_words(address.load(Ordering::Relaxed), self.shape.words()) };
            }
        }
    }
}
