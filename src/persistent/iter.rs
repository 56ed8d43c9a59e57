//! Iteration over the entries of a tree, from both ends.

use super::node::{Editable, Kind, Level, Node};
use super::tree::{Tree, skip};
use crate::memory::AllocError;
use alloc::vec::{self, Vec};
use core::iter::FusedIterator;
use core::mem;
use core::ops::Range;
use core::slice;

/// An end of an iteration: what is left of a leaf, and its neighbours.
struct End<'a, T: Kind> {
    keys: slice::Iter<'a, T::Key>,
    values: slice::Iter<'a, T::Value>,
    /// The leaves of the same parent, or none.
    leaves: &'a [Node<T>],
    /// The index of the leaf among them.
    at: usize,
}

impl<T: Kind> Clone for End<'_, T> {
    fn clone(&self) -> Self {
        Self { keys: self.keys.clone(), values: self.values.clone(), ..*self }
    }
}

impl<'a, T: Kind> End<'a, T> {
    fn new() -> Self {
        Self { keys: [].iter(), values: [].iter(), leaves: &[], at: 0 }
    }

    /// Goes to a leaf, and returns the number of its entries.
    #[inline]
    fn enter(&mut self, node: &'a Node<T>) -> usize {
        let Level::Leaf(leaf) = node.level() else { unreachable!("the children are leaves") };
        (self.keys, self.values) = (leaf.a().iter(), leaf.b().iter());
        leaf.len()
    }

    /// Goes to the leaf of the entry with `index` entries before it, and returns that entry's index in the leaf.
    fn seek(&mut self, root: &'a Node<T>, index: usize) -> usize {
        let (mut node, mut rest) = (root, index);
        self.leaves = &[];
        loop {
            match node.level() {
                Level::Inner(inner) => {
                    self.at = skip(inner.b(), &mut rest);
                    self.leaves = inner.a();
                    node = &inner.a()[self.at];
                }
                Level::Leaf(_) => {
                    self.enter(node);
                    return rest;
                }
            }
        }
    }
}

/// Iterates over the entries of a tree from one index to another.
pub(crate) struct Entries<'a, T: Kind> {
    root: Option<&'a Node<T>>,
    /// The indices of the entries to come.
    range: Range<usize>,
    front: End<'a, T>,
    back: End<'a, T>,
}

// SAFETY: an iterator reads nodes and returns references to keys and values. It makes no handles, and drops none.
unsafe impl<T: Kind<Key: Sync, Value: Sync>> Send for Entries<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Kind<Key: Sync, Value: Sync>> Sync for Entries<'_, T> {}

impl<T: Kind> Clone for Entries<'_, T> {
    fn clone(&self) -> Self {
        Self {
            root: self.root,
            range: self.range.clone(),
            front: self.front.clone(),
            back: self.back.clone(),
        }
    }
}

impl<T: Kind> Tree<T> {
    /// Returns an iterator over the entries with these indices.
    pub(crate) fn entries(&self, range: Range<usize>) -> Entries<'_, T> {
        debug_assert!(range.start <= range.end && range.end <= self.len);
        Entries { root: self.root.as_ref(), range, front: End::new(), back: End::new() }
    }
}

impl<'a, T: Kind> Entries<'a, T> {
    /// Returns iterators over the first `index` entries to come, and over the others.
    #[cfg(feature = "rayon")]
    pub(crate) fn cut(&self, index: usize) -> (Self, Self) {
        let middle = (self.range.start + index).min(self.range.end);
        let part = |range| Self { root: self.root, range, front: End::new(), back: End::new() };
        (part(self.range.start..middle), part(middle..self.range.end))
    }

    /// Returns the entries to come of the leaf at the front, and counts them as returned.
    #[inline]
    fn next_leaf(&mut self) -> (slice::Iter<'a, T::Key>, slice::Iter<'a, T::Value>) {
        if self.front.keys.len() == 0 {
            self.refill();
        }
        let count = self.front.keys.len().min(self.range.len());
        self.range.start += count;
        let keys = mem::take(&mut self.front.keys).as_slice();
        let values = mem::take(&mut self.front.values).as_slice();
        (keys[..count].iter(), values[..count].iter())
    }

    /// Goes to the leaf of the next entry.
    #[cold]
    #[inline(never)]
    fn refill(&mut self) {
        let Some(root) = self.root else { return };
        if let Some(next) = self.front.leaves.get(self.front.at + 1) {
            self.front.at += 1;
            if let Some(after) = self.front.leaves.get(self.front.at + 1) {
                after.prefetch(0);
            }
            self.front.enter(next);
            return;
        }
        let skipped = self.front.seek(root, self.range.start);
        if skipped > 0 {
            self.front.keys.nth(skipped - 1);
            self.front.values.nth(skipped - 1);
        }
    }

    /// Goes to the leaf of the last entry.
    #[cold]
    #[inline(never)]
    fn refill_back(&mut self) {
        let Some(root) = self.root else { return };
        if self.back.at > 0 && !self.back.leaves.is_empty() {
            self.back.at -= 1;
            let node = &self.back.leaves[self.back.at];
            self.back.enter(node);
            return;
        }
        let kept = self.back.seek(root, self.range.end - 1) + 1;
        self.back.keys = self.back.keys.as_slice()[..kept].iter();
        self.back.values = self.back.values.as_slice()[..kept].iter();
    }
}

impl<'a, T: Kind> Iterator for Entries<'a, T> {
    type Item = (&'a T::Key, &'a T::Value);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.range.is_empty() {
            return None;
        }
        if self.front.keys.len() == 0 {
            self.refill();
        }
        self.range.start += 1;
        Some((self.front.keys.next()?, self.front.values.next()?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.range.len(), Some(self.range.len()))
    }

    #[inline]
    fn fold<B, F: FnMut(B, Self::Item) -> B>(mut self, init: B, mut f: F) -> B {
        let mut sum = init;
        while !self.range.is_empty() {
            let (keys, values) = self.next_leaf();
            sum = keys.zip(values).fold(sum, &mut f);
        }
        sum
    }

    fn nth(&mut self, n: usize) -> Option<Self::Item> {
        if n >= self.front.keys.len() {
            self.range.start = self.range.start.saturating_add(n).min(self.range.end);
            self.front = End::new();
            return self.next();
        }
        self.range.start = (self.range.start + n).min(self.range.end);
        if n > 0 {
            self.front.keys.nth(n - 1);
            self.front.values.nth(n - 1);
        }
        self.next()
    }
}

impl<T: Kind> DoubleEndedIterator for Entries<'_, T> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        if self.range.is_empty() {
            return None;
        }
        if self.back.keys.len() == 0 {
            self.refill_back();
        }
        self.range.end -= 1;
        Some((self.back.keys.next_back()?, self.back.values.next_back()?))
    }
}

impl<T: Kind> ExactSizeIterator for Entries<'_, T> {}
impl<T: Kind> FusedIterator for Entries<'_, T> {}

/// The entries to come of a leaf, whose values can be changed.
struct LeafEntries<'a, T: Kind> {
    keys: slice::Iter<'a, T::Key>,
    values: slice::IterMut<'a, T::Value>,
}

impl<'a, T: Kind> LeafEntries<'a, T> {
    #[inline]
    fn next(&mut self) -> Option<(&'a T::Key, &'a mut T::Value)> {
        Some((self.keys.next()?, self.values.next()?))
    }

    #[inline]
    fn next_back(&mut self) -> Option<(&'a T::Key, &'a mut T::Value)> {
        Some((self.keys.next_back()?, self.values.next_back()?))
    }
}

/// Iterates over entries whose values can be changed: the nodes have no other handles.
pub(crate) struct EntriesMut<'a, T: Kind> {
    front: Option<LeafEntries<'a, T>>,
    leaves: vec::IntoIter<LeafEntries<'a, T>>,
    back: Option<LeafEntries<'a, T>>,
    left: usize,
}

impl<T: Editable> Tree<T> {
    /// Returns an iterator over the entries with these indices for changes, after copying the nodes that other versions
    /// share.
    pub(crate) fn entries_mut(
        &mut self,
        range: Range<usize>,
    ) -> Result<EntriesMut<'_, T>, AllocError> {
        let (left, mut leaves) = (range.len(), Vec::new());
        if let Some(root) = self.root.as_mut().filter(|_| left > 0) {
            gather(root, range, &mut leaves)?;
        }
        Ok(EntriesMut { front: None, leaves: leaves.into_iter(), back: None, left })
    }
}

/// Adds the leaves of the entries with these indices below a node. There is one at least.
fn gather<'a, T: Editable>(
    node: &'a mut Node<T>,
    range: Range<usize>,
    leaves: &mut Vec<LeafEntries<'a, T>>,
) -> Result<(), AllocError> {
    let inner = match node.edit(0)? {
        Level::Inner(inner) => inner,
        Level::Leaf(leaf) => {
            let (keys, values) = leaf.into_columns();
            leaves.try_reserve(1).map_err(|_| AllocError)?;
            let (keys, values) = (keys[range.clone()].iter(), values[range].iter_mut());
            leaves.push(LeafEntries { keys, values });
            return Ok(());
        }
    };
    let (children, counts) = inner.into_columns();
    let mut before = 0;
    for (child, count) in children.iter_mut().zip(counts) {
        let (from, to) = (range.start.max(before), range.end.min(before + *count));
        if from < to {
            gather(child, from - before..to - before, leaves)?;
        }
        before += *count;
    }
    Ok(())
}

impl<'a, T: Kind> Iterator for EntriesMut<'a, T> {
    type Item = (&'a T::Key, &'a mut T::Value);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.saturating_sub(1);
        loop {
            if let Some(entry) = self.front.as_mut().and_then(LeafEntries::next) {
                return Some(entry);
            }
            match self.leaves.next() {
                Some(leaf) => self.front = Some(leaf),
                None => return self.back.as_mut().and_then(LeafEntries::next),
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<T: Kind> DoubleEndedIterator for EntriesMut<'_, T> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        self.left = self.left.saturating_sub(1);
        loop {
            if let Some(entry) = self.back.as_mut().and_then(LeafEntries::next_back) {
                return Some(entry);
            }
            match self.leaves.next_back() {
                Some(leaf) => self.back = Some(leaf),
                None => return self.front.as_mut().and_then(LeafEntries::next_back),
            }
        }
    }
}

/// Declares an iterator over the entries of a collection: `iterator!(/// DOCS, NAME<TYPES>, KIND, (KEY, VALUE) => ITEM,
/// its type)`.
macro_rules! iterator {
    ($(#[$docs:meta])* $name:ident<$($t:ident),*>, $kind:ty, ($key:pat, $value:pat) => $made:expr, $item:ty) => {
        $(#[$docs])*
        pub struct $name<'a, $($t),*> {
            pub(in crate::persistent) entries: $crate::persistent::iter::Entries<'a, $kind>,
        }

        impl<$($t),*> Clone for $name<'_, $($t),*> {
            fn clone(&self) -> Self {
                Self { entries: self.entries.clone() }
            }
        }

        impl<$($t: core::fmt::Debug),*> core::fmt::Debug for $name<'_, $($t),*> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.debug_list().entries(self.clone()).finish()
            }
        }

        impl<'a, $($t),*> Iterator for $name<'a, $($t),*> {
            type Item = $item;

            #[inline]
            fn next(&mut self) -> Option<Self::Item> {
                let ($key, $value) = self.entries.next()?;
                Some($made)
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                self.entries.size_hint()
            }

            #[inline]
            fn fold<B, F: FnMut(B, Self::Item) -> B>(self, init: B, mut f: F) -> B {
                self.entries.fold(init, |sum, ($key, $value)| f(sum, $made))
            }

            fn nth(&mut self, n: usize) -> Option<Self::Item> {
                let ($key, $value) = self.entries.nth(n)?;
                Some($made)
            }
        }

        impl<$($t),*> DoubleEndedIterator for $name<'_, $($t),*> {
            #[inline]
            fn next_back(&mut self) -> Option<Self::Item> {
                let ($key, $value) = self.entries.next_back()?;
                Some($made)
            }
        }

        impl<$($t),*> ExactSizeIterator for $name<'_, $($t),*> {}
        impl<$($t),*> core::iter::FusedIterator for $name<'_, $($t),*> {}
    };
}
pub(crate) use iterator;

/// Declares an iterator over entries that can be changed, as [`iterator`] does.
macro_rules! iterator_mut {
    ($(#[$docs:meta])* $name:ident<$($t:ident),*>, $kind:ty, ($key:pat, $value:pat) => $made:expr, $item:ty) => {
        $(#[$docs])*
        pub struct $name<'a, $($t),*> {
            pub(in crate::persistent) entries: $crate::persistent::iter::EntriesMut<'a, $kind>,
        }

        impl<'a, $($t),*> Iterator for $name<'a, $($t),*> {
            type Item = $item;

            #[inline]
            fn next(&mut self) -> Option<Self::Item> {
                let ($key, $value) = self.entries.next()?;
                Some($made)
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                self.entries.size_hint()
            }
        }

        impl<$($t),*> DoubleEndedIterator for $name<'_, $($t),*> {
            #[inline]
            fn next_back(&mut self) -> Option<Self::Item> {
                let ($key, $value) = self.entries.next_back()?;
                Some($made)
            }
        }

        impl<$($t),*> ExactSizeIterator for $name<'_, $($t),*> {}
        impl<$($t),*> core::iter::FusedIterator for $name<'_, $($t),*> {}
    };
}
pub(crate) use iterator_mut;

/// Declares an iterator over entries by value, as [`iterator`] does.
macro_rules! into_iterator {
    ($(#[$docs:meta])* $name:ident<$($t:ident),*>, $kind:ty, ($key:pat, $value:pat) => $made:expr, $item:ty) => {
        $(#[$docs])*
        pub struct $name<$($t),*> {
            entries: $crate::persistent::take::IntoEntries<$kind>,
        }

        impl<$($t: Clone),*> Iterator for $name<$($t),*> {
            type Item = $item;

            #[inline]
            fn next(&mut self) -> Option<Self::Item> {
                let entry = self.entries.next().unwrap_or_else(|why| out_of_memory(why));
                entry.map(|($key, $value)| $made)
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                (self.entries.len(), Some(self.entries.len()))
            }
        }

        impl<$($t: Clone),*> DoubleEndedIterator for $name<$($t),*> {
            #[inline]
            fn next_back(&mut self) -> Option<Self::Item> {
                let entry = self.entries.next_back().unwrap_or_else(|why| out_of_memory(why));
                entry.map(|($key, $value)| $made)
            }
        }

        impl<$($t: Clone),*> ExactSizeIterator for $name<$($t),*> {}
        impl<$($t: Clone),*> core::iter::FusedIterator for $name<$($t),*> {}
    };
}
pub(crate) use into_iterator;
