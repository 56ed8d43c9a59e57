//! Waiting for somebody else's short critical section, or refusing to.
//!
//! # Synchronization
//! None: a wait orders nothing. Whoever waits loads the awaited word again with the ordering that its
//! own protocol asks for.

use crate::facade::spin_hint;

/// A place that had to wait and was told not to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WouldWait;

/// Exponential spinning, up to 64 hints a time: as often as it takes, a number of times, or not at all.
pub(crate) struct Backoff {
    step: u8,
    /// Waits that are left; `u32::MAX` is no bound.
    waits_left: u32,
}

impl Backoff {
    /// Waits of a bounded one: some 16,000 hints, which take 0.1 to 1 ms by the processor; thousands of times what the
    /// others' work takes.
    #[cfg(feature = "alloc")]
    const BOUNDED_WAITS: u32 = if cfg!(hedgerow_loom) { 4 } else { 256 };
    /// A reader that is in the way of one change is hardly ever in the way of two.
    #[cfg(feature = "alloc")]
    const MAX_RETRIES: u8 = 64;
    const MOST: u8 = if cfg!(hedgerow_loom) { 0 } else { 6 };

    #[inline]
    pub(crate) fn spinning() -> Self {
        Self { step: 0, waits_left: u32::MAX }
    }

    /// For interrupt handlers and whoever else may not wait.
    #[inline]
    pub(crate) fn never() -> Self {
        Self { step: 0, waits_left: 0 }
    }

    /// For work that can be left for later: some waits, and none at all if `self` may not wait.
    #[cfg(feature = "alloc")]
    pub(crate) fn bounded(&self) -> Self {
        Self { step: 0, waits_left: self.waits_left.min(Self::BOUNDED_WAITS) }
    }

    /// For what is mostly over in less than a microsecond, and otherwise can be done later.
    #[cfg(feature = "alloc")]
    #[cfg_attr(hedgerow_loom, allow(dead_code))] // Models wait or do not.
    pub(crate) fn brief() -> Self {
        Self { step: 0, waits_left: 32 }
    }

    /// Whether locks that are held for a few instructions may be waited for.
    #[cfg(feature = "alloc")]
    #[inline]
    pub(crate) fn may_wait(&self) -> bool {
        self.waits_left > 0
    }

    /// Takes one of the waits that are left.
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

    /// Begins again, without a wait, because another writer changed what was just read. As often as it takes; if
    /// `self` may not wait, [`MAX_RETRIES`](Self::MAX_RETRIES) times, so that such an operation ends whatever others do.
    #[cfg(feature = "alloc")]
    #[inline]
    pub(crate) fn again(&mut self) -> Result<(), WouldWait> {
        if self.waits_left != 0 {
            return Ok(());
        }
        if self.step >= Self::MAX_RETRIES {
            return Err(WouldWait);
        }
        // It never spins, so this counts nothing else.
        self.step += 1;
        Ok(())
    }

    /// Spins a little, a little longer each time.
    #[cfg_attr(target_pointer_width = "64", inline)]
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))] // Flash is what small targets lack.
    pub(crate) fn wait(&mut self) -> Result<(), WouldWait> {
        self.take_wait()?;
        for _ in 0..1u32 << self.step {
            spin_hint();
        }
        self.step = (self.step + 1).min(Self::MOST);
        Ok(())
    }

    /// As `wait`, for a reader's look, which is over in a few nanoseconds or, where it was descheduled, only after
    /// others had the processor: a little at a time, for some virtual machines take many hints in a row for a
    /// reason to stop the processor.
    #[cfg_attr(hedgerow_loom, allow(dead_code))] // Models wait for what is short.
    pub(crate) fn wait_long(&mut self) -> Result<(), WouldWait> {
        const LONG: u8 = 64;
        self.take_wait()?;
        if self.step < LONG {
            self.step += 1;
            (0..self.step.min(4)).for_each(|_| spin_hint());
        } else {
            crate::facade::yield_hint();
        }
        Ok(())
    }
}
