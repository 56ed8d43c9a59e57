//! Without an operating system: features, targets, interrupt handlers, maps in a `static`.
//!
//! The crate is `no_std`. CI builds it for Cortex-M0 to M33, Cortex-R, RISC-V of 32 and 64 bits, AArch64, x86-64 and
//! WebAssembly without an operating system, and runs firmware in QEMU whose interrupt handlers read and write the maps.
//!
//! # Features
//! Switch the default features off, and choose what the target has:
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
//! On a target without compare-and-swap (Cortex-M0, RISC-V without the A extension) the firmware chooses how to emulate
//! it, by a feature of portable-atomic:
//!
//! ```toml
//! hedgerow = { version = "0.1", default-features = false, features = ["alloc", "portable-atomic"] }
//! portable-atomic = { version = "1", features = ["critical-section"] } # or "unsafe-assume-single-core"
//! ```
//!
//! # Interrupt handlers
//! A handler reads with [`try_get`](crate::FlatMap::try_get). It takes no lock, allocates nothing and never waits. If
//! the handler has interrupted a write to the same bin, it returns [`Busy`](crate::error::Busy). `try_insert` never
//! waits either, but a new key may need memory from the allocator.
//!
//! A map in a `static` needs no code that initializes it, if its hasher needs none:
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
//! [Limits](super::limits#in-interrupt-handlers) says which methods of the other maps handlers may call.
//!
//! # No allocator
//! [`FlatTable`](crate::FlatTable) is that map in a fixed number of bins, inside the `static`. Handlers may call its
//! `try_insert` without restriction. If a new key finds no room, the table hands it back.
//!
//! ```
//! use hedgerow::flat::{FlatTable, bins_for};
//!
//! static LEVELS: FlatTable<u8, i16, { bins_for(40) }> = FlatTable::new();
//!
//! assert_eq!(LEVELS.try_insert(3, -1), Ok(None));
//! ```
//!
//! That `static` is all zeros, so it is in `.bss` and takes no flash. `BENCHMARKS.md` has the size of the code, and
//! `benches/flash/src/bin/interrupt.rs` is firmware with an interrupt handler. A
//! [`LeftRightTable`](crate::LeftRightTable) has one writer, and readers that never wait.
//!
//! # WebAssembly
//! All maps work on `wasm32-unknown-unknown`, with `std` too. That target has no clock: give a
//! [`CompressedMap`](crate::CompressedMap) [one of yours](crate::compressed::Builder::clock), such as
//! `performance.now()`, if values expire. Without a clock, such an insertion is an error
//! ([`NoClock`](crate::compressed::StoreError::NoClock)).
//!
//! Threads need `-C target-feature=+atomics` and a standard library that is built with it, so an unstable compiler. CI
//! runs both kinds under Node (`tests/wasm`), the second in two workers.
