//! Concurrent maps for code that has no operating system, and for code that has one.
//!
//! [`FlatMap`] is a hash table of plain data whose reads take no lock, hold no guard and write nothing shared.
//! [`FlatTable`] is the same of fixed size, for a `static`, without an allocator. [`LeftRightMap`] has one writer,
//! whose changes readers that never wait see together, when it publishes them. [`FenceMap`] keeps its keys in
//! order, and reads ranges as they were at one moment; [`OrdMap`] does so for keys that own memory, as
//! [`HashMap`] is a hash table of such. [`docs::choosing`] says which map to take, [`docs::api`] what each of them has:
//! an operation has the same name and meaning on all that have it, and [`error`] is what it fails with. What holds,
//! what does not, and why, is in [`docs`].
//!
//! ```
//! let ports = hedgerow::FlatMap::<&str, u16>::new();
//! ports.insert("https", 443);
//! std::thread::scope(|scope| {
//!     scope.spawn(|| ports.update("https", |port| port + 8000));
//!     scope.spawn(|| assert!([Some(443), Some(8443)].contains(&ports.get("https"))));
//! });
//! assert_eq!(ports.get("https"), Some(8443));
//! ```
//!
//! # Features
//! - `alloc`: everything that allocates: all but [`FlatTable`] and [`LeftRightTable`].
//! - `lz4` (default): the codec [`Lz4`](compressed::codec::Lz4).
//! - `std` (default): the default hasher is keyed from the operating system's entropy. Implies `alloc`. Without an
//!   operating system, use `default-features = false, features = ["alloc"]`.
//! - `std-ext`: module `std_ext`, what needs an operating system. Implies `std`.
//! - `defmt`: `Format` of [`FlatTable`] and [`LeftRightTable`], and of the errors that they return.
//! - `serde`: `Serialize` and `Deserialize`. `rayon`: parallel iterators.
//! - `portable-atomic`: atomics from the crate of that name, for targets without compare-and-swap.
//!
//! No feature changes what another one does.
#![cfg_attr(not(hedgerow_shuttle), no_std)]
// On docs.rs each item shows the features that it needs; the flags of the models are nobody's choice there.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    docsrs,
    doc(auto_cfg(hide(hedgerow_loom, hedgerow_shuttle, hedgerow_int_words, miri, test)))
)]

#[cfg(any(feature = "alloc", hedgerow_loom, test))]
extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

/// What is shared with the tests in `tests` knows the crate by its name.
#[cfg(all(test, hedgerow_shuttle))]
extern crate self as hedgerow;

mod api;
mod bins;
#[cfg(feature = "alloc")]
pub mod compressed;
#[cfg(feature = "alloc")]
pub mod docs;
pub mod error;
/// Places of keys in maps, there or not: what `entry` returns.
#[cfg(feature = "alloc")]
pub mod entry {
    pub use crate::api::entry::{Entries, Entry, ModifiedEntry, OccupiedEntry, VacantEntry};
}
mod facade;
#[cfg(feature = "alloc")]
pub mod fence;
pub mod flat;
#[cfg(not(hedgerow_loom))]
pub mod left_right;
#[cfg(all(feature = "alloc", not(hedgerow_loom)))]
pub mod owned;
#[cfg(feature = "alloc")]
#[cfg_attr(hedgerow_loom, allow(dead_code, unused_imports, reason = "models use a part of it"))]
mod reclaim;
#[cfg(all(feature = "alloc", not(hedgerow_loom)))]
pub mod sets;
#[cfg(any(feature = "std-ext", all(test, hedgerow_loom)))]
pub mod std_ext;
mod sync;
#[cfg(feature = "alloc")]
mod table;

pub use api::op::{Computed, Op};
#[cfg(feature = "alloc")]
pub use compressed::CompressedMap;
pub use equivalent::{Comparable, Equivalent};
#[cfg(feature = "alloc")]
pub use fence::FenceMap;
#[cfg(all(feature = "alloc", not(hedgerow_loom)))]
pub use fence::OrdMap;
#[cfg(feature = "alloc")]
pub use flat::FlatMap;
pub use flat::FlatTable;
#[cfg(all(feature = "alloc", not(hedgerow_loom)))]
pub use left_right::LeftRightMap;
#[cfg(not(hedgerow_loom))]
pub use left_right::LeftRightTable;
#[cfg(all(feature = "alloc", not(hedgerow_loom)))]
pub use owned::{BytesMap, HashMap};
#[cfg(all(feature = "alloc", not(hedgerow_loom)))]
pub use sets::{FenceSet, FlatSet, HashSet, OrdSet};

/// The README's examples are tests.
#[cfg(all(doctest, feature = "alloc"))]
#[doc = include_str!("../README.md")]
struct ReadMe;
