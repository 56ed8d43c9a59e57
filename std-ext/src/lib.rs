//! The operating-system layer of `hedgerow`: what its maps can do by themselves, done by a thread.
//!
//! This crate knows none of the maps. Whatever has work to do in small steps is driven by a
//! [`Worker`]; where there are no threads, a main loop calls the same steps. With feature `std-ext`
//! all of it is found under `hedgerow::std_ext`.
//!
//! [`membarrier`] is the dear half of an asymmetric barrier, whose cheap half costs nothing.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod affinity;
pub mod membarrier;
pub mod pages;
mod worker;

pub use worker::{Bell, Progress, Worker};
