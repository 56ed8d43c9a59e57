//! The tests of papaya. They import this crate by the names of the crates that they were written for.
#![allow(warnings, clippy::all, clippy::pedantic)]

extern crate self as num_cpus;
extern crate self as papaya;
extern crate self as seize;

pub use peers::papaya::*;

include!(concat!(env!("OUT_DIR"), "/papaya/root.rs"));
