//! Tests of when replies are sent, with a log that tests control.

use super::*;
use hedgerow_db_engine::log::{Log, LogError, Lsn};
use hedgerow_db_engine::{Db, Options};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

type Callback = Box<dyn Fn() + Send + Sync>;

/// A log whose entries are committed when a test says so.
#[derive(Default)]
pub(super) struct Slow {
    state: Mutex<State>,
    requested: Condvar,
    callbacks: Mutex<Vec<Callback>>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) committed: Lsn,
    requested: Lsn,
    fails: bool,
    /// Is committed between the first and the second `commit` of an entry, without a notification.
    sly: bool,
    /// How often it was asked for its last committed entry.
    reads: usize,
}

impl Slow {
    /// Waits until `commit` was called for an entry.
    pub(super) fn until_committed(&self, lsn: Lsn) {
        let state = self.state.lock().unwrap();
        drop(self.requested.wait_while(state, |state| state.requested < lsn).unwrap());
    }

    pub(super) fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        for callback in &*self.callbacks.lock().unwrap() {
            callback();
        }
    }
}

impl Log for Slow {
    fn append(&self, _: u64, _: &[u8]) -> Result<Lsn, LogError> {
        Err(LogError::Closed)
    }

    fn writable(&self) -> bool {
        !self.state.lock().unwrap().fails
    }

    fn last(&self) -> Lsn {
        0
    }

    fn commit(&self, lsn: Lsn) -> Result<bool, LogError> {
        let mut state = self.state.lock().unwrap();
        let again = state.requested >= lsn;
        state.requested = state.requested.max(lsn);
        self.requested.notify_all();
        if state.sly && again {
            state.committed = lsn;
        }
        if state.committed < lsn && state.fails {
            Err(LogError::Closed)
        } else {
            Ok(state.committed >= lsn)
        }
    }

    fn wait(&self, _: Lsn) -> Result<(), LogError> {
        Ok(())
    }

    fn committed(&self) -> Lsn {
        let mut state = self.state.lock().unwrap();
        state.reads += 1;
        state.committed
    }

    fn on_progress(&self, callback: Callback) {
        self.callbacks.lock().unwrap().push(callback);
    }

    fn rotate(&self) -> Result<Lsn, LogError> {
        Ok(0)
    }

    fn drop_before(&self, _: Lsn) -> Result<(), LogError> {
        Ok(())
    }

    fn sync(&self) -> Result<(), LogError> {
        Ok(())
    }

    fn bytes(&self) -> u64 {
        0
    }

    fn close(&self) -> Result<(), LogError> {
        Ok(())
    }
}

/// Stops a server at once, even if the test fails: otherwise that would wait for the server.
struct AtOnce<'a>(&'a StopHandle);

impl Drop for AtOnce<'_> {
    fn drop(&mut self) {
        self.0.stop();
        self.0.stop();
    }
}

/// Runs a server of one thread with a [`Slow`] log, until the test is done.
fn serve(test: impl FnOnce(&Slow, &dyn Fn() -> TcpStream, &StopHandle)) {
    serve_over(Db::open(Options::in_memory()).unwrap(), test);
}

/// As `serve`, over a database.
pub(super) fn serve_over(db: Db, test: impl FnOnce(&Slow, &dyn Fn() -> TcpStream, &StopHandle)) {
    let log: Arc<Slow> = Arc::default();
    let config = ServerConfig { threads: 1, ..ServerConfig::default() };
    let server = Server::bind_with(db, Arc::clone(&log) as Arc<dyn Log>, config).unwrap();
    run_server(server, |stopper, connect| test(&log, connect, stopper));
}

/// Runs a server until the test is done, which gets a function that connects a client.
pub(super) fn run_server(
    server: Server,
    test: impl FnOnce(&StopHandle, &(dyn Fn() -> TcpStream + Sync)),
) {
    let Address::Tcp(address) = server.addresses()[0] else { panic!("TCP is first") };
    let stopper = server.stop_handle();
    let connect = || {
        let client = TcpStream::connect(address).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        client
    };
    thread::scope(|scope| {
        let running = scope.spawn(|| server.run());
        let ends = AtOnce(&stopper);
        test(&stopper, &connect);
        drop(ends);
        running.join().unwrap().unwrap();
    });
}

#[track_caller]
pub(super) fn expect(client: &mut TcpStream, wanted: &str) {
    let mut got = vec![0; wanted.len()];
    client.read_exact(&mut got).unwrap();
    assert_eq!(String::from_utf8_lossy(&got), wanted);
}

/// Checks that nothing has arrived. A wrong reply would be there, because the server has answered a later request.
pub(super) fn expect_silence(client: &mut TcpStream) {
    client.set_nonblocking(true).unwrap();
    let got = client.read(&mut [0; 64]);
    client.set_nonblocking(false).unwrap();
    let is_silent = got.as_ref().is_err_and(|why| why.kind() == ErrorKind::WouldBlock);
    assert!(is_silent, "a reply was sent too early: {got:?}");
}

#[test]
fn replies_wait_only_for_their_own_entries() {
    serve(|log, connect, _| {
        let (mut one, mut two) = (connect(), connect());
        one.write_all(b"SET rose red\r\n").unwrap();
        log.until_committed(1);
        // A reply without changes is sent meanwhile, but not one that saw the change, nor one behind it.
        two.write_all(b"PING\r\n").unwrap();
        expect(&mut two, "+PONG\r\n");
        one.write_all(b"PING\r\n").unwrap();
        two.write_all(b"GET rose\r\n").unwrap();
        let mut three = connect();
        three.write_all(b"SET violet blue\r\n").unwrap();
        log.until_committed(2);
        for client in [&mut one, &mut two, &mut three] {
            expect_silence(client);
        }
        log.set(|state| state.committed = 1);
        expect(&mut one, "+OK\r\n+PONG\r\n");
        expect(&mut two, "$3\r\nred\r\n");
        expect_silence(&mut three);
        log.set(|state| state.committed = 2);
        expect(&mut three, "+OK\r\n");
    });
}

#[test]
fn progress_between_two_commits_is_not_missed() {
    serve(|log, connect, _| {
        log.set(|state| state.sly = true);
        let mut client = connect();
        client.write_all(b"SET rose red\r\n").unwrap();
        expect(&mut client, "+OK\r\n");
        // The worker asked again before it did anything else.
        assert_eq!(log.state.lock().unwrap().reads, 0);
    });
}

#[test]
fn uncommitted_replies_are_never_sent() {
    serve(|log, connect, _| {
        let (mut one, mut two) = (connect(), connect());
        log.set(|state| state.committed = 1);
        one.write_all(b"SET rose red\r\n").unwrap();
        expect(&mut one, "+OK\r\n");
        one.write_all(b"PING\r\nSET rose white\r\n").unwrap();
        log.until_committed(2);
        log.set(|state| state.fails = true);
        // The connection closes without a reply that may be lost.
        let mut rest = Vec::new();
        let _ = one.read_to_end(&mut rest);
        let received = String::from_utf8_lossy(&rest);
        assert!(!received.contains("OK"), "a reply that may be lost was sent: {received}");
        // Other clients are served.
        two.write_all(b"PING\r\n").unwrap();
        expect(&mut two, "+PONG\r\n");
    });
}

/// After a rollback, later entries may be committed before the worker notices: they say nothing about the replies that
/// it holds.
#[test]
fn rolled_back_replies_are_never_sent() {
    let db = Db::open(Options::in_memory()).unwrap();
    serve_over(db.clone(), |log, connect, _| {
        let mut client = connect();
        client.write_all(b"SET rose red\r\n").unwrap();
        log.until_committed(1);
        // A closed log cannot be written, so unsafe changes are rolled back.
        db.close().unwrap();
        db.roll_back();
        log.set(|state| state.committed = 9);
        let mut received = Vec::new();
        let _ = client.read_to_end(&mut received);
        let received = String::from_utf8(received).unwrap();
        let is_one_error = received.starts_with("-MISCONF ") && received.lines().count() == 1;
        assert!(is_one_error, "a change that was rolled back is acknowledged: {received:?}");
        let mut other = connect();
        other.write_all(b"PING\r\nGET rose\r\n").unwrap();
        expect(&mut other, "+PONG\r\n");
    });
}

#[test]
fn shutdown_waits_for_held_replies() {
    serve(|log, connect, stopper| {
        let mut client = connect();
        client.write_all(b"SET rose red\r\n").unwrap();
        log.until_committed(1);
        stopper.stop();
        log.set(|state| state.committed = 1);
        expect(&mut client, "+OK\r\n");
        assert_eq!(client.read(&mut [0; 64]).unwrap(), 0);
    });
}
