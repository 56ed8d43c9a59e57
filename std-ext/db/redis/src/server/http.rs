//! The HTTP server for monitoring: `/metrics` for Prometheus, `/livez`, `/readyz` and `/cluster/desired`.
//!
//! One thread serves all connections without blocking on any of them. Each connection is answered once and closed; the
//! number of connections, their size and their time are bounded. If there are too many, the oldest is closed, so a
//! probe that sends a complete request is answered however many other clients have sent half of one.
//!
//! Libraries for HTTP servers with such bounds need an asynchronous runtime, which the default build does not have.

use super::handles::ServerMonitor;
use super::metrics;
pub use super::metrics::{MetricsPage, NodeReport};
use super::report_source::ReportSource;
use crate::limits::{HTTP_CONNECTIONS, HTTP_HEAD, HTTP_WITHIN};
use crate::view::Views;
use hedgerow_db_engine::Progress;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use slab::Slab;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long input is read and discarded after the answer. Closing at once could reset the connection before the answer
/// is read.
const LINGER: Duration = Duration::from_secs(1);
/// How often the connections' deadlines are checked.
const SWEEP: Duration = Duration::from_millis(100);
const LISTENER: Token = Token(0);
const WAKER: Token = Token(1);
/// The first token of a connection.
const FIRST: usize = 2;

/// Serves until it is dropped. It starts before the database server, so that it can say that the server is not ready
/// yet.
pub struct HttpServer {
    address: SocketAddr,
    source: ReportSource,
    end: Arc<AtomicBool>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl HttpServer {
    /// Listens on an address.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub fn start(address: SocketAddr) -> io::Result<Self> {
        let mut listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let end: Arc<AtomicBool> = Arc::default();
        let source = ReportSource::default();
        let of_thread = source.clone();
        let closing = Arc::clone(&end);
        let serve = move || {
            if let Err(why) = EventLoop::new(poll, listener, of_thread).serve(&closing) {
                tracing::error!(
                    "the HTTP server for /metrics, /livez and /readyz has stopped: {why}"
                );
            }
        };
        let thread = thread::Builder::new().name("http".into()).spawn(serve)?;
        Ok(Self { address, source, end, waker, thread: Some(thread) })
    }

    /// Sets the server to report on. Later calls have no effect.
    pub fn set_server(&self, server: ServerMonitor) {
        // Fails if one is set already.
        let _ = self.source.server.set(server);
    }

    /// Sets the progress of loading to report on until there is a server.
    pub fn set_progress(&self, progress: &Arc<Progress>) {
        // Fails if one is set already.
        let _ = self.source.loading.set(Arc::clone(progress));
    }

    /// Sets the cell that has the number of nodes that the cluster wants.
    pub fn set_views(&self, views: &Arc<Views>) {
        // Fails if one is set already.
        let _ = self.source.views.set(Arc::clone(views));
    }

    /// Sets the node of a cluster to report on.
    pub fn set_node(&self, node: impl NodeReport + 'static) {
        // Fails if one is set already.
        let _ = self.source.node.set(Box::new(node));
    }

    /// Returns the flag that says whether certificates and passwords could not be read again.
    pub fn reload_failed(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.source.reload_failed)
    }

    /// Returns the address that it listens on.
    pub fn address(&self) -> Option<SocketAddr> {
        Some(self.address)
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        // Relaxed: the thread is woken after the store, and the wake-up orders the two.
        self.end.store(true, Ordering::Relaxed);
        let woken = self.waker.wake();
        if let Some(thread) = self.thread.take().filter(|_| woken.is_ok()) {
            // A panic in the thread has printed its message.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for HttpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("address", &self.address()).finish()
    }
}

/// A connection.
struct HttpConnection {
    stream: TcpStream,
    /// The part of the request's head received so far.
    input: Vec<u8>,
    /// The answer, if there is one, and the bytes of it that were sent.
    output: Vec<u8>,
    sent: usize,
    /// When the connection is closed at the latest.
    until: Instant,
    /// The answer is sent, and input is discarded.
    lingering: bool,
}

impl HttpConnection {
    /// Serves the connection as far as the socket allows. Returns whether it stays open.
    fn step(&mut self, source: &ReportSource) -> io::Result<bool> {
        while self.output.is_empty() {
            let mut bytes = [0; 2048];
            let got = self.stream.read(&mut bytes)?;
            if got == 0 {
                return Ok(false);
            }
            let seen = self.input.len();
            self.input.extend_from_slice(&bytes[..got]);
            if let Some(answer) = answer(&self.input, seen, source) {
                (self.output, self.input) = (answer, Vec::new());
            }
        }
        while self.sent < self.output.len() {
            match self.stream.write(&self.output[self.sent..])? {
                0 => return Ok(false),
                sent => self.sent += sent,
            }
        }
        if !self.lingering {
            self.lingering = true;
            self.until = Instant::now() + LINGER;
            self.stream.shutdown(Shutdown::Write)?;
        }
        // A bounded amount: a client may send without end.
        for _ in 0..16 {
            if self.stream.read(&mut [0; 4096])? == 0 {
                break;
            }
        }
        Ok(false)
    }
}

/// The listener and its connections.
struct EventLoop {
    poll: Poll,
    listener: TcpListener,
    connections: Slab<HttpConnection>,
    source: ReportSource,
}

impl EventLoop {
    fn new(poll: Poll, listener: TcpListener, source: ReportSource) -> Self {
        Self { poll, listener, connections: Slab::new(), source }
    }

    fn serve(mut self, end: &AtomicBool) -> io::Result<()> {
        let mut events = Events::with_capacity(HTTP_CONNECTIONS);
        // Relaxed: as in `drop`.
        while !end.load(Ordering::Relaxed) {
            // Accepting is retried at this interval as well: the poll reports a connection that could not be accepted
            // only once.
            let timeout = (!self.connections.is_empty()).then_some(SWEEP);
            match self.poll.poll(&mut events, timeout.or(Some(10 * SWEEP))) {
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                done => done?,
            }
            for event in &events {
                if let Some(key) = event.token().0.checked_sub(FIRST) {
                    self.step(key);
                }
            }
            self.accept();
            let now = Instant::now();
            self.connections.retain(|_, connection| now < connection.until);
        }
        Ok(())
    }

    fn step(&mut self, key: usize) {
        // The event may be one of a closed connection whose key was reused. For the new one it is only a spurious
        // event.
        let Some(connection) = self.connections.get_mut(key) else { return };
        let goes_on = match connection.step(&self.source) {
            Err(why) => matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
            Ok(goes_on) => goes_on,
        };
        if !goes_on {
            // This closes the socket, which removes it from the poll.
            drop(self.connections.remove(key));
        }
    }

    /// Accepts connections, a bounded number at a time, so that open ones are not delayed.
    fn accept(&mut self) {
        for _ in 0..HTTP_CONNECTIONS {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(why) if why.kind() == ErrorKind::ConnectionAborted => continue,
                Err(_) => return,
            };
            if self.connections.len() == HTTP_CONNECTIONS {
                // Prefer a connection that was answered already.
                let oldest =
                    self.connections.iter().min_by_key(|(_, one)| (!one.lingering, one.until));
                if let Some(key) = oldest.map(|(key, _)| key) {
                    drop(self.connections.remove(key));
                }
            }
            let entry = self.connections.vacant_entry();
            let (key, token) = (entry.key(), Token(FIRST + entry.key()));
            let interest = Interest::READABLE | Interest::WRITABLE;
            if self.poll.registry().register(&mut stream, token, interest).is_err() {
                continue;
            }
            let (input, output) = (Vec::new(), Vec::new());
            let until = Instant::now() + HTTP_WITHIN;
            entry.insert(HttpConnection {
                stream,
                input,
                output,
                sent: 0,
                until,
                lingering: false,
            });
            // Bytes that came before registration are reported by no event, so try at once.
            self.step(key);
        }
    }
}

/// Returns the answer to a request if its head is complete or too long. The first `seen` bytes do not contain the end
/// of the head.
fn answer(input: &[u8], seen: usize, source: &ReportSource) -> Option<Vec<u8>> {
    let new = &input[seen.saturating_sub(3)..];
    let closing = |end: &[u8]| new.windows(end.len()).any(|bytes| bytes == end);
    let whole = closing(b"\r\n\r\n") || closing(b"\n\n");
    if !whole && input.len() <= HTTP_HEAD {
        return None;
    }
    let line = input.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = str::from_utf8(line).unwrap_or_default();
    let (status, text) = match line.split_whitespace().collect::<Vec<_>>()[..] {
        _ if !whole || input.len() > HTTP_HEAD => (431, "request too long\n".to_owned()),
        ["GET" | "HEAD", target, _] => page(target, source),
        [_, _, _] => (405, "only GET is supported\n".to_owned()),
        _ => (400, "invalid HTTP request\n".to_owned()),
    };
    let reason = match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        431 => "Request Header Fields Too Large",
        _ => "Service Unavailable",
    };
    let length = text.len();
    let content = match &*text {
        page if page.ends_with(metrics::END) => metrics::CONTENT,
        json if json.starts_with('{') => "application/json",
        _ => "text/plain; charset=utf-8",
    };
    let mut answer = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {content}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    if !line.starts_with("HEAD ") {
        answer.push_str(&text);
    }
    Some(answer.into_bytes())
}

/// Returns the status and the text of a path.
fn page(target: &str, source: &ReportSource) -> (u16, String) {
    let (server, loading) = (source.server.get(), source.loading.get());
    match target.split('?').next().unwrap_or_default() {
        "/livez" if source.node.get().is_some_and(|node| !node.is_alive()) => {
            (503, "not alive: the cluster's thread is stuck\n".to_owned())
        }
        "/livez" if server.is_some_and(|server| server.stands_still(Instant::now())) => {
            (503, "not alive: a server thread is stuck\n".to_owned())
        }
        "/livez" => (200, "ok\n".to_owned()),
        "/readyz" => match server {
            None => (503, not_loaded(loading)),
            Some(server) if server.is_ready() => (200, "ok\n".to_owned()),
            Some(server) if server.is_loading() => {
                (503, "not ready: catching up with the group\n".to_owned())
            }
            Some(server) if server.log_fails() => {
                (503, "not ready: the log cannot be written\n".to_owned())
            }
            Some(_) => (503, "not ready: shutting down\n".to_owned()),
        },
        "/metrics" => (200, metrics::text(source)),
        "/cluster/desired" => match source.views.get().and_then(|views| views.desired()) {
            Some(desired) => (200, desired.page + "\n"),
            None => (503, NO_NUMBER.to_owned()),
        },
        _ => (404, "not found; try /metrics, /livez or /readyz\n".to_owned()),
    }
}

/// The answer of a node that does not know how many nodes the cluster wants.
const NO_NUMBER: &str = "unknown: cluster-autoscale is no, or no node has decided yet\n";

/// Explains why the server is not ready while the data is being loaded.
fn not_loaded(loading: Option<&Arc<Progress>>) -> String {
    if loading.is_some_and(|progress| progress.is_spare()) {
        return "not ready: a spare node waiting to be assigned to a group\n".to_owned();
    }
    let far = loading.map(|progress| format!(": {:.0} %", progress.percent()));
    format!("not ready: loading{}\n", far.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::EndpointType;
    use crate::view::{DesiredNodes, View, Views};

    #[test]
    fn each_node_says_how_many_nodes_are_wanted() {
        let source = ReportSource::default();
        let ask = || {
            let answer = answer(b"GET /cluster/desired HTTP/1.1\r\n\r\n", 0, &source).unwrap();
            String::from_utf8(answer).unwrap()
        };
        assert!(ask().starts_with("HTTP/1.1 503 "), "{}", ask());
        let views = Views::new(View::default(), EndpointType::Ip, Duration::from_secs(1));
        assert!(source.views.set(Arc::new(views)).is_ok());
        assert!(ask().starts_with("HTTP/1.1 503 "), "nobody has decided yet");
        let page = r#"{"desired":9}"#.to_owned();
        let desired = DesiredNodes { nodes: 9, log_saturated: false, page };
        source.views.get().unwrap().set_desired(Some(desired));
        let said = ask();
        assert!(
            said.starts_with("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"),
            "{said}"
        );
        assert!(said.ends_with("\r\n\r\n{\"desired\":9}\n"), "{said}");
        // A node without a group has the gauge, too.
        assert!(metrics::text(&source).contains("hedgerow_db_cluster_desired_nodes 9\n"));
    }

    #[test]
    fn a_spare_is_not_ready_and_says_why() {
        let progress = Arc::new(Progress::default());
        assert_eq!(not_loaded(Some(&progress)), "not ready: loading: 0 %\n");
        progress.set_spare(true);
        assert!(not_loaded(Some(&progress)).contains("a spare node"));
        progress.set_spare(false);
        assert_eq!(not_loaded(Some(&progress)), "not ready: loading: 0 %\n");
    }
}
