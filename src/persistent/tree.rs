//! A tree of one version: lookups, and places of entries.
//!
//! A change has two steps. A search, which calls user code, finds the [`Place`]: the index at each level. The change
//! itself follows the place and compares no keys, so keys that contradict themselves cannot leave it half done
//! ([`edit`](super::edit)).

use super::node::{Kind, Leaf, Level, MAX_HEIGHT, Node};

/// A version of a tree. A clone shares all nodes.
pub(crate) struct Tree<T: Kind> {
    /// Not an empty leaf, nor an inner node with a single child.
    pub(super) root: Option<Node<T>>,
    pub(super) len: usize,
}

/// Where an entry is, or where it would be inserted: the index at each level.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// From the leaf's index upwards, by the height of the node.
    pub(super) indices: [u16; MAX_HEIGHT],
    /// How many nodes from the leaf upwards are full. An insertion splits them.
    pub(super) full: usize,
    /// Whether the nodes on the way have no other handles, and the leaf has memory for one more entry: an insertion
    /// has nothing to prepare.
    pub(super) is_ready: bool,
}

impl Place {
    const fn new() -> Self {
        Self { indices: [0; MAX_HEIGHT], full: 0, is_ready: true }
    }

    /// Notes that the way leads through a node.
    #[inline(always)]
    fn pass<T: Kind>(&mut self, node: &Node<T>) {
        self.full = if node.len() == node.most() { self.full + 1 } else { 0 };
        self.is_ready &= node.is_only_handle();
    }

    /// Returns the index of the child in the node of this height.
    #[inline(always)]
    pub(super) fn child_of(&self, height: usize) -> usize {
        self.indices[height].into()
    }
}

impl<T: Kind> Clone for Tree<T> {
    fn clone(&self) -> Self {
        Self { root: self.root.clone(), len: self.len }
    }
}

impl<T: Kind> Tree<T> {
    pub(crate) const fn new() -> Self {
        Self { root: None, len: 0 }
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns whether both are the same version, without a look at the entries.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (&self.root, &other.root) {
            (Some(a), Some(b)) => a.is_same(b),
            (None, None) => true,
            _ => false,
        }
    }

    /// Finds an entry. `child` returns the child that a bound separates from the ones before: the number of bounds that
    /// are not above what is sought. `entry` returns the index in a leaf.
    #[inline(always)]
    pub(crate) fn find(
        &self,
        mut child: impl FnMut(&[T::Bound]) -> usize,
        entry: impl FnOnce(&[T::Key]) -> Option<usize>,
    ) -> Option<(&T::Key, &T::Value)> {
        let mut node = self.root.as_ref()?;
        loop {
            match node.level() {
                Level::Inner(inner) => {
                    node = &inner.a()[child(inner.c())];
                    node.prefetch(inner.height() - 1);
                }
                Level::Leaf(leaf) => {
                    let index = entry(leaf.a())?;
                    return Some((&leaf.a()[index], &leaf.b()[index]));
                }
            }
        }
    }

    /// As [`find`](Self::find), but returns the place, where `entry` says whether it is that of an entry.
    pub(crate) fn find_place(
        &self,
        mut child: impl FnMut(&[T::Bound]) -> usize,
        entry: impl FnOnce(&[T::Key]) -> Result<usize, usize>,
    ) -> Result<Place, Place> {
        let mut place = Place::new();
        let Some(mut node) = self.root.as_ref() else { return Err(place) };
        loop {
            place.pass(node);
            match node.level() {
                Level::Inner(inner) => {
                    let index = child(inner.c());
                    place.indices[node.height()] = index as u16;
                    node = &inner.a()[index];
                    node.prefetch(inner.height() - 1);
                }
                Level::Leaf(leaf) => {
                    let found = entry(leaf.a());
                    let (Ok(index) | Err(index)) = found;
                    assert!(index <= leaf.len(), "a search returns an index of the leaf");
                    place.indices[0] = index as u16;
                    place.is_ready &= leaf.len() < leaf.capacity();
                    return found.map(|_| place).map_err(|_| place);
                }
            }
        }
    }

    /// Returns the place of the entry with `index` entries before it; for `len`, the end.
    ///
    /// # Panics
    /// If `index > len`.
    pub(crate) fn place_of(&self, index: usize) -> Place {
        assert!(index <= self.len, "an index is out of bounds");
        let mut place = Place::new();
        let Some(mut node) = self.root.as_ref() else { return place };
        let mut rest = index;
        loop {
            place.pass(node);
            match node.level() {
                Level::Inner(inner) => {
                    let child = skip(inner.b(), &mut rest);
                    place.indices[node.height()] = child as u16;
                    node = &inner.a()[child];
                }
                Level::Leaf(leaf) => {
                    place.indices[0] = rest as u16;
                    place.is_ready &= leaf.len() < leaf.capacity();
                    return place;
                }
            }
        }
    }

    /// Returns the number of entries before a place.
    pub(crate) fn index_of(&self, place: &Place) -> usize {
        let Some(mut node) = self.root.as_ref() else { return 0 };
        let mut before = 0;
        loop {
            let index = place.indices[node.height()].into();
            let Level::Inner(inner) = node.level() else { return before + index };
            before += inner.b()[..index].iter().sum::<usize>();
            node = &inner.a()[index];
        }
    }

    /// Returns the leaf that a place leads to.
    ///
    /// # Panics
    /// If the tree is empty.
    pub(super) fn leaf_of(&self, place: &Place) -> &Leaf<T> {
        let mut node = self.root.as_ref().expect("the tree has a leaf at the place");
        loop {
            match node.level() {
                Level::Leaf(leaf) => return leaf,
                Level::Inner(inner) => node = &inner.a()[place.child_of(node.height())],
            }
        }
    }

    /// Returns the entry at a place.
    pub(crate) fn entry_at(&self, place: &Place) -> (&T::Key, &T::Value) {
        let (leaf, index) = (self.leaf_of(place), usize::from(place.indices[0]));
        (&leaf.a()[index], &leaf.b()[index])
    }

    /// Returns the entry with `index` entries before it.
    pub(crate) fn get_index(&self, index: usize) -> Option<(&T::Key, &T::Value)> {
        if index >= self.len {
            return None;
        }
        let mut node = self.root.as_ref()?;
        let mut rest = index;
        loop {
            match node.level() {
                Level::Inner(inner) => node = &inner.a()[skip(inner.b(), &mut rest)],
                Level::Leaf(leaf) => return Some((&leaf.a()[rest], &leaf.b()[rest])),
            }
        }
    }

    /// Returns the bytes that the nodes take from the allocator, those that other versions share included.
    pub(crate) fn memory_bytes(&self) -> usize {
        fn of<T: Kind>(node: &Node<T>) -> usize {
            match node.level() {
                Level::Leaf(leaf) => leaf.bytes(),
                Level::Inner(inner) => inner.bytes() + inner.a().iter().map(of).sum::<usize>(),
            }
        }
        self.root.as_ref().map_or(0, of)
    }
}

/// Returns the child that has the entry with `rest` entries before it, the last one for the end. Subtracts from `rest`
/// what the children before it have.
#[inline(always)]
pub(super) fn skip(counts: &[usize], rest: &mut usize) -> usize {
    let last = counts.len() - 1;
    for (child, &count) in counts[..last].iter().enumerate() {
        if *rest < count {
            return child;
        }
        *rest -= count;
    }
    last
}
