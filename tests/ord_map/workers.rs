//! builds: default
//!
//! `OrdWorkers`: requests of many threads are made once, tickets return clones, and no value is leaked.
#![cfg(feature = "std-ext")]

use crate::support;

use hedgerow::fence::Op;
use hedgerow::std_ext::{OrdWorkers, Ticket};
use hedgerow::{FenceMap, OrdMap};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use support::rng::Rng;
use support::{assert_each_third_panicked, joined_scope, planned_panic, rounds, seed, within};

type Map = OrdMap<String, u64>;
type Workers = OrdWorkers<String, u64>;

fn name(number: u64) -> String {
    format!("{number:04}")
}

fn count(n: Option<&u64>) -> Op<u64> {
    Op::Insert(n.unwrap_or(&0) + 1)
}

#[test]
fn requests_of_many_threads_are_made_once() {
    within(120, "requests of many threads", || {
        for (threshold, workers) in [(0, 1), (0, 3), (1, 2), (usize::MAX, 2)] {
            const EACH: u64 = 3_000;
            let map = Arc::new(Map::new().with_splits((1..8).map(|n| name(n * 100))));
            let builder = Workers::builder().workers(workers).threshold(threshold).queue(500);
            let workers = builder.pace(Duration::from_micros(100)).spawn(Arc::clone(&map)).unwrap();
            joined_scope(|scope| {
                for thread in 0..3 {
                    let workers = &workers;
                    scope.spawn(move || {
                        let mut rng = Rng::new(seed() + thread);
                        for n in 0..EACH {
                            let ticket = workers.submit(name(rng.next() % 800), count).unwrap();
                            if n % 50 == 0 {
                                let done = ticket.wait().unwrap();
                                assert_eq!(done.after, Some(done.before.unwrap_or(0) + 1));
                            }
                        }
                    });
                }
            });
            workers.shutdown();
            assert_eq!(map.values().map(|n| *n).sum::<u64>(), 3 * EACH, "requests were lost");
            let stats = workers.stats();
            match threshold {
                0 => assert_eq!((stats.delegated, stats.drained), (9_000, 9_000)),
                usize::MAX => assert_eq!((stats.delegated, stats.drains), (0, 0)),
                _ => {}
            }
        }
    });
}

/// Results of single requests and of batches are those of the changes one by one.
#[test]
fn one_thread_reads_what_it_has_written() {
    within(120, "one thread", || {
        let map = Arc::new(Map::new());
        let builder = Workers::builder().workers(2).threshold(0);
        let workers = builder.spawn(Arc::clone(&map)).unwrap();
        let mut model = BTreeMap::new();
        let mut rng = Rng::new(seed());
        rounds(1_000, Duration::from_secs(1), |_| {
            let changes: Vec<_> = (0..rng.below(20))
                .map(|_| {
                    let key = name(rng.next() % 500);
                    match rng.below(4) {
                        0 => (key, Op::Keep),
                        1 => (key, Op::Remove),
                        _ => (key, Op::Insert(rng.next())),
                    }
                })
                .collect();
            let want: Vec<Option<u64>> = changes
                .iter()
                .map(|(key, op)| match op {
                    Op::Keep => model.get(key).copied(),
                    Op::Insert(value) => model.insert(key.clone(), *value),
                    Op::Remove => model.remove(key),
                })
                .collect();
            assert_eq!(workers.submit_all(changes).unwrap().wait().unwrap(), want);
            let key = name(rng.next() % 500);
            let done = workers.submit(key.clone(), count).unwrap().wait().unwrap();
            assert_eq!(done.before, model.get(&key).copied());
            model.insert(key, done.after.unwrap());
        });
        workers.shutdown();
        assert!(map.iter().map(|entry| (entry.key().clone(), *entry)).eq(model));
    });
}

/// Both kinds of ordered map make the same of a batch.
#[test]
fn batches_mean_the_same_as_on_plain_maps() {
    use hedgerow::std_ext::FencedMap;
    let (plain, owned) = (FenceMap::<u64, u64>::new(), OrdMap::<u64, u64>::new());
    let changes =
        [(1, Op::Insert(1)), (1, Op::Keep), (2, Op::Keep), (1, Op::Remove), (1, Op::Keep)];
    assert_eq!(FencedMap::apply_each(&owned, &changes), FencedMap::apply_each(&plain, &changes));
}

#[test]
fn a_panic_fails_its_own_ticket() {
    within(60, "panics", || {
        for threshold in [0, usize::MAX] {
            let map = Arc::new(Map::new());
            let builder = Workers::builder().threshold(threshold);
            let workers = builder.spawn(Arc::clone(&map)).unwrap();
            let submit = |n: u64| {
                let change = move |old: Option<&u64>| {
                    if n.is_multiple_of(3) { planned_panic() } else { count(old) }
                };
                workers.submit(name(n % 10), change).unwrap()
            };
            let tickets: Vec<_> = (0..300).map(submit).collect();
            assert_each_third_panicked(tickets.into_iter().map(Ticket::wait));
            assert_eq!(map.values().map(|n| *n).sum::<u64>(), 200);
        }
    });
}

/// A worker clones values to store them, and drops the answers that nobody waits for. Both may panic.
#[test]
fn a_panic_in_one_of_several_batches_fails_no_other() {
    static WRONG: AtomicBool = AtomicBool::new(false);
    #[derive(Debug, PartialEq)]
    struct Fragile(u64);
    impl Clone for Fragile {
        fn clone(&self) -> Self {
            if self.0 == 13 && WRONG.load(Ordering::SeqCst) {
                planned_panic()
            } else {
                Self(self.0)
            }
        }
    }
    impl Drop for Fragile {
        fn drop(&mut self) {
            if self.0 == 14 && WRONG.load(Ordering::SeqCst) && !thread::panicking() {
                planned_panic();
            }
        }
    }
    within(60, "batches that panic", || {
        let map = Arc::new(OrdMap::<u64, Fragile>::new());
        let builder = OrdWorkers::<u64, Fragile>::builder().threshold(0);
        let workers = builder.spawn(Arc::clone(&map)).unwrap();
        for (key, value) in [(4, 14), (5, 5), (6, 6)] {
            map.insert(key, Fragile(value));
        }
        let is_open = Arc::new(AtomicBool::new(false));
        let gate = Arc::clone(&is_open);
        // The batches gather behind this request.
        let first = workers.submit(1, move |_| {
            while !gate.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            WRONG.store(true, Ordering::SeqCst);
            Op::Insert(Fragile(1))
        });
        let batch = |key, op| workers.submit_all(vec![(key, op)]).unwrap();
        let good = batch(2, Op::Insert(Fragile(2)));
        let bad = batch(3, Op::Insert(Fragile(13)));
        workers.post_all(vec![(4, Op::Remove), (5, Op::Remove)]).unwrap();
        let last = batch(6, Op::Remove);
        is_open.store(true, Ordering::SeqCst);
        first.unwrap().wait().unwrap();
        assert_eq!(good.wait().expect("another batch's value has panicked"), [None]);
        assert!(bad.wait().is_err(), "a panic is not told");
        assert_eq!(last.wait().unwrap(), [Some(Fragile(6))], "the answer of another batch");
        assert_eq!(workers.stats().died, 0, "a worker has ended");
        assert!(map.get(&2).is_some() && map.get(&5).is_none());
        WRONG.store(false, Ordering::SeqCst);
    });
}

/// Entries that workers replace are dropped with the map at the latest, and so are the tickets' clones.
#[test]
fn no_value_is_leaked() {
    within(60, "values", || {
        let value = Arc::new(7);
        let map = Arc::new(OrdMap::<String, Arc<u64>>::new());
        let workers =
            OrdWorkers::<String, Arc<u64>>::builder().threshold(0).spawn(Arc::clone(&map)).unwrap();
        for n in 0..500 {
            let new = Arc::clone(&value);
            let ticket = workers.submit(name(n % 50), move |_| Op::Insert(Arc::clone(&new)));
            if n % 3 == 0 {
                assert_eq!(ticket.unwrap().wait().unwrap().after, Some(Arc::new(7)));
            }
            let op = if n % 2 == 0 { Op::Remove } else { Op::Insert(Arc::clone(&value)) };
            workers.post_all(vec![(name(n % 60), op)]).unwrap();
        }
        drop(workers);
        assert_eq!(Arc::strong_count(&map), 1, "a worker kept the map");
        drop(map);
        assert_eq!(Arc::strong_count(&value), 1);
    });
}

/// A contended fence is found, and its requests are handed over. Those of other fences are not.
#[test]
fn requests_of_a_contended_fence_are_handed_over() {
    within(120, "a hot fence", || {
        let map = Arc::new(Map::new().with_splits([name(1_000)]));
        let builder = Workers::builder().threshold(1).pace(Duration::from_micros(100));
        let workers = builder.spawn(Arc::clone(&map)).unwrap();
        let done = AtomicBool::new(false);
        let began = Instant::now();
        joined_scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        // A closure that takes long often conflicts with the other thread's.
                        let slow = |old: Option<&u64>| {
                            thread::yield_now();
                            count(old)
                        };
                        drop(workers.submit(name(1_500), slow).unwrap());
                    }
                });
            }
            while workers.stats().delegated == 0 && began.elapsed() < Duration::from_secs(60) {
                thread::yield_now();
            }
            done.store(true, Ordering::Relaxed);
        });
        let stats = workers.stats();
        assert!(stats.delegated > 0 && stats.rebalance_steps > 0, "{stats:?}");
        assert!(workers.submit(name(5), count).unwrap().is_ready(), "that one is calm");
    });
}
