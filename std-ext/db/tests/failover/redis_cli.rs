//! redis-cli and redis-benchmark, started for each command.

use crate::LIMIT;
use crate::writers::{Client, Writer, serve};
use hedgerow_db_engine::not_run::not_run;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The exit code of `timeout` if there is no such program.
const NOT_FOUND: i32 = 127;

/// How long a program may take: thousands of writes, each of which waits for etcd on a busy disk.
const SECONDS: &str = "240";

/// Starts a loop that sets keys by `redis-cli -c`, at one node after the other.
pub(crate) fn start(ports: [u16; 3]) -> Option<Writer> {
    run("redis-cli", &["--version"])?;
    Some(Writer::in_thread("redis-cli", move |asked, answer| {
        let mut client = Cli { ports: ports.map(|port| port.to_string()), node: 0 };
        serve("redis-cli", Duration::from_millis(20), &mut client, &asked, &answer);
    }))
}

/// Runs a program of Redis to its end, and returns what it has printed. Returns `None`, and says so, if it is missing.
///
/// # Panics
/// If it fails.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("timeout");
    let output =
        command.args([SECONDS, program]).args(arguments).stdin(Stdio::null()).output().unwrap();
    if output.status.code() == Some(NOT_FOUND) {
        not_run(&format!("no {program} (apt-get install redis-tools)"));
        return None;
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&output.stdout);
    let (status, errors) = (output.status, text(&output.stderr));
    assert!(status.success(), "{program} {arguments:?}: {status}: {said}{errors}");
    Some(said)
}

/// A user with a prompt. If a node does not answer, the user tries another one.
struct Cli {
    ports: [String; 3],
    node: usize,
}

/// Returns redis-cli at a node, with a limit in seconds for a node that is stopped.
fn redis_cli(port: &str, seconds: &str) -> Command {
    let mut command = Command::new("timeout");
    command.args([seconds, "redis-cli", "-c", "-p", port]);
    command
}

impl Client for Cli {
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let output = redis_cli(&self.ports[self.node], "1").args(["set", key, value]).output();
        let output = output.map_err(|why| why.to_string())?;
        if output.stdout == b"OK\n" {
            return Ok(());
        }
        self.node = (self.node + 1) % 3;
        Err(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn count(&mut self, keys: &[String], replicas: bool) -> usize {
        let end = Instant::now() + LIMIT / 2;
        loop {
            let port = self.ports[self.node].clone();
            let port = if replicas { replica_at(&port) } else { Some(port) };
            let found = port.map_or(0, |port| read(&port, keys, replicas));
            // A replica may be behind.
            if found == keys.len() || Instant::now() > end {
                return found;
            }
            self.node = (self.node + 1) % 3;
        }
    }
}

/// Returns a replica's port: the node's own, or one that the node names if it is a primary itself. After failovers,
/// all nodes that the client knows may be primaries.
fn replica_at(port: &str) -> Option<String> {
    let output = redis_cli(port, "1").arg("role").output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    match said.lines().next()? {
        "slave" => Some(port.to_owned()),
        // The offset stands between, and then for each replica its address, port and offset.
        "master" => said.lines().nth(3).map(str::to_owned),
        _ => None,
    }
}

/// Reads all keys over one connection, and returns how many are found.
fn read(port: &str, keys: &[String], replicas: bool) -> usize {
    let mut command = redis_cli(port, "10");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let first = if replicas { "READONLY\n" } else { "" };
    let lines: Vec<String> = keys.iter().map(|key| format!("GET {key}\n")).collect();
    let writer = std::thread::spawn(move || {
        // The program may end before it has read all.
        let _ = input.write_all(format!("{first}{}", lines.concat()).as_bytes());
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let values = said.lines().filter(|line| !line.starts_with("-> Redirected") && *line != "OK");
    values.zip(keys).filter(|(value, key)| value == key).count()
}
