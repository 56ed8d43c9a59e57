//! The settings of `FenceWorkers`.

use std::time::Duration;

/// The most workers of a pool. No system that we know runs as many threads of one process well; a greater number is a
/// mistake, and its queues alone could take all memory before the first thread is refused.
pub(crate) const MOST_WORKERS: usize = 1 << 16;

/// Settings of [`FenceWorkers`](crate::FenceWorkers), and the function that starts them.
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
///     .fences_a_step(4)
///     .threshold(100)
///     .queue(1 << 12)
///     .spawn(map)?;
/// assert_eq!(workers.workers(), 2);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is spawned yet"]
pub struct FenceWorkersBuilder {
    pub(crate) workers: usize,
    pub(crate) name: String,
    pub(crate) processors: Vec<usize>,
    pub(crate) pace: Duration,
    pub(crate) step: usize,
    pub(crate) threshold: usize,
    pub(crate) queue: usize,
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
    /// Sets the number of threads. The default, and the least, is 1. [`spawn`](Self::spawn) refuses more than 65,536.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers.max(1);
        self
    }

    /// Sets the threads' name, to which each thread's number is appended. The default is "fences".
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Pins each thread to one of these processors, round-robin.
    ///
    /// Does nothing if the system is not Linux, or refuses.
    pub fn pin_to(mut self, processors: impl IntoIterator<Item = usize>) -> Self {
        self.processors = processors.into_iter().collect();
        self
    }

    /// Sets the first thread's pause between two rebalancing steps. The default is a millisecond, the least is 10 µs.
    ///
    /// While there is nothing to do, the pause grows to up to 16 times as much. If the pace is longer than the clock
    /// can count, the thread takes one step and no further one.
    pub fn pace(mut self, pace: Duration) -> Self {
        self.pace = pace.max(Duration::from_micros(10));
        self
    }

    /// Sets how many fences a rebalancing step looks at. The default is 2. Each takes a few microseconds.
    pub fn fences_a_step(mut self, fences: usize) -> Self {
        self.step = fences;
        self
    }

    /// Sets how many failed attempts to lock a leaf of a fence, in one pace, make the fence *hot*: its requests are
    /// handed to a worker.
    ///
    /// The default is 16,384, which only many processors reach: handing a change over costs several times what the
    /// change does. 0 hands over all requests, `usize::MAX` none.
    pub fn threshold(mut self, conflicts: usize) -> Self {
        self.threshold = conflicts;
        self
    }

    /// Sets how many requests may wait for each thread. The default is 16,384, the least is 1.
    ///
    /// A batch counts as many as it has changes. A batch that is larger than the queue goes in once the queue is
    /// empty.
    pub fn queue(mut self, requests: usize) -> Self {
        self.queue = requests.max(1);
        self
    }
}
