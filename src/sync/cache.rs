//! The length of a cache line, and padding that keeps a hot word alone on its line.
//!
//! # Synchronization
//! None: padding changes where a word is stored, not how it is ordered.

/// Padding to the number of bytes that the processor's caches move together: 128 on x86-64 and AArch64, whose
/// prefetchers fetch pairs of lines; 64 on RISC-V; 32 on Arm of 32 bits.
pub(crate) use crossbeam_utils::CachePadded;

/// The bytes of a cache line, on nearly every processor.
pub(crate) const LINE_BYTES: usize = 64;
