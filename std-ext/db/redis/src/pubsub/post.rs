//! How workers learn that clients of theirs have got mail.

use hedgerow_db_engine::gauge::Gauge;
use hedgerow_db_engine::lock::lock;
use std::cell::Cell;
use std::sync::{Mutex, OnceLock};

/// Wakes a worker.
pub type Wake = Box<dyn Fn(usize) + Send + Sync>;

thread_local! {
    /// The worker that runs on this thread.
    static WORKER: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Notes that this thread runs a worker, which looks at its mail in each cycle and need not be woken by itself.
pub fn run_worker(number: usize) {
    WORKER.set(number);
}

/// For each worker, the places of the clients that have got mail.
pub(super) struct PostOffice {
    announced: Vec<Mutex<Vec<usize>>>,
    wake: OnceLock<Wake>,
    /// Bytes of messages that may wait in a mailbox.
    pub(super) limit: Gauge,
    /// The number of mailboxes. Without one, workers take no lock. The worker that serves a client sees that the
    /// client's mailbox was counted: it has counted the mailbox itself, or has got the client through a lock.
    pub(super) mailboxes: Gauge,
}

impl PostOffice {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            announced: (0..workers).map(|_| Mutex::default()).collect(),
            wake: OnceLock::new(),
            limit: Gauge::new(u64::MAX),
            mailboxes: Gauge::default(),
        }
    }

    pub(super) fn on_mail(&self, wake: Wake) {
        let _ = self.wake.set(wake);
    }

    pub(super) fn set_limit(&self, bytes: usize) {
        self.limit.set(bytes as u64);
    }

    #[inline]
    pub(super) fn take_announced(&self, worker: usize, places: &mut Vec<usize>) {
        if self.mailboxes.get() != 0
            && let Some(announced) = self.announced.get(worker)
        {
            std::mem::swap(&mut *lock(announced), places);
        }
    }

    #[inline]
    pub(super) fn has_announced(&self, worker: usize) -> bool {
        self.mailboxes.get() != 0
            && self.announced.get(worker).is_some_and(|announced| !lock(announced).is_empty())
    }

    /// Lets a worker know that one of its clients has mail. Returns whether the caller must wake the worker.
    pub(super) fn announce(&self, worker: usize, place: usize) -> bool {
        let Some(announced) = self.announced.get(worker) else { return false };
        let mut announced = lock(announced);
        announced.push(place);
        // The thread that has added the first one wakes the worker.
        announced.len() == 1 && WORKER.get() != worker
    }

    pub(super) fn wake(&self, workers: &[usize]) {
        if let Some(wake) = self.wake.get() {
            for worker in workers {
                wake(*worker);
            }
        }
    }
}
