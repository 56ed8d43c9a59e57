//! The tree: from a key to its leaf.
//!
//! The route leads to a fence and the fence to a leaf; both are hints ([`directory`](super::fence)). The leaf
//! certifies itself: a reader that was led too far left goes on to the right neighbour, one that was led too far
//! right, or to a leaf that has died, searches again a little further left. If that fails some times, it walks
//! from the first leaf, which never dies, and then only `Ord` counts. So every search ends, whatever ranks say.
//!
//! # Synchronization
//! - `[TR-1]` release store of the first leaf's address, or of a last one's ↔ `[TR-2]` acquire load: who comes to it
//!   finds it allocated.

use super::arena::Arena;
use super::fence::Fence;
use super::leaf::{Changed, Leaf, LeafLayout, LeafVersion, VersionedLeaf};
use super::load::BalanceState;
use super::policy::KeyPolicy;
use super::rank::is_exact;
use super::root::Root;
use super::search::{CompareKey, Place, SearchKey};
use crate::facade::Word;
use crate::facade::atomic::{AtomicPtr, AtomicUsize, Ordering};
use crate::sync::backoff::{Backoff, WouldWait};
use crate::sync::cache::CachePadded;
use crate::sync::stripes::Counter;
use core::ptr;

/// So often a search begins anew, further left each time, before it walks from the first leaf.
const TRIES: usize = 8;

pub(crate) struct Tree<K, V, R> {
    pub(crate) ranking: R,
    pub(crate) root: Root,
    /// The first leaf, once there is one; it never dies.
    head: AtomicPtr<Word>,
    /// A leaf that was the last one lately, and the rank of its first key: where most ascending keys go.
    tail: AtomicPtr<Word>,
    tail_low: AtomicUsize,
    pub(crate) arena: Arena<K, V>,
    pub(crate) balance: BalanceState,
    pub(crate) len: CachePadded<Counter>,
    /// Whether models go the short way to a leaf too, which makes them many times as long.
    #[cfg(hedgerow_loom)]
    pub(crate) uses_fast_path: bool,
}

/// What to look for: the leaf of a key, or the one of the keys right before it.
#[derive(Clone, Copy)]
pub(crate) struct Probe<S> {
    pub(crate) target: SearchKey<S>,
    pub(crate) below: bool,
}

impl<S> Probe<S> {
    /// Whether a leaf that begins with `lo` begins too late.
    #[inline(always)]
    fn is_left_of<K>(self, lo: &K) -> bool
    where
        S: CompareKey<K>,
    {
        let order = self.target.compare(lo);
        if self.below { order.is_le() } else { order.is_lt() }
    }

    /// Whether a leaf that ends at `hi` ends too soon.
    #[inline(always)]
    fn is_right_of<K>(self, hi: &K) -> bool
    where
        S: CompareKey<K>,
    {
        let order = self.target.compare(hi);
        if self.below { order.is_gt() } else { order.is_ge() }
    }
}

/// Where a search ended.
pub(crate) struct Location<'a, K, V, T = Place> {
    pub(crate) leaf: Leaf<'a, K, V>,
    pub(crate) version: LeafVersion,
    pub(crate) place: T,
}

/// A leaf that is probably the right one, and its fence.
type Hinted<'a, K, V> = Option<(Leaf<'a, K, V>, &'a Fence)>;

/// What a leaf says to a search.
enum Answer<T> {
    Here(T),
    Right,
    Left,
}

impl<K: Copy, V: Copy, R> Tree<K, V, R> {
    /// Shows all entries and all bounds, each once, in key order, of a tree that nobody uses any more.
    #[cfg(not(hedgerow_loom))]
    pub(crate) fn drain(&mut self, mut entry: impl FnMut(K), mut bound: impl FnMut(K)) {
        // relaxed: `&mut self` says that every other use happened before.
        let mut next = self.head.swap(ptr::null_mut(), Ordering::Relaxed);
        while !next.is_null() {
            // SAFETY: a leaf of this tree's arena, which is alive.
            let leaf = unsafe { Leaf::<K, V>::new(next) };
            let version = leaf.begin();
            let part = (0..version.meta.count()).map(|at| leaf.key(version, at));
            part.map_while(Result::ok).for_each(&mut entry);
            if let Ok(Some(lo)) = leaf.lo(version) {
                bound(lo);
            }
            next = match leaf.next(version) {
                Ok(right) if right != leaf => right.as_ptr(),
                _ => ptr::null_mut(),
            };
        }
    }
}

impl<K: Copy + Ord, V: Copy, R: KeyPolicy<K>> Tree<K, V, R> {
    crate::facade::const_unless_loom! {
        pub(crate) fn new(ranking: R) -> Self {
            let () = LeafLayout::<K, V>::FITS;
            Self {
                ranking,
                root: Root::new(),
                head: AtomicPtr::new(ptr::null_mut()),
                tail: AtomicPtr::new(ptr::null_mut()),
                tail_low: AtomicUsize::new(usize::MAX),
                arena: Arena::new(),
                balance: BalanceState::new(),
                len: CachePadded::new(Counter::new()),
                #[cfg(hedgerow_loom)]
                uses_fast_path: false,
            }
        }
    }

    #[inline(always)]
    pub(crate) fn search_key<'q>(&self, key: &'q K) -> SearchKey<&'q K> {
        SearchKey::new(key, &self.ranking)
    }

    /// # Safety
    /// `words` is null or a leaf of this tree's arena, loaded with acquire from where it was stored with release.
    #[inline(always)]
    #[expect(clippy::unused_self, reason = "the leaf lives as long")]
    pub(crate) unsafe fn leaf_at(&self, words: *mut Word) -> Option<Leaf<'_, K, V>> {
        // SAFETY: the caller's promise; leaves live as long as the arena.
        if words.is_null() { None } else { Some(unsafe { Leaf::new(words) }) }
    }

    /// The first leaf.
    pub(crate) fn head(&self) -> Option<Leaf<'_, K, V>> {
        // [TR-2] acquire: pairs with [TR-1].
        // SAFETY: stored with release by `set_head`.
        unsafe { self.leaf_at(self.head.load(Ordering::Acquire)) }
    }

    pub(crate) fn set_head(&self, leaf: Leaf<'_, K, V>) {
        // [TR-1] release: pairs with [TR-2].
        self.head.store(leaf.as_ptr(), Ordering::Release);
    }

    /// A leaf that was the last one lately, if `rank` is not less than where it began.
    #[inline(always)]
    pub(crate) fn tail_for(&self, rank: usize) -> Option<Leaf<'_, K, V>> {
        // relaxed: a hint.
        if rank < self.tail_low.load(Ordering::Relaxed) {
            return None;
        }
        self.tail()
    }

    pub(crate) fn tail(&self) -> Option<Leaf<'_, K, V>> {
        // [TR-2] acquire: pairs with [TR-1].
        // SAFETY: stored with release by `set_tail`.
        unsafe { self.leaf_at(self.tail.load(Ordering::Acquire)) }
    }

    pub(crate) fn set_tail(&self, leaf: Leaf<'_, K, V>, low: usize) {
        // [TR-1] release: pairs with [TR-2].
        self.tail.store(leaf.as_ptr(), Ordering::Release);
        // relaxed: a hint.
        self.tail_low.store(low, Ordering::Relaxed);
    }

    /// The leaf that the hints name, or the one `back` before it.
    #[inline(always)]
    fn descend(
        &self,
        probe: Probe<impl CompareKey<K>>,
        back: usize,
        backoff: &mut Backoff,
    ) -> Result<Hinted<'_, K, V>, WouldWait> {
        let Some(table) = self.root.table() else { return Ok(None) };
        // An exact key is found by its rank alone, and the one before it has the rank before it.
        let exact = is_exact::<K, R>();
        let rank = probe.target.rank.saturating_sub(usize::from(exact && probe.below));
        let mut road = table.pick(rank);
        if !exact {
            let first_of = |at: usize| table.fence(at).and_then(|fence| self.leaf_of(fence, 0));
            let ties = |at| table.low(at) == rank;
            road = Self::among_ties(
                probe,
                road,
                || table.pick(rank.wrapping_sub(1)),
                ties,
                first_of,
                backoff,
            )?;
        }
        let Some(mut fence) = table.fence(road) else { return Ok(None) };
        let mut at = fence.pick(rank);
        if !exact {
            let leaf_of = |at: usize| self.leaf_of(fence, at);
            let ties = |at| fence.low(at) == rank;
            at = Self::among_ties(
                probe,
                at,
                || fence.pick(rank.wrapping_sub(1)),
                ties,
                leaf_of,
                backoff,
            )?;
        }
        if back > 0 {
            if at < back
                && let Some(left) = road.checked_sub(1).and_then(|road| table.fence(road))
            {
                (fence, at) = (left, left.count().max(1) - 1);
            } else {
                at = at.saturating_sub(back);
            }
        }
        Ok(self.leaf_of(fence, at).map(|leaf| (leaf, fence)))
    }

    #[inline(always)]
    pub(crate) fn leaf_of(&self, fence: &Fence, at: usize) -> Option<Leaf<'_, K, V>> {
        // SAFETY: fences of this tree lead to its leaves, [FN-1] and [FN-2].
        unsafe { self.leaf_at(fence.leaf(at)) }
    }

    /// Of the entries up to `last` that tie with the probe's rank, and the one before them, the last one that does
    /// not begin too late.
    #[inline]
    fn among_ties<'a>(
        probe: Probe<impl CompareKey<K>>,
        last: usize,
        before: impl FnOnce() -> usize,
        ties: impl Fn(usize) -> bool,
        leaf_of: impl Fn(usize) -> Option<Leaf<'a, K, V>>,
        backoff: &mut Backoff,
    ) -> Result<usize, WouldWait> {
        if !ties(last) {
            return Ok(last);
        }
        // With no rank before it, all entries tie.
        let (mut low, mut high) =
            (if probe.target.rank == 0 { 0 } else { before().min(last) }, last + 1);
        while high - low > 1 {
            let middle = usize::midpoint(low, high);
            let Some(leaf) = leaf_of(middle) else { break };
            if Self::starts_after(leaf, probe, backoff)? { high = middle } else { low = middle }
        }
        Ok(low)
    }

    fn starts_after(
        leaf: Leaf<'_, K, V>,
        probe: Probe<impl CompareKey<K>>,
        backoff: &mut Backoff,
    ) -> Result<bool, WouldWait> {
        loop {
            let version = leaf.begin();
            if version.is_locked() {
                backoff.wait()?;
            } else if let Ok(lo) = leaf.lo(version) {
                return Ok(lo.is_some_and(|lo| probe.is_left_of(&lo)));
            } else {
                backoff.again()?;
            }
        }
    }

    /// The leaf that is right for the probe, as `ask` finds, and what it made of it. None in a map that has never
    /// had an entry. `ask` is told whether the leaf may begin too late: not where all leaves from the first one on
    /// were passed because they end too soon.
    #[inline(always)]
    fn search<'a, T>(
        &'a self,
        probe: Probe<impl CompareKey<K>>,
        start: Option<Leaf<'a, K, V>>,
        backoff: &mut Backoff,
        mut ask: impl FnMut(Leaf<'a, K, V>, LeafVersion, bool) -> Result<Answer<T>, Changed>,
    ) -> Result<Option<Location<'a, K, V, T>>, WouldWait> {
        let mut start = start;
        let mut tries = 0;
        loop {
            let walks = tries >= TRIES;
            let mut leaf = if let Some(leaf) = start.take() {
                leaf
            } else if walks {
                let Some(head) = self.head() else { return Ok(None) };
                head
            } else if let Some((leaf, _)) = self.descend(probe, tries, backoff)? {
                leaf
            } else if self.root.table().is_some() {
                tries += 1;
                continue;
            } else {
                return Ok(None);
            };
            loop {
                let version = leaf.begin();
                if version.is_locked() {
                    backoff.wait()?;
                    continue;
                }
                if !version.meta.is_live() {
                    break;
                }
                match ask(leaf, version, !walks) {
                    Err(Changed) => backoff.again()?,
                    Ok(Answer::Here(found)) => {
                        return Ok(Some(Location { leaf, version, place: found }));
                    }
                    Ok(Answer::Left) => break,
                    Ok(Answer::Right) => match leaf.next(version) {
                        // Ends at the last leaf, whatever the order of keys says: that one has no upper bound.
                        Ok(next) => leaf = next,
                        Err(Changed) => backoff.again()?,
                    },
                }
            }
            tries += 1;
            if walks {
                // A leaf died under the walk, which begins at the first one again.
                backoff.again()?;
            }
        }
    }

    /// The place of a key, in the leaf whose range it is in.
    #[inline(always)]
    pub(crate) fn seek<'a>(
        &'a self,
        target: SearchKey<impl CompareKey<K>>,
        start: Option<Leaf<'a, K, V>>,
        backoff: &mut Backoff,
    ) -> Result<Option<Location<'a, K, V>>, WouldWait> {
        let probe = Probe { target, below: false };
        self.search(probe, start, backoff, |leaf, version, doubtful| {
            let place = leaf.place(version, target, &self.ranking)?;
            leaf.check(version)?;
            // Between two of its entries a key is in the leaf's range.
            if place.found {
                return Ok(Answer::Here(place));
            }
            if place.at == version.meta.count()
                && leaf.hi(version)?.is_some_and(|hi| probe.is_right_of(&hi))
            {
                return Ok(Answer::Right);
            }
            let doubtful = doubtful && place.at == 0;
            if doubtful && leaf.lo(version)?.is_some_and(|lo| probe.is_left_of(&lo)) {
                return Ok(Answer::Left);
            }
            Ok(Answer::Here(place))
        })
    }

    /// The place of an exact key, where the leaf that is looked at first is sure of it.
    #[inline(always)]
    pub(crate) fn locate_fast(
        &self,
        target: SearchKey<impl CompareKey<K>>,
    ) -> Option<Location<'_, K, V>> {
        if !is_exact::<K, R>() {
            return None;
        }
        #[cfg(hedgerow_loom)]
        if !self.uses_fast_path {
            return None;
        }
        if let Some(location) = self.locate_at_end(target.rank) {
            return Some(location);
        }
        let leaf = self.hinted_leaf(target.rank)?;
        let version = leaf.begin();
        let place = leaf.place(version, target, &self.ranking).ok()?;
        let is_here = place.found || place.is_between(version.meta.count());
        // A locked leaf does not validate, and a dead one has no entries.
        let is_sure = is_here && leaf.validate(version);
        is_sure.then_some(Location { leaf, version, place })
    }

    /// The place of an exact key behind all others.
    #[inline(always)]
    fn locate_at_end(&self, rank: usize) -> Option<Location<'_, K, V>> {
        let leaf = self.tail_for(rank)?;
        let version = leaf.begin();
        let count = version.meta.count();
        if version.meta.has_hi() || count == 0 {
            return None;
        }
        let last = leaf.rank_at(version, count - 1, &self.ranking).ok()?;
        let place = Place { at: count, found: false };
        (last < rank && leaf.validate(version)).then_some(Location { leaf, version, place })
    }

    /// The leaf in whose range the probe is.
    pub(crate) fn find_leaf<'a>(
        &'a self,
        probe: Probe<impl CompareKey<K>>,
        backoff: &mut Backoff,
    ) -> Result<Option<VersionedLeaf<'a, K, V>>, WouldWait> {
        let found = self.search(probe, None, backoff, |leaf, version, doubtful| {
            if leaf.hi(version)?.is_some_and(|hi| probe.is_right_of(&hi)) {
                return Ok(Answer::Right);
            }
            if doubtful && leaf.lo(version)?.is_some_and(|lo| probe.is_left_of(&lo)) {
                return Ok(Answer::Left);
            }
            Ok(Answer::Here(()))
        })?;
        Ok(found.map(|location| (location.leaf, location.version)))
    }

    /// The fence in which the probe's leaf is listed, as far as the hints say.
    pub(crate) fn fence_for(
        &self,
        probe: Probe<impl CompareKey<K>>,
        backoff: &mut Backoff,
    ) -> Result<Option<&Fence>, WouldWait> {
        Ok(self.descend(probe, 0, backoff)?.map(|(_, fence)| fence))
    }

    /// The leaf that the hints lead to, which is listed.
    pub(crate) fn descend_to_leaf(
        &self,
        probe: Probe<impl CompareKey<K>>,
        backoff: &mut Backoff,
    ) -> Result<Option<Leaf<'_, K, V>>, WouldWait> {
        Ok(self.descend(probe, 0, backoff)?.map(|(leaf, _)| leaf))
    }

    /// The leaf to try first, for a get that gives up at anything unusual.
    #[inline(always)]
    pub(crate) fn hinted_leaf(&self, rank: usize) -> Option<Leaf<'_, K, V>> {
        let table = self.root.table()?;
        let fence = table.fence(table.pick(rank))?;
        self.leaf_of(fence, fence.pick(rank))
    }
}
