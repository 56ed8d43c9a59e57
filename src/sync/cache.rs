//! Keeping a hot word alone on its cache line.
//!
//! # Synchronization
//! None: padding changes where a word lies, not how it is ordered.

/// Alone on as many bytes as the processor's caches move together: 128 on x86-64 and AArch64, whose prefetchers fetch
/// pairs of lines; 64 on RISC-V; 32 on Arm of 32 bits.
pub(crate) use crossbeam_utils::CachePadded;
