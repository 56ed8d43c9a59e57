//! builds: asan
//!
//! Threads that use the same database.

use hedgerow_db::request::{Answer, Change, MultiKeyOp, Query, Request};
use hedgerow_db::{Db, Options, Session};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const ROUNDS: u64 = 3000;

fn number(session: &mut Session, key: &str) -> u64 {
    let mut number = 0;
    session.execute(&[Request::Read(key.as_bytes(), Query::Value)], &mut |_, answer| {
        if let Answer::Bytes(text) = answer {
            number = std::str::from_utf8(text).unwrap().parse().unwrap();
        }
    });
    number
}

/// Returns the values of several keys in one snapshot.
fn numbers(session: &mut Session, keys: &[String]) -> Vec<u64> {
    let requests = keys.iter().enumerate().map(|(at, key)| match at {
        0 => Request::MultiRead(key.as_bytes(), Query::Value, keys.len()),
        _ => Request::Read(key.as_bytes(), Query::Value),
    });
    let requests: Vec<Request<'_>> = requests.collect();
    let mut numbers = vec![0; keys.len()];
    session.execute(&requests, &mut |at, answer| {
        if let Answer::Bytes(text) = answer {
            numbers[at] = std::str::from_utf8(text).unwrap().parse().unwrap();
        }
    });
    numbers
}

/// Keys stored one after the other, or atomically, are never seen in a state that they never had.
#[test]
fn multi_reads_are_consistent_snapshots() {
    let db = Db::open(Options::in_memory()).unwrap();
    let keys: Vec<String> = (0..8).map(|key| format!("key{key}")).collect();
    let pair: Vec<String> = (0..2).map(|key| format!("pair{key}")).collect();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut session = db.session();
                // Relaxed: the flag only ends the loop.
                while !stop.load(Ordering::Relaxed) {
                    let found = numbers(&mut session, &keys);
                    // Each is stored after the one before: no later one is newer, and the first is newer by at most
                    // one.
                    let in_order = found.is_sorted_by(|one, next| one >= next);
                    assert!(in_order, "not a consistent snapshot: {found:?}");
                    assert!(found[0] - found[7] <= 1, "not a consistent snapshot: {found:?}");
                    let found = numbers(&mut session, &pair);
                    assert_eq!(found[0], found[1], "not a consistent snapshot");
                }
            });
        }
        let mut session = db.session();
        for round in 1..ROUNDS {
            let text = round.to_string();
            for key in &keys {
                let expiry = hedgerow_db::request::Expiry::Never;
                let condition = hedgerow_db::request::SetCondition::Always;
                let change = Change::Set { value: text.as_bytes(), condition, expiry, get: false };
                session.execute(&[Request::Change(key.as_bytes(), change)], &mut |_, _| ());
            }
            let pairs = [&pair[0], &pair[1]].map(|key| (key.as_bytes(), text.as_bytes()));
            session.execute(&[Request::MultiKey(MultiKeyOp::SetAll(&pairs))], &mut |_, _| ());
        }
        stop.store(true, Ordering::Relaxed);
    });
}

/// A reader that has seen one of several keys as stored atomically sees the others as stored, too.
#[test]
fn multi_key_changes_are_atomic() {
    let db = Db::open(Options::in_memory()).unwrap();
    let keys: Vec<String> = (0..32).map(|key| format!("key{key}")).collect();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let (mut session, mut seen) = (db.session(), 0);
                // Relaxed: the flag only ends the loop.
                while !stop.load(Ordering::Relaxed) {
                    for key in keys.iter().chain(keys.iter().rev()) {
                        let now = number(&mut session, key);
                        assert!(now >= seen, "{key} is {now}, and another was {seen} before");
                        seen = now;
                    }
                }
                assert!(seen > 0);
            });
        }
        let mut session = db.session();
        for round in 1..=ROUNDS {
            let round = round.to_string();
            let pairs: Vec<_> = keys.iter().map(|key| (key.as_bytes(), round.as_bytes())).collect();
            session.execute(&[Request::MultiKey(MultiKeyOp::SetAll(&pairs))], &mut |_, _| {});
            if round.ends_with('0') {
                thread::yield_now();
            }
        }
        // Relaxed: as above.
        stop.store(true, Ordering::Relaxed);
    });
}

/// No increment is lost, in pipelines over all shards from any thread.
#[test]
fn no_increment_is_lost() {
    let db = Db::open(Options::in_memory()).unwrap();
    let keys: Vec<String> = (0..64).map(|key| format!("key{key}")).collect();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut session = db.session();
                let requests: Vec<_> = keys
                    .iter()
                    .map(|key| Request::Change(key.as_bytes(), Change::Increment(1)))
                    .collect();
                let mut last = vec![0; keys.len()];
                for _ in 0..ROUNDS / 10 {
                    session.execute(&requests, &mut |number, answer| {
                        let Answer::Int(sum) = answer else { panic!("{answer:?}") };
                        assert!(sum > last[number]);
                        last[number] = sum;
                    });
                }
            });
        }
        scope.spawn(|| {
            // Meanwhile memory is freed and tables grow.
            for round in 0..ROUNDS {
                db.set(format!("other{}", round % 500), [b'v'; 50]).unwrap();
                db.delete(format!("other{}", (round + 250) % 500)).unwrap();
            }
        });
    });
    let mut session = db.session();
    for key in &keys {
        assert_eq!(number(&mut session, key), 4 * (ROUNDS / 10));
    }
}

/// Long values share memory with those that they were made of; readers still see each as it was made.
#[test]
fn long_values_are_never_seen_half_changed() {
    const LENGTH: usize = 300_000;
    let db = Db::open(Options::in_memory()).unwrap();
    let stop = AtomicBool::new(false);
    db.set("whole", vec![0; LENGTH]).unwrap();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut session = db.session();
                // Relaxed: the flag only ends the loop.
                while !stop.load(Ordering::Relaxed) {
                    let value = |key| Request::Read(key, Query::Value);
                    session.execute(&[value(b"whole"), value(b"grows")], &mut |number, answer| {
                        let Answer::Bytes(value) = answer else { return };
                        if number == 0 {
                            let same = value.iter().all(|byte| *byte == value[0]);
                            assert!(same && value.len() == LENGTH, "a value half overwritten");
                        } else {
                            let wanted = |at: usize| (at / 1000) as u8;
                            let is = value.iter().enumerate().all(|(at, byte)| *byte == wanted(at));
                            assert!(is && value.len() % 1000 == 0, "a value half appended to");
                        }
                    });
                }
            });
        }
        let mut session = db.session();
        for round in (0..=255).chain(0..45_u8) {
            let (whole, part) = (vec![round; LENGTH], vec![round; 1000]);
            let requests = [
                Request::Change(b"whole", Change::SetRange { offset: 0, bytes: &whole }),
                Request::Change(b"grows", Change::Append(&part)),
            ];
            session.execute(&requests, &mut |_, _| {});
        }
        // Relaxed: as above.
        stop.store(true, Ordering::Relaxed);
    });
}
