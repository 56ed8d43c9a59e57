//! A bin and its operations, shared by all hash maps: the half of the table that needs no allocator.
#![cfg_attr(
    not(feature = "alloc"),
    allow(dead_code, reason = "some of it is for tables that grow")
)]

pub(crate) mod bin;
pub(crate) mod layout;
pub(crate) mod tags;
