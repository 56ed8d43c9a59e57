//! Threads that write to a `FenceMap` for others where those would be in each other's way.

use super::crew::{Answers, CLOSED, Changes, Compute, Figures, Job, Request, Shared, add, read};
use super::queue::{Queue, Refused};
use super::ticket::{Promise, Serves, Ticket};
use super::{Bell, Worker};
use crate::facade::atomic::AtomicUsize;
use crate::fence::{ByType, Computed, FenceMap, Op, Ranking};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::{io, thread};

/// Threads that do for others what those would be in each other's way with, and keep a map's fences balanced.
///
/// A map needs none of them. Where threads fight over a part of it, [`submit`](Self::submit) hands the change to the
/// worker whose that part is: each has a run of fences that follow each other, found anew for each request, so that
/// it moves with them. Everywhere else the change is made in place, by the caller, at the price of a load.
///
/// Which fences are fought over is told by failed attempts to lock a leaf: one with at least
/// [`threshold`](FenceWorkersBuilder::threshold) of them in one pace is *hot* for the next 64 looks. The first
/// worker looks, and calls [`rebalance_step`](FenceMap::rebalance_step), every
/// [`pace`](FenceWorkersBuilder::pace), and less and less often where there is nothing to do.
///
/// # Requests
/// - What is in a queue is taken out together and done in key order; changes that were handed over together
///   ([`submit_all`](Self::submit_all)) with one lock for each leaf. Requests for one key that wait in the same queue
///   are done in the order of their coming. Whoever wants one done after another waits for its ticket: it may be
///   done in place, or by another worker.
/// - A closure that panics, in place or not, fails its own ticket, which hands the panic back, and nothing else.
/// - A request that is made by a worker, within another request, is done in place.
/// - If a worker's thread dies all the same, the tickets of its requests fail with [`Broken`](super::Broken), and what
///   would have been handed to it is done in place from then on. [`WorkerStats::died`] counts such workers.
/// - The requests that wait for one worker are bounded ([`queue`](FenceWorkersBuilder::queue)), whichever thread makes
///   them: up to twice as many, counting those that it has taken out. Callers that wait for room are served in no
///   particular order.
/// - [`shutdown`](Self::shutdown), or a drop, does all requests that were accepted, and hands back those that come
///   later.
///
/// ```
/// use hedgerow::Op;
/// use hedgerow::{FenceMap, std_ext::FenceWorkers};
/// use std::sync::Arc;
///
/// let hits = Arc::new(FenceMap::<u64, u32>::new());
/// let workers = FenceWorkers::spawn(Arc::clone(&hits), 1)?;
/// let count = |n: Option<u32>| Op::Insert(n.unwrap_or(0) + 1);
/// for page in [7, 9, 7] {
///     let ticket = workers.submit(page, count).unwrap();
///     assert!(ticket.wait().unwrap().after.is_some());
/// }
/// assert_eq!(hits.get(&7), Some(2));
/// # std::io::Result::Ok(())
/// ```
pub struct FenceWorkers<K: Copy + Ord, V: Copy, R: Ranking<K> = ByType> {
    shared: Arc<Shared<K, V, R>>,
    bells: Vec<Bell>,
    threads: Mutex<Vec<Worker>>,
}

/// How [`FenceWorkers`] are to be; from [`FenceWorkers::builder`].
///
/// ```
/// use hedgerow::{FenceMap, std_ext::FenceWorkers};
/// use std::{sync::Arc, time::Duration};
///
/// let map = Arc::new(FenceMap::<u64, u64>::new());
/// let workers = FenceWorkers::<u64, u64>::builder()
///     .workers(2)
///     .name("orders")
///     .pin_to([0, 1])
///     .pace(Duration::from_millis(5))
///     .fences_a_look(4)
///     .threshold(100)
///     .queue(1 << 12)
///     .spawn(map)?;
/// assert_eq!(workers.workers(), 2);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is spawned yet"]
pub struct FenceWorkersBuilder {
    pub(super) workers: usize,
    pub(super) name: String,
    pub(super) processors: Vec<usize>,
    pub(super) pace: Duration,
    pub(super) step: usize,
    pub(super) threshold: usize,
    pub(super) queue: usize,
}

impl Default for FenceWorkersBuilder {
    fn default() -> Self {
        Self {
            workers: 1,
            name: "fences".into(),
            processors: Vec::new(),
            pace: Duration::from_millis(1),
            step: 2,
            threshold: 1 << 14,
            queue: 1 << 14,
        }
    }
}

impl FenceWorkersBuilder {
    /// How many threads: 1 unless said otherwise, and at least 1.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers.max(1);
        self
    }

    /// What the threads are called, before their numbers: "fences" unless said otherwise.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Keeps each thread on one of these processors, the first on the first, and so on round. On Linux; elsewhere, and
    /// where the system refuses, it does nothing.
    pub fn pin_to(mut self, processors: impl IntoIterator<Item = usize>) -> Self {
        self.processors = processors.into_iter().collect();
        self
    }

    /// How long the first thread pauses between two looks at the balance, where there was something to do: a
    /// millisecond unless said otherwise. It sleeps up to 16 times as long where there was not. A pace that is longer
    /// than the clock can count has it look once.
    pub fn pace(mut self, pace: Duration) -> Self {
        self.pace = pace.max(Duration::from_micros(10));
        self
    }

    /// How many fences it looks at each time, of which each takes some microseconds: 2 unless said otherwise.
    pub fn fences_a_look(mut self, fences: usize) -> Self {
        self.step = fences;
        self
    }

    /// Failed attempts to lock a leaf of a fence, in one pace, from which on requests are handed to a worker: 16,384
    /// unless said otherwise, which takes many processors. A hand-over costs several times what a change does. 0
    /// hands over all requests there are, `usize::MAX` none.
    pub fn threshold(mut self, conflicts: usize) -> Self {
        self.threshold = conflicts;
        self
    }

    /// How many requests may wait for a thread: 16,384 unless said otherwise, and at least 1. A batch counts for
    /// as many as there are changes in it; one that is larger goes in where nothing else waits.
    pub fn queue(mut self, requests: usize) -> Self {
        self.queue = requests.max(1);
        self
    }

    fn shared<K, V, R>(self, map: Arc<FenceMap<K, V, R>>) -> Arc<Shared<K, V, R>> {
        let queues = (0..self.workers).map(|_| Queue::new(self.queue)).collect();
        let (mode, figures) = (AtomicUsize::new(usize::from(self.threshold == 0)), Figures::new());
        Arc::new(Shared { map, queues, mode, settings: self, figures })
    }

    /// Starts the threads.
    ///
    /// # Errors
    /// When the system gives no thread, or the name has a zero byte in it.
    pub fn spawn<K, V, R>(self, map: Arc<FenceMap<K, V, R>>) -> io::Result<FenceWorkers<K, V, R>>
    where
        K: Copy + Ord + Send + Sync + 'static,
        V: Copy + Send + Sync + 'static,
        R: Ranking<K> + Send + Sync + 'static,
    {
        let shared = self.shared(map);
        // A thread that cannot be had ends those there are: workers stop when they are dropped.
        let threads: Vec<Worker> = (0..shared.queues.len())
            .map(|number| shared.start(number))
            .collect::<Result<_, _>>()?;
        let bells = threads.iter().map(Worker::bell).collect();
        Ok(FenceWorkers { shared, bells, threads: Mutex::new(threads) })
    }
}

impl<K, V> FenceWorkers<K, V>
where
    K: Copy + Ord,
    V: Copy,
{
    /// Settings to begin with.
    ///
    /// ```
    /// # use hedgerow::{FenceMap, std_ext::FenceWorkers};
    /// let map = std::sync::Arc::new(FenceMap::<u8, u8>::new());
    /// let workers = FenceWorkers::<u8, u8>::builder().threshold(0).spawn(map)?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn builder() -> FenceWorkersBuilder {
        FenceWorkersBuilder::default()
    }
}

impl<K, V, R> FenceWorkers<K, V, R>
where
    K: Copy + Ord + Send + Sync + 'static,
    V: Copy + Send + Sync + 'static,
    R: Ranking<K> + Send + Sync + 'static,
{
    /// Starts so many workers for a map, at least one.
    ///
    /// # Errors
    /// When the system gives no thread.
    ///
    /// ```
    /// # use hedgerow::{FenceMap, std_ext::FenceWorkers};
    /// let map = std::sync::Arc::new(FenceMap::<u8, u8>::new());
    /// let workers = FenceWorkers::spawn(map, 2)?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn spawn(map: Arc<FenceMap<K, V, R>>, workers: usize) -> io::Result<Self> {
        FenceWorkersBuilder::default().workers(workers).spawn(map)
    }

    /// The map that they work on.
    ///
    /// ```
    /// # use hedgerow::{FenceMap, std_ext::FenceWorkers};
    /// let map = std::sync::Arc::new(FenceMap::<u8, u8>::new());
    /// assert!(FenceWorkers::spawn(map, 1)?.map().is_empty());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn map(&self) -> &Arc<FenceMap<K, V, R>> {
        &self.shared.map
    }

    /// How many there are.
    ///
    /// ```
    /// # use hedgerow::{FenceMap, std_ext::FenceWorkers};
    /// let map = std::sync::Arc::new(FenceMap::<u8, u8>::new());
    /// assert_eq!(FenceWorkers::spawn(map, 2)?.workers(), 2);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn workers(&self) -> usize {
        self.shared.queues.len()
    }

    /// Does with `key`'s entry what `f` decides from its value, as [`FenceMap::compute`] does: in place, or, where
    /// threads fight over the key's fence, by its worker.
    ///
    /// In place it allocates nothing of its own, and the ticket is ready. Handed over it allocates the request and
    /// the ticket's other end, and waits for room where the queue is full. `f` runs as often as in `compute`; a panic
    /// of its is in the ticket.
    ///
    /// # Errors
    /// [`Refused::Closed`] after [`shutdown`](Self::shutdown), with key and closure.
    ///
    /// ```
    /// # use hedgerow::{FenceMap, Op, std_ext::FenceWorkers};
    /// # let map = std::sync::Arc::new(FenceMap::<u32, u32>::new());
    /// let workers = FenceWorkers::spawn(map, 1)?;
    /// let first = workers.submit(1, |_| Op::Insert(10)).unwrap();
    /// let second = workers.submit(2, |_| panic!("no")).unwrap();
    /// assert_eq!(first.wait().unwrap().after, Some(10));
    /// assert!(second.wait().is_err());
    /// # std::io::Result::Ok(())
    /// ```
    #[inline]
    pub fn submit<F>(&self, key: K, f: F) -> Result<Ticket<Computed<V>>, Refused<(K, F)>>
    where
        F: FnMut(Option<V>) -> Op<V> + Send + 'static,
    {
        self.send(key, f, true)
    }

    /// As [`submit`](Self::submit), but does not wait for room.
    ///
    /// # Errors
    /// [`Refused::Full`] where the queue of the key's worker is full, and [`Refused::Closed`]; with key and closure.
    ///
    /// ```
    /// # use hedgerow::{FenceMap, Op, std_ext::FenceWorkers};
    /// # let map = std::sync::Arc::new(FenceMap::<u32, u32>::new());
    /// let workers = FenceWorkers::spawn(map, 1)?;
    /// assert!(workers.try_submit(1, |_| Op::Insert(10)).is_ok());
    /// # std::io::Result::Ok(())
    /// ```
    #[inline]
    pub fn try_submit<F>(&self, key: K, f: F) -> Result<Ticket<Computed<V>>, Refused<(K, F)>>
    where
        F: FnMut(Option<V>) -> Op<V> + Send + 'static,
    {
        self.send(key, f, false)
    }

    #[inline]
    fn send<F>(&self, key: K, f: F, wait: bool) -> Result<Ticket<Computed<V>>, Refused<(K, F)>>
    where
        F: FnMut(Option<V>) -> Op<V> + Send + 'static,
    {
        if !self.shared.is_calm() {
            if let Some(worker) = self.shared.worker_of(&key) {
                return self.delegate(worker, key, f, wait);
            }
            if self.shared.is_closed() {
                return Err(Refused::Closed((key, f)));
            }
        }
        Ok(self.compute(key, f))
    }

    #[inline(never)]
    fn delegate<F>(
        &self,
        worker: usize,
        key: K,
        f: F,
        wait: bool,
    ) -> Result<Ticket<Computed<V>>, Refused<(K, F)>>
    where
        F: FnMut(Option<V>) -> Op<V> + Send + 'static,
    {
        let (promise, ticket) = Ticket::pair_of(self.server(worker));
        let job: Box<dyn Job<K, V, R>> = Box::new(Compute { key, f, promise });
        match self.put(worker, Request::One((key, job)), 1, wait) {
            Ok(()) => Ok(ticket),
            Err(refused) => {
                let is_left = self.is_left(&refused);
                let refused = refused.map(|request| {
                    let Request::One((_, job)) = request else { unreachable!("what was put in") };
                    let job = job.into_any().downcast::<Compute<K, V, F>>();
                    let Ok(job) = job else { unreachable!("what was put in") };
                    (job.key, job.f)
                });
                if is_left {
                    let (key, f) = refused.into_inner();
                    return Ok(self.compute(key, f));
                }
                Err(refused)
            }
        }
    }

    /// The server that answers this worker's requests.
    fn server(&self, worker: usize) -> Serves {
        Serves::one_of(self.shared.crew(), worker)
    }

    /// Whether a request was refused because its worker has died: then it is done in place.
    fn is_left<T>(&self, refused: &Refused<T>) -> bool {
        // A crew says that it is closed before its queues do.
        matches!(refused, Refused::Closed(_)) && !self.shared.is_closed()
    }

    /// In place.
    #[inline]
    fn compute<F>(&self, key: K, f: F) -> Ticket<Computed<V>>
    where
        F: FnMut(Option<V>) -> Op<V> + Send + 'static,
    {
        self.shared.figures.add_in_place(1);
        Ticket::done(catch_unwind(AssertUnwindSafe(|| self.shared.map.compute(key, f))))
    }

    fn put(
        &self,
        worker: usize,
        request: Request<K, V, R>,
        weight: usize,
        wait: bool,
    ) -> Result<(), Refused<Request<K, V, R>>> {
        let rests = self.shared.queues[worker].put(request, weight, wait)?;
        add(&self.shared.figures.delegated, weight);
        if rests {
            self.bells[worker].ring();
        }
        Ok(())
    }

    /// Does many changes with one hand-over, each atomic by itself, as [`FenceMap::apply_each`] does: what each key
    /// had before is in the ticket.
    ///
    /// They go together: in place where all are calm, and otherwise to the worker of the first that is not. So best
    /// put together what lies close together. Waits for room as [`submit`](Self::submit) does. Where a key's `Ord`
    /// panics, the ticket of one batch hands that back, and those of others that were taken out with it are
    /// [`Broken`](super::Broken).
    ///
    /// # Errors
    /// [`Refused::Closed`] after [`shutdown`](Self::shutdown), with the changes.
    ///
    /// ```
    /// # use hedgerow::{FenceMap, Op, std_ext::FenceWorkers};
    /// # let map = std::sync::Arc::new(FenceMap::<u32, u32>::new());
    /// let workers = FenceWorkers::spawn(map, 1)?;
    /// let changes = (0..100).map(|n| (n, Op::Insert(n))).collect();
    /// assert_eq!(workers.submit_all(changes).unwrap().wait().unwrap(), [None; 100]);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn submit_all(
        &self,
        changes: Changes<K, V>,
    ) -> Result<Ticket<Answers<V>>, Refused<Changes<K, V>>> {
        match self.worker_of_any(&changes) {
            Some(worker) => {
                let (promise, ticket) = Ticket::pair_of(self.server(worker));
                match self.delegate_all(worker, changes, Some(promise), true) {
                    Ok(()) => Ok(ticket),
                    Err(left) if self.is_left(&left) => {
                        self.apply(left.into_inner()).map(Ticket::done)
                    }
                    Err(refused) => Err(refused),
                }
            }
            None => self.apply(changes).map(Ticket::done),
        }
    }

    /// As [`submit_all`](Self::submit_all), for who asks for no answers: nothing is allocated.
    ///
    /// # Errors
    /// As `submit_all`.
    ///
    /// # Panics
    /// Where the changes are made in place, and a key's `Ord` panics.
    ///
    /// ```
    /// # use hedgerow::{FenceMap, Op, std_ext::FenceWorkers};
    /// # let map = std::sync::Arc::new(FenceMap::<u32, u32>::new());
    /// let workers = FenceWorkers::spawn(map, 1)?;
    /// workers.post_all(vec![(1, Op::Insert(1)), (2, Op::Remove)]).unwrap();
    /// workers.shutdown();
    /// assert_eq!(workers.map().len(), 1);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn post_all(&self, changes: Changes<K, V>) -> Result<(), Refused<Changes<K, V>>> {
        self.post(changes, true)
    }

    /// As [`post_all`](Self::post_all), but does not wait for room.
    ///
    /// # Errors
    /// [`Refused::Full`] where the worker's queue is full, and [`Refused::Closed`]; with the changes.
    ///
    /// ```
    /// # use hedgerow::{FenceMap, Op, std_ext::FenceWorkers};
    /// # let map = std::sync::Arc::new(FenceMap::<u32, u32>::new());
    /// let workers = FenceWorkers::spawn(map, 1)?;
    /// assert!(workers.try_post_all(vec![(1, Op::Insert(1))]).is_ok());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn try_post_all(&self, changes: Changes<K, V>) -> Result<(), Refused<Changes<K, V>>> {
        self.post(changes, false)
    }

    fn post(&self, changes: Changes<K, V>, wait: bool) -> Result<(), Refused<Changes<K, V>>> {
        let changes = match self.worker_of_any(&changes) {
            Some(worker) => match self.delegate_all(worker, changes, None, wait) {
                Err(left) if self.is_left(&left) => left.into_inner(),
                done => return done,
            },
            None => changes,
        };
        match self.apply(changes)? {
            Ok(_) => Ok(()),
            Err(payload) => std::panic::resume_unwind(payload),
        }
    }

    fn worker_of_any(&self, changes: &[(K, Op<V>)]) -> Option<usize> {
        if self.shared.is_calm() {
            return None;
        }
        changes.iter().find_map(|(key, _)| self.shared.worker_of(key))
    }

    fn delegate_all(
        &self,
        worker: usize,
        changes: Changes<K, V>,
        promise: Option<Promise<Answers<V>>>,
        wait: bool,
    ) -> Result<(), Refused<Changes<K, V>>> {
        let weight = changes.len();
        self.put(worker, Request::Many(changes, promise), weight, wait).map_err(|refused| {
            refused.map(|request| {
                let Request::Many(changes, _) = request else { unreachable!("what was put in") };
                changes
            })
        })
    }

    /// In place.
    fn apply(
        &self,
        changes: Changes<K, V>,
    ) -> Result<thread::Result<Answers<V>>, Refused<Changes<K, V>>> {
        if self.shared.is_closed() {
            return Err(Refused::Closed(changes));
        }
        self.shared.figures.add_in_place(changes.len());
        Ok(catch_unwind(AssertUnwindSafe(|| self.shared.map.apply_each(&changes))))
    }

    /// Figures about what they did. Of requests that two threads made in place at the same moment one may be missing.
    ///
    /// ```
    /// # use hedgerow::{FenceMap, Op, std_ext::FenceWorkers};
    /// # let map = std::sync::Arc::new(FenceMap::<u32, u32>::new());
    /// let workers = FenceWorkers::spawn(map, 1)?;
    /// workers.submit(1, |_| Op::Insert(1)).unwrap().wait().unwrap();
    /// let stats = workers.stats();
    /// assert_eq!((stats.in_place, stats.delegated), (1, 0));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn stats(&self) -> WorkerStats {
        let figures = &self.shared.figures;
        let mode = read(&self.shared.mode);
        WorkerStats {
            in_place: figures.in_place.iter().map(|figure| read(figure)).sum(),
            delegated: read(&figures.delegated),
            drained: read(&figures.drained),
            drains: read(&figures.drains),
            most_drained: read(&figures.most_drained),
            hot_fences: if mode == CLOSED || self.shared.settings.threshold == 0 {
                0
            } else {
                mode
            },
            rebalance_steps: read(&figures.steps),
            rebalance_changes: read(&figures.changes),
            died: read(&figures.died),
        }
    }

    /// Accepts no more requests, does all that were accepted, and ends the threads. The map stays.
    ///
    /// Waits until that is done, unless another thread is at it, or a worker is whom a request has call this: then
    /// it goes on after this.
    ///
    /// ```
    /// # use hedgerow::{FenceMap, Op, std_ext::{FenceWorkers, Refused}};
    /// # let map = std::sync::Arc::new(FenceMap::<u32, u32>::new());
    /// let workers = FenceWorkers::spawn(map, 1)?;
    /// workers.shutdown();
    /// let refused = workers.submit(7, |_| Op::Insert(1)).unwrap_err();
    /// assert!(matches!(refused, Refused::Closed((7, _))));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn shutdown(&self) {
        self.shared.close(&self.threads);
    }
}

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> Drop for FenceWorkers<K, V, R> {
    fn drop(&mut self) {
        self.shared.close(&self.threads);
    }
}

impl<K: Copy + Ord, V: Copy, R: Ranking<K>> fmt::Debug for FenceWorkers<K, V, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FenceWorkers").field("workers", &self.bells.len()).finish_non_exhaustive()
    }
}

/// Figures about [`FenceWorkers`], from [`FenceWorkers::stats`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerStats {
    /// Changes that who asked for them made.
    pub in_place: usize,
    /// Changes that were handed to a worker.
    pub delegated: usize,
    /// Changes, of those, that were taken out of the queues.
    pub drained: usize,
    /// How often that was done: `drained / drains` at a time.
    pub drains: usize,
    /// The most at a time.
    pub most_drained: usize,
    /// Fences that are hot now; 0 where everything is handed over anyway.
    pub hot_fences: usize,
    /// Calls of [`FenceMap::rebalance_step`].
    pub rebalance_steps: usize,
    /// Those, of them, that changed something.
    pub rebalance_changes: usize,
    /// Threads that have died, which no panic of a request should lead to.
    pub died: usize,
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::super::crew::Seat;
    use super::super::ticket::Broken;
    use super::*;
    use alloc::vec;

    /// Workers without threads, and some fences for each of them.
    fn idle(workers: usize, queue: usize) -> FenceWorkers<u64, u64> {
        let settings =
            FenceWorkers::<u64, u64>::builder().workers(workers).threshold(0).queue(queue);
        let map = Arc::new(FenceMap::new().with_splits((1..8).map(|n| n * 10)));
        let threads = Mutex::new(Vec::new());
        FenceWorkers { shared: settings.shared(map), bells: Vec::new(), threads }
    }

    fn count(n: Option<u64>) -> Op<u64> {
        Op::Insert(n.unwrap_or(0) + 1)
    }

    #[test]
    fn tickets_of_a_worker_that_dies_fail_and_later_requests_are_done() {
        let workers = Arc::new(idle(1, 2));
        let seat = Seat::new(&workers.shared, 0);
        let one = workers.submit(1, count).unwrap();
        let all = workers.submit_all(vec![(2, Op::Insert(2))]).unwrap();
        let other = Arc::clone(&workers);
        let waits = thread::spawn(move || other.submit(3, count).unwrap().wait().unwrap().after);
        drop(seat);
        assert!(one.is_ready() && all.is_ready(), "a dead worker's tickets are left open");
        assert!(one.wait().unwrap_err().is::<Broken>() && all.wait().unwrap_err().is::<Broken>());
        assert_eq!(waits.join().unwrap(), Some(1), "for room that never comes");
        assert_eq!(workers.submit(4, count).unwrap().wait().unwrap().after, Some(1));
        let done = workers.submit_all(vec![(4, Op::Insert(5)), (5, Op::Keep)]);
        assert_eq!(done.unwrap().wait().unwrap(), [Some(1), None]);
        assert_eq!(workers.post_all(vec![(6, Op::Insert(6))]), Ok(()));
        assert!(workers.map().iter().eq([(3, 1), (4, 5), (6, 6)]));
        assert_eq!(workers.stats().died, 1);
        workers.shutdown();
        assert!(matches!(workers.submit(7, count), Err(Refused::Closed((7, _)))));
    }

    /// The thread that ends the workers does the requests that they left, one after the other.
    #[test]
    fn a_request_that_waits_for_a_later_one_at_the_end_fails() {
        let workers = idle(2, 9);
        let later = core::cell::Cell::new(Some(workers.submit(75, count).unwrap()));
        let waits = move |old| {
            later.take().unwrap().wait().unwrap();
            count(old)
        };
        let waits = workers.submit(1, waits).unwrap();
        workers.shutdown();
        assert!(waits.wait().is_err());
        assert_eq!(workers.map().get(&75), Some(1));
    }
}
