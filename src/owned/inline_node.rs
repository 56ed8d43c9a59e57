//! The nodes of a `BytesMap`: header, key and value in one allocation.

use crate::api::hash::KeyHash;
use crate::reclaim::entry::{EntryNode, NodeOf};
use crate::reclaim::errors::{Cause, RefusedInsert};
use crate::reclaim::node::{Live, NodeHeader, NodePtr, ReclaimNode};
use crate::reclaim::node_memory::NodeMemory;
use crate::reclaim::retired::Fresh;
use core::alloc::Layout;
use core::ptr::NonNull;

/// A node with inline bytes: these fields, then the bytes of the key, then the bytes of the value.
///
/// `key` and `value` are lengths. They never change, so `clear` computes the same layout as `new`.
#[repr(C)]
pub(super) struct InlineNode {
    header: NodeHeader,
    key_len: u32,
    value_len: u32,
}

impl InlineNode {
    fn layout(key_len: u32, value_len: u32) -> Option<Layout> {
        let bytes = (key_len as usize).checked_add(value_len as usize)?;
        let (layout, _) = Layout::new::<Self>().extend(Layout::array::<u8>(bytes).ok()?).ok()?;
        Some(layout)
    }

    /// Copies key and value into a new node, in `spare` if that is of its size.
    pub(super) fn new(
        hash: KeyHash,
        key: &[u8],
        value: &[u8],
        spare: Option<NodeMemory>,
    ) -> Result<Fresh<Self>, Cause> {
        let (Ok(key_len), Ok(value_len)) = (key.len().try_into(), value.len().try_into()) else {
            return Err(Cause::TooLong);
        };
        let layout = Self::layout(key_len, value_len).ok_or(Cause::TooLong)?;
        // SAFETY: the layout is not of size zero, because it begins with a header.
        let memory = unsafe { NodeMemory::get(layout, spare) }.ok_or(Cause::Alloc)?;
        let node = memory.into_raw().cast::<Self>();
        // SAFETY: `layout` has room for the fields and, behind them, for both slices. No other thread has the pointer.
        unsafe {
            node.write(Self { header: NodeHeader::new(hash), key_len, value_len });
            let bytes = node.add(1).cast::<u8>();
            bytes.copy_from_nonoverlapping(NonNull::from(key).cast(), key.len());
            bytes.add(key.len()).copy_from_nonoverlapping(NonNull::from(value).cast(), value.len());
        }
        Ok(Fresh(NodePtr(node)))
    }

    #[inline(always)]
    fn bytes(node: Live<'_, Self>) -> *const u8 {
        // SAFETY: the bytes begin at the end of the fields. The pointer is from `alloc`, so it may reach all of them.
        unsafe { node.ptr().0.add(1).cast::<u8>().as_ptr() }
    }
}

// SAFETY: the header is the first field of a `repr(C)` struct, and `clear` computes the layout that `new` allocated.
unsafe impl ReclaimNode for InlineNode {
    const RUNS_DESTRUCTORS: bool = false;

    unsafe fn clear(node: NonNull<Self>) -> NodeMemory {
        // SAFETY: the caller hands the node over alive.
        let (key_len, value_len) =
            unsafe { ((*node.as_ptr()).key_len, (*node.as_ptr()).value_len) };
        let layout =
            Self::layout(key_len, value_len).expect("the layout of an allocation is valid");
        // SAFETY: allocated by `new` with this layout, and the caller uses the node no more. The fields have no
        // destructors.
        unsafe { NodeMemory::from_raw(node.cast(), layout) }
    }
}

impl EntryNode for InlineNode {
    type Key = [u8];
    type Value = [u8];

    #[inline(always)]
    fn key(node: Live<'_, Self>) -> &[u8] {
        let len = node.fields().key_len as usize;
        // SAFETY: `InlineNode::new` has written `len` bytes behind the fields, and they never change.
        unsafe { core::slice::from_raw_parts(Self::bytes(node), len) }
    }

    #[inline(always)]
    fn value(node: Live<'_, Self>) -> &[u8] {
        let Self { key_len, value_len, .. } = node.fields();
        // SAFETY: `InlineNode::new` has written that many bytes behind those of the key, and they never change.
        unsafe {
            core::slice::from_raw_parts(
                Self::bytes(node).add(*key_len as usize),
                *value_len as usize,
            )
        }
    }
}

/// Copies key and value into the node, and keeps both for the caller.
impl<'k, V: AsRef<[u8]>> NodeOf<&'k [u8], V> for InlineNode {
    type Kept = (&'k [u8], V);

    #[inline(always)]
    fn make(
        hash: KeyHash,
        key: &'k [u8],
        value: V,
        spare: Option<NodeMemory>,
    ) -> Result<(Fresh<Self>, Self::Kept), RefusedInsert<&'k [u8], V>> {
        match Self::new(hash, key, value.as_ref(), spare) {
            Ok(fresh) => Ok((fresh, (key, value))),
            Err(why) => Err((why, key, value)),
        }
    }

    fn take_apart(_fresh: Fresh<Self>, kept: Self::Kept) -> Self::Kept {
        kept
    }
}
