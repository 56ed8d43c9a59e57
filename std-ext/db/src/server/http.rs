//! What a machine that watches the server asks by HTTP: `/metrics` for Prometheus, `/livez` and `/readyz`.
//!
//! One thread serves all connections and waits for none of them. Each connection is answered once and closed; its
//! number, size and time are bounded. When there are too many, the oldest goes: a probe that sends its whole request
//! is answered however many others have sent half of one.

use super::handles::ServerMonitor;
use super::metrics;
use crate::Progress;
use crate::limits::{HTTP_CONNECTIONS, HTTP_HEAD, HTTP_WITHIN};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use slab::Slab;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write as _};
use std::net::{Shutdown, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long what still comes is read and thrown away after the answer, so that the system does not take it back.
const LINGER: Duration = Duration::from_secs(1);
/// How often the time of connections is looked at.
const SWEEP: Duration = Duration::from_millis(100);
const LISTENER: Token = Token(0);
const WAKER: Token = Token(1);
/// Tokens of connections begin here.
const FIRST: usize = 2;

/// Answers until it is dropped. It is there before the server is, so that it can say that the server is not ready yet.
pub struct HttpServer {
    address: SocketAddr,
    server_slot: Arc<OnceLock<ServerMonitor>>,
    loading: Arc<OnceLock<Arc<Progress>>>,
    end: Arc<AtomicBool>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl HttpServer {
    /// Listens on an address.
    ///
    /// # Errors
    /// Where that cannot be done.
    pub fn start(address: SocketAddr) -> io::Result<Self> {
        let mut listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        let server_slot: Arc<OnceLock<ServerMonitor>> = Arc::default();
        let loading: Arc<OnceLock<Arc<Progress>>> = Arc::default();
        let end: Arc<AtomicBool> = Arc::default();
        let source = Source { server: Arc::clone(&server_slot), loading: Arc::clone(&loading) };
        let closing = Arc::clone(&end);
        let serve = move || {
            if let Err(why) = EventLoop::new(poll, listener, source).serve(&closing) {
                tracing::error!("/metrics, /livez and /readyz are served no more: {why}");
            }
        };
        let thread = thread::Builder::new().name("http".into()).spawn(serve)?;
        Ok(Self { address, server_slot, loading, end, waker, thread: Some(thread) })
    }

    /// Tells of this server from now on.
    pub fn set_server(&self, server: ServerMonitor) {
        // The first one stays.
        let _ = self.server_slot.set(server);
    }

    /// Tells how far the data is loaded, until there is a server.
    pub fn set_progress(&self, progress: &Arc<Progress>) {
        // The first one stays.
        let _ = self.loading.set(Arc::clone(progress));
    }

    /// Where it listens.
    pub fn address(&self) -> Option<SocketAddr> {
        Some(self.address)
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        // Relaxed: the thread is woken after this was set, and waking orders.
        self.end.store(true, Ordering::Relaxed);
        let woken = self.waker.wake();
        if let Some(thread) = self.thread.take().filter(|_| woken.is_ok()) {
            // One that panicked has said so.
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
struct Connection {
    stream: TcpStream,
    /// What came of the request's head.
    input: Vec<u8>,
    /// The answer, once there is one, and how much of it is out.
    output: Vec<u8>,
    sent: usize,
    /// When it has to be gone.
    until: Instant,
    /// The answer is out; what still comes is thrown away.
    lingering: bool,
}

impl Connection {
    /// Goes on as far as the socket lets it; whether the connection goes on.
    fn step(&mut self, source: &Source) -> io::Result<bool> {
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
        // Not all that a client sends without an end.
        for _ in 0..16 {
            if self.stream.read(&mut [0; 4096])? == 0 {
                break;
            }
        }
        Ok(false)
    }
}

/// What there is to tell of: the server, once there is one, and how far the data is loaded until then.
struct Source {
    server: Arc<OnceLock<ServerMonitor>>,
    loading: Arc<OnceLock<Arc<Progress>>>,
}

/// The thread's listener and connections.
struct EventLoop {
    poll: Poll,
    listener: TcpListener,
    connections: Slab<Connection>,
    source: Source,
}

impl EventLoop {
    fn new(poll: Poll, listener: TcpListener, source: Source) -> Self {
        Self { poll, listener, connections: Slab::new(), source }
    }

    fn serve(mut self, end: &AtomicBool) -> io::Result<()> {
        let mut events = Events::with_capacity(HTTP_CONNECTIONS);
        // Relaxed: as in `drop`.
        while !end.load(Ordering::Relaxed) {
            // A connection that could not be taken is tried again then, too: the system tells of it once.
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
        // An event of a connection that is gone by now may meet its successor, whom it does no harm.
        let Some(connection) = self.connections.get_mut(key) else { return };
        let goes_on = match connection.step(&self.source) {
            Err(why) => matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
            Ok(goes_on) => goes_on,
        };
        if !goes_on {
            // Its socket is closed, and told of no more.
            drop(self.connections.remove(key));
        }
    }

    /// Accepts connections: a bounded number at a time, so that open ones need not wait.
    fn accept(&mut self) {
        for _ in 0..HTTP_CONNECTIONS {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(why) if why.kind() == ErrorKind::ConnectionAborted => continue,
                Err(_) => return,
            };
            if self.connections.len() == HTTP_CONNECTIONS {
                // One that was answered rather than one that was not.
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
            entry.insert(Connection { stream, input, output, sent: 0, until, lingering: false });
            // What came with the connection is told once it is registered; so is room to write.
            self.step(key);
        }
    }
}

/// The answer to a request, once its head is there or too long. Its end was not in the first `seen` bytes.
fn answer(input: &[u8], seen: usize, source: &Source) -> Option<Vec<u8>> {
    let new = &input[seen.saturating_sub(3)..];
    let closing = |end: &[u8]| new.windows(end.len()).any(|bytes| bytes == end);
    let whole = closing(b"\r\n\r\n") || closing(b"\n\n");
    if !whole && input.len() <= HTTP_HEAD {
        return None;
    }
    let line = input.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = str::from_utf8(line).unwrap_or_default();
    let (status, text) = match line.split_whitespace().collect::<Vec<_>>()[..] {
        _ if !whole || input.len() > HTTP_HEAD => (431, "the request is too long\n".to_owned()),
        ["GET" | "HEAD", target, _] => page(target, source),
        [_, _, _] => (405, "only GET\n".to_owned()),
        _ => (400, "no request of HTTP\n".to_owned()),
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
    let content =
        if text.ends_with(metrics::END) { metrics::CONTENT } else { "text/plain; charset=utf-8" };
    let mut answer = format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: {content}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    if !line.starts_with("HEAD ") {
        answer.push_str(&text);
    }
    Some(answer.into_bytes())
}

/// What stands at a path: a status and a text.
fn page(target: &str, source: &Source) -> (u16, String) {
    let (source, loading) = (source.server.get(), source.loading.get());
    match target.split('?').next().unwrap_or_default() {
        "/livez" => (200, "ok\n".to_owned()),
        "/readyz" => match source {
            None => (503, not_loaded(loading)),
            Some(server) if server.is_ready() => (200, "ok\n".to_owned()),
            Some(server) if server.log_fails() => {
                (503, "not ready: the log cannot be written\n".to_owned())
            }
            Some(_) => (503, "not ready: it ends\n".to_owned()),
        },
        "/metrics" => (200, metrics::text(source, loading)),
        _ => (404, "there are /metrics, /livez and /readyz\n".to_owned()),
    }
}

/// Why it is not ready while the data is loaded.
fn not_loaded(loading: Option<&Arc<Progress>>) -> String {
    let far = loading.map(|progress| format!(": {:.0} %", progress.percent()));
    format!("not ready: the data is being loaded{}\n", far.unwrap_or_default())
}
