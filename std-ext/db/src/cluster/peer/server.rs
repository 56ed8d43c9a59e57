//! The server of peers.

use super::identity::{Group, NodeId, PeerStatus};
use super::tls::PeerTls;
use crate::cluster::relay::Relay;
use crate::log::folder::Folder;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

/// What a node serves to its peers.
pub struct Serving {
    /// The group of this node.
    pub group: Group,
    /// This node.
    pub node: NodeId,
    /// Returns where this node is.
    pub status: Box<dyn Fn() -> PeerStatus + Send + Sync>,
    /// The folder and its relay. None until they are open, and on a node without a folder: such a node sends no data.
    pub data: Mutex<Option<(Arc<Folder>, Arc<Relay>)>>,
}

/// Settings of the server.
pub struct PeerServerOptions {
    /// The certificates. None: without TLS.
    pub tls: Option<PeerTls>,
    /// Serve without TLS on addresses other than loopback: `cluster-insecure yes`.
    pub insecure: bool,
}

/// A running server of peers, with a thread of its own. Dropping it stops it at once.
pub struct PeerServer {}

impl PeerServer {
    /// Serves peers at an address.
    ///
    /// # Errors
    /// If the address cannot be bound, is not a loopback address although there is no TLS, or the certificates cannot
    /// be used.
    pub fn start(
        address: SocketAddr,
        options: &PeerServerOptions,
        serving: Arc<Serving>,
    ) -> io::Result<Self> {
        let _ = (address, options, serving);
        todo!()
    }

    /// Returns the address that it listens on.
    pub fn address(&self) -> SocketAddr {
        todo!()
    }
}
