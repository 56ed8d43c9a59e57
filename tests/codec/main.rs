//! builds: asan default narrow
//!
//! The codecs of compressed values: one module a subject, each with its builds in the first line.

mod lz4;
mod models;
#[path = "../support/mod.rs"]
mod support;

use support::alloc::Injected;

#[global_allocator]
static ALLOCATOR: Injected = Injected;
