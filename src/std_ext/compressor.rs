//! A thread that frees memory in compressed maps before their writers need it.

use crate::compressed::CompressedMap;
use hedgerow_std_ext::Scheduler;
use std::fmt;
use std::io;
use std::sync::Arc;

/// Bytes that a visit sweeps.
const BUDGET: usize = 16 << 10;

/// A background thread that calls [`compress_step`](CompressedMap::compress_step) (which compresses, compacts, merges
/// and trains codecs), so that writers usually find room.
///
/// Without it, writers do the same work themselves, a little each. Writers that are faster than the thread help, and
/// slow down to its pace.
///
/// One thread serves any number of maps, and keeps none of them alive. It visits each up to ten thousand times a second
/// after one had work, and a hundred times a second while none has.
///
/// If a codec or a [`Merge`](crate::compressed::Merge) panics, the thread ends, and writers do all the work again.
/// Dropping the compressor waits for the running step.
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
#[must_use = "if unused, the thread ends at once"]
pub struct Compressor {
    scheduler: Scheduler,
}

impl Compressor {
    /// Starts the thread, without maps yet.
    ///
    /// # Errors
    /// If the system cannot start a thread.
    ///
    /// ```
    /// let compressor = hedgerow::std_ext::Compressor::spawn()?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn spawn() -> io::Result<Self> {
        Ok(Self { scheduler: Scheduler::spawn("compressor", BUDGET)? })
    }

    /// Adds a map to the thread's round, until the map is dropped.
    ///
    /// Waits for other threads that add a map. Allocates. Does nothing once the thread has [ended](Self::is_finished).
    ///
    /// ```
    /// # use hedgerow::{CompressedMap, std_ext::Compressor};
    /// let compressor = Compressor::spawn()?;
    /// compressor.add(&std::sync::Arc::new(CompressedMap::with_budget(1 << 20)));
    /// # std::io::Result::Ok(())
    /// ```
    pub fn add(&self, map: &Arc<CompressedMap>) {
        let map = Arc::downgrade(map);
        self.scheduler.add(move |budget| Some(map.upgrade()?.compress_step(budget)));
    }

    /// Returns `true` if the thread has ended, which means that a codec or a `Merge` panicked.
    ///
    /// ```
    /// assert!(!hedgerow::std_ext::Compressor::spawn()?.is_finished());
    /// # std::io::Result::Ok(())
    /// ```
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.scheduler.is_finished()
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").field("scheduler", &self.scheduler).finish()
    }
}
