//! builds: default
//!
//! The program is killed at random times while clients push elements and others wait for them, again and again. Each
//! element whose push was acknowledged is delivered once, or is still there, or was on its way to a client that waited.
//! What readers of a stream have got is there afterwards; what a consumer has got is pending, and no other one gets it.
//!
//! `HEDGEROW_DB_KILLS` is the number of rounds.
#![cfg(unix)]

mod support;

#[path = "support/random.rs"]
mod random;

use random::Random;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::env;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use support::command;

const ROUNDS: &str = "HEDGEROW_DB_KILLS";
const PUSHERS: usize = 3;
const TAKERS: usize = 12;
const KEYS: [&[u8]; 3] = [b"a", b"b", b"c"];

/// Killed when dropped, at the latest.
struct Program {
    child: Child,
    port: u16,
}

impl Program {
    fn serving(folder: &Path, round: u64) -> Self {
        loop {
            // It was free just now.
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut program = Command::new(env!("CARGO_BIN_EXE_hedgerow-db"));
            // It would be a setting.
            program.env_remove(ROUNDS);
            program.args([
                "--port",
                &port.to_string(),
                "--threads",
                "3",
                "--snapshot-after",
                "65536",
            ]);
            program.args(["--shards", ["8", "1"][round as usize % 2], "--appendfsync", "always"]);
            program.arg("--dir").arg(folder).args(["--loglevel", "warning"]);
            program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = program.spawn().unwrap();
            let (mut out, mut said) = (BufReader::new(child.stdout.take().unwrap()), String::new());
            while out.read_line(&mut said).unwrap() != 0 {
                if said.ends_with("Press Ctrl-C to stop.\n") {
                    return Self { child, port };
                }
            }
            let mut why = String::new();
            child.stderr.take().unwrap().read_to_string(&mut why).unwrap();
            let _ = child.wait();
            // Another process may have taken the port meanwhile.
            assert!(why.contains("cannot listen on"), "it did not start: {why}");
        }
    }

    fn client(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(BufReader::new(stream))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the bulk strings of a reply; none for an integer, a null or OK.
fn answer(client: &mut BufReader<TcpStream>) -> io::Result<Vec<String>> {
    let mut line = String::new();
    client.read_line(&mut line)?;
    if !line.ends_with('\n') {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let (kind, rest) = line.trim_end().split_at(1);
    match (kind, rest.parse::<i64>()) {
        ("$" | "*", Ok(-1)) | (":" | "+", _) => Ok(Vec::new()),
        ("$", Ok(length)) => {
            let mut bytes = vec![0; length.cast_unsigned() as usize + 2];
            client.read_exact(&mut bytes)?;
            bytes.truncate(bytes.len() - 2);
            Ok(vec![String::from_utf8(bytes).unwrap()])
        }
        ("*", Ok(count)) => {
            let all: io::Result<Vec<_>> = (0..count).map(|_| answer(client)).collect();
            Ok(all?.concat())
        }
        _ => panic!("{line}"),
    }
}

fn request(client: &mut BufReader<TcpStream>, words: &[&[u8]]) -> io::Result<Vec<String>> {
    client.get_mut().write_all(&command(words))?;
    answer(client)
}

/// What has happened in all rounds.
#[derive(Default)]
struct Story {
    /// Elements whose push was acknowledged, and all that were sent.
    acknowledged: BTreeSet<String>,
    sent: BTreeSet<String>,
    delivered: BTreeSet<String>,
    /// Entries of the stream whose addition was acknowledged, those that readers have got, and those that consumers of
    /// the group have got.
    added: BTreeSet<String>,
    read: BTreeSet<String>,
    consumed: BTreeSet<String>,
    /// Elements that clients may have got without having read the reply.
    on_their_way: usize,
}

fn push(program: &Program, name: &str, story: &Mutex<Story>) -> io::Result<()> {
    let mut client = program.client()?;
    for number in 0.. {
        if number % 4 == 3 {
            let element = format!("{name}.{number}.0");
            request(&mut client, &[b"XADD", b"s", b"*", b"f", element.as_bytes()])?;
            story.lock().unwrap().added.insert(element);
            continue;
        }
        // Some pushes add several elements at once.
        let elements: Vec<String> =
            (0..=number % 3).map(|at| format!("{name}.{number}.{at}")).collect();
        let mut words: Vec<&[u8]> = vec![b"RPUSH", KEYS[number % 3]];
        words.extend(elements.iter().map(String::as_bytes));
        story.lock().unwrap().sent.extend(elements.iter().cloned());
        request(&mut client, &words)?;
        story.lock().unwrap().acknowledged.extend(elements);
    }
    Ok(())
}

fn take(
    program: &Program,
    taker: usize,
    random: &mut Random,
    story: &Mutex<Story>,
) -> io::Result<()> {
    if taker % 3 == 2 {
        return read(program, taker, random, story);
    }
    let mut client = program.client()?;
    loop {
        let words: &[&[u8]] = match taker % 4 {
            0 => &[b"BLPOP", b"a", b"b", b"c", b"0"],
            1 => &[b"BRPOP", b"c", b"b", b"0.002"],
            2 => &[b"BLMPOP", b"0", b"2", b"b", b"a", b"LEFT", b"COUNT", b"2"],
            _ => &[b"BLMOVE", b"a", b"c", b"LEFT", b"RIGHT", b"0"],
        };
        if taker % 4 != 3 {
            story.lock().unwrap().on_their_way += 2;
        }
        // Some clients leave while they wait.
        if random.below(50) == 0 {
            client.get_mut().write_all(&command(words))?;
            thread::sleep(Duration::from_micros(random.below(500)));
            client = program.client()?;
            continue;
        }
        let got = request(&mut client, words)?;
        if taker % 4 != 3 {
            let mut story = story.lock().unwrap();
            story.on_their_way -= 2;
            for element in got.into_iter().skip(1) {
                assert!(story.sent.contains(&element), "{element} was never pushed");
                assert!(story.delivered.insert(element.clone()), "{element} is delivered twice");
            }
        }
    }
}

/// As `take`, of the stream: as a consumer of the group, or without one.
fn read(
    program: &Program,
    taker: usize,
    random: &mut Random,
    story: &Mutex<Story>,
) -> io::Result<()> {
    let mut client = program.client()?;
    let consumer = taker.to_string();
    let (consumes, group) = (taker.is_multiple_of(2), [&b"GROUP"[..], b"g", consumer.as_bytes()]);
    let mut words: Vec<&[u8]> = if consumes { vec![b"XREADGROUP"] } else { vec![b"XREAD"] };
    words.extend(group.iter().filter(|_| consumes));
    let from: &[u8] = if consumes { b">" } else { b"$" };
    words.extend::<[&[u8]; 7]>([b"COUNT", b"2", b"BLOCK", b"0", b"STREAMS", b"s", from]);
    loop {
        if random.below(50) == 0 {
            client.get_mut().write_all(&command(&words))?;
            thread::sleep(Duration::from_micros(random.below(500)));
            client = program.client()?;
            continue;
        }
        let got = request(&mut client, &words)?;
        let mut story = story.lock().unwrap();
        for element in got.into_iter().filter(|word| word.contains('.')) {
            if consumes {
                assert!(story.consumed.insert(element.clone()), "{element} is delivered twice");
            } else {
                story.read.insert(element);
            }
        }
    }
}

#[test]
fn elements_survive_kills() {
    let rounds = env::var(ROUNDS).map_or(12, |rounds| rounds.parse().unwrap());
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random(seed);
    let mut all = Story::default();
    for round in 0..rounds {
        let (program, story) =
            (Program::serving(folder.path(), round), Mutex::new(std::mem::take(&mut all)));
        if round == 0 {
            let create: [&[u8]; 6] = [b"XGROUP", b"CREATE", b"s", b"g", b"$", b"MKSTREAM"];
            assert!(request(&mut program.client().unwrap(), &create).is_ok());
        }
        let pause = Duration::from_millis(30 + random.below(150));
        let seeds: Vec<u64> = (0..TAKERS).map(|_| random.below(u64::MAX)).collect();
        thread::scope(|scope| {
            let (program, story) = (&program, &story);
            for pusher in 0..PUSHERS {
                let name = format!("{round}.{pusher}");
                scope.spawn(move || push(program, &name, story).expect_err("it was killed"));
            }
            for (taker, seed) in seeds.into_iter().enumerate() {
                scope.spawn(move || {
                    take(program, taker, &mut Random(seed), story).expect_err("it was killed")
                });
            }
            thread::sleep(pause);
            kill_process(Pid::from_child(&program.child), Signal::KILL).unwrap();
        });
        drop(program);
        all = story.into_inner().unwrap();
        check(&Program::serving(folder.path(), round + 1), &mut all);
    }
    assert!(all.delivered.len() > 10 * rounds as usize, "hardly anything was delivered");
    // Fewer are added, and a busy machine reads fewer still.
    for read in [&all.read, &all.consumed] {
        assert!(read.len() > rounds as usize, "hardly anything was read");
    }
}

/// Checks that each element that was pushed is in one place.
fn check(program: &Program, all: &mut Story) {
    let mut client = program.client().unwrap();
    let mut there = BTreeSet::new();
    for key in KEYS {
        for element in request(&mut client, &[b"LRANGE", key, b"0", b"-1"]).unwrap() {
            assert!(all.sent.contains(&element), "{element} was never pushed");
            assert!(
                !all.delivered.contains(&element),
                "{element} was delivered and is still there"
            );
            assert!(there.insert(element.clone()), "{element} is there twice");
        }
    }
    let lost = all
        .acknowledged
        .iter()
        .filter(|element| !there.contains(*element) && !all.delivered.contains(*element))
        .count();
    assert!(lost <= all.on_their_way, "{lost} elements are lost, {} may be", all.on_their_way);
    check_stream(&mut client, all);
}

fn check_stream(client: &mut BufReader<TcpStream>, all: &Story) {
    let entries = request(client, &[b"XRANGE", b"s", b"-", b"+"]).unwrap();
    let entries: Vec<&[String]> = entries.chunks(3).collect();
    let there: BTreeSet<&String> = entries.iter().map(|entry| &entry[2]).collect();
    for element in all.added.iter().chain(&all.read).chain(&all.consumed) {
        assert!(there.contains(element), "the entry {element} is lost");
    }
    // Its reply is the ID, the consumer and two numbers of each.
    let pending = request(client, &[b"XPENDING", b"s", b"g", b"-", b"+", b"1000000"]).unwrap();
    let pending: BTreeSet<&String> = pending.chunks(2).map(|entry| &entry[0]).collect();
    for entry in entries.iter().filter(|entry| all.consumed.contains(&entry[2])) {
        assert!(pending.contains(&entry[0]), "{} was delivered and is not pending", entry[2]);
    }
}
