//! builds: asan default narrow portable tsan
//!
//! `LeftRightMap` and `LeftRightTable` from outside: one module a subject, each with its builds in the first line.

#[cfg(not(any(build_narrow, build_portable, build_tsan)))]
mod alloc;
#[cfg(not(any(build_narrow, build_portable, build_tsan)))]
mod batch;
#[cfg(feature = "serde")]
#[cfg(not(any(build_asan, build_narrow, build_tsan)))]
mod features;
mod map;
#[cfg(not(any(build_asan, build_narrow, build_portable, build_tsan)))]
mod stuck;
#[path = "../support/mod.rs"]
mod support;
mod table;
#[cfg(not(any(build_narrow, build_portable, build_tsan)))]
mod user_code;

use support::alloc::Injected;

#[global_allocator]
static ALLOCATOR: Injected = Injected;
