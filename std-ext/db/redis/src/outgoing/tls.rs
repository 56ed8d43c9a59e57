//! The TLS of a client.

use crate::certificates;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use std::io;
use std::net::TcpStream;
use std::sync::Arc;

/// A connection with TLS.
pub(super) type TlsStream = StreamOwned<ClientConnection, TcpStream>;

/// How a client checks a server's certificate, and the certificate that it shows.
#[derive(Clone, Debug)]
pub struct ClientTls(Arc<ClientConfig>);

impl ClientTls {
    /// Accepts servers whose certificate one of these authorities has signed. `authorities` has their certificates as
    /// PEM. The certificate must have the name or the address of IP by which the client knows the server.
    ///
    /// # Errors
    /// If there is no certificate, or one is malformed.
    pub fn new(authorities: &[u8]) -> io::Result<Self> {
        Self::build(authorities, None)
    }

    /// Also shows the server a certificate. `certificate` has it as PEM, with those between it and its authority behind
    /// it, and `key` has its private key.
    ///
    /// # Errors
    /// As [`new`](Self::new), or if the key does not belong to the certificate.
    pub fn with_certificate(
        authorities: &[u8],
        certificate: &[u8],
        key: &[u8],
    ) -> io::Result<Self> {
        Self::build(authorities, Some((certificate, key)))
    }

    fn build(authorities: &[u8], own: Option<(&[u8], &[u8])>) -> io::Result<Self> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(certificates::roots(authorities)?);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => builder
                .with_client_auth_cert(certificates::all(certificate)?, certificates::key(key)?)
                .map_err(certificates::wrong)?,
        };
        Ok(Self(Arc::new(config)))
    }

    /// Does the handshake with a server that must have this name.
    ///
    /// # Errors
    /// If the handshake fails, or the name is none.
    pub(super) fn begin(&self, mut tcp: TcpStream, name: &str) -> io::Result<TlsStream> {
        let name = ServerName::try_from(name.to_owned())
            .map_err(|why| certificates::wrong(format_args!("{name:?}: {why}")))?;
        let mut tls = ClientConnection::new(Arc::clone(&self.0), name).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut tcp)?;
        }
        Ok(StreamOwned::new(tls, tcp))
    }
}

/// Returns whether bytes were decrypted that were not read.
#[cfg(feature = "cli")]
pub(super) fn has_decrypted(stream: &mut TlsStream) -> bool {
    stream.conn.process_new_packets().is_ok_and(|state| state.plaintext_bytes_to_read() > 0)
}
