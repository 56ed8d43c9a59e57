//! Threads of the standard library, of loom or of shuttle, and a function that explores what they can do.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

#[cfg(loom)]
pub use loom::{sync::atomic, thread};
#[cfg(shuttle)]
pub use shuttle::{sync::atomic, thread};
#[cfg(not(any(loom, shuttle)))]
pub use std::{sync::atomic, thread};

/// Runs `program` with many schedules. Without a model checker, runs it once.
pub fn check(program: impl Fn() + Send + Sync + 'static) {
    #[cfg(loom)]
    loom::model(program);
    #[cfg(shuttle)]
    shuttle::check_random(program, 500);
    #[cfg(not(any(loom, shuttle)))]
    program();
}

/// Returns all results of `program`, and the number of its executions.
pub fn explore<T: Ord + Clone + Send + 'static>(
    program: impl Fn() -> T + Send + Sync + 'static,
) -> (BTreeSet<T>, usize) {
    let seen = Arc::new(Mutex::new((BTreeSet::new(), 0)));
    let note = seen.clone();
    check(move || {
        let result = program();
        let mut seen = note.lock().unwrap();
        seen.0.insert(result);
        seen.1 += 1;
    });
    let seen = seen.lock().unwrap();
    seen.clone()
}

/// Runs two functions in two threads, and returns both results.
pub fn both<A: 'static, B: Send + 'static>(
    one: impl FnOnce() -> A,
    other: impl FnOnce() -> B + Send + 'static,
) -> (A, B) {
    let other = thread::spawn(other);
    let one = one();
    (one, other.join().unwrap())
}
