//! Time to live: the clock of a map, deadlines of entries, and the listener of removals.
//!
//! A deadline is part of a record's head, so it moves with the record. The deadline of an entry is that of the lowest
//! record in its chain: a deferred change does not prolong a value's life. After its deadline no operation finds the
//! entry. A sweep, [`compress_step`](crate::CompressedMap::compress_step) or
//! [`expire_step`](crate::CompressedMap::expire_step) frees its memory later.

use super::codec::Corrupt;
use super::record::MAX_DEADLINE;
use super::types::StoreError;
use crate::facade::atomic::{AtomicBool, Ordering};
use crate::facade::lock::Lock;
use crate::table::walk::WalkPosition;
use alloc::boxed::Box;
use core::time::Duration;

/// The clock of a map, for entries that expire.
///
/// The map calls it during lookups, while it holds no lock that another lookup needs. If the clock goes backwards,
/// lookups may find expired entries again.
pub trait Clock: Send + Sync {
    /// Returns the time since a fixed moment.
    fn now(&self) -> Duration;
}

impl<F: Fn() -> Duration + Send + Sync> Clock for F {
    fn now(&self) -> Duration {
        self()
    }
}

/// Why a map has removed an entry by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RemovalCause {
    /// The entry's time to live was over.
    Expired,
    /// The entry has not been read recently and the map needed its memory: [`Policy::Evict`](super::Policy::Evict).
    Evicted,
}

/// A function that a map calls for each entry that it removes by itself.
pub(super) type Listener = dyn Fn(&[u8], Result<&[u8], Corrupt>, RemovalCause) + Send + Sync;

/// The clock, the default time to live and the listener of a map.
pub(super) struct ExpirySettings {
    clock: Option<Box<dyn Clock>>,
    /// The time to live of entries that are inserted without one.
    time_to_live: Option<Duration>,
    pub(super) listener: Option<Box<Listener>>,
    /// Whether any entry ever had a deadline.
    is_used: AtomicBool,
    /// Where the next search for expired entries begins.
    pub(super) next: Lock<WalkPosition>,
}

impl ExpirySettings {
    pub(super) fn new(
        clock: Option<Box<dyn Clock>>,
        time_to_live: Option<Duration>,
        listener: Option<Box<Listener>>,
    ) -> Self {
        let (is_used, next) = (AtomicBool::new(false), Lock::new(WalkPosition::START));
        Self { clock: clock.or_else(system_clock), time_to_live, listener, is_used, next }
    }

    /// Whether any entry may have a deadline.
    pub(super) fn is_used(&self) -> bool {
        // relaxed: a thread that sees an entry with a deadline has synchronized with the writer that linked it, which
        // stored the flag before. For other threads it is a hint.
        self.is_used.load(Ordering::Relaxed)
    }

    /// Whether entries that are inserted without a time to live expire.
    pub(super) fn has_default(&self) -> bool {
        self.time_to_live.is_some()
    }

    /// Whether a removal calls the listener, which allocates the value.
    pub(super) fn has_listener(&self) -> bool {
        self.listener.is_some()
    }

    /// Returns the clock's time in milliseconds, plus one; 0 without a clock.
    fn now(&self) -> u64 {
        self.clock.as_ref().map_or(0, |clock| millis(clock.now()).saturating_add(1))
    }

    /// Returns the time for comparisons under a lock, where the clock cannot be called; 0 if no entry expires.
    pub(super) fn now_if_used(&self) -> u64 {
        if self.is_used() { self.now() } else { 0 }
    }

    /// Returns the deadline of an entry that is inserted now with this time to live, or with the default; 0 if it never
    /// expires.
    pub(super) fn deadline(&self, time_to_live: Option<Duration>) -> Result<u64, StoreError> {
        let Some(time_to_live) = time_to_live.or(self.time_to_live) else { return Ok(0) };
        if self.clock.is_none() {
            return Err(StoreError::NoClock);
        }
        // Stored once only, so that inserts do not contend for the cache line.
        if !self.is_used() {
            // relaxed: see `is_used`.
            self.is_used.store(true, Ordering::Relaxed);
        }
        let deadline = self.now().saturating_add(millis(time_to_live));
        Ok(if deadline > MAX_DEADLINE { 0 } else { deadline })
    }

    /// Whether an entry with this deadline has expired.
    #[inline(always)]
    pub(super) fn has_passed(&self, deadline: u64) -> bool {
        // Most entries never expire: their lookups do not call the clock.
        deadline != 0 && self.is_over(deadline)
    }

    #[cold]
    fn is_over(&self, deadline: u64) -> bool {
        deadline <= self.now()
    }

    /// Returns the time that an entry with this deadline has left; `None` if it never expires.
    pub(super) fn remaining(&self, deadline: u64) -> Option<Duration> {
        let left = || Duration::from_millis(deadline.saturating_sub(self.now()));
        (deadline != 0).then(left)
    }
}

// On `wasm32-unknown-unknown` the standard library has no clock: `Instant::now` panics.
#[cfg(all(
    feature = "std",
    not(any(hedgerow_loom, all(target_family = "wasm", target_os = "unknown")))
))]
#[allow(clippy::unnecessary_wraps, reason = "there is none without an operating system")]
fn system_clock() -> Option<Box<dyn Clock>> {
    let began = std::time::Instant::now();
    Some(Box::new(move || began.elapsed()))
}

#[cfg(not(all(
    feature = "std",
    not(any(hedgerow_loom, all(target_family = "wasm", target_os = "unknown")))
)))]
fn system_clock() -> Option<Box<dyn Clock>> {
    None
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
