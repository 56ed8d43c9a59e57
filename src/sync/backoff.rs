//! Waiting for somebody else's short critical section, or refusing to.
//!
//! # Synchronization
//! None: a wait orders nothing. Whoever waits loads the awaited word again with the ordering that its
//! own protocol asks for.

use crate::facade::spin_hint;

/// A place that had to wait and was told not to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WouldWait;

/// Exponential spinning, up to 64 hints a time; or, when made by [`Backoff::never`], no waiting at all.
pub(crate) struct Backoff {
    step: u8,
    may_wait: bool,
}

impl Backoff {
    const MOST: u8 = if cfg!(hedgerow_loom) { 0 } else { 6 };

    #[inline]
    pub(crate) fn spinning() -> Self {
        Self { step: 0, may_wait: true }
    }

    /// For interrupt handlers and whoever else may not wait.
    #[inline]
    pub(crate) fn never() -> Self {
        Self { step: 0, may_wait: false }
    }

    #[inline]
    pub(crate) fn may_wait(&self) -> bool {
        self.may_wait
    }

    /// Spins a little, a little longer each time.
    #[inline]
    pub(crate) fn wait(&mut self) -> Result<(), WouldWait> {
        if !self.may_wait {
            return Err(WouldWait);
        }
        for _ in 0..1u32 << self.step {
            spin_hint();
        }
        self.step = (self.step + 1).min(Self::MOST);
        Ok(())
    }
}
