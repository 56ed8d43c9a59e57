//! Moving part of a bin's keys, or all of them, to bins that are yet unborn.
//!
//! # Synchronization
//! The order of stores is the whole proof (checked in the models beside this file):
//! 1. `[SP-1]` the children's entries and states, relaxed: nobody looks, they are unborn;
//! 2. `[SP-2]` the parent's tags, in one release store: moved tags out, depth one on (or `MOVED`);
//! 3. `[SP-3]` the children's tags, each in one release store: born, and full at once;
//! 4. the parent's state, unlocked and one version on (`[SL-3]`);
//! 5. only then are lines that the parent no longer needs given back.
//!
//! Children before parent would let a writer insert a key into a child that a reader, still sent to the
//! parent by an old hint, takes for absent. Between 2 and 3 a moved key is in neither, and who looks for
//! it waits for the splitter: that is the one place where even a miss may wait.
//!
//! The user's `Hash` runs before the lock is taken, on keys read like any reader's; locking from the state
//! that was read then proves that they are the keys still.

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

/// Bytes of a key, at most, if all keys of a bin are to be on the stack together.
const MOST_KEY: usize = 512;

/// The hashes of a bin's entries, in the order in which `visit` shows them.
struct Hashes {
    few: [u64; Self::FEW],
    more: Vec<u64>,
    len: usize,
}

impl Hashes {
    const FEW: usize = 16;

    fn new() -> Self {
        Self { few: [0; Self::FEW], more: Vec::new(), len: 0 }
    }

    fn push(&mut self, hash: KeyHash) -> Result<(), Failure> {
        if self.len < Self::FEW {
            self.few[self.len] = hash.0;
        } else {
            self.more.try_reserve(1).map_err(|_| Failure::Alloc)?;
            self.more.push(hash.0);
        }
        self.len += 1;
        Ok(())
    }

    fn get(&self, index: usize) -> KeyHash {
        KeyHash(if index < Self::FEW { self.few[index] } else { self.more[index - Self::FEW] })
    }
}

/// Positions of the ones in `bits`, lowest first.
fn ones(mut bits: u32) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let lowest = (bits != 0).then(|| bits.trailing_zeros() as usize);
        bits &= bits.wrapping_sub(1);
        lowest
    })
}

/// What became of a split into slots alone.
pub(super) enum Split {
    Done,
    /// Somebody wrote to the bin meanwhile.
    Changed,
    /// A half is more than a bin's slots hold, or keys are too large for this.
    NeedsLines,
}

/// How the entries of a bin at `depth` are dealt out to `fan` parts, a power of two.
struct Deal {
    hashes: Hashes,
    depth: Depth,
    fan: usize,
}

impl Deal {
    fn part(&self, index: usize) -> usize {
        self.hashes.get(index).bin_bits() >> self.depth.bits() & (self.fan - 1)
    }

    fn members(&self, part: usize) -> impl Iterator<Item = KeyHash> {
        (0..self.hashes.len)
            .filter(move |&index| self.part(index) == part)
            .map(|index| self.hashes.get(index))
    }

    /// Lines that `part` needs as a new bin.
    fn lines<K, V>(&self, part: usize) -> usize {
        self.members(part)
            .count()
            .saturating_sub(Layout::<K, V>::SLOTS)
            .div_ceil(Layout::<K, V>::LINE_SLOTS)
    }

    /// The tags that `part` has as a new bin.
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
    /// Deals the keys of `parent` out, if it is still at `depth`. Part `p` goes to `child(p)`; with
    /// `stays`, part 0 stays. One attempt: returns with nothing done when the bin changed meanwhile.
    #[allow(clippy::too_many_arguments)] // All of them differ between a split and a move.
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
        let Some(hashes) = self.hash_all(parent, state, tags, rehash)? else {
            return Ok(backoff.wait()?);
        };
        let deal = Deal { hashes, depth, fan };
        let lines = (usize::from(stays)..fan).map(|part| deal.lines::<K, V>(part)).sum();
        let mut pool = self.pool.session(backoff)?;
        let Some(mut taken) = pool.pop(lines) else {
            drop(pool);
            // All of them: the keys are hashed anew each time, and there may be many in a bin.
            self.pool.grow_for(lines, backoff)?;
            // The caller begins again, and other writers may take the new lines.
            return Ok(backoff.again()?);
        };
        if !parent.seq().try_lock(state) {
            pool.push(taken.first);
            drop(pool);
            return Ok(backoff.wait()?);
        }
        // [SP-1]
        for part in usize::from(stays)..fan {
            self.fill(child(part), part, parent, state, tags, &deal, &mut taken);
        }
        let (left, first, freed) = if stays {
            self.compact(parent, state, tags, &deal)
        } else {
            (Tags::empty(Depth::MOVED), 0, Taken { first: parent.overflow(state) })
        };
        // [SP-2]
        parent.set_tags(left);
        // [SP-3]
        for part in usize::from(stays)..fan {
            child(part).set_tags(deal.tags::<K, V>(part));
        }
        parent.seq().unlock(parent.state_after(state, first));
        pool.push(freed.first);
        Ok(())
    }

    /// Splits a bin whose halves both fit into slots, as nearly all do: in one pass, with no line taken. Not for
    /// large keys, since it holds all keys of the bin on the stack.
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
        if size_of::<K>() > MOST_KEY {
            return Ok(Split::NeedsLines);
        }
        self.split_few(parent, state, tags, child, rehash, backoff)
    }

    /// As `split_into_slots`, a function of its own: even without optimisation, only its callers have its frame.
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
        if seen.is_err() || !parent.seq().validate(state) {
            return Ok(Split::Changed);
        }
        let bits = tags.depth().bits();
        let mut hashes = [KeyHash(0); 2 * MAX_SLOTS];
        let mut going = 0u32;
        if len > 2 * Layout::<K, V>::SLOTS {
            return Ok(Split::NeedsLines);
        }
        for at in 0..len {
            // SAFETY: fetched from a place in use, and validated since.
            hashes[at] = rehash(unsafe { keys[at].assume_init_ref() });
            going |= ((hashes[at].bin_bits() >> bits & 1) as u32) << at;
        }
        let gone = going.count_ones() as usize;
        if gone.max(len - gone) > Layout::<K, V>::SLOTS {
            return Ok(Split::NeedsLines);
        }
        let in_slots = tags.used().count();
        let lines = if tags.has_overflow() { parent.overflow(state) } else { 0 };
        let mut pool = if lines == 0 { None } else { Some(self.pool.session(backoff)?) };
        if !parent.seq().try_lock(state) {
            return Ok(Split::Changed);
        }
        let depth = Depth::of_bits(bits + 1);
        let (mut left, mut born) = (tags.without_overflow().with_depth(depth), Tags::empty(depth));
        // [SP-1]
        for (at, index) in ones(going).enumerate() {
            child.entry(at).copy_from(entries[index]);
            born = born.with(at, hashes[index].tag());
            left = if index < in_slots { left.without(slots[index]) } else { left };
        }
        // What stays of the lines; all room there will be in the slots is known by now.
        let staying = !going & ((1 << len) - 1) & !((1 << in_slots) - 1);
        for (index, slot) in ones(staying).zip(left.free_slots(Layout::<K, V>::SLOTS)) {
            parent.entry(slot).copy_from(entries[index]);
            left = left.with(slot, hashes[index].tag());
        }
        // [SP-2]
        parent.set_tags(left);
        // [SP-3]
        child.set_tags(born);
        parent.seq().unlock(parent.state_after(state, 0));
        if let Some(pool) = &mut pool {
            pool.push(lines);
        }
        Ok(Split::Done)
    }

    /// The hashes of all entries as they are under `state`; None if the bin changed meanwhile.
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
            // SAFETY: validated, and a tag says that there is an entry here: the key is whole.
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

    /// Shows a locked bin's entries with their index in the deal.
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

    /// Copies the entries of one part of locked `parent` into unborn `child`.
    #[allow(clippy::too_many_arguments)] // The parent is three of them.
    fn fill(
        &self,
        child: Bin<'_, K, V>,
        part: usize,
        parent: Bin<'_, K, V>,
        state: State,
        tags: Tags,
        deal: &Deal,
        taken: &mut Taken,
    ) {
        let (mut at, mut first) = (0, 0);
        self.each_locked(parent, state, tags, |index, entry| {
            if deal.part(index) != part {
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
                line.set_head(line.head().with(slot, deal.hashes.get(index).tag()));
            }
            at += 1;
        });
        if first != 0 {
            child.start(first);
        }
    }

    /// Closes the gaps that part 1 leaves in locked `parent`: entries move from lines to free slots, then
    /// to the front of the lines. Returns the tags and first line it is to have, and the lines left over.
    fn compact(
        &self,
        parent: Bin<'_, K, V>,
        state: State,
        tags: Tags,
        deal: &Deal,
    ) -> (Tags, usize, Taken) {
        let depth = Depth::of_bits(deal.depth.bits() + 1);
        let mut left = tags.without_overflow().with_depth(depth);
        for (_, slot) in tags.used().enumerate().filter(|&(index, _)| deal.part(index) != 0) {
            left = left.without(slot);
        }
        let chain = if tags.has_overflow() { parent.overflow(state) } else { 0 };
        // The place written next, never ahead of the place read: line, its head so far, slot.
        let mut into = (0, Head::new(0), 0);
        let mut number = chain;
        let mut index = tags.used().count();
        while number != 0 {
            let line = self.pool.owned(number);
            let head = line.head();
            for slot in (0..Layout::<K, V>::LINE_SLOTS).filter(|&slot| head.tag(slot) != 0) {
                let (entry, hash, part) =
                    (line.entry(slot), deal.hashes.get(index), deal.part(index));
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
