//! builds: default
//!
//! Histories of clients are linearizable: over TCP and embedded at once, in single requests and in pipelines, key by
//! key.
//!
//! Every thread sends many requests about few keys, and records when each was sent and answered. The repository's own
//! checker then searches for an order that explains all answers.

mod support;

#[path = "../../../tests/support/check.rs"]
mod check;
#[allow(dead_code, reason = "the words of the maps' own histories are not the database's")]
#[path = "../../../tests/support/history.rs"]
mod history;

#[path = "support/random.rs"]
mod random;

use check::explain;
use hedgerow_db::log::Fsync;
use hedgerow_db::request::{Answer, Change, Expiry, Query, Request, SetCondition};
use hedgerow_db::{Db, Options, Session};
use history::{Event, Operation};
use random::Random;
use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use support::{Client, Running, command};

const KEYS: usize = 3;
/// Threads with a connection, and threads with a session. The checker takes eight.
const OUTSIDE: usize = 4;
const INSIDE: usize = 3;
/// Approximate requests of each thread.
const EACH: usize = 400;

/// A request about one key.
#[derive(Clone, Debug, PartialEq)]
enum Call {
    Get,
    Set(Vec<u8>),
    SetAbsent(Vec<u8>),
    /// Answers the old value.
    SetGet(Vec<u8>),
    Incr,
    Del,
    GetDel,
    Append(Vec<u8>),
}

/// An answer, in one form for both interfaces.
#[derive(Clone, Debug, PartialEq)]
enum Reply {
    Done,
    Nothing,
    Int(i64),
    Bytes(Vec<u8>),
    NotAnInteger,
}

impl Operation for Call {
    type State = Option<Vec<u8>>;
    type Answer = Reply;

    fn apply(&self, state: &Self::State) -> (Self::State, Reply) {
        let before = state.clone().map_or(Reply::Nothing, Reply::Bytes);
        match self {
            Self::Get => (state.clone(), before),
            Self::SetAbsent(_) if state.is_some() => (state.clone(), Reply::Nothing),
            Self::Set(value) | Self::SetAbsent(value) => (Some(value.clone()), Reply::Done),
            Self::SetGet(value) => (Some(value.clone()), before),
            Self::Incr => {
                let number = state.as_ref().map_or(Some(0), |text| {
                    String::from_utf8_lossy(text).parse().ok().filter(|n: &i64| *n < i64::MAX)
                });
                let Some(number) = number else { return (state.clone(), Reply::NotAnInteger) };
                (Some((number + 1).to_string().into()), Reply::Int(number + 1))
            }
            Self::Del => (None, Reply::Int(state.is_some().into())),
            Self::GetDel => (None, before),
            Self::Append(tail) => {
                let value = [state.as_deref().unwrap_or_default(), tail].concat();
                let length = value.len().cast_signed() as i64;
                (Some(value), Reply::Int(length))
            }
        }
    }

    fn may_have_been_idle(&self) -> bool {
        false
    }
}

impl fmt::Display for Event<Call, Reply> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        write!(f, "[{}, {}] ", self.called, self.returned)?;
        match &self.call {
            Call::Set(value) => write!(f, "SET {}", show(value))?,
            Call::SetAbsent(value) => write!(f, "SET {} NX", show(value))?,
            Call::SetGet(value) => write!(f, "SET {} GET", show(value))?,
            Call::Append(tail) => write!(f, "APPEND {}", show(tail))?,
            other => write!(f, "{other:?}")?,
        }
        match &self.answer {
            Reply::Bytes(value) => write!(f, " = {}", show(value)),
            other => write!(f, " = {other:?}"),
        }
    }
}

fn key(number: usize) -> Vec<u8> {
    format!("key {number}").into_bytes()
}

impl Call {
    /// Every stored value is a different number, with space for increments between them.
    fn any(random: &mut Random, unique: u64) -> Self {
        let number = (unique * 1000).to_string().into_bytes();
        match random.below(14) {
            0..4 => Self::Get,
            4 | 5 => Self::Set(number),
            6 => Self::SetAbsent(number),
            7 => Self::SetGet(number),
            8..11 => Self::Incr,
            11 => Self::Del,
            12 => Self::GetDel,
            _ => Self::Append(number),
        }
    }

    fn request<'a>(&'a self, key: &'a [u8]) -> Request<'a> {
        let set = |value: &'a Vec<u8>, condition, get| Change::Set {
            value,
            condition,
            expiry: Expiry::Never,
            get,
        };
        Request::Change(
            key,
            match self {
                Self::Get => return Request::Read(key, Query::Value),
                Self::Set(value) => set(value, SetCondition::Always, false),
                Self::SetAbsent(value) => set(value, SetCondition::IfAbsent, false),
                Self::SetGet(value) => set(value, SetCondition::Always, true),
                Self::Incr => Change::Increment(1),
                Self::Del => Change::Delete,
                Self::GetDel => Change::GetDelete,
                Self::Append(tail) => Change::Append(tail),
            },
        )
    }

    fn text(&self, key: &[u8]) -> Vec<u8> {
        match self {
            Self::Get => command(&[b"GET", key]),
            Self::Set(value) => command(&[b"SET", key, value]),
            Self::SetAbsent(value) => command(&[b"SET", key, value, b"NX"]),
            Self::SetGet(value) => command(&[b"SET", key, value, b"GET"]),
            Self::Incr => command(&[b"INCR", key]),
            Self::Del => command(&[b"DEL", key]),
            Self::GetDel => command(&[b"GETDEL", key]),
            Self::Append(tail) => command(&[b"APPEND", key, tail]),
        }
    }
}

/// An interface to the database.
trait Interface {
    /// Sends all calls as one pipeline, and returns when all are answered.
    fn execute(&mut self, calls: &[(usize, Call)]) -> Vec<Reply>;
}

impl Interface for (Db, Session) {
    fn execute(&mut self, calls: &[(usize, Call)]) -> Vec<Reply> {
        let keys: Vec<_> = calls.iter().map(|(number, _)| key(*number)).collect();
        let requests: Vec<_> =
            calls.iter().zip(&keys).map(|((_, call), key)| call.request(key)).collect();
        let mut all = vec![None; calls.len()];
        let lsn = self.1.execute(&requests, &mut |number, answer| {
            all[number] = Some(match answer {
                Answer::Done => Reply::Done,
                Answer::Nil => Reply::Nothing,
                Answer::Int(number) => Reply::Int(number),
                Answer::Bytes(bytes) => Reply::Bytes(bytes.to_vec()),
                Answer::Pieces(pieces) => Reply::Bytes(pieces.concat()),
                Answer::Error(why) => {
                    assert_eq!(why, hedgerow_db::request::RequestError::NotAnInteger);
                    Reply::NotAnInteger
                }
                other => panic!("no request has this answer: {other:?}"),
            });
        });
        self.0.log().wait(lsn).unwrap();
        all.into_iter().map(|reply| reply.expect("every request is answered")).collect()
    }
}

impl Interface for BufReader<Client> {
    fn execute(&mut self, calls: &[(usize, Call)]) -> Vec<Reply> {
        let text: Vec<u8> =
            calls.iter().flat_map(|(number, call)| call.text(&key(*number))).collect();
        self.get_mut().send(text);
        calls.iter().map(|_| one_reply(self)).collect()
    }
}

fn one_reply(from: &mut impl BufRead) -> Reply {
    let mut line = String::new();
    from.read_line(&mut line).unwrap();
    match line.trim_end().split_at(1) {
        ("+", "OK") => Reply::Done,
        ("$", "-1") => Reply::Nothing,
        (":", number) => Reply::Int(number.parse().unwrap()),
        ("$", length) => {
            let mut bytes = vec![0; length.parse::<usize>().unwrap() + 2];
            from.read_exact(&mut bytes).unwrap();
            bytes.truncate(bytes.len() - 2);
            Reply::Bytes(bytes)
        }
        ("-", "ERR value is not an integer or out of range") => Reply::NotAnInteger,
        _ => panic!("{line}"),
    }
}

impl Read for Client {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(into)
    }
}

/// One thread's events, by key.
type Notes = Vec<Vec<Event<Call, Reply>>>;

/// Sends requests and records events. Stamps are taken before a whole pipeline is sent and after all of it is answered.
fn play(interface: &mut impl Interface, clock: &AtomicU64, thread: u64, seed: u64) -> Notes {
    // SeqCst: the checker needs one total order of all stamps.
    let now = || clock.fetch_add(1, Ordering::SeqCst);
    let mut random = Random(seed << 8 | thread);
    let (mut notes, mut done) = (vec![Vec::new(); KEYS], 0);
    while done < EACH {
        let length = [1, 1, 2, 5, 12][random.below(5) as usize];
        let calls: Vec<_> = (0..length)
            .map(|place| {
                let unique = (done as u64 + place) * 16 + thread + 1;
                (random.below(KEYS as u64) as usize, Call::any(&mut random, unique))
            })
            .collect();
        let called = now();
        let reply = interface.execute(&calls);
        let returned = now();
        done += calls.len();
        for ((key, call), answer) in calls.into_iter().zip(reply) {
            notes[key].push(Event { called, returned, call, answer });
        }
    }
    notes
}

/// Records a history of many threads.
fn record(options: Options, seed: u64) -> Vec<Notes> {
    let db = Db::open(options).unwrap();
    let server = Running::over(db.clone(), |_| {});
    let (clock, begin) = (AtomicU64::new(0), Barrier::new(OUTSIDE + INSIDE));
    thread::scope(|scope| {
        let threads: Vec<_> = (0..OUTSIDE + INSIDE)
            .map(|thread| {
                let (db, server, clock, begin) = (&db, &server, &clock, &begin);
                scope.spawn(move || {
                    if thread < OUTSIDE {
                        let mut client = BufReader::new(server.client());
                        begin.wait();
                        play(&mut client, clock, thread as u64, seed)
                    } else {
                        let mut session = (db.clone(), db.session());
                        begin.wait();
                        play(&mut session, clock, thread as u64, seed)
                    }
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Returns Ok if an order explains the history, or else what does not fit.
fn judged(history: &[Vec<Event<Call, Reply>>]) -> Result<(), String> {
    check::check(history, None).map_err(|stuck| explain(history, &stuck))
}

fn of_key(all: &[Notes], key: usize) -> Vec<Vec<Event<Call, Reply>>> {
    all.iter().map(|notes| notes[key].clone()).collect()
}

/// Counts the events that overlap one of another thread: a history without overlap would prove nothing.
fn overlapping(history: &[Vec<Event<Call, Reply>>]) -> usize {
    let overlaps = |(thread, event): (usize, &Event<Call, Reply>)| {
        let others = history.iter().enumerate().filter(|(other, _)| *other != thread);
        others
            .flat_map(|(_, events)| events)
            .any(|other| other.called < event.returned && event.called < other.returned)
    };
    let all = history.iter().enumerate().flat_map(|(n, events)| events.iter().map(move |e| (n, e)));
    all.filter(|event| overlaps(*event)).count()
}

#[test]
fn recorded_histories_are_linearizable() {
    for seed in 0..6 {
        let folder = tempfile::tempdir().unwrap();
        let mut options =
            if seed % 3 == 2 { Options::at(folder.path()) } else { Options::in_memory() };
        options.fsync = Fsync::Always;
        options.shards = [1, 4, 64][seed as usize % 3];
        options.compressed = if seed % 2 == 0 { 0 } else { 4 << 20 };
        let all = record(options, seed);
        let mut busy = 0;
        for key in 0..KEYS {
            let history = of_key(&all, key);
            if let Err(why) = judged(&history) {
                panic!("seed {seed}, key {key}: {why}");
            }
            busy += overlapping(&history);
        }
        assert!(busy > EACH, "only {busy} overlapped");
    }
}

/// The history of a thread that sets one value and then another, and of a thread that comes later.
fn sets_and_then(calls: Vec<(Call, Reply)>) -> Vec<Vec<Event<Call, Reply>>> {
    let event = |called, (call, answer)| Event { called, returned: called + 1, call, answer };
    let set = |value: &str| (Call::Set(value.into()), Reply::Done);
    let later = calls.into_iter().enumerate().map(|(n, one)| event(10 + 2 * n as u64, one));
    vec![vec![event(0, set("1000")), event(2, set("2000"))], later.collect()]
}

#[test]
fn a_stale_read_is_refused() {
    let read = |value: &str| sets_and_then(vec![(Call::Get, Reply::Bytes(value.into()))]);
    assert_eq!(judged(&read("2000")), Ok(()));
    let why = judged(&read("1000")).expect_err("a stale read");
    assert!(why.contains("Get = 1000"), "{why}");
}

#[test]
fn a_lost_update_is_refused() {
    let incr = |number| (Call::Incr, Reply::Int(number));
    assert_eq!(judged(&sets_and_then(vec![incr(2001), incr(2002)])), Ok(()));
    judged(&sets_and_then(vec![incr(2001), incr(2001)])).expect_err("a lost update");
    let append = |tail: &str, length| (Call::Append(tail.into()), Reply::Int(length));
    let get = |value: &str| (Call::Get, Reply::Bytes(value.into()));
    assert_eq!(judged(&sets_and_then(vec![append("7", 5), get("20007")])), Ok(()));
    judged(&sets_and_then(vec![append("7", 5), get("2000")])).expect_err("a lost end");
}

/// Also in a recorded history: one answer of a thousand is replaced by one that an earlier call could have had.
#[test]
fn a_manipulated_history_is_refused() {
    let mut all = record(Options::in_memory(), 99);
    let last = all.iter().flat_map(|notes| &notes[0]).map(|event| event.returned).max().unwrap();
    let quiet =
        |at, call, answer| Event { called: last + at, returned: last + at + 1, call, answer };
    // After all others: GETDEL has taken the value, so a second one cannot get it.
    all[0][0].push(quiet(1, Call::Set(b"1".into()), Reply::Done));
    all[1][0].push(quiet(3, Call::GetDel, Reply::Bytes(b"1".into())));
    assert_eq!(judged(&of_key(&all, 0)), Ok(()));
    all[2][0].push(quiet(5, Call::GetDel, Reply::Bytes(b"1".into())));
    judged(&of_key(&all, 0)).expect_err("taken twice");
    all[2][0].pop();
    // And in between: an increment answers the number that another one has answered.
    let incrs = |notes: &Notes| {
        notes[0].iter().position(
            |event| matches!(event.answer, Reply::Int(n) if event.call == Call::Incr && n > 1000),
        )
    };
    let (thread, place) = (0..all.len()).find_map(|n| Some((n, incrs(&all[n])?))).unwrap();
    let Reply::Int(number) = all[thread][0][place].answer else { unreachable!("it was one") };
    all[thread][0][place].answer = Reply::Int(number - 1000);
    judged(&of_key(&all, 0)).expect_err("a number of another time");
}
