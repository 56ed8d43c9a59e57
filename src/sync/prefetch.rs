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

/// Prefetches the cache line at `address` for a store, which then need not wait until other cores have given up their
/// copies. Does nothing if the target has no such instruction.
#[cfg_attr(hedgerow_loom, allow(dead_code))] // Models of left-right maps have no tables.
#[inline(always)]
pub(crate) fn write<T>(address: *const T) {
    // All processors of this architecture accept it. The intrinsic would be `prefetcht0` on most targets.
    #[cfg(all(target_arch = "x86_64", not(any(miri, hedgerow_loom))))]
    // SAFETY: a prefetch never faults, at any address, and changes no register or flag.
    unsafe {
        core::arch::asm!("prefetchw [{0}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
    #[cfg(all(target_arch = "aarch64", not(any(miri, hedgerow_loom))))]
    // SAFETY: a prefetch never faults, at any address, and changes no register or flag.
    unsafe {
        core::arch::asm!("prfm pstl1keep, [{0}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
    let _ = address;
}
