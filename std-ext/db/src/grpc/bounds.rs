//! What a connection may use: it counts among the clients, and is closed when it is silent for too long. The bytes of
//! its requests and answers in memory are counted, whatever number of calls they belong to.
//!
//! An answer is counted while it is made, until the last of it is handed to the system in small pieces: HTTP/2 takes
//! those as the client reads.

use crate::server::listen::keep_alive;
use crate::server::runtime_config::RuntimeConfig;
use futures_util::Stream;
use futures_util::stream;
use http_body::{Body as HttpBody, Frame};
use prost::bytes::Bytes;
use socket2::SockRef;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Service, StdError, http};
use tonic::server::NamedService;
use tonic::transport::server::Connected;

/// Bytes of an answer that HTTP/2 is given at a time.
const PIECE: usize = 64 << 10;
/// How often a connection looks whether it is silent for too long, at most.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// How long it is before connections are taken again where the system had no room for one.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// A connection, as calls know it.
#[derive(Clone)]
pub(super) struct Peer(Arc<Usage>);

struct Usage {
    runtime_config: Arc<RuntimeConfig>,
    /// Bytes of its requests in memory.
    input: AtomicUsize,
    /// Bytes of answers in memory.
    output: AtomicUsize,
    /// Calls that the server works on, which is not the client's silence.
    busy: AtomicUsize,
}

impl Peer {
    pub(super) fn new(runtime_config: &Arc<RuntimeConfig>) -> Self {
        let runtime_config = Arc::clone(runtime_config);
        let none = AtomicUsize::default;
        Self(Arc::new(Usage { runtime_config, input: none(), output: none(), busy: none() }))
    }

    /// The connection that a request came by.
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

    /// Nothing of an answer, to which more comes.
    pub(super) fn reserve(&self) -> Reservation {
        Reservation { peer: self.clone(), bytes: 0 }
    }

    /// While this is there the client need not send anything.
    pub(super) fn busy(&self) -> Busy {
        // Relaxed: a count by itself.
        self.0.busy.fetch_add(1, Ordering::Relaxed);
        Busy(self.clone())
    }
}

/// A call that the server works on.
pub(super) struct Busy(Peer);

impl Drop for Busy {
    fn drop(&mut self) {
        // Relaxed: a count by itself.
        self.0.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Bytes of an answer that are counted until this is dropped.
pub(super) struct Reservation {
    peer: Peer,
    bytes: usize,
}

impl Reservation {
    /// Counts `bytes` more. Returns whether they are within the limit.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let usage = &self.peer.0;
        // Relaxed: the number alone is meant, and each call adds before it looks.
        let before = usage.output.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        before.saturating_add(bytes) <= usage.runtime_config.buffer_limits().hard
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // Relaxed: as above.
        self.peer.0.output.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The answers of a connection have reached the limit.
pub(super) fn output_limit_error() -> Status {
    Status::resource_exhausted(
        "the answers would be larger than client-output-buffer-limit; what was to be changed is changed",
    )
}

/// The connections of a listener, as long as there may be more.
pub(super) fn incoming(
    listener: TcpListener,
    runtime_config: Arc<RuntimeConfig>,
) -> impl Stream<Item = io::Result<Socket>> {
    stream::unfold((listener, runtime_config), |(listener, runtime_config)| async {
        loop {
            let Ok((stream, from)) = listener.accept().await else {
                // Out of descriptors, as a rule.
                tokio::time::sleep(ACCEPT_RETRY).await;
                continue;
            };
            let local = from.ip().to_canonical().is_loopback();
            if runtime_config.denies_remote() && !local || !runtime_config.admit() {
                // A client that is not told why sees its connection end.
                continue;
            }
            // What cannot be set is slower, no more.
            let _ = stream.set_nodelay(true);
            keep_alive(&SockRef::from(&stream), runtime_config.keepalive());
            let socket = Socket::new(stream, &runtime_config);
            return Some((Ok(socket), (listener, runtime_config)));
        }
    })
}

/// The socket of a connection, which fails when the client was silent for too long.
pub(super) struct Socket {
    stream: TcpStream,
    peer: Peer,
    last_active: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Socket {
    fn new(stream: TcpStream, runtime_config: &Arc<RuntimeConfig>) -> Self {
        let timer = Box::pin(tokio::time::sleep(CHECK_INTERVAL.min(Duration::from_millis(100))));
        Self { stream, peer: Peer::new(runtime_config), last_active: Instant::now(), timer }
    }

    /// Looks now and then whether the client was silent for too long.
    fn poll_timeout(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(context));
            let (usage, now) = (&self.peer.0, Instant::now());
            let timeout = usage.runtime_config.timeout();
            // Relaxed: a count by itself.
            if usage.busy.load(Ordering::Relaxed) > 0 {
                self.last_active = now;
            } else if !timeout.is_zero() && now - self.last_active >= timeout {
                return Poll::Ready(());
            }
            let next =
                if timeout.is_zero() { CHECK_INTERVAL } else { CHECK_INTERVAL.min(timeout / 2) };
            self.timer.as_mut().reset(now + next.max(Duration::from_millis(10)));
        }
    }

    /// Notes that something went out.
    fn note_write(&mut self, done: &Poll<io::Result<usize>>) {
        if matches!(done, Poll::Ready(Ok(1..))) {
            self.last_active = Instant::now();
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.peer.0.runtime_config.leave();
    }
}

impl Connected for Socket {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Socket {
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

impl AsyncWrite for Socket {
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

/// A service whose requests and answers are counted.
#[derive(Clone)]
pub(super) struct Bounded<S> {
    pub(super) service: S,
    /// Bytes of a request's message, at most.
    pub(super) longest: usize,
}

impl<S: NamedService> NamedService for Bounded<S> {
    const NAME: &'static str = S::NAME;
}

type Answer = http::Response<Body>;

impl<S, B> Service<http::Request<Body>> for Bounded<S>
where
    S: Service<http::Request<Body>, Response = http::Response<B>, Error = Infallible>,
    S::Future: Send + 'static,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<StdError>,
{
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let peer = Peer::of(request.extensions());
        let most = self.longest.saturating_add(1 << 20);
        let (mut parts, mut body) = request.into_parts();
        if let Some(peer) = &peer {
            parts.extensions.insert(peer.clone());
            body = Body::new(Input { body, peer: peer.clone(), usage: 0, most });
        }
        let answer = self.service.call(http::Request::from_parts(parts, body));
        Box::pin(async move {
            // What the server works on is not the client's silence.
            let busy = peer.as_ref().map(Peer::busy);
            let (mut parts, body) = answer.await?.into_parts();
            drop(busy);
            let kept = parts.extensions.remove::<Arc<Reservation>>();
            let body = Output { body: Body::new(body), rest: Bytes::new(), kept };
            Ok(http::Response::from_parts(parts, Body::new(body)))
        })
    }
}

/// The body of a request, which is counted as it comes.
struct Input {
    body: Body,
    peer: Peer,
    usage: usize,
    /// More than that is not in memory, however much has come: messages before it are gone.
    most: usize,
}

impl HttpBody for Input {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let come = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
        let more = come.map_or(0, Bytes::len).min(self.most - self.usage);
        self.usage += more;
        let usage = &self.peer.0;
        // Relaxed: the number alone is meant, and each call adds before it looks.
        let before = usage.input.fetch_add(more, Ordering::Relaxed);
        if before.saturating_add(more) > usage.runtime_config.buffer_limits().input {
            let text = "the requests of this connection are larger than client-query-buffer-limit";
            return Poll::Ready(Some(Err(Status::resource_exhausted(text))));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        // Relaxed: as above.
        self.peer.0.input.fetch_sub(self.usage, Ordering::Relaxed);
    }
}

/// The body of an answer, in pieces, so that what is counted is not let go before it is taken.
struct Output {
    body: Body,
    rest: Bytes,
    /// What counts the answer, if it is one message.
    kept: Option<Arc<Reservation>>,
}

impl HttpBody for Output {
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
                    // The last of the data was taken, and the client's next call may come before this is dropped.
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
