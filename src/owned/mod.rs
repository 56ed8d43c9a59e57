//! Hash maps of owned data: keys and values of any type, with an allocation for each entry.
//!
//! A lookup returns a [`Ref`], which borrows the entry and holds a [`Guard`]. `pin`, `with_guard` and `pin_owned`
//! return a map together with a guard ([`Pinned`]), whose lookups return plain references. A removed entry is dropped
//! once every guard that was held at its removal has been dropped.

// rustdoc lists methods in the order of these modules: first the constructors, then operations on one key.
mod map;

mod ops;

mod bytes_map;

mod bytes_fallible;
mod bytes_get_or_insert;
mod bytes_iter;
mod bytes_pinned;
mod entry;
mod fallible;
mod hashed;
mod inline_node;
mod iter;
mod nodes;
mod pinned;
#[cfg(feature = "rayon")]
mod rayon;
mod removed_bytes;
#[cfg(feature = "serde")]
mod serde;
mod traits;

pub use crate::api::cursor::Cursor;
pub use crate::api::hasher::DefaultHashBuilder;
pub use crate::api::op::Op;
pub use crate::reclaim::borrowed::{KeyRef, Pinned, Ref};
pub use crate::reclaim::collector::{Collector, pin, try_pin};
pub use crate::reclaim::guard::{Guard, HasGuard, Stalled};
pub use crate::reclaim::handle::{Handle, OwnedGuard};
pub use crate::reclaim::removed::Removed;
pub use bytes_iter::{BytesExtractIf, BytesIntoIter, BytesIter, PinnedBytesIter};
pub use bytes_map::BytesMap;
pub use iter::{ExtractIf, IntoIter, Iter, PinnedIter, PinnedKeys, PinnedValues};
pub use map::HashMap;
pub use nodes::OwnedStats;
#[cfg(feature = "rayon")]
pub use rayon::{ParBytesIter, ParIter};
pub use removed_bytes::RemovedBytes;
