//! Batches: many changes at one moment, or leaf by leaf.
//!
//! All is planned with nothing locked: in key order each leaf is looked at, and what is to be stored in it worked
//! out, hints included. A leaf that would overflow is split first, which changes nothing that anybody sees. Then the
//! leaves are locked from the very states that they were looked at in; where one has changed since, all of them
//! are given back and everything is planned anew. What is left to do under the locks are stores.
//!
//! Of batches and writes that are in each other's way one gets on: locks are taken in key order and none is waited for,
//! so who holds the greatest key fails only where some write has been done.

use super::descent::Tree;
use super::hints::Scale;
use super::leaf::{BLOCK, Changed, Leaf, LeafHints, LeafLayout, LeafVersion, Meta, VersionedLeaf};
use super::policy::KeyPolicy;
use super::rank::is_exact;
use super::write::HintPlan;
use crate::api::op::{Change, Op};
use crate::facade::atomic::{self, Ordering};
use crate::sync::backoff::Backoff;
use crate::table::Failure;
use crate::table::window::{FEW, WINDOW};
use alloc::vec::Vec;
use core::cmp;
use core::ops::Range;

/// Changes that need not be of one moment are done one by one if there are fewer.
const MIN_TO_PLAN: usize = 8;
/// More splits than others can have filled the leaf again after: who needs more has an order that contradicts itself.
const MAX_SPLITS: usize = 1_000;

/// What a batch asks for.
#[derive(Clone, Copy)]
pub(crate) enum Request<'q, K, V> {
    Changes(&'q [(K, Op<V>)]),
    /// What these keys have.
    Keys(&'q [K]),
}

impl<'q, K, V: Copy> Request<'q, K, V> {
    fn len(&self) -> usize {
        match self {
            Self::Changes(changes) => changes.len(),
            Self::Keys(keys) => keys.len(),
        }
    }

    fn key(&self, number: usize) -> &'q K {
        match self {
            Self::Changes(changes) => &changes[number].0,
            Self::Keys(keys) => &keys[number],
        }
    }

    fn op(&self, number: usize) -> Op<V> {
        match self {
            Self::Changes(changes) => changes[number].1,
            Self::Keys(_) => Op::Keep,
        }
    }

    /// Room for what each key had.
    fn answers<H: Copy>(&self) -> Result<Vec<Option<H>>, Failure> {
        let mut answers = Vec::new();
        answers.try_reserve_exact(self.len()).map_err(|_| Failure::Alloc)?;
        answers.resize(self.len(), None);
        Ok(answers)
    }

    fn inserts(&self) -> bool {
        (0..self.len()).any(|number| matches!(self.op(number), Op::Insert(_)))
    }
}

/// What a batch says that a key had: for plain data the value.
pub(crate) trait OldEntry<K, V>: Copy {
    /// Whether a key that is inserted takes the place of an equal one.
    const REPLACES_KEYS: bool;

    fn read(leaf: Leaf<'_, K, V>, version: LeafVersion, at: usize) -> Result<Self, Changed>;

    /// What is to be said of what the batch itself has inserted.
    fn of(key: K, value: V) -> Self;
}

impl<K: Copy, V: Copy> OldEntry<K, V> for V {
    const REPLACES_KEYS: bool = false;

    #[inline(always)]
    fn read(leaf: Leaf<'_, K, V>, version: LeafVersion, at: usize) -> Result<Self, Changed> {
        leaf.value(version, at)
    }

    #[inline(always)]
    fn of(_: K, value: V) -> Self {
        value
    }
}

/// What came of a batch.
pub(crate) enum Outcome<H> {
    /// It has been done.
    Done(Vec<Option<H>>),
    /// Nothing has: it is not worth a plan, or the order of keys contradicts itself. The changes are to be made one
    /// after the other.
    OneByOne,
}

/// What becomes of a place in a leaf.
enum Edit<K, V> {
    Value(V),
    /// Another key that is equal to the one that was there.
    Entry(K, V),
    Insert(K, V),
    Remove,
}

/// An edit, and how many of the leaf's entries come before it now.
struct PlacedEdit<K, V> {
    at: usize,
    /// Of the key.
    rank: usize,
    edit: Edit<K, V>,
}

/// One leaf's part in a batch.
struct LeafBatch<'a, K, V> {
    leaf: Leaf<'a, K, V>,
    version: LeafVersion,
    /// Of the first key that is asked about.
    rank: usize,
    edits: Range<usize>,
    /// Where entries come or go.
    plan: Option<HintPlan<K>>,
    /// Entries that the leaf is to have.
    count: usize,
}

/// A batch at work.
struct Batch<'a, 'q, K, V, H> {
    request: Request<'q, K, V>,
    /// The numbers of what is asked for, by key and then by number.
    order: Vec<(K, usize)>,
    /// The leaves, as far as the hints say, of some of the keys, and where in the order the first of these stands.
    leaves: [Option<Leaf<'a, K, V>>; WINDOW],
    prefetched_from: usize,
    answers: Vec<Option<H>>,
    edits: Vec<PlacedEdit<K, V>>,
    parts: Vec<LeafBatch<'a, K, V>>,
}

/// What came of an attempt to plan a leaf's part.
enum Planned {
    /// It goes on here in the order.
    UpTo(usize),
    Retry,
    /// The leaf has been split, or somebody was in the way.
    Split,
    /// The order of keys contradicts itself, or the ranking does.
    Inconsistent,
}

impl From<Changed> for Planned {
    fn from(_: Changed) -> Self {
        Self::Retry
    }
}

impl<'q, K: Copy + Ord, V: Copy, H: OldEntry<K, V>> Batch<'_, 'q, K, V, H> {
    /// `rank` gives the rank of keys whose order is that of their ranks.
    fn new(
        request: Request<'q, K, V>,
        rank: Option<impl Fn(&K) -> usize>,
    ) -> Result<Self, Failure> {
        let mut order = Vec::new();
        order.try_reserve_exact(request.len()).map_err(|_| Failure::Alloc)?;
        order.extend((0..request.len()).map(|number| (*request.key(number), number)));
        if !rank.is_some_and(|rank| sort_by_rank(&mut order, rank)) {
            order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.cmp(&b.1)));
        }
        let answers = request.answers()?;
        let leaves = [None; WINDOW];
        let (edits, parts) = (Vec::new(), Vec::new());
        Ok(Self { request, order, leaves, prefetched_from: usize::MAX, answers, edits, parts })
    }

    fn clear(&mut self) {
        self.edits.clear();
        self.parts.clear();
    }

    fn push_edit(&mut self, placed: PlacedEdit<K, V>) -> Result<(), Failure> {
        self.edits.try_reserve(1).map_err(|_| Failure::Alloc)?;
        self.edits.push(placed);
        Ok(())
    }
}

/// What a batch wants of one key.
struct KeyChange<K, V> {
    edit: Option<Edit<K, V>>,
    /// Where the next key stands in the order.
    next: usize,
}

impl<K: Copy + Ord, V: Copy, H: OldEntry<K, V>> Batch<'_, '_, K, V, H> {
    /// All that is asked of the key at `from` in the order, in turn; answers each.
    fn fold_changes(&mut self, from: usize, before: Option<H>) -> KeyChange<K, V> {
        let (mut now, mut key, mut new) = (before, None, None);
        let mut next = from;
        loop {
            let (this, number) = self.order[next];
            self.answers[number] = now;
            match self.request.op(number) {
                Op::Keep => {}
                Op::Insert(value) => {
                    if now.is_none() || H::REPLACES_KEYS {
                        key = Some(this);
                    }
                    (now, new) = (Some(H::of(this, value)), Some(value));
                }
                Op::Remove => (now, key, new) = (None, None, None),
            }
            next += 1;
            if self.order.get(next).is_none_or(|(other, _)| other.cmp(&this).is_ne()) {
                break;
            }
        }
        let edit = match (before.is_some(), new, key) {
            (false, Some(value), Some(key)) => Some(Edit::Insert(key, value)),
            (true, Some(value), Some(key)) => Some(Edit::Entry(key, value)),
            (true, Some(value), None) => Some(Edit::Value(value)),
            (true, None, _) if now.is_none() => Some(Edit::Remove),
            _ => None,
        };
        KeyChange { edit, next }
    }
}

impl<K: Copy + Ord, V: Copy, R: KeyPolicy<K>> Tree<K, V, R> {
    /// Does all that is asked at one moment; what each key had before, in the order of asking. Linearizes when the last
    /// leaf is locked, or, where nothing is to be changed, between the first and the second look at each leaf.
    /// Tells `stored` the answers when everything is in its place, before any other user code runs.
    pub(crate) fn apply_atomically<H: OldEntry<K, V>>(
        &self,
        request: Request<'_, K, V>,
        mut backoff: Backoff,
        stored: impl FnOnce(&[Option<H>]),
    ) -> Result<Outcome<H>, Failure> {
        if request.len() == 1 {
            return Ok(Outcome::OneByOne);
        }
        let mut batch = Batch::new(request, self.exact_rank())?;
        loop {
            batch.clear();
            let mut at = 0;
            while at < batch.order.len() {
                match self.plan_leaf(&mut batch, at, &mut backoff)? {
                    Some(next) => at = next,
                    None => return Ok(Outcome::OneByOne),
                }
            }
            match Self::lock_all(&batch) {
                Ok(()) => {
                    self.store_all(&batch);
                    stored(&batch.answers);
                    self.merge_sparse(&batch, &mut backoff);
                    return Ok(Outcome::Done(batch.answers));
                }
                Err(at) => {
                    let leaf = batch.parts[at].leaf;
                    if batch.parts[..at].iter().any(|part| part.leaf == leaf) {
                        // Locked by ourselves: keys come to it twice.
                        return Ok(Outcome::OneByOne);
                    }
                    self.count_conflict(batch.parts[at].rank);
                    backoff.wait()?;
                }
            }
        }
    }

    fn exact_rank(&self) -> Option<impl Fn(&K) -> usize> {
        is_exact::<K, R>().then_some(|key: &K| self.search_key(key).rank)
    }

    /// Plans the part of the leaf that the key at `from` in the order is in; where the next part begins. None where
    /// no part can be made of it.
    fn plan_leaf<'a>(
        &'a self,
        batch: &mut Batch<'a, '_, K, V, impl OldEntry<K, V>>,
        from: usize,
        backoff: &mut Backoff,
    ) -> Result<Option<usize>, Failure> {
        let mut has_listed = false;
        self.prefetch_leaves(batch, from);
        let mut splits = 0;
        loop {
            let edits = batch.edits.len();
            match self.try_part(batch, from, &mut has_listed, backoff)? {
                Planned::UpTo(next) => return Ok(Some(next)),
                // Each makes room for some entries, and narrows the leaf.
                Planned::Split if splits < MAX_SPLITS => splits += 1,
                Planned::Split | Planned::Inconsistent => return Ok(None),
                Planned::Retry => backoff.again()?,
            }
            batch.edits.truncate(edits);
        }
    }

    /// Asks for the leaves of the keys to come, if there are many of them, so that the waits for them overlap.
    #[inline]
    fn prefetch_leaves<'a>(&'a self, batch: &mut Batch<'a, '_, K, V, impl Copy>, from: usize) {
        let is_prefetched = from.wrapping_sub(batch.prefetched_from) < WINDOW;
        if !is_exact::<K, R>() || is_prefetched || batch.order.len() - from < FEW {
            return;
        }
        let some = &batch.order[from..batch.order.len().min(from + WINDOW)];
        batch.prefetched_from = from;
        batch.leaves = [None; WINDOW];
        let leaf_of = |(key, _): &(K, usize)| self.hinted_leaf(self.search_key(key).rank);
        let first = leaf_of(&some[0]);
        batch.leaves[0] = first;
        if some.last().is_some_and(|last| leaf_of(last) == first) {
            // All in one leaf.
            return;
        }
        for (request, slot) in some.iter().zip(&mut batch.leaves) {
            *slot = leaf_of(request);
            if let Some(leaf) = slot {
                leaf.prefetch();
            }
        }
        for ((key, _), leaf) in some.iter().zip(batch.leaves) {
            if let Some(leaf) = leaf {
                leaf.prefetch_block(leaf.begin(), self.search_key(key).rank, &self.ranking);
            }
        }
    }

    fn try_part<'a>(
        &'a self,
        batch: &mut Batch<'a, '_, K, V, impl OldEntry<K, V>>,
        from: usize,
        has_listed: &mut bool,
        backoff: &mut Backoff,
    ) -> Result<Planned, Failure> {
        let key = batch.order[from].0;
        let target = self.search_key(&key);
        let start = batch.leaves.get_mut(from.wrapping_sub(batch.prefetched_from));
        let Some(location) = self.seek(target, start.and_then(Option::take), backoff)? else {
            if batch.request.inserts() {
                self.init_root(backoff)?;
                return Ok(Planned::Retry);
            }
            // A map that has never had an entry.
            batch.answers.fill(None);
            return Ok(Planned::UpTo(batch.order.len()));
        };
        let (leaf, version) = (location.leaf, location.version);
        if !version.meta.is_listed() && !*has_listed {
            // Somebody could not, or has yet to.
            *has_listed = true;
            self.list_up_to(target, backoff)?;
            return Ok(Planned::Retry);
        }
        let Ok(hi) = leaf.hi(version) else { return Ok(Planned::Retry) };
        let (mut at, mut place, mut rank) = (from, location.place, target.rank);
        let begin = batch.edits.len();
        // The first place that no edit has come to.
        let mut free = 0;
        let mut count = version.meta.count();
        let mut changes_count = false;
        loop {
            let before = if place.found {
                OldEntry::read(leaf, version, place.at).map(Some)
            } else {
                Ok(None)
            };
            let Ok(before) = before else { return Ok(Planned::Retry) };
            let change = batch.fold_changes(at, before);
            if let Some(edit) = change.edit {
                if place.at < free {
                    return Ok(Planned::Inconsistent);
                }
                free = place.at + usize::from(place.found);
                match edit {
                    Edit::Insert(key, _) if count == LeafLayout::<K, V>::ENTRIES => {
                        let edits = &batch.edits[begin..];
                        self.make_room((leaf, version), edits, (place.at, key), backoff)?;
                        return Ok(Planned::Split);
                    }
                    Edit::Insert(..) => (count, changes_count) = (count + 1, true),
                    Edit::Remove => (count, changes_count) = (count - 1, true),
                    _ => {}
                }
                batch.push_edit(PlacedEdit { at: place.at, rank, edit })?;
            }
            at = change.next;
            let Some((key, _)) = batch.order.get(at) else { break };
            if hi.as_ref().is_some_and(|hi| key >= hi) {
                break;
            }
            let target = self.search_key(key);
            let found = leaf.place(version, target, &self.ranking);
            let (Ok(there), Ok(())) = (found, leaf.check(version)) else {
                return Ok(Planned::Retry);
            };
            (place, rank) = (there, target.rank);
        }
        let edits = begin..batch.edits.len();
        let plan = changes_count
            .then(|| self.plan_edits((leaf, version), &batch.edits[edits.clone()], count))
            .transpose();
        let Ok(plan) = plan else { return Ok(Planned::Retry) };
        batch.parts.try_reserve(1).map_err(|_| Failure::Alloc)?;
        batch.parts.push(LeafBatch { leaf, version, rank: target.rank, edits, plan, count });
        Ok(Planned::UpTo(at))
    }

    /// Splits a leaf that has no room for one more entry, at `place`, after `edits`.
    #[cold]
    fn make_room(
        &self,
        (leaf, version): VersionedLeaf<'_, K, V>,
        edits: &[PlacedEdit<K, V>],
        (at, key): (usize, K),
        backoff: &mut Backoff,
    ) -> Result<(), Failure> {
        let count = version.meta.count();
        let inserted = || {
            edits.iter().filter_map(|placed| match placed.edit {
                Edit::Insert(key, _) => Some((placed.at, key)),
                _ => None,
            })
        };
        let (first_at, first) = inserted().next().unwrap_or((at, key));
        let (cut, bound) = if first_at == count && !version.meta.has_hi() {
            // Keys that come in order fill one leaf after the other.
            if count == 0 { (0, key) } else { (count, first) }
        } else if count >= LeafLayout::<K, V>::ENTRIES / 2 {
            let Ok(middle) = leaf.key(version, count / 2) else { return Ok(()) };
            (count / 2, middle)
        } else {
            inserted().nth(inserted().count() / 2).unwrap_or((at, key))
        };
        self.split_at((leaf, version), cut, &bound, backoff)
    }

    /// The hints of the leaf once the edits are done, by which it comes to `count` entries. All ranks are asked for
    /// now, with nothing locked.
    fn plan_edits(
        &self,
        (leaf, version): VersionedLeaf<'_, K, V>,
        edits: &[PlacedEdit<K, V>],
        count: usize,
    ) -> Result<HintPlan<K>, Changed> {
        let mut scale = leaf.scale_of(version, &self.ranking)?;
        let mut plan = HintPlan { hints: LeafHints::EMPTY, shift: scale.shift, base: None };
        if count == 0 {
            leaf.check(version)?;
            return Ok(plan);
        }
        let rank_of = |index: usize| match origin(edits, index) {
            Origin::New(placed) => Ok(placed.rank),
            Origin::Old(at) => leaf.rank_at(version, at, &self.ranking),
        };
        let (first, last) = (rank_of(0)?, rank_of(count - 1)?);
        let needs_base = !version.meta.has_base() || first < scale.base;
        // A leaf without a lower bound counts from whichever key came lowest.
        if !version.meta.has_lo() && needs_base {
            plan.base = Some(match origin(edits, 0) {
                Origin::New(PlacedEdit { edit: Edit::Insert(key, _), .. }) => *key,
                Origin::New(_) => unreachable!("what is new was inserted"),
                Origin::Old(at) => leaf.key(version, at)?,
            });
            scale = Scale::spanning(first, last);
        } else if scale.is_beyond(last) {
            scale = Scale::spanning(scale.base, last);
        }
        plan.shift = scale.shift;
        for block in 0..count.div_ceil(BLOCK) {
            plan.hints.set(block, scale.hint(rank_of(block * BLOCK)?));
        }
        leaf.check(version)?;
        Ok(plan)
    }

    /// Locks all leaves, or makes sure that they are as they were at one moment if nothing is to be stored; else
    /// says which one has changed.
    fn lock_all(batch: &Batch<'_, '_, K, V, impl Copy>) -> Result<(), usize> {
        let parts = &batch.parts;
        if batch.edits.is_empty() {
            if parts.len() > 1 {
                // [RA-1] sequentially consistent fence: pairs with its like in ranges.
                atomic::fence(Ordering::SeqCst);
            }
            let changed = parts.iter().position(|part| !part.leaf.validate(part.version));
            return changed.map_or(Ok(()), Err);
        }
        for (at, part) in parts.iter().enumerate() {
            if !part.leaf.try_lock(part.version) {
                parts[..at].iter().for_each(|part| part.leaf.unlock_unchanged(part.version));
                return Err(at);
            }
        }
        Ok(())
    }

    /// Stores everything and unlocks.
    fn store_all(&self, batch: &Batch<'_, '_, K, V, impl Copy>) {
        if batch.edits.is_empty() {
            return;
        }
        let mut more = 0;
        for part in &batch.parts {
            let edits = &batch.edits[part.edits.clone()];
            // Those behind are locked still: who sees this leaf as it is now does not see them as they were.
            if edits.is_empty() {
                part.leaf.unlock_unchanged(part.version);
            } else {
                let meta = part.store(edits);
                part.leaf.unlock(part.version, meta);
            }
            more += part.count.cast_signed() - part.version.meta.count().cast_signed();
        }
        if more != 0 {
            self.len.add(more);
        }
    }

    /// Joins leaves that have become sparse.
    fn merge_sparse(&self, batch: &Batch<'_, '_, K, V, impl Copy>, backoff: &mut Backoff) {
        for part in &batch.parts {
            let is_sparse = part.count <= LeafLayout::<K, V>::ENTRIES / 4;
            if is_sparse && part.count < part.version.meta.count() {
                self.merge_if_sparse(part.leaf, backoff);
            }
        }
    }
}

/// Of plain data.
impl<K: Copy + Ord, V: Copy, R: KeyPolicy<K>> Tree<K, V, R> {
    /// As `apply_atomically`, or, where that is not to be had, one change after the other.
    pub(crate) fn apply(
        &self,
        request: Request<'_, K, V>,
        backoff: Backoff,
    ) -> Result<Vec<Option<V>>, Failure> {
        let may_wait = backoff.may_wait();
        match self.apply_atomically(request, backoff, |_| ())? {
            Outcome::Done(answers) => Ok(answers),
            Outcome::OneByOne => self.apply_one_by_one(request, request.answers()?, may_wait),
        }
    }

    /// As `apply`, but each leaf's part at a moment of its own, in key order.
    pub(crate) fn apply_by_leaf(
        &self,
        request: Request<'_, K, V>,
        mut backoff: Backoff,
    ) -> Result<Vec<Option<V>>, Failure> {
        if request.len() < MIN_TO_PLAN {
            return self.apply_one_by_one(request, request.answers()?, backoff.may_wait());
        }
        let mut batch = Batch::<'_, '_, _, _, V>::new(request, self.exact_rank())?;
        let mut at = 0;
        while at < batch.order.len() {
            batch.clear();
            let Some(next) = self.plan_leaf(&mut batch, at, &mut backoff)? else {
                return self.apply_one_by_one(request, batch.answers, backoff.may_wait());
            };
            if Self::lock_all(&batch).is_ok() {
                self.store_all(&batch);
                self.merge_sparse(&batch, &mut backoff);
                at = next;
            } else {
                self.count_conflict(batch.parts[0].rank);
                backoff.wait()?;
            }
        }
        Ok(batch.answers)
    }

    /// One after the other: where a plan is not worth it, or where the order of keys contradicts itself, whatever
    /// comes of it then.
    fn apply_one_by_one(
        &self,
        request: Request<'_, K, V>,
        mut answers: Vec<Option<V>>,
        may_wait: bool,
    ) -> Result<Vec<Option<V>>, Failure> {
        for (number, answer) in answers.iter_mut().enumerate() {
            let key = request.key(number);
            let change = |old: Option<&V>| match (request.op(number), old) {
                (Op::Keep, _) => Change::Keep,
                (Op::Insert(value), Some(_)) => Change::Value(value),
                (Op::Insert(value), None) => Change::Entry(*key, value),
                (Op::Remove, _) => Change::Remove,
            };
            let own = if may_wait { Backoff::spinning() } else { Backoff::never() };
            let read = |leaf: Leaf<'_, K, V>, at| leaf.fetch_value(at);
            *answer = self.alter(self.search_key(key), read, own, change, |_| ())?.0;
        }
        Ok(answers)
    }
}

impl<K: Copy, V: Copy> LeafBatch<'_, K, V> {
    /// Does the edits; the caller holds the lock. Says what the leaf's meta is with them.
    fn store(&self, edits: &[PlacedEdit<K, V>]) -> Meta {
        let mut removed = 0;
        for placed in edits {
            match &placed.edit {
                Edit::Value(value) => self.leaf.put_value(placed.at, value),
                Edit::Entry(key, value) => self.leaf.put_entry(placed.at, key, value),
                Edit::Remove => removed += 1,
                Edit::Insert(..) => {}
            }
        }
        let Some(plan) = &self.plan else { return self.version.meta };
        let mut count = self.version.meta.count();
        // From the end, so that what comes before stays where it is.
        for placed in edits.iter().rev() {
            if let Edit::Remove = placed.edit {
                self.leaf.close_gap(placed.at, 1, count);
                count -= 1;
            }
        }
        for placed in edits.iter().rev() {
            match &placed.edit {
                Edit::Remove => removed -= 1,
                Edit::Insert(key, value) => {
                    let at = placed.at - removed;
                    self.leaf.open_gap(at, count);
                    self.leaf.put_entry(at, key, value);
                    count += 1;
                }
                _ => {}
            }
        }
        debug_assert_eq!(count, self.count);
        plan.put(self.leaf, self.version.meta.with_count(count))
    }
}

/// Sorts what is in order of number by rank, byte by byte, if there are many and few bytes differ: some nanoseconds
/// each, where comparing takes tens. False if it has not.
fn sort_by_rank<K: Copy>(order: &mut Vec<(K, usize)>, rank: impl Fn(&K) -> usize) -> bool {
    const MANY: usize = 256;
    const PASSES: u32 = 4;
    let Some((first, _)) = order.first().filter(|_| order.len() >= MANY) else { return false };
    let first = rank(first);
    let differ = order.iter().fold(0, |differ, (key, _)| differ | rank(key) ^ first);
    let bytes = (0..usize::BITS / 8).filter(|byte| differ >> (byte * 8) & 0xFF != 0);
    let mut other = Vec::new();
    if bytes.clone().count() > PASSES as usize || other.try_reserve_exact(order.len()).is_err() {
        return false;
    }
    other.extend_from_slice(order);
    for byte in bytes {
        let digit = |key: &K| rank(key) >> (byte * 8) & 0xFF;
        let mut ends = [0; 256];
        for (key, _) in order.iter() {
            ends[digit(key)] += 1;
        }
        let mut sum = 0;
        for end in &mut ends {
            sum += *end;
            *end = sum;
        }
        // From the end, so that equals stay in their order.
        for one in order.iter().rev() {
            let end = &mut ends[digit(&one.0)];
            *end -= 1;
            other[*end] = *one;
        }
        core::mem::swap(order, &mut other);
    }
    true
}

/// Where an entry comes from.
enum Origin<'a, K, V> {
    Old(usize),
    New(&'a PlacedEdit<K, V>),
}

/// Where the entry comes from that is to be at `index` once the edits are done.
fn origin<K, V>(edits: &[PlacedEdit<K, V>], index: usize) -> Origin<'_, K, V> {
    // How many of the old entries, and of the new ones, come before.
    let (mut old, mut new) = (0, 0);
    for placed in edits {
        let (is_new, goes) = match placed.edit {
            Edit::Insert(..) => (true, 0),
            Edit::Remove => (false, 1),
            _ => continue,
        };
        let stay = placed.at - old;
        match index.cmp(&(new + stay)) {
            cmp::Ordering::Less => break,
            cmp::Ordering::Equal if is_new => return Origin::New(placed),
            _ => (old, new) = (placed.at + goes, new + stay + usize::from(is_new)),
        }
    }
    Origin::Old(old + index - new)
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_sorted_byte_by_byte() {
        for (len, mask) in [(255, 0xFF), (256, 0xFF), (5_000, 0xFF_00FF), (3_000, usize::MAX)] {
            let key = |n: usize| n.wrapping_mul(0x9E37_79B9).rotate_left(7) & mask;
            let mut order: Vec<_> = (0..len).map(|n| (key(n), n)).collect();
            let mut want = order.clone();
            want.sort_unstable();
            let bytes = mask.count_ones() / 8;
            let sorts = sort_by_rank(&mut order, |key| *key);
            assert_eq!(sorts, len >= 256 && bytes <= 4);
            assert!(!sorts || order == want);
        }
    }

    #[test]
    fn entries_come_from_where_the_edits_say() {
        let placed = |at, edit| PlacedEdit { at, rank: at, edit };
        // a b c d e without b and c, with x before b, y and z before e, another value in d.
        let edits = [
            placed(1, Edit::Insert('x', ())),
            placed(1, Edit::Remove),
            placed(2, Edit::Remove),
            placed(3, Edit::Value(())),
            placed(4, Edit::Insert('y', ())),
            placed(4, Edit::Insert('z', ())),
        ];
        let after: Vec<char> = (0..6)
            .map(|index| match origin(&edits, index) {
                Origin::Old(at) => ['a', 'b', 'c', 'd', 'e'][at],
                Origin::New(PlacedEdit { edit: Edit::Insert(key, ()), .. }) => *key,
                Origin::New(_) => unreachable!(),
            })
            .collect();
        assert_eq!(after, ['a', 'x', 'd', 'y', 'z', 'e']);
    }
}
