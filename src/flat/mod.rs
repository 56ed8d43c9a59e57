//! `FlatMap`: a hash table of plain data whose reads take no lock and write nothing.
//!
//! Linear hashing over bins that never move and are never freed while shared.
//! See [`FlatMap`] for what it promises.

mod batch;
mod cursor;
mod entry;
mod iter;
mod map;
#[cfg(feature = "rayon")]
mod rayon;
#[cfg(feature = "serde")]
mod serde;
mod traits;

pub use crate::table::hasher::DefaultHashBuilder;
pub use crate::table::types::{Busy, Computed, Op, TryInsertError, TryReserveError};
pub use batch::GetEach;
pub use cursor::Cursor;
pub use entry::Entry;
pub use iter::{Iter, Keys, Values};
pub use map::{FlatMap, FlatStats};
#[cfg(feature = "rayon")]
pub use rayon::ParIter;
