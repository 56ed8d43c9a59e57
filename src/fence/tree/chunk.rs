//! A walk that copies a few entries at a time and so allocates nothing, for `iter` and `iter_range`.
//!
//! As long as a leaf does not change, the walk goes on in it. If it has changed, the walk searches for the key after
//! the last one that it has returned.

use super::descent::FenceTree;
use super::leaf::{BLOCK, LeafChanged};
use super::policy::KeyPolicy;
use super::range::copy_raw;
use super::search::{CompareKey, SearchKey};
use super::walk::{LeafPart, Resume};
use crate::api::failure::Failure;
use crate::sync::backoff::Backoff;
use core::mem::MaybeUninit;
use core::ops::Bound;

/// The position of a walk, and the entries that it copied last.
pub(crate) struct Chunk<'a, K, V> {
    /// Where the walk goes on if there is no part, or if its leaf has changed. None at the end.
    resume: Option<Resume<'a, K, V>>,
    part: Option<LeafPart<'a, K, V>>,
    /// The first `len` places have entries. The walk has returned those before `next`.
    entries: [MaybeUninit<(K, V)>; BLOCK],
    next: usize,
    len: usize,
}

impl<K: Copy, V: Copy> Clone for Chunk<'_, K, V> {
    fn clone(&self) -> Self {
        Self { part: self.part.clone(), ..*self }
    }
}

impl<K: Copy, V: Copy> Chunk<'_, K, V> {
    pub(crate) fn new(start: Bound<K>) -> Self {
        let resume = Some(Resume::new(start));
        Self { resume, part: None, entries: [MaybeUninit::uninit(); BLOCK], next: 0, len: 0 }
    }

    /// Returns a walk that is over.
    pub(crate) fn finished() -> Self {
        Self { resume: None, ..Self::new(Bound::Unbounded) }
    }

    /// Returns the copied entries that the walk has yet to return.
    #[inline(always)]
    pub(crate) fn remaining(&self) -> &[(K, V)] {
        let remaining = &self.entries[self.next..self.len];
        // SAFETY: `copy` has initialized the first `len` places.
        unsafe { core::slice::from_raw_parts(remaining.as_ptr().cast(), remaining.len()) }
    }

    /// Takes the first of them.
    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Option<(K, V)> {
        let entry = *self.remaining().first()?;
        self.next += 1;
        Some(entry)
    }

    /// Returns where the entries begin that the walk has yet to return. None at the end.
    pub(crate) fn rest_start(&self) -> Option<Bound<K>> {
        // The callers take the first entry of a chunk as soon as it is copied, so `resume` is not past it.
        match self.entries[..self.next].last() {
            // SAFETY: `copy` has initialized the first `len` places, and `next` is at most `len`.
            Some(shown) => Some(Bound::Excluded(unsafe { shown.assume_init() }.0)),
            None => self.resume.map(|resume| resume.from),
        }
    }

    /// Ends the walk before `end`: drops the copied entries from there on. The caller searches from now on.
    pub(crate) fn end_before(&mut self, end: &K)
    where
        K: Ord,
    {
        self.len = self.next + self.remaining().partition_point(|(key, _)| key < end);
        self.part = None;
    }

    /// Copies the next entries of the part. False if the part is at its end, or its leaf has changed.
    #[inline(always)]
    fn copy(&mut self) -> bool {
        let Some(part) = &mut self.part else { return false };
        let (from, remaining) = (part.entries.start, part.entries.len());
        (self.next, self.len) = (0, 0);
        // Mostly a whole block is left. That loop has a constant length, and the compiler unrolls it.
        if remaining >= BLOCK {
            copy_raw(part.leaf, from, &mut self.entries);
        } else {
            copy_raw(part.leaf, from, &mut self.entries[..remaining]);
        }
        if !part.leaf.validate(part.version) {
            self.part = None;
            return false;
        }
        let copied = remaining.min(BLOCK);
        part.entries.start += copied;
        if copied == 0 {
            self.resume = part.next;
            self.part = None;
            return false;
        }
        self.len = copied;
        // SAFETY: unchanged since `version`, which says that these are entries, so the last one is initialized.
        let (last, _) = unsafe { self.entries[copied - 1].assume_init() };
        self.resume = Some(Resume::new(Bound::Excluded(last)));
        true
    }
}

impl<K: Copy + Ord, V: Copy, R: KeyPolicy<K>> FenceTree<K, V, R> {
    /// Copies the next entries up to `end`. False if there are none.
    #[inline(always)]
    pub(crate) fn next_chunk<'a>(
        &'a self,
        chunk: &mut Chunk<'a, K, V>,
        end: Bound<SearchKey<impl CompareKey<K>>>,
    ) -> Result<bool, Failure> {
        while !chunk.copy() {
            if !self.next_part(chunk, end)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn next_part<'a>(
        &'a self,
        chunk: &mut Chunk<'a, K, V>,
        end: Bound<SearchKey<impl CompareKey<K>>>,
    ) -> Result<bool, Failure> {
        let Some(resume) = chunk.resume else { return Ok(false) };
        let _operation = self.scheduled.operation();
        chunk.part = loop {
            match self.part(resume, end, &mut Backoff::spinning())?.map(Self::part_of_a_step) {
                Some(Err(LeafChanged)) => {}
                part => break part.and_then(Result::ok),
            }
        };
        if chunk.part.is_none() {
            chunk.resume = None;
        }
        Ok(chunk.part.is_some())
    }

    /// Passes all remaining entries to `f`.
    #[inline(always)]
    pub(crate) fn fold_rest<'a, B>(
        &'a self,
        chunk: &mut Chunk<'a, K, V>,
        end: Bound<SearchKey<impl CompareKey<K>>>,
        init: B,
        mut f: impl FnMut(B, (K, V)) -> B,
    ) -> Result<B, Failure> {
        let mut folded = chunk.remaining().iter().copied().fold(init, &mut f);
        loop {
            if let Some(part) = chunk.part.take() {
                let shown;
                (folded, shown) = fold_part(&part, folded, &mut f);
                match shown {
                    ChunkProgress::All => chunk.resume = part.next,
                    ChunkProgress::UpTo(last) => {
                        chunk.resume = Some(Resume::new(Bound::Excluded(last)));
                    }
                    ChunkProgress::Nothing => {}
                }
            }
            if !self.next_part(chunk, end)? {
                return Ok(folded);
            }
        }
    }
}

/// How much of a part was passed on before its leaf changed.
enum ChunkProgress<K> {
    All,
    UpTo(K),
    Nothing,
}

/// Passes the part's entries to `f` as long as its leaf does not change.
#[inline(always)]
fn fold_part<K: Copy, V: Copy, B>(
    part: &LeafPart<'_, K, V>,
    mut folded: B,
    mut f: impl FnMut(B, (K, V)) -> B,
) -> (B, ChunkProgress<K>) {
    let (leaf, version, entries) = (part.leaf, part.version, &part.entries);
    let mut copied = [MaybeUninit::uninit(); BLOCK];
    let (mut from, mut shown) = (entries.start, ChunkProgress::Nothing);
    while entries.end - from >= BLOCK {
        copy_raw(leaf, from, &mut copied);
        if !leaf.validate(version) {
            return (folded, shown);
        }
        for entry in copied {
            // SAFETY: unchanged since `version`, which says that these are entries.
            folded = f(folded, unsafe { entry.assume_init() });
        }
        // SAFETY: as above.
        shown = ChunkProgress::UpTo(unsafe { copied[BLOCK - 1].assume_init() }.0);
        from += BLOCK;
    }
    let copied = &mut copied[..entries.end - from];
    copy_raw(leaf, from, copied);
    if !leaf.validate(version) {
        return (folded, shown);
    }
    for entry in copied {
        // SAFETY: as above.
        folded = f(folded, unsafe { entry.assume_init() });
    }
    (folded, ChunkProgress::All)
}
