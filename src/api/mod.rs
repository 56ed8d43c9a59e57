//! What all maps share in their interface: decisions and answers, errors, the default hasher.

#[cfg(feature = "defmt")]
pub(crate) mod defmt;
#[cfg(feature = "alloc")]
#[cfg_attr(hedgerow_loom, allow(dead_code, reason = "models have no maps of owned data"))]
pub(crate) mod entry;
pub(crate) mod fixed_hasher;
pub(crate) mod hasher;
pub(crate) mod op;
#[cfg(feature = "alloc")]
pub(crate) mod plain;
#[cfg(feature = "serde")]
pub(crate) mod serde;
