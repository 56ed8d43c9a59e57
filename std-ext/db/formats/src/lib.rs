//! The byte formats of [hedgerow-db](https://docs.rs/hedgerow-db), without state: RESP, Redis's file format, numbers
//! and patterns as Redis reads them, checksums, and hash slots.
//!
//! This API is internal to `hedgerow-db`: it may change with each of its versions. Programs should use the parts that
//! `hedgerow-db` re-exports: `resp`, `rdb`, `SlotSet` and `request::LongDouble`.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod crc32;
pub mod geo;
pub mod glob;
pub mod long_double;
pub mod number;
pub mod rdb;
pub mod resp;
pub mod score;
pub mod slot_set;
pub mod slots;
