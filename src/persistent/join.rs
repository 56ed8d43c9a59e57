//! Trees cut in two, and joined: O(log n), because what lies between the cut and the ends is shared.
//!
//! The trees that are read stay as they are. So whatever fails here, memory or `Clone`, leaves them whole.

use super::balance::thicken;
use super::block::Block;
use super::edit::{Half, insert_half};
use super::node::{Editable, INNER, Inner, Level, MAX_HEIGHT, Node, room_for};
use super::tree::{Tree, skip};
use crate::memory::AllocError;
use core::ops::Range;

impl<T: Editable> Tree<T> {
    /// Returns the tree of the entries of `range`.
    ///
    /// # Panics
    /// If the range is not in bounds.
    pub(crate) fn slice(&self, range: Range<usize>) -> Result<Self, AllocError> {
        assert!(range.start <= range.end && range.end <= self.len, "a range is out of bounds");
        let mut slice = Self { root: None, len: range.len() };
        if let Some(root) = &self.root
            && !range.is_empty()
        {
            slice.root = Some(slice_of(root, range)?);
        }
        slice.trim_root();
        Ok(slice)
    }

    /// Returns the tree of this tree's entries followed by those of `right`. `bound` returns a bound between them.
    ///
    /// # Panics
    /// If there would be more than `usize::MAX / 2` entries, or if `bound` panics.
    pub(crate) fn join(
        &self,
        right: &Self,
        bound: impl FnOnce(&T::Key) -> T::Bound,
    ) -> Result<Self, AllocError> {
        let (Some(a), Some(b)) = (&self.root, &right.root) else {
            return Ok(if self.root.is_none() { right.clone() } else { self.clone() });
        };
        // Both are at most half of `usize::MAX`.
        let len = self.len + right.len;
        assert!(len <= usize::MAX / 2, "capacity overflow");
        let (first, _) = right.get_index(0).expect("a tree with a root has entries");
        let root = join(a.share(), bound(first), b.share())?;
        let mut joined = Self { root: Some(root), len };
        joined.trim_root();
        Ok(joined)
    }
}

/// Returns the entries of `range`, which is not empty and in bounds, as a node of any height.
fn slice_of<T: Editable>(node: &Node<T>, range: Range<usize>) -> Result<Node<T>, AllocError> {
    let inner = match node.level() {
        Level::Leaf(leaf) if range.len() < leaf.len() => {
            let capacity = node.capacity_for(range.len());
            return node.copy(range, capacity);
        }
        Level::Inner(inner) => inner,
        Level::Leaf(_) => return Ok(node.share()),
    };
    let (mut start, mut last) = (range.start, range.end - 1);
    let (first, end) = (skip(inner.b(), &mut start), skip(inner.b(), &mut last));
    if first == end {
        return slice_of(&inner.a()[first], start..last + 1);
    }
    let mut joined = slice_of(&inner.a()[first], start..inner.b()[first])?;
    if end - first > 1 {
        let between = first + 1..end;
        let middle = match between.len() {
            1 => inner.a()[between.start].share(),
            len => node.copy(between, node.capacity_for(len))?,
        };
        joined = join(joined, inner.c()[first].clone(), middle)?;
    }
    join(joined, inner.c()[end - 1].clone(), slice_of(&inner.a()[end], 0..last + 1)?)
}

/// Returns a node of the entries of `a` followed by those of `b`, whose lower bound is `bound`.
pub(super) fn join<T: Editable>(
    mut a: Node<T>,
    bound: T::Bound,
    mut b: Node<T>,
) -> Result<Node<T>, AllocError> {
    let (a_height, b_height) = (a.height(), b.height());
    if a_height == b_height {
        return pair(a, bound, b, true);
    }
    if a_height > b_height {
        let count = b.count();
        Ok(match push_back(&mut a, Half { node: b, bound, count })? {
            Some(half) => pair(a, half.bound, half.node, false)?,
            None => a,
        })
    } else {
        let count = a.count();
        Ok(match push_front(&mut b, Half { node: a, bound, count })? {
            Some(half) => pair(b, half.bound, half.node, false)?,
            None => b,
        })
    }
}

/// Returns a node with the children `a` and `b`, or a node of the same height if one of them is so thin that both
/// become one.
fn pair<T: Editable>(
    a: Node<T>,
    bound: T::Bound,
    b: Node<T>,
    may_be_thin: bool,
) -> Result<Node<T>, AllocError> {
    let height = a.height() + 1;
    assert!(height < MAX_HEIGHT, "capacity overflow");
    let mut above: Inner<T> = Block::new(height as u8, room_for(2, INNER))?;
    let (a_count, b_count) = (a.count(), b.count());
    let mut inner = above.own();
    inner.push_first(a, a_count);
    inner.insert(1, b, b_count, bound);
    if may_be_thin {
        thicken(&mut inner, 0)?;
        let last = inner.len() - 1;
        thicken(&mut inner, last)?;
        if inner.len() == 1 {
            return Ok(inner.remove(0).0);
        }
    }
    Ok(Node::from_inner(above))
}

/// Allocates the right half of a node that is full.
fn spare_for<T: Editable>(node: &Node<T>) -> Result<Option<Inner<T>>, AllocError> {
    let is_full = node.len() == INNER;
    is_full
        .then(|| Block::new(node.height() as u8, room_for(INNER.div_ceil(2) + 1, INNER)))
        .transpose()
}

/// Adds a lower node behind the entries of `node`. Returns the right half of `node`, if that was full.
fn push_back<T: Editable>(
    node: &mut Node<T>,
    half: Half<T>,
) -> Result<Option<Half<T>>, AllocError> {
    let spare = spare_for(node)?;
    let mut inner = node.edit_inner(1)?;
    let last = inner.len() - 1;
    let count = half.count;
    if inner.height() > half.node.height() + 1 {
        let above = push_back(&mut inner.a_mut()[last], half)?;
        inner.b_mut()[last] += count;
        let Some(above) = above else { return Ok(None) };
        inner.b_mut()[last] -= above.count;
        return Ok(insert_half(inner, last + 1, above, spare, true));
    }
    let above = insert_half(inner, last + 1, half, spare, true);
    if above.is_none() {
        let mut inner = node.edit_inner(0)?;
        thicken(&mut inner, last + 1)?;
    }
    Ok(above)
}

/// Adds a lower node before the entries of `node`. `half.bound` is between them. Returns the right half of `node`, if
/// that was full.
fn push_front<T: Editable>(
    node: &mut Node<T>,
    half: Half<T>,
) -> Result<Option<Half<T>>, AllocError> {
    let spare = spare_for(node)?;
    let mut inner = node.edit_inner(1)?;
    let count = half.count;
    if inner.height() > half.node.height() + 1 {
        let above = push_front(&mut inner.a_mut()[0], half)?;
        inner.b_mut()[0] += count;
        let Some(above) = above else { return Ok(None) };
        inner.b_mut()[0] -= above.count;
        return Ok(insert_half(inner, 1, above, spare, false));
    }
    let above = insert_half(inner, 0, half, spare, false);
    let mut inner = node.edit_inner(0)?;
    thicken(&mut inner, 0)?;
    Ok(above)
}
