//! builds: asan default narrow
//!
//! The codecs of compressed values: one module a subject, each with its builds in the first line.

#[cfg(not(any(build_asan, build_narrow, build_portable, build_tsan)))]
mod lz4;
#[cfg(not(any(build_portable, build_tsan)))]
mod models;
#[path = "../support/mod.rs"]
mod support;

use support::alloc::Injected;

#[global_allocator]
static ALLOCATOR: Injected = Injected;
