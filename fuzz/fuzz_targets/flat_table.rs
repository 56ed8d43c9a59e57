//! Sequences of operations on a `FlatTable` of few bins against std's `HashMap`, under a hasher that the
//! input chooses. A table whose bins are all in each other's reach refuses a new key exactly when all
//! its slots are full; a larger one not before all bins are full that the key could use.

#![no_main]

use arbitrary::Arbitrary;
use hedgerow::FlatTable;
use hedgerow::error::{Full, TryInsertError};
use hedgerow::flat::{Computed, Op, TableIter};
use hedgerow_fuzz::hashing::Hashing;
use libfuzzer_sys::fuzz_target;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;

/// The number of bins that a key can use, on the 64-bit machines that fuzz.
const REACH: usize = 16;

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Action {
    Insert(u8, u8),
    TryInsert(u8, u8),
    InsertIfAbsent(u8, u8),
    Remove(u8),
    TryRemove(u8),
    Update(u8, u8),
    Compute(u8, Option<u8>),
    Look(u8),
    /// A run of new keys, as long as they are taken.
    Fill(u8),
    /// As many of them removed again, the oldest first.
    Prune(u8),
    /// A closure that writes its own key once before it decides.
    Within(u8, u8),
    Retain {
        modulus: u8,
        new: Option<u8>,
    },
    Clear,
    /// Begins a walk that goes on in steps while other things happen.
    Walk,
    Step(u8),
    Compare,
}

#[derive(Arbitrary, Clone, Debug)]
struct Script {
    hashing: Hashing,
    bins: u8,
    actions: Vec<Action>,
}

/// Wide, so that parts of two values show.
type Value = [u64; 2];

fn value(n: u8) -> Value {
    [n.into(), !u64::from(n)]
}

/// Keys beyond those of a byte are for filling.
const OWN: u64 = 256;

struct Game<'a, const BINS: usize> {
    table: &'a FlatTable<u64, Value, BINS, Hashing>,
    model: HashMap<u64, Value>,
    oldest: u64,
    newest: u64,
}

/// An iterator that is used bit by bit, and the keys that have been there since it began.
struct Walk<'a, const BINS: usize> {
    iter: TableIter<'a, u64, Value, BINS>,
    lasting: HashSet<u64>,
    met: HashSet<u64>,
}

impl<const BINS: usize> Walk<'_, BINS> {
    /// Takes a step; false at the end.
    fn step(&mut self) -> bool {
        let Some((key, _)) = self.iter.next() else {
            assert!(self.iter.next().is_none(), "more after the end");
            assert!(self.lasting.is_subset(&self.met), "a lasting key did not come");
            return false;
        };
        let again = !self.met.insert(key);
        assert!(!again || !self.lasting.contains(&key), "{key} came twice in one walk");
        true
    }
}

impl<'a, const BINS: usize> Game<'a, BINS> {
    fn refused(&self, key: u64) {
        assert!(!self.model.contains_key(&key), "a key that is there can be replaced");
        let slots = self.table.capacity() / BINS;
        assert!(self.model.len() >= BINS.min(REACH) * slots, "refused, and there is room");
    }

    /// Checks the result of an insert of any kind.
    fn inserted(&mut self, key: u64, new: Value, got: Result<Option<Value>, Full<u64, Value>>) {
        match got {
            Ok(old) => assert_eq!(old, self.model.insert(key, new)),
            Err(full) => {
                assert_eq!((full.key, full.value), (key, new));
                self.refused(key);
            }
        }
        assert!(self.model.len() <= self.table.capacity());
    }

    fn act(&mut self, action: Action) {
        let table = self.table;
        match action {
            Action::Insert(key, new) => {
                let (key, new) = (key.into(), value(new));
                self.inserted(key, new, table.insert(key, new));
            }
            Action::TryInsert(key, new) => {
                let (key, new) = (key.into(), value(new));
                match table.try_insert(key, new) {
                    Ok(old) => assert_eq!(old, self.model.insert(key, new)),
                    Err(TryInsertError::Full { key, value }) => {
                        assert_eq!(value, new);
                        self.refused(key);
                    }
                    Err(_) => panic!("nobody else is here"),
                }
            }
            Action::InsertIfAbsent(key, new) => {
                let (key, new) = (key.into(), value(new));
                match self.model.get(&key) {
                    Some(&old) => {
                        assert_eq!(
                            table
                                .insert_if_absent(key, new)
                                .map(|done| done.err().map(|error| error.current)),
                            Ok(Some(old))
                        );
                    }
                    None => self.inserted(
                        key,
                        new,
                        table
                            .insert_if_absent(key, new)
                            .map(|done| done.err().map(|error| error.current)),
                    ),
                }
            }
            Action::Remove(key) => {
                let key = key.into();
                assert_eq!(table.remove(&key), self.model.remove(&key));
            }
            Action::TryRemove(key) => {
                let key = key.into();
                assert_eq!(table.try_remove(&key), Ok(self.model.remove(&key)));
            }
            Action::Fill(count) => {
                for _ in 0..count {
                    self.newest += 1;
                    let key = self.newest;
                    self.inserted(key, value(7), table.insert(key, value(7)));
                }
            }
            Action::Prune(count) => {
                for _ in 0..count {
                    if self.oldest < self.newest {
                        self.oldest += 1;
                        let key = self.oldest;
                        assert_eq!(table.remove(&key), self.model.remove(&key));
                    }
                }
            }
            Action::Look(key) => {
                let key = key.into();
                let found = self.model.get(&key).copied();
                assert_eq!(table.get(&key), found);
                assert_eq!(table.try_get(&key), Ok(found));
                assert_eq!(table.contains_key(&key), found.is_some());
                assert_eq!(table.get(&(self.newest + 1)), None);
            }
            Action::Clear => {
                table.clear();
                self.model.clear();
            }
            Action::Compare | Action::Walk | Action::Step(_) => self.compare(),
            _ => self.run_closures(action),
        }
        assert_eq!(table.len(), self.model.len());
    }

    fn run_closures(&mut self, action: Action) {
        let table = self.table;
        match action {
            Action::Update(key, new) => {
                let key = key.into();
                let found = self.model.get_mut(&key);
                let after = table.update(&key, |old| {
                    assert_eq!(Some(&old), found.as_deref());
                    value(new)
                });
                assert_eq!(after, found.map(|old| std::mem::replace(old, value(new))).and(after));
            }
            Action::Compute(key, new) => {
                let (key, new) = (key.into(), new.map(value));
                let before = self.model.get(&key).copied();
                match table.compute(key, |_| new.map_or(Op::Remove, Op::Insert)) {
                    Ok(done) => {
                        assert_eq!(done, Computed { before, after: new });
                        match new {
                            Some(new) => self.model.insert(key, new),
                            None => self.model.remove(&key),
                        };
                    }
                    Err(full) => self.refused(full.key),
                }
            }
            Action::Within(key, new) => {
                let (key, new) = (key.into(), value(new));
                let mut turn = 0;
                let (mut within, before) = (None, self.model.get(&key).copied());
                let got = table.compute(key, |found| {
                    turn += 1;
                    if turn == 1 {
                        assert_eq!(found, before);
                        within = match found {
                            Some(_) => table.remove(&key).and(None),
                            None => table.insert(key, value(2)).ok().map(|_| value(2)),
                        };
                    }
                    Op::Insert(new)
                });
                match got {
                    Ok(done) => {
                        assert_eq!(done, Computed { before: within, after: Some(new) });
                        self.model.insert(key, new);
                    }
                    Err(full) => self.refused(full.key),
                }
            }
            Action::Retain { modulus, new } => {
                let modulus = u64::from(modulus).max(2);
                let mut keep = |key: &u64, old: &mut Value| {
                    if let Some(new) = new {
                        *old = value(new);
                    }
                    !Hashing::Good.hash_one(key).is_multiple_of(modulus)
                };
                table.retain(&mut keep);
                self.model.retain(keep);
            }
            _ => unreachable!("{action:?} has no closure"),
        }
    }

    fn compare(&self) {
        let mut count = 0;
        for (key, value) in self.table {
            assert_eq!(self.model.get(&key), Some(&value), "{key}");
            count += 1;
        }
        assert_eq!(count, self.model.len(), "a key is lost, or there twice");
        for (key, value) in &self.model {
            assert_eq!(self.table.get(key), Some(*value), "a lookup of {key}");
        }
        assert_eq!(self.table.is_empty(), count == 0);
    }
}

fn play<const BINS: usize>(script: &Script) {
    let table = FlatTable::<u64, Value, BINS, Hashing>::with_hasher(script.hashing);
    let mut game = Game { table: &table, model: HashMap::new(), oldest: OWN, newest: OWN };
    let mut walk: Option<Walk<'_, BINS>> = None;
    for action in script.actions.iter().take(1_000) {
        match *action {
            Action::Walk => {
                let lasting = game.model.keys().copied().collect();
                walk = Some(Walk { iter: table.iter(), lasting, met: HashSet::new() });
            }
            Action::Step(steps) => {
                for _ in 0..=steps {
                    if walk.as_mut().is_some_and(|walk| !walk.step()) {
                        walk = None;
                    }
                }
            }
            action => game.act(action),
        }
        if let Some(walk) = &mut walk {
            // A key that an action may have removed is no longer lasting, even if the action inserted it again.
            if let Action::Within(key, _) = *action {
                walk.lasting.remove(&key.into());
            }
            walk.lasting.retain(|key| game.model.contains_key(key));
        }
    }
    while walk.as_mut().is_some_and(Walk::step) {}
    game.compare();
}

fuzz_target!(|script: Script| match script.bins % 5 {
    0 => play::<1>(&script),
    1 => play::<3>(&script),
    2 => play::<8>(&script),
    3 => play::<16>(&script),
    _ => play::<37>(&script),
});
