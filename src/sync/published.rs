//! The address of a block that the first thread in need of it allocates, and that lives as long as its owner.
//!
//! # Synchronization
//! - `[PB-1]` release store of the block's address ↔ `[PB-2]` acquire load: a thread that loads the address sees the
//!   block initialized. If a compare-and-swap fails, the thread does not use the address that it found.

use crate::facade::atomic::{AtomicPtr, Ordering};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::marker::PhantomData;
use core::ptr;

/// The address of a block, or null at first. The owner frees the block; this type only publishes the address.
pub(crate) struct Published<T>(AtomicPtr<T>, PhantomData<T>);

impl<T> Published<T> {
    crate::facade::const_unless_loom! {
        pub(crate) fn new() -> Self {
            Self(AtomicPtr::new(ptr::null_mut()), PhantomData)
        }
    }

    /// Returns the block, if one was published.
    #[inline(always)]
    pub(crate) fn get(&self) -> Option<&T> {
        // [PB-2] acquire: pairs with [PB-1], so the caller sees the block initialized.
        let block = self.0.load(Ordering::Acquire);
        // SAFETY: null, or a block that its publisher promised to keep as long as `self` is shared.
        unsafe { block.as_ref() }
    }

    /// Publishes `made`, unless a block was published before. Returns true if it did.
    ///
    /// # Safety
    /// `made` is a valid block that no other thread has, and it lives as long as `self` is shared.
    pub(crate) unsafe fn publish_first(&self, made: *mut T) -> bool {
        // [PB-1] release: pairs with [PB-2]. relaxed if it fails: the caller loads the address again.
        self.0.compare_exchange(ptr::null_mut(), made, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// Publishes `made` in place of the block before. The caller excludes other publishers.
    ///
    /// # Safety
    /// As `publish_first`. The block before lives as long, because a reader may still use it.
    #[cfg_attr(not(all(feature = "std-ext", target_os = "linux")), allow(dead_code))]
    pub(crate) unsafe fn publish(&self, made: *mut T) {
        // [PB-1] release: pairs with [PB-2], so a reader that loads the address sees the block initialized.
        self.0.store(made, Ordering::Release);
    }

    /// Takes the block's address, for the owner to free it. Null if none was published.
    pub(crate) fn take(&mut self) -> *mut T {
        // relaxed: `&mut self` means that every other use happened before.
        self.0.swap(ptr::null_mut(), Ordering::Relaxed)
    }
}

/// An array that the first thread in need of it makes. It lives as long as this owner.
pub(crate) struct PublishedArray<T, const N: usize>(Published<[T; N]>);

impl<T, const N: usize> PublishedArray<T, N> {
    crate::facade::const_unless_loom! {
        pub(crate) fn new() -> Self {
            Self(Published::new())
        }
    }

    /// Returns the array, if it was made.
    #[inline(always)]
    pub(crate) fn get(&self) -> Option<&[T; N]> {
        self.0.get()
    }

    /// Makes the array, unless it exists or there is no memory for it.
    pub(crate) fn make(&self, element: impl FnMut() -> T) {
        if self.get().is_some() {
            return;
        }
        let mut made = Vec::new();
        if made.try_reserve_exact(N).is_err() {
            return;
        }
        made.resize_with(N, element);
        let Ok(made) = Box::<[T; N]>::try_from(made) else { return };
        let made = Box::into_raw(made);
        // SAFETY: the array was just made, and once it is published only `drop` frees it.
        if !unsafe { self.0.publish_first(made) } {
            // SAFETY: another thread was first, so this array was never shared.
            drop(unsafe { Box::from_raw(made) });
        }
    }

    /// Returns the array's bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        self.get().map_or(0, size_of_val)
    }
}

impl<T, const N: usize> Drop for PublishedArray<T, N> {
    fn drop(&mut self) {
        let array = self.0.take();
        if !array.is_null() {
            // SAFETY: `make` made the box, and no other thread has its owner any more.
            drop(unsafe { Box::from_raw(array) });
        }
    }
}
