//! What the fuzz targets share: hashers that the input chooses, code that panics when it says so, and operations
//! played on a `FlatMap` and on std's `HashMap` at once.

pub mod fuse;
pub mod hashing;
pub mod play;
