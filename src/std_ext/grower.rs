//! A thread that has the bins of maps ready before their inserters ask for them.

use super::rounds::Rounds;
use crate::flat::FlatMap;
use alloc::boxed::Box;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::io;
use std::sync::Arc;

/// Segments a step does for each map.
const BUDGET: usize = 8;

/// A thread that takes the growth of maps off those who insert, by
/// [`FlatMap::grow_step`](crate::FlatMap::grow_step).
///
/// Without it inserts do the same work themselves, a bounded part each; with it they mostly find it done:
/// while a map grew to 4 M entries, a fourth as many inserts took more than 16 µs. The thread needs a
/// processor for that; where it has to share one with inserters it may be put off inside a bin, and
/// who wants to write to that bin waits for it as for any writer. One thread serves any number of maps.
/// It looks at each of them ten thousand times a second after one has grown, and a hundred times a
/// second while none does. Maps are not kept alive by it.
///
/// Where a key's `Hash` panics, the thread ends, and inserts are by themselves again. Dropping the grower
/// waits until the step that is running ends.
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
pub struct Grower {
    rounds: Rounds,
}

impl Grower {
    /// Starts the thread, with no maps yet.
    ///
    /// # Errors
    /// When the system gives no thread.
    ///
    /// ```
    /// let grower = hedgerow::std_ext::Grower::spawn()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn spawn() -> io::Result<Self> {
        Ok(Self { rounds: Rounds::spawn("grower", BUDGET)? })
    }

    /// Has the thread look after `map` too, until it is dropped.
    ///
    /// Waits for other threads that add a map. Allocates. Does nothing once the thread has
    /// [ended](Self::is_finished).
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
        self.rounds.add(Box::new(move |budget| {
            let map = map.upgrade()?;
            let due = map.grow_step(0);
            if due {
                map.grow_step(budget);
            }
            Some(due)
        }));
    }

    /// Whether the thread has ended, which means that a key's `Hash` panicked in it.
    ///
    /// ```
    /// assert!(!hedgerow::std_ext::Grower::spawn()?.is_finished());
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.rounds.worker.is_finished()
    }
}

impl fmt::Debug for Grower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grower").field("worker", &self.rounds.worker).finish()
    }
}
