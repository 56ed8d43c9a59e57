//! `LeftRightTable`: both sides in one piece, of a size that is fixed, without an allocator.
//!
//! It is the map's protocol and the map's buckets. What it has not got is what needs memory: boxes, growth, and
//! changes that are noted while a reader is stuck. They are refused instead.

mod reader;
mod table;
mod writer;

pub use reader::{TableReader, TableSnapshot};
pub use table::LeftRightTable;
pub use writer::TableWriter;
