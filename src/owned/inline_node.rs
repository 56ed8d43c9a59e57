//! The nodes of a `BytesMap`: header, key and value in one allocation.

use crate::api::hash::KeyHash;
use crate::reclaim::borrowed::Ref;
use crate::reclaim::errors::Cause;
use crate::reclaim::guard::Guard;
use crate::reclaim::node::{Header, Live, Node, NodePtr};
use crate::reclaim::retired::Fresh;
use alloc::alloc::{alloc, dealloc};
use core::alloc::Layout;
use core::ptr::NonNull;

/// A node with inline bytes: these fields, then the bytes of the key, then the bytes of the value.
///
/// `key` and `value` are lengths. They never change, so `free` computes the same layout as `new`.
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

    /// Copies key and value into a new node.
    pub(super) fn new(hash: KeyHash, key: &[u8], value: &[u8]) -> Result<Fresh<Self>, Cause> {
        let (Ok(key_len), Ok(value_len)) = (key.len().try_into(), value.len().try_into()) else {
            return Err(Cause::TooLong);
        };
        let layout = Self::layout(key_len, value_len).ok_or(Cause::TooLong)?;
        // SAFETY: the layout is not zero-sized, because it begins with a header.
        let node = NonNull::new(unsafe { alloc(layout) }.cast::<Self>()).ok_or(Cause::Alloc)?;
        // SAFETY: `layout` has room for the fields and, behind them, for both slices. No other thread has the pointer.
        unsafe {
            node.write(Self { header: Header::new(hash), key: key_len, value: value_len });
            let bytes = node.add(1).cast::<u8>();
            bytes.copy_from_nonoverlapping(NonNull::from(key).cast(), key.len());
            bytes.add(key.len()).copy_from_nonoverlapping(NonNull::from(value).cast(), value.len());
        }
        Ok(Fresh(NodePtr(node)))
    }
}

// SAFETY: the header is the first field of a `repr(C)` struct, and `free` computes the layout that `new` allocated.
unsafe impl Node for InlineNode {
    unsafe fn free(node: NonNull<Self>) {
        // SAFETY: the caller hands the node over alive.
        let (key, value) = unsafe { ((*node.as_ptr()).key, (*node.as_ptr()).value) };
        let layout = Self::layout(key, value).expect("the layout of an allocation is valid");
        // SAFETY: allocated by `new` with this layout, and the caller uses the node no more. The fields have no
        // destructors.
        unsafe { dealloc(node.as_ptr().cast(), layout) }
    }
}

impl<'a> Ref<'a, [u8], [u8]> {
    /// Borrows the entry of a node.
    ///
    /// # Safety
    /// While `guard` was held, the caller found the node in a map that is borrowed for `'a`, or inserted it there.
    #[inline(always)]
    pub(super) unsafe fn of_bytes(node: NodePtr<InlineNode>, guard: Guard<'a>) -> Self {
        // SAFETY: the caller found or inserted the node under `guard`, which keeps it alive.
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
        // SAFETY: `InlineNode::new` has written `len` bytes behind the fields, and they never change.
        unsafe { core::slice::from_raw_parts(self.bytes(), len) }
    }

    #[inline(always)]
    pub(super) fn value(self) -> &'a [u8] {
        let fields = self.fields();
        // SAFETY: `InlineNode::new` has written that many bytes behind those of the key, and they never change.
        unsafe {
            core::slice::from_raw_parts(
                self.bytes().add(fields.key as usize),
                fields.value as usize,
            )
        }
    }

    #[inline(always)]
    fn bytes(self) -> *const u8 {
        // SAFETY: the bytes begin at the end of the fields. The pointer is from `alloc`, so it may reach all of them.
        unsafe { self.shared().0.add(1).cast::<u8>().as_ptr() }
    }
}
