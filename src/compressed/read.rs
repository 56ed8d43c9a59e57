//! Look-ups. They take no lock, and write nothing that another thread waits for.
//!
//! From the key's bin to what its entry leads to; the bytes are copied while they may be changing, and the bin's
//! state is looked at once more before anybody believes them ([CM-1]). Only then are they decompressed.

use super::codec::Corrupt;
use super::record::{Head, Location};
use super::segment::{Scratch, Segment, Use};
use super::store::{CHAIN, Store};
use super::sweep::Swept;
use super::types::{Policy, ReadError};
use crate::api::hash::KeyHash;
use crate::facade::atomic::Ordering;
use crate::sync::backoff::Backoff;
use crate::sync::words::{Indirect, WORD};
use crate::table::write::Change;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::mem::MaybeUninit;

/// Stored bytes that are copied to the stack; longer ones need memory.
const ON_STACK: usize = if usize::BITS == 64 { 1024 } else { 192 };
const STACK_WORDS: usize = ON_STACK / WORD + 2;

/// How often it is forgotten that cold records were read, while the hot front is written anew.
const AGES: usize = 8;

/// Where a value goes.
pub(super) trait Sink {
    /// Whether who reads has memory allocated anyway.
    const ALLOCATES: bool;

    /// Room for a value of so many bytes, if there is.
    fn room(&mut self, len: usize) -> Option<&mut [u8]>;

    /// What the room for so many bytes holds.
    fn filled(&self, len: usize) -> &[u8];
}

impl Sink for &mut [u8] {
    const ALLOCATES: bool = false;

    #[inline(always)]
    fn room(&mut self, len: usize) -> Option<&mut [u8]> {
        self.get_mut(..len)
    }

    #[inline(always)]
    fn filled(&self, len: usize) -> &[u8] {
        &self[..len]
    }
}

impl Sink for Vec<u8> {
    const ALLOCATES: bool = true;

    #[inline(always)]
    fn room(&mut self, len: usize) -> Option<&mut [u8]> {
        self.clear();
        self.reserve_exact(len);
        self.resize(len, 0);
        Some(self)
    }

    #[inline(always)]
    fn filled(&self, _: usize) -> &[u8] {
        self
    }
}

/// How far a look-up has come with a record's bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Copied {
    /// They were more than there was room for, or there is more to it than they.
    Not,
    /// They are the value, and where it goes has no room for it.
    NoRoom,
    /// They are the value, and where it goes.
    Value,
    /// They are to be decompressed.
    Stored,
}

/// A record that a look-up has found.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub(super) at: Location,
    pub(super) generation: usize,
    pub(super) head: Head,
    /// When the entry expires; 0 for never.
    deadline: u64,
    copied: Copied,
}

impl Found {
    fn none() -> Self {
        let head = Head::raw(0, 0);
        Self { at: Location::NONE, generation: 0, head, deadline: 0, copied: Copied::Not }
    }
}

/// A key's value, folded, and what its entry led to.
pub(super) struct Resolved {
    pub(super) top: Location,
    pub(super) generation: usize,
    pub(super) value: Result<Vec<u8>, Corrupt>,
    /// When it expires; 0 for never.
    pub(super) deadline: u64,
}

/// The records of a chain, copied one after the other.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) top: usize,
    generation: usize,
    links: Vec<(Head, usize)>,
    bytes: Vec<u8>,
    /// Whether the walk reached the last record: damage may end a chain early, or make it endless.
    whole: bool,
}

impl Gathered {
    /// When the value expires; 0 for never.
    pub(super) fn deadline(&self) -> u64 {
        let base = self.links.last().filter(|(head, _)| !head.is_operand());
        base.map_or(0, |(head, _)| head.deadline)
    }

    /// The only record, if it is one of a value.
    pub(super) fn alone(&self) -> Option<(Head, &[u8])> {
        match &self.links[..] {
            &[(head, from)] if !head.is_operand() => Some((head, &self.bytes[from..])),
            _ => None,
        }
    }
}

impl Store {
    /// The key's topmost record; its bytes are copied if there is room.
    #[inline(always)]
    fn find<S: Sink>(
        &self,
        hash: KeyHash,
        key: &[u8],
        scratch: &Scratch<'_>,
        into: &RefCell<&mut S>,
    ) -> Option<Found> {
        let copy = |segment: Segment<'_>, head: Head, start: usize| match head.model() {
            _ if head.is_operand() => Copied::Not,
            // Whoever may see the value sees it only if it is whole.
            None => match into.borrow_mut().room(head.stored) {
                Some(into) => {
                    segment.copy_out(start, into);
                    Copied::Value
                }
                None => Copied::NoRoom,
            },
            Some(_) if segment.copy(start, head.stored, scratch) => Copied::Stored,
            Some(_) => Copied::Not,
        };
        self.find_by(hash, key, copy)
    }

    /// The key's topmost record, unless the value has expired; `copy` is shown its bytes while they may be changing.
    #[inline(always)]
    fn find_by(
        &self,
        hash: KeyHash,
        key: &[u8],
        copy: impl Fn(Segment<'_>, Head, usize) -> Copied,
    ) -> Option<Found> {
        let found = Cell::new(Found::none());
        let look = |indirect: &Indirect| self.look(Location::from(*indirect), key, &copy, &found);
        self.table.get(hash, look, |_| MaybeUninit::new(()))?;
        let found = found.get();
        (!self.has_passed(found.deadline)).then_some(found)
    }

    /// When the key's value expires, 0 for never; None if there is no value.
    pub(super) fn deadline_of_key(&self, key: &[u8]) -> Option<u64> {
        self.glance(key).map(|found| found.deadline)
    }

    /// What the key's entry leads to, with nothing copied.
    fn glance(&self, key: &[u8]) -> Option<Found> {
        self.find_by(self.hash(key), key, |_, _, _| Copied::Not)
    }

    /// Whether a record is the key's; what it says, if it is. All of it may be changing.
    #[inline(always)]
    fn look(
        &self,
        at: Location,
        key: &[u8],
        copy: impl Fn(Segment<'_>, Head, usize) -> Copied,
        found: &Cell<Found>,
    ) -> bool {
        let Some((segment, start)) = self.place(at) else { return false };
        segment.expect(self.shape().offset(at));
        let Some((head, len)) = segment.head(start) else { return false };
        if head.key != key.len() || !segment.equals(start + len, key) {
            return false;
        }
        let copied = copy(segment, head, start + len + head.key);
        let (generation, deadline) = (segment.generation(), self.deadline_of(at, head));
        found.set(Found { at, generation, head, deadline, copied });
        true
    }

    pub(super) fn contains(&self, key: &[u8]) -> bool {
        let found = self.glance(key);
        found.inspect(|found| self.touch(found.at)).is_some()
    }

    fn touch(&self, at: Location) {
        if let Some(segment) = self.pool.segment(self.shape().segment(at)) {
            segment.touch(self.shape().offset(at));
        }
    }

    /// Has the key's value go where it is wanted; its length. Unless it is only a glance, it is noted that the key was
    /// read, and what was cold may become hot.
    #[inline(always)]
    pub(super) fn read<S: Sink>(
        &self,
        key: &[u8],
        mut into: S,
        glance: bool,
    ) -> Option<Result<(usize, S), ReadError>> {
        let hash = self.hash(key);
        let mut room = [const { MaybeUninit::uninit() }; STACK_WORDS];
        let mut scratch = Scratch::new(&mut room);
        let sink = RefCell::new(&mut into);
        let mut found = self.find(hash, key, &scratch, &sink)?;
        let len = match found.copied {
            Copied::Value => Ok(found.head.stored),
            Copied::NoRoom => Err(ReadError::BufferTooSmall { need: found.head.stored }),
            Copied::Stored => self.expand(found.head, scratch.bytes(), &mut into),
            // The key is looked up again, and may have another record by now.
            Copied::Not => {
                let (len, read) = self.read_long(hash, key, found, &mut into)?;
                found = read;
                len
            }
        };
        if !glance && let Ok(len) = len {
            self.was_read(hash, key, found, into.filled(len), S::ALLOCATES);
        }
        Some(len.map(|len| (len, into)))
    }

    #[inline(always)]
    fn expand(&self, head: Head, stored: &[u8], into: &mut impl Sink) -> Result<usize, ReadError> {
        let need = head.plain;
        let into = into.room(need).ok_or(ReadError::BufferTooSmall { need })?;
        let done = self.models.expand(head, stored, into);
        done.map(|()| need).map_err(|Corrupt| ReadError::Corrupt)
    }

    /// As `read`, of what is long or has to be folded; with the record that the value is of.
    #[cold]
    fn read_long<S: Sink>(
        &self,
        hash: KeyHash,
        key: &[u8],
        mut found: Found,
        into: &mut S,
    ) -> Option<(Result<usize, ReadError>, Found)> {
        let mut words = Vec::new();
        loop {
            if found.head.is_operand() {
                let resolved = self.resolve(hash, |at| self.is_of(at, key), key)?;
                let Resolved { top, generation, value: Ok(value), .. } = resolved else {
                    return Some((Err(ReadError::Corrupt), found));
                };
                let need = value.len();
                let room = into.room(need).map(|room| room.copy_from_slice(&value));
                let read = Found { at: top, generation, ..found };
                return Some((room.map(|()| need).ok_or(ReadError::BufferTooSmall { need }), read));
            }
            words.resize(Scratch::words_for(found.head.stored) + 1, MaybeUninit::uninit());
            let mut scratch = Scratch::new(&mut words);
            found = self.find(hash, key, &scratch, &RefCell::new(&mut *into))?;
            let need = found.head.stored;
            let len = match found.copied {
                Copied::Value => Ok(need),
                Copied::NoRoom => Err(ReadError::BufferTooSmall { need }),
                Copied::Stored => self.expand(found.head, scratch.bytes(), into),
                Copied::Not => continue,
            };
            return Some((len, found));
        }
    }

    /// `plain` was read of the record that was found.
    #[inline(always)]
    fn was_read(&self, hash: KeyHash, key: &[u8], found: Found, plain: &[u8], may_allocate: bool) {
        if found.at.is_over() {
            self.touch(found.at);
            self.hits.add(1);
            return;
        }
        self.misses.add(1);
        let Some((segment, offset)) = self.place(found.at) else { return };
        let again = segment.touch(offset);
        // The second time, or while there is room, it becomes hot.
        if (again || !self.is_scarce()) && !self.is_crowded() {
            self.admit(hash, key, found, plain, may_allocate);
        }
    }

    /// Puts a plain copy on a cold record, if that is still what the entry leads to. Waits for nobody, and allocates
    /// nothing unless it may.
    #[inline(never)]
    fn admit(&self, hash: KeyHash, key: &[u8], found: Found, plain: &[u8], may_allocate: bool) {
        let head = Head::raw(key.len(), plain.len()).until(found.head.deadline);
        let size = head.record(true);
        // No record that fills a good part of a segment: it would push out too much.
        if size > self.shape().room() / 4 {
            return;
        }
        let at = self.try_append_hot(found.at, head, key, plain, may_allocate);
        if let Some(at) = at
            && !self.swing(hash, found.at, found.generation, at)
        {
            self.drop_record(at);
        }
        if !self.is_scarce() {
            return;
        }
        self.age(size);
        let sweep = if may_allocate { Self::sweep_some } else { Self::sweep_frugally };
        let swept = sweep(self, 2 * size);
        if swept == Swept::Nothing && at.is_none() {
            // relaxed: a hint.
            self.crowded.store(true, Ordering::Relaxed);
        }
    }

    /// Forgets of some cold records that they were read, as a record of so many bytes becomes hot: of all of them some
    /// times while the hot front is written anew. Else each would have been read before at last, and most of what is
    /// read for the second time would only push out what is read more often.
    fn age(&self, bytes: usize) {
        // Who is to be evicted is seen by the same marks.
        if self.policy == Policy::Evict {
            return;
        }
        let (each, all) = (self.shape().mark_words(), self.pool.made());
        let hot = (self.pool.hot() + 1) * self.shape().room();
        let count = AGES as u64 * (all * each) as u64 * bytes as u64 / hot as u64;
        let count = (count as usize).clamp(1, each);
        // relaxed: a place to go on from.
        let from = self.aged.fetch_add(count, Ordering::Relaxed);
        for at in from..from.wrapping_add(count) {
            let segment = self.pool.segment(at / each % all.max(1));
            if let Some(segment) = segment.filter(|segment| segment.is(Use::Cold)) {
                segment.forget(at % each);
            }
        }
    }

    /// Lets the entry that leads to `from`, as it was opened in `generation`, lead to `to`.
    fn swing(&self, hash: KeyHash, from: Location, generation: usize, to: Location) -> bool {
        let same = |indirect: &Indirect| Location::from(*indirect) == from;
        let decide = |found: Option<&Indirect>| match found {
            // Else the segment was swept, and it is another record that lies there.
            Some(_) if self.generation(from) == generation => Change::Entry(to.indirect(), ()),
            _ => Change::Keep,
        };
        let rehash = |indirect: &Indirect| self.rehash(*indirect);
        let swung =
            self.table.alter(hash, same, |entry| entry.key(), rehash, Backoff::spinning(), decide);
        matches!(swung, Ok((_, Change::Entry(..))))
    }

    /// Copies a record that may be changing, and all that it lies on.
    pub(super) fn gather(&self, top: Location, into: &mut Gathered) {
        into.links.clear();
        into.bytes.clear();
        into.whole = false;
        into.top = top.0;
        into.generation = self.generation(top);
        let mut at = Some(top);
        // Most chains are one record.
        into.links.reserve_exact(1);
        while let Some(here) = at.filter(|_| into.links.len() < CHAIN) {
            let Some((segment, start)) = self.place(here) else { return };
            let Some((head, len)) = segment.head(start) else { return };
            let from = into.bytes.len();
            into.bytes.resize(from + head.stored, 0);
            segment.copy_out(start + len + head.key, &mut into.bytes[from..]);
            into.links.push((head, from));
            // Below a plain record lies a compressed one of the same value.
            at = if head.is_operand() { self.below(here) } else { None };
        }
        into.whole = at.is_none();
    }

    /// As `resolve_any`, if the entry has not expired.
    pub(super) fn resolve(
        &self,
        hash: KeyHash,
        wanted: impl Fn(Location) -> bool + Copy,
        key: &[u8],
    ) -> Option<Resolved> {
        let resolved = self.resolve_any(hash, wanted, key)?;
        (!self.has_passed(resolved.deadline)).then_some(resolved)
    }

    /// The value of the entry that `wanted` knows by what it leads to.
    pub(super) fn resolve_any(
        &self,
        hash: KeyHash,
        wanted: impl Fn(Location) -> bool + Copy,
        key: &[u8],
    ) -> Option<Resolved> {
        let gathered = RefCell::new(Gathered::default());
        let look = |indirect: &Indirect| {
            let at = Location::from(*indirect);
            let found = wanted(at);
            if found {
                self.gather(at, &mut gathered.borrow_mut());
            }
            found
        };
        self.table.get(hash, look, |_| MaybeUninit::new(()))?;
        let gathered = gathered.into_inner();
        let (top, generation) = (Location(gathered.top), gathered.generation);
        let deadline = gathered.deadline();
        let value = self.fold_all(key, gathered);
        Some(Resolved { top, generation, value, deadline })
    }

    /// As `fold`. What is stored as it is becomes the value, with no copy.
    #[inline]
    pub(super) fn fold_all(&self, key: &[u8], gathered: Gathered) -> Result<Vec<u8>, Corrupt> {
        match gathered.alone() {
            Some((head, _)) if gathered.whole && head.model().is_none() => Ok(gathered.bytes),
            _ => self.fold(key, &gathered),
        }
    }

    /// The value that a chain stands for.
    pub(super) fn fold(&self, key: &[u8], gathered: &Gathered) -> Result<Vec<u8>, Corrupt> {
        if !gathered.whole {
            return Err(Corrupt);
        }
        let stored = |&(head, from): &(Head, usize)| &gathered.bytes[from..from + head.stored];
        let operands: Vec<&[u8]> = {
            let operands = gathered.links.iter().rev().filter(|(head, _)| head.is_operand());
            operands.map(stored).collect()
        };
        let base = gathered.links.last().filter(|(head, _)| !head.is_operand());
        let mut value = None;
        if let Some(link) = base {
            let mut plain = vec![0; link.0.plain];
            self.models.expand(link.0, stored(link), &mut plain)?;
            value = Some(plain);
        }
        match (&self.merge, value) {
            (_, Some(value)) if operands.is_empty() => Ok(value),
            (Some(merge), value) => Ok(merge.merge(key, value.as_deref(), &operands)),
            (None, _) => Err(Corrupt),
        }
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Corrupt> {
        let read = self.read(key, Vec::new(), false).transpose();
        // A vector has room for any value: there is no other error.
        read.map(|read| read.map(|(_, value)| value)).map_err(|_| Corrupt)
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::super::builder::Builder;
    use super::super::codec::{Codec, Model, Work};
    use super::*;
    use alloc::boxed::Box;
    use std::sync::Arc;
    use std::thread_local;

    thread_local! {
        /// What others do while a value is decompressed.
        static MEANWHILE: Cell<Option<Box<dyn FnOnce()>>> = const { Cell::new(None) };
    }

    /// Stores the first byte of what consists of that byte.
    struct One;

    impl Codec for One {
        fn name(&self) -> &'static str {
            "one"
        }

        fn untrained(&self) -> Option<Box<dyn Model>> {
            Some(Box::new(Self))
        }

        fn train(&self, _: &[&[u8]], _: usize) -> Option<Box<dyn Model>> {
            None
        }

        fn import(&self, _: &[u8]) -> Result<Box<dyn Model>, Corrupt> {
            Ok(Box::new(Self))
        }
    }

    impl Model for One {
        fn compress(&self, plain: &[u8], into: &mut [u8], _: &mut Work) -> Option<usize> {
            into[0] = plain[0];
            Some(1)
        }

        fn decompress(&self, stored: &[u8], into: &mut [u8]) -> Result<(), Corrupt> {
            into.fill(stored[0]);
            if let Some(meanwhile) = MEANWHILE.take() {
                meanwhile();
            }
            Ok(())
        }

        fn export(&self, _: &mut dyn FnMut(&[u8])) {}

        fn bytes(&self) -> usize {
            0
        }
    }

    /// Overwrites a chain of records with bytes that are none.
    #[test]
    fn a_chain_that_is_damaged_is_not_folded() {
        let append = |_: &[u8], value: Option<&[u8]>, changes: &[&[u8]]| {
            [value.unwrap_or_default(), &changes.concat()].concat()
        };
        let builder = Builder::new(64 << 10).segment_bytes(1 << 10).merge(append);
        let store = Store::new(builder);
        store.insert(b"key", b"value").expect("there is room");
        store.defer(b"key", b"+").expect("there is room");
        assert_eq!(store.get(b"key"), Ok(Some(b"value+".to_vec())));
        let top = store.top(b"key").expect("it is there");
        let segment = store.pool.segment(store.shape().segment(top)).expect("it is there");
        let beyond = store.shape().location(store.pool.numbers() + 7, 512, true);
        // It leads nowhere, or round.
        for below in [beyond, top] {
            segment.set_below(store.shape().offset(top), below);
            let whole = store.get(b"key");
            assert_eq!(whole, Err(Corrupt), "a part of a chain was taken for all of it");
        }
    }

    #[test]
    fn a_read_knows_its_record_from_another_in_its_place() {
        let builder = Builder::new(64 << 10).segment_bytes(1 << 10).codec(One);
        let store = Arc::new(Store::new(builder));
        store.insert(b"key", &[1; 40]).expect("there is room");
        store.sweep_hot();
        store.seal_cold();
        let place = store.top(b"key").expect("it is there");
        assert!(!place.is_over(), "it is not cold");
        let (other, generation) = (store.clone(), store.generation(place));
        // The record is removed, and another cold one of the key comes to lie in its place.
        let replace = move || {
            for _ in 0..10 {
                assert!(other.remove(b"key"));
                other.seal_cold();
                other.sweep_cold();
                other.insert(b"key", &[2; 40]).expect("there is room");
                other.sweep_hot();
                if other.top(b"key") == Some(place) {
                    assert_ne!(other.generation(place), generation);
                    return;
                }
            }
            panic!("no record is written where the first one was");
        };
        MEANWHILE.set(Some(Box::new(replace)));
        assert_eq!(store.get(b"key"), Ok(Some(vec![1; 40])), "it began before");
        assert!(MEANWHILE.take().is_none());
        let returned = "a read brought a value back over another record";
        assert_eq!(store.get(b"key"), Ok(Some(vec![2; 40])), "{returned}");
    }
}
