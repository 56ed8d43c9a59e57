//! The tests of dashmap. They import this crate by the names of the crates that they were written for.
#![allow(warnings, clippy::all, clippy::pedantic)]

extern crate self as dashmap;

pub use peers::dashmap::*;

include!(concat!(env!("OUT_DIR"), "/dashmap/root.rs"));
