//! Using the maps without an operating system: features, interrupt handlers, `static` maps, WebAssembly.
//!
//! The crate is `no_std`. CI builds it for Cortex-M0 to M33, Cortex-R, RISC-V (32 and 64 bits), AArch64, x86-64 and
//! WebAssembly, and runs firmware in QEMU whose interrupt handlers read and write the maps.
//!
//! # Features
//! Disable the default features, and enable what the target supports:
//!
//! ```toml
//! # `FlatTable`, of fixed size, without an allocator:
//! hedgerow = { version = "0.1", default-features = false }
//! # `LeftRightTable` as well:
//! hedgerow = { version = "0.1", default-features = false, features = ["left-right-table"] }
//! # The maps that allocate; each of `ordered`, `left-right` and `compressed` adds more of them:
//! hedgerow = { version = "0.1", default-features = false, features = ["alloc"] }
//! ```
//!
//! On a target without compare-and-swap (Cortex-M0, RISC-V without the A extension), the firmware also selects how
//! portable-atomic emulates it:
//!
//! ```toml
//! hedgerow = { version = "0.1", default-features = false, features = ["alloc", "portable-atomic"] }
//! portable-atomic = { version = "1", features = ["critical-section"] } # or "unsafe-assume-single-core"
//! ```
//!
//! # Interrupt handlers
//! A handler reads with [`try_get`](crate::FlatMap::try_get), which takes no lock, allocates nothing and never waits.
//! It returns [`Busy`](crate::error::Busy) if the handler has interrupted a write to the same bin. `try_insert` never
//! waits either, but for a new key it may call the allocator. [Limits](super::limits#interrupt-handlers) lists what
//! handlers may call on the other maps.
//!
//! A map with a `const` hasher can be a `static`, with no initialization code:
//!
//! ```
//! use hedgerow::FlatMap;
//! use std::hash::{BuildHasherDefault, DefaultHasher}; // or any `no_std` hasher
//!
//! static READINGS: FlatMap<u8, [i16; 3], BuildHasherDefault<DefaultHasher>> =
//!     FlatMap::with_hasher(BuildHasherDefault::new());
//!
//! READINGS.insert(3, [-1, 0, 1]); // main loop
//! assert_eq!(READINGS.try_get(&3), Ok(Some([-1, 0, 1]))); // interrupt handler
//! ```
//!
//! # Without an allocator
//! [`FlatTable`](crate::FlatTable) is a [`FlatMap`](crate::FlatMap) with a fixed number of bins inside the `static`.
//! Handlers may call its `try_insert` without restriction. If there is no room for a new key, the table hands the key
//! and its value back.
//!
//! ```
//! use hedgerow::flat::{FlatTable, bins_for};
//!
//! static LEVELS: FlatTable<u8, i16, { bins_for(40) }> = FlatTable::new();
//!
//! assert_eq!(LEVELS.try_insert(3, -1), Ok(None));
//! ```
//!
//! This `static` is all zeros, so it is placed in `.bss` and takes no flash. `BENCHMARKS.md` lists code sizes;
//! `benches/flash/src/bin/interrupt.rs` is an example with an interrupt handler.
//! [`LeftRightTable`](crate::LeftRightTable) is the table for one writer and wait-free readers.
//!
//! # WebAssembly
//! All maps work on `wasm32-unknown-unknown`, with or without `std`. That target has no clock: if values of a
//! [`CompressedMap`](crate::CompressedMap) are to expire, [provide one](crate::compressed::Builder::clock), such as
//! `performance.now()`. Otherwise inserting such a value returns [`NoClock`](crate::compressed::StoreError::NoClock).
//!
//! Threads need `-C target-feature=+atomics` and a standard library built with it, hence a nightly compiler. CI runs
//! both variants under Node (`tests/wasm`).
