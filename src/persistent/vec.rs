//! `PersistentVec` and its iterators.

use super::build::TreeBuilder;
use super::iter::{into_iterator, iterator, iterator_mut};
use super::map::out_of_memory;
use super::node::{Editable, Kind};
use super::take::{IntoEntries, teardown};
use super::tree::Tree;
use crate::memory::AllocError;
use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::marker::PhantomData;
use core::mem;
use core::ops::{Bound, Index, IndexMut, RangeBounds};

/// The trees of sequences. Their inner nodes have no bounds: an element is found by counts.
pub(super) struct Elements<T>(PhantomData<T>);

impl<T> Kind for Elements<T> {
    type Key = ();
    type Value = T;
    type Bound = ();
}

impl<T: Clone> Editable for Elements<T> {
    fn bound((): &()) {}
}

/// A sequence as a value: a clone takes a few nanoseconds, and shares all elements with the original.
///
/// It is a tree that counts its elements. So all changes are O(log n), wherever they are: insertion and removal in the
/// middle, cutting a sequence in two and joining two. See [`PersistentMap`](super::PersistentMap) for what a clone
/// costs.
///
/// It has the methods of [`Vec`](std::vec::Vec) that make sense for elements that do not lie in one slice.
///
/// ```
/// use hedgerow::persistent::PersistentVec;
///
/// let mut text: PersistentVec<char> = "hello world".chars().collect();
/// let before = text.clone();
/// let mut world = text.split_off(6);
/// text.extend("small ".chars());
/// text.append(&mut world);
/// assert_eq!(text.iter().collect::<String>(), "hello small world");
/// assert_eq!(before.len(), 11);
/// ```
///
/// # Errors and panics
/// If memory runs out, the process aborts, as with std's collections; `try_` methods return an error instead. If
/// `Clone` panics, the sequence is as before.
pub struct PersistentVec<T> {
    tree: Tree<Elements<T>>,
}

/// Returns the indices of a range of a sequence.
#[track_caller]
fn indices(range: &impl RangeBounds<usize>, len: usize) -> core::ops::Range<usize> {
    let start = match range.start_bound() {
        Bound::Unbounded => 0,
        Bound::Included(&start) => start,
        Bound::Excluded(&start) => start.checked_add(1).expect("the range begins in the sequence"),
    };
    let end = match range.end_bound() {
        Bound::Unbounded => len,
        Bound::Included(&last) => last.checked_add(1).expect("the range ends in the sequence"),
        Bound::Excluded(&end) => end,
    };
    assert!(start <= end, "the range begins at {start} and ends at {end}");
    assert!(end <= len, "the range ends at {end}, the sequence at {len}");
    start..end
}

impl<T> PersistentVec<T> {
    /// Returns an empty sequence. Allocates nothing.
    pub const fn new() -> Self {
        Self { tree: Tree::new() }
    }

    /// Returns the number of elements. O(1).
    pub fn len(&self) -> usize {
        self.tree.len()
    }

    /// Returns whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Removes all elements. Other versions keep theirs.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// Returns whether both are the same version: neither has been changed since one was cloned from the other. O(1).
    pub fn ptr_eq(&self, other: &Self) -> bool {
        self.tree.is_same(&other.tree)
    }

    /// Returns the bytes that the nodes take from the allocator, including those that other versions share. O(n / 64).
    pub fn memory_bytes(&self) -> usize {
        self.tree.memory_bytes()
    }

    /// Returns the element at an index. O(log n).
    pub fn get(&self, index: usize) -> Option<&T> {
        Some(self.tree.get_index(index)?.1)
    }

    /// Returns the first element. O(log n).
    pub fn first(&self) -> Option<&T> {
        self.get(0)
    }

    /// Returns the last element. O(log n).
    pub fn last(&self) -> Option<&T> {
        self.get(self.len().checked_sub(1)?)
    }

    /// Returns whether an element is equal to `value`. O(n).
    pub fn contains(&self, value: &T) -> bool
    where
        T: PartialEq,
    {
        self.iter().any(|element| element == value)
    }

    /// Returns an iterator over the elements, from both ends. Skipping with `nth` is O(log n).
    pub fn iter(&self) -> Iter<'_, T> {
        Iter { entries: self.tree.entries(0..self.len()) }
    }

    /// Returns an iterator over the elements with indices in a range.
    ///
    /// # Panics
    /// If the range is out of bounds.
    #[track_caller]
    pub fn range<R: RangeBounds<usize>>(&self, range: R) -> Iter<'_, T> {
        Iter { entries: self.tree.entries(indices(&range, self.len())) }
    }

    /// Searches a sorted sequence, as [`slice::binary_search_by`] does. O(log² n).
    ///
    /// # Errors
    /// The index at which a matching element could be inserted, if there is none.
    pub fn binary_search_by<F: FnMut(&T) -> Ordering>(
        &self,
        mut compare: F,
    ) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match compare(&self[middle]) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Ok(middle),
                Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// Searches a sorted sequence, as [`slice::binary_search`] does. O(log² n).
    ///
    /// # Errors
    /// The index at which the value could be inserted, if it is absent.
    pub fn binary_search(&self, value: &T) -> Result<usize, usize>
    where
        T: Ord,
    {
        self.binary_search_by(|element| element.cmp(value))
    }
}

impl<T: Clone> PersistentVec<T> {
    /// Adds an element at the end. O(log n).
    pub fn push(&mut self, value: T) {
        if let Err(((), value)) = self.tree.push((), value) {
            self.insert(self.len(), value);
        }
    }

    /// Removes the last element. O(log n).
    pub fn pop(&mut self) -> Option<T> {
        let last = self.len().checked_sub(1)?;
        Some(self.remove(last))
    }

    /// Inserts an element, and moves those after it by one. O(log n).
    ///
    /// # Panics
    /// If `index > len`.
    #[track_caller]
    pub fn insert(&mut self, index: usize, value: T) {
        self.try_insert(index, value).unwrap_or_else(|_| out_of_memory(AllocError));
    }

    /// As [`insert`](Self::insert), but returns the element if there is no memory.
    ///
    /// # Errors
    /// The element.
    ///
    /// # Panics
    /// If `index > len`.
    #[track_caller]
    pub fn try_insert(&mut self, index: usize, value: T) -> Result<(), T> {
        assert!(index <= self.len(), "the index is {index}, the length {}", self.len());
        let place = self.tree.place_of(index);
        self.tree.insert_at(&place, (), value).map_err(|(_, (), value)| value)
    }

    /// Removes an element, and moves those after it by one. O(log n).
    ///
    /// # Panics
    /// If `index >= len`.
    #[track_caller]
    pub fn remove(&mut self, index: usize) -> T {
        assert!(index < self.len(), "the index is {index}, the length {}", self.len());
        let place = self.tree.place_of(index);
        self.tree.remove_at(&place).unwrap_or_else(|why| out_of_memory(why)).1
    }

    /// Returns the element at an index, for changes. Copies the nodes on the way if other versions share them. O(log
    /// n).
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        if index >= self.len() {
            return None;
        }
        let place = self.tree.place_of(index);
        Some(self.tree.get_mut(&place).unwrap_or_else(|why| out_of_memory(why)).1)
    }

    /// Swaps two elements. O(log n).
    ///
    /// # Panics
    /// If an index is not below `len`.
    #[track_caller]
    pub fn swap(&mut self, a: usize, b: usize) {
        // The nodes on the way to `b` are copied before anything changes: if `Clone` panics, nothing has changed.
        let second = self[b].clone();
        self.get_mut(b);
        let first = mem::replace(&mut self[a], second);
        self[b] = first;
    }

    /// Removes the elements from `index` on, and returns them. O(log n).
    ///
    /// # Panics
    /// If `index > len`.
    #[track_caller]
    #[must_use = "`truncate` drops the elements"]
    pub fn split_off(&mut self, index: usize) -> Self {
        let right = self.slice(index..);
        self.truncate(index);
        right
    }

    /// Removes the elements from `len` on. O(log n), and the destruction of what no other version shares.
    pub fn truncate(&mut self, len: usize) {
        if len < self.len() {
            *self = self.slice(..len);
        }
    }

    /// Returns a sequence of the elements with indices in a range, which shares their nodes. O(log n).
    ///
    /// # Panics
    /// If the range is out of bounds.
    #[track_caller]
    #[must_use]
    pub fn slice<R: RangeBounds<usize>>(&self, range: R) -> Self {
        let indices = indices(&range, self.len());
        Self { tree: self.tree.slice(indices).unwrap_or_else(|why| out_of_memory(why)) }
    }

    /// Moves all elements of `other` to the end of this sequence. O(log n).
    ///
    /// # Panics
    /// If there would be more than `usize::MAX / 2` elements, which is possible because they are shared.
    pub fn append(&mut self, other: &mut Self) {
        let joined = self.tree.join(&other.tree, |()| ());
        self.tree = joined.unwrap_or_else(|why| out_of_memory(why));
        other.clear();
    }

    /// Returns an iterator over the elements for changes. First copies all nodes that other versions share: O(n) then.
    pub fn iter_mut(&mut self) -> IterMut<'_, T> {
        let entries = self.tree.entries_mut(0..self.len());
        IterMut { entries: entries.unwrap_or_else(|why| out_of_memory(why)) }
    }

    /// Keeps the elements for which `keep` returns `true`, in order. O(n).
    pub fn retain<F: FnMut(&T) -> bool>(&mut self, mut keep: F) {
        let retained = self.tree.retain(|(), element| keep(element));
        retained.unwrap_or_else(|why| out_of_memory(why));
    }
}

impl<T> Clone for PersistentVec<T> {
    /// Returns a sequence that shares all nodes. O(1).
    ///
    /// # Panics
    /// If there are `isize::MAX` clones.
    fn clone(&self) -> Self {
        Self { tree: self.tree.clone() }
    }
}

impl<T> Default for PersistentVec<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for PersistentVec<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl<T: PartialEq> PartialEq for PersistentVec<T> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other)
    }
}

impl<T: Eq> Eq for PersistentVec<T> {}

impl<T: PartialOrd> PartialOrd for PersistentVec<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.iter().partial_cmp(other)
    }
}

impl<T: Ord> Ord for PersistentVec<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other)
    }
}

impl<T: Hash> Hash for PersistentVec<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_usize(self.len());
        self.iter().for_each(|element| element.hash(state));
    }
}

impl<T> Index<usize> for PersistentVec<T> {
    type Output = T;

    /// # Panics
    /// If `index >= len`.
    #[track_caller]
    fn index(&self, index: usize) -> &T {
        match self.get(index) {
            Some(element) => element,
            None => panic!("the index is {index}, the length {}", self.len()),
        }
    }
}

impl<T: Clone> IndexMut<usize> for PersistentVec<T> {
    /// # Panics
    /// If `index >= len`.
    #[track_caller]
    fn index_mut(&mut self, index: usize) -> &mut T {
        let len = self.len();
        match self.get_mut(index) {
            Some(element) => element,
            None => panic!("the index is {index}, the length {len}"),
        }
    }
}

impl<T: Clone> Extend<T> for PersistentVec<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, elements: I) {
        elements.into_iter().for_each(|element| self.push(element));
    }
}

impl<'a, T: Copy> Extend<&'a T> for PersistentVec<T> {
    fn extend<I: IntoIterator<Item = &'a T>>(&mut self, elements: I) {
        self.extend(elements.into_iter().copied());
    }
}

impl<T: Clone> FromIterator<T> for PersistentVec<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        let mut builder = TreeBuilder::new();
        let mut push = |element| builder.push((), element).unwrap_or_else(|why| out_of_memory(why));
        elements.into_iter().for_each(&mut push);
        Self { tree: builder.finish().unwrap_or_else(|why| out_of_memory(why)) }
    }
}

impl<T: Clone, const N: usize> From<[T; N]> for PersistentVec<T> {
    fn from(elements: [T; N]) -> Self {
        elements.into_iter().collect()
    }
}

iterator! {
    /// Iterates over the elements of a sequence, from both ends.
    Iter<T>, Elements<T>, ((), element) => element, &'a T
}
iterator_mut! {
    /// Iterates over the elements of a sequence for changes.
    IterMut<T>, Elements<T>, ((), element) => element, &'a mut T
}

into_iterator! {
    /// Iterates over the elements of a sequence by value. Elements that other versions share are cloned.
    IntoIter<T>, Elements<T>, ((), element) => element, T
}

impl<T: Clone> IntoIterator for PersistentVec<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter { entries: IntoEntries::new(self.tree) }
    }
}

impl<'a, T> IntoIterator for &'a PersistentVec<T> {
    type Item = &'a T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<'a, T: Clone> IntoIterator for &'a mut PersistentVec<T> {
    type Item = &'a mut T;
    type IntoIter = IterMut<'a, T>;

    fn into_iter(self) -> IterMut<'a, T> {
        self.iter_mut()
    }
}

teardown!(PersistentVec, Teardown<T>, Elements<T>, tree);
