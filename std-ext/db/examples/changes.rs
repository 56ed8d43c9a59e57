//! Measures changes of long values, and reads and changes of short ones: `cargo run --release -p hedgerow-db --example
//! changes [ROUNDS]`. Without ROUNDS, the short ones are skipped; an instruction profiler needs few rounds.

use hedgerow_db::request::{
    Change, ExpireCondition, Expiry, MultiKeyOp, Query, Request, SetCondition,
};
use hedgerow_db::{Db, Options, Session};
use std::time::Instant;

fn one(session: &mut Session, request: Request<'_>) {
    session.execute(&[request], &mut |_, _| {});
}

fn timed(what: &str, times: u32, mut run: impl FnMut(u32)) {
    let began = Instant::now();
    (0..times).for_each(&mut run);
    println!("{what:40} {:12.1} us each", began.elapsed().as_secs_f64() * 1e6 / f64::from(times));
}

fn long(db: &Db) {
    const LENGTH: usize = 100 << 20;
    let live = |expiry| Change::Expire { expiry, condition: ExpireCondition::Always, get: false };
    let rename = |from, to| Request::MultiKey(MultiKeyOp::Rename { from, to, if_absent: false });
    let mut session = db.session();
    let session = &mut session;
    db.set("long", vec![b'v'; LENGTH]).expect("there is room");
    timed("EXPIRE of 100 MiB", 10, |n| {
        one(session, Request::Change(b"long", live(Expiry::At((1 << 50) + u64::from(n)))));
    });
    timed("PERSIST of 100 MiB", 1, |_| one(session, Request::Change(b"long", live(Expiry::Never))));
    timed("RENAME of 100 MiB", 10, |n| {
        let names: [&[u8]; 2] = [b"long", b"another"];
        let from = n as usize % 2;
        one(session, rename(names[from], names[1 - from]));
    });
    let mut append =
        |_| one(session, Request::Change(b"long", Change::Append(b"a tail of some bytes")));
    timed("APPEND to 100 MiB, first", 1, &mut append);
    timed("APPEND to 100 MiB", 20, append);
    timed("SETRANGE in 100 MiB", 20, |n| {
        let at = n as usize * 5_000_000;
        one(
            session,
            Request::Change(b"long", Change::SetRange { offset: at, bytes: b"some other bytes" }),
        );
    });
    timed("GET of 100 MiB of several pieces", 5, |_| {
        one(session, Request::Read(b"long", Query::Value));
    });
    timed("APPEND of 100 bytes, from nothing", 20_000, |_| {
        one(session, Request::Change(b"grows", Change::Append(&[b't'; 100])));
    });
}

fn short(db: &Db, rounds: u32) {
    let keys: Vec<String> = (0..10_000).map(|key| format!("key:{key}")).collect();
    let set = Change::Set {
        value: &[b'v'; 64],
        condition: SetCondition::Always,
        expiry: Expiry::Never,
        get: false,
    };
    let sets: Vec<Request<'_>> =
        keys.iter().map(|key| Request::Change(key.as_bytes(), set)).collect();
    let gets: Vec<Request<'_>> =
        keys.iter().map(|key| Request::Read(key.as_bytes(), Query::Value)).collect();
    let mut session = db.session();
    timed("SET of 64 bytes, 10,000 in pipelines", rounds, |_| {
        for requests in sets.chunks(64) {
            session.execute(requests, &mut |_, _| {});
        }
    });
    timed("GET of 64 bytes, 10,000 in pipelines", rounds, |_| {
        for requests in gets.chunks(64) {
            session.execute(requests, &mut |_, _| {});
        }
    });
}

fn main() {
    let mut options = Options::in_memory();
    options.shards = 16;
    let db = Db::open(options).expect("nothing is opened");
    match std::env::args().nth(1).and_then(|rounds| rounds.parse().ok()) {
        Some(rounds) => short(&db, rounds),
        None => long(&db),
    }
}
