//! `FenceWorkers`: the callers' side of the worker pool.

#![allow(
    clippy::type_complexity,
    reason = "a map's key and results are projections, which count as complex"
)]

use crate::builder::{FenceWorkersBuilder, MOST_WORKERS};
use crate::map::FencedMap;
use crate::pool::{Compute, Job, KeyOps, OldValues, Pool, WorkerRequest};
use crate::queue::TrySubmitError;
use crate::ticket::{Promise, Ticket, WorkerId};
use crate::worker::{WakeHandle, Worker};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, io, thread};

/// A pool of threads that execute contended changes of an ordered map for their callers, and keep its load balanced.
///
/// A map needs no workers. If threads contend for a range of keys, [`submit`](Self::submit) hands the change to the
/// worker that serves this range; uncontended changes are executed in place by the caller, at the cost of one load.
/// Each worker serves a run of consecutive fences, computed for each request, so that it follows their splits and
/// merges.
///
/// A fence is *hot*, that is contended, for 64 rebalancing steps after at least
/// [`threshold`](FenceWorkersBuilder::threshold) attempts to lock its leaves have failed within one
/// [`pace`](FenceWorkersBuilder::pace). The first worker takes a rebalancing step
/// ([`rebalance_step`](FencedMap::rebalance_step)) every pace, and less often while there is nothing to do.
///
/// # Requests
/// - **Order:** a worker takes all requests out of its queue at once and executes them in key order. Requests for one
///   key that wait in the same queue keep their order, even during shutdown. To order any other two requests, wait for
///   the first one's ticket before you submit the second: either may be executed in place, or by another worker.
/// - **Batches:** changes that are submitted together ([`submit_all`](Self::submit_all)) take one lock per leaf.
/// - **Panics:** if a closure panics, in place or not, its own ticket returns the panic, and no other request is
///   affected. The same holds for a batch in which user code panics, such as a key's `Ord`; part of that batch may have
///   been applied.
/// - **Nesting:** a request made by a worker within another request is executed in place.
/// - **Limits:** the requests that wait for a worker are [bounded](FenceWorkersBuilder::queue), over all callers;
///   including those that the worker has taken out, there may be twice as many. Callers that wait for room are served
///   in no particular order.
/// - **Shutdown:** after [`shutdown`](Self::shutdown) or a drop, the workers execute all accepted requests, and end.
///   Later requests are rejected.
/// - **Lost workers:** if a worker's thread dies, the tickets of its requests fail with [`Canceled`](crate::Canceled),
///   and callers execute changes of its keys in place. [`WorkerStats::died`] counts such workers.
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
#[must_use = "if unused, the threads end at once"]
pub struct FenceWorkers<M: FencedMap> {
    pool: Arc<Pool<M>>,
    wake_handles: Vec<WakeHandle>,
    threads: Mutex<Vec<Worker>>,
}

impl FenceWorkersBuilder {
    /// Starts the threads.
    ///
    /// # Errors
    /// If the system cannot start a thread, or the name contains a zero byte. [`InvalidInput`](io::ErrorKind) if there
    /// would be more than 65,536 threads.
    pub fn spawn<M>(self, map: Arc<M>) -> io::Result<FenceWorkers<M>>
    where
        M: FencedMap + Send + Sync + 'static,
        M::Key: Send,
        M::Op: Send,
        M::Computed: Send,
        M::Before: Send,
    {
        if self.workers > MOST_WORKERS {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "more than 65,536 workers"));
        }
        let pool = Arc::new(Pool::new(map, self));
        // If one thread cannot be started, dropping the vector ends those that were.
        let threads: Vec<Worker> =
            (0..pool.queues.len()).map(|number| pool.start(number)).collect::<Result<_, _>>()?;
        let wake_handles = threads.iter().map(Worker::wake_handle).collect();
        Ok(FenceWorkers { pool, wake_handles, threads: Mutex::new(threads) })
    }
}

impl<M: FencedMap> FenceWorkers<M> {
    /// Returns the default settings.
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

impl<M> FenceWorkers<M>
where
    M: FencedMap + Send + Sync + 'static,
    M::Key: Send,
    M::Op: Send,
    M::Computed: Send,
    M::Before: Send,
{
    /// Starts `workers` threads for a map, and at least one.
    ///
    /// # Errors
    /// If the system cannot start a thread, or `workers` is greater than 65,536.
    ///
    /// ```
    /// # use hedgerow::{FenceMap, std_ext::FenceWorkers};
    /// let map = std::sync::Arc::new(FenceMap::<u8, u8>::new());
    /// let workers = FenceWorkers::spawn(map, 2)?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn spawn(map: Arc<M>, workers: usize) -> io::Result<Self> {
        FenceWorkersBuilder::default().workers(workers).spawn(map)
    }

    /// Returns the map that they work on.
    ///
    /// ```
    /// # use hedgerow::{FenceMap, std_ext::FenceWorkers};
    /// let map = std::sync::Arc::new(FenceMap::<u8, u8>::new());
    /// assert!(FenceWorkers::spawn(map, 1)?.map().is_empty());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn map(&self) -> &Arc<M> {
        &self.pool.map
    }

    /// Returns the number of workers.
    ///
    /// ```
    /// # use hedgerow::{FenceMap, std_ext::FenceWorkers};
    /// let map = std::sync::Arc::new(FenceMap::<u8, u8>::new());
    /// assert_eq!(FenceWorkers::spawn(map, 2)?.workers(), 2);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn workers(&self) -> usize {
        self.pool.queues.len()
    }

    /// Applies to `key`'s entry what `f` decides from its value, as the map's `compute` does: in place or, if threads
    /// contend for the key's fence, by the worker.
    ///
    /// In place, it makes no allocation of its own, and the ticket is ready. Otherwise it allocates the request and the
    /// ticket, and waits for room if the queue is full. `f` runs as often as in `compute`. If it panics, the ticket
    /// returns the panic.
    ///
    /// # Errors
    /// [`TrySubmitError::Closed`] after [`shutdown`](Self::shutdown), with key and closure.
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
    pub fn submit<F>(
        &self,
        key: M::Key,
        f: F,
    ) -> Result<Ticket<M::Computed>, TrySubmitError<(M::Key, F)>>
    where
        F: for<'a> FnMut(Option<M::Value<'a>>) -> M::Op + Send + 'static,
    {
        self.send(key, f, true)
    }

    /// As [`submit`](Self::submit), but does not wait for room.
    ///
    /// # Errors
    /// [`TrySubmitError::Full`] if the queue of the key's worker is full, and [`TrySubmitError::Closed`]; with key and
    /// closure.
    ///
    /// ```
    /// # use hedgerow::{FenceMap, Op, std_ext::FenceWorkers};
    /// # let map = std::sync::Arc::new(FenceMap::<u32, u32>::new());
    /// let workers = FenceWorkers::spawn(map, 1)?;
    /// assert!(workers.try_submit(1, |_| Op::Insert(10)).is_ok());
    /// # std::io::Result::Ok(())
    /// ```
    #[inline]
    pub fn try_submit<F>(
        &self,
        key: M::Key,
        f: F,
    ) -> Result<Ticket<M::Computed>, TrySubmitError<(M::Key, F)>>
    where
        F: for<'a> FnMut(Option<M::Value<'a>>) -> M::Op + Send + 'static,
    {
        self.send(key, f, false)
    }

    #[inline]
    fn send<F>(
        &self,
        key: M::Key,
        f: F,
        block: bool,
    ) -> Result<Ticket<M::Computed>, TrySubmitError<(M::Key, F)>>
    where
        F: for<'a> FnMut(Option<M::Value<'a>>) -> M::Op + Send + 'static,
    {
        // A calm pool is the common case, and is not closed: one load decides both.
        if !self.pool.is_calm() {
            if let Some(worker) = self.pool.worker_of(&key) {
                return self.delegate(worker, key, f, block);
            }
            if self.pool.is_closed() {
                return Err(TrySubmitError::Closed((key, f)));
            }
        }
        Ok(self.compute(key, f))
    }

    #[inline(never)]
    fn delegate<F>(
        &self,
        worker: usize,
        key: M::Key,
        f: F,
        block: bool,
    ) -> Result<Ticket<M::Computed>, TrySubmitError<(M::Key, F)>>
    where
        F: for<'a> FnMut(Option<M::Value<'a>>) -> M::Op + Send + 'static,
    {
        let (promise, ticket) = Ticket::pair_of(self.worker_id(worker));
        let job: Box<dyn Job<M>> = Box::new(Compute::<M, F> { key: key.clone(), f, promise });
        match self.push(worker, WorkerRequest::Single((key, job)), 1, block) {
            Ok(()) => Ok(ticket),
            Err(error) => {
                let has_died = self.has_died(&error);
                let error = error.map(|request| {
                    let WorkerRequest::Single((_, job)) = request else {
                        unreachable!("what was pushed")
                    };
                    let job = job.into_any().downcast::<Compute<M, F>>();
                    let Ok(job) = job else { unreachable!("what was pushed") };
                    (job.key, job.f)
                });
                if has_died {
                    let (key, f) = error.into_inner();
                    return Ok(self.compute(key, f));
                }
                Err(error)
            }
        }
    }

    /// The id of a worker, by which a ticket recognizes the worker's thread.
    fn worker_id(&self, worker: usize) -> WorkerId {
        WorkerId::new(self.pool.id(), worker)
    }

    /// Whether a request was rejected because its worker has died. Then the caller does it in place.
    fn has_died<T>(&self, error: &TrySubmitError<T>) -> bool {
        // At a shutdown the pool is marked as closed before its queues are.
        matches!(error, TrySubmitError::Closed(_)) && !self.pool.is_closed()
    }

    /// Makes a change in place.
    #[inline]
    fn compute<F>(&self, key: M::Key, f: F) -> Ticket<M::Computed>
    where
        F: for<'a> FnMut(Option<M::Value<'a>>) -> M::Op + Send + 'static,
    {
        self.pool.stats.in_place.add(1);
        Ticket::done(catch_unwind(AssertUnwindSafe(|| self.pool.map.compute(key, f))))
    }

    /// Puts a request into a worker's queue, and wakes the worker if it sleeps.
    fn push(
        &self,
        worker: usize,
        request: WorkerRequest<M>,
        weight: usize,
        block: bool,
    ) -> Result<(), TrySubmitError<WorkerRequest<M>>> {
        let is_idle = self.pool.queues[worker].push(request, weight, block)?;
        self.pool.stats.delegated.add(weight);
        if is_idle {
            self.wake_handles[worker].wake();
        }
        Ok(())
    }

    /// Submits several changes together. Each is atomic by itself, as in the map's `apply_each`. The ticket returns the
    /// previous value of each key.
    ///
    /// All changes are executed by the same thread: in place if none of their fences is hot, and otherwise by the
    /// worker of the first key whose fence is hot. So submit keys together that are close to each other. Waits for room
    /// as [`submit`](Self::submit) does. If a key's `Ord` panics, the ticket returns the panic, and some of the changes
    /// may have been made. Batches of other callers are not affected.
    ///
    /// # Errors
    /// [`TrySubmitError::Closed`] after [`shutdown`](Self::shutdown), with the changes.
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
        changes: Vec<(M::Key, M::Op)>,
    ) -> Result<Ticket<Vec<M::Before>>, TrySubmitError<Vec<(M::Key, M::Op)>>> {
        match self.worker_of_any(&changes) {
            Some(worker) => {
                let (promise, ticket) = Ticket::pair_of(self.worker_id(worker));
                match self.delegate_all(worker, changes, Some(promise), true) {
                    Ok(()) => Ok(ticket),
                    Err(error) if self.has_died(&error) => {
                        self.apply(error.into_inner()).map(Ticket::done)
                    }
                    Err(error) => Err(error),
                }
            }
            None => self.apply(changes).map(Ticket::done),
        }
    }

    /// As [`submit_all`](Self::submit_all), without results: allocates no ticket.
    ///
    /// # Errors
    /// As `submit_all`.
    ///
    /// # Panics
    /// If the changes are made in place, and a key's `Ord` panics.
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
    pub fn post_all(
        &self,
        changes: Vec<(M::Key, M::Op)>,
    ) -> Result<(), TrySubmitError<Vec<(M::Key, M::Op)>>> {
        self.post(changes, true)
    }

    /// As [`post_all`](Self::post_all), but does not wait for room.
    ///
    /// # Errors
    /// [`TrySubmitError::Full`] if the worker's queue is full, and [`TrySubmitError::Closed`]; with the changes.
    ///
    /// ```
    /// # use hedgerow::{FenceMap, Op, std_ext::FenceWorkers};
    /// # let map = std::sync::Arc::new(FenceMap::<u32, u32>::new());
    /// let workers = FenceWorkers::spawn(map, 1)?;
    /// assert!(workers.try_post_all(vec![(1, Op::Insert(1))]).is_ok());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn try_post_all(
        &self,
        changes: Vec<(M::Key, M::Op)>,
    ) -> Result<(), TrySubmitError<Vec<(M::Key, M::Op)>>> {
        self.post(changes, false)
    }

    fn post(&self, changes: KeyOps<M>, block: bool) -> Result<(), TrySubmitError<KeyOps<M>>> {
        let changes = match self.worker_of_any(&changes) {
            Some(worker) => match self.delegate_all(worker, changes, None, block) {
                Err(error) if self.has_died(&error) => error.into_inner(),
                outcome => return outcome,
            },
            None => changes,
        };
        match self.apply(changes)? {
            Ok(_) => Ok(()),
            Err(payload) => resume_unwind(payload),
        }
    }

    fn worker_of_any(&self, changes: &[(M::Key, M::Op)]) -> Option<usize> {
        if self.pool.is_calm() {
            return None;
        }
        changes.iter().find_map(|(key, _)| self.pool.worker_of(key))
    }

    fn delegate_all(
        &self,
        worker: usize,
        changes: KeyOps<M>,
        promise: Option<Promise<OldValues<M>>>,
        block: bool,
    ) -> Result<(), TrySubmitError<KeyOps<M>>> {
        let weight = changes.len();
        self.push(worker, WorkerRequest::Batch(changes, promise), weight, block).map_err(|error| {
            error.map(|request| {
                let WorkerRequest::Batch(changes, _) = request else {
                    unreachable!("what was pushed")
                };
                changes
            })
        })
    }

    /// Makes changes in place.
    fn apply(
        &self,
        changes: KeyOps<M>,
    ) -> Result<thread::Result<OldValues<M>>, TrySubmitError<KeyOps<M>>> {
        if self.pool.is_closed() {
            return Err(TrySubmitError::Closed(changes));
        }
        self.pool.stats.in_place.add(changes.len());
        Ok(catch_unwind(AssertUnwindSafe(|| self.pool.map.apply_each(&changes))))
    }

    /// Returns statistics. Of two changes that threads make in place simultaneously, one may not be counted.
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
        let stats = &self.pool.stats;
        WorkerStats {
            in_place: stats.in_place.sum(),
            delegated: stats.delegated.get(),
            drained: stats.drained.get(),
            drains: stats.drains.get(),
            most_drained: stats.most_drained.get(),
            hot_fences: self.pool.hot_fences(),
            rebalance_steps: stats.steps.get(),
            rebalance_changes: stats.changes.get(),
            died: stats.died.get(),
        }
    }

    /// Rejects further requests, and waits until the workers have executed all accepted ones and have ended. The map
    /// stays.
    ///
    /// There are two exceptions: if another thread is already shutting the workers down, or if a worker calls this
    /// within a request, this returns before the workers have finished. In the second case the next call by another
    /// thread waits for them, and so does a drop, unless a worker drops the handle as well.
    ///
    /// ```
    /// # use hedgerow::{FenceMap, Op, std_ext::{FenceWorkers, TrySubmitError}};
    /// # let map = std::sync::Arc::new(FenceMap::<u32, u32>::new());
    /// let workers = FenceWorkers::spawn(map, 1)?;
    /// workers.shutdown();
    /// let error = workers.submit(7, |_| Op::Insert(1)).unwrap_err();
    /// assert!(matches!(error, TrySubmitError::Closed((7, _))));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn shutdown(&self) {
        self.pool.close(&self.threads);
    }
}

impl<M: FencedMap> Drop for FenceWorkers<M> {
    fn drop(&mut self) {
        self.pool.close(&self.threads);
        // Threads are left if a worker drops the handle inside a request. It must not wait for them here either.
        let threads = self.threads.get_mut().unwrap_or_else(PoisonError::into_inner);
        threads.drain(..).for_each(Worker::detach);
    }
}

impl<M: FencedMap> fmt::Debug for FenceWorkers<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let workers = self.wake_handles.len();
        f.debug_struct("FenceWorkers").field("workers", &workers).finish_non_exhaustive()
    }
}

/// Statistics of [`FenceWorkers`], from [`FenceWorkers::stats`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerStats {
    /// Changes that callers made in place.
    pub in_place: usize,
    /// Changes that were handed to a worker.
    pub delegated: usize,
    /// Changes that workers have taken out of their queues.
    pub drained: usize,
    /// How often a worker found a queue that was not empty. Each time it took `drained / drains` changes on average.
    pub drains: usize,
    /// The most changes that a worker took at a time.
    pub most_drained: usize,
    /// Fences that are hot now; 0 if all requests are handed over anyway.
    pub hot_fences: usize,
    /// Rebalancing steps.
    pub rebalance_steps: usize,
    /// Rebalancing steps that changed something.
    pub rebalance_changes: usize,
    /// Threads that have died, which no panic of a request should cause.
    pub died: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::WorkerGuard;
    use crate::ticket::Canceled;
    use std::collections::BTreeMap;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    /// A map with a fence for each ten keys.
    #[derive(Default)]
    struct Map(Mutex<BTreeMap<u64, u64>>);

    impl Map {
        fn entries(&self) -> Vec<(u64, u64)> {
            self.0.lock().unwrap().clone().into_iter().collect()
        }
    }

    impl FencedMap for Map {
        type Key = u64;
        type Value<'a> = u64;
        /// A value to insert, or None to keep what there is.
        type Op = Option<u64>;
        type Computed = Option<u64>;
        type Before = Option<u64>;

        fn compute<F>(&self, key: u64, mut f: F) -> Option<u64>
        where
            F: FnMut(Option<u64>) -> Option<u64>,
        {
            // The closure may use the map: it runs without the lock.
            let before = self.0.lock().unwrap().get(&key).copied();
            let op = f(before);
            self.apply_each(&[(key, op)]);
            op.or(before)
        }

        fn apply_each(&self, changes: &[(u64, Option<u64>)]) -> Vec<Option<u64>> {
            let mut map = self.0.lock().unwrap();
            let mut apply = |&(key, op): &(u64, Option<u64>)| match op {
                Some(value) => map.insert(key, value),
                None => map.get(&key).copied(),
            };
            changes.iter().map(&mut apply).collect()
        }

        fn worker_of(&self, key: &u64, workers: usize, hot_only: bool) -> Option<usize> {
            let run = usize::try_from(*key).unwrap() / 10 * workers / 8;
            (!hot_only).then_some(run.min(workers - 1))
        }

        fn mark_hot(&self, _threshold: usize, _calls: usize) -> usize {
            0
        }

        fn rebalance_step(&self, _budget: usize) -> bool {
            false
        }
    }

    /// Workers without threads: their requests stay in the queues.
    fn without_threads(workers: usize, queue: usize) -> FenceWorkers<Map> {
        let settings = FenceWorkersBuilder::default().workers(workers).threshold(0).queue(queue);
        let pool = Arc::new(Pool::new(Arc::new(Map::default()), settings));
        FenceWorkers { pool, wake_handles: Vec::new(), threads: Mutex::new(Vec::new()) }
    }

    #[expect(clippy::unnecessary_wraps, reason = "the type of a decision")]
    fn count(n: Option<u64>) -> Option<u64> {
        Some(n.unwrap_or(0) + 1)
    }

    #[test]
    fn tickets_of_a_worker_that_dies_fail_and_later_requests_are_done() {
        let workers = Arc::new(without_threads(1, 2));
        let guard = WorkerGuard::new(&workers.pool, 0);
        let one = workers.submit(1, count).unwrap();
        let all = workers.submit_all(vec![(2, Some(2))]).unwrap();
        let other = Arc::clone(&workers);
        let blocked = thread::spawn(move || other.submit(3, count).unwrap().wait().unwrap());
        drop(guard);
        assert!(one.is_ready() && all.is_ready(), "tickets of a dead worker are pending");
        assert!(
            one.wait().unwrap_err().is::<Canceled>() && all.wait().unwrap_err().is::<Canceled>()
        );
        assert_eq!(blocked.join().unwrap(), Some(1), "waited for room that never comes");
        assert_eq!(workers.submit(4, count).unwrap().wait().unwrap(), Some(1));
        let batch = workers.submit_all(vec![(4, Some(5)), (5, None)]);
        assert_eq!(batch.unwrap().wait().unwrap(), [Some(1), None]);
        assert_eq!(workers.post_all(vec![(6, Some(6))]), Ok(()));
        assert_eq!(workers.map().entries(), [(3, 1), (4, 5), (6, 6)]);
        assert_eq!(workers.stats().died, 1);
        workers.shutdown();
        assert!(matches!(workers.submit(7, count), Err(TrySubmitError::Closed((7, _)))));
    }

    /// Submits a request that waits until the sender is dropped. The receiver tells that it has begun.
    fn waiting(workers: &FenceWorkers<Map>, key: u64) -> (Sender<()>, Receiver<()>) {
        let (release, released) = channel();
        let (begins, has_begun) = channel();
        let wait = move |_: Option<u64>| {
            let _ = begins.send(());
            let _ = released.recv();
            None
        };
        drop(workers.submit(key, wait).unwrap());
        (release, has_begun)
    }

    fn with_threads(workers: usize) -> Arc<FenceWorkers<Map>> {
        let settings = FenceWorkersBuilder::default().workers(workers).threshold(0);
        Arc::new(settings.spawn(Arc::default()).unwrap())
    }

    #[test]
    fn batches_go_to_the_worker_of_a_key_until_the_shutdown() {
        let idle = without_threads(2, 1);
        assert_eq!(idle.try_post_all(vec![(1, Some(2))]), Ok(()));
        assert_eq!(idle.try_post_all(vec![(70, None)]), Ok(()), "the other worker has room");
        assert!(matches!(idle.try_post_all(vec![(2, None)]), Err(TrySubmitError::Full(_))));
        let workers = with_threads(2);
        assert_eq!(format!("{workers:?}"), "FenceWorkers { workers: 2, .. }");
        assert!(!workers.map().may_gather());
        workers.try_post_all(vec![(1, Some(2))]).unwrap();
        workers.shutdown();
        let (submitted, posted) =
            (workers.submit_all(vec![(3, Some(3))]), workers.post_all(vec![(4, Some(4))]));
        assert!(matches!(submitted, Err(TrySubmitError::Closed(_))));
        assert!(matches!(posted, Err(TrySubmitError::Closed(_))));
        assert_eq!(workers.map().entries(), [(1, 2)]);
    }

    const OVERTAKEN: &str = "a request has overtaken another one of its key at the shutdown";

    /// Returns a ticket's result; None if it does not come for 30 seconds.
    fn in_time(ticket: Ticket<Option<u64>>) -> Option<thread::Result<Option<u64>>> {
        let (returns, result) = channel();
        thread::spawn(move || returns.send(ticket.wait()));
        result.recv_timeout(Duration::from_secs(30)).ok()
    }

    /// Returns a request that waits for another one, and then counts.
    fn waiting_for(other: Ticket<Option<u64>>) -> impl Fn(Option<u64>) -> Option<u64> {
        let other = std::cell::Cell::new(Some(other));
        move |old| {
            other.take().unwrap().wait().unwrap();
            count(old)
        }
    }

    #[test]
    fn requests_of_one_key_keep_their_order_if_two_threads_shut_down() {
        let workers = with_threads(1);
        let (go, has_begun) = waiting(&workers, 0);
        has_begun.recv().unwrap();
        // The worker takes two requests out of its queue together. The third one is left there.
        let (go_on, has_begun) = waiting(&workers, 1);
        let two = workers.submit(5, |_| Some(2)).unwrap();
        drop(go);
        has_begun.recv().unwrap();
        let three = workers.submit(5, |_| Some(3)).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| workers.shutdown());
            // The other thread has the worker's handle, and joins.
            while !workers.threads.lock().unwrap().is_empty() {
                thread::yield_now();
            }
            workers.shutdown();
            drop(go_on);
        });
        assert_eq!((two.wait().unwrap(), three.wait().unwrap()), (Some(2), Some(3)));
        assert_eq!(workers.map().entries(), [(5, 3)], "{OVERTAKEN}");
    }

    #[test]
    fn requests_of_one_key_keep_their_order_if_a_request_shuts_down() {
        let workers = with_threads(1);
        let (go, has_begun) = waiting(&workers, 0);
        has_begun.recv().unwrap();
        let (begins, has_begun) = channel();
        let (go_on, goes_on) = channel::<()>();
        let own = Arc::clone(&workers);
        let ends = move |_| {
            begins.send(()).unwrap();
            let _ = goes_on.recv();
            own.shutdown();
            begins.send(()).unwrap();
            None
        };
        let ends = workers.submit(1, ends).unwrap();
        let two = workers.submit(5, |_| Some(2)).unwrap();
        drop(go);
        has_begun.recv().unwrap();
        let three = workers.submit(5, |_| Some(3)).unwrap();
        drop(go_on);
        has_begun.recv().unwrap();
        let is_left = workers.threads.lock().unwrap().len() == 1;
        workers.shutdown();
        let are_done = ends.is_ready() && three.is_ready();
        assert_eq!((two.wait().unwrap(), three.wait().unwrap()), (Some(2), Some(3)));
        assert_eq!(workers.map().entries(), [(5, 3)], "{OVERTAKEN}");
        assert!(is_left && are_done, "no thread can wait for a worker that has shut down");
    }

    /// A worker that drops the last handle waits for no other worker, because that one may wait for it.
    #[test]
    fn a_worker_that_drops_the_last_handle_joins_none() {
        let workers = with_threads(2);
        let (go, has_begun) = waiting(&workers, 0);
        has_begun.recv().unwrap();
        let mut own = Some(Arc::clone(&workers));
        let drops = move |_| {
            drop(own.take());
            None
        };
        drop(workers.submit(1, drops).unwrap());
        let two = std::cell::Cell::new(Some(workers.submit(5, count).unwrap()));
        let waits = move |_| {
            two.take().unwrap().wait().unwrap();
            None
        };
        drop(workers.submit(75, waits).unwrap());
        let last = workers.submit(6, count).unwrap();
        drop((workers, go));
        let done = in_time(last);
        assert!(matches!(done, Some(Ok(_))), "a worker that drops the last handle: not back");
    }

    /// A worker does what is left in its queue, as itself, even if it has ended before its first step.
    #[test]
    fn a_request_that_waits_for_a_later_one_at_the_end_fails() {
        let workers = without_threads(1, 9);
        let guard = WorkerGuard::new(&workers.pool, 0);
        let later = workers.submit(75, count).unwrap();
        let waits = workers.submit(1, waiting_for(later)).unwrap();
        workers.shutdown();
        let ends = thread::spawn(|| drop(guard));
        let failed = in_time(waits);
        assert!(matches!(failed, Some(Err(_))), "a worker waits for itself at the end: not back");
        ends.join().unwrap();
        assert_eq!(workers.map().entries(), [(75, 1)]);
    }

    /// At the end each worker does its own requests, so one may wait for another's.
    #[test]
    fn a_request_may_wait_for_one_of_another_worker_at_the_end() {
        let workers = without_threads(2, 9);
        let [one, other] = [0, 1].map(|number| WorkerGuard::new(&workers.pool, number));
        let later = workers.submit(75, count).unwrap();
        let waits = workers.submit(1, waiting_for(later)).unwrap();
        workers.shutdown();
        thread::scope(|scope| {
            scope.spawn(|| drop(one));
            scope.spawn(|| drop(other));
        });
        assert_eq!(waits.wait().unwrap(), Some(1));
    }

    #[test]
    fn tickets_of_a_worker_that_panics_at_the_end_fail() {
        let workers = without_threads(1, 9);
        let guard = WorkerGuard::new(&workers.pool, 0);
        let one = workers.submit(1, count).unwrap();
        workers.shutdown();
        let panics = thread::spawn(|| {
            let _guard = guard;
            std::panic::resume_unwind(Box::new("planned"));
        });
        assert!(panics.join().is_err());
        let failed = one.wait().is_err_and(|payload| payload.is::<Canceled>());
        assert!(failed, "a worker whose thread panics has done a request");
        assert_eq!((workers.map().entries(), workers.stats().died), (vec![], 1));
    }
}
