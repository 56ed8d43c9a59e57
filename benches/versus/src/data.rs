//! The content of keys and values: numbers, rows of numbers, or text.
//!
//! Maps own their data; a look-up passes a view of a key, and an insertion makes
//! the map's own data from views.

use std::borrow::Borrow;
use std::hash::Hash;

use crate::keys;

/// A key or a value, as a map owns it.
pub trait Datum: Borrow<Self::View> + Clone + Hash + Eq + Ord + Send + Sync + 'static {
    /// The borrowed form that a caller has.
    type View: ?Sized + Hash + Eq + Ord + ToOwned<Owned = Self>;
    /// A view as the slices hold it that are given to batches.
    type Listed<'a>: Copy + Borrow<Self::View>;
}

/// The borrowed form of a `D` that a caller has.
pub type View<D> = <D as Datum>::View;

/// The form of a `D` in batches.
pub type Listed<'a, D> = <D as Datum>::Listed<'a>;

impl Datum for u64 {
    type View = Self;
    type Listed<'a> = Self;
}

impl<const N: usize> Datum for [u64; N] {
    type View = Self;
    type Listed<'a> = Self;
}

impl Datum for String {
    type View = str;
    type Listed<'a> = &'a str;
}

/// A value made of words, which can be told from a wrong one by its key.
pub trait Word: Datum<View = Self> + Copy {
    /// A value for `key`; the stamp is free.
    fn new(key: u64, stamp: u64) -> Self;
    /// Reads all of it, and returns the number of its key.
    fn look(&self) -> u64;
    /// The same with the next stamp.
    #[must_use]
    fn bumped(&self) -> Self;
    /// The stamp.
    fn stamp(&self) -> u64;
}

impl Word for u64 {
    #[inline]
    fn new(key: u64, stamp: u64) -> Self {
        keys::value(key, stamp)
    }

    #[inline]
    fn look(&self) -> u64 {
        self & 0xffff_ffff
    }

    #[inline]
    fn bumped(&self) -> Self {
        self.wrapping_add(1 << 32)
    }

    #[inline]
    fn stamp(&self) -> u64 {
        self >> 32
    }
}

impl<const N: usize> Word for [u64; N] {
    /// The first word is as a lone one's, the others have the stamp only.
    #[inline]
    fn new(key: u64, stamp: u64) -> Self {
        let mut words = [stamp << 32; N];
        words[0] = keys::value(key, stamp);
        words
    }

    #[inline]
    fn look(&self) -> u64 {
        self.iter().map(Word::look).sum()
    }

    #[inline]
    fn bumped(&self) -> Self {
        self.map(|word| word.bumped())
    }

    #[inline]
    fn stamp(&self) -> u64 {
        self[0].stamp()
    }
}
