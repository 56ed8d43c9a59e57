//! Models of tickets and queues. Each names the outcomes that it must have met by the end.

use super::queue::{Queue, Refused};
use super::ticket::Ticket;
use crate::facade::atomic::{AtomicUsize, Ordering};
use crate::sync::loom::explore;
use ::loom::sync::{Arc, Condvar, Mutex};
use ::loom::thread;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::boxed::Box;
use std::format;
use std::task::Wake;
use std::vec::Vec;

#[test]
fn loom_wait_against_keep() {
    explore(3, ["1"], |saw| {
        let (promise, ticket) = Ticket::pair();
        let keeper = thread::spawn(move || promise.keep(Ok(1)));
        saw(format!("{}", ticket.wait().unwrap()));
        keeper.join().unwrap();
    });
}

/// Counts how many of it there are.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        // relaxed: the threads are joined before it is read.
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// An answer that nobody wants is dropped once, whoever comes last.
#[test]
fn loom_drop_of_a_ticket_against_keep() {
    explore(3, ["1 false", "1 true"], |saw| {
        let dropped = Arc::new(AtomicUsize::new(0));
        let answer = Counted(dropped.clone());
        let (promise, mut ticket) = Ticket::pair();
        let keeper = thread::spawn(move || promise.keep(Ok(answer)));
        let taken = ticket.try_take().is_some();
        drop(ticket);
        keeper.join().unwrap();
        // relaxed: as above.
        saw(format!("{} {taken}", dropped.load(Ordering::Relaxed)));
    });
}

/// What a task sleeps by.
struct Alarm {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Wake for Alarm {
    fn wake(self: std::sync::Arc<Self>) {
        *self.rung.lock().unwrap() = true;
        self.changed.notify_one();
    }
}

fn block_on<T>(mut ticket: Ticket<T>) -> (std::thread::Result<T>, usize) {
    let alarm = std::sync::Arc::new(Alarm { rung: Mutex::new(false), changed: Condvar::new() });
    let waker = Waker::from(alarm.clone());
    let mut polls = 0;
    loop {
        polls += 1;
        if let Poll::Ready(answer) = Pin::new(&mut ticket).poll(&mut Context::from_waker(&waker)) {
            return (answer, polls);
        }
        let mut rung = alarm.rung.lock().unwrap();
        while !*rung {
            rung = alarm.changed.wait(rung).unwrap();
        }
        *rung = false;
    }
}

/// A waker that is left while the answer comes is woken, or need not be.
#[test]
fn loom_waker_against_keep() {
    explore(3, ["7 1", "7 2"], |saw| {
        let (promise, ticket) = Ticket::pair();
        let keeper = thread::spawn(move || promise.keep(Ok(7)));
        let (answer, polls) = block_on(ticket);
        saw(format!("{} {polls}", answer.unwrap()));
        keeper.join().unwrap();
    });
}

#[test]
fn loom_wait_against_a_broken_promise() {
    explore(3, ["true"], |saw| {
        let (promise, ticket) = Ticket::<Box<u8>>::pair();
        let breaker = thread::spawn(move || drop(promise));
        saw(format!("{}", ticket.wait().unwrap_err().is::<super::Broken>()));
        breaker.join().unwrap();
    });
}

/// A request comes while who takes goes to rest: he finds it, or is woken.
#[test]
fn loom_put_against_rest() {
    explore(3, ["rings", "silent"], |saw| {
        let queue = Arc::new(Queue::new(2));
        let other = queue.clone();
        let putter = thread::spawn(move || other.put(1, 1, false).unwrap());
        let mut taken = Vec::new();
        let some = queue.take(&mut taken);
        let rests = some == 0 && queue.rest();
        let rings = putter.join().unwrap();
        assert_eq!(rings, rests, "who rests is woken, and nobody else");
        if some == 0 {
            queue.take(&mut taken);
        }
        assert_eq!(taken, [1]);
        saw(if rings { "rings" } else { "silent" }.into());
    });
}

/// Who waits for room gets it, or hears that there will be none; nothing that was accepted is left.
#[test]
fn loom_put_into_a_full_queue_against_take_and_close() {
    explore(2, ["closed [1]", "taken [1, 2]"], |saw| {
        let queue = Arc::new(Queue::new(1));
        queue.put(1, 1, false).unwrap();
        let other = queue.clone();
        let putter = thread::spawn(move || match other.put(2, 1, true) {
            Ok(_) => "taken",
            Err(Refused::Closed(2)) => "closed",
            Err(_) => unreachable!(),
        });
        let mut all = Vec::new();
        queue.take(&mut all);
        queue.close();
        let how = putter.join().unwrap();
        let mut rest = Vec::new();
        queue.take(&mut rest);
        all.append(&mut rest);
        saw(format!("{how} {all:?}"));
    });
}
