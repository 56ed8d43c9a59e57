//! Feeds arbitrary bytes to the parsers as a client's requests and as a server's replies, in arbitrary pieces, and
//! compares them with slow and simple parsers. Executes the requests: each has one reply, and a pipeline has the same
//! replies as single requests.

#![no_main]

#[path = "../../std-ext/db/formats/tests/resp/alike.rs"]
mod alike;
#[path = "../../std-ext/db/formats/tests/resp/slow.rs"]
mod slow;

use arbitrary::Arbitrary;
use hedgerow_db::{Db, Options, Session};
use hedgerow_db_formats::resp::parse::Limits;
use hedgerow_db_formats::resp::read::{self, ReadItem};
use hedgerow_fuzz::server::{answers, clear};
use libfuzzer_sys::fuzz_target;
use std::sync::{LazyLock, Mutex};

#[derive(Arbitrary, Debug)]
struct Script<'a> {
    /// The sizes of the pieces.
    pieces: Vec<u8>,
    bytes: &'a [u8],
}

static DB: LazyLock<Db> = LazyLock::new(|| {
    let mut options = Options::in_memory();
    options.shards = 4;
    Db::open(options).expect("it is in memory")
});

static SESSION: LazyLock<Mutex<Session>> = LazyLock::new(|| Mutex::new(DB.session()));

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
    let mut answers_to = |piece: &mut dyn FnMut() -> usize| {
        clear(&DB, session);
        answers(&DB, session, bytes, piece)
    };
    let at_once = answers_to(&mut || bytes.len());
    let in_pieces = answers_to(&mut pieces());
    let mut rest = &at_once[..];
    while !rest.is_empty() {
        match read::reply(rest) {
            Ok(ReadItem::Reply(_, used)) => rest = &rest[used..],
            other => panic!("{other:?} of {}", rest.escape_ascii()),
        }
    }
    if !differs_each_time(bytes) {
        assert_eq!(at_once, in_pieces);
    }
});
