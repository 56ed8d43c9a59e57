//! Persistent collections: values whose clones share structure.
//!
//! A clone of a [`PersistentMap`], [`PersistentSet`] or [`PersistentVec`] takes a few nanoseconds, whatever its size,
//! and is a *version*: it keeps its contents while the original changes. Use them for undo histories, for consistent
//! reports beside changes, for search trees of alternatives, and wherever you would otherwise clone a whole map.
//!
//! ```
//! use hedgerow::persistent::PersistentMap;
//!
//! let mut document = PersistentMap::from([(1, "To be"), (2, "or not to be")]);
//! let mut undo = vec![document.clone()];
//! document.insert(2, "that is the question");
//! undo.push(document.clone());
//! document.remove(&1);
//! assert_eq!(undo[0][&2], "or not to be");
//! assert_eq!(undo[1].len(), 2);
//! ```
//!
//! # How it works
//! All three are one B+-tree. Leaves have up to 64 entries in two arrays, of keys and of values, at most a kilobyte;
//! inner nodes have up to 32 children, the bounds between them, and the number of entries below each. With these
//! numbers, [`get_index`](PersistentMap::get_index) and [`rank`](PersistentMap::rank) are O(log n), and a sequence is a
//! tree without keys.
//!
//! Nodes are counted, like std's `Arc`. A change follows the path from the root to a leaf. It copies the nodes on this
//! path that other versions share, and changes the others in place. So a collection without clones is changed as std's
//! `BTreeMap` is, and a clone makes each node be copied once at most.
//!
//! <div style="overflow-x:auto">
#![doc = include_str!("../docs/pictures/versions.svg")]
//! </div>
//!
//! # What a version costs
//! The first change after a clone copies a path: a leaf, and an inner node for each level above it, 3.5 kilobytes in a
//! map of a million pairs of numbers, and 10 with strings as keys. That is 1.7 and 1.5 times what a version of imbl
//! costs; in return lookups and iteration are faster. Further changes copy what the changes before them have not, so a
//! hundred changes to one version are cheaper than a hundred versions. Entries that are copied are cloned, so large
//! values belong into an `Arc`.
//!
//! Dropping the last version of a collection drops all its entries at once, with a recursion as deep as the tree is
//! high. Where a pause of milliseconds matters, [`teardown`](PersistentMap::teardown) frees a large one in steps.
//!
//! # Compression
//! Nodes are not compressed. On leaves as these trees have them, LZ4 takes 44 % of the bytes of a time series, 30 % of
//! words with counts, and 87 % of random keys. But then a lookup in a cold leaf would decompress it, 0.2 to 1 µs where
//! it takes 20 to 170 ns now, and no lookup could return a reference to a value.
//!
//! If values are large, compress these: let them be an enum of a plain and a compressed variant, each in an `Arc`. An
//! [`insert`](PersistentMap::insert) of the compressed form replaces the plain one, and later versions share it. For
//! one version only, a [`CompressedMap`](crate::CompressedMap) does all this by itself.
//!
//! # Sources
//! - Path copying: Driscoll, Sarnak, Sleator and Tarjan, *Making Data Structures Persistent* (1986).
//! - Changes in place by the only owner: `Arc::make_mut`, as in im, imbl and rpds; Clojure's transients do the same
//!   with an explicit token, which `&mut` makes unnecessary.
//! - Counts instead of the radix search of RRB vectors (Bagwell and Rompf, 2011; Stucki and others, 2015): cutting and
//!   joining then need no exception for nodes of other sizes, and a map has them, too.
//! - Cutting a tree in two by joining what is left and right of a path: Blelloch, Ferizovic and Sun, *Just Join for
//!   Parallel Ordered Sets* (2016).
//! - Nodes of a kilobyte, with bounds that are copied keys, and neighbours merged only below a quarter: B+-trees as
//!   databases have them. imbl's nodes have 16 entries. Larger ones make lookups, iteration and destruction faster, and
//!   versions larger, but no slower to make, because fewer levels are copied.

mod balance;
mod block;
mod build;
#[cfg(any(not(hedgerow_loom), all(test, not(hedgerow_shuttle))))]
#[cfg_attr(hedgerow_loom, allow(dead_code, unreachable_pub, reason = "models use a part of it"))]
mod commit;
mod current;
mod diff;
mod edit;
mod iter;
mod join;
#[cfg(any(not(hedgerow_loom), all(test, not(hedgerow_shuttle))))]
#[cfg_attr(hedgerow_loom, allow(dead_code, reason = "models use a part of it"))]
mod log;
#[cfg(all(test, hedgerow_loom, not(hedgerow_shuttle)))]
mod loom;
pub mod map;
mod node;
#[cfg(feature = "rayon")]
pub mod rayon;
mod retain;
#[cfg(feature = "serde")]
mod serde;
pub mod set;
#[cfg(not(hedgerow_loom))]
pub mod snapshot;
mod take;
mod tree;
pub mod vec;

pub use map::{DiffItem, PersistentMap};
pub use set::PersistentSet;
#[cfg(not(hedgerow_loom))]
pub use snapshot::SnapshotMap;
pub use vec::PersistentVec;
