//! The server of peers: its thread, and the peers that it admits.

use super::limits::SILENCE;
use super::restored::{MOST_RESTORED, RESTORES};
use super::service::Service;
use super::serving::Serving;
use super::socket::Incoming;
use super::tls::PeerTls;
use super::wire::peer_server::PeerServer as Generated;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::sync::oneshot;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;
use tonic::{Request, Status};

/// The longest request: that with keys of a backup.
const MOST_REQUEST: usize = MOST_RESTORED;
/// The most bytes of a request's headers.
const MOST_HEADERS: u32 = 16 << 10;
/// Calls of one connection at a time.
const CALLS: u32 = 16;
/// Threads that may block: for fetches, exports, keys of a backup and a digest.
const MOST_BLOCKING: usize = 2 * super::service::FETCHES + super::export::EXPORTS + RESTORES + 1;
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
#[derive(Debug)]
pub struct PeerServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

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
                "peers are not served at {address} without TLS, because it is no loopback address: \
                 set the cluster's certificates, or cluster-insecure yes"
            );
            return Err(io::Error::new(ErrorKind::InvalidInput, why));
        }
        let server = secured(server(), options.tls.as_ref())?;
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().max_blocking_threads(MOST_BLOCKING);
        let runtime = runtime.thread_name("hedgerow-peer").build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let name = options.tls.as_ref().map(|tls| tls.name.clone());
        let thread = thread::Builder::new().name("hedgerow-peer".into()).spawn(move || {
            runtime.block_on(async {
                tokio::spawn(async move {
                    if let Err(why) = serve(server, listener, serving, name).await {
                        tracing::error!("the server of peers has stopped: {why}");
                    }
                });
                // Dropping the sender is a signal as well.
                let _ = stopped.await;
            });
            // Drops the connections.
            runtime.shutdown_timeout(STOP);
        })?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Returns the address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
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

async fn serve(
    mut server: Server,
    listener: TcpListener,
    serving: Arc<Serving>,
    name: Option<String>,
) -> Result<(), String> {
    let listener = tokio::net::TcpListener::from_std(listener).map_err(|why| why.to_string())?;
    let incoming = Incoming::new(listener);
    let service = Generated::new(Service::new(serving)).max_decoding_message_size(MOST_REQUEST);
    let admit = move |request: Request<()>| admit(request, name.as_deref());
    let service = InterceptedService::new(service, admit);
    let served = server.add_service(service).serve_with_incoming(incoming).await;
    served.map_err(|why| why.to_string())
}

/// Admits a request if the connection's certificate has the cluster's name, or there is no TLS.
#[cfg(feature = "tls")]
fn admit(request: Request<()>, name: Option<&str>) -> Result<Request<()>, Status> {
    use tonic::transport::server::TlsConnectInfo;
    if let Some(name) = name {
        let shown = request.extensions().get::<TlsConnectInfo<()>>();
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
