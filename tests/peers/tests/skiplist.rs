//! The tests of crossbeam-skiplist. They import this crate by the names of the crates that they were written for.
#![allow(warnings, clippy::all, clippy::pedantic)]

extern crate self as crossbeam_epoch;
extern crate self as crossbeam_skiplist;

pub use peers::skiplist::*;

include!(concat!(env!("OUT_DIR"), "/crossbeam-skiplist/root.rs"));
