//! builds: asan narrow portable tsan
//!
//! `HashMap` and `BytesMap` from outside: one module a subject, each with its builds in the first line.

mod collector;
#[cfg(all(feature = "serde", feature = "rayon"))]
#[cfg(not(any(build_asan, build_narrow, build_tsan)))]
mod features;
mod garbage;
#[cfg(not(build_asan))]
mod history;
mod map;
mod pace;
#[path = "../support/mod.rs"]
mod support;
#[cfg(not(any(build_portable, build_tsan)))]
mod user_code;

use support::alloc::Injected;

#[global_allocator]
static ALLOCATOR: Injected = Injected;
