//! Models of tickets and queues. Each lists the outcomes that it must have seen by the end.

use crate::facade::atomic::{AtomicUsize, Ordering};
use crate::facade::blocking::{Arc, Condvar, Mutex};
use crate::queue::{Queue, TrySubmitError};
use crate::ticket::{Canceled, Ticket};
use ::loom::model::Builder;
use ::loom::thread;
use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Wake, Waker};

/// Explores `body` and asserts that the outcomes it reported are exactly `expected`.
fn explore<const N: usize>(
    preemptions: usize,
    expected: [&str; N],
    body: impl Fn(&dyn Fn(String)) + Sync + Send + 'static,
) {
    let expected: BTreeSet<String> = expected.iter().map(|&outcome| outcome.into()).collect();
    let seen = std::sync::Arc::new(std::sync::Mutex::new(BTreeSet::new()));
    let (report, allowed) = (seen.clone(), expected.clone());
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 20_000;
    builder.check(move || {
        body(&|outcome| {
            // At once, not after all interleavings.
            assert!(allowed.contains(&outcome), "forbidden outcome: {outcome}");
            report.lock().unwrap().insert(outcome);
        });
    });
    assert_eq!(*seen.lock().unwrap(), expected, "outcomes seen and expected");
}

#[test]
fn loom_wait_against_keep() {
    explore(3, ["1"], |saw| {
        let (promise, ticket) = Ticket::pair();
        let keeper = thread::spawn(move || promise.keep(Ok(1)));
        saw(format!("{}", ticket.wait().unwrap()));
        keeper.join().unwrap();
    });
}

/// Counts its drops.
struct CountsDrops(Arc<AtomicUsize>);

impl Drop for CountsDrops {
    fn drop(&mut self) {
        // relaxed: the threads are joined before it is read.
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A result that nobody takes is dropped once, by the later of the promise and the ticket.
#[test]
fn loom_drop_of_a_ticket_against_keep() {
    explore(3, ["1 false", "1 true"], |saw| {
        let dropped = Arc::new(AtomicUsize::new(0));
        let result = CountsDrops(dropped.clone());
        let (promise, mut ticket) = Ticket::pair();
        let keeper = thread::spawn(move || promise.keep(Ok(result)));
        let taken = ticket.try_take().is_some();
        drop(ticket);
        keeper.join().unwrap();
        // relaxed: as above.
        saw(format!("{} {taken}", dropped.load(Ordering::Relaxed)));
    });
}

/// A waker that unblocks `block_on`.
struct Signal {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Wake for Signal {
    fn wake(self: std::sync::Arc<Self>) {
        *self.woken.lock().unwrap() = true;
        self.changed.notify_one();
    }
}

fn block_on<T>(mut ticket: Ticket<T>) -> (std::thread::Result<T>, usize) {
    let signal = std::sync::Arc::new(Signal { woken: Mutex::new(false), changed: Condvar::new() });
    let waker = Waker::from(signal.clone());
    let mut polls = 0;
    loop {
        polls += 1;
        if let Poll::Ready(result) = Pin::new(&mut ticket).poll(&mut Context::from_waker(&waker)) {
            return (result, polls);
        }
        let mut woken = signal.woken.lock().unwrap();
        while !*woken {
            woken = signal.changed.wait(woken).unwrap();
        }
        *woken = false;
    }
}

/// A waker that is registered while the promise is kept is woken, or its task finds the result without it.
#[test]
fn loom_waker_against_keep() {
    explore(3, ["7 1", "7 2"], |saw| {
        let (promise, ticket) = Ticket::pair();
        let keeper = thread::spawn(move || promise.keep(Ok(7)));
        let (result, polls) = block_on(ticket);
        saw(format!("{} {polls}", result.unwrap()));
        keeper.join().unwrap();
    });
}

#[test]
fn loom_wait_against_a_dropped_promise() {
    explore(3, ["true"], |saw| {
        let (promise, ticket) = Ticket::<Box<u8>>::pair();
        let dropper = thread::spawn(move || drop(promise));
        saw(format!("{}", ticket.wait().unwrap_err().is::<Canceled>()));
        dropper.join().unwrap();
    });
}

/// A request comes while the worker goes idle: the worker finds it, or is woken.
#[test]
fn loom_push_against_idle() {
    explore(3, ["woken", "not woken"], |saw| {
        let queue = Arc::new(Queue::new(2));
        let other = queue.clone();
        let producer = thread::spawn(move || other.push(1, 1, false).unwrap());
        let mut taken = Vec::new();
        let weight = queue.take(&mut taken);
        let is_idle = weight == 0 && queue.try_idle();
        let wakes = producer.join().unwrap();
        assert_eq!(wakes, is_idle, "an idle worker is woken, and no other");
        if weight == 0 {
            queue.take(&mut taken);
        }
        assert_eq!(taken, [1]);
        saw(if wakes { "woken" } else { "not woken" }.into());
    });
}

/// A producer that waits for room gets it, or learns that the queue is closed. No accepted request is lost.
#[test]
fn loom_push_into_a_full_queue_against_take_and_close() {
    explore(2, ["closed [1]", "taken [1, 2]"], |saw| {
        let queue = Arc::new(Queue::new(1));
        queue.push(1, 1, false).unwrap();
        let other = queue.clone();
        let producer = thread::spawn(move || match other.push(2, 1, true) {
            Ok(_) => "taken",
            Err(TrySubmitError::Closed(2)) => "closed",
            Err(_) => unreachable!(),
        });
        let mut all = Vec::new();
        queue.take(&mut all);
        queue.close();
        let outcome = producer.join().unwrap();
        let mut rest = Vec::new();
        queue.take(&mut rest);
        all.append(&mut rest);
        saw(format!("{outcome} {all:?}"));
    });
}
