//! Hashes beside a model, through changes, publications, undone changes, rollbacks, renames and snapshots.

use super::*;
use crate::Options;
use crate::state::random::Random;
use crate::state::tree::live_blocks;
use std::collections::{BTreeMap, HashMap};

/// A value of the model: a hash, or a string.
#[derive(Clone, Debug, PartialEq)]
enum Model {
    Hash(BTreeMap<Vec<u8>, Vec<u8>>),
    Text(Vec<u8>),
}

type Keys = HashMap<Vec<u8>, Model>;

fn value_of(record: Record) -> Model {
    match record.value() {
        Value::Hash(hash) => {
            let mut found = BTreeMap::new();
            hash.visit(&mut |field, value| {
                assert!(found.insert(field.to_vec(), value.to_vec()).is_none(), "a field twice");
                true
            });
            assert_eq!(found.len(), hash.len(), "a hash has another length than its record says");
            Model::Hash(found)
        }
        Value::String(value) => Model::Text(string::read(value, None, <[u8]>::to_vec)),
    }
}

fn compare(records: impl Iterator<Item = Record>, keys: &Keys) {
    let found: Keys = records.map(|record| (record.key().to_vec(), value_of(record))).collect();
    assert!(found == *keys, "the keys are others than those of the model");
}

/// A shard and what it should have.
struct Checked<'a> {
    core: &'a mut Core,
    random: Random,
    keys: Keys,
    /// What the shard had with each entry from the last committed one on.
    entries: VecDeque<(Lsn, Keys)>,
    snapshot: Option<(NamedRecords, Keys)>,
}

impl Checked<'_> {
    fn below(&mut self, bound: u64) -> u64 {
        self.random.next() % bound
    }

    fn key(&mut self) -> Vec<u8> {
        format!("key{}", self.below(4)).into_bytes()
    }

    fn change(&mut self) {
        let key = self.key();
        let stored = self.core.find(&key);
        match self.below(12) {
            0 => {
                if let Some(record) = stored {
                    self.core.remove(record);
                    self.keys.remove(&key);
                }
            }
            1 => {
                self.core.put(stored, &key, b"text", None);
                self.keys.insert(key, Model::Text(b"text".to_vec()));
            }
            2 => {
                if let Some(record) = stored {
                    self.core.put_moved(stored, &key, record, Some(1 << 60));
                }
            }
            3 => {
                let to = self.key();
                if let Some(record) = stored.filter(|_| to != key) {
                    let there = self.core.find(&to);
                    self.core.put_moved(there, &to, record, None);
                    self.core.remove_moved(record);
                    let moved = self.keys.remove(&key).unwrap();
                    self.keys.insert(to, moved);
                }
            }
            _ => self.change_hash(key, stored),
        }
    }

    fn change_hash(&mut self, key: Vec<u8>, stored: Option<Record>) {
        let current = stored.filter(|record| record.hash().is_some());
        let mut hash = match self.keys.remove(&key) {
            Some(Model::Hash(hash)) => hash,
            _ => BTreeMap::new(),
        };
        let fields = [3, 40, 400][self.below(3) as usize];
        let (steps, removes) = (1 + self.below(fields), self.below(3));
        let changes: Vec<(Vec<u8>, Option<Vec<u8>>)> = (0..steps)
            .map(|_| {
                let field = format!("field {}", self.below(fields)).into_bytes();
                let length = [0, 8, 60, 300][self.below(4) as usize];
                let value = vec![self.random.next() as u8; length];
                (field, (self.below(3) >= removes).then_some(value))
            })
            .collect();
        self.core.edit_hash(stored, current, &key, None, |edit| {
            for (field, value) in changes {
                match value {
                    Some(value) => {
                        let is_new = edit.set(&field, &value);
                        assert_eq!(is_new, hash.insert(field, value).is_none());
                    }
                    None => assert_eq!(edit.remove(&field), hash.remove(&field).is_some()),
                }
            }
        });
        if !hash.is_empty() {
            self.keys.insert(key, Model::Hash(hash));
        }
    }

    fn committed(&self) -> Lsn {
        self.entries[0].0
    }

    fn publish(&mut self) {
        let entry = self.entries.back().unwrap().0 + 1;
        let committed = self.committed();
        self.core.publish(entry, committed);
        self.entries.push_back((entry, self.keys.clone()));
        self.check();
    }

    fn check(&self) {
        compare(self.core.records(), &self.keys);
        let bytes: usize = self.core.records().map(Record::memory).sum();
        assert_eq!(self.core.bytes, bytes);
    }

    fn undo(&mut self) {
        self.core.undo_unpublished();
        self.keys = self.entries.back().unwrap().1.clone();
        let committed = self.committed();
        self.core.publish(0, committed);
        self.check();
    }

    fn roll_back(&mut self) {
        let committed = self.committed();
        self.core.roll_back(committed);
        self.entries.truncate(1);
        self.keys = self.entries[0].1.clone();
        let committed = self.committed();
        self.core.publish(0, committed);
        self.check();
    }

    fn snapshot(&mut self) {
        match self.snapshot.take() {
            None => {
                let records = pins::named(self.core.begin_snapshot());
                self.core.name_records(NamedRecords::clone(&records));
                self.snapshot = Some((records, self.keys.clone()));
            }
            Some((records, keys)) => {
                compare(records.iter().copied(), &keys);
                let committed = self.committed();
                self.core.end_snapshot(Some(&records), committed);
            }
        }
    }

    fn step(&mut self) {
        match self.below(20) {
            0..=9 => self.change(),
            10..=14 => self.publish(),
            15 => self.undo(),
            16 if self.below(4) == 0 => self.roll_back(),
            17 => self.snapshot(),
            18 => {
                let committed = self.committed();
                self.core.reclaim(committed);
            }
            _ => {
                // Some entries more are committed.
                let most = self.entries.len() as u64;
                let more = self.below(most) as usize;
                self.entries.drain(..more);
            }
        }
    }
}

fn run(seed: u64, steps: usize) {
    let limit = Arc::new(MemoryLimit::new(&Options::in_memory()));
    let shard = Shard::new(ShardContext { limit, ..ShardContext::default() });
    let mut core = shard.lock();
    core.enable_undo();
    let entries = VecDeque::from([(1, Keys::new())]);
    let (keys, random) = (Keys::new(), Random::of_seed(seed));
    let mut checked = Checked { core: &mut core, random, keys, entries, snapshot: None };
    (0..steps).for_each(|_| checked.step());
}

#[test]
fn hashes_are_as_the_model_through_undo_rollback_and_snapshots() {
    let before = live_blocks();
    for seed in 0..12 {
        run(seed, 250);
        assert_eq!(live_blocks(), before, "seed {seed}: blocks are not freed");
    }
}

/// Makes a shard with the key `long`, whose hash is a tree of this many fields, published.
fn shard_with(fields: u32) -> Shard {
    let limit = Arc::new(MemoryLimit::new(&Options::in_memory()));
    let shard = Shard::new(ShardContext { limit, ..ShardContext::default() });
    let mut core = shard.lock();
    core.enable_undo();
    add_fields(&mut core, 0..fields);
    core.publish(1, 1);
    drop(core);
    shard
}

fn add_fields(core: &mut Core, fields: std::ops::Range<u32>) -> Record {
    let old = core.find(b"long");
    core.edit_hash(old, old, b"long", None, |edit| {
        for number in fields {
            edit.set(&number.to_be_bytes(), b"value");
        }
    });
    core.find(b"long").unwrap()
}

fn fields(record: Record) -> usize {
    let Model::Hash(hash) = value_of(record) else { panic!("another type") };
    hash.len()
}

/// Whether the last change has changed a tree in place.
fn is_in_place(core: &Core) -> bool {
    matches!(core.unpublished.last(), Some(Undo::Superseded(_)))
}

#[test]
fn a_tree_that_two_records_have_is_not_changed_in_place() {
    let shard = shard_with(1000);
    let mut core = shard.lock();
    let edited = add_fields(&mut core, 1000..1001);
    core.put_moved(Some(edited), b"long", edited, None);
    let moved = core.find(b"long").unwrap();
    add_fields(&mut core, 2000..2300);
    assert!(!is_in_place(&core), "a tree that two records have is changed in place");
    assert_eq!(fields(moved), 1001);
    core.undo_unpublished();
    assert_eq!(fields(core.find(b"long").unwrap()), 1000);
}

#[test]
fn what_a_snapshot_has_begun_with_stays() {
    let shard = shard_with(1000);
    let mut core = shard.lock();
    // Not published yet, but part of the snapshot.
    add_fields(&mut core, 1000..1001);
    let records = pins::named(core.begin_snapshot());
    core.name_records(NamedRecords::clone(&records));
    add_fields(&mut core, 2000..2001);
    assert!(!is_in_place(&core), "a tree of a snapshot is changed in place");
    assert_eq!(fields(records[0]), 1001);
    core.publish(2, 2);
    let before = live_blocks();
    let record = core.find(b"long").unwrap();
    core.remove(record);
    core.publish(3, 3);
    core.put(None, b"other", b"", None);
    core.publish(4, 4);
    while !core.reclaim(20) {}
    // All but those that the last change has made.
    assert!(live_blocks() > before - 10, "a snapshot has lost blocks of a tree");
    assert_eq!(fields(records[0]), 1001);
    core.end_snapshot(Some(&records), 20);
    while !core.reclaim(20) {}
    assert_eq!(live_blocks(), 0);
}

#[test]
fn a_second_change_in_a_window_copies_nothing_and_is_no_step() {
    let shard = shard_with(1000);
    let mut core = shard.lock();
    add_fields(&mut core, 0..1);
    let (blocks, steps) = (live_blocks(), core.unpublished.len());
    add_fields(&mut core, 0..1);
    assert_eq!(live_blocks(), blocks);
    let step = &core.unpublished[steps..];
    assert!(matches!(step, [Undo::Superseded(_)]), "undo puts a record without a tree back");
}

/// The hash is freed in steps, so that no change waits for all of it.
#[test]
fn a_long_hash_is_freed_in_steps() {
    let shard = shard_with(60_000);
    let mut core = shard.lock();
    let before = live_blocks();
    let record = core.find(b"long").unwrap();
    core.remove(record);
    core.publish(2, 2);
    core.put(None, b"other", b"", None);
    core.publish(3, 3);
    core.put(None, b"another", b"", None);
    core.publish(4, 4);
    let freed = before - live_blocks();
    assert!((1..=BLOCKS_A_PUBLISH * 3).contains(&freed), "{freed} blocks at once");
    assert!(!core.reclaim(4), "all is freed at once");
    while !core.reclaim(4) {}
    assert_eq!(live_blocks(), 0);
}
