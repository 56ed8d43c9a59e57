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

/// The place of an entry that exists: its index in as many entries.
#[derive(Clone, Copy)]
pub(super) struct Index {
    pub(super) at: usize,
    pub(super) of: u32,
}

impl Place for Index {
    /// It counts from the nearer end, so the ends of a list are found at once.
    #[inline]
    fn child(self, node: Node) -> (usize, Self) {
        if self.at <= self.of as usize / 2 {
            let (mut child, mut at) = (0, self.at);
            loop {
                let of = node.child_entries(child);
                if at < of as usize {
                    return (child, Self { at, of });
                }
                (at, child) = (at - of as usize, child + 1);
            }
        }
        let (mut child, mut end) = (node.count() - 1, self.of as usize);
        loop {
            let of = node.child_entries(child);
            let begin = end - of as usize;
            if begin <= self.at {
                return (child, Self { at: self.at - begin, of });
            }
            (end, child) = (begin, child - 1);
        }
    }

    #[inline]
    fn entry(self, _: Node) -> Result<usize, usize> {
        Ok(self.at)
    }
}

/// A place before an entry, or at the end.
#[derive(Clone, Copy)]
pub(super) struct Gap(pub(super) Index);

impl Place for Gap {
    /// Between two children it is the end of the left one.
    #[inline]
    fn child(self, node: Node) -> (usize, Self) {
        let Some(before) = self.0.at.checked_sub(1) else {
            return (0, Self(Index { at: 0, of: node.child_entries(0) }));
        };
        let (child, Index { at, of }) = Index { at: before, ..self.0 }.child(node);
        (child, Self(Index { at: at + 1, of }))
    }

    #[inline]
    fn entry(self, _: Node) -> Result<usize, usize> {
        Err(self.0.at)
    }
}
