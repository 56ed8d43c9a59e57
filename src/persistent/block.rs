//! A block: the memory of one node, shared by all versions that contain the node.
//!
//! A block is one allocation: a header with a count of its handles, and three columns of the same length. A leaf has a
//! column of keys and one of values; an inner node has its children, the number of entries below each, and the bounds
//! between them. Bounds lie *between* children, so **the third column has no element at index 0**: index `i` is the
//! lower bound of child `i`. A leaf's third column is of a zero-sized type.
//!
//! A handle is an owner, like std's `Arc`. The only way to change a block is [`Block::as_unique`], which proves that
//! there is no other handle.

use crate::memory::AllocError;
use crate::sync::references::References;
use alloc::alloc::{alloc, dealloc};
use core::alloc::Layout;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ptr::{self, NonNull};

pub(super) struct Header {
    handles: References,
    len: u16,
    capacity: u16,
    /// The number of levels below: 0 for a leaf.
    height: u8,
}

/// A handle of a block with columns of `A`, `B` and `C`.
#[repr(transparent)]
pub(super) struct Block<A, B, C> {
    header: NonNull<Header>,
    columns: PhantomData<(A, B, C)>,
}

// SAFETY: handles in several threads share the elements (`Sync`), and any of them may drop these (`Send`).
unsafe impl<A: Send + Sync, B: Send + Sync, C: Send + Sync> Send for Block<A, B, C> {}
// SAFETY: as above, because a shared handle can be cloned.
unsafe impl<A: Send + Sync, B: Send + Sync, C: Send + Sync> Sync for Block<A, B, C> {}

const fn round_up(offset: usize, align: usize) -> Option<usize> {
    match offset.checked_add(align - 1) {
        Some(sum) => Some(sum & !(align - 1)),
        None => None,
    }
}

impl<A, B, C> Block<A, B, C> {
    /// The third column comes first: a search reads the header and then the bounds.
    const C: usize = match round_up(size_of::<Header>(), align_of::<C>()) {
        Some(offset) => offset,
        None => panic!("the alignment of a type is far below the address space"),
    };

    /// Returns where column A begins in a block that was allocated with this capacity.
    #[inline(always)]
    const fn a_offset(capacity: usize) -> usize {
        (Self::C + capacity * size_of::<C>()).wrapping_add(align_of::<A>() - 1)
            & !(align_of::<A>() - 1)
    }

    #[inline(always)]
    const fn b_offset(capacity: usize) -> usize {
        let end = Self::a_offset(capacity) + capacity * size_of::<A>();
        end.wrapping_add(align_of::<B>() - 1) & !(align_of::<B>() - 1)
    }

    fn layout(capacity: usize) -> Option<Layout> {
        let c_end = Self::C.checked_add(capacity.checked_mul(size_of::<C>())?)?;
        let a_end =
            round_up(c_end, align_of::<A>())?.checked_add(capacity.checked_mul(size_of::<A>())?)?;
        let b_end =
            round_up(a_end, align_of::<B>())?.checked_add(capacity.checked_mul(size_of::<B>())?)?;
        let align =
            align_of::<Header>().max(align_of::<A>()).max(align_of::<B>()).max(align_of::<C>());
        Layout::from_size_align(b_end, align).ok()
    }

    /// Allocates an empty block.
    pub(super) fn new(height: u8, capacity: usize) -> Result<Self, AllocError> {
        let short = u16::try_from(capacity).map_err(|_| AllocError)?;
        let layout = Self::layout(capacity).ok_or(AllocError)?;
        // SAFETY: the layout includes a header, so it is not empty.
        let header = NonNull::new(unsafe { alloc(layout) }.cast::<Header>()).ok_or(AllocError)?;
        // SAFETY: the block begins with a header.
        unsafe {
            header.write(Header { handles: References::one(), len: 0, capacity: short, height });
        };
        Ok(Self { header, columns: PhantomData })
    }

    /// Returns the address of the block, for a handle of another type.
    #[inline(always)]
    pub(super) fn address(&self) -> NonNull<Header> {
        self.header
    }

    /// Takes over the handle of another type.
    ///
    /// # Safety
    /// The block has columns of these types, and the other handle is not used again.
    #[inline(always)]
    pub(super) unsafe fn from_address(header: NonNull<Header>) -> Self {
        Self { header, columns: PhantomData }
    }

    #[inline(always)]
    pub(super) fn height(&self) -> usize {
        self.header().height.into()
    }

    #[inline(always)]
    fn header(&self) -> &Header {
        // SAFETY: the block lives as long as there are handles, and only a unique handle writes to the header.
        unsafe { self.header.as_ref() }
    }

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.header().len.into()
    }

    #[inline(always)]
    pub(super) fn capacity(&self) -> usize {
        self.header().capacity.into()
    }

    /// Returns the bytes that the block takes from the allocator.
    pub(super) fn bytes(&self) -> usize {
        Self::layout(self.capacity()).map_or(0, |layout| layout.size())
    }

    #[inline(always)]
    fn column_c(&self) -> *mut C {
        // SAFETY: the offset is within the allocation.
        unsafe { self.header.as_ptr().byte_add(Self::C).cast() }
    }

    #[inline(always)]
    fn column_a(&self) -> *mut A {
        // SAFETY: as above.
        unsafe { self.header.as_ptr().byte_add(Self::a_offset(self.capacity())).cast() }
    }

    #[inline(always)]
    fn column_b(&self) -> *mut B {
        // SAFETY: as above.
        unsafe { self.header.as_ptr().byte_add(Self::b_offset(self.capacity())).cast() }
    }

    #[inline(always)]
    pub(super) fn a(&self) -> &[A] {
        // SAFETY: the first `len` elements are initialized, and only a unique handle writes to them.
        unsafe { core::slice::from_raw_parts(self.column_a(), self.len()) }
    }

    #[inline(always)]
    pub(super) fn b(&self) -> &[B] {
        // SAFETY: as above.
        unsafe { core::slice::from_raw_parts(self.column_b(), self.len()) }
    }

    /// Returns the elements of the third column, which begin at index 1.
    #[inline(always)]
    pub(super) fn c(&self) -> &[C] {
        let count = self.len().saturating_sub(1);
        // SAFETY: as above, for indices 1 to `len`.
        unsafe { core::slice::from_raw_parts(self.column_c().wrapping_add(1), count) }
    }

    /// Returns whether this is the only handle.
    #[inline(always)]
    pub(super) fn is_only_handle(&self) -> bool {
        self.header().handles.is_one()
    }

    /// Returns access for changes, if there is no other handle. None can appear: a handle is made from another, and the
    /// caller has the only one exclusively.
    #[inline(always)]
    pub(super) fn as_unique(&mut self) -> Option<Unique<'_, A, B, C>> {
        self.is_only_handle().then_some(Unique { block: self })
    }

    /// Returns access for changes.
    ///
    /// # Panics
    /// If there is another handle.
    #[inline(always)]
    pub(super) fn own(&mut self) -> Unique<'_, A, B, C> {
        self.as_unique().expect("a block without other handles")
    }

    /// Returns another handle.
    ///
    /// # Panics
    /// If there are `isize::MAX` handles.
    #[inline(always)]
    pub(super) fn share(&self) -> Self {
        self.header().handles.add();
        Self { header: self.header, columns: PhantomData }
    }
}

impl<A, B, C> Block<A, B, C> {
    /// Gives this handle up. If it was the last one, returns it, as std's `Arc::into_inner` does: of several threads
    /// that give their handles up at the same time, one gets the block.
    pub(super) fn into_last(self) -> Option<Self> {
        let handle = ManuallyDrop::new(self);
        handle.header().handles.remove_unless_last().then(|| ManuallyDrop::into_inner(handle))
    }
}

/// Clones in a column that is being filled. Drops them if a `Clone` panics.
struct Cloned<T>(*mut T, usize);

impl<T> Cloned<T> {
    /// # Safety
    /// There is room for all elements of `from` at `to`.
    #[inline(always)]
    unsafe fn all(from: &[T], to: *mut T) -> Self
    where
        T: Clone,
    {
        let mut cloned = Self(to, 0);
        for element in from {
            // SAFETY: the caller promises that there is room.
            unsafe { to.add(cloned.1).write(element.clone()) };
            cloned.1 += 1;
        }
        cloned
    }
}

impl<T> Drop for Cloned<T> {
    fn drop(&mut self) {
        // SAFETY: these were written, and nobody else has them.
        unsafe { ptr::slice_from_raw_parts_mut(self.0, self.1).drop_in_place() }
    }
}

impl<A: Clone, B: Clone, C: Clone> Block<A, B, C> {
    /// Returns a block of its own with clones of the elements of `range`, and room for `capacity`.
    pub(super) fn copy(
        &self,
        range: core::ops::Range<usize>,
        capacity: usize,
    ) -> Result<Self, AllocError> {
        let copied = Self::new(self.header().height, capacity.max(range.len()))?;
        // The bound of the first element stays out.
        let bounds = self.c().get(range.start..range.end.saturating_sub(1)).unwrap_or(&[]);
        // SAFETY: `copied` has room for `range.len()` elements in each column, and its third column begins at index 1.
        let parts = unsafe {
            (
                Cloned::all(bounds, copied.column_c().wrapping_add(1)),
                Cloned::all(&self.a()[range.clone()], copied.column_a()),
                Cloned::all(&self.b()[range.clone()], copied.column_b()),
            )
        };
        core::mem::forget(parts);
        // SAFETY: `copied` is the only handle, and the elements are initialized.
        unsafe { (*copied.header.as_ptr()).len = range.len() as u16 };
        Ok(copied)
    }
}

impl<A, B, C> Drop for Block<A, B, C> {
    #[inline]
    fn drop(&mut self) {
        if self.header().handles.remove() {
            // SAFETY: this was the last handle.
            unsafe { self.free() }
        }
    }
}

/// Drops elements, also when the destructor of other ones panics.
struct Elements<T>(*mut T, usize);

impl<T> Drop for Elements<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: whoever makes one owns the elements, and uses them no more. If one panics, the others are dropped.
        unsafe { ptr::slice_from_raw_parts_mut(self.0, self.1).drop_in_place() }
    }
}

/// Gives the memory of a block back.
struct Memory(NonNull<Header>, Layout);

impl Drop for Memory {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: whoever makes one owns the block, which was allocated with this layout, and uses it no more.
        unsafe {
            self.0.drop_in_place();
            dealloc(self.0.as_ptr().cast(), self.1);
        }
    }
}

impl<A, B, C> Block<A, B, C> {
    /// Drops all elements, and frees the block.
    ///
    /// # Safety
    /// There is no other handle, and the caller does not use this one again.
    unsafe fn free(&mut self) {
        let memory = self.memory();
        let len = self.len();
        // Dropped in the reverse order, the memory at last, whichever destructor panics.
        let _memory = memory;
        let _bounds = Elements(self.column_c().wrapping_add(1), len.saturating_sub(1));
        let _values = Elements(self.column_b(), len);
        drop(Elements(self.column_a(), len));
    }

    fn memory(&self) -> Memory {
        let layout = Self::layout(self.capacity()).expect("the layout that it was allocated with");
        Memory(self.header, layout)
    }

    /// Takes the elements out of a block that has been emptied by moves, and frees it.
    fn free_emptied(self) {
        let block = ManuallyDrop::new(self);
        debug_assert_eq!(block.len(), 0);
        drop(block.memory());
    }
}

/// Takes the elements out of a block without other handles, from both ends.
pub(super) struct IntoElements<A, B> {
    /// Counts no elements, so its destructor only gives the memory back.
    block: Block<A, B, ()>,
    /// The indices of the elements to come.
    range: core::ops::Range<usize>,
}

impl<A, B> Block<A, B, ()> {
    /// Returns an iterator that takes the elements out.
    ///
    /// # Panics
    /// If there is another handle.
    pub(super) fn into_elements(mut self) -> IntoElements<A, B> {
        let range = 0..self.len();
        self.own().set_len(0);
        IntoElements { block: self, range }
    }
}

impl<A, B> IntoElements<A, B> {
    pub(super) fn len(&self) -> usize {
        self.range.len()
    }

    /// # Safety
    /// The index was in `range`, and is no longer.
    unsafe fn read_out(&self, index: usize) -> (A, B) {
        // SAFETY: the element is initialized, and this is the only time that it is taken.
        unsafe {
            (self.block.column_a().add(index).read(), self.block.column_b().add(index).read())
        }
    }
}

impl<A, B> Iterator for IntoElements<A, B> {
    type Item = (A, B);

    #[inline]
    fn next(&mut self) -> Option<(A, B)> {
        // SAFETY: the range returns each index once.
        self.range.next().map(|index| unsafe { self.read_out(index) })
    }
}

impl<A, B> DoubleEndedIterator for IntoElements<A, B> {
    #[inline]
    fn next_back(&mut self) -> Option<(A, B)> {
        // SAFETY: as above.
        self.range.next_back().map(|index| unsafe { self.read_out(index) })
    }
}

impl<A, B> Drop for IntoElements<A, B> {
    fn drop(&mut self) {
        let (start, len) = (self.range.start, self.range.len());
        let _values = Elements(self.block.column_b().wrapping_add(start), len);
        drop(Elements(self.block.column_a().wrapping_add(start), len));
    }
}

/// The only handle of a block, with which it may be changed.
pub(super) struct Unique<'a, A, B, C> {
    block: &'a mut Block<A, B, C>,
}

/// Moves the elements from index `at` on by one, and writes `element` there.
///
/// # Safety
/// `column` has `len` elements, room for one more, and `at <= len`.
#[inline(always)]
unsafe fn insert_at<T>(column: *mut T, len: usize, at: usize, element: T) {
    // SAFETY: the caller promises that.
    unsafe {
        let place = column.add(at);
        place.copy_to(place.add(1), len - at);
        place.write(element);
    }
}

/// Takes the element at index `at` out, and closes the gap.
///
/// # Safety
/// `column` has `len` elements, and `at < len`.
#[inline(always)]
unsafe fn remove_at<T>(column: *mut T, len: usize, at: usize) -> T {
    // SAFETY: the caller promises that.
    unsafe {
        let place = column.add(at);
        let element = place.read();
        place.copy_from(place.add(1), len - at - 1);
        element
    }
}

impl<'a, A, B, C> Unique<'a, A, B, C> {
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.block.len()
    }

    #[inline(always)]
    pub(super) fn height(&self) -> usize {
        self.block.height()
    }

    #[inline(always)]
    pub(super) fn read(&self) -> &Block<A, B, C> {
        self.block
    }

    #[inline(always)]
    fn set_len(&mut self, len: usize) {
        debug_assert!(len <= self.block.capacity());
        // SAFETY: there is no other handle.
        unsafe { (*self.block.header.as_ptr()).len = len as u16 }
    }

    #[inline(always)]
    pub(super) fn a_mut(&mut self) -> &mut [A] {
        // SAFETY: the elements are initialized, and there is no other handle.
        unsafe { core::slice::from_raw_parts_mut(self.block.column_a(), self.len()) }
    }

    #[inline(always)]
    pub(super) fn b_mut(&mut self) -> &mut [B] {
        // SAFETY: as above.
        unsafe { core::slice::from_raw_parts_mut(self.block.column_b(), self.len()) }
    }

    #[inline(always)]
    pub(super) fn into_a(self) -> &'a mut [A] {
        // SAFETY: as above; the lifetime is that of the unique handle.
        unsafe { core::slice::from_raw_parts_mut(self.block.column_a(), self.block.len()) }
    }

    /// Returns all columns; the third one begins at index 1.
    pub(super) fn columns_mut(&mut self) -> (&mut [A], &mut [B], &mut [C]) {
        let (len, bounds) = (self.len(), self.block.column_c().wrapping_add(1));
        // SAFETY: as above; the columns do not overlap.
        unsafe {
            let a = core::slice::from_raw_parts_mut(self.block.column_a(), len);
            let b = core::slice::from_raw_parts_mut(self.block.column_b(), len);
            (a, b, core::slice::from_raw_parts_mut(bounds, len.saturating_sub(1)))
        }
    }

    #[inline(always)]
    pub(super) fn into_columns(self) -> (&'a mut [A], &'a mut [B]) {
        let (len, a, b) = (self.block.len(), self.block.column_a(), self.block.column_b());
        // SAFETY: as above; the columns do not overlap.
        unsafe {
            (core::slice::from_raw_parts_mut(a, len), core::slice::from_raw_parts_mut(b, len))
        }
    }

    /// Moves the block into a larger one.
    #[cold]
    #[inline(never)]
    pub(super) fn grow(&mut self, capacity: usize) -> Result<(), AllocError> {
        let len = self.len();
        let mut larger = Block::<A, B, C>::new(self.block.header().height, capacity)?;
        // SAFETY: both blocks have no other handle. The elements are moved, and the old block forgets them.
        unsafe {
            larger.column_a().copy_from_nonoverlapping(self.block.column_a(), len);
            larger.column_b().copy_from_nonoverlapping(self.block.column_b(), len);
            let (to, from) = (larger.column_c(), self.block.column_c());
            to.wrapping_add(1)
                .copy_from_nonoverlapping(from.wrapping_add(1), len.saturating_sub(1));
        }
        Unique { block: &mut larger }.set_len(len);
        self.set_len(0);
        core::mem::replace(self.block, larger).free_emptied();
        Ok(())
    }

    /// Inserts elements at index `at`. The elements that follow move by one. `bound` is between the new elements and
    /// those before them; at index 0, between the new elements and those after them.
    ///
    /// # Panics
    /// If the block is empty, there is no room, or `at > len`.
    #[inline(always)]
    pub(super) fn insert(&mut self, at: usize, a: A, b: B, bound: C) {
        let len = self.len();
        assert!(at <= len && len < self.block.capacity(), "an element has no room");
        assert!(len > 0 || size_of::<C>() == 0, "the first element has no bound");
        // SAFETY: there is room for one more element, which was asserted, and there is no other handle. If the block is
        // empty, bounds have no size.
        unsafe {
            insert_at(self.block.column_a(), len, at, a);
            insert_at(self.block.column_b(), len, at, b);
            insert_at(self.block.column_c(), len.max(1), at.max(1), bound);
        }
        self.set_len(len + 1);
    }

    /// Moves the elements whose bits are set in `marks` to the end of `to`, in their order.
    ///
    /// # Panics
    /// If `to` has no room, or one of the blocks has bounds.
    pub(super) fn extract(&mut self, marks: u64, to: &mut Unique<'_, A, B, C>) {
        assert!(size_of::<C>() == 0 && !core::mem::needs_drop::<C>(), "bounds would be mixed up");
        let (len, mut kept, mut moved) = (self.len(), 0, to.len());
        assert!(marks.count_ones() as usize <= to.block.capacity() - moved, "no room");
        for index in 0..len {
            let is_marked = index < 64 && marks >> index & 1 == 1;
            let (target, at) =
                if is_marked { (&*to.block, &mut moved) } else { (&*self.block, &mut kept) };
            // SAFETY: both blocks have no other handles. Each element moves to one place: in this block to one that an
            // element before it has left, or its own; in the other one behind the last, where there is room, as
            // asserted.
            unsafe {
                target.column_a().add(*at).copy_from(self.block.column_a().add(index), 1);
                target.column_b().add(*at).copy_from(self.block.column_b().add(index), 1);
            }
            *at += 1;
        }
        self.set_len(kept);
        to.set_len(moved);
    }

    /// Adds elements at the end of a block whose bounds have no size.
    ///
    /// # Panics
    /// If there is no room, or bounds have a size.
    #[inline(always)]
    pub(super) fn push(&mut self, a: A, b: B) {
        let len = self.len();
        assert!(len < self.block.capacity() && size_of::<C>() == 0, "an element has no room");
        // SAFETY: there is room, and no other handle. Bounds without a size are not stored.
        unsafe {
            self.block.column_a().add(len).write(a);
            self.block.column_b().add(len).write(b);
        }
        self.set_len(len + 1);
    }

    /// Inserts the first elements, which have no bound.
    ///
    /// # Panics
    /// If the block is not empty, or has no capacity.
    pub(super) fn push_first(&mut self, a: A, b: B) {
        assert!(self.len() == 0 && self.block.capacity() > 0, "an empty block with room");
        // SAFETY: there is room, and no other handle.
        unsafe {
            self.block.column_a().write(a);
            self.block.column_b().write(b);
        }
        self.set_len(1);
    }

    /// Removes the elements at index `at`. The third one is the bound that is no longer needed; the only element has
    /// none.
    ///
    /// # Panics
    /// If `at >= len`.
    pub(super) fn remove(&mut self, at: usize) -> (A, B, Option<C>) {
        let len = self.len();
        assert!(at < len, "an index is out of bounds");
        self.set_len(len - 1);
        // SAFETY: the index is in bounds, which was asserted, and there is no other handle. Of the third column, index
        // 0 is never read: the second element becomes the first one, and loses its bound.
        unsafe {
            let a = remove_at(self.block.column_a(), len, at);
            let b = remove_at(self.block.column_b(), len, at);
            let c = (len > 1).then(|| remove_at(self.block.column_c(), len, at.max(1)));
            (a, b, c)
        }
    }

    /// Moves the elements from index `at` on to `right`, which is empty and has room, and returns their lower bound.
    ///
    /// # Panics
    /// If `at` is 0 or not in bounds, or there is no room.
    pub(super) fn split(&mut self, at: usize, right: &mut Unique<'_, A, B, C>) -> C {
        let moved = self.len().checked_sub(at).filter(|&moved| moved > 0 && at > 0);
        let moved = moved.expect("a block is split in the middle");
        assert!(right.len() == 0 && moved <= right.block.capacity(), "the elements have no room");
        self.set_len(at);
        right.set_len(moved);
        // SAFETY: the indices are in bounds of both blocks, which have no other handles. `self` forgets the elements.
        unsafe {
            right.block.column_a().copy_from_nonoverlapping(self.block.column_a().add(at), moved);
            right.block.column_b().copy_from_nonoverlapping(self.block.column_b().add(at), moved);
            let bounds = self.block.column_c().add(at);
            right
                .block
                .column_c()
                .wrapping_add(1)
                .copy_from_nonoverlapping(bounds.wrapping_add(1), moved - 1);
            bounds.read()
        }
    }

    /// Moves the first `count` elements of `right` to the end of this block. `bound` is the lower bound of `right`, and
    /// becomes that of what remains there.
    ///
    /// # Panics
    /// If all elements would be moved, or there is no room.
    pub(super) fn take_front(
        &mut self,
        count: usize,
        bound: &mut C,
        right: &mut Unique<'_, A, B, C>,
    ) {
        let (len, others) = (self.len(), right.len());
        assert!(count > 0 && count < others && len > 0, "a part of the elements is moved");
        assert!(count <= self.block.capacity() - len, "the elements have no room");
        // SAFETY: the indices are in bounds, as asserted, and the blocks have no other handles. Each element is moved
        // to one place: the bound to index `len`, the first ones behind it, that at `count` into `bound`.
        unsafe {
            self.block.column_a().add(len).copy_from_nonoverlapping(right.block.column_a(), count);
            right.block.column_a().copy_from(right.block.column_a().add(count), others - count);
            self.block.column_b().add(len).copy_from_nonoverlapping(right.block.column_b(), count);
            right.block.column_b().copy_from(right.block.column_b().add(count), others - count);
            let (to, from) = (self.block.column_c().add(len), right.block.column_c());
            to.copy_from_nonoverlapping(bound, 1);
            to.wrapping_add(1).copy_from_nonoverlapping(from.wrapping_add(1), count - 1);
            ptr::copy_nonoverlapping(from.add(count), bound, 1);
            from.wrapping_add(1).copy_from(from.wrapping_add(count + 1), others - count - 1);
        }
        self.set_len(len + count);
        right.set_len(others - count);
    }

    /// Moves the last `count` elements of `left` to the beginning of this block. `bound` is the lower bound of this
    /// block, before and after.
    ///
    /// # Panics
    /// If all elements would be moved, or there is no room.
    pub(super) fn take_back(
        &mut self,
        count: usize,
        bound: &mut C,
        left: &mut Unique<'_, A, B, C>,
    ) {
        let (len, others) = (self.len(), left.len());
        assert!(count > 0 && count < others && len > 0, "a part of the elements is moved");
        assert!(count <= self.block.capacity() - len, "the elements have no room");
        let rest = others - count;
        // SAFETY: as in `take_front`. This block's bounds move by `count`, the old bound to index `count`.
        unsafe {
            self.block.column_a().copy_to(self.block.column_a().add(count), len);
            self.block.column_a().copy_from_nonoverlapping(left.block.column_a().add(rest), count);
            self.block.column_b().copy_to(self.block.column_b().add(count), len);
            self.block.column_b().copy_from_nonoverlapping(left.block.column_b().add(rest), count);
            let (to, from) = (self.block.column_c(), left.block.column_c().add(rest));
            to.wrapping_add(1).copy_to(to.wrapping_add(count + 1), len - 1);
            to.add(count).copy_from_nonoverlapping(bound, 1);
            to.wrapping_add(1).copy_from_nonoverlapping(from.wrapping_add(1), count - 1);
            ptr::copy_nonoverlapping(from, bound, 1);
        }
        self.set_len(len + count);
        left.set_len(rest);
    }

    /// Moves all elements of `right` to the end of this block. `bound` is the lower bound of `right`.
    ///
    /// # Panics
    /// If there is no room, or one of the blocks is empty.
    pub(super) fn append(&mut self, bound: C, mut right: Block<A, B, C>) {
        let (len, others) = (self.len(), right.len());
        assert!(
            len > 0 && others > 0 && others <= self.block.capacity() - len,
            "the elements have no room"
        );
        let mut taken = right.own();
        taken.set_len(0);
        // SAFETY: there is room, which was asserted. Both blocks have no other handle, and `right` forgets the
        // elements.
        unsafe {
            let from = taken.block;
            self.block.column_a().add(len).copy_from_nonoverlapping(from.column_a(), others);
            self.block.column_b().add(len).copy_from_nonoverlapping(from.column_b(), others);
            let to = self.block.column_c().add(len);
            to.write(bound);
            to.wrapping_add(1)
                .copy_from_nonoverlapping(from.column_c().wrapping_add(1), others - 1);
        }
        self.set_len(len + others);
        right.free_emptied();
    }
}
