//! builds: default
//!
//! `FenceWorkers`: no accepted request is lost, a panic fails one ticket, no caller waits for ever.
#![cfg(feature = "std-ext")]

use crate::support;

use hedgerow::fence::{Op, Ranking};
use hedgerow::std_ext::{FenceWorkers, FencedMap, Ticket, TrySubmitError};
use hedgerow::{FenceMap, OrdMap};
use std::cmp::Ordering as Order;
use std::future::Future;
use std::io::ErrorKind;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};
use support::rng::{Rng, mix};
use support::{PLANNED, assert_each_third_panicked, message, planned_panic, rounds, seed, within};

type Map = FenceMap<u64, u64>;
type Workers = FenceWorkers<u64, u64>;

const MOMENT: Duration = Duration::from_millis(1500);

/// Workers to which all requests are handed over.
fn all_to(map: &Arc<Map>, workers: usize) -> Workers {
    Workers::builder().workers(workers).threshold(0).spawn(Arc::clone(map)).unwrap()
}

fn count(n: Option<u64>) -> Op<u64> {
    Op::Insert(n.unwrap_or(0) + 1)
}

struct Unpark(thread::Thread);
impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(answer) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return answer;
        }
        thread::park();
    }
}

/// A worker that is inside a request until it is released.
struct Held(Arc<Barrier>);

impl Held {
    fn new<K, V>(workers: &FenceWorkers<K, V>, key: K) -> Self
    where
        K: Copy + Ord + Send + Sync + 'static,
        V: Copy + Send + Sync + 'static,
    {
        let (began, has_begun) = channel();
        let gate = Arc::new(Barrier::new(2));
        let other = Arc::clone(&gate);
        let wait = move |_| {
            let _ = began.send(());
            other.wait();
            Op::Keep
        };
        drop(workers.submit(key, wait).unwrap());
        has_begun.recv().unwrap();
        Self(gate)
    }

    fn release(self) {
        self.0.wait();
    }
}

#[test]
fn counters_lose_nothing() {
    within(120, "counters", || {
        for (threshold, threads) in [(0, 1), (0, 3), (1, 2), (usize::MAX, 2)] {
            const EACH: u64 = 6_000;
            let map = Arc::new(Map::new().with_splits((1..8).map(|n| n * 100)));
            let builder = Workers::builder().workers(threads).threshold(threshold).queue(500);
            let workers = builder.pace(Duration::from_micros(100)).spawn(Arc::clone(&map)).unwrap();
            support::joined_scope(|scope| {
                for thread in 0..3 {
                    let workers = &workers;
                    scope.spawn(move || {
                        let mut rng = Rng::new(seed() + thread);
                        for n in 0..EACH {
                            let ticket = workers.submit(rng.next() % 800, count).unwrap();
                            if n % 50 == 0 {
                                assert!(ticket.wait().unwrap().after.is_some());
                            }
                        }
                    });
                }
            });
            workers.shutdown();
            assert_eq!(map.values().sum::<u64>(), 3 * EACH);
            let stats = workers.stats();
            // Of the changes in place some may not be counted.
            assert!(stats.in_place + stats.delegated <= 3 * EACH as usize, "{stats:?}");
            if threshold == 0 {
                assert_eq!((stats.delegated, stats.drained), (18_000, 18_000));
                assert!(stats.most_drained > 0 && stats.drains >= 18_000 / stats.most_drained);
            }
            if threshold == usize::MAX {
                assert_eq!((stats.delegated, stats.drains), (0, 0));
            }
        }
    });
}

/// Results of single requests and of batches are those of the changes one by one.
#[test]
fn one_thread_reads_what_it_has_written() {
    within(120, "one thread", || {
        let map = Arc::new(Map::new());
        let workers = all_to(&map, 2);
        let mut model = std::collections::BTreeMap::new();
        let mut rng = Rng::new(seed());
        rounds(2_000, MOMENT, |_| {
            let changes: Vec<_> = (0..rng.below(20))
                .map(|_| {
                    let op = if rng.one_in(3) { Op::Remove } else { Op::Insert(rng.next()) };
                    (rng.next() % 500, op)
                })
                .collect();
            let want: Vec<Option<u64>> = changes
                .iter()
                .map(|&(key, op)| match op {
                    Op::Insert(value) => model.insert(key, value),
                    _ => model.remove(&key),
                })
                .collect();
            let had = workers.submit_all(changes).unwrap();
            let key = rng.next() % 500;
            assert_eq!(block_on(had).unwrap(), want);
            let done = workers.submit(key, count).unwrap().wait().unwrap();
            assert_eq!(done.before, model.get(&key).copied());
            model.insert(key, done.after.unwrap());
        });
        assert!(map.iter().eq(model.into_iter()));
    });
}

#[test]
fn a_ticket_is_ready_at_once_without_contention() {
    let map = Arc::new(Map::new());
    let workers = Workers::spawn(Arc::clone(&map), 1).unwrap();
    let mut ticket = workers.submit(1, count).unwrap();
    assert!(ticket.is_ready());
    assert_eq!(ticket.try_take().unwrap().unwrap().after, Some(1));
    assert!(ticket.try_take().is_none() && !ticket.is_ready());
    assert_eq!(block_on(workers.submit(1, count).unwrap()).unwrap().after, Some(2));
    workers.post_all(vec![(5, Op::Insert(5))]).unwrap();
    assert_eq!(map.get(&5), Some(5));
    assert_eq!((workers.stats().in_place, workers.stats().delegated), (3, 0));
}

/// If a closure panics, its own ticket returns the panic and no other fails; in place, too.
#[test]
fn a_panic_fails_its_own_ticket() {
    within(60, "panics", || {
        for threshold in [0, usize::MAX] {
            let map = Arc::new(Map::new());
            let builder = Workers::builder().threshold(threshold);
            let workers = builder.spawn(Arc::clone(&map)).unwrap();
            let tickets: Vec<Ticket<_>> = (0..300)
                .map(|n| {
                    let change = move |old| if n % 3 == 0 { planned_panic() } else { count(old) };
                    workers.submit(n % 10, change).unwrap()
                })
                .collect();
            assert_each_third_panicked(tickets.into_iter().map(Ticket::wait));
            assert_eq!(map.values().sum::<u64>(), 200);
            workers.shutdown();
        }
    });
}

/// A panic of a destructor or a waker affects no other request.
#[test]
fn panics_of_destructors_and_wakers_end_no_worker() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            if !thread::panicking() {
                planned_panic();
            }
        }
    }
    struct Alarm;
    impl Wake for Alarm {
        fn wake(self: Arc<Self>) {
            planned_panic();
        }
    }
    within(60, "bombs", || {
        let map = Arc::new(Map::new());
        let workers = all_to(&map, 1);
        for n in 0..20 {
            let held = Held::new(&workers, n);
            let bomb = Bomb;
            let change = move |old| {
                let _ = &bomb;
                count(old)
            };
            let mut ticket = workers.submit(100, change).unwrap();
            let waker = Waker::from(Arc::new(Alarm));
            let _ = std::pin::Pin::new(&mut ticket).poll(&mut Context::from_waker(&waker));
            drop(workers.submit(100, |_| std::panic::panic_any(Bomb)).unwrap());
            held.release();
        }
        // Behind the others in key order.
        workers.submit(101, count).unwrap().wait().unwrap();
        assert_eq!((map.get(&101), map.get(&100)), (Some(1), Some(20)));
    });
}

#[test]
fn a_full_queue_hands_the_request_back() {
    within(60, "a full queue", || {
        let map = Arc::new(Map::new());
        let workers = Workers::builder().threshold(0).queue(3).spawn(Arc::clone(&map)).unwrap();
        let held = Held::new(&workers, 0);
        for key in 1..4 {
            drop(workers.try_submit(key, count).unwrap());
        }
        match workers.try_submit(4, count) {
            Err(TrySubmitError::Full((4, f))) => assert_eq!(f(None), Op::Insert(1)),
            other => panic!("{other:?}"),
        }
        let changes = vec![(9, Op::Insert(9))];
        let refused = workers.try_post_all(changes.clone()).unwrap_err();
        assert_eq!(refused.into_inner(), changes);
        held.release();
        workers.submit(4, count).unwrap().wait().unwrap();
        // A batch that is larger than the queue goes in alone.
        let many = (0..50).map(|n| (n, Op::Insert(n))).collect();
        workers.submit_all(many).unwrap().wait().unwrap();
        assert_eq!(map.len(), 50);
    });
}

#[test]
fn a_caller_that_waits_for_room_gets_it() {
    within(60, "waiting for room", || {
        let map = Arc::new(Map::new());
        let workers = Workers::builder().threshold(0).queue(1).spawn(Arc::clone(&map)).unwrap();
        for _ in 0..20 {
            let held = Held::new(&workers, 0);
            drop(workers.try_submit(1, count).unwrap());
            thread::scope(|scope| {
                let waits = scope.spawn(|| drop(workers.submit(2, count).unwrap()));
                thread::sleep(Duration::from_millis(2));
                assert!(!waits.is_finished());
                held.release();
            });
        }
        workers.shutdown();
        assert_eq!((map.get(&1), map.get(&2)), (Some(20), Some(20)));
    });
}

#[test]
fn a_caller_that_waits_for_room_learns_of_the_shutdown() {
    within(60, "waiting for room at the end", || {
        let map = Arc::new(Map::new());
        let workers = Workers::builder().threshold(0).queue(1).spawn(Arc::clone(&map)).unwrap();
        let held = Held::new(&workers, 0);
        drop(workers.try_submit(1, count).unwrap());
        thread::scope(|scope| {
            let waits = scope.spawn(|| workers.submit(2, count));
            thread::sleep(Duration::from_millis(20));
            let ends = scope.spawn(|| workers.shutdown());
            let refused = waits.join().unwrap().unwrap_err();
            assert!(matches!(refused, TrySubmitError::Closed((2, _))));
            held.release();
            ends.join().unwrap();
        });
        assert_eq!((map.get(&1), map.get(&2)), (Some(1), None));
    });
}

#[test]
fn accepted_requests_are_done_before_the_shutdown() {
    within(60, "the end", || {
        for drops in [false, true] {
            let map = Arc::new(Map::new());
            let workers = all_to(&map, 2);
            let held = Held::new(&workers, 0);
            let tickets: Vec<_> = (0..500).map(|key| workers.submit(key, count).unwrap()).collect();
            workers.post_all((500..600).map(|key| (key, Op::Insert(1))).collect()).unwrap();
            thread::scope(|scope| {
                scope.spawn(|| {
                    thread::sleep(Duration::from_millis(5));
                    held.release();
                });
                if drops { drop(workers) } else { workers.shutdown() }
            });
            assert_eq!(map.values().sum::<u64>(), 600, "accepted requests are not done");
            assert!(tickets.into_iter().all(|ticket| ticket.wait().is_ok()));
        }
    });
}

/// While other threads submit more requests: each is done, or comes back.
#[test]
fn a_shutdown_under_load_loses_no_request() {
    within(120, "the end under load", || {
        rounds(40, MOMENT * 2, |round| {
            let map = Arc::new(Map::new());
            let workers = all_to(&map, 1 + round as usize % 2);
            let accepted = AtomicUsize::new(0);
            support::joined_scope(|scope| {
                for thread in 0..3 {
                    let (workers, accepted) = (&workers, &accepted);
                    scope.spawn(move || {
                        for n in 0.. {
                            let key = mix(n) % 1_000;
                            let done = if thread == 0 {
                                let changes = (0..7).map(|at| (1_000 + key * 7 + at, Op::Keep));
                                let had = workers.submit_all(changes.collect());
                                had.map(drop)
                                    .map_err(|refused| assert_eq!(refused.into_inner().len(), 7))
                            } else {
                                let ticket = workers.submit(key, count);
                                accepted.fetch_add(usize::from(ticket.is_ok()), Ordering::SeqCst);
                                ticket.map(drop).map_err(drop)
                            };
                            if done.is_err() {
                                break;
                            }
                        }
                    });
                }
                thread::sleep(Duration::from_millis(u64::from(round % 8)));
                workers.shutdown();
            });
            let sum: u64 = map.values().sum();
            assert_eq!(sum, accepted.into_inner() as u64);
        });
    });
}

/// A request that submits requests itself, or shuts the workers down, does not deadlock.
#[test]
fn a_request_may_use_the_workers() {
    within(60, "requests within requests", || {
        let map = Arc::new(Map::new());
        let workers = Arc::new(all_to(&map, 1));
        let mine = Arc::clone(&workers);
        let mut is_first = true;
        let nested = move |old| {
            // The closure runs again, since the leaf has changed.
            if !std::mem::take(&mut is_first) {
                return count(old);
            }
            let ticket = mine.submit(7, count).unwrap();
            assert!(ticket.is_ready(), "in place");
            ticket.wait().unwrap();
            mine.post_all(vec![(8, Op::Insert(8))]).unwrap();
            count(old)
        };
        workers.submit(1, nested).unwrap().wait().unwrap();
        let mine = Arc::clone(&workers);
        let ends = move |old| {
            mine.shutdown();
            assert!(matches!(mine.submit(9, count), Err(TrySubmitError::Closed(_))));
            count(old)
        };
        let held = Held::new(&workers, 0);
        let last = workers.submit(2, ends).unwrap();
        let behind = workers.submit(3, count).unwrap();
        held.release();
        assert!(last.wait().is_ok() && behind.wait().is_ok());
        assert!(map.iter().map(|(key, _)| key).eq([1, 2, 3, 7, 8]));
    });
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Touchy(u64);
impl Ord for Touchy {
    fn cmp(&self, other: &Self) -> Order {
        if self.0 == 13 || other.0 == 13 {
            planned_panic();
        }
        self.0.cmp(&other.0)
    }
}
impl PartialOrd for Touchy {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}

/// If a key's `Ord` panics in a worker, tickets fail, and no worker dies.
#[test]
fn an_order_that_panics_stops_no_worker() {
    within(60, "an order that panics", || {
        let map = Arc::new(FenceMap::<Touchy, u64>::new());
        map.insert(Touchy(1), 0);
        let workers =
            FenceWorkers::<Touchy, u64>::builder().threshold(0).spawn(Arc::clone(&map)).unwrap();
        for _ in 0..50 {
            let bad: Vec<_> = (11..15).map(|n| workers.submit(Touchy(n), count).unwrap()).collect();
            let many = [21, 22, 13, 24].map(|n| (Touchy(n), Op::Insert(1))).to_vec();
            let batch = workers.submit_all(many).unwrap();
            let kept: Vec<bool> = bad.into_iter().map(|ticket| ticket.wait().is_ok()).collect();
            assert_eq!(kept, [true, true, false, true]);
            assert!(batch.wait().is_err());
        }
        assert!(workers.submit(Touchy(2), count).unwrap().wait().is_ok());
        assert_eq!(map.get(&Touchy(11)), Some(50));
    });
}

/// Batches that a worker takes out of its queue together: an order that panics in one of them fails no other.
#[test]
fn an_order_that_panics_in_one_of_several_batches_fails_no_other() {
    within(60, "batches whose order panics", || {
        let map = Arc::new(FenceMap::<Touchy, u64>::new());
        map.insert(Touchy(1), 0);
        let workers =
            FenceWorkers::<Touchy, u64>::builder().threshold(0).spawn(Arc::clone(&map)).unwrap();
        let held = Held::new(&workers, Touchy(1));
        let batch = |from: u64| (from..from + 10).map(|n| (Touchy(n), Op::Insert(n))).collect();
        let good = workers.submit_all(batch(20)).unwrap();
        let bad = workers.submit_all(batch(10)).unwrap();
        workers.post_all(batch(40)).unwrap();
        let last = workers.submit_all(batch(20)).unwrap();
        held.release();
        assert_eq!(good.wait().expect("another batch's order has panicked"), [None; 10]);
        assert!(message(&*bad.wait().unwrap_err()).contains(PLANNED), "the panic is another's");
        assert!(last.wait().unwrap().into_iter().eq((20..30).map(Some)), "another batch's answers");
        assert_eq!(map.get(&Touchy(49)), Some(49), "a batch without a ticket is lost");
        assert_eq!(workers.stats().died, 0, "a worker has ended");
    });
}

/// Only keys of the standard library whose order is by this crate's ranking too surely run no code of the user.
#[test]
fn batches_are_gathered_if_no_order_can_panic() {
    struct Other;
    impl Ranking<u64> for Other {
        fn rank(&self, key: &u64) -> u64 {
            *key
        }
    }
    assert!(FenceMap::<u64, u64>::new().may_gather(), "integers");
    assert!(FenceMap::<(u32, u64), u64>::new().may_gather(), "pairs");
    let keys = [String::from("hazel")];
    let map = FenceMap::from([(keys[0].as_str(), 1)]);
    assert!(map.may_gather(), "borrowed text");
    assert!(!FenceMap::<Touchy, u64>::new().may_gather(), "an order of the user");
    assert!(!FenceMap::<u64, u64, _>::with_ranking(Other).may_gather(), "a ranking of the user");
    assert!(!OrdMap::<u64, u64>::new().may_gather(), "changes are made one by one");
}

/// A worker copies batches to apply them together.
#[test]
fn a_clone_that_panics_in_one_of_several_batches_fails_none() {
    #[derive(Copy, Debug, PartialEq)]
    struct Fragile(u64);
    #[expect(clippy::expl_impl_clone_on_copy, reason = "this one panics")]
    #[expect(clippy::non_canonical_clone_impl, reason = "this one panics")]
    impl Clone for Fragile {
        fn clone(&self) -> Self {
            if self.0 == 13 { planned_panic() } else { *self }
        }
    }
    within(60, "batches whose clone panics", || {
        let map = Arc::new(FenceMap::<u64, Fragile>::new());
        let builder = FenceWorkers::<u64, Fragile>::builder().threshold(0);
        let workers = builder.spawn(Arc::clone(&map)).unwrap();
        let held = Held::new(&workers, 1);
        let batch = |n: u64| workers.submit_all(vec![(n, Op::Insert(Fragile(n)))]).unwrap();
        let tickets = [12, 13, 14].map(batch);
        held.release();
        for ticket in tickets {
            assert!(ticket.wait().expect("a value's clone has panicked")[0].is_none());
        }
        assert_eq!(map.len(), 3);
    });
}

/// If a worker waits for a request that it has to do itself, the waiting request fails, and the other one is done.
#[test]
fn a_worker_does_not_wait_for_itself() {
    within(60, "a worker that waits for itself", || {
        let map = Arc::new(Map::new());
        let workers = all_to(&map, 1);
        let held = Held::new(&workers, 0);
        let (bring, brought) = channel::<Ticket<_>>();
        let waits = move |old| {
            brought.recv().unwrap().wait().unwrap();
            count(old)
        };
        let waits = workers.submit(1, waits).unwrap();
        bring.send(workers.submit(2, count).unwrap()).unwrap();
        held.release();
        let failed = waits.wait().unwrap_err();
        assert!(message(failed.as_ref()).contains("it has to do itself"));
        workers.shutdown();
        assert!(map.iter().eq([(2, 1)]));
    });
}

/// Durations beyond the clock's range kill no worker.
#[test]
fn a_pace_of_any_length_stops_no_worker() {
    within(60, "paces", || {
        let longest = Duration::MAX;
        for pace in [longest, longest / 4, longest / 16, Duration::from_secs(u64::MAX / 17)] {
            let map = Arc::new(Map::new());
            let builder = Workers::builder().threshold(0).pace(pace);
            let workers = builder.spawn(Arc::clone(&map)).unwrap();
            let start = Instant::now();
            while workers.stats().rebalance_steps == 0 && start.elapsed() < MOMENT {
                thread::yield_now();
            }
            // The worker is between the step and its sleep for a moment only.
            thread::sleep(Duration::from_millis(20));
            let ticket = workers.submit(1, count).unwrap();
            while !ticket.is_ready() && start.elapsed() < 2 * MOMENT {
                thread::yield_now();
            }
            assert!(
                ticket.is_ready(),
                "the worker died of a pace of {pace:?}, and left a ticket open"
            );
            assert!(ticket.wait().is_ok(), "a pace of {pace:?} failed a ticket");
            let stats = workers.stats();
            assert_eq!((stats.died, stats.rebalance_steps), (0, 1), "a pace of {pace:?}");
        }
    });
}

#[test]
fn more_workers_than_a_pool_can_have_are_refused() {
    for workers in [usize::MAX, usize::MAX / 2, (1 << 16) + 1] {
        let refused = Workers::spawn(Arc::new(Map::new()), workers).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{workers} workers");
    }
}

/// A contended fence is found, and its requests are handed over. Those of other fences are not.
#[test]
fn requests_of_a_contended_fence_are_handed_over() {
    within(120, "a hot fence", || {
        let map = Arc::new(Map::new().with_splits([1_000]));
        let builder = Workers::builder().threshold(1).pace(Duration::from_micros(100));
        let workers = builder.spawn(Arc::clone(&map)).unwrap();
        let done = AtomicBool::new(false);
        let began = Instant::now();
        support::joined_scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        // A closure that takes long often conflicts with the other thread's.
                        let slow = |old| {
                            thread::yield_now();
                            count(old)
                        };
                        drop(workers.submit(1_500, slow).unwrap());
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
        assert!(workers.submit(5, count).unwrap().is_ready(), "that one is calm");
    });
}

#[test]
fn workers_keep_the_fences_balanced() {
    within(120, "the balance", || {
        let map: Arc<FenceMap<u64, [u64; 64]>> =
            Arc::new((0..10_000).map(|n| (n, [n; 64])).collect());
        let builder = FenceWorkers::<u64, [u64; 64]>::builder().fences_a_step(64).pin_to([0]);
        let workers = builder.pace(Duration::from_millis(10)).spawn(Arc::clone(&map)).unwrap();
        let before = map.fences().len();
        let began = Instant::now();
        while workers.stats().rebalance_changes < 2 && began.elapsed() < Duration::from_secs(60) {
            (0..2_000).for_each(|n| _ = map.insert(4_000 + n % 300, [n; 64]));
        }
        let stats = workers.stats();
        assert!(stats.rebalance_changes >= 2, "{stats:?}");
        assert!(stats.rebalance_steps > 0, "{stats:?}");
        let figures = map.stats();
        assert!(figures.moved_leaves + figures.splits > 0 && before > 1, "{figures:?}");
    });
}
