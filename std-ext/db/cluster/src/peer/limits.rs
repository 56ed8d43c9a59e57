//! Limits that both sides keep.

use std::time::Duration;

/// A peer that sends nothing for this long is given up, and so is one that takes nothing.
pub(super) const SILENCE: Duration = Duration::from_secs(10);
/// Bytes of a chunk.
pub(super) const CHUNK: usize = 64 << 10;
