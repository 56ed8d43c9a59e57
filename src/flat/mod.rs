//! `FlatMap`: a hash table of plain data whose reads take no lock and write nothing.
//!
//! Linear hashing over bins of one or two cache lines that never move and are never freed while shared.
//! See [`FlatMap`] for what it promises.

mod bin;
mod directory;
mod grow;
mod iter;
mod layout;
#[cfg(all(test, hedgerow_loom))]
mod loom;
mod map;
mod memory;
mod overflow;
mod read;
mod scan;
mod split;
mod table;
mod tags;
mod traits;
mod types;
mod write;

pub use iter::{Iter, Keys, Values};
pub use map::FlatMap;
pub use types::{Busy, Computed, FlatStats, Op, TryInsertError, TryReserveError};

/// The hasher of maps that were given none: fast, keyed anew for each map from what entropy there is.
///
/// With feature `std` the keys come from the operating system's entropy too. Without, they come from
/// addresses and counters: on a target that starts the same way each time they are the same each time,
/// and an attacker who knows the image can choose colliding keys; give such a map a hasher of your own.
pub type DefaultHashBuilder = foldhash::fast::RandomState;
