//! `FlatMap` and its family measured against the maps one would use instead.
//!
//! `cargo run --release` in this package runs everything and prints a report;
//! `count.sh` counts instructions. Two figures are comparable because the maps
//! take turns by rounds in one process ([`contest`]), do the same work on the
//! same keys and prove it by a checksum known beforehand ([`work`]), and are not
//! charged for the cores that others took ([`clock`]).

pub mod ancestor;
pub mod clock;
pub mod cold;
pub mod contest;
pub mod data;
pub mod field;
pub mod goals;
pub mod keys;
pub mod latency;
pub mod memory;
pub mod options;
pub mod pairs;
pub mod pins;
pub mod plot;
pub mod report;
pub mod rivals;
pub mod run;
pub mod solo;
pub mod tails;
pub mod trees;
pub mod versions;
pub mod watchdog;
pub mod work;
pub mod worst;
