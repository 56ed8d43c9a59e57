//! What every structure stands on: payload words, the seqlock, back-off, padding, striped counters.
//!
//! Imports go one way: `facade` ← `sync` ← structures.

pub(crate) mod backoff;
#[cfg(feature = "alloc")]
pub(crate) mod cache;
pub(crate) mod prefetch;
pub(crate) mod seqlock;
#[cfg(feature = "alloc")]
pub(crate) mod stripes;
pub(crate) mod words;
