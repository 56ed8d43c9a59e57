//! Maps of owned data: keys and values of any type, each pair in an allocation of its own.
//!
//! The table holds pointers. A look-up borrows what it finds under a [`Guard`], which says that somebody may
//! be looking; what is taken out of the map is dropped when nobody can be looking any more.

mod bytes_iter;
mod bytes_map;
mod bytes_pinned;
mod entry;
mod fused;
mod iter;
mod map;
mod nodes;
mod ops;
mod pinned;
#[cfg(feature = "rayon")]
mod rayon;
mod removed;
#[cfg(feature = "serde")]
mod serde;
mod traits;
mod tries;

pub use crate::api::hasher::DefaultHashBuilder;
pub use crate::api::op::Op;
pub use crate::reclaim::borrowed::{Pinned, Ref};
pub use crate::reclaim::guard::{Guard, Handle, HasGuard, OwnedGuard, Stalled, pin, try_pin};
pub use crate::reclaim::removed::Removed;
pub use crate::table::cursor::Cursor;
pub use bytes_iter::{BytesIter, PinnedBytesIter};
pub use bytes_map::BytesMap;
pub use entry::{Entry, OccupiedEntry, VacantEntry};
pub use iter::{ExtractIf, IntoIter, Iter, PinnedIter, PinnedKeys, PinnedValues};
pub use map::HashMap;
#[cfg(feature = "rayon")]
pub use rayon::{ParBytesIter, ParIter};
pub use removed::RemovedBytes;
