//! A background thread that does work in small steps, and sleeps while there is none.
//!
//! # Synchronization
//! One mutex guards two flags: `woken` and `stop`. It is not held while a step runs. The worker clears `woken` *before*
//! a step, so a wake-up that comes during a step causes another step, and is not lost. The mutex also orders memory:
//! the step after a wake-up sees what the waking thread wrote before it called [`Worker::wake`].

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Builder, JoinHandle};
use std::time::{Duration, Instant};
use std::{fmt, io, mem};

/// How much work is left after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// None: the worker sleeps until it is woken.
    Idle,
    /// Some: the worker takes the next step at once.
    More,
    /// None now. The worker takes the next step after this time, or when it is woken.
    Later(Duration),
}

/// A named thread that works in steps, and sleeps while there is nothing to do.
///
/// The thread calls `step(budget)` when it starts, and again while the step returns [`Progress::More`]. After that it
/// calls it for each [`wake`](Self::wake), and when the time of a [`Progress::Later`] is over.
///
/// Dropping the worker waits for the running step and joins the thread, even if there is work left. If a step panics,
/// the thread ends, and later wake-ups do nothing. [`is_finished`](Self::is_finished) then returns `true`, and
/// [`shutdown`](Self::shutdown) returns the panic; a plain drop ignores it.
///
/// ```
/// use hedgerow_std_ext::{Progress, Worker};
/// use std::sync::mpsc::{channel, sync_channel};
///
/// let (jobs, waiting) = channel::<u32>();
/// let (done, results) = sync_channel(100);
/// let squares = Worker::spawn("squares", 16, move |budget| {
///     for _ in 0..budget {
///         let Ok(n) = waiting.try_recv() else { return Progress::Idle };
///         done.send(n * n).unwrap();
///     }
///     Progress::More
/// })?;
/// for n in 0..100 {
///     jobs.send(n).unwrap();
///     squares.wake();
/// }
/// assert!(results.iter().take(100).eq((0..100).map(|n| n * n)));
/// # std::io::Result::Ok(())
/// ```
#[must_use = "if unused, the thread ends at once"]
pub struct Worker {
    signals: Arc<Signals>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts a thread called `name`, whose steps do at most `budget`, in the step's own unit.
    ///
    /// # Errors
    /// If the system cannot start a thread, or `name` contains a zero byte.
    ///
    /// ```
    /// use hedgerow_std_ext::{Progress, Worker};
    /// let worker = Worker::spawn("sweeper", 64, |_budget| Progress::Idle)?;
    /// assert!(Worker::spawn("\0", 1, |_| Progress::Idle).is_err());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn spawn(
        name: impl Into<String>,
        budget: usize,
        mut step: impl FnMut(usize) -> Progress + Send + 'static,
    ) -> io::Result<Self> {
        let name = name.into();
        if name.contains('\0') {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the thread's name contains a zero byte",
            ));
        }
        let signals = Arc::new(Signals::default());
        let of_thread = Arc::clone(&signals);
        let thread = Builder::new().name(name).spawn(move || {
            let mut progress = Progress::More;
            while of_thread.wait(progress) {
                progress = step(budget);
            }
        })?;
        Ok(Self { signals, thread: Some(thread) })
    }

    /// Makes the thread begin a step after this call. Cheap if one is due already.
    ///
    /// ```
    /// use hedgerow_std_ext::{Progress, Worker};
    /// let (stepped, steps) = std::sync::mpsc::channel();
    /// let worker = Worker::spawn("steps", 1, move |_| {
    ///     let _ = stepped.send(());
    ///     Progress::Idle
    /// })?;
    /// steps.recv().unwrap(); // the first step needs no waking
    /// worker.wake();
    /// steps.recv().unwrap();
    /// # std::io::Result::Ok(())
    /// ```
    pub fn wake(&self) {
        self.signals.wake();
    }

    /// Returns a handle by which other threads wake the worker.
    ///
    /// ```
    /// use hedgerow_std_ext::{Progress, Worker};
    /// let (stepped, steps) = std::sync::mpsc::channel();
    /// let worker = Worker::spawn("steps", 1, move |_| {
    ///     let _ = stepped.send(());
    ///     Progress::Idle
    /// })?;
    /// steps.recv().unwrap();
    /// let handle = worker.wake_handle();
    /// std::thread::spawn(move || handle.wake());
    /// steps.recv().unwrap();
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn wake_handle(&self) -> WakeHandle {
        WakeHandle(Arc::clone(&self.signals))
    }

    /// Returns `true` if the thread has ended. Before [`shutdown`](Self::shutdown) only a panic ends it.
    ///
    /// ```
    /// use hedgerow_std_ext::{Progress, Worker};
    /// assert!(!Worker::spawn("sound", 1, |_| Progress::Idle)?.is_finished());
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits until the running step has ended, and ends the thread.
    ///
    /// If the worker's own step calls this, it returns at once, and the thread ends after the step.
    ///
    /// # Errors
    /// The payload of the panic that ended the thread, if one did.
    ///
    /// ```
    /// use hedgerow_std_ext::{Progress, Worker};
    /// let sound = Worker::spawn("sound", 1, |_| Progress::Idle)?;
    /// assert!(sound.shutdown().is_ok());
    /// let broken = Worker::spawn("broken", 1, |_| panic!("out of steam"))?;
    /// while !broken.is_finished() {
    ///     std::thread::yield_now();
    /// }
    /// let panic = broken.shutdown().unwrap_err();
    /// assert_eq!(panic.downcast_ref(), Some(&"out of steam"));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn shutdown(mut self) -> thread::Result<()> {
        self.stop()
    }

    /// Makes the thread end after the running step, and does not wait for that.
    pub(crate) fn signal_stop(&self) {
        self.signals.lock().stop = true;
        self.signals.changed.notify_one();
    }

    /// As [`signal_stop`](Self::signal_stop), for a thread that nobody waits for.
    #[cfg_attr(hedgerow_loom, allow(dead_code, reason = "the pool is not modelled"))]
    pub(crate) fn detach(mut self) {
        self.signal_stop();
        self.thread = None;
    }

    fn stop(&mut self) -> thread::Result<()> {
        self.signal_stop();
        match self.thread.take() {
            Some(thread) if thread.thread().id() != thread::current().id() => thread.join(),
            _ => Ok(()),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.thread.as_ref().and_then(|thread| thread.thread().name());
        f.debug_struct("Worker").field("name", &name).finish_non_exhaustive()
    }
}

/// Wakes a [`Worker`] without keeping it alive; from [`Worker::wake_handle`].
#[derive(Clone)]
pub struct WakeHandle(Arc<Signals>);

impl WakeHandle {
    /// As [`Worker::wake`]. Does nothing once the worker has ended.
    ///
    /// ```
    /// use hedgerow_std_ext::{Progress, Worker};
    /// let worker = Worker::spawn("idler", 1, |_| Progress::Idle)?;
    /// let handle = worker.wake_handle();
    /// drop(worker);
    /// handle.wake();
    /// # std::io::Result::Ok(())
    /// ```
    pub fn wake(&self) {
        self.0.wake();
    }
}

impl fmt::Debug for WakeHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WakeHandle").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Signal {
    woken: bool,
    stop: bool,
}

#[derive(Default)]
struct Signals {
    signal: Mutex<Signal>,
    changed: Condvar,
}

impl Signals {
    fn lock(&self) -> MutexGuard<'_, Signal> {
        // Nothing that panics runs under the lock.
        self.signal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        let mut signal = self.lock();
        if !mem::replace(&mut signal.woken, true) {
            drop(signal);
            self.changed.notify_one();
        }
    }

    /// Sleeps until there is work. Returns false if the thread has to end.
    fn wait(&self, progress: Progress) -> bool {
        // None if the time is beyond the clock's range: then it never comes.
        let until = match progress {
            Progress::Later(pause) => Instant::now().checked_add(pause),
            _ => None,
        };
        let mut signal = self.lock();
        while progress != Progress::More && !signal.woken && !signal.stop {
            let Some(until) = until else {
                signal = self.changed.wait(signal).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.changed.wait_timeout(signal, left);
            signal = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        // Before the step: a wake-up during the step must cause another one.
        signal.woken = false;
        !signal.stop
    }
}
