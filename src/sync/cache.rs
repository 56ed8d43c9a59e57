//! The length of a cache line, and padding that keeps a contended word alone on its line.
//!
//! # Synchronization
//! None: padding changes the address of a word, not its ordering.

/// A value alone on as many bytes as the processor's caches move together: 128 on x86-64 and AArch64, whose prefetchers
/// fetch pairs of lines; 64 on RISC-V; 32 on 32-bit Arm.
pub(crate) use crossbeam_utils::CachePadded;

/// The bytes of a cache line, on nearly every processor.
pub(crate) const LINE_BYTES: usize = 64;
