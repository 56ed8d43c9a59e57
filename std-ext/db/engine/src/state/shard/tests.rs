//! Rollbacks beside snapshots, stopped scripts and records that move; and the records that a snapshot holds.

use super::*;
use crate::Options;

/// The last committed entry, and the entries of the keys that are not.
const COMMITTED: Lsn = 9;

/// Puts keys, one an entry, and undoes a script between two of them, while a snapshot is written. Returns which keys a
/// rollback leaves.
fn left_by_rollback(before: &[&[u8]], after: &[&[u8]]) -> Vec<Vec<u8>> {
    let limit = Arc::new(MemoryLimit::new(&Options::in_memory()));
    let shard = Shard::new(ShardContext { limit, ..ShardContext::default() });
    let mut core = shard.lock();
    core.enable_undo();
    core.begin_snapshot();
    let mut entry = COMMITTED;
    let mut put = |core: &mut Core, keys: &[&[u8]]| {
        for key in keys {
            entry += 1;
            core.put(None, key, b"value", None);
            core.publish(entry, COMMITTED);
        }
    };
    put(&mut core, before);
    core.put(None, b"script", b"value", None);
    core.undo_unpublished();
    core.publish(0, COMMITTED);
    put(&mut core, after);
    core.roll_back(COMMITTED);
    let left = core.records().map(|record| record.key().to_vec()).collect();
    core.publish(20, 20);
    core.end_snapshot(None, 20);
    left
}

#[test]
fn a_stopped_script_does_not_confuse_a_rollback() {
    for (before, after) in [(1, 1), (2, 1), (1, 2), (2, 2)] {
        let keys: [&[u8]; 4] = [b"a", b"b", b"c", b"d"];
        let left = left_by_rollback(&keys[..before], &keys[2..2 + after]);
        assert_eq!(left, [b""; 0], "{before} and {after}: a rollback leaves a change");
    }
}

/// Readers of the published record see its bytes, although the next change is made by the same thread.
#[test]
fn a_published_rope_is_not_overwritten() {
    let limit = Arc::new(MemoryLimit::new(&Options::in_memory()));
    let shard = Shard::new(ShardContext { limit, ..ShardContext::default() });
    let mut core = shard.lock();
    core.put(None, b"rose", &vec![b'r'; 40_000], None);
    core.publish(0, 0);
    for byte in [b"a", b"b", b"c"] {
        let before = core.find(b"rose");
        let seen = core.read(before.unwrap().string().unwrap(), <[u8]>::to_vec);
        core.write(before, before, b"rose", &[(7, byte)]);
        let newest = core.find(b"rose");
        core.write(newest, newest, b"rose", &[(8, byte)]);
        core.read(before.unwrap().string().unwrap(), |value| {
            assert!(value == seen, "a published value was overwritten");
        });
        core.publish(0, 0);
        core.read(core.find(b"rose").unwrap().string().unwrap(), |value| {
            assert_eq!(value[7..9], [byte[0]; 2]);
        });
    }
}

/// Each kind of value is moved: within the record, in a rope, compressed. A rollback then takes back the change before.
#[test]
fn a_record_that_is_relocated_stays_the_same() {
    let limit = Arc::new(MemoryLimit::new(&Options::in_memory()));
    let cold = Arc::new(ColdStore::new(1 << 20));
    let shard = Shard::new(ShardContext { cold: Some(cold), limit, ..ShardContext::default() });
    let mut core = shard.lock();
    core.enable_undo();
    let values = [b"v".repeat(10), b"v".repeat(1000), b"v".repeat(40_000)];
    for (number, value) in values.iter().enumerate() {
        core.put(None, &[number as u8], b"before", None);
        core.publish(COMMITTED, COMMITTED);
        let old = core.find(&[number as u8]);
        core.put(old, &[number as u8], value, Some(u64::MAX));
        core.publish(COMMITTED + 1, COMMITTED);
    }
    // The places that a record has left are freed, and the value that it refers to is not.
    core.put(None, b"lasts", &values[1], None);
    for _ in 0..4 {
        core.publish(COMMITTED, COMMITTED);
        let old = core.find(b"lasts").unwrap();
        core.relocate(old);
    }
    core.publish(COMMITTED, COMMITTED);
    core.read(core.find(b"lasts").unwrap().string().unwrap(), |found| {
        assert!(found == values[1], "another value");
    });
    let memory = core.memory();
    for _ in 0..3 {
        for (number, value) in values.iter().enumerate() {
            let old = core.find(&[number as u8]).unwrap();
            old.set_usage(7);
            core.relocate(old);
            let new = core.find(&[number as u8]).unwrap();
            assert!(!new.is_same(old), "the record is where it was");
            assert_eq!((new.expires_at(), new.usage()), (Some(u64::MAX), 7));
            core.read(new.string().unwrap(), |found| assert!(found == value, "another value"));
        }
        core.publish(COMMITTED + 1, COMMITTED);
    }
    assert_eq!(core.memory(), memory);
    core.roll_back(COMMITTED);
    core.publish(COMMITTED + 2, COMMITTED + 2);
    core.publish(COMMITTED + 3, COMMITTED + 3);
    for number in 0..values.len() {
        let record = core.find(&[number as u8]).unwrap();
        assert_eq!(record.expires_at(), None);
        core.read(record.string().unwrap(), |found| assert_eq!(found, b"before", "not taken back"));
    }
}

/// A shard in which values of some hundred bytes are compressed.
fn compressing() -> Shard {
    let limit = Arc::new(MemoryLimit::new(&Options::in_memory()));
    Shard::new(ShardContext {
        cold: Some(Arc::new(ColdStore::new(1 << 20))),
        limit,
        ..ShardContext::default()
    })
}

/// Changes a key some times, and publishes each change as committed.
fn change(core: &mut Core, key: &[u8], entries: std::ops::Range<Lsn>) {
    for entry in entries {
        let old = core.find(key);
        core.put(old, key, format!("{entry}").as_bytes(), None);
        core.publish(entry, entry);
    }
}

#[test]
fn a_snapshot_holds_one_version_of_each_key() {
    let shard = compressing();
    let mut core = shard.lock();
    core.enable_undo();
    change(&mut core, b"rose", 1..5);
    change(&mut core, b"ruby", 5..10);
    // Two snapshots at once: one of a later version of `rose`, which it reads after the first has ended.
    let first = pins::named(core.begin_snapshot());
    change(&mut core, b"rose", 10..100);
    assert!(
        core.pins.waiting() >= 88,
        "records of a snapshot that has not named its own are freed"
    );
    core.name_records(Arc::clone(&first));
    assert_eq!(core.pins.waiting(), 1, "later versions wait");
    let second = pins::named(core.begin_snapshot());
    core.name_records(Arc::clone(&second));
    change(&mut core, b"rose", 100..200);
    assert_eq!(core.pins.waiting(), 2, "versions wait that no snapshot has");
    let read = |core: &Core, records: &[Record]| {
        let mut values: Vec<_> =
            records.iter().map(|of| core.read(of.string().unwrap(), <[u8]>::to_vec)).collect();
        values.sort_unstable();
        values
    };
    assert_eq!(read(&core, &first), [b"4".to_vec(), b"9".to_vec()]);
    core.end_snapshot(Some(&first), 200);
    assert_eq!(core.pins.waiting(), 1, "a version waits for a snapshot that has ended");
    assert_eq!(read(&core, &second), [b"9".to_vec(), b"99".to_vec()]);
    core.end_snapshot(Some(&second), 200);
    assert_eq!(core.pins.waiting(), 0, "a version waits for no snapshot");
}

/// The record of the snapshot has passed its compressed value on, and the later record is removed.
#[test]
fn a_snapshot_reads_a_compressed_value_that_later_records_took_over() {
    let shard = compressing();
    let mut core = shard.lock();
    let value = b"v".repeat(1000);
    core.put(None, b"rose", &value, None);
    core.publish(1, 1);
    let records = pins::named(core.begin_snapshot());
    core.name_records(Arc::clone(&records));
    assert!(records[0].ticket().is_some(), "the value is plain");
    let old = core.find(b"rose").unwrap();
    core.relocate(old);
    core.publish(2, 2);
    change(&mut core, b"rose", 3..6);
    core.put(None, b"other", &b"o".repeat(1000), None);
    core.publish(6, 6);
    core.read(records[0].string().unwrap(), |found| {
        assert!(found == value, "the snapshot finds another value");
    });
    core.end_snapshot(Some(&records), 6);
    assert_eq!(core.pins.waiting(), 0);
}

#[test]
fn a_snapshot_holds_no_compressed_value_that_it_does_not_read() {
    let shard = compressing();
    let mut core = shard.lock();
    let records = pins::named(core.begin_snapshot());
    core.name_records(Arc::clone(&records));
    for entry in 1..20 {
        let old = core.find(b"rose");
        core.put(old, b"rose", &b"v".repeat(1000 + entry as usize), None);
        core.publish(entry, entry);
    }
    let last = core.find(b"rose").unwrap();
    assert!(last.ticket().is_some(), "the value is plain");
    assert_eq!(core.pins.waiting(), 0, "compressed versions wait");
    core.end_snapshot(Some(&records), 20);
}
