//! A client's connection: a socket, with or without TLS.

use super::socket::Socket;
#[cfg(feature = "tls")]
use super::tls::{self, TlsStream};
use crate::config::ServerConfig;
#[cfg(feature = "tls")]
use hedgerow_db_engine::lock::lock;
use mio::{Interest, Registry, Token};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
#[cfg(feature = "tls")]
use std::sync::{Arc, Mutex};

/// The certificates of the listeners that speak TLS. They may be read again: clones use the latest.
#[derive(Clone, Debug, Default)]
pub(super) struct Tls {
    #[cfg(feature = "tls")]
    config: Option<Arc<Mutex<Arc<rustls::ServerConfig>>>>,
}

impl Tls {
    /// Reads the files that the configuration names.
    #[cfg(feature = "tls")]
    pub(super) fn load(config: &ServerConfig) -> io::Result<Self> {
        let read = config.tls.as_ref().map(tls::load).transpose()?;
        Ok(Self { config: read.map(|config| Arc::new(Mutex::new(config))) })
    }

    /// Uses certificates that were read again for new connections. Whether there is TLS does not change.
    #[cfg(feature = "tls")]
    pub(super) fn renew(&self, read: Self) {
        if let (Some(cell), Some(read)) = (&self.config, read.config) {
            *lock(cell) = Arc::clone(&lock(&read));
        }
    }

    /// Without the feature, there is nothing to use.
    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_self, reason = "with TLS it is used")]
    pub(super) fn renew(&self, _: Self) {}

    /// Without the feature, there is nothing to read.
    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unnecessary_wraps, reason = "with TLS it can fail")]
    pub(super) fn load(_: &ServerConfig) -> io::Result<Self> {
        Ok(Self {})
    }
}

/// A connection that commands are read from and replies are written to. No method blocks.
#[derive(Debug)]
pub(super) enum Stream {
    Bare(Socket),
    #[cfg(feature = "tls")]
    Tls(Box<TlsStream>),
}

impl Stream {
    /// Wraps an accepted socket, in TLS if its listener speaks that.
    #[cfg(feature = "tls")]
    pub(super) fn new(socket: Socket, speaks_tls: bool, tls: &Tls) -> io::Result<Self> {
        match &tls.config {
            Some(config) if speaks_tls => {
                // A clone for each connection: those that exist keep the certificates with which they began.
                let config = Arc::clone(&lock(config));
                Ok(Self::Tls(Box::new(TlsStream::new(socket, config)?)))
            }
            _ => Ok(Self::Bare(socket)),
        }
    }

    /// Wraps an accepted socket.
    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unnecessary_wraps, reason = "with TLS it can fail")]
    pub(super) fn new(socket: Socket, _: bool, _: &Tls) -> io::Result<Self> {
        Ok(Self::Bare(socket))
    }

    /// Returns about how many bytes of memory the connection takes beyond its socket.
    pub(super) fn memory(&self) -> usize {
        match self {
            Self::Bare(_) => 0,
            #[cfg(feature = "tls")]
            Self::Tls(_) => tls::MEMORY,
        }
    }

    /// Returns the number of the socket.
    pub(super) fn descriptor(&mut self) -> i32 {
        match self.socket() {
            Socket::Tcp(socket) => socket.as_raw_fd(),
            Socket::Unix(socket) => socket.as_raw_fd(),
        }
    }

    /// Registers the connection with a poll, for input.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self.socket() {
            Socket::Tcp(socket) => registry.register(socket, token, Interest::READABLE),
            Socket::Unix(socket) => registry.register(socket, token, Interest::READABLE),
        }
    }

    /// Changes the registration: for input and, if `writes`, for writable events.
    pub(super) fn reregister(
        &mut self,
        registry: &Registry,
        token: Token,
        writes: bool,
    ) -> io::Result<()> {
        let read = Interest::READABLE;
        let interest = if writes { read | Interest::WRITABLE } else { read };
        match self.socket() {
            Socket::Tcp(socket) => registry.reregister(socket, token, interest),
            Socket::Unix(socket) => registry.reregister(socket, token, interest),
        }
    }

    /// Removes the registration.
    pub(super) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self.socket() {
            Socket::Tcp(socket) => registry.deregister(socket),
            Socket::Unix(socket) => registry.deregister(socket),
        }
    }

    /// Reads some bytes; 0 if the client sends no more.
    #[inline]
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Bare(socket) => socket.read(into),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.read(into),
        }
    }

    /// Returns whether a read that did not fill its buffer has read everything.
    pub(super) fn short_read_is_all(&self) -> bool {
        // A TLS record may be decrypted and wait in rustls, of which no event of the socket tells.
        matches!(self, Self::Bare(_))
    }

    /// Writes some bytes.
    #[inline]
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Bare(socket) => socket.write(bytes),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    /// Writes the encrypted bytes that the socket did not take yet.
    #[cfg_attr(not(feature = "tls"), expect(clippy::unnecessary_wraps, reason = "TLS can fail"))]
    pub(super) fn push(&mut self) -> io::Result<()> {
        match self {
            Self::Bare(_) => Ok(()),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.push(),
        }
    }

    /// Returns whether there are encrypted bytes that the socket did not take yet.
    pub(super) fn holds_back(&self) -> bool {
        match self {
            Self::Bare(_) => false,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.holds_back(),
        }
    }

    /// Closes the writing side.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        #[cfg(feature = "tls")]
        if let Self::Tls(stream) = self {
            stream.say_goodbye();
        }
        self.socket().shutdown(Shutdown::Write)
    }

    fn socket(&mut self) -> &mut Socket {
        match self {
            Self::Bare(socket) => socket,
            #[cfg(feature = "tls")]
            Self::Tls(stream) => &mut stream.socket,
        }
    }
}
