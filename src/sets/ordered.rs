//! Sets that keep their elements in order.

use super::{ElementRef, common};
use crate::error::TryInsertError;
use crate::fence::{ByType, FenceMap, Keys, OrdMap, Ranking};
use crate::owned::{Collector, Removed};
use core::borrow::Borrow;
use core::ops::{Deref, RangeBounds};
use equivalent::Comparable;

/// A concurrent ordered set for `Copy` elements, whose lookups take no lock: a [`FenceMap`] without values.
///
/// ```
/// let set: hedgerow::FenceSet<u32> = [9, 7, 8].into();
/// assert_eq!((set.first(), set.range(8..).collect::<Vec<_>>()), (Some(7), vec![8, 9]));
/// ```
pub struct FenceSet<T, R = ByType> {
    pub(super) map: FenceMap<T, (), R>,
}

/// A concurrent ordered set for elements of any type, whose lookups take no lock: an [`OrdMap`] without values.
///
/// ```
/// let set: hedgerow::OrdSet<String> = ["rose".into(), "briar".into()].into();
/// assert_eq!(set.first().unwrap().as_str(), "briar");
/// ```
pub struct OrdSet<T, R = ByType> {
    pub(super) map: OrdMap<T, (), R>,
}

/// Writes the operations that use the order. They return `$element`, which `$make` makes of an entry, and for removed
/// elements `$removed`.
macro_rules! ordered {
    ($set:ident<$t:ident, $r:ident>, $map:ident, $example:literal; where [$($any:tt)*] [$($read:tt)*];
     $element:ty, $make:expr; $removed:ty, $taken:expr; $value:literal) => {
        impl<$t> $set<$t>
        where
            $($any)*
        {
            /// Returns an empty set; allocates nothing.
            ///
            #[doc = concat!("```\nassert!(<hedgerow::", $example, ">::new().is_empty());\n```")]
            #[must_use]
            pub const fn new() -> Self {
                Self { map: $map::new() }
            }
        }

        impl<$t, $r> $set<$t, $r>
        where
            $($any)*
        {
            /// Returns an empty set that ranks its elements by `ranking`: see [`Ranking`].
            ///
            #[doc = concat!("```\nlet set = <hedgerow::", $example, ">::with_ranking(hedgerow::fence::ByType);")]
            /// assert!(set.insert(7));
            /// ```
            #[must_use]
            pub const fn with_ranking(ranking: $r) -> Self {
                Self { map: $map::with_ranking(ranking) }
            }
        }

        impl<$t, $r> $set<$t, $r>
        where
            $($read)*
        {
            /// Returns the least element: see `first_key_value` of the map.
            ///
            #[doc = concat!("```\nlet set: hedgerow::", $example, " = [7, 8].into();")]
            #[doc = concat!("assert_eq!(set.first().map(", $value, "), Some(7));\n```")]
            pub fn first(&self) -> Option<$element> {
                self.map.first_key_value().map($make)
            }

            /// Returns the greatest element: see `last_key_value` of the map.
            ///
            #[doc = concat!("```\nlet set: hedgerow::", $example, " = [7, 8].into();")]
            #[doc = concat!("assert_eq!(set.last().map(", $value, "), Some(8));\n```")]
            pub fn last(&self) -> Option<$element> {
                self.map.last_key_value().map($make)
            }

            /// Removes and returns the least element: see `pop_first` of the map.
            ///
            #[doc = concat!("```\nlet set: hedgerow::", $example, " = [7, 8].into();")]
            /// assert!(set.pop_first().is_some() && !set.contains(&7));
            /// ```
            pub fn pop_first(&self) -> Option<$removed> {
                self.map.pop_first().map($taken)
            }

            /// Removes and returns the greatest element: see `pop_last` of the map.
            ///
            #[doc = concat!("```\nlet set: hedgerow::", $example, " = [7, 8].into();")]
            /// assert!(set.pop_last().is_some() && !set.contains(&8));
            /// ```
            pub fn pop_last(&self) -> Option<$removed> {
                self.map.pop_last().map($taken)
            }
        }
    };
}

ordered! { FenceSet<T, R>, FenceMap, "FenceSet<u32>"; where [T: Copy,] [T: Ord + Copy, R: Ranking<T>,];
T, |(value, ())| value; T, |(value, ())| value; "|n| n" }
ordered! { OrdSet<T, R>, OrdMap, "OrdSet<u32>"; where [] [T: Ord, R: Ranking<T>,];
ElementRef<'_, T>, ElementRef::new; Removed<'_, T, ()>, core::convert::identity; "|n| *n" }

impl<T: Ord + Copy, R: Ranking<T>> FenceSet<T, R> {
    /// Returns a consistent snapshot of the elements within `bounds`, in order: see [`FenceMap::range`].
    ///
    /// ```
    /// let set: hedgerow::FenceSet<u32> = [7, 8, 9].into();
    /// assert!(set.range(8..).rev().eq([9, 8]));
    /// ```
    pub fn range(&self, bounds: impl RangeBounds<T>) -> impl DoubleEndedIterator<Item = T> {
        self.map.range(bounds).map(|(value, ())| value)
    }

    /// Returns an iterator over the elements in order, a few at a time: see [`FenceMap::iter`].
    ///
    /// ```
    /// let set: hedgerow::FenceSet<u32> = [8, 7].into();
    /// assert!(set.iter().eq([7, 8]));
    /// ```
    pub fn iter(&self) -> Keys<'_, T, (), R> {
        self.map.keys()
    }

    /// Returns an iterator that removes the elements for which `wanted` returns true, one by one and in order: see
    /// [`FenceMap::extract_if`].
    ///
    /// ```
    /// let set: hedgerow::FenceSet<u32> = [7, 8].into();
    /// assert_eq!((set.extract_if(|n| *n == 7).count(), set.len()), (1, 1));
    /// ```
    pub fn extract_if(&self, mut wanted: impl FnMut(&T) -> bool) -> impl Iterator<Item = T> {
        self.map.extract_if(move |value, ()| wanted(value)).map(|(value, ())| value)
    }

    /// Returns an iterator that removes all elements, one by one and in order: see [`FenceMap::drain`].
    ///
    /// ```
    /// let set: hedgerow::FenceSet<u32> = [8, 7].into();
    /// assert!(set.drain().eq([7, 8]) && set.is_empty());
    /// ```
    pub fn drain(&self) -> impl Iterator<Item = T> {
        self.map.drain().map(|(value, ())| value)
    }
}

impl<T, R> OrdSet<T, R> {
    /// Returns the set with this [`Collector`], as [`OrdMap::with_collector`] does.
    ///
    /// ```
    /// use hedgerow::owned::Collector;
    /// let set = hedgerow::OrdSet::from([7]).with_collector(&Collector::new());
    /// assert!(set.as_map().collector().is_some());
    /// ```
    #[must_use]
    pub fn with_collector(self, collector: &Collector) -> Self {
        Self { map: self.map.with_collector(collector) }
    }
}

impl<T: Ord, R: Ranking<T>> OrdSet<T, R> {
    /// Returns the element that is equal to `value`, with a guard of its own: see [`OrdMap::get`].
    ///
    /// ```
    /// let set: hedgerow::OrdSet<String> = ["rose".into()].into();
    /// assert_eq!(set.get("rose").unwrap().as_str(), "rose");
    /// ```
    pub fn get<Q>(&self, value: &Q) -> Option<ElementRef<'_, T>>
    where
        Q: Comparable<T> + ?Sized,
        R: Ranking<Q>,
    {
        self.map.get(value).map(ElementRef::new)
    }

    /// Removes the element that is equal to `value` and returns it: see [`OrdMap::remove`].
    ///
    /// ```
    /// let set: hedgerow::OrdSet<String> = ["rose".into()].into();
    /// assert_eq!(set.take("rose").unwrap().key(), "rose");
    /// ```
    pub fn take<Q>(&self, value: &Q) -> Option<Removed<'_, T, ()>>
    where
        Q: Comparable<T> + ?Sized,
        R: Ranking<Q>,
    {
        self.map.remove(value)
    }

    /// Returns a consistent snapshot of the elements within `bounds`, in order: see [`OrdMap::range`].
    ///
    /// ```
    /// let set: hedgerow::OrdSet<u32> = [7, 8, 9].into();
    /// assert!(set.range(8..).rev().map(|n| *n).eq([9, 8]));
    /// ```
    pub fn range<Q, B>(&self, bounds: B) -> impl DoubleEndedIterator<Item = ElementRef<'_, T>>
    where
        T: Borrow<Q>,
        Q: Ord + ?Sized,
        B: RangeBounds<Q>,
        R: Ranking<Q>,
    {
        self.map.range(bounds).map(ElementRef::new)
    }

    /// Returns an iterator over the elements in order, a few at a time: see [`OrdMap::iter`].
    ///
    /// ```
    /// let set: hedgerow::OrdSet<u32> = [8, 7].into();
    /// assert!(set.iter().map(|n| *n).eq([7, 8]));
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = ElementRef<'_, T>> {
        self.map.iter().map(ElementRef::new)
    }

    /// Returns an iterator that removes the elements for which `wanted` returns true, one by one and in order: see
    /// [`OrdMap::extract_if`].
    ///
    /// ```
    /// let set: hedgerow::OrdSet<u32> = [7, 8].into();
    /// assert_eq!((set.extract_if(|n| *n == 7).count(), set.len()), (1, 1));
    /// ```
    pub fn extract_if(
        &self,
        mut wanted: impl FnMut(&T) -> bool,
    ) -> impl Iterator<Item = Removed<'_, T, ()>> {
        self.map.extract_if(move |value, ()| wanted(value))
    }

    /// Returns an iterator that removes all elements, one by one and in order: see [`OrdMap::drain`].
    ///
    /// ```
    /// let set: hedgerow::OrdSet<u32> = [8, 7].into();
    /// assert!(set.drain().map(|removed| *removed.key()).eq([7, 8]) && set.is_empty());
    /// ```
    pub fn drain(&self) -> impl Iterator<Item = Removed<'_, T, ()>> {
        self.map.drain()
    }
}

common! { FenceSet<T, R>, FenceMap, "FenceSet<u32>";
where [T: Copy,] [T: Ord + Copy, R: Ranking<T>,] [T: Ord + Copy, R: Ranking<T>,] [T: Ord + Copy, R: Ranking<T>,];
found by Q [Q: Comparable<T> + ?Sized, R: Ranking<Q>,];
core::convert::identity }
common! { OrdSet<T, R>, OrdMap, "OrdSet<u32>";
where [] [T: Ord, R: Ranking<T>,] [T: Ord, R: Ranking<T>,] [T: Ord + Clone, R: Ranking<T>,];
found by Q [Q: Comparable<T> + ?Sized, R: Ranking<Q>,];
ElementRef::deref }
