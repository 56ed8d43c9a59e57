//! builds: asan default narrow portable tsan
//!
//! `CompressedMap` from outside: one module a subject, each with its builds in the first line.

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
