//! builds: asan narrow portable tsan
//!
//! `HashMap` and `BytesMap` from outside: one module a subject, each with its builds in the first line.

#[cfg(all(feature = "serde", feature = "rayon"))]
mod features;
mod garbage;
mod history;
mod map;
#[path = "../support/play.rs"]
mod play;
#[path = "../support/mod.rs"]
mod support;
mod user_code;

use support::alloc::Injected;

#[global_allocator]
static ALLOCATOR: Injected = Injected;
