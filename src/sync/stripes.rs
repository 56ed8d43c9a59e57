//! A counter that threads share without sharing a cache line.
//!
//! A small map counts in one word. A large one spreads its count over stripes, chosen by where the
//! caller's stack lies (which tells threads apart without an operating system), and moves it to a
//! common sum in steps of [`STEP`]: fifteen updates of sixteen touch only the stripe.
//!
//! # Synchronization
//! The stripes are [`Published`]: a thread that sees them sees them zeroed. The counts themselves are relaxed: they
//! order nothing, and a total read while others write is a total of some recent past. Read when nobody writes (after
//! joining the writers) it is exact.

use crate::facade::atomic::{AtomicIsize, Ordering};
use crate::sync::cache::CachePadded;
use crate::sync::published::Published;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Stripes move their count to the common sum in steps of this many.
pub(crate) const STEP: isize = 16;
pub(crate) const STRIPES: usize = 16;

type Stripes = [CachePadded<AtomicIsize>; STRIPES];

pub(crate) struct Counter {
    /// Updates from before the stripes existed, and all updates of a small map.
    base: AtomicIsize,
    /// Multiples of `STEP` moved out of the stripes, plus `base` as it was when they were made.
    sum: AtomicIsize,
    stripes: Published<Stripes>,
}

impl Counter {
    crate::facade::const_unless_loom! {
        pub(crate) fn new() -> Self {
            Self {
                base: AtomicIsize::new(0),
                sum: AtomicIsize::new(0),
                stripes: Published::new(),
            }
        }
    }

    #[inline]
    fn stripes(&self) -> Option<&Stripes> {
        self.stripes.get()
    }

    /// Spreads the count over stripes from now on; keeps one word where memory has run out.
    pub(crate) fn spread(&self) {
        if self.stripes().is_some() {
            return;
        }
        let mut made = Vec::new();
        if made.try_reserve_exact(STRIPES).is_err() {
            return;
        }
        made.resize_with(STRIPES, || CachePadded::new(AtomicIsize::new(0)));
        let Ok(made) = Box::<Stripes>::try_from(made) else { return };
        let made = Box::into_raw(made);
        // SAFETY: just made; freed by `drop` alone once it is published.
        if !unsafe { self.stripes.publish_first(made) } {
            // SAFETY: the swap failed, so the box was never shared.
            drop(unsafe { Box::from_raw(made) });
        }
    }

    /// Spreads the count once it is more than `few`.
    pub(crate) fn spread_beyond(&self, few: isize) {
        // relaxed: counts order nothing.
        if self.stripes().is_none() && self.base.load(Ordering::Relaxed) > few {
            self.spread();
        }
    }

    /// Adds `by` (one up or one down, usually) and, when it is worth looking at, tells the total.
    #[inline]
    pub(crate) fn add(&self, by: isize) -> Option<usize> {
        let Some(stripes) = self.stripes() else {
            // relaxed: counts order nothing.
            let before = self.base.fetch_add(by, Ordering::Relaxed);
            return Some(usize::try_from(before + by).unwrap_or(0));
        };
        // relaxed: counts order nothing.
        let before = stripes[stripe()].fetch_add(by, Ordering::Relaxed);
        let steps = (before + by).div_euclid(STEP) - before.div_euclid(STEP);
        if steps == 0 {
            return None;
        }
        // relaxed: counts order nothing.
        let sum = self.sum.fetch_add(steps * STEP, Ordering::Relaxed) + steps * STEP;
        // relaxed: counts order nothing.
        Some(usize::try_from(sum + self.base.load(Ordering::Relaxed)).unwrap_or(0))
    }

    /// The total: exact when nobody updates it meanwhile.
    pub(crate) fn total(&self) -> usize {
        // relaxed: counts order nothing.
        let base = self.base.load(Ordering::Relaxed);
        let striped: isize = self.stripes().map_or(0, |stripes| {
            // relaxed: counts order nothing.
            stripes.iter().map(|stripe| stripe.load(Ordering::Relaxed)).sum()
        });
        usize::try_from(base + striped).unwrap_or(0)
    }

    /// Bytes on the heap.
    pub(crate) fn bytes(&self) -> usize {
        self.stripes().map_or(0, size_of_val)
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        let stripes = self.stripes.take();
        if !stripes.is_null() {
            // SAFETY: made by `Box::into_raw` in `spread`, and nobody shares the counter any more.
            drop(unsafe { Box::from_raw(stripes) });
        }
    }
}

/// A stripe for this thread: stacks lie apart, so their addresses tell threads apart.
#[inline]
pub(crate) fn stripe() -> usize {
    if cfg!(hedgerow_loom) {
        return 0;
    }
    let here = 0u8;
    let page = (&raw const here).addr() >> 14;
    let spread = page.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as usize);
    spread >> (usize::BITS - STRIPES.ilog2())
}
