//! builds: asan default narrow portable tsan
//!
//! `CompressedMap` from outside, one module a subject. Each module says in its first line for which builds it is.

mod alloc;
mod budget;
mod cache;
mod history;
mod map;
mod pauses;
mod small;
#[path = "../support/mod.rs"]
mod support;
mod threads;
mod transfer;
mod user_code;

use support::alloc::Injected;

#[global_allocator]
static ALLOCATOR: Injected = Injected;
