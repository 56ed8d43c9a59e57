//! TLS with rustls over non-blocking sockets.

use super::socket::Socket;
use crate::certificates;
use crate::config::{ClientCertificates, TlsFiles};
use rustls::ServerConnection;
use rustls::server::WebPkiClientVerifier;
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;

/// Reads the certificate files.
///
/// # Errors
/// If a file cannot be read or does not hold what it should; the text names it.
pub(super) fn load(files: &TlsFiles) -> io::Result<Arc<rustls::ServerConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?;
    let builder = if files.clients == ClientCertificates::Ignored {
        builder.with_no_client_auth()
    } else {
        let file = files.authorities.as_deref().ok_or_else(|| {
            certificates::wrong("tls-port requires tls-ca-cert-file, or tls-auth-clients no")
        })?;
        let roots = of_file(file, certificates::roots)?;
        let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        if files.clients == ClientCertificates::Optional {
            verifier = verifier.allow_unauthenticated();
        }
        builder.with_client_cert_verifier(verifier.build().map_err(|why| named(file, &why))?)
    };
    let certificate = of_file(&files.certificate, certificates::all)?;
    let key = of_file(&files.key, certificates::key)?;
    let config = builder.with_single_cert(certificate, key);
    Ok(Arc::new(config.map_err(|why| named(&files.certificate, &why))?))
}

/// Reads a file. An error names it.
fn of_file<T>(file: &Path, read: fn(&[u8]) -> io::Result<T>) -> io::Result<T> {
    fs::read(file).and_then(|pem| read(&pem)).map_err(|why| named(file, &why))
}

fn named(file: &Path, why: &dyn std::fmt::Display) -> io::Error {
    certificates::wrong(format_args!("{}: {why}", file.display()))
}

/// Reads of a socket in one cycle that bring no data of the client: those of a handshake, and of records without
/// content.
const READS_WITHOUT_DATA: usize = 16;

/// Approximate bytes of memory that an idle TLS connection takes, measured with 2,000 of them. rustls shows none of it.
pub(super) const MEMORY: usize = 7_700;

/// A TLS connection. rustls bounds its buffers to some records of 16 KiB in each direction.
#[derive(Debug)]
pub(super) struct TlsStream {
    pub(super) socket: Socket,
    tls: ServerConnection,
}

impl TlsStream {
    pub(super) fn new(socket: Socket, config: Arc<rustls::ServerConfig>) -> io::Result<Self> {
        Ok(Self { socket, tls: ServerConnection::new(config).map_err(io::Error::other)? })
    }

    /// Reads decrypted bytes. Returns `Interrupted` after many records without any: a client may send such records
    /// faster than they are read, and the others wait meanwhile.
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        for _ in 0..READS_WITHOUT_DATA {
            match self.tls.reader().read(into) {
                // Many clients close without a close_notify alert.
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            if self.tls.read_tls(&mut self.socket)? == 0 {
                return Ok(0);
            }
            if let Err(why) = self.tls.process_new_packets() {
                // The alert tells the client why. It does not matter whether it arrives.
                let _ = self.tls.write_tls(&mut self.socket);
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
            match self.push() {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                done => done?,
            }
        }
        Err(io::ErrorKind::Interrupted.into())
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push()?;
        let taken = self.tls.writer().write(bytes)?;
        match self.push() {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            done => done?,
        }
        // rustls takes nothing while its own buffer is full, which is no end of the connection.
        if taken == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(taken)
    }

    pub(super) fn push(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            if self.tls.write_tls(&mut self.socket)? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }

    pub(super) fn holds_back(&self) -> bool {
        self.tls.wants_write()
    }

    pub(super) fn say_goodbye(&mut self) {
        self.tls.send_close_notify();
        // A client that does not take the alert sees the socket close.
        let _ = self.push();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::net::UnixStream;
    use rustls::pki_types::PrivateKeyDer;

    fn server() -> Arc<rustls::ServerConfig> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth();
        Arc::new(builder.with_single_cert(vec![made.cert.der().clone()], key).unwrap())
    }

    /// The beginning of a long handshake message, a byte in each record.
    #[test]
    fn a_client_without_data_does_not_hold_the_thread() {
        let (mut client, socket) = UnixStream::pair().unwrap();
        let message = [1, 0, 0xff, 0xf0].into_iter().chain(std::iter::repeat_n(0, 15_000));
        let records: Vec<u8> = message.flat_map(|byte| [22, 3, 1, 0, 1, byte]).collect();
        let sent = client.write(&records).unwrap();
        assert!(sent > 80_000, "the socket takes {sent} bytes only");
        let mut stream = TlsStream::new(Socket::Unix(socket), server()).unwrap();
        let found = stream.read(&mut [0; 64]).unwrap_err().kind();
        assert_eq!(found, io::ErrorKind::Interrupted, "the whole socket was read at once");
        // The next cycle goes on, and rustls refuses so long a message in many pieces.
        let found = stream.read(&mut [0; 64]).unwrap_err().kind();
        assert_eq!(found, io::ErrorKind::InvalidData);
    }
}
