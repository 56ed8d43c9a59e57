//! The Redis server of [hedgerow-db](https://docs.rs/hedgerow-db): commands, scripts, users, channels, tracking,
//! sockets.
//!
//! This API is internal to `hedgerow-db`: it may change with each of its versions. Programs should use what
//! `hedgerow-db` re-exports: [`server`], [`config`] and [`limits`]. Hidden items are used by its commands and its
//! cluster.
//!
//! A [`server::Server`] executes [commands](command) on an embedded database, by [settings](config). It shows the
//! [view] that a cluster gives it, and knows nothing else of a cluster.

#![cfg_attr(docsrs, feature(doc_cfg))]
#![allow(
    clippy::missing_errors_doc,
    clippy::new_without_default,
    rustdoc::private_intra_doc_links,
    reason = "what is not documented here is used by hedgerow-db alone"
)]

#[cfg(feature = "tls")]
mod certificates;
#[doc(hidden)]
pub mod command;
pub mod config;
pub mod limits;
#[doc(hidden)]
pub mod outgoing;
#[doc(hidden)]
pub mod pubsub;
#[cfg(feature = "scripts")]
mod scripts;
pub mod server;
#[cfg(any(test, feature = "test-support"))]
#[doc(hidden)]
pub mod test_support;
mod tracking;
#[doc(hidden)]
pub mod view;
