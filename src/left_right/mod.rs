//! A hash map with one writer, whose changes appear together, and readers that never wait.
//!
//! `LeftRightMap` makes a `WriteHandle` and a `ReadHandle`; there is more at each of the three. [`LeftRightTable`] is
//! the same of fixed size, for a `static`, without an allocator.
//!
//! # Many writers
//! With feature `std`, a `SharedWriteHandle` is a writer that threads share.

mod bucket;
#[cfg(feature = "alloc")]
mod draft;
mod fixed;
#[cfg(feature = "alloc")]
mod keep;
#[cfg(feature = "std")]
mod many;
#[cfg(feature = "alloc")]
mod map;
#[cfg(feature = "alloc")]
mod pen;
#[cfg(feature = "alloc")]
mod reader;
#[cfg(feature = "alloc")]
mod ripe;
#[cfg(feature = "serde")]
mod serde;
#[cfg(feature = "alloc")]
mod shared;
mod side;
#[cfg(feature = "alloc")]
mod snapshot;
#[cfg(feature = "alloc")]
mod unpublished;
#[cfg(feature = "alloc")]
mod writer;

pub use crate::api::fixed_hasher::{FixedHashBuilder, FixedHasher};
pub use crate::api::hasher::DefaultHashBuilder;
pub use fixed::{
    LeftRightTable, ReaderOf, SnapshotOf, TableReader, TableSnapshot, TableTypes, TableWriter,
    WriterOf, buckets_for,
};
#[cfg(feature = "alloc")]
pub use keep::{Boxed, Inline, Keep};
#[cfg(feature = "std")]
pub use many::{SharedWriteGuard, SharedWriteHandle};
#[cfg(feature = "alloc")]
pub use map::{Handles, LeftRightMap};
#[cfg(feature = "alloc")]
pub use reader::{ReadGuard, ReadHandle, ReadHandleFactory};
#[cfg(feature = "alloc")]
pub use snapshot::{Iter, Lookup, Snapshot};
#[cfg(feature = "alloc")]
pub use writer::{Pending, WriteHandle};
