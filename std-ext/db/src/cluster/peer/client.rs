//! Asks a peer.

use super::error::PeerError;
use super::identity::{Group, NodeId, PeerStatus};
use super::tls::PeerTls;

/// Settings of a client.
#[derive(Clone)]
pub struct PeerClientOptions {
    /// The group of this node.
    pub group: Group,
    /// This node.
    pub node: NodeId,
    /// The certificates. None: without TLS.
    pub tls: Option<PeerTls>,
    /// Ask addresses other than loopback without TLS: `cluster-insecure yes`.
    pub insecure: bool,
}

/// A client of one peer. It connects when it is first used, and again after a failure.
#[derive(Clone)]
pub struct PeerClient {}

impl PeerClient {
    /// Makes a client of the peer at `address`: `host:port`. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// If the address or the certificates cannot be used.
    pub fn new(address: &str, options: &PeerClientOptions) -> Result<Self, PeerError> {
        let _ = (address, options);
        todo!()
    }

    /// Asks the peer where it is. Takes five seconds at most.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn status(&mut self) -> Result<PeerStatus, PeerError> {
        todo!()
    }
}
