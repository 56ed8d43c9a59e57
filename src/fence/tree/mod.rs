//! The tree of `FenceMap` and `OrdMap`: leaves of entries, fences of leaves, a root of fences.
//!
//! | topic | modules |
//! |---|---|
//! | a leaf | [`leaf`] (layout), [`hints`], [`search`] (a key's place in it), [`arena`] (its memory) |
//! | keys | [`rank`] (an order-preserving number of each), [`policy`] (how to handle removed keys) |
//! | the way to a leaf | [`root`] and [`fence`] (hints by rank), [`descent`] (from a key to its leaf) |
//! | one entry | [`read`], [`write`](mod@write), [`neighbour`] |
//! | many entries | [`range`] and [`read_set`] (snapshots), [`walk`] and [`chunk`], [`estimate`], [`batch`] |
//! | removals of many | [`bulk_removal`] |
//! | growth | [`split`], [`merge`] |
//! | figures | [`load`] (writes and conflicts), [`stats`] |

pub(super) mod arena;
pub(super) mod batch;
pub(super) mod bulk_removal;
pub(super) mod chunk;
pub(super) mod descent;
mod estimate;
pub(super) mod fence;
pub(super) mod hints;
pub(super) mod leaf;
pub(super) mod load;
mod merge;
pub(super) mod neighbour;
pub(super) mod policy;
mod radix_sort;
pub(super) mod range;
pub(super) mod rank;
pub(super) mod read;
pub(super) mod read_set;
pub(super) mod root;
pub(super) mod search;
pub(super) mod split;
pub(super) mod stats;
pub(super) mod walk;
pub(super) mod write;
