//! What needs an operating system, from the crate `hedgerow-std-ext`. Feature `std-ext`.
//!
//! Nothing here is needed to use a map: every map does its own work within its callers' operations.
//! A [`Worker`] does in the background what would otherwise have to wait for a main loop, a
//! [`Grower`] and a [`Compressor`] what inserts would otherwise do themselves, and [`FenceWorkers`] what writers would
//! be in each other's way with. A [`Ticket`] is what one gets for a request that somebody else may have to do first.
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

#[cfg(feature = "std-ext")]
mod compressor;
#[cfg(feature = "std-ext")]
mod crew;
#[cfg(feature = "std-ext")]
mod grower;
#[cfg(all(test, hedgerow_loom, not(hedgerow_shuttle)))]
mod loom;
mod queue;
#[cfg(feature = "std-ext")]
mod rounds;
mod ticket;
#[cfg(feature = "std-ext")]
mod workers;

#[cfg(feature = "std-ext")]
pub use compressor::Compressor;
#[cfg(feature = "std-ext")]
pub use crew::{Answers, Changes};
#[cfg(feature = "std-ext")]
pub use grower::Grower;
#[cfg(feature = "std-ext")]
pub use hedgerow_std_ext::*;
pub use queue::Refused;
pub use ticket::{Broken, Promise, Ticket};
#[cfg(feature = "std-ext")]
pub use workers::{FenceWorkers, FenceWorkersBuilder, WorkerStats};
