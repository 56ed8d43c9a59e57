//! builds: asan default narrow portable tsan
//!
//! Persistent collections from outside: one module a subject, each with its builds in the first line.

#[cfg(not(any(build_narrow, build_portable)))]
mod history;
#[cfg(not(any(build_asan, build_tsan)))]
mod map;
#[cfg(not(any(build_asan, build_narrow, build_portable, build_tsan)))]
mod set;
#[cfg(not(any(build_narrow, build_portable)))]
mod snapshot_map;
#[cfg(not(any(build_narrow, build_portable, build_tsan)))]
mod snapshot_user_code;
#[path = "../support/mod.rs"]
mod support;
#[cfg(not(any(build_narrow, build_portable)))]
mod threads;
#[cfg(not(any(build_narrow, build_portable, build_tsan)))]
mod user_code;
#[cfg(not(any(build_asan, build_tsan)))]
mod vec;
