//! builds: default
//!
//! Memory returned to the system: after large values, after all keys expired, after `FLUSHALL`. It has its own process,
//! because the resident set belongs to the process.
#![cfg(target_os = "linux")]

use hedgerow_db::request::{Change, ExpireCondition, Expiry, Request, SetCondition};
use hedgerow_db::{Db, Options};
use std::ops::Range;
use std::time::{Duration, Instant};

const MIB: usize = 1 << 20;

/// Returns the resident memory of the process, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() << 10
}

/// Waits until the process has at most this much memory. Returns how much it has.
fn settles_below(most: usize) -> usize {
    let began = Instant::now();
    loop {
        let now = resident();
        if now <= most || began.elapsed() > Duration::from_secs(60) {
            return now;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// One after the other: each measures the whole process.
#[test]
fn freed_memory_returns_to_the_system() {
    large_entries_are_not_kept();
    expired_keys_leave_nothing();
    keys_between_others_leave_nothing();
    removed_keys_leave_nothing();
}

fn large_entries_are_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open(Options::at(folder.path())).unwrap();
    db.set("small", "value").unwrap();
    let before = resident();
    {
        let value = vec![b'v'; 64 * MIB];
        db.set("large", &value).unwrap();
        db.set_all(&[(b"large", &value)]).unwrap();
    }
    assert!(db.delete("large").unwrap());
    db.set("small", "value").unwrap();
    let after = settles_below(before + 16 * MIB);
    let kept = after.saturating_sub(before) / MIB;
    assert!(kept <= 16, "{kept} MiB are kept of a value of 64 MiB that was deleted");
}

/// The keys of most tests here: this many parts, and the keys of a part.
const ALL: (usize, Range<usize>) = (400, 0..1000);

fn fill(db: &Db, keys: (usize, Range<usize>), value: &[u8]) {
    let (condition, expiry) = (SetCondition::Always, Expiry::Never);
    of_keys(db, keys, Change::Set { value, condition, expiry, get: false });
}

fn expire(db: &Db, keys: (usize, Range<usize>)) {
    let (expiry, condition) = (Expiry::At(db.now() + 500), ExpireCondition::Always);
    of_keys(db, keys, Change::Expire { expiry, condition, get: false });
}

fn of_keys(db: &Db, (parts, keys): (usize, Range<usize>), change: Change<'_>) {
    let mut session = db.session();
    for part in 0..parts {
        let keys: Vec<String> = keys.clone().map(|key| format!("key{part}:{key}")).collect();
        let requests: Vec<Request<'_>> =
            keys.iter().map(|key| Request::Change(key.as_bytes(), change)).collect();
        session.execute(&requests, &mut |_, _| {});
    }
}

fn expired_keys_leave_nothing() {
    let db = Db::open(Options::in_memory()).unwrap();
    let (before, empty) = (resident(), db.stats().memory);
    fill(&db, ALL, &[b'v'; 200]);
    assert!(resident() > before + 64 * MIB, "the keys take memory");
    expire(&db, ALL);
    until("keys expire", || db.stats().keys == 0);
    until("tables keep the room of keys that expired", || db.stats().memory < empty + 100_000);
    let after = settles_below(before + 32 * MIB);
    let kept = after.saturating_sub(before) / MIB;
    assert!(kept <= 32, "{kept} MiB are kept of keys that expired");
}

/// Their values are too long for slabs, and one in a thousand stays: only a trim returns the memory between those.
fn keys_between_others_leave_nothing() {
    let db = Db::open(Options::in_memory()).unwrap();
    let before = resident();
    fill(&db, (100, 0..1000), &[b'v'; 1000]);
    assert!(resident() > before + 64 * MIB, "the keys take memory");
    expire(&db, (100, 1..1000));
    until("keys expire", || db.stats().keys == 100);
    let after = settles_below(before + 32 * MIB);
    let kept = after.saturating_sub(before) / MIB;
    assert!(kept <= 32, "{kept} MiB are kept of keys that expired between others");
}

fn removed_keys_leave_nothing() {
    let db = Db::open(Options::in_memory()).unwrap();
    let (before, empty) = (resident(), db.stats().memory);
    fill(&db, ALL, &[b'v'; 200]);
    db.clear().unwrap();
    until("tables keep the room of keys that were removed", || db.stats().memory < empty + 100_000);
    let after = settles_below(before + 32 * MIB);
    let kept = after.saturating_sub(before) / MIB;
    assert!(kept <= 32, "{kept} MiB are kept of keys that were removed");
}
