//! Rollbacks beside snapshots, stopped scripts and records that move.

use super::*;
use crate::Options;

/// The last safe entry, and the entries of the keys that are not.
const SAFE: Lsn = 9;

/// Puts keys, one an entry, and undoes a script between two of them, while a snapshot is written. Returns which keys a
/// rollback leaves.
fn left_by_rollback(before: &[&[u8]], after: &[&[u8]]) -> Vec<Vec<u8>> {
    let limit = Arc::new(MemoryLimit::new(&Options::in_memory()));
    let shard = Shard::new(ShardContext { cold: None, limit });
    let mut core = shard.lock();
    core.enable_undo();
    core.begin_snapshot();
    let mut entry = SAFE;
    let mut put = |core: &mut Core, keys: &[&[u8]]| {
        for key in keys {
            entry += 1;
            core.put(None, key, b"value", None);
            core.publish(entry, SAFE);
        }
    };
    put(&mut core, before);
    core.put(None, b"script", b"value", None);
    core.undo_unpublished();
    core.publish(0, SAFE);
    put(&mut core, after);
    core.roll_back(SAFE);
    let left = core.records().map(|record| record.key().to_vec()).collect();
    core.publish(20, 20);
    core.end_snapshot(20);
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
    let shard = Shard::new(ShardContext { cold: None, limit });
    let mut core = shard.lock();
    core.put(None, b"rose", &vec![b'r'; 40_000], None);
    core.publish(0, 0);
    for byte in [b"a", b"b", b"c"] {
        let before = core.find(b"rose");
        let seen = core.read(before.unwrap(), <[u8]>::to_vec);
        core.write(before, before, b"rose", &[(7, byte)]);
        let newest = core.find(b"rose");
        core.write(newest, newest, b"rose", &[(8, byte)]);
        core.read(before.unwrap(), |value| {
            assert!(value == seen, "a published value was overwritten");
        });
        core.publish(0, 0);
        core.read(core.find(b"rose").unwrap(), |value| assert_eq!(value[7..9], [byte[0]; 2]));
    }
}

/// Each kind of value is moved: within the record, in a rope, compressed. A rollback then takes back the change before.
#[test]
fn a_record_that_is_relocated_stays_the_same() {
    let limit = Arc::new(MemoryLimit::new(&Options::in_memory()));
    let cold = Arc::new(ColdStore::new(1 << 20));
    let shard = Shard::new(ShardContext { cold: Some(cold), limit });
    let mut core = shard.lock();
    core.enable_undo();
    let values = [b"v".repeat(10), b"v".repeat(1000), b"v".repeat(40_000)];
    for (number, value) in values.iter().enumerate() {
        core.put(None, &[number as u8], b"before", None);
        core.publish(SAFE, SAFE);
        let old = core.find(&[number as u8]);
        core.put(old, &[number as u8], value, Some(u64::MAX));
        core.publish(SAFE + 1, SAFE);
    }
    // The places that a record has left are freed, and the value that it refers to is not.
    core.put(None, b"lasts", &values[1], None);
    for _ in 0..4 {
        core.publish(SAFE, SAFE);
        let old = core.find(b"lasts").unwrap();
        core.relocate(old);
    }
    core.publish(SAFE, SAFE);
    core.read(core.find(b"lasts").unwrap(), |found| assert!(found == values[1], "another value"));
    let memory = core.memory();
    for _ in 0..3 {
        for (number, value) in values.iter().enumerate() {
            let old = core.find(&[number as u8]).unwrap();
            old.set_usage(7);
            core.relocate(old);
            let new = core.find(&[number as u8]).unwrap();
            assert!(!new.is_same(old), "the record is where it was");
            assert_eq!((new.expires_at(), new.usage()), (Some(u64::MAX), 7));
            core.read(new, |found| assert!(found == value, "another value"));
        }
        core.publish(SAFE + 1, SAFE);
    }
    assert_eq!(core.memory(), memory);
    core.roll_back(SAFE);
    core.publish(SAFE + 2, SAFE + 2);
    core.publish(SAFE + 3, SAFE + 3);
    for number in 0..values.len() {
        let record = core.find(&[number as u8]).unwrap();
        assert_eq!(record.expires_at(), None);
        core.read(record, |found| assert_eq!(found, b"before", "not taken back"));
    }
}
