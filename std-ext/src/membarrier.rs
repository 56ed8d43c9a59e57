//! The dear half of an asymmetric memory barrier, by the system call `membarrier`.
//!
//! A full fence on both sides of a store-buffering pattern costs both sides. Where one side is hot
//! and the other rare, the rare one can pay for both: it calls [`barrier`], and the hot one needs no
//! more than a *compiler* fence between its store and its load.
//!
//! ```text
//! hot:   x.store(1, Relaxed); compiler_fence(SeqCst); a = y.load(Relaxed);
//! rare:  y.store(1, Relaxed); barrier();              b = x.load(Relaxed);
//! ```
//!
//! If `barrier` returned true, `a` and `b` are not both what they were before. The kernel
//! interrupts every processor that runs a thread of this process and has it execute a full fence,
//! and a thread that does not run has passed one when it was switched out: each thread's program is
//! cut in two at a point between the call and the return, what is before the cut being seen by the
//! caller after the return, what is after it seeing all that the caller did before the call.
//!
//! Both functions are system calls that allocate nothing, take no lock and may be called between
//! `fork` and `exec`. Elsewhere than on Linux, and where the kernel (before 4.14) or a filter of
//! system calls refuses, they return false: then both sides need a full fence. Decide once, by
//! [`register`], before the first hot thread begins: a side that leaves its fence out while
//! the other relies on it has no barrier at all.

/// Registers the process for [`barrier`]; says whether it may be relied on.
///
/// Idempotent. The first call of a process with several threads waits some milliseconds for the
/// kernel; later ones cost two short system calls. Allocates nothing.
///
/// ```
/// use hedgerow_std_ext::membarrier;
/// assert_eq!(membarrier::register(), membarrier::barrier());
/// ```
#[must_use]
pub fn register() -> bool {
    system::register()
}

/// A full memory barrier in every thread of this process; false where it could not be had.
///
/// Interrupts the processors that run them, which takes a few microseconds; waits for nobody, and
/// allocates nothing. A process that is not registered, such as a child of `fork` may be, is
/// registered by this.
///
/// ```
/// use hedgerow_std_ext::membarrier;
/// if membarrier::register() {
///     assert!(membarrier::barrier());
/// }
/// ```
#[must_use]
pub fn barrier() -> bool {
    system::barrier()
}

#[cfg(all(target_os = "linux", not(miri)))]
mod system {
    use libc::{
        EPERM, MEMBARRIER_CMD_PRIVATE_EXPEDITED, MEMBARRIER_CMD_QUERY,
        MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, SYS_membarrier, c_int, c_long,
    };
    use std::io;

    fn call(command: c_int) -> c_long {
        let (flags, cpu): (c_int, c_int) = (0, 0);
        // SAFETY: `membarrier` takes three integers, and reads and writes no memory of ours.
        unsafe { libc::syscall(SYS_membarrier, command, flags, cpu) }
    }

    pub(super) fn register() -> bool {
        let (register, barrier) =
            (MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, MEMBARRIER_CMD_PRIVATE_EXPEDITED);
        let known = call(MEMBARRIER_CMD_QUERY as c_int);
        // Negative where the kernel knows no such call, or is told to refuse it.
        known > 0
            && known & c_long::from(register | barrier) == c_long::from(register | barrier)
            && call(register as c_int) == 0
    }

    pub(super) fn barrier() -> bool {
        let again = || {
            // Anything but a process that is not registered stays as it is.
            io::Error::last_os_error().raw_os_error() == Some(EPERM) && register()
        };
        let command = MEMBARRIER_CMD_PRIVATE_EXPEDITED as c_int;
        call(command) == 0 || again() && call(command) == 0
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
mod system {
    pub(super) fn register() -> bool {
        false
    }

    pub(super) fn barrier() -> bool {
        false
    }
}
