//! The entry next to a key, or to an end of the map, in either direction.
//!
//! If the key's own leaf has no such entry, the search goes on in its neighbours, and then validates all leaves once
//! more, as for a range ([`range`](super::range)). A removal confirms them by a swap instead ([SL-7]).

use super::leaf::{Changed, Leaf, Look, Seen};
use super::range::Trail;
use super::rule::Rule;
use super::search::{Sought, Stand};
use super::tree::{Probe, Tree};
use crate::api::failure::Failure;
use crate::sync::backoff::{Backoff, WouldWait};
use core::ops::Bound;

/// Which neighbour.
#[derive(Clone, Copy)]
pub(crate) enum Near<S> {
    /// The first entry from here on.
    From(Bound<Sought<S>>),
    /// The last entry up to here.
    UpTo(Bound<Sought<S>>),
}

/// An entry that was found. No leaf on the way to it has an entry in between.
struct Found<'a, K, V> {
    leaf: Leaf<'a, K, V>,
    look: Look,
    at: usize,
    trail: Trail<'a, K, V>,
}

impl<K: Copy + Ord, V: Copy, R: Rule<K>> Tree<K, V, R> {
    /// The entry, from a consistent snapshot.
    pub(crate) fn near(
        &self,
        near: Near<impl Stand<K>>,
        mut backoff: Backoff,
    ) -> Result<Option<(K, V)>, Failure> {
        loop {
            let Ok(found) = self.find_near(near, &mut backoff)? else { continue };
            let Some(found) = found else { return Ok(None) };
            let (key, value) = (found.leaf.fetch_key(found.at), found.leaf.fetch_value(found.at));
            if found.leaf.is_as(found.look) && found.trail.holds() {
                // SAFETY: unchanged since the look, which said that there is such an entry.
                return Ok(Some(unsafe { (key.assume_init(), value.assume_init()) }));
            }
        }
    }

    /// Removes the entry, and passes it to `taken` before any other user code runs. Linearizes when the entry's leaf is
    /// locked; if there is no entry, as `near` does.
    pub(crate) fn take_near(
        &self,
        near: Near<impl Stand<K>>,
        mut backoff: Backoff,
        taken: impl FnOnce(K),
    ) -> Result<Option<(K, V)>, Failure> {
        loop {
            let Ok(found) = self.find_near(near, &mut backoff)? else { continue };
            let Some(Found { leaf, look, at, trail }) = found else { return Ok(None) };
            let (Ok(key), Ok(value)) = (leaf.key(look, at), leaf.value(look, at)) else { continue };
            let Ok(plan) = self.plan_removal(leaf, look, at) else { continue };
            if !leaf.try_lock(look) {
                backoff.wait()?;
                continue;
            }
            // [SL-7] If a writer puts an entry into one of the empty leaves and then still finds this entry, its write
            // comes before this removal, and the removal finds that leaf changed.
            if !trail.confirm_but(leaf) {
                leaf.give_back(look);
                backoff.wait()?;
                continue;
            }
            let count = look.meta.count();
            leaf.close_gap(at, 1, count);
            leaf.unlock(look, plan.put(leaf, look.meta.with_count(count - 1)));
            self.len.add(-1);
            taken(key);
            self.tidy_after(leaf, look, &mut backoff);
            return Ok(Some((key, value)));
        }
    }

    /// Where the entry is; its leaf is the last one of the trail.
    fn find_near(
        &self,
        near: Near<impl Stand<K>>,
        backoff: &mut Backoff,
    ) -> Result<Result<Option<Found<'_, K, V>>, Changed>, Failure> {
        match near {
            Near::From(start) => self.find_from(start, backoff),
            Near::UpTo(end) => self.find_up_to(end, backoff),
        }
    }

    fn find_from(
        &self,
        start: Bound<Sought<impl Stand<K>>>,
        backoff: &mut Backoff,
    ) -> Result<Result<Option<Found<'_, K, V>>, Changed>, Failure> {
        let Some((mut leaf, mut look)) = self.leaf_from(start, backoff)? else {
            return Ok(Ok(None));
        };
        let Ok(mut at) = self.first_at(leaf, look, start) else { return Ok(Err(Changed)) };
        let mut trail = Trail::new();
        loop {
            trail.push(leaf, look)?;
            if at < look.meta.count() {
                return Ok(Ok(Some(Found { leaf, look, at, trail })));
            }
            let Ok(next) = leaf.next(look) else { return Ok(Err(Changed)) };
            if next == leaf {
                return Ok(if trail.holds() { Ok(None) } else { Err(Changed) });
            }
            (leaf, look, at) = (next, next.begin(), 0);
            while look.is_locked() {
                backoff.wait()?;
                look = leaf.begin();
            }
            if !look.meta.is_alive() {
                return Ok(Err(Changed));
            }
        }
    }

    fn find_up_to(
        &self,
        end: Bound<Sought<impl Stand<K>>>,
        backoff: &mut Backoff,
    ) -> Result<Result<Option<Found<'_, K, V>>, Changed>, Failure> {
        let start = match end {
            Bound::Unbounded => self.last_leaf(backoff)?,
            _ => self.leaf_from(end, backoff)?,
        };
        let Some((mut leaf, mut look)) = start else { return Ok(Ok(None)) };
        let place = |sought| leaf.place(look, sought, &self.ranking);
        let before = match end {
            Bound::Included(sought) => place(sought).map(Self::behind),
            Bound::Excluded(sought) => place(sought).map(|place| place.at),
            Bound::Unbounded => Ok(look.meta.count()),
        };
        let Ok(mut before) = before else { return Ok(Err(Changed)) };
        let mut trail = Trail::new();
        loop {
            trail.push(leaf, look)?;
            if before > 0 {
                return Ok(Ok(Some(Found { leaf, look, at: before - 1, trail })));
            }
            let Ok(lo) = leaf.lo(look) else { return Ok(Err(Changed)) };
            let Some(lo) = lo else {
                return Ok(if trail.holds() { Ok(None) } else { Err(Changed) });
            };
            let Some((left, left_look)) = self.left_of_leaf(leaf, &lo, backoff)? else {
                return Ok(Err(Changed));
            };
            (leaf, look, before) = (left, left_look, left_look.meta.count());
        }
    }

    /// The left neighbour of a leaf that begins with `lo`; None if things have changed.
    pub(super) fn left_of_leaf<'a>(
        &'a self,
        leaf: Leaf<'a, K, V>,
        lo: &K,
        backoff: &mut Backoff,
    ) -> Result<Option<Seen<'a, K, V>>, WouldWait> {
        let is_left = |left: Leaf<'a, K, V>, look| {
            left.next(look).is_ok_and(|next| next == leaf && left != leaf)
        };
        let probe = Probe { sought: self.sought(lo), below: true };
        if let Some((left, look)) = self.locate(probe, backoff)?
            && is_left(left, look)
        {
            return Ok(Some((left, look)));
        }
        // Things have changed, or `Ord` is broken. From the first leaf it goes without.
        let Some(mut left) = self.head() else { return Ok(None) };
        loop {
            let look = left.begin();
            if look.is_locked() {
                backoff.wait()?;
                continue;
            }
            if !look.meta.is_alive() {
                return Ok(None);
            }
            if is_left(left, look) {
                return Ok(Some((left, look)));
            }
            match left.next(look) {
                Ok(next) if next == left => return Ok(None),
                Ok(next) => left = next,
                Err(Changed) => {}
            }
        }
    }

    /// The last leaf.
    pub(super) fn last_leaf(
        &self,
        backoff: &mut Backoff,
    ) -> Result<Option<Seen<'_, K, V>>, WouldWait> {
        'tail: loop {
            let Some(mut leaf) = self.tail() else { return Ok(None) };
            loop {
                let look = leaf.begin();
                if look.is_locked() {
                    backoff.wait()?;
                    continue;
                }
                if !look.meta.is_alive() {
                    // Whoever let it die has named another one before.
                    continue 'tail;
                }
                match leaf.next(look) {
                    Ok(next) if next == leaf => return Ok(Some((leaf, look))),
                    Ok(next) => leaf = next,
                    Err(Changed) => {}
                }
            }
        }
    }
}
