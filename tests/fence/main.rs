//! builds: asan default narrow portable tsan
//!
//! `FenceMap` from outside, one module a subject. Each module says in its first line for which builds it is.

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
