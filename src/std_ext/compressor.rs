//! A thread that makes room in compressed maps before their writers need it.

use super::rounds::Rounds;
use crate::compressed::CompressedMap;
use alloc::boxed::Box;
use std::fmt;
use std::io;
use std::sync::Arc;

/// Bytes that a step sweeps in each map.
const BUDGET: usize = 16 << 10;

/// A thread that compresses, compacts, folds and has codecs learn, by
/// [`compress_step`](CompressedMap::compress_step), so that writers mostly find room.
///
/// Without it writers do the same work themselves, a little each. Where they write faster than it compresses, they
/// slow down to its pace, and help.
/// One thread serves any number of maps. It looks at each of them ten thousand times a second after one had work, and
/// a hundred times a second while none has. Maps are not kept alive by it.
///
/// Where a codec or a [`Merge`](crate::compressed::Merge) panics, the thread ends, and writers are by themselves
/// again. Dropping the compressor waits until the step that is running ends.
///
/// ```
/// use hedgerow::{CompressedMap, std_ext::Compressor};
/// use std::sync::Arc;
///
/// let compressor = Compressor::spawn()?;
/// let map = Arc::new(CompressedMap::with_budget(1 << 20));
/// compressor.add(&map);
/// for n in 0..1_000 {
///     map.insert(&format!("key {n}"), "a value").unwrap();
/// }
/// # std::io::Result::Ok(())
/// ```
pub struct Compressor {
    rounds: Rounds,
}

impl Compressor {
    /// Starts the thread, with no maps yet.
    ///
    /// # Errors
    /// When the system gives no thread.
    ///
    /// ```
    /// let compressor = hedgerow::std_ext::Compressor::spawn()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn spawn() -> io::Result<Self> {
        Ok(Self { rounds: Rounds::spawn("compressor", BUDGET)? })
    }

    /// Has the thread look after `map` too, until it is dropped.
    ///
    /// Waits for other threads that add a map. Allocates. Does nothing once the thread has
    /// [ended](Self::is_finished).
    ///
    /// ```
    /// # use hedgerow::{CompressedMap, std_ext::Compressor};
    /// let compressor = Compressor::spawn()?;
    /// compressor.add(&std::sync::Arc::new(CompressedMap::with_budget(1 << 20)));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn add(&self, map: &Arc<CompressedMap>) {
        let map = Arc::downgrade(map);
        self.rounds.add(Box::new(move |budget| Some(map.upgrade()?.compress_step(budget))));
    }

    /// Whether the thread has ended, which means that somebody's code panicked in it.
    ///
    /// ```
    /// assert!(!hedgerow::std_ext::Compressor::spawn()?.is_finished());
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.rounds.worker.is_finished()
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").field("worker", &self.rounds.worker).finish()
    }
}
