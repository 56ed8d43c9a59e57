//! Ranges as of one moment: copy each leaf's part, look at all leaves once more, and if one has changed begin
//! again; after some failures copy them with all of them locked.
//!
//! # Synchronization
//! - `[RA-1]` a range's second look at each of its leaves, after the last first look, finds none changed: so there
//!   was a moment, between the first looks and the second ones, at which all of them were as they were copied, and
//!   each was the right neighbour of the one before it. The sequentially consistent fence between the looks sees to
//!   it that two ranges do not see two independent writes in different orders.
//! - The moment of a locked range is when its last lock is taken.

use super::leaf::{Changed, Form, Leaf, Look, Seen};
use super::rule::Rule;
use super::search::{Place, Sought, Stand};
use super::tree::{Probe, Tree};
use crate::api::failure::Failure;
use crate::facade::atomic::{self, Ordering};
use crate::sync::backoff::Backoff;
use alloc::vec::Vec;
use core::mem::MaybeUninit;
use core::ops::Bound;

/// So often a range is tried without locks.
const TRIES: usize = if cfg!(hedgerow_loom) { 2 } else { 8 };
/// Leaves of a range that need no memory of their own.
const FEW: usize = 6;

/// Leaves as they were looked at.
pub(crate) struct Trail<'a, K, V> {
    few: [Option<Seen<'a, K, V>>; FEW],
    more: Vec<Seen<'a, K, V>>,
    len: usize,
}

impl<'a, K: Copy, V: Copy> Trail<'a, K, V> {
    pub(crate) fn new() -> Self {
        Self { few: [None; FEW], more: Vec::new(), len: 0 }
    }

    pub(crate) fn clear(&mut self) {
        self.more.clear();
        self.len = 0;
    }

    fn reserve(&mut self, leaves: usize) -> Result<(), Failure> {
        let more = leaves.saturating_sub(FEW);
        let missing = more.saturating_sub(self.more.len());
        self.more.try_reserve(missing).map_err(|_| Failure::Alloc)
    }

    pub(crate) fn push(&mut self, leaf: Leaf<'a, K, V>, look: Look) -> Result<(), Failure> {
        if let Some(slot) = self.few.get_mut(self.len) {
            *slot = Some((leaf, look));
        } else {
            self.reserve(self.len + 1)?;
            self.more.push((leaf, look));
        }
        self.len += 1;
        Ok(())
    }

    fn iter(&self) -> impl Iterator<Item = Seen<'a, K, V>> {
        self.few[..self.len.min(FEW)].iter().flatten().chain(&self.more).copied()
    }

    /// Looks a second time: whether all leaves are as they were, at one moment.
    pub(crate) fn holds(&self) -> bool {
        // One leaf has been validated already.
        if self.len < 2 {
            return true;
        }
        // [RA-1] sequentially consistent fence: pairs with its like in other ranges.
        atomic::fence(Ordering::SeqCst);
        self.iter().all(|(leaf, look)| leaf.is_as(look))
    }

    /// Whether all leaves but `locked`, which the caller has locked after it looked at them, are as they were then. A
    /// swap in each says so: a second look alone could miss a write of a thread that in turn misses the lock [SL-7].
    pub(crate) fn confirm_but(&self, locked: Leaf<'a, K, V>) -> bool {
        self.iter().all(|(leaf, look)| leaf == locked || leaf.confirm(look))
    }

    /// Unlocks all leaves, to which nothing was written.
    fn give_back(&mut self) {
        self.iter().for_each(|(leaf, look)| leaf.give_back(look));
        self.clear();
    }
}

/// What a range reads, in key order.
pub(crate) type Bounds<S> = (Bound<Sought<S>>, Bound<Sought<S>>);

/// No bound.
pub(crate) fn unbounded<'q, K>() -> Bound<Sought<&'q K>> {
    Bound::Unbounded
}

/// Whether a leaf that ends at `hi` has all that is up to `end`.
fn ends_before<K>(end: Bound<Sought<impl Stand<K>>>, hi: &K) -> bool {
    match end {
        Bound::Included(end) => end.compare(hi).is_lt(),
        Bound::Excluded(end) => end.compare(hi).is_le(),
        Bound::Unbounded => false,
    }
}

impl<K: Copy + Ord, V: Copy, R: Rule<K>> Tree<K, V, R> {
    pub(crate) fn bound<'q>(&self, bound: Bound<&'q K>) -> Bound<Sought<&'q K>> {
        bound.map(|key| self.sought(key))
    }

    /// The leaf where a range begins; None in a map that has never had an entry.
    pub(super) fn leaf_from(
        &self,
        start: Bound<Sought<impl Stand<K>>>,
        backoff: &mut Backoff,
    ) -> Result<Option<Seen<'_, K, V>>, Failure> {
        if let Bound::Included(sought) | Bound::Excluded(sought) = start {
            let probe = Probe { sought, below: false };
            return Ok(self.locate(probe, backoff)?);
        }
        let Some(head) = self.head() else { return Ok(None) };
        loop {
            let look = head.begin();
            if !look.is_locked() {
                return Ok(Some((head, look)));
            }
            backoff.wait()?;
        }
    }

    /// How many of the leaf's entries come before the start of a range.
    pub(super) fn first_at(
        &self,
        leaf: Leaf<'_, K, V>,
        look: Look,
        start: Bound<Sought<impl Stand<K>>>,
    ) -> Result<usize, Changed> {
        let place = |sought| leaf.place(look, sought, &self.ranking);
        Ok(match start {
            Bound::Included(sought) => place(sought)?.at,
            Bound::Excluded(sought) => Self::behind(place(sought)?),
            Bound::Unbounded => 0,
        })
    }

    /// How many of the leaf's entries come before the end of a range, and whether the range ends with the leaf.
    pub(super) fn end_at(
        &self,
        leaf: Leaf<'_, K, V>,
        look: Look,
        end: Bound<Sought<impl Stand<K>>>,
    ) -> Result<(usize, bool), Changed> {
        let count = look.meta.count();
        let place = |sought| leaf.place(look, sought, &self.ranking);
        if let Some(hi) = leaf.hi(look)?
            && !ends_before(end, &hi)
        {
            return Ok((count, false));
        }
        let at = match end {
            Bound::Included(sought) => Self::behind(place(sought)?),
            Bound::Excluded(sought) => place(sought)?.at,
            Bound::Unbounded => count,
        };
        Ok((at, true))
    }

    pub(super) fn behind(place: Place) -> usize {
        place.at + usize::from(place.found)
    }

    /// Fills `into` with the entries within `bounds`, as of one moment.
    pub(crate) fn range(
        &self,
        bounds: Bounds<impl Stand<K>>,
        into: &mut Vec<(K, V)>,
        mut backoff: Backoff,
    ) -> Result<(), Failure> {
        let mut trail = Trail::new();
        for _ in 0..TRIES {
            into.clear();
            trail.clear();
            let copy = |leaf, look, part| copy_part(leaf, look, part, into);
            if self.follow(bounds, &mut trail, &mut backoff, copy)? && trail.holds() {
                return Ok(());
            }
        }
        if !backoff.may_wait() {
            return Err(Failure::Busy);
        }
        let mut leaves = trail.len + 1;
        while !self.follow_locked(bounds, into, &mut trail, leaves, &mut backoff)? {
            leaves *= 2;
        }
        Ok(())
    }

    /// The number of entries within `bounds`, as of one moment.
    pub(crate) fn range_len(
        &self,
        bounds: Bounds<impl Stand<K>>,
        mut backoff: Backoff,
    ) -> Result<usize, Failure> {
        let mut trail = Trail::new();
        for _ in 0..TRIES {
            trail.clear();
            let mut len = 0;
            let count = |leaf: Leaf<'_, K, V>, look, part: core::ops::Range<usize>| {
                len += part.len();
                Ok(leaf.is_as(look))
            };
            if self.follow(bounds, &mut trail, &mut backoff, count)? && trail.holds() {
                return Ok(len);
            }
        }
        // Writers come in between again and again: the leaves are locked, as they are for a copy.
        let mut entries = Vec::new();
        self.range(bounds, &mut entries, backoff)?;
        Ok(entries.len())
    }

    /// Shows the range's part of each leaf to `each`, which says whether the leaf is as it was looked at. False if a
    /// leaf changes meanwhile.
    fn follow<'a>(
        &'a self,
        (start, end): Bounds<impl Stand<K>>,
        trail: &mut Trail<'a, K, V>,
        backoff: &mut Backoff,
        mut each: impl FnMut(Leaf<'a, K, V>, Look, core::ops::Range<usize>) -> Result<bool, Failure>,
    ) -> Result<bool, Failure> {
        let Some((mut leaf, mut look)) = self.leaf_from(start, backoff)? else { return Ok(true) };
        let Ok(mut from) = self.first_at(leaf, look, start) else { return Ok(false) };
        loop {
            let Ok((to, is_last)) = self.end_at(leaf, look, end) else { return Ok(false) };
            if !each(leaf, look, from..to)? {
                return Ok(false);
            }
            trail.push(leaf, look)?;
            if is_last {
                return Ok(true);
            }
            let Ok(next) = leaf.next(look) else { return Ok(false) };
            (leaf, look, from) = (next, next.begin(), 0);
            while look.is_locked() {
                backoff.wait()?;
                look = leaf.begin();
            }
            if !look.meta.is_alive() {
                return Ok(false);
            }
        }
    }

    /// As `follow`, with up to `leaves` leaves locked; false if the range goes on behind them. No user code runs,
    /// and nothing is allocated, while any of them is locked.
    fn follow_locked<'a>(
        &'a self,
        (start, end): Bounds<impl Stand<K>>,
        into: &mut Vec<(K, V)>,
        trail: &mut Trail<'a, K, V>,
        leaves: usize,
        backoff: &mut Backoff,
    ) -> Result<bool, Failure> {
        into.clear();
        trail.clear();
        let entries = leaves.checked_mul(Form::<K, V>::ENTRIES).ok_or(Failure::Alloc)?;
        into.try_reserve(entries).map_err(|_| Failure::Alloc)?;
        trail.reserve(leaves)?;
        let (mut leaf, mut look) = loop {
            let Some((leaf, look)) = self.leaf_from(start, backoff)? else { return Ok(true) };
            if leaf.try_lock(look) {
                break (leaf, look);
            }
            backoff.wait()?;
        };
        loop {
            // There is room for it.
            trail.push(leaf, look)?;
            let count = look.meta.count();
            let spare = &mut into.spare_capacity_mut()[..count];
            copy_raw(leaf, 0, spare);
            // SAFETY: copied under the leaf's lock, and there was room.
            unsafe { into.set_len(into.len() + count) };
            if trail.len == leaves || !look.meta.has_hi() {
                break;
            }
            leaf = leaf.next_locked();
            look = lock(leaf);
        }
        let hi = leaf.hi_locked(look);
        trail.give_back();
        if hi.is_some_and(|hi| !ends_before(end, &hi)) {
            return Ok(false);
        }
        let is_beyond = |key: &K| match end {
            Bound::Included(end) => end.compare(key).is_lt(),
            Bound::Excluded(end) => end.compare(key).is_le(),
            Bound::Unbounded => false,
        };
        into.truncate(into.partition_point(|(key, _)| !is_beyond(key)));
        let is_before = |key: &K| match start {
            Bound::Included(start) => start.compare(key).is_gt(),
            Bound::Excluded(start) => start.compare(key).is_ge(),
            Bound::Unbounded => false,
        };
        into.drain(..into.partition_point(|(key, _)| is_before(key)));
        Ok(true)
    }
}

/// Locks a leaf that cannot die meanwhile, for its left neighbour is locked.
fn lock<K: Copy, V: Copy>(leaf: Leaf<'_, K, V>) -> Look {
    let mut backoff = Backoff::spinning();
    loop {
        let look = leaf.begin();
        if leaf.try_lock(look) {
            return look;
        }
        // This one waits as long as it takes.
        let _ = backoff.wait();
    }
}

#[inline(always)]
pub(super) fn copy_raw<K: Copy, V: Copy>(
    leaf: Leaf<'_, K, V>,
    from: usize,
    into: &mut [MaybeUninit<(K, V)>],
) {
    for (index, slot) in into.iter_mut().enumerate() {
        let entry = slot.as_mut_ptr();
        // SAFETY: the fields of a slot of ours; what may not be a whole key or value stays in a `MaybeUninit`.
        unsafe {
            (&raw mut (*entry).0).cast::<MaybeUninit<K>>().write(leaf.fetch_key(from + index));
            (&raw mut (*entry).1).cast::<MaybeUninit<V>>().write(leaf.fetch_value(from + index));
        }
    }
}

/// Copies entries to the end of `into`; false if the leaf has changed since the look.
pub(super) fn copy_part<K: Copy, V: Copy>(
    leaf: Leaf<'_, K, V>,
    look: Look,
    part: core::ops::Range<usize>,
    into: &mut Vec<(K, V)>,
) -> Result<bool, Failure> {
    let some = part.end.saturating_sub(part.start);
    into.try_reserve(some).map_err(|_| Failure::Alloc)?;
    copy_raw(leaf, part.start, &mut into.spare_capacity_mut()[..some]);
    let whole = leaf.is_as(look);
    if whole {
        // SAFETY: the leaf has not changed since it said that these are entries, and there was room.
        unsafe { into.set_len(into.len() + some) };
    }
    Ok(whole)
}
