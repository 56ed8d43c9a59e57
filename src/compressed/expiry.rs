//! Entries that expire, and whom the map tells what it removes by itself.
//!
//! A deadline is a part of a record's head, so it goes where the record goes. An entry expires with the record that is
//! lowest in its chain: what is deferred does not change when a value expires. From then on no operation finds it; its
//! memory is free once a sweep, [`compress_step`](crate::CompressedMap::compress_step) or
//! [`expire_step`](crate::CompressedMap::expire_step) comes to it.

use super::codec::Corrupt;
use super::record::{Head, LAST_DEADLINE, Location};
use super::store::Store;
use super::types::StoreError;
use crate::api::hash::KeyHash;
use crate::facade::atomic::{AtomicBool, Ordering};
use crate::facade::lock::Lock;
use crate::table::walk::Position;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

/// Tells a map the time, for entries that expire.
///
/// The map asks it while it looks keys up, with nothing locked that another lookup needs. If it runs backwards, entries
/// that had expired may be found again.
pub trait Clock: Send + Sync {
    /// The time since a moment that stays the same.
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
    /// Its time to live was over.
    Expired,
    /// It had not been read lately, and others needed its room: [`Policy::Evict`](super::Policy::Evict).
    Evicted,
}

/// What a map calls for each entry that it removes by itself.
pub(super) type Listener = dyn Fn(&[u8], Result<&[u8], Corrupt>, RemovalCause) + Send + Sync;

/// What a map knows of time, and whom it tells.
pub(super) struct Expiry {
    pub(super) clock: Option<Box<dyn Clock>>,
    /// How long entries live that are inserted without a time of their own.
    pub(super) time_to_live: Option<Duration>,
    pub(super) listener: Option<Box<Listener>>,
    /// Whether any entry ever had a deadline.
    is_used: AtomicBool,
    /// Where the next look for expired entries begins.
    next: Lock<Position>,
}

impl Expiry {
    pub(super) fn new(
        clock: Option<Box<dyn Clock>>,
        time_to_live: Option<Duration>,
        listener: Option<Box<Listener>>,
    ) -> Self {
        let (is_used, next) = (AtomicBool::new(false), Lock::new(Position::START));
        Self { clock: clock.or_else(system_clock), time_to_live, listener, is_used, next }
    }

    pub(super) fn is_used(&self) -> bool {
        // relaxed: whoever sees an entry that expires has seen that it was linked, which came later; for others a hint.
        self.is_used.load(Ordering::Relaxed)
    }

    /// Milliseconds by the map's clock, from one on; 0 without a clock.
    fn now(&self) -> u64 {
        self.clock.as_ref().map_or(0, |clock| millis(clock.now()).saturating_add(1))
    }
}

#[cfg(all(feature = "std", not(hedgerow_loom)))]
#[allow(clippy::unnecessary_wraps, reason = "without an operating system there is none")]
fn system_clock() -> Option<Box<dyn Clock>> {
    let began = std::time::Instant::now();
    Some(Box::new(move || began.elapsed()))
}

#[cfg(not(all(feature = "std", not(hedgerow_loom))))]
fn system_clock() -> Option<Box<dyn Clock>> {
    None
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

impl Store {
    /// When an entry expires that is inserted now, and lives so long, or as long as entries do by default; 0 for never.
    pub(super) fn deadline(&self, time_to_live: Option<Duration>) -> Result<u64, StoreError> {
        let Some(time_to_live) = time_to_live.or(self.expiry.time_to_live) else { return Ok(0) };
        if self.expiry.clock.is_none() {
            return Err(StoreError::NoClock);
        }
        // Stored once, so that inserts do not take turns at a cache line.
        if !self.expiry.is_used() {
            // relaxed: see `is_used`.
            self.expiry.is_used.store(true, Ordering::Relaxed);
        }
        let deadline = self.expiry.now().saturating_add(millis(time_to_live));
        Ok(if deadline > LAST_DEADLINE { 0 } else { deadline })
    }

    /// Whether an entry with this deadline has expired.
    #[inline(always)]
    pub(super) fn has_passed(&self, deadline: u64) -> bool {
        deadline != 0 && self.is_over(deadline)
    }

    #[cold]
    fn is_over(&self, deadline: u64) -> bool {
        deadline <= self.expiry.now()
    }

    /// The time of now, for comparisons that are made where no clock can be asked; 0 where nothing expires.
    pub(super) fn now_if_used(&self) -> u64 {
        if self.expiry.is_used() { self.expiry.now() } else { 0 }
    }

    /// How long an entry with this deadline still lives; None if it never expires.
    pub(super) fn remaining(&self, deadline: u64) -> Option<Duration> {
        let left = || Duration::from_millis(deadline.saturating_sub(self.expiry.now()));
        (deadline != 0).then(left)
    }

    /// The deadline of what a record lies on in the end, or its own. Of one that is changing, some number.
    #[inline(always)]
    pub(super) fn deadline_of(&self, at: Location, head: Head) -> u64 {
        if head.is_operand() { self.trace(at).deadline() } else { head.deadline }
    }

    /// Removes an entry for the map's own reasons, and tells the listener; whether it was there. `wanted` knows the
    /// entry by what it leads to.
    pub(super) fn discard(
        &self,
        hash: KeyHash,
        key: &[u8],
        wanted: impl Fn(Location) -> bool + Copy,
        cause: RemovalCause,
    ) -> bool {
        let Some(listener) = &self.expiry.listener else {
            return self.unlink(hash, wanted).is_some();
        };
        let Some(found) = self.resolve_any(hash, wanted, key) else { return false };
        let gone = self.unlink_exactly(hash, found.top, found.generation);
        if gone {
            listener(key, found.value.as_deref().map_err(|&corrupt| corrupt), cause);
        }
        gone
    }

    /// Whether telling of a removal allocates.
    pub(super) fn tells(&self) -> bool {
        self.expiry.listener.is_some()
    }

    /// Removes the expired entries of the next `bins` bins; how many.
    pub(super) fn expire_some(&self, bins: usize) -> usize {
        if !self.expiry.is_used() {
            return 0;
        }
        let mut position = *self.expiry.next.lock();
        let (mut met, mut removed) = (Vec::new(), 0);
        for _ in 0..bins {
            let next = self.meet_all(position, &mut met);
            for entry in met.drain(..).filter(|entry| self.has_passed(entry.deadline())) {
                let exactly = |top| top == entry.top && self.generation(top) == entry.generation;
                let hash = self.hash(&entry.key);
                removed +=
                    usize::from(self.discard(hash, &entry.key, exactly, RemovalCause::Expired));
            }
            position = next.unwrap_or(Position::START);
            if next.is_none() {
                break;
            }
        }
        *self.expiry.next.lock() = position;
        removed
    }
}
