//! builds: default
//!
//! A process with an open database is killed at random times, again and again. All acknowledged changes are there when
//! the directory is opened again, and nothing that was never written.
//!
//! The process is this test program, started with `CHILD` set: its threads write increasing values, and print each
//! number when the log says that it is committed. `HEDGEROW_DB_KILLS` is the number of rounds.

#[path = "support/random.rs"]
mod random;

use hedgerow_db::log::Fsync;
use hedgerow_db::request::{Answer, Change, Expiry, MultiKeyOp, Query, Request, SetCondition};
use hedgerow_db::{Db, Options, Session};
use random::Random;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const CHILD: &str = "HEDGEROW_DB_KILLS_CHILD";
const ROUNDS: &str = "HEDGEROW_DB_KILLS";
const THREADS: u64 = 4;
/// Keys that a thread writes one after the other.
const KEYS: u64 = 8;
/// Keys that a thread always writes atomically.
const TOGETHER: u64 = 5;
/// The most numbers in a round.
const STRIDE: u64 = 1 << 32;
/// An expiration that no test reaches.
const FAR: u64 = 1 << 50;

/// The options of a round: the next flush policy, and a different number of shards each time.
fn options(folder: &Path, round: u64) -> Options {
    let mut options = Options::at(folder);
    options.fsync =
        [Fsync::Always, Fsync::EverySecond, Fsync::Always, Fsync::Never][round as usize % 4];
    options.shards = [4, 1, 32][round as usize % 3];
    options.compressed = if round.is_multiple_of(5) { 4 << 20 } else { 0 };
    options.snapshot_after = 1 << 16;
    options
}

/// The value stored with a number: most are short, and some are long enough for a write to be interrupted.
fn value(number: u64) -> Vec<u8> {
    let long = if number.is_multiple_of(41) { 400_000 } else { number * 7919 % 300 };
    let mut value = format!("{number}:").into_bytes();
    value.extend((0..long).map(|place| (place ^ number) as u8));
    value
}

fn key(kind: &str, thread: u64, number: u64) -> Vec<u8> {
    format!("{kind}:{thread}:{number}").into_bytes()
}

// -------------------------------------------------------------------------------- the process that is killed

fn be_killed(folder: &str) {
    let round: u64 = env::var(ROUNDS).unwrap().parse().unwrap();
    let db = Db::open(options(Path::new(folder), round)).unwrap();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let db = &db;
            scope.spawn(move || write(db, thread, round * STRIDE));
        }
        loop {
            db.snapshot().unwrap();
            print("snapshot\n");
            thread::sleep(Duration::from_millis(2));
        }
    });
}

fn write(db: &Db, thread: u64, from: u64) {
    let mut session = db.session();
    for number in from.. {
        let (value, short) = (value(number), number.to_string());
        let (register, ending) = (key("register", thread, number % KEYS), key("ending", thread, 0));
        let (counter, list) = (key("counter", thread, 0), key("list", thread, 0));
        let all: Vec<_> = (0..TOGETHER).map(|place| key("together", thread, place)).collect();
        let all: Vec<(&[u8], &[u8])> = all.iter().map(|key| (&key[..], short.as_bytes())).collect();
        let (here, there) =
            (key("moves", thread, number % 2), key("moves", thread, 1 - number % 2));
        let token = format!("{number:020}");
        let expiry = Expiry::At(FAR + number);
        let set = |value, expiry| Change::Set {
            value,
            condition: SetCondition::Always,
            expiry,
            get: false,
        };
        let requests = [
            Request::Change(&register, set(&value, Expiry::Never)),
            Request::Change(&counter, Change::Increment(1)),
            Request::Change(b"counter of all", Change::Increment(1)),
            Request::Change(&list, Change::Append(token.as_bytes())),
            Request::Change(&ending, set(short.as_bytes(), expiry)),
            Request::MultiKey(MultiKeyOp::SetAll(&all)),
            Request::MultiKey(MultiKeyOp::Rename { from: &here, to: &there, if_absent: false }),
        ];
        let lsn = session.execute(&requests, &mut |_, answer| {
            let no_such =
                matches!(answer, Answer::Error(hedgerow_db::request::RequestError::NoSuchKey));
            assert!(no_such || !matches!(answer, Answer::Error(_)), "{answer:?}");
        });
        db.log().wait(lsn).unwrap();
        print(&format!("acknowledged {thread} {number}\n"));
    }
}

/// Prints a line with a single write, so that the reader gets all of it or nothing.
fn print(line: &str) {
    if std::io::stdout().lock().write_all(line.as_bytes()).is_err() {
        std::process::exit(1);
    }
}

// -------------------------------------------------------------------------------- the test that kills it

/// Killed when dropped, at the latest.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a process that writes, and kills it. Returns the last number that each thread printed.
fn round(folder: &Path, round: u64, random: &mut Random) -> [Option<u64>; THREADS as usize] {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "acknowledged_changes_survive_kills", "--nocapture"]);
    command.env(CHILD, folder).env(ROUNDS, round.to_string()).stdout(Stdio::piped());
    let mut child = Running(command.spawn().unwrap());
    let out = child.0.stdout.take().unwrap();
    let ((write, writes), (snapshot, snapshots)) = (mpsc::channel(), mpsc::channel());
    let reader = thread::spawn(move || {
        let mut last = [None; THREADS as usize];
        for line in BufReader::new(out).lines() {
            let line = line.unwrap();
            if line == "snapshot" {
                let _ = snapshot.send(());
            }
            // Skip the test harness's own lines.
            let Some(acknowledged) = line.strip_prefix("acknowledged ") else { continue };
            let (thread, number) = acknowledged.split_once(' ').unwrap();
            let (thread, number): (usize, u64) = (thread.parse().unwrap(), number.parse().unwrap());
            let wanted = last[thread].map_or(round * STRIDE, |last: u64| last + 1);
            assert_eq!(number, wanted);
            last[thread] = Some(number);
            let _ = write.send(());
        }
        last
    });
    let begun = match random.below(4) {
        // The kill may come while it opens the directory, or before.
        0 => None,
        // On a slow disk no snapshot would be complete a few milliseconds after the first write.
        1 => Some(snapshots),
        _ => Some(writes),
    };
    if let Some(begun) = begun {
        let _ = begun.recv_timeout(Duration::from_secs(60));
    }
    thread::sleep(Duration::from_micros(random.below(20_000)));
    drop(child);
    reader.join().unwrap()
}

/// The known state of a thread's keys.
#[derive(Default)]
struct Known {
    registers: [Option<u64>; KEYS as usize],
    together: Option<u64>,
    ending: Option<u64>,
    counter: u64,
}

fn read(session: &mut Session, key: &[u8]) -> Option<Vec<u8>> {
    let mut found = None;
    session.execute(&[Request::Read(key, Query::Value)], &mut |_, answer| {
        if let Answer::Bytes(value) = answer {
            found = Some(value.to_vec());
        }
    });
    found
}

fn number(bytes: &[u8]) -> u64 {
    let digits = bytes.split(|byte| *byte == b':').next().unwrap();
    std::str::from_utf8(digits).unwrap().parse().unwrap()
}

impl Known {
    /// Checks the keys after a round in which `acknowledged` was printed last.
    fn check(&mut self, session: &mut Session, thread: u64, round: u64, acknowledged: Option<u64>) {
        let begin = round * STRIDE;
        let end = acknowledged.map_or(begin, |acknowledged| acknowledged + 1);
        // The number after the last printed one may have been written, in part or completely.
        let allowed = |found: Option<u64>, acknowledged: Option<u64>, mine: bool| {
            assert!(
                found == acknowledged || mine && found == Some(end),
                "{found:?} is there, {acknowledged:?} was printed"
            );
        };
        for place in 0..KEYS {
            let found = read(session, &key("register", thread, place));
            let there = found.as_deref().map(number);
            assert_eq!(found, there.map(value), "never written");
            let known = &mut self.registers[place as usize];
            let acknowledged = (begin..end).rev().take(KEYS as usize).find(|n| n % KEYS == place);
            allowed(there, acknowledged.or(*known), end % KEYS == place);
            *known = there;
        }
        let mut together = (0..TOGETHER)
            .map(|place| read(session, &key("together", thread, place)).as_deref().map(number));
        let one = together.next().unwrap();
        assert!(together.all(|other| other == one), "written together");
        allowed(one, acknowledged.or(self.together), true);
        self.together = one;

        let ending = key("ending", thread, 0);
        let there = read(session, &ending).as_deref().map(number);
        allowed(there, acknowledged.or(self.ending), true);
        session.execute(&[Request::Read(&ending, Query::Expiry)], &mut |_, answer| {
            let wanted = there.map_or(Answer::Nil, |there| Answer::ExpiresAt(Some(FAR + there)));
            assert_eq!(answer, wanted);
        });
        self.ending = there;

        let counter = read(session, &key("counter", thread, 0)).map_or(0, |text| number(&text));
        let wanted = self.counter + end - begin;
        assert!(counter == wanted || counter == wanted + 1, "{counter} for {wanted}");
        self.counter = counter;

        let list = read(session, &key("list", thread, 0)).unwrap_or_default();
        let list: Vec<u64> = list.chunks(20).map(number).collect();
        let acknowledged: Vec<u64> = (begin..end).collect();
        assert!(
            list == acknowledged || list.split_last() == Some((&end, &acknowledged[..])),
            "{list:?}"
        );
        session
            .execute(&[Request::Change(&key("list", thread, 0), Change::Delete)], &mut |_, _| {});

        let moves = [0, 1].map(|place| read(session, &key("moves", thread, place)));
        assert_eq!(
            moves.iter().flatten().count(),
            usize::from(round > 0),
            "one key moves, or there was none"
        );
        if round == 0 {
            let set = Change::Set {
                value: b"it",
                condition: SetCondition::Always,
                expiry: Expiry::Never,
                get: false,
            };
            session.execute(&[Request::Change(&key("moves", thread, 0), set)], &mut |_, _| {});
        }
    }
}

#[test]
fn acknowledged_changes_survive_kills() {
    if let Ok(folder) = env::var(CHILD) {
        return be_killed(&folder);
    }
    let given = env::var(ROUNDS).ok().map(|rounds| rounds.parse().unwrap());
    let (rounds, timeout) =
        given.map_or((25, Duration::from_secs(10)), |rounds| (rounds, Duration::MAX));
    let folder = tempfile::tempdir().unwrap();
    let (mut random, began) = (Random(rounds), Instant::now());
    let mut known: [Known; THREADS as usize] = Default::default();
    let (mut of_all, mut printed, mut cuts, mut snapshots, mut done) = (0, 0, 0, 0, 0);
    for number_of in 0..rounds {
        if began.elapsed() > timeout {
            break;
        }
        let acknowledged = round(folder.path(), number_of, &mut random);
        let db = Db::open(options(folder.path(), number_of + 1)).unwrap();
        let mut session = db.session();
        for (thread, known) in known.iter_mut().enumerate() {
            known.check(&mut session, thread as u64, number_of, acknowledged[thread]);
        }
        let counted = |last: Option<u64>| last.map_or(0, |last| last - number_of * STRIDE + 1);
        let new: u64 = acknowledged.into_iter().map(counted).sum();
        let sum = read(&mut session, b"counter of all").map_or(0, |text| number(&text));
        assert!(
            (of_all + new..=of_all + new + THREADS).contains(&sum),
            "{sum} for {of_all} and {new}"
        );
        (of_all, printed, done) = (sum, printed + new, done + 1);
        cuts += u64::from(db.opened().truncated_bytes != 0);
        snapshots += u64::from(db.opened().snapshot_keys != 0);
        drop(session);
        if random.below(3) == 0 {
            db.close().unwrap();
        }
    }
    println!(
        "{done} kills, {printed} writes acknowledged, {cuts} torn ends, {snapshots} snapshots loaded"
    );
    assert!(printed > 0 && snapshots > 0, "the test covered nothing");
}
