//! Changing one entry: look, decide with nothing locked, lock from the very state that was read, store.

use super::hints::Scale;
use super::leaf::{BLOCK, Changed, Form, Leaf, LeafHints, Look, Meta};
use super::rank::is_exact;
use super::rule::Rule;
use super::search::{Sought, Stand};
use super::tree::{Spot, Tree};
use crate::api::failure::Failure;
use crate::api::op::Change;
use crate::sync::backoff::Backoff;
use core::mem::MaybeUninit;

/// What an operation found, and what it did about it.
pub(crate) type Altered<K, V, T = V> = (Option<T>, Change<K, V>);

/// The hints of a leaf as it is to be.
pub(super) struct Plan<K> {
    pub(super) hints: LeafHints,
    pub(super) shift: u32,
    /// What hints are counted from from now on, where that changes.
    pub(super) base: Option<K>,
}

impl<K: Copy + Ord, V: Copy, R: Rule<K>> Tree<K, V, R> {
    /// Does with the key's entry what `decide` says of what `read` fetches of it, and tells `taken` what it has
    /// replaced or removed, before any other user code runs. `decide` runs with nothing locked, and again
    /// if the leaf has changed meanwhile. Linearizes where the leaf is locked, and a decision to keep things as they
    /// are where it was validated last.
    #[inline(always)]
    pub(crate) fn alter<T: Copy>(
        &self,
        sought: Sought<impl Stand<K>>,
        read: impl Fn(Leaf<'_, K, V>, usize) -> MaybeUninit<T>,
        mut backoff: Backoff,
        mut decide: impl FnMut(Option<&T>) -> Change<K, V>,
        taken: impl FnOnce(T),
    ) -> Result<Altered<K, V, T>, Failure> {
        let mut has_listed = false;
        loop {
            let spot = match self.spot_at_once(sought) {
                Some(spot) => Some(spot),
                None => self.seek(sought, self.tail_for(sought.rank), &mut backoff)?,
            };
            let Some(spot) = spot else {
                let change = decide(None);
                if !matches!(change, Change::Entry(..)) {
                    return Ok((None, change));
                }
                // Happens once: a first leaf stays.
                self.plant(&mut backoff)?;
                continue;
            };
            if !spot.look.meta.is_listed() && !has_listed {
                // Somebody could not, or has yet to.
                has_listed = true;
                self.list_up_to(sought, &mut backoff)?;
                continue;
            }
            let old = if spot.place.found {
                let found = read(spot.leaf, spot.place.at);
                if !spot.leaf.is_as(spot.look) {
                    backoff.again()?;
                    continue;
                }
                // SAFETY: validated, and the key stands there.
                Some(unsafe { found.assume_init() })
            } else {
                None
            };
            let change = decide(old.as_ref());
            let done = match (&change, old) {
                (Change::Keep, _) | (Change::Value(_) | Change::Remove, None) => {
                    return Ok((old, change));
                }
                (Change::Value(value), Some(_)) => {
                    Self::replace(&spot, |leaf, at| leaf.put_value(at, value))
                }
                (Change::Entry(key, value), Some(_)) => {
                    Self::replace(&spot, |leaf, at| leaf.put_entry(at, key, value))
                }
                (Change::Entry(key, value), None) => {
                    if spot.look.meta.count() == Form::<K, V>::ENTRIES {
                        self.split(&spot, key, &mut backoff)?;
                        // Other writers may fill the halves, too.
                        backoff.again()?;
                        continue;
                    }
                    self.insert(&spot, sought, key, value)
                }
                (Change::Remove, Some(_)) => self.remove(&spot),
            };
            if done {
                old.map(taken);
                if matches!(change, Change::Remove) {
                    self.tidy_after(spot.leaf, spot.look, &mut backoff);
                }
                return Ok((old, change));
            }
            self.note_conflict(sought.rank);
            backoff.wait()?;
        }
    }

    #[inline(always)]
    fn replace(spot: &Spot<'_, K, V>, put: impl Fn(Leaf<'_, K, V>, usize)) -> bool {
        let locked = spot.leaf.try_lock(spot.look);
        if locked {
            put(spot.leaf, spot.place.at);
            spot.leaf.unlock(spot.look, spot.look.meta);
        }
        locked
    }

    #[inline(always)]
    fn insert(
        &self,
        spot: &Spot<'_, K, V>,
        sought: Sought<impl Stand<K>>,
        key: &K,
        value: &V,
    ) -> bool {
        let (leaf, look, at) = (spot.leaf, spot.look, spot.place.at);
        let count = look.meta.count();
        let Ok(plan) = self.plan_insertion(leaf, look, at, sought.rank, key) else { return false };
        if !leaf.try_lock(look) {
            return false;
        }
        leaf.open_gap(at, count);
        leaf.put_entry(at, key, value);
        leaf.unlock(look, plan.put(leaf, look.meta.with_count(count + 1)));
        self.len.add(1);
        true
    }

    #[inline(always)]
    fn remove(&self, spot: &Spot<'_, K, V>) -> bool {
        let (leaf, look, at) = (spot.leaf, spot.look, spot.place.at);
        let count = look.meta.count();
        let Ok(plan) = self.plan_removal(leaf, look, at) else { return false };
        if !leaf.try_lock(look) {
            return false;
        }
        leaf.close_gap(at, 1, count);
        leaf.unlock(look, plan.put(leaf, look.meta.with_count(count - 1)));
        self.len.add(-1);
        true
    }

    /// Joins a leaf that has become sparse, after a removal. Not after each: most find that a neighbour is not
    /// sparse.
    #[inline(always)]
    pub(super) fn tidy_after(&self, leaf: Leaf<'_, K, V>, look: Look, backoff: &mut Backoff) {
        let count = look.meta.count();
        if count <= Form::<K, V>::ENTRIES / 4 && (count - 1).is_multiple_of(BLOCK) {
            self.tidy(leaf, backoff);
        }
    }

    /// The hints of the leaf once `key`, of this rank, stands at `at`. All ranks are asked for now, with nothing
    /// locked.
    #[inline(always)]
    fn plan_insertion(
        &self,
        leaf: Leaf<'_, K, V>,
        look: Look,
        at: usize,
        rank: usize,
        key: &K,
    ) -> Result<Plan<K>, Changed> {
        let count = look.meta.count();
        let scale = leaf.scale_of(look, &self.ranking)?;
        let is_odd = !look.meta.has_base()
            || scale.is_beyond(rank)
            || rank < scale.base && at == 0 && count.is_multiple_of(BLOCK);
        let first_rank = |block: usize| {
            let first = block * BLOCK;
            match first.cmp(&at) {
                core::cmp::Ordering::Less => leaf.rank_at(look, first, &self.ranking),
                core::cmp::Ordering::Equal => Ok(rank),
                core::cmp::Ordering::Greater => leaf.rank_at(look, first - 1, &self.ranking),
            }
        };
        if is_odd {
            return self.plan_anew(leaf, look, at, rank, key, first_rank);
        }
        let mut hints = leaf.hints();
        if at.is_multiple_of(BLOCK) {
            hints.set(at / BLOCK, scale.hint(rank));
        }
        let (next, end) = (at / BLOCK + 1, count / BLOCK + 1);
        for block in next..end {
            // On its way before the leaf is locked.
            leaf.prefetch_values(block);
            let first = leaf.rank_at(look, block * BLOCK - 1, &self.ranking)?;
            hints.set(block, scale.hint(first));
        }
        Ok(Plan { hints, shift: scale.shift, base: None })
    }

    /// As `plan_insertion`, where the scale does not fit any more.
    #[cold]
    #[inline(never)]
    fn plan_anew(
        &self,
        leaf: Leaf<'_, K, V>,
        look: Look,
        at: usize,
        rank: usize,
        key: &K,
        first_rank: impl Fn(usize) -> Result<usize, Changed>,
    ) -> Result<Plan<K>, Changed> {
        let count = look.meta.count();
        let last = if at == count { rank } else { leaf.rank_at(look, count - 1, &self.ranking)? };
        // A leaf without a lower bound counts from whichever key came lowest.
        let is_base = !look.meta.has_lo() && at == 0;
        let base = if is_base { rank } else { leaf.scale_of(look, &self.ranking)?.base };
        let scale = Scale::spanning(base, last);
        let mut hints = LeafHints::EMPTY;
        for block in 0..=count / BLOCK {
            hints.set(block, scale.hint(first_rank(block)?));
        }
        Ok(Plan { hints, shift: scale.shift, base: is_base.then_some(*key) })
    }

    /// The hints of the leaf without the entry at `at`.
    #[inline(always)]
    pub(super) fn plan_removal(
        &self,
        leaf: Leaf<'_, K, V>,
        look: Look,
        at: usize,
    ) -> Result<Plan<K>, Changed> {
        let count = look.meta.count();
        let scale = leaf.scale_of(look, &self.ranking)?;
        let mut hints = leaf.hints();
        for block in at.div_ceil(BLOCK)..(count - 1).div_ceil(BLOCK) {
            leaf.prefetch_values(block);
            let first = leaf.rank_at(look, block * BLOCK + 1, &self.ranking)?;
            hints.set(block, scale.hint(first));
        }
        if (count - 1).is_multiple_of(BLOCK) {
            // The last entry that its block has.
            hints.clear(count / BLOCK);
        }
        if !is_exact::<K, R>() {
            leaf.check(look)?;
        }
        Ok(Plan { hints, shift: scale.shift, base: None })
    }
}

impl<K: Copy> Plan<K> {
    /// Stores the plan; says what the leaf's meta is with it.
    #[inline(always)]
    pub(super) fn put<V: Copy>(&self, leaf: Leaf<'_, K, V>, meta: Meta) -> Meta {
        leaf.put_hints(&self.hints);
        let meta = meta.with_shift(self.shift);
        match self.base {
            Some(base) => {
                leaf.put_lo(&base);
                meta.with_base()
            }
            None => meta,
        }
    }
}
