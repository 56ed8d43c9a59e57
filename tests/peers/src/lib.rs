//! The interfaces of other concurrent maps, each a thin layer over a map of hedgerow's.
//!
//! They have what the tests of those maps use. `outcomes.txt` says which of the tests do not pass, and why.

pub mod dashmap;
pub mod flurry;
pub mod papaya;
pub mod skiplist;
