//! Events of the database's own threads, for LATENCY.

use crate::latency_monitor::event;
use crate::log::Fsync;
use crate::options::Eviction;
use crate::{Db, Options};
use std::time::Duration;

/// Returns whether an event was kept.
fn has(db: &Db, name: &str) -> bool {
    db.state().latency.all().contains_key(name)
}

/// Opens a database in a folder that ends with the test.
fn at(fsync: Fsync) -> (Db, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut options = Options::at(folder.path());
    options.fsync = fsync;
    (Db::open(options).unwrap(), folder)
}

#[test]
fn writes_and_syncs_of_the_log_are_events() {
    let (db, _folder) = at(Fsync::Always);
    db.set("before", "1").unwrap();
    assert!(db.state().latency.all().is_empty(), "events are kept although nothing is monitored");
    db.state().latency.keep_all();
    db.set("key", "1").unwrap();
    assert!(has(&db, event::AOF_WRITE), "a write of the log is no event");
    assert!(has(&db, event::AOF_FSYNC_ALWAYS), "a sync of the log is no event");
    assert!(!has(&db, event::AOF_WRITE_PENDING_FSYNC));

    let (db, _folder) = at(Fsync::EverySecond);
    db.state().latency.keep_all();
    db.set("key", "1").unwrap();
    db.log().sync().unwrap();
    assert!(has(&db, event::AOF_WRITE));
    assert!(!has(&db, event::AOF_FSYNC_ALWAYS), "a sync is an event for which no reply waits");
}

#[test]
fn steps_of_eviction_are_events() {
    let mut options = Options::in_memory();
    options.eviction = Eviction::Lru;
    let db = Db::open(options).unwrap();
    let latency = &db.state().latency;
    latency.set_threshold(86_400_000);
    db.set_max_memory(db.stats().memory as usize + 100_000);
    for number in 0..2000 {
        db.set(format!("key {number}"), vec![b'v'; 500]).unwrap();
    }
    assert!(db.stats().evicted > 0);
    assert!(latency.all().is_empty(), "short events are kept: {:?}", latency.all());
    latency.keep_all();
    for number in 0..2000 {
        db.set(format!("key {number}"), vec![b'v'; 501]).unwrap();
    }
    assert!(has(&db, event::EVICTION_CYCLE), "a step of eviction is no event");
    assert!(has(&db, event::EVICTION_DEL), "the removal of evicted keys is no event");
}

#[test]
fn rounds_over_expired_keys_are_events() {
    let db = Db::open(Options::in_memory()).unwrap();
    db.state().latency.keep_all();
    // The maintenance thread begins a round ten times a second.
    let until = std::time::Instant::now() + Duration::from_secs(60);
    while !has(&db, event::EXPIRE_CYCLE) {
        assert!(std::time::Instant::now() < until, "a round over expired keys is no event");
        std::thread::sleep(Duration::from_millis(5));
    }
}
