//! Helpers that the integration tests share: a small random number generator, bad hashers,
//! a watchdog, an allocator that fails on demand, and the recording and checking of histories.
#![allow(dead_code, reason = "each test binary uses a part of these helpers")]

pub(crate) mod alloc;
pub(crate) mod alone;
pub(crate) mod check;
pub(crate) mod compare;
pub(crate) mod fuse;
pub(crate) mod hashers;
pub(crate) mod history;
pub(crate) mod layouts;
pub(crate) mod nibbles;
pub(crate) mod ordered;
pub(crate) mod quarantine;
pub(crate) mod rng;
pub(crate) mod tracked;
pub(crate) mod values;
pub(crate) mod walks;

use hedgerow::FlatMap;
use std::any::Any;
use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::{BuildHasher, Hash};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Scope, ScopedJoinHandle, Thread};
use std::time::{Duration, Instant};

/// The message of every panic that a test plans.
pub(crate) const PLANNED: &str = "a planned panic";

/// A number or a time that limits a test.
pub(crate) trait Amount {
    fn times(self, factor: f64) -> Self;
}

macro_rules! amounts {
    ($($number:ty)*) => {$(
        impl Amount for $number {
            #[allow(clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "an estimate")]
            #[allow(clippy::cast_lossless, reason = "not of every number")]
            fn times(self, factor: f64) -> Self {
                (self as f64 * factor).ceil() as Self
            }
        }
    )*};
}
amounts!(i32 u32 u64 usize);

impl Amount for Duration {
    fn times(self, factor: f64) -> Self {
        self.mul_f64(factor)
    }
}

/// Returns the default amount, times the factor in `HEDGEROW_TEST_EFFORT` if it is set: 10 for a long night, 0.2 for a
/// build in which an instruction takes ten.
pub(crate) fn effort<A: Amount>(by_default: A) -> A {
    let factor = std::env::var("HEDGEROW_TEST_EFFORT").ok();
    by_default.times(factor.map_or(1.0, |text| text.parse().expect("a factor")))
}

/// The seed of every random choice: `HEDGEROW_TEST_SEED`, or always the same one.
pub(crate) fn seed() -> u64 {
    std::env::var("HEDGEROW_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(0x5eed)
}

/// Runs `round` with growing numbers until `rounds` of them are done or `time` is over (both by
/// [`effort`]); returns the number of rounds. One always runs, so a slow machine tests less, never nothing.
pub(crate) fn rounds(rounds: u32, time: Duration, round: impl FnMut(u32)) -> u32 {
    at_least(1, rounds, time, round)
}

/// As `rounds`, for histories: one of them finds little, so twenty always run. Prints how many did.
pub(crate) fn histories(rounds: u32, time: Duration, round: impl FnMut(u32)) {
    let played = at_least(20, rounds, time, round);
    println!("{played} histories");
    assert!(played >= 20, "only {played} histories");
}

fn at_least(least: u32, rounds: u32, time: Duration, mut round: impl FnMut(u32)) -> u32 {
    let (rounds, end) = (effort(rounds), Instant::now() + effort(time));
    let mut done = 0;
    while done < least || done < rounds && Instant::now() < end {
        round(done);
        done += 1;
    }
    done
}

/// Ignores a result, `Copy` or not.
pub(crate) fn ignore<T>(_: T) {}

/// Runs `work` in a thread of its own and panics if it has not returned after `seconds`, so that a test that hangs
/// fails. The limit is far above the time of a busy machine. `HEDGEROW_TEST_LIMITS` multiplies it, for a machine on
/// which other work has precedence.
pub(crate) fn within<R: Send + 'static>(
    seconds: u64,
    what: &str,
    work: impl FnOnce() -> R + Send + 'static,
) -> R {
    struct Back(Arc<AtomicBool>, Thread);
    impl Drop for Back {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Release);
            self.1.unpark();
        }
    }
    let factor = std::env::var("HEDGEROW_TEST_LIMITS").ok();
    let seconds = seconds * factor.map_or(1, |factor| factor.parse().expect("a number"));
    let back = Arc::new(AtomicBool::new(false));
    let bell = Back(Arc::clone(&back), thread::current());
    let worker = thread::spawn(move || {
        let _bell = bell;
        work()
    });
    let end = Instant::now() + Duration::from_secs(seconds);
    while !back.load(Ordering::Acquire) {
        let left = end.saturating_duration_since(Instant::now());
        assert!(
            !left.is_zero(),
            "{what}: not back after {seconds} s; is something locked for ever?"
        );
        thread::park_timeout(left);
    }
    worker.join().unwrap_or_else(|payload| resume_unwind(payload))
}

/// Threads that borrow from their caller; see [`joined_scope`].
pub(crate) struct JoinedScope<'scope, 'env: 'scope> {
    scope: &'scope Scope<'scope, 'env>,
    threads: RefCell<Vec<ScopedJoinHandle<'scope, ()>>>,
}

impl<'scope> JoinedScope<'scope, '_> {
    pub(crate) fn spawn<R: 'scope>(&self, work: impl FnOnce() -> R + Send + 'scope) {
        let thread = self.scope.spawn(move || ignore(work()));
        self.threads.borrow_mut().push(thread);
    }
}

/// A `thread::scope` that joins each of its threads. The end of a scope alone orders nothing for a
/// sanitizer, because std itself is not instrumented.
pub(crate) fn joined_scope<'env>(work: impl for<'scope> FnOnce(&JoinedScope<'scope, 'env>)) {
    thread::scope(|scope| {
        let scope = JoinedScope { scope, threads: RefCell::default() };
        work(&scope);
        for thread in scope.threads.into_inner() {
            thread.join().unwrap_or_else(|payload| resume_unwind(payload));
        }
    });
}

/// Panics as planned.
pub(crate) fn planned_panic() -> ! {
    panic!("{PLANNED}")
}

/// Runs `work`, which must panic as planned; passes on any other panic.
pub(crate) fn must_panic(what: &str, work: impl FnOnce()) {
    assert!(panics(work), "{what}: the planned panic did not come through");
}

/// Returns whether `work` panicked as planned; passes on any other panic.
pub(crate) fn panics(work: impl FnOnce()) -> bool {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(()) => false,
        Err(payload) if is_planned(payload.as_ref()) => true,
        Err(payload) => resume_unwind(payload),
    }
}

fn is_planned(payload: &(dyn Any + Send)) -> bool {
    message(payload).contains(PLANNED)
}

/// Asserts that each third result, from the first on, is a planned panic, and that the others are values.
pub(crate) fn assert_each_third_panicked<T>(
    results: impl IntoIterator<Item = Result<T, Box<dyn Any + Send>>>,
) {
    for (n, result) in results.into_iter().enumerate() {
        match result {
            Ok(_) => assert_ne!(n % 3, 0),
            Err(payload) => assert!(n % 3 == 0 && is_planned(payload.as_ref())),
        }
    }
}

/// Returns the text of a panic, empty if it has none.
pub(crate) fn message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or_default()
}

/// Stops the other threads when it is dropped, also by a panic, so that a failure ends the test.
pub(crate) struct Stop<'a>(pub(crate) &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Asserts that at rest `len`, iteration and look-ups agree, and that no key occurs twice.
pub(crate) fn assert_consistent<K, V, S>(map: &FlatMap<K, V, S>) -> HashSet<K>
where
    K: Copy + Eq + Hash + Debug,
    V: Copy + PartialEq + Debug,
    S: BuildHasher,
{
    let mut keys = HashSet::new();
    for (key, value) in map {
        assert!(keys.insert(key), "{key:?} is there twice");
        assert_eq!(map.get(&key), Some(value), "iteration and look-up differ on {key:?}");
    }
    assert_eq!(map.len(), keys.len(), "len is not what is there");
    assert_eq!(map.stats().len, keys.len(), "stats().len is not what is there");
    assert_eq!(map.is_empty(), keys.is_empty());
    keys
}
