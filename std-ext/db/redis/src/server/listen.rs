//! Listeners: each worker has its own for each address, and the kernel distributes the connections where it can.

use super::socket::Socket;
use crate::config::{Bind, ServerConfig};
use mio::event::Source;
use mio::net::TcpListener;
use mio::net::UnixListener;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockRef, TcpKeepalive, Type};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

/// Connections that the kernel queues until they are accepted.
const BACKLOG: i32 = 1024;
/// Whether SO_REUSEPORT distributes connections evenly. Other systems have the option too, but the last listener gets
/// all connections.
const SHARES: bool = cfg!(target_os = "linux");

/// An address that a server listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// TCP.
    Tcp(SocketAddr),
    /// TCP with TLS.
    Tls(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Tls(address) => write!(f, "{address} (TLS)"),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// An accepted connection that is not a client yet.
pub(super) struct AcceptedConnection {
    pub(super) socket: Socket,
    pub(super) tls: bool,
    /// The client's address, as `CLIENT LIST` shows it.
    pub(super) name: String,
    /// The server's address, as `CLIENT LIST` shows it.
    pub(super) to: String,
    /// Whether the client is on this machine.
    pub(super) local: bool,
}

/// A worker's listener.
pub(super) enum ServerListener {
    Tcp {
        socket_listener: TcpListener,
        tls: bool,
        keepalive: Duration,
    },
    /// A copy does not remove the file of the socket.
    Unix {
        socket_listener: UnixListener,
        path: PathBuf,
        is_copy: bool,
    },
}

/// Opens the listeners of all workers, and returns them with the addresses.
pub(super) fn open(
    config: &ServerConfig,
    threads: usize,
) -> io::Result<(Vec<Vec<ServerListener>>, Vec<Address>)> {
    let mut listeners: Vec<Vec<ServerListener>> = (0..threads).map(|_| Vec::new()).collect();
    let mut addresses = Vec::new();
    let bare = config.binds.iter().map(|bind| (bind, false));
    for (bind, tls) in bare.chain(config.tls_binds.iter().map(|bind| (bind, true))) {
        let Some(first) = open_first(bind)? else { continue };
        let address = first.local_addr()?.as_socket().unwrap_or(bind.address);
        let mut sockets = vec![first];
        if SHARES {
            for _ in 1..threads {
                sockets.push(listen(address, true).map_err(|e| cannot(&address, &e))?);
            }
        }
        for (of_thread, socket_listener) in listeners.iter_mut().zip(sockets) {
            let socket_listener = TcpListener::from_std(socket_listener.into());
            of_thread.push(ServerListener::Tcp {
                socket_listener,
                tls,
                keepalive: config.tcp_keepalive,
            });
        }
        addresses.push(if tls { Address::Tls(address) } else { Address::Tcp(address) });
    }
    if let Some(path) = &config.unix {
        listeners[0]
            .push(open_unix(path, config.unix_mode).map_err(|e| cannot(&path.display(), &e))?);
        addresses.push(Address::Unix(path.clone()));
    }
    Ok((listeners, addresses))
}

/// Opens the first listener of an address. `None` if the address is optional and this machine does not have it.
fn open_first(bind: &Bind) -> io::Result<Option<socket2::Socket>> {
    // With SO_REUSEPORT, binding succeeds although another process listens on the port. A probe without the option
    // finds that out.
    let probe = listen(bind.address, false).map(drop);
    match probe.and_then(|()| listen(bind.address, SHARES)) {
        Ok(socket_listener) => Ok(Some(socket_listener)),
        Err(e) if bind.optional && is_missing(&e) => Ok(None),
        Err(e) => Err(cannot(&bind.address, &e)),
    }
}

fn is_missing(why: &io::Error) -> bool {
    // A protocol that is not compiled into the kernel has no `ErrorKind` (97 is EAFNOSUPPORT).
    matches!(why.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported)
        || why.raw_os_error() == Some(97)
}

fn cannot(what: &dyn std::fmt::Display, why: &io::Error) -> io::Error {
    io::Error::new(why.kind(), format!("cannot listen on {what}: {why}"))
}

fn listen(address: SocketAddr, shares: bool) -> io::Result<socket2::Socket> {
    let socket =
        socket2::Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Otherwise connections of the previous process, in TIME_WAIT, would keep this one from the port.
    socket.set_reuse_address(true)?;
    if shares {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

fn open_unix(path: &std::path::Path, mode: Option<u32>) -> io::Result<ServerListener> {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    use std::os::unix::net::UnixStream;
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        // Someone listens: removing the file would take the socket from a running server.
        if UnixStream::connect(path).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        // A killed process left it behind.
        std::fs::remove_file(path)?;
    }
    let socket_listener = UnixListener::bind(path)?;
    if let Some(mode) = mode {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
    }
    Ok(ServerListener::Unix { socket_listener, path: path.to_owned(), is_copy: false })
}

impl ServerListener {
    fn source(&mut self) -> &mut dyn Source {
        match self {
            Self::Tcp { socket_listener, .. } => socket_listener,
            Self::Unix { socket_listener, .. } => socket_listener,
        }
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.source().register(registry, token, Interest::READABLE)
    }

    pub(super) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.source().deregister(registry)
    }

    /// Returns a listener for the same connections: each is accepted by one of the two.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp { socket_listener, tls, keepalive } => {
                let copy = socket_listener.as_fd().try_clone_to_owned()?;
                let socket_listener = TcpListener::from_std(copy.into());
                Self::Tcp { socket_listener, tls: *tls, keepalive: *keepalive }
            }
            Self::Unix { socket_listener, path, .. } => {
                let copy = socket_listener.as_fd().try_clone_to_owned()?;
                let socket_listener = UnixListener::from_std(copy.into());
                Self::Unix { socket_listener, path: path.clone(), is_copy: true }
            }
        })
    }

    /// Accepts a connection.
    pub(super) fn accept(&self) -> io::Result<AcceptedConnection> {
        match self {
            Self::Tcp { socket_listener, tls, keepalive } => {
                let (socket, from) = socket_listener.accept()?;
                // If an option cannot be set, the connection is slower, or a dead peer is noticed later. Neither is a
                // reason to refuse it.
                let _ = socket.set_nodelay(true);
                keep_alive(&SockRef::from(&socket), *keepalive);
                let local = from.ip().to_canonical().is_loopback();
                // The kernel knows no address of a connection that has ended by now.
                let to = socket.local_addr().map(|to| to.to_string()).unwrap_or_default();
                let name = from.to_string();
                Ok(AcceptedConnection { socket: Socket::Tcp(socket), tls: *tls, name, to, local })
            }
            Self::Unix { socket_listener, path, .. } => {
                let (socket, _) = socket_listener.accept()?;
                let name = format!("{}:0", path.display());
                let to = name.clone();
                Ok(AcceptedConnection {
                    socket: Socket::Unix(socket),
                    tls: false,
                    name,
                    to,
                    local: true,
                })
            }
        }
    }
}

/// Enables TCP keepalive after this much silence. If it cannot be set, a dead peer is noticed later.
pub fn keep_alive(socket: &SockRef<'_>, after: Duration) {
    if !after.is_zero() {
        let probes = TcpKeepalive::new().with_time(after);
        let probes = probes.with_interval((after / 3).max(Duration::from_secs(1)));
        let _ = socket.set_tcp_keepalive(&probes);
    }
}

impl Drop for ServerListener {
    fn drop(&mut self) {
        if let Self::Unix { path, is_copy: false, .. } = self {
            // If this fails, the next start finds that nobody listens on the socket, and removes it.
            let _ = std::fs::remove_file(path);
        }
    }
}
