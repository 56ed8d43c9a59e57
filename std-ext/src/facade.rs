//! Atomics and blocking primitives of this package: std's, or loom's in its models.
//!
//! The queue and the tickets are checked by models, so they block by the primitives that this file names. The worker
//! pool is not modelled. It takes its atomics from here because no other file may name them.

#[cfg(all(test, hedgerow_loom))]
pub(crate) use loom::sync::atomic;
#[cfg(not(hedgerow_loom))]
pub(crate) use std::sync::atomic;

/// Primitives on which threads of an operating system block.
pub(crate) mod blocking {
    #[cfg(hedgerow_loom)]
    pub(crate) use loom::sync::{Arc, Condvar, Mutex, MutexGuard};
    #[cfg(not(hedgerow_loom))]
    pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard};
}
