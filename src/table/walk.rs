//! The order in which a walk visits bins, and a position in it.
//!
//! A split divides bin `n` of depth `d` by hash bit `d`: into `n` and `n + 2^d`. Sorted by *reversed* hash bits, the
//! hashes of a bin are one interval, and a split cuts it in two without moving anything across its ends. So a position
//! between intervals is enough to continue a walk, and a key that stays is visited exactly once. (Redis' `SCAN` walks
//! in this order.) But neighbours in this order are stored in segments far apart.
//!
//! So a large table is walked by *stretches*, and a stretch by *lanes*. A stretch is an interval of the reversed bits
//! above those that number bins within a segment; lanes are those numbers. A stretch is as long as the interval of its
//! least deep bin when the walk begins it. Bins only become deeper, so none reaches out of the stretch, and bins that
//! have become deeper are visited one after the other, in their lane. Mostly a stretch is a segment, and its lanes are
//! its bins in the order of their addresses.
//!
//! At 1 M entries, a walk takes 4.9 ns for each entry of a `FlatMap`, instead of 14.4 in the plain order. For `HashMap`
//! it takes half of the time.

use super::{Table, covers};
use crate::api::hash::KeyHash;
use crate::bins::bin::Bin;
use crate::bins::layout::Layout;
use crate::bins::tags::{Depth, Tags};
use crate::sync::backoff::Backoff;
use crate::sync::seqlock::StateWord;

/// A position of a walk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct WalkPosition {
    /// Hash bits of the bin: the lane, and above it the bits that number stretches.
    bits: u64,
    spans: Spans,
}

/// Two numbers of eight bits, packed so that a position fits into two registers; three words would go through memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Spans(u16);

impl Spans {
    const fn new(lane_bits: u8, shared: u8) -> Self {
        Self(lane_bits as u16 | (shared as u16) << 8)
    }

    /// Returns the number of hash bits that number lanes: 0 in a table that was small when the walk began.
    const fn lane_bits(self) -> u8 {
        self.0 as u8
    }

    /// Returns how many of the topmost reversed bits the stretch is named by; `UNKNOWN` before it begins.
    const fn shared(self) -> u8 {
        (self.0 >> 8) as u8
    }
}

/// The value of `Spans::shared` before the stretch begins.
const UNKNOWN: u8 = u8::MAX;

/// A bin as a walk found it, with the first words that it read there.
#[derive(Clone, Copy)]
pub(super) struct WalkedBin<'a, K, V> {
    pub(super) bin: Bin<'a, K, V>,
    pub(super) state: StateWord,
    pub(super) tags: Tags,
}

/// Returns the interval of reversed bits whose topmost `count` are those of `at`: its beginning and its end, None for
/// the end of all intervals.
fn interval(at: u64, count: u8) -> (u64, Option<u64>) {
    match count {
        0 => (0, None),
        count => {
            let begin = at & u64::MAX << (64 - count);
            (begin, begin.checked_add(1 << (64 - count)))
        }
    }
}

impl WalkPosition {
    /// Before all bins.
    pub(crate) const START: Self = Self { bits: 0, spans: Spans::new(0, UNKNOWN) };
    /// As `START`, for a table of fewer bins than lanes: the walk is one stretch of one lane.
    const START_SMALL: Self = Self { bits: 0, spans: Spans::new(0, 0) };

    /// Returns the bits that number stretches, reversed.
    const fn at(self) -> u64 {
        (self.bits >> self.spans.lane_bits()).reverse_bits()
    }

    pub(super) const fn lanes(self) -> u64 {
        1 << self.spans.lane_bits()
    }

    /// Returns the beginning of the stretch around `at`, of lanes that bins of `depth` cover.
    fn begin_at(self, at: u64, depth: Depth) -> Self {
        let lane_bits = self.spans.lane_bits();
        let shared = depth.bits() as u8 - lane_bits;
        let begin = self.with(interval(at, shared).0, 0);
        Self { spans: Spans::new(lane_bits, shared), ..begin }
    }

    /// Returns the number of the lane that the position is in.
    pub(super) const fn lane(self) -> u64 {
        self.bits & (self.lanes() - 1)
    }

    const fn with(self, at: u64, lane: u64) -> Self {
        Self { bits: at.reverse_bits() << self.spans.lane_bits() | lane, ..self }
    }

    /// Returns a hash whose bin is at this position.
    #[inline(always)]
    pub(super) fn hash(self) -> KeyHash {
        KeyHash::of_bin_bits(self.bits)
    }

    /// Returns the position after the bin of `depth` at this position.
    #[inline(always)]
    pub(super) fn after(self, depth: Depth) -> Option<Self> {
        let next = Self { bits: self.bits + 1, ..self };
        // The bin covers its whole lane of the stretch, so the next bin is in the next lane.
        let lane_ends = depth.bits() <= u32::from(self.spans.lane_bits() + self.spans.shared());
        if lane_ends && next.lane() != 0 { Some(next) } else { self.after_partial_lane(depth) }
    }

    /// Returns what `after` does, for a bin that is deeper than its stretch or in the last lane.
    #[cold]
    fn after_partial_lane(self, depth: Depth) -> Option<Self> {
        let count = depth.bits().saturating_sub(u32::from(self.spans.lane_bits())) as u8;
        let (begin, _) = interval(self.at(), self.spans.shared());
        // The bin covers a part of its lane: the next part follows in the same lane, if the stretch does not end here.
        if count > self.spans.shared()
            && let (_, Some(at)) = interval(self.at(), count)
            && interval(at, self.spans.shared()).0 == begin
        {
            return Some(self.with(at, self.lane()));
        }
        let lane = self.lane() + 1;
        if lane < self.lanes() { Some(self.with(begin, lane)) } else { self.next_stretch() }
    }

    /// Whether bins of `depth` cover their lanes of this stretch, so that the next bin is in the next lane.
    #[inline(always)]
    pub(super) const fn covers_lanes(self, depth: Depth) -> bool {
        let spans = self.spans;
        spans.lane_bits() > 0 && depth.bits() <= (spans.lane_bits() + spans.shared()) as u32
    }

    /// Returns the position at the beginning of `lane`, which is this one's or comes after it; the next stretch if
    /// there is no such lane.
    #[inline(always)]
    pub(super) fn at_lane(self, lane: u64) -> Option<Self> {
        match lane {
            lane if lane >= self.lanes() => self.next_stretch(),
            lane if lane == self.lane() => Some(self),
            lane => Some(self.with(interval(self.at(), self.spans.shared()).0, lane)),
        }
    }

    /// Returns this position, or the beginning of `lane` if that comes later.
    #[cfg(feature = "rayon")]
    pub(super) fn at_least(self, lane: u64) -> Self {
        if self.lane() < lane { self.with(self.at(), lane) } else { self }
    }

    /// Whether all lanes below `end` of `last`'s stretch are done. `last` is a position before this one.
    #[cfg(feature = "rayon")]
    pub(super) fn is_past(self, last: Self, end: u64) -> bool {
        self.spans == last.spans && self.lane() >= end && self.lane() > last.lane()
    }

    /// Returns the position of the next stretch, which has not begun.
    pub(super) fn next_stretch(self) -> Option<Self> {
        let (_, end) = interval(self.at(), self.spans.shared());
        Some(Self { spans: Spans::new(self.spans.lane_bits(), UNKNOWN), ..self.with(end?, 0) })
    }

    // The bits of a cursor, lowest first: whether there are lanes; the shared bits plus one; the hash bits.
    const SHARED_AT: u32 = 1;
    const BITS_AT: u32 = 10;
    const MOST_BITS: u32 = 64 - Self::BITS_AT;

    /// Returns the position as a number, 0 for `START`.
    pub(super) fn to_bits(self) -> u64 {
        let shared = u64::from(self.spans.shared().wrapping_add(1));
        self.bits << Self::BITS_AT
            | shared << Self::SHARED_AT
            | u64::from(self.spans.lane_bits() > 0)
    }

    /// Returns the position of a number. Any number is some position.
    pub(super) fn from_bits<K, V>(bits: u64) -> Self {
        let lane_bits = if bits & 1 == 0 { 0 } else { Layout::<K, V>::SEGMENT_BITS as u8 };
        let shared = (bits >> Self::SHARED_AT & 63) as u8;
        let most = if lane_bits == 0 { 1 } else { Self::MOST_BITS as u8 - lane_bits };
        let spans = Spans::new(lane_bits, shared.min(most).wrapping_sub(1));
        Self { bits: bits >> Self::BITS_AT, spans }
    }
}

impl<K: Copy, V: Copy> Table<K, V> {
    /// Returns the bin at `position`, None in a table without bins.
    #[inline(always)]
    pub(super) fn bin_at(&self, position: WalkPosition) -> Option<WalkedBin<'_, K, V>> {
        let hash = position.hash();
        let (bin, depth) = self.directory()?.locate(hash);
        let (state, tags) = (bin.seq().begin(), bin.tags());
        // The directory's hint is right, as it is unless the bin was split or moved just now.
        if tags.depth() == depth {
            return Some(WalkedBin { bin, state, tags });
        }
        self.bin_at_slowly(hash)
    }

    /// Returns what `bin_at` does, when the directory's hint is wrong.
    #[cold]
    fn bin_at_slowly(&self, hash: KeyHash) -> Option<WalkedBin<'_, K, V>> {
        let mut backoff = Backoff::spinning();
        loop {
            if let Some((bin, number)) = Self::home(self.directory()?, hash) {
                let (state, tags) = (bin.seq().begin(), bin.tags());
                if covers(tags.depth(), number, hash) {
                    return Some(WalkedBin { bin, state, tags });
                }
            }
            let _ = backoff.wait();
        }
    }

    /// Returns `position`, with its stretch begun if it was not.
    #[inline(always)]
    pub(super) fn begun(&self, position: WalkPosition) -> WalkPosition {
        if position.spans.shared() == UNKNOWN { self.measure(position) } else { position }
    }

    /// Returns the beginning of the stretch of `position`, with the length that its bins have now.
    #[cold]
    fn measure(&self, position: WalkPosition) -> WalkPosition {
        let lane_bits = Layout::<K, V>::SEGMENT_BITS as u8;
        let stretch = WalkPosition { spans: Spans::new(lane_bits, UNKNOWN), ..position };
        if let Some(depth) = self.depth_of_segment(stretch.with(position.at(), 0).hash()) {
            return stretch.begin_at(position.at(), depth);
        }
        let mut least = WalkPosition::MOST_BITS as u8;
        for lane in 0..1 << lane_bits {
            let found = self.bin_at(stretch.with(position.at(), lane));
            least = least.min(found.map_or(0, |found| found.tags.depth().bits() as u8));
            if least < lane_bits {
                return WalkPosition::START_SMALL;
            }
        }
        stretch.begin_at(position.at(), Depth::of_bits(u32::from(least)))
    }

    /// Returns the depth of the bins of a segment, if it is that of the directory's hint for all of them.
    #[inline]
    fn depth_of_segment(&self, hash: KeyHash) -> Option<Depth> {
        let directory = self.directory().filter(|directory| !directory.is_small())?;
        let hint = directory.hint(hash.bin_bits());
        let others = (0..directory.segment_bins()).fold(0, |others, bin| {
            others | directory.bin_of(hint, bin).tags().difference_of_depth(hint.depth())
        });
        (others == 0 && hint.depth().is_live()).then_some(hint.depth())
    }

    /// Returns the position of a cursor. If bins are less deep than the cursor says, because the table was shrunk or
    /// the cursor is made up, begins its stretch anew.
    pub(super) fn resume(&self, cursor: u64) -> WalkPosition {
        let position = WalkPosition::from_bits::<K, V>(cursor);
        if position.spans.lane_bits() == 0 {
            return position;
        }
        let now = self.measure(position);
        let holds = now.spans.lane_bits() > 0 && position.spans.shared() <= now.spans.shared();
        if holds { position } else { now }
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;

    /// Returns all bins of a table of `1 << bits` bins, in the order of the walk.
    fn order(mut position: WalkPosition, bits: u32) -> alloc::vec::Vec<u64> {
        let mut met = alloc::vec::Vec::new();
        loop {
            met.push(position.hash().0 & ((1 << bits) - 1));
            if position.spans.shared() == UNKNOWN {
                let lane_bits = position.spans.lane_bits();
                position.spans = Spans::new(lane_bits, bits as u8 - lane_bits);
            }
            match position.after(Depth::of_bits(bits)) {
                Some(next) => position = next,
                None => return met,
            }
        }
    }

    #[test]
    fn every_bin_is_met_once_by_lanes_or_without() {
        assert_eq!(order(WalkPosition::START_SMALL, 2), [0, 2, 1, 3]);
        let lanes = WalkPosition { spans: Spans::new(2, UNKNOWN), ..WalkPosition::START };
        assert_eq!(order(lanes, 4), [0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15]);
        // One stretch, begun when the table had four bins: it is walked lane by lane.
        let lanes = WalkPosition { spans: Spans::new(2, 0), ..lanes };
        assert_eq!(order(lanes, 4), [0, 8, 4, 12, 1, 9, 5, 13, 2, 10, 6, 14, 3, 11, 7, 15]);
    }

    #[test]
    fn positions_come_back_from_their_numbers() {
        for bits in (0..64).map(|bit| 1 << bit).chain([0, 0x0123_4567_89AB_CDEF, u64::MAX]) {
            let position = WalkPosition::from_bits::<u64, u64>(bits);
            assert_eq!(WalkPosition::from_bits::<u64, u64>(position.to_bits()), position);
        }
        assert_eq!(WalkPosition::START.to_bits(), 0);
        assert_eq!(WalkPosition::from_bits::<u64, u64>(0), WalkPosition::START);
    }
}
