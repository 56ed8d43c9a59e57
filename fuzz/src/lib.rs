//! Helpers of the fuzz targets: hashers that the input chooses, code that panics as the input says, operations on a
//! `FlatMap` and on std's `HashMap` at once, and a database's commands.

pub mod fuse;
pub mod hashing;
pub mod play;
#[cfg(feature = "db")]
pub mod server;
