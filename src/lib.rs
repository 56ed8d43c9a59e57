//! Concurrent maps for code that has no operating system, and for code that has one.
//!
//! [`FlatMap`] is a hash table of plain data whose reads take no lock, hold no guard and write
//! nothing shared. More structures are planned; [`docs::choosing`] says which, and what to use
//! meanwhile. What holds, what does not, and why, is in [`docs`].
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
//! - `alloc` (default): everything that allocates, which is all there is to use today.
//! - `std`: the default hasher is keyed from the operating system's entropy.
//! - `std-ext`: module `std_ext`, what needs an operating system. Implies `std`.
//! - `serde`: `Serialize` and `Deserialize`. `rayon`: parallel iterators.
//! - `portable-atomic`: atomics from the crate of that name, for targets without compare-and-swap.
//!
//! No feature changes what another one does.
#![no_std]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

#[cfg(feature = "alloc")]
pub mod docs;
#[cfg(feature = "alloc")]
mod facade;
#[cfg(feature = "alloc")]
pub mod flat;
#[cfg(all(feature = "alloc", not(hedgerow_loom)))]
pub mod owned;
#[cfg(feature = "std-ext")]
pub mod std_ext;
#[cfg(feature = "alloc")]
mod sync;
#[cfg(feature = "alloc")]
mod table;

#[cfg(feature = "alloc")]
pub use flat::FlatMap;
#[cfg(all(feature = "alloc", not(hedgerow_loom)))]
pub use owned::{EntryMap, StrMap};

/// The README's examples are tests.
#[cfg(all(doctest, feature = "alloc"))]
#[doc = include_str!("../README.md")]
struct ReadMe;
