//! Rollbacks beside snapshots and stopped scripts.

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
