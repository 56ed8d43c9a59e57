//! builds: asan default narrow portable tsan
//!
//! `CompressedMap` from outside: one module a subject, each with its builds in the first line.

#[cfg(not(any(build_narrow, build_portable, build_tsan)))]
mod alloc;
#[cfg(not(any(build_asan, build_narrow, build_portable, build_tsan)))]
mod budget;
#[cfg(not(build_portable))]
mod cache;
#[cfg(not(any(build_asan, build_narrow)))]
mod history;
#[cfg(not(any(build_portable, build_tsan)))]
mod key_in_value;
#[cfg(not(build_tsan))]
mod map;
#[cfg(not(any(build_narrow, build_portable, build_tsan)))]
mod panics;
#[cfg(not(any(build_asan, build_narrow, build_portable, build_tsan)))]
mod pauses;
#[cfg(not(any(build_asan, build_narrow, build_portable, build_tsan)))]
mod room;
#[cfg(not(any(build_asan, build_portable, build_tsan)))]
mod small;
#[path = "../support/mod.rs"]
mod support;
#[cfg(not(any(build_narrow, build_portable)))]
mod threads;
#[cfg(not(any(build_portable, build_tsan)))]
mod transfer;
#[cfg(not(any(build_narrow, build_portable, build_tsan)))]
mod user_code;

use support::alloc::Injected;

#[global_allocator]
static ALLOCATOR: Injected = Injected;
