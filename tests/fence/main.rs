//! builds: asan default narrow portable tsan
//!
//! `FenceMap` from outside: one module a subject, each with its builds in the first line.

#[cfg(not(any(build_narrow, build_portable, build_tsan)))]
mod alloc;
#[cfg(not(any(build_asan, build_narrow, build_portable)))]
mod batches;
#[cfg(not(build_asan))]
mod history;
#[cfg(not(any(build_asan, build_tsan)))]
mod map;
#[cfg(not(any(build_asan, build_narrow, build_portable)))]
mod rebalance;
#[path = "../support/mod.rs"]
mod support;
#[cfg(not(build_narrow))]
mod threads;
#[cfg(not(any(build_narrow, build_portable, build_tsan)))]
mod user_code;
#[cfg(not(any(build_asan, build_narrow, build_portable, build_tsan)))]
mod workers;

use support::alloc::Injected;

#[global_allocator]
static ALLOCATOR: Injected = Injected;
