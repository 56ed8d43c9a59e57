//! Tests of loops that a script occupies.

use super::move_tests::wait_until;
use crate::server::shared::ServerShared;
use crate::server::tests::run_server;
use crate::server::{Server, ServerConfig};
use hedgerow_db_engine::{Db, Options};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const BUSY: &str =
    "-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.";
/// How long a test waits, on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A client that reads replies of one line.
struct Lines(BufReader<TcpStream>);

impl Lines {
    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Self(BufReader::new(stream))
    }

    fn send(&mut self, request: &str) {
        write!(self.0.get_mut(), "{request}\r\n").unwrap();
    }

    fn read(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("no reply comes");
        line.trim_end().to_owned()
    }

    fn ask(&mut self, request: &str) -> String {
        self.send(request);
        self.read()
    }
}

/// Runs a server of two loops, of which one is active, until the test is done.
fn serve(test: impl FnOnce(&ServerShared, &dyn Fn() -> Lines)) {
    let config = ServerConfig { threads: 2, ..ServerConfig::default() };
    let server = Server::bind(Db::open(Options::in_memory()).unwrap(), config).unwrap();
    run_server(server, |stopper, connect| test(&stopper.0, &|| Lines::new(connect())));
}

/// Starts a script without an end, and returns its client when the script has begun.
fn occupy(shared: &ServerShared, connect: &dyn Fn() -> Lines) -> Lines {
    let mut client = connect();
    assert_eq!(client.ask("CONFIG SET script-time-limit 0 busy-reply-threshold 300"), "+OK");
    assert_eq!(shared.event_loops.active(), 1, "a loop is activated that is not needed");
    client.send("EVAL 'redis.call(\"set\", KEYS[1], 1) while true do end' 1 key");
    wait_until("the script does not begin", || {
        crate::scripts::Scripts::of(&shared.db).is_running()
    });
    client
}

#[test]
fn a_script_on_the_only_active_loop_can_be_killed() {
    serve(|shared, connect| {
        let mut runs = occupy(shared, connect);
        // The system gives some of these connections to the listener of the loop that is occupied.
        let mut others: Vec<Lines> = (0..16).map(|_| connect()).collect();
        for other in &mut others {
            wait_until("other commands are not refused", || other.ask("PING") == BUSY);
            assert_eq!(other.ask("SET key 2"), BUSY, "a command waits for the lock of a script");
        }
        assert_eq!(others[0].ask("SCRIPT KILL"), "+OK");
        let ended = runs.read();
        assert!(ended.starts_with("-ERR Script killed by user with SCRIPT KILL"), "{ended}");
        for other in &mut others {
            assert_eq!(other.ask("SET key 2"), "+OK", "commands are refused after the script");
        }
        assert_eq!(runs.ask("PING"), "+PONG");
    });
}

#[test]
fn connections_that_came_when_a_script_was_over_its_time_are_served() {
    serve(|shared, connect| {
        let mut runs = occupy(shared, connect);
        let time = || shared.time(Instant::now());
        wait_until("the loop does not count as occupied", || shared.is_occupied(0, time()));
        let mut others: Vec<Lines> = (0..16).map(|_| connect()).collect();
        for other in &mut others {
            wait_until("other commands are not refused", || other.ask("PING") == BUSY);
        }
        assert_eq!(shared.event_loops.active(), 2, "no other loop becomes active");
        let [clients, own] = [1, 0].map(|worker| shared.workers[worker].clients.get());
        assert_eq!((clients, own), (16, 1), "the clients of a loop are not counted where they are");
        assert_eq!(others[0].ask("SCRIPT KILL"), "+OK");
        assert!(runs.read().starts_with("-ERR Script killed"));
    });
}

#[test]
fn a_shutdown_ends_a_script_that_runs_for_too_long() {
    serve(|shared, connect| {
        let mut runs = occupy(shared, connect);
        let mut other = connect();
        wait_until("other commands are not refused", || other.ask("PING") == BUSY);
        assert_eq!(other.ask("SHUTDOWN"), BUSY);
        other.send("SHUTDOWN NOSAVE");
        let ended = runs.read();
        assert!(ended.starts_with("-ERR Script killed"), "{ended}");
    });
}
