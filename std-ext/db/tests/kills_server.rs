//! builds: default
//!
//! The program is killed at random times while clients write to it over TCP, again and again. Everything that it had
//! acknowledged, or shown to a client, is there after the restart, and nothing that was never sent.
//!
//! `HEDGEROW_DB_KILLS` is the number of rounds.
#![cfg(unix)]

mod support;

#[path = "support/random.rs"]
mod random;

use random::Random;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::HashMap;
use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use support::command;

const ROUNDS: &str = "HEDGEROW_DB_KILLS";
/// Clients that write keys of their own and one shared key.
const WRITERS: usize = 4;
const REGISTERS: u64 = 6;
/// Keys that are always written atomically.
const TOGETHER: u64 = 4;
/// A time that no test reaches, in milliseconds.
const FAR: u64 = 1 << 50;

// -------------------------------------------------------------------------------- the program

/// Killed when dropped, at the latest.
struct Program {
    child: Child,
    port: u16,
    said: String,
}

impl Program {
    /// Starts the program with a different number of shards each time, and in one round of four with the other flush
    /// policy that survives the death of a process.
    fn start(folder: &Path, round: u64) -> (Child, u16) {
        // It was free just now.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut program = Command::new(env!("CARGO_BIN_EXE_hedgerow-db"));
        for (name, _) in env::vars_os() {
            if name.to_string_lossy().starts_with("HEDGEROW_DB_") {
                program.env_remove(name);
            }
        }
        program.args(["--port", &port.to_string(), "--threads", "2", "--snapshot-after", "65536"]);
        program.args(["--appendfsync", if round % 4 == 3 { "everysec" } else { "always" }]);
        program.args(["--shards", ["4", "1", "32"][round as usize % 3]]);
        program.args(["--compressed", if round.is_multiple_of(5) { "4mb" } else { "0" }]);
        program.arg("--dir").arg(folder).args(["--loglevel", "warning"]);
        program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        (program.spawn().unwrap(), port)
    }

    /// Starts the program until it serves; another process may have taken the port meanwhile.
    fn serving(folder: &Path, round: u64) -> Self {
        loop {
            let (mut child, port) = Self::start(folder, round);
            let (mut out, mut said) = (BufReader::new(child.stdout.take().unwrap()), String::new());
            while out.read_line(&mut said).unwrap() != 0 {
                if said.ends_with("Press Ctrl-C to stop.\n") {
                    return Self { child, port, said };
                }
            }
            let why = complaints(&mut child);
            assert!(why.contains("cannot listen on"), "it did not start: {why}");
        }
    }

    fn client(&self) -> Client {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Client(BufReader::new(stream))
    }

    /// Returns the number of keys that it reports from a snapshot.
    fn snapshot_keys(&self) -> u64 {
        let number = self.said.split_once(" keys from a snapshot").map(|(before, _)| before);
        let number = number.and_then(|before| before.rsplit(' ').next()?.parse().ok());
        number.unwrap_or(0)
    }
}

/// Returns what it wrote to standard error. The program must have exited.
fn complaints(child: &mut Child) -> String {
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    said
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// -------------------------------------------------------------------------------- its clients

struct Client(BufReader<TcpStream>);

impl Client {
    /// Returns the next reply; an integer as its digits.
    fn answer(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        if !line.ends_with('\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match line.trim_end().split_at(1) {
            ("$", "-1") => Ok(None),
            ("$", length) => {
                let mut bytes = vec![0; length.parse::<usize>().unwrap() + 2];
                self.0.read_exact(&mut bytes)?;
                bytes.truncate(bytes.len() - 2);
                Ok(Some(bytes))
            }
            (":" | "+", rest) => Ok(Some(rest.into())),
            // The replies of a transaction.
            ("*", count) => {
                (0..count.parse::<u64>().unwrap()).try_for_each(|_| self.answer().map(drop))?;
                Ok(None)
            }
            _ => panic!("{line}"),
        }
    }

    fn request(&mut self, words: &[&[u8]]) -> io::Result<Option<Vec<u8>>> {
        self.0.get_mut().write_all(&command(words))?;
        self.answer()
    }
}

/// The expected state of a key: its value, and its expiration if it has one.
type Kept = Option<(Vec<u8>, Option<u64>)>;

/// The state of a key before, and after each request of its writer.
type Story = (Kept, Vec<(u64, Kept)>);

/// A client that writes keys of its own.
#[derive(Default)]
struct Writer {
    name: usize,
    keys: HashMap<Vec<u8>, Story>,
    /// Different each time, over all rounds.
    number: u64,
    sent: u64,
    acknowledged: u64,
    /// The replies to the last request: a transaction has one for each of its commands, and one for all.
    replies: u64,
    /// The requests that incremented the shared number.
    added: Vec<u64>,
}

impl Writer {
    fn now(&self, key: &[u8]) -> Kept {
        let (before, since) = self.keys.get(key)?;
        since.last().map_or(before, |(_, kept)| kept).clone()
    }

    fn becomes(&mut self, key: &[u8], kept: Kept) {
        let sent = self.sent;
        self.keys.entry(key.to_vec()).or_default().1.push((sent, kept));
    }

    fn key(&self, kind: &str, number: u64) -> Vec<u8> {
        format!("{kind}:{}:{number}", self.name).into_bytes()
    }

    /// Returns the next request, and records its effect.
    fn request(&mut self, random: &mut Random) -> Vec<u8> {
        (self.number, self.replies) = (self.number + 1, 1);
        let short = self.number.to_string().into_bytes();
        let register = self.key("register", random.below(REGISTERS));
        let request = match random.below(12) {
            0..3 => {
                // Some values are long enough for a write to be interrupted.
                let long = if self.number.is_multiple_of(37) { 200_000 } else { self.number % 300 };
                let value = [&short[..], b":", &vec![b'v'; long as usize]].concat();
                self.becomes(&register, Some((value.clone(), None)));
                command(&[b"SET", &register, &value])
            }
            3 => {
                self.becomes(&register, None);
                command(&[b"DEL", &register])
            }
            4 | 5 => {
                let key = self.key("counter", 0);
                let sum = self.now(&key).map_or(0, |(text, _)| digits(&text)) + 1;
                self.becomes(&key, Some((sum.to_string().into(), None)));
                command(&[b"INCR", &key])
            }
            6 | 7 => {
                self.added.push(self.sent);
                command(&[b"INCR", b"all"])
            }
            8 if self.number.is_multiple_of(2) => {
                self.replies = TOGETHER + 2;
                let mut words = command(&[b"MULTI"]);
                for n in 0..TOGETHER {
                    let key = self.key("together", n);
                    self.becomes(&key, Some((short.clone(), None)));
                    words.extend(command(&[b"SET", &key, &short]));
                }
                [words, command(&[b"EXEC"])].concat()
            }
            8 => {
                let all: Vec<_> = (0..TOGETHER).map(|n| self.key("together", n)).collect();
                let mut words: Vec<&[u8]> = vec![b"MSET"];
                for key in &all {
                    self.becomes(key, Some((short.clone(), None)));
                    words.extend([&key[..], &short]);
                }
                command(&words)
            }
            9 | 10 => {
                let (key, token) = (self.key("list", 0), [&short[..], b" "].concat());
                let before = self.now(&key).map_or(Vec::new(), |(value, _)| value);
                if before.len() > 4000 {
                    self.becomes(&key, None);
                    command(&[b"GETDEL", &key])
                } else {
                    self.becomes(&key, Some(([before, token.clone()].concat(), None)));
                    command(&[b"APPEND", &key, &token])
                }
            }
            _ => {
                let (key, end) = (self.key("ending", 0), FAR + self.number);
                self.becomes(&key, Some((short.clone(), Some(end))));
                command(&[b"SET", &key, &short, b"PXAT", end.to_string().as_bytes()])
            }
        };
        self.sent += 1;
        request
    }

    /// Sends requests in pipelines of one to many, until the connection breaks.
    fn write(&mut self, mut client: Client, mut random: Random) {
        loop {
            let length = [1, 1, 3, 10, 60][random.below(5) as usize];
            let (mut requests, mut replies) = (Vec::new(), Vec::new());
            for _ in 0..length {
                requests.extend(self.request(&mut random));
                replies.push(self.replies);
            }
            // It is unknown how much of it has arrived, so all of it may have been executed.
            if client.0.get_mut().write_all(&requests).is_err() {
                return;
            }
            for replies in replies {
                if (0..replies).try_for_each(|_| client.answer().map(drop)).is_err() {
                    return;
                }
                self.acknowledged += 1;
            }
        }
    }

    /// Counts the acknowledged requests that incremented the shared number.
    fn added_for_sure(&self) -> u64 {
        self.added.partition_point(|request| *request < self.acknowledged) as u64
    }

    /// Checks that each key has its state after some of the requests: all acknowledged ones, and maybe more. That state
    /// is the start of the next round.
    fn check(&mut self, client: &mut Client) {
        let acknowledged = self.acknowledged;
        for (key, (before, since)) in &mut self.keys {
            let value = client.request(&[b"GET", key]).unwrap();
            let found = value.map(|value| {
                let end = client.request(&[b"PEXPIRETIME", key]).unwrap().unwrap();
                (value, (end != b"-1").then(|| digits(&end)))
            });
            let sure = since.partition_point(|(request, _)| *request < acknowledged);
            let last = since[..sure].last().map_or(&*before, |(_, kept)| kept);
            let allowed = found == *last || since[sure..].iter().any(|(_, kept)| *kept == found);
            let show = |kept: &Kept| {
                kept.as_ref().map(|(value, end)| {
                    let value = String::from_utf8_lossy(&value[value.len().saturating_sub(60)..]);
                    format!("{value} until {end:?}")
                })
            };
            assert!(
                allowed,
                "{}: {:?} is there, {:?} was acknowledged",
                String::from_utf8_lossy(key),
                show(&found),
                show(last)
            );
            (*before, *since) = (found, Vec::new());
        }
        let mut together = (0..TOGETHER).map(|n| self.now(&self.key("together", n)));
        let one = together.next().unwrap();
        assert!(together.all(|other| other == one), "an MSET or a transaction is incomplete");
        (self.sent, self.acknowledged) = (0, 0);
        self.added.clear();
    }
}

fn digits(text: &[u8]) -> u64 {
    std::str::from_utf8(text).unwrap().parse().unwrap()
}

/// Reads the shared number in a loop: a number that was shown once must survive.
fn watch(mut client: Client, highest: &AtomicU64) {
    while let Ok(shown) = client.request(&[b"GET", b"all"]) {
        let shown = shown.map_or(0, |text| digits(&text));
        // Relaxed: read after this thread is joined.
        highest.fetch_max(shown, Ordering::Relaxed);
    }
}

/// Requests snapshots, so that kills meet them regardless of the server's schedule.
fn have_saved(mut client: Client) {
    let mut line = String::new();
    while client.0.get_mut().write_all(b"BGSAVE\r\n").is_ok() {
        line.clear();
        match client.0.read_line(&mut line) {
            Ok(1..) => assert!(line.contains("ackground sav") || !line.ends_with('\n'), "{line}"),
            _ => return,
        }
        thread::sleep(Duration::from_millis(2));
    }
}

fn number_of_all(client: &mut Client) -> u64 {
    client.request(&[b"GET", b"all"]).unwrap().map_or(0, |text| digits(&text))
}

// -------------------------------------------------------------------------------- the test that kills it

/// The possible range of the shared number: from the acknowledged or shown one to the sent one.
type Between = RangeInclusive<u64>;

#[derive(Default)]
struct CounterTotals {
    kills: u64,
    early: u64,
    ends: u64,
    acknowledged: u64,
    unanswered: u64,
    snapshots: u64,
    torn: u64,
}

/// Lets clients write and ends the program, by a kill or by a regular shutdown.
fn round(
    mut program: Program,
    writers: &mut [Writer],
    random: &mut Random,
    gently: bool,
    counted: &mut CounterTotals,
) -> Between {
    let (shown, pid) = (AtomicU64::new(0), Pid::from_child(&program.child));
    let before = number_of_all(&mut program.client());
    thread::scope(|scope| {
        for writer in writers.iter_mut() {
            let (client, random) = (program.client(), Random(random.below(u64::MAX)));
            scope.spawn(move || writer.write(client, random));
        }
        let client = program.client();
        scope.spawn(move || have_saved(client));
        for _ in 0..2 {
            let (client, shown) = (program.client(), &shown);
            scope.spawn(move || watch(client, shown));
        }
        thread::sleep(Duration::from_micros(random.below(40_000)));
        kill_process(pid, if gently { Signal::TERM } else { Signal::KILL }).unwrap();
    });
    let ended = program.child.wait().unwrap();
    assert_eq!(ended.code(), gently.then_some(0), "{ended:?}");
    let said = complaints(&mut program.child);
    *(if gently { &mut counted.ends } else { &mut counted.kills }) += 1;
    counted.torn += u64::from(said.contains("they were an incomplete entry"));
    counted.snapshots += u64::from(program.snapshot_keys() > 0);
    let sum = |count: &dyn Fn(&Writer) -> u64| writers.iter().map(count).sum::<u64>();
    counted.acknowledged += sum(&|writer| writer.acknowledged);
    counted.unanswered += sum(&|writer| writer.sent - writer.acknowledged);
    let least = before + sum(&|writer| writer.added_for_sure());
    least.max(shown.into_inner())..=before + sum(&|writer| writer.added.len() as u64)
}

#[test]
fn replies_survive_kills() {
    let given = env::var(ROUNDS).ok().map(|rounds| rounds.parse().unwrap());
    let (rounds, timeout) =
        given.map_or((10, Duration::from_secs(8)), |rounds| (rounds, Duration::MAX));
    let folder = tempfile::tempdir().unwrap();
    let (mut random, began) = (Random(rounds), Instant::now());
    let (mut counted, mut all) = (CounterTotals::default(), 0..=0);
    let mut writers: Vec<_> =
        (0..WRITERS).map(|name| Writer { name, ..Writer::default() }).collect();
    for number in 0..=rounds {
        if random.below(5) == 0 {
            // While it starts, or before.
            let (mut child, _) = Program::start(folder.path(), number);
            thread::sleep(Duration::from_micros(random.below(15_000)));
            child.kill().unwrap();
            child.wait().unwrap();
            counted.early += 1;
        }
        let program = Program::serving(folder.path(), number);
        let mut client = program.client();
        for writer in &mut writers {
            writer.check(&mut client);
        }
        let found = number_of_all(&mut client);
        assert!(all.contains(&found), "{found} is there instead of {all:?}");
        if number == rounds || began.elapsed() > timeout {
            break;
        }
        all = round(program, &mut writers, &mut random, number % 10 == 6, &mut counted);
    }
    let CounterTotals { kills, early, ends, acknowledged, unanswered, snapshots, torn } = counted;
    println!(
        "{kills} kills while clients wrote, {early} while it started, {ends} ends by SIGTERM; {acknowledged} changes \
         acknowledged, {unanswered} sent and not answered, {snapshots} snapshots loaded, {torn} torn ends"
    );
    assert!(acknowledged > 0 && unanswered > 0 && snapshots > 0, "the test covered nothing");
}
