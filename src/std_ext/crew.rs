//! What workers do: take requests out of a queue, do them in key order, look after the balance.
//!
//! # Synchronization
//! Requests and answers go through the mutexes of [`queue`](super::queue) and [`ticket`](super::ticket). The rest is
//! figures and hints, relaxed: how many fences are hot, or that the queues are closed, which they say themselves too.

use super::queue::Queue;
use super::ticket::{Broken, Promise, Serves};
use super::workers::FenceWorkersBuilder;
use super::{Progress, Worker, affinity};
use crate::facade::atomic::{AtomicUsize, Ordering};
use crate::facade::spin_hint;
use crate::fence::{Computed, FenceMap, Op, Ranking};
use crate::sync::cache::CachePadded;
use crate::sync::stripes::{STRIPES, stripe};
use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use core::any::Any;
use core::cell::Cell;
use core::time::Duration;
use core::{array, mem};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use std::{io, thread};

/// Looks for which a fence stays hot: requests that are handed over meet in no lock, so whether it still is shows
/// only when its requests are done in place for a while.
const LOOKS: usize = 64;
/// How much longer than its pace who balances sleeps where there is nothing to even out.
const LONGEST: u32 = 16;
/// Looks at an empty queue before the thread sleeps.
const GLANCES: u32 = 32;
/// Changes that are done together at least, where there are as many: enough for some in each leaf, few enough for
/// what they need to stay in a core's caches.
const TOGETHER: usize = 1 << 12;
/// In `mode`: requests are handed back.
pub(super) const CLOSED: usize = usize::MAX;

std::thread_local! {
    /// Whether this thread does requests for others: it would wait for itself.
    static IS_WORKER: Cell<bool> = const { Cell::new(false) };
}

/// One change, whatever its closure.
pub(super) trait Job<K, V, R>: Send {
    fn run(self: Box<Self>, map: &FenceMap<K, V, R>);
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

pub(super) struct Compute<K, V, F> {
    pub(super) key: K,
    pub(super) f: F,
    pub(super) promise: Promise<Computed<V>>,
}

impl<K, V, R, F> Job<K, V, R> for Compute<K, V, F>
where
    K: Copy + Ord + Send + 'static,
    V: Copy + Send + 'static,
    R: Ranking<K>,
    F: FnMut(Option<V>) -> Op<V> + Send + 'static,
{
    fn run(self: Box<Self>, map: &FenceMap<K, V, R>) {
        let Self { key, f, promise } = *self;
        promise.keep(catch_unwind(AssertUnwindSafe(|| map.compute(key, f))));
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

pub(super) type One<K, V, R> = (K, Box<dyn Job<K, V, R>>);
/// What each key of some changes had before.
pub type Answers<V> = Vec<Option<V>>;
/// What is to be done about some keys.
pub type Changes<K, V> = Vec<(K, Op<V>)>;
/// Changes that came together, and who wants to know.
type Many<K, V> = (Changes<K, V>, Option<Promise<Answers<V>>>);

pub(super) enum Request<K, V, R> {
    One(One<K, V, R>),
    Many(Changes<K, V>, Option<Promise<Answers<V>>>),
}

pub(super) struct Shared<K, V, R> {
    pub(super) map: Arc<FenceMap<K, V, R>>,
    pub(super) queues: Vec<Queue<Request<K, V, R>>>,
    /// How many fences are hot, at least 1 where everything is handed over; or `CLOSED`.
    pub(super) mode: AtomicUsize,
    pub(super) settings: FenceWorkersBuilder,
    pub(super) figures: Figures,
}

pub(super) struct Figures {
    pub(super) in_place: [CachePadded<AtomicUsize>; STRIPES],
    pub(super) delegated: AtomicUsize,
    pub(super) drains: AtomicUsize,
    pub(super) drained: AtomicUsize,
    pub(super) most_drained: AtomicUsize,
    pub(super) steps: AtomicUsize,
    pub(super) changes: AtomicUsize,
    /// Workers that have died.
    pub(super) died: AtomicUsize,
}

pub(super) fn add(figure: &AtomicUsize, more: usize) {
    // relaxed: a figure.
    figure.fetch_add(more, Ordering::Relaxed);
}

pub(super) fn read(figure: &AtomicUsize) -> usize {
    // relaxed: a figure.
    figure.load(Ordering::Relaxed)
}

impl Figures {
    pub(super) fn new() -> Self {
        Self {
            in_place: array::from_fn(|_| CachePadded::new(AtomicUsize::new(0))),
            delegated: AtomicUsize::new(0),
            drains: AtomicUsize::new(0),
            drained: AtomicUsize::new(0),
            most_drained: AtomicUsize::new(0),
            steps: AtomicUsize::new(0),
            changes: AtomicUsize::new(0),
            died: AtomicUsize::new(0),
        }
    }

    /// Of two threads that share a stripe one may go uncounted: less than a locked addition costs.
    #[inline]
    pub(super) fn add_in_place(&self, some: usize) {
        let figure = &self.in_place[stripe()];
        // relaxed: a figure.
        figure.store(read(figure).wrapping_add(some), Ordering::Relaxed);
    }
}

/// What a worker's thread has of its own.
struct Desk<K, V, R> {
    number: usize,
    requests: Vec<Request<K, V, R>>,
    ones: Vec<One<K, V, R>>,
    many: Vec<Many<K, V>>,
    /// Changes in `many`.
    changes: usize,
    /// Looks at an empty queue, lately.
    glances: u32,
    /// When to look after the balance, for the first worker.
    due: Option<Instant>,
    looked: Instant,
    pause: Duration,
}

/// Does what others have brought; what it panics with beyond their tickets is nobody's.
fn contain(work: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(work)) {
        // Its destructor may panic, too. Where that brings something that does so again, it is left alone.
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(payload)));
        dropped.unwrap_or_else(mem::forget);
    }
}

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> Shared<K, V, R> {
    /// Whether all requests are to be done in place.
    #[inline]
    pub(super) fn is_calm(&self) -> bool {
        read(&self.mode) == 0
    }

    /// The worker who is to do a request for this key; None if it is to be done in place.
    #[cold]
    pub(super) fn worker_of(&self, key: &K) -> Option<usize> {
        if IS_WORKER.get() {
            return None;
        }
        self.map.worker_of(key, self.queues.len(), self.settings.threshold > 0)
    }

    pub(super) fn is_closed(&self) -> bool {
        read(&self.mode) == CLOSED
    }

    fn do_one(&self, (_, job): One<K, V, R>) {
        contain(|| job.run(&self.map));
    }

    fn do_ones(&self, ones: &mut Vec<One<K, V, R>>) {
        // An order that panics leaves them as they are: all there, in some order.
        contain(|| ones.sort_by_key(|one| one.0));
        ones.drain(..).for_each(|one| self.do_one(one));
    }

    /// All changes of several batches with one lock for each leaf.
    fn do_many(&self, many: &mut Vec<Many<K, V>>) {
        if many.is_empty() {
            return;
        }
        let apply = |changes: &[(K, Op<V>)]| {
            catch_unwind(AssertUnwindSafe(|| self.map.apply_each(changes)))
        };
        if many.len() == 1
            && let Some((changes, promise)) = many.pop()
        {
            let answers = apply(&changes);
            contain(|| match promise {
                Some(promise) => promise.keep(answers),
                None => drop(answers),
            });
            return;
        }
        let all: Vec<_> = many.iter().flat_map(|(changes, _)| changes).copied().collect();
        match apply(&all) {
            Ok(answers) => {
                let mut answers = answers.into_iter();
                for (changes, promise) in many.drain(..) {
                    let own = answers.by_ref().take(changes.len());
                    match promise {
                        Some(promise) => {
                            let own = own.collect();
                            contain(|| promise.keep(Ok(own)));
                        }
                        None => own.for_each(drop),
                    }
                }
            }
            Err(payload) => {
                let mut payload = Some(payload);
                for promise in many.drain(..).filter_map(|(_, promise)| promise) {
                    // One panic cannot be handed to several.
                    let payload = payload.take().unwrap_or_else(|| Box::new(Broken));
                    contain(|| promise.keep(Err(payload)));
                }
                contain(|| drop(payload));
            }
        }
    }

    /// Takes what is in a queue and does it; says how many requests that was.
    fn drain(&self, desk: &mut Desk<K, V, R>) -> usize {
        let some = self.queues[desk.number].take(&mut desk.requests);
        if some == 0 {
            return 0;
        }
        add(&self.figures.drains, 1);
        add(&self.figures.drained, some);
        // relaxed: a figure.
        self.figures.most_drained.fetch_max(some, Ordering::Relaxed);
        for request in desk.requests.drain(..) {
            // Those of one kind together, but none before another that came first.
            match request {
                Request::One(one) => {
                    self.do_many(&mut desk.many);
                    desk.ones.push(one);
                }
                Request::Many(changes, promise) => {
                    self.do_ones(&mut desk.ones);
                    desk.changes += changes.len();
                    desk.many.push((changes, promise));
                    if desk.changes >= TOGETHER {
                        self.do_many(&mut desk.many);
                        desk.changes = 0;
                    }
                }
            }
        }
        self.do_ones(&mut desk.ones);
        self.do_many(&mut desk.many);
        some
    }

    /// Looks after the balance, if that is due.
    fn tend(&self, desk: &mut Desk<K, V, R>) {
        let now = Instant::now();
        if desk.due.is_none_or(|due| now < due) {
            return;
        }
        // Who had no processor for a while has more to see.
        let since = now.saturating_duration_since(mem::replace(&mut desk.looked, now));
        let paces = since.as_micros() / self.settings.pace.as_micros().max(1);
        let paces = usize::try_from(paces).unwrap_or(usize::MAX).max(1);
        let threshold = self.settings.threshold.max(1).saturating_mul(paces);
        let hot = self.map.update_contention(threshold, LOOKS);
        let before = read(&self.mode);
        let hot = hot.max(usize::from(self.settings.threshold == 0));
        if before != CLOSED && before != hot {
            // relaxed: a hint, unless it says that they are closed, which stays.
            let _ = self.mode.compare_exchange(before, hot, Ordering::Relaxed, Ordering::Relaxed);
        }
        let mut changed = false;
        // User code runs in neither, but its memory may run out.
        contain(|| changed = self.map.rebalance_step(self.settings.step));
        add(&self.figures.steps, 1);
        add(&self.figures.changes, usize::from(changed));
        let (pace, longer) = (self.settings.pace, desk.pause.saturating_add(desk.pause / 4));
        desk.pause = if changed || hot > 0 { pace } else { longer };
        desk.pause = desk.pause.min(pace.saturating_mul(LONGEST));
        // A time that is beyond the clock's never comes.
        desk.due = Instant::now().checked_add(desk.pause);
    }

    /// A worker's step.
    fn step(&self, desk: &mut Desk<K, V, R>) -> Progress {
        let some = self.drain(desk);
        self.tend(desk);
        if some > 0 {
            desk.glances = 0;
            return Progress::More;
        }
        // While requests come in, the next ones are mostly there before the system would have put the thread to sleep.
        if !self.is_calm() && desk.glances < GLANCES {
            desk.glances += 1;
            spin_hint();
            thread::yield_now();
            return Progress::More;
        }
        if !self.queues[desk.number].rest() {
            return Progress::More;
        }
        let left = |due: Instant| due.saturating_duration_since(Instant::now());
        desk.due.map_or(Progress::Idle, |due| Progress::Later(left(due)))
    }

    fn desk(&self, number: usize) -> Desk<K, V, R> {
        Desk {
            number,
            requests: Vec::new(),
            ones: Vec::new(),
            many: Vec::new(),
            changes: 0,
            glances: 0,
            due: (number == 0).then(Instant::now),
            looked: Instant::now(),
            pause: self.settings.pace,
        }
    }

    /// Takes no more requests, ends the threads, and does what they left.
    pub(super) fn close(&self, threads: &Mutex<Vec<Worker>>) {
        // relaxed: a hint; the queues say it themselves.
        self.mode.store(CLOSED, Ordering::Relaxed);
        self.queues.iter().for_each(Queue::close);
        // Not under the lock: a request may call this.
        let threads = mem::take(&mut *threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // It ends after the step that is running.
            let _ = thread.shutdown();
        }
        // Nothing comes in any more.
        let serves = Serves::all_of(self.crew()).begin();
        for number in 0..self.queues.len() {
            let mut desk = self.desk(number);
            while self.drain(&mut desk) > 0 {}
        }
        serves.begin();
    }

    /// What tells this crew from others, as long as it lives.
    pub(super) fn crew(&self) -> usize {
        core::ptr::from_ref(self).addr()
    }

    /// Fails all requests that a worker had, which has died, and those that wait for it. Later ones are done in place.
    fn abandon(&self, desk: &mut Desk<K, V, R>) {
        add(&self.figures.died, 1);
        let queue = &self.queues[desk.number];
        queue.close();
        desk.ones.drain(..).for_each(|one| contain(|| drop(one)));
        desk.many.drain(..).for_each(|many| contain(|| drop(many)));
        desk.requests.drain(..).for_each(|request| contain(|| drop(request)));
        queue.take(&mut desk.requests);
        desk.requests.drain(..).for_each(|request| contain(|| drop(request)));
    }
}

/// A worker's place, which its thread drops when it ends. If nobody has told it to, the worker has died.
pub(super) struct Seat<K: Copy + Ord, V: Copy, R: Ranking<K>> {
    shared: Arc<Shared<K, V, R>>,
    desk: Desk<K, V, R>,
}

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> Seat<K, V, R> {
    pub(super) fn new(shared: &Arc<Shared<K, V, R>>, number: usize) -> Self {
        Self { shared: Arc::clone(shared), desk: shared.desk(number) }
    }
}

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> Drop for Seat<K, V, R> {
    fn drop(&mut self) {
        // The thread that closes the crew does the requests that its workers leave.
        if !self.shared.is_closed() {
            self.shared.abandon(&mut self.desk);
        }
    }
}

impl<K, V, R> Shared<K, V, R>
where
    K: Copy + Ord + Send + Sync + 'static,
    V: Copy + Send + Sync + 'static,
    R: Ranking<K> + Send + Sync + 'static,
{
    pub(super) fn start(self: &Arc<Self>, number: usize) -> io::Result<Worker> {
        let mut seat = Seat::new(self, number);
        let mut has_begun = false;
        let name = format!("{}-{number}", self.settings.name);
        Worker::spawn(name, 0, move |_| {
            if !has_begun {
                has_begun = true;
                IS_WORKER.set(true);
                Serves::one_of(seat.shared.crew(), number).begin();
                let processors = &seat.shared.settings.processors;
                if let Some(at) = number.checked_rem(processors.len()) {
                    let _ = affinity::pin_to(processors[at]);
                }
            }
            let Seat { shared, desk } = &mut seat;
            shared.step(desk)
        })
    }
}
