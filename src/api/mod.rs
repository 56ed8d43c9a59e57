//! What all maps share in their interface: decisions and answers, errors, the default hasher.

#[cfg(feature = "alloc")]
pub(crate) mod entry;
pub(crate) mod hasher;
pub(crate) mod op;
#[cfg(feature = "alloc")]
pub(crate) mod plain;
#[cfg(feature = "serde")]
pub(crate) mod serde;
