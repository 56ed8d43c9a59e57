//! The search for a key's place in a leaf: the hints name a block, and the block's keys are compared.

use super::leaf::{BLOCK, LeafChanged, LeafLayout, LeafRef, LeafVersion};
use super::policy::KeyPolicy;
use super::rank::is_exact;
use core::cmp::Ordering;
use core::convert::Infallible;
use core::mem::MaybeUninit;
use equivalent::Comparable;

/// Size in bytes from which keys are compared one by one. Smaller ones are copied to the stack, a block at a time.
const LARGE: usize = 1 << 10;

/// Returns the last block before `end` whose first entry is at most the key to find, as `is_at_most` says of the
/// entry's place; else the first block.
fn last_block_before<E>(
    end: usize,
    mut is_at_most: impl FnMut(usize) -> Result<bool, E>,
) -> Result<usize, E> {
    let (mut low, mut high) = (0, end);
    while high - low > 1 {
        let middle = usize::midpoint(low, high);
        if is_at_most(middle * BLOCK)? {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok(low)
}

/// The place in a leaf where a key is, or where it would be inserted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeafPlace {
    /// Number of the leaf's entries before it.
    pub(crate) at: usize,
    pub(crate) found: bool,
}

impl LeafPlace {
    /// Whether the place is between two of a leaf's `count` entries. If so, the key is in the leaf's range.
    #[inline(always)]
    pub(crate) fn is_between(self, count: usize) -> bool {
        0 < self.at && self.at < count
    }
}

/// Something that can be searched for among keys of type `K`: a key, or a borrowed form of one.
pub(crate) trait CompareKey<K>: Copy {
    /// Compares the key that `self` stands for, and that has this `rank`, with `key`.
    fn compare(self, rank: usize, key: &K) -> Ordering;
}

impl<K: Ord> CompareKey<K> for &K {
    #[inline(always)]
    fn compare(self, _: usize, key: &K) -> Ordering {
        self.cmp(key)
    }
}

/// A borrowed form of a key, or anything else that is [`Comparable`] with keys.
pub(crate) struct KeyQuery<'q, Q: ?Sized>(pub(crate) &'q Q);

impl<Q: ?Sized> Clone for KeyQuery<'_, Q> {
    #[inline(always)]
    fn clone(&self) -> Self {
        *self
    }
}
impl<Q: ?Sized> Copy for KeyQuery<'_, Q> {}

impl<K, Q: Comparable<K> + ?Sized> CompareKey<K> for KeyQuery<'_, Q> {
    #[inline(always)]
    fn compare(self, _: usize, key: &K) -> Ordering {
        self.0.compare(key)
    }
}

/// A key to search for, with its rank, which is computed once.
#[derive(Clone, Copy)]
pub(crate) struct SearchKey<S> {
    pub(crate) key: S,
    pub(crate) rank: usize,
}

impl<S> SearchKey<S> {
    #[inline(always)]
    pub(crate) fn compare<K>(self, key: &K) -> Ordering
    where
        S: CompareKey<K>,
    {
        self.key.compare(self.rank, key)
    }
}

impl<'q, K: Copy> SearchKey<&'q K> {
    #[inline(always)]
    pub(crate) fn new<R: KeyPolicy<K>>(key: &'q K, policy: &R) -> Self {
        Self { key, rank: policy.rank_word(key) }
    }
}

impl<K: Copy + Ord, V: Copy> LeafRef<'_, K, V> {
    /// Returns the place of a key among the leaf's entries, even if the key belongs to another leaf. For exact keys
    /// nothing is validated, and a concurrent write may make it any place in the leaf.
    #[inline(always)]
    pub(crate) fn place<R: KeyPolicy<K>>(
        self,
        version: LeafVersion,
        target: SearchKey<impl CompareKey<K>>,
        policy: &R,
    ) -> Result<LeafPlace, LeafChanged> {
        if is_exact::<K, R>() {
            Ok(self.place_exact(version, target.rank, policy))
        } else {
            self.place_by_order(version, target, policy)
        }
    }

    #[inline(always)]
    fn base_rank<R: KeyPolicy<K>>(
        self,
        version: LeafVersion,
        policy: &R,
    ) -> Result<usize, LeafChanged> {
        if is_exact::<K, R>() {
            // SAFETY: exact keys are integers, see `is_exact`.
            let base = policy.rank_word(&unsafe { self.integer_lo() });
            return Ok(if version.meta.has_base() { base } else { 0 });
        }
        Ok(self.base(version)?.map_or(0, |base| policy.rank_word(&base)))
    }

    /// Returns the scale of the leaf's hints.
    #[inline(always)]
    pub(crate) fn scale_of<R: KeyPolicy<K>>(
        self,
        version: LeafVersion,
        policy: &R,
    ) -> Result<super::hints::Scale, LeafChanged> {
        Ok(Self::scale(version, self.base_rank(version, policy)?))
    }

    /// Returns the rank of the key at `at`.
    #[inline(always)]
    pub(crate) fn rank_at<R: KeyPolicy<K>>(
        self,
        version: LeafVersion,
        at: usize,
        policy: &R,
    ) -> Result<usize, LeafChanged> {
        if is_exact::<K, R>() {
            return Ok(self.exact_rank_at(at, policy));
        }
        Ok(policy.rank_word(&self.key(version, at)?))
    }

    /// Returns the last used block whose hint is not greater than that of `rank`.
    #[inline(always)]
    fn block_of(self, version: LeafVersion, base: usize, rank: usize) -> usize {
        let hint = Self::scale(version, base).hint(rank);
        let last = version.meta.count().saturating_sub(1) / BLOCK;
        self.blocks_at_most(hint).saturating_sub(1).min(last)
    }

    #[inline(always)]
    fn place_exact<R: KeyPolicy<K>>(
        self,
        version: LeafVersion,
        rank: usize,
        policy: &R,
    ) -> LeafPlace {
        let base = self.base_rank(version, policy).unwrap_or(0);
        let block = self.block_of(version, base, rank);
        // If the key is found, its value is in this block. The loads of keys overlap with this one.
        self.prefetch_values(block);
        let place = self.place_in(version, block, rank, policy);
        // Before the block's first key: the blocks before it have the same hint, and the key may belong to one of them.
        if place.at <= block * BLOCK && !place.found && block > 0 {
            return self.place_before(version, block, rank, policy);
        }
        place
    }

    /// Prefetches the block where an exact key is, or would be.
    #[inline(always)]
    pub(crate) fn prefetch_block<R: KeyPolicy<K>>(
        self,
        version: LeafVersion,
        rank: usize,
        policy: &R,
    ) {
        if let Ok(base) = self.base_rank(version, policy) {
            let block = self.block_of(version, base, rank);
            self.prefetch_keys(block);
            self.prefetch_values(block);
        }
    }

    #[inline(always)]
    fn exact_rank_at<R: KeyPolicy<K>>(self, at: usize, policy: &R) -> usize {
        // SAFETY: exact keys are integers, see `is_exact`.
        policy.rank_word(&unsafe { self.integer_key(at) })
    }

    /// Returns the place of a key in a block, or in the entries before it.
    #[inline(always)]
    fn place_in<R: KeyPolicy<K>>(
        self,
        version: LeafVersion,
        block: usize,
        rank: usize,
        policy: &R,
    ) -> LeafPlace {
        let count = version.meta.count();
        if count < BLOCK {
            return self.place_in_few(count, rank, policy);
        }
        // A whole block in any case: the last block, which may have fewer, is searched with the entries before it.
        let first = (block * BLOCK).min(count - BLOCK);
        let rank_of = |index: usize| self.exact_rank_at(first + index, policy);
        // No branch depends on a key: it would be mispredicted every second time. The steps compare all entries but the
        // last one.
        let (mut less, mut step) = (0, BLOCK / 2);
        while step > 0 {
            less += if rank_of(less + step - 1) < rank { step } else { 0 };
            step /= 2;
        }
        let last = rank_of(less);
        LeafPlace { at: first + less + usize::from(last < rank), found: last == rank }
    }

    /// As `place_in`, in a leaf of less than a block.
    fn place_in_few<R: KeyPolicy<K>>(self, count: usize, rank: usize, policy: &R) -> LeafPlace {
        let at = (0..count).filter(|&at| self.exact_rank_at(at, policy) < rank).count();
        LeafPlace { at, found: at < count && self.exact_rank_at(at, policy) == rank }
    }

    /// As `place_in`, if the key may belong to a block before `block`, because hints tie.
    #[cold]
    #[inline(never)]
    fn place_before<R: KeyPolicy<K>>(
        self,
        version: LeafVersion,
        block: usize,
        rank: usize,
        policy: &R,
    ) -> LeafPlace {
        let is_at_most = |at| Ok::<_, Infallible>(self.exact_rank_at(at, policy) <= rank);
        let Ok(block) = last_block_before(block, is_at_most);
        self.place_in(version, block, rank, policy)
    }

    fn place_by_order<R: KeyPolicy<K>>(
        self,
        version: LeafVersion,
        target: SearchKey<impl CompareKey<K>>,
        policy: &R,
    ) -> Result<LeafPlace, LeafChanged> {
        let base = self.base_rank(version, policy)?;
        let block = self.block_of(version, base, target.rank);
        self.prefetch_values(block);
        let place = self.order_in(version, block, target)?;
        if place.at > block * BLOCK || place.found || block == 0 {
            return Ok(place);
        }
        // Hints tie, and the key belongs to an earlier block.
        let is_at_most = |at| Ok(target.compare(&self.key(version, at)?).is_ge());
        self.order_in(version, last_block_before(block, is_at_most)?, target)
    }

    /// Returns the key's place in a block, by `Ord` alone. If `Ord` is inconsistent, it is any place in the block.
    #[inline]
    fn order_in(
        self,
        version: LeafVersion,
        block: usize,
        target: SearchKey<impl CompareKey<K>>,
    ) -> Result<LeafPlace, LeafChanged> {
        let first = block * BLOCK;
        let some = (version.meta.count() - first).min(BLOCK);
        if size_of::<K>() > LARGE {
            return self.order_one_by_one(version, first..first + some, target);
        }
        let mut keys = [MaybeUninit::uninit(); BLOCK];
        for (index, slot) in keys[..some].iter_mut().enumerate() {
            *slot = self.fetch_key(first + index);
        }
        // Bytes that a writer is changing may be no key, and user code must not see them.
        self.check(version)?;
        // SAFETY: the leaf has not changed since `version`, which says that these are entries, so each is a whole key.
        let keys = unsafe { core::slice::from_raw_parts(keys.as_ptr().cast::<K>(), some) };
        let (at, found) = match keys.binary_search_by(|key| target.compare(key).reverse()) {
            Ok(at) => (at, true),
            Err(at) => (at, false),
        };
        Ok(LeafPlace { at: first + at, found })
    }

    /// As `order_in`, with one key at a time on the stack.
    #[cold]
    #[inline(never)]
    fn order_one_by_one(
        self,
        version: LeafVersion,
        keys: core::ops::Range<usize>,
        target: SearchKey<impl CompareKey<K>>,
    ) -> Result<LeafPlace, LeafChanged> {
        let (mut low, mut high) = (keys.start, keys.end);
        while low < high {
            let middle = usize::midpoint(low, high);
            match target.compare(&self.key(version, middle)?) {
                Ordering::Less => high = middle,
                Ordering::Equal => return Ok(LeafPlace { at: middle, found: true }),
                Ordering::Greater => low = middle + 1,
            }
        }
        self.check(version)?;
        Ok(LeafPlace { at: low, found: false })
    }
}

const _: () = assert!(LeafLayout::<u64, u64>::ENTRIES == LeafLayout::<u64, u64>::BLOCKS * BLOCK);
const _: () = assert!(BLOCK.is_power_of_two(), "`place_in` halves a block");
