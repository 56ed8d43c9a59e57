//! Trees built from their first entry to their last: leaf by leaf, without a search for each entry.

use super::block::Block;
use super::join::join;
use super::node::{Editable, Kind, Leaf, room_for};
use super::tree::Tree;
use crate::memory::AllocError;

/// A tree that is being built.
pub(crate) struct TreeBuilder<T: Kind> {
    tree: Tree<T>,
    /// The last leaf, which is not part of the tree yet. Not empty.
    leaf: Option<Leaf<T>>,
}

impl<T: Editable> TreeBuilder<T> {
    pub(crate) fn new() -> Self {
        Self { tree: Tree::new(), leaf: None }
    }

    /// Adds an entry that comes after all others.
    #[inline]
    pub(crate) fn push(&mut self, key: T::Key, value: T::Value) -> Result<(), AllocError> {
        if self.leaf.as_ref().is_none_or(|leaf| leaf.len() == leaf.capacity()) {
            self.make_room()?;
        }
        if let Some(leaf) = &mut self.leaf {
            leaf.own().push(key, value);
        }
        Ok(())
    }

    /// Makes room in the last leaf, or begins one.
    #[cold]
    #[inline(never)]
    fn make_room(&mut self) -> Result<(), AllocError> {
        let len = self.leaf.as_ref().map_or(0, Block::len);
        if len == T::LEAF {
            self.flush()?;
        }
        if let Some(leaf) = &mut self.leaf {
            return leaf.own().grow(room_for((2 * len).min(T::LEAF), T::LEAF));
        }
        // The only leaf of a small collection is small.
        let capacity = if self.tree.len == 0 { room_for(1, T::LEAF) } else { T::LEAF };
        self.leaf = Some(Block::new(0, capacity)?);
        Ok(())
    }

    /// Makes the last leaf a part of the tree.
    fn flush(&mut self) -> Result<(), AllocError> {
        let Some(last) = &self.leaf else { return Ok(()) };
        let bound = T::bound(&last.a()[0]);
        let len = self.tree.len + last.len();
        assert!(len <= usize::MAX / 2, "capacity overflow");
        let root = self.tree.root.take();
        self.tree = Tree::new();
        if let Some(last) = self.leaf.take() {
            let root = match root {
                Some(root) => join(root, bound, last.into())?,
                None => last.into(),
            };
            self.tree = Tree { root: Some(root), len };
        }
        Ok(())
    }

    /// Returns the tree.
    pub(crate) fn finish(mut self) -> Result<Tree<T>, AllocError> {
        self.flush()?;
        Ok(self.tree)
    }
}
