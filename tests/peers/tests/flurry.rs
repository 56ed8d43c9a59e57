//! The tests of flurry. They import this crate by the names of the crates that they were written for.
#![allow(warnings, clippy::all, clippy::pedantic)]

extern crate self as flurry;
extern crate self as num_cpus;
extern crate self as seize;

pub use peers::flurry::*;

include!(concat!(env!("OUT_DIR"), "/flurry/root.rs"));
