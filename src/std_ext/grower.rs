//! A thread that grows maps ahead of their inserters.

use crate::flat::FlatMap;
use hedgerow_std_ext::Scheduler;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::io;
use std::sync::Arc;

/// Segments of bins that a visit makes.
const BUDGET: usize = 8;

/// A background thread that takes growth off inserts, by calling [`FlatMap::grow_step`](crate::FlatMap::grow_step).
///
/// Without it, inserts do the same work themselves, a bounded part each. With it, they usually find the work done:
/// while a map grew to 4 M entries, a fourth as many inserts took more than 16 µs. The thread needs a processor. If it
/// shares one with inserters, it may be preempted inside a bin, and writers of that bin wait for it as for any writer.
///
/// One thread serves any number of maps, and keeps none of them alive. It visits each up to ten thousand times a second
/// after one has grown, and a hundred times a second while none does.
///
/// If a key's `Hash` panics, the thread ends, and inserts do all the work again. Dropping the grower waits for the
/// running step.
///
/// ```
/// use hedgerow::{FlatMap, std_ext::Grower};
/// use std::sync::Arc;
///
/// let grower = Grower::spawn()?;
/// let map = Arc::new(FlatMap::<u64, u64>::new());
/// grower.add(&map);
/// for n in 0..100_000 {
///     map.insert(n, n);
/// }
/// # std::io::Result::Ok(())
/// ```
#[must_use = "if unused, the thread ends at once"]
pub struct Grower {
    scheduler: Scheduler,
}

impl Grower {
    /// Starts the thread, without maps yet.
    ///
    /// # Errors
    /// If the system cannot start a thread.
    ///
    /// ```
    /// let grower = hedgerow::std_ext::Grower::spawn()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn spawn() -> io::Result<Self> {
        Ok(Self { scheduler: Scheduler::spawn("grower", BUDGET)? })
    }

    /// Adds a map to the thread's round, until the map is dropped.
    ///
    /// Waits for other threads that add a map. Allocates. Does nothing once the thread has [ended](Self::is_finished).
    ///
    /// ```
    /// # use hedgerow::{FlatMap, std_ext::Grower};
    /// # use std::sync::Arc;
    /// let grower = Grower::spawn()?;
    /// let maps: Vec<_> = (0..8).map(|_| Arc::new(FlatMap::<u32, u32>::new())).collect();
    /// for map in &maps {
    ///     grower.add(map);
    /// }
    /// # std::io::Result::Ok(())
    /// ```
    pub fn add<K, V, S>(&self, map: &Arc<FlatMap<K, V, S>>)
    where
        K: Copy + Eq + Hash + Send + Sync + 'static,
        V: Copy + Send + Sync + 'static,
        S: BuildHasher + Send + Sync + 'static,
    {
        let map = Arc::downgrade(map);
        self.scheduler.add(move |budget| {
            let map = map.upgrade()?;
            let due = map.grow_step(0);
            if due {
                map.grow_step(budget);
            }
            Some(due)
        });
    }

    /// Returns `true` if the thread has ended, which means that a key's `Hash` panicked.
    ///
    /// ```
    /// assert!(!hedgerow::std_ext::Grower::spawn()?.is_finished());
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.scheduler.is_finished()
    }
}

impl fmt::Debug for Grower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grower").field("scheduler", &self.scheduler).finish()
    }
}
