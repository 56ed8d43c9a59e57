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

use super::overflow::{LineHead, LineList};
use super::read::BinChanged;
use super::{Failure, Table};
use crate::api::hash::KeyHash;
use crate::bins::bin::{Bin, EntryWords};
use crate::bins::layout::{Layout, MAX_SLOTS};
use crate::bins::tags::{Depth, SlotMask, Tags};
use crate::sync::backoff::Backoff;
use crate::sync::seqlock::StateWord;
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

/// The entries of a bin's overflow lines, at most as many as a bin has slots.
struct InLines<'a, K, V> {
    keys: [MaybeUninit<K>; MAX_SLOTS],
    entries: [EntryWords<'a, K, V>; MAX_SLOTS],
    hashes: [KeyHash; MAX_SLOTS],
    /// The number of entries in the lines, which may be larger.
    len: usize,
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
        let Some(mut taken) = pool.pop(lines)? else {
            drop(pool);
            // All lines at once: each attempt hashes all keys of the bin, and there may be many.
            self.pool.grow_for(lines, backoff)?;
            // The caller starts again, because other writers may take the new lines first.
            return Ok(backoff.again()?);
        };
        if !parent.seq().try_lock(state) {
            pool.push(taken);
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
            (Tags::empty(Depth::MOVED), 0, LineList { first: parent.overflow(state) })
        };
        // [SP-2] the parent's tags: from here on, lookups of moved keys wait for their child.
        parent.set_tags(left);
        // [SP-3] the children's tags: from here on, lookups find the moved keys there. Not before [SP-2]: see above.
        for part in usize::from(stays)..fan {
            child(part).set_tags(partition.tags::<K, V>(part));
        }
        parent.seq().unlock(parent.state_after(state, first));
        // Only now, when no reader's state leads to these lines any more, may another bin take them.
        pool.push(freed);
        Ok(())
    }

    /// Splits a bin whose halves both fit into slots, as nearly all do: in one pass, without taking lines. Does not
    /// split bins of large keys, because it copies all keys of the bin to the stack.
    #[inline]
    pub(super) fn split_into_slots<'a>(
        &'a self,
        parent: Bin<'a, K, V>,
        state: StateWord,
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
        state: StateWord,
        tags: Tags,
        child: Bin<'_, K, V>,
        rehash: &impl Fn(&K) -> KeyHash,
        backoff: &Backoff,
    ) -> Result<Split, Failure> {
        let keys = Self::keys_in_slots(parent, tags);
        let mut lines = None;
        if tags.has_overflow() {
            match self.keys_in_lines(parent, state) {
                Ok(found) => lines = Some(found),
                Err(BinChanged) => return Ok(Split::Changed),
            }
        }
        // The fetched keys may be torn, and the user's `Hash` must not see them.
        if !parent.seq().validate(state) {
            return Ok(Split::Changed);
        }
        let bits = tags.depth().bits();
        let leaves = |hash: KeyHash| hash.bin_bits() >> bits & 1;
        let used = tags.used();
        // Equally many hashes for each bin, if they cost little: the processor would mispredict where a loop over the
        // slots in use ends. A used slot's key stands for that of an empty one.
        let asked = if Self::HASHES_ALL && !used.is_empty() { SlotMask::all() } else { used };
        let leaving = asked.fold(SlotMask::none(), |leaving: SlotMask, slot| {
            let known = if tags.is_used(slot) { slot } else { used.lowest() };
            // SAFETY: the key's slot was in use under `state`, which was validated since.
            leaving.with_bit(slot, leaves(rehash(unsafe { keys[known].assume_init_ref() })))
        });
        let leaving = leaving.of(used);
        let (mut gone, mut stay) = (leaving.count(), used.count() - leaving.count());
        if let Some(lines) = &mut lines {
            // More keys than two bins have slots for.
            if lines.len > MAX_SLOTS {
                return Ok(Split::NeedsLines);
            }
            for at in 0..lines.len {
                // SAFETY: `keys_in_lines` fetched it from a place in use under `state`, which was validated since.
                lines.hashes[at] = rehash(unsafe { lines.keys[at].assume_init_ref() });
                gone += leaves(lines.hashes[at]);
                stay += 1 - leaves(lines.hashes[at]);
            }
        }
        if gone.max(stay) > Layout::<K, V>::SLOTS {
            return Ok(Split::NeedsLines);
        }
        // The lines return to the pool after the split. The pool is locked first, since nothing may wait under a bin's
        // lock.
        let mut pool = match &lines {
            Some(_) => Some(self.pool.session(backoff)?),
            None => None,
        };
        if !parent.seq().try_lock(state) {
            return Ok(Split::Changed);
        }
        let depth = Depth::of_bits(bits + 1);
        // [SP-1] the child's entries: no thread reads them yet.
        let (mut at, mut moved) = Self::move_slots(parent, tags, leaving, child);
        let mut left = tags.without_overflow().without_all(leaving);
        for index in 0..lines.as_ref().map_or(0, |lines| lines.len) {
            let Some(InLines { entries, hashes, .. }) = &lines else { break };
            let (entry, hash) = (entries[index], hashes[index]);
            if leaves(hash) != 0 {
                child.entry(at).copy_from(entry);
                moved = moved.with(at, hash.tag());
                at += 1;
            } else if let Some(slot) = left.free(Layout::<K, V>::SLOTS) {
                parent.entry(slot).copy_from(entry);
                left = left.with(slot, hash.tag());
            }
        }
        let (left, moved) = (left.with_depth(depth), moved.with_depth(depth));
        // [SP-2] the parent's tags: from here on, lookups of moved keys wait for the child.
        parent.set_tags(left);
        // [SP-3] the child's tags: from here on, lookups find the moved keys there. Not before [SP-2]: see above.
        child.set_tags(moved);
        let first = if lines.is_some() { parent.overflow(state) } else { 0 };
        parent.seq().unlock(parent.state_after(state, 0));
        if let Some(pool) = &mut pool {
            pool.push(LineList { first });
        }
        Ok(Split::Done)
    }

    /// Whether it costs less to copy an entry than to mispredict whether that is necessary.
    const COPIED_UNASKED: bool = Layout::<K, V>::ENTRY <= 4;
    /// Whether keys are so small that a hash of one costs less than a mispredicted branch.
    const HASHES_ALL: bool = size_of::<K>() <= 8;

    /// Fetches the keys in a bin's slots, perhaps torn: the caller must validate the state before it looks at those
    /// that are in use.
    #[inline(always)]
    fn keys_in_slots(bin: Bin<'_, K, V>, tags: Tags) -> [MaybeUninit<K>; MAX_SLOTS] {
        let mut keys = [const { MaybeUninit::uninit() }; MAX_SLOTS];
        for (slot, key) in keys.iter_mut().enumerate() {
            if Self::COPIED_UNASKED || tags.is_used(slot) {
                *key = bin.entry(slot).key();
            }
        }
        keys
    }

    /// Fetches the keys in a bin's overflow lines, perhaps torn. Counts them all, and fetches as many as a bin has
    /// slots.
    #[inline(never)]
    fn keys_in_lines<'a>(
        &'a self,
        bin: Bin<'a, K, V>,
        state: StateWord,
    ) -> Result<InLines<'a, K, V>, BinChanged> {
        let mut found = InLines {
            keys: [const { MaybeUninit::uninit() }; MAX_SLOTS],
            entries: [bin.entry(0); MAX_SLOTS],
            hashes: [KeyHash(0); MAX_SLOTS],
            len: 0,
        };
        self.visit_lines(bin, state, |entry, _| {
            if found.len < MAX_SLOTS {
                (found.keys[found.len], found.entries[found.len]) = (entry.key(), entry);
            }
            found.len += 1;
            Ok(())
        })?;
        Ok(found)
    }

    /// Copies the entries of locked `parent` that are in the slots `leaving` to the first slots of `child`; returns
    /// their number and the child's tags. No branch depends on which entries leave, because the processor would
    /// mispredict it: the next entry that leaves overwrites the copy of one that stays.
    #[inline(always)]
    fn move_slots(
        parent: Bin<'_, K, V>,
        tags: Tags,
        leaving: SlotMask,
        child: Bin<'_, K, V>,
    ) -> (usize, Tags) {
        let (mut at, mut moved) = (0, Tags::NONE);
        for slot in 0..Layout::<K, V>::SLOTS {
            let leaves = leaving.bit(slot);
            if Self::COPIED_UNASKED || leaves != 0 {
                child.entry(at).copy_from(parent.entry(slot));
            }
            moved = moved.with_tag_of(at, tags, slot, leaves);
            at += leaves;
        }
        (at, moved)
    }

    /// Returns the hashes of all entries under `state`, None if the bin changed in the meantime.
    fn hash_all(
        &self,
        bin: Bin<'_, K, V>,
        state: StateWord,
        tags: Tags,
        rehash: &impl Fn(&K) -> KeyHash,
    ) -> Result<Option<Hashes>, Failure> {
        let mut hashes = Hashes::new();
        let mut stop = None;
        let seen = self.visit(bin, state, tags, |entry, _| {
            let key = entry.key();
            if !bin.seq().validate(state) {
                return Err(BinChanged);
            }
            // SAFETY: a tag marks an entry here, and the state was validated after the fetch, so the key
            // is whole.
            let key = unsafe { key.assume_init() };
            hashes.push(rehash(&key)).map_err(|why| {
                stop = Some(why);
                BinChanged
            })
        });
        match (seen, stop) {
            (_, Some(why)) => Err(why),
            (Err(BinChanged), None) => Ok(None),
            (Ok(()), None) => Ok(Some(hashes)),
        }
    }

    /// Calls `each` for a locked bin's entries, with their index in `partition`.
    fn each_locked(
        &self,
        bin: Bin<'_, K, V>,
        state: StateWord,
        tags: Tags,
        mut each: impl FnMut(usize, EntryWords<'_, K, V>),
    ) {
        let mut index = 0;
        let mut show = |entry: EntryWords<'_, K, V>| {
            each(index, entry);
            index += 1;
        };
        tags.used().for_each(|slot| show(bin.entry(slot)));
        let mut number = if tags.has_overflow() { bin.overflow(state) } else { 0 };
        while number != 0 {
            let line = self.pool.owned(number);
            let head = line.head();
            for slot in head.used() {
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
        state: StateWord,
        tags: Tags,
        partition: &Partition,
        taken: &mut LineList,
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
                    line.set_head(LineHead::new(first));
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
        state: StateWord,
        tags: Tags,
        partition: &Partition,
    ) -> (Tags, usize, LineList) {
        let depth = Depth::of_bits(partition.depth.bits() + 1);
        let mut left = tags.without_overflow().with_depth(depth);
        for (_, slot) in tags.used().enumerate().filter(|&(index, _)| partition.part(index) != 0) {
            left = left.without(slot);
        }
        let chain = if tags.has_overflow() { parent.overflow(state) } else { 0 };
        // The place that is written next, never ahead of the place that is read: line, its head so far, slot.
        let mut into = (0, LineHead::new(0), 0);
        let mut number = chain;
        let mut index = tags.used().count();
        while number != 0 {
            let line = self.pool.owned(number);
            let head = line.head();
            for slot in head.used() {
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
                    into = (chain, LineHead::new(self.pool.owned(chain).head().next), 0);
                } else if into.2 == Layout::<K, V>::LINE_SLOTS {
                    let next = into.1.next;
                    self.pool.owned(into.0).set_head(into.1);
                    into = (next, LineHead::new(self.pool.owned(next).head().next), 0);
                }
                self.pool.owned(into.0).entry(into.2).copy_from(entry);
                into.1 = into.1.with(into.2, hash.tag());
                left = left.with_overflow(hash);
                into.2 += 1;
            }
            number = head.next;
        }
        if into.0 == 0 {
            return (left, 0, LineList { first: chain });
        }
        let freed = into.1.next;
        self.pool.owned(into.0).set_head(into.1.linked_to(0));
        (left, chain, LineList { first: freed })
    }
}
