//! Trees taken apart: entry by entry from both ends, or freed in steps.

use super::block::IntoElements;
use super::edit::Taken;
use super::node::{Editable, Inner, Kind, Leaf, Level, MAX_HEIGHT, Node};
use super::tree::Tree;
use crate::memory::AllocError;

/// The end of a tree from which a leaf is taken.
#[derive(Clone, Copy)]
enum TreeEnd {
    First,
    Last,
}

impl TreeEnd {
    fn of(self, len: usize) -> usize {
        match self {
            Self::First => 0,
            Self::Last => len - 1,
        }
    }
}

/// Takes the leaf at an end out of the children of `node`, as a leaf without other handles. What other versions share
/// is copied first, so if that fails, nothing is lost. Nodes are not merged: nobody searches the rest.
fn take_leaf<T: Editable>(node: &mut Node<T>, end: TreeEnd) -> Result<Node<T>, AllocError> {
    let mut inner = node.edit_inner(0)?;
    let at = end.of(inner.len());
    if inner.height() > 1 {
        let leaf = take_leaf(&mut inner.a_mut()[at], end)?;
        inner.b_mut()[at] -= leaf.len();
        if inner.b_mut()[at] == 0 {
            drop(inner.remove(at));
        }
        return Ok(leaf);
    }
    inner.a_mut()[at].edit(0)?;
    Ok(inner.remove(at).0)
}

impl<T: Editable> Tree<T> {
    fn take_leaf(&mut self, end: TreeEnd) -> Result<Option<Leaf<T>>, AllocError> {
        let Some(root) = &mut self.root else { return Ok(None) };
        let leaf = if root.height() == 0 {
            root.edit(0)?;
            self.root.take()
        } else {
            Some(take_leaf(root, end)?)
        };
        self.len -= leaf.as_ref().map_or(0, Node::len);
        if self.len == 0 {
            self.root = None;
        }
        Ok(leaf.map(|leaf| match leaf.into_level() {
            Level::Leaf(leaf) => leaf,
            Level::Inner(_) => unreachable!("a node without children below it is a leaf"),
        }))
    }
}

/// Iterates over the entries of a tree by value. Those that other versions share are cloned.
pub(crate) struct IntoEntries<T: Kind> {
    tree: Tree<T>,
    front: Option<IntoElements<T::Key, T::Value>>,
    back: Option<IntoElements<T::Key, T::Value>>,
}

impl<T: Kind> IntoEntries<T> {
    pub(crate) fn new(tree: Tree<T>) -> Self {
        Self { tree, front: None, back: None }
    }

    pub(crate) fn len(&self) -> usize {
        let of = |leaf: &Option<IntoElements<_, _>>| leaf.as_ref().map_or(0, IntoElements::len);
        self.tree.len + of(&self.front) + of(&self.back)
    }
}

impl<T: Editable> IntoEntries<T> {
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<Taken<T>>, AllocError> {
        loop {
            if let Some(entry) = self.front.as_mut().and_then(Iterator::next) {
                return Ok(Some(entry));
            }
            match self.tree.take_leaf(TreeEnd::First)? {
                Some(leaf) => self.front = Some(leaf.into_elements()),
                None => return Ok(self.back.as_mut().and_then(Iterator::next)),
            }
        }
    }

    #[inline]
    pub(crate) fn next_back(&mut self) -> Result<Option<Taken<T>>, AllocError> {
        loop {
            if let Some(entry) = self.back.as_mut().and_then(DoubleEndedIterator::next_back) {
                return Ok(Some(entry));
            }
            match self.tree.take_leaf(TreeEnd::Last)? {
                Some(leaf) => self.back = Some(leaf.into_elements()),
                None => return Ok(self.front.as_mut().and_then(DoubleEndedIterator::next_back)),
            }
        }
    }
}

/// What is left of a tree that is freed in steps.
pub(crate) struct Remains<T: Kind> {
    /// By height: nodes whose children are being freed. Nobody else has a handle.
    above: [Option<Inner<T>>; MAX_HEIGHT],
}

impl<T: Kind> Remains<T> {
    /// Takes over a tree. Its first leaf is freed here if it is the root.
    pub(crate) fn new(tree: Tree<T>) -> Self {
        let mut remains = Self { above: [const { None }; MAX_HEIGHT] };
        if let Some(root) = tree.root {
            remains.add(root);
        }
        remains
    }

    /// Frees a leaf, or keeps an inner node for later, unless there are other handles. Returns how many entries and
    /// handles were dropped.
    fn add(&mut self, node: Node<T>) -> usize {
        match node.into_level() {
            Level::Leaf(leaf) => {
                let len = leaf.len();
                let last = leaf.into_last();
                if last.is_some() { 1 + len } else { 1 }
            }
            Level::Inner(inner) => {
                let height = inner.height();
                if let Some(last) = inner.into_last() {
                    self.above[height] = Some(last);
                }
                1
            }
        }
    }

    /// Drops some `count` entries, at most a leaf more, and frees their nodes. Returns whether something is left.
    pub(crate) fn step(&mut self, count: usize) -> bool {
        let mut dropped = 0;
        while dropped < count {
            // The lowest one: above a height there is at most one node of each.
            let Some(lowest) = self.above.iter_mut().find(|above| above.is_some()) else { break };
            let Some(inner) = lowest else { break };
            match inner.len().checked_sub(1) {
                Some(last) => {
                    let (child, _, bound) = inner.own().remove(last);
                    dropped += self.add(child);
                    drop(bound);
                }
                None => *lowest = None,
            }
        }
        self.above.iter().any(Option::is_some)
    }
}

/// Declares the owner of what is left of a collection: `teardown!(COLLECTION, NAME<TYPES>, KIND, INTO)`, where INTO
/// returns the collection's tree.
macro_rules! teardown {
    ($collection:ident, $name:ident<$($t:ident),*>, $kind:ty, $($tree:ident).+) => {
        /// A collection that is freed in steps. Dropping this frees the rest at once.
        #[must_use = "what is not freed in steps is freed at once"]
        pub struct $name<$($t),*> {
            remains: $crate::persistent::take::Remains<$kind>,
        }

        impl<$($t),*> $name<$($t),*> {
            /// Drops some `entries` entries, up to a hundred more, and frees their memory. Returns whether something is
            /// left.
            pub fn step(&mut self, entries: usize) -> bool {
                self.remains.step(entries)
            }
        }

        impl<$($t),*> core::fmt::Debug for $name<$($t),*> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }

        impl<$($t),*> $collection<$($t),*> {
            /// Frees the collection in steps, where a plain drop would take too long: that of ten million numbers takes
            /// some 50 ms. What other versions share stays, and costs a step little.
            ///
            /// If another version is dropped meanwhile, what only both have shared is freed by whoever drops it last.
            pub fn teardown(self) -> $name<$($t),*> {
                $name { remains: $crate::persistent::take::Remains::new(self.$($tree).+) }
            }
        }
    };
}
pub(crate) use teardown;
