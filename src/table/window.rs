//! A window of keys looked up together.
//!
//! A look-up that misses the caches waits for memory twice: for the head of the bin, then for the entry.
//! A batch asks for all heads of a window of keys before it looks at the first, and for all entries
//! before it reads the first, so that the waits overlap. (Chen, Ailamaki, Gibbons and Mowry call this
//! group prefetching: *Improving hash join performance through prefetching*, 2004.)

use super::Table;
use super::bin::{Bin, Entry};
use super::read::Unclear;
use super::tags::{Depth, Hash, Tags};
use crate::sync::backoff::Backoff;
use crate::sync::seqlock::State;
use core::mem::MaybeUninit;

/// Keys that are under way at a time: about as many lines as a core can wait for at once.
pub(crate) const WINDOW: usize = 16;

/// A key between two passes.
#[derive(Clone, Copy)]
pub(crate) struct Step<'a, K: Copy, V: Copy> {
    hash: Hash,
    bin: Bin<'a, K, V>,
    depth: Depth,
    state: State,
    tags: Tags,
}

impl<K: Copy, V: Copy> Table<K, V> {
    /// Looks up the keys of one window; `eq` and `answer` are told their places in it. `touch` is shown the
    /// entries that are probably meant, before any is read, to ask for what they lead to.
    #[inline]
    pub(crate) fn get_window<R>(
        &self,
        hashes: &[Hash],
        eq: impl Fn(usize, &K) -> bool + Copy,
        read: impl Fn(Entry<'_, K, V>) -> MaybeUninit<R> + Copy,
        touch: impl Fn(Entry<'_, K, V>) + Copy,
        mut answer: impl FnMut(usize, Option<R>),
    ) {
        let Some(steps) = self.set_out(hashes) else {
            return (0..hashes.len()).for_each(|at| answer(at, None));
        };
        for step in &steps[..hashes.len()] {
            let slots = step.tags.matches(step.hash);
            if !slots.is_empty() {
                touch(step.bin.entry(slots.lowest()));
            }
        }
        for (at, step) in steps.iter().enumerate().take(hashes.len()) {
            let Step { hash, bin, depth, state, tags } = *step;
            let found = Table::get_at(bin, depth, state, tags, hash, |key| eq(at, key), read);
            let found = found.unwrap_or_else(|Unclear| {
                let mut backoff = Backoff::spinning();
                self.get_slowly(hash, |key| eq(at, key), read, &mut backoff).unwrap_or(None)
            });
            answer(at, found);
        }
    }

    /// Asks for the lines that the keys of a window will need: all heads, then all entries. None for a
    /// table without bins.
    #[inline]
    pub(crate) fn set_out(&self, hashes: &[Hash]) -> Option<[Step<'_, K, V>; WINDOW]> {
        let directory = self.directory()?;
        let (bin, depth) = directory.locate(*hashes.first()?);
        let state = State::default();
        let mut steps =
            [Step { hash: hashes[0], bin, depth, state, tags: Tags::empty(depth) }; WINDOW];
        for (step, &hash) in steps.iter_mut().zip(hashes) {
            let (bin, depth) = directory.locate(hash);
            bin.prefetch_head();
            (step.hash, step.bin, step.depth) = (hash, bin, depth);
        }
        for step in steps.iter_mut().take(hashes.len()) {
            (step.state, step.tags) = (step.bin.seq().begin(), step.bin.tags());
            let slots = step.tags.matches(step.hash);
            if !slots.is_empty() {
                step.bin.prefetch_entry(slots.lowest());
            }
        }
        Some(steps)
    }
}
