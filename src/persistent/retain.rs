//! `retain`, leaf by leaf: user code only marks the entries that go. Then the leaf loses them in one step.

use super::block::Block;
use super::node::{Editable, Leaf};
use super::tree::{Place, Tree};
use crate::memory::AllocError;

/// The entries of a leaf that go, by their indices.
type Marks = u64;

impl<T: Editable> Tree<T> {
    /// Removes the entries for which `keep` returns false. Copies no leaf that keeps all its entries.
    pub(crate) fn retain(
        &mut self,
        mut keep: impl FnMut(&T::Key, &T::Value) -> bool,
    ) -> Result<(), AllocError> {
        self.remove_marked(|tree, place| {
            let leaf = tree.leaf_of(place);
            Ok(marks(place, leaf.len(), |index| keep(&leaf.a()[index], &leaf.b()[index])))
        })
    }

    /// As [`retain`](Self::retain), but `keep` may change values: all leaves that other versions share are copied.
    pub(crate) fn retain_mut(
        &mut self,
        mut keep: impl FnMut(&T::Key, &mut T::Value) -> bool,
    ) -> Result<(), AllocError> {
        self.remove_marked(|tree, place| {
            let (keys, values) = tree.leaf_mut(place)?;
            Ok(marks(place, keys.len(), |index| keep(&keys[index], &mut values[index])))
        })
    }

    fn remove_marked(
        &mut self,
        mut marks: impl FnMut(&mut Self, &Place) -> Result<Marks, AllocError>,
    ) -> Result<(), AllocError> {
        const { assert!(T::LEAF <= Marks::BITS as usize) };
        let mut index = 0;
        while index < self.len {
            let place = self.place_of(index);
            let marks = marks(self, &place)?;
            // A leaf that has been merged with the one before begins with entries that were kept.
            index += self.leaf_of(&place).len() - place.child_of(0) - marks.count_ones() as usize;
            if marks != 0 {
                self.remove_from_leaf(&place, marks)?;
            }
        }
        Ok(())
    }

    fn remove_from_leaf(&mut self, place: &Place, marks: Marks) -> Result<(), AllocError> {
        let count = marks.count_ones() as usize;
        let mut removed: Leaf<T> = Block::new(0, count)?;
        self.shrink_leaf(place, count, |leaf| leaf.extract(marks, &mut removed.own()))?;
        // User code runs last.
        drop(removed);
        Ok(())
    }
}

/// Marks the entries of a leaf, from a place to its end, for which `keep` returns false.
fn marks(place: &Place, len: usize, mut keep: impl FnMut(usize) -> bool) -> Marks {
    let from = place.child_of(0);
    (from..len).fold(0, |marks, index| marks | Marks::from(!keep(index)) << index)
}
