//! builds: asan default narrow portable tsan
//!
//! `FenceMap` from outside: one module a subject, each with its builds in the first line.

mod alloc;
mod batches;
mod history;
mod map;
#[path = "../support/ordered_play.rs"]
mod ordered_play;
#[path = "../support/plain.rs"]
mod plain;
mod rebalance;
#[path = "../support/mod.rs"]
mod support;
mod threads;
mod user_code;
mod workers;

use support::alloc::Injected;

#[global_allocator]
static ALLOCATOR: Injected = Injected;
