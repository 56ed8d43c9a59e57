//! Limits of a gRPC connection: it counts as a client, and closes when it is silent for too long. The bytes of all its
//! requests and responses in memory are counted, in however many calls.
//!
//! A response is counted from its creation until its last bytes are handed to HTTP/2, which takes them in small pieces
//! as the client reads.

use futures_util::Stream;
use futures_util::stream;
use hedgerow_db_engine::gauge::Gauge;
use hedgerow_db_redis::command::{ClientInfo, ClientSizes, DEFAULT_USER, TrackingInfo};
use hedgerow_db_redis::server::RuntimeConfig;
use hedgerow_db_redis::server::keep_alive;
use http_body::{Body as HttpBody, Frame};
use prost::bytes::Bytes;
use socket2::SockRef;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, Sleep};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Service, StdError, http};
use tonic::server::NamedService;
use tonic::transport::server::Connected;

/// Bytes of a response that HTTP/2 gets at a time.
const PIECE: usize = 64 << 10;
/// How often a connection checks its silence at most.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The delay after a failed accept.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// A connection, as its calls see it.
#[derive(Clone)]
pub(super) struct Peer(Arc<StreamUsage>);

struct StreamUsage {
    runtime_config: Arc<RuntimeConfig>,
    /// The addresses of the client and of the server. The system does not tell those of a connection that has ended.
    addresses: [Option<SocketAddr>; 2],
    since: Instant,
    /// Bytes of requests in memory.
    input: Gauge,
    /// Bytes of responses in memory.
    output: Gauge,
    /// Calls that wait for the server and not for their client: meanwhile the client is not silent.
    busy: Gauge,
}

impl Peer {
    pub(super) fn new(
        runtime_config: &Arc<RuntimeConfig>,
        addresses: [Option<SocketAddr>; 2],
    ) -> Self {
        let none = Gauge::default;
        Self(Arc::new(StreamUsage {
            runtime_config: Arc::clone(runtime_config),
            addresses,
            since: Instant::now(),
            input: none(),
            output: none(),
            busy: none(),
        }))
    }

    /// Adds an entry to ACL LOG: the client has sent a wrong password.
    pub(super) fn log_wrong_password(&self) {
        let usage = &self.0;
        let shown =
            |address: Option<SocketAddr>| address.map_or_else(String::new, |it| it.to_string());
        let [address, local_address] = usage.addresses.map(shown);
        let client = ClientInfo {
            // CLIENT LIST has no clients of gRPC, so there is no id by which it can be found.
            id: 0,
            address: &address,
            local_address: &local_address,
            name: b"",
            age: usage.since.elapsed().as_secs(),
            idle: 0,
            database: 0,
            protocol: 0,
            command: "grpc",
            user: DEFAULT_USER,
            library: b"",
            library_version: b"",
            waits: false,
            subscriptions: [0; 3],
            tracking: TrackingInfo::default(),
            descriptor: -1,
            sizes: ClientSizes::default(),
        };
        usage.runtime_config.users().log_wrong_password(b"authorization", &client);
    }

    /// Returns the connection of a request.
    pub(super) fn of(extensions: &http::Extensions) -> Option<Self> {
        #[cfg(feature = "tls")]
        {
            use tonic::transport::server::TlsConnectInfo;
            if let Some(info) = extensions.get::<TlsConnectInfo<Self>>() {
                return Some(info.get_ref().clone());
            }
        }
        extensions.get::<Self>().cloned()
    }

    /// Makes an empty reservation for a response.
    pub(super) fn reserve(&self) -> Reservation {
        Reservation { peer: self.clone(), bytes: 0 }
    }

    /// Marks the connection as busy until the result is dropped: the timeout does not apply.
    pub(super) fn busy(&self) -> BusyCall {
        self.0.busy.add(1);
        BusyCall(self.clone())
    }
}

/// A call that waits for the server and not for its client.
pub(super) struct BusyCall(Peer);

impl Drop for BusyCall {
    fn drop(&mut self) {
        self.0.0.busy.sub(1);
    }
}

/// Bytes of a response, counted until this is dropped.
pub(super) struct Reservation {
    peer: Peer,
    bytes: usize,
}

impl Reservation {
    /// Adds bytes. Returns whether they are within the limit.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let usage = &self.peer.0;
        // Add before comparing, so that two calls cannot both take the last bytes.
        let before = usage.output.add(bytes as u64) as usize;
        self.bytes += bytes;
        before.saturating_add(bytes) <= usage.runtime_config.buffer_limits().output.hard
    }

    /// Takes over bytes that another reservation of the same connection counts.
    pub(super) fn take(&mut self, from: &mut Self, bytes: usize) {
        from.bytes -= bytes;
        self.bytes += bytes;
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.peer.0.output.sub(self.bytes as u64);
    }
}

/// Returns the error for responses beyond the limit.
pub(super) fn output_limit_error() -> Status {
    Status::resource_exhausted(
        "the responses exceed client-output-buffer-limit; changes of this call were made",
    )
}

/// Accepts connections within `maxclients`, and gives each to the thread that has the fewest. Never returns.
pub(super) async fn accept(
    listener: TcpListener,
    runtime_config: Arc<RuntimeConfig>,
    mut threads: Vec<ToThread>,
) {
    loop {
        let Ok((stream, from)) = listener.accept().await else {
            // Usually the process is out of file descriptors.
            tokio::time::sleep(ACCEPT_RETRY).await;
            continue;
        };
        let local = from.ip().to_canonical().is_loopback();
        // `admit` comes last, because it counts the client.
        if runtime_config.denies_remote() && !local || !runtime_config.admit() {
            // Dropping the socket closes the connection without an error message.
            continue;
        }
        // Without this option, the connection is only slower.
        let _ = stream.set_nodelay(true);
        keep_alive(&SockRef::from(&stream), runtime_config.keepalive());
        let Some(thread) = threads.iter().min_by_key(|thread| thread.connections.get()) else {
            return;
        };
        let admission = Admission::new(&runtime_config, &thread.connections);
        // A socket reports events to the thread that it was opened on. Fails only if the socket is closed already.
        if let Ok(stream) = stream.into_std() {
            let given = thread.accepted.send((stream, admission));
            if given.is_err() {
                // The thread has stopped: it must not look like the one that has the fewest.
                threads.retain(|thread| !thread.accepted.is_closed());
            }
        }
    }
}

/// Connections that a thread has not taken yet, or one of its servers.
pub(super) type Accepted = UnboundedReceiver<(std::net::TcpStream, Admission)>;
/// How a server gets connections.
pub(super) type ToServer = UnboundedSender<(std::net::TcpStream, Admission)>;

/// How a thread gets connections.
pub(super) struct ToThread {
    accepted: ToServer,
    connections: Arc<Gauge>,
}

impl ToThread {
    /// Makes the two ends of a thread's queue. Its length is bounded by `maxclients`.
    pub(super) fn new() -> (Self, Accepted) {
        let (accepted, queue) = unbounded_channel();
        (Self { accepted, connections: Arc::default() }, queue)
    }
}

/// A connection that counts as a client, and as one of a thread's, until this is dropped.
pub(super) struct Admission {
    runtime_config: Arc<RuntimeConfig>,
    connections: Arc<Gauge>,
}

impl Admission {
    /// Counts a client that was admitted.
    fn new(runtime_config: &Arc<RuntimeConfig>, connections: &Arc<Gauge>) -> Self {
        connections.add(1);
        let (runtime_config, connections) = (Arc::clone(runtime_config), Arc::clone(connections));
        Self { runtime_config, connections }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.connections.sub(1);
        self.runtime_config.leave();
    }
}

/// Returns the stream of a thread's connections.
pub(super) fn incoming(accepted: Accepted) -> impl Stream<Item = io::Result<GrpcSocket>> {
    stream::unfold(accepted, |mut accepted| async {
        loop {
            let (stream, admission) = accepted.recv().await?;
            // Fails only if the process is out of file descriptors or memory. The connection is closed.
            if let Ok(stream) = TcpStream::from_std(stream) {
                return Some((Ok(GrpcSocket::new(stream, admission)), accepted));
            }
        }
    })
}

/// A connection's socket. Reading fails after too much silence.
pub(super) struct GrpcSocket {
    stream: TcpStream,
    peer: Peer,
    last_active: Instant,
    timer: Pin<Box<Sleep>>,
    _admission: Admission,
}

impl GrpcSocket {
    fn new(stream: TcpStream, admission: Admission) -> Self {
        let timer = Box::pin(tokio::time::sleep(CHECK_INTERVAL.min(Duration::from_millis(100))));
        let addresses = [stream.peer_addr().ok(), stream.local_addr().ok()];
        let peer = Peer::new(&admission.runtime_config, addresses);
        let last_active = Instant::now();
        Self { stream, peer, last_active, timer, _admission: admission }
    }

    /// Checks now and then whether the client was silent for too long.
    fn poll_timeout(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(context));
            let (usage, now) = (&self.peer.0, Instant::now());
            let timeout = usage.runtime_config.timeout();
            if usage.busy.get() > 0 {
                self.last_active = now;
            } else if !timeout.is_zero() && now - self.last_active >= timeout {
                return Poll::Ready(());
            }
            let next =
                if timeout.is_zero() { CHECK_INTERVAL } else { CHECK_INTERVAL.min(timeout / 2) };
            self.timer.as_mut().reset(now + next.max(Duration::from_millis(10)));
        }
    }

    /// Notes that bytes were sent.
    fn note_write(&mut self, done: &Poll<io::Result<usize>>) {
        if matches!(done, Poll::Ready(Ok(1..))) {
            self.last_active = Instant::now();
        }
    }
}

impl Connected for GrpcSocket {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for GrpcSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Poll::Ready(done) = Pin::new(&mut this.stream).poll_read(context, into) {
            this.last_active = Instant::now();
            return Poll::Ready(done);
        }
        ready!(this.poll_timeout(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for GrpcSocket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.note_write(&done);
        done
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.note_write(&done);
        done
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

/// A service that counts requests and responses.
#[derive(Clone)]
pub(super) struct Bounded<S> {
    pub(super) service: S,
    /// The longest message of a request, in bytes.
    pub(super) longest: usize,
}

impl<S: NamedService> NamedService for Bounded<S> {
    const NAME: &'static str = S::NAME;
}

type BoundedAnswer = http::Response<Body>;

impl<S, B> Service<http::Request<Body>> for Bounded<S>
where
    S: Service<http::Request<Body>, Response = http::Response<B>, Error = Infallible>,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<StdError>,
{
    type Response = BoundedAnswer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<BoundedAnswer, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let peer = Peer::of(request.extensions());
        let most = self.longest.saturating_add(1 << 20);
        let (mut parts, mut body) = request.into_parts();
        let waits = Arc::<Gauge>::default();
        if let Some(peer) = &peer {
            parts.extensions.insert(peer.clone());
            let (peer, waits) = (peer.clone(), Arc::clone(&waits));
            body = Body::new(BodyInput { body, peer, usage: 0, most, waits });
        }
        let answer = self.service.call(http::Request::from_parts(parts, body));
        Box::pin(async move {
            let (mut answer, mut busy) = (pin!(answer), None);
            let answer = poll_fn(|context| {
                let answer = answer.as_mut().poll(context);
                // A client that waits for its answer is not silent. A client for whose request the call waits is:
                // otherwise a request that never ends would keep the connection for ever.
                let is_busy = answer.is_pending() && waits.get() == 0;
                let before = busy.take();
                busy =
                    if is_busy { before.or_else(|| peer.as_ref().map(Peer::busy)) } else { None };
                answer
            });
            let (mut parts, body) = answer.await?.into_parts();
            let kept = parts.extensions.remove::<Arc<Reservation>>();
            let body = BodyOutput { body: Body::new(body), rest: Bytes::new(), kept };
            Ok(http::Response::from_parts(parts, Body::new(body)))
        })
    }
}

/// The body of a request, counted as it arrives.
struct BodyInput {
    body: Body,
    peer: Peer,
    usage: usize,
    /// The most that is counted: earlier messages of a long stream are not in memory any more.
    most: usize,
    /// 1 while the call waits for more of it, and 0 otherwise.
    waits: Arc<Gauge>,
}

impl HttpBody for BodyInput {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        self.waits.set(u64::from(frame.is_pending()));
        let frame = ready!(frame);
        let come = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
        let more = come.map_or(0, Bytes::len).min(self.most - self.usage);
        self.usage += more;
        let usage = &self.peer.0;
        // Add before comparing, so that two calls cannot both take the last bytes.
        let before = usage.input.add(more as u64) as usize;
        if before.saturating_add(more) > usage.runtime_config.buffer_limits().input {
            let text = "the requests of this connection exceed client-query-buffer-limit";
            return Poll::Ready(Some(Err(Status::resource_exhausted(text))));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

impl Drop for BodyInput {
    fn drop(&mut self) {
        self.waits.set(0);
        self.peer.0.input.sub(self.usage as u64);
    }
}

/// The body of a response, in pieces, so that bytes stay counted until they are taken.
struct BodyOutput {
    body: Body,
    rest: Bytes,
    /// The reservation of a response that is one message.
    kept: Option<Arc<Reservation>>,
}

impl HttpBody for BodyOutput {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    // All data was taken. Release the reservation now, because the client's next call may come before
                    // this is dropped.
                    Err(trailers) => {
                        self.kept = None;
                        return Poll::Ready(Some(Ok(trailers)));
                    }
                },
                end => return Poll::Ready(end),
            }
        }
        let piece = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }
}

/// Returns a connection without a socket, whose responses have this limit.
#[cfg(test)]
pub(super) fn peer_with(output: usize) -> Peer {
    let mut config = hedgerow_db_redis::config::ServerConfig::default();
    config.output.hard = output;
    Peer::new(&Arc::new(RuntimeConfig::new(&config)), [None; 2])
}

#[cfg(test)]
mod tests {
    use super::*;
    use hedgerow_db_redis::config::ServerConfig;

    #[test]
    fn connections_are_spread_over_the_threads_that_run() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let runtime_config = Arc::new(RuntimeConfig::new(&ServerConfig::default()));
            let (threads, mut queues): (Vec<_>, Vec<_>) = (0..3).map(|_| ToThread::new()).unzip();
            tokio::spawn(accept(listener, Arc::clone(&runtime_config), threads));
            let mut clients = Vec::new();
            let mut served = Vec::new();
            for _ in 0..2 {
                for (number, queue) in queues.iter_mut().enumerate() {
                    clients.push(TcpStream::connect(address).await.unwrap());
                    let given = tokio::time::timeout(Duration::from_secs(5), queue.recv()).await;
                    let given = given.unwrap_or_else(|_| panic!("thread {number} gets none"));
                    served.push(given.unwrap());
                }
            }
            assert_eq!(runtime_config.clients(), 6);
            // The thread that has stopped has the fewest connections, and loses one at most.
            served.retain(|_| false);
            assert_eq!(runtime_config.clients(), 0, "a closed connection counts as a client");
            drop(queues.remove(0));
            for _ in 0..3 {
                clients.push(TcpStream::connect(address).await.unwrap());
            }
            let [one, two] = &mut queues[..] else { panic!("two are left") };
            for queue in [one, two] {
                let given = tokio::time::timeout(Duration::from_secs(5), queue.recv()).await;
                served.push(given.expect("a stopped thread gets all connections").unwrap());
            }
            assert_eq!(runtime_config.clients(), 2, "a connection that nobody took counts");
        });
    }
}
