//! The tree itself: from a key to its leaf.
//!
//! The root leads to a fence and the fence to a leaf. Both are hints ([`fence`](super::fence)), so the leaf's own
//! bounds decide:
//! - A search that lands on a leaf left of the right one walks on to the right neighbours.
//! - A search that lands on a leaf right of the right one, or on a retired leaf, restarts a little further left.
//! - After some restarts it walks from the first leaf, which is never retired, and compares keys by `Ord` alone.
//!
//! So every search ends, even if all ranks are wrong.
//!
//! # Synchronization
//! - `[TR-1]` a writer's release store of the first leaf's address, or of a last one's ↔ `[TR-2]` an acquire load: a
//!   thread that loads the address sees the leaf allocated.

use super::arena::LeafArena;
use super::fence::Fence;
use super::leaf::{LeafChanged, LeafLayout, LeafRef, LeafVersion, VersionedLeaf};
use super::load::BalanceState;
use super::policy::KeyPolicy;
use super::rank::is_exact;
use super::root::Root;
use super::search::{CompareKey, LeafPlace, SearchKey};
use crate::facade::atomic::{AtomicPtr, AtomicUsize, Ordering};
use crate::facade::{Scheduled, Word};
use crate::sync::backoff::{Backoff, WouldWait};
use crate::sync::cache::CachePadded;
use crate::sync::hint::Hint;
use crate::sync::stripes::ShardedCounter;
use core::ptr;

/// Number of descents, each further left than the one before, until a search walks from the first leaf.
const MAX_ATTEMPTS: usize = 8;
/// Attempts from which on a search does not check any more whether a leaf begins behind its key. Other threads cannot
/// be in the way that often: `Ord` contradicts itself, and the search ends with any answer.
const CHECKED_ATTEMPTS: usize = 1 << 10;

pub(crate) struct FenceTree<K, V, R> {
    pub(crate) policy: R,
    pub(crate) root: Root,
    /// The first leaf, once there is one; it is never retired.
    head: AtomicPtr<Word>,
    /// The last leaf, or one that was the last lately, and the rank of its lower bound: where ascending keys go.
    tail: AtomicPtr<Word>,
    tail_low: Hint<AtomicUsize>,
    pub(crate) arena: LeafArena<K, V>,
    pub(crate) balance: BalanceState,
    pub(crate) len: CachePadded<ShardedCounter>,
    pub(crate) scheduled: Scheduled,
    /// Whether models use `locate_fast`, which makes them many times as long.
    #[cfg(hedgerow_loom)]
    pub(crate) uses_fast_path: bool,
    /// The next search walks from the first leaf at once, and calls this when it has loaded a leaf's link.
    #[cfg(all(test, not(hedgerow_loom)))]
    on_link: std::sync::Mutex<Option<std::boxed::Box<dyn FnOnce() + Send>>>,
}

/// The target of a search: the leaf of a key, or, if `below` is set, the leaf of the keys right before it.
#[derive(Clone, Copy)]
pub(crate) struct SearchProbe<S> {
    pub(crate) target: SearchKey<S>,
    pub(crate) below: bool,
}

impl<S> SearchProbe<S> {
    /// Returns whether a leaf with the lower bound `lo` is right of the one to find.
    #[inline(always)]
    fn is_left_of<K>(self, lo: &K) -> bool
    where
        S: CompareKey<K>,
    {
        let order = self.target.compare(lo);
        if self.below { order.is_le() } else { order.is_lt() }
    }

    /// Returns whether a leaf with the upper bound `hi` is left of the one to find.
    #[inline(always)]
    fn is_right_of<K>(self, hi: &K) -> bool
    where
        S: CompareKey<K>,
    {
        let order = self.target.compare(hi);
        if self.below { order.is_gt() } else { order.is_ge() }
    }
}

/// The leaf where a search ended, its version then, and the place in it.
pub(crate) struct LeafLocation<'a, K, V, T = LeafPlace> {
    pub(crate) leaf: LeafRef<'a, K, V>,
    pub(crate) version: LeafVersion,
    pub(crate) place: T,
}

/// A leaf that is probably the right one, and its fence. None in a map that has never had an entry.
type Hinted<'a, K, V> = Option<(LeafRef<'a, K, V>, &'a Fence)>;

/// Where the right leaf is, seen from a leaf that a search has read.
enum LeafDirection<T> {
    Here(T),
    Right,
    Left,
}

impl<K: Copy, V: Copy, R> FenceTree<K, V, R> {
    crate::facade::const_unless_loom! {
        pub(crate) fn new(policy: R) -> Self {
            let () = LeafLayout::<K, V>::FITS;
            Self {
                policy,
                root: Root::new(),
                head: AtomicPtr::new(ptr::null_mut()),
                tail: AtomicPtr::new(ptr::null_mut()),
                tail_low: Hint::<AtomicUsize>::new(usize::MAX),
                arena: LeafArena::new(),
                balance: BalanceState::new(),
                len: CachePadded::new(ShardedCounter::new()),
                scheduled: Scheduled::new(),
                #[cfg(hedgerow_loom)]
                uses_fast_path: false,
                #[cfg(all(test, not(hedgerow_loom)))]
                on_link: std::sync::Mutex::new(None),
            }
        }
    }

    /// Returns the number of entries: exact if no thread writes meanwhile.
    pub(crate) fn len(&self) -> usize {
        let _operation = self.scheduled.operation();
        self.len.total()
    }

    /// Passes all entries to `entry` and all bounds to `bound`, each once and in key order. Leaves the tree unusable.
    #[cfg(not(hedgerow_loom))]
    pub(crate) fn drain(&mut self, mut entry: impl FnMut(K), mut bound: impl FnMut(K)) {
        // relaxed: `&mut self`, so every other use of the tree happened before.
        let mut next = self.head.swap(ptr::null_mut(), Ordering::Relaxed);
        while !next.is_null() {
            // SAFETY: a leaf of this tree's arena, which `self` owns.
            let leaf = unsafe { LeafRef::<K, V>::new(next) };
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

impl<K: Copy + Ord, V: Copy, R: KeyPolicy<K>> FenceTree<K, V, R> {
    #[inline(always)]
    pub(crate) fn search_key<'q>(&self, key: &'q K) -> SearchKey<&'q K> {
        SearchKey::new(key, &self.policy)
    }

    /// # Safety
    /// `words` is null or a leaf of this tree's arena, and was loaded with acquire from where it was stored with
    /// release.
    #[inline(always)]
    #[expect(clippy::unused_self, reason = "the leaf lives as long")]
    pub(crate) unsafe fn leaf_at(&self, words: *mut Word) -> Option<LeafRef<'_, K, V>> {
        // SAFETY: the caller's promise; leaves are freed with the arena.
        if words.is_null() { None } else { Some(unsafe { LeafRef::new(words) }) }
    }

    /// Returns the first leaf. None in a map that has never had an entry.
    pub(crate) fn head(&self) -> Option<LeafRef<'_, K, V>> {
        // [TR-2] acquire: pairs with [TR-1] in `set_head`, so the leaf is seen allocated.
        // SAFETY: null, or stored with release by `set_head`.
        unsafe { self.leaf_at(self.head.load(Ordering::Acquire)) }
    }

    pub(crate) fn set_head(&self, leaf: LeafRef<'_, K, V>) {
        // [TR-1] release: pairs with [TR-2] in `head`, so a thread that loads the address sees the leaf allocated.
        self.head.store(leaf.as_ptr(), Ordering::Release);
    }

    /// Returns the last leaf, or one that was the last lately, unless it begins behind `rank`.
    #[inline(always)]
    pub(crate) fn tail_for(&self, rank: usize) -> Option<LeafRef<'_, K, V>> {
        if rank < self.tail_low.load() {
            return None;
        }
        self.tail()
    }

    pub(crate) fn tail(&self) -> Option<LeafRef<'_, K, V>> {
        // [TR-2] acquire: pairs with [TR-1] in `set_tail`, so the leaf is seen allocated.
        // SAFETY: null, or stored with release by `set_tail`.
        unsafe { self.leaf_at(self.tail.load(Ordering::Acquire)) }
    }

    pub(crate) fn set_tail(&self, leaf: LeafRef<'_, K, V>, low: usize) {
        // [TR-1] release: pairs with [TR-2] in `tail`, so a thread that loads the address sees the leaf allocated.
        self.tail.store(leaf.as_ptr(), Ordering::Release);
        self.tail_low.store(low);
    }

    /// Returns the leaf to which the hints lead, or a leaf about `back` places before it.
    #[inline(always)]
    fn descend(
        &self,
        probe: SearchProbe<impl CompareKey<K>>,
        back: usize,
        backoff: &mut Backoff,
    ) -> Result<Hinted<'_, K, V>, WouldWait> {
        let Some(table) = self.root.table() else { return Ok(None) };
        // An exact key is found by its rank alone, and the key right before it has the rank right before.
        let exact = is_exact::<K, R>();
        let rank = probe.target.rank.saturating_sub(usize::from(exact && probe.below));
        let mut fence_at = table.pick(rank);
        // If several fences begin with this rank, the keys decide between them. The same goes for leaves, below.
        if !exact {
            let first_of = |at: usize| table.fence(at).and_then(|fence| self.leaf_of(fence, 0));
            let ties = |at| table.low(at) == rank;
            fence_at = Self::among_ties(
                probe,
                fence_at,
                || table.pick(rank.wrapping_sub(1)),
                ties,
                first_of,
                backoff,
            )?;
        }
        let Some(mut fence) = table.fence(fence_at) else { return Ok(None) };
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
        // A descent before this one landed on a leaf right of the right one, or on a retired leaf.
        if back > 0 {
            if at < back
                && let Some(left) = fence_at.checked_sub(1).and_then(|before| table.fence(before))
            {
                (fence, at) = (left, left.count().max(1) - 1);
            } else {
                at = at.saturating_sub(back);
            }
        }
        Ok(self.leaf_of(fence, at).map(|leaf| (leaf, fence)))
    }

    #[inline(always)]
    pub(crate) fn leaf_of(&self, fence: &Fence, at: usize) -> Option<LeafRef<'_, K, V>> {
        // SAFETY: fences of this tree list leaves of its arena; [FN-2] loads them with acquire, [FN-1] stores them
        // with release.
        unsafe { self.leaf_at(fence.leaf(at)) }
    }

    /// Searches the entries up to `last` that have the probe's rank, and the entry before them. Returns the last one
    /// whose first leaf does not begin behind the probe.
    #[inline]
    fn among_ties<'a>(
        probe: SearchProbe<impl CompareKey<K>>,
        last: usize,
        before: impl FnOnce() -> usize,
        ties: impl Fn(usize) -> bool,
        leaf_of: impl Fn(usize) -> Option<LeafRef<'a, K, V>>,
        backoff: &mut Backoff,
    ) -> Result<usize, WouldWait> {
        if !ties(last) {
            return Ok(last);
        }
        // No rank is less than 0, so all entries may tie.
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
        leaf: LeafRef<'_, K, V>,
        probe: SearchProbe<impl CompareKey<K>>,
        backoff: &mut Backoff,
    ) -> Result<bool, WouldWait> {
        loop {
            let version = leaf.begin_unlocked(backoff)?;
            if let Ok(lo) = leaf.lo(version) {
                return Ok(lo.is_some_and(|lo| probe.is_left_of(&lo)));
            }
            backoff.again()?;
        }
    }

    #[cfg_attr(not(all(test, not(hedgerow_loom))), expect(clippy::unused_self))]
    #[inline(always)]
    fn most_attempts(&self) -> usize {
        #[cfg(all(test, not(hedgerow_loom)))]
        if self.on_link.lock().unwrap().is_some() {
            return 0;
        }
        MAX_ATTEMPTS
    }

    /// Searches for the leaf that `judge` accepts, and returns it with the result of `judge`. None in a map that has
    /// never had an entry.
    ///
    /// The last argument of `judge` says whether the leaf may begin behind the probe.
    #[inline(always)]
    fn search<'a, T>(
        &'a self,
        probe: SearchProbe<impl CompareKey<K>>,
        start: Option<LeafRef<'a, K, V>>,
        backoff: &mut Backoff,
        mut judge: impl FnMut(
            LeafRef<'a, K, V>,
            LeafVersion,
            bool,
        ) -> Result<LeafDirection<T>, LeafChanged>,
    ) -> Result<Option<LeafLocation<'a, K, V, T>>, WouldWait> {
        let mut start = start;
        let mut attempts = 0;
        loop {
            let walks = attempts >= self.most_attempts();
            let mut leaf = if let Some(leaf) = start.take() {
                leaf
            } else if walks {
                let Some(leaf) = self.walk_to(probe, backoff)? else { return Ok(None) };
                leaf
            } else if let Some((leaf, _)) = self.descend(probe, attempts, backoff)? {
                leaf
            } else if self.root.table().is_some() {
                // The hints led to a place that a writer is changing.
                attempts += 1;
                continue;
            } else {
                return Ok(None);
            };
            loop {
                // Not `begin_unlocked`: its loop within this one takes 3 % more instructions for owned keys.
                let version = leaf.begin();
                if version.is_locked() {
                    backoff.wait()?;
                    continue;
                }
                // A retired leaf has neither entries nor bounds. Its keys are in a leaf further left.
                if !version.meta.is_live() {
                    break;
                }
                match judge(leaf, version, attempts < CHECKED_ATTEMPTS) {
                    Err(LeafChanged) => backoff.again()?,
                    Ok(LeafDirection::Here(found)) => {
                        return Ok(Some(LeafLocation { leaf, version, place: found }));
                    }
                    Ok(LeafDirection::Left) => break,
                    Ok(LeafDirection::Right) => match leaf.next(version) {
                        // Ends at the last leaf, even if `Ord` contradicts itself: that leaf has no upper bound.
                        Ok(next) => leaf = next,
                        Err(LeafChanged) => backoff.again()?,
                    },
                }
            }
            attempts += 1;
            if walks {
                // The leaf was changed between the walk and this look at it.
                backoff.again()?;
            }
        }
    }

    /// Follows the links from the first leaf on. Returns a leaf that does not end before the probe; if leaves were
    /// retired and used again in the meantime, it may begin behind it.
    #[cold]
    #[inline(never)]
    fn walk_to<'a>(
        &'a self,
        probe: SearchProbe<impl CompareKey<K>>,
        backoff: &mut Backoff,
    ) -> Result<Option<LeafRef<'a, K, V>>, WouldWait> {
        while let Some(head) = self.head() {
            let mut leaf = head;
            loop {
                let version = leaf.begin_unlocked(backoff)?;
                if !version.meta.is_live() {
                    break;
                }
                let next = leaf.hi(version).and_then(|hi| {
                    let is_further = hi.is_some_and(|hi| probe.is_right_of(&hi));
                    is_further.then(|| leaf.next(version)).transpose()
                });
                match next {
                    Ok(None) => return Ok(Some(leaf)),
                    Ok(Some(next)) => {
                        #[cfg(all(test, not(hedgerow_loom)))]
                        self.call_on_link();
                        leaf = next;
                    }
                    Err(LeafChanged) => backoff.again()?,
                }
            }
            // A leaf was retired meanwhile.
            backoff.again()?;
        }
        Ok(None)
    }

    /// Returns the place of a key in the leaf to whose range it belongs.
    #[inline(always)]
    pub(crate) fn seek<'a>(
        &'a self,
        target: SearchKey<impl CompareKey<K>>,
        start: Option<LeafRef<'a, K, V>>,
        backoff: &mut Backoff,
    ) -> Result<Option<LeafLocation<'a, K, V>>, WouldWait> {
        let probe = SearchProbe { target, below: false };
        self.search(probe, start, backoff, |leaf, version, may_start_after| {
            let place = leaf.place(version, target, &self.policy)?;
            leaf.check(version)?;
            // A key that is found in a leaf belongs to it.
            if place.found {
                return Ok(LeafDirection::Here(place));
            }
            // Between two entries of a leaf, a key belongs to that leaf: its bounds need not be read.
            if place.at == version.meta.count()
                && leaf.hi(version)?.is_some_and(|hi| probe.is_right_of(&hi))
            {
                return Ok(LeafDirection::Right);
            }
            let may_start_after = may_start_after && place.at == 0;
            if may_start_after && leaf.lo(version)?.is_some_and(|lo| probe.is_left_of(&lo)) {
                return Ok(LeafDirection::Left);
            }
            Ok(LeafDirection::Here(place))
        })
    }

    /// Returns the place of an exact key if the leaf to which the hints lead is certainly the right one.
    #[inline(always)]
    pub(crate) fn locate_fast(
        &self,
        target: SearchKey<impl CompareKey<K>>,
    ) -> Option<LeafLocation<'_, K, V>> {
        if !is_exact::<K, R>() {
            return None;
        }
        #[cfg(hedgerow_loom)]
        if !self.uses_fast_path {
            return None;
        }
        // Ascending keys: their place is known without a search.
        if let Some(location) = self.locate_at_end(target.rank) {
            return Some(location);
        }
        let leaf = self.hinted_leaf(target.rank)?;
        let version = leaf.begin();
        let place = leaf.place(version, target, &self.policy).ok()?;
        let is_here = place.found || place.is_between(version.meta.count());
        // A locked leaf does not validate, and a retired one has no entries.
        let is_sure = is_here && leaf.validate(version);
        is_sure.then_some(LeafLocation { leaf, version, place })
    }

    /// Returns the place of an exact key that is greater than all others.
    #[inline(always)]
    fn locate_at_end(&self, rank: usize) -> Option<LeafLocation<'_, K, V>> {
        let leaf = self.tail_for(rank)?;
        let version = leaf.begin();
        let count = version.meta.count();
        if version.meta.has_hi() || count == 0 {
            return None;
        }
        let last = leaf.rank_at(version, count - 1, &self.policy).ok()?;
        let place = LeafPlace { at: count, found: false };
        (last < rank && leaf.validate(version)).then_some(LeafLocation { leaf, version, place })
    }

    /// Returns the leaf to whose range the probe belongs.
    pub(crate) fn find_leaf<'a>(
        &'a self,
        probe: SearchProbe<impl CompareKey<K>>,
        backoff: &mut Backoff,
    ) -> Result<Option<VersionedLeaf<'a, K, V>>, WouldWait> {
        let found = self.search(probe, None, backoff, |leaf, version, may_start_after| {
            if leaf.hi(version)?.is_some_and(|hi| probe.is_right_of(&hi)) {
                return Ok(LeafDirection::Right);
            }
            if may_start_after && leaf.lo(version)?.is_some_and(|lo| probe.is_left_of(&lo)) {
                return Ok(LeafDirection::Left);
            }
            Ok(LeafDirection::Here(()))
        })?;
        Ok(found.map(|location| (location.leaf, location.version)))
    }

    /// Returns the fence that lists the probe's leaf, as far as the hints say.
    pub(crate) fn fence_for(
        &self,
        probe: SearchProbe<impl CompareKey<K>>,
        backoff: &mut Backoff,
    ) -> Result<Option<&Fence>, WouldWait> {
        Ok(self.descend(probe, 0, backoff)?.map(|(_, fence)| fence))
    }

    /// Returns the listed leaf to which the hints lead.
    pub(crate) fn descend_to_leaf(
        &self,
        probe: SearchProbe<impl CompareKey<K>>,
        backoff: &mut Backoff,
    ) -> Result<Option<LeafRef<'_, K, V>>, WouldWait> {
        Ok(self.descend(probe, 0, backoff)?.map(|(leaf, _)| leaf))
    }

    /// Returns the leaf to which the hints lead for an exact rank, for fast paths that fall back to a search.
    #[inline(always)]
    pub(crate) fn hinted_leaf(&self, rank: usize) -> Option<LeafRef<'_, K, V>> {
        let table = self.root.table()?;
        let fence = table.fence(table.pick(rank))?;
        self.leaf_of(fence, fence.pick(rank))
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;
    use crate::FenceMap;
    use std::boxed::Box;
    use std::sync::Arc;

    impl<K, V, R> FenceTree<K, V, R> {
        pub(super) fn call_on_link(&self) {
            let call = self.on_link.lock().unwrap().take();
            if let Some(call) = call {
                call();
            }
        }
    }

    fn second_leaf(map: &FenceMap<u64, u64>) -> Option<LeafRef<'_, u64, u64>> {
        let head = map.tree().head()?;
        head.begin().meta.has_hi().then(|| head.next_locked())
    }

    /// Between two leaves, a walk stops. A merge moves the key that it looks for to the first leaf. Then a split uses
    /// the second leaf again, for greater keys.
    #[test]
    fn a_walk_notices_that_the_next_leaf_is_used_again() {
        let map = Arc::new(FenceMap::<u64, u64>::new());
        let mut least = 0;
        while second_leaf(&map).is_none() {
            map.insert(least, least);
            least += 1;
        }
        let second = second_leaf(&map).unwrap();
        let key = second.lo(second.begin()).unwrap_or_default().unwrap();
        let other = map.clone();
        let at = second.as_ptr().addr();
        let change = move || {
            for less in 1..key {
                other.remove(&less);
            }
            assert!(second_leaf(&other).is_none(), "the leaves are merged");
            for more in key + 1.. {
                other.insert(more, more);
                let Some(second) = second_leaf(&other) else { continue };
                assert_eq!(second.as_ptr().addr(), at, "the leaf is used again");
                let lo = second.lo(second.begin()).unwrap_or_default().unwrap();
                assert!(lo > key, "{lo}: the leaf does not begin behind {key}");
                break;
            }
        };
        let tree = map.tree();
        *tree.on_link.lock().unwrap() = Some(Box::new(change));
        let found = tree.seek(tree.search_key(&key), None, &mut Backoff::spinning());
        assert!(tree.on_link.lock().unwrap().is_none(), "the search did not walk");
        assert!(found.unwrap().unwrap().place.found, "a key that is always there is missed");
    }
}
