//! `PersistentMap` against std's `BTreeMap` and `PersistentVec` against `Vec`: every operation, with versions that are
//! kept, changed in turn, and compared at the end. Each key, bound and value is dropped exactly once.

#![no_main]

use arbitrary::Arbitrary;
use hedgerow::persistent::{DiffItem, PersistentMap, PersistentVec};
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;
use std::rc::Rc;

/// More entries than this make a run slow.
const MOST: usize = 3_000;

#[derive(Arbitrary, Debug)]
enum Action {
    Insert(u16, u8),
    InsertMany(u16, u8),
    Remove(u16),
    RemoveMany(u16, u8),
    RemoveRange(u16, u16),
    RemoveIndex(u16),
    PopFirst,
    PopLast,
    Entry(u16, u8),
    Get(u16),
    Near(u16),
    Range(u16, u16),
    Slice(u16, u16),
    SplitOff(u16),
    /// Cuts the map in two, and joins the parts again.
    CutAndJoin(u16),
    /// Adds the entries of an earlier version.
    Append(u8),
    Retain(u8),
    ValuesMut(u8),
    Clear,
    /// Keeps this version.
    Keep,
    /// Goes on with an earlier version, and keeps this one.
    Return(u8),
    Diff(u8),
}

#[derive(Arbitrary, Debug)]
enum Step {
    Map(Action),
    Push(u8),
    InsertAt(u16, u8),
    RemoveAt(u16),
    Set(u16, u8),
    Truncate(u16),
    Rotate(u16),
    Double,
    Compare(u16, u16),
    KeepElements,
    ReturnTo(u8),
}

/// A value that is counted: what has not been dropped at the end is lost.
type Counted = (u16, Rc<()>);
type Map = PersistentMap<Counted, u8>;
type Model = BTreeMap<Counted, u8>;

struct Player {
    token: Rc<()>,
    map: Map,
    model: Model,
    versions: Vec<(Map, Model)>,
    elements: PersistentVec<Counted>,
    list: Vec<Counted>,
    kept: Vec<(PersistentVec<Counted>, Vec<Counted>)>,
}

impl Player {
    fn new() -> Self {
        let (map, elements) = (PersistentMap::new(), PersistentVec::new());
        let (model, versions, list, kept) = (BTreeMap::new(), Vec::new(), Vec::new(), Vec::new());
        Self { token: Rc::new(()), map, model, versions, elements, list, kept }
    }

    fn key(&self, key: u16) -> Counted {
        (key, self.token.clone())
    }

    /// Returns a range that begins before its end.
    fn range(&self, a: u16, b: u16) -> std::ops::Range<Counted> {
        self.key(a.min(b))..self.key(a.max(b))
    }

    fn version(&self, which: u8) -> Option<&(Map, Model)> {
        self.versions.get(usize::from(which) % self.versions.len().max(1))
    }

    fn play(&mut self, action: Action) {
        match action {
            Action::Insert(key, value) => {
                let key = self.key(key);
                assert_eq!(self.map.insert(key.clone(), value), self.model.insert(key, value));
            }
            Action::InsertMany(first, count) => {
                for key in first..first.saturating_add(u16::from(count)) {
                    self.play(Action::Insert(key, count));
                }
            }
            Action::Remove(key) => {
                let key = self.key(key);
                assert_eq!(self.map.remove(&key), self.model.remove(&key));
            }
            Action::RemoveMany(first, count) => {
                for key in first..first.saturating_add(u16::from(count)) {
                    self.play(Action::Remove(key));
                }
            }
            Action::RemoveRange(a, b) => {
                let range = self.range(a, b);
                let before = self.model.len();
                self.model.retain(|key, _| !range.contains(key));
                assert_eq!(self.map.remove_range(range), before - self.model.len());
            }
            Action::RemoveIndex(index) => {
                let entry =
                    self.model.iter().nth(index.into()).map(|(key, value)| (key.clone(), *value));
                if let Some((key, _)) = &entry {
                    self.model.remove(key);
                }
                assert_eq!(self.map.remove_index(index.into()), entry);
            }
            Action::PopFirst => assert_eq!(self.map.pop_first(), self.model.pop_first()),
            Action::PopLast => assert_eq!(self.map.pop_last(), self.model.pop_last()),
            Action::Entry(key, value) => {
                let key = self.key(key);
                let ours =
                    *self.map.entry(key.clone()).and_modify(|v| *v ^= value).or_insert(value);
                assert_eq!(
                    ours,
                    *self.model.entry(key).and_modify(|v| *v ^= value).or_insert(value)
                );
            }
            Action::Get(key) => {
                let key = self.key(key);
                assert_eq!(self.map.get_key_value(&key), self.model.get_key_value(&key));
                let rank = self.model.range(..&key).count();
                assert_eq!(
                    self.map.rank(&key),
                    if self.model.contains_key(&key) { Ok(rank) } else { Err(rank) }
                );
            }
            Action::Near(key) => {
                let key = self.key(key);
                assert_eq!(self.map.floor(&key), self.model.range(..=&key).next_back());
                assert_eq!(self.map.ceiling(&key), self.model.range(&key..).next());
                assert_eq!(self.map.predecessor(&key), self.model.range(..&key).next_back());
            }
            Action::Range(a, b) => {
                let range = self.range(a, b);
                let (ours, theirs) = (self.map.range(range.clone()), self.model.range(range));
                assert!(ours.clone().eq(theirs.clone()) && ours.rev().eq(theirs.rev()));
            }
            Action::Slice(a, b) => {
                let range = self.range(a, b);
                assert!(self.map.slice(range.clone()).iter().eq(self.model.range(range)));
            }
            Action::SplitOff(key) => {
                let key = self.key(key);
                assert!(self.map.split_off(&key).into_iter().eq(self.model.split_off(&key)));
            }
            Action::CutAndJoin(key) => {
                let mut right = self.map.split_off(&self.key(key));
                self.map.append(&mut right);
                assert!(right.is_empty());
            }
            Action::Append(which) => {
                if let Some((mut map, mut model)) = self.version(which).cloned() {
                    self.map.append(&mut map);
                    self.model.append(&mut model);
                }
            }
            Action::Retain(odd) => {
                self.map.retain(|key, value| (key.0 ^ u16::from(*value)) % 7 != u16::from(odd % 7));
                self.model
                    .retain(|key, value| (key.0 ^ u16::from(*value)) % 7 != u16::from(odd % 7));
            }
            Action::ValuesMut(by) => {
                self.map.values_mut().chain(self.model.values_mut()).for_each(|value| *value ^= by);
            }
            Action::Clear => {
                self.map.clear();
                self.model.clear();
            }
            Action::Keep if self.versions.len() < 8 => {
                self.versions.push((self.map.clone(), self.model.clone()))
            }
            Action::Keep => {}
            Action::Return(which) => {
                if let Some((map, model)) = self.version(which).cloned() {
                    self.play(Action::Keep);
                    (self.map, self.model) = (map, model);
                }
            }
            Action::Diff(which) => {
                if let Some((map, model)) = self.version(which) {
                    compare_diff(map, model, &self.map, &self.model);
                }
            }
        }
    }

    fn step(&mut self, step: Step) {
        let len = self.list.len();
        let index = |at: u16| usize::from(at) % (len + 1);
        match step {
            Step::Map(action) if self.model.len() < MOST => self.play(action),
            Step::Map(_) => self.play(Action::Clear),
            Step::Push(value) => {
                let value = self.key(value.into());
                self.elements.push(value.clone());
                self.list.push(value);
            }
            Step::InsertAt(at, value) => {
                let value = self.key(value.into());
                self.elements.insert(index(at), value.clone());
                self.list.insert(index(at), value);
            }
            Step::RemoveAt(at) if index(at) < len => {
                assert_eq!(self.elements.remove(index(at)), self.list.remove(index(at)));
            }
            Step::Set(at, value) if index(at) < len => {
                let value = self.key(value.into());
                self.elements[index(at)] = value.clone();
                self.list[index(at)] = value;
            }
            Step::RemoveAt(_) | Step::Set(..) => {}
            Step::Truncate(at) => {
                self.elements.truncate(index(at));
                self.list.truncate(index(at));
            }
            Step::Rotate(at) => {
                let mut right = self.elements.split_off(index(at));
                right.append(&mut self.elements);
                self.elements = right;
                self.list.rotate_left(index(at));
            }
            Step::Double if len < MOST => {
                self.elements.append(&mut self.elements.clone());
                self.list.extend_from_within(..);
            }
            Step::Double => {}
            Step::Compare(a, b) => {
                let (a, b) = (index(a).min(index(b)), index(a).max(index(b)));
                assert!(self.elements.range(a..b).rev().eq(self.list[a..b].iter().rev()));
                assert!(self.elements.slice(a..b).iter().eq(&self.list[a..b]));
            }
            Step::KeepElements if self.kept.len() < 8 => {
                self.kept.push((self.elements.clone(), self.list.clone()));
            }
            Step::KeepElements => {}
            Step::ReturnTo(which) => {
                if let Some(kept) = self.kept.get(usize::from(which)) {
                    (self.elements, self.list) = kept.clone();
                }
            }
        }
        assert_eq!((self.map.len(), self.elements.len()), (self.model.len(), self.list.len()));
    }

    fn end(mut self) {
        self.versions.push((self.map, self.model));
        for (map, model) in &self.versions {
            assert!(map.iter().eq(model), "a version has changed");
            assert!(map.iter().rev().eq(model.iter().rev()));
        }
        self.kept.push((self.elements, self.list));
        for (elements, list) in &self.kept {
            assert!(elements.iter().eq(list), "a version has changed");
            assert!(elements.iter().rev().eq(list.iter().rev()));
        }
        drop((self.versions, self.kept));
        assert_eq!(Rc::strong_count(&self.token), 1, "elements are left");
    }
}

fn compare_diff(old: &Map, old_model: &Model, new: &Map, new_model: &Model) {
    let mut expected: Vec<(u16, Option<u8>, Option<u8>)> = Vec::new();
    let mut keys: Vec<_> = old_model.keys().chain(new_model.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    for key in keys {
        let (before, after) = (old_model.get(key).copied(), new_model.get(key).copied());
        if before != after {
            expected.push((key.0, before, after));
        }
    }
    let found = old.diff(new).map(|item| match item {
        DiffItem::Added(key, new) => (key.0, None, Some(*new)),
        DiffItem::Removed(key, old) => (key.0, Some(*old), None),
        DiffItem::Changed { key, old, new } => (key.0, Some(*old), Some(*new)),
    });
    assert!(found.eq(expected), "the difference is another one");
}

fuzz_target!(|steps: Vec<Step>| {
    let mut player = Player::new();
    steps.into_iter().for_each(|step| player.step(step));
    player.end();
});
