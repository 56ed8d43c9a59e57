//! What somebody gets who has asked another thread for something: the answer, later.
//!
//! # Synchronization
//! One mutex for each pair holds the state: open, with what is to be told; kept; taken. The promise is kept, and who
//! waits is noted, under the mutex: so either the answer is there when somebody begins to wait, or he is told of it.
//! He is told after the mutex was given back, and wakers are cloned and dropped outside of it, since they are the
//! user's.

use crate::facade::blocking::{Arc, Condvar, Mutex, MutexGuard};
use alloc::boxed::Box;
use core::cell::Cell;
use core::fmt;
use core::future::Future;
use core::mem;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::sync::PoisonError;
use std::thread;

/// The answer to a request that another thread may have to do first.
///
/// It is ready at once, and nothing was allocated for it, where the request was done by who made it. Otherwise
/// [`wait`](Self::wait) blocks, [`try_take`](Self::try_take) looks, and as a future it can be awaited in any runtime.
/// Whoever does not care drops it: the request is done all the same.
///
/// The answer is `Err` with what the request panicked with, if it did, and with [`Broken`] if it was dropped undone.
///
/// ```
/// use hedgerow::std_ext::Ticket;
/// let (promise, ticket) = Ticket::pair();
/// let worker = std::thread::spawn(move || promise.keep(Ok(6 * 7)));
/// assert_eq!(ticket.wait().unwrap(), 42);
/// # worker.join().unwrap();
/// ```
#[must_use = "drop it where the answer does not matter"]
pub struct Ticket<T>(Way<T>);

enum Way<T> {
    /// None once it was taken.
    Ready(Option<thread::Result<T>>),
    Later(Arc<Desk<T>>),
}

/// The other end of a [`Ticket`]: who is to answer.
///
/// ```
/// use hedgerow::std_ext::{Broken, Ticket};
/// let (promise, ticket) = Ticket::<u32>::pair();
/// drop(promise);
/// assert!(ticket.wait().unwrap_err().is::<Broken>());
/// ```
pub struct Promise<T>(Option<Arc<Desk<T>>>);

/// What a [`Ticket`] fails with whose request was dropped undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request was dropped undone")
    }
}

impl core::error::Error for Broken {}

struct Desk<T> {
    state: Mutex<State<T>>,
    kept: Condvar,
    /// The worker that is to answer.
    server: Serves,
}

/// Whose requests a thread does: those of one worker of a crew, or of all of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Serves {
    crew: usize,
    number: usize,
}

std::thread_local! {
    static SERVES: Cell<Serves> = const { Cell::new(Serves::NOBODY) };
}

impl Serves {
    const NOBODY: Self = Self { crew: 0, number: 0 };
    const ALL: usize = usize::MAX;

    #[cfg_attr(hedgerow_loom, allow(dead_code))] // Crews are not modelled.
    pub(super) fn one_of(crew: usize, number: usize) -> Self {
        Self { crew, number }
    }

    #[cfg_attr(hedgerow_loom, allow(dead_code))] // As above.
    pub(super) fn all_of(crew: usize) -> Self {
        Self { crew, number: Self::ALL }
    }

    /// Notes that this thread does these requests from now on. Returns the ones that it did before.
    #[cfg_attr(hedgerow_loom, allow(dead_code))] // As above.
    pub(super) fn begin(self) -> Self {
        SERVES.replace(self)
    }

    /// Whether this thread is the one that does these requests.
    fn is_this_thread(self) -> bool {
        let mine = SERVES.get();
        self != Self::NOBODY
            && self.crew == mine.crew
            && (self.number == mine.number || mine.number == Self::ALL)
    }
}

enum State<T> {
    Open {
        /// Whether somebody blocks.
        waits: bool,
        waker: Option<Waker>,
    },
    Kept(thread::Result<T>),
    Taken,
}

impl<T> Desk<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Nothing that panics runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, answer: thread::Result<T>) {
        let open = mem::replace(&mut *self.lock(), State::Kept(answer));
        if let State::Open { waits, waker } = open {
            if waits {
                self.kept.notify_one();
            }
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    fn wait(&self) -> thread::Result<T> {
        let mut state = self.lock();
        loop {
            if let Some(answer) = state.take() {
                return answer;
            }
            if let State::Open { waits, .. } = &mut *state {
                *waits = true;
            }
            state = self.kept.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T> State<T> {
    fn take(&mut self) -> Option<thread::Result<T>> {
        if !matches!(self, Self::Kept(_)) {
            return None;
        }
        let Self::Kept(answer) = mem::replace(self, Self::Taken) else { unreachable!("just seen") };
        Some(answer)
    }
}

impl<T> Ticket<T> {
    /// A ticket with its answer. Allocates nothing.
    ///
    /// ```
    /// use hedgerow::std_ext::Ticket;
    /// assert_eq!(Ticket::ready(1).wait().unwrap(), 1);
    /// ```
    pub fn ready(answer: T) -> Self {
        Self::done(Ok(answer))
    }

    pub(crate) fn done(answer: thread::Result<T>) -> Self {
        Self(Way::Ready(Some(answer)))
    }

    /// A ticket, and the promise that answers it. Allocates once.
    ///
    /// ```
    /// use hedgerow::std_ext::Ticket;
    /// let (promise, mut ticket) = Ticket::pair();
    /// assert!(ticket.try_take().is_none());
    /// promise.keep(Ok('a'));
    /// assert_eq!(ticket.try_take().unwrap().unwrap(), 'a');
    /// ```
    pub fn pair() -> (Promise<T>, Self) {
        Self::pair_of(Serves::NOBODY)
    }

    /// As `pair`, for requests that this worker is to answer.
    pub(super) fn pair_of(server: Serves) -> (Promise<T>, Self) {
        let state = Mutex::new(State::Open { waits: false, waker: None });
        let desk = Arc::new(Desk { state, kept: Condvar::new(), server });
        (Promise(Some(Arc::clone(&desk))), Self(Way::Later(desk)))
    }

    /// Whether the answer is there.
    ///
    /// ```
    /// assert!(hedgerow::std_ext::Ticket::ready(1).is_ready());
    /// ```
    pub fn is_ready(&self) -> bool {
        match &self.0 {
            Way::Ready(answer) => answer.is_some(),
            Way::Later(desk) => matches!(*desk.lock(), State::Kept(_)),
        }
    }

    /// The answer, if it is there and was not taken before. Blocks for no longer than a short lock.
    ///
    /// ```
    /// let mut ticket = hedgerow::std_ext::Ticket::ready(1);
    /// assert_eq!(ticket.try_take().unwrap().unwrap(), 1);
    /// assert!(ticket.try_take().is_none());
    /// ```
    pub fn try_take(&mut self) -> Option<thread::Result<T>> {
        match &mut self.0 {
            Way::Ready(answer) => answer.take(),
            Way::Later(desk) => desk.lock().take(),
        }
    }

    /// Waits for the answer.
    ///
    /// Blocks the thread: in a future, await the ticket instead. There is no deadline: if a promise is leaked, or two
    /// workers wait for each other's requests, the wait never ends.
    ///
    /// # Errors
    /// What the request panicked with, or [`Broken`].
    ///
    /// # Panics
    /// When the answer was taken before, and when a worker, inside one request, waits for another one that it has to do
    /// itself later: it would wait for ever. So the request that waits fails, and the other one is done.
    ///
    /// ```
    /// assert_eq!(hedgerow::std_ext::Ticket::ready(1).wait().unwrap(), 1);
    /// ```
    pub fn wait(mut self) -> thread::Result<T> {
        match &mut self.0 {
            Way::Ready(answer) => answer.take().expect("the answer was taken before"),
            Way::Later(desk) => {
                let (is_open, is_taken) = match &*desk.lock() {
                    State::Open { .. } => (true, false),
                    State::Kept(_) => (false, false),
                    State::Taken => (false, true),
                };
                assert!(!is_taken, "the answer was taken before");
                assert!(
                    !is_open || !desk.server.is_this_thread(),
                    "a worker waited for a request that it has to do itself"
                );
                desk.wait()
            }
        }
    }
}

// Nothing in it is ever pinned.
impl<T> Unpin for Ticket<T> {}

impl<T> Future for Ticket<T> {
    type Output = thread::Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(answer) = self.try_take() {
            return Poll::Ready(answer);
        }
        let Way::Later(desk) = &self.0 else { panic!("the answer was taken before") };
        let new = context.waker().clone();
        let mut state = desk.lock();
        let old = match &mut *state {
            State::Open { waker, .. } => waker.replace(new),
            // It came just now, and nobody was told.
            State::Kept(_) => return Poll::Ready(state.take().expect("just seen")),
            State::Taken => panic!("the answer was taken before"),
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
    /// Answers; wakes who waits. A waker that panics does so here.
    ///
    /// ```
    /// let (promise, ticket) = hedgerow::std_ext::Ticket::pair();
    /// promise.keep(Ok("done"));
    /// assert!(ticket.is_ready());
    /// ```
    pub fn keep(mut self, answer: thread::Result<T>) {
        if let Some(desk) = self.0.take() {
            desk.keep(answer);
        }
    }
}

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        if let Some(desk) = self.0.take() {
            desk.keep(Err(Box::new(Broken)));
        }
    }
}

impl<T> fmt::Debug for Promise<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Promise").finish_non_exhaustive()
    }
}
