//! Helpers of the fuzz targets: hashers that the input chooses, code that panics as the input says, and operations on
//! a `FlatMap` and on std's `HashMap` at once.

pub mod fuse;
pub mod hashing;
pub mod play;
