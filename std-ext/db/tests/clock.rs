//! builds: default
//!
//! The system clock, set forward and back: keys expire by it, expired keys stay expired, and a wrong clock does no harm
//! once it is right again.

mod support;

use hedgerow_db::log::Fsync;
use hedgerow_db::log::faults::FaultyDisk;
use hedgerow_db::{Db, Options, TimeSource};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use support::{Client, Running, until};

const SECOND: u64 = 1000;
const HOUR: u64 = 3600 * SECOND;
const YEAR: u64 = 365 * 24 * HOUR;
/// The start of the tests, in milliseconds since 1970.
const START: u64 = 1_800_000_000 * SECOND;

/// A clock that tests set.
#[derive(Clone, Default)]
struct Clock(Arc<AtomicU64>);

impl Clock {
    fn at(now: u64) -> Self {
        let clock = Self::default();
        clock.set(now);
        clock
    }

    fn set(&self, now: u64) {
        // Relaxed: the number stands for itself.
        self.0.store(now, Ordering::Relaxed);
    }

    fn options(&self, path: &Path) -> Options {
        let mut options = Options::at(path);
        (options.fsync, options.snapshot_after) = (Fsync::Never, 0);
        options.time = TimeSource::Manual(Arc::clone(&self.0));
        options
    }

    fn open(&self, path: &Path) -> Db {
        Db::open(self.options(path)).unwrap()
    }
}

/// A directory in memory if possible: no test here needs a disk.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// Sends lines and expects these replies.
#[track_caller]
fn exchange(client: &mut Client, lines: &[(&str, &str)]) {
    for (line, reply) in lines {
        client.send(format!("{line}\r\n"));
        client.expect(format!("{reply}\r\n"));
    }
}

fn set_until(key: &str, end: u64) -> String {
    format!("SET {key} value PXAT {end}")
}

#[test]
fn the_system_clock_is_followed() {
    let (path, clock) = (folder(), Clock::at(START));
    for compressed in [0, 4 << 20] {
        let mut options = clock.options(&path.path().join(compressed.to_string()));
        options.compressed = compressed;
        clock.set(START);
        let db = Db::open(options.clone()).unwrap();
        let server = Running::over(db.clone(), |_| {});
        let mut client = server.client();
        exchange(
            &mut client,
            &[
                (&set_until("soon", START + HOUR / 2), "+OK"),
                (&set_until("later", START + 2 * HOUR), "+OK"),
                (&set_until("counter", START + HOUR / 2), "+OK"),
                ("SET counter 7 KEEPTTL", "+OK"),
            ],
        );
        // One hour forward: keys that expire meanwhile are gone at once.
        clock.set(START + HOUR);
        exchange(
            &mut client,
            &[
                ("GET soon", "$-1"),
                ("EXISTS later counter", ":1"),
                ("TTL later", ":3600"),
                ("INCR counter", ":1"),
            ],
        );
        // And back: expired keys stay expired, and the others live until their time.
        clock.set(START);
        until(|| db.now() == START);
        exchange(
            &mut client,
            &[
                ("GET soon", "$-1"),
                ("TTL later", ":7200"),
                ("INCR counter", ":2"),
                (&set_until("new", START + HOUR / 4), "+OK"),
                ("TTL new", ":900"),
                (&set_until("past", START - 1), "+OK"),
                ("EXISTS past", ":0"),
            ],
        );
        drop(client);
        server.end();
        drop(db);
        let db = Db::open(options).unwrap();
        let server = Running::over(db, |_| {});
        let mut client = server.client();
        exchange(
            &mut client,
            &[
                ("EXISTS soon past", ":0"),
                ("GET counter", "$1\r\n2"),
                ("TTL new", ":900"),
                ("TTL later", ":7200"),
            ],
        );
        clock.set(START + HOUR / 4);
        exchange(&mut client, &[("EXISTS new later", ":1")]);
    }
}

/// Clocks are set back by a little all the time: expired keys do not come back meanwhile.
#[test]
fn a_small_step_back_is_waited_out() {
    let (path, clock) = (folder(), Clock::at(START));
    let db = clock.open(path.path());
    clock.set(START - SECOND);
    assert_eq!(db.now(), START);
    let last = db.stats().last_entry;
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!((db.now(), db.stats().last_entry), (START, last), "no log entry is needed");
    clock.set(START + 1);
    assert_eq!(db.now(), START + 1);
}

/// A clock that was a year ahead during one run of the database, with a log alone and with a snapshot.
#[test]
fn a_clock_that_was_wrong_once_does_no_harm() {
    for snapshot in [false, true] {
        let (path, clock) = (folder(), Clock::at(START));
        let ask_of = |db: Db, lines: &[(&str, &str)]| {
            let server = Running::over(db, |_| {});
            exchange(&mut server.client(), lines);
            server.end();
        };
        ask_of(clock.open(path.path()), &[(&set_until("old", START + HOUR), "+OK")]);
        clock.set(START + YEAR);
        let db = clock.open(path.path());
        ask_of(db.clone(), &[("SET any value", "+OK"), ("EXISTS old", ":0")]);
        if snapshot {
            db.snapshot().unwrap();
        }
        drop(db);
        for start in 1..4 {
            clock.set(START + start * SECOND);
            let db = clock.open(path.path());
            assert_eq!(db.now(), START + start * SECOND, "time continues from the right time");
            let name = format!("new{start}");
            ask_of(
                db.clone(),
                &[
                    (&set_until(&name, START + HOUR), "+OK"),
                    (&format!("TTL {name}"), &format!(":{}", 3600 - start)),
                    ("EXISTS old", ":0"),
                    ("EXISTS any new1", ":2"),
                ],
            );
            if snapshot {
                db.snapshot().unwrap();
            }
        }
    }
}

/// Setting the clock back meets a full disk and is rolled back; it is repeated when there is space.
#[test]
fn a_step_back_on_a_full_disk_is_repeated() {
    let (path, clock, disk) = (folder(), Clock::at(START), FaultyDisk::new());
    let mut options = clock.options(path.path());
    options.fsync = Fsync::EverySecond;
    let db = Db::open_on_disk(options.clone(), Arc::new(disk.clone())).unwrap();
    db.set_with_ttl("key", "7", std::time::Duration::from_millis(HOUR / 2)).unwrap();
    clock.set(START + HOUR);
    assert_eq!(db.get("key").unwrap(), None);
    disk.change(|faults| faults.room = Some(0));
    clock.set(START);
    // Whether or not it had begun before the disk was found to be full.
    until(|| {
        let _ = db.set("other", "value");
        !db.log().writable() && db.now() == START + HOUR
    });
    assert_eq!(db.get("key").unwrap(), None);
    disk.change(|faults| faults.room = None);
    until(|| db.now() == START);
    assert_eq!(db.add("key", 1).unwrap(), 1);
    drop(db);
    let db = Db::open(options).unwrap();
    assert_eq!(db.get("key").unwrap().as_deref(), Some(&b"1"[..]));
}

/// As redis-server 7.0.15: a command that asks about a key is no use of it, except TOUCH.
#[test]
fn a_question_is_no_use_of_a_key() {
    let (clock, folder) = (Clock::at(START), folder());
    let server = Running::over(clock.open(folder.path()), |_| {});
    let mut client = server.client();
    exchange(&mut client, &[("SET rose red", "+OK")]);
    clock.set(START + 5 * SECOND);
    exchange(
        &mut client,
        &[
            ("TTL rose", ":-1"),
            ("TYPE rose", "+string"),
            ("EXISTS rose none rose", ":2"),
            ("OBJECT IDLETIME rose", ":5"),
            ("TOUCH rose none", ":1"),
            ("OBJECT IDLETIME rose", ":0"),
        ],
    );
}
