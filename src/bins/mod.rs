//! One bin, and what all hash maps know of it: the half of the table that needs no allocator.
#![cfg_attr(
    not(feature = "alloc"),
    allow(dead_code, reason = "some of it is for tables that grow")
)]

pub(crate) mod bin;
pub(crate) mod layout;
pub(crate) mod tags;
