//! `SnapshotMap` against std's `BTreeMap`: every operation, batches and commits, with snapshots that are kept, and
//! compared at the end. Some changes are made while a logged change has the writers' turn, so that others replay its
//! log. Each key and value is dropped exactly once.

#![no_main]

use arbitrary::Arbitrary;
use hedgerow::persistent::{PersistentMap, SnapshotMap};
use hedgerow::{Computed, Op};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use std::sync::Arc;

/// More entries than this make a run slow.
const MOST: usize = 3_000;

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Change {
    Insert(u16, u8),
    InsertMany(u16, u8),
    InsertIfAbsent(u16, u8),
    Remove(u16),
    RemoveMany(u16, u8),
    RemoveIf(u16, u8),
    Update(u16, u8),
    Compute(u16, u8),
    PopFirst,
    PopLast,
    RemoveRange(u16, u16),
    Retain(u8),
    Extend(u16, u8),
    Clear,
}

#[derive(Arbitrary, Debug)]
enum Step {
    Change(Change),
    /// Several changes as one step.
    Write(Vec<Change>),
    /// A change while the closure of a logged one has the turn, which begins again.
    Nested(u16, Change),
    Get(u16),
    Near(u16),
    Range(u16, u16),
    Len,
    /// Keeps a snapshot.
    Keep,
    /// Compares a pinned version, while the map changes.
    Pin(Change),
    /// Commits changes that are prepared on a version that was kept.
    Commit(u8, Vec<Change>),
    Reclaim,
    /// Continues with a map that begins with the current version.
    Clone,
}

/// A value that is counted: what has not been dropped at the end is lost.
type Counted = (u16, Arc<()>);
type Version = PersistentMap<Counted, u8>;
type Model = BTreeMap<Counted, u8>;

struct Player {
    token: Arc<()>,
    map: SnapshotMap<Counted, u8>,
    model: Model,
    versions: Vec<(Version, Model)>,
}

/// Returns a range that begins before its end.
fn range(token: &Arc<()>, a: u16, b: u16) -> std::ops::Range<Counted> {
    (a.min(b), token.clone())..(a.max(b), token.clone())
}

/// Makes a change of a version that is being written.
fn change_version(token: &Arc<()>, map: &mut Version, change: Change) {
    let key = |key: u16| (key, token.clone());
    let many = |first: u16, count: u8| first..first.saturating_add(count.into());
    match change {
        Change::Insert(at, value) => _ = map.insert(key(at), value),
        Change::InsertMany(first, count) | Change::Extend(first, count) => {
            many(first, count).for_each(|at| _ = map.insert(key(at), count));
        }
        Change::InsertIfAbsent(at, value) => _ = map.entry(key(at)).or_insert(value),
        Change::Remove(at) => _ = map.remove(&key(at)),
        Change::RemoveMany(first, count) => {
            many(first, count).for_each(|at| _ = map.remove(&key(at)));
        }
        Change::RemoveIf(at, than) => {
            if map.get(&key(at)).is_some_and(|value| *value > than) {
                map.remove(&key(at));
            }
        }
        Change::Update(at, by) => {
            if let Some(value) = map.get_mut(&key(at)) {
                *value ^= by;
            }
        }
        Change::Compute(at, value) => {
            if map.remove(&key(at)).is_none() {
                map.insert(key(at), value);
            }
        }
        Change::PopFirst => _ = map.pop_first(),
        Change::PopLast => _ = map.pop_last(),
        Change::RemoveRange(a, b) => _ = map.remove_range(range(token, a, b)),
        Change::Retain(odd) => map.retain(|key, _| key.0 % 7 != u16::from(odd % 7)),
        Change::Clear => map.clear(),
    }
}

/// Makes the same change of the model.
fn change_model(token: &Arc<()>, model: &mut Model, change: Change) {
    let key = |key: u16| (key, token.clone());
    let many = |first: u16, count: u8| first..first.saturating_add(count.into());
    match change {
        Change::Insert(at, value) => _ = model.insert(key(at), value),
        Change::InsertMany(first, count) | Change::Extend(first, count) => {
            model.extend(many(first, count).map(|at| (key(at), count)));
        }
        Change::InsertIfAbsent(at, value) => _ = model.entry(key(at)).or_insert(value),
        Change::Remove(at) => _ = model.remove(&key(at)),
        Change::RemoveMany(first, count) => {
            many(first, count).for_each(|at| _ = model.remove(&key(at)));
        }
        Change::RemoveIf(at, than) => {
            if model.get(&key(at)).is_some_and(|value| *value > than) {
                model.remove(&key(at));
            }
        }
        Change::Update(at, by) => _ = model.get_mut(&key(at)).map(|value| *value ^= by),
        Change::Compute(at, value) => {
            if model.remove(&key(at)).is_none() {
                model.insert(key(at), value);
            }
        }
        Change::PopFirst => _ = model.pop_first(),
        Change::PopLast => _ = model.pop_last(),
        Change::RemoveRange(a, b) => {
            let range = range(token, a, b);
            model.retain(|key, _| !range.contains(key));
        }
        Change::Retain(odd) => model.retain(|key, _| key.0 % 7 != u16::from(odd % 7)),
        Change::Clear => model.clear(),
    }
}

/// Makes a change of the map by its own methods, whose results are compared.
fn change_map(token: &Arc<()>, map: &SnapshotMap<Counted, u8>, model: &Model, change: Change) {
    let key = |key: u16| (key, token.clone());
    let there = |at: u16| model.get(&key(at)).copied();
    let many = |first: u16, count: u8| first..first.saturating_add(count.into());
    match change {
        Change::Insert(at, value) => assert_eq!(map.insert(key(at), value), there(at)),
        Change::InsertMany(first, count) => {
            many(first, count).for_each(|at| assert_eq!(map.insert(key(at), count), there(at)));
        }
        Change::Extend(first, count) => {
            let mut shared = map;
            shared.extend(many(first, count).map(|at| (key(at), count)));
        }
        Change::InsertIfAbsent(at, value) => {
            let inserted = map.insert_if_absent(key(at), value);
            assert_eq!(inserted.err().map(|occupied| occupied.current), there(at));
        }
        Change::Remove(at) => assert_eq!(map.remove(&key(at)), there(at)),
        Change::RemoveMany(first, count) => {
            many(first, count).for_each(|at| assert_eq!(map.remove(&key(at)), there(at)));
        }
        Change::RemoveIf(at, than) => {
            let removed = map.remove_if(&key(at), |_, value| *value > than);
            assert_eq!(removed, there(at).filter(|value| *value > than));
        }
        Change::Update(at, by) => {
            let updated = map.update(&key(at), |value| value ^ by);
            assert_eq!(updated, there(at).map(|value| value ^ by));
        }
        Change::Compute(at, value) => {
            let Computed { before, after, .. } =
                map.compute(key(at), |found| found.map_or(Op::Insert(value), |_| Op::Remove));
            assert_eq!((before, after.is_some()), (there(at), there(at).is_none()));
        }
        Change::PopFirst => {
            let first = model.first_key_value().map(|(key, value)| (key.clone(), *value));
            assert_eq!(map.pop_first(), first);
        }
        Change::PopLast => {
            let last = model.last_key_value().map(|(key, value)| (key.clone(), *value));
            assert_eq!(map.pop_last(), last);
        }
        Change::RemoveRange(a, b) => {
            let range = range(token, a, b);
            let count = model.keys().filter(|key| range.contains(key)).count();
            assert_eq!(map.remove_range(range), count);
        }
        Change::Retain(odd) => map.retain(|key, _| key.0 % 7 != u16::from(odd % 7)),
        Change::Clear => map.clear(),
    }
}

impl Player {
    fn change(&mut self, change: Change) {
        change_map(&self.token, &self.map, &self.model, change);
        change_model(&self.token, &mut self.model, change);
    }

    fn keep(&mut self) {
        if self.versions.len() < 8 {
            self.versions.push((self.map.snapshot(), self.model.clone()));
        }
    }

    fn step(&mut self, step: Step) {
        let token = self.token.clone();
        let key = |key: u16| (key, token.clone());
        match step {
            Step::Change(_) | Step::Write(_) if self.model.len() > MOST => {
                self.change(Change::Clear);
            }
            Step::Change(change) => self.change(change),
            Step::Write(changes) => {
                self.map.write(|map| {
                    changes.iter().for_each(|change| change_version(&token, map, *change));
                });
                changes.iter().for_each(|change| change_model(&token, &mut self.model, *change));
            }
            Step::Nested(at, change) => {
                let (map, model, mut calls) = (&self.map, &mut self.model, 0);
                map.compute(key(at), |found| {
                    calls += 1;
                    if calls == 1 {
                        assert_eq!(map.get_cloned(&key(at)), found.copied());
                        change_map(&token, map, model, change);
                        change_model(&token, model, change);
                    }
                    Op::Insert(found.map_or(0, |value| value.wrapping_add(1)))
                });
                let value = model.entry(key(at)).and_modify(|value| *value = value.wrapping_add(1));
                value.or_insert(0);
            }
            Step::Get(at) => {
                let found = self.map.get(&key(at)).map(|entry| *entry);
                assert_eq!(found, self.model.get(&key(at)).copied());
            }
            Step::Near(at) => {
                let (floor, ceiling) = (self.map.floor(&key(at)), self.map.ceiling(&key(at)));
                let before = self.model.range(..=key(at)).next_back();
                assert_eq!(floor.as_ref().map(|entry| entry.pair()), before);
                let after = self.model.range(key(at)..).next();
                assert_eq!(ceiling.as_ref().map(|entry| entry.pair()), after);
            }
            Step::Range(a, b) => {
                let range = range(&token, a, b);
                let pinned = self.map.pin();
                assert!(pinned.range(range.clone()).eq(self.model.range(range)));
            }
            Step::Len => assert_eq!(self.map.len(), self.model.len()),
            Step::Keep => self.keep(),
            Step::Pin(change) => {
                let (map, before) = (self.map.clone(), self.model.clone());
                let pinned = map.pin();
                change_map(&token, &map, &before, change);
                assert!(pinned.iter().eq(&before), "a pinned version has changed");
            }
            Step::Commit(which, changes) => self.commit(which, &changes),
            Step::Reclaim => self.map.reclaim(),
            Step::Clone => self.map = self.map.clone(),
        }
    }

    fn commit(&mut self, which: u8, changes: &[Change]) {
        let count = self.versions.len();
        let Some((base, base_model)) =
            self.versions.get(usize::from(which) % count.max(1)).cloned()
        else {
            return;
        };
        let (mut new, mut new_model) = (base.clone(), base_model.clone());
        for change in changes {
            change_version(&self.token, &mut new, *change);
            change_model(&self.token, &mut new_model, *change);
        }
        let mut keys: Vec<_> = base_model.keys().chain(new_model.keys()).cloned().collect();
        keys.sort_unstable();
        keys.dedup();
        keys.retain(|key| base_model.get(key) != new_model.get(key));
        let conflicts: Vec<_> = keys
            .iter()
            .filter(|key| self.model.get(*key) != base_model.get(*key))
            .cloned()
            .collect();
        match self.map.commit(&base, &new) {
            Ok(()) => {
                assert!(conflicts.is_empty(), "a commit overwrites a change");
                for key in keys {
                    match new_model.get(&key) {
                        Some(value) => _ = self.model.insert(key, *value),
                        None => _ = self.model.remove(&key),
                    }
                }
            }
            Err(conflict) => {
                assert_eq!(conflict.keys, conflicts, "a conflict has other keys");
                assert!(conflict.current.iter().eq(&self.model), "a conflict changes the map");
            }
        }
    }

    fn end(mut self) {
        self.versions.push((self.map.into_inner(), self.model));
        for (map, model) in &self.versions {
            assert!(map.iter().eq(model), "a version has changed");
            assert!(map.iter().rev().eq(model.iter().rev()));
        }
        drop(self.versions);
        assert_eq!(Arc::strong_count(&self.token), 1, "elements are left");
    }
}

fuzz_target!(|steps: Vec<Step>| {
    let (token, map, model) = (Arc::new(()), SnapshotMap::new(), Model::new());
    let mut player = Player { token, map, model, versions: Vec::new() };
    steps.into_iter().for_each(|step| player.step(step));
    player.end();
});
