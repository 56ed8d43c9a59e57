//! Waiting for another thread's short critical section, or refusing to wait.
//!
//! # Synchronization
//! None: a wait orders nothing. The caller loads the awaited word again, with the ordering of its own protocol.

#[cfg(feature = "alloc")]
use crate::facade::lock::{Guard, Lock};
use crate::facade::{IN_USERS_MODEL, spin_hint, yield_hint};

/// The operation would have to wait, and its backoff does not allow that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WouldWait;

/// Exponential backoff of up to 64 spin hints a wait. Later waits yield as well, because the awaited thread may be
/// descheduled. The number of waits is unlimited, bounded, or zero.
pub(crate) struct Backoff {
    step: u8,
    /// Waits that are left. `u32::MAX` is unlimited.
    waits_left: u32,
}

impl Backoff {
    /// Waits of [`bounded`](Self::bounded): some 16,000 hints, which take 0.1 to 1 ms depending on the processor. The
    /// critical sections waited for are thousands of times shorter.
    #[cfg(feature = "alloc")]
    const BOUNDED_WAITS: u32 = if cfg!(hedgerow_loom) { 4 } else { 256 };
    /// Retries of an operation that may not wait. Another writer that gets in its way once hardly ever does so twice.
    #[cfg(feature = "alloc")]
    const MAX_RETRIES: u8 = 64;
    const MAX_STEP: u8 = if cfg!(hedgerow_loom) || IN_USERS_MODEL { 0 } else { 6 };
    /// Waits without a yield: 191 hints. They take longer than any critical section of a thread that runs. With
    /// more threads than cores, spinning on would take the core from the thread that is awaited.
    const SPINNING_WAITS: u8 = 8;

    #[inline]
    pub(crate) fn spinning() -> Self {
        Self { step: 0, waits_left: u32::MAX }
    }

    /// For interrupt handlers, and other callers that may not wait.
    #[inline]
    pub(crate) fn never() -> Self {
        Self { step: 0, waits_left: 0 }
    }

    /// For work that can be left to later operations: a bounded number of waits, or none if `self` may not wait.
    #[cfg(feature = "alloc")]
    pub(crate) fn bounded(&self) -> Self {
        Self { step: 0, waits_left: self.waits_left.min(Self::BOUNDED_WAITS) }
    }

    /// For a condition that mostly holds within a microsecond, and can be checked again later.
    #[cfg(feature = "alloc")]
    #[cfg_attr(hedgerow_loom, allow(dead_code))] // Models wait for ever or not at all.
    pub(crate) fn brief() -> Self {
        Self { step: 0, waits_left: 32 }
    }

    /// Returns true if the operation may wait for locks that are held for a few instructions.
    #[cfg(feature = "alloc")]
    #[inline]
    pub(crate) fn may_wait(&self) -> bool {
        self.waits_left > 0
    }

    /// Takes a lock that is held for a few instructions; waits for it only if the operation may wait.
    #[cfg(feature = "alloc")]
    #[inline]
    pub(crate) fn lock<'l, T>(&self, lock: &'l Lock<T>) -> Result<Guard<'l, T>, WouldWait> {
        if self.may_wait() { Ok(lock.lock()) } else { lock.try_lock().ok_or(WouldWait) }
    }

    /// Uses up one of the waits that are left.
    #[inline]
    fn take_wait(&mut self) -> Result<(), WouldWait> {
        if self.waits_left == 0 {
            return Err(WouldWait);
        }
        if self.waits_left != u32::MAX {
            self.waits_left -= 1;
        }
        Ok(())
    }

    /// Allows another attempt, without a wait, after another writer changed what was read. Attempts are unlimited if
    /// `self` may wait. Otherwise there are [`MAX_RETRIES`](Self::MAX_RETRIES), so that the operation ends, even if
    /// other writers never stop.
    #[cfg(feature = "alloc")]
    #[inline]
    pub(crate) fn again(&mut self) -> Result<(), WouldWait> {
        if self.waits_left != 0 {
            return Ok(());
        }
        if self.step >= Self::MAX_RETRIES {
            return Err(WouldWait);
        }
        // A backoff that may not wait never spins, so `step` is free to count attempts.
        self.step += 1;
        Ok(())
    }

    /// Spins, up to twice as long as the time before. After [`SPINNING_WAITS`](Self::SPINNING_WAITS), yields as well.
    #[cfg(feature = "alloc")]
    #[cold]
    #[inline(never)]
    pub(crate) fn wait(&mut self) -> Result<(), WouldWait> {
        self.wait_by(spin_hint, yield_hint)
    }

    /// Spins, up to twice as long as the time before, and never yields. For operations that call nothing: the call of
    /// [`wait`](Self::wait) would cost each of them registers.
    #[cfg_attr(target_pointer_width = "64", inline)]
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))] // Small targets lack flash.
    pub(crate) fn spin(&mut self) -> Result<(), WouldWait> {
        self.wait_by(spin_hint, || ())
    }

    #[inline(always)]
    fn wait_by(&mut self, spin: impl Fn(), yield_core: impl Fn()) -> Result<(), WouldWait> {
        self.take_wait()?;
        (0..1u32 << self.step.min(Self::MAX_STEP)).for_each(|_| spin());
        if self.step < Self::SPINNING_WAITS {
            self.step += 1;
        } else {
            yield_core();
        }
        Ok(())
    }

    /// As `wait`, for the end of a read section. That comes within nanoseconds or, if the reader was descheduled, after
    /// other threads have run. So this spins a few hints at a time and then yields. Longer runs of hints make some
    /// virtual machines stop the processor.
    #[cfg_attr(hedgerow_loom, allow(dead_code))] // Models use `wait`.
    pub(crate) fn wait_long(&mut self) -> Result<(), WouldWait> {
        const LONG: u8 = 64;
        self.take_wait()?;
        if self.step < LONG {
            self.step += 1;
            let most = if IN_USERS_MODEL { 1 } else { 4 };
            (0..self.step.min(most)).for_each(|_| spin_hint());
        } else {
            yield_hint();
        }
        Ok(())
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;
    use core::cell::Cell;

    #[test]
    fn long_waits_yield() {
        let (spins, yields) = (Cell::new(0), Cell::new(0));
        let mut backoff = Backoff::spinning();
        let mut wait = || {
            let waited =
                backoff.wait_by(|| spins.set(spins.get() + 1), || yields.set(yields.get() + 1));
            assert_eq!(waited, Ok(()));
        };
        (0..Backoff::SPINNING_WAITS).for_each(|_| wait());
        assert_eq!((spins.get(), yields.get()), (191, 0));
        (0..10).for_each(|_| wait());
        assert_eq!((spins.get(), yields.get()), (191 + 10 * 64, 10), "a long wait spins on");
    }
}
