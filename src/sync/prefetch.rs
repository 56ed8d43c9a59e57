//! Prefetching: fetching a cache line before it is needed.
//!
//! # Synchronization
//! None: a prefetch reads nothing that the program can see, and may name any address.

/// Prefetches the cache line at `address`. Does nothing if the target has no such instruction.
#[inline(always)]
pub(crate) fn read<T>(address: *const T) {
    #[cfg(all(target_arch = "x86_64", target_feature = "sse", not(any(miri, hedgerow_loom))))]
    // SAFETY: a prefetch never faults, at any address.
    unsafe {
        core::arch::x86_64::_mm_prefetch::<{ core::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(all(target_arch = "aarch64", not(any(miri, hedgerow_loom))))]
    // SAFETY: a prefetch never faults, at any address, and changes no register or flag.
    unsafe {
        core::arch::asm!("prfm pldl1keep, [{0}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
    let _ = address;
}
