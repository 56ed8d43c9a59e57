//! Values of all types but string beside a model, through changes, publications, undone changes, rollbacks, renames and
//! snapshots.

use super::*;
use crate::Options;
use crate::request::{Score, ValueType};
use crate::state::random::Random;
use crate::state::tree::live_blocks;
use crate::state::value::collection::CollectionEdit;
use std::collections::HashMap;

/// A value of the model.
#[derive(Clone, Debug, PartialEq)]
enum Model {
    Text(Vec<u8>),
    /// Names with values: those of hashes and sets in order of the names.
    Entries(ValueType, Vec<Entry>),
}

type Entry = (Vec<u8>, Vec<u8>);

type Keys = HashMap<Vec<u8>, Model>;

fn value_of(record: Record) -> Model {
    let value = record.value();
    if let Some(text) = value.string() {
        return Model::Text(string::read(text, None, <[u8]>::to_vec));
    }
    let (value_type, mut found) = (value.value_type(), Vec::new());
    value.each_part(None, &mut |part| {
        let entries = part.packed().unwrap().iter();
        found.extend(entries.map(|(name, value)| (name.to_vec(), value.to_vec())));
    });
    if matches!(value_type, ValueType::Hash | ValueType::Set) {
        found.sort();
    }
    Model::Entries(value_type, found)
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
            _ => self.change_entries(key, stored),
        }
    }

    fn change_entries(&mut self, key: Vec<u8>, stored: Option<Record>) {
        const TYPES: [ValueType; 4] =
            [ValueType::Hash, ValueType::List, ValueType::Set, ValueType::SortedSet];
        // By the key, mostly: so values become long.
        let place = if self.below(8) == 0 { self.below(4) } else { u64::from(key[3]) };
        let value_type = TYPES[place as usize % 4];
        let current = stored.filter(|record| record.value().value_type() == value_type);
        let mut entries = match self.keys.remove(&key) {
            Some(Model::Entries(of, entries)) if of == value_type => entries,
            _ => Vec::new(),
        };
        let names = [3, 40, 400][self.below(3) as usize];
        let (steps, removes) = (1 + self.below(names), self.below(3));
        let random = &mut self.random;
        self.core.edit_collection(value_type, (stored, current), &key, None, |edit| {
            for _ in 0..steps {
                let mut below = |bound: u64| random.next() % bound;
                match value_type {
                    ValueType::List => splice(edit, &mut entries, names, &mut below),
                    _ => change_name(edit, &mut entries, (names, removes), &mut below),
                }
            }
        });
        if !entries.is_empty() {
            self.keys.insert(key, Model::Entries(value_type, entries));
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

/// Stores or removes a name of a hash, a set or a sorted set.
fn change_name(
    edit: &mut CollectionEdit<'_>,
    entries: &mut Vec<Entry>,
    (names, removes): (u64, u64),
    below: &mut dyn FnMut(u64) -> u64,
) {
    let name = format!("name {}", below(names)).into_bytes();
    let there = entries.iter().position(|(other, _)| *other == name);
    if below(3) < removes {
        assert_eq!(edit.remove(&name), there.is_some());
        there.map(|at| entries.remove(at));
        return;
    }
    let value = match edit.value_type {
        ValueType::Hash => {
            let length = [0, 8, 60, 300][below(4) as usize];
            vec![below(256) as u8; length]
        }
        ValueType::SortedSet => {
            let scores = [0.0, -0.0, 1.5, -1.5, f64::from(below(1000) as u32), f64::INFINITY];
            Score::new(scores[below(6) as usize]).unwrap().bytes().to_vec()
        }
        _ => Vec::new(),
    };
    let is_new;
    let mut value = value;
    match edit.value_type {
        ValueType::Hash => is_new = edit.set_field(&name, &value),
        ValueType::SortedSet => {
            let update = edit.set_score(&name, Score::parse(&value).unwrap());
            is_new = update.is_new;
            // An equal score is not stored, and Redis's smaller form has no -0.
            let kept = there.filter(|_| !update.is_changed).map(|at| entries[at].1.clone());
            value = kept.unwrap_or_else(|| update.score.bytes().to_vec());
        }
        _ => is_new = edit.add_member(&name),
    }
    assert_eq!(is_new, there.is_none());
    there.map(|at| entries.remove(at));
    entries.push((name, value));
    let is_scored = edit.value_type == ValueType::SortedSet;
    entries.sort_by(|one, other| {
        let score = |entry: &Entry| is_scored.then(|| Score::parse(&entry.1).unwrap());
        score(one).cmp(&score(other)).then_with(|| one.0.cmp(&other.0))
    });
}

/// Replaces some elements of a list.
fn splice(
    edit: &mut CollectionEdit<'_>,
    entries: &mut Vec<Entry>,
    most: u64,
    below: &mut dyn FnMut(u64) -> u64,
) {
    let len = entries.len() as u64;
    // At an end, mostly.
    let at = [0, len, below(len + 1)][below(3) as usize];
    let remove = if below(3) == 0 { below(len - at + 1).min(most) } else { 0 };
    let added: Vec<Entry> = (0..below(4))
        .map(|_| (vec![below(256) as u8; [0, 3, 30, 300][below(4) as usize]], Vec::new()))
        .collect();
    let elements: Vec<&[u8]> = added.iter().map(|(element, _)| &element[..]).collect();
    edit.splice(at as usize, remove as usize, &elements);
    entries.splice(at as usize..(at + remove) as usize, added);
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
fn values_are_as_the_model_through_undo_rollback_and_snapshots() {
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
    core.edit_collection(ValueType::Hash, (old, old), b"long", None, |edit| {
        for number in fields {
            edit.set_field(&number.to_be_bytes(), b"value");
        }
    });
    core.find(b"long").unwrap()
}

fn fields(record: Record) -> usize {
    let Model::Entries(_, fields) = value_of(record) else { panic!("another type") };
    fields.len()
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

/// Each window copies the paths to hundreds of leaves.
#[test]
fn blocks_that_changes_leave_are_freed_as_fast() {
    let shard = shard_with(60_000);
    let mut core = shard.lock();
    let before = live_blocks();
    for window in 0..40 {
        for field in 0..500 {
            let place = (field * 7919 + window * 131) % 60_000;
            add_fields(&mut core, place..place + 1);
        }
        core.publish(2 + u64::from(window), 2 + u64::from(window));
    }
    let left = live_blocks() - before;
    assert!(left < before, "{left} blocks wait besides {before}");
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
