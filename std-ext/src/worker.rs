//! A background thread that takes small steps, and sleeps while there are none to take.
//!
//! # Synchronization
//! One mutex holds the two signals (work may have come, stop) and guards nothing else: it is held
//! neither while a step runs nor while anybody waits. The worker takes the wake-up back *before* it
//! takes the step, so one that comes during a step leads to another step: none is lost. What a
//! thread wrote before it called [`Worker::wake`] is seen by the step that follows, by the mutex.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Builder, JoinHandle};
use std::time::{Duration, Instant};
use std::{fmt, io, mem};

/// What a step says of the work that is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is none: the worker may sleep until it is woken.
    Idle,
    /// There is more: the worker takes the next step at once.
    More,
    /// There is none now, but nobody will say when: the worker looks again after so long, or when it is
    /// woken.
    Later(Duration),
}

/// A named thread that drives something in steps, and sleeps while there is nothing to do.
///
/// The thread calls `step(budget)` when it begins, again as long as the answer is
/// [`Progress::More`], and then whenever somebody has called [`wake`](Self::wake) or the time of a
/// [`Progress::Later`] is over. Dropping the
/// worker lets the step that is running end, begins no other, and joins the thread; work that is
/// left stays undone.
///
/// A step that panics ends the thread and disturbs nothing else: later wake-ups do nothing,
/// [`is_finished`](Self::is_finished) says true, and [`shutdown`](Self::shutdown) hands the panic
/// back, while a plain drop ignores it.
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
pub struct Worker {
    signals: Arc<Signals>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts a thread called `name` that takes steps of at most `budget`, in the step's own measure.
    ///
    /// # Errors
    /// When the system gives no thread, or `name` has a zero byte in it.
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
                "a zero byte in a thread's name",
            ));
        }
        let signals = Arc::new(Signals::default());
        let theirs = Arc::clone(&signals);
        let thread = Builder::new().name(name).spawn(move || {
            let mut progress = Progress::More;
            while theirs.go_on(progress) {
                progress = step(budget);
            }
        })?;
        Ok(Self { signals, thread: Some(thread) })
    }

    /// Sees to it that a step begins after this call. Cheap where one is due already.
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

    /// What wakes the worker for who does not own it.
    ///
    /// ```
    /// use hedgerow_std_ext::{Progress, Worker};
    /// let (stepped, steps) = std::sync::mpsc::channel();
    /// let worker = Worker::spawn("steps", 1, move |_| {
    ///     let _ = stepped.send(());
    ///     Progress::Idle
    /// })?;
    /// steps.recv().unwrap();
    /// let bell = worker.bell();
    /// std::thread::spawn(move || bell.ring());
    /// steps.recv().unwrap();
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn bell(&self) -> Bell {
        Bell(Arc::clone(&self.signals))
    }

    /// Whether the thread has ended, which before [`shutdown`](Self::shutdown) means by a panic.
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

    /// Lets the step that is running end, begins no other, and waits until the thread has ended.
    ///
    /// Called from the worker's own step it cannot wait, and the thread ends after that step.
    ///
    /// # Errors
    /// The panic that ended the thread, if one did.
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

    fn stop(&mut self) -> thread::Result<()> {
        self.signals.lock().stop = true;
        self.signals.changed.notify_one();
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

/// Wakes a [`Worker`], which it does not keep alive; from [`Worker::bell`].
#[derive(Clone)]
pub struct Bell(Arc<Signals>);

impl Bell {
    /// As [`Worker::wake`]; does nothing once the worker has ended.
    ///
    /// ```
    /// use hedgerow_std_ext::{Progress, Worker};
    /// let worker = Worker::spawn("idler", 1, |_| Progress::Idle)?;
    /// let bell = worker.bell();
    /// drop(worker);
    /// bell.ring();
    /// # std::io::Result::Ok(())
    /// ```
    pub fn ring(&self) {
        self.0.wake();
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bell").finish_non_exhaustive()
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

    /// Sleeps if there is nothing to do; false when the thread is to end.
    fn go_on(&self, progress: Progress) -> bool {
        // A time that is beyond the clock's is none.
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
        // Before the step: what comes during it counts for the next.
        signal.woken = false;
        !signal.stop
    }
}
