//! Concurrent maps whose lookups take no lock, with or without an operating system.
//!
//! | Map | Description | Feature |
//! |---|---|---|
//! | [`HashMap`] | A hash table for keys and values of any type. | |
//! | [`FlatMap`] | A hash table of `Copy` keys and values. Lookups need no guard and write nothing. | |
//! | [`BytesMap`] | A hash table of byte strings. Each entry is one allocation. | |
//! | [`OrdMap`] | Keys and values of any type, in key order. Ranges are consistent snapshots. | `ordered` |
//! | [`FenceMap`] | The same for `Copy` keys and values. Lookups need no guard and write nothing. | `ordered` |
//! | [`LeftRightMap`] | One writer publishes its changes together; readers never wait. | `left-right` |
//! | [`CompressedMap`] | Byte strings within a memory budget, compressed if rarely read. | `compressed` |
//! | [`FlatTable`] | A [`FlatMap`] of fixed size, for a `static`, without an allocator. | |
//! | [`LeftRightTable`] | A [`LeftRightMap`] of fixed size, for the same purpose. | `left-right-table` |
//!
//! [`HashSet`], [`FlatSet`], [`OrdSet`] and [`FenceSet`] are sets.
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
//! # Pages
//! These pages are on docs.rs, and in documentation that is built with feature `full`.
//!
//! - [`docs::choosing`]: the map, the operation and the hasher for your case.
//! - [`docs::api`]: every operation of every map. An operation has the same name and meaning on all maps that have it.
//! - [`docs::coming_from`]: the calls of dashmap, moka, papaya, scc, left-right and others, and ours beside them.
//! - [`docs::guarantees`] and [`docs::limits`]: the promises of the maps, and their limits.
//! - [`docs::embedded`]: without an operating system. [`docs::how_it_works`]: the maps in pictures.
//!
//! [`docs`] lists all pages; [`error`] has the errors of all maps.
//!
//! # Features
//! - `std` (default): the default hasher is keyed from the operating system's entropy. Implies `alloc`. Without an
//!   operating system, use `default-features = false, features = ["alloc"]`.
//! - `ordered`, `left-right`, `compressed`: the maps above. `lz4`: the codec [`Lz4`](compressed::codec::Lz4). `full`:
//!   all of these. They are not in the default set because each adds a second or more to the compile time.
//! - `alloc`: maps that allocate. Without it, [`FlatTable`] remains, and with `left-right-table` [`LeftRightTable`].
//! - `std-ext`: module `std_ext`, worker threads and other parts that need an operating system. Implies `std` and
//!   `full`.
//! - `defmt`: implements its `Format` for [`FlatTable`], [`LeftRightTable`] and the errors that they return.
//! - `serde`: implements `Serialize` and `Deserialize` for the maps; implies `alloc`. `rayon`: parallel iterators;
//!   implies `std`.
//! - `portable-atomic`: atomics from the crate of that name, for targets without compare-and-swap.
//!
//! Features only add. Two of them also change a default: `std` the key of the default hasher, and `lz4` the codecs of a
//! [`CompressedMap`].
//!
//! # Minimum Rust version
//! 1.88. Raising it counts as a minor change.
#![cfg_attr(not(hedgerow_shuttle), no_std)]
// Maps share most of their code. Builds with all maps report code that no map uses, and broken links. Builds of models
// leave some maps out, and have the models in their tests.
#![cfg_attr(
    any(not(feature = "full"), all(hedgerow_loom, not(test))),
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
    doc(auto_cfg(hide(hedgerow_loom, hedgerow_shuttle, hedgerow_int_words, miri, test)))
)]

#[cfg(any(feature = "alloc", hedgerow_loom, test))]
extern crate alloc;
#[cfg(any(feature = "std", test))]
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
