//! builds: default
//!
//! Maps of owned data in a child of `fork`, while other threads of the parent hold guards.
//! The file has only one test, so no other thread is inside a map or the allocator during the fork.
#![cfg(all(target_os = "linux", not(miri)))]

mod support;

use hedgerow::error::TryInsertError;
use hedgerow::owned::{Handle, Op, Removed, pin};
use hedgerow::{BytesMap, FlatMap, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use support::ignore;

unsafe extern "C" {
    fn fork() -> i32;
    fn waitpid(pid: i32, status: *mut i32, options: i32) -> i32;
    fn alarm(seconds: u32) -> u32;
    fn _exit(status: i32) -> !;
}

/// Runs `child` in a copy of this process. Fails if it panics, or runs for more than a minute.
fn forked(what: &str, child: impl FnOnce()) {
    // SAFETY: the threads that the child lacks hold no lock: they wait for a channel or for this thread.
    let pid = unsafe { fork() };
    assert!(pid >= 0, "no child");
    if pid == 0 {
        // SAFETY: takes an integer. The signal ends only the child.
        unsafe { alarm(60) };
        let done = catch_unwind(AssertUnwindSafe(child)).is_ok();
        // SAFETY: ends the child. It must not run the destructors and exit handlers of the parent.
        unsafe { _exit(i32::from(!done)) }
    }
    let mut status = 0;
    // SAFETY: `pid` is a child of this process, and `status` a local variable.
    let ended = unsafe { waitpid(pid, &raw mut status, 0) };
    assert_eq!((ended, status), (pid, 0), "{what}: the child panicked, or hung");
}

const KEYS: u64 = 2_000;

struct Counted<'a>(u64, &'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Uses every kind of operation, on maps from before the fork and on new ones.
fn use_all<'a>(map: &HashMap<u64, Counted<'a>>, strings: &BytesMap, alive: &'a AtomicUsize) {
    let new = |n| {
        alive.fetch_add(1, Ordering::Relaxed);
        Counted(n, alive)
    };
    let guard = pin();
    assert!((0..KEYS).all(|n| map.with_guard(&guard).get(&n).is_some_and(|value| value.0 == n)));
    assert_eq!(
        (map.with_guard(&guard).iter().count(), strings.with_guard(&guard).iter().count()),
        (2_000, 1)
    );
    drop(guard);
    for n in 0..3 * KEYS {
        ignore(map.insert(n, new(n)));
        ignore(map.compute(n / 2, |_| Op::Insert(new(n / 2))));
        ignore(strings.insert(n.to_le_bytes(), "grown"));
    }
    map.retain(|key, _| *key < KEYS);
    ignore(map.remove(&0).map(Removed::try_into_owned));
    assert_eq!(map.len() as u64, KEYS - 1);
    let flat: FlatMap<u64, u64> = (0..KEYS).map(|n| (n, n)).collect();
    assert_eq!(flat.len() as u64, KEYS);
    // Needs more slots than the registry has so far.
    let handles: Vec<Handle> = (0..40).map(|_| Handle::new()).collect();
    assert!(handles.iter().all(|handle| map.with_guard(&handle.pin()).get(&1).is_some()));
}

#[test]
fn a_child_of_fork_can_use_its_maps() {
    let alive = AtomicUsize::new(0);
    let map: HashMap<u64, Counted<'_>> = (0..KEYS).map(|n| (n, Counted(n, &alive))).collect();
    alive.store(map.len(), Ordering::Relaxed);
    let strings = BytesMap::from([("rose", "red")]);
    let (held, is_held) = channel();
    let (go, may_go) = channel::<()>();
    thread::scope(|scope| {
        // If this thread panics, it drops the sender, and the other thread sees the end of the channel.
        let (map, go) = (&map, go);
        let reader = scope.spawn(move || {
            let map = map.pin();
            let value = map.get(&7).expect("it is there");
            held.send(map.guard().reader_id()).expect("the test listens");
            may_go.recv().expect("the test allows it");
            assert_eq!(value.0, 7);
        });
        let number = is_held.recv().expect("a guard is held");

        forked("a guard of a thread that the child lacks", || {
            use_all(map, &strings, &alive);
            map.reclaim();
            // The child has the guard, but not its thread. No entry that the guard protects may be dropped.
            let pending = map.pending() as u64;
            assert_eq!(pending, 6 * KEYS + 1, "an entry under a copied guard was dropped");
            assert_eq!(alive.load(Ordering::Relaxed), map.len() + map.pending());
            assert!(map.stalled_readers().any(|stalled| stalled.reader == number));
            map.set_pending_limit(Some(100));
            alive.fetch_add(1, Ordering::Relaxed);
            match map.try_insert(1, Counted(1, &alive)) {
                Err(TryInsertError::Stalled { key: 1, readers: 1, .. }) => {}
                other => panic!("{}", other.is_ok()),
            }
            // A map that is dropped drops its entries in spite of the guard.
            let here = AtomicUsize::new(500);
            let new: HashMap<u64, Counted<'_>> =
                (0..500).map(|n| (n % 5, Counted(n, &here))).collect();
            new.reclaim();
            assert_eq!((new.pending(), here.load(Ordering::Relaxed)), (495, 500));
            drop(new);
            assert_eq!(here.load(Ordering::Relaxed), 0);
        });

        // The parent sees no effect of the child.
        assert_eq!((map.len(), map.pending(), strings.len()), (2_000, 0, 1));
        drop(map.remove(&7));
        map.reclaim();
        assert_eq!((map.pending(), alive.load(Ordering::Relaxed)), (1, 2_000));
        go.send(()).expect("the reader waits for it");
        reader.join().expect("it saw what it had found");
    });
    map.insert(7, Counted(7, &alive));
    alive.fetch_add(1, Ordering::Relaxed);

    let guard = pin();
    forked("a guard of the thread that forks", || {
        drop(guard);
        use_all(&map, &strings, &alive);
        map.reclaim();
        assert_eq!((map.pending(), alive.load(Ordering::Relaxed)), (0, map.len()));
    });
    map.reclaim();
    assert_eq!((map.pending(), alive.load(Ordering::Relaxed)), (0, 2_000));
}
