//! The records of a map by their locations: appending them, reading them, counting their bytes.
//!
//! Nothing here needs the index. A reader that copies a record while it may change validates the bin of its key
//! afterwards; see `[CM-1]` in `segment`.

use super::models::{Models, NamedCodec};
use super::pool::SegmentPool;
use super::record::{LONGEST_HEAD, MOST_OPERANDS, RecordHead, RecordLocation, Shape};
use super::segment::{self, SegmentRef};
use crate::sync::words::WORD;
use alloc::vec::Vec;
use core::hash::Hasher;

/// The most records in a chain: operands, a plain record, a compressed record.
pub(super) const MAX_CHAIN: usize = MOST_OPERANDS as usize + 2;
/// Bytes of a stored key that are hashed at a time.
pub(super) const HASH_CHUNK: usize = 64;

/// A segment to which records are appended.
pub(super) struct OpenSegment {
    pub(super) number: usize,
    /// Where the next record begins.
    pub(super) at: usize,
}

impl OpenSegment {
    pub(super) fn new(number: usize, shape: Shape) -> Self {
        Self { number, at: shape.begin() }
    }
}

/// All segments of a map, and the models that their records were compressed by.
pub(super) struct Records {
    pub(super) pool: SegmentPool,
    pub(super) models: Models,
}

impl Records {
    pub(super) fn new(shape: Shape, reserve: usize, codecs: Vec<NamedCodec>) -> Self {
        Self { pool: SegmentPool::new(shape, reserve), models: Models::new(codecs) }
    }

    pub(super) fn shape(&self) -> Shape {
        self.pool.shape
    }

    /// Returns the segment of a record, and the offset of its head.
    #[inline(always)]
    pub(super) fn place(&self, at: RecordLocation) -> Option<(SegmentRef<'_>, usize)> {
        let segment = self.pool.segment(self.shape().segment(at))?;
        let offset = self.shape().offset(at);
        // A hot record begins with the word that links the record below it.
        Some((segment, if at.is_hot() { offset + WORD } else { offset }))
    }

    /// Returns the head of a record.
    pub(super) fn head(&self, at: RecordLocation) -> Option<RecordHead> {
        let (segment, start) = self.place(at)?;
        Some(segment.head(start)?.0)
    }

    /// Returns the record below a hot record, if there is one.
    pub(super) fn below(&self, at: RecordLocation) -> Option<RecordLocation> {
        if !at.is_hot() {
            return None;
        }
        let below = self.pool.segment(self.shape().segment(at))?.below(self.shape().offset(at));
        (!below.is_none()).then_some(below)
    }

    /// Links `below` under a hot record. The caller holds the lock of the bin, or is the only one that has the record.
    pub(super) fn set_below(&self, at: RecordLocation, below: RecordLocation) {
        if let Some(segment) = self.pool.segment(self.shape().segment(at)) {
            segment.set_below(self.shape().offset(at), below);
        }
    }

    /// Returns how often the segment of a record was opened. Together with its location this identifies a record:
    /// another record may be written to the same location later.
    pub(super) fn generation(&self, at: RecordLocation) -> usize {
        self.pool.segment(self.shape().segment(at)).map_or(0, |segment| segment.generation())
    }

    /// Whether a record has this key.
    #[inline(always)]
    pub(super) fn has_key(&self, at: RecordLocation, key: &[u8]) -> bool {
        self.place(at).is_some_and(|(segment, start)| {
            let head = segment.head(start);
            head.is_some_and(|(head, len)| {
                head.key == key.len() && segment.equals(start + len, key)
            })
        })
    }

    /// Returns the key of a record; arbitrary bytes if the record is changing.
    pub(super) fn key(&self, at: RecordLocation) -> Vec<u8> {
        let mut key = Vec::new();
        if let Some((segment, start)) = self.place(at)
            && let Some((head, len)) = segment.head(start)
        {
            key.resize(head.key, 0);
            segment.copy_out(start + len, &mut key);
        }
        key
    }

    /// Writes the key of a record to `hasher`, in the same pieces as `hash::feed_key`. Returns false if there is no
    /// record.
    pub(super) fn feed_key(&self, hasher: &mut (impl Hasher + ?Sized), at: RecordLocation) -> bool {
        let Some((segment, start)) = self.place(at) else { return false };
        let Some((head, len)) = segment.head(start) else { return false };
        hasher.write_usize(head.key);
        let mut part = [0; HASH_CHUNK];
        let mut done = 0;
        while done < head.key {
            let part = &mut part[..HASH_CHUNK.min(head.key - done)];
            segment.copy_out(start + len + done, part);
            hasher.write(part);
            done += part.len();
        }
        true
    }

    /// Whether the chain that begins at `top` contains `target`.
    pub(super) fn leads_to(&self, top: RecordLocation, target: RecordLocation) -> bool {
        let mut at = Some(top);
        // Bounded, because a chain that is changing may look endless.
        for _ in 0..MAX_CHAIN {
            match at {
                Some(at) if at == target => return true,
                Some(above) => at = self.below(above),
                None => return false,
            }
        }
        false
    }

    /// Appends a record and counts its bytes as live. The caller holds the open segment. Returns `None`, and writes
    /// nothing, if the record does not fit.
    pub(super) fn append(
        &self,
        open: &mut OpenSegment,
        below: Option<RecordLocation>,
        head: RecordHead,
        key: &[u8],
        stored: &[u8],
    ) -> Option<RecordLocation> {
        let segment = self.pool.segment(open.number)?;
        let size = head.record_len(below.is_some());
        // Codecs and merge functions return lengths, too. Each caller checks them; this check protects the memory.
        if size > self.shape().end() - open.at
            || (head.key, head.stored) != (key.len(), stored.len())
        {
            return None;
        }
        segment::begin();
        let at = self.shape().location(open.number, open.at, below.is_some());
        let mut start = open.at;
        let mut bytes = [0; LONGEST_HEAD];
        let len = head.write(&mut bytes);
        if let Some(below) = below {
            segment.set_below(open.at, below);
            start += WORD;
        }
        segment.put(start, [&bytes[..len], key, stored]);
        // Counted before the record is linked. A segment with no live bytes therefore has no record that a writer
        // is about to link, and can be reused.
        segment.count_up(size);
        open.at += size;
        Some(at)
    }

    /// Seals a cold segment.
    pub(super) fn seal_cold(&self, open: &OpenSegment) {
        self.pool.seal(open.number, open.at, false);
    }

    /// Turns a record that no entry refers to yet into an operand on top of `below`.
    pub(super) fn set_operand(&self, at: RecordLocation, below: RecordLocation, depth: u8) {
        if let Some((segment, start)) = self.place(at) {
            segment.set_below(start - WORD, below);
            segment.put_kind(start, RecordHead::operand_kind(depth.min(MOST_OPERANDS - 1)));
        }
    }

    /// Counts the bytes of an unlinked record, or of one that was never linked, as dead.
    pub(super) fn drop_record(&self, at: RecordLocation) {
        if let (Some(head), Some((segment, _))) = (self.head(at), self.place(at)) {
            self.count_down(segment, at, head);
        }
    }

    fn count_down(&self, segment: SegmentRef<'_>, at: RecordLocation, head: RecordHead) {
        segment.count_down(head.record_len(at.is_hot()));
        if !at.is_hot() {
            self.models.count_down(head);
            self.pool.note_dead(segment);
        }
    }

    /// Counts the bytes of all records of a chain that the caller has unlinked as dead.
    pub(super) fn drop_chain(&self, chain: &Chain) {
        for (at, head) in chain.links() {
            if let Some((segment, _)) = self.place(at) {
                self.count_down(segment, at, head);
            }
        }
    }

    /// Returns the records of the chain that begins at `top`; arbitrary ones if the chain is changing.
    pub(super) fn chain(&self, top: RecordLocation) -> Chain {
        let mut chain = Chain::default();
        self.chain_into(top, &mut chain);
        chain
    }

    /// Fills `chain` as `chain()` does. A `Chain` is large and mostly holds one record, so it is filled in place.
    pub(super) fn chain_into(&self, top: RecordLocation, chain: &mut Chain) {
        chain.len = 0;
        let mut at = Some(top);
        while let Some(here) = at.filter(|_| chain.len < MAX_CHAIN) {
            let Some(head) = self.head(here) else { break };
            chain.links[chain.len] = Some((here, head));
            chain.len += 1;
            at = self.below(here);
        }
    }

    /// Returns the deadline of the value that a record belongs to; an arbitrary number if the chain is changing.
    #[inline(always)]
    pub(super) fn deadline(&self, at: RecordLocation, head: RecordHead) -> u64 {
        // An operand has no deadline of its own: deferring a change does not prolong the life of a value.
        if head.is_operand() { self.chain(at).deadline() } else { head.deadline }
    }

    /// Marks a record as read.
    pub(super) fn mark_read(&self, at: RecordLocation) {
        if let Some(segment) = self.pool.segment(self.shape().segment(at)) {
            segment.mark_read(self.shape().offset(at));
        }
    }

    /// Copies a record that may be changing, and the records below it.
    pub(super) fn copy_chain(&self, top: RecordLocation, into: &mut CopiedChain) {
        into.links.clear();
        into.bytes.clear();
        into.is_complete = false;
        into.top = top;
        into.generation = self.generation(top);
        let mut at = Some(top);
        // Most chains are one record.
        into.links.reserve_exact(1);
        while let Some(here) = at.filter(|_| into.links.len() < MAX_CHAIN) {
            let Some((segment, start)) = self.place(here) else { return };
            let Some((head, len)) = segment.head(start) else { return };
            let from = into.bytes.len();
            into.bytes.resize(from + head.stored, 0);
            segment.copy_out(start + len + head.key, &mut into.bytes[from..]);
            into.links.push((head, from));
            // The record below a plain one is the same value, compressed: it is not needed.
            at = if head.is_operand() { self.below(here) } else { None };
        }
        into.is_complete = at.is_none();
    }
}

/// The records that an entry refers to, the topmost first.
#[derive(Default)]
pub(super) struct Chain {
    /// The first `len` are set.
    links: [Option<(RecordLocation, RecordHead)>; MAX_CHAIN],
    len: usize,
}

impl Chain {
    /// Returns the records, the topmost first.
    #[inline]
    pub(super) fn links(&self) -> impl DoubleEndedIterator<Item = (RecordLocation, RecordHead)> {
        self.links[..self.len].iter().flatten().copied()
    }

    /// Removes all records.
    pub(super) const fn clear(&mut self) {
        self.len = 0;
    }

    /// Returns the bytes of key and value that the map counts for this chain.
    pub(super) fn contents(&self) -> isize {
        let base = self.links().find(|(_, head)| !head.is_operand()).or(self.links().next_back());
        base.map_or(0, |(_, head)| (head.key + head.plain).cast_signed())
    }

    /// Returns the deadline of the entry; 0 if it never expires.
    pub(super) fn deadline(&self) -> u64 {
        let base = self.links().find(|(_, head)| !head.is_operand());
        base.map_or(0, |(_, head)| head.deadline)
    }
}

/// A copy of the records of a chain, one after the other.
pub(super) struct CopiedChain {
    pub(super) top: RecordLocation,
    pub(super) generation: usize,
    /// Each record's head, and where its stored bytes begin in `bytes`.
    links: Vec<(RecordHead, usize)>,
    bytes: Vec<u8>,
    /// Whether the copy reached the last record. Damaged memory may end a chain early, or make it endless.
    is_complete: bool,
}

impl Default for CopiedChain {
    fn default() -> Self {
        let (links, bytes) = (Vec::new(), Vec::new());
        Self { top: RecordLocation::NONE, generation: 0, links, bytes, is_complete: false }
    }
}

impl CopiedChain {
    /// Returns the deadline of the value; 0 if it never expires.
    pub(super) fn deadline(&self) -> u64 {
        self.base().map_or(0, |(head, _)| head.deadline)
    }

    /// Whether no record is missing. An incomplete chain is damaged.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Returns the record that the operands apply to, and its stored bytes.
    pub(super) fn base(&self) -> Option<(RecordHead, &[u8])> {
        self.links.last().filter(|(head, _)| !head.is_operand()).map(|link| self.stored(link))
    }

    /// Returns the operands, the oldest first.
    pub(super) fn operands(&self) -> Vec<&[u8]> {
        let operands = self.links.iter().rev().filter(|(head, _)| head.is_operand());
        operands.map(|link| self.stored(link).1).collect()
    }

    /// Returns the only record, if the chain is one record that holds a value.
    pub(super) fn only(&self) -> Option<(RecordHead, &[u8])> {
        match &self.links[..] {
            [link] if !link.0.is_operand() => Some(self.stored(link)),
            _ => None,
        }
    }

    /// Returns the bytes of all records.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn stored(&self, &(head, from): &(RecordHead, usize)) -> (RecordHead, &[u8]) {
        (head, &self.bytes[from..from + head.stored])
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;
    use alloc::vec;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn records() -> Records {
        Records::new(Shape::new(10), 1, Vec::new())
    }

    fn open(records: &Records) -> OpenSegment {
        let number = records.pool.take(0, || true).expect("there is room");
        OpenSegment::new(number, records.shape())
    }

    #[test]
    fn a_record_is_written_only_where_it_fits() {
        let records = records();
        let (end, begin) = (records.shape().end(), records.shape().begin());
        let most = end - begin - RecordHead::of_plain(3, 900).len() - 3;
        for (at, stored, fits) in [
            (begin, most, true),
            (begin, most + 1, false),
            (begin, 1 << 20, false),
            (end - 10, 4, true),
            (end - 10, 5, false),
            (end, 0, false),
        ] {
            let mut open = open(&records);
            open.at = at;
            let stored = vec![7; stored];
            let written = records.append(
                &mut open,
                None,
                RecordHead::of_plain(3, stored.len()),
                b"key",
                &stored,
            );
            let told = "a record was written beyond its segment";
            assert_eq!(written.is_some(), fits, "{told}: {} bytes at {at}", stored.len());
            let segment = records.pool.segment(open.number).expect("it is open");
            assert_eq!((segment.live() > 0, open.at > at), (fits, fits));
        }
    }

    /// A record is written with the lengths that its head says, or not at all.
    #[test]
    fn a_record_is_as_long_as_its_head_says() {
        let records = records();
        let mut open = open(&records);
        for (key, stored) in [(3, 4), (2, 5), (3, 6)] {
            let head = RecordHead::of_plain(key, stored);
            let written = records.append(&mut open, None, head, b"key", b"value");
            assert_eq!(written, None, "a record of other lengths than its head says");
        }
        assert!(
            records.append(&mut open, None, RecordHead::of_plain(3, 5), b"key", b"value").is_some()
        );
    }

    #[test]
    fn no_word_is_written_beyond_a_segment() {
        let records = records();
        let open = open(&records);
        let segment = records.pool.segment(open.number).expect("it is open");
        let bytes = records.shape().bytes();
        // In release builds, too, which have no debug assertions of single words.
        let refused = |work: &dyn Fn()| {
            let payload = catch_unwind(AssertUnwindSafe(work)).err();
            let text = payload.and_then(|payload| payload.downcast_ref::<&str>().copied());
            text.is_some_and(|text| text.ends_with("would be written beyond a segment"))
        };
        let told = "was written without a bounds check";
        for (at, len) in [(bytes - 8, 9), (bytes, 1), (0, bytes + 1), (usize::MAX, 1)] {
            assert!(
                refused(&|| segment.put(at, [&[], &vec![1; len - 1], &[1]])),
                "{len} bytes at {at} {told}"
            );
        }
        assert!(refused(&|| segment.set_below(bytes, RecordLocation::NONE)), "a word {told}");
        assert!(refused(&|| segment.put_kind(bytes, 1)), "a kind {told}");
        segment.put(bytes - 8, [&[1; 4], &[1; 4], &[]]);
    }
}
