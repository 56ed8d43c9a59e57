//! A thread that goes round among maps, and does for each what is due.

use super::{Progress, Worker};
use alloc::boxed::Box;
use alloc::vec::Vec;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long the thread sleeps where nothing is due: the first time after something was, and at most.
const FIRST: Duration = Duration::from_micros(100);
const LONGEST: Duration = Duration::from_millis(10);

/// What is done for one map: whether some was due, and None when the map is gone.
pub(super) type Visit = Box<dyn FnMut(usize) -> Option<bool> + Send>;

pub(super) struct Rounds {
    /// Maps that the thread has not met yet.
    new: Arc<Mutex<Vec<Visit>>>,
    pub(super) worker: Worker,
}

impl Rounds {
    /// Starts the thread, with no maps yet; `budget` is what a visit may do.
    pub(super) fn spawn(name: &str, budget: usize) -> io::Result<Self> {
        let new = Arc::<Mutex<Vec<Visit>>>::default();
        let inbox = Arc::clone(&new);
        let (mut maps, mut pause) = (Vec::new(), FIRST);
        let worker = Worker::spawn(name, budget, move |budget| {
            // No lock is held while users' code runs.
            maps.append(&mut inbox.lock().unwrap_or_else(PoisonError::into_inner));
            let mut due = false;
            maps.retain_mut(|visit| {
                let done = visit(budget);
                due |= done == Some(true);
                done.is_some()
            });
            if due {
                pause = FIRST;
                return Progress::More;
            }
            let now = pause;
            pause = (pause * 2).min(LONGEST);
            if maps.is_empty() { Progress::Idle } else { Progress::Later(now) }
        })?;
        Ok(Self { new, worker })
    }

    pub(super) fn add(&self, visit: Visit) {
        if self.worker.is_finished() {
            // A panic has ended the thread: nobody would ever take the visit out.
            return;
        }
        self.new.lock().unwrap_or_else(PoisonError::into_inner).push(visit);
        self.worker.wake();
    }
}
