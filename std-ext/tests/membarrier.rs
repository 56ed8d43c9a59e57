//! The asymmetric barrier: it forbids the store-buffering outcome, also in a child of `fork`.

#[path = "../db/engine/src/not_run.rs"]
#[expect(unreachable_pub, reason = "the database's packages share it")]
mod not_run;

use hedgerow_std_ext::membarrier;
use not_run::not_run;
use std::hint::spin_loop;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed, Ordering::SeqCst, compiler_fence};
use std::thread;

const ROUNDS: usize = 20_000;

/// A variable on cache lines of its own.
#[derive(Default)]
#[repr(align(128))]
struct Line(AtomicUsize);

/// A side of a rendezvous. If it panics, it has reached every round: the other side would wait for it forever, and the
/// test would hang instead of failing.
struct Side<'a>(&'a AtomicUsize);

impl Drop for Side<'_> {
    fn drop(&mut self) {
        self.0.store(usize::MAX, SeqCst);
    }
}

/// Waits until the other side has reached `round`.
fn meet(own: &AtomicUsize, other: &AtomicUsize, round: usize) {
    own.store(round, SeqCst);
    let mut spins = 0_u32;
    while other.load(SeqCst) < round {
        spins += 1;
        // If there are fewer processors than threads, the other side may need this one.
        if spins.is_multiple_of(1 << 10) { thread::yield_now() } else { spin_loop() }
    }
}

/// Returns in how many of `ROUNDS` rounds neither side saw the other's store. The rare side calls `barrier` between its
/// store and its load.
fn store_buffering(barrier: impl Fn() + Sync) -> usize {
    let (x, y, hot, rare) = (Line::default(), Line::default(), Line::default(), Line::default());
    thread::scope(|scope| {
        let loaded = scope.spawn(|| {
            let _hot = Side(&hot.0);
            let mut loaded = Vec::with_capacity(ROUNDS);
            for round in 1..=ROUNDS {
                meet(&hot.0, &rare.0, round);
                // Some rounds begin late, so that the barrier falls on every place between store and load.
                for _ in 0..round % 64 * 16 {
                    spin_loop();
                }
                x.0.store(round, Relaxed);
                compiler_fence(SeqCst);
                loaded.push(y.0.load(Relaxed));
            }
            loaded
        });
        let _rare = Side(&rare.0);
        let mut mine = Vec::with_capacity(ROUNDS);
        for round in 1..=ROUNDS {
            meet(&rare.0, &hot.0, round);
            y.0.store(round, Relaxed);
            barrier();
            mine.push(x.0.load(Relaxed));
        }
        let theirs = loaded.join().expect("the hot side does not panic");
        (1..=ROUNDS).filter(|&n| theirs[n - 1] < n && mine[n - 1] < n).count()
    })
}

#[test]
fn the_hot_side_needs_no_fence() {
    if !membarrier::register() {
        not_run("this system has no membarrier");
        return;
    }
    let forbidden = store_buffering(|| assert!(membarrier::barrier()));
    // Not asserted: the processor need not reorder.
    let control = store_buffering(|| compiler_fence(SeqCst));
    println!("{ROUNDS} rounds: {forbidden} forbidden outcomes, {control} without the barrier");
    assert_eq!(forbidden, 0, "of {ROUNDS} rounds; without the barrier {control}");
}

#[test]
fn registering_again_is_the_same() {
    let first = membarrier::register();
    for _ in 0..1_000 {
        assert_eq!(membarrier::register(), first);
    }
    assert_eq!(membarrier::barrier(), first);
}

#[cfg(all(target_os = "linux", not(miri)))]
#[test]
fn a_child_of_fork_has_the_barrier_too() {
    if !membarrier::register() {
        not_run("this system has no membarrier");
        return;
    }
    // SAFETY: the child makes only two system calls that need no lock, and ends by `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let code = i32::from(!membarrier::barrier());
        // SAFETY: it ends the process at once, without running any code of the parent's.
        unsafe { libc::_exit(code) }
    }
    assert!(child > 0, "no child: {}", std::io::Error::last_os_error());
    let mut status = 0;
    // SAFETY: `status` lives until the call returns. The child is of this process, and nobody has waited for it.
    let ended = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(ended, child);
    assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "status {status:#x}");
}

#[cfg(all(target_os = "linux", not(miri)))]
#[test]
fn a_visit_is_done_and_leaves_the_thread_where_it_may_run() {
    use rustix::thread::{sched_getaffinity, sched_setaffinity};
    let before = sched_getaffinity(None).expect("a thread knows its processors");
    if sched_setaffinity(None, &before).is_err() {
        assert!(!membarrier::visit_processors());
        not_run("this system does not let a thread choose its processors");
        return;
    }
    assert!(membarrier::visit_processors());
    let after = sched_getaffinity(None).expect("a thread knows its processors");
    assert!(after == before, "the visitor stays on one processor");
}
