//! The functions that lookups pass to a table.
//!
//! Each has one type for a map and a kind of key. A closure written inside a method has the type parameters of that
//! method, the user's closure among them, so each call with another closure would have a copy of all code that the
//! closure is passed to.

use crate::bins::bin::EntryWords;
use core::mem::MaybeUninit;
use equivalent::Equivalent;

/// Compares a key with the one that a lookup is for.
#[inline(always)]
pub(super) fn is<K, Q: Equivalent<K> + ?Sized>(key: &Q) -> impl Fn(&K) -> bool + Copy {
    move |k| key.equivalent(k)
}

/// Returns the value of an entry.
#[inline(always)]
pub(super) fn value_of<K: Copy, V: Copy>(entry: EntryWords<'_, K, V>) -> MaybeUninit<V> {
    entry.value()
}
