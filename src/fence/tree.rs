//! The tree: from a key to its leaf.
//!
//! The route leads to a fence and the fence to a leaf; both are hints ([`directory`](super::directory)). The leaf
//! certifies itself: a reader that was led too far left goes on to the right neighbour, one that was led too far
//! right, or to a leaf that has died, searches again a little further left. If that fails some times, it walks
//! from the first leaf, which never dies, and then only `Ord` counts. So every search ends, whatever ranks say.
//!
//! # Synchronization
//! - `[TR-1]` release store of the first leaf's address, or of a last one's ↔ `[TR-2]` acquire load: who comes to it
//!   finds it allocated.

use super::arena::Arena;
use super::balance::Balance;
use super::directory::Fence;
use super::leaf::{Changed, Form, Leaf, Look, Seen};
use super::rank::is_exact;
use super::route::Route;
use super::rule::Rule;
use super::search::{Place, Sought, Stand};
use crate::facade::Word;
use crate::facade::atomic::{AtomicPtr, AtomicUsize, Ordering};
use crate::sync::backoff::{Backoff, WouldWait};
use crate::sync::cache::CachePadded;
use crate::sync::stripes::Counter;
use core::ptr;

/// So often a search begins anew, further left each time, before it walks from the first leaf.
const TRIES: usize = 8;

pub(crate) struct Tree<K, V, R> {
    pub(super) ranking: R,
    pub(super) route: Route,
    /// The first leaf, once there is one; it never dies.
    head: AtomicPtr<Word>,
    /// A leaf that was the last one lately, and the rank of its first key: where most ascending keys go.
    tail: AtomicPtr<Word>,
    tail_low: AtomicUsize,
    pub(super) arena: Arena<K, V>,
    pub(super) balance: Balance,
    pub(super) len: CachePadded<Counter>,
    /// Whether models go the short way to a leaf too, which makes them many times as long.
    #[cfg(hedgerow_loom)]
    pub(super) goes_short: bool,
}

/// What to look for: the leaf of a key, or the one of the keys right before it.
#[derive(Clone, Copy)]
pub(crate) struct Probe<S> {
    pub(crate) sought: Sought<S>,
    pub(crate) below: bool,
}

impl<S> Probe<S> {
    /// Whether a leaf that begins with `lo` begins too late.
    #[inline(always)]
    fn is_left_of<K>(self, lo: &K) -> bool
    where
        S: Stand<K>,
    {
        let order = self.sought.compare(lo);
        if self.below { order.is_le() } else { order.is_lt() }
    }

    /// Whether a leaf that ends at `hi` ends too soon.
    #[inline(always)]
    fn is_right_of<K>(self, hi: &K) -> bool
    where
        S: Stand<K>,
    {
        let order = self.sought.compare(hi);
        if self.below { order.is_gt() } else { order.is_ge() }
    }
}

/// Where a search ended.
pub(crate) struct Spot<'a, K, V, T = Place> {
    pub(crate) leaf: Leaf<'a, K, V>,
    pub(crate) look: Look,
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
            let look = leaf.begin();
            let part = (0..look.meta.count()).map(|at| leaf.key(look, at));
            part.map_while(Result::ok).for_each(&mut entry);
            if let Ok(Some(lo)) = leaf.lo(look) {
                bound(lo);
            }
            next = match leaf.next(look) {
                Ok(right) if right != leaf => right.as_ptr(),
                _ => ptr::null_mut(),
            };
        }
    }
}

impl<K: Copy + Ord, V: Copy, R: Rule<K>> Tree<K, V, R> {
    crate::facade::const_unless_loom! {
        pub(crate) fn new(ranking: R) -> Self {
            let () = Form::<K, V>::FITS;
            Self {
                ranking,
                route: Route::new(),
                head: AtomicPtr::new(ptr::null_mut()),
                tail: AtomicPtr::new(ptr::null_mut()),
                tail_low: AtomicUsize::new(usize::MAX),
                arena: Arena::new(),
                balance: Balance::new(),
                len: CachePadded::new(Counter::new()),
                #[cfg(hedgerow_loom)]
                goes_short: false,
            }
        }
    }

    #[inline(always)]
    pub(crate) fn sought<'q>(&self, key: &'q K) -> Sought<&'q K> {
        Sought::new(key, &self.ranking)
    }

    /// # Safety
    /// `words` is null or a leaf of this tree's arena, loaded with acquire from where it was stored with release.
    #[inline(always)]
    #[expect(clippy::unused_self, reason = "the leaf lives as long")]
    pub(super) unsafe fn leaf_at(&self, words: *mut Word) -> Option<Leaf<'_, K, V>> {
        // SAFETY: the caller's promise; leaves live as long as the arena.
        if words.is_null() { None } else { Some(unsafe { Leaf::new(words) }) }
    }

    /// The first leaf.
    pub(super) fn head(&self) -> Option<Leaf<'_, K, V>> {
        // [TR-2] acquire: pairs with [TR-1].
        // SAFETY: stored with release by `set_head`.
        unsafe { self.leaf_at(self.head.load(Ordering::Acquire)) }
    }

    pub(super) fn set_head(&self, leaf: Leaf<'_, K, V>) {
        // [TR-1] release: pairs with [TR-2].
        self.head.store(leaf.as_ptr(), Ordering::Release);
    }

    /// A leaf that was the last one lately, if `rank` is not less than where it began.
    #[inline(always)]
    pub(super) fn tail_for(&self, rank: usize) -> Option<Leaf<'_, K, V>> {
        // relaxed: a hint.
        if rank < self.tail_low.load(Ordering::Relaxed) {
            return None;
        }
        self.tail()
    }

    pub(super) fn tail(&self) -> Option<Leaf<'_, K, V>> {
        // [TR-2] acquire: pairs with [TR-1].
        // SAFETY: stored with release by `set_tail`.
        unsafe { self.leaf_at(self.tail.load(Ordering::Acquire)) }
    }

    pub(super) fn set_tail(&self, leaf: Leaf<'_, K, V>, low: usize) {
        // [TR-1] release: pairs with [TR-2].
        self.tail.store(leaf.as_ptr(), Ordering::Release);
        // relaxed: a hint.
        self.tail_low.store(low, Ordering::Relaxed);
    }

    /// The leaf that the hints name, or the one `back` before it.
    #[inline(always)]
    fn descend(
        &self,
        probe: Probe<impl Stand<K>>,
        back: usize,
        backoff: &mut Backoff,
    ) -> Result<Hinted<'_, K, V>, WouldWait> {
        let Some(table) = self.route.table() else { return Ok(None) };
        // An exact key is found by its rank alone, and the one before it has the rank before it.
        let exact = is_exact::<K, R>();
        let rank = probe.sought.rank.saturating_sub(usize::from(exact && probe.below));
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
    fn leaf_of(&self, fence: &Fence, at: usize) -> Option<Leaf<'_, K, V>> {
        // SAFETY: fences of this tree lead to its leaves, [FN-1] and [FN-2].
        unsafe { self.leaf_at(fence.leaf(at)) }
    }

    /// Of the entries up to `last` that tie with the probe's rank, and the one before them, the last one that does
    /// not begin too late.
    #[inline]
    fn among_ties<'a>(
        probe: Probe<impl Stand<K>>,
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
            (if probe.sought.rank == 0 { 0 } else { before().min(last) }, last + 1);
        while high - low > 1 {
            let middle = usize::midpoint(low, high);
            let Some(leaf) = leaf_of(middle) else { break };
            if Self::begins_too_late(leaf, probe, backoff)? { high = middle } else { low = middle }
        }
        Ok(low)
    }

    fn begins_too_late(
        leaf: Leaf<'_, K, V>,
        probe: Probe<impl Stand<K>>,
        backoff: &mut Backoff,
    ) -> Result<bool, WouldWait> {
        loop {
            let look = leaf.begin();
            if look.is_locked() {
                backoff.wait()?;
            } else if let Ok(lo) = leaf.lo(look) {
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
        probe: Probe<impl Stand<K>>,
        start: Option<Leaf<'a, K, V>>,
        backoff: &mut Backoff,
        mut ask: impl FnMut(Leaf<'a, K, V>, Look, bool) -> Result<Answer<T>, Changed>,
    ) -> Result<Option<Spot<'a, K, V, T>>, WouldWait> {
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
            } else if self.route.table().is_some() {
                tries += 1;
                continue;
            } else {
                return Ok(None);
            };
            loop {
                let look = leaf.begin();
                if look.is_locked() {
                    backoff.wait()?;
                    continue;
                }
                if !look.meta.is_alive() {
                    break;
                }
                match ask(leaf, look, !walks) {
                    Err(Changed) => backoff.again()?,
                    Ok(Answer::Here(found)) => {
                        return Ok(Some(Spot { leaf, look, place: found }));
                    }
                    Ok(Answer::Left) => break,
                    Ok(Answer::Right) => match leaf.next(look) {
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
    pub(super) fn seek<'a>(
        &'a self,
        sought: Sought<impl Stand<K>>,
        start: Option<Leaf<'a, K, V>>,
        backoff: &mut Backoff,
    ) -> Result<Option<Spot<'a, K, V>>, WouldWait> {
        let probe = Probe { sought, below: false };
        self.search(probe, start, backoff, |leaf, look, doubtful| {
            let place = leaf.place(look, sought, &self.ranking)?;
            leaf.check(look)?;
            // Between two of its entries a key is in the leaf's range.
            if place.found {
                return Ok(Answer::Here(place));
            }
            if place.at == look.meta.count()
                && leaf.hi(look)?.is_some_and(|hi| probe.is_right_of(&hi))
            {
                return Ok(Answer::Right);
            }
            let doubtful = doubtful && place.at == 0;
            if doubtful && leaf.lo(look)?.is_some_and(|lo| probe.is_left_of(&lo)) {
                return Ok(Answer::Left);
            }
            Ok(Answer::Here(place))
        })
    }

    /// The place of an exact key, where the leaf that is looked at first is sure of it.
    #[inline(always)]
    pub(super) fn spot_at_once(&self, sought: Sought<impl Stand<K>>) -> Option<Spot<'_, K, V>> {
        if !is_exact::<K, R>() {
            return None;
        }
        #[cfg(hedgerow_loom)]
        if !self.goes_short {
            return None;
        }
        if let Some(spot) = self.spot_at_end(sought.rank) {
            return Some(spot);
        }
        let leaf = self.at_once(sought.rank)?;
        let look = leaf.begin();
        let place = leaf.place(look, sought, &self.ranking).ok()?;
        let is_here = place.found || place.is_between(look.meta.count());
        // A locked leaf does not validate, and a dead one has no entries.
        let is_sure = is_here && leaf.is_as(look);
        is_sure.then_some(Spot { leaf, look, place })
    }

    /// The place of an exact key behind all others.
    #[inline(always)]
    fn spot_at_end(&self, rank: usize) -> Option<Spot<'_, K, V>> {
        let leaf = self.tail_for(rank)?;
        let look = leaf.begin();
        let count = look.meta.count();
        if look.meta.has_hi() || count == 0 {
            return None;
        }
        let last = leaf.rank_at(look, count - 1, &self.ranking).ok()?;
        let place = Place { at: count, found: false };
        (last < rank && leaf.is_as(look)).then_some(Spot { leaf, look, place })
    }

    /// The leaf in whose range the probe is.
    pub(super) fn locate<'a>(
        &'a self,
        probe: Probe<impl Stand<K>>,
        backoff: &mut Backoff,
    ) -> Result<Option<Seen<'a, K, V>>, WouldWait> {
        let found = self.search(probe, None, backoff, |leaf, look, doubtful| {
            if leaf.hi(look)?.is_some_and(|hi| probe.is_right_of(&hi)) {
                return Ok(Answer::Right);
            }
            if doubtful && leaf.lo(look)?.is_some_and(|lo| probe.is_left_of(&lo)) {
                return Ok(Answer::Left);
            }
            Ok(Answer::Here(()))
        })?;
        Ok(found.map(|spot| (spot.leaf, spot.look)))
    }

    /// The fence in which the probe's leaf is listed, as far as the hints say.
    pub(super) fn fence_for(
        &self,
        probe: Probe<impl Stand<K>>,
        backoff: &mut Backoff,
    ) -> Result<Option<&Fence>, WouldWait> {
        Ok(self.descend(probe, 0, backoff)?.map(|(_, fence)| fence))
    }

    /// The leaf that the hints lead to, which is listed.
    pub(super) fn hinted(
        &self,
        probe: Probe<impl Stand<K>>,
        backoff: &mut Backoff,
    ) -> Result<Option<Leaf<'_, K, V>>, WouldWait> {
        Ok(self.descend(probe, 0, backoff)?.map(|(leaf, _)| leaf))
    }

    /// The leaf to try first, for a get that gives up at anything unusual.
    #[inline(always)]
    pub(super) fn at_once(&self, rank: usize) -> Option<Leaf<'_, K, V>> {
        let table = self.route.table()?;
        let fence = table.fence(table.pick(rank))?;
        self.leaf_of(fence, fence.pick(rank))
    }
}
