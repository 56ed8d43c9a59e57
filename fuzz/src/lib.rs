//! What the fuzz targets share: hashers that the input chooses, and operations played on a
//! `FlatMap` and on std's `HashMap` at once.

pub mod hashing;
pub mod play;
