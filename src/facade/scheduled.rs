//! The operations on a map, as the model checker of a user's program sees them. In other builds there is nothing here.
//!
//! An operation is one step. The checker may run other threads before each step, and none within it, unless the
//! operation calls code of the user's that is a step, too. What a thread did before it ended an operation happens
//! before all that follows later operations on the same map. The maps promise less, but to model exactly what they
//! promise would take several steps for each operation: `docs::model_checking` has the figures.

#[cfg(not(any(loom, shuttle)))]
pub(crate) use unseen::{Scheduled, ScheduledRef};

#[cfg(any(loom, shuttle))]
pub(crate) use seen::{Scheduled, ScheduledRef};

#[cfg(not(any(loom, shuttle)))]
mod unseen {
    use core::marker::PhantomData;

    /// The operations on one map.
    pub(crate) struct Scheduled;

    /// A reference to a `Scheduled`, which takes no space.
    #[derive(Clone, Copy)]
    pub(crate) struct ScheduledRef<'a>(PhantomData<&'a Scheduled>);

    /// An operation that has begun, until it is dropped.
    pub(crate) struct Operation;

    impl Scheduled {
        #[inline(always)]
        pub(crate) const fn new() -> Self {
            Self
        }

        /// Begins an operation.
        #[inline(always)]
        #[expect(clippy::unused_self, reason = "the other `Scheduled` has the same methods")]
        pub(crate) const fn operation(&self) -> Operation {
            Operation
        }

        #[inline(always)]
        #[expect(clippy::unused_self, reason = "the other `Scheduled` has the same methods")]
        pub(crate) const fn by_ref(&self) -> ScheduledRef<'_> {
            ScheduledRef(PhantomData)
        }
    }

    impl ScheduledRef<'_> {
        /// Begins an operation.
        #[inline(always)]
        #[expect(clippy::unused_self, reason = "the other `ScheduledRef` has the same methods")]
        pub(crate) const fn operation(self) -> Operation {
            Operation
        }
    }
}

#[cfg(any(loom, shuttle))]
mod seen {
    #[cfg(loom)]
    use super::by_loom::{Object, Step};
    #[cfg(shuttle)]
    use super::by_shuttle::{Object, Step};
    use crate::facade::atomic::{AtomicPtr, AtomicUsize, Ordering};
    use crate::facade::checker;
    use alloc::boxed::Box;
    use core::marker::PhantomData;
    use core::panic::{RefUnwindSafe, UnwindSafe};
    use core::ptr;

    /// How many executions of models have used a map.
    static EXECUTIONS: AtomicUsize = AtomicUsize::new(0);

    checker::lazy_static! {
        // relaxed: the number need only differ from those of other executions.
        static ref EXECUTION: usize = EXECUTIONS.fetch_add(1, Ordering::Relaxed);
    }

    /// What the checker knows of a map.
    struct Known {
        /// The number of the execution that `object` belongs to.
        execution: usize,
        object: Object,
    }

    /// The operations on one map. The first one makes the checker's object, which has no constant constructor and
    /// belongs to one execution.
    pub(crate) struct Scheduled(AtomicPtr<Known>, PhantomData<Box<Known>>);

    /// A reference to a `Scheduled`.
    #[derive(Clone, Copy)]
    pub(crate) struct ScheduledRef<'a>(&'a Scheduled);

    impl Scheduled {
        pub(crate) const fn new() -> Self {
            Self(AtomicPtr::new(ptr::null_mut()), PhantomData)
        }

        fn known(&self) -> &Known {
            // acquire: pairs with the exchange below, so that `Known` is initialized.
            let mut known = self.0.load(Ordering::Acquire);
            if known.is_null() {
                let new =
                    Box::into_raw(Box::new(Known { execution: *EXECUTION, object: Object::new() }));
                // acquire and release: pairs with itself and with the load above.
                let (done, failed) = (Ordering::AcqRel, Ordering::Acquire);
                known = match self.0.compare_exchange(ptr::null_mut(), new, done, failed) {
                    Ok(_) => new,
                    Err(first) => {
                        // SAFETY: made above, and shared with no thread.
                        drop(unsafe { Box::from_raw(new) });
                        first
                    }
                };
            }
            // SAFETY: made by `Box::into_raw`, and freed only when `self` is dropped.
            unsafe { &*known }
        }

        /// Begins an operation. It ends when the result is dropped. Of a thread that unwinds, operations are no steps:
        /// the checker must not switch to another thread there.
        ///
        /// # Panics
        /// If the map was used in another execution of a model, because its entries of then are still in it.
        pub(crate) fn operation(&self) -> Option<Step<'_>> {
            if std::thread::panicking() {
                return None;
            }
            let known = self.known();
            assert!(
                known.execution == *EXECUTION,
                "this map was used in another execution: create it in the model's closure, and a global one by the \
                 model checker's `lazy_static!`"
            );
            Some(known.object.step())
        }

        pub(crate) fn by_ref(&self) -> ScheduledRef<'_> {
            ScheduledRef(self)
        }
    }

    impl<'a> ScheduledRef<'a> {
        /// Begins an operation, as [`Scheduled::operation`] does.
        pub(crate) fn operation(self) -> Option<Step<'a>> {
            self.0.operation()
        }
    }

    // An operation that panics leaves the checker's object as it was.
    impl UnwindSafe for Scheduled {}
    impl RefUnwindSafe for Scheduled {}

    impl Drop for Scheduled {
        fn drop(&mut self) {
            let known = *self.0.get_mut();
            if !known.is_null() {
                // SAFETY: made by `Box::into_raw`. `&mut self`: no operation is under way.
                drop(unsafe { Box::from_raw(known) });
            }
        }
    }
}

#[cfg(loom)]
mod by_loom {
    use crate::facade::checker::sync::{RwLock, RwLockReadGuard};
    use crate::facade::checker::thread::{self, ThreadId};
    use alloc::vec::Vec;
    use std::sync::{Mutex, PoisonError};

    /// A lock that each operation takes *for reading*, and that so excludes none. To loom, taking it is a step that
    /// depends on all others on this lock, and comes after those that have released it. An atomic would take a second
    /// step at the end of each operation, because only a step of an atomic can release.
    pub(super) struct Object {
        lock: RwLock<()>,
        /// The threads that are within an operation: for loom, a thread has a lock once.
        within: Mutex<Vec<ThreadId>>,
    }

    /// An operation that has begun, until it is dropped.
    pub(crate) struct Step<'a> {
        object: &'a Object,
        thread: ThreadId,
        /// The operation is within none of the same thread.
        is_outer: bool,
        lock: Option<RwLockReadGuard<'a, ()>>,
    }

    impl Object {
        pub(super) fn new() -> Self {
            Self { lock: RwLock::new(()), within: Mutex::new(Vec::new()) }
        }

        fn lock(&self) -> RwLockReadGuard<'_, ()> {
            self.lock.read().unwrap_or_else(PoisonError::into_inner)
        }

        fn with_threads<T>(&self, f: impl FnOnce(&mut Vec<ThreadId>) -> T) -> T {
            f(&mut self.within.lock().unwrap_or_else(PoisonError::into_inner))
        }

        pub(super) fn step(&self) -> Step<'_> {
            let (thread, lock) = (thread::current().id(), Some(self.lock()));
            let is_outer = self.with_threads(|within| {
                let is_outer = !within.contains(&thread);
                if is_outer {
                    within.push(thread);
                }
                is_outer
            });
            Step { object: self, thread, is_outer, lock }
        }
    }

    impl Drop for Step<'_> {
        fn drop(&mut self) {
            // No step, so no other thread can see the effect of the operation without what came before it.
            drop(self.lock.take());
            if self.is_outer {
                self.object.with_threads(|within| within.retain(|thread| *thread != self.thread));
            } else if !std::thread::panicking() {
                // The outer operation has the lock, which loom has just taken from the thread. Another step: after it,
                // what follows in the outer operation comes after what other threads did meanwhile.
                core::mem::forget(self.object.lock());
            }
        }
    }
}

#[cfg(shuttle)]
mod by_shuttle {
    use crate::facade::checker::sync::Mutex;
    use core::marker::PhantomData;

    /// A lock that each operation takes and releases before it begins, which is a step. Shuttle has one order of all
    /// steps, and does not track accesses to data, so the end of an operation need not be a step.
    pub(super) struct Object(Mutex<()>);

    /// An operation that has begun.
    pub(crate) struct Step<'a>(PhantomData<&'a Object>);

    impl Object {
        pub(super) fn new() -> Self {
            Self(Mutex::new(()))
        }

        pub(super) fn step(&self) -> Step<'_> {
            drop(self.0.lock());
            Step(PhantomData)
        }
    }
}
