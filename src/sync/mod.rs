//! What every structure stands on: payload words, the seqlock, back-off, padding, striped counters;
//! readers' slots, the asymmetric barrier and epochs.
//!
//! Imports go one way: `facade` ← `sync` ← structures.

pub(crate) mod backoff;
#[cfg(feature = "alloc")]
pub(crate) mod barrier;
pub(crate) mod cache;
#[cfg(feature = "alloc")]
pub(crate) mod epoch;
#[cfg(all(test, hedgerow_loom))]
pub(crate) mod loom;
pub(crate) mod prefetch;
#[cfg(feature = "alloc")]
pub(crate) mod registry;
pub(crate) mod seqlock;
#[cfg(feature = "alloc")]
pub(crate) mod stripes;
pub(crate) mod words;
