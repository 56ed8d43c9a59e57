//! A thread that visits maps one after the other and does the maintenance that each needs.

use crate::worker::{Progress, Worker};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The first sleep after a round in which no map had work. Each further one is twice as long, up to `LONGEST_SLEEP`.
const FIRST_SLEEP: Duration = Duration::from_micros(100);
const LONGEST_SLEEP: Duration = Duration::from_millis(10);

/// Does up to a budget of work for one map. Returns whether there was any, and None once the map is gone.
type Visit = Box<dyn FnMut(usize) -> Option<bool> + Send>;

/// A thread that visits any number of maps, one after the other, and sleeps while none of them has work.
///
/// After a round with work it begins the next one at once; then it looks every 100 µs, and less and less often until
/// it looks every 10 ms. If a visit panics, the thread ends.
///
/// ```
/// use hedgerow_std_ext::Scheduler;
/// use std::sync::{Arc, Mutex};
///
/// let scheduler = Scheduler::spawn("cleaner", 10)?;
/// let list = Arc::new(Mutex::new(vec![0; 100]));
/// let weak = Arc::downgrade(&list);
/// scheduler.add(move |budget| {
///     let list = weak.upgrade()?;
///     let mut list = list.lock().unwrap();
///     let left = list.len().saturating_sub(budget);
///     let has_work = !list.is_empty();
///     list.truncate(left);
///     Some(has_work)
/// });
/// while !list.lock().unwrap().is_empty() {
///     std::thread::yield_now();
/// }
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
#[must_use = "if unused, the thread ends at once"]
pub struct Scheduler {
    added: Added,
    worker: Worker,
}

/// Visits that the thread has not picked up yet.
#[derive(Clone, Default)]
struct Added(Arc<Mutex<Vec<Visit>>>);

impl std::fmt::Debug for Added {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Added").finish_non_exhaustive()
    }
}

impl Scheduler {
    /// Starts a thread called `name`, without maps yet. Each visit may do up to `budget`, in the visit's own unit.
    ///
    /// # Errors
    /// If the system cannot start a thread.
    ///
    /// ```
    /// let scheduler = hedgerow_std_ext::Scheduler::spawn("idler", 1)?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn spawn(name: &str, budget: usize) -> io::Result<Self> {
        let added = Added::default();
        let inbox = added.clone();
        let (mut visits, mut sleep) = (Vec::new(), FIRST_SLEEP);
        let worker = Worker::spawn(name, budget, move |budget| {
            // Released at the end of the statement: visits run users' code.
            visits.append(&mut inbox.0.lock().unwrap_or_else(PoisonError::into_inner));
            let mut had_work = false;
            visits.retain_mut(|visit: &mut Visit| {
                let outcome = visit(budget);
                had_work |= outcome == Some(true);
                outcome.is_some()
            });
            if had_work {
                sleep = FIRST_SLEEP;
                return Progress::More;
            }
            let now = sleep;
            sleep = (sleep * 2).min(LONGEST_SLEEP);
            if visits.is_empty() { Progress::Idle } else { Progress::Later(now) }
        })?;
        Ok(Self { added, worker })
    }

    /// Adds a map: the thread calls `visit` with the budget until it returns None. `visit` returns whether there was
    /// work.
    ///
    /// Does nothing once the thread has [ended](Self::is_finished).
    ///
    /// ```
    /// let scheduler = hedgerow_std_ext::Scheduler::spawn("once", 1)?;
    /// let (called, calls) = std::sync::mpsc::channel();
    /// scheduler.add(move |budget| {
    ///     called.send(budget).unwrap();
    ///     None
    /// });
    /// assert!(calls.iter().eq([1]));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn add(&self, visit: impl FnMut(usize) -> Option<bool> + Send + 'static) {
        if self.worker.is_finished() {
            // A panic has ended the thread. The list would keep the visit, and its captures, forever.
            return;
        }
        self.added.0.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(visit));
        self.worker.wake();
    }

    /// Returns `true` if the thread has ended, which means that a visit panicked.
    ///
    /// ```
    /// assert!(!hedgerow_std_ext::Scheduler::spawn("idler", 1)?.is_finished());
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.worker.is_finished()
    }
}
