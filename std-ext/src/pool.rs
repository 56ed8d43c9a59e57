//! The worker pool: each worker takes requests out of its queue, does them in key order, and the first one rebalances.
//!
//! A fence in which attempts to lock a leaf often fail stays hot for 64 rebalancing steps, because requests that are
//! handed over fail no attempt any more. At the end the queues are closed, and each worker does the rest of its own
//! queue before its thread ends: no other thread does a request while the worker still has earlier ones.
//!
//! # Synchronization
//! Requests and results go through the mutexes of [`queue`](crate::queue) and [`ticket`](crate::ticket). `mode` is a
//! hint and relaxed: a caller that reads an old value takes the other path, and both paths are correct. The queues
//! decide under their mutexes whether they are closed.

use crate::affinity;
use crate::builder::FenceWorkersBuilder;
use crate::counters::{Counter, StripedCounter};
use crate::facade::atomic::{AtomicUsize, Ordering};
use crate::map::FencedMap;
use crate::queue::Queue;
use crate::ticket::{Canceled, Promise, WorkerId};
use crate::worker::{Progress, Worker};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{hint, io, mem, thread};

/// Rebalancing steps for which a fence stays hot. Requests that are handed over do not conflict, so whether the fence
/// is still contended shows only while its callers make their changes in place.
const HOT_STEPS: usize = 64;
/// The pause between two rebalancing steps grows to at most this many paces while there is nothing to do.
const LONGEST_PAUSE: u32 = 16;
/// How often a worker finds its queue empty before it sleeps.
const SPINS: u32 = 32;
/// Changes from which on a worker applies the batches that it has gathered. Enough to have several in each leaf, few
/// enough for their bookkeeping to stay in a core's caches.
const GATHERED: usize = 1 << 12;
/// The `mode` of a pool that accepts no more requests.
const CLOSED: usize = usize::MAX;

/// One change, with a closure of any type.
pub(crate) trait Job<M>: Send {
    fn run(self: Box<Self>, map: &M);
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

pub(crate) struct Compute<M: FencedMap, F> {
    pub(crate) key: M::Key,
    pub(crate) f: F,
    pub(crate) promise: Promise<M::Computed>,
}

impl<M, F> Job<M> for Compute<M, F>
where
    M: FencedMap + 'static,
    M::Key: Send,
    M::Computed: Send,
    F: for<'a> FnMut(Option<M::Value<'a>>) -> M::Op + Send + 'static,
{
    fn run(self: Box<Self>, map: &M) {
        let Self { key, f, promise } = *self;
        promise.keep(catch_unwind(AssertUnwindSafe(|| map.compute(key, f))));
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// One change and its key, by which the worker sorts.
type Single<M> = (<M as FencedMap>::Key, Box<dyn Job<M>>);
/// Changes of several keys.
pub(crate) type KeyOps<M> = Vec<(<M as FencedMap>::Key, <M as FencedMap>::Op)>;
/// The previous value of each key of a batch.
pub(crate) type OldValues<M> = Vec<<M as FencedMap>::Before>;
/// Changes that came together. The promise is None if the caller wants no results.
type ChangeBatch<M> = (KeyOps<M>, Option<Promise<OldValues<M>>>);

pub(crate) enum WorkerRequest<M: FencedMap> {
    Single(Single<M>),
    Batch(KeyOps<M>, Option<Promise<OldValues<M>>>),
}

/// State that the workers and their callers share.
pub(crate) struct Pool<M: FencedMap> {
    pub(crate) map: Arc<M>,
    pub(crate) queues: Vec<Queue<WorkerRequest<M>>>,
    /// The number of hot fences; at least 1 if all requests are handed over; or `CLOSED`. At 0 callers need not ask
    /// whose key it is.
    mode: AtomicUsize,
    pub(crate) settings: FenceWorkersBuilder,
    pub(crate) stats: PoolCounters,
}

pub(crate) struct PoolCounters {
    pub(crate) in_place: StripedCounter,
    pub(crate) delegated: Counter,
    pub(crate) drains: Counter,
    pub(crate) drained: Counter,
    pub(crate) most_drained: Counter,
    pub(crate) steps: Counter,
    pub(crate) changes: Counter,
    /// Workers that a panic has ended.
    pub(crate) died: Counter,
}

impl PoolCounters {
    fn new() -> Self {
        Self {
            in_place: StripedCounter::new(),
            delegated: Counter::default(),
            drains: Counter::default(),
            drained: Counter::default(),
            most_drained: Counter::default(),
            steps: Counter::default(),
            changes: Counter::default(),
            died: Counter::default(),
        }
    }
}

/// Batches that a worker applies together.
struct Gathered<M: FencedMap> {
    batches: Vec<ChangeBatch<M>>,
    /// Changes in all of them.
    changes: usize,
}

/// The state of one worker.
struct WorkerState<M: FencedMap> {
    number: usize,
    requests: Vec<WorkerRequest<M>>,
    singles: Vec<Single<M>>,
    gathered: Gathered<M>,
    /// How often in a row the queue was empty.
    spins: u32,
    /// When to rebalance next. None if it is not this worker's job, or if that time is beyond the clock's range.
    due: Option<Instant>,
    last_step: Instant,
    pause: Duration,
}

/// Runs users' code; a panic that no ticket reports ends here, and not the worker.
fn contain(work: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(work)) {
        // The payload's destructor may panic as well. If the payload of that panic does so again, it is leaked.
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(payload)));
        dropped.unwrap_or_else(mem::forget);
    }
}

impl<M: FencedMap> Pool<M> {
    pub(crate) fn new(map: Arc<M>, settings: FenceWorkersBuilder) -> Self {
        let queues = (0..settings.workers).map(|_| Queue::new(settings.queue)).collect();
        let mode = AtomicUsize::new(usize::from(settings.threshold == 0));
        Self { map, queues, mode, settings, stats: PoolCounters::new() }
    }

    fn mode(&self) -> usize {
        // relaxed: a hint.
        self.mode.load(Ordering::Relaxed)
    }

    /// Whether all requests are done in place.
    #[inline]
    pub(crate) fn is_calm(&self) -> bool {
        self.mode() == 0
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.mode() == CLOSED
    }

    /// Returns the number of hot fences, and 0 if all requests are handed over anyway.
    pub(crate) fn hot_fences(&self) -> usize {
        match self.mode() {
            CLOSED => 0,
            _ if self.settings.threshold == 0 => 0,
            hot => hot,
        }
    }

    /// Returns the worker that does requests for `key`, and None if the caller does them in place.
    #[cold]
    pub(crate) fn worker_of(&self, key: &M::Key) -> Option<usize> {
        // It would wait for itself, or for a worker that waits for it.
        if WorkerId::is_any_here() {
            return None;
        }
        self.map.worker_of(key, self.queues.len(), self.settings.threshold > 0)
    }

    fn run_single(&self, single: Single<M>) {
        contain(|| {
            // The key's destructor may panic, too.
            let (_key, job) = single;
            job.run(&self.map);
        });
    }

    fn run_singles(&self, singles: &mut Vec<Single<M>>) {
        // If a key's `Ord` panics, all elements are still there, in some order.
        contain(|| singles.sort_by(|one, other| one.0.cmp(&other.0)));
        singles.drain(..).for_each(|single| self.run_single(single));
    }

    /// Applies all changes of the gathered batches, with one lock for each leaf if the map allows it.
    fn run_batches(&self, gathered: &mut Gathered<M>) {
        gathered.changes = 0;
        let batches = &mut gathered.batches;
        // A batch that is alone need not be copied. If users' code may panic, each batch is applied alone: a panic
        // then fails no other one.
        if batches.len() > 1 && self.map.may_gather() {
            let mut all = None;
            contain(|| {
                all = Some(batches.iter().flat_map(|(changes, _)| changes).cloned().collect());
            });
            // If the `Clone` of a value panics, nothing was applied yet. Alone, each batch has a panic of its own.
            if let Some(all) = all {
                return self.run_together(batches, all);
            }
        }
        for (changes, promise) in batches.drain(..) {
            let answers = self.apply(&changes);
            Self::answer(promise, answers);
            contain(|| drop(changes));
        }
    }

    /// Hands a batch's answers to its ticket, if there is one.
    fn answer(promise: Option<Promise<Vec<M::Before>>>, answers: thread::Result<Vec<M::Before>>) {
        contain(|| match promise {
            Some(promise) => promise.keep(answers),
            None => drop(answers),
        });
    }

    /// Applies the changes of all these batches, which `all` has copies of. Runs no code of the user, unless the map is
    /// wrong about [`may_gather`](FencedMap::may_gather).
    fn run_together(&self, batches: &mut Vec<ChangeBatch<M>>, all: Vec<(M::Key, M::Op)>) {
        let mut applied = self.apply(&all).map(Vec::into_iter);
        contain(|| drop(all));
        for (changes, promise) in batches.drain(..) {
            // Taken out even if nobody waits for them, or the next ticket would get them.
            let own = match &mut applied {
                Ok(answers) => Ok(answers.by_ref().take(changes.len()).collect()),
                // A payload cannot be cloned: the first ticket gets it.
                Err(payload) if promise.is_some() => Err(mem::replace(payload, Box::new(Canceled))),
                Err(_) => Ok(Vec::new()),
            };
            Self::answer(promise, own);
            contain(|| drop(changes));
        }
        contain(|| drop(applied));
    }

    /// Applies changes. Returns their answers, or the payload of a panic.
    fn apply(&self, changes: &[(M::Key, M::Op)]) -> thread::Result<Vec<M::Before>> {
        catch_unwind(AssertUnwindSafe(|| self.map.apply_each(changes)))
    }

    /// Takes all requests out of the worker's queue and does them. Returns how many changes there were.
    fn drain(&self, worker: &mut WorkerState<M>) -> usize {
        let changes = self.queues[worker.number].take(&mut worker.requests);
        if changes == 0 {
            return 0;
        }
        self.stats.drains.add(1);
        self.stats.drained.add(changes);
        self.stats.most_drained.raise_to(changes);
        for request in worker.requests.drain(..) {
            // Requests of one kind are gathered. A request of the other kind flushes them first: two requests for one
            // key have to be done in the order of their arrival.
            match request {
                WorkerRequest::Single(single) => {
                    self.run_batches(&mut worker.gathered);
                    worker.singles.push(single);
                }
                WorkerRequest::Batch(changes, promise) => {
                    self.run_singles(&mut worker.singles);
                    worker.gathered.changes += changes.len();
                    worker.gathered.batches.push((changes, promise));
                    if worker.gathered.changes >= GATHERED {
                        self.run_batches(&mut worker.gathered);
                    }
                }
            }
        }
        self.run_singles(&mut worker.singles);
        self.run_batches(&mut worker.gathered);
        changes
    }

    /// Marks hot fences and takes a rebalancing step, if they are due.
    fn rebalance(&self, worker: &mut WorkerState<M>) {
        let now = Instant::now();
        if worker.due.is_none_or(|due| now < due) {
            return;
        }
        // The threshold is for one pace. If the thread slept longer, more conflicts have been counted meanwhile.
        let since = now.saturating_duration_since(mem::replace(&mut worker.last_step, now));
        let paces = since.as_micros() / self.settings.pace.as_micros().max(1);
        let paces = usize::try_from(paces).unwrap_or(usize::MAX).max(1);
        let threshold = self.settings.threshold.max(1).saturating_mul(paces);
        let hot = self.map.mark_hot(threshold, HOT_STEPS);
        let before = self.mode();
        let hot = hot.max(usize::from(self.settings.threshold == 0));
        if before != CLOSED && before != hot {
            // relaxed: a hint. The exchange fails if the pool was closed meanwhile, so `CLOSED` stays.
            let _ = self.mode.compare_exchange(before, hot, Ordering::Relaxed, Ordering::Relaxed);
        }
        let mut changed = false;
        // It runs no users' code, but an allocation in it may fail.
        contain(|| changed = self.map.rebalance_step(self.settings.step));
        self.stats.steps.add(1);
        self.stats.changes.add(usize::from(changed));
        let (pace, longer) = (self.settings.pace, worker.pause.saturating_add(worker.pause / 4));
        worker.pause = if changed || hot > 0 { pace } else { longer };
        worker.pause = worker.pause.min(pace.saturating_mul(LONGEST_PAUSE));
        // None if the time is beyond the clock's range: then it never comes.
        worker.due = Instant::now().checked_add(worker.pause);
    }

    /// One step of a worker.
    fn step(&self, worker: &mut WorkerState<M>) -> Progress {
        let changes = self.drain(worker);
        self.rebalance(worker);
        if changes > 0 {
            worker.spins = 0;
            return Progress::More;
        }
        // While requests keep coming, the next one usually arrives sooner than the system puts a thread to sleep.
        if !self.is_calm() && worker.spins < SPINS {
            worker.spins += 1;
            hint::spin_loop();
            thread::yield_now();
            return Progress::More;
        }
        // From here on producers wake the worker, unless a request came after `drain`.
        if !self.queues[worker.number].try_idle() {
            return Progress::More;
        }
        let left = |due: Instant| due.saturating_duration_since(Instant::now());
        worker.due.map_or(Progress::Idle, |due| Progress::Later(left(due)))
    }

    fn worker(&self, number: usize) -> WorkerState<M> {
        WorkerState {
            number,
            requests: Vec::new(),
            singles: Vec::new(),
            gathered: Gathered { batches: Vec::new(), changes: 0 },
            spins: 0,
            due: (number == 0).then(Instant::now),
            last_step: Instant::now(),
            pause: self.settings.pace,
        }
    }

    /// Accepts no more requests, and waits until the workers have done those in their queues and have ended.
    ///
    /// If a worker calls this inside a request, it waits for none: another worker may wait for a request of this one.
    /// The threads are then left in `threads`, for a caller that can wait for them.
    pub(crate) fn close(&self, threads: &Mutex<Vec<Worker>>) {
        // relaxed: a hint; the queues reject requests themselves. It is stored before they close, so that a caller
        // whose request is rejected can tell a shutdown from a worker that has died.
        self.mode.store(CLOSED, Ordering::Relaxed);
        self.queues.iter().for_each(Queue::close);
        let mut left = threads.lock().unwrap_or_else(PoisonError::into_inner);
        // The worker ends after the step that is running, and drops its `WorkerGuard`.
        left.iter().for_each(Worker::signal_stop);
        if WorkerId::is_here(self.id()) {
            return;
        }
        let threads = mem::take(&mut *left);
        // Joined without the lock: a request that runs may call this, too.
        drop(left);
        for thread in threads {
            let _ = thread.shutdown();
        }
    }

    /// Returns a number that no other pool has while this one exists: its address.
    pub(crate) fn id(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Fails all requests of a worker that has died, and closes its queue: callers do later ones in place.
    fn abandon(&self, worker: &mut WorkerState<M>) {
        self.stats.died.add(1);
        let queue = &self.queues[worker.number];
        queue.close();
        // Dropping a request drops its promise, which fails its ticket.
        worker.singles.drain(..).for_each(|single| contain(|| drop(single)));
        worker.gathered.batches.drain(..).for_each(|batch| contain(|| drop(batch)));
        worker.requests.drain(..).for_each(|request| contain(|| drop(request)));
        queue.take(&mut worker.requests);
        worker.requests.drain(..).for_each(|request| contain(|| drop(request)));
    }
}

/// Owned by a worker's thread, which drops it when it ends. If the pool is not closed then, or if the thread panics,
/// the worker has died.
pub(crate) struct WorkerGuard<M: FencedMap> {
    pool: Arc<Pool<M>>,
    worker: WorkerState<M>,
}

impl<M: FencedMap> WorkerGuard<M> {
    pub(crate) fn new(pool: &Arc<Pool<M>>, number: usize) -> Self {
        Self { pool: Arc::clone(pool), worker: pool.worker(number) }
    }

    /// Makes the calling thread the worker's.
    fn enter(&self) {
        WorkerId::new(self.pool.id(), self.worker.number).enter();
    }
}

impl<M: FencedMap> Drop for WorkerGuard<M> {
    fn drop(&mut self) {
        if !self.pool.is_closed() || thread::panicking() {
            return self.pool.abandon(&mut self.worker);
        }
        // The thread was told to end after its queue had been closed, so this takes all that is left. It may have
        // ended before its first step.
        self.enter();
        self.pool.drain(&mut self.worker);
    }
}

impl<M> Pool<M>
where
    M: FencedMap + Send + Sync + 'static,
    M::Key: Send,
    M::Op: Send,
    M::Computed: Send,
    M::Before: Send,
{
    /// Starts the thread of one worker.
    pub(crate) fn start(self: &Arc<Self>, number: usize) -> io::Result<Worker> {
        let mut guard = WorkerGuard::new(self, number);
        let mut has_begun = false;
        let name = format!("{}-{number}", self.settings.name);
        Worker::spawn(name, 0, move |_| {
            if !has_begun {
                has_begun = true;
                guard.enter();
                let processors = &guard.pool.settings.processors;
                if let Some(at) = number.checked_rem(processors.len()) {
                    let _ = affinity::pin_to(processors[at]);
                }
            }
            let WorkerGuard { pool, worker } = &mut guard;
            pool.step(worker)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ticket::Ticket;

    /// Counts the calls of `apply_each`, and answers each change with its key.
    struct Echo {
        gathers: bool,
        calls: Mutex<usize>,
    }

    impl FencedMap for Echo {
        type Key = u64;
        type Value<'a> = ();
        type Op = ();
        type Computed = ();
        type Before = u64;

        fn compute<F: FnMut(Option<()>)>(&self, _key: u64, mut f: F) {
            f(None);
        }

        fn apply_each(&self, changes: &[(u64, ())]) -> Vec<u64> {
            *self.calls.lock().unwrap() += 1;
            changes.iter().map(|&(key, ())| key).collect()
        }

        fn may_gather(&self) -> bool {
            self.gathers
        }

        fn worker_of(&self, _key: &u64, _workers: usize, _hot_only: bool) -> Option<usize> {
            Some(0)
        }

        fn mark_hot(&self, _threshold: usize, _calls: usize) -> usize {
            0
        }

        fn rebalance_step(&self, _budget: usize) -> bool {
            false
        }
    }

    #[test]
    fn batches_are_applied_together_where_the_map_allows_it() {
        for (gathers, calls) in [(true, 1), (false, 3)] {
            let map = Arc::new(Echo { gathers, calls: Mutex::new(0) });
            let pool = Pool::new(Arc::clone(&map), FenceWorkersBuilder::default());
            let batch = |keys: &[u64]| {
                let (promise, ticket) = Ticket::pair();
                let changes = keys.iter().map(|&key| (key, ())).collect();
                let request = WorkerRequest::Batch(changes, Some(promise));
                assert!(pool.queues[0].push(request, keys.len(), false).is_ok());
                ticket
            };
            let tickets = [batch(&[1, 2]), batch(&[3]), batch(&[4, 5])];
            pool.drain(&mut pool.worker(0));
            assert_eq!(*map.calls.lock().unwrap(), calls, "calls, if gathered: {gathers}");
            let answers = tickets.map(|ticket| ticket.wait().unwrap());
            assert_eq!(answers, [vec![1, 2], vec![3], vec![4, 5]]);
        }
    }
}
