//! The root: a sorted table of fences, by the rank at which each begins. Hints, like the entries of a fence.
//!
//! # Synchronization
//! - `[RT-1]` a writer's release store of a fence's address, or of a table's ↔ `[RT-2]` a lookup's acquire load: a
//!   lookup that loads the address sees the fence or the table allocated and filled.
//! - `[RT-3]` the root's lock: its owner sees ranks, fences and count that belong together, and may replace the table.
//!
//! Ranks and the count are relaxed: they are hints. A replaced table is freed with the map, since lookups may still
//! read it. Each table is twice as long as the one before, so all replaced ones together are shorter than the current
//! one.

use super::fence::Fence;
use crate::facade::Word;
use crate::facade::atomic::{AtomicPtr, AtomicUsize, Ordering};
use crate::facade::lock::{Guard, Lock};
use crate::memory::{self, AllocError};
use crate::sync::hint::Hint;
use core::hint::select_unpredictable;
use core::marker::PhantomData;
use core::ptr::{self, NonNull};

/// Capacity of the first table, in fences.
const FIRST: usize = 4;

/// The header of a table of fences. Its `room` slots follow it in memory.
struct TableHeader {
    count: Hint<AtomicUsize>,
    /// A power of two.
    room: usize,
    older: *mut TableHeader,
}

struct FenceSlot {
    low: Hint<AtomicUsize>,
    fence: AtomicPtr<Fence>,
}

/// A table of fences. A pointer and not a reference, which would be one to the header alone, and not to the slots.
#[derive(Clone, Copy)]
pub(crate) struct RootTable<'r>(NonNull<TableHeader>, PhantomData<&'r Root>);

impl<'r> RootTable<'r> {
    fn make(room: usize) -> Result<*mut TableHeader, AllocError> {
        let count = Hint::<AtomicUsize>::new(0);
        let header = TableHeader { count, room, older: ptr::null_mut() };
        memory::with_tail(header, room, || FenceSlot {
            low: Hint::<AtomicUsize>::new(usize::MAX),
            fence: AtomicPtr::new(ptr::null_mut()),
        })
    }

    /// # Safety
    /// `table` is null, or comes from `make` and lives for `'r`.
    #[inline(always)]
    unsafe fn from_ptr(table: *mut TableHeader) -> Option<Self> {
        Some(Self(NonNull::new(table)?, PhantomData))
    }

    #[inline(always)]
    fn header(self) -> &'r TableHeader {
        // SAFETY: it lives for `'r`, see `from_ptr`.
        unsafe { self.0.as_ref() }
    }

    #[inline(always)]
    fn slot(self, at: usize) -> &'r FenceSlot {
        debug_assert!(at < self.room());
        // SAFETY: `make` put `room` slots right behind the header, and all callers keep `at` below `room`.
        unsafe { self.0.add(1).cast::<FenceSlot>().add(at).as_ref() }
    }

    #[inline(always)]
    fn room(self) -> usize {
        self.header().room
    }

    fn is(self, other: Self) -> bool {
        self.0 == other.0
    }

    #[inline(always)]
    pub(crate) fn count(self) -> usize {
        // Exact under the lock [RT-3], and a hint to lookups.
        self.header().count.load()
    }

    #[inline(always)]
    pub(crate) fn low(self, at: usize) -> usize {
        // Exact under the lock [RT-3], and a hint to lookups.
        self.slot(at).low.load()
    }

    /// Returns the index of the last fence whose rank is at most `rank`, or 0.
    #[inline(always)]
    pub(crate) fn pick(self, rank: usize) -> usize {
        // A binary search over the whole table, without the count: slots above it hold the greatest rank.
        let (mut at, mut half) = (0, self.room() / 2);
        while half > 0 {
            let middle = at + half;
            at = select_unpredictable(self.low(middle) <= rank, middle, at);
            half /= 2;
        }
        at.min(self.count().wrapping_sub(1).min(self.room() - 1))
    }

    /// Returns the fence at `at`. There always is one below the count.
    #[inline(always)]
    pub(crate) fn fence(self, at: usize) -> Option<&'r Fence> {
        // [RT-2] acquire: pairs with [RT-1] in `set`, so the caller sees the fence initialized.
        let fence = self.slot(at).fence.load(Ordering::Acquire);
        // SAFETY: null or a fence of this root, and fences are freed with the root.
        unsafe { fence.as_ref() }
    }

    fn set(self, at: usize, low: usize, fence: &Fence) {
        let slot = self.slot(at);
        // [RT-1] release: pairs with [RT-2] in `fence`, so a lookup that loads the address sees the fence initialized.
        slot.fence.store(ptr::from_ref(fence).cast_mut(), Ordering::Release);
        slot.low.store(low);
    }

    fn set_count(self, count: usize) {
        self.header().count.store(count);
    }
}

/// The data under the root's lock.
struct FenceLists {
    /// All fences, linked by `older`.
    all: *mut Fence,
    /// The empty fences that the table does not list, linked by `unused`.
    unused: *mut Fence,
}

pub(crate) struct Root {
    table: AtomicPtr<TableHeader>,
    fences: Lock<FenceLists>,
}

// SAFETY: the root owns its tables and fences; threads share them by atomics and under its lock.
unsafe impl Send for Root {}
// SAFETY: as above.
unsafe impl Sync for Root {}

impl Root {
    crate::facade::const_unless_loom! {
        pub(crate) fn new() -> Self {
            Self {
                table: AtomicPtr::new(ptr::null_mut()),
                fences: Lock::new(FenceLists { all: ptr::null_mut(), unused: ptr::null_mut() }),
            }
        }
    }

    /// Returns the table. None if the map has never had an entry.
    #[inline(always)]
    pub(crate) fn table(&self) -> Option<RootTable<'_>> {
        // [RT-2] acquire: pairs with [RT-1] in `reserve_slot` and `publish_first`, so the caller sees the table filled.
        let table = self.table.load(Ordering::Acquire);
        // SAFETY: null or a table of this root, and tables are freed with the root.
        unsafe { RootTable::from_ptr(table) }
    }

    /// Locks the root. Waits for the lock only if `wait` is true.
    pub(crate) fn acquire(&self, wait: bool) -> Option<RootEditor<'_>> {
        // [RT-3] locked until the editor is dropped, so no other thread changes or replaces the table.
        let fences = if wait { self.fences.lock() } else { self.fences.try_lock()? };
        Some(RootEditor { root: self, fences })
    }

    /// Makes sure that an unused fence exists. Returns false if that would mean waiting and `wait` is false.
    fn reserve_fence(&self, wait: bool) -> Result<bool, AllocError> {
        let Some(editor) = self.acquire(wait) else { return Ok(false) };
        if !editor.fences.unused.is_null() {
            return Ok(true);
        }
        drop(editor);
        // The allocator is called with nothing locked, since it may be slow, or run code that uses this map.
        let made = memory::with_tail::<Fence, usize>(Fence::new(), 0, || 0)?;
        let Some(mut editor) = self.acquire(wait) else {
            // SAFETY: made above, and not published.
            unsafe { memory::free_with_tail::<Fence, usize>(made, 0) };
            return Ok(false);
        };
        // SAFETY: made above.
        let fence = unsafe { &*made };
        // relaxed: only read under this lock, or when no other thread has the root.
        fence.older.store(editor.fences.all, Ordering::Relaxed);
        editor.fences.all = made;
        editor.put_back(fence);
        Ok(true)
    }

    /// Makes sure that one fence can be added, unless another thread adds one first. False if that would mean waiting
    /// and `wait` is false.
    pub(crate) fn reserve(&self, wait: bool) -> Result<bool, AllocError> {
        Ok(self.reserve_slot(wait)? && self.reserve_fence(wait)?)
    }

    /// Makes sure that the table has a free slot. False if that would mean waiting and `wait` is false.
    fn reserve_slot(&self, wait: bool) -> Result<bool, AllocError> {
        let Some(old) = self.table() else { return Ok(false) };
        if old.count() < old.room() {
            return Ok(true);
        }
        let room = old.room() * 2;
        let made = RootTable::make(room)?;
        let editor = self.acquire(wait);
        // Another thread may have replaced the table before the lock was taken. This copy would undo its changes.
        let is_latest = self.table().is_some_and(|table| table.is(old));
        if editor.is_none() || !is_latest {
            // SAFETY: made above, and not published.
            unsafe { memory::free_with_tail::<TableHeader, FenceSlot>(made, room) };
            return Ok(editor.is_some());
        }
        // SAFETY: made above, and not published.
        unsafe { (*made).older = old.0.as_ptr() };
        // SAFETY: as above, and from here on it is not changed through `made`.
        let new = unsafe { RootTable::from_ptr(made) }.expect("an allocation has an address");
        for at in 0..old.count() {
            new.set(at, old.low(at), old.fence(at).expect("a fence below the count"));
        }
        new.set_count(old.count());
        // [RT-1] release: pairs with [RT-2] in `table`, so a lookup that loads the address sees the table filled.
        self.table.store(made, Ordering::Release);
        Ok(true)
    }

    /// Publishes the first table, with one fence that lists `leaf`. Calls `before` right before that, with the root
    /// locked. False if there is a table already, or if this would mean waiting and `wait` is false.
    pub(crate) fn init(
        &self,
        leaf: *mut Word,
        wait: bool,
        before: impl FnOnce(),
    ) -> Result<bool, AllocError> {
        let made = RootTable::make(FIRST)?;
        let done = self.reserve_fence(wait).map(|_| self.publish_first(made, leaf, wait, before));
        if !matches!(done, Ok(true)) {
            // SAFETY: made above, and not published.
            unsafe { memory::free_with_tail::<TableHeader, FenceSlot>(made, FIRST) };
        }
        done
    }

    fn publish_first(
        &self,
        made: *mut TableHeader,
        leaf: *mut Word,
        wait: bool,
        before: impl FnOnce(),
    ) -> bool {
        let Some(mut editor) = self.acquire(wait) else { return false };
        // Of several threads that insert a first entry, one wins. The others' leaves would be lost.
        if self.table().is_some() {
            return false;
        }
        let Some(fence) = editor.take_unused() else { return false };
        before();
        fence.lock().push(0, leaf);
        // SAFETY: made by the caller, and not published.
        let Some(table) = (unsafe { RootTable::from_ptr(made) }) else { return false };
        table.set(0, 0, fence);
        table.set_count(1);
        // [RT-1] release: pairs with [RT-2] in `table`, so a lookup that loads the address sees the table filled.
        self.table.store(made, Ordering::Release);
        true
    }

    /// Returns the allocated bytes of all fences and tables, and those of replaced tables alone.
    pub(crate) fn bytes(&self) -> (usize, usize) {
        let fences = self.fences.lock();
        let (mut bytes, mut retired) = (0, 0);
        let mut fence = fences.all;
        while !fence.is_null() {
            bytes += size_of::<Fence>();
            // SAFETY: fences are freed with the root.
            // relaxed: stored under the lock, which is held.
            fence = unsafe { &*fence }.older.load(Ordering::Relaxed);
        }
        let mut table = self.table();
        let mut current = true;
        while let Some(this) = table {
            let here = size_of::<TableHeader>() + this.room() * size_of::<FenceSlot>();
            bytes += here;
            retired += if current { 0 } else { here };
            current = false;
            // SAFETY: tables are freed with the root.
            table = unsafe { RootTable::from_ptr(this.header().older) };
        }
        (bytes, retired)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // relaxed: `&mut self`, so no other thread has the root.
        let mut table = self.table.load(Ordering::Relaxed);
        let mut fence = self.fences.lock().all;
        // SAFETY: `make` and `reserve_fence` made all of them with these sizes, and each is in its list once.
        unsafe {
            while !table.is_null() {
                let (older, room) = ((*table).older, (*table).room);
                memory::free_with_tail::<TableHeader, FenceSlot>(table, room);
                table = older;
            }
            while !fence.is_null() {
                // relaxed: as above.
                let older = (*fence).older.load(Ordering::Relaxed);
                memory::free_with_tail::<Fence, usize>(fence, 0);
                fence = older;
            }
        }
    }
}

/// The locked root.
pub(crate) struct RootEditor<'a> {
    root: &'a Root,
    fences: Guard<'a, FenceLists>,
}

impl<'a> RootEditor<'a> {
    /// Takes an empty fence out of the list of unused ones.
    pub(crate) fn take_unused(&mut self) -> Option<&'a Fence> {
        // SAFETY: null or a fence of this root, and fences are freed with the root.
        let fence = unsafe { self.fences.unused.as_ref() }?;
        // relaxed: stored under the lock, which is held.
        self.fences.unused = fence.unused.load(Ordering::Relaxed);
        Some(fence)
    }

    /// Puts an empty fence that the table does not list into the list of unused ones.
    pub(crate) fn put_back(&mut self, fence: &Fence) {
        // relaxed: read under the lock, which is held.
        fence.unused.store(self.fences.unused, Ordering::Relaxed);
        self.fences.unused = ptr::from_ref(fence).cast_mut();
    }

    fn table(&self) -> RootTable<'a> {
        self.root.table().expect("a root with fences has a table")
    }

    pub(crate) fn position(&self, fence: &Fence) -> Option<usize> {
        let table = self.table();
        let is_it = |at: &usize| table.fence(*at).is_some_and(|other| ptr::eq(other, fence));
        (0..table.count()).rev().find(is_it)
    }

    pub(crate) fn fence(&self, at: usize) -> Option<&'a Fence> {
        let table = self.table();
        if at < table.count() { table.fence(at) } else { None }
    }

    /// Lists `fence` from `low` on, right of `left`. False if the table is full, or does not list `left`.
    pub(crate) fn insert_after(&self, left: &Fence, low: usize, fence: &Fence) -> bool {
        let table = self.table();
        let count = table.count();
        let Some(at) = self.position(left).filter(|_| count < table.room()) else { return false };
        table.set_count(count + 1);
        // From the end, so that each fence is listed at least once at any time.
        for index in (at + 1..count).rev() {
            let moved = table.fence(index).expect("a fence below the count");
            table.set(index + 1, table.low(index), moved);
        }
        table.set(at + 1, low, fence);
        true
    }

    /// Sets the rank at which the fence at `at` begins.
    pub(crate) fn set_low(&self, at: usize, low: usize) {
        self.table().slot(at).low.store(low);
    }

    /// Takes the fence at `at`, which is not the first one, off the table.
    pub(crate) fn remove(&self, at: usize) {
        let table = self.table();
        let count = table.count();
        for index in at + 1..count {
            let moved = table.fence(index).expect("a fence below the count");
            table.set(index - 1, table.low(index), moved);
        }
        table.set_count(count - 1);
        // The greatest rank, so that no search ends here.
        table.slot(count - 1).low.store(usize::MAX);
    }
}
