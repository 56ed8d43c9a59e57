//! A map of bytes that keeps more of them in the same memory: what is hot plain, what is cold compressed.
//!
//! # Synchronization
//! Records lie in segments, which are only appended to, never move, and are not freed while the map is shared. The
//! index is the crate's table, and an entry is one word, which leads to a record. The version of an entry's bin
//! speaks for all that the entry leads to: whoever unlinks a record, or changes what it lies on, does so under the
//! bin's lock, and a segment is written anew only after all its records were unlinked. So a look-up is
//!
//! 1. the bin's state, acquire, and its tags ([SL-4], [FT-1]); the entry;
//! 2. what it leads to, copied by relaxed loads;
//! 3. an acquire fence and the state again ([SL-2]): unchanged, so the copy is whole and was the key's value.
//!
//! The labels are in `segment`, `pool` and `models`.

// Documentation lists the methods of the first modules first.
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
mod loads;
#[cfg(all(test, hedgerow_loom, not(hedgerow_shuttle)))]
mod loom;
mod maintenance;
mod memory;
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
mod verify;
mod write;

pub use self::builder::Builder;
pub use self::expiry::{Clock, RemovalCause};
pub use self::iter::{Iter, Keys};
pub use self::map::CompressedMap;
#[cfg(feature = "serde")]
pub use self::serde::{Format, Formatted};
pub use self::transfer::{ExportError, ImportError};
pub use self::typed::{Decode, Encode, TypedMap};
pub use self::types::{CodecStats, Merge, Policy, ReadError, Stats, StoreError};
