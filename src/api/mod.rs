//! Shared by all maps: decisions and answers, failures, hashes and hashers, batches, cursors.

#[cfg(feature = "alloc")]
pub(crate) mod batch;
#[cfg(feature = "alloc")]
pub(crate) mod cursor;
#[cfg(feature = "defmt")]
pub(crate) mod defmt;
#[cfg(feature = "alloc")]
#[cfg_attr(hedgerow_loom, allow(dead_code, reason = "models have no maps of owned data"))]
pub(crate) mod entry;
#[cfg(feature = "alloc")]
pub(crate) mod failure;
pub(crate) mod fixed_hasher;
#[cfg_attr(not(feature = "alloc"), allow(dead_code, reason = "tables of fixed size use a part"))]
pub(crate) mod hash;
pub(crate) mod hasher;
pub(crate) mod op;
#[cfg(feature = "alloc")]
#[cfg_attr(hedgerow_loom, allow(dead_code, reason = "models have no maps of owned data"))]
pub(crate) mod or_insert;
#[cfg(feature = "alloc")]
pub(crate) mod plain;
#[cfg(feature = "serde")]
pub(crate) mod serde;
