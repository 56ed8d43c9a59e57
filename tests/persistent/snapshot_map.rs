//! builds: asan default tsan
//!
//! `SnapshotMap`: threads that read, write, take snapshots and commit.

use crate::support::effort;
use crate::support::fuse::{FUSE, burn};
use crate::support::panics;
use crate::support::rng::Rng;
use crate::support::tracked::Tracked;
use hedgerow::Op;
use hedgerow::owned::Collector;
use hedgerow::persistent::{PersistentMap, SnapshotMap};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

#[test]
fn one_thread_agrees_with_std() {
    let map = SnapshotMap::new();
    let mut model = BTreeMap::new();
    let mut rng = Rng::new(1);
    let mut versions = Vec::new();
    for step in 0..effort(8000) {
        let key = rng.below(1500);
        match rng.below(20) {
            0..10 => assert_eq!(map.insert(key, step), model.insert(key, step)),
            10..17 => assert_eq!(map.remove(&key), model.remove(&key)),
            17 => assert_eq!(map.get(&key).map(|entry| *entry), model.get(&key).copied()),
            18 => map.write(|map| {
                map.remove_range(key..key + 5);
                model.retain(|&old, _| !(key..key + 5).contains(&old));
            }),
            _ if step % 100 == 0 => versions.push((map.snapshot(), model.clone())),
            _ => assert_eq!(map.get_cloned(&key), model.get(&key).copied()),
        }
        assert_eq!((map.len(), map.contains_key(&key)), (model.len(), model.contains_key(&key)));
    }
    versions.push((map.into_inner(), model));
    assert!(versions.iter().all(|(map, model)| map.iter().eq(model)), "a version has changed");
}

/// A removal of an absent key leaves the writer with a working copy, and the log empty. A change of another kind then
/// replaces the version.
#[test]
fn a_working_copy_is_given_up_with_its_version() {
    let map = SnapshotMap::from([(1, 'a')]);
    assert_eq!(map.remove(&0), None);
    map.write(|map| map.insert(2, 'b'));
    map.insert(3, 'c');
    assert_eq!(map.snapshot(), [(1, 'a'), (2, 'b'), (3, 'c')].into(), "a change is lost");
}

/// A writer makes a change in the log, while another one, which does not get the turn, prepares a version without it.
#[test]
fn a_change_out_of_turn_keeps_the_log() {
    let map = SnapshotMap::from([(1, 1)]);
    let ((to_other, asked), (to_us, begun)) = (mpsc::channel(), mpsc::channel());
    thread::scope(|scope| {
        let map = &map;
        scope.spawn(move || {
            let mut calls = 0;
            let () = asked.recv().unwrap();
            // The turn is taken, so this loses patience.
            map.write(|new| {
                calls += 1;
                if calls == 1 {
                    to_us.send(()).unwrap();
                    let () = asked.recv().unwrap();
                }
                new.insert(3, 3);
            });
        });
        map.update(&1, |_| {
            to_other.send(()).unwrap();
            begun.recv().unwrap();
            2
        });
        map.insert(2, 2);
        to_other.send(()).unwrap();
    });
    assert_eq!(map.snapshot(), [(1, 2), (2, 2), (3, 3)].into(), "a change is lost");
}

/// Changes of each kind are logged, and made again by whoever does not get the turn.
#[test]
fn logged_changes_are_made_again() {
    let map: SnapshotMap<u64, u64> = (0..100).map(|n| (n, n)).collect();
    let mut model: BTreeMap<u64, u64> = (0..100).map(|n| (n, n)).collect();
    let mut snapshots = Vec::new();
    for round in 0..50 {
        assert_eq!(map.insert(round, 7), model.insert(round, 7));
        assert_eq!(map.remove(&(round + 1)), model.remove(&(round + 1)));
        assert!(map.insert_if_absent(200 + round, 1).is_ok());
        assert!(map.insert_if_absent(200 + round, 2).is_err());
        model.insert(200 + round, 1);
        assert_eq!(map.update(&(200 + round), |n| n + 1), Some(2));
        model.insert(200 + round, 2);
        assert_eq!(map.remove_if(&90, |_, _| false), None);
        assert_eq!(map.remove_if(&(99 - round), |_, _| true), model.remove(&(99 - round)));
        assert_eq!((map.pop_first(), map.pop_last()), (model.pop_first(), model.pop_last()));
        map.compute(300, |found| found.map_or(Op::Insert(0), |_| Op::Remove));
        if model.remove(&300).is_none() {
            model.insert(300, 0);
        }
        let mut calls = 0;
        // During the turn, a lookup or a snapshot has to replay the log.
        let last = *model.keys().next_back().unwrap();
        map.update(&last, |n| {
            calls += 1;
            if calls == 1 && round % 3 == 0 {
                if round % 2 == 0 {
                    assert_eq!(map.len(), model.len(), "a change is lost");
                }
                snapshots.push((map.snapshot(), model.clone()));
            }
            n + 1
        });
        *model.get_mut(&last).unwrap() += 1;
    }
    snapshots.push((map.into_inner(), model));
    assert!(snapshots.iter().all(|(map, model)| map.iter().eq(model)), "a change is lost");
}

/// Writers move amounts between accounts. No snapshot, pinned version or range shows a part of a move.
#[test]
fn snapshots_show_whole_changes() {
    const ACCOUNTS: u64 = 300;
    let bank: SnapshotMap<u64, u64> = (0..ACCOUNTS).map(|account| (account, 100)).collect();
    let done = AtomicBool::new(false);
    let (bank, done) = (&bank, &done);
    thread::scope(|scope| {
        let writers = [1, 2].map(|seed| {
            scope.spawn(move || {
                let mut rng = Rng::new(seed);
                for _ in 0..effort(5000) {
                    let (from, to) = (rng.next() % ACCOUNTS, rng.next() % ACCOUNTS);
                    bank.write(|bank| {
                        let amount = bank[&from].min(7);
                        *bank.get_mut(&from).unwrap() -= amount;
                        *bank.get_mut(&to).unwrap() += amount;
                    });
                }
            })
        });
        scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                let snapshot = bank.snapshot();
                assert_eq!(
                    snapshot.values().sum::<u64>(),
                    100 * ACCOUNTS,
                    "a part of a change is seen"
                );
                assert_eq!(
                    bank.pin().values().sum::<u64>(),
                    100 * ACCOUNTS,
                    "a part of a change is seen"
                );
                assert_eq!(snapshot.len() as u64, ACCOUNTS);
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
}

/// Insertions and removals that lose against another writer are done again, with the same key and value.
#[test]
fn no_change_of_two_writers_is_lost() {
    let alive = Arc::new(AtomicUsize::new(0));
    let map = SnapshotMap::new();
    let steps = effort(4000_u64);
    thread::scope(|scope| {
        for thread in 0..3 {
            let (map, alive) = (&map, &alive);
            scope.spawn(move || {
                for step in 0..steps {
                    let key = 3 * step + thread;
                    let new = |value| Tracked::new(value, alive);
                    assert!(map.insert(new(key), new(1)).is_none());
                    assert_eq!(map.insert(new(key), new(2)).map(|old| old.value), Some(1));
                    if step % 2 == 0 {
                        assert_eq!(map.remove(&key).map(|old| old.value), Some(2));
                    }
                }
            });
        }
    });
    assert_eq!(map.len() as u64, 3 * (steps / 2));
    assert!(map.pin().iter().all(|(key, value)| key.value / 3 % 2 == 1 && value.value == 2));
    drop(map);
    assert_eq!(alive.load(Ordering::Relaxed), 0, "elements are left");
}

/// Transactions that add to two counters each. Those that conflict begin again.
#[test]
fn commits_that_conflict_are_refused() {
    let map: SnapshotMap<usize, usize> = (0..8).map(|key| (key, 0)).collect();
    let conflicts = AtomicUsize::new(0);
    let steps = effort(3000_usize);
    thread::scope(|scope| {
        for seed in 0..2 {
            let (map, conflicts) = (&map, &conflicts);
            scope.spawn(move || {
                let mut rng = Rng::new(seed);
                for _ in 0..steps {
                    let (a, b) = (rng.below(8), rng.below(8));
                    let mut base = map.snapshot();
                    loop {
                        let mut new = base.clone();
                        *new.get_mut(&a).unwrap() += 1;
                        *new.get_mut(&b).unwrap() += 1;
                        match map.commit(&base, &new) {
                            Ok(()) => break,
                            Err(conflict) => {
                                assert!(conflict.keys.iter().all(|key| [a, b].contains(key)));
                                conflicts.fetch_add(1, Ordering::Relaxed);
                                base = conflict.current;
                            }
                        }
                    }
                }
            });
        }
    });
    assert_eq!(map.pin().values().sum::<usize>(), 4 * steps, "a commit is lost");
}

#[test]
fn a_commit_keeps_the_changes_of_others() {
    let map = SnapshotMap::from([(1, 'a'), (2, 'b'), (3, 'c')]);
    let base = map.snapshot();
    let mut new = base.clone();
    new.insert(1, 'A');
    new.remove(&2);
    new.insert(4, 'd');
    map.insert(3, 'C');
    map.commit(&base, &new).unwrap();
    assert_eq!(map.snapshot(), [(1, 'A'), (3, 'C'), (4, 'd')].into());
    let conflict = map.commit(&base, &new).unwrap_err();
    assert_eq!(conflict.keys, [1, 2, 4]);
    assert_eq!((&conflict.current, map.len()), (&map.snapshot(), 3));
    assert_eq!(conflict.to_string(), "3 keys have been changed since the snapshot");
}

/// A closure that panics, and one that uses the map.
#[test]
fn closures_may_panic_and_use_the_map() {
    let map = SnapshotMap::from([(1, 'a')]);
    let before = map.snapshot();
    FUSE.set(0);
    assert!(panics(|| map.write(|map| {
        map.insert(2, 'b');
        burn();
    })));
    assert!(map.snapshot().ptr_eq(&before), "a change that panicked is seen");
    let mut calls = 0;
    map.write(|new| {
        calls += 1;
        if calls == 1 {
            map.insert(3, 'c');
        }
        new.insert(4, 'd');
    });
    assert_eq!(map.snapshot(), [(1, 'a'), (3, 'c'), (4, 'd')].into(), "a change is lost");
    assert_eq!(calls, 2);
    map.write(|_| ());
    map.clear();
    assert!(map.is_empty() && before.len() == 1);
}

/// Versions that were replaced are dropped once no guard and no snapshot has them.
#[test]
fn versions_are_dropped() {
    let alive = Arc::new(AtomicUsize::new(0));
    let map = SnapshotMap::new().with_collector(&Collector::new());
    map.insert(0, Tracked::new(0, &alive));
    let (pinned, snapshot) = (map.pin(), map.snapshot());
    for step in 1..1000 {
        map.insert(0, Tracked::new(step, &alive));
    }
    assert_eq!((pinned[&0].value, snapshot[&0].value), (0, 0));
    drop(pinned);
    map.reclaim();
    assert_eq!((alive.load(Ordering::Relaxed), map.pending()), (2, 0), "a version is left");
    drop(snapshot);
    assert_eq!(alive.load(Ordering::Relaxed), 1);
    drop(PersistentMap::from([((), map.into_inner())]));
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}
