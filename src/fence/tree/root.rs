//! The route: which fence a rank belongs to. A sorted table of hints, as a fence is one of leaves.
//!
//! # Synchronization
//! - `[RT-1]` release store of a fence's address, or of the table's ↔ `[RT-2]` acquire load: who comes to a table or
//!   to a fence finds it allocated and filled.
//! - `[RT-3]` the route's lock: who holds it finds the table to be of one piece, and may replace it.
//!
//! Ranks and count are relaxed: they are hints. A table that was replaced is kept until the map is dropped; each
//! is twice as long as the one before, so all old ones together are no longer than the last.

use super::fence::Fence;
use crate::facade::Word;
use crate::facade::atomic::{AtomicPtr, AtomicUsize, Ordering};
use crate::facade::lock::{Guard, Lock};
use crate::table::memory::{self, AllocError};
use core::hint::select_unpredictable;
use core::ptr;

/// Fences that the first table has room for.
const FIRST: usize = 4;

/// A table; behind it lie `room` slots.
pub(crate) struct RootTable {
    count: AtomicUsize,
    /// A power of two.
    room: usize,
    older: *mut RootTable,
}

struct Slot {
    low: AtomicUsize,
    fence: AtomicPtr<Fence>,
}

impl RootTable {
    fn make(room: usize) -> Result<*mut Self, AllocError> {
        let header = Self { count: AtomicUsize::new(0), room, older: ptr::null_mut() };
        memory::with_tail(header, room, || Slot {
            low: AtomicUsize::new(usize::MAX),
            fence: AtomicPtr::new(ptr::null_mut()),
        })
    }

    #[inline(always)]
    fn slot(&self, at: usize) -> &Slot {
        debug_assert!(at < self.room);
        // SAFETY: `with_tail` put `room` slots right behind the header, and `at` is less: every caller bounds it.
        unsafe { &*ptr::from_ref(self).add(1).cast::<Slot>().add(at) }
    }

    #[inline(always)]
    pub(crate) fn count(&self) -> usize {
        // relaxed: a hint to readers, and under the lock exact [RT-3].
        self.count.load(Ordering::Relaxed)
    }

    #[inline(always)]
    pub(crate) fn low(&self, at: usize) -> usize {
        // relaxed: a hint to readers, and under the lock exact [RT-3].
        self.slot(at).low.load(Ordering::Relaxed)
    }

    /// The last fence that begins with `rank` or before it, or the first one.
    #[inline(always)]
    pub(crate) fn pick(&self, rank: usize) -> usize {
        let (mut at, mut half) = (0, self.room / 2);
        while half > 0 {
            let middle = at + half;
            at = select_unpredictable(self.low(middle) <= rank, middle, at);
            half /= 2;
        }
        at.min(self.count().wrapping_sub(1).min(self.room - 1))
    }

    /// The fence at `at`. There is one wherever there has ever been one, and at 0 always.
    #[inline(always)]
    pub(crate) fn fence(&self, at: usize) -> Option<&Fence> {
        // [RT-2] acquire: pairs with [RT-1].
        let fence = self.slot(at).fence.load(Ordering::Acquire);
        // SAFETY: null or a fence, and fences live as long as the route.
        unsafe { fence.as_ref() }
    }

    fn set(&self, at: usize, low: usize, fence: &Fence) {
        let slot = self.slot(at);
        // [RT-1] release: pairs with [RT-2].
        slot.fence.store(ptr::from_ref(fence).cast_mut(), Ordering::Release);
        // relaxed: a hint.
        slot.low.store(low, Ordering::Relaxed);
    }

    fn set_count(&self, count: usize) {
        // relaxed: a hint.
        self.count.store(count, Ordering::Relaxed);
    }
}

/// What the route's lock guards.
struct FenceLists {
    /// All fences, linked by `older`.
    all: *mut Fence,
    /// Those that no route leads to, linked by `unused`.
    unused: *mut Fence,
}

pub(crate) struct Root {
    table: AtomicPtr<RootTable>,
    fences: Lock<FenceLists>,
}

// SAFETY: tables and fences are the route's own, shared by atomics and under its lock.
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

    /// The table, unless the map has never had an entry.
    #[inline(always)]
    pub(crate) fn table(&self) -> Option<&RootTable> {
        // [RT-2] acquire: pairs with [RT-1].
        let table = self.table.load(Ordering::Acquire);
        // SAFETY: null or a table, and tables live as long as the route.
        unsafe { table.as_ref() }
    }

    /// Takes the lock; None if somebody has it and `wait` is false.
    pub(crate) fn acquire(&self, wait: bool) -> Option<RootEditor<'_>> {
        // [RT-3]
        let fences = if wait { self.fences.lock() } else { self.fences.try_lock()? };
        Some(RootEditor { root: self, fences })
    }

    /// Sees to it that there is a fence that nobody knows; false where that would have meant waiting.
    fn reserve_fence(&self, wait: bool) -> Result<bool, AllocError> {
        let Some(editor) = self.acquire(wait) else { return Ok(false) };
        if !editor.fences.unused.is_null() {
            return Ok(true);
        }
        drop(editor);
        // Nothing is locked while the allocator is asked.
        let made = memory::with_tail::<Fence, usize>(Fence::new(), 0, || 0)?;
        let Some(mut editor) = self.acquire(wait) else {
            // SAFETY: just made, and shown to nobody.
            unsafe { memory::free_with_tail::<Fence, usize>(made, 0) };
            return Ok(false);
        };
        // SAFETY: just made.
        let fence = unsafe { &*made };
        // relaxed: only read under this lock, or when nobody shares the route.
        fence.older.store(editor.fences.all, Ordering::Relaxed);
        editor.fences.all = made;
        editor.put_back(fence);
        Ok(true)
    }

    /// Sees to it that one more fence can be added, as long as nobody else adds one; false where that would have
    /// meant waiting.
    pub(crate) fn reserve(&self, wait: bool) -> Result<bool, AllocError> {
        Ok(self.reserve_slot(wait)? && self.reserve_fence(wait)?)
    }

    /// Sees to it that there is room for one more fence; false where that would have meant waiting.
    fn reserve_slot(&self, wait: bool) -> Result<bool, AllocError> {
        let Some(old) = self.table() else { return Ok(false) };
        if old.count() < old.room {
            return Ok(true);
        }
        let made = RootTable::make(old.room * 2)?;
        // SAFETY: just made.
        let new = unsafe { &mut *made };
        let editor = self.acquire(wait);
        let is_latest = self.table().is_some_and(|table| ptr::eq(table, old));
        if editor.is_none() || !is_latest {
            // SAFETY: shown to nobody.
            unsafe { memory::free_with_tail::<RootTable, Slot>(made, new.room) };
            return Ok(editor.is_some());
        }
        for at in 0..old.count() {
            new.set(at, old.low(at), old.fence(at).expect("a fence below the count"));
        }
        new.set_count(old.count());
        new.older = ptr::from_ref(old).cast_mut();
        // [RT-1] release: pairs with [RT-2].
        self.table.store(made, Ordering::Release);
        Ok(true)
    }

    /// Shows the first table, with a first fence that holds this leaf; calls `before` first, with the route locked.
    /// False where there is a table already, or it would have meant waiting.
    pub(crate) fn init(
        &self,
        leaf: *mut Word,
        wait: bool,
        before: impl FnOnce(),
    ) -> Result<bool, AllocError> {
        let made = RootTable::make(FIRST)?;
        let done = self.reserve_fence(wait).map(|_| self.publish_first(made, leaf, wait, before));
        if !matches!(done, Ok(true)) {
            // SAFETY: just made, and shown to nobody.
            unsafe { memory::free_with_tail::<RootTable, Slot>(made, FIRST) };
        }
        done
    }

    fn publish_first(
        &self,
        made: *mut RootTable,
        leaf: *mut Word,
        wait: bool,
        before: impl FnOnce(),
    ) -> bool {
        let Some(mut editor) = self.acquire(wait) else { return false };
        if self.table().is_some() {
            return false;
        }
        let Some(fence) = editor.take_unused() else { return false };
        before();
        fence.lock().push(0, leaf);
        // SAFETY: just made.
        let table = unsafe { &*made };
        table.set(0, 0, fence);
        table.set_count(1);
        // [RT-1] release: pairs with [RT-2].
        self.table.store(made, Ordering::Release);
        true
    }

    /// Bytes on the heap: all, and those of tables that were replaced.
    pub(crate) fn bytes(&self) -> (usize, usize) {
        let fences = self.fences.lock();
        let (mut bytes, mut retired) = (0, 0);
        let mut fence = fences.all;
        while !fence.is_null() {
            bytes += size_of::<Fence>();
            // SAFETY: fences live as long as the route.
            // relaxed: under the lock.
            fence = unsafe { &*fence }.older.load(Ordering::Relaxed);
        }
        let mut table = self.table();
        let mut current = true;
        while let Some(this) = table {
            let here = size_of::<RootTable>() + this.room * size_of::<Slot>();
            bytes += here;
            retired += if current { 0 } else { here };
            current = false;
            // SAFETY: tables live as long as the route.
            table = unsafe { this.older.as_ref() };
        }
        (bytes, retired)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // relaxed: `&mut self`, so nobody shares the route any more.
        let mut table = self.table.load(Ordering::Relaxed);
        let mut fence = self.fences.lock().all;
        // SAFETY: all were made by `with_tail` with these measures, and are in these lists once.
        unsafe {
            while !table.is_null() {
                let (older, room) = ((*table).older, (*table).room);
                memory::free_with_tail::<RootTable, Slot>(table, room);
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

/// The route, locked.
pub(crate) struct RootEditor<'a> {
    root: &'a Root,
    fences: Guard<'a, FenceLists>,
}

impl<'a> RootEditor<'a> {
    /// A fence that nobody knows, and that is empty.
    pub(crate) fn take_unused(&mut self) -> Option<&'a Fence> {
        // SAFETY: null or a fence, and fences live as long as the route.
        let fence = unsafe { self.fences.unused.as_ref() }?;
        // relaxed: under the lock.
        self.fences.unused = fence.unused.load(Ordering::Relaxed);
        Some(fence)
    }

    /// Takes back a fence that no route leads to, and that is empty.
    pub(crate) fn put_back(&mut self, fence: &Fence) {
        // relaxed: under the lock.
        fence.unused.store(self.fences.unused, Ordering::Relaxed);
        self.fences.unused = ptr::from_ref(fence).cast_mut();
    }

    fn table(&self) -> &'a RootTable {
        self.root.table().expect("a table, since there are fences")
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

    /// Leads from `low` on to `fence`, which follows `left`; false if there is no room or no `left`.
    pub(crate) fn insert_after(&self, left: &Fence, low: usize, fence: &Fence) -> bool {
        let table = self.table();
        let count = table.count();
        let Some(at) = self.position(left).filter(|_| count < table.room) else { return false };
        table.set_count(count + 1);
        for index in (at + 1..count).rev() {
            let moved = table.fence(index).expect("a fence below the count");
            table.set(index + 1, table.low(index), moved);
        }
        table.set(at + 1, low, fence);
        true
    }

    /// Leads to the fence at `at` from `low` on.
    pub(crate) fn set_low(&self, at: usize, low: usize) {
        // relaxed: a hint.
        self.table().slot(at).low.store(low, Ordering::Relaxed);
    }

    /// Leads no more to the fence at `at`, which is not the first.
    pub(crate) fn remove(&self, at: usize) {
        let table = self.table();
        let count = table.count();
        for index in at + 1..count {
            let moved = table.fence(index).expect("a fence below the count");
            table.set(index - 1, table.low(index), moved);
        }
        table.set_count(count - 1);
        // relaxed: a hint.
        table.slot(count - 1).low.store(usize::MAX, Ordering::Relaxed);
    }
}
