//! Reading a version of a tree.

use super::entry::Key;
use super::node::Node;
use super::place::{Index, Place};
use super::version::Tree;
use std::iter::FusedIterator;
use std::marker::PhantomData;

/// More levels than a tree can have: an inner node has two children at least, and leaves are not empty.
const MAX_LEVELS: usize = 33;

/// A version of a tree, which is neither freed nor changed during `'a`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TreeView<'a> {
    tree: Tree,
    version: PhantomData<&'a [u8]>,
}

impl Tree {
    /// # Safety
    /// The version is not freed during `'a`. If it was not published, it is not changed either.
    #[inline(always)]
    pub(crate) unsafe fn view<'a>(self) -> TreeView<'a> {
        TreeView { tree: self, version: PhantomData }
    }
}

impl<'a> TreeView<'a> {
    /// Returns the number of entries.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.tree.entries as usize
    }

    pub(super) fn root(&self) -> Node {
        self.tree.root
    }

    /// Returns a key's value.
    #[inline]
    pub(crate) fn get(&self, key: Key<'_>) -> Option<&'a [u8]> {
        let mut node = self.tree.root;
        while node.level() > 0 {
            node = node.descend(node.floor(&key));
        }
        let index = node.search(&key).ok()?;
        // SAFETY: the version is neither freed nor changed during `'a`.
        Some(unsafe { node.entry_for::<'a>(index) }.value())
    }

    /// Returns the entry at an index in the order of keys.
    pub(crate) fn nth(&self, index: usize) -> Option<(&'a [u8], &'a [u8])> {
        if index >= self.len() {
            return None;
        }
        let (mut node, mut place) = (self.tree.root, Index { at: index, of: self.tree.entries });
        while node.level() > 0 {
            let (child, beneath) = place.child(node);
            (node, place) = (node.descend(child), beneath);
        }
        // SAFETY: the version is neither freed nor changed during `'a`.
        let entry = unsafe { node.entry_for::<'a>(place.at) };
        Some((entry.key(), entry.value()))
    }

    /// Returns the index of a key, or the index at which it would be inserted, as `binary_search` of a slice.
    pub(crate) fn rank(&self, key: Key<'_>) -> Result<usize, usize> {
        let (mut node, mut before) = (self.tree.root, 0);
        while node.level() > 0 {
            let child = node.floor(&key);
            before += (0..child).map(|index| node.child_entries(index) as usize).sum::<usize>();
            node = node.descend(child);
        }
        node.search(&key).map(|index| before + index).map_err(|index| before + index)
    }

    /// Returns all entries in the order of their keys.
    pub(crate) fn iter(&self) -> TreeIter<'a> {
        self.iter_from_nth(0)
    }

    /// Returns the entries from a key on.
    pub(crate) fn iter_from(&self, key: Key<'_>) -> TreeIter<'a> {
        self.iter_from_nth(self.rank(key).unwrap_or_else(|index| index))
    }

    /// Returns the entries before a key, whose last one `next_back` finds first.
    pub(crate) fn iter_before(&self, key: Key<'_>) -> TreeIter<'a> {
        self.iter_range(0, self.rank(key).unwrap_or_else(|index| index))
    }

    /// Returns the entries from an index on.
    pub(crate) fn iter_from_nth(&self, index: usize) -> TreeIter<'a> {
        self.iter_range(index, self.len())
    }

    /// Returns the entries at the indexes `from..to`, as far as they exist.
    pub(crate) fn iter_range(&self, from: usize, to: usize) -> TreeIter<'a> {
        let end = to.min(self.len());
        TreeIter { view: *self, next: from.min(end), end, front: None, back: None }
    }
}

/// A place in a tree: the index in each node of the path.
struct Cursor {
    path: [(Node, usize); MAX_LEVELS],
    depth: usize,
}

impl Cursor {
    /// Returns the place of an entry that the tree has.
    fn at(root: Node, mut place: Index) -> Self {
        let mut this = Self { path: [(root, 0); MAX_LEVELS], depth: 0 };
        let mut node = root;
        while node.level() > 0 {
            let (child, beneath) = place.child(node);
            this.path[this.depth] = (node, child);
            this.depth += 1;
            (node, place) = (node.descend(child), beneath);
        }
        this.path[this.depth] = (node, place.at);
        this
    }

    fn leaf(&self) -> (Node, usize) {
        self.path[self.depth]
    }

    /// Moves on by some entries if the leaf has them.
    fn skip_forward(&mut self, entries: usize) -> bool {
        let (node, index) = &mut self.path[self.depth];
        let is_there = entries < node.count() - *index;
        *index += if is_there { entries } else { 0 };
        is_there
    }

    /// Moves back by some entries if the leaf has them.
    fn skip_backward(&mut self, entries: usize) -> bool {
        let index = &mut self.path[self.depth].1;
        let is_there = entries <= *index;
        *index -= if is_there { entries } else { 0 };
        is_there
    }

    /// Moves on to the next entry, which exists.
    fn forward(&mut self) {
        let mut depth = self.depth;
        while self.path[depth].1 + 1 == self.path[depth].0.count() {
            depth -= 1;
        }
        self.path[depth].1 += 1;
        for below in depth..self.depth {
            let (node, index) = self.path[below];
            self.path[below + 1] = (node.descend(index), 0);
        }
    }

    /// Moves back to the entry before, which exists.
    fn backward(&mut self) {
        let mut depth = self.depth;
        while self.path[depth].1 == 0 {
            depth -= 1;
        }
        self.path[depth].1 -= 1;
        for below in depth..self.depth {
            let (node, index) = self.path[below];
            let child = node.descend(index);
            self.path[below + 1] = (child, child.count() - 1);
        }
    }
}

/// Entries in the order of their keys, from both ends.
pub(crate) struct TreeIter<'a> {
    view: TreeView<'a>,
    /// The indexes of the next entry and of the end.
    next: usize,
    end: usize,
    /// The place of the entry that was returned last from each side.
    front: Option<Cursor>,
    back: Option<Cursor>,
}

impl<'a> TreeIter<'a> {
    fn entry(cursor: &Cursor) -> (&'a [u8], &'a [u8]) {
        let (node, index) = cursor.leaf();
        // SAFETY: the version is neither freed nor changed during `'a`.
        let entry = unsafe { node.entry_for::<'a>(index) };
        (entry.key(), entry.value())
    }
}

impl<'a> Iterator for TreeIter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.end {
            return None;
        }
        let (root, of) = (self.view.tree.root, self.view.tree.entries);
        let cursor = match &mut self.front {
            Some(cursor) => {
                cursor.forward();
                cursor
            }
            none => none.insert(Cursor::at(root, Index { at: self.next, of })),
        };
        self.next += 1;
        Some(Self::entry(cursor))
    }

    /// O(log n), and O(1) within a leaf.
    fn nth(&mut self, n: usize) -> Option<Self::Item> {
        self.next += n.min(self.len());
        if n > 0 && !self.front.as_mut().is_some_and(|cursor| cursor.skip_forward(n)) {
            self.front = None;
        }
        self.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.end - self.next, Some(self.end - self.next))
    }
}

impl DoubleEndedIterator for TreeIter<'_> {
    /// As `nth`.
    fn nth_back(&mut self, n: usize) -> Option<Self::Item> {
        self.end -= n.min(self.len());
        if n > 0 && !self.back.as_mut().is_some_and(|cursor| cursor.skip_backward(n)) {
            self.back = None;
        }
        self.next_back()
    }

    fn next_back(&mut self) -> Option<Self::Item> {
        if self.next == self.end {
            return None;
        }
        let (root, of) = (self.view.tree.root, self.view.tree.entries);
        let cursor = match &mut self.back {
            Some(cursor) => {
                cursor.backward();
                cursor
            }
            none => none.insert(Cursor::at(root, Index { at: self.end - 1, of })),
        };
        self.end -= 1;
        Some(Self::entry(cursor))
    }
}

impl ExactSizeIterator for TreeIter<'_> {}
impl FusedIterator for TreeIter<'_> {}
