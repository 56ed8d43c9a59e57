//! The requests that nodes send each other: the service `Peer` over gRPC (`proto/peer.proto`).
//!
//! - [`server`]: answers. `Status` says where a node is; `Digest` compares it with others; `Fetch` sends its newest
//!   snapshot, then the local log's entries.
//! - [`client`][]: asks.
//! - [`resync`]: renews a node's folder from a peer. [`receive`] checks all that comes, and [`mod@install`] replaces
//!   the files.
//! - `restored`: keys of a backup, which `Restore` stores at a primary.
//! - [`spool`]: keeps etcd's batches in a file while a folder is renewed, because etcd's are trimmed meanwhile.
//! - [`entries`]: entries as a sequence of bytes.
//!
//! # Trust
//! With TLS, both sides show a certificate of the cluster's authority that has the cluster's name. Without TLS, a node
//! serves and asks loopback addresses only, unless the settings say that the network is trusted. Nothing that a peer
//! sends is believed unchecked: messages are bounded, every chunk and every entry has a checksum, both are consecutive,
//! and a peer that sends nothing for ten seconds is given up.

mod asked;
pub(crate) mod channels;
pub mod client;
pub mod digest;
pub mod entries;
pub mod error;
mod export;
mod frame;
pub mod identity;
pub mod install;
mod limits;
mod pace;
pub mod receive;
pub(crate) mod restored;
pub mod resync;
pub mod server;
mod service;
pub mod serving;
mod slots;
mod socket;
mod source;
pub mod spool;
pub mod tls;
#[doc(hidden)]
#[expect(clippy::pedantic, clippy::allow_attributes, reason = "made by a machine")]
pub mod wire;

#[cfg(test)]
mod tests;

pub(crate) use asked::{Asked, Asks};
pub use client::{PeerClient, PeerClientOptions};
pub use error::PeerError;
pub(crate) use export::{Exported, Exports};
#[cfg(test)]
pub(crate) use export::{NextPart, next};
pub use identity::{GroupId, PeerStatus};
pub use install::install;
pub(crate) use install::{clear, has_fetched};
pub use resync::{FetchDecision, fetch};
pub use server::{PeerServer, PeerServerOptions};
pub use serving::Serving;
#[cfg(feature = "cli")]
pub(crate) use slots::SlotSize;
pub(crate) use source::least_watermark;
pub use spool::{Spool, SpoolError, SpoolReader};
pub use tls::{PeerTls, SharedTls};
