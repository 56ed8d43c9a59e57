//! `FlatMap` measured against the maps one would use instead of it.
//!
//! `cargo run --release` in this package runs everything and prints a report;
//! `count.sh` counts instructions. What makes two figures comparable: the maps
//! take turns by rounds in one process ([`contest`]), do the same work on the
//! same keys and prove it by a checksum known beforehand ([`workload`]), and
//! are not charged for the cores that others took ([`clock`]).

pub mod clock;
pub mod contest;
pub mod goals;
pub mod keys;
pub mod memory;
pub mod options;
pub mod plot;
pub mod report;
pub mod rivals;
pub mod round;
pub mod solo;
pub mod spin_locks;
pub mod watchdog;
pub mod workload;
pub mod worst;
