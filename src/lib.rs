//! Concurrent maps for code that has no operating system, and for code that has one.
#![no_std]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

mod facade;
#[cfg(feature = "alloc")]
pub mod flat;
#[cfg(feature = "std-ext")]
pub mod std_ext;
mod sync;

#[cfg(feature = "alloc")]
pub use flat::FlatMap;
