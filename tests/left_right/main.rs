//! builds: asan default narrow portable tsan
//!
//! `LeftRightMap` and `LeftRightTable` from outside: one module a subject, each with its builds in the first line.

mod alloc;
#[cfg(feature = "serde")]
mod features;
mod map;
mod stuck;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod user_code;

use support::alloc::Injected;

#[global_allocator]
static ALLOCATOR: Injected = Injected;
