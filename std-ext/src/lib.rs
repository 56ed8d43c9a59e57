//! The operating-system layer of `hedgerow`: threads that do the maintenance of its maps, and system calls.
//!
//! This package depends on no map. A [`Worker`] drives any work that comes in small steps; without threads, a main
//! loop calls the same steps. [`FenceWorkers`] are generic over [`FencedMap`], which `hedgerow` implements. With the
//! feature `std-ext`, `hedgerow` re-exports all of it as `hedgerow::std_ext`.
//!
//! [`membarrier`] is the expensive half of an asymmetric barrier, whose other half costs nothing.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod affinity;
#[cfg(not(hedgerow_loom))]
mod builder;
#[cfg(not(hedgerow_loom))]
mod counters;
mod facade;
#[cfg(not(hedgerow_loom))]
mod fence_workers;
#[cfg(all(test, hedgerow_loom))]
mod loom;
#[cfg(not(hedgerow_loom))]
mod map;
pub mod membarrier;
pub mod pages;
#[cfg(not(hedgerow_loom))]
mod pool;
mod queue;
mod scheduler;
mod ticket;
mod worker;

#[cfg(not(hedgerow_loom))]
pub use builder::FenceWorkersBuilder;
#[cfg(not(hedgerow_loom))]
pub use fence_workers::{FenceWorkers, WorkerStats};
#[cfg(not(hedgerow_loom))]
pub use map::FencedMap;
pub use queue::TrySubmitError;
pub use scheduler::Scheduler;
pub use ticket::{Canceled, Promise, Ticket};
pub use worker::{Progress, WakeHandle, Worker};
