//! builds: asan default narrow portable tsan
//!
//! `FlatMap` and `FlatTable` from outside: one module a subject, each with its builds in the first line.

#[cfg(not(any(build_narrow, build_portable, build_tsan)))]
mod alloc;
#[cfg(not(any(build_asan, build_narrow, build_tsan)))]
mod api;
#[cfg(not(any(build_asan, build_narrow, build_portable)))]
mod batches;
#[cfg(not(any(build_asan, build_narrow, build_portable, build_tsan)))]
mod fallible;
#[cfg(all(feature = "serde", feature = "rayon"))]
#[cfg(not(any(build_asan, build_narrow, build_tsan)))]
mod features;
#[cfg(not(any(build_asan, build_narrow, build_portable, build_tsan)))]
mod flood;
mod growth;
#[cfg(not(build_asan))]
mod history;
#[cfg(not(any(build_asan, build_portable, build_tsan)))]
mod layouts;
#[path = "../support/mod.rs"]
mod support;
#[cfg(not(build_tsan))]
mod table;
#[cfg(not(any(build_narrow, build_portable, build_tsan)))]
mod user_code;
#[cfg(not(any(build_narrow, build_portable)))]
mod values;

use support::alloc::Injected;

#[global_allocator]
static ALLOCATOR: Injected = Injected;
