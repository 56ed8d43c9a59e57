//! Models of the publication of a block. The publisher runs first, in the main thread.

use super::published::Published;
use crate::sync::loom::explore;
use ::loom::cell::UnsafeCell;
use ::loom::sync::Arc;
use ::loom::thread;
use core::ptr;
use std::boxed::Box;

/// A block that the model checker watches: it reports a read that is not ordered after the initialization.
struct Block(UnsafeCell<u32>);

struct Owner(Published<Block>);

// SAFETY: the model checker reports unordered accesses to the blocks.
unsafe impl Send for Owner {}
// SAFETY: as above.
unsafe impl Sync for Owner {}

impl Owner {
    fn make(number: u32) -> *mut Block {
        let block = Block(UnsafeCell::new(0));
        // SAFETY: no other thread has the block yet.
        block.0.with_mut(|place| unsafe { *place = number });
        Box::into_raw(Box::new(block))
    }

    fn make_first(&self, number: u32) -> bool {
        let made = Self::make(number);
        // SAFETY: the block was just made, and is freed with the owner or below.
        let published = unsafe { self.0.publish_first(made) };
        if !published {
            // SAFETY: it was not published, so no other thread has seen it.
            drop(unsafe { Box::from_raw(made) });
        }
        published
    }

    fn read(&self) -> u32 {
        // SAFETY: the model proves that the read is ordered after the initialization.
        self.0.get().map_or(0, |block| block.0.with(|place| unsafe { *place }))
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let block = self.0.take();
        if !block.is_null() {
            // SAFETY: `make` made it, and no other thread uses it any more.
            drop(unsafe { Box::from_raw(block) });
        }
    }
}

#[test]
fn loom_a_block_is_seen_initialized() {
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
fn loom_a_replacing_block_is_seen_initialized() {
    explore(3, ["1", "2"], |saw| {
        let owner = Arc::new(Owner(Published::new()));
        assert!(owner.make_first(1));
        let before = owner.0.get().map(ptr::from_ref).unwrap().cast_mut();
        let other = owner.clone();
        let reader = thread::spawn(move || other.read());
        // SAFETY: this is the only publisher, and the block before is freed after the reader has ended.
        unsafe { owner.0.publish(Owner::make(2)) };
        saw(std::format!("{}", reader.join().unwrap()));
        // SAFETY: `make` made it, and no other thread uses it any more.
        drop(unsafe { Box::from_raw(before) });
    });
}
