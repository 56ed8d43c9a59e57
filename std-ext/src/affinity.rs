//! Pinning a thread to a processor.

/// Pins the calling thread to a processor. Returns whether the system has done so.
///
/// A system call that allocates nothing. Returns false if the system is not Linux, if there is no such processor, or if
/// the process may not use it.
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
        // `CpuSet::set` panics for this number.
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

#[cfg(all(test, target_os = "linux", not(miri)))]
mod tests {
    use super::pin_to;
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    #[test]
    fn a_thread_is_pinned_where_the_system_lets_it() {
        let pin = || {
            let may_use = sched_getaffinity(None).expect("a thread knows its processors");
            // A filter may refuse to change them.
            let may_pin = sched_setaffinity(None, &may_use).is_ok();
            let processor = (0..CpuSet::MAX_CPU).find(|&one| may_use.is_set(one)).unwrap();
            assert_eq!(pin_to(processor), may_pin);
            let pinned = sched_getaffinity(None).unwrap();
            assert!(!may_pin || pinned.count() == 1 && pinned.is_set(processor));
        };
        std::thread::spawn(pin).join().unwrap();
    }
}
