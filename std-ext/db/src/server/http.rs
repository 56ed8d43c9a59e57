//! What a machine that watches the server asks by HTTP: `/metrics` for Prometheus, `/livez` and `/readyz`.

use super::Watcher;
use crate::Progress;
use std::fmt::{self, Display, Write};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use tiny_http::{Header, Method, Request, Response};

/// Answers until it is dropped. It is there before the server is, so that it can say that the server is not ready yet.
pub struct Http {
    listener: Arc<tiny_http::Server>,
    watched: Arc<OnceLock<Watcher>>,
    loading: Arc<OnceLock<Arc<Progress>>>,
    thread: Option<JoinHandle<()>>,
}

impl Http {
    /// Listens on an address.
    ///
    /// # Errors
    /// Where that cannot be done.
    pub fn start(address: SocketAddr) -> io::Result<Self> {
        let listener = Arc::new(tiny_http::Server::http(address).map_err(io::Error::other)?);
        let watched: Arc<OnceLock<Watcher>> = Arc::default();
        let loading: Arc<OnceLock<Arc<Progress>>> = Arc::default();
        let (requests, of) = (Arc::clone(&listener), Arc::clone(&watched));
        let meanwhile = Arc::clone(&loading);
        let answer = move || {
            for request in requests.incoming_requests() {
                answer(request, of.get(), meanwhile.get());
            }
        };
        let thread = thread::Builder::new().name("http".into()).spawn(answer)?;
        Ok(Self { listener, watched, loading, thread: Some(thread) })
    }

    /// Tells of this server from now on.
    pub fn watch(&self, server: Watcher) {
        // The first one stays.
        let _ = self.watched.set(server);
    }

    /// Tells how far the data is loaded, until there is a server.
    pub fn load(&self, progress: &Arc<Progress>) {
        // The first one stays.
        let _ = self.loading.set(Arc::clone(progress));
    }

    /// Where it listens.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.server_addr().to_ip()
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        self.listener.unblock();
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").field("address", &self.address()).finish()
    }
}

fn answer(request: Request, of: Option<&Watcher>, loading: Option<&Arc<Progress>>) {
    let path = request.url().split('?').next().unwrap_or_default();
    let asks = matches!(request.method(), Method::Get | Method::Head);
    let (status, text) = match path {
        _ if !asks => (405, "only GET\n".to_owned()),
        "/livez" => (200, "ok\n".to_owned()),
        "/readyz" => match of {
            None => (503, not_loaded(loading)),
            Some(server) if server.is_ready() => (200, "ok\n".to_owned()),
            Some(server) if server.log_fails() => {
                (503, "not ready: the log cannot be written\n".to_owned())
            }
            Some(_) => (503, "not ready: it ends\n".to_owned()),
        },
        "/metrics" => (200, of.map_or_else(|| early_metrics(loading), metrics)),
        _ => (404, "there are /metrics, /livez and /readyz\n".to_owned()),
    };
    let kind = Header::from_bytes("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    let mut response = Response::from_string(text).with_status_code(status);
    if let Ok(kind) = kind {
        response.add_header(kind);
    }
    // Whoever asked may be gone.
    let _ = request.respond(response);
}

/// Why it is not ready while the data is loaded.
fn not_loaded(loading: Option<&Arc<Progress>>) -> String {
    let far = loading.map(|progress| format!(": {:.0} %", progress.percent()));
    format!("not ready: the data is being loaded{}\n", far.unwrap_or_default())
}

/// The figures that there are before there is a server.
fn early_metrics(loading: Option<&Arc<Progress>>) -> String {
    let mut page = Page(String::new());
    let (total, done) = loading.map_or((0, 0), |progress| (progress.total(), progress.done()));
    page.gauge("ready", "Whether it takes commands and changes.", 0);
    page.gauge("loading", "Whether the data is being loaded.", 1);
    page.gauge("loading_bytes", "Bytes of the files that are loaded.", total);
    page.gauge("loaded_bytes", "Bytes of them that are loaded.", done);
    page.0
}

/// Figures in Prometheus's format.
struct Page(String);

impl Page {
    fn add(&mut self, kind: &str, name: &str, help: &str, values: &[(&str, &dyn Display)]) {
        let Self(text) = self;
        // Writing to a text does not fail.
        let _ =
            write!(text, "# HELP hedgerow_db_{name} {help}\n# TYPE hedgerow_db_{name} {kind}\n");
        for (labels, value) in values {
            let _ = writeln!(text, "hedgerow_db_{name}{labels} {value}");
        }
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.add("counter", name, help, &[("", &value)]);
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.add("gauge", name, help, &[("", &value)]);
    }
}

fn metrics(server: &Watcher) -> String {
    let mut page = Page(String::with_capacity(8 << 10));
    let version = concat!("{version=\"", env!("CARGO_PKG_VERSION"), "\"}");
    page.add("gauge", "info", "The program.", &[(version, &1)]);
    page.gauge("uptime_seconds", "Since it was started.", server.uptime().as_secs());
    page.gauge("ready", "Whether it takes commands and changes.", u8::from(server.is_ready()));
    page.gauge("loading", "Whether the data is being loaded.", 0);
    clients(&mut page, server);
    keys(&mut page, server);
    page.0
}

fn clients(page: &mut Page, server: &Watcher) {
    let counted = server.counted();
    page.gauge("clients", "Clients that are connected.", server.clients());
    page.gauge("max_clients", "Clients that may be.", server.max_clients());
    page.gauge("client_buffer_bytes", "Memory in buffers of clients.", server.buffers());
    page.counter("connections_total", "Connections that were taken.", counted.connections);
    page.add(
        "counter",
        "connections_refused_total",
        "Connections that were refused.",
        &[
            ("{reason=\"maxclients\"}", &counted.rejected),
            ("{reason=\"protected-mode\"}", &counted.denied),
        ],
    );
    page.add(
        "counter",
        "connections_closed_total",
        "Connections that the server closed.",
        &[
            ("{reason=\"timeout\"}", &counted.idle),
            ("{reason=\"does not read\"}", &counted.slow),
            ("{reason=\"log failed\"}", &counted.failed),
        ],
    );
    page.counter("commands_total", "Commands that were obeyed.", counted.commands);
    page.counter("received_bytes_total", "Bytes from clients.", counted.bytes_in);
    page.counter("sent_bytes_total", "Bytes to clients.", counted.bytes_out);
    page.counter("turns_total", "Turns of the threads that had work.", counted.turns);
    page.counter(
        "parked_turns_total",
        "Turns in which answers had to wait for the log.",
        counted.parked,
    );
}

fn keys(page: &mut Page, server: &Watcher) {
    let figures = server.db().figures();
    page.gauge("keys", "Keys.", figures.keys);
    page.gauge("ending_keys", "Keys with an end.", figures.ending);
    page.gauge("memory_bytes", "Memory for keys, values and tables.", figures.memory);
    page.gauge("max_memory_bytes", "What it may be; 0 for any.", figures.max_memory);
    page.counter("expired_keys_total", "Keys that came to their end.", figures.expired);
    page.counter("evicted_keys_total", "Keys that were evicted.", figures.evicted);
    page.counter("hits_total", "Reads that found a value.", figures.hits);
    page.counter("misses_total", "Reads that found none.", figures.misses);
    page.gauge("shards", "Parts that change independently.", figures.shards);
    let log = server.db().log();
    page.counter("log_entries_total", "Last entry of the log.", figures.last);
    page.counter("log_safe_entries_total", "Last entry that may be acknowledged.", log.safe());
    page.gauge("log_bytes", "Bytes of the log's files.", figures.log_bytes);
    page.gauge("log_writable", "Whether the log can be written.", u8::from(log.writable()));
    page.gauge("snapshot_entries", "Entries since the last snapshot.", figures.since_snapshot);
    page.gauge("snapshot_running", "Whether one is made.", u8::from(figures.snapshot_runs));
    page.gauge(
        "snapshot_failed",
        "Whether the last one failed.",
        u8::from(figures.snapshot_failed),
    );
    page.gauge(
        "snapshot_timestamp_seconds",
        "When the last one was made since the start; 0 for never.",
        figures.snapshot_at,
    );
    page.gauge(
        "snapshot_pause_seconds",
        "The longest time for which the last one kept a shard locked.",
        figures.snapshot_pause.as_secs_f64(),
    );
}
