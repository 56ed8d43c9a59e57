//! Connections to other servers: plain ones, and with TLS.

#[cfg(not(feature = "tls"))]
mod no_tls;
#[cfg(feature = "tls")]
mod tls;

#[cfg(not(feature = "tls"))]
pub use no_tls::ClientTls;
#[cfg(feature = "tls")]
pub use tls::ClientTls;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Connects to the first address of a host that accepts. The limit is for each address.
///
/// # Errors
/// If the host has no address, or none accepts.
fn connect(host: &str, port: u16, limit: Option<Duration>) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(ErrorKind::AddrNotAvailable, "no such host");
    for address in (host, port).to_socket_addrs()? {
        let connected = match limit {
            Some(limit) => TcpStream::connect_timeout(&address, limit),
            None => TcpStream::connect(address),
        };
        match connected {
            Ok(tcp) => {
                tcp.set_nodelay(true)?;
                return Ok(tcp);
            }
            Err(why) => failed = why,
        }
    }
    Err(failed)
}

/// A blocking connection. The timeouts of its socket apply, also to TLS.
#[derive(Debug)]
pub enum OutgoingStream {
    /// Without TLS.
    Plain(TcpStream),
    /// With TLS, after the handshake.
    #[cfg(feature = "tls")]
    Tls(Box<tls::TlsStream>),
}

impl OutgoingStream {
    /// Connects to a host, which is a name or an address of IP. The limit is for each of its addresses, and for each
    /// read and write. With TLS, the server's certificate must have the host.
    ///
    /// # Errors
    /// If the host cannot be reached, its certificate is refused, or the handshake ends otherwise.
    pub fn open(
        host: &str,
        port: u16,
        limit: Option<Duration>,
        tls: Option<&ClientTls>,
    ) -> io::Result<Self> {
        let tcp = connect(host, port, limit)?;
        tcp.set_read_timeout(limit)?;
        tcp.set_write_timeout(limit)?;
        match tls {
            None => Ok(Self::Plain(tcp)),
            #[cfg(feature = "tls")]
            Some(tls) => Ok(Self::Tls(Box::new(tls.begin(tcp, host)?))),
            #[cfg(not(feature = "tls"))]
            Some(tls) => match *tls {},
        }
    }

    /// Returns the socket, for its settings. Its bytes may be encrypted.
    pub fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => &tls.sock,
        }
    }

    /// Returns whether TLS has decrypted bytes that were not read, so that a read does not wait.
    #[cfg(feature = "cli")]
    pub fn has_decrypted(&mut self) -> bool {
        match self {
            Self::Plain(_) => false,
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls::has_decrypted(tls),
        }
    }
}

impl Read for OutgoingStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(into),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => match tls.read(into) {
                // Many servers end without `close_notify`. Replies have lengths, so an incomplete one is noticed.
                Err(why) if why.kind() == ErrorKind::UnexpectedEof => Ok(0),
                done => done,
            },
        }
    }
}

impl Write for OutgoingStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write(bytes),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    /// Sends the bytes that TLS has encrypted and not sent.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            #[cfg(feature = "tls")]
            Self::Tls(tls) => tls.flush(),
        }
    }
}
