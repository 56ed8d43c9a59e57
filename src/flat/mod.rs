//! Hash maps of plain data, whose lookups take no lock and write nothing.
//!
//! [`FlatMap`] grows, by linear hashing over bins that are never moved or freed while the map is shared. [`FlatTable`]
//! has a fixed capacity and needs no allocator: the whole table is one value, in a `static` for example.

// Documentation lists the methods of the first modules first.
#[cfg(feature = "alloc")]
mod map;

#[cfg(feature = "alloc")]
mod batch;
#[cfg(feature = "alloc")]
mod cursor;
#[cfg(feature = "alloc")]
mod entry;
#[cfg(feature = "alloc")]
mod fallible;
mod fixed;
#[cfg(feature = "alloc")]
mod iter;
mod lookup;
#[cfg(feature = "rayon")]
mod rayon;
#[cfg(feature = "serde")]
mod serde;
#[cfg(feature = "alloc")]
mod traits;

#[cfg(feature = "alloc")]
pub use crate::api::cursor::Cursor;
pub use crate::api::fixed_hasher::{FixedHashBuilder, FixedHasher};
pub use crate::api::hasher::DefaultHashBuilder;
pub use crate::api::op::{Computed, Op};
#[cfg(feature = "alloc")]
pub use crate::api::plain::Plain;
#[cfg(feature = "alloc")]
pub use batch::GetEach;
pub use fixed::{FlatTable, TableIter, TableKeys, TableValues, bins_for};
#[cfg(feature = "alloc")]
pub use iter::{ExtractIf, IntoIter, Iter, Keys, Values};
#[cfg(feature = "alloc")]
pub use map::{FlatMap, FlatStats};
#[cfg(feature = "rayon")]
pub use rayon::ParIter;
