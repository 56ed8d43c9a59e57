//! builds: asan default narrow
//!
//! The codecs of compressed values, one module a subject. Each module says in its first line for which builds it is.

mod lz4;
mod models;
#[path = "../support/mod.rs"]
mod support;

use support::alloc::Injected;

#[global_allocator]
static ALLOCATOR: Injected = Injected;
