//! A window of keys looked up together (see [`batch`](crate::api::batch)).
//!
//! A lookup that misses the caches waits for memory twice: for the head of the bin, then for the entry. A batch
//! prefetches the heads of all keys of a window before it reads the first, and all entries before it reads the first.

use super::Table;
use crate::api::batch::WINDOW;
use crate::api::hash::KeyHash;
use crate::bins::bin::{Bin, EntryWords};
use crate::bins::layout::Layout;
use crate::bins::tags::{Depth, TagMatches};
use crate::facade::IN_USERS_MODEL;
use crate::sync::backoff::Backoff;
use crate::sync::seqlock::StateWord;
use core::mem::MaybeUninit;

/// The largest size in bytes of a table whose bins are in a cache of the core. There the processor itself overlaps
/// lookups that follow each other, and a window's passes only take instructions: 1.6 times as many.
const CACHED_BYTES: usize = 512 * 1024;

/// A key's bin as the first pass read it.
#[derive(Clone, Copy)]
struct Step<'a, K, V> {
    bin: Bin<'a, K, V>,
    depth: Depth,
    state: StateWord,
    slots: TagMatches,
    /// Whether the key is absent if no slot matches.
    sure: bool,
}

/// Space for the steps of a window. The initialized ones come first.
type Steps<'a, K, V> = [MaybeUninit<Step<'a, K, V>>; WINDOW];

impl<K: Copy, V: Copy> Table<K, V> {
    /// Whether the table is so small that prefetching does not pay.
    #[inline]
    pub(crate) fn is_in_cache(&self) -> bool {
        let bytes = Layout::<K, V>::BIN * size_of::<usize>();
        self.directory().is_none_or(|directory| directory.reach() <= CACHED_BYTES / bytes)
    }

    /// Looks up the keys of one window, with the answers that one lookup after the other would give. `eq` and `answer`
    /// get the number of a key in the window. `touch` is called with the entries that are probably the keys', before
    /// any is read, to prefetch what they refer to.
    ///
    /// The first pass reads the bins in the order of the keys, so answers that depend on these reads alone are in that
    /// order. An answer of `get_slowly` is newer than the first pass. After one, the results of the first pass must
    /// still hold: every found entry is validated anyway, and `get_rest` validates absences too.
    // The loops go over slices: if the compiler knew the number of steps, it would unroll them and run out of
    // registers.
    #[inline(always)]
    pub(crate) fn get_window<R>(
        &self,
        hashes: &[KeyHash],
        eq: impl Fn(usize, &K) -> bool + Copy,
        read: impl Fn(EntryWords<'_, K, V>) -> MaybeUninit<R> + Copy,
        touch: impl Fn(EntryWords<'_, K, V>) + Copy,
        mut answer: impl FnMut(usize, Option<R>),
    ) {
        if IN_USERS_MODEL {
            // Other threads may write between the lookups.
            for (at, &hash) in hashes.iter().enumerate() {
                let found =
                    self.get_slowly(hash, |key| eq(at, key), read, &mut Backoff::spinning());
                answer(at, found.unwrap_or(None));
            }
            return;
        }
        let mut room = [const { MaybeUninit::uninit() }; WINDOW];
        let Some(steps) = self.prefetch_steps(hashes, &mut room) else {
            return (0..hashes.len()).for_each(|at| answer(at, None));
        };
        for Step { bin, slots, .. } in steps {
            if !slots.is_empty() {
                touch(bin.entry(slots.lowest()));
            }
        }
        for (at, &Step { bin, state, slots, sure, .. }) in steps.iter().enumerate() {
            // The tags answer an absence by themselves, as in `get_at`.
            if slots.is_empty() && sure {
                answer(at, None);
                continue;
            }
            if !slots.is_empty()
                && let Ok(Some(found)) =
                    bin.check(state, bin.entry(slots.lowest()), |key| eq(at, key), read)
            {
                answer(at, Some(found));
                continue;
            }
            return self.get_rest(steps, at, hashes, eq, read, answer);
        }
    }

    /// Looks up the keys of a window from number `first` on, the first that needs `get_slowly`.
    #[inline(never)]
    fn get_rest<R>(
        &self,
        steps: &[Step<'_, K, V>],
        first: usize,
        hashes: &[KeyHash],
        eq: impl Fn(usize, &K) -> bool + Copy,
        read: impl Fn(EntryWords<'_, K, V>) -> MaybeUninit<R> + Copy,
        mut answer: impl FnMut(usize, Option<R>),
    ) {
        for (at, &Step { bin, state, slots, sure, .. }) in steps.iter().enumerate().skip(first) {
            // An answer before this one may be newer than these tags; the key must still be absent.
            if slots.is_empty() && sure && bin.seq().validate(state) {
                answer(at, None);
                continue;
            }
            if !slots.is_empty()
                && let Ok(Some(found)) =
                    bin.check(state, bin.entry(slots.lowest()), |key| eq(at, key), read)
            {
                answer(at, Some(found));
                continue;
            }
            let mut backoff = Backoff::spinning();
            let found = self.get_slowly(hashes[at], |key| eq(at, key), read, &mut backoff);
            answer(at, found.unwrap_or(None));
        }
    }

    /// Prefetches the lines that lookups of the keys of a window need.
    #[inline]
    pub(crate) fn prefetch_window(&self, hashes: &[KeyHash]) {
        self.prefetch_steps(hashes, &mut [const { MaybeUninit::uninit() }; WINDOW]);
    }

    /// Prefetches all heads, then all entries. Returns None for a table without bins.
    #[inline(always)]
    fn prefetch_steps<'a, 's>(
        &'a self,
        hashes: &[KeyHash],
        room: &'s mut Steps<'a, K, V>,
    ) -> Option<&'s [Step<'a, K, V>]> {
        let directory = self.directory()?;
        let (state, slots, sure) = (StateWord::default(), TagMatches::none(), false);
        for (step, &hash) in room.iter_mut().zip(hashes) {
            let (bin, depth) = directory.locate(hash);
            bin.prefetch_head();
            step.write(Step { bin, depth, state, slots, sure });
        }
        let count = hashes.len().min(WINDOW);
        let written = &raw mut room[..count];
        // SAFETY: the loop has initialized the first `count` steps, and `room` stays borrowed as long as they are. The
        // method `assume_init_mut` of slices needs Rust 1.93.
        let steps = unsafe { &mut *(written as *mut [Step<'a, K, V>]) };
        for (step, &hash) in steps.iter_mut().zip(hashes) {
            let tags;
            (step.state, tags) = (step.bin.seq().begin(), step.bin.tags());
            step.slots = tags.matches(hash);
            if step.slots.is_empty() {
                step.sure = !tags.may_overflow(hash) && tags.depth() == step.depth;
            } else {
                step.bin.prefetch_entry(step.slots.lowest());
            }
        }
        Some(steps)
    }
}
