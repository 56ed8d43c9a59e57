//! builds: asan
//!
//! Transactions: all or nothing, for every reader, and not at all if a watched key has changed.

mod support;

use hedgerow_db::log::Fsync;
use hedgerow_db::log::faults::FaultyDisk;
use hedgerow_db::request::{
    Answer, Change, Expiry, MultiKeyOp, Query, Request, RequestError, SetCondition,
};
use hedgerow_db::{Db, Error, KeyWatch, Options, Session, TimeSource, TransactionOutcome};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;
use support::{Running, bulk, command, until};

const ACCOUNTS: u16 = 6;
const EACH: i64 = 1000;

fn in_shards(shards: usize) -> Db {
    let mut options = Options::in_memory();
    options.shards = shards;
    Db::open(options).unwrap()
}

fn account(number: u16) -> Vec<u8> {
    format!("account {}", number % ACCOUNTS).into_bytes()
}

fn set(value: &[u8]) -> Change<'_> {
    let (condition, expiry) = (SetCondition::Always, Expiry::Never);
    Change::Set { value, condition, expiry, get: false }
}

fn get(key: &[u8]) -> Request<'_> {
    Request::Read(key, Query::Value)
}

/// Returns a value as a number; 0 if it is missing.
fn number(answer: Answer<'_>) -> i64 {
    match answer {
        Answer::Bytes(text) => std::str::from_utf8(text).unwrap().parse().unwrap(),
        Answer::Int(number) => number,
        _ => 0,
    }
}

/// Executes a transaction of changes. Returns whether it was executed.
fn done(session: &mut Session, watch: Option<&KeyWatch>, requests: &[Request<'_>]) -> bool {
    match session.transaction(requests, watch, &mut |_, _| {}) {
        TransactionOutcome::Done(_) => true,
        TransactionOutcome::Conflict => false,
        other => panic!("{other:?}"),
    }
}

fn watching(session: &mut Session, keys: &[&[u8]]) -> KeyWatch {
    let mut watch = KeyWatch::default();
    assert!(session.watch_keys(&mut watch, keys));
    watch
}

/// Some threads move amounts between accounts of several shards, and others read all accounts.
#[test]
fn no_reader_sees_half_a_transaction() {
    for shards in [1, 4, 64] {
        let db = in_shards(shards);
        for number in 0..ACCOUNTS {
            db.set(account(number), EACH.to_string()).unwrap();
        }
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            let (db, ended) = (&db, &ended);
            let movers: Vec<_> = (0..2)
                .map(|thread| {
                    scope.spawn(move || {
                        let mut session = db.session();
                        for round in 0..1500 {
                            let (from, to) = (account(round + thread), account(round * 5 + 1));
                            let amount = (round % 7).into();
                            let requests = [
                                Request::Change(&from, Change::Increment(-i64::from(round % 7))),
                                Request::Change(&to, Change::Increment(amount)),
                            ];
                            assert!(done(&mut session, None, &requests));
                        }
                    })
                })
                .collect();
            for as_transaction in [true, false] {
                scope.spawn(move || {
                    let (mut session, keys) = (db.session(), (0..ACCOUNTS).map(account));
                    let keys: Vec<Vec<u8>> = keys.collect();
                    let mut requests: Vec<_> = keys.iter().map(|key| get(key)).collect();
                    if !as_transaction {
                        requests[0] = Request::MultiRead(&keys[0], Query::Value, keys.len());
                    }
                    // Relaxed: the threads share nothing else.
                    while !ended.load(Ordering::Relaxed) {
                        let mut sum = 0;
                        let mut add = |_: usize, answer: Answer<'_>| sum += number(answer);
                        if as_transaction {
                            session.transaction(&requests, None, &mut add);
                        } else {
                            session.execute(&requests, &mut add);
                        }
                        assert_eq!(
                            sum,
                            EACH * i64::from(ACCOUNTS),
                            "the sum, with {shards} shards"
                        );
                    }
                });
            }
            let moved = movers.into_iter().map(|mover| mover.join()).find(Result::is_err);
            // Relaxed: as above.
            ended.store(true, Ordering::Relaxed);
            assert!(moved.is_none(), "{moved:?}");
        });
    }
}

/// Each thread reads a number, and stores the next one if nobody else has changed it.
#[test]
fn watched_increments_lose_none() {
    const ROUNDS: i64 = 400;
    for shards in [1, 16] {
        let db = in_shards(shards);
        let conflicts = AtomicU64::new(0);
        thread::scope(|scope| {
            for thread in 0..3_i64 {
                let (db, conflicts) = (&db, &conflicts);
                scope.spawn(move || {
                    let (mut session, mut rounds) = (db.session(), 0);
                    while rounds < ROUNDS {
                        let watch = watching(&mut session, &[b"one", b"other"]);
                        let mut values = [0; 2];
                        session.execute(&[get(b"one"), get(b"other")], &mut |at, answer| {
                            values[at] = number(answer);
                        });
                        // Half of the threads watch what they do not change.
                        let texts = values.map(|value| (value + 1).to_string());
                        let mut requests = vec![Request::Change(b"one", set(texts[0].as_bytes()))];
                        if thread != 0 {
                            requests.push(Request::Change(b"other", set(texts[1].as_bytes())));
                        }
                        if done(&mut session, Some(&watch), &requests) {
                            rounds += 1;
                        } else {
                            // Relaxed: a count.
                            conflicts.fetch_add(1, Ordering::Relaxed);
                            thread::yield_now();
                        }
                    }
                });
            }
        });
        let mut found = Vec::new();
        db.session().execute(&[get(b"one"), get(b"other")], &mut |_, answer| {
            found.push(number(answer));
        });
        assert_eq!(
            found,
            [3 * ROUNDS, 2 * ROUNDS],
            "with {shards} shards, {conflicts:?} conflicts"
        );
    }
}

#[test]
fn a_value_that_comes_back_is_a_change() {
    let db = in_shards(4);
    let mut session = db.session();
    db.set("rose", "red").unwrap();
    let watch = watching(&mut session, &[b"daisy", b"rose"]);
    db.set("rose", "white").unwrap();
    db.set("rose", "red").unwrap();
    assert!(!done(&mut session, Some(&watch), &[get(b"rose")]), "a change was not noticed");
    let watch = watching(&mut session, &[b"daisy"]);
    db.set("daisy", "white").unwrap();
    db.delete("daisy").unwrap();
    assert!(!done(&mut session, Some(&watch), &[]), "a change was not noticed");
    // Its own changes do not count before the watch, and each transaction needs a watch of its own.
    let watch = watching(&mut session, &[b"rose"]);
    assert!(done(&mut session, Some(&watch), &[Request::Change(b"rose", set(b"pink"))]));
    assert!(!done(&mut session, Some(&watch), &[]), "a change was not noticed");
}

#[test]
fn keys_that_expire_are_changes() {
    let time = Arc::new(AtomicU64::new(1_000_000));
    let mut options = Options::in_memory();
    options.time = TimeSource::Manual(Arc::clone(&time));
    let db = Db::open(options).unwrap();
    let mut session = db.session();
    let until = |end| Change::Set {
        value: b"red",
        condition: SetCondition::Always,
        expiry: Expiry::At(end),
        get: false,
    };
    session.execute(&[Request::Change(b"rose", until(1_000_500))], &mut |_, _| {});
    let (watch, other) = (watching(&mut session, &[b"rose"]), watching(&mut session, &[b"daisy"]));
    assert!(done(&mut session, Some(&watch), &[get(b"rose")]));
    // Relaxed: this thread reads it.
    time.store(1_001_000, Ordering::Relaxed);
    assert!(!done(&mut session, Some(&watch), &[get(b"daisy")]), "it has expired");
    // A key that had expired before is none.
    let watch = watching(&mut session, &[b"rose"]);
    db.delete("rose").unwrap();
    assert!(done(&mut session, Some(&watch), &[]));
    assert!(done(&mut session, Some(&other), &[]));
}

#[test]
fn evicted_keys_are_changes() {
    let mut options = Options::in_memory();
    (options.shards, options.eviction) = (1, hedgerow_db::options::Eviction::Random);
    let db = Db::open(options).unwrap();
    let mut session = db.session();
    db.set("rose", vec![b'r'; 1000]).unwrap();
    let watch = watching(&mut session, &[b"rose"]);
    db.set_max_memory(1);
    assert!(db.set("daisy", "white").is_err(), "there is room");
    assert_eq!(db.get("rose").unwrap(), None, "nothing was evicted");
    db.set_max_memory(0);
    db.set("rose", vec![b'r'; 1000]).unwrap();
    assert!(!done(&mut session, Some(&watch), &[]), "it was evicted");
}

/// A watcher has read a value that is undone.
#[test]
fn a_rollback_is_a_change() {
    let (folder, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::new());
    let mut options = Options::at(folder.path());
    options.fsync = Fsync::Never;
    let db = Db::open_on_disk(options, Arc::new(disk.clone())).unwrap();
    let mut session = db.session();
    db.set("rose", "red").unwrap();
    let last = session.execute(&[Request::Change(b"rose", set(b"white"))], &mut |_, _| {});
    disk.change(|faults| faults.room = Some(0));
    let watch = watching(&mut session, &[b"rose"]);
    assert!(db.log().commit(last).is_err(), "it was written");
    disk.change(|faults| faults.room = None);
    until(|| db.set("daisy", "white").is_ok());
    let outcome = session.transaction(&[get(b"rose")], Some(&watch), &mut |_, _| {});
    assert_eq!(outcome, TransactionOutcome::Conflict, "the change was undone");
}

/// A full memory refuses a transaction as a whole.
#[test]
fn a_refused_transaction_changes_nothing() {
    let db = in_shards(4);
    let mut session = db.session();
    db.set("rose", "red").unwrap();
    db.set_max_memory(1);
    let requests =
        [Request::Change(b"rose", Change::Delete), Request::Change(b"daisy", set(b"white"))];
    let outcome = session.transaction(&requests, None, &mut |_, _| panic!("it was executed"));
    assert_eq!(outcome, TransactionOutcome::Refused(RequestError::OutOfMemory, 1));
    assert_eq!(db.get("rose").unwrap().as_deref(), Some(&b"red"[..]));
    assert!(done(&mut session, None, &requests[..1]), "it needs no memory");
}

/// Changes of one transaction that meet each other's keys.
#[test]
fn requests_see_those_before_them() {
    let db = in_shards(64);
    let rename = |from, to| Request::MultiKey(MultiKeyOp::Rename { from, to, if_absent: false });
    let requests = [
        Request::Change(b"a", set(b"1")),
        rename(b"a", b"b"),
        rename(b"b", b"c"),
        Request::Change(b"c", Change::Increment(1)),
        Request::MultiKey(MultiKeyOp::Clear),
        get(b"c"),
        Request::Change(b"c", Change::Increment(5)),
        rename(b"nothing", b"c"),
        get(b"c"),
    ];
    let mut answers = Vec::new();
    let outcome = db.session().transaction(&requests, None, &mut |_, answer| {
        answers.push(format!("{answer:?}"));
    });
    assert!(matches!(outcome, TransactionOutcome::Done(_)));
    let wanted = [
        "Done",
        "Done",
        "Done",
        "Int(2)",
        "Done",
        "Nil",
        "Int(5)",
        "Error(NoSuchKey)",
        "Bytes([53])",
    ];
    assert_eq!(answers, wanted);
    assert_eq!(db.stats().keys, 1);
}

// -------------------------------------------------------------------------------- over RESP

#[test]
fn clients_wait_for_the_whole_queue() {
    let server = Running::new(|_| {});
    let (mut client, mut other) = (server.client(), server.client());
    client.send(b"MULTI\r\nSET rose red\r\nGET rose\r\n");
    client.expect(b"+OK\r\n+QUEUED\r\n+QUEUED\r\n");
    other.send(b"GET rose\r\nSET daisy white\r\n");
    other.expect(b"$-1\r\n+OK\r\n");
    client.send(b"EXEC\r\n");
    client.expect(b"*2\r\n+OK\r\n$3\r\nred\r\n");
    // Quoted words are not in the input, and replies that nobody wants are not written.
    client.send(
        b"CLIENT REPLY OFF\r\nMULTI\r\nSET rose \"pale pink\"\r\nEXEC\r\nCLIENT REPLY ON\r\n",
    );
    client.send(b"GET rose\r\n");
    client.expect(b"+OK\r\n$9\r\npale pink\r\n");
    // Changes before WATCH are none of a watched key.
    client.send(b"SET rose pink\r\nWATCH rose\r\nMULTI\r\nGET rose\r\nEXEC\r\n");
    client.expect(b"+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n$4\r\npink\r\n");
    client.send(b"WATCH rose\r\n");
    client.expect(b"+OK\r\n");
    other.send(b"SET rose red\r\n");
    other.expect(b"+OK\r\n");
    client.send(b"MULTI\r\nSET rose white\r\nCONFIG SET maxclients 77\r\nEXEC\r\nGET rose\r\n");
    client.expect(b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*-1\r\n$3\r\nred\r\n");
    assert_ne!(server.watcher.max_clients(), 77, "a setting was changed");
    client.send(b"MULTI\r\nCONFIG SET maxclients 77\r\nPING\r\nGET rose\r\nPING\r\nEXEC\r\n");
    client.expect(b"+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n");
    client.expect(b"*4\r\n+OK\r\n+PONG\r\n$3\r\nred\r\n+PONG\r\n");
    assert_eq!(server.watcher.max_clients(), 77);
}

#[test]
fn a_transaction_refuses_what_it_cannot_do() {
    let server = Running::new(|_| {});
    let mut client = server.client();
    let aborted = "-EXECABORT Transaction discarded because of previous errors.\r\n";
    let not_allowed = "-ERR Command not allowed inside a transaction\r\n";
    for (line, error) in [
        ("HELLO 3", not_allowed.to_owned()),
        ("CLIENT REPLY OFF", not_allowed.to_owned()),
        ("SHUTDOWN", not_allowed.to_owned()),
        ("SWAPDB 0 1", "-ERR databases cannot be swapped inside a transaction\r\n".to_owned()),
    ] {
        client.send(format!("MULTI\r\n{line}\r\nSET rose red\r\nEXEC\r\nGET rose\r\n"));
        client.expect(format!("+OK\r\n{error}+QUEUED\r\n{aborted}$-1\r\n"));
    }
    let full = "OOM command not allowed when used memory > 'maxmemory'.\r\n";
    client.send(b"CONFIG SET maxmemory 1\r\nMULTI\r\nDEL rose\r\nSET rose red\r\nEXEC\r\n");
    client.expect(format!("+OK\r\n+OK\r\n+QUEUED\r\n-{full}{aborted}"));
    // The memory becomes full behind the queue.
    client.send(b"CONFIG SET maxmemory 0\r\nMULTI\r\nDEL rose\r\nSET rose red\r\n");
    client.expect(b"+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n");
    let mut other = server.client();
    other.send(b"CONFIG SET maxmemory 1\r\n");
    other.expect(b"+OK\r\n");
    client.send(b"EXEC\r\n");
    client.expect(format!("-EXECABORT Transaction discarded because of: {full}"));
}

#[test]
fn queues_and_watches_are_bounded() {
    let server = Running::new(|_| {});
    let mut client = server.client();
    let value = vec![b'v'; 8 << 20];
    client.send(b"MULTI\r\n");
    client.expect(b"+OK\r\n");
    for number in 1..=8 {
        client.send(command(&[b"SET", b"key", &value]));
        client.expect(if number < 8 {
            &b"+QUEUED\r\n"[..]
        } else {
            b"-ERR the commands of this transaction exceed 64 MiB\r\n"
        });
    }
    client.send(b"EXEC\r\nSET key 1\r\n");
    client.expect(b"-EXECABORT Transaction discarded because of previous errors.\r\n+OK\r\n");
    // Small commands take memory, too.
    let many = b"PING\r\n".repeat(500_000);
    thread::scope(|scope| {
        let mut sender = client.0.try_clone().unwrap();
        scope.spawn(move || {
            use std::io::Write;
            sender.write_all(b"MULTI\r\n").unwrap();
            sender.write_all(&many).unwrap();
        });
        client.expect(b"+OK\r\n");
        let full = (64 << 20) / (128 + 32 + 4);
        client.expect(b"+QUEUED\r\n".repeat(full));
        client.expect(b"-ERR the commands of this transaction exceed 64 MiB\r\n");
        client.expect(b"+QUEUED\r\n".repeat(500_000 - full - 1));
    });
    client.send(b"DISCARD\r\nGET key\r\n");
    client.expect([&b"+OK\r\n"[..], &bulk(b"1")].concat());
    let keys: Vec<Vec<u8>> = (0..9000_u32).map(|key| key.to_string().into_bytes()).collect();
    let mut words: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
    words.insert(0, b"WATCH");
    client.send(command(&words));
    client.expect(b"-ERR this connection watches too many keys\r\n");
    client.send(b"MULTI\r\nSET key 2\r\nEXEC\r\nMULTI\r\nGET key\r\nEXEC\r\n");
    client.expect(b"+OK\r\n+QUEUED\r\n*-1\r\n+OK\r\n+QUEUED\r\n*1\r\n$1\r\n1\r\n");
}

/// Closures move money between two accounts. No closure sees another sum, not even one that is called again, and no
/// move is lost.
#[test]
fn closures_see_one_point_in_time() {
    const ROUNDS: i64 = 400;
    for shards in [1, 16] {
        let db = in_shards(shards);
        db.set_all(&[(b"one", b"500"), (b"other", b"500")]).unwrap();
        let calls = AtomicU64::new(0);
        thread::scope(|scope| {
            for thread in 0..3 {
                let (db, calls) = (&db, &calls);
                scope.spawn(move || {
                    for round in 0..ROUNDS {
                        let by = (round + thread) % 7;
                        let moved = db.transaction(|tx| {
                            // Relaxed: a count.
                            calls.fetch_add(1, Ordering::Relaxed);
                            let read = |value: Option<Vec<u8>>| {
                                number(Answer::Bytes(&value.expect("the account exists")))
                            };
                            let one = read(tx.get("one")?);
                            thread::yield_now();
                            let other = read(tx.get("other")?);
                            assert_eq!(one + other, 1000);
                            tx.set("one", (one - by).to_string())?;
                            tx.set("other", (other + by).to_string())?;
                            Ok::<_, Error>(by)
                        });
                        assert_eq!(moved.unwrap(), by);
                    }
                });
            }
        });
        let moved: i64 = (0..3).flat_map(|n| (0..ROUNDS).map(move |round| (round + n) % 7)).sum();
        let found = ["one", "other"].map(|key| db.add(key, 0).unwrap());
        assert_eq!(found, [500 - moved, 500 + moved], "with {shards} shards, {calls:?} calls");
    }
}

/// A closure that another one has overtaken is called again, and sees the new value.
#[test]
fn closures_are_called_again_after_a_change() {
    let db = in_shards(4);
    let mut seen = Vec::new();
    let last = db.transaction(|tx| {
        let value = tx.add("n", 1)?;
        seen.push(value);
        if seen.len() < 3 {
            db.add("n", 10)?;
        }
        Ok::<_, Error>(value)
    });
    assert_eq!((last.unwrap(), &seen[..]), (21, &[1, 11, 21][..]));
    assert_eq!(db.get("n").unwrap().as_deref(), Some(&b"21"[..]));
    // The second read would see a value that was never beside the first.
    let mut calls = 0;
    let pair = db.transaction(|tx| {
        calls += 1;
        let first = tx.get("n")?;
        if calls == 1 {
            db.set_all(&[(b"n", b"1"), (b"m", b"1")])?;
        }
        Ok::<_, Error>((first, tx.get("m")?))
    });
    let one = || Some(b"1".to_vec());
    assert_eq!((pair.unwrap(), calls), ((one(), one()), 2));
    // Also if the closure hides the error.
    let hidden = db.transaction(|tx| {
        let first = tx.get("n")?;
        if first == one() {
            db.set("n", "2")?;
        }
        Ok::<_, Error>((first, tx.get("m").unwrap_or_default()))
    });
    assert_eq!(hidden.unwrap(), (Some(b"2".to_vec()), one()));
}

/// A closure that returns an error or panics has changed nothing.
#[test]
fn closures_that_fail_change_nothing() {
    let db = in_shards(4);
    db.set("rose", "red").unwrap();
    let failed = db.transaction(|tx| {
        tx.set("rose", "white")?;
        tx.delete("rose")?;
        assert_eq!(tx.get("rose")?, None);
        tx.add("rose", 5)?;
        tx.add("rose", i64::MAX)
    });
    assert!(matches!(failed, Err(Error::Request(RequestError::Overflow))), "{failed:?}");
    let panicked = std::panic::catch_unwind(AssertUnwindSafe(|| {
        db.transaction(|tx| -> Result<(), Error> {
            tx.set("rose", "white")?;
            panic!("a closure panics")
        })
    }));
    assert!(panicked.is_err());
    let wrong = db.transaction(|tx| tx.add("rose", 1));
    assert!(matches!(wrong, Err(Error::Request(RequestError::NotAnInteger))), "{wrong:?}");
    let long = db.transaction(|tx| tx.set(vec![b'k'; 65_536], "value"));
    assert!(matches!(long, Err(Error::Request(RequestError::KeyTooLong))), "{long:?}");
    assert_eq!(db.get("rose").unwrap().as_deref(), Some(&b"red"[..]));
    assert_eq!(db.len(), 1);
    let many =
        db.transaction(|tx| (0..20_000).try_for_each(|n: u32| tx.get(n.to_le_bytes()).map(drop)));
    assert!(matches!(many, Err(Error::Request(RequestError::TransactionTooLarge))), "{many:?}");
}

/// Closures see the keys of their own database only, and a key keeps its expiration if something is added to its value.
#[test]
fn closures_keep_expirations_and_databases() {
    let db = in_shards(4);
    let other = db.database(3).unwrap();
    db.set_with_ttl("n", "1", std::time::Duration::from_secs(100)).unwrap();
    let sums = other.transaction(|tx| Ok::<_, Error>((tx.add("n", 5)?, tx.add("n", 5)?)));
    assert_eq!(sums.unwrap(), (5, 10));
    let expires_at = |db: &Db, key: &[u8]| {
        let mut end = None;
        db.session().execute(&[Request::Read(key, Query::Expiry)], &mut |_, answer| {
            if let Answer::ExpiresAt(found) = answer {
                end = found;
            }
        });
        end
    };
    let end = expires_at(&db, b"n");
    assert!(end.is_some());
    db.transaction(|tx| tx.add("n", 1).and_then(|_| tx.add("n", 1))).unwrap();
    assert_eq!(expires_at(&db, b"n"), end);
    assert_eq!(expires_at(&other, b"n"), None);
    db.transaction(|tx| tx.delete("n").and_then(|()| tx.add("n", 1))).unwrap();
    assert_eq!(expires_at(&db, b"n"), None);
    assert_eq!(db.get("n").unwrap().as_deref(), Some(&b"1"[..]));
}

#[test]
fn an_expired_key_does_not_change_by_a_swap_of_databases() {
    let server = Running::new(|_| {});
    let mut client = server.client();
    for (watched, other) in
        [("SET x a PX 1", ""), ("", "SET x b PX 1"), ("SET x a PX 1", "SET x b PX 1")]
    {
        client.send(b"FLUSHALL\r\nSELECT 0\r\n");
        client.expect(b"+OK\r\n+OK\r\n");
        for (database, line) in [(0, other), (1, watched)] {
            if !line.is_empty() {
                client.send(format!("SELECT {database}\r\n{line}\r\n"));
                client.expect(b"+OK\r\n+OK\r\n");
            }
        }
        thread::sleep(Duration::from_millis(3));
        client.send(b"SELECT 1\r\nWATCH x\r\nSWAPDB 0 1\r\nMULTI\r\nPING\r\nEXEC\r\n");
        client.expect(b"+OK\r\n+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n+PONG\r\n");
    }
}
