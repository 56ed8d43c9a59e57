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
    use std::mem;

    pub(super) fn pin_to(processor: usize) -> bool {
        if processor >= 8 * size_of::<libc::cpu_set_t>() {
            return false;
        }
        // SAFETY: a set of bits, of which all zeroes is the empty one.
        let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
        // SAFETY: the set has a bit for this processor, as was just checked.
        unsafe { libc::CPU_SET(processor, &mut set) };
        // SAFETY: reads so many bytes of the set; 0 is the calling thread.
        unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) == 0 }
    }
}

#[cfg(not(all(target_os = "linux", not(miri))))]
mod system {
    pub(super) fn pin_to(_processor: usize) -> bool {
        false
    }
}
