//! What needs an operating system, from the crate `hedgerow-std-ext`. Feature `std-ext`.
//!
//! Nothing here is needed to use a map: every map does its own work within its callers' operations.
//! A [`Worker`] does in the background what would otherwise have to wait for a main loop, and a
//! [`Grower`] what inserts would otherwise do themselves.
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

mod grower;

pub use grower::Grower;
pub use hedgerow_std_ext::*;
