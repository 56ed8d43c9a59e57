//! What nodes ask of each other: the service `Peer` over gRPC (`peer.proto`).
//!
//! - [`server`]: answers. `Status` says where a node is; `Fetch` sends its newest snapshot, then the relay's entries.
//! - [`client`]: asks.
//! - [`resync`]: renews a node's folder from a peer.
//! - [`spool`]: keeps etcd's batches in a file while a folder is renewed, because etcd's are trimmed meanwhile.
//!
//! # Trust
//! With TLS, both sides show a certificate of the cluster's authority that has the cluster's name. Without TLS, a node
//! serves and asks only loopback addresses, unless the settings say that the network is trusted. Nothing that a peer
//! sends is believed unchecked: messages are bounded, every piece has a checksum, pieces and entries are consecutive,
//! and a peer that is silent for ten seconds is given up.

pub mod client;
pub mod error;
pub mod identity;
pub mod resync;
pub mod server;
pub mod spool;
pub mod tls;

pub use client::PeerClient;
pub use error::PeerError;
pub use identity::{Group, NodeId, PeerStatus};
pub use server::{PeerServer, Serving};
pub use spool::Spool;
pub use tls::PeerTls;
