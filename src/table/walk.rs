//! The order in which a walk meets bins, and a place in it.
//!
//! A split takes bin `n` of depth `d` apart by hash bit `d`: into `n` and `n + 2^d`. Sorted by *reversed*
//! hash bits, what a bin covers is one interval, and a split cuts it in two without moving anything across
//! its ends: a plain position between intervals is enough to go on from, and a key that stays is met
//! exactly once. (Redis' `SCAN` walks so.) But neighbours in that order lie in segments far apart.
//!
//! So a large table is walked by *stretches*: intervals of the reversed bits above those that number bins
//! within a segment, and in a stretch by *lanes*, which are those numbers. A stretch is as long as the
//! interval of the least deep of its bins when it is begun: bins only become deeper, so none reaches out
//! of it, and those that are deeper by the time they are met are met one after the other, in their lane.
//! Mostly a stretch is a segment, and its lanes are its bins in the order of their addresses.

use super::{Table, covers};
use crate::api::hash::KeyHash;
use crate::bins::bin::Bin;
use crate::bins::layout::Layout;
use crate::bins::tags::{Depth, Tags};
use crate::sync::backoff::Backoff;
use crate::sync::seqlock::State;

/// Where a walk is, or begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Position {
    /// Hash bits of the bin: the lane, and above it those by which stretches go.
    bits: u64,
    spans: Spans,
}

/// One number, for the sake of calls: two registers hold a position, and memory three.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Spans(u16);

impl Spans {
    const fn new(lane_bits: u8, shared: u8) -> Self {
        Self(lane_bits as u16 | (shared as u16) << 8)
    }

    /// Hash bits that number lanes: none, in a table that was small when the walk began.
    const fn lane_bits(self) -> u8 {
        self.0 as u8
    }

    /// Topmost bits, once reversed, that the stretch goes by; `UNKNOWN` before it is begun.
    const fn shared(self) -> u8 {
        (self.0 >> 8) as u8
    }
}

/// What the stretch goes by before it is begun.
const UNKNOWN: u8 = u8::MAX;

/// A bin as it was found, with the first words of it that were read.
#[derive(Clone, Copy)]
pub(super) struct Found<'a, K, V> {
    pub(super) bin: Bin<'a, K, V>,
    pub(super) state: State,
    pub(super) tags: Tags,
}

/// The interval of reversed bits that has the topmost `count` of `at`: where it begins and ends, None for
/// the end of all.
fn interval(at: u64, count: u8) -> (u64, Option<u64>) {
    match count {
        0 => (0, None),
        count => {
            let begin = at & u64::MAX << (64 - count);
            (begin, begin.checked_add(1 << (64 - count)))
        }
    }
}

impl Position {
    /// Before everything.
    pub(crate) const START: Self = Self { bits: 0, spans: Spans::new(0, UNKNOWN) };
    /// As `START`, for a table that has fewer bins than lanes: everything is one stretch of one lane.
    const START_SMALL: Self = Self { bits: 0, spans: Spans::new(0, 0) };

    /// The bits by which stretches go, reversed.
    const fn at(self) -> u64 {
        (self.bits >> self.spans.lane_bits()).reverse_bits()
    }

    pub(super) const fn lanes(self) -> u64 {
        1 << self.spans.lane_bits()
    }

    const fn lane(self) -> u64 {
        self.bits & (self.lanes() - 1)
    }

    const fn with(self, at: u64, lane: u64) -> Self {
        Self { bits: at.reverse_bits() << self.spans.lane_bits() | lane, ..self }
    }

    /// A hash whose bin is met here.
    #[inline(always)]
    pub(super) fn hash(self) -> KeyHash {
        KeyHash::of_bin_bits(self.bits)
    }

    /// The position after the bin that is met here.
    #[inline(always)]
    pub(super) fn after(self, depth: Depth) -> Option<Self> {
        let next = Self { bits: self.bits + 1, ..self };
        let lane_ends = depth.bits() <= u32::from(self.spans.lane_bits() + self.spans.shared());
        if lane_ends && next.lane() != 0 { Some(next) } else { self.far_after(depth) }
    }

    #[cold]
    fn far_after(self, depth: Depth) -> Option<Self> {
        let count = depth.bits().saturating_sub(u32::from(self.spans.lane_bits())) as u8;
        let (begin, _) = interval(self.at(), self.spans.shared());
        if count > self.spans.shared()
            && let (_, Some(at)) = interval(self.at(), count)
            && interval(at, self.spans.shared()).0 == begin
        {
            return Some(self.with(at, self.lane()));
        }
        let lane = self.lane() + 1;
        if lane < self.lanes() { Some(self.with(begin, lane)) } else { self.next_stretch() }
    }

    /// This position, or the beginning of `lane` if that comes later.
    #[cfg(feature = "rayon")]
    pub(super) fn at_least(self, lane: u64) -> Self {
        if self.lane() < lane { self.with(self.at(), lane) } else { self }
    }

    /// Whether of the stretch of `last`, a position before this one, all lanes below `end` are done.
    #[cfg(feature = "rayon")]
    pub(super) fn is_past(self, last: Self, end: u64) -> bool {
        self.spans == last.spans && self.lane() >= end && self.lane() > last.lane()
    }

    /// The stretch after this one, not begun.
    pub(super) fn next_stretch(self) -> Option<Self> {
        let (_, end) = interval(self.at(), self.spans.shared());
        Some(Self { spans: Spans::new(self.spans.lane_bits(), UNKNOWN), ..self.with(end?, 0) })
    }

    // Of a cursor, lowest bit first: whether there are lanes, the shared bits and one more, the hash bits.
    const SHARED_AT: u32 = 1;
    const BITS_AT: u32 = 10;
    const MOST_BITS: u32 = 64 - Self::BITS_AT;

    /// As a number: of `START`, 0.
    pub(super) fn to_bits(self) -> u64 {
        let shared = u64::from(self.spans.shared().wrapping_add(1));
        self.bits << Self::BITS_AT
            | shared << Self::SHARED_AT
            | u64::from(self.spans.lane_bits() > 0)
    }

    /// Of any number some position.
    pub(super) fn from_bits<K, V>(bits: u64) -> Self {
        let lane_bits = if bits & 1 == 0 { 0 } else { Layout::<K, V>::SEGMENT_BITS as u8 };
        let shared = (bits >> Self::SHARED_AT & 63) as u8;
        let most = if lane_bits == 0 { 1 } else { Self::MOST_BITS as u8 - lane_bits };
        let spans = Spans::new(lane_bits, shared.min(most).wrapping_sub(1));
        Self { bits: bits >> Self::BITS_AT, spans }
    }
}

impl<K: Copy, V: Copy> Table<K, V> {
    /// The bin that is met at `position`, None in a table without bins.
    #[inline(always)]
    pub(super) fn met_at(&self, position: Position) -> Option<Found<'_, K, V>> {
        let hash = position.hash();
        let (bin, depth) = self.directory()?.locate(hash);
        let (state, tags) = (bin.seq().begin(), bin.tags());
        if tags.depth() == depth {
            return Some(Found { bin, state, tags });
        }
        self.met_with_effort(hash)
    }

    /// As `met_at`, where the directory's hint is not right.
    #[cold]
    fn met_with_effort(&self, hash: KeyHash) -> Option<Found<'_, K, V>> {
        let mut backoff = Backoff::spinning();
        loop {
            if let Some((bin, number)) = Self::home(self.directory()?, hash) {
                let (state, tags) = (bin.seq().begin(), bin.tags());
                if covers(tags.depth(), number, hash) {
                    return Some(Found { bin, state, tags });
                }
            }
            let _ = backoff.wait();
        }
    }

    /// `position`, with its stretch begun if it was not.
    #[inline(always)]
    pub(super) fn begun(&self, position: Position) -> Position {
        if position.spans.shared() == UNKNOWN { self.measured(position) } else { position }
    }

    /// The beginning of the stretch that `position` lies in, as long as its bins are now.
    #[cold]
    fn measured(&self, position: Position) -> Position {
        let lane_bits = Layout::<K, V>::SEGMENT_BITS as u8;
        let stretch = Position { spans: Spans::new(lane_bits, UNKNOWN), ..position };
        let mut least = Position::MOST_BITS as u8;
        for lane in 0..1 << lane_bits {
            let found = self.met_at(stretch.with(position.at(), lane));
            least = least.min(found.map_or(0, |found| found.tags.depth().bits() as u8));
            if least < lane_bits {
                return Position::START_SMALL;
            }
        }
        let shared = least - lane_bits;
        let begin = stretch.with(interval(position.at(), shared).0, 0);
        Position { spans: Spans::new(lane_bits, shared), ..begin }
    }

    /// The position that a cursor stands for. Bins are less deep than it says in a table that has been
    /// shrunk, or where somebody made the cursor up: its stretch is begun anew there.
    pub(super) fn resume(&self, cursor: u64) -> Position {
        let position = Position::from_bits::<K, V>(cursor);
        if position.spans.lane_bits() == 0 {
            return position;
        }
        let now = self.measured(position);
        let holds = now.spans.lane_bits() > 0 && position.spans.shared() <= now.spans.shared();
        if holds { position } else { now }
    }
}

#[cfg(all(test, not(hedgerow_loom)))]
mod tests {
    use super::*;

    /// All bins of a table of `1 << bits` bins, in the order of the walk.
    fn order(mut position: Position, bits: u32) -> alloc::vec::Vec<u64> {
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
        assert_eq!(order(Position::START_SMALL, 2), [0, 2, 1, 3]);
        let lanes = Position { spans: Spans::new(2, UNKNOWN), ..Position::START };
        assert_eq!(order(lanes, 4), [0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15]);
        // As one stretch, begun when the table had four bins: lane by lane.
        let lanes = Position { spans: Spans::new(2, 0), ..lanes };
        assert_eq!(order(lanes, 4), [0, 8, 4, 12, 1, 9, 5, 13, 2, 10, 6, 14, 3, 11, 7, 15]);
    }

    #[test]
    fn positions_come_back_from_their_numbers() {
        for bits in (0..64).map(|bit| 1 << bit).chain([0, 0x0123_4567_89AB_CDEF, u64::MAX]) {
            let position = Position::from_bits::<u64, u64>(bits);
            assert_eq!(Position::from_bits::<u64, u64>(position.to_bits()), position);
        }
        assert_eq!(Position::START.to_bits(), 0);
        assert_eq!(Position::from_bits::<u64, u64>(0), Position::START);
    }
}
