//! Synchronization primitives that all structures share: payload words, the seqlock, backoff, padding, striped
//! counters, readers' slots, the asymmetric barrier, epochs, and the two sides of left-right.
//!
//! Imports go one way: `facade` ← `sync` ← structures.

pub(crate) mod backoff;
pub(crate) mod barrier;
pub(crate) mod cache;
pub(crate) mod claim;
#[cfg(feature = "alloc")]
pub(crate) mod epoch;
#[cfg(all(test, hedgerow_loom, not(hedgerow_shuttle)))]
mod handles_loom;
pub(crate) mod hint;
#[cfg(feature = "alloc")]
pub(crate) mod holder;
#[cfg(all(test, hedgerow_loom, not(hedgerow_shuttle)))]
pub(crate) mod loom;
#[cfg(feature = "compressed")]
pub(crate) mod parking;
pub(crate) mod prefetch;
#[cfg(feature = "alloc")]
pub(crate) mod published;
#[cfg(all(test, hedgerow_loom, not(hedgerow_shuttle)))]
mod published_loom;
#[cfg(feature = "alloc")]
pub(crate) mod references;
#[cfg(feature = "alloc")]
pub(crate) mod registry;
pub(crate) mod seqlock;
#[cfg(all(test, hedgerow_loom, not(hedgerow_shuttle)))]
mod seqlock_loom;
#[cfg(feature = "alloc")]
pub(crate) mod shared;
pub(crate) mod sides;
#[cfg(all(test, hedgerow_loom, not(hedgerow_shuttle)))]
mod sides_loom;
pub(crate) mod slot;
#[cfg(feature = "alloc")]
pub(crate) mod stripes;
pub(crate) mod thread_number;
#[cfg(all(test, hedgerow_loom, not(hedgerow_shuttle)))]
mod thread_number_loom;
mod wide;
pub(crate) mod words;
