//! Models of the table's protocols, with two slots a bin, two bins a segment, and one entry an overflow line.
//!
//! A key is its own hash: low bits choose the bin, the top seven the tag, so a model lays out exactly the bins that it
//! is about. The writer runs in the main thread, or is spawned first, because loom shows a reader that comes first in
//! program order no value that is stored later. Each model names the outcomes that must occur; a model that explored
//! nothing fails.

use super::Table;
use super::overflow::LineList;
use super::walk::WalkPosition;
use super::write::EntryChange;
use crate::api::hash::KeyHash;
use crate::bins::bin::EntryWords;
use crate::sync::backoff::Backoff;
use crate::sync::loom::{explore, explore_each};
use ::loom::sync::Arc;
use ::loom::thread;
use std::format;
use std::string::String;
use std::vec::Vec;

/// Two words: the halves of a torn value differ.
type Value = [u64; 2];
type Map = Table<u64, Value>;

/// Returns a key whose bin bits are `bits` and whose tag is `tag`.
const fn key(bits: u64, tag: u64) -> u64 {
    bits | tag << 57
}

fn hash(key: &u64) -> KeyHash {
    KeyHash(*key)
}

const fn twice(n: u64) -> Value {
    [n, n]
}

impl Map {
    fn of_bits(bits: u32) -> Self {
        let map = Map::new();
        let made =
            map.make_directory(bits, true, std::ptr::null_mut(), &Backoff::spinning()).unwrap();
        assert!(
            map.publish_directory(super::directory::Directory::none(), made, &Backoff::spinning())
                .is_ok()
        );
        map
    }

    fn read(&self, key: u64) -> Option<u64> {
        let value: Option<Value> = self.get(hash(&key), |k| *k == key, |entry| entry.value());
        value.map(|[a, b]| {
            assert_eq!(a, b, "torn");
            a
        })
    }

    fn write(&self, key: u64, change: impl Fn() -> EntryChange<u64, Value>) -> Option<u64> {
        let same = |k: &u64| *k == key;
        let value = |entry: EntryWords<'_, u64, Value>| entry.value();
        let (old, _) =
            self.alter(hash(&key), same, value, hash, Backoff::spinning(), |_| change()).unwrap();
        old.map(|[a, b]| {
            assert_eq!(a, b, "torn");
            a
        })
    }

    fn put(&self, key: u64, n: u64) -> Option<u64> {
        self.write(key, || EntryChange::Entry(key, twice(n)))
    }

    /// Stores a value as `FlatMap::insert` stores long ones.
    fn put_long(&self, key: u64, n: u64) -> Option<u64> {
        let same = |k: &u64| *k == key;
        let value = twice(n);
        let before = self.insert_long(hash(&key), &key, &value, same, hash, Backoff::spinning());
        before.unwrap().map(|[a, b]| {
            assert_eq!(a, b, "torn");
            a
        })
    }

    fn remove(&self, key: u64) -> Option<u64> {
        self.write(key, || EntryChange::Remove)
    }

    fn split_to(&self, bin: usize) {
        self.initialize_bin(bin, &hash, &mut Backoff::spinning()).unwrap();
    }

    /// Returns all entries in key order, while no other thread writes.
    fn all(&self) -> Vec<(u64, u64)> {
        let (mut all, mut bin, mut position) = (Vec::new(), Vec::new(), Some(WalkPosition::START));
        while let Some(at) = position {
            bin.clear();
            position = self.snapshot(at, 0, &mut bin);
            all.extend(bin.iter().map(|raw| {
                // SAFETY: the snapshot has returned.
                let (key, [a, b]) = unsafe { raw.whole() };
                assert_eq!(a, b, "torn");
                (key, a)
            }));
        }
        all.sort_unstable();
        all
    }
}

#[test]
fn loom_read_against_upsert() {
    explore(3, ["Some(1)", "Some(2)"], |saw| {
        let map = Arc::new(Map::of_bits(1));
        let k = key(0, 5);
        map.put(k, 1);
        let other = map.clone();
        let reader = thread::spawn(move || other.read(k));
        map.put(k, 2);
        let got = reader.join().unwrap();
        saw(format!("{got:?}"));
    });
}

#[test]
fn loom_read_against_insert_and_remove() {
    explore(3, ["None None", "None Some(1)", "Some(1) None", "Some(1) Some(1)"], |saw| {
        let map = Arc::new(Map::of_bits(1));
        let k = key(0, 5);
        let other = map.clone();
        let reader = thread::spawn(move || (other.read(k), other.read(k)));
        map.put(k, 1);
        map.remove(k);
        let (a, b) = reader.join().unwrap();
        saw(format!("{a:?} {b:?}"));
    });
}

/// One slot has two owners, one after the other: a reader of the first key must not return the second key's value.
#[test]
fn loom_slot_reused_by_another_key() {
    explore(2, ["None", "Some(1)"], |saw| {
        let map = Arc::new(Map::of_bits(1));
        // The same tag: only the keys differ.
        let (a, b) = (key(0, 5), key(4, 5));
        map.put(a, 1);
        let other = map.clone();
        let reader = thread::spawn(move || other.read(a));
        map.remove(a);
        map.put(b, 2);
        saw(format!("{:?}", reader.join().unwrap()));
    });
}

/// A key is removed and inserted again, with another value in the same slot.
#[test]
fn loom_removed_and_inserted_again() {
    explore(2, ["None", "Some(1)", "Some(3)"], |saw| {
        let map = Arc::new(Map::of_bits(1));
        let k = key(0, 5);
        map.put(k, 1);
        let other = map.clone();
        let reader = thread::spawn(move || other.read(k));
        map.remove(k);
        map.put(k, 3);
        saw(format!("{:?}", reader.join().unwrap()));
    });
}

#[test]
fn loom_two_writers_on_one_key() {
    explore(2, ["None Some(1) 2", "Some(2) None 1"], |saw| {
        let map = Arc::new(Map::of_bits(1));
        let k = key(0, 5);
        let other = map.clone();
        let second = thread::spawn(move || other.put(k, 2));
        let first = map.put(k, 1);
        let second = second.join().unwrap();
        saw(format!("{first:?} {second:?} {}", map.read(k).unwrap()));
        assert_eq!(map.all().len(), 1, "an entry is lost, or there twice");
        assert_eq!(map.count.total(), 1, "entries are counted");
    });
}

/// Both insert the key, and both replace its value.
#[test]
fn loom_two_writers_of_long_values() {
    let both = ["None Some(1) 2", "Some(2) None 1", "Some(0) Some(1) 2", "Some(2) Some(0) 1"];
    explore_each(2, both, 0..2, |case, saw| {
        let map = Arc::new(Map::of_bits(1));
        let k = key(0, 5);
        if case == 1 {
            map.put(k, 0);
        }
        let other = map.clone();
        let second = thread::spawn(move || other.put_long(k, 2));
        let first = map.put_long(k, 1);
        let second = second.join().unwrap();
        saw(format!("{first:?} {second:?} {}", map.read(k).unwrap()));
        assert_eq!(map.all().len(), 1, "an entry is lost, or there twice");
        assert_eq!(map.count.total(), 1, "entries are counted");
    });
}

#[test]
fn loom_two_counters_lose_nothing() {
    explore(2, ["2"], |saw| {
        let map = Arc::new(Map::of_bits(1));
        let k = key(1, 5);
        let add = move |map: &Map| {
            let up = |n: Option<&Value>| EntryChange::Entry(k, twice(n.map_or(1, |[n, _]| n + 1)));
            let value = |entry: EntryWords<'_, u64, Value>| entry.value();
            map.alter(hash(&k), |other| *other == k, value, hash, Backoff::spinning(), up).unwrap();
        };
        let other = map.clone();
        let second = thread::spawn(move || add(&other));
        add(&map);
        second.join().unwrap();
        saw(format!("{}", map.read(k).unwrap()));
    });
}

/// Bin 0 splits: one key stays, the other moves to bin 2. A reader finds both at all times.
#[test]
fn loom_read_against_split() {
    explore(2, ["1 2"], |saw| {
        let map = Arc::new(Map::of_bits(1));
        let (stays, moves) = (key(0, 5), key(2, 6));
        map.put(stays, 1);
        map.put(moves, 2);
        let other = map.clone();
        let reader = thread::spawn(move || (other.read(moves), other.read(stays)));
        map.split_to(2);
        let (moved, stayed) = reader.join().unwrap();
        saw(format!(
            "{} {}",
            stayed.expect("the key that stays"),
            moved.expect("the key that moves")
        ));
        assert_eq!(map.all(), [(stays, 1), (moves, 2)], "an entry is lost, or there twice");
    });
}

/// A key is rewritten in the child that a split moved it to: no reader sees the new value and then the old one.
#[test]
fn loom_split_then_write() {
    explore(2, ["1", "3 3"], |saw| {
        let map = Arc::new(Map::of_bits(1));
        let moves = key(2, 6);
        map.put(moves, 1);
        let other = map.clone();
        let reader = thread::spawn(move || match other.read(moves).unwrap() {
            // After the old value, both values are allowed.
            1 => String::from("1"),
            first => format!("{first} {}", other.read(moves).unwrap()),
        });
        map.split_to(2);
        map.put(moves, 3);
        saw(reader.join().unwrap());
    });
}

#[test]
fn loom_insert_against_split() {
    explore(2, ["ok"], |saw| {
        let map = Arc::new(Map::of_bits(1));
        let (stays, moves, new) = (key(0, 5), key(2, 6), key(2, 7));
        map.put(stays, 1);
        map.put(moves, 2);
        let other = map.clone();
        let writer = thread::spawn(move || {
            other.put(new, 3);
            assert_eq!(other.read(new), Some(3), "an inserted key vanished");
        });
        map.split_to(2);
        writer.join().unwrap();
        assert_eq!(
            map.all(),
            [(stays, 1), (moves, 2), (new, 3)],
            "an entry is lost, or there twice"
        );
        saw("ok".into());
    });
}

/// A reader that has seen the inserted key sees it again, while its bin splits.
#[test]
fn loom_insert_and_read_against_split() {
    explore(1, ["None None", "None Some(3)", "Some(3) Some(3)"], |saw| {
        let map = Arc::new(Map::of_bits(1));
        let (moves, new) = (key(2, 6), key(2, 7));
        map.put(moves, 2);
        let (left, right) = (map.clone(), map.clone());
        let splitter = thread::spawn(move || left.split_to(2));
        let reader = thread::spawn(move || (right.read(new), right.read(new)));
        map.put(new, 3);
        splitter.join().unwrap();
        let (first, second) = reader.join().unwrap();
        saw(format!("{first:?} {second:?}"));
        assert_eq!(map.all(), [(moves, 2), (new, 3)], "an entry is lost, or there twice");
    });
}

#[test]
fn loom_two_splitters() {
    explore(2, ["ok"], |saw| {
        let map = Arc::new(Map::of_bits(1));
        let keys = [key(0, 5), key(2, 6)];
        keys.iter().for_each(|&k| assert_eq!(map.put(k, k), None));
        let other = map.clone();
        let second = thread::spawn(move || other.split_to(2));
        map.split_to(2);
        second.join().unwrap();
        assert_eq!(map.all(), keys.map(|k| (k, k)), "an entry is lost, or there twice");
        saw("ok".into());
    });
}

/// Bin 4 comes from bin 0 at depth 2, so a thread that needs it first splits bin 0 at depth 1. Two threads grow the
/// table, and each doubles the directory when it has to.
#[test]
fn loom_two_levels_and_two_growers() {
    explore(2, ["ok"], |saw| {
        let map = Arc::new(Map::of_bits(1));
        let keys = [key(0, 5), key(4, 6)];
        keys.iter().for_each(|&k| assert_eq!(map.put(k, k), None));
        let other = map.clone();
        let second = thread::spawn(move || other.split_to(4));
        map.split_to(2);
        second.join().unwrap();
        map.split_to(2);
        assert_eq!(map.all(), keys.map(|k| (k, k)), "an entry is lost, or there twice");
        assert!(keys.iter().all(|&k| map.read(k) == Some(k)), "a key is not found");
        saw("ok".into());
    });
}

#[test]
fn loom_read_against_two_levels() {
    explore(2, ["ok"], |saw| {
        let map = Arc::new(Map::of_bits(1));
        let moves = key(4, 6);
        map.put(moves, 1);
        let other = map.clone();
        let reader = thread::spawn(move || other.read(moves));
        map.split_to(4);
        assert_eq!(reader.join().unwrap(), Some(1), "a lasting key is missed");
        assert_eq!(map.all(), [(moves, 1)], "an entry is lost, or there twice");
        saw("ok".into());
    });
}

/// A third key goes to an overflow line and is removed again, and another bin takes the line.
#[test]
fn loom_read_against_overflow_and_recycling() {
    explore(2, ["None None", "None Some(3)", "Some(3) None", "Some(3) Some(3)"], |saw| {
        let map = Arc::new(Map::of_bits(1));
        let far = key(0, 7);
        for k in [key(0, 5), key(0, 6), key(1, 5), key(1, 6)] {
            map.put(k, k);
        }
        map.put(far, 3);
        map.remove(far);
        let other = map.clone();
        let reader = thread::spawn(move || (other.read(far), other.read(far)));
        map.put(far, 3);
        map.remove(far);
        // Now the line belongs to bin 1, and holds a key with the same tag.
        map.put(key(1, 7), 9);
        let (a, b) = reader.join().unwrap();
        saw(format!("{a:?} {b:?}"));
    });
}

/// A key is in the second line of a list, while the first line is unlinked and goes to another bin.
#[test]
fn loom_walk_against_recycling() {
    explore(2, ["Some(4)"], |saw| {
        let map = Arc::new(Map::of_bits(1));
        let (behind, before) = (key(0, 7), key(4, 7));
        for k in [key(0, 5), key(0, 6), key(1, 5), key(1, 6)] {
            map.put(k, k);
        }
        map.put(behind, 4);
        map.put(before, 3);
        let other = map.clone();
        let reader = thread::spawn(move || other.read(behind));
        map.remove(before);
        map.put(key(1, 7), 9);
        saw(format!("{:?}", reader.join().unwrap()));
    });
}

/// As before, but another thread takes the line: only the pool's own release fence is between its first store to the
/// line and the walker's load.
#[test]
fn loom_walk_against_recycling_elsewhere() {
    explore(2, ["Some(4)"], |saw| {
        let map = Arc::new(Map::of_bits(1));
        let (behind, before) = (key(0, 7), key(4, 7));
        for k in [key(0, 5), key(0, 6), key(1, 5), key(1, 6)] {
            map.put(k, k);
        }
        map.put(behind, 4);
        map.put(before, 3);
        let (left, right) = (map.clone(), map.clone());
        let taker = thread::spawn(move || {
            let mut pool = left.pool.session(&Backoff::spinning()).unwrap();
            pool.pop(1).unwrap().map(|taken| taken.first)
        });
        let reader = thread::spawn(move || right.read(behind));
        map.remove(before);
        saw(format!("{:?}", reader.join().unwrap()));
        taker.join().unwrap();
    });
}

/// As before, but the line goes to the writer's own list, and another thread moves it to the common one. That thread
/// has not unlinked the line, so its stores to the head need a fence, too.
#[test]
fn loom_walk_against_gathering() {
    explore(2, ["Some(4)"], |saw| {
        let map = Arc::new(Map::of_bits(1));
        map.pool.line_caches.spread();
        let (behind, before) = (key(0, 7), key(4, 7));
        for k in [key(0, 5), key(0, 6), key(1, 5), key(1, 6)] {
            map.put(k, k);
        }
        map.put(behind, 4);
        map.put(before, 3);
        let (left, right) = (map.clone(), map.clone());
        let taker = thread::spawn(move || left.pool.gather(&Backoff::spinning()).unwrap());
        let reader = thread::spawn(move || right.read(behind));
        map.remove(before);
        saw(format!("{:?}", reader.join().unwrap()));
        taker.join().unwrap();
    });
}

/// A bin with overflow lines splits, and another bin takes the lines that it returns.
#[test]
fn loom_split_with_overflow() {
    explore(2, ["Some(1) Some(3)"], |saw| {
        let map = Arc::new(Map::of_bits(1));
        let (stays, moves) = (key(0, 7), key(2, 7));
        for k in [key(0, 5), key(2, 6), key(1, 5), key(1, 6)] {
            map.put(k, k);
        }
        map.put(stays, 1);
        map.put(moves, 3);
        let other = map.clone();
        let reader = thread::spawn(move || (other.read(stays), other.read(moves)));
        map.split_to(2);
        map.put(key(1, 7), 9);
        let (a, b) = reader.join().unwrap();
        saw(format!("{a:?} {b:?}"));
        assert_eq!(map.all().len(), 7, "an entry is lost, or there twice");
    });
}

/// A split gives lines to the child: three keys of one bin all move.
#[test]
fn loom_split_that_overflows_the_child() {
    explore(2, ["Some(1) Some(2) Some(3)"], |saw| {
        let map = Arc::new(Map::of_bits(1));
        let keys = [key(2, 5), key(2, 6), key(2, 7)];
        keys.iter().zip(1..).for_each(|(&k, n)| assert_eq!(map.put(k, n), None));
        let other = map.clone();
        let reader = thread::spawn(move || keys.map(|k| other.read(k)));
        map.split_to(2);
        let [a, b, c] = reader.join().unwrap();
        saw(format!("{a:?} {b:?} {c:?}"));
    });
}

/// The first small table moves its keys to the next: readers find them through either.
#[test]
fn loom_small_table_moves_up() {
    explore(2, ["Some(1) Some(2)"], |saw| {
        let map = Arc::new(Map::of_bits(0));
        let (a, b) = (key(0, 5), key(1, 6));
        map.put(a, 1);
        map.put(b, 2);
        let other = map.clone();
        let reader = thread::spawn(move || (other.read(a), other.read(b)));
        map.grow_to(2, usize::MAX, &hash, &mut Backoff::spinning()).unwrap();
        let (a, b) = reader.join().unwrap();
        saw(format!("{a:?} {b:?}"));
        assert_eq!(map.all().len(), 2, "an entry is lost, or there twice");
    });
}

#[test]
fn loom_insert_while_small_table_moves_up() {
    explore(2, ["ok"], |saw| {
        let map = Arc::new(Map::of_bits(0));
        let (a, b) = (key(0, 5), key(1, 6));
        map.put(a, 1);
        let other = map.clone();
        let writer = thread::spawn(move || {
            other.put(b, 2);
            assert_eq!(other.read(b), Some(2), "an inserted key vanished");
        });
        map.grow_to(2, usize::MAX, &hash, &mut Backoff::spinning()).unwrap();
        writer.join().unwrap();
        assert_eq!(map.all(), [(a, 1), (b, 2)], "an entry is lost, or there twice");
        saw("ok".into());
    });
}

/// Two threads move the same small table: one does not split what the other has moved.
#[test]
fn loom_two_movers() {
    explore(2, ["ok"], |saw| {
        let map = Arc::new(Map::of_bits(0));
        let (a, b) = (key(0, 5), key(1, 6));
        map.put(a, 1);
        map.put(b, 2);
        let other = map.clone();
        let second = thread::spawn(move || {
            other.grow_to(2, usize::MAX, &hash, &mut Backoff::spinning()).unwrap()
        });
        map.grow_to(2, usize::MAX, &hash, &mut Backoff::spinning()).unwrap();
        second.join().unwrap();
        assert_eq!(map.all(), [(a, 1), (b, 2)], "an entry is lost, or there twice");
        assert_eq!(map.usage().bins, 2, "bins are split once");
        saw("ok".into());
    });
}

/// Two threads find no table, and both make the first.
#[test]
fn loom_two_first_inserts() {
    explore(2, ["ok"], |saw| {
        let map = Arc::new(Map::new());
        let (a, b) = (key(0, 5), key(1, 6));
        let other = map.clone();
        let second = thread::spawn(move || other.put(b, 2));
        map.put(a, 1);
        second.join().unwrap();
        assert_eq!(map.all(), [(a, 1), (b, 2)], "an entry is lost, or there twice");
        saw("ok".into());
    });
}

/// A walk meets each key that is present throughout exactly once, while a bin splits.
#[test]
fn loom_scan_against_split() {
    explore(2, ["ok"], |saw| {
        let map = Arc::new(Map::of_bits(1));
        let keys = [key(0, 5), key(1, 6), key(2, 7)];
        keys.iter().zip(1..).for_each(|(&k, n)| assert_eq!(map.put(k, n), None));
        let other = map.clone();
        let scan = thread::spawn(move || other.all());
        map.split_to(2);
        assert_eq!(
            scan.join().unwrap(),
            [(keys[0], 1), (keys[1], 2), (keys[2], 3)],
            "a walk misses a lasting key"
        );
        saw("ok".into());
    });
}

/// A walk returns whole values only.
#[test]
fn loom_scan_against_upsert() {
    explore(2, ["1", "2"], |saw| {
        let map = Arc::new(Map::of_bits(1));
        let k = key(0, 5);
        map.put(k, 1);
        let other = map.clone();
        let scan = thread::spawn(move || other.all());
        map.put(k, 2);
        saw(format!("{}", scan.join().unwrap()[0].1));
    });
}

/// `retain` shows whole values only, and keeps a value that was stored meanwhile.
#[test]
fn loom_retain_against_upsert() {
    explore(2, ["1 2", "2 2"], |saw| {
        let map = Arc::new(Map::of_bits(1));
        let k = key(0, 5);
        map.put(k, 1);
        let other = map.clone();
        let walk = thread::spawn(move || {
            let mut shown = 0;
            other.retain(
                |_, &mut [a, b]| {
                    assert_eq!(a, b, "torn");
                    shown = a;
                    true
                },
                |_| {},
            );
            shown
        });
        map.put(k, 2);
        let shown = walk.join().unwrap();
        saw(format!("{shown} {}", map.read(k).unwrap()));
    });
}

/// `clear` beside an insert: the count is that of the entries that are left.
#[test]
fn loom_clear_against_insert() {
    explore(2, ["0", "1"], |saw| {
        let map = Arc::new(Map::of_bits(1));
        for k in [key(0, 5), key(0, 6), key(0, 7)] {
            map.put(k, 1);
        }
        let other = map.clone();
        let writer = thread::spawn(move || other.put(key(0, 8), 2));
        map.clear();
        writer.join().unwrap();
        assert_eq!(map.count.total(), map.all().len(), "entries are counted");
        saw(format!("{}", map.all().len()));
    });
}

/// A reader that may not wait reports that it would have to, and never takes a locked bin for an absent key.
#[test]
fn loom_try_get_never_waits() {
    explore(3, ["Busy", "Some(1)", "Some(2)"], |saw| {
        let map = Arc::new(Map::of_bits(1));
        let k = key(0, 5);
        map.put(k, 1);
        let other = map.clone();
        let reader = thread::spawn(move || {
            let entry = |entry: EntryWords<'_, u64, Value>| entry.value();
            other.get_slowly(hash(&k), |other| *other == k, entry, &mut Backoff::never())
        });
        map.put(k, 2);
        saw(match reader.join().unwrap() {
            Err(_) => "Busy".into(),
            Ok(value) => format!("{:?}", value.map(|[a, _]| a)),
        });
    });
}

/// A batch answers as one lookup after the other does: the second key was inserted before the first was replaced.
#[test]
fn loom_a_window_answers_in_order() {
    explore(2, ["Some(1) None", "Some(1) Some(5)", "Some(2) Some(5)"], |saw| {
        let map = Arc::new(Map::of_bits(1));
        let keys = [key(0, 5), key(1, 6)];
        map.put(keys[0], 1);
        let other = map.clone();
        let reader = thread::spawn(move || {
            let mut answers = [None; 2];
            other.get_window(
                &keys.map(KeyHash),
                |at, key| *key == keys[at],
                |entry| entry.value(),
                |_| {},
                |at, value: Option<Value>| answers[at] = value.map(|[a, _]| a),
            );
            answers
        });
        map.put(keys[1], 5);
        map.put(keys[0], 2);
        let [first, second] = reader.join().unwrap();
        let in_order = first != Some(2) || second.is_some();
        assert!(in_order, "an absence is older than the value in front of it");
        saw(format!("{first:?} {second:?}"));
    });
}

/// One thread pushes lines, and another pops them and follows the links that the first one stored.
#[test]
fn loom_lines_change_hands() {
    explore(2, ["[1, 2]", "[3, 4]"], |saw| {
        let map = Arc::new(Map::of_bits(1));
        let pop = |map: &Map| {
            let mut pool = map.pool.session(&Backoff::spinning()).unwrap();
            pool.pop(2).unwrap().unwrap().first
        };
        let chain = |map: &Map, first| {
            let mut lines = [first, map.pool.owned(first).head().next];
            lines.sort_unstable();
            lines
        };
        map.pool.provide(4, &Backoff::spinning()).unwrap();
        let popped = pop(&map);
        assert_eq!(chain(&map, popped), [1, 2]);
        let other = map.clone();
        let taker = thread::spawn(move || chain(&other, pop(&other)));
        map.pool.push(LineList { first: popped });
        let lines = taker.join().unwrap();
        let whole = lines == [1, 2] || lines == [3, 4];
        assert!(whole, "{lines:?}: a line leads where it did before it was pushed");
        saw(format!("{lines:?}"));
    });
}

/// A thread returns lines to its own list, which gives some to the common one, from which another thread refills its
/// own.
#[test]
fn loom_lines_pass_between_lists() {
    explore(2, ["1", "4"], |saw| {
        let map = Arc::new(Map::of_bits(1));
        map.pool.provide(3, &Backoff::spinning()).unwrap();
        let popped = map.pool.session(&Backoff::spinning()).unwrap().pop(3).unwrap().unwrap();
        map.pool.provide(6, &Backoff::spinning()).unwrap();
        map.pool.line_caches.spread();
        let other = map.clone();
        let taker = thread::spawn(move || {
            let own = &other.pool.line_caches.all()[1].0;
            let taken = other.pool.pop_own(&mut own.lock(), 1, || Some(other.pool.free.lock()));
            let first = taken.unwrap().unwrap().first;
            assert_eq!(other.pool.owned(first).head().next, 0, "one line was asked for");
            first
        });
        map.pool.push(popped);
        let own = map.pool.line_caches.own().unwrap().lock();
        let mut mine = Vec::new();
        let mut line = own.first;
        while line != 0 {
            mine.push(line);
            line = map.pool.owned(line).head().next;
        }
        assert_eq!(mine.len(), own.len);
        drop(own);
        let theirs = taker.join().unwrap();
        assert!(!mine.contains(&theirs), "line {theirs} is popped and in a list");
        saw(format!("{theirs}"));
    });
}
