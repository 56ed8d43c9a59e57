//! Words that are relaxed for one of three reasons, which stand here once: hints, statistics and private words.
//!
//! # Synchronization
//! None. Each type below says why its users need none.

use crate::facade::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering};

/// A value that guides, such as a size to start from or whether work is worth trying.
///
/// Relaxed is enough, because a decision that must be right is checked elsewhere: under a lock, or by a validated read.
/// A thread that loads an old value does needless work, or leaves work to the next thread.
#[repr(transparent)]
pub(crate) struct Hint<A>(A);

/// A statistic, such as a number of entries or bytes.
///
/// Additions are atomic, so no addition is lost. Relaxed is enough, because no thread concludes anything about other
/// memory from the value. It is a value of the recent past while other threads change it, and exact once they have been
/// joined.
#[repr(transparent)]
pub(crate) struct Statistic<A>(A);

/// A word that only its owner loads and stores. It is atomic because the type around it is shared.
///
/// Relaxed is enough within a thread. If the owner changes, the claim or lock that hands the word on orders the
/// old owner's stores before the new owner's loads.
#[repr(transparent)]
pub(crate) struct Private<A>(A);

/// Implements loads and stores of `$value` for `$name<$atomic>`.
macro_rules! load_and_store {
    ($name:ident, $atomic:ident, $value:ty) => {
        #[allow(dead_code)] // Every word has the same methods, whether or not this build uses all.
        impl $name<$atomic> {
            crate::facade::const_unless_loom! {
                #[inline(always)]
                pub(crate) fn new(value: $value) -> Self {
                    Self($atomic::new(value))
                }
            }

            #[inline(always)]
            pub(crate) fn load(&self) -> $value {
                // relaxed: see the type.
                self.0.load(Ordering::Relaxed)
            }

            #[inline(always)]
            pub(crate) fn store(&self, value: $value) {
                // relaxed: see the type.
                self.0.store(value, Ordering::Relaxed);
            }
        }
    };
}

/// Implements additions for `Statistic<$atomic>`.
macro_rules! add_and_subtract {
    ($atomic:ident, $value:ty) => {
        #[allow(dead_code)] // Every statistic has the same methods, whether or not this build uses all.
        impl Statistic<$atomic> {
            /// Adds `by` and returns the value before.
            #[inline(always)]
            pub(crate) fn add(&self, by: $value) -> $value {
                // relaxed: see the type.
                self.0.fetch_add(by, Ordering::Relaxed)
            }

            /// Adds `by` and returns the value before. No other thread changes the value meanwhile, so this needs no
            /// locked instruction, which would take ten times as long.
            #[inline(always)]
            pub(crate) fn add_alone(&self, by: $value) -> $value {
                let before = self.load();
                self.store(before.wrapping_add(by));
                before
            }

            /// Subtracts `by` and returns the value before.
            #[inline(always)]
            pub(crate) fn sub(&self, by: $value) -> $value {
                // relaxed: see the type.
                self.0.fetch_sub(by, Ordering::Relaxed)
            }
        }
    };
}

/// Implements a swap and a compare-and-swap for `Hint<$atomic>`.
macro_rules! swap_and_compare {
    ($atomic:ident, $value:ty) => {
        #[allow(dead_code)] // Every hint has the same methods, whether or not this build uses all.
        impl Hint<$atomic> {
            /// Stores `new`, and returns the value before.
            #[inline(always)]
            pub(crate) fn swap(&self, new: $value) -> $value {
                // relaxed: see the type.
                self.0.swap(new, Ordering::Relaxed)
            }

            /// Stores `new` if the value is `current`, and returns true if it was.
            #[inline(always)]
            pub(crate) fn compare_exchange(&self, current: $value, new: $value) -> bool {
                // relaxed: see the type.
                self.0.compare_exchange(current, new, Ordering::Relaxed, Ordering::Relaxed).is_ok()
            }
        }
    };
}

load_and_store!(Hint, AtomicBool, bool);
load_and_store!(Hint, AtomicUsize, usize);
load_and_store!(Statistic, AtomicUsize, usize);
load_and_store!(Statistic, AtomicIsize, isize);
load_and_store!(Private, AtomicIsize, isize);
load_and_store!(Private, AtomicUsize, usize);
add_and_subtract!(AtomicUsize, usize);
add_and_subtract!(AtomicIsize, isize);
swap_and_compare!(AtomicBool, bool);
swap_and_compare!(AtomicUsize, usize);
