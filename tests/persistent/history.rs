//! builds: asan default tsan
//!
//! `SnapshotMap` is linearizable as a whole: single keys, batches, ranges of pinned versions and of snapshots, and
//! commits together. A snapshot reads all keys at one point. A commit is one step that compares some keys with the
//! version it was prepared on, and changes them.

use crate::support;

#[path = "../support/ordered_play.rs"]
mod ordered_play;

use hedgerow::persistent::{PersistentMap, SnapshotMap};
use ordered_play::{Committed, Plan, Target, play};
use std::cell::RefCell;
use std::thread;
use std::time::Duration;
use support::history::{Boxed, Value};
use support::ordered::{Call, Near, OrderedEvent};
use support::rng::Rng;
use support::{seed, within};

type Version = PersistentMap<u64, Boxed>;

thread_local! {
    /// The version on which this thread prepares its commits: any that it has seen. Each round has new threads.
    static BASE: RefCell<Option<Version>> = const { RefCell::new(None) };
}

/// Keeps a version for later commits.
fn keep(version: Version) {
    BASE.set(Some(version));
}

struct Snapshots(SnapshotMap<u64, Boxed>);

/// Lets other writers lose patience while this one has its turn.
fn linger() {
    thread::yield_now();
}

fn plain<'a>((key, value): (&'a u64, &'a Boxed)) -> (u64, Value) {
    (*key, value.value())
}

impl Target for Snapshots {
    fn get(&self, key: u64, way: usize) -> Option<Value> {
        match way {
            0 => self.0.get(&key).as_deref().map(Boxed::value),
            1 => self.0.pin().get(&key).map(Boxed::value),
            2 => self.0.snapshot().get(&key).map(Boxed::value),
            _ => self.0.get_cloned(&key).as_ref().map(Boxed::value),
        }
    }

    fn insert(&self, key: u64, value: Value) -> Option<Value> {
        self.0.insert(key, Boxed::of(value)).as_ref().map(Boxed::value)
    }

    fn insert_if_absent(&self, key: u64, value: Value) -> Option<Value> {
        self.0.write(|map| {
            let there = map.get(&key).map(Boxed::value);
            if there.is_none() {
                map.insert(key, Boxed::of(value));
            }
            there
        })
    }

    fn remove(&self, key: u64) -> Option<Value> {
        self.0.remove(&key).as_ref().map(Boxed::value)
    }

    fn toggle(&self, key: u64, value: Value) -> Option<Value> {
        self.0.write(|map| {
            let there = map.remove(&key);
            linger();
            if there.is_none() {
                map.insert(key, Boxed::of(value));
            }
            there.as_ref().map(Boxed::value)
        })
    }

    fn compare_exchange(&self, key: u64, from: Value, to: Value) -> Option<Value> {
        self.0.write(|map| {
            let there = map.get(&key).map(Boxed::value);
            linger();
            if there == Some(from) {
                *map.get_mut(&key).expect("it is there") = Boxed::of(to);
            }
            there
        })
    }

    fn near(&self, near: Near, key: u64) -> Option<(u64, Value)> {
        let map = self.0.pin();
        let found = match near {
            Near::PopFirst => return self.0.write(Version::pop_first).map(|(k, v)| (k, v.value())),
            Near::PopLast => return self.0.write(Version::pop_last).map(|(k, v)| (k, v.value())),
            Near::First => map.first_key_value(),
            Near::Last => map.last_key_value(),
            Near::Floor => map.floor(&key),
            Near::Ceiling => map.ceiling(&key),
            Near::Lower => map.predecessor(&key),
            Near::Upper => map.successor(&key),
        };
        found.map(plain)
    }

    fn range(&self, from: u64, to: u64, way: usize) -> Vec<(u64, Value)> {
        match way {
            0 => self.0.pin().range(from..=to).rev().map(plain).collect(),
            1 => self.0.pin().range(from..=to).map(plain).collect(),
            _ => {
                let version = self.0.snapshot();
                let range = version.range(from..=to).map(plain).collect();
                keep(version);
                range
            }
        }
    }

    fn remove_range(&self, from: u64, to: u64) -> usize {
        self.0.write(|map| map.remove_range(from..=to))
    }

    fn batch(&self, changes: &[(u64, Option<Value>)]) -> Option<Vec<Option<Value>>> {
        let change = |map: &mut Version, &(key, value): &(u64, Option<Value>)| match value {
            Some(value) => map.insert(key, Boxed::of(value)),
            None => map.remove(&key),
        };
        let before = |old: Option<Boxed>| old.as_ref().map(Boxed::value);
        Some(self.0.write(|map| changes.iter().map(|one| before(change(map, one))).collect()))
    }

    fn snapshot(&self, keys: &[u64]) -> Option<Vec<Option<Value>>> {
        let version = self.0.snapshot();
        let found = keys.iter().map(|key| version.get(key).map(Boxed::value)).collect();
        keep(version);
        Some(found)
    }

    fn rebalance(&self) {
        self.0.reclaim();
    }

    fn commit(&self, changes: &[(u64, Option<Value>)]) -> Option<Committed> {
        let base = BASE.take().unwrap_or_else(|| self.0.snapshot());
        let mut new = base.clone();
        let from = changes.iter().map(|&(key, value)| {
            let old = match value {
                Some(value) => new.insert(key, Boxed::of(value)),
                None => new.remove(&key),
            };
            old.as_ref().map(Boxed::value)
        });
        let from = from.collect();
        let Err(conflict) = self.0.commit(&base, &new) else {
            // The next commit is often prepared on this one.
            keep(new);
            return Some(Committed { from, conflicts: Vec::new() });
        };
        let now = |key: &u64| conflict.current.get(key).map(Boxed::value);
        let conflicts = conflict.keys.iter().map(|key| (*key, now(key))).collect();
        keep(conflict.current);
        Some(Committed { from, conflicts })
    }
}

#[test]
fn histories_of_snapshot_maps_are_linearizable() {
    support::histories(1_000, Duration::from_secs(4), |round| {
        let seed = seed() ^ u64::from(round);
        let map = Snapshots(SnapshotMap::new());
        within(60, &format!("the history of seed {seed}"), move || {
            let mut rng = Rng::new(seed);
            let mut plan = Plan::new(&mut rng);
            plan.commits = [1, 4, 16][rng.below(3)];
            if let Err(story) = play(&map, &plan, seed) {
                panic!("{story}");
            }
        });
    });
}

/// Histories that no order explains: a commit overwrites a value that it has not seen; one reports a conflict where
/// there is none; a range shows one change of a commit without the other.
#[test]
fn histories_of_commits_without_an_order_are_refused() {
    use support::check::{check, explain};
    use support::ordered::KEYS;
    let event = |called, call, answer: Vec<Option<(usize, Value)>>| OrderedEvent {
        called,
        returned: called + 1,
        call,
        answer,
    };
    let insert = |called, key, value| event(called, Call::Insert(key, value), vec![None]);
    let commit = |called, from, conflicts| {
        event(called, Call::Commit(vec![(3, from, Some(9)), (5, None, Some(9))]), conflicts)
    };
    let all = |called, answer| event(called, Call::Range(0, KEYS - 1), answer);
    let refused = [
        vec![insert(0, 3, 7), commit(2, None, vec![])],
        vec![insert(0, 3, 7), commit(2, Some(7), vec![Some((3, 7))])],
        vec![commit(0, None, vec![]), all(2, vec![Some((5, 9))])],
    ];
    for story in refused {
        let history = [story];
        let stuck = check(&history, [None; KEYS]).expect_err("nothing explains it");
        assert!(explain(&history, &stuck).contains("? t0"));
    }
    let accepted = vec![
        insert(0, 3, 7),
        commit(2, None, vec![Some((3, 7))]),
        commit(4, Some(7), vec![]),
        all(6, vec![Some((3, 9)), Some((5, 9))]),
    ];
    check(&[accepted], [None; KEYS]).expect("one after the other");
}
