//! Feeds arbitrary bytes to the parsers as a client's requests and as a server's replies, in arbitrary pieces, and
//! compares them with slow and simple parsers. Executes the requests: each has one reply, and a pipeline has the same
//! replies as single requests.

#![no_main]

#[path = "../../std-ext/db/tests/resp/alike.rs"]
mod alike;
#[path = "../../std-ext/db/tests/resp/slow.rs"]
mod slow;

use arbitrary::Arbitrary;
use hedgerow_db::command::{
    ClientInfo, Connection, Context, NextStep, Scratch, ServerApi, ServerStats, SettingError,
    Users, process_input,
};
use hedgerow_db::pubsub::Hub;
use hedgerow_db::request::{MultiKeyOp, Request};
use hedgerow_db::resp::parse::Limits;
use hedgerow_db::resp::read::{self, Found};
use hedgerow_db::{Db, Options, Session};
use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, LazyLock, Mutex};

#[derive(Arbitrary, Debug)]
struct Script<'a> {
    /// The sizes of the pieces.
    pieces: Vec<u8>,
    bytes: &'a [u8],
}

/// A server without statistics or settings.
#[derive(Default)]
struct Server {
    users: Users,
}

impl ServerApi for Server {
    fn stats(&self) -> ServerStats {
        ServerStats::default()
    }

    fn settings(&self, _: &mut dyn FnMut(&str, &[u8])) {}

    fn set(&self, _: &[(&str, &[u8])]) -> Result<(), (usize, SettingError)> {
        Err((0, SettingError::Unknown))
    }

    fn reset_counters(&self) {}

    fn clients(&self, _: u64, _: &mut dyn FnMut(&ClientInfo<'_>)) {}

    fn kill(&self, _: u64, _: &mut dyn FnMut(&ClientInfo<'_>) -> bool) -> u64 {
        0
    }

    fn users(&self) -> &Users {
        &self.users
    }

    fn hub(&self) -> &Arc<Hub> {
        &HUB
    }
}

static HUB: LazyLock<Arc<Hub>> = LazyLock::new(|| Hub::new(0));

static DB: LazyLock<Db> = LazyLock::new(|| {
    let mut options = Options::in_memory();
    options.shards = 4;
    Db::open(options).expect("it is in memory")
});

static SESSION: LazyLock<Mutex<Session>> = LazyLock::new(|| Mutex::new(DB.session()));

/// Returns the replies to bytes that arrive in pieces.
fn answers(session: &mut Session, bytes: &[u8], mut piece: impl FnMut() -> usize) -> Vec<u8> {
    session.execute(&[Request::MultiKey(MultiKeyOp::ClearAll)], &mut |_, _| {});
    DB.set_max_memory(0);
    let server = Server::default();
    let mut connection = Connection::new(1, "fuzz".into(), "here".into(), &server.users);
    let mut scratch = Scratch::default();
    let (mut out, mut from, mut to) = (Vec::new(), 0, 0);
    loop {
        let scratch = &mut scratch;
        let context = &mut Context { session, db: &DB, server: &server, scratch, cluster: None };
        let outcome = process_input(&mut connection, context, &bytes[from..to], &mut out);
        from += outcome.consumed;
        if outcome.next != NextStep::Continue || outcome.consumed == 0 && to == bytes.len() {
            return out;
        }
        if outcome.consumed == 0 {
            to = (to + piece().max(1)).min(bytes.len());
        }
    }
}

/// Returns whether a reply depends on the time, on chance, or on the pieces in which the requests arrive.
fn differs_each_time(bytes: &[u8]) -> bool {
    let small = bytes.to_ascii_lowercase();
    let names = [
        "ttl", "ex", "px", "time", "idle", "info", "memory", "save", "keys", "key", "scan",
        "restore", "slowlog", "latency", "genpass", "acl", "freq", "client",
    ];
    names.iter().any(|name| small.windows(name.len()).any(|word| word == name.as_bytes()))
}

fuzz_target!(|script: Script<'_>| {
    let Script { pieces, bytes } = script;
    let pieces = || {
        let mut pieces = pieces.iter().cycle();
        move || pieces.next().map_or(1, |piece| usize::from(*piece))
    };
    for (limits, unauthenticated) in [(Limits::FULL, false), (Limits::UNAUTHENTICATED, true)] {
        let wanted = slow::requests(bytes, unauthenticated);
        assert_eq!(alike::taken(bytes, limits, || bytes.len()), wanted);
        assert_eq!(alike::taken(bytes, limits, pieces()), wanted);
    }
    alike::read_alike(bytes);
    let session = &mut *SESSION.lock().expect("a panic ends the run");
    let at_once = answers(session, bytes, || bytes.len());
    let in_pieces = answers(session, bytes, pieces());
    let mut rest = &at_once[..];
    while !rest.is_empty() {
        match read::reply(rest) {
            Ok(Found::Reply(_, used)) => rest = &rest[used..],
            other => panic!("{other:?} of {}", rest.escape_ascii()),
        }
    }
    if !differs_each_time(bytes) {
        assert_eq!(at_once, in_pieces);
    }
});
