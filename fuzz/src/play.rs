//! Operations on a `FlatMap` and on a model at once. Every answer must be the model's, and now and
//! then the whole contents.

use crate::hashing::Hashing;
use arbitrary::Arbitrary;
use hedgerow::FlatMap;
use hedgerow::flat::{Iter, Op};
use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::hash::{BuildHasher, Hash};

/// The most entries of a map: enough to add segments, few enough to be quick.
const MOST: usize = 6_000;

/// One operation; keys and values are numbers of their kind.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Action {
    Insert(u8, u8),
    TryInsert(u8, u8),
    InsertIfAbsent(u8, u8),
    Remove(u8),
    Update(u8, u8),
    Keep(u8),
    Compute(u8, u8),
    ComputeRemove(u8),
    /// Look-ups of all kinds.
    Look(u8),
    /// A run of distinct keys, further and further out, so that the table grows.
    Grow(u8),
    /// Removes this many of them again, the oldest first.
    Prune(u8),
    /// A closure that writes its own key and another one before it decides.
    Within(u8, u8),
    /// A `get_with` whose closure removes or inserts the key.
    Underfoot(u8, Option<u8>),
    Retain {
        modulus: u8,
        new: Option<u8>,
    },
    Reserve(u8),
    /// Grows by this many segments ahead of demand.
    GrowStep(u8),
    /// All operations that do not wait, one after the other.
    Hurry(u8, u8),
    Clear,
    Shrink,
    Copy,
    /// Begins a walk that continues in steps between other actions.
    Walk,
    Step(u8),
    Compare,
}

#[derive(Arbitrary, Clone, Debug)]
pub struct Script {
    pub hashing: Hashing,
    pub capacity: u8,
    pub actions: Vec<Action>,
}

/// A kind of key or value. Distinct numbers below `LIMIT` make distinct ones.
pub trait Nth: Copy + Debug + PartialEq {
    const LIMIT: u64;
    fn nth(n: u64) -> Self;
}

/// An iterator that is used bit by bit.
struct Walk<'a, K, V> {
    iter: Iter<'a, K, V>,
    /// Keys that were present since the walk began.
    lasting: HashSet<K>,
    met: HashSet<K>,
}

impl<K: Nth + Eq + Hash, V: Nth> Walk<'_, K, V> {
    /// Takes a step; false at the end.
    fn step(&mut self) -> bool {
        let Some((key, _)) = self.iter.next() else {
            assert!(self.iter.next().is_none(), "more after the end");
            assert!(self.lasting.is_subset(&self.met), "a lasting key did not come");
            return false;
        };
        assert!(self.met.insert(key), "{key:?} came twice in one walk");
        true
    }
}

/// The map and its model.
struct Game<K, V> {
    model: HashMap<K, V>,
    /// The range of numbers that `Grow` has inserted and `Prune` has not removed.
    oldest: u64,
    newest: u64,
    /// Keys beyond are for growth.
    own: u64,
    /// Long chains are slow; then there are fewer keys.
    most: usize,
}

/// Plays the whole script.
pub fn play<K: Nth + Eq + Hash, V: Nth>(script: &Script) {
    let map: FlatMap<K, V, Hashing> =
        FlatMap::with_capacity_and_hasher(4 * usize::from(script.capacity), script.hashing);
    let own = K::LIMIT.min(256);
    let most = match script.hashing {
        Hashing::Good => MOST,
        Hashing::Clustered(_) => 2_000,
        Hashing::Identity | Hashing::Window { .. } => 600,
        Hashing::Constant | Hashing::Few(_) => 100,
    };
    let mut game = Game { model: HashMap::new(), oldest: own, newest: own, own, most };
    let mut map = Some(map);
    let mut actions = &script.actions[..script.actions.len().min(1_000)];
    // Between two that need the map for themselves, the others share it.
    while let Some(shared) = &mut map {
        let alone = |action: &Action| matches!(action, Action::Shrink | Action::Copy);
        let end = actions.iter().position(alone).unwrap_or(actions.len());
        game.share(shared, &actions[..end]);
        let Some(action) = actions.get(end) else { break };
        if let Action::Copy = action {
            let copy = shared.clone();
            shared.clear();
            map = Some(copy);
        } else {
            shared.shrink_to_fit();
        }
        actions = &actions[end + 1..];
    }
    game.compare(&map.expect("there is always a map"));
}

impl<K: Nth + Eq + Hash, V: Nth> Game<K, V> {
    fn key(&self, n: u8) -> K {
        K::nth(u64::from(n) % self.own)
    }

    fn share(&mut self, map: &FlatMap<K, V, Hashing>, actions: &[Action]) {
        let mut walk: Option<Walk<'_, K, V>> = None;
        for action in actions {
            match *action {
                Action::Walk => {
                    let lasting = self.model.keys().copied().collect();
                    walk = Some(Walk { iter: map.iter(), lasting, met: HashSet::new() });
                }
                Action::Step(steps) => {
                    for _ in 0..=steps {
                        if walk.as_mut().is_some_and(|walk| !walk.step()) {
                            walk = None;
                        }
                    }
                }
                _ => {
                    self.act(map, *action);
                    if let Some(walk) = &mut walk {
                        self.forget(walk, *action);
                    }
                }
            }
        }
        if let Some(mut walk) = walk {
            while walk.step() {}
        }
        self.compare(map);
    }

    /// Forgets the lasting keys that the action may have removed, even if it inserted them again.
    fn forget(&self, walk: &mut Walk<'_, K, V>, action: Action) {
        match action {
            Action::Within(key, _) | Action::Underfoot(key, _) | Action::Hurry(key, _) => {
                walk.lasting.remove(&self.key(key));
            }
            _ => walk.lasting.retain(|key| self.model.contains_key(key)),
        }
    }

    fn act(&mut self, map: &FlatMap<K, V, Hashing>, action: Action) {
        match action {
            Action::Insert(key, new) => {
                let (key, new) = (self.key(key), V::nth(new.into()));
                assert_eq!(map.insert(key, new), self.model.insert(key, new));
            }
            Action::TryInsert(key, new) => {
                let (key, new) = (self.key(key), V::nth(new.into()));
                match map.try_insert(key, new) {
                    Ok(old) => assert_eq!(old, self.model.insert(key, new)),
                    Err(_) => panic!("nobody else is here, and there is memory"),
                }
            }
            Action::InsertIfAbsent(key, new) => {
                let (key, new) = (self.key(key), V::nth(new.into()));
                let found = self.model.get(&key).copied();
                assert_eq!(map.insert_if_absent(key, new).err().map(|error| error.current), found);
                self.model.entry(key).or_insert(new);
            }
            Action::Remove(key) => {
                let key = self.key(key);
                assert_eq!(map.remove(&key), self.model.remove(&key));
            }
            Action::Grow(count) => {
                for _ in 0..=count {
                    if self.newest < K::LIMIT && self.model.len() < self.most {
                        let (key, value) = (K::nth(self.newest), V::nth(self.newest));
                        assert_eq!(map.insert(key, value), self.model.insert(key, value));
                        self.newest += 1;
                    }
                }
            }
            Action::Prune(count) => {
                for _ in 0..=count {
                    if self.oldest < self.newest {
                        let key = K::nth(self.oldest);
                        let found = self.model.remove(&key);
                        assert_eq!(map.remove(&key), found, "the value of a removal");
                        self.oldest += 1;
                    }
                }
            }
            Action::Look(key) => self.look(map, self.key(key)),
            Action::Reserve(more) => map.reserve(8 * usize::from(more)),
            Action::GrowStep(budget) => {
                let more = map.grow_step(budget.into());
                assert_eq!(more, map.grow_step(0), "it is due, or it is not");
            }
            Action::Hurry(key, new) => self.hurry(map, self.key(key), V::nth(new.into())),
            Action::Clear => {
                map.clear();
                self.model.clear();
            }
            Action::Compare => self.compare(map),
            _ => self.run_closures(map, action),
        }
        assert_eq!(map.len(), self.model.len());
    }

    /// There is one thread, and there is memory: the map refuses nothing.
    fn hurry(&mut self, map: &FlatMap<K, V, Hashing>, key: K, new: V) {
        let found = self.model.get(&key).copied();
        assert_eq!(
            map.try_insert_if_absent(key, new).map(|done| done.err().map(|error| error.current)),
            Ok(found)
        );
        let there = found.unwrap_or(new);
        assert_eq!(
            map.try_compare_exchange(key, Some(there), Some(new)).ok(),
            Some(Ok(Some(there)))
        );
        assert_eq!(map.try_update(&key, |value| value), Ok(Some(new)));
        assert_eq!(map.try_remove(&key), Ok(Some(new)));
        assert_eq!(map.try_remove(&key), Ok(None), "it was removed already");
        assert_eq!(map.try_get_or_insert_with(key, || new).ok(), Some(new));
        let op = found.map_or(Op::Remove, Op::Insert);
        let done = map.try_compute(key, |_| op).ok().map(|done| (done.before, done.after));
        assert_eq!(done, Some((Some(new), found)));
    }

    /// The actions with closures in them.
    fn run_closures(&mut self, map: &FlatMap<K, V, Hashing>, action: Action) {
        match action {
            Action::Update(key, new) => {
                let (key, new) = (self.key(key), V::nth(new.into()));
                let found = self.model.get_mut(&key);
                let after = map.update(&key, |value| {
                    assert_eq!(Some(&value), found.as_deref());
                    new
                });
                assert_eq!(after, found.map(|value| std::mem::replace(value, new)).and(Some(new)));
            }
            Action::Keep(key) => {
                let key = self.key(key);
                let done = map.compute(key, |_| Op::Keep);
                assert_eq!((done.before, done.after), (done.after, self.model.get(&key).copied()));
            }
            Action::Compute(key, new) => {
                let (key, new) = (self.key(key), V::nth(new.into()));
                let done = map.compute(key, |_| Op::Insert(new));
                assert_eq!((done.before, done.after), (self.model.insert(key, new), Some(new)));
            }
            Action::ComputeRemove(key) => {
                let key = self.key(key);
                let done = map.compute(key, |_| Op::Remove);
                assert_eq!((done.before, done.after), (self.model.remove(&key), None));
            }
            Action::Within(key, new) => {
                let (key, new) = (self.key(key), V::nth(new.into()));
                let other = K::nth(0);
                let mut turn = 0;
                let done = map.compute(key, |found| {
                    turn += 1;
                    if turn == 1 {
                        if other != key {
                            map.insert(other, V::nth(1));
                        }
                        match found {
                            Some(_) => map.remove(&key),
                            None => map.insert(key, V::nth(2)),
                        };
                    }
                    Op::Insert(new)
                });
                assert_eq!(turn, 2, "the closure decided from a value that was no longer there");
                if other != key {
                    self.model.insert(other, V::nth(1));
                }
                if self.model.remove(&key).is_none() {
                    self.model.insert(key, V::nth(2));
                }
                assert_eq!((done.before, done.after), (self.model.insert(key, new), Some(new)));
            }
            Action::Underfoot(key, new) => {
                let key = self.key(key);
                let found = map.get_with(&key, |value| {
                    let value = *value;
                    let old = match new {
                        Some(new) => map.insert(key, V::nth(new.into())),
                        None => map.remove(&key),
                    };
                    assert_eq!(old, Some(value));
                    value
                });
                assert_eq!(found, self.model.get(&key).copied());
                if found.is_some() {
                    match new {
                        Some(new) => self.model.insert(key, V::nth(new.into())),
                        None => self.model.remove(&key),
                    };
                }
            }
            Action::Retain { modulus, new } => {
                let modulus = u64::from(modulus).max(2);
                let hasher = Hashing::Good;
                let mut keep = |key: &K, value: &mut V| {
                    if let Some(new) = new {
                        *value = V::nth(new.into());
                    }
                    !hasher.hash_one(key).is_multiple_of(modulus)
                };
                map.retain(&mut keep);
                self.model.retain(keep);
            }
            _ => unreachable!("{action:?} has no closure"),
        }
    }

    fn look(&self, map: &FlatMap<K, V, Hashing>, key: K) {
        let found = self.model.get(&key).copied();
        assert_eq!(map.get(&key), found);
        assert_eq!(map.try_get(&key).ok(), Some(found));
        assert_eq!(map.contains_key(&key), found.is_some());
        let seen = map.get_with(&key, |value| {
            assert!(std::ptr::from_ref(value).is_aligned());
            *value
        });
        assert_eq!(seen, found);
        let absent = K::nth(self.newest);
        if self.newest < K::LIMIT {
            assert_eq!(map.get(&absent), None);
        }
    }

    fn compare(&self, map: &FlatMap<K, V, Hashing>) {
        let mut count = 0;
        for (key, value) in map {
            assert_eq!(self.model.get(&key), Some(&value), "a walk shows {key:?} with this value");
            count += 1;
        }
        assert_eq!(count, self.model.len(), "a key is lost, or there twice");
        for (key, value) in &self.model {
            assert_eq!(map.get(key), Some(*value), "{key:?}");
        }
        assert_eq!(map.len(), count);
        assert_eq!(map.stats().len, count);
        assert_eq!(map.is_empty(), count == 0);
    }
}

impl Nth for u64 {
    const LIMIT: u64 = u64::MAX;

    fn nth(n: u64) -> Self {
        if n.is_multiple_of(2) { n / 2 } else { !(n / 2) }
    }
}
