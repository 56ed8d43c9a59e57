//! Nodes: leaves, which have the entries, and inner nodes, which have children and count what is below them.

use super::block::{Block, Header, Unique};
use crate::memory::AllocError;
use crate::sync::prefetch;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::Range;
use core::ptr::NonNull;

/// What a tree consists of: entries of a map, elements of a sequence.
pub(crate) trait Kind {
    /// What an entry has first: a key, or the element of a sequence.
    type Key;
    /// What an entry has second: a value, or nothing.
    type Value;
    /// A lower bound between two children of an inner node. A sequence needs none: its type is zero-sized.
    type Bound;

    /// Entries in a leaf at most.
    ///
    /// A leaf of a kilobyte is copied in some 50 ns. Smaller ones make trees higher, larger ones make it expensive to
    /// change a version that others share. At least eight entries, or inner nodes would be as numerous as leaves.
    const LEAF: usize = {
        let entry = size_of::<Self::Key>() + size_of::<Self::Value>();
        let fit = 1000 / if entry == 0 { 1 } else { entry };
        if fit > 64 {
            64
        } else if fit < 8 {
            8
        } else {
            fit
        }
    };
}

/// A tree whose shared nodes can be copied.
pub(crate) trait Editable: Kind<Key: Clone, Value: Clone, Bound: Clone> {
    /// Returns a bound between smaller entries and those that begin with `first`.
    fn bound(first: &Self::Key) -> Self::Bound;
}

/// Children of an inner node at most.
pub(super) const INNER: usize = 32;

/// Bytes of a node that are prefetched at most. Processors have about this many buffers for lines that are on their
/// way.
const MOST_FETCHED: usize = 10 * 64;

/// More levels than a tree can have. A node with siblings has a quarter of the most entries or children at least, so
/// 2^64 entries make 22 levels.
pub(super) const MAX_HEIGHT: usize = 24;

pub(super) type Leaf<T> = Block<<T as Kind>::Key, <T as Kind>::Value, ()>;
pub(super) type Inner<T> = Block<Node<T>, usize, <T as Kind>::Bound>;
pub(super) type UniqueLeaf<'a, T> = Unique<'a, <T as Kind>::Key, <T as Kind>::Value, ()>;
pub(super) type UniqueInner<'a, T> = Unique<'a, Node<T>, usize, <T as Kind>::Bound>;

/// A handle of a node.
#[repr(transparent)]
pub(crate) struct Node<T: Kind> {
    header: NonNull<Header>,
    owns: PhantomData<(T::Key, T::Value, T::Bound)>,
}

// SAFETY: a node is a leaf or an inner node, and these can be sent and shared if their elements can.
unsafe impl<T: Kind> Send for Node<T>
where
    Leaf<T>: Send,
    T::Bound: Send + Sync,
{
}
// SAFETY: as above.
unsafe impl<T: Kind> Sync for Node<T>
where
    Leaf<T>: Sync,
    T::Bound: Send + Sync,
{
}

/// A node by its height.
pub(super) enum Level<L, I> {
    Leaf(L),
    Inner(I),
}

impl<T: Kind> From<Leaf<T>> for Node<T> {
    #[inline]
    fn from(leaf: Leaf<T>) -> Self {
        debug_assert_eq!(leaf.height(), 0);
        Self::from_block(leaf)
    }
}

impl<T: Kind> Node<T> {
    #[inline]
    pub(super) fn from_inner(inner: Inner<T>) -> Self {
        debug_assert!(inner.height() > 0);
        Self::from_block(inner)
    }

    /// Takes over the handle of a block.
    #[inline(always)]
    fn from_block<A, B, C>(block: Block<A, B, C>) -> Self {
        Self { header: ManuallyDrop::new(block).address(), owns: PhantomData }
    }

    #[inline(always)]
    pub(super) fn height(&self) -> usize {
        self.as_leaf_unchecked().height()
    }

    /// The header is the same whatever a block has.
    #[inline(always)]
    fn as_leaf_unchecked(&self) -> &Leaf<T> {
        // SAFETY: both types are one pointer to a header. Callers read columns of a leaf only.
        unsafe { &*core::ptr::from_ref(self).cast() }
    }

    #[inline(always)]
    pub(super) fn level(&self) -> Level<&Leaf<T>, &Inner<T>> {
        if self.height() == 0 {
            Level::Leaf(self.as_leaf_unchecked())
        } else {
            // SAFETY: a node with a height is an inner node, and both types are one pointer to a header.
            Level::Inner(unsafe { &*core::ptr::from_ref(self).cast() })
        }
    }

    #[inline(always)]
    fn level_mut(&mut self) -> Level<&mut Leaf<T>, &mut Inner<T>> {
        let is_leaf = self.height() == 0;
        let node = core::ptr::from_mut(self);
        // SAFETY: as in `level`.
        unsafe {
            if is_leaf { Level::Leaf(&mut *node.cast()) } else { Level::Inner(&mut *node.cast()) }
        }
    }

    #[inline(always)]
    pub(super) fn into_level(self) -> Level<Leaf<T>, Inner<T>> {
        let node = ManuallyDrop::new(self);
        // SAFETY: as in `level`, and this handle is not used again.
        unsafe {
            if node.height() == 0 {
                Level::Leaf(Block::from_address(node.header))
            } else {
                Level::Inner(Block::from_address(node.header))
            }
        }
    }

    /// Returns the number of entries, or of children.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.as_leaf_unchecked().len()
    }

    /// Returns whether this is the only handle of the node.
    #[inline(always)]
    pub(super) fn is_only_handle(&self) -> bool {
        self.as_leaf_unchecked().is_only_handle()
    }

    /// Returns the most entries, or children, that the node can have.
    #[inline(always)]
    pub(super) fn most(&self) -> usize {
        if self.height() == 0 { T::LEAF } else { INNER }
    }

    /// Returns the number of entries in and below the node.
    pub(super) fn count(&self) -> usize {
        match self.level() {
            Level::Leaf(leaf) => leaf.len(),
            Level::Inner(inner) => inner.b().iter().sum(),
        }
    }

    pub(super) fn share(&self) -> Self {
        Self::from_block(self.as_leaf_unchecked().share())
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.header == other.header
    }

    /// Prefetches what a search of this node reads. A binary search waits for three or four cache lines one after the
    /// other if they are in no cache; fetched at once, they take little longer than one.
    #[inline(always)]
    pub(super) fn prefetch(&self, height: usize) {
        // The loops have constant ends, so the compiler unrolls them.
        if height == 0 {
            self.prefetch_bytes(const { searched::<T::Key>(T::LEAF) });
        } else {
            self.prefetch_bytes(const { searched::<T::Bound>(INNER) });
        }
    }

    #[inline(always)]
    fn prefetch_bytes(&self, end: usize) {
        for offset in (0..end.div_ceil(64)).map(|line| line * 64) {
            prefetch::read(self.header.as_ptr().wrapping_byte_add(offset));
        }
    }
}

/// Returns how many bytes of a node a search may read, if it has `count` keys of this type.
const fn searched<K>(count: usize) -> usize {
    let keys = size_of::<Header>() + count * size_of::<K>();
    if keys < MOST_FETCHED { keys } else { MOST_FETCHED }
}

/// Prefetches nodes whose handles are about to be counted.
///
/// They are likely in no cache. Counted one after the other, each would wait for its own cache line, because a
/// read-modify-write lets no later load begin.
fn fetch_all<T: Kind>(nodes: &[Node<T>]) {
    for node in nodes {
        prefetch::write(node.header.as_ptr());
    }
}

impl<T: Kind> Clone for Node<T> {
    #[inline(always)]
    fn clone(&self) -> Self {
        self.share()
    }
}

impl<T: Kind> Drop for Node<T> {
    #[inline]
    fn drop(&mut self) {
        match self.level_mut() {
            // SAFETY: this handle is not used again.
            Level::Leaf(leaf) => unsafe { core::ptr::from_mut(leaf).drop_in_place() },
            Level::Inner(inner) => {
                if inner.is_only_handle() {
                    fetch_all(inner.a());
                }
                // SAFETY: as above. The destructor calls this one for the children: as deep as the tree is high.
                unsafe { core::ptr::from_mut(inner).drop_in_place() }
            }
        }
    }
}

impl<T: Kind> Node<T> {
    /// Returns access for changes to a node without other handles.
    ///
    /// # Panics
    /// If there are other handles.
    #[inline(always)]
    pub(super) fn as_own(&mut self) -> Level<UniqueLeaf<'_, T>, UniqueInner<'_, T>> {
        match self.level_mut() {
            Level::Leaf(leaf) => Level::Leaf(leaf.own()),
            Level::Inner(inner) => Level::Inner(inner.own()),
        }
    }
}

impl<T: Editable> Node<T> {
    /// Returns a node with clones of the entries, or handles of the children, of `range`.
    pub(super) fn copy(&self, range: Range<usize>, capacity: usize) -> Result<Self, AllocError> {
        match self.level() {
            Level::Leaf(leaf) => Ok(leaf.copy(range, capacity)?.into()),
            Level::Inner(inner) => {
                fetch_all(&inner.a()[range.clone()]);
                Ok(Self::from_inner(inner.copy(range, capacity)?))
            }
        }
    }

    /// Returns the capacity for a node of this many elements: some room, so that it does not move for each insertion.
    pub(super) fn capacity_for(&self, len: usize) -> usize {
        room_for(len, self.most())
    }

    /// Makes this handle the only one of its node, by a copy if there are others, with room for `extra` elements more
    /// unless the node is full.
    #[inline(always)]
    pub(super) fn edit(
        &mut self,
        extra: usize,
    ) -> Result<Level<UniqueLeaf<'_, T>, UniqueInner<'_, T>>, AllocError> {
        let wanted = (self.len() + extra).min(self.most());
        if !self.is_only_handle() {
            *self = self.copy(0..self.len(), self.capacity_for(wanted))?;
        }
        let node = self.as_own();
        Ok(match node {
            Level::Leaf(mut leaf) => {
                if wanted > leaf.read().capacity() {
                    leaf.grow(room_for(wanted, T::LEAF))?;
                }
                Level::Leaf(leaf)
            }
            Level::Inner(mut inner) => {
                if wanted > inner.read().capacity() {
                    inner.grow(room_for(wanted, INNER))?;
                }
                Level::Inner(inner)
            }
        })
    }

    /// As [`edit`](Self::edit), for a node that is an inner one.
    #[inline(always)]
    pub(super) fn edit_inner(&mut self, extra: usize) -> Result<UniqueInner<'_, T>, AllocError> {
        match self.edit(extra)? {
            Level::Inner(inner) => Ok(inner),
            Level::Leaf(_) => unreachable!("a node above the leaves is an inner node"),
        }
    }
}

/// Returns the capacity of a block for `len` elements. A block that is full moves to a larger one, so some room is
/// left; but not too much, because each version has copies of its own.
pub(super) fn room_for(len: usize, most: usize) -> usize {
    let step = if len > 8 { 16 } else { 8 };
    len.next_multiple_of(step).min(most).max(len)
}

impl<T: Kind> Node<T> {
    /// Moves the elements of `right`, which has no other handles, to the end of this node, which has none either and
    /// has room. `bound` is the lower bound of `right`; between leaves it is no longer needed.
    pub(super) fn append(&mut self, bound: T::Bound, right: Self) {
        assert_eq!(
            self.height(),
            right.height(),
            "nodes of different heights have no common elements"
        );
        let header = ManuallyDrop::new(right).header;
        match self.as_own() {
            Level::Leaf(mut leaf) => {
                // SAFETY: the nodes have the same height, and the other handle is forgotten.
                leaf.append((), unsafe { Block::from_address(header) });
                drop(bound);
            }
            // SAFETY: as above.
            Level::Inner(mut inner) => inner.append(bound, unsafe { Block::from_address(header) }),
        }
    }
}
