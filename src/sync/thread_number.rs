//! A small number for a thread, which no other thread has at the same time.
//!
//! A thread may change the words that belong to its number without a locked instruction, which takes a tenth of the
//! time. There are [`NUMBERS`] of them, and the first threads that count something have them until they end. Other
//! threads have none.
//!
//! # Synchronization
//! - `[TN-1]` release when a number is given back ↔ `[TN-2]` acquire when it is claimed: a thread that gets a number
//!   sees all that the threads before it have stored to the number's words.

use crate::facade::atomic::{AtomicUsize, Ordering};

/// How many numbers there are. More would need more memory wherever each number has words.
pub(crate) const NUMBERS: usize = 16;

/// A set of numbers that threads have.
pub(super) struct Numbers(AtomicUsize);

impl Numbers {
    crate::facade::const_unless_loom! {
        pub(super) fn new() -> Self {
            Self(AtomicUsize::new(0))
        }
    }

    /// Returns a number that no thread has.
    pub(super) fn claim(&self) -> Option<usize> {
        // relaxed: the swap checks the value.
        let mut taken = self.0.load(Ordering::Relaxed);
        loop {
            let number = (!taken).trailing_zeros() as usize;
            if number >= NUMBERS {
                return None;
            }
            let new = taken | 1 << number;
            // [TN-2] acquire: pairs with [TN-1]. Else an addition of the thread before might be overwritten. relaxed if
            // it fails: the next swap checks the value again.
            match self.0.compare_exchange(taken, new, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Some(number),
                Err(now) => taken = now,
            }
        }
    }

    /// Lets other threads have the number. The caller does not use it any more.
    pub(super) fn release(&self, number: usize) {
        // [TN-1] release: pairs with [TN-2], so the next thread sees what this one has stored. A number that another
        // thread claims or releases meanwhile continues the release sequence.
        self.0.fetch_and(!(1 << number), Ordering::Release);
    }
}

#[cfg(all(feature = "std", not(hedgerow_loom)))]
pub(crate) use by_thread::own;

/// Without thread-locals, no thread has a number.
#[cfg(not(all(feature = "std", not(hedgerow_loom))))]
#[inline(always)]
pub(crate) fn own() -> Option<usize> {
    None
}

/// Returns a number below `parts` for this thread: its own if it has one, else one that it may share with others.
#[inline]
pub(crate) fn part_of(parts: usize) -> usize {
    match own() {
        Some(number) => number % parts,
        None => by_stack(parts),
    }
}

/// Returns a number below `parts`, a power of two, that is mostly another one in another thread: stacks are apart, so
/// their addresses tell threads apart without an operating system.
#[inline]
pub(crate) fn by_stack(parts: usize) -> usize {
    if cfg!(hedgerow_loom) {
        return 0;
    }
    let here = 0u8;
    let page = (&raw const here).addr() >> 14;
    let spread = page.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as usize);
    spread >> (usize::BITS - parts.ilog2())
}

#[cfg(all(feature = "std", not(hedgerow_loom)))]
mod by_thread {
    use super::Numbers;
    use core::cell::Cell;

    /// The note of a thread that has not asked for a number.
    const UNKNOWN: usize = usize::MAX;
    /// The note of a thread that has none, because there was none left, or because the thread is ending.
    const NONE: usize = usize::MAX - 1;

    static CLAIMED: Numbers = Numbers::new();

    std::thread_local! {
        /// It has no destructor, so an access need not check whether it is alive.
        static NUMBER: Cell<usize> = const { Cell::new(UNKNOWN) };
        static OWNER: Owner = const { Owner(Cell::new(NONE)) };
    }

    /// Releases the number when the thread ends.
    struct Owner(Cell<usize>);

    impl Drop for Owner {
        fn drop(&mut self) {
            // Destructors of other thread-locals may run after this, and must not use the number.
            let _ = NUMBER.try_with(|number| number.set(NONE));
            if self.0.get() != NONE {
                CLAIMED.release(self.0.get());
            }
        }
    }

    /// Whether this thread has released its number, because it is ending.
    #[cfg(test)]
    pub(super) fn has_ended() -> bool {
        OWNER.try_with(|_| ()).is_err()
    }

    /// Returns this thread's number, if it has one.
    #[inline(always)]
    pub(crate) fn own() -> Option<usize> {
        match NUMBER.try_with(Cell::get) {
            Ok(number) if number < super::NUMBERS => Some(number),
            Ok(UNKNOWN) => first(),
            _ => None,
        }
    }

    #[cold]
    fn first() -> Option<usize> {
        let claim = |owner: &Owner| {
            let number = CLAIMED.claim()?;
            owner.0.set(number);
            Some(number)
        };
        let number = OWNER.try_with(claim).ok().flatten();
        let _ = NUMBER.try_with(|noted| noted.set(number.unwrap_or(NONE)));
        number
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;
    use std::sync::{Barrier, Mutex};
    use std::vec::Vec;

    #[test]
    fn each_number_is_claimed_once() {
        let numbers = Numbers::new();
        let claimed: Vec<_> = (0..=NUMBERS).map(|_| numbers.claim()).collect();
        let each = claimed.iter().take(NUMBERS).copied().eq((0..NUMBERS).map(Some));
        assert!(each, "numbers are not claimed in order, each once: {claimed:?}");
        assert_eq!(claimed[NUMBERS], None, "there are no more");
        numbers.release(5);
        assert_eq!(numbers.claim(), Some(5));
        assert_eq!(numbers.claim(), None);
    }

    #[test]
    fn threads_have_different_numbers_and_give_them_back() {
        for _ in 0..3 {
            let all_have_one = Barrier::new(8);
            let mut numbers: Vec<_> = std::thread::scope(|scope| {
                let thread = || {
                    let number = own();
                    all_have_one.wait();
                    assert_eq!(own(), number, "a thread keeps its number");
                    number
                };
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(thread)).collect();
                threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
            });
            numbers.sort_unstable();
            let len = numbers.len();
            numbers.dedup();
            assert_eq!(numbers.len(), len, "two threads have one number");
        }
    }

    #[test]
    fn a_thread_that_has_released_its_number_does_not_use_it() {
        static SEEN: Mutex<Vec<Option<usize>>> = Mutex::new(Vec::new());
        struct Late;
        impl Drop for Late {
            fn drop(&mut self) {
                if by_thread::has_ended() {
                    SEEN.lock().unwrap().push(own());
                }
            }
        }
        std::thread_local!(static LATE: Late = const { Late });
        // The system decides which destructor of a thread runs first.
        for is_late_first in [true, false] {
            let thread = std::thread::spawn(move || {
                if is_late_first {
                    LATE.with(|_| own());
                } else {
                    own();
                    LATE.with(|_| {});
                }
            });
            thread.join().unwrap();
        }
        let seen = SEEN.lock().unwrap();
        assert!(!seen.is_empty(), "no destructor ran after the release");
        assert!(seen.iter().all(Option::is_none), "a number is used after its release");
    }
}
