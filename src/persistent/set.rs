//! `PersistentSet` and its iterators.

use super::map::{self, PersistentMap};
use super::take::teardown;
use core::borrow::Borrow;
use core::cmp::Ordering;
use core::fmt;
use core::hash::Hash;
use core::iter::{FusedIterator, Peekable};
use core::ops::{BitAnd, BitOr, BitXor, RangeBounds, Sub};

/// An ordered set as a value: a [`PersistentMap`] without values.
///
/// It has the methods of [`BTreeSet`](std::collections::BTreeSet), with the same meaning. Changes need `T: Clone`.
///
/// ```
/// use hedgerow::persistent::PersistentSet;
///
/// let mut online = PersistentSet::from(["ann", "bob"]);
/// let before = online.clone();
/// online.insert("eve");
/// online.remove("ann");
/// assert_eq!(online.difference(&before).collect::<Vec<_>>(), [&"eve"]);
/// ```
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersistentSet<T> {
    map: PersistentMap<T, ()>,
}

impl<T> PersistentSet<T> {
    /// Returns an empty set. Allocates nothing.
    pub const fn new() -> Self {
        Self { map: PersistentMap::new() }
    }

    /// Returns the number of elements. O(1).
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Returns whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Removes all elements. Other versions keep theirs.
    pub fn clear(&mut self) {
        self.map.clear();
    }

    /// Returns whether both are the same version, as [`PersistentMap::ptr_eq`] does. O(1).
    pub fn ptr_eq(&self, other: &Self) -> bool {
        self.map.ptr_eq(&other.map)
    }

    /// Returns the bytes that the nodes take from the allocator, including those that other versions share. O(n / 64).
    pub fn memory_bytes(&self) -> usize {
        self.map.memory_bytes()
    }

    /// Returns whether the set has an element. O(log n).
    pub fn contains<Q: Ord + ?Sized>(&self, value: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.map.contains_key(value)
    }

    /// Returns the element that is equal to `value`. O(log n).
    pub fn get<Q: Ord + ?Sized>(&self, value: &Q) -> Option<&T>
    where
        T: Borrow<Q>,
    {
        self.map.get_key_value(value).map(|(element, ())| element)
    }

    /// Returns the smallest element. O(log n).
    pub fn first(&self) -> Option<&T> {
        self.map.first_key_value().map(|(element, ())| element)
    }

    /// Returns the greatest element. O(log n).
    pub fn last(&self) -> Option<&T> {
        self.map.last_key_value().map(|(element, ())| element)
    }

    /// Returns the element with `index` smaller ones. O(log n).
    pub fn get_index(&self, index: usize) -> Option<&T> {
        self.map.get_index(index).map(|(element, ())| element)
    }

    /// Returns how many elements are less than `value`, and whether the set has it: `Ok` if so. O(log n).
    ///
    /// # Errors
    /// The index at which the element would be, if it is absent.
    pub fn rank<Q: Ord + ?Sized>(&self, value: &Q) -> Result<usize, usize>
    where
        T: Borrow<Q>,
    {
        self.map.rank(value)
    }

    /// Returns an iterator over the elements in their order, from both ends.
    pub fn iter(&self) -> Iter<'_, T> {
        self.map.keys()
    }

    /// Returns an iterator over the elements in a range. O(log n).
    ///
    /// # Panics
    /// As [`PersistentMap::range`].
    pub fn range<Q: Ord + ?Sized, R: RangeBounds<Q>>(&self, range: R) -> Range<'_, T>
    where
        T: Borrow<Q>,
    {
        Range { entries: self.map.range(range).entries }
    }
}

impl<T: Ord> PersistentSet<T> {
    /// Returns an iterator over the elements of either set, in order. O(n + m).
    pub fn union<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a T> + Clone {
        Merge::new(self, other).map(|(a, b)| a.or(b).expect("one of them"))
    }

    /// Returns an iterator over the elements of both sets, in order. O(n + m).
    pub fn intersection<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a T> + Clone {
        Merge::new(self, other).filter_map(|(a, b)| b.and(a))
    }

    /// Returns an iterator over the elements that `other` lacks, in order.
    ///
    /// Nodes that both sets share are skipped: for two versions it takes as long as there are changes between them.
    pub fn difference<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a T> + Clone {
        self.map.diff(&other.map).filter_map(|change| match change {
            map::DiffItem::Removed(element, ()) => Some(element),
            _ => None,
        })
    }

    /// Returns an iterator over the elements of exactly one set, in order. Skips shared nodes, as
    /// [`difference`](Self::difference) does.
    pub fn symmetric_difference<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl Iterator<Item = &'a T> + Clone {
        self.map.diff(&other.map).filter_map(|change| match change {
            map::DiffItem::Removed(element, ()) | map::DiffItem::Added(element, ()) => {
                Some(element)
            }
            map::DiffItem::Changed { .. } => None,
        })
    }

    /// Returns whether `other` has all elements of this set.
    pub fn is_subset(&self, other: &Self) -> bool {
        self.len() <= other.len() && self.difference(other).next().is_none()
    }

    /// Returns whether this set has all elements of `other`.
    pub fn is_superset(&self, other: &Self) -> bool {
        other.is_subset(self)
    }

    /// Returns whether the sets have no common element. O(n + m).
    pub fn is_disjoint(&self, other: &Self) -> bool {
        self.intersection(other).next().is_none()
    }
}

impl<T: Ord + Clone> PersistentSet<T> {
    /// Adds an element, unless the set has an equal one. Returns whether it did. O(log n).
    pub fn insert(&mut self, value: T) -> bool {
        self.map.insert(value, ()).is_none()
    }

    /// Removes an element. Returns whether it was present. O(log n).
    pub fn remove<Q: Ord + ?Sized>(&mut self, value: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.map.remove(value).is_some()
    }

    /// Removes an element, and returns it. O(log n).
    pub fn take<Q: Ord + ?Sized>(&mut self, value: &Q) -> Option<T>
    where
        T: Borrow<Q>,
    {
        self.map.remove_entry(value).map(|(element, ())| element)
    }

    /// Removes the smallest element. O(log n).
    pub fn pop_first(&mut self) -> Option<T> {
        self.map.pop_first().map(|(element, ())| element)
    }

    /// Removes the greatest element. O(log n).
    pub fn pop_last(&mut self) -> Option<T> {
        self.map.pop_last().map(|(element, ())| element)
    }

    /// Removes the element with `index` smaller ones. O(log n).
    pub fn remove_index(&mut self, index: usize) -> Option<T> {
        self.map.remove_index(index).map(|(element, ())| element)
    }

    /// Keeps the elements for which `keep` returns `true`.
    pub fn retain<F: FnMut(&T) -> bool>(&mut self, mut keep: F) {
        let retained = self.map.tree.retain(|element, ()| keep(element));
        retained.unwrap_or_else(|why| map::out_of_memory(why));
    }

    /// Removes the elements from `value` on, and returns them. O(log n).
    #[must_use = "`retain` drops the elements"]
    pub fn split_off<Q: Ord + ?Sized>(&mut self, value: &Q) -> Self
    where
        T: Borrow<Q>,
    {
        Self { map: self.map.split_off(value) }
    }

    /// Moves all elements of `other` into this set. O(log n) if all elements of one set are less than those of the
    /// other.
    pub fn append(&mut self, other: &mut Self) {
        self.map.append(&mut other.map);
    }
}

/// Iterates over the elements of a set in their order.
pub type Iter<'a, T> = map::Keys<'a, T, ()>;

/// Iterates over the elements of a set in a range.
pub type Range<'a, T> = map::Keys<'a, T, ()>;

/// Iterates over two sets in one order: each element with whether the sets have it.
struct Merge<'a, T> {
    left: Peekable<Iter<'a, T>>,
    right: Peekable<Iter<'a, T>>,
}

impl<T> Clone for Merge<'_, T> {
    fn clone(&self) -> Self {
        Self { left: self.left.clone(), right: self.right.clone() }
    }
}

impl<'a, T> Merge<'a, T> {
    fn new(left: &'a PersistentSet<T>, right: &'a PersistentSet<T>) -> Self {
        Self { left: left.iter().peekable(), right: right.iter().peekable() }
    }
}

impl<'a, T: Ord> Iterator for Merge<'a, T> {
    type Item = (Option<&'a T>, Option<&'a T>);

    fn next(&mut self) -> Option<Self::Item> {
        let order = match (self.left.peek(), self.right.peek()) {
            (Some(a), Some(b)) => a.cmp(b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return None,
        };
        let left = if order.is_le() { self.left.next() } else { None };
        Some((left, if order.is_ge() { self.right.next() } else { None }))
    }
}

/// Iterates over the elements of a set by value. Elements that other versions share are cloned.
pub struct IntoIter<T> {
    entries: map::IntoIter<T, ()>,
}

impl<T: Clone> Iterator for IntoIter<T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.entries.next().map(|(element, ())| element)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.entries.size_hint()
    }
}

impl<T: Clone> DoubleEndedIterator for IntoIter<T> {
    fn next_back(&mut self) -> Option<T> {
        self.entries.next_back().map(|(element, ())| element)
    }
}

impl<T: Clone> ExactSizeIterator for IntoIter<T> {}
impl<T: Clone> FusedIterator for IntoIter<T> {}

impl<T: Clone> IntoIterator for PersistentSet<T> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter { entries: self.map.into_iter() }
    }
}

impl<'a, T> IntoIterator for &'a PersistentSet<T> {
    type Item = &'a T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

impl<T> Clone for PersistentSet<T> {
    /// Returns a set that shares all nodes. O(1).
    ///
    /// # Panics
    /// If there are `isize::MAX` clones.
    fn clone(&self) -> Self {
        Self { map: self.map.clone() }
    }
}

impl<T> Default for PersistentSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for PersistentSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self).finish()
    }
}

impl<T: Ord + Clone> Extend<T> for PersistentSet<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, elements: I) {
        for element in elements {
            self.insert(element);
        }
    }
}

impl<'a, T: Ord + Copy> Extend<&'a T> for PersistentSet<T> {
    fn extend<I: IntoIterator<Item = &'a T>>(&mut self, elements: I) {
        self.extend(elements.into_iter().copied());
    }
}

impl<T: Ord + Clone> FromIterator<T> for PersistentSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        let mut set = Self::new();
        set.extend(elements);
        set
    }
}

impl<T: Ord + Clone, const N: usize> From<[T; N]> for PersistentSet<T> {
    fn from(elements: [T; N]) -> Self {
        elements.into_iter().collect()
    }
}

/// Implements an operator of two sets by a method that iterates over the result.
macro_rules! operator {
    ($operator:ident, $function:ident, $method:ident) => {
        impl<T: Ord + Clone> $operator for &PersistentSet<T> {
            type Output = PersistentSet<T>;

            #[doc = concat!("As [`", stringify!($method), "`](PersistentSet::", stringify!($method), ").")]
            fn $function(self, other: Self) -> PersistentSet<T> {
                self.$method(other).cloned().collect()
            }
        }
    };
}

operator!(BitOr, bitor, union);
operator!(BitAnd, bitand, intersection);
operator!(BitXor, bitxor, symmetric_difference);
operator!(Sub, sub, difference);

teardown!(PersistentSet, Teardown<T>, map::Pairs<T, ()>, map.tree);
