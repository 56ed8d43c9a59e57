//! A client of a server in the test's process, at the level of bytes.

use super::*;
use crate::pubsub::Hub;
use crate::view::ViewReader;
use hedgerow_db_engine::{Db, Options, Session};
use hedgerow_db_formats::resp::read::{self, Reply};
use hedgerow_db_formats::resp::write;
use std::cell::{Cell, OnceCell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A server with few settings.
#[derive(Default)]
struct TestServer {
    users: Users,
    timeout: RefCell<String>,
    diagnostics: Arc<Diagnostics>,
    hub: OnceCell<Arc<Hub>>,
    /// Clients besides this one and another.
    more_clients: Cell<usize>,
}

impl ServerApi for TestServer {
    fn stats(&self) -> ServerStats {
        ServerStats { port: 6379, clients: 2, run_id: "0".repeat(40), ..ServerStats::default() }
    }

    fn settings(&self, each: &mut dyn FnMut(&str, &[u8])) {
        each("port", b"6379");
        each("cluster-etcd-password", b"red");
        each("timeout", self.timeout.borrow().as_bytes());
        each("maxmemory", b"the database's own is shown");
    }

    fn set(&self, changes: &[(&str, &[u8])]) -> Result<(), (usize, SettingError)> {
        for (number, change) in changes.iter().enumerate() {
            let why = match *change {
                ("timeout", b"x") => SettingError::Invalid("argument couldn't be parsed".into()),
                ("timeout", _) => continue,
                (name, value) if self.diagnostics.apply(name, str::from_utf8(value).unwrap()) => {
                    continue;
                }
                ("port", _) => SettingError::Immutable,
                _ => SettingError::Unknown,
            };
            return Err((number, why));
        }
        for (_, value) in changes.iter().filter(|(name, _)| *name == "timeout") {
            *self.timeout.borrow_mut() = String::from_utf8_lossy(value).into_owned();
        }
        Ok(())
    }

    fn reset_counters(&self) {}

    fn clients(&self, but: u64, each: &mut dyn FnMut(&ClientInfo<'_>)) {
        let (address, local) = ("10.0.0.2:2".into(), "10.0.0.9:6379".into());
        let other = Connection::new(but + 1, address, local, &Users::default());
        (0..=self.more_clients.get()).for_each(|_| each(&other.info()));
    }

    fn kill(&self, but: u64, wanted: &mut dyn FnMut(&ClientInfo<'_>) -> bool) -> u64 {
        let mut killed = 0;
        self.clients(but, &mut |info| killed += u64::from(wanted(info)));
        killed
    }

    fn users(&self) -> &Users {
        &self.users
    }

    fn hub(&self) -> &Arc<Hub> {
        self.hub.get_or_init(|| Hub::new(0))
    }
}

/// A database with one connection.
pub(crate) struct TestClient {
    pub(crate) db: Db,
    pub(crate) session: Session,
    server: TestServer,
    connection: Connection,
    scratch: Scratch,
    next: NextStep,
    /// How long the next commands seem to have taken.
    pub(crate) delay: Duration,
    /// The group, if the server is a node of a cluster.
    pub(crate) cluster: Option<ViewReader>,
}

impl TestClient {
    pub(crate) fn new() -> Self {
        let server = TestServer::default();
        let mut options = Options::in_memory();
        options.shards = 4;
        let db = Db::open(options).unwrap();
        let (address, local) = ("10.0.0.1:1".into(), "10.0.0.9:6379".into());
        let connection = Connection::new(7, address, local, &server.users);
        let (session, scratch) = (db.session(), Scratch::new(Arc::clone(&server.diagnostics)));
        let (next, cluster) = (NextStep::Continue, None);
        let delay = Duration::ZERO;
        Self { db, session, server, connection, scratch, next, delay, cluster }
    }

    /// Replaces the database.
    pub(crate) fn with(mut self, db: Db) -> Self {
        self.session = db.session();
        self.db = db;
        self
    }

    /// Sets how many clients there are besides this one and another.
    pub(crate) fn set_more_clients(&self, number: usize) {
        self.server.more_clients.set(number);
    }

    /// Sets how many milliseconds a script may run.
    #[cfg(feature = "scripts")]
    pub(crate) fn set_script_time_limit(&mut self, milliseconds: u64) {
        self.db.set_script_time_limit(milliseconds);
    }

    /// Makes the connection one with TLS.
    pub(crate) fn use_tls(&mut self) {
        self.connection.set_tls(true);
    }

    /// Sets how many bytes of replies the client may have.
    pub(crate) fn set_reply_limit(&mut self, bytes: usize) {
        self.connection.set_reply_limit(bytes);
    }

    /// Lets the next input be of the same turn as the last.
    pub(crate) fn continue_turn(&mut self) {
        self.scratch.continue_turn();
    }

    pub(crate) fn process(&mut self, input: &[u8], out: &mut Vec<u8>) -> ExecuteOutcome {
        let delay = std::mem::take(&mut self.delay);
        self.scratch.begin(Instant::now().checked_sub(delay).unwrap());
        let mut context = Context {
            session: &mut self.session,
            db: &self.db,
            server: &self.server,
            scratch: &mut self.scratch,
            cluster: self.cluster.as_ref(),
        };
        process_input(&mut self.connection, &mut context, input, out)
    }

    /// Sends bytes, all of which must be consumed. Returns the replies.
    pub(crate) fn send(&mut self, mut input: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        while !input.is_empty() && self.next == NextStep::Continue {
            let outcome = self.process(input, &mut out);
            self.next = outcome.next;
            input = &input[outcome.consumed..];
            assert!(outcome.consumed > 0 || outcome.next != NextStep::Continue, "{input:?}");
        }
        out
    }

    /// Sends bytes, which may contain no request or end within one.
    pub(crate) fn send_some(&mut self, mut input: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        while self.next == NextStep::Continue {
            let outcome = self.process(input, &mut out);
            self.next = outcome.next;
            input = &input[outcome.consumed..];
            if outcome.consumed == 0 {
                break;
            }
        }
        out
    }

    /// Returns the channels of the server.
    pub(crate) fn hub(&self) -> &Arc<Hub> {
        self.server.hub()
    }

    /// Returns the users of the server.
    pub(crate) fn users(&self) -> &Users {
        &self.server.users
    }

    /// Returns the diagnostics of the server.
    pub(crate) fn diagnostics(&self) -> &Arc<Diagnostics> {
        &self.server.diagnostics
    }

    /// Goes on with a new connection.
    pub(crate) fn connect_again(&mut self) {
        let (address, local) = ("10.0.0.1:1".into(), "10.0.0.9:6379".into());
        self.connection = Connection::new(7, address, local, &self.server.users);
        self.next = NextStep::Continue;
    }

    /// Returns what to do with the connection.
    pub(crate) fn next(&self) -> NextStep {
        self.next
    }

    /// Sends a line of words as one request.
    pub(crate) fn command(&mut self, line: &str) -> String {
        let mut input = Vec::new();
        write::request(
            &mut input,
            &hedgerow_db_formats::resp::inline::split(line.as_bytes()).unwrap(),
        );
        String::from_utf8_lossy(&self.send(&input)).replace("\r\n", " ").trim_end().to_owned()
    }

    pub(crate) fn reply(&mut self, line: &str) -> Reply {
        let answer = self.send(format!("{line}\r\n").as_bytes());
        match read::reply(&answer) {
            Ok(read::ReadItem::Reply(reply, length)) if length == answer.len() => reply,
            other => panic!("{other:?} of {answer:?}"),
        }
    }
}
