//! `FlatMap`: a hash table of plain data whose reads take no lock and write nothing.
//!
//! Linear hashing over bins that never move and are never freed while shared.
//! See [`FlatMap`] for what it promises.

mod batch;
mod bin;
mod cursor;
mod directory;
mod entry;
mod grow;
mod hasher;
mod iter;
mod layout;
#[cfg(all(test, hedgerow_loom))]
mod loom;
mod map;
mod memory;
mod overflow;
#[cfg(feature = "rayon")]
mod rayon;
mod read;
mod scan;
mod segment;
#[cfg(feature = "serde")]
mod serde;
mod split;
mod table;
mod tags;
mod traits;
mod types;
mod write;

pub use batch::GetEach;
pub use cursor::Cursor;
pub use entry::Entry;
pub use hasher::DefaultHashBuilder;
pub use iter::{Iter, Keys, Values};
pub use map::FlatMap;
#[cfg(feature = "rayon")]
pub use rayon::ParIter;
pub use types::{Busy, Computed, FlatStats, Op, TryInsertError, TryReserveError};
