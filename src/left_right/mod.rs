//! A hash map with one writer, which publishes its changes atomically, and wait-free readers.
//!
//! The constructors of `LeftRightMap` return a `WriteHandle` and a `ReadHandle`, which have the operations.
//! [`LeftRightTable`] is a table of fixed capacity for a `static`, which works the same way without an allocator.
//!
//! # Many writers
//! With feature `std`, threads share a writer by a `SharedWriteHandle`.

#[cfg(feature = "left-right")]
mod batch;
mod bin;
#[cfg(feature = "left-right")]
mod dirty;
mod fixed;
#[cfg(feature = "left-right")]
mod inner;
#[cfg(feature = "left-right")]
mod lookup;
#[cfg(feature = "left-right")]
mod map;
#[cfg(feature = "left-right")]
mod pending;
#[cfg(feature = "left-right")]
mod reader;
#[cfg(all(feature = "left-right", feature = "serde"))]
mod serde;
#[cfg(all(feature = "left-right", feature = "std"))]
mod shared_writer;
mod side;
#[cfg(feature = "left-right")]
mod snapshot;
#[cfg(feature = "left-right")]
mod storage;
#[cfg(feature = "left-right")]
mod writer;
#[cfg(feature = "left-right")]
mod writer_core;
#[cfg(feature = "left-right")]
mod writer_view;

pub use crate::api::fixed_hasher::{FixedHashBuilder, FixedHasher};
pub use crate::api::hasher::DefaultHashBuilder;
#[cfg(feature = "left-right")]
pub use batch::Batch;
pub use fixed::{
    LeftRightTable, ReaderOf, SnapshotOf, TableReader, TableSnapshot, TableTypes, TableWriter,
    WriterOf, bins_for,
};
#[cfg(feature = "left-right")]
pub use lookup::ReadGuard;
#[cfg(feature = "left-right")]
pub use map::{Handles, LeftRightMap};
#[cfg(feature = "left-right")]
pub use reader::{ReadHandle, ReadHandleFactory};
#[cfg(all(feature = "left-right", feature = "std"))]
pub use shared_writer::{SharedWriteGuard, SharedWriteHandle};
#[cfg(feature = "left-right")]
pub use snapshot::{Iter, Lookup, Snapshot};
#[cfg(feature = "left-right")]
pub use storage::{Boxed, Inline, Storage};
#[cfg(feature = "left-right")]
pub use writer::{LeftRightStats, Pending, WriteHandle};
