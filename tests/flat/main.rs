//! builds: asan default narrow portable tsan
//!
//! `FlatMap` and `FlatTable` from outside: one module a subject, each with its builds in the first line.

mod alloc;
mod api;
mod batches;
mod fallible;
#[cfg(all(feature = "serde", feature = "rayon"))]
mod features;
mod flood;
mod growth;
mod history;
mod layouts;
#[path = "../support/play.rs"]
mod play;
#[path = "../support/second_opinion.rs"]
mod second_opinion;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod user_code;
mod values;

use support::alloc::Injected;

#[global_allocator]
static ALLOCATOR: Injected = Injected;
