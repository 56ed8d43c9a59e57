//! Lookups. They take no lock, and store nothing that another thread waits for. A promotion may do both.
//!
//! A lookup finds the key's entry, copies the record while it may be changing, and validates the bin ([CM-1]). Only
//! then does it decompress the copy.
//!
//! # Promotion
//! A read of a cold record sets its mark. If the mark was set already, the read promotes the record: it copies it to
//! the hot front. Each promotion clears some marks, so that all are cleared eight times while the front is rewritten
//! once. Otherwise every record would be marked in the end, and under uniformly chosen keys each read would copy one
//! record and push out another. A read into the caller's buffer allocates nothing for a promotion: it uses existing
//! segments, and stops sweeping where it would have to allocate a segment, fold an operand or train.

use super::codec::Corrupt;
use super::index::EntryCopy;
use super::maintenance::SweepOutcome;
use super::record::{RecordHead, RecordLocation};
use super::records::CopiedChain;
use super::segment::{ReadScratch, SegmentRef, Use};
use super::store::Store;
use super::types::{Policy, ReadError};
use crate::api::hash::KeyHash;
use crate::facade::atomic::Ordering;
use crate::sync::words::WORD;
use crate::table::walk::WalkPosition;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::mem::MaybeUninit;

/// Compressed bytes that are copied to the stack. Longer records need an allocation.
const ON_STACK: usize = if usize::BITS == 64 { 1024 } else { 192 };
const STACK_WORDS: usize = ON_STACK / WORD + 2;

/// How often all read marks of cold records are cleared while the hot front is rewritten once.
const AGES: usize = 8;

/// The destination of a value.
pub(super) trait Sink {
    /// Whether the reader allocates anyway.
    const ALLOCATES: bool;

    /// Returns room for a value of `len` bytes, if there is enough.
    fn room(&mut self, len: usize) -> Option<&mut [u8]>;

    /// Returns the value of `len` bytes that was written to the room.
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

/// How far a lookup has got with the bytes of a record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Copied {
    /// Nothing was copied: the bytes are too long for the stack, or the record is an operand.
    Not,
    /// The bytes are the value, and the sink has no room for them.
    NoRoom,
    /// The sink holds the value.
    Value,
    /// The scratch memory holds the compressed value.
    Stored,
}

/// A record that a lookup has found.
#[derive(Clone, Copy)]
pub(super) struct FoundRecord {
    pub(super) at: RecordLocation,
    pub(super) generation: usize,
    pub(super) head: RecordHead,
    /// The deadline of the entry; 0 if it never expires.
    pub(super) deadline: u64,
    copied: Copied,
}

impl FoundRecord {
    fn none() -> Self {
        let head = RecordHead::of_plain(0, 0);
        Self { at: RecordLocation::NONE, generation: 0, head, deadline: 0, copied: Copied::Not }
    }
}

/// The folded value of a key, and the record that its entry referred to.
pub(super) struct ReadEntry {
    pub(super) top: RecordLocation,
    pub(super) generation: usize,
    pub(super) value: Result<Vec<u8>, Corrupt>,
    /// The deadline of the entry; 0 if it never expires.
    pub(super) deadline: u64,
}

impl Store {
    /// Finds the key's topmost record, and copies its bytes if there is room.
    #[inline(always)]
    fn find<S: Sink>(
        &self,
        hash: KeyHash,
        key: &[u8],
        scratch: &ReadScratch<'_>,
        into: &RefCell<&mut S>,
    ) -> Option<FoundRecord> {
        let copy = |segment: SegmentRef<'_>, head: RecordHead, start: usize| match head.model() {
            _ if head.is_operand() => Copied::Not,
            // A plain value is copied straight to the sink. If it changes meanwhile, the lookup copies it again
            // before the caller sees it.
            None => match into.borrow_mut().room(head.stored) {
                Some(into) => {
                    segment.copy_out(start, into);
                    Copied::Value
                }
                None => Copied::NoRoom,
            },
            // Decompression of torn bytes would waste time, so it waits until the copy is validated.
            Some(_) if segment.copy(start, head.stored, scratch) => Copied::Stored,
            Some(_) => Copied::Not,
        };
        self.find_by(hash, key, copy)
    }

    /// Finds the key's topmost record, unless the value has expired. `copy` gets its bytes while they may be changing.
    #[inline(always)]
    fn find_by(
        &self,
        hash: KeyHash,
        key: &[u8],
        copy: impl Fn(SegmentRef<'_>, RecordHead, usize) -> Copied,
    ) -> Option<FoundRecord> {
        let found = Cell::new(FoundRecord::none());
        if !self.index.find(hash, |at| self.read_record(at, key, &copy, &found)) {
            return None;
        }
        let found = found.get();
        // After validation: a torn deadline must not hide a value.
        (!self.expiry.has_passed(found.deadline)).then_some(found)
    }

    /// Returns the deadline of the key's value, 0 if it never expires; `None` if there is no value.
    pub(super) fn deadline_of_key(&self, key: &[u8]) -> Option<u64> {
        self.find_key(key).map(|found| found.deadline)
    }

    /// Finds the key's topmost record, and copies nothing.
    fn find_key(&self, key: &[u8]) -> Option<FoundRecord> {
        self.find_by(self.index.hash(key), key, |_, _, _| Copied::Not)
    }

    /// Reads a record into `found` if it has this key. All of it may be changing.
    #[inline(always)]
    fn read_record(
        &self,
        at: RecordLocation,
        key: &[u8],
        copy: impl Fn(SegmentRef<'_>, RecordHead, usize) -> Copied,
        found: &Cell<FoundRecord>,
    ) -> bool {
        let Some((segment, start)) = self.records().place(at) else { return false };
        segment.prefetch(self.shape().offset(at));
        // A head that is changing may claim any length; `head` refuses one that ends beyond the segment.
        let Some((head, len)) = segment.head(start) else { return false };
        if head.key != key.len() || !segment.equals(start + len, key) {
            return false;
        }
        let copied = copy(segment, head, start + len + head.key);
        let (generation, deadline) = (segment.generation(), self.records().deadline(at, head));
        found.set(FoundRecord { at, generation, head, deadline, copied });
        true
    }

    pub(super) fn contains(&self, key: &[u8]) -> bool {
        let found = self.find_key(key);
        found.inspect(|found| self.records().mark_read(found.at)).is_some()
    }

    /// Writes the key's value to a sink, and returns its length. Unless `peek` is set, the record is marked as read and
    /// a cold value may be promoted.
    #[inline(always)]
    pub(super) fn read<S: Sink>(
        &self,
        key: &[u8],
        mut into: S,
        peek: bool,
    ) -> Option<Result<(usize, S), ReadError>> {
        let hash = self.index.hash(key);
        let mut room = [const { MaybeUninit::uninit() }; STACK_WORDS];
        let mut scratch = ReadScratch::new(&mut room);
        let sink = RefCell::new(&mut into);
        let mut found = self.find(hash, key, &scratch, &sink)?;
        let len = match found.copied {
            Copied::Value => Ok(found.head.stored),
            Copied::NoRoom => Err(ReadError::BufferTooSmall { need: found.head.stored }),
            Copied::Stored => self.decompress(found.head, key, scratch.bytes(), &mut into),
            // The second lookup may find another record, of another length.
            Copied::Not => {
                let (len, read) = self.read_long(hash, key, found, &mut into)?;
                found = read;
                len
            }
        };
        if !peek && let Ok(len) = len {
            self.note_read(hash, key, found, into.filled(len), S::ALLOCATES);
        }
        Some(len.map(|len| (len, into)))
    }

    #[inline(always)]
    fn decompress(
        &self,
        head: RecordHead,
        key: &[u8],
        stored: &[u8],
        into: &mut impl Sink,
    ) -> Result<usize, ReadError> {
        let need = head.plain;
        let into = into.room(need).ok_or(ReadError::BufferTooSmall { need })?;
        let done = self.models().decompress(head, key, stored, into);
        done.map(|()| need).map_err(|Corrupt| ReadError::Corrupt)
    }

    /// Reads a value that is too long for the stack or has operands. Returns also the record that the value is from.
    #[cold]
    fn read_long<S: Sink>(
        &self,
        hash: KeyHash,
        key: &[u8],
        mut found: FoundRecord,
        into: &mut S,
    ) -> Option<(Result<usize, ReadError>, FoundRecord)> {
        let mut words = Vec::new();
        loop {
            if found.head.is_operand() {
                let entry = self.read_entry(hash, |at| self.records().has_key(at, key), key)?;
                let ReadEntry { top, generation, value: Ok(value), deadline } = entry else {
                    return Some((Err(ReadError::Corrupt), found));
                };
                let need = value.len();
                let room = into.room(need).map(|room| room.copy_from_slice(&value));
                // The head is the operand's, which has no deadline of its own. A sweep may have folded the chain
                // since, and then the record is promoted with the deadline of the value.
                let head = found.head.with_deadline(deadline);
                let read = FoundRecord { at: top, generation, head, deadline, ..found };
                return Some((room.map(|()| need).ok_or(ReadError::BufferTooSmall { need }), read));
            }
            words.resize(ReadScratch::words_for(found.head.stored) + 1, MaybeUninit::uninit());
            let mut scratch = ReadScratch::new(&mut words);
            found = self.find(hash, key, &scratch, &RefCell::new(&mut *into))?;
            let need = found.head.stored;
            let len = match found.copied {
                Copied::Value => Ok(need),
                Copied::NoRoom => Err(ReadError::BufferTooSmall { need }),
                Copied::Stored => self.decompress(found.head, key, scratch.bytes(), into),
                // The record has changed, and the new one is longer or an operand.
                Copied::Not => continue,
            };
            return Some((len, found));
        }
    }

    /// Notes that `plain` was read from a record, and promotes a cold one that deserves it.
    #[inline(always)]
    fn note_read(
        &self,
        hash: KeyHash,
        key: &[u8],
        found: FoundRecord,
        plain: &[u8],
        may_allocate: bool,
    ) {
        if found.at.is_hot() {
            self.records().mark_read(found.at);
            self.hits.add(1);
            return;
        }
        self.misses.add(1);
        let Some((segment, offset)) = self.records().place(found.at) else { return };
        let read_before = segment.mark_read(offset);
        // A promotion takes room from other hot records, so the first read is not enough, unless there is room.
        if (read_before || !self.memory.is_scarce()) && !self.memory.is_crowded() {
            self.promote(hash, key, found, plain, may_allocate);
        }
    }

    /// Links a plain copy on top of a cold record, if the entry still refers to that. Links none if another thread has
    /// the hot front or the lists of segments. Waits for a bin only, and, if room is scarce, for lists while it sweeps.
    /// Allocates only if it may.
    #[inline(never)]
    fn promote(
        &self,
        hash: KeyHash,
        key: &[u8],
        found: FoundRecord,
        plain: &[u8],
        may_allocate: bool,
    ) {
        let head = RecordHead::of_plain(key.len(), plain.len()).with_deadline(found.head.deadline);
        let size = head.record_len(true);
        // A record that fills a quarter of a segment would push out too many others.
        if size > self.shape().room() / 4 {
            return;
        }
        let at = self.try_append_hot(found.at, head, key, plain, may_allocate);
        // A writer may have stored another value since the read: then the old one must not come back.
        if let Some(at) = at
            && !self.index.redirect(hash, found.at, found.generation, at)
        {
            self.records().drop_record(at);
        }
        if !self.memory.is_scarce() {
            return;
        }
        // The reader pays for the room that it took, so that writers do not have to.
        self.age(size);
        let sweep = if may_allocate { Self::sweep } else { Self::sweep_without_alloc };
        let swept = sweep(self, 2 * size);
        if swept == SweepOutcome::Nothing && at.is_none() {
            self.memory.set_crowded();
        }
    }

    /// Clears some read marks of cold records, in proportion to the `bytes` that were promoted. Without that, every
    /// record would be marked in the end, and each second read would promote a record that is read seldom.
    fn age(&self, bytes: usize) {
        // Eviction chooses its victims by the same marks.
        if self.policy == Policy::Evict {
            return;
        }
        let (each, all) = (self.shape().mark_words(), self.pool().made());
        let hot = (self.pool().hot() + 1) * self.shape().room();
        let count = AGES as u64 * (all * each) as u64 * bytes as u64 / hot as u64;
        let count = (count as usize).clamp(1, each);
        // relaxed: only a place to continue from.
        let from = self.age_cursor.fetch_add(count, Ordering::Relaxed);
        for at in from..from.wrapping_add(count) {
            let segment = self.pool().segment(at / each % all.max(1));
            if let Some(segment) = segment.filter(|segment| segment.is(Use::Cold)) {
                segment.clear_marks(at % each);
            }
        }
    }

    /// Reads the entry that `wanted` accepts by its location, unless it has expired.
    pub(super) fn read_entry(
        &self,
        hash: KeyHash,
        wanted: impl Fn(RecordLocation) -> bool,
        key: &[u8],
    ) -> Option<ReadEntry> {
        let entry = self.read_any_entry(hash, wanted, key)?;
        (!self.expiry.has_passed(entry.deadline)).then_some(entry)
    }

    /// Reads the entry that `wanted` accepts by its location, even if it has expired.
    pub(super) fn read_any_entry(
        &self,
        hash: KeyHash,
        wanted: impl Fn(RecordLocation) -> bool,
        key: &[u8],
    ) -> Option<ReadEntry> {
        let chain = self.index.copy_chain(hash, wanted)?;
        let (top, generation, deadline) = (chain.top, chain.generation, chain.deadline());
        let value = self.value_of(key, chain);
        Some(ReadEntry { top, generation, value, deadline })
    }

    /// Copies the entries of a bin that have not expired. Returns the next position.
    pub(super) fn copy_bin(
        &self,
        position: WalkPosition,
        into: &mut Vec<EntryCopy>,
    ) -> Option<WalkPosition> {
        let next = self.index.copy_bin(position, into);
        // Checked after the copy: the writer of an entry with a deadline has set the flag before.
        if self.expiry.is_used() {
            into.retain(|entry| !self.expiry.has_passed(entry.chain.deadline()));
        }
        next
    }

    /// Returns the value of a chain as `fold` does. A value that is stored plain is not copied.
    #[inline]
    pub(super) fn value_of(&self, key: &[u8], chain: CopiedChain) -> Result<Vec<u8>, Corrupt> {
        match chain.only() {
            Some((head, _)) if chain.is_complete() && head.model().is_none() => {
                Ok(chain.into_bytes())
            }
            _ => self.fold(key, &chain),
        }
    }

    /// Returns the value of a chain: its base, decompressed, with all operands merged into it.
    pub(super) fn fold(&self, key: &[u8], chain: &CopiedChain) -> Result<Vec<u8>, Corrupt> {
        if !chain.is_complete() {
            return Err(Corrupt);
        }
        let operands = chain.operands();
        let mut value = None;
        if let Some((head, stored)) = chain.base() {
            let mut plain = vec![0; head.plain];
            self.models().decompress(head, key, stored, &mut plain)?;
            value = Some(plain);
        }
        match (&self.merge, value) {
            (_, Some(value)) if operands.is_empty() => Ok(value),
            (Some(merge), value) => Ok(merge.merge(key, value.as_deref(), &operands)),
            // A map without a merge function stores no operands: the memory is damaged.
            (None, _) => Err(Corrupt),
        }
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Corrupt> {
        let read = self.read(key, Vec::new(), false).transpose();
        // A vector has room for any value, so the only error is damage.
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
        /// Runs while a value is decompressed, as another thread might.
        static MEANWHILE: Cell<Option<Box<dyn FnOnce()>>> = const { Cell::new(None) };
    }

    /// Compresses a value of equal bytes to one byte.
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

    /// The test overwrites the link in a chain of records.
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
        let top = store.index.top(b"key").expect("it is there");
        let segment = store.pool().segment(store.shape().segment(top)).expect("it is there");
        let beyond = store.shape().location(store.pool().numbers() + 7, 512, true);
        // The link leads nowhere, or back to the record itself.
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
        let place = store.index.top(b"key").expect("it is there");
        assert!(!place.is_hot(), "it is not cold");
        let (other, generation) = (store.clone(), store.records().generation(place));
        // The record is removed, and another cold record of the key is written in its place.
        let replace = move || {
            for _ in 0..10 {
                assert!(other.remove(b"key"));
                other.seal_cold();
                other.sweep_cold();
                other.insert(b"key", &[2; 40]).expect("there is room");
                other.sweep_hot();
                if other.index.top(b"key") == Some(place) {
                    assert_ne!(other.records().generation(place), generation);
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
