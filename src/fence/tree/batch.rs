//! Batches: many changes as of a single point in time, or leaf by leaf.
//!
//! A batch has three phases:
//! 1. Plan, with nothing locked: in key order, each leaf is read and its edits and new hints are computed. A leaf that
//!    would overflow is split first, which no other operation can observe.
//! 2. Lock all leaves, from the very versions that were read. If one has changed, unlock the others and plan again.
//! 3. Store, and unlock leaf by leaf. No user code runs under the locks.
//!
//! Locks are taken in key order, and a batch that fails to take one gives back the others. So among batches and writes
//! that collide, the one with the greatest locked key goes on: it can fail only because some write was finished.
//!
//! The number of attempts has no bound: writes of other threads may make a batch plan again each time. A bound would
//! need locks that are held while user code runs. If a batch changes nothing, it validates each leaf a second time
//! instead of locking it, as ranges do ([RA-1]).

use super::descent::FenceTree;
use super::hints::Scale;
use super::leaf::{
    BLOCK, LeafChanged, LeafHints, LeafLayout, LeafRef, LeafVersion, Meta, VersionedLeaf,
};
use super::policy::BoundPolicy;
use super::radix_sort::sort_by_rank;
use super::rank::is_exact;
use super::write::HintPlan;
use crate::api::batch::{MIN_BATCH, WINDOW};
use crate::api::failure::Failure;
use crate::api::op::{EntryChange, Op};
use crate::facade::atomic::{self, Ordering};
use crate::sync::backoff::Backoff;
use alloc::vec::Vec;
use core::cmp;
use core::ops::Range;

/// Fewer changes than this are applied one by one, if they need not be atomic together.
const MIN_TO_PLAN: usize = 8;
/// Most splits of one leaf. Only inconsistent keys need more, however fast other writers fill the leaf again.
const MAX_SPLITS: usize = 1_000;

/// The operations of a batch.
#[derive(Clone, Copy)]
pub(crate) enum BatchOps<'q, K, V> {
    Changes(&'q [(K, Op<V>)]),
    /// Lookups of these keys.
    Keys(&'q [K]),
}

impl<'q, K, V: Copy> BatchOps<'q, K, V> {
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

    /// Allocates a place for the answer to each key.
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

/// The data that a batch returns about a key's old entry: for plain data the value.
pub(crate) trait OldEntry<K, V>: Copy {
    /// Whether an insertion replaces an equal key, too.
    const REPLACES_KEYS: bool;

    fn read(leaf: LeafRef<'_, K, V>, version: LeafVersion, at: usize) -> Result<Self, LeafChanged>;

    /// The answer to a change of a key that the batch itself has inserted before.
    fn of(key: K, value: V) -> Self;
}

impl<K: Copy, V: Copy> OldEntry<K, V> for V {
    const REPLACES_KEYS: bool = false;

    #[inline(always)]
    fn read(leaf: LeafRef<'_, K, V>, version: LeafVersion, at: usize) -> Result<Self, LeafChanged> {
        leaf.value(version, at)
    }

    #[inline(always)]
    fn of(_: K, value: V) -> Self {
        value
    }
}

/// The result of a batch.
pub(crate) enum BatchResult<H> {
    /// All changes were made.
    Done(Vec<Option<H>>),
    /// No change was made, because planning is not worth it, or because keys are inconsistent. The caller applies the
    /// changes one by one.
    OneByOne,
}

/// The change of one place in a leaf.
enum Edit<K, V> {
    Value(V),
    /// Replaces the key, too, by an equal one.
    Entry(K, V),
    Insert(K, V),
    Remove,
}

/// An edit, and the number of the leaf's entries before it, as the leaf is now.
struct PlacedEdit<K, V> {
    at: usize,
    /// The rank of the key.
    rank: usize,
    edit: Edit<K, V>,
}

/// The part of a batch that belongs to one leaf.
struct LeafBatch<'a, K, V> {
    leaf: LeafRef<'a, K, V>,
    version: LeafVersion,
    /// The rank of its first key.
    rank: usize,
    edits: Range<usize>,
    /// The new hints, if entries are inserted or removed.
    plan: Option<HintPlan<K>>,
    /// The number of entries that the leaf will have.
    count: usize,
}

/// A batch in progress.
struct BatchExecution<'a, 'q, K, V, H> {
    request: BatchOps<'q, K, V>,
    /// The requests' keys and numbers, sorted by key and then by number.
    order: Vec<(K, usize)>,
    /// The prefetched leaves of some keys, as far as the hints say, and the index in `order` of the first of these
    /// keys.
    leaves: [Option<LeafRef<'a, K, V>>; WINDOW],
    prefetched_from: usize,
    answers: Vec<Option<H>>,
    edits: Vec<PlacedEdit<K, V>>,
    parts: Vec<LeafBatch<'a, K, V>>,
}

/// The result of an attempt to plan a leaf's part.
enum Planned {
    /// The next part begins at this index in the order.
    UpTo(usize),
    /// The leaf has changed.
    Retry,
    /// The leaf was split, or another writer was faster.
    Split,
    /// `Ord` or the ranking is inconsistent.
    Inconsistent,
}

impl From<LeafChanged> for Planned {
    fn from(_: LeafChanged) -> Self {
        Self::Retry
    }
}

impl<'q, K: Copy + Ord, V: Copy, H: OldEntry<K, V>> BatchExecution<'_, 'q, K, V, H> {
    /// `rank` is given for keys that are ordered as their ranks are.
    fn new(
        request: BatchOps<'q, K, V>,
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

/// The edit of one key.
struct KeyChange<K, V> {
    edit: Option<Edit<K, V>>,
    /// The index of the next key in the order.
    next: usize,
}

impl<K: Copy + Ord, V: Copy, H: OldEntry<K, V>> BatchExecution<'_, '_, K, V, H> {
    /// Combines all changes of the key at `from` in the order into one edit, and answers each of them.
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

impl<K: Copy + Ord, V: Copy, R: BoundPolicy<K>> FenceTree<K, V, R> {
    /// Makes all changes as of a single point in time. Returns each key's old entry, in the order of the request.
    ///
    /// Linearizes when the last leaf is locked, or, if the batch changes nothing, as a snapshot does. Calls `stored`
    /// with the answers when all changes are stored, before any other user code runs.
    pub(crate) fn apply_atomically<H: OldEntry<K, V>>(
        &self,
        request: BatchOps<'_, K, V>,
        mut backoff: Backoff,
        stored: impl FnOnce(&[Option<H>]),
    ) -> Result<BatchResult<H>, Failure> {
        // One change is atomic by itself.
        if request.len() == 1 {
            return Ok(BatchResult::OneByOne);
        }
        let _operation = self.scheduled.operation();
        let mut batch = BatchExecution::new(request, self.exact_rank())?;
        loop {
            batch.clear();
            let mut at = 0;
            while at < batch.order.len() {
                match self.plan_leaf(&mut batch, at, &mut backoff)? {
                    Some(next) => at = next,
                    None => return Ok(BatchResult::OneByOne),
                }
            }
            match Self::lock_all(&batch) {
                Ok(()) => {
                    self.store_all(&batch);
                    // Before the merges, which call `Ord` and so may panic.
                    stored(&batch.answers);
                    self.merge_sparse(&batch, &mut backoff);
                    return Ok(BatchResult::Done(batch.answers));
                }
                Err(at) => {
                    let leaf = batch.parts[at].leaf;
                    if batch.parts[..at].iter().any(|part| part.leaf == leaf) {
                        // This batch itself holds the lock: inconsistent keys have led to the leaf twice.
                        return Ok(BatchResult::OneByOne);
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

    /// Plans the part of the leaf to which the key at `from` in the order belongs. Returns the index where the next
    /// part begins. None if keys are inconsistent.
    fn plan_leaf<'a>(
        &'a self,
        batch: &mut BatchExecution<'a, '_, K, V, impl OldEntry<K, V>>,
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
                // Each split makes room for some entries, and leaves fewer keys to the leaf.
                Planned::Split if splits < MAX_SPLITS => splits += 1,
                Planned::Split | Planned::Inconsistent => return Ok(None),
                Planned::Retry => backoff.again()?,
            }
            batch.edits.truncate(edits);
        }
    }

    /// Prefetches the leaves of the next keys, if there are many keys, so that the cache misses overlap.
    #[inline]
    fn prefetch_leaves<'a>(
        &'a self,
        batch: &mut BatchExecution<'a, '_, K, V, impl Copy>,
        from: usize,
    ) {
        let is_prefetched = from.wrapping_sub(batch.prefetched_from) < WINDOW;
        if !is_exact::<K, R>() || is_prefetched || batch.order.len() - from < MIN_BATCH {
            return;
        }
        let some = &batch.order[from..batch.order.len().min(from + WINDOW)];
        batch.prefetched_from = from;
        batch.leaves = [None; WINDOW];
        let leaf_of = |(key, _): &(K, usize)| self.hinted_leaf(self.search_key(key).rank);
        let first = leaf_of(&some[0]);
        batch.leaves[0] = first;
        if some.last().is_some_and(|last| leaf_of(last) == first) {
            // All these keys belong to one leaf, which needs no prefetching.
            return;
        }
        for (entry, slot) in some.iter().zip(&mut batch.leaves) {
            *slot = leaf_of(entry);
            if let Some(leaf) = slot {
                leaf.prefetch();
            }
        }
        for ((key, _), leaf) in some.iter().zip(batch.leaves) {
            if let Some(leaf) = leaf {
                leaf.prefetch_block(leaf.begin(), self.search_key(key).rank, &self.policy);
            }
        }
    }

    fn try_part<'a>(
        &'a self,
        batch: &mut BatchExecution<'a, '_, K, V, impl OldEntry<K, V>>,
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
            // The thread that split it off could not list it, or has yet to.
            *has_listed = true;
            self.list_up_to(target, backoff)?;
            return Ok(Planned::Retry);
        }
        let Ok(hi) = leaf.hi(version) else { return Ok(Planned::Retry) };
        let (mut at, mut place, mut rank) = (from, location.place, target.rank);
        let begin = batch.edits.len();
        // The first place behind all edits so far.
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
                // Keys come in ascending order, so places do too, unless keys are inconsistent.
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
            // The next key belongs to another leaf.
            if hi.as_ref().is_some_and(|hi| key >= hi) {
                break;
            }
            let target = self.search_key(key);
            let found = leaf.place(version, target, &self.policy);
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

    /// Splits a leaf that has no room for `key` at index `at` after `edits`.
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
            // Ascending keys fill one leaf after the other.
            if count == 0 { (0, key) } else { (count, first) }
        } else if count >= LeafLayout::<K, V>::ENTRIES / 2 {
            let Ok(middle) = leaf.key(version, count / 2) else { return Ok(()) };
            (count / 2, middle)
        } else {
            // Most entries are new, so the middle of these is the best cut.
            inserted().nth(inserted().count() / 2).unwrap_or((at, key))
        };
        self.split_at((leaf, version), cut, &bound, backoff)
    }

    /// Returns the hints of the leaf after the edits, with `count` entries. Computes all ranks while nothing is locked,
    /// because ranking is user code.
    fn plan_edits(
        &self,
        (leaf, version): VersionedLeaf<'_, K, V>,
        edits: &[PlacedEdit<K, V>],
        count: usize,
    ) -> Result<HintPlan<K>, LeafChanged> {
        let mut scale = leaf.scale_of(version, &self.policy)?;
        let mut plan = HintPlan { hints: LeafHints::EMPTY, shift: scale.shift, base: None };
        if count == 0 {
            leaf.check(version)?;
            return Ok(plan);
        }
        let rank_of = |index: usize| match origin(edits, index) {
            EntryOrigin::New(placed) => Ok(placed.rank),
            EntryOrigin::Old(at) => leaf.rank_at(version, at, &self.policy),
        };
        let (first, last) = (rank_of(0)?, rank_of(count - 1)?);
        let needs_base = !version.meta.has_base() || first < scale.base;
        // The hints of a leaf without a lower bound are counted from the lowest key that it has had.
        if !version.meta.has_lo() && needs_base {
            plan.base = Some(match origin(edits, 0) {
                EntryOrigin::New(PlacedEdit { edit: Edit::Insert(key, _), .. }) => *key,
                EntryOrigin::New(_) => unreachable!("only insertions are new"),
                EntryOrigin::Old(at) => leaf.key(version, at)?,
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

    /// Locks all leaves. If there are no edits, validates all of them together instead. On failure, returns the index
    /// of the leaf that has changed.
    fn lock_all(batch: &BatchExecution<'_, '_, K, V, impl Copy>) -> Result<(), usize> {
        let parts = &batch.parts;
        if batch.edits.is_empty() {
            if parts.len() > 1 {
                // [RA-1] sequentially consistent fence: pairs with the same fence in snapshots, so that all of them
                // agree about the order of two independent writes.
                atomic::fence(Ordering::SeqCst);
            }
            let changed = parts.iter().position(|part| !part.leaf.validate(part.version));
            return changed.map_or(Ok(()), Err);
        }
        // Leaves without edits are locked too. If they were only validated, another thread could write to one of them
        // then read an old value in a leaf that is about to be written. The batch would be neither before nor after it.
        for (at, part) in parts.iter().enumerate() {
            if !part.leaf.try_lock(part.version) {
                parts[..at].iter().for_each(|part| part.leaf.unlock_unchanged(part.version));
                return Err(at);
            }
        }
        Ok(())
    }

    /// Stores all edits and unlocks the leaves.
    fn store_all(&self, batch: &BatchExecution<'_, '_, K, V, impl Copy>) {
        if batch.edits.is_empty() {
            return;
        }
        let mut more = 0;
        for part in &batch.parts {
            let edits = &batch.edits[part.edits.clone()];
            // The leaves behind this one are still locked, so no reader of this one sees an old state of them.
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

    /// Merges leaves that the batch has made sparse.
    fn merge_sparse(&self, batch: &BatchExecution<'_, '_, K, V, impl Copy>, backoff: &mut Backoff) {
        for part in &batch.parts {
            let is_sparse = part.count <= LeafLayout::<K, V>::ENTRIES / 4;
            if is_sparse && part.count < part.version.meta.count() {
                self.merge_if_sparse(part.leaf, backoff);
            }
        }
    }
}

/// For plain data.
impl<K: Copy + Ord, V: Copy, R: BoundPolicy<K>> FenceTree<K, V, R> {
    /// As `apply_atomically`, or, if that is impossible, one change after the other.
    pub(crate) fn apply(
        &self,
        request: BatchOps<'_, K, V>,
        backoff: Backoff,
    ) -> Result<Vec<Option<V>>, Failure> {
        let may_wait = backoff.may_wait();
        match self.apply_atomically(request, backoff, |_| ())? {
            BatchResult::Done(answers) => Ok(answers),
            BatchResult::OneByOne => {
                self.apply_one_by_one(request, 0..request.len(), request.answers()?, may_wait)
            }
        }
    }

    /// As `apply`, but only the changes in one leaf are atomic together, leaf by leaf in key order.
    pub(crate) fn apply_by_leaf(
        &self,
        request: BatchOps<'_, K, V>,
        mut backoff: Backoff,
    ) -> Result<Vec<Option<V>>, Failure> {
        if request.len() < MIN_TO_PLAN {
            let (all, answers) = (0..request.len(), request.answers()?);
            return self.apply_one_by_one(request, all, answers, backoff.may_wait());
        }
        let mut batch = BatchExecution::<'_, '_, _, _, V>::new(request, self.exact_rank())?;
        let mut at = 0;
        while at < batch.order.len() {
            let _operation = self.scheduled.operation();
            batch.clear();
            let Some(next) = self.plan_leaf(&mut batch, at, &mut backoff)? else {
                // The leaves before are done.
                let rest = batch.order[at..].iter().map(|&(_, number)| number);
                return self.apply_one_by_one(request, rest, batch.answers, backoff.may_wait());
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

    /// Applies the changes of these numbers one by one, each atomic by itself: if planning is not worth it, or if keys
    /// are inconsistent.
    fn apply_one_by_one(
        &self,
        request: BatchOps<'_, K, V>,
        numbers: impl Iterator<Item = usize>,
        mut answers: Vec<Option<V>>,
        may_wait: bool,
    ) -> Result<Vec<Option<V>>, Failure> {
        for number in numbers {
            let key = request.key(number);
            let change = |old: Option<&V>| match (request.op(number), old) {
                (Op::Keep, _) => EntryChange::Keep,
                (Op::Insert(value), Some(_)) => EntryChange::Value(value),
                (Op::Insert(value), None) => EntryChange::Entry(*key, value),
                (Op::Remove, _) => EntryChange::Remove,
            };
            let own = if may_wait { Backoff::spinning() } else { Backoff::never() };
            let read = |leaf: LeafRef<'_, K, V>, at| leaf.fetch_value(at);
            answers[number] = self.alter(self.search_key(key), read, own, change, |_| ())?.0;
        }
        Ok(answers)
    }
}

impl<K: Copy, V: Copy> LeafBatch<'_, K, V> {
    /// Stores the edits in the leaf, which the caller has locked. Returns the leaf's new meta.
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
        // From the end, so that the places before an edit do not move.
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

/// The origin of an entry: the leaf, or an edit.
enum EntryOrigin<'a, K, V> {
    Old(usize),
    New(&'a PlacedEdit<K, V>),
}

/// Returns the origin of the entry that will be at `index` after the edits.
fn origin<K, V>(edits: &[PlacedEdit<K, V>], index: usize) -> EntryOrigin<'_, K, V> {
    // The numbers of old and of new entries before the current edit.
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
            cmp::Ordering::Equal if is_new => return EntryOrigin::New(placed),
            _ => (old, new) = (placed.at + goes, new + stay + usize::from(is_new)),
        }
    }
    EntryOrigin::Old(old + index - new)
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;

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
                EntryOrigin::Old(at) => ['a', 'b', 'c', 'd', 'e'][at],
                EntryOrigin::New(PlacedEdit { edit: Edit::Insert(key, ()), .. }) => *key,
                EntryOrigin::New(_) => unreachable!(),
            })
            .collect();
        assert_eq!(after, ['a', 'x', 'd', 'y', 'z', 'e']);
    }
}
