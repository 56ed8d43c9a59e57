//! The one file that chooses where atomics come from.
//!
//! Every other file takes its atomics, its spin lock and its payload words from here. So the same algorithms run on the
//! machine's own atomics, on `portable-atomic` (for targets without compare-and-swap), and in the model checker.
//!
//! Two kinds of models use this crate. Our own, of its protocols, are built with `hedgerow_loom`: every atomic is the
//! checker's. Those of users, of programs that use the maps, are built with `loom` or `shuttle`: the atomics are the
//! machine's, and the checker sees each operation on a map as one step ([`Scheduled`]).

#[cfg(not(any(hedgerow_loom, feature = "portable-atomic")))]
pub(crate) use core::sync::atomic;

#[cfg(all(feature = "portable-atomic", not(hedgerow_loom)))]
pub(crate) use portable_atomic as atomic;

#[cfg(all(hedgerow_loom, not(hedgerow_shuttle)))]
use loom as checker;
/// Runs random schedules, for models with too many interleavings to run all.
#[cfg(hedgerow_shuttle)]
use shuttle as checker;

#[cfg(hedgerow_loom)]
pub(crate) use checker::sync::atomic;

/// A counter whose accesses the model checker does not see as steps.
#[cfg(all(test, hedgerow_loom))]
pub(crate) use std::sync::atomic::AtomicUsize as Unseen;

/// A barrier for the compiler alone: the processor may still reorder.
pub(crate) use core::sync::atomic::compiler_fence;

/// The operating system's memory barrier for all threads of the process.
#[cfg(all(feature = "std-ext", target_os = "linux", not(hedgerow_loom)))]
pub(crate) use hedgerow_std_ext::membarrier;

pub(crate) use word::Word;

/// Asks the system for huge pages under a block. This is advice, and changes only speed.
#[cfg(all(feature = "std-ext", target_os = "linux", not(hedgerow_loom)))]
pub(crate) use hedgerow_std_ext::pages::advise_huge;

#[cfg(any(all(loom, shuttle), all(hedgerow_loom, any(loom, shuttle))))]
compile_error!(
    "set one of the cfgs `loom` and `shuttle`, for models of programs that use the maps"
);

#[cfg(all(loom, not(shuttle)))]
use loom as checker;
#[cfg(all(shuttle, not(loom)))]
use shuttle as checker;

/// Whether this build is for a model of a user's program. All threads of a model run in turns on one thread of the
/// operating system, so thread-locals do not tell them apart.
pub(crate) const IN_USERS_MODEL: bool = cfg!(any(loom, shuttle));
/// Whether this build is for a model, so that parts of a map should be small.
pub(crate) const IN_A_MODEL: bool = cfg!(hedgerow_loom) || IN_USERS_MODEL;

#[cfg_attr(
    hedgerow_loom,
    allow(dead_code, unused_imports, reason = "models lack the maps with guards")
)]
mod scheduled;
#[cfg_attr(hedgerow_loom, allow(unused_imports))]
pub(crate) use scheduled::{Scheduled, ScheduledRef};

/// The lock of `std`, or the model checker's.
#[cfg(all(feature = "left-right", loom))]
pub(crate) use loom::sync::{Mutex, MutexGuard};
#[cfg(all(feature = "left-right", shuttle))]
pub(crate) use shuttle::sync::{Mutex, MutexGuard};
#[cfg(all(feature = "left-right", feature = "std", not(any(hedgerow_loom, loom, shuttle))))]
pub(crate) use std::sync::{Mutex, MutexGuard};

/// Tells the processor (or the model checker) that this thread spins.
#[inline]
pub(crate) fn spin_hint() {
    #[cfg(any(hedgerow_loom, loom, shuttle))]
    checker::thread::yield_now();
    #[cfg(not(any(hedgerow_loom, loom, shuttle)))]
    core::hint::spin_loop();
}

/// Yields the processor to other threads if there is an operating system; else spins.
#[inline]
pub(crate) fn yield_hint() {
    #[cfg(all(feature = "std", not(any(hedgerow_loom, loom, shuttle))))]
    std::thread::yield_now();
    #[cfg(not(all(feature = "std", not(any(hedgerow_loom, loom, shuttle)))))]
    spin_hint();
}

/// Declares a `const fn`, or an ordinary one for the model checker, whose atomics have no constant constructor.
macro_rules! const_unless_loom {
    ($(#[$meta:meta])* $vis:vis fn $($rest:tt)*) => {
        #[cfg(not(hedgerow_loom))]
        $(#[$meta])*
        $vis const fn $($rest)*
        #[cfg(hedgerow_loom)]
        $(#[$meta])*
        $vis fn $($rest)*
    };
}
pub(crate) use const_unless_loom;

/// A spin lock. A lookup takes one only to promote a value of a `CompressedMap`. User code runs under two locks of that
/// map, for maintenance and for training, and the allocator under more: ARCHITECTURE.md has a table.
#[cfg(feature = "alloc")]
pub(crate) mod lock {
    #[cfg(hedgerow_loom)]
    use super::checker::sync::Mutex;
    #[cfg(hedgerow_loom)]
    pub(crate) use super::checker::sync::MutexGuard as Guard;

    #[cfg(not(hedgerow_loom))]
    type Mutex<T> = spin::mutex::SpinMutex<T, Yielding>;
    #[cfg(not(hedgerow_loom))]
    pub(crate) type Guard<'a, T> = spin::mutex::SpinMutexGuard<'a, T, Yielding>;

    /// Spins briefly, then yields: the thread that has the lock may be descheduled.
    #[cfg(not(hedgerow_loom))]
    pub(crate) struct Yielding;

    #[cfg(not(hedgerow_loom))]
    impl spin::RelaxStrategy for Yielding {
        #[cold]
        #[inline(never)]
        fn relax() {
            let spins = if super::IN_USERS_MODEL { 0 } else { 64 };
            (0..spins).for_each(|_| super::spin_hint());
            super::yield_hint();
        }
    }

    pub(crate) struct Lock<T>(Mutex<T>);

    impl<T> Lock<T> {
        const_unless_loom! {
            pub(crate) fn new(value: T) -> Self {
                Self(Mutex::new(value))
            }
        }

        /// Waits until this thread has the lock.
        pub(crate) fn lock(&self) -> Guard<'_, T> {
            #[cfg(hedgerow_loom)]
            return self.0.lock().unwrap();
            #[cfg(not(hedgerow_loom))]
            self.0.lock()
        }

        /// Takes the lock if no thread holds it.
        pub(crate) fn try_lock(&self) -> Option<Guard<'_, T>> {
            #[cfg(hedgerow_loom)]
            return self.0.try_lock().ok();
            #[cfg(not(hedgerow_loom))]
            self.0.try_lock()
        }
    }
}

/// Machine words that carry payload: any bytes, padding and pointers included.
///
/// A [`Word`] is either *control* (always an initialized integer, accessed through [`Word::control`]) or *payload*
/// (loaded and stored relaxed as `MaybeUninit`), never both at a time. Payload that is known to be an integer may be
/// loaded as one ([`Word::load_integer`]).
mod word {
    use super::atomic::AtomicUsize;
    use core::mem::MaybeUninit;

    /// Words whose loads and stores are atomic by inline assembly, even if they are uninitialized.
    #[cfg(not(any(hedgerow_loom, hedgerow_int_words, miri, target_family = "wasm")))]
    mod repr {
        use super::{AtomicUsize, MaybeUninit};
        use atomic_maybe_uninit::AtomicMaybeUninit;
        use core::sync::atomic::Ordering::Relaxed;

        #[repr(transparent)]
        pub(crate) struct Word(AtomicMaybeUninit<usize>);

        impl Word {
            #[inline(always)]
            pub(crate) fn control(&self) -> &AtomicUsize {
                // SAFETY: both types are `repr(transparent)` over an `UnsafeCell` of a `usize`. The caller uses this
                // word as control only, so it always holds an initialized integer, and all concurrent accesses to it
                // are atomic.
                unsafe { &*core::ptr::from_ref(self).cast() }
            }

            #[inline(always)]
            pub(crate) fn load_payload(&self) -> MaybeUninit<usize> {
                // relaxed: ordered by the seqlock that guards the word ([SL-1] to [SL-4]).
                self.0.load(Relaxed)
            }

            #[inline(always)]
            pub(crate) fn store_payload(&self, value: MaybeUninit<usize>) {
                // relaxed: ordered by the seqlock that guards the word ([SL-1] to [SL-4]).
                self.0.store(value, Relaxed);
            }
        }
    }

    /// Words that are integer atomics, for the model checker and for tools that cannot analyze inline assembly
    /// (`ThreadSanitizer`, Miri). Types with padding need the other representation.
    #[cfg(any(hedgerow_loom, hedgerow_int_words, miri))]
    mod repr {
        use super::{AtomicUsize, MaybeUninit};
        use crate::facade::atomic::Ordering::Relaxed;

        #[repr(transparent)]
        pub(crate) struct Word(AtomicUsize);

        impl Word {
            #[cfg(hedgerow_loom)]
            pub(crate) fn new() -> Self {
                Self(AtomicUsize::new(0))
            }

            #[inline(always)]
            pub(crate) fn control(&self) -> &AtomicUsize {
                &self.0
            }

            #[inline(always)]
            pub(crate) fn load_payload(&self) -> MaybeUninit<usize> {
                // relaxed: ordered by the seqlock that guards the word ([SL-1] to [SL-4]).
                MaybeUninit::new(self.0.load(Relaxed))
            }

            #[inline(always)]
            pub(crate) fn store_payload(&self, value: MaybeUninit<usize>) {
                // SAFETY: under these cfgs the crate runs only with payload types without padding, so every byte that
                // reaches a word is initialized.
                let value = unsafe { value.assume_init() };
                // relaxed: ordered by the seqlock that guards the word ([SL-1] to [SL-4]).
                self.0.store(value, Relaxed);
            }
        }
    }

    /// Words for WebAssembly with threads, also by inline assembly. That is unstable there, and so is building a
    /// standard library with threads, which every program needs.
    #[cfg(all(
        target_family = "wasm",
        target_feature = "atomics",
        not(any(hedgerow_loom, hedgerow_int_words, miri))
    ))]
    mod repr {
        use super::{AtomicUsize, MaybeUninit};
        use core::arch::asm;
        use core::cell::UnsafeCell;

        #[repr(transparent)]
        pub(crate) struct Word(UnsafeCell<MaybeUninit<usize>>);

        /// Calls `asm!`, with the instruction for the width of a word.
        macro_rules! asm_word {
            ($($before:literal,)* [$op:literal] $($rest:tt)*) => {{
                #[cfg(target_pointer_width = "32")]
                asm!($($before,)* concat!("i32.", $op) $($rest)*);
                #[cfg(target_pointer_width = "64")]
                asm!($($before,)* concat!("i64.", $op) $($rest)*);
            }};
        }

        impl Word {
            #[inline(always)]
            pub(crate) fn control(&self) -> &AtomicUsize {
                // SAFETY: same size and alignment. The caller uses this word as control only, so it always holds an
                // initialized integer, and all concurrent accesses to it are atomic.
                unsafe { &*self.0.get().cast() }
            }

            #[inline(always)]
            pub(crate) fn load_payload(&self) -> MaybeUninit<usize> {
                let value: MaybeUninit<usize>;
                // relaxed: ordered by the seqlock that guards the word ([SL-1] to [SL-4]). The instruction is stronger.
                // SAFETY: the word is aligned and borrowed, and the load is atomic.
                unsafe {
                    asm_word!(
                        "local.get {from}", ["atomic.load 0"], "local.set {value}",
                        from = in(local) self.0.get(), value = lateout(local) value,
                        options(nostack, preserves_flags),
                    );
                }
                value
            }

            #[inline(always)]
            pub(crate) fn store_payload(&self, value: MaybeUninit<usize>) {
                // relaxed: ordered by the seqlock that guards the word ([SL-1] to [SL-4]). The instruction is stronger.
                // SAFETY: the word is aligned and borrowed, and the store is atomic.
                unsafe {
                    asm_word!(
                        "local.get {to}", "local.get {value}", ["atomic.store 0"],
                        to = in(local) self.0.get(), value = in(local) value,
                        options(nostack, preserves_flags),
                    );
                }
            }
        }
    }

    /// Words for WebAssembly without the atomics proposal, which has one thread and no interrupts.
    #[cfg(all(
        target_family = "wasm",
        not(target_feature = "atomics"),
        not(any(hedgerow_loom, hedgerow_int_words, miri))
    ))]
    mod repr {
        use super::{AtomicUsize, MaybeUninit};
        use core::cell::UnsafeCell;

        #[repr(transparent)]
        pub(crate) struct Word(UnsafeCell<MaybeUninit<usize>>);

        impl Word {
            #[inline(always)]
            pub(crate) fn control(&self) -> &AtomicUsize {
                // SAFETY: same size and alignment. The allocation initialized the word (zeroed), and it is only ever
                // stored to as an integer; there is one thread.
                unsafe { &*self.0.get().cast() }
            }

            #[inline(always)]
            pub(crate) fn load_payload(&self) -> MaybeUninit<usize> {
                // SAFETY: the target has one thread and no interrupts, so nothing writes meanwhile.
                unsafe { *self.0.get() }
            }

            #[inline(always)]
            pub(crate) fn store_payload(&self, value: MaybeUninit<usize>) {
                // SAFETY: the target has one thread and no interrupts, so nothing reads meanwhile.
                unsafe { *self.0.get() = value }
            }
        }
    }

    pub(crate) use repr::Word;

    impl Word {
        /// Loads a payload word that the caller knows to be initialized, as an integer. The compiler can optimize this
        /// load, unlike that of `load_payload`.
        #[inline(always)]
        pub(crate) fn load_integer(&self) -> usize {
            // relaxed: ordered by the seqlock that guards the word ([SL-1] to [SL-4]).
            self.control().load(super::atomic::Ordering::Relaxed)
        }
    }

    impl Word {
        /// Stores a payload word that is an integer, the counterpart of `load_integer`.
        #[inline(always)]
        pub(crate) fn store_integer(&self, value: usize) {
            // relaxed: ordered by the seqlock that guards the word ([SL-1] to [SL-4]).
            self.control().store(value, super::atomic::Ordering::Relaxed);
        }
    }

    const _: () = assert!(cfg!(hedgerow_loom) || size_of::<Word>() == size_of::<usize>());
}
