//! The result of a request that another thread may have to do first: a one-shot channel with a panic in it.
//!
//! A ticket may be polled, tried and waited for in any order. The receiver of the crate `oneshot` becomes another type
//! to be polled, and shuttle cannot schedule its operations.
//!
//! # Synchronization
//! One mutex for each pair holds the state: pending, with the waiters; done, with the result; or taken. The promise
//! stores the result under the mutex, and a waiter registers under it. So a waiter either finds the result or is
//! woken. The promise wakes the waiter after it has released the mutex. Wakers are users' code, so they are cloned,
//! woken and dropped outside of it.

use crate::facade::blocking::{Arc, Condvar, Mutex, MutexGuard};
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};
use std::{error, fmt, mem, thread};

/// The pending result of a request that another thread may have to execute.
///
/// A request that was executed by its caller returns a ticket that is ready, without an allocation. Otherwise
/// [`wait`](Self::wait) blocks, and [`try_take`](Self::try_take) does not. A ticket is also a future, for any runtime.
/// Dropping a ticket does not cancel its request.
///
/// The result is `Err` with the panic's payload if the request panicked, and with [`Canceled`] if it was dropped
/// without being executed.
///
/// ```
/// use hedgerow_std_ext::Ticket;
/// let (promise, ticket) = Ticket::pair();
/// let worker = std::thread::spawn(move || promise.keep(Ok(6 * 7)));
/// assert_eq!(ticket.wait().unwrap(), 42);
/// # worker.join().unwrap();
/// ```
#[must_use = "drop it if the result does not matter"]
pub struct Ticket<T>(TicketState<T>);

enum TicketState<T> {
    /// Done by the caller's thread. None once the result was taken.
    Ready(Option<thread::Result<T>>),
    Pending(Arc<Channel<T>>),
}

/// The other end of a [`Ticket`]: provides its result.
///
/// ```
/// use hedgerow_std_ext::{Canceled, Ticket};
/// let (promise, ticket) = Ticket::<u32>::pair();
/// drop(promise);
/// assert!(ticket.wait().unwrap_err().is::<Canceled>());
/// ```
pub struct Promise<T>(Option<Arc<Channel<T>>>);

/// The error of a [`Ticket`] whose request was dropped without being executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Canceled;

impl fmt::Display for Canceled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request was dropped undone")
    }
}

impl error::Error for Canceled {}

/// State that a ticket and its promise share.
struct Channel<T> {
    state: Mutex<ChannelState<T>>,
    done: Condvar,
    /// The worker that does the request.
    worker: WorkerId,
}

/// A worker of a pool.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct WorkerId {
    pool: usize,
    number: usize,
}

std::thread_local! {
    /// The worker whose thread this is.
    static THIS_THREAD: Cell<WorkerId> = const { Cell::new(WorkerId::NONE) };
}

#[cfg_attr(hedgerow_loom, allow(dead_code, reason = "the pool is not modelled"))]
impl WorkerId {
    const NONE: Self = Self { pool: 0, number: 0 };

    pub(crate) fn new(pool: usize, number: usize) -> Self {
        Self { pool, number }
    }

    /// Makes this thread the worker's.
    pub(crate) fn enter(self) {
        THIS_THREAD.set(self);
    }

    /// Whether this thread is a worker of any pool.
    pub(crate) fn is_any_here() -> bool {
        THIS_THREAD.get() != Self::NONE
    }

    /// Whether this thread is a worker of `pool`.
    pub(crate) fn is_here(pool: usize) -> bool {
        THIS_THREAD.get().pool == pool
    }

    /// Whether this thread does the requests of `self`.
    fn is_this_thread(self) -> bool {
        self != Self::NONE && self == THIS_THREAD.get()
    }
}

enum ChannelState<T> {
    Pending {
        /// Whether a thread blocks in `wait`.
        blocked: bool,
        waker: Option<Waker>,
    },
    Done(thread::Result<T>),
    Taken,
}

impl<T> Channel<T> {
    fn lock(&self) -> MutexGuard<'_, ChannelState<T>> {
        // Nothing that panics runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn complete(&self, result: thread::Result<T>) {
        let before = mem::replace(&mut *self.lock(), ChannelState::Done(result));
        if let ChannelState::Pending { blocked, waker } = before {
            if blocked {
                self.done.notify_one();
            }
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    fn wait(&self) -> thread::Result<T> {
        let mut state = self.lock();
        loop {
            if let Some(result) = state.take() {
                return result;
            }
            if let ChannelState::Pending { blocked, .. } = &mut *state {
                *blocked = true;
            }
            state = self.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T> ChannelState<T> {
    fn take(&mut self) -> Option<thread::Result<T>> {
        if !matches!(self, Self::Done(_)) {
            return None;
        }
        let Self::Done(result) = mem::replace(self, Self::Taken) else { unreachable!("just seen") };
        Some(result)
    }
}

impl<T> Ticket<T> {
    /// Returns a ticket that is done. Does not allocate.
    ///
    /// ```
    /// use hedgerow_std_ext::Ticket;
    /// assert_eq!(Ticket::ready(1).wait().unwrap(), 1);
    /// ```
    pub fn ready(result: T) -> Self {
        Self::done(Ok(result))
    }

    #[cfg_attr(hedgerow_loom, allow(dead_code, reason = "the pool is not modelled"))]
    pub(crate) fn done(result: thread::Result<T>) -> Self {
        Self(TicketState::Ready(Some(result)))
    }

    /// Returns a ticket and the promise that provides its result. Allocates once.
    ///
    /// ```
    /// use hedgerow_std_ext::Ticket;
    /// let (promise, mut ticket) = Ticket::pair();
    /// assert!(ticket.try_take().is_none());
    /// promise.keep(Ok('a'));
    /// assert_eq!(ticket.try_take().unwrap().unwrap(), 'a');
    /// ```
    pub fn pair() -> (Promise<T>, Self) {
        Self::pair_of(WorkerId::NONE)
    }

    /// As `pair`, for a request that `worker` executes.
    pub(crate) fn pair_of(worker: WorkerId) -> (Promise<T>, Self) {
        let state = Mutex::new(ChannelState::Pending { blocked: false, waker: None });
        let channel = Arc::new(Channel { state, done: Condvar::new(), worker });
        (Promise(Some(Arc::clone(&channel))), Self(TicketState::Pending(channel)))
    }

    /// Returns `true` if the result is available and was not taken yet.
    ///
    /// ```
    /// assert!(hedgerow_std_ext::Ticket::ready(1).is_ready());
    /// ```
    pub fn is_ready(&self) -> bool {
        match &self.0 {
            TicketState::Ready(result) => result.is_some(),
            TicketState::Pending(channel) => matches!(*channel.lock(), ChannelState::Done(_)),
        }
    }

    /// Takes the result if it is there and was not taken before. Blocks for no longer than a short lock.
    ///
    /// ```
    /// let mut ticket = hedgerow_std_ext::Ticket::ready(1);
    /// assert_eq!(ticket.try_take().unwrap().unwrap(), 1);
    /// assert!(ticket.try_take().is_none());
    /// ```
    pub fn try_take(&mut self) -> Option<thread::Result<T>> {
        match &mut self.0 {
            TicketState::Ready(result) => result.take(),
            TicketState::Pending(channel) => channel.lock().take(),
        }
    }

    /// Waits for the result. Blocks the thread: in a future, await the ticket instead.
    ///
    /// There is no deadline. The wait never ends if the promise is leaked, or if two workers wait for each other's
    /// requests.
    ///
    /// # Errors
    /// The payload of the request's panic, or [`Canceled`].
    ///
    /// # Panics
    /// If the result was taken before. If a worker, within one request, waits for a request that it would have to
    /// execute itself later, which would deadlock: the waiting request fails, and the other one is executed.
    ///
    /// ```
    /// assert_eq!(hedgerow_std_ext::Ticket::ready(1).wait().unwrap(), 1);
    /// ```
    pub fn wait(mut self) -> thread::Result<T> {
        match &mut self.0 {
            TicketState::Ready(result) => result.take().expect("the result was taken before"),
            TicketState::Pending(channel) => {
                let (is_pending, is_taken) = match &*channel.lock() {
                    ChannelState::Pending { .. } => (true, false),
                    ChannelState::Done(_) => (false, false),
                    ChannelState::Taken => (false, true),
                };
                assert!(!is_taken, "the result was taken before");
                assert!(
                    !is_pending || !channel.worker.is_this_thread(),
                    "a worker waited for a request that it has to do itself"
                );
                channel.wait()
            }
        }
    }
}

// The ticket pins nothing: the result is moved out.
impl<T> Unpin for Ticket<T> {}

impl<T> Future for Ticket<T> {
    type Output = thread::Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(result) = self.try_take() {
            return Poll::Ready(result);
        }
        let TicketState::Pending(channel) = &self.0 else { panic!("the result was taken before") };
        let new = context.waker().clone();
        let mut state = channel.lock();
        let old = match &mut *state {
            ChannelState::Pending { waker, .. } => waker.replace(new),
            // The promise was kept after `try_take`, and found no waker: returning `Pending` would sleep forever.
            ChannelState::Done(_) => return Poll::Ready(state.take().expect("just seen")),
            ChannelState::Taken => panic!("the result was taken before"),
        };
        drop(state);
        drop(old);
        Poll::Pending
    }
}

impl<T> fmt::Debug for Ticket<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("ready", &self.is_ready()).finish_non_exhaustive()
    }
}

impl<T> Promise<T> {
    /// Provides the result and wakes the waiter. If the task's waker panics, it does so in the calling thread.
    ///
    /// ```
    /// let (promise, ticket) = hedgerow_std_ext::Ticket::pair();
    /// promise.keep(Ok("done"));
    /// assert!(ticket.is_ready());
    /// ```
    pub fn keep(mut self, result: thread::Result<T>) {
        if let Some(channel) = self.0.take() {
            channel.complete(result);
        }
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        if let Some(channel) = self.0.take() {
            channel.complete(Err(Box::new(Canceled)));
        }
    }
}

impl<T> fmt::Debug for Promise<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Promise").finish_non_exhaustive()
    }
}
