//! Which symbols a text begins with, and the cheapest way to write it with symbols.
//!
//! One table has all symbols by their hash. Another, by the hash of three bytes, says which lengths there are at
//! all of symbols that begin so: few, so that few are looked for.

use super::symbol::{COPIED, LONGEST, Symbol};
use alloc::boxed::Box;
use alloc::vec;

/// Symbols at most.
pub(super) const MOST: usize = 1 << NUMBER_BITS;
const NUMBER_BITS: u32 = 13;
const NUMBER: u32 = (1 << NUMBER_BITS) - 1;
/// A cost is given in quarters of a bit.
pub(super) const BIT: u32 = 4;
const COST_BITS: u32 = 7;
const COST: u32 = (1 << COST_BITS) - 1;
/// The dearest.
pub(super) const DEAREST: u32 = 16 * BIT;
const TAG: u32 = !(COST << NUMBER_BITS | NUMBER);

/// So many bytes are looked at together, at most.
pub(in crate::compressed::codec) const WINDOW: usize = 512;

/// A symbol's number and cost, and in the table a part of its hash; 0 is none, since nothing costs nothing.
#[derive(Clone, Copy)]
struct Entry(u32);

impl Entry {
    fn new(number: u32, cost: u32) -> Self {
        debug_assert!(number <= NUMBER && (1..=DEAREST).contains(&cost));
        Self(cost << NUMBER_BITS | number)
    }

    #[inline]
    fn number(self) -> u32 {
        self.0 & NUMBER
    }

    #[inline]
    fn cost(self) -> u32 {
        self.0 >> NUMBER_BITS & COST
    }
}

/// Finds symbols.
pub(super) struct Finder {
    /// By the whole hash, a power of two, not more than half full.
    entries: Box<[Entry]>,
    /// By the hash of three bytes, a power of two: a bit for each length of symbols that begin so.
    lengths: Box<[u16]>,
    /// A bit for each two bytes that are a symbol.
    pairs: Box<[u64]>,
    /// The symbols of one byte.
    singles: Box<[Entry]>,
}

impl Finder {
    /// Of at most [`MOST`] symbols, and what each costs.
    pub(super) fn new(symbols: &[Symbol], cost: impl Fn(u32) -> u32) -> Self {
        let size = (2 * symbols.len()).next_power_of_two();
        let mut finder = Self {
            entries: vec![Entry(0); size].into(),
            lengths: vec![0; (size / 2).max(64)].into(),
            pairs: vec![0; 1 << 10].into(),
            singles: vec![Entry(0); 256].into(),
        };
        for (number, &symbol) in symbols.iter().enumerate() {
            finder.add(symbol, Entry::new(number as u32, cost(number as u32)));
        }
        finder
    }

    fn add(&mut self, symbol: Symbol, entry: Entry) {
        let bytes = symbol.bytes();
        match symbol.len() {
            1 => return self.singles[usize::from(bytes[0])] = entry,
            2 => {
                let pair = usize::from(u16::from_le_bytes([bytes[0], bytes[1]]));
                self.pairs[pair / 64] |= 1 << (pair % 64);
            }
            length => self.lengths[self.of_three(&bytes)] |= 1 << length,
        }
        let mask = self.entries.len() - 1;
        let hash = symbol.hash();
        let mut at = (hash >> 32) as usize & mask;
        while self.entries[at].0 != 0 {
            at = (at + 1) & mask;
        }
        self.entries[at] = Entry(entry.0 | hash as u32 & TAG);
    }

    #[inline]
    fn of_three(&self, bytes: &[u8; COPIED]) -> usize {
        let three = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]);
        (three.wrapping_mul(0x9e37_79b1) >> 15) as usize & (self.lengths.len() - 1)
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.entries)
            + size_of_val(&*self.lengths)
            + size_of_val(&*self.pairs)
            + size_of_val(&*self.singles)
    }

    /// A symbol's number and cost; `symbols` are those that it was made of.
    #[inline]
    fn entry(&self, symbol: Symbol, symbols: &[Symbol]) -> Option<Entry> {
        let mask = self.entries.len() - 1;
        let hash = symbol.hash();
        let mut at = (hash >> 32) as usize & mask;
        loop {
            let entry = self.entries[at];
            if entry.0 == 0 {
                return None;
            }
            if (entry.0 ^ hash as u32) & TAG == 0 && symbols[entry.number() as usize] == symbol {
                return Some(entry);
            }
            at = (at + 1) & mask;
        }
    }

    /// The number of a symbol.
    pub(super) fn number(&self, symbol: Symbol, symbols: &[Symbol]) -> Option<usize> {
        let entry = match symbol.len() {
            1 => self.singles[usize::from(symbol.bytes()[0])],
            _ => self.entry(symbol, symbols)?,
        };
        Some(entry.number() as usize)
    }

    /// The cheapest way to write `text` with symbols: calls `each` with their numbers in order, as long as it says
    /// that it goes on. Of a long text it looks at some [`WINDOW`] bytes at a time, or as many as `steps` has.
    pub(super) fn parse(
        &self,
        symbols: &[Symbol],
        text: &[u8],
        steps: &mut [u32],
        mut each: impl FnMut(u32) -> Option<()>,
    ) -> Option<()> {
        let mut done = 0;
        while done < text.len() {
            let window = (text.len() - done).min(steps.len());
            self.steps(symbols, &text[done..], &mut steps[..window]);
            // What is best near the end depends on what comes, which was not looked at.
            let sure = if done + window == text.len() { window } else { window - LONGEST };
            let begin = done;
            while done - begin < sure {
                let number = steps[done - begin] & NUMBER;
                done += symbols[number as usize].len();
                each(number)?;
            }
        }
        Some(())
    }

    /// For each place in the window, from the last on: the symbol with which the cheapest way goes on, and what the
    /// way costs.
    #[inline]
    fn steps(&self, symbols: &[Symbol], text: &[u8], steps: &mut [u32]) {
        for at in (0..steps.len()).rev() {
            let bytes = Symbol::padded(&text[at..]);
            let behind =
                |length: usize| steps.get(at + length).map_or(0, |step| step >> NUMBER_BITS);
            let single = self.singles[usize::from(bytes[0])];
            let mut best = (single.cost() + behind(1)) << NUMBER_BITS | single.number();
            let pair = usize::from(u16::from_le_bytes([bytes[0], bytes[1]]));
            let mut lengths = u32::from(self.lengths[self.of_three(&bytes)]);
            lengths |= (self.pairs[pair / 64] >> (pair % 64) & 1) as u32 * 4;
            lengths &= (2 << (text.len() - at).min(LONGEST)) - 1;
            while lengths != 0 {
                let length = lengths.trailing_zeros() as usize;
                lengths &= lengths - 1;
                if let Some(entry) = self.entry(Symbol::starting(&bytes, length), symbols) {
                    let step = (entry.cost() + behind(length)) << NUMBER_BITS | entry.number();
                    best = best.min(step);
                }
            }
            steps[at] = best;
        }
    }
}
