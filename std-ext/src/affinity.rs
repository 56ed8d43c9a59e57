//! Keeping a thread on one processor.

/// Asks the system to run the calling thread on this processor only; says whether it does from now on.
///
/// A system call; allocates nothing. False where not Linux, where there is no such processor, and where the process
/// may not use it.
///
/// ```
/// std::thread::spawn(|| {
///     let _pinned = hedgerow_std_ext::affinity::pin_to(0);
///     assert!(!hedgerow_std_ext::affinity::pin_to(usize::MAX));
/// })
/// .join()
/// .unwrap();
/// ```
pub fn pin_to(processor: usize) -> bool {
    system::pin_to(processor)
}

#[cfg(all(target_os = "linux", not(miri)))]
mod system {
    use rustix::thread::{CpuSet, sched_setaffinity};

    pub(super) fn pin_to(processor: usize) -> bool {
        // `CpuSet::set` panics above that.
        if processor >= CpuSet::MAX_CPU {
            return false;
        }
        let mut set = CpuSet::new();
        set.set(processor);
        sched_setaffinity(None, &set).is_ok()
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
mod system {
    pub(super) fn pin_to(_processor: usize) -> bool {
        false
    }
}
