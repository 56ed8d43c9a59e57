//! builds: asan default tsan
//!
//! `OrdMap` from outside, one module a subject. Each module says in its first line for which builds it is.

mod map;
#[path = "../support/mod.rs"]
mod support;
mod threads;
mod user_code;
