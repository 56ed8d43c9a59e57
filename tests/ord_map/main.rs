//! builds: asan default tsan
//!
//! `OrdMap` from outside: one module a subject, each with its builds in the first line.

mod map;
#[path = "../support/mod.rs"]
mod support;
mod threads;
mod user_code;
