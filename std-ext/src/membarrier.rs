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
//!
//! A filter that is installed later may refuse what was registered. Then [`visit_processors`] is a barrier of the
//! same kind, though a slow one: enough for one last time, by which the rare side tells the hot ones to fence.

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

/// A full memory barrier in every thread of this process, as [`barrier`] is, by running on each processor that one of
/// them may run on; false where the system does not let the calling thread do that.
///
/// A thread that runs on a processor is switched out before the caller runs there, and passes a full barrier then.
/// Reads the threads' affinities (from `/proc/self/task`), and changes that of the calling thread meanwhile. Takes
/// tens of microseconds a processor, and longer where others are to be switched out. Allocates nothing.
///
/// ```
/// use hedgerow_std_ext::membarrier;
/// let _was_done = membarrier::visit_processors();
/// ```
#[must_use]
pub fn visit_processors() -> bool {
    system::visit_processors()
}

#[cfg(all(target_os = "linux", not(miri)))]
mod visit {
    use libc::{SYS_getcpu, SYS_getdents64, SYS_sched_getaffinity, SYS_sched_setaffinity};
    use std::{io, mem, ptr};

    /// Processors that a set has room for.
    const MOST: usize = 8192;

    type Set = [u64; MOST / 64];

    fn affinity(thread: i32) -> Option<Set> {
        let mut set = [0; MOST / 64];
        // SAFETY: the system writes so many bytes at most.
        let bytes = unsafe {
            libc::syscall(SYS_sched_getaffinity, thread, size_of::<Set>(), set.as_mut_ptr())
        };
        (bytes > 0).then_some(set)
    }

    fn run_on(set: &Set) -> bool {
        // SAFETY: the system reads so many bytes; 0 is the calling thread.
        unsafe { libc::syscall(SYS_sched_setaffinity, 0, size_of::<Set>(), set.as_ptr()) == 0 }
    }

    fn runs_on(processor: usize) -> bool {
        let (mut here, none) = (0_u32, ptr::null_mut::<u32>());
        // SAFETY: the system writes one number.
        let done = unsafe { libc::syscall(SYS_getcpu, &raw mut here, none, none) } == 0;
        done && here as usize == processor
    }

    /// Has `each` told the number of each thread of this process; false where they cannot be listed.
    fn threads(mut each: impl FnMut(i32) -> bool) -> bool {
        /// Closes the folder.
        struct Folder(i32);
        impl Drop for Folder {
            fn drop(&mut self) {
                // SAFETY: opened below, and closed once.
                unsafe { libc::close(self.0) };
            }
        }

        // SAFETY: the path ends with a zero.
        let folder =
            unsafe { libc::open(c"/proc/self/task".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
        if folder < 0 {
            return false;
        }
        let folder = Folder(folder);
        // Aligned as the entries are.
        let mut room = [0_u64; 256];
        loop {
            // SAFETY: the system writes so many bytes at most.
            let bytes = unsafe {
                libc::syscall(SYS_getdents64, folder.0, room.as_mut_ptr(), size_of_val(&room))
            };
            let Ok(mut left) = usize::try_from(bytes) else { return false };
            if left == 0 {
                return true;
            }
            // SAFETY: the system has written so many of the room's bytes.
            let bytes = unsafe { core::slice::from_raw_parts(room.as_ptr().cast::<u8>(), left) };
            let mut rest = bytes;
            while left > 0 {
                // Number and offset of 8 bytes each, the entry's length of two, its kind of one, its name.
                let length = rest.get(16..18).map_or(0, |two| u16::from_ne_bytes([two[0], two[1]]));
                let Some(entry) = rest.get(..usize::from(length)) else { return false };
                let name = entry.get(19..).unwrap_or_default();
                let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
                let number = core::str::from_utf8(name).ok().and_then(|name| name.parse().ok());
                if number.is_some_and(|number| !each(number)) || length == 0 {
                    return false;
                }
                rest = &rest[usize::from(length)..];
                left = rest.len();
            }
        }
    }

    /// Gives the calling thread back what it might run on before.
    struct Back(Set);

    impl Drop for Back {
        fn drop(&mut self) {
            run_on(&self.0);
        }
    }

    pub(super) fn visit_processors() -> bool {
        let Some(own) = affinity(0) else { return false };
        let mut all = own;
        // A thread that begins later inherits one of these; one that is moved is switched out for that. One that has
        // ended needs no barrier.
        let listed = threads(|thread| {
            let Some(set) = affinity(thread) else {
                return io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH);
            };
            all.iter_mut().zip(set).for_each(|(all, set)| *all |= set);
            true
        });
        let _back = Back(own);
        listed
            && (0..MOST).filter(|number| all[number / 64] >> (number % 64) & 1 != 0).all(|number| {
                let mut one = [0; MOST / 64];
                one[number / 64] = 1 << (number % 64);
                run_on(&one) && runs_on(number)
            })
    }

    const _: () = assert!(mem::align_of::<Set>() >= mem::align_of::<libc::c_ulong>());
}

#[cfg(all(target_os = "linux", not(miri)))]
mod system {
    pub(super) use super::visit::visit_processors;
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

    pub(super) fn visit_processors() -> bool {
        false
    }
}
