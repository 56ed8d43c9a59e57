//! The bounded queue of requests for one worker: many producers, one consumer.
//!
//! The bound is a sum of weights, and the worker takes all requests at once. The queues of crossbeam count elements,
//! and do not block: a second protocol for waiting and waking would have to be verified.
//!
//! # Synchronization
//! One mutex guards everything. It is held only while a request is moved in or a vector is swapped out. The worker sets
//! `idle` under the mutex before it sleeps, and only if the queue is empty. A producer that finds `idle` set clears it
//! and wakes the worker. So no request waits in the queue of a sleeping worker.

use crate::facade::blocking::{Condvar, Mutex, MutexGuard};
use std::sync::PoisonError;
use std::{error, fmt, mem};

/// Why a request was not accepted. Contains the request.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrySubmitError<T> {
    /// The queue is full.
    Full(T),
    /// The workers have been shut down.
    Closed(T),
}

impl<T> TrySubmitError<T> {
    /// Returns the request.
    ///
    /// ```
    /// use hedgerow_std_ext::TrySubmitError;
    /// assert_eq!(TrySubmitError::Full(1).into_inner(), 1);
    /// ```
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(request) | Self::Closed(request) => request,
        }
    }

    #[cfg_attr(hedgerow_loom, allow(dead_code, reason = "the models hand no request back"))]
    pub(crate) fn map<U>(self, f: impl FnOnce(T) -> U) -> TrySubmitError<U> {
        match self {
            Self::Full(request) => TrySubmitError::Full(f(request)),
            Self::Closed(request) => TrySubmitError::Closed(f(request)),
        }
    }
}

impl<T> fmt::Display for TrySubmitError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the queue is full",
            Self::Closed(_) => "the workers have been shut down",
        })
    }
}

/// Does not print the request, as the errors of std's channels do not: closures have no `Debug`.
impl<T> fmt::Debug for TrySubmitError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> error::Error for TrySubmitError<T> {}

pub(crate) struct Queue<T> {
    inner: Mutex<QueueState<T>>,
    /// Signalled when the queue has been emptied, or closed.
    not_full: Condvar,
    /// The most that may wait, by weight.
    capacity: usize,
}

struct QueueState<T> {
    requests: Vec<T>,
    /// The sum of the requests' weights.
    weight: usize,
    /// Producers that block until there is room.
    blocked: usize,
    /// Whether the worker sleeps, and has to be woken.
    idle: bool,
    closed: bool,
}

impl<T> Queue<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        let inner =
            QueueState { requests: Vec::new(), weight: 0, blocked: 0, idle: false, closed: false };
        Self { inner: Mutex::new(inner), not_full: Condvar::new(), capacity }
    }

    fn lock(&self) -> MutexGuard<'_, QueueState<T>> {
        // Nothing that panics runs under the lock.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a request. If the queue is full and `block` is set, waits for room. Returns true if the caller has to
    /// wake the worker.
    pub(crate) fn push(
        &self,
        request: T,
        weight: usize,
        block: bool,
    ) -> Result<bool, TrySubmitError<T>> {
        let mut inner = self.lock();
        loop {
            if inner.closed {
                return Err(TrySubmitError::Closed(request));
            }
            // A request that outweighs the capacity goes in alone; otherwise it would never go in.
            if inner.weight == 0 || inner.weight.saturating_add(weight) <= self.capacity {
                break;
            }
            if !block {
                return Err(TrySubmitError::Full(request));
            }
            inner.blocked += 1;
            inner = self.not_full.wait(inner).unwrap_or_else(PoisonError::into_inner);
            inner.blocked -= 1;
        }
        // An empty batch counts, too: `drain` takes a weight of 0 for an empty queue.
        inner.weight += weight.max(1);
        inner.requests.push(request);
        Ok(mem::replace(&mut inner.idle, false))
    }

    /// Swaps all requests for an empty vector. Returns their weight.
    pub(crate) fn take(&self, into: &mut Vec<T>) -> usize {
        debug_assert!(into.is_empty());
        let mut inner = self.lock();
        mem::swap(&mut inner.requests, into);
        let weight = mem::take(&mut inner.weight);
        let has_blocked = inner.blocked > 0;
        drop(inner);
        if has_blocked {
            self.not_full.notify_all();
        }
        weight
    }

    /// Marks the worker as idle, unless there is a request. Returns whether the worker may sleep.
    pub(crate) fn try_idle(&self) -> bool {
        let mut inner = self.lock();
        inner.idle = inner.requests.is_empty();
        inner.idle
    }

    /// Rejects requests from now on. Those that are in the queue stay there until [`take`](Self::take).
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.not_full.notify_all();
    }
}
