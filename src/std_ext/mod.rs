//! Background threads for maintenance, and system calls: the crate `hedgerow-std-ext`. Feature `std-ext`.
//!
//! No map needs this module, because every map does its maintenance within its callers' operations.
//!
//! - A [`Worker`] runs a closure of yours in a background thread.
//! - A [`Grower`] and a [`Compressor`] take growth and compression off inserts.
//! - [`FenceWorkers`] and [`OrdWorkers`] execute changes of contended key ranges for their callers.
//! - A [`Ticket`] is the pending result of such a request.
//!
//! ```
//! use hedgerow::FlatMap;
//! use hedgerow::std_ext::{Progress, Worker};
//! use std::sync::Arc;
//!
//! let sessions = Arc::new(FlatMap::<u64, u32>::new());
//! let shared = Arc::clone(&sessions);
//! let sweeper = Worker::spawn("sweeper", 0, move |_| {
//!     shared.retain(|_, ttl| *ttl > 0);
//!     Progress::Idle
//! })?;
//! sessions.insert(7, 0);
//! sessions.insert(8, 1);
//! sweeper.wake();
//! while sessions.contains_key(&7) {
//!     std::thread::yield_now();
//! }
//! assert!(sweeper.shutdown().is_ok() && sessions.contains_key(&8));
//! # std::io::Result::Ok(())
//! ```

mod compressor;
mod fence_workers;
mod grower;

pub use compressor::Compressor;
pub use fence_workers::{Answers, Changes, FenceWorkers, OrdWorkers};
pub use grower::Grower;
pub use hedgerow_std_ext::{
    Canceled, FenceWorkersBuilder, FencedMap, Progress, Promise, Ticket, TrySubmitError,
    WakeHandle, Worker, WorkerStats, affinity, membarrier, pages,
};
