//! Destructors that write to the map that is dropping them.
//!
//! An operation that adds garbage also frees some, and so runs destructors. A destructor may write to the same map,
//! which adds garbage and would free some, and so on, as deep as there is garbage. So an operation within a destructor
//! leaves the freeing to others. An operation of *another* thread frees as usual, because a destructor may be slow, or
//! never return.
//!
//! With feature `std`, a thread-local says what its thread is freeing, which tells the two cases apart. Without `std`,
//! nothing tells threads apart: a guard has a slot of its own, and stacks may be anywhere. There the depth is bounded
//! instead: each further operation frees only if twice as much garbage is waiting, whether it runs within the others or
//! beside them.
//!
//! Nothing here orders memory: a bag's lock orders what is freed.

#[cfg(all(feature = "std", not(hedgerow_loom)))]
pub(crate) use by_thread::{Freeing, Reentrancy};

#[cfg(not(all(feature = "std", not(hedgerow_loom))))]
pub(crate) use by_amount::{Freeing, Reentrancy};

/// Why an operation frees garbage.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The operation has added garbage, or might have.
    Share,
    /// The caller asked for it, or the operation cannot go on without it.
    Demand,
}

#[cfg(all(feature = "std", not(hedgerow_loom)))]
mod by_thread {
    use super::Reason;
    use core::cell::Cell;
    use core::marker::PhantomData;
    use std::thread::panicking;

    /// Maps whose garbage one thread frees at a time, each within a destructor of the one before. Deeper garbage is
    /// left to later operations.
    const DEPTH: usize = 8;

    /// The garbage that this thread is freeing, by address, or zero for a free place.
    struct Active {
        /// The first place, which mostly is the only one in use.
        first: Cell<usize>,
        more: [Cell<usize>; DEPTH - 1],
    }

    std::thread_local! {
        // It needs no destructor, so destructors of other thread-locals still find it.
        static ACTIVE: Active = const {
            Active { first: Cell::new(0), more: [const { Cell::new(0) }; DEPTH - 1] }
        };
    }

    /// Tells whether this thread is freeing the garbage of a map. The thread-local has the answer.
    pub(crate) struct Reentrancy;

    /// Says that this thread is freeing garbage, until it is dropped.
    pub(crate) struct Freeing<'a> {
        /// The index of the place; zero is `first`.
        place: usize,
        /// Belongs to this thread, and keeps the garbage where it is.
        garbage: PhantomData<(*mut (), &'a ())>,
    }

    impl Reentrancy {
        pub(crate) const fn new() -> Self {
            Self
        }

        /// Begins to free `garbage`. Returns `None` if this thread is freeing it already. Also returns `None` if the
        /// thread is unwinding and the caller does not demand it: another panic in a destructor would abort the
        /// process.
        #[inline]
        #[expect(clippy::unused_self, reason = "without thread-locals this counts")]
        pub(crate) fn begin<'a, T>(
            &'a self,
            garbage: &'a T,
            _reclaimable: usize,
            reason: Reason,
        ) -> Option<Freeing<'a>> {
            const { assert!(size_of::<T>() > 0, "an address is of one value") };
            if reason == Reason::Share && panicking() {
                return None;
            }
            let address = core::ptr::from_ref(garbage).addr();
            let begin = |all: &Active| {
                let place = if all.first.get() == 0 {
                    all.first.set(address);
                    0
                } else {
                    all.deeper(address)?
                };
                Some(Freeing { place, garbage: PhantomData })
            };
            // A thread whose thread-locals are gone leaves the garbage to other threads.
            ACTIVE.try_with(begin).ok().flatten()
        }
    }

    impl Active {
        /// Takes a further place. Returns `None` if the garbage has one already, or if the thread is as deep as it may
        /// be.
        #[cold]
        fn deeper(&self, address: usize) -> Option<usize> {
            let is_this = |place: &Cell<usize>| place.get() == address;
            if is_this(&self.first) || self.more.iter().any(is_this) {
                return None;
            }
            let free = self.more.iter().position(|place| place.get() == 0)?;
            self.more[free].set(address);
            Some(free + 1)
        }

        fn leave(&self, place: usize) {
            match place.checked_sub(1) {
                None => self.first.set(0),
                Some(deeper) => self.more[deeper].set(0),
            }
        }
    }

    impl Drop for Freeing<'_> {
        #[inline]
        fn drop(&mut self) {
            // The thread-local existed when `self` was made, and needs no destructor.
            let _ = ACTIVE.try_with(|all| all.leave(self.place));
        }
    }
}

/// Compiled for all tests, so that it is tested on machines with thread-locals.
#[cfg(any(test, not(all(feature = "std", not(hedgerow_loom)))))]
#[cfg_attr(
    all(feature = "std", not(hedgerow_loom)),
    allow(dead_code, reason = "used by tests alone")
)]
mod by_amount {
    use super::Reason;
    use crate::facade::atomic::AtomicUsize;
    use crate::sync::hint::Statistic;

    /// Nodes that let a second operation free while another does. Twice as many let a third.
    const STEP: usize = 64;
    /// Operations that demand to free, and may at a time however little garbage there is.
    const DEMANDS: usize = 8;

    /// How many operations are freeing the garbage of a map.
    pub(crate) struct Reentrancy(Statistic<AtomicUsize>);

    /// Says that an operation is freeing garbage, until it is dropped.
    pub(crate) struct Freeing<'a>(&'a Statistic<AtomicUsize>);

    impl Reentrancy {
        crate::facade::const_unless_loom! {
            pub(crate) fn new() -> Self {
                Self(Statistic::<AtomicUsize>::new(0))
            }
        }

        /// Begins to free, if `reclaimable` nodes are enough for one more operation.
        pub(crate) fn begin<'a, T>(
            &'a self,
            _garbage: &'a T,
            reclaimable: usize,
            reason: Reason,
        ) -> Option<Freeing<'a>> {
            let at_once = match reason {
                Reason::Share => 1,
                Reason::Demand => DEMANDS,
            };
            let allowed = at_once + (reclaimable / STEP + 1).ilog2() as usize;
            // The count bounds the depth: an operation sees those that it runs within, which are of its own thread.
            let freeing = self.0.add(1);
            let begun = Freeing(&self.0);
            (freeing < allowed).then_some(begun)
        }
    }

    impl Drop for Freeing<'_> {
        fn drop(&mut self) {
            self.0.sub(1);
        }
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::{Reason, by_amount};
    use std::vec::Vec;

    #[test]
    fn threads_that_cannot_be_told_apart_free_by_the_amount_that_waits() {
        let (all, garbage) = (by_amount::Reentrancy::new(), 0_u8);
        let begin = |reclaimable, reason| all.begin(&garbage, reclaimable, reason);
        let one = begin(2, Reason::Share).expect("nobody else frees");
        assert!(begin(63, Reason::Share).is_none(), "little garbage lets destructors nest");
        let two =
            begin(64, Reason::Share).expect("a second one frees, as a destructor may be slow");
        assert!(begin(191, Reason::Share).is_none() && begin(192, Reason::Share).is_some());
        // However deep, and however much garbage: the depth is bounded.
        let more: Vec<_> = (0..1_000).map_while(|_| begin(1_000_000, Reason::Share)).collect();
        assert!(more.len() < 20, "{} nested", more.len());
        drop((one, two, more));
        let demands: Vec<_> = (0..1_000).map_while(|_| begin(0, Reason::Demand)).collect();
        assert_eq!(demands.len(), 8, "eight that were asked to free do so");
        drop(demands);
        assert!(begin(0, Reason::Share).is_some(), "all have ended");
    }

    #[cfg(feature = "std")]
    #[test]
    fn a_thread_frees_the_garbage_of_each_map_once_at_a_time() {
        use super::by_thread::Reentrancy;
        let garbage = [1_u8, 2, 3, 4, 5, 6, 7, 8, 9, 10];
        let begin = |at: usize| Reentrancy.begin(&garbage[at], 1_000_000, Reason::Demand);
        let one = begin(0).expect("nothing is being freed");
        assert!(begin(0).is_none(), "an operation within a destructor frees its own map's garbage");
        std::thread::scope(|scope| {
            scope.spawn(|| assert!(begin(0).is_some(), "another thread is held up"));
        });
        let more: Vec<_> = (1..10).map_while(begin).collect();
        assert_eq!(more.len(), 7, "the depth is bounded");
        // They may end in any order, for example on stacks of suspended tasks.
        drop(one);
        assert!(begin(0).is_some(), "one that has ended is taken to go on");
        drop(more);
        assert!((0..10).all(|at| begin(at).is_some()), "all have ended");
    }
}
