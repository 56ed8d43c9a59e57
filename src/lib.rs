//! Concurrent maps for code that has no operating system, and for code that has one.
//!
//! | Map | What it is | Feature |
//! |---|---|---|
//! | [`HashMap`] | A hash table for keys and values of any type. Lookups take no lock. | |
//! | [`FlatMap`] | A hash table of plain data. Lookups take no lock and no guard, and write nothing. | |
//! | [`BytesMap`] | A hash table of byte strings, each entry in one piece of memory. | |
//! | [`OrdMap`] | Keys and values of any type, in order. Ranges are read as they were at one moment. | `ordered` |
//! | [`FenceMap`] | The same for plain data; parts of its range can have worker threads of their own. | `ordered` |
//! | [`LeftRightMap`] | One writer, whose changes appear together; readers never wait. | `left-right` |
//! | [`CompressedMap`] | Byte strings within a memory budget, compressed where seldom read. | `compressed` |
//! | [`FlatTable`] | A [`FlatMap`] of fixed size, for a `static`, without an allocator. | |
//! | [`LeftRightTable`] | A [`LeftRightMap`] of fixed size, likewise. | `left-right-table` |
//!
//! [`HashSet`], [`FlatSet`], [`OrdSet`] and [`FenceSet`] are sets. [`docs::choosing`] says which map to take, and
//! [`docs::api`] what each of them has: an operation has the same name and meaning on all maps that have it. [`error`]
//! has the errors of all of them. [`docs`] says what each map guarantees, and why it holds.
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
//! - `std` (default): the default hasher is keyed from the operating system's entropy. Implies `alloc`. Without an
//!   operating system, use `default-features = false, features = ["alloc"]`.
//! - `ordered`, `left-right`, `compressed`: the maps above. `lz4`: the codec [`Lz4`](compressed::codec::Lz4). `full`:
//!   all of these. They are not in the default set because each adds a second or more to the time that the crate takes
//!   to compile.
//! - `alloc`: maps that allocate. Without it, [`FlatTable`] and [`LeftRightTable`] remain.
//! - `std-ext`: module `std_ext`, what needs an operating system. Implies `std` and `full`.
//! - `defmt`: `Format` of [`FlatTable`] and [`LeftRightTable`], and of the errors that they return.
//! - `serde`: `Serialize` and `Deserialize`. `rayon`: parallel iterators.
//! - `portable-atomic`: atomics from the crate of that name, for targets without compare-and-swap.
//!
//! No feature changes what another one does.
#![cfg_attr(not(hedgerow_shuttle), no_std)]
// Maps share most of their code. What no map uses is found, and links are checked, where all of them are compiled.
// Models leave some maps out, and are in the tests.
#![cfg_attr(
    any(not(feature = "full"), all(hedgerow_loom, not(test))),
    allow(dead_code, unused_imports, rustdoc::broken_intra_doc_links)
)]
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
#[cfg(feature = "compressed")]
pub mod compressed;
#[cfg(feature = "full")]
pub mod docs;
pub mod error;
/// Places of keys in maps, there or not: what `entry` returns.
#[cfg(feature = "alloc")]
pub mod entry {
    pub use crate::api::entry::{Entries, Entry, ModifiedEntry, OccupiedEntry, VacantEntry};
}
mod facade;
#[cfg(feature = "ordered")]
pub mod fence;
pub mod flat;
#[cfg(all(feature = "left-right-table", not(hedgerow_loom)))]
pub mod left_right;
#[cfg(all(feature = "alloc", not(hedgerow_loom)))]
pub mod owned;
#[cfg(feature = "alloc")]
#[cfg_attr(hedgerow_loom, allow(dead_code, unused_imports, reason = "models use a part of it"))]
mod reclaim;
#[cfg(all(feature = "alloc", not(hedgerow_loom)))]
pub mod sets;
#[cfg(feature = "std-ext")]
pub mod std_ext;
mod sync;
#[cfg(feature = "alloc")]
mod table;

pub use api::op::{Computed, Op};
#[cfg(feature = "compressed")]
pub use compressed::CompressedMap;
pub use equivalent::{Comparable, Equivalent};
#[cfg(feature = "ordered")]
pub use fence::FenceMap;
#[cfg(all(feature = "ordered", not(hedgerow_loom)))]
pub use fence::OrdMap;
#[cfg(feature = "alloc")]
pub use flat::FlatMap;
pub use flat::FlatTable;
#[cfg(all(feature = "left-right", not(hedgerow_loom)))]
pub use left_right::LeftRightMap;
#[cfg(all(feature = "left-right-table", not(hedgerow_loom)))]
pub use left_right::LeftRightTable;
#[cfg(all(feature = "alloc", not(hedgerow_loom)))]
pub use owned::{BytesMap, HashMap};
#[cfg(all(feature = "ordered", not(hedgerow_loom)))]
pub use sets::{FenceSet, OrdSet};
#[cfg(all(feature = "alloc", not(hedgerow_loom)))]
pub use sets::{FlatSet, HashSet};

/// The README's examples are tests.
#[cfg(all(doctest, feature = "full"))]
#[doc = include_str!("../README.md")]
struct ReadMe;
