//! A hash map with one writer, whose changes appear together, and readers that never wait.
//!
//! `LeftRightMap` makes a `WriteHandle` and a `ReadHandle`; there is more at each of the three. [`LeftRightTable`] is
//! the same of fixed size, for a `static`, without an allocator.
//!
//! # Many writers
//! With feature `std`, a `SharedWriteHandle` is a writer that threads share.

mod bucket;
#[cfg(feature = "left-right")]
mod draft;
mod fixed;
#[cfg(feature = "left-right")]
mod keep;
#[cfg(all(feature = "left-right", feature = "std"))]
mod many;
#[cfg(feature = "left-right")]
mod map;
#[cfg(feature = "left-right")]
mod pen;
#[cfg(feature = "left-right")]
mod reader;
#[cfg(feature = "left-right")]
mod ripe;
#[cfg(all(feature = "left-right", feature = "serde"))]
mod serde;
#[cfg(feature = "left-right")]
mod shared;
mod side;
#[cfg(feature = "left-right")]
mod snapshot;
#[cfg(feature = "left-right")]
mod unpublished;
#[cfg(feature = "left-right")]
mod writer;

pub use crate::api::fixed_hasher::{FixedHashBuilder, FixedHasher};
pub use crate::api::hasher::DefaultHashBuilder;
pub use fixed::{
    LeftRightTable, ReaderOf, SnapshotOf, TableReader, TableSnapshot, TableTypes, TableWriter,
    WriterOf, buckets_for,
};
#[cfg(feature = "left-right")]
pub use keep::{Boxed, Inline, Keep};
#[cfg(all(feature = "left-right", feature = "std"))]
pub use many::{SharedWriteGuard, SharedWriteHandle};
#[cfg(feature = "left-right")]
pub use map::{Handles, LeftRightMap};
#[cfg(feature = "left-right")]
pub use reader::{ReadGuard, ReadHandle, ReadHandleFactory};
#[cfg(feature = "left-right")]
pub use snapshot::{Iter, Lookup, Snapshot};
#[cfg(feature = "left-right")]
pub use writer::{LeftRightStats, Pending, WriteHandle};
