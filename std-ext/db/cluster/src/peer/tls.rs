//! TLS between peers: both sides show a certificate of the cluster's authority that has the cluster's name.

use crate::membership::error::StartError;
use hedgerow_db_engine::lock::lock;
use hedgerow_db_redis::config::{ClusterSettings, PeerCertificates};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// The certificates of a node, as PEM, and the name of the cluster.
#[derive(Clone)]
pub struct PeerTls {
    /// The certificates of the cluster's authority.
    pub ca: Vec<u8>,
    /// The certificate of this node, for clients and for servers. It has the cluster's name as a DNS name.
    pub cert: Vec<u8>,
    /// Its key.
    pub key: Vec<u8>,
    /// The name of the cluster. A certificate without it is refused.
    pub name: String,
}

impl PeerTls {
    /// Reads the certificates of the peer port. Without TLS, there are none.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(crate) fn read(settings: &ClusterSettings) -> Result<Option<Self>, StartError> {
        let Some(PeerCertificates { certificate, key, authorities }) = &settings.peer.tls else {
            return Ok(None);
        };
        let read = |path: &Path| {
            fs::read(path).map_err(|why| StartError::new(format!("{}: {why}", path.display())))
        };
        let (ca, cert, key) = (read(authorities)?, read(certificate)?, read(key)?);
        Ok(Some(Self { ca, cert, key, name: settings.name.clone() }))
    }
}

/// Certificates that may be read again: a new connection uses the latest.
#[derive(Clone)]
pub struct SharedTls(Arc<Mutex<PeerTls>>);

impl SharedTls {
    /// Reads the certificates of the peer port, for a client.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub(crate) fn read(settings: &ClusterSettings) -> Result<Option<Self>, StartError> {
        Ok(PeerTls::read(settings)?.map(Self::from))
    }

    /// Returns the latest certificates.
    pub fn current(&self) -> PeerTls {
        lock(&self.0).clone()
    }

    /// Replaces them.
    pub fn renew(&self, tls: PeerTls) {
        *lock(&self.0) = tls;
    }
}

impl From<PeerTls> for SharedTls {
    fn from(tls: PeerTls) -> Self {
        Self(Arc::new(Mutex::new(tls)))
    }
}

/// The error of a build without TLS.
#[cfg(not(feature = "tls"))]
pub(super) const NO_TLS: &str = "this build of the program has no TLS (feature `tls`)";

#[cfg(feature = "tls")]
impl PeerTls {
    /// Checks that the cluster's name can stand in a certificate.
    pub(super) fn check_name(&self) -> Result<(), String> {
        let name = rustls::pki_types::ServerName::try_from(self.name.as_str());
        name.map(drop).map_err(|_| {
            format!(
                "the cluster name {:?} cannot be used in a certificate: use letters, digits and -",
                self.name
            )
        })
    }

    pub(super) fn server(&self) -> tonic::transport::ServerTlsConfig {
        use tonic::transport::{Certificate, Identity, ServerTlsConfig};
        ServerTlsConfig::new()
            .identity(Identity::from_pem(&self.cert, &self.key))
            .client_ca_root(Certificate::from_pem(&self.ca))
            .timeout(super::limits::SILENCE)
    }

    pub(super) fn client(&self) -> tonic::transport::ClientTlsConfig {
        use tonic::transport::{Certificate, ClientTlsConfig, Identity};
        ClientTlsConfig::new()
            .identity(Identity::from_pem(&self.cert, &self.key))
            .ca_certificate(Certificate::from_pem(&self.ca))
            // The certificate is checked against this name, and not against the address.
            .domain_name(self.name.clone())
    }
}

/// Checks that a client's certificate has the cluster's name. TLS itself has checked that the authority signed it.
#[cfg(feature = "tls")]
pub(super) fn check_client(
    certificates: Option<&Arc<Vec<rustls::pki_types::CertificateDer<'static>>>>,
    name: &str,
) -> Result<(), &'static str> {
    use rustls::client::verify_server_name;
    use rustls::pki_types::ServerName;
    use rustls::server::ParsedCertificate;
    let wrong = "the peer's certificate does not have the cluster's name";
    // The peer's own. Those after it are of the authorities between it and the root.
    let own = certificates.and_then(|all| all.first());
    let own = own.ok_or("the peer presented no certificate")?;
    let own = ParsedCertificate::try_from(own).map_err(|_| wrong)?;
    let name = ServerName::try_from(name).map_err(|_| wrong)?;
    // The check that clients make of servers: here, the certificates of both sides have the name.
    verify_server_name(&own, &name).map_err(|_| wrong)
}
