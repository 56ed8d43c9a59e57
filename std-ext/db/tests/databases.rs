//! builds: asan
//!
//! Several databases: on disk, while they are swapped, and for those who watch.

#[path = "support/random.rs"]
mod random;

#[path = "support/requests.rs"]
mod requests;

use hedgerow_db::log::faults::FaultyDisk;
use hedgerow_db::log::{Fsync, OpenError};
use hedgerow_db::request::{Answer, Expiry, MultiKeyOp, Query, Request, RequestError};
use hedgerow_db::watch::{EventKind, WatchError};
use hedgerow_db::{Db, Error, KeyWatch, Options, Session, TransactionOutcome};
use random::Random;
use requests::{FAR, KEYS, LIVES, plain_set, with_pipeline};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const DATABASES: u16 = 4;

/// The value and the expiration of each key, by database.
type Content = BTreeMap<(u16, Vec<u8>), (Vec<u8>, Option<u64>)>;

/// A directory in memory if possible: no test here needs a disk.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// Snapshots are written only when a test requests them.
fn options(path: &Path, shards: usize) -> Options {
    let mut options = Options::at(path);
    (options.fsync, options.shards, options.snapshot_after) = (Fsync::Never, shards, 0);
    options.databases = DATABASES;
    options
}

fn in_memory(shards: usize) -> Db {
    let mut options = Options::in_memory();
    (options.shards, options.databases) = (shards, DATABASES);
    Db::open(options).unwrap()
}

fn open(path: &Path, shards: usize) -> Db {
    Db::open_on_disk(options(path, shards), Arc::new(FaultyDisk::new())).unwrap()
}

fn content(db: &Db) -> Content {
    let mut content = Content::new();
    for number in 0..DATABASES {
        let mut session = db.database(number).unwrap().session();
        let (mut keys, mut from) = (Vec::new(), 0);
        loop {
            from = session.scan(from, 100, &mut |record| keys.push(record.key().to_vec()));
            if from == 0 {
                break;
            }
        }
        for key in keys {
            let reads = [Request::Read(&key, Query::Stored), Request::Read(&key, Query::Expiry)];
            let (mut value, mut ends) = (None, None);
            session.execute(&reads, &mut |_, answer| match answer {
                Answer::Stored(stored) => value = Some(stored.bytes().to_vec()),
                Answer::ExpiresAt(end) => ends = end,
                _ => {}
            });
            content.extend(value.map(|value| ((number, key), (value, ends))));
        }
    }
    content
}

/// Executes an operation, whose answer is this one.
fn together(session: &mut Session, op: MultiKeyOp<'_>, wanted: Answer<'_>) {
    let wanted = format!("{wanted:?}");
    session.execute(&[Request::MultiKey(op)], &mut |_, answer| {
        assert_eq!(format!("{answer:?}"), wanted, "{op:?}");
    });
}

fn value(session: &mut Session, key: &[u8]) -> Option<Vec<u8>> {
    let mut found = None;
    session.execute(&[Request::Read(key, Query::Value)], &mut |_, answer| {
        if let Answer::Bytes(bytes) = answer {
            found = Some(bytes.to_vec());
        }
    });
    found
}

/// Makes a change of several databases.
fn of_databases(random: &mut Random) -> MultiKeyOp<'static> {
    let mut number = || random.below(DATABASES.into()) as u16;
    let (one, other) = (number(), number());
    let (key, to) = (random.of(&KEYS), random.of(&KEYS));
    match random.below(10) {
        0..3 => MultiKeyOp::Move { key, to: one },
        3..6 => MultiKeyOp::Copy { from: key, to, database: one, replace: random.below(2) == 0 },
        6 => MultiKeyOp::Clear,
        7 if random.below(3) == 0 => MultiKeyOp::ClearAll,
        _ => MultiKeyOp::SwapDatabases(one, other),
    }
}

/// A database in memory executes the same requests; the tests of the state compare that one with a model.
#[test]
fn reopening_restores_every_database() {
    for seed in 0..8 {
        let (path, twin, mut random) = (folder(), in_memory(4), Random(seed));
        let (mut beside, mut snapshots) = (twin.session(), 0);
        for round in 0..12 {
            let mut options = options(path.path(), random.of(&[1, 2, 16, 64]));
            options.compressed = random.of(&[0, 4 << 20]);
            let db = Db::open_on_disk(options, Arc::new(FaultyDisk::new())).unwrap();
            assert_eq!(content(&db), content(&twin), "seed {seed}, round {round}");
            for (number, database) in (0..).map(|number| (number, db.database(number))).take(4) {
                let there = twin.database(number).unwrap().len();
                assert_eq!(database.unwrap().len(), there, "keys of database {number}");
            }
            let mut session = db.session();
            session.select(beside.database()).unwrap();
            for _ in 0..random.below(40) {
                let (op, number) = (of_databases(&mut random), random.below(4) as u16);
                let is_swap = matches!(op, MultiKeyOp::SwapDatabases(..));
                let as_transaction = random.below(3) == 0 && !is_swap;
                with_pipeline(&mut random, &LIVES, |requests| {
                    let own = [Request::Select(number), Request::MultiKey(op)];
                    let requests = [requests, &own, requests].concat();
                    for (session, db) in [(&mut session, &db), (&mut beside, &twin)] {
                        let lsn = if as_transaction {
                            match session.transaction(&requests, None, &mut |_, _| {}) {
                                TransactionOutcome::Done(lsn) => lsn,
                                other => panic!("{other:?}"),
                            }
                        } else {
                            session.execute(&requests, &mut |_, _| {})
                        };
                        db.log().wait(lsn).unwrap();
                    }
                });
                if random.below(20) == 0 {
                    db.snapshot().unwrap();
                    snapshots += 1;
                }
            }
            if random.below(2) == 0 {
                db.close().unwrap();
            }
        }
        assert!(snapshots > 0, "seed {seed} covers too little");
    }
}

/// Stops a test's threads, even if the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        // Relaxed: the flag only ends loops.
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A snapshot may contain some slots before a swap, and others after it.
#[test]
fn keys_that_change_their_database_during_a_snapshot_are_not_lost() {
    for round in 0..6 {
        let path = folder();
        let db = open(path.path(), 64);
        let keys: Vec<String> = (0..300).map(|key| format!("key {key}")).collect();
        for (number, key) in keys.iter().enumerate() {
            db.database(number as u16 % 2).unwrap().set(key, format!("value {number}")).unwrap();
        }
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let _stop = Stop(&stop);
            scope.spawn(|| {
                let (mut session, mut random) = (db.session(), Random(round));
                // Relaxed: the flag only ends the loop.
                while !stop.load(Ordering::Relaxed) {
                    session.select(random.below(DATABASES.into()) as u16).unwrap();
                    let op = if random.below(20) == 0 {
                        let mut number = || random.below(DATABASES.into()) as u16;
                        MultiKeyOp::SwapDatabases(number(), number())
                    } else {
                        let key = keys[random.below(300) as usize].as_bytes();
                        MultiKeyOp::Move { key, to: random.below(DATABASES.into()) as u16 }
                    };
                    session.execute(&[Request::MultiKey(op)], &mut |_, _| {});
                }
            });
            for _ in 0..4 {
                thread::sleep(Duration::from_millis(3));
                db.snapshot().unwrap();
            }
        });
        let wanted = content(&db);
        assert_eq!(wanted.len(), 300, "a key was lost or is in two databases");
        drop(db);
        for shards in [64, 1, 16] {
            assert_eq!(content(&open(path.path(), shards)), wanted, "round {round}");
        }
    }
}

/// The first use of a second database while a snapshot is written, whose format has no room for it.
#[test]
fn a_database_that_is_first_used_during_a_snapshot_is_in_it() {
    for round in 0..20 {
        let path = folder();
        let db = open(path.path(), 64);
        (0..2000).for_each(|key| db.set(format!("key {key}"), "red").unwrap());
        thread::scope(|scope| {
            scope.spawn(|| db.snapshot().unwrap());
            thread::sleep(Duration::from_micros(round * 50));
            let other = db.database(3).unwrap();
            (0..50).for_each(|key| other.set(format!("key {key}"), "white").unwrap());
        });
        db.snapshot().unwrap();
        let wanted = content(&db);
        assert_eq!(wanted.len(), 2050);
        drop(db);
        assert_eq!(content(&open(path.path(), 16)), wanted);
    }
}

/// Copies the files of a folder.
fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn file(path: &Path, prefix: &str) -> std::path::PathBuf {
    let names = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let mut files = names.filter(|file| {
        file.file_name().unwrap().to_str().is_some_and(|name| name.starts_with(prefix))
    });
    files.next().expect("a file of this name")
}

#[test]
fn a_crash_leaves_all_of_a_move_a_swap_or_a_flush_or_nothing() {
    let path = folder();
    let db = open(path.path(), 4);
    let mut session = db.session();
    let mut states = vec![content(&db)];
    let set = |key: &'static [u8], value| Request::Change(key, plain_set(value));
    let steps: [&[Request<'_>]; 12] = [
        &[set(b"rose", b"red")],
        &[Request::MultiKey(MultiKeyOp::Move { key: b"rose", to: 1 })],
        &[Request::Select(1)],
        &[set(b"daisy", b"white")],
        &[Request::MultiKey(MultiKeyOp::SwapDatabases(1, 2))],
        &[set(b"iris", b"blue")],
        &[Request::MultiKey(MultiKeyOp::SwapDatabases(0, 1))],
        &[Request::MultiKey(MultiKeyOp::SwapDatabases(0, 2))],
        &[Request::Select(0)],
        &[Request::MultiKey(MultiKeyOp::Copy {
            from: b"rose",
            to: b"poppy",
            database: 3,
            replace: false,
        })],
        &[Request::MultiKey(MultiKeyOp::Clear)],
        &[Request::MultiKey(MultiKeyOp::ClearAll)],
    ];
    for step in steps {
        let lsn = session.execute(step, &mut |_, answer| {
            assert!(matches!(answer, Answer::Done | Answer::Int(1)), "{answer:?} to {step:?}");
        });
        db.log().wait(lsn).unwrap();
        states.push(content(&db));
    }
    let transaction = [
        set(b"rose", b"0"),
        Request::Select(3),
        set(b"rose", b"3"),
        Request::MultiKey(MultiKeyOp::Move { key: b"rose", to: 2 }),
        Request::Select(2),
        set(b"lily", b"2"),
        Request::Select(0),
        set(b"lily", b"0"),
    ];
    match session.transaction(&transaction, None, &mut |_, _| {}) {
        TransactionOutcome::Done(lsn) => db.log().wait(lsn).unwrap(),
        other => panic!("{other:?}"),
    }
    states.push(content(&db));
    states.dedup();
    assert_eq!(states.len(), 12, "a step changes nothing");
    // Without a clean end, so that the manifest does not say how long the log is.
    let saved = folder();
    copy(path.path(), saved.path());
    let log = file(saved.path(), "log-");
    let bytes = fs::read(&log).unwrap();
    let (mut seen, mut last) = (0, None);
    for end in (bytes.len() / 8..=bytes.len()).rev() {
        let cut = folder();
        copy(saved.path(), cut.path());
        fs::write(cut.path().join(log.file_name().unwrap()), &bytes[..end]).unwrap();
        // Bytes of the file's header are missing.
        let Ok(db) = Db::open_on_disk(options(cut.path(), 4), Arc::new(FaultyDisk::new())) else {
            break;
        };
        let found = content(&db);
        if last.as_ref() != Some(&found) {
            seen += 1;
            assert_eq!(states.pop().as_ref(), Some(&found), "after {end} bytes");
            last = Some(found);
        }
    }
    assert!(seen > 8, "{seen} states were seen");
}

#[test]
fn a_folder_with_keys_in_a_missing_database_stays_as_it_is() {
    for snapshot in [false, true] {
        let path = folder();
        let db = open(path.path(), 4);
        db.database(3).unwrap().set("rose", "red").unwrap();
        if snapshot {
            db.snapshot().unwrap();
        }
        db.close().unwrap();
        drop(db);
        let files = || {
            let names = fs::read_dir(path.path()).unwrap().map(|entry| entry.unwrap().path());
            names.map(|file| (file.clone(), fs::read(file).unwrap())).collect::<BTreeMap<_, _>>()
        };
        // A torn tail stays, too.
        let log = file(path.path(), "log-");
        if !snapshot {
            let torn = [&fs::read(&log).unwrap()[..], b"torn"].concat();
            fs::write(&log, torn).unwrap();
        }
        let before = files();
        let mut fewer = options(path.path(), 4);
        fewer.databases = 3;
        let why = Db::open(fewer.clone()).expect_err("there is no database 3");
        assert!(matches!(why, OpenError::NoSuchDatabase { database: 3, databases: 3, .. }));
        assert!(why.to_string().contains("keys in database 3, but `databases` is 3: set it to 4"));
        assert!(files() == before, "the folder was changed");
        // The key may also go.
        let db = open(path.path(), 4);
        db.swap_databases(3, 1).unwrap();
        drop(db);
        let db = Db::open(fewer).unwrap();
        let other = db.database(1).unwrap();
        assert_eq!(other.get("rose").unwrap().as_deref(), Some(&b"red"[..]));
        assert!(matches!(db.database(3), Err(RequestError::NoSuchDatabase)));
    }
}

/// Programs that know one database read a folder that uses one.
#[test]
fn a_folder_with_one_database_has_the_first_format() {
    let version = |path: &Path| fs::read(file(path, "snapshot-")).unwrap()[8];
    let path = folder();
    let db = open(path.path(), 4);
    db.set("rose", "red").unwrap();
    db.snapshot().unwrap();
    assert_eq!(version(path.path()), 1);
    db.database(1).unwrap().set("rose", "white").unwrap();
    db.snapshot().unwrap();
    assert_eq!(version(path.path()), 4);
    db.database(1).unwrap().clear().unwrap();
    drop(db);
    let db = open(path.path(), 4);
    db.snapshot().unwrap();
    assert_eq!(version(path.path()), 1, "after a start without keys in other databases");
}

/// Every reader sees both databases as they are before a swap, or as they are after it.
#[test]
fn swaps_are_atomic_for_every_reader() {
    let db = in_memory(16);
    let names: Vec<Vec<u8>> = (0..40).map(|key| format!("key {key}").into_bytes()).collect();
    for number in 0..2_u16 {
        let other = db.database(number).unwrap();
        for key in &names {
            other.set(key, number.to_string()).unwrap();
        }
    }
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let _stop = Stop(&stop);
        for _ in 0..2 {
            // Relaxed: the flag only ends the loop.
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    read_all_alike(&db, &names);
                }
            });
        }
        scope.spawn(|| {
            // Relaxed: as above.
            while !stop.load(Ordering::Relaxed) {
                both_differ(&db, &names[0]);
            }
        });
        let (mut session, mut swapped) = (db.session(), false);
        for _ in 0..3000 {
            together(&mut session, MultiKeyOp::SwapDatabases(0, 1), Answer::Done);
            swapped = !swapped;
            // A client that has the reply sees the swap.
            let wanted = if swapped { b"1" } else { b"0" };
            assert_eq!(value(&mut session, &names[3]).as_deref(), Some(&wanted[..]));
        }
    });
}

/// Reads all keys in one snapshot.
fn read_all_alike(db: &Db, names: &[Vec<u8>]) {
    let mut requests: Vec<Request<'_>> =
        names.iter().map(|key| Request::Read(key, Query::Value)).collect();
    requests[0] = Request::MultiRead(&names[0], Query::Value, names.len());
    let mut values = Vec::new();
    db.session().execute(&requests, &mut |_, answer| values.push(format!("{answer:?}")));
    values.dedup();
    assert_eq!(values.len(), 1, "keys of two databases in one snapshot: {values:?}");
}

/// Reads a key in both databases, in a transaction.
fn both_differ(db: &Db, name: &[u8]) {
    let read = Request::Read(name, Query::Value);
    let mut values = Vec::new();
    let requests = [read, Request::Select(1), read];
    db.session().transaction(&requests, None, &mut |number, answer| {
        if number != 1 {
            values.push(format!("{answer:?}"));
        }
    });
    assert_ne!(values[0], values[1], "a transaction saw a half of a swap");
}

/// A change is made either before a swap or after it: a client that has missed it behind the swap does not see it
/// appear in the other database.
#[test]
fn changes_beside_swaps_are_neither_lost_nor_late() {
    let db = in_memory(4);
    let (stop, swaps) = (AtomicBool::new(false), 1500);
    let done = thread::scope(|scope| {
        let _stop = Stop(&stop);
        let writers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let (mut session, mut done) = (db.session(), 0_i64);
                    // Relaxed: the flag only ends the loop.
                    while !stop.load(Ordering::Relaxed) {
                        let add = hedgerow_db::request::Change::Increment(1);
                        let adds = [Request::Change(b"a", add), Request::Change(b"b", add)];
                        session.execute(&adds, &mut |_, _| done += 1);
                    }
                    done
                })
            })
            .collect();
        scope.spawn(|| {
            let mut session = db.session();
            session.select(2).unwrap();
            for _ in 0..swaps {
                together(&mut session, MultiKeyOp::SwapDatabases(0, 2), Answer::Done);
                // Nobody writes to database 2: its keys stay as they are behind the swap.
                let before = [value(&mut session, b"a"), value(&mut session, b"b")];
                thread::yield_now();
                let after = [value(&mut session, b"a"), value(&mut session, b"b")];
                assert_eq!(before, after, "keys have changed behind a swap");
            }
            // Relaxed: as above.
            stop.store(true, Ordering::Relaxed);
        });
        writers.into_iter().map(|writer| writer.join().unwrap()).sum::<i64>()
    });
    let number = |text: Vec<u8>| String::from_utf8(text).unwrap().parse::<i64>().unwrap();
    let sum: i64 = content(&db).into_values().map(|(value, _)| number(value)).sum();
    assert_eq!(sum, done, "changes were lost");
}

#[test]
fn a_swap_that_the_log_cannot_write_is_undone() {
    let (path, disk) = (folder(), FaultyDisk::new());
    let mut options = options(path.path(), 4);
    options.fsync = Fsync::Always;
    let db = Db::open_on_disk(options, Arc::new(disk.clone())).unwrap();
    db.set("rose", "red").unwrap();
    db.database(1).unwrap().set("rose", "white").unwrap();
    let wanted = content(&db);
    disk.change(|faults| faults.room = Some(0));
    let swapped = db.swap_databases(0, 1);
    assert!(matches!(swapped, Err(Error::Log(_))), "{swapped:?}");
    let began = Instant::now();
    disk.change(|faults| faults.room = None);
    while !db.log().writable() {
        assert!(began.elapsed() < Duration::from_secs(60), "the log stays closed");
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(content(&db), wanted, "a swap that failed is seen");
    db.set("iris", "blue").unwrap();
    let wanted = content(&db);
    assert_eq!(wanted[&(0, b"iris".to_vec())].0, b"blue");
    drop(db);
    assert_eq!(content(&open(path.path(), 4)), wanted);
}

#[test]
fn a_transaction_fails_if_its_key_changes_in_its_database_only() {
    let db = in_memory(4);
    let other = db.database(1).unwrap();
    let mut session = db.session();
    let mut fails = |key: &'static str, change: &dyn Fn()| {
        let mut watch = KeyWatch::default();
        assert!(session.watch_keys(&mut watch, &[key.as_bytes()]));
        change();
        let read = [Request::Read(b"other", Query::Value)];
        session.transaction(&read, Some(&watch), &mut |_, _| {}) == TransactionOutcome::Conflict
    };
    assert!(!fails("rose", &|| other.set("rose", "white").unwrap()));
    assert!(fails("rose", &|| db.set("rose", "red").unwrap()));
    assert!(!fails("rose", &|| other.clear().unwrap()));
    // The key does not exist in either.
    assert!(!fails("iris", &|| db.swap_databases(0, 1).unwrap()));
    assert!(!fails("rose", &|| db.swap_databases(2, 3).unwrap()));
    assert!(fails("rose", &|| db.swap_databases(0, 1).unwrap()), "it exists in the other one");
    assert!(fails("rose", &|| db.swap_databases(2, 0).unwrap()), "it exists in its own");
    let other = db.database(2).unwrap();
    // A swap to and fro, between which the key changes.
    assert!(fails("iris", &|| {
        db.swap_databases(0, 1).unwrap();
        db.set("iris", "blue").unwrap();
        db.swap_databases(0, 1).unwrap();
        db.database(1).unwrap().delete("iris").unwrap();
    }));
    let move_there = MultiKeyOp::Move { key: b"rose", to: 0 };
    assert!(fails("rose", &|| together(&mut other.session(), move_there, Answer::Int(1))));
    let all = MultiKeyOp::ClearAll;
    assert!(fails("rose", &|| together(&mut other.session(), all, Answer::Done)));
}

#[test]
fn a_watch_is_about_one_database() {
    let db = in_memory(4);
    let other = db.database(1).unwrap();
    let mut watch = other.watch("");
    let mut session = db.session();
    db.set("rose", "red").unwrap();
    other.set("daisy", "white").unwrap();
    together(&mut session, MultiKeyOp::Move { key: b"rose", to: 1 }, Answer::Int(1));
    session.select(1).unwrap();
    together(&mut session, MultiKeyOp::Move { key: b"rose", to: 2 }, Answer::Int(1));
    db.clear().unwrap();
    other.clear().unwrap();
    let mut next = || watch.next(Duration::ZERO).map(|event| event.map(|event| event.kind));
    let wanted = [
        EventKind::Changed(b"daisy".into()),
        EventKind::Changed(b"rose".into()),
        EventKind::Removed(b"rose".into()),
        EventKind::Cleared,
    ];
    for wanted in wanted {
        assert_eq!(next().unwrap(), Some(wanted));
    }
    db.swap_databases(0, 2).unwrap();
    assert_eq!(next().unwrap(), None);
    db.swap_databases(0, 1).unwrap();
    assert!(matches!(next(), Err(WatchError::Swapped)));
}

/// Expiration, eviction and the clock of all databases.
#[test]
fn keys_of_every_database_expire_and_are_evicted() {
    let mut options = Options::in_memory();
    (options.shards, options.databases) = (4, DATABASES);
    options.eviction = hedgerow_db::options::Eviction::Lru;
    let db = Db::open(options).unwrap();
    let other = db.database(2).unwrap();
    other.set_with_ttl("ends", "soon", Duration::from_millis(1)).unwrap();
    let began = Instant::now();
    while !other.is_empty() {
        assert!(began.elapsed() < Duration::from_secs(60), "an expired key stays");
        thread::sleep(Duration::from_millis(1));
    }
    (0..20_000).for_each(|key| other.set(format!("key {key}"), [b'v'; 100]).unwrap());
    db.set_max_memory(1 << 20);
    while db.stats().memory > 1 << 20 {
        assert!(began.elapsed() < Duration::from_secs(120), "nothing is evicted");
        thread::sleep(Duration::from_millis(1));
    }
    let stats = db.stats();
    assert_eq!(stats.keys + stats.evicted, 20_000);
    assert!(db.is_empty() && other.len() > 1000, "{stats:?}");
    assert_eq!(db.database_stats()[0].keys, other.len() as u64);
}

/// The log names the database of a key that was evicted.
#[test]
fn evicted_keys_stay_away_after_a_start() {
    let path = folder();
    let mut options = options(path.path(), 4);
    options.eviction = hedgerow_db::options::Eviction::Random;
    let db = Db::open(options).unwrap();
    let other = db.database(2).unwrap();
    for key in 0..5000 {
        db.set(format!("key {key}"), [b'v'; 100]).unwrap();
        other.set(format!("key {key}"), [b'v'; 100]).unwrap();
    }
    db.swap_databases(0, 2).unwrap();
    db.set_max_memory(1 << 19);
    let began = Instant::now();
    while db.stats().memory > 1 << 19 {
        assert!(began.elapsed() < Duration::from_secs(120), "nothing is evicted");
        thread::sleep(Duration::from_millis(1));
    }
    // From here on nothing is evicted.
    db.close().unwrap();
    let keys = |db: &Db| content(db).into_keys().collect::<Vec<_>>();
    let wanted = keys(&db);
    drop((db, other));
    assert!(keys(&open(path.path(), 4)) == wanted, "a key is there that was evicted");
}

#[test]
fn values_of_every_kind_are_moved_and_copied() {
    for compressed in [0, 4 << 20] {
        let mut options = Options::in_memory();
        (options.shards, options.databases, options.compressed) = (4, DATABASES, compressed);
        let db = Db::open(options).unwrap();
        let mut session = db.session();
        for length in [0, 5, 300, 20_000, 1 << 20] {
            let long = vec![b'v'; length];
            db.set("rose", &long).unwrap();
            let live = hedgerow_db::request::Change::Expire {
                expiry: Expiry::At(FAR),
                condition: hedgerow_db::request::ExpireCondition::Always,
                get: false,
            };
            session.execute(&[Request::Change(b"rose", live)], &mut |_, _| {});
            let copy = MultiKeyOp::Copy { from: b"rose", to: b"{c}", database: 1, replace: true };
            together(&mut session, copy, Answer::Int(1));
            // The copy shares nothing with the original.
            db.append("rose", "tail").unwrap();
            together(&mut session, MultiKeyOp::Move { key: b"rose", to: 1 }, Answer::Int(1));
            let found = content(&db);
            assert_eq!(found[&(1, b"{c}".to_vec())], (long.clone(), Some(FAR)));
            let grown = [&long[..], b"tail"].concat();
            assert_eq!(found[&(1, b"rose".to_vec())], (grown, Some(FAR)));
            assert_eq!(found.len(), 2);
            session.execute(&[Request::MultiKey(MultiKeyOp::ClearAll)], &mut |_, _| {});
        }
    }
}
