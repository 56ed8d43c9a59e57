//! How a change finds its leaf: by a key, or by an index, with the counts of inner nodes.

use super::entry::Key;
use super::node::Node;

/// The place of an entry, or of one that is inserted, beneath a node.
pub(super) trait Place: Copy {
    /// Returns the child that has the place, and the place beneath that child.
    fn child(self, node: Node) -> (usize, Self);

    /// Returns the index of the entry in a leaf, or the index at which one is inserted.
    fn entry(self, leaf: Node) -> Result<usize, usize>;
}

impl Place for &Key<'_> {
    #[inline(always)]
    fn child(self, node: Node) -> (usize, Self) {
        (node.floor(self), self)
    }

    #[inline(always)]
    fn entry(self, leaf: Node) -> Result<usize, usize> {
        leaf.search(self)
    }
}

/// The place of an entry that exists.
#[derive(Clone, Copy)]
pub(super) struct Index(pub(super) usize);

impl Place for Index {
    #[inline]
    fn child(mut self, node: Node) -> (usize, Self) {
        (child_of(node, &mut self.0), self)
    }

    #[inline]
    fn entry(self, _: Node) -> Result<usize, usize> {
        Ok(self.0)
    }
}

/// A place before an entry, or at the end.
#[derive(Clone, Copy)]
pub(super) struct Gap(pub(super) usize);

impl Place for Gap {
    /// Between two children it is the end of the left one.
    #[inline]
    fn child(self, node: Node) -> (usize, Self) {
        let Some(mut before) = self.0.checked_sub(1) else { return (0, self) };
        let child = child_of(node, &mut before);
        (child, Self(before + 1))
    }

    #[inline]
    fn entry(self, _: Node) -> Result<usize, usize> {
        Err(self.0)
    }
}

/// Returns the child that has an entry, and makes the entry's index one within that child.
#[inline]
pub(super) fn child_of(node: Node, index: &mut usize) -> usize {
    let mut child = 0;
    loop {
        let entries = node.child_entries(child) as usize;
        if *index < entries {
            return child;
        }
        (*index, child) = (*index - entries, child + 1);
    }
}
