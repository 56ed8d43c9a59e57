//! TLS between peers: both sides show a certificate of the cluster's authority.

/// The certificates of a node, as PEM, and the name of the cluster.
#[derive(Clone)]
pub struct PeerTls {
    /// The certificates of the cluster's authority.
    pub ca: Vec<u8>,
    /// The certificate of this node. It has the cluster's name as a DNS name, and serves as client and as server.
    pub cert: Vec<u8>,
    /// Its key.
    pub key: Vec<u8>,
    /// The name of the cluster. A certificate without it is refused.
    pub name: String,
}
