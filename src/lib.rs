//! Concurrent maps whose lookups take no lock, with or without an operating system.
//!
//! Threads share a map by reference, without a lock around it; a [`LeftRightMap`] has handles for its readers and its
//! writer. See [`docs::choosing`] to pick a map, and [`docs::guarantees`] for what you can rely on.
//!
//! | Map | Use it for | Feature |
//! |---|---|---|
//! | [`HashMap`] | keys and values of any type | |
//! | [`FlatMap`] | `Copy` keys and values, stored inline; lookups need no guard and write nothing | |
//! | [`BytesMap`] | byte strings, one allocation per entry | |
//! | [`OrdMap`] | sorted keys of any type; range queries return consistent snapshots | `ordered` |
//! | [`FenceMap`] | sorted `Copy` keys and values | `ordered` |
//! | [`SnapshotMap`] | sorted keys; snapshots and transactions of the whole map | `persistent` |
//! | [`LeftRightMap`] | one writer that publishes changes atomically; wait-free readers | `left-right` |
//! | [`CompressedMap`] | a cache or store of byte strings within a memory budget | `compressed` |
//! | [`FlatTable`] | a [`FlatMap`] of fixed capacity in a `static`, without an allocator | |
//! | [`LeftRightTable`] | a [`LeftRightMap`] of fixed capacity, likewise | `left-right-table` |
//!
//! [`PersistentMap`], [`PersistentSet`] and [`PersistentVec`] are values whose clones share structure.
//! [`HashSet`], [`FlatSet`], [`OrdSet`] and [`FenceSet`] are the corresponding sets.
//!
//! ```
//! let ports = hedgerow::HashMap::<&str, u16>::new();
//! ports.insert("https", 443);
//! std::thread::scope(|scope| {
//!     scope.spawn(|| {
//!         ports.update("https", |port| port + 8000);
//!     });
//!     scope.spawn(|| assert!([443, 8443].contains(&*ports.get("https").unwrap())));
//! });
//! assert_eq!(ports.get("https").as_deref(), Some(&8443));
//! ```
//!
//! # Guide
//! - [`docs::choosing`]: which map, which operation, which hasher.
//! - [`docs::api`]: every operation of every map in one table.
//! - [`docs::coming_from`]: migrating from dashmap, papaya, scc, moka, left-right and others.
//! - [`docs::guarantees`] and [`docs::limits`]: what the maps promise, and what they do not.
//! - [`docs::embedded`]: microcontrollers, interrupt handlers, WebAssembly.
//! - [`docs::model_checking`]: your program under loom or shuttle, with the maps in it.
//! - [`docs::how_it_works`]: the data structures in pictures.
//!
//! [`docs`] lists all pages; [`error`] documents the error types. Building these pages locally takes feature `full`.
//!
//! # Features
//! - `std` (default): seeds the default hasher from the operating system's entropy. Implies `alloc`.
//! - `alloc`: the maps that allocate. Only [`FlatTable`] and [`LeftRightTable`] work without it. Without an operating
//!   system, use `default-features = false, features = ["alloc"]`.
//! - `ordered`, `left-right`, `left-right-table`, `compressed`: the maps listed above. They are off by default because
//!   each adds a second or more to the compile time.
//! - `lz4`: the [`Lz4`](compressed::codec::Lz4) codec, which then becomes a default codec of [`CompressedMap`].
//! - `full`: all maps and `lz4`.
//! - `std-ext`: worker threads (module `std_ext`); on Linux, cheaper guards by `membarrier`. Implies `std` and `full`.
//! - `serde`: `Serialize` and `Deserialize` for the maps; implies `alloc`.
//! - `rayon`: parallel iterators; implies `std`.
//! - `defmt`: `defmt::Format` for [`FlatTable`], [`LeftRightTable`] and their errors.
//! - `portable-atomic`: atomics for targets without compare-and-swap, from the crate of that name.
//!
//! # Minimum supported Rust version
//! 1.88. Raising it is a minor change.
#![cfg_attr(not(hedgerow_shuttle), no_std)]
// Maps share most of their code. Builds with std and all maps report code that no map uses, and broken links. Builds of
// models leave some maps out, and have the models in their tests.
#![cfg_attr(
    any(not(feature = "full"), not(feature = "std"), all(hedgerow_loom, not(test))),
    allow(dead_code, unused_imports, rustdoc::broken_intra_doc_links)
)]
// Threads on WebAssembly need an unstable compiler in any case.
#![cfg_attr(
    all(target_family = "wasm", target_feature = "atomics", not(hedgerow_int_words)),
    feature(asm_experimental_arch)
)]
// On docs.rs each item shows the features that it needs, but not the flags of models.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    docsrs,
    doc(auto_cfg(hide(
        hedgerow_loom,
        hedgerow_shuttle,
        hedgerow_int_words,
        loom,
        shuttle,
        miri,
        test
    )))
)]

#[cfg(any(feature = "alloc", hedgerow_loom, loom, shuttle, test))]
extern crate alloc;
#[cfg(any(feature = "std", loom, shuttle, test))]
extern crate std;

/// Lets code that is shared with the files in `tests` name the crate as they do.
#[cfg(all(test, hedgerow_shuttle))]
extern crate self as hedgerow;

mod api;
mod bins;
#[cfg(feature = "compressed")]
pub mod compressed;
#[cfg(feature = "full")]
pub mod docs;
pub mod error;
/// The place of a key in a map, vacant or occupied, as `entry` returns it.
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
#[cfg(feature = "alloc")]
mod memory;
#[cfg(all(feature = "alloc", not(hedgerow_loom)))]
pub mod owned;
#[cfg(feature = "persistent")]
pub mod persistent;
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
#[cfg(all(feature = "persistent", not(hedgerow_loom)))]
pub use persistent::SnapshotMap;
#[cfg(feature = "persistent")]
pub use persistent::{PersistentMap, PersistentSet, PersistentVec};
#[cfg(all(feature = "ordered", not(hedgerow_loom)))]
pub use sets::{FenceSet, OrdSet};
#[cfg(all(feature = "alloc", not(hedgerow_loom)))]
pub use sets::{FlatSet, HashSet};

/// The README's examples are tests.
#[cfg(all(doctest, feature = "full"))]
#[doc = include_str!("../README.md")]
struct ReadMe;
