//! The nodes of a `BytesMap`: key and value behind the header, in one allocation.

use crate::bins::tags;
use crate::reclaim::borrowed::Ref;
use crate::reclaim::errors::Why;
use crate::reclaim::guard::Guard;
use crate::reclaim::node::{Header, Live, Node, Shared};
use crate::reclaim::retired::Fresh;
use alloc::alloc::{alloc, dealloc};
use core::alloc::Layout;
use core::ptr::NonNull;

/// What stands before the bytes of the key, which stand before those of the value.
#[repr(C)]
pub(super) struct InlineNode {
    header: Header,
    key: u32,
    value: u32,
}

impl InlineNode {
    fn layout(key: u32, value: u32) -> Option<Layout> {
        let bytes = (key as usize).checked_add(value as usize)?;
        let (layout, _) = Layout::new::<Self>().extend(Layout::array::<u8>(bytes).ok()?).ok()?;
        Some(layout)
    }

    /// A node of copies of both.
    pub(super) fn new(hash: tags::Hash, key: &[u8], value: &[u8]) -> Result<Fresh<Self>, Why> {
        let (Ok(key_len), Ok(value_len)) = (key.len().try_into(), value.len().try_into()) else {
            return Err(Why::TooLong);
        };
        let layout = Self::layout(key_len, value_len).ok_or(Why::TooLong)?;
        // SAFETY: a header is not zero-sized, so the node is not.
        let node = NonNull::new(unsafe { alloc(layout) }.cast::<Self>()).ok_or(Why::Alloc)?;
        // SAFETY: just allocated, with room for the fields and, behind them, both slices.
        unsafe {
            node.write(Self { header: Header::new(hash), key: key_len, value: value_len });
            let bytes = node.add(1).cast::<u8>();
            bytes.copy_from_nonoverlapping(NonNull::from(key).cast(), key.len());
            bytes.add(key.len()).copy_from_nonoverlapping(NonNull::from(value).cast(), value.len());
        }
        Ok(Fresh(Shared(node)))
    }
}

// SAFETY: the header is the first field, and `free` works the layout out from the lengths as `new` did.
unsafe impl Node for InlineNode {
    unsafe fn free(node: NonNull<Self>) {
        // SAFETY: alive until the end of this.
        let (key, value) = unsafe { ((*node.as_ptr()).key, (*node.as_ptr()).value) };
        let layout = Self::layout(key, value).expect("the layout that it was allocated with");
        // SAFETY: the caller says that this is the end of it. Its fields need no destructor.
        unsafe { dealloc(node.as_ptr().cast(), layout) }
    }
}

impl<'a> Ref<'a, [u8], [u8]> {
    /// Borrows an entry.
    ///
    /// # Safety
    /// It was met in a map that is borrowed for `'a`, under the guard, or put there.
    #[inline(always)]
    pub(super) unsafe fn of_bytes(node: Shared<InlineNode>, guard: Guard<'a>) -> Self {
        // SAFETY: alive as long as the guard is held.
        let node = unsafe { node.live() };
        let (key, value) = (NonNull::from(node.key()), NonNull::from(node.value()));
        // SAFETY: as above.
        unsafe { Self::new(key, value, guard) }
    }
}

impl<'a> Live<'a, InlineNode> {
    #[inline(always)]
    pub(super) fn key(self) -> &'a [u8] {
        let len = self.fields().key as usize;
        // SAFETY: that many bytes lie behind the fields, in the same allocation, and never change.
        unsafe { core::slice::from_raw_parts(self.bytes(), len) }
    }

    #[inline(always)]
    pub(super) fn value(self) -> &'a [u8] {
        let fields = self.fields();
        // SAFETY: that many bytes lie behind the key, in the same allocation, and never change.
        unsafe {
            core::slice::from_raw_parts(
                self.bytes().add(fields.key as usize),
                fields.value as usize,
            )
        }
    }

    #[inline(always)]
    fn bytes(self) -> *const u8 {
        // SAFETY: the bytes begin where the fields end; the pointer is that of the whole allocation.
        unsafe { self.shared().0.add(1).cast::<u8>().as_ptr() }
    }
}
