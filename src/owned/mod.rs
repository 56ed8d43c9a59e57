//! Maps of owned data: keys and values of any type, each pair in an allocation of its own.
//!
//! The table holds pointers. A lookup returns a [`Ref`], which borrows the entry and holds a [`Guard`]; a map with a
//! guard of its own ([`Pinned`], made by `pin`, `with_guard` and `pin_owned`) returns plain references. An entry that
//! is taken out of the map is dropped when no guard is left under which it can have been found.

// Documentation lists the methods of the first modules first.
mod map;

mod ops;

mod bytes_map;

mod bytes_iter;
mod bytes_or_insert;
mod bytes_pinned;
mod bytes_tries;
mod bytes_whole;
mod entry;
mod fused;
mod iter;
mod nodes;
mod pinned;
#[cfg(feature = "rayon")]
mod rayon;
mod removed;
#[cfg(feature = "serde")]
mod serde;
mod traits;
mod tries;
mod whole;

pub use crate::api::cursor::Cursor;
pub use crate::api::hasher::DefaultHashBuilder;
pub use crate::api::op::Op;
pub use crate::reclaim::borrowed::{KeyRef, Pinned, Ref};
pub use crate::reclaim::guard::{Guard, Handle, HasGuard, OwnedGuard, Stalled, pin, try_pin};
pub use crate::reclaim::removed::Removed;
pub use bytes_iter::{BytesExtractIf, BytesIntoIter, BytesIter, PinnedBytesIter};
pub use bytes_map::BytesMap;
pub use iter::{ExtractIf, IntoIter, Iter, PinnedIter, PinnedKeys, PinnedValues};
pub use map::HashMap;
pub use nodes::OwnedStats;
#[cfg(feature = "rayon")]
pub use rayon::{ParBytesIter, ParIter};
pub use removed::RemovedBytes;
