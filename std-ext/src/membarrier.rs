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
/// Returns false on a machine of more than 1024 processors.
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
    use rustix::fs::{Mode, OFlags, RawDir, open};
    use rustix::io::Errno;
    use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};
    use std::ffi::c_int;
    use std::mem::MaybeUninit;

    // SAFETY: glibc and musl, one of which std links, declare it so; it has no precondition. The crate rustix has such
    // a function too, which returns a number that was never written if the system refuses the call.
    unsafe extern "C" {
        safe fn sched_getcpu() -> c_int;
    }

    fn run_on(set: &CpuSet) -> bool {
        sched_setaffinity(None, set).is_ok()
    }

    /// Some systems that imitate Linux, and filters that lie, accept an affinity and do not move the thread.
    fn runs_on(processor: usize) -> bool {
        usize::try_from(sched_getcpu()).is_ok_and(|here| here == processor)
    }

    /// Calls `each` with each thread of this process, until it returns false; false then, and if they cannot be listed.
    fn threads(mut each: impl FnMut(Pid) -> bool) -> bool {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(folder) = open(c"/proc/self/task", flags, Mode::empty()) else { return false };
        let mut room = [MaybeUninit::uninit(); 2048];
        let mut entries = RawDir::new(folder, &mut room);
        while let Some(entry) = entries.next() {
            let Ok(entry) = entry else { return false };
            // `.` and `..` are no numbers.
            let number = entry.file_name().to_str().ok().and_then(|name| name.parse().ok());
            if number.and_then(Pid::from_raw).is_some_and(|thread| !each(thread)) {
                return false;
            }
        }
        true
    }

    /// Lets the calling thread run again where it could run before.
    struct Back(CpuSet);

    impl Drop for Back {
        fn drop(&mut self) {
            run_on(&self.0);
        }
    }

    pub(super) fn visit_processors() -> bool {
        let Ok(own) = sched_getaffinity(None) else { return false };
        let mut all = [false; CpuSet::MAX_CPU];
        let mut add = |set: &CpuSet| {
            for (number, known) in all.iter_mut().enumerate() {
                *known |= set.is_set(number);
            }
        };
        add(&own);
        // A thread that begins later inherits one of these; one that is moved is switched out for that. One that has
        // ended needs no barrier.
        let listed = threads(|thread| match sched_getaffinity(Some(thread)) {
            Ok(set) => {
                add(&set);
                true
            }
            Err(why) => why == Errno::SRCH,
        });
        let _back = Back(own);
        listed
            && (0..CpuSet::MAX_CPU).filter(|&number| all[number]).all(|number| {
                let mut one = CpuSet::new();
                one.set(number);
                run_on(&one) && runs_on(number)
            })
    }
}

#[cfg(all(target_os = "linux", not(miri)))]
mod system {
    use super::visit;
    use rustix::io::Errno;
    use rustix::thread::MembarrierCommand::{PrivateExpedited, RegisterPrivateExpedited};
    use rustix::thread::{membarrier, membarrier_query};
    use std::sync::atomic::{Ordering::SeqCst, compiler_fence};

    /// Runs system calls that are a barrier, and that the compiler moves no access across.
    ///
    /// The crate rustix inlines its calls and tells the compiler of some, such as `sched_setaffinity`, that they write
    /// no memory: without fences, a later load could be moved before them.
    fn fenced(call: impl FnOnce() -> bool) -> bool {
        // SeqCst: what the caller did is done before the calls; pairs with the hot side's compiler fence.
        compiler_fence(SeqCst);
        let done = call();
        // SeqCst: as above, for what the caller does next; pairs with the same.
        compiler_fence(SeqCst);
        done
    }

    pub(super) fn register() -> bool {
        // Empty if the kernel knows no such call, or a filter refuses it.
        let known = membarrier_query();
        known.contains_command(PrivateExpedited)
            && known.contains_command(RegisterPrivateExpedited)
            && membarrier(RegisterPrivateExpedited).is_ok()
    }

    pub(super) fn barrier() -> bool {
        fenced(|| match membarrier(PrivateExpedited) {
            Ok(()) => true,
            // The process is not registered.
            Err(Errno::PERM) => register() && membarrier(PrivateExpedited).is_ok(),
            Err(_) => false,
        })
    }

    pub(super) fn visit_processors() -> bool {
        fenced(visit::visit_processors)
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
