//! builds: asan tsan narrow portable
//! An operation drops at most two entries, and takes place although their destructors panic.

use crate::support;

use hedgerow::owned::pin;
use hedgerow::{BytesMap, HashMap, OrdMap};
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
    const CALLS: u64 = 9_000;
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
    const BACKLOG: u64 = 20_000;
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
            assert!(left < 5_000, "{name}: {left} entries are still waiting");
        }
    });
}

/// Insertions of new keys make no garbage, and drop what others have left.
#[test]
fn new_entries_take_the_place_of_cleared_ones() {
    const CLEARED: u64 = 20_000;
    alone(|| {
        let hashed = HashMap::<u64, u64>::new();
        let ordered = OrdMap::<u64, u64>::new();
        let bytes = BytesMap::new();
        let key = u64::to_le_bytes;
        for n in 0..CLEARED {
            ignore((hashed.insert(n, n), ordered.insert(n, n), bytes.insert(key(n), b"")));
        }
        hashed.clear();
        ignore(ordered.remove_range(0..CLEARED / 2));
        ordered.retain(|_, _| false);
        bytes.clear();
        let pending = || [hashed.pending(), ordered.pending(), bytes.pending()];
        let before = pending();
        assert!(before.iter().all(|&pending| pending > 18_000), "{before:?} are waiting already");
        for n in CLEARED..3 * CLEARED {
            ignore((hashed.insert(n, n), ordered.insert(n, n), bytes.insert(key(n), b"")));
        }
        let left = pending();
        assert!(left.iter().all(|&pending| pending < 5_000), "{left:?} are still waiting");
    });
}
