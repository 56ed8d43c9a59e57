//! A walk that copies a few entries at a time, and so needs no memory: what `iter` and `iter_range` go by.
//!
//! As long as a leaf does not change the walk goes on in it; where it does, behind the last key that it has shown.

use super::leaf::BLOCK;
use super::range::copy_raw;
use super::rule::Rule;
use super::search::{Sought, Stand};
use super::tree::Tree;
use super::walk::{Part, Place};
use crate::api::failure::Failure;
use crate::sync::backoff::Backoff;
use core::mem::MaybeUninit;
use core::ops::Bound;

/// Where a walk is, and the entries that it has copied last.
pub(super) struct Few<'a, K, V> {
    /// Where to look if there is no part, or it has changed; None at the end.
    place: Option<Place<'a, K, V>>,
    part: Option<Part<'a, K, V>>,
    /// The first `len` are entries; those before `next` have been shown.
    some: [MaybeUninit<(K, V)>; BLOCK],
    next: usize,
    len: usize,
}

impl<K: Copy, V: Copy> Clone for Few<'_, K, V> {
    fn clone(&self) -> Self {
        Self { part: self.part.clone(), ..*self }
    }
}

impl<K: Copy, V: Copy> Few<'_, K, V> {
    pub(super) fn new(start: Bound<K>) -> Self {
        let place = Some(Place::new(start));
        Self { place, part: None, some: [MaybeUninit::uninit(); BLOCK], next: 0, len: 0 }
    }

    /// A walk that is over.
    pub(super) fn over() -> Self {
        Self { place: None, ..Self::new(Bound::Unbounded) }
    }

    /// The entries that have been copied, and not shown.
    #[inline(always)]
    pub(super) fn left(&self) -> &[(K, V)] {
        let left = &self.some[self.next..self.len];
        // SAFETY: the first `len` are entries.
        unsafe { core::slice::from_raw_parts(left.as_ptr().cast(), left.len()) }
    }

    /// The next of them.
    #[inline(always)]
    pub(super) fn pop(&mut self) -> Option<(K, V)> {
        let entry = *self.left().first()?;
        self.next += 1;
        Some(entry)
    }

    /// What comes behind all that has been shown; None at the end.
    pub(super) fn rest(&self) -> Option<Bound<K>> {
        // What was copied is shown one by one, the first at once.
        match self.some[..self.next].last() {
            // SAFETY: the first `len` are entries, and `next` is at most that.
            Some(shown) => Some(Bound::Excluded(unsafe { shown.assume_init() }.0)),
            None => self.place.map(|place| place.from),
        }
    }

    /// Forgets what it has copied from `end` on, and where it is in its leaf: the walk ends before `end` from now on.
    pub(super) fn end_before(&mut self, end: &K)
    where
        K: Ord,
    {
        self.len = self.next + self.left().partition_point(|(key, _)| key < end);
        self.part = None;
    }

    /// Copies what comes next of the part; false where it has come to its end, or has changed.
    #[inline(always)]
    fn copy(&mut self) -> bool {
        let Some(part) = &mut self.part else { return false };
        let (from, left) = (part.entries.start, part.entries.len());
        (self.next, self.len) = (0, 0);
        // Mostly as many as there is room for: a loop that turns a known number of times.
        if left >= BLOCK {
            copy_raw(part.leaf, from, &mut self.some);
        } else {
            copy_raw(part.leaf, from, &mut self.some[..left]);
        }
        if !part.leaf.is_as(part.look) {
            self.part = None;
            return false;
        }
        let some = left.min(BLOCK);
        part.entries.start += some;
        if some == 0 {
            self.place = part.next;
            self.part = None;
            return false;
        }
        // The leaf has not changed since it said that these are entries.
        self.len = some;
        // SAFETY: so the last one is a whole entry.
        let (last, _) = unsafe { self.some[some - 1].assume_init() };
        self.place = Some(Place::new(Bound::Excluded(last)));
        true
    }
}

impl<K: Copy + Ord, V: Copy, R: Rule<K>> Tree<K, V, R> {
    /// Copies the next entries up to `end`; false where there are no more.
    #[inline(always)]
    pub(super) fn next_few<'a>(
        &'a self,
        few: &mut Few<'a, K, V>,
        end: Bound<Sought<impl Stand<K>>>,
    ) -> Result<bool, Failure> {
        while !few.copy() {
            if !self.next_part(few, end)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn next_part<'a>(
        &'a self,
        few: &mut Few<'a, K, V>,
        end: Bound<Sought<impl Stand<K>>>,
    ) -> Result<bool, Failure> {
        let Some(place) = few.place else { return Ok(false) };
        few.part = self.part(place, end, &mut Backoff::spinning())?;
        if few.part.is_none() {
            few.place = None;
        }
        Ok(few.part.is_some())
    }

    /// Shows `f` all that is left.
    #[inline(always)]
    pub(super) fn fold_rest<'a, B>(
        &'a self,
        few: &mut Few<'a, K, V>,
        end: Bound<Sought<impl Stand<K>>>,
        init: B,
        mut f: impl FnMut(B, (K, V)) -> B,
    ) -> Result<B, Failure> {
        let mut folded = few.left().iter().copied().fold(init, &mut f);
        loop {
            if let Some(part) = few.part.take() {
                let shown;
                (folded, shown) = fold_part(&part, folded, &mut f);
                match shown {
                    Shown::All => few.place = part.next,
                    Shown::UpTo(last) => few.place = Some(Place::new(Bound::Excluded(last))),
                    Shown::Nothing => {}
                }
            }
            if !self.next_part(few, end)? {
                return Ok(folded);
            }
        }
    }
}

/// How far a part was shown before its leaf changed.
enum Shown<K> {
    All,
    UpTo(K),
    Nothing,
}

/// Shows `f` the part's entries, as long as its leaf does not change.
#[inline(always)]
fn fold_part<K: Copy, V: Copy, B>(
    part: &Part<'_, K, V>,
    mut folded: B,
    mut f: impl FnMut(B, (K, V)) -> B,
) -> (B, Shown<K>) {
    let (leaf, look, entries) = (part.leaf, part.look, &part.entries);
    let mut some = [MaybeUninit::uninit(); BLOCK];
    let (mut from, mut shown) = (entries.start, Shown::Nothing);
    while entries.end - from >= BLOCK {
        copy_raw(leaf, from, &mut some);
        if !leaf.is_as(look) {
            return (folded, shown);
        }
        for entry in some {
            // SAFETY: unchanged since the look, which said that these are entries.
            folded = f(folded, unsafe { entry.assume_init() });
        }
        // SAFETY: as above.
        shown = Shown::UpTo(unsafe { some[BLOCK - 1].assume_init() }.0);
        from += BLOCK;
    }
    let some = &mut some[..entries.end - from];
    copy_raw(leaf, from, some);
    if !leaf.is_as(look) {
        return (folded, shown);
    }
    for entry in some {
        // SAFETY: as above.
        folded = f(folded, unsafe { entry.assume_init() });
    }
    (folded, Shown::All)
}
