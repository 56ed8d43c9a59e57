//! A map of byte strings within a memory budget, which compresses the values that are rarely read.
//!
//! Begin with [`CompressedMap`], or with [`TypedMap`] for keys and values of other types.
//! [Sizing and tuning](crate::docs::compressing) describes budgets, codecs and background work.
//!
//! # Synchronization
//! Records are stored in segments. A segment is only appended to, never moves, and is not freed while the map is
//! shared. The index is the crate's hash table; an entry is one word, the location of a record. The version of an
//! entry's bin covers the whole chain of records that the entry refers to. A writer unlinks a record, or changes the
//! link to the record below it, under the bin's lock. A segment is reused only after all its records were unlinked. A
//! lookup therefore
//!
//! 1. loads the bin's state with acquire, its tags ([SL-4], [FT-1]), and the entry;
//! 2. copies the records by relaxed loads;
//! 3. executes an acquire fence and loads the state again ([SL-2]). If it is unchanged, the copy is whole and was the
//!    key's value.
//!
//! The labels are explained in `segment`, `pool` and `models`.

// Layers. No file imports a file of a line above its own, and there is no cycle:
// - public interface: `map`, `cache`, `iter`, `transfer`, `typed`, `serde`;
// - operations: `read`, `write`, `sweep`, `steps` (maintenance outside of writes), `training`, `budget`;
// - `store`, which only joins the parts below;
// - `index`, `memory` (figures), `trainer`, `maintenance` (the state of sweeps), `expiry`, `loads`, `builder`;
// - `records` by location, over `pool` (all segments), `segment`, `record` (the layout) and `models`;
// - `codec`, `types`.

// rustdoc lists the methods of the first module first.
mod map;

mod budget;
mod builder;
mod cache;
pub mod codec;
mod codec_lock;
mod expiry;
mod hash;
mod index;
mod iter;
mod key_in_value;
mod loads;
#[cfg(all(test, hedgerow_loom, not(hedgerow_shuttle)))]
mod loom;
mod maintenance;
mod memory;
#[cfg(all(test, hedgerow_loom, not(hedgerow_shuttle)))]
mod memory_loom;
mod models;
#[cfg(all(test, hedgerow_loom, not(hedgerow_shuttle)))]
mod models_loom;
mod pool;
mod read;
mod record;
mod records;
mod segment;
#[cfg(feature = "serde")]
mod serde;
mod steps;
mod store;
mod sweep;
mod trainer;
mod training;
mod transfer;
mod typed;
mod types;
mod write;

pub use self::builder::Builder;
pub use self::codec::Corrupt;
pub use self::expiry::{Clock, RemovalCause};
pub use self::iter::{Iter, Keys};
pub use self::map::CompressedMap;
#[cfg(feature = "serde")]
pub use self::serde::{Format, Formatted};
pub use self::transfer::{ExportError, ImportError};
pub use self::typed::{Decode, Encode, TypedMap};
pub use self::types::{CodecStats, Merge, Policy, ReadError, Stats, StoreError};
