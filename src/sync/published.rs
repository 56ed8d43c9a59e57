//! The address of a block that is made late, by the thread that needs it first, and that lives as long as its owner.
//!
//! # Synchronization
//! - `[PB-1]` release store of the block's address ↔ `[PB-2]` acquire load: a thread that finds the block finds it
//!   as it was made. A compare-and-swap that fails is not followed by a use of what it met.

use crate::facade::atomic::{AtomicPtr, Ordering};
use core::marker::PhantomData;
use core::ptr;

/// The address of a block, or none yet. The owner frees the block; this type only publishes where it is.
pub(crate) struct Published<T>(AtomicPtr<T>, PhantomData<T>);

impl<T> Published<T> {
    crate::facade::const_unless_loom! {
        pub(crate) fn new() -> Self {
            Self(AtomicPtr::new(ptr::null_mut()), PhantomData)
        }
    }

    /// The block, if one was published.
    #[inline(always)]
    pub(crate) fn get(&self) -> Option<&T> {
        // [PB-2] acquire: pairs with [PB-1], so the caller sees the block as it was made.
        let block = self.0.load(Ordering::Acquire);
        // SAFETY: null, or a block that its publisher promised to keep for as long as `self` is shared.
        unsafe { block.as_ref() }
    }

    /// Publishes `made` unless a block was published before; returns whether it did.
    ///
    /// # Safety
    /// `made` is a valid block, shared with nobody, that lives as long as `self` is shared.
    pub(crate) unsafe fn publish_first(&self, made: *mut T) -> bool {
        // [PB-1] release: pairs with [PB-2]. relaxed if it fails: the caller loads the address again.
        self.0.compare_exchange(ptr::null_mut(), made, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// Publishes `made` in place of the block before. The caller excludes other publishers.
    ///
    /// # Safety
    /// As `publish_first`; the block before lives as long, because a reader may still use it.
    #[cfg_attr(not(all(feature = "std-ext", target_os = "linux")), allow(dead_code))]
    pub(crate) unsafe fn publish(&self, made: *mut T) {
        // [PB-1] release: pairs with [PB-2].
        self.0.store(made, Ordering::Release);
    }

    /// The block's address, null if none was published, for the owner that frees it.
    pub(crate) fn take(&mut self) -> *mut T {
        // relaxed: `&mut self` says that every other use happened before.
        self.0.swap(ptr::null_mut(), Ordering::Relaxed)
    }
}

#[cfg(all(test, hedgerow_loom, not(hedgerow_shuttle)))]
mod loom {
    use super::*;
    use crate::sync::loom::explore;
    use ::loom::cell::UnsafeCell;
    use ::loom::sync::Arc;
    use ::loom::thread;
    use std::boxed::Box;

    /// A block that the model checker watches: a read that is not ordered after its making is reported.
    struct Block(UnsafeCell<u32>);

    struct Owner(Published<Block>);

    // SAFETY: the blocks are what the model checker watches.
    unsafe impl Send for Owner {}
    // SAFETY: as above.
    unsafe impl Sync for Owner {}

    impl Owner {
        fn make(number: u32) -> *mut Block {
            let block = Block(UnsafeCell::new(0));
            // SAFETY: nobody else has the block yet.
            block.0.with_mut(|place| unsafe { *place = number });
            Box::into_raw(Box::new(block))
        }

        fn make_first(&self, number: u32) -> bool {
            let made = Self::make(number);
            // SAFETY: just made, and freed with the owner or here.
            let published = unsafe { self.0.publish_first(made) };
            if !published {
                // SAFETY: nobody has seen it.
                drop(unsafe { Box::from_raw(made) });
            }
            published
        }

        fn read(&self) -> u32 {
            // SAFETY: what is to be proved.
            self.0.get().map_or(0, |block| block.0.with(|place| unsafe { *place }))
        }
    }

    impl Drop for Owner {
        fn drop(&mut self) {
            let block = self.0.take();
            if !block.is_null() {
                // SAFETY: from `make`, and nobody uses it any more.
                drop(unsafe { Box::from_raw(block) });
            }
        }
    }

    #[test]
    fn loom_a_block_is_seen_as_it_was_made() {
        explore(3, ["0", "7"], |saw| {
            let owner = Arc::new(Owner(Published::new()));
            let other = owner.clone();
            let reader = thread::spawn(move || other.read());
            assert!(owner.make_first(7));
            saw(std::format!("{}", reader.join().unwrap()));
        });
    }

    #[test]
    fn loom_of_two_blocks_one_is_published() {
        explore(3, ["1 true", "2 false"], |saw| {
            let owner = Arc::new(Owner(Published::new()));
            let other = owner.clone();
            let second = thread::spawn(move || {
                other.make_first(2);
                other.read()
            });
            let first = owner.make_first(1);
            let seen = owner.read();
            assert_eq!(second.join().unwrap(), seen);
            saw(std::format!("{seen} {first}"));
        });
    }

    #[test]
    fn loom_a_block_that_replaces_another_is_seen_as_it_was_made() {
        explore(3, ["1", "2"], |saw| {
            let owner = Arc::new(Owner(Published::new()));
            assert!(owner.make_first(1));
            let before = owner.0.get().map(ptr::from_ref).unwrap().cast_mut();
            let other = owner.clone();
            let reader = thread::spawn(move || other.read());
            // SAFETY: the only publisher; the block before is freed once the reader has ended.
            unsafe { owner.0.publish(Owner::make(2)) };
            saw(std::format!("{}", reader.join().unwrap()));
            // SAFETY: from `make`, and nobody uses it any more.
            drop(unsafe { Box::from_raw(before) });
        });
    }
}
