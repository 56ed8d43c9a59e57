//! builds: asan
//!
//! Eviction: memory stays near the limit, no change is rejected while a key may be evicted, no more is evicted than
//! necessary, and the policy chooses the keys.

use hedgerow_db::options::Eviction;
use hedgerow_db::request::{Answer, Change, Expiry, Request, RequestError, SetCondition};
use hedgerow_db::{Db, Error, Options};
use std::time::{Duration, Instant};

/// Only a fault takes this long, on any machine and under any sanitizer.
const TIME_LIMIT: Duration = Duration::from_secs(60);

fn full_of_small_values(bytes: usize) -> Db {
    let mut options = Options::in_memory();
    options.shards = 4;
    options.max_memory = bytes;
    options.eviction = Eviction::Lru;
    let db = Db::open(options).unwrap();
    while db.stats().evicted == 0 {
        let key = db.stats().keys;
        db.set(format!("key{key}"), [b'v'; 100]).unwrap();
    }
    db
}

/// Sets values until memory is within the limit. Returns how many were refused.
fn refused_until_it_fits(db: &Db) -> usize {
    let began = Instant::now();
    let mut refused = 0;
    for key in 0.. {
        refused += usize::from(db.set(format!("more{key}"), "small").is_err());
        let stats = db.stats();
        if key >= 100 && stats.memory <= stats.max_memory + 4096 {
            break;
        }
        assert!(began.elapsed() < TIME_LIMIT, "memory stays over the limit: {stats:?}");
    }
    refused
}

#[test]
fn no_change_is_refused_while_keys_can_be_evicted() {
    let db = full_of_small_values(8 << 20);
    db.set("large", vec![b'v'; 4 << 20]).unwrap();
    let refused = refused_until_it_fits(&db);
    assert_eq!(refused, 0, "changes refused after a large value, although keys could be evicted");
    // The others were used before it, so all of them would be evicted first.
    db.delete("large").unwrap();
    db.set_max_memory(1 << 20);
    let refused = refused_until_it_fits(&db);
    assert_eq!(refused, 0, "changes refused under a lower limit, although keys could be evicted");
    // Tables sized for the earlier limit would leave no space for keys.
    let stats = db.stats();
    assert!(stats.keys > 2000, "tables keep the memory of keys that were evicted: {stats:?}");
}

/// A few bytes of requests may ask for values of gigabytes, and a pipeline has many of them.
#[test]
fn a_pipeline_of_long_values_ends_at_the_limit() {
    let mut options = Options::in_memory();
    options.shards = 4;
    options.max_memory = 64 << 20;
    let db = Db::open(options).unwrap();
    let (bytes, offset) = (&b"x"[..], 32 << 20);
    let keys: Vec<_> = (0..100).map(|key| format!("key{key}")).collect();
    let requests = keys.iter().map(|key| {
        let change = Change::SetRange { offset, bytes };
        Request::Change(key.as_bytes(), change)
    });
    let requests: Vec<_> = requests.collect();
    let (mut made, mut refused) = (0, 0);
    db.session().execute(&requests, &mut |_, answer| match answer {
        Answer::Int(_) => made += 1,
        Answer::Error(RequestError::OutOfMemory) => refused += 1,
        other => panic!("{other:?}"),
    });
    // The last one may be above the limit, as one by one.
    assert_eq!((made, refused), (2, 98), "a pipeline fills the memory");
}

/// The memory of compressed values is known at eviction, not only some time later.
#[test]
fn no_more_than_needed_is_evicted_of_compressed_values() {
    let mut options = Options::in_memory();
    options.shards = 4;
    options.compressed = 16 << 20;
    options.eviction = Eviction::Lru;
    let db = Db::open(options).unwrap();
    for key in 0..20_000 {
        db.set(format!("key{key}"), format!("{key:0200}")).unwrap();
    }
    std::thread::sleep(Duration::from_millis(300));
    let before = db.stats();
    db.set_max_memory(before.memory as usize / 10 * 9);
    refused_until_it_fits(&db);
    std::thread::sleep(Duration::from_millis(300));
    let after = db.stats();
    assert!(after.keys > before.keys / 2, "keys evicted although memory was free: {after:?}");
}

/// Small keys are evicted as fast as large values arrive.
#[test]
fn memory_stays_near_the_limit_whatever_is_written() {
    let (db, large) = (full_of_small_values(16 << 20), vec![b'v'; 1 << 20]);
    let mut session = db.session();
    for key in 0..12 {
        let key = format!("large{key}");
        let set = Change::Set {
            value: &large,
            condition: SetCondition::Always,
            expiry: Expiry::Never,
            get: false,
        };
        session.execute(&[Request::Change(key.as_bytes(), set)], &mut |_, answer| {
            assert_eq!(answer, Answer::Done, "refused although keys could be evicted");
        });
        let stats = db.stats();
        let over = stats.memory.saturating_sub(stats.max_memory);
        assert!(over < 3 << 20, "memory is {over} bytes over the limit: {stats:?}");
    }
}

/// One log entry and one publish for several keys of a large shard.
#[test]
fn keys_are_evicted_several_at_a_time() {
    let db = full_of_small_values(16 << 20);
    let before = db.stats();
    db.set_max_memory(4 << 20);
    refused_until_it_fits(&db);
    let after = db.stats();
    let (gone, entries) = (after.evicted - before.evicted, after.last_entry - before.last_entry);
    // Its own changes are among the entries.
    let changes = after.keys + gone - before.keys;
    assert!(gone > 20_000, "{after:?}");
    assert!(entries - changes < gone / 4, "{entries} entries for the eviction of {gone} keys");
}

/// Also if so few keys may be evicted that a scan meets the same ones again.
#[test]
fn no_key_is_evicted_twice() {
    for keys in (512..4096).step_by(64) {
        let mut options = Options::in_memory();
        (options.shards, options.eviction) = (1, Eviction::VolatileTtl);
        let db = Db::open(options).unwrap();
        let mut may_go = 0;
        for key in 0..keys {
            db.set(format!("key{key}"), "value").unwrap();
            if key % 80 == 0 {
                db.set_with_ttl(format!("key{key}"), "value", Duration::from_secs(1000)).unwrap();
                may_go += 1;
            }
        }
        db.set_max_memory(1);
        let began = Instant::now();
        while db.set("key1", "value").is_ok() {
            assert!(
                began.elapsed() < TIME_LIMIT,
                "keys that could be evicted stay: {:?}",
                db.stats()
            );
        }
        let stats = db.stats();
        let gone = (stats.evicted, keys - stats.keys);
        assert_eq!(gone, (may_go, may_go), "evictions and missing keys differ");
    }
}

#[test]
fn a_lower_limit_evicts_while_nobody_writes() {
    let db = full_of_small_values(8 << 20);
    db.set_max_memory(1 << 20);
    let began = Instant::now();
    while db.stats().memory > 1 << 20 {
        std::thread::sleep(Duration::from_millis(5));
        let stats = db.stats();
        assert!(began.elapsed() < TIME_LIMIT, "nothing is evicted without writes: {stats:?}");
    }
}

#[test]
fn unused_keys_are_evicted_first() {
    let mut options = Options::in_memory();
    options.max_memory = 1 << 20;
    options.eviction = Eviction::Random;
    // Too large to be scanned at once.
    options.shards = 1;
    let db = Db::open(options).unwrap();
    for key in 0..20_000 {
        db.set(format!("key{key}"), [b'v'; 100]).unwrap();
    }
    let stats = db.stats();
    // Memory is freed before a change, which then takes what it needs.
    assert!(stats.memory <= stats.max_memory + 4096, "{stats:?}");
    assert!(stats.evicted > 10_000 && stats.keys > 1000, "{stats:?}");
    db.set_eviction(Eviction::Never);
    let refused = (0..20_000).find_map(|key| db.set(format!("more{key}"), [b'v'; 100]).err());
    assert!(matches!(refused, Some(Error::Request(RequestError::OutOfMemory))), "{refused:?}");
    assert!(db.delete("key19999").is_ok());
    // Only keys with an expiration may be evicted, and there is just one.
    db.set_eviction(Eviction::VolatileTtl);
    db.set_max_memory(1);
    assert!(db.set("more", "").is_err());
    db.set_max_memory(0);
    db.set_with_ttl("ends", "", Duration::from_secs(1000)).unwrap();
    db.set_max_memory(db.stats().memory as usize - 1);
    db.set("more", "").expect("the only key with an expiration is evicted");
    assert!(db.contains_key("more").unwrap());
    assert!(!db.contains_key("ends").unwrap(), "the key with an expiration was not evicted");
}

/// Fills memory ten times over with keys that are used once, after `hot` keys were used often. Returns how many of the
/// hot keys are left.
fn hot_keys_after_a_flood(policy: Eviction) -> usize {
    const HOT: usize = 100;
    let mut options = Options::in_memory();
    (options.max_memory, options.eviction, options.shards) = (1 << 19, policy, 2);
    let db = Db::open(options).unwrap();
    let set = |key: String| {
        let value = [b'v'; 100];
        match policy {
            Eviction::VolatileLfu => {
                db.set_with_ttl(key, value, std::time::Duration::from_secs(10_000)).unwrap();
            }
            _ => db.set(key, value).unwrap(),
        }
    };
    (0..HOT).for_each(|key| set(format!("hot{key}")));
    for _ in 0..100 {
        (0..HOT).for_each(|key| assert!(db.get(format!("hot{key}")).unwrap().is_some()));
    }
    (0..15_000).for_each(|key| set(format!("once{key}")));
    let stats = db.stats();
    assert!(stats.evicted > 8000 && stats.memory <= stats.max_memory + 4096, "{stats:?}");
    (0..HOT).filter(|key| db.get(format!("hot{key}")).unwrap().is_some()).count()
}

#[test]
fn keys_that_are_used_often_outlive_a_flood_of_others() {
    for policy in [Eviction::Lfu, Eviction::VolatileLfu] {
        let left = hot_keys_after_a_flood(policy);
        assert!(left >= 95, "{left} of 100 hot keys are left under {policy:?}");
    }
    // The check can fail: other policies evict them.
    let left = hot_keys_after_a_flood(Eviction::Random);
    assert!(left < 50, "{left} of 100 keys are left although keys are evicted at random");
}
