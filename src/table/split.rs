//! Moving some of a bin's keys, or all of them, to uninitialized bins.
//!
//! # Synchronization
//! The order of stores is what makes this correct (the models beside this file check it):
//! 1. `[SP-1]` the children's entries and states, relaxed: no thread reads them, because the bins are uninitialized;
//! 2. `[SP-2]` the parent's tags, in one release store: without the moved tags and one deeper (or `MOVED`);
//! 3. `[SP-3]` the children's tags, each in one release store: initialized, with all their entries;
//! 4. the parent's state, unlocked and one version on (`[SL-3]`);
//! 5. only then the parent's spare lines return to the pool.
//!
//! If the children were published before the parent's tags, a writer could insert a key into a child while a reader
//! whose old hint names the parent finds the key absent there. Between steps 2 and 3 a moved key is in neither bin, and
//! its lookup waits for the splitting thread. This is the only place where a lookup of an absent key can wait.
//!
//! The user's `Hash` runs before the lock is taken, on keys read as any reader reads them. Locking the bin from the
//! state that was read then proves that they are still its keys.

use super::overflow::{Head, Taken};
use super::read::{Changed, Place};
use super::{Failure, Table};
use crate::api::hash::KeyHash;
use crate::bins::bin::{Bin, Entry};
use crate::bins::layout::{Layout, MAX_SLOTS};
use crate::bins::tags::{Depth, Tags};
use crate::sync::backoff::Backoff;
use crate::sync::seqlock::State;
use alloc::vec::Vec;
use core::mem::MaybeUninit;

/// The size of the largest keys, in bytes, of which `split_into_slots` copies a whole bin to the stack.
const MAX_KEY_BYTES: usize = 512;

/// The hashes of a bin's entries, in the order in which `visit` shows the entries.
struct Hashes {
    inline: [u64; Self::INLINE],
    more: Vec<u64>,
    len: usize,
}

impl Hashes {
    const INLINE: usize = 16;

    fn new() -> Self {
        Self { inline: [0; Self::INLINE], more: Vec::new(), len: 0 }
    }

    fn push(&mut self, hash: KeyHash) -> Result<(), Failure> {
        if self.len < Self::INLINE {
            self.inline[self.len] = hash.0;
        } else {
            self.more.try_reserve(1).map_err(|_| Failure::Alloc)?;
            self.more.push(hash.0);
        }
        self.len += 1;
        Ok(())
    }

    fn get(&self, index: usize) -> KeyHash {
        KeyHash(if index < Self::INLINE {
            self.inline[index]
        } else {
            self.more[index - Self::INLINE]
        })
    }
}

/// Returns the positions of the ones in `bits`, lowest first.
fn ones(mut bits: u32) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let lowest = (bits != 0).then(|| bits.trailing_zeros() as usize);
        bits &= bits.wrapping_sub(1);
        lowest
    })
}

/// The result of an attempt to split a bin into slots alone.
pub(super) enum Split {
    Done,
    /// Another thread wrote to the bin.
    Changed,
    /// One half has more entries than a bin has slots, or keys are too large for the stack.
    NeedsLines,
}

/// How the entries of a bin at `depth` are distributed over `fan` parts, a power of two.
struct Partition {
    hashes: Hashes,
    depth: Depth,
    fan: usize,
}

impl Partition {
    fn part(&self, index: usize) -> usize {
        self.hashes.get(index).bin_bits() >> self.depth.bits() & (self.fan - 1)
    }

    fn members(&self, part: usize) -> impl Iterator<Item = KeyHash> {
        (0..self.hashes.len)
            .filter(move |&index| self.part(index) == part)
            .map(|index| self.hashes.get(index))
    }

    /// Returns the number of lines that `part` needs as a new bin.
    fn lines<K, V>(&self, part: usize) -> usize {
        self.members(part)
            .count()
            .saturating_sub(Layout::<K, V>::SLOTS)
            .div_ceil(Layout::<K, V>::LINE_SLOTS)
    }

    /// Returns the tags that `part` has as a new bin.
    fn tags<K, V>(&self, part: usize) -> Tags {
        let depth = Depth::of_bits(self.depth.bits() + self.fan.ilog2());
        self.members(part).enumerate().fold(Tags::empty(depth), |tags, (at, hash)| {
            if at < Layout::<K, V>::SLOTS {
                tags.with(at, hash.tag())
            } else {
                tags.with_overflow(hash)
            }
        })
    }
}

impl<K: Copy, V: Copy> Table<K, V> {
    /// Distributes the entries of `parent`, if it is still at `depth`. Part `p` goes to `child(p)`; with `stays`, part
    /// 0 stays. Makes one attempt: if another thread wrote to the bin, waits as `backoff` allows and returns with
    /// nothing done.
    #[allow(clippy::too_many_arguments)] // A split and a move differ in all of them.
    pub(super) fn redistribute<'a>(
        &'a self,
        parent: Bin<'a, K, V>,
        depth: Depth,
        fan: usize,
        stays: bool,
        child: impl Fn(usize) -> Bin<'a, K, V>,
        rehash: &impl Fn(&K) -> KeyHash,
        backoff: &mut Backoff,
    ) -> Result<(), Failure>
    where
        K: 'a,
        V: 'a,
    {
        let state = parent.seq().begin();
        let tags = parent.tags();
        // Another thread has split or moved the bin already.
        if tags.depth() != depth {
            return Ok(());
        }
        if stays {
            match self.split_into_slots(parent, state, tags, child(1), rehash, backoff)? {
                Split::Done => return Ok(()),
                Split::Changed => return Ok(backoff.wait()?),
                Split::NeedsLines => {}
            }
        }
        // A half does not fit into slots, or this is a move. Lines are taken before the lock, and their number needs
        // all hashes.
        let Some(hashes) = self.hash_all(parent, state, tags, rehash)? else {
            return Ok(backoff.wait()?);
        };
        let partition = Partition { hashes, depth, fan };
        let lines = (usize::from(stays)..fan).map(|part| partition.lines::<K, V>(part)).sum();
        let mut pool = self.pool.session(backoff)?;
        let Some(mut taken) = pool.pop(lines) else {
            drop(pool);
            // All lines at once: each attempt hashes all keys of the bin, and there may be many.
            self.pool.grow_for(lines, backoff)?;
            // The caller starts again, because other writers may take the new lines first.
            return Ok(backoff.again()?);
        };
        if !parent.seq().try_lock(state) {
            pool.push(taken.first);
            drop(pool);
            return Ok(backoff.wait()?);
        }
        // [SP-1] the children's entries: no thread reads them yet.
        for part in usize::from(stays)..fan {
            self.fill(child(part), part, parent, state, tags, &partition, &mut taken);
        }
        let (left, first, freed) = if stays {
            self.compact(parent, state, tags, &partition)
        } else {
            (Tags::empty(Depth::MOVED), 0, Taken { first: parent.overflow(state) })
        };
        // [SP-2] the parent's tags: from here on, lookups of moved keys wait for their child.
        parent.set_tags(left);
        // [SP-3] the children's tags: from here on, lookups find the moved keys there. Not before [SP-2]: see above.
        for part in usize::from(stays)..fan {
            child(part).set_tags(partition.tags::<K, V>(part));
        }
        parent.seq().unlock(parent.state_after(state, first));
        // Only now, when no reader's state leads to these lines any more, may another bin take them.
        pool.push(freed.first);
        Ok(())
    }

    /// Splits a bin whose halves both fit into slots, as nearly all do: in one pass, without taking lines. Does not
    /// split bins of large keys, because it copies all keys of the bin to the stack.
    #[inline]
    pub(super) fn split_into_slots<'a>(
        &'a self,
        parent: Bin<'a, K, V>,
        state: State,
        tags: Tags,
        child: Bin<'_, K, V>,
        rehash: &impl Fn(&K) -> KeyHash,
        backoff: &Backoff,
    ) -> Result<Split, Failure> {
        if size_of::<K>() > MAX_KEY_BYTES {
            return Ok(Split::NeedsLines);
        }
        self.split_few(parent, state, tags, child, rehash, backoff)
    }

    /// Does what `split_into_slots` does. It is a function of its own so that, even without optimization, only calls
    /// that come here pay for its stack frame.
    #[inline]
    fn split_few<'a>(
        &'a self,
        parent: Bin<'a, K, V>,
        state: State,
        tags: Tags,
        child: Bin<'_, K, V>,
        rehash: &impl Fn(&K) -> KeyHash,
        backoff: &Backoff,
    ) -> Result<Split, Failure> {
        let mut keys = [const { MaybeUninit::uninit() }; 2 * MAX_SLOTS];
        let mut entries = [parent.entry(0); 2 * MAX_SLOTS];
        let mut slots = [0; MAX_SLOTS];
        let mut len = 0;
        let seen = self.visit(parent, state, tags, |entry, place| {
            if len < 2 * Layout::<K, V>::SLOTS {
                (keys[len], entries[len]) = (entry.key(), entry);
            }
            if let Place::Slot(slot) = place {
                slots[len] = slot;
            }
            len += 1;
            Ok(())
        });
        // The fetched keys may be torn, and the user's `Hash` must not see them.
        if seen.is_err() || !parent.seq().validate(state) {
            return Ok(Split::Changed);
        }
        let bits = tags.depth().bits();
        let mut hashes = [KeyHash(0); 2 * MAX_SLOTS];
        let mut leaving = 0u32;
        // More keys than two bins have slots for.
        if len > 2 * Layout::<K, V>::SLOTS {
            return Ok(Split::NeedsLines);
        }
        for at in 0..len {
            // SAFETY: `visit` fetched it from a place whose tag says that it holds an entry, and the state was
            // validated since.
            hashes[at] = rehash(unsafe { keys[at].assume_init_ref() });
            leaving |= ((hashes[at].bin_bits() >> bits & 1) as u32) << at;
        }
        let gone = leaving.count_ones() as usize;
        if gone.max(len - gone) > Layout::<K, V>::SLOTS {
            return Ok(Split::NeedsLines);
        }
        let in_slots = tags.used().count();
        let lines = if tags.has_overflow() { parent.overflow(state) } else { 0 };
        // The lines return to the pool after the split. The pool is locked first, since nothing may wait under a bin's
        // lock.
        let mut pool = if lines == 0 { None } else { Some(self.pool.session(backoff)?) };
        if !parent.seq().try_lock(state) {
            return Ok(Split::Changed);
        }
        let depth = Depth::of_bits(bits + 1);
        let (mut left, mut moved) = (tags.without_overflow().with_depth(depth), Tags::empty(depth));
        // [SP-1] the child's entries: no thread reads them yet.
        for (at, index) in ones(leaving).enumerate() {
            child.entry(at).copy_from(entries[index]);
            moved = moved.with(at, hashes[index].tag());
            left = if index < in_slots { left.without(slots[index]) } else { left };
        }
        // Entries that stay move from lines to slots. All slots that will be free are free in `left` now.
        let staying = !leaving & ((1 << len) - 1) & !((1 << in_slots) - 1);
        for (index, slot) in ones(staying).zip(left.free_slots(Layout::<K, V>::SLOTS)) {
            parent.entry(slot).copy_from(entries[index]);
            left = left.with(slot, hashes[index].tag());
        }
        // [SP-2] the parent's tags: from here on, lookups of moved keys wait for the child.
        parent.set_tags(left);
        // [SP-3] the child's tags: from here on, lookups find the moved keys there. Not before [SP-2]: see above.
        child.set_tags(moved);
        parent.seq().unlock(parent.state_after(state, 0));
        if let Some(pool) = &mut pool {
            pool.push(lines);
        }
        Ok(Split::Done)
    }

    /// Returns the hashes of all entries under `state`, None if the bin changed meanwhile.
    fn hash_all(
        &self,
        bin: Bin<'_, K, V>,
        state: State,
        tags: Tags,
        rehash: &impl Fn(&K) -> KeyHash,
    ) -> Result<Option<Hashes>, Failure> {
        let mut hashes = Hashes::new();
        let mut stop = None;
        let seen = self.visit(bin, state, tags, |entry, _| {
            let key = entry.key();
            if !bin.seq().validate(state) {
                return Err(Changed);
            }
            // SAFETY: a tag marks an entry here, and the state was validated after the fetch, so the key
            // is whole.
            let key = unsafe { key.assume_init() };
            hashes.push(rehash(&key)).map_err(|why| {
                stop = Some(why);
                Changed
            })
        });
        match (seen, stop) {
            (_, Some(why)) => Err(why),
            (Err(Changed), None) => Ok(None),
            (Ok(()), None) => Ok(Some(hashes)),
        }
    }

    /// Calls `each` for a locked bin's entries, with their index in `partition`.
    fn each_locked(
        &self,
        bin: Bin<'_, K, V>,
        state: State,
        tags: Tags,
        mut each: impl FnMut(usize, Entry<'_, K, V>),
    ) {
        let mut index = 0;
        let mut show = |entry: Entry<'_, K, V>| {
            each(index, entry);
            index += 1;
        };
        tags.used().for_each(|slot| show(bin.entry(slot)));
        let mut number = if tags.has_overflow() { bin.overflow(state) } else { 0 };
        while number != 0 {
            let line = self.pool.owned(number);
            let head = line.head();
            for slot in (0..Layout::<K, V>::LINE_SLOTS).filter(|&slot| head.tag(slot) != 0) {
                show(line.entry(slot));
            }
            number = head.next;
        }
    }

    /// Copies the entries of one part of locked `parent` to uninitialized `child`.
    #[allow(clippy::too_many_arguments)] // The parent is three of them.
    fn fill(
        &self,
        child: Bin<'_, K, V>,
        part: usize,
        parent: Bin<'_, K, V>,
        state: State,
        tags: Tags,
        partition: &Partition,
        taken: &mut Taken,
    ) {
        let (mut at, mut first) = (0, 0);
        self.each_locked(parent, state, tags, |index, entry| {
            if partition.part(index) != part {
                return;
            }
            if at < Layout::<K, V>::SLOTS {
                child.entry(at).copy_from(entry);
            } else {
                let slot = (at - Layout::<K, V>::SLOTS) % Layout::<K, V>::LINE_SLOTS;
                if slot == 0 {
                    let line = self.pool.owned(taken.first);
                    let next = line.head().next;
                    line.set_head(Head::new(first));
                    (first, taken.first) = (taken.first, next);
                }
                let line = self.pool.owned(first);
                line.entry(slot).copy_from(entry);
                line.set_head(line.head().with(slot, partition.hashes.get(index).tag()));
            }
            at += 1;
        });
        if first != 0 {
            child.start(first);
        }
    }

    /// Closes the gaps that part 1 leaves in locked `parent`: entries move from lines to free slots, then to the front
    /// of the lines. Returns the tags and the first line that the bin gets, and the lines that are left over.
    fn compact(
        &self,
        parent: Bin<'_, K, V>,
        state: State,
        tags: Tags,
        partition: &Partition,
    ) -> (Tags, usize, Taken) {
        let depth = Depth::of_bits(partition.depth.bits() + 1);
        let mut left = tags.without_overflow().with_depth(depth);
        for (_, slot) in tags.used().enumerate().filter(|&(index, _)| partition.part(index) != 0) {
            left = left.without(slot);
        }
        let chain = if tags.has_overflow() { parent.overflow(state) } else { 0 };
        // The place that is written next, never ahead of the place that is read: line, its head so far, slot.
        let mut into = (0, Head::new(0), 0);
        let mut number = chain;
        let mut index = tags.used().count();
        while number != 0 {
            let line = self.pool.owned(number);
            let head = line.head();
            for slot in (0..Layout::<K, V>::LINE_SLOTS).filter(|&slot| head.tag(slot) != 0) {
                let (entry, hash, part) =
                    (line.entry(slot), partition.hashes.get(index), partition.part(index));
                index += 1;
                if part != 0 {
                    continue;
                }
                if let Some(free) = left.free(Layout::<K, V>::SLOTS) {
                    parent.entry(free).copy_from(entry);
                    left = left.with(free, hash.tag());
                    continue;
                }
                if into.0 == 0 {
                    into = (chain, Head::new(self.pool.owned(chain).head().next), 0);
                } else if into.2 == Layout::<K, V>::LINE_SLOTS {
                    let next = into.1.next;
                    self.pool.owned(into.0).set_head(into.1);
                    into = (next, Head::new(self.pool.owned(next).head().next), 0);
                }
                self.pool.owned(into.0).entry(into.2).copy_from(entry);
                into.1 = into.1.with(into.2, hash.tag());
                left = left.with_overflow(hash);
                into.2 += 1;
            }
            number = head.next;
        }
        if into.0 == 0 {
            return (left, 0, Taken { first: chain });
        }
        let freed = into.1.next;
        self.pool.owned(into.0).set_head(into.1.linked_to(0));
        (left, chain, Taken { first: freed })
    }
}
