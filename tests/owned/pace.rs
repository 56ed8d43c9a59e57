//! builds: asan tsan narrow portable
//! An operation drops at most two entries, and takes place although their destructors panic.

use crate::support;

use hedgerow::HashMap;
use hedgerow::owned::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::alone::alone;
use support::{ignore, panics, planned_panic};

/// The number of destructors that have run.
static RUN: AtomicUsize = AtomicUsize::new(0);

/// A value whose destructor always panics, even while its thread unwinds, which would abort.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        RUN.fetch_add(1, Ordering::Relaxed);
        planned_panic();
    }
}

/// A numbered value whose destructor always panics.
struct Numbered(u64, Bomb);

/// An insertion or a removal takes place although a destructor panics in it. It drops at most two entries, also when
/// many are waiting.
#[test]
fn operations_take_place_although_a_destructor_panics() {
    const CALLS: u64 = 3_000;
    alone(|| {
        let map = HashMap::<u64, Numbered>::new();
        let (mut guard, mut panicked) = (None, 0);
        for n in 0..CALLS {
            match n {
                500 => guard = Some(pin()),
                1_500 => guard = None,
                _ => {}
            }
            let (key, dropped) = (n % 10, RUN.load(Ordering::Relaxed));
            let removes = n / 10 % 4 == 3;
            panicked += usize::from(panics(|| match n % 2 {
                _ if removes => ignore(map.remove(&key)),
                0 => ignore(map.insert(key, Numbered(n, Bomb))),
                _ => ignore(map.try_insert(key, Numbered(n, Bomb))),
            }));
            let found = map.get(&key).map(|value| value.0);
            let wanted = (!removes).then_some(n);
            assert_eq!(found, wanted, "an operation in which a destructor panics is lost");
            let dropped = RUN.load(Ordering::Relaxed) - dropped;
            assert!(dropped <= 2, "an operation drops {dropped} entries");
        }
        drop(guard);
        assert!(panicked > 1_000, "{panicked} destructors");
        while panics(|| map.reclaim()) {}
        assert_eq!(map.pending(), 0, "entries that nobody uses are never dropped");
        map.into_iter().for_each(|(_, bomb)| assert!(panics(|| drop(bomb)), "it is no bomb"));
    });
}

/// Entries that a guard has kept are dropped faster than insertions add new ones.
#[test]
fn a_backlog_shrinks() {
    const BACKLOG: u64 = 4_000;
    alone(|| {
        type Operation = fn(&HashMap<u64, u64>, u64);
        let operations: [(_, Operation); 2] = [
            ("insert", |map, n| ignore(map.insert(7, n))),
            ("try_insert", |map, n| ignore(map.try_insert(7, n))),
        ];
        for (name, operation) in operations {
            let map = HashMap::new();
            let guard = pin();
            (0..BACKLOG).for_each(|n| operation(&map, n));
            drop(guard);
            (0..2 * BACKLOG).for_each(|n| operation(&map, n));
            let left = map.pending();
            assert!(left < 2_000, "{name}: {left} entries are still waiting");
        }
    });
}
