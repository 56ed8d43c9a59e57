//! What all maps share in their interface: decisions and answers, errors, the default hasher.

pub(crate) mod hasher;
pub(crate) mod op;
