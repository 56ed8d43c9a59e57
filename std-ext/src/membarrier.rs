//! The expensive half of an asymmetric memory barrier, by the system call `membarrier`.
//!
//! In a store-buffering pattern both sides need a full fence between their store and their load. If one side is hot and
//! the other is rare, the rare side can pay for both: it calls [`barrier`], and the hot side needs only a *compiler*
//! fence.
//!
//! ```text
//! hot:   x.store(1, Relaxed); compiler_fence(SeqCst); a = y.load(Relaxed);
//! rare:  y.store(1, Relaxed); barrier();              b = x.load(Relaxed);
//! ```
//!
//! If `barrier` returned true, at least one side reads the other's store. The kernel interrupts every processor that
//! runs a thread of this process, and the interrupt executes a full fence. A thread that does not run has passed a full
//! fence when it was switched out. So each thread's program is cut at a point between the call and the return. The
//! caller sees, after the return, all stores of a thread before its cut. A thread sees, after its cut, all stores of
//! the caller before the call.
//!
//! Both functions are system calls that allocate nothing, take no lock, and may be called between `fork` and `exec`.
//! They return false if the system is not Linux, if the kernel is older than 4.14, or if a seccomp filter rejects the
//! call: then both sides need a full fence. Decide once, by [`register`], before the first hot thread begins. If one
//! side omits its fence while the other relies on it, there is no barrier at all.
//!
//! A filter that is installed later may reject the call after [`register`] succeeded. Then [`visit_processors`] is a
//! slow barrier of the same kind: enough for one last time, by which the rare side tells the hot side to fence.

/// Registers the process for [`barrier`]. Returns whether `barrier` works.
///
/// Idempotent. The first call of a process with several threads waits some milliseconds for the kernel. Later calls are
/// two short system calls. Allocates nothing.
///
/// ```
/// use hedgerow_std_ext::membarrier;
/// assert_eq!(membarrier::register(), membarrier::barrier());
/// ```
#[must_use]
pub fn register() -> bool {
    system::register()
}

/// Executes a full memory barrier in every thread of this process. Returns false if the system cannot.
///
/// Interrupts the processors that run these threads, which takes a few microseconds. Waits for no thread, and allocates
/// nothing. Registers a process that is not registered, such as a child of `fork`.
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

/// Executes a full memory barrier in every thread of this process, as [`barrier`] does, by running on every processor.
///
/// It moves the calling thread to each processor that a thread of this process may run on. A thread that runs there is
/// switched out first, and passes a full barrier in that. Reads the threads' affinities from `/proc/self/task`, and
/// changes that of the calling thread meanwhile. Takes tens of microseconds a processor, and longer if threads have to
/// be switched out. Allocates nothing.
///
/// Returns false if the system does not let the calling thread do that, or has more than 1024 processors.
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

    // SAFETY: this is the declaration of glibc and of musl, one of which std links. The function has no precondition.
    // The crate rustix has this function, too, but returns an uninitialized number if the system rejects the call.
    unsafe extern "C" {
        safe fn sched_getcpu() -> c_int;
    }

    fn run_on(set: &CpuSet) -> bool {
        sched_setaffinity(None, set).is_ok()
    }

    /// Checks that the thread was moved. Some systems that emulate Linux, and some filters, accept an affinity and
    /// ignore it.
    fn runs_on(processor: usize) -> bool {
        usize::try_from(sched_getcpu()).is_ok_and(|here| here == processor)
    }

    /// Calls `each` with every thread of this process. Returns false once `each` does, or if they cannot be listed.
    fn threads(mut each: impl FnMut(Pid) -> bool) -> bool {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let Ok(folder) = open(c"/proc/self/task", flags, Mode::empty()) else { return false };
        let mut buffer = [MaybeUninit::uninit(); 2048];
        let mut entries = RawDir::new(folder, &mut buffer);
        while let Some(entry) = entries.next() {
            let Ok(entry) = entry else { return false };
            // Skips `.` and `..`.
            let number = entry.file_name().to_str().ok().and_then(|name| name.parse().ok());
            if number.and_then(Pid::from_raw).is_some_and(|thread| !each(thread)) {
                return false;
            }
        }
        true
    }

    /// Restores the calling thread's affinity when it is dropped.
    struct Restore(CpuSet);

    impl Drop for Restore {
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
        // A thread that begins later inherits one of these affinities. A thread whose affinity changes is switched out
        // for that. A thread that has ended (`SRCH`) needs no barrier.
        let listed = threads(|thread| match sched_getaffinity(Some(thread)) {
            Ok(set) => {
                add(&set);
                true
            }
            Err(why) => why == Errno::SRCH,
        });
        let _restore = Restore(own);
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

    /// Runs system calls that are a barrier, and keeps the compiler from moving memory accesses across them.
    ///
    /// The crate rustix inlines its calls, and declares to the compiler that some of them, such as `sched_setaffinity`,
    /// write no memory. Without fences the compiler could move a later load before them.
    fn fenced(call: impl FnOnce() -> bool) -> bool {
        // SeqCst: pairs with the hot side's compiler fence. The caller's stores come before the calls, so a hot thread
        // sees them after its cut.
        compiler_fence(SeqCst);
        let done = call();
        // SeqCst: pairs with the same fence. The caller's loads come after the calls, so they see what hot threads did
        // before their cuts.
        compiler_fence(SeqCst);
        done
    }

    pub(super) fn register() -> bool {
        // Empty if the kernel lacks the call, or a filter rejects it.
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
