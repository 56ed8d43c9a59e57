//! The server of peers: its thread, and the peers that it admits.
//!
//! tonic's server has the certificates with which it was made. So when they are read again, another server gets the
//! connections from then on, and the one before goes on with its own.

use super::limits::SILENCE;
use super::restored::{MOST_RESTORED, RESTORES};
use super::service::{DELIVERIES, PeerService};
use super::serving::Serving;
#[cfg(feature = "tls")]
use super::socket::PeerConnection;
use super::socket::{Incoming, PeerSocket};
use super::tls::PeerTls;
use super::wire::peer_server::PeerServer as Generated;
use hedgerow_db_engine::lock::lock;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tonic::codegen::tokio_stream::{Stream, StreamExt as _};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic::{Request, Status};

/// The longest request: that with keys of a backup.
const MOST_REQUEST: usize = MOST_RESTORED;
/// The most bytes of a request's headers.
const MOST_HEADERS: u32 = 16 << 10;
/// Calls of one connection at a time.
const CALLS: u32 = 16;
/// Threads that may block: for fetches, exports, keys of a backup, messages and a digest.
const MOST_BLOCKING: usize =
    2 * super::service::FETCHES + super::export::EXPORTS + RESTORES + DELIVERIES + 1;
/// How long stopping waits for a thread that reads a file.
const STOP: Duration = Duration::from_secs(1);

/// Settings of the server.
#[derive(Clone, Default)]
pub struct PeerServerOptions {
    /// The certificates. None: without TLS.
    pub tls: Option<PeerTls>,
    /// Serve without TLS on addresses other than loopback: `cluster-insecure yes`.
    pub insecure: bool,
}

/// A running server of peers, with a thread of its own. Dropping it stops it at once.
pub struct PeerServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    latest: Latest,
    runtime: Handle,
    serving: Arc<Serving>,
}

/// Gives new connections to the server with the latest certificates.
type Latest = Arc<Mutex<UnboundedSender<PeerSocket>>>;

impl PeerServer {
    /// Serves peers at an address.
    ///
    /// # Errors
    /// If the address cannot be bound, is not a loopback address although there is no TLS, or the certificates cannot
    /// be used.
    pub fn start(
        address: SocketAddr,
        options: &PeerServerOptions,
        serving: Arc<Serving>,
    ) -> io::Result<Self> {
        if options.tls.is_none() && !options.insecure && !address.ip().to_canonical().is_loopback()
        {
            let why = format!(
                "refusing to serve peers at {address} without TLS, because it is not a loopback address: set the \
                 cluster's certificates, or cluster-insecure yes"
            );
            return Err(io::Error::new(ErrorKind::InvalidInput, why));
        }
        let first = Generation::new(options.tls.as_ref(), &serving)?;
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().max_blocking_threads(MOST_BLOCKING);
        let runtime = runtime.thread_name("hedgerow-peer").build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let (sender, given) = unbounded_channel();
        let latest = Arc::new(Mutex::new(sender));
        let (of_thread, handle) = (Arc::clone(&latest), runtime.handle().clone());
        let thread = thread::Builder::new().name("hedgerow-peer".into()).spawn(move || {
            runtime.block_on(async {
                tokio::spawn(first.serve(given));
                tokio::spawn(async move {
                    if let Err(why) = accept(listener, &of_thread).await {
                        tracing::error!("the server of peers has stopped: {why}");
                    }
                });
                // Dropping the sender is a signal as well.
                let _ = stopped.await;
            });
            // Drops the connections.
            runtime.shutdown_timeout(STOP);
        })?;
        let (stop, thread) = (Some(stop), Some(thread));
        Ok(Self { address, stop, thread, latest, runtime: handle, serving })
    }

    /// Checks other certificates. The returned function uses them for new connections.
    ///
    /// # Errors
    /// If they cannot be used.
    pub fn prepare(&self, tls: &PeerTls) -> io::Result<impl FnOnce() + Send + use<>> {
        let next = Generation::new(Some(tls), &self.serving)?;
        let (latest, runtime) = (Arc::clone(&self.latest), self.runtime.clone());
        Ok(move || {
            let (sender, given) = unbounded_channel();
            runtime.spawn(next.serve(given));
            *lock(&latest) = sender;
        })
    }

    /// Returns the address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl fmt::Debug for PeerServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerServer").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Drop for PeerServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in the thread has printed its message.
            let _ = thread.join();
        }
    }
}

fn server() -> Server {
    Server::builder()
        .max_concurrent_streams(CALLS)
        .http2_max_header_list_size(MOST_HEADERS)
        .http2_keepalive_interval(Some(SILENCE))
        .http2_keepalive_timeout(Some(SILENCE))
}

#[cfg(feature = "tls")]
fn secured(server: Server, tls: Option<&PeerTls>) -> io::Result<Server> {
    let Some(tls) = tls else { return Ok(server) };
    let invalid = |why| io::Error::new(ErrorKind::InvalidInput, why);
    tls.check_name().map_err(invalid)?;
    let unusable = |why| invalid(format!("the cluster's certificates cannot be used: {why}"));
    server.tls_config(tls.server()).map_err(unusable)
}

#[cfg(not(feature = "tls"))]
fn secured(server: Server, tls: Option<&PeerTls>) -> io::Result<Server> {
    match tls {
        None => Ok(server),
        Some(_) => Err(io::Error::new(ErrorKind::InvalidInput, super::tls::NO_TLS)),
    }
}

/// Accepts connections, and gives each to the server with the latest certificates. Returns only if it cannot begin.
async fn accept(listener: TcpListener, latest: &Latest) -> io::Result<()> {
    let mut incoming = Incoming::new(tokio::net::TcpListener::from_std(listener)?);
    while let Some(socket) = incoming.next().await {
        // Fails only if the runtime stops.
        let _ = lock(latest).send(socket?);
    }
    Ok(())
}

/// The server of the connections that are opened between two readings of the certificates.
struct Generation {
    server: Server,
    serving: Arc<Serving>,
    /// The name that peers' certificates must have; `None` without TLS.
    name: Option<String>,
}

impl Generation {
    fn new(tls: Option<&PeerTls>, serving: &Arc<Serving>) -> io::Result<Self> {
        let (server, name) = (secured(server(), tls)?, tls.map(|tls| tls.name.clone()));
        Ok(Self { server, serving: Arc::clone(serving), name })
    }

    /// Serves until no more connections are given. Those that exist go on by themselves.
    async fn serve(self, given: UnboundedReceiver<PeerSocket>) {
        let Self { mut server, serving, name } = self;
        let service =
            Generated::new(PeerService::new(serving)).max_decoding_message_size(MOST_REQUEST);
        let admit = move |request: Request<()>| admit(request, name.as_deref());
        let service = InterceptedService::new(service, admit);
        if let Err(why) = server.add_service(service).serve_with_incoming(SocketStream(given)).await
        {
            tracing::error!("a server of peers has stopped: {why}");
        }
    }
}

/// The connections that a server gets.
struct SocketStream(UnboundedReceiver<PeerSocket>);

impl Stream for SocketStream {
    type Item = io::Result<PeerSocket>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context).map(|socket| socket.map(Ok))
    }
}

/// Admits a request if the connection's certificate has the cluster's name, or there is no TLS.
#[cfg(feature = "tls")]
fn admit(request: Request<()>, name: Option<&str>) -> Result<Request<()>, Status> {
    use tonic::transport::server::TlsConnectInfo;
    if let Some(name) = name {
        let shown = request.extensions().get::<TlsConnectInfo<PeerConnection>>();
        let certificates = shown.and_then(TlsConnectInfo::peer_certs);
        super::tls::check_client(certificates.as_ref(), name).map_err(Status::permission_denied)?;
    }
    Ok(request)
}

#[cfg(not(feature = "tls"))]
#[expect(clippy::unnecessary_wraps, reason = "with TLS it refuses some")]
fn admit(request: Request<()>, _name: Option<&str>) -> Result<Request<()>, Status> {
    Ok(request)
}
