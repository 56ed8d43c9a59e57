//! What waits for a worker: a bounded queue with many ends to put in and one to take out.
//!
//! # Synchronization
//! One mutex holds everything, for as long as it takes to move a request in, or a vector out. Who takes says *under it*
//! that he rests, and who puts in sees that under it and rings: so no request is left to one who sleeps.

use crate::facade::blocking::{Condvar, Mutex, MutexGuard};
use alloc::vec::Vec;
use core::{fmt, mem};
use std::sync::PoisonError;

/// Why a request was not taken; hands it back.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused<T> {
    /// The queue is full.
    Full(T),
    /// The workers have been shut down.
    Closed(T),
}

impl<T> Refused<T> {
    /// What was handed back.
    ///
    /// ```
    /// use hedgerow::std_ext::Refused;
    /// assert_eq!(Refused::Full(1).into_inner(), 1);
    /// ```
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(request) | Self::Closed(request) => request,
        }
    }

    #[cfg_attr(hedgerow_loom, allow(dead_code))] // Who hands requests back is not modelled.
    pub(crate) fn map<U>(self, f: impl FnOnce(T) -> U) -> Refused<U> {
        match self {
            Self::Full(request) => Refused::Full(f(request)),
            Self::Closed(request) => Refused::Closed(f(request)),
        }
    }
}

impl<T> fmt::Display for Refused<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the queue is full",
            Self::Closed(_) => "the workers have been shut down",
        })
    }
}

/// As in std's channels: closures need not be able to show themselves.
impl<T> fmt::Debug for Refused<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> core::error::Error for Refused<T> {}

pub(crate) struct Queue<T> {
    inner: Mutex<Inner<T>>,
    room: Condvar,
    /// The most that may wait, by weight.
    bound: usize,
}

struct Inner<T> {
    requests: Vec<T>,
    weight: usize,
    /// Who waits for room.
    waits: usize,
    rests: bool,
    closed: bool,
}

impl<T> Queue<T> {
    pub(crate) fn new(bound: usize) -> Self {
        let inner =
            Inner { requests: Vec::new(), weight: 0, waits: 0, rests: false, closed: false };
        Self { inner: Mutex::new(inner), room: Condvar::new(), bound }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        // Nothing that panics runs under the lock.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a request in, which weighs so much; waits for room if it may. True if who takes has to be woken.
    pub(crate) fn put(&self, request: T, weight: usize, wait: bool) -> Result<bool, Refused<T>> {
        let mut inner = self.lock();
        loop {
            if inner.closed {
                return Err(Refused::Closed(request));
            }
            // One that weighs more than all that may wait goes alone.
            if inner.weight == 0 || inner.weight.saturating_add(weight) <= self.bound {
                break;
            }
            if !wait {
                return Err(Refused::Full(request));
            }
            inner.waits += 1;
            inner = self.room.wait(inner).unwrap_or_else(PoisonError::into_inner);
            inner.waits -= 1;
        }
        inner.weight += weight.max(1);
        inner.requests.push(request);
        Ok(mem::replace(&mut inner.rests, false))
    }

    /// Takes all that is there in exchange for an empty vector; says how much it weighs.
    pub(crate) fn take(&self, into: &mut Vec<T>) -> usize {
        debug_assert!(into.is_empty());
        let mut inner = self.lock();
        mem::swap(&mut inner.requests, into);
        let weight = mem::take(&mut inner.weight);
        let waits = inner.waits > 0;
        drop(inner);
        if waits {
            self.room.notify_all();
        }
        weight
    }

    /// Says that who takes is going to rest; false if there is something to take first.
    pub(crate) fn rest(&self) -> bool {
        let mut inner = self.lock();
        inner.rests = inner.requests.is_empty();
        inner.rests
    }

    /// Takes no more requests. What is in it stays, to be taken out.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.room.notify_all();
    }
}
