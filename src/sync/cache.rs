//! The length of a cache line, and padding that keeps a contended word alone on its line.
//!
//! # Synchronization
//! None: padding changes the address of a word, not its ordering.

/// A value alone on as many bytes as the processor's caches move together: 128 on x86-64 and AArch64, whose prefetchers
/// fetch pairs of lines; 64 on RISC-V; 32 on 32-bit Arm.
pub(crate) use crossbeam_utils::CachePadded;

/// The bytes of a cache line, on nearly every processor.
pub(crate) const LINE_BYTES: usize = 64;

/// Bytes between words that every operation reads and words that many operations write. Without them both could be on
/// one cache line, and each write would take the line away from the readers on other cores. Unlike [`CachePadded`],
/// this does not align the type around it.
#[allow(dead_code)] // Never read.
pub(crate) struct Gap([u8; LINE_BYTES]);

impl Gap {
    pub(crate) const NEW: Self = Self([0; LINE_BYTES]);
}
