//! Certificates and keys as PEM.

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt::Display;
use std::io::{self, ErrorKind};

/// Returns all certificates of a text.
///
/// # Errors
/// If there is none, or one is malformed.
pub(crate) fn all(pem: &[u8]) -> io::Result<Vec<CertificateDer<'static>>> {
    let all = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().map_err(wrong)?;
    if all.is_empty() { Err(wrong("the file contains no certificate")) } else { Ok(all) }
}

/// Returns the authorities of a text.
///
/// # Errors
/// If there is none, or one is malformed.
pub(crate) fn roots(pem: &[u8]) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for authority in all(pem)? {
        roots.add(authority).map_err(wrong)?;
    }
    Ok(roots)
}

/// Returns the private key of a text.
///
/// # Errors
/// If there is none, or it is malformed.
pub(crate) fn key(pem: &[u8]) -> io::Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(pem).map_err(wrong)
}

/// Returns the error of something else than was expected.
pub(crate) fn wrong(why: impl Display) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, why.to_string())
}
