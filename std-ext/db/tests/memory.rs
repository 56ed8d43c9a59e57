//! builds: default
//!
//! Memory returned to the system: after large values, after all keys expired, after `FLUSHALL`. It has its own process,
//! because the resident set belongs to the process.
#![cfg(target_os = "linux")]

use hedgerow_db::request::{Change, ExpireCondition, Expiry, Request, SetCondition};
use hedgerow_db::{Db, Options};
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

fn filled(db: &Db) {
    let set = Change::Set {
        value: &[b'v'; 200],
        condition: SetCondition::Always,
        expiry: Expiry::Never,
        get: false,
    };
    of_all_keys(db, set);
}

fn of_all_keys(db: &Db, change: Change<'_>) {
    let mut session = db.session();
    for part in 0..400 {
        let keys: Vec<String> = (0..1000).map(|key| format!("key{part}:{key}")).collect();
        let requests: Vec<Request<'_>> =
            keys.iter().map(|key| Request::Change(key.as_bytes(), change)).collect();
        session.execute(&requests, &mut |_, _| {});
    }
}

fn expired_keys_leave_nothing() {
    let db = Db::open(Options::in_memory()).unwrap();
    let (before, empty) = (resident(), db.stats().memory);
    filled(&db);
    assert!(resident() > before + 64 * MIB, "the keys take memory");
    let expiry = Expiry::At(db.now() + 500);
    of_all_keys(&db, Change::Expire { expiry, condition: ExpireCondition::Always, get: false });
    until("keys expire", || db.stats().keys == 0);
    until("tables keep the room of keys that expired", || db.stats().memory < empty + 100_000);
    let after = settles_below(before + 32 * MIB);
    let kept = after.saturating_sub(before) / MIB;
    assert!(kept <= 32, "{kept} MiB are kept of keys that expired");
}

fn removed_keys_leave_nothing() {
    let db = Db::open(Options::in_memory()).unwrap();
    let (before, empty) = (resident(), db.stats().memory);
    filled(&db);
    db.clear().unwrap();
    until("tables keep the room of keys that were removed", || db.stats().memory < empty + 100_000);
    let after = settles_below(before + 32 * MIB);
    let kept = after.saturating_sub(before) / MIB;
    assert!(kept <= 32, "{kept} MiB are kept of keys that were removed");
}
