//! Changes of a tree: insertion and removal of an entry at a place.
//!
//! Each change first makes the nodes on its way its own: those that other versions share are copied, from the root
//! down, and what a split needs is allocated. A copy is equal to what it replaces, so a change that ends here, because
//! memory runs out or `Clone` panics, has changed nothing. It then moves entries and counts, which calls no user code
//! and allocates nothing.

use super::balance::{is_thin, thicken_below};
use super::block::Block;
use super::node::{
    Editable, INNER, Inner, Kind, Leaf, Level, MAX_HEIGHT, Node, UniqueInner, UniqueLeaf, room_for,
};
use super::tree::{Place, Tree};
use crate::memory::AllocError;

/// The entries of a leaf, whose values may be changed.
pub(super) type LeafMut<'a, T> = (&'a [<T as Kind>::Key], &'a mut [<T as Kind>::Value]);

/// A key and a value that are handed out.
pub(crate) type Taken<T> = (<T as Kind>::Key, <T as Kind>::Value);

/// An entry that was not inserted.
pub(crate) type Refused<T> = (AllocError, <T as Kind>::Key, <T as Kind>::Value);

/// The right half of a node that was split.
pub(super) struct Half<T: Kind> {
    pub(super) node: Node<T>,
    pub(super) bound: T::Bound,
    pub(super) count: usize,
}

/// What an insertion needs to split the full nodes on its way.
struct Spare<T: Kind> {
    leaf: Option<Leaf<T>>,
    /// By height. The highest one becomes the root, if all nodes are full.
    inner: [Option<Inner<T>>; MAX_HEIGHT],
    /// The bound of the new leaf.
    bound: Option<T::Bound>,
    /// Whether the entry comes after all others. Then full nodes stay full, as sequential insertions want it.
    is_last: bool,
}

impl<T: Editable> Tree<T> {
    /// Inserts an entry at a place.
    pub(crate) fn insert_at(
        &mut self,
        place: &Place,
        key: T::Key,
        value: T::Value,
    ) -> Result<(), Refused<T>> {
        assert!(self.len < usize::MAX / 2, "capacity overflow");
        if self.root.is_none() {
            return self.insert_first(key, value);
        }
        if !place.is_ready {
            if let Err(why) = self.own(place, 1) {
                return Err((why, key, value));
            }
            if place.full > 0 {
                return self.insert_by_split(place, key, value);
            }
        }
        self.len += 1;
        let (mut node, index) = (self.root.as_mut(), place.indices[0].into());
        while let Some(above) = node {
            match above.as_own() {
                Level::Leaf(mut leaf) => {
                    leaf.insert(index, key, value, ());
                    break;
                }
                Level::Inner(inner) => {
                    let child = place.child_of(inner.height());
                    let (children, counts) = inner.into_columns();
                    counts[child] += 1;
                    node = Some(&mut children[child]);
                }
            }
        }
        Ok(())
    }

    /// Inserts an entry at the end, if nothing has to be prepared for that: the nodes on the way have no other handles,
    /// and the last leaf has memory. Otherwise hands the entry back.
    #[inline]
    pub(crate) fn push(&mut self, key: T::Key, value: T::Value) -> Result<(), Taken<T>> {
        let Some(root) = self.root.as_mut().filter(|root| ends_with_room(root)) else {
            return Err((key, value));
        };
        assert!(self.len < usize::MAX / 2, "capacity overflow");
        self.len += 1;
        let mut node = Some(root);
        while let Some(above) = node {
            match above.as_own() {
                Level::Leaf(mut leaf) => {
                    leaf.push(key, value);
                    break;
                }
                Level::Inner(inner) => {
                    let (children, counts) = inner.into_columns();
                    if let Some(count) = counts.last_mut() {
                        *count += 1;
                    }
                    node = children.last_mut();
                }
            }
        }
        Ok(())
    }

    fn insert_first(&mut self, key: T::Key, value: T::Value) -> Result<(), Refused<T>> {
        let mut leaf = match Leaf::<T>::new(0, room_for(1, T::LEAF)) {
            Ok(leaf) => leaf,
            Err(why) => return Err((why, key, value)),
        };
        leaf.own().insert(0, key, value, ());
        (self.root, self.len) = (Some(leaf.into()), 1);
        Ok(())
    }

    /// Makes the nodes on the way to a place this tree's own. The lowest one that is not full gets room for `extra`
    /// elements.
    pub(super) fn own(&mut self, place: &Place, extra: usize) -> Result<(), AllocError> {
        let mut node = self.root.as_mut();
        while let Some(above) = node {
            let height = above.height();
            match above.edit(if height == place.full { extra } else { 0 })? {
                Level::Leaf(_) => break,
                Level::Inner(inner) => node = inner.into_a().get_mut(place.child_of(height)),
            }
        }
        Ok(())
    }

    /// Returns the entry at a place, for changes of its value.
    pub(crate) fn get_mut(
        &mut self,
        place: &Place,
    ) -> Result<(&T::Key, &mut T::Value), AllocError> {
        let (keys, values) = self.leaf_mut(place)?;
        let index = place.child_of(0);
        Ok((&keys[index], &mut values[index]))
    }

    /// Returns the entries of the leaf that a place leads to, for changes of their values.
    #[inline]
    pub(super) fn leaf_mut(&mut self, place: &Place) -> Result<LeafMut<'_, T>, AllocError> {
        let mut node = self.root.as_mut().expect("the tree has an entry at the place");
        loop {
            let height = node.height();
            match node.edit(0)? {
                Level::Leaf(leaf) => {
                    let (keys, values) = leaf.into_columns();
                    return Ok((keys, values));
                }
                Level::Inner(inner) => node = &mut inner.into_a()[place.child_of(height)],
            }
        }
    }

    /// Inserts an entry into a full leaf, whose nodes are this tree's own.
    fn insert_by_split(
        &mut self,
        place: &Place,
        key: T::Key,
        value: T::Value,
    ) -> Result<(), Refused<T>> {
        let mut spare = match self.spare(place, &key) {
            Ok(spare) => spare,
            Err(why) => return Err((why, key, value)),
        };
        let root = self.root.as_mut().expect("a full leaf is below a root");
        self.len += 1;
        let new_root = spare.inner[place.full].take();
        let half = insert_below(root, place, key, value, &mut spare);
        if let Some(half) = half {
            let mut above = new_root.expect("allocated, because all nodes were full");
            let count = self.len - half.count;
            let left = self.root.take().expect("it has been split");
            let mut inner = above.own();
            inner.push_first(left, count);
            inner.insert(1, half.node, half.count, half.bound);
            self.root = Some(Node::from_inner(above));
        }
        Ok(())
    }

    /// Allocates what an insertion at a place with full nodes needs, and clones the bound of the new leaf.
    fn spare(&self, place: &Place, key: &T::Key) -> Result<Spare<T>, AllocError> {
        let leaf = self.leaf_of(place);
        let root = self.root.as_ref().map_or(0, Node::height);
        assert!(root + 2 < MAX_HEIGHT, "capacity overflow");
        let is_last =
            usize::from(place.indices[0]) == leaf.len() && self.index_of(place) == self.len;
        let first = if is_last { key } else { &leaf.a()[leaf.len() / 2] };
        let mut spare = Spare {
            leaf: Some(Block::new(0, room_for(T::LEAF.div_ceil(2) + 1, T::LEAF))?),
            inner: [const { None }; MAX_HEIGHT],
            bound: Some(T::bound(first)),
            is_last,
        };
        for height in 1..place.full {
            spare.inner[height] =
                Some(Block::new(height as u8, room_for(INNER.div_ceil(2) + 1, INNER))?);
        }
        if place.full > root {
            spare.inner[root + 1] = Some(Block::new(root as u8 + 1, room_for(2, INNER))?);
        }
        Ok(spare)
    }

    /// Removes the entry at a place.
    pub(crate) fn remove_at(&mut self, place: &Place) -> Result<Taken<T>, AllocError> {
        self.shrink_leaf(place, 1, |leaf| {
            let (key, value, _) = leaf.remove(place.child_of(0));
            (key, value)
        })
    }

    /// Removes `count` entries from the leaf that a place leads to. `take` takes them out, and must not fail.
    pub(super) fn shrink_leaf<R>(
        &mut self,
        place: &Place,
        count: usize,
        take: impl FnOnce(&mut UniqueLeaf<'_, T>) -> R,
    ) -> Result<R, AllocError> {
        self.own(place, 0)?;
        self.len -= count;
        let mut node = self.root.as_mut().expect("the tree has a leaf at the place");
        let (taken, is_thin) = loop {
            match node.as_own() {
                Level::Leaf(mut leaf) => break (take(&mut leaf), is_thin(leaf.len(), T::LEAF)),
                Level::Inner(inner) => {
                    let child = place.child_of(inner.height());
                    let (children, counts) = inner.into_columns();
                    counts[child] -= count;
                    node = &mut children[child];
                }
            }
        };
        if is_thin {
            self.thicken(place);
        }
        Ok(taken)
    }

    /// Merges the thin nodes on the way to a place with neighbours, or moves entries to them.
    fn thicken(&mut self, place: &Place) {
        if let Some(root) = &mut self.root
            && root.height() > 0
        {
            thicken_below(root, place);
        }
        self.trim_root();
    }

    /// Removes roots that have a single child, and the last leaf if it is empty.
    pub(super) fn trim_root(&mut self) {
        while let Some(root) = &self.root {
            self.root = match root.level() {
                Level::Inner(inner) if inner.len() == 1 => Some(inner.a()[0].share()),
                Level::Leaf(leaf) if leaf.len() == 0 => None,
                _ => break,
            };
        }
    }
}

/// Returns whether the last leaf below a node has memory for an entry, and no node on the way to it other handles.
#[inline]
fn ends_with_room<T: Kind>(node: &Node<T>) -> bool {
    let mut node = node;
    while node.is_only_handle() {
        match node.level() {
            Level::Leaf(leaf) => return leaf.len() < leaf.capacity(),
            Level::Inner(inner) => match inner.a().last() {
                Some(last) => node = last,
                None => return false,
            },
        }
    }
    false
}

/// Inserts an entry below a node, and returns the right half of the node if it was full. Nothing here can fail: the
/// nodes have no other handles, and `spare` has what the splits need.
fn insert_below<T: Editable>(
    node: &mut Node<T>,
    place: &Place,
    key: T::Key,
    value: T::Value,
    spare: &mut Spare<T>,
) -> Option<Half<T>> {
    let mut inner = match node.as_own() {
        Level::Inner(inner) => inner,
        Level::Leaf(leaf) => {
            return Some(split_leaf(leaf, place.indices[0].into(), key, value, spare));
        }
    };
    let child = place.child_of(inner.height());
    let half = insert_below(&mut inner.a_mut()[child], place, key, value, spare);
    inner.b_mut()[child] += 1;
    let half = half?;
    inner.b_mut()[child] -= half.count;
    let spare_inner = spare.inner[inner.height()].take();
    insert_half(inner, child + 1, half, spare_inner, spare.is_last)
}

fn split_leaf<T: Editable>(
    mut leaf: UniqueLeaf<'_, T>,
    index: usize,
    key: T::Key,
    value: T::Value,
    spare: &mut Spare<T>,
) -> Half<T> {
    let prepared = "allocated, because the leaf is full";
    let mut new = spare.leaf.take().expect(prepared);
    let (mut right, middle) = (new.own(), leaf.len() / 2);
    if spare.is_last {
        right.insert(0, key, value, ());
    } else {
        leaf.split(middle, &mut right);
        if index <= middle {
            leaf.insert(index, key, value, ());
        } else {
            right.insert(index - middle, key, value, ());
        }
    }
    let count = right.len();
    Half { node: new.into(), bound: spare.bound.take().expect(prepared), count }
}

/// Inserts the right half of a child at index `at`. If the node is full, it is split, too: `spare` becomes its right
/// half.
pub(super) fn insert_half<T: Kind>(
    mut inner: UniqueInner<'_, T>,
    at: usize,
    half: Half<T>,
    spare: Option<Inner<T>>,
    is_last: bool,
) -> Option<Half<T>> {
    if inner.len() < INNER {
        inner.insert(at, half.node, half.count, half.bound);
        return None;
    }
    let mut new = spare.expect("allocated, because the node is full");
    let (mut right, middle) = (new.own(), INNER / 2);
    if is_last {
        let (bound, count) = (half.bound, half.count);
        right.push_first(half.node, count);
        return Some(Half { node: Node::from_inner(new), bound, count });
    }
    let bound = inner.split(middle, &mut right);
    if at <= middle {
        inner.insert(at, half.node, half.count, half.bound);
    } else {
        right.insert(at - middle, half.node, half.count, half.bound);
    }
    let count = right.read().b().iter().sum();
    Some(Half { node: Node::from_inner(new), bound, count })
}
