//! The connections of the server of peers: few, and none that is silent.
//!
//! A connection counts as a peer's once a request on it was admitted: its certificate and the identity of its sender
//! are those of the cluster. Until then it counts apart, so that clients without a certificate take no place of a peer.

use hedgerow_db_engine::lock::lock;
use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep};
use tonic::codegen::tokio_stream::Stream;
use tonic::transport::server::Connected;
use tonic::{Extensions, Status};

/// Connections of peers at a time. A cluster has fewer nodes; more are closed at once.
pub(super) const CONNECTIONS: usize = 256;
/// Connections at a time that no peer has yet, as far as the server knows. The oldest is closed if there are more.
pub(super) const HANDSHAKES: usize = 128;
/// A connection from which nothing comes for this long is closed. Honest peers answer pings.
const SILENCE: Duration = Duration::from_secs(30);
/// The delay after a failed accept.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// The open connections of a server, by number. A connection whose sender is dropped closes.
#[derive(Default)]
struct Connections {
    last: u64,
    /// Those without an admitted request, the oldest first.
    handshakes: BTreeMap<u64, oneshot::Sender<()>>,
    /// Those of peers.
    admitted: BTreeMap<u64, oneshot::Sender<()>>,
}

impl Connections {
    /// Adds a connection, and closes the oldest one that is not admitted if there are too many. Returns the number of
    /// the new one, and the signal that closes it.
    fn begin(&mut self) -> (u64, oneshot::Receiver<()>) {
        if self.handshakes.len() >= HANDSHAKES {
            // The oldest: by refusing the newest, silent clients could keep all peers out.
            drop(self.handshakes.pop_first());
        }
        let (open, closed) = oneshot::channel();
        self.last += 1;
        self.handshakes.insert(self.last, open);
        (self.last, closed)
    }

    /// Counts a connection as a peer's, or closes it if there are too many. Returns whether it stays open.
    fn admit(&mut self, number: u64) -> bool {
        // Otherwise it was closed already, or admitted by an earlier request.
        if let Some(open) = self.handshakes.remove(&number)
            && self.admitted.len() < CONNECTIONS
        {
            self.admitted.insert(number, open);
        }
        self.admitted.contains_key(&number)
    }

    fn end(&mut self, number: u64) {
        self.handshakes.remove(&number);
        self.admitted.remove(&number);
    }
}

/// A connection, as the requests on it know it.
#[derive(Clone)]
pub(super) struct PeerConnection {
    number: u64,
    all: Arc<Mutex<Connections>>,
}

impl PeerConnection {
    /// Returns the connection of a request with these extensions.
    ///
    /// # Errors
    /// If the server of peers has not accepted it.
    pub(super) fn of(extensions: &Extensions) -> Result<Self, Status> {
        let found = extensions.get::<Self>().cloned();
        found.ok_or_else(|| Status::internal("a request has no connection"))
    }

    /// Counts the connection as a peer's. The caller has checked the sender of a request on it.
    ///
    /// # Errors
    /// If there are too many. The connection closes then.
    pub(super) fn admit(&self) -> Result<(), Status> {
        if lock(&self.all).admit(self.number) {
            return Ok(());
        }
        Err(Status::unavailable("it has too many connections from other nodes"))
    }
}

/// The accepted connections.
pub(super) struct Incoming {
    listener: TcpListener,
    all: Arc<Mutex<Connections>>,
    /// Set after a failed accept: usually the process is out of file descriptors.
    pause: Option<Pin<Box<Sleep>>>,
}

impl Incoming {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, all: Arc::default(), pause: None }
    }
}

impl Stream for Incoming {
    type Item = io::Result<PeerSocket>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(context));
                self.pause = None;
            }
            match ready!(self.listener.poll_accept(context)) {
                Err(_) => self.pause = Some(Box::pin(sleep(ACCEPT_RETRY))),
                Ok((stream, _)) => {
                    // Without this option, the connection is only slower.
                    let _ = stream.set_nodelay(true);
                    return Poll::Ready(Some(Ok(PeerSocket::new(stream, &self.all))));
                }
            }
        }
    }
}

/// A connection. Reading fails after too much silence, and both directions fail once the server closes it.
pub(super) struct PeerSocket {
    stream: TcpStream,
    silence: Pin<Box<Sleep>>,
    closed: oneshot::Receiver<()>,
    connection: PeerConnection,
}

impl PeerSocket {
    fn new(stream: TcpStream, all: &Arc<Mutex<Connections>>) -> Self {
        let (number, closed) = lock(all).begin();
        let connection = PeerConnection { number, all: Arc::clone(all) };
        Self { stream, silence: Box::pin(sleep(SILENCE)), closed, connection }
    }

    /// Fails if the server closes the connection. Otherwise the task is woken when it does.
    fn check_open(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match Pin::new(&mut self.closed).poll(context) {
            Poll::Ready(_) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl Drop for PeerSocket {
    fn drop(&mut self) {
        lock(&self.connection.all).end(self.connection.number);
    }
}

impl Connected for PeerSocket {
    type ConnectInfo = PeerConnection;

    fn connect_info(&self) -> PeerConnection {
        self.connection.clone()
    }
}

impl AsyncRead for PeerSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_open(context)?;
        if let Poll::Ready(done) = Pin::new(&mut self.stream).poll_read(context, into) {
            self.silence.as_mut().reset(Instant::now() + SILENCE);
            return Poll::Ready(done);
        }
        ready!(self.silence.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for PeerSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check_open(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_open(context)?;
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot::error::TryRecvError;

    #[test]
    fn the_oldest_connection_that_no_peer_has_is_closed() {
        let mut all = Connections::default();
        let (peer, mut of_peer) = all.begin();
        assert!(all.admit(peer));
        let mut waiting: Vec<_> = (0..HANDSHAKES).map(|_| all.begin()).collect();
        let mut is_open = |at: usize| waiting[at].1.try_recv() == Err(TryRecvError::Empty);
        assert!(is_open(0));
        let (newest, mut of_newest) = all.begin();
        assert!(!is_open(0), "the oldest stays");
        assert!(is_open(1));
        assert_eq!(of_peer.try_recv(), Err(TryRecvError::Empty), "a peer's is closed");
        assert_eq!(of_newest.try_recv(), Err(TryRecvError::Empty), "the newest is closed");
        let (oldest, second) = (waiting[0].0, waiting[1].0);
        assert!(!all.admit(oldest), "it is closed already");
        assert!(all.admit(second) && all.admit(newest) && all.admit(peer));
        assert_eq!((all.handshakes.len(), all.admitted.len()), (HANDSHAKES - 2, 3));
    }

    #[test]
    fn peers_have_a_number_of_connections() {
        let mut all = Connections::default();
        let mut admitted = Vec::new();
        for _ in 0..CONNECTIONS {
            let (number, closed) = all.begin();
            assert!(all.admit(number));
            admitted.push((number, closed));
        }
        let (more, mut closed) = all.begin();
        assert!(!all.admit(more), "there is no limit");
        assert_eq!(closed.try_recv(), Err(TryRecvError::Closed));
        all.end(admitted[3].0);
        let (next, _closed) = all.begin();
        assert!(all.admit(next), "a connection that has ended counts");
    }
}
