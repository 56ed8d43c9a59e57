//! The memory of a node that was dropped, for the next node of the same size.
//!
//! An insertion that replaces an entry drops one that was replaced earlier, and needs memory of the same size right
//! afterwards. To hand it on saves a call of the allocator each way.

use alloc::alloc::{alloc, dealloc};
use core::alloc::Layout;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;

/// A block of the allocator, which is given back on drop.
pub(crate) struct NodeMemory {
    address: NonNull<u8>,
    layout: Layout,
}

impl NodeMemory {
    /// Returns memory of this layout: `spare` if it has the same layout, or else a new block. Returns `None` if the
    /// allocator has none.
    ///
    /// # Safety
    /// The layout is not of size zero.
    #[inline(always)]
    pub(crate) unsafe fn get(layout: Layout, spare: Option<Self>) -> Option<Self> {
        if let Some(spare) = spare
            && spare.layout == layout
        {
            return Some(spare);
        }
        // SAFETY: the caller promises that the size is not zero.
        Some(Self { address: NonNull::new(unsafe { alloc(layout) })?, layout })
    }

    /// Takes over the block at this address.
    ///
    /// # Safety
    /// The block was allocated with this layout, and nothing else owns it.
    #[inline(always)]
    pub(crate) unsafe fn from_raw(address: NonNull<u8>, layout: Layout) -> Self {
        Self { address, layout }
    }

    /// Returns the address of the memory, which the caller owns from then on.
    #[inline(always)]
    pub(crate) fn into_raw(self) -> NonNull<u8> {
        ManuallyDrop::new(self).address
    }
}

impl Drop for NodeMemory {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: allocated with this layout, and only `self` has it.
        unsafe { dealloc(self.address.as_ptr(), self.layout) }
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;

    /// Returns memory for this many words.
    fn get(words: usize, spare: Option<NodeMemory>) -> NodeMemory {
        let layout = Layout::array::<usize>(words).unwrap();
        // SAFETY: no test wants zero words.
        unsafe { NodeMemory::get(layout, spare) }.unwrap()
    }

    #[test]
    fn spare_memory_serves_its_own_layout_alone() {
        let spare = get(4, None);
        let address = spare.address;
        let again = get(4, Some(spare));
        assert_eq!(again.address, address);
        let other = get(5, Some(again));
        assert_eq!(other.layout, Layout::array::<usize>(5).unwrap());
        // SAFETY: the memory has five words. A sanitizer reports if it has only four.
        unsafe { other.address.cast::<[usize; 5]>().write([7; 5]) };
    }
}
