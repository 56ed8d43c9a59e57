//! Training: the choice of symbols.
//!
//! Training begins with the single bytes. In each round it writes the samples with the current symbols, in the cheapest
//! way. Two symbols that follow each other more often than by chance become a candidate. Of all candidates and current
//! symbols, those stay that save most bits: how often each occurs, times how much less it costs than the two symbols
//! that would replace it. Symbols at most double their length in a round. The last rounds only drop symbols that others
//! have made useless.
//!
//! The bytes of samples and the size of the table of pairs bound time and memory. A full table forgets rare pairs.

use super::classes::Classes;
use super::finder::{BIT, DEAREST, Finder, MOST};
use super::symbol::Symbol;
use super::table::SymbolTable;
use crate::compressed::codec::samples;
use crate::compressed::codec::training::{Turns, sort};
use crate::compressed::codec::work::WINDOW;
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

/// Bytes of samples that are read.
const LOOKED_AT: usize = 512 << 10;
/// With fewer bytes of samples, training returns nothing.
const TOO_FEW: usize = 1 << 10;
/// Rounds in which symbols grow.
const GROWING: usize = 8;
/// Rounds in which useless symbols are dropped.
const PRUNING: usize = 2;
/// Bytes of samples for each symbol beyond single bytes. With fewer, training would learn the samples by heart.
const BYTES_EACH: usize = 32;
/// The most places for pairs.
const PAIRS: usize = 1 << 16;
/// The least count of a pair that becomes a candidate.
const SELDOM: u32 = 3;

/// The number of single bytes.
const SINGLES: usize = 256;

/// Returns a table of at most `most` symbols. `None` if there are too few samples, or if their symbols were made to
/// collide: their table could not be imported.
pub(super) async fn train(values: &[&[u8]], most: usize) -> Option<SymbolTable> {
    let turns = &mut Turns::default();
    let samples = samples::spread(values, LOOKED_AT);
    let bytes: usize = samples.iter().map(|sample| sample.len()).sum();
    if bytes < TOO_FEW {
        return None;
    }
    let most = most.min(SINGLES + bytes / BYTES_EACH);
    let mut round = TrainingRound::first(turns).await?;
    // The first rounds find short symbols, which are frequent, so fewer samples are enough.
    let few = samples::spread(&samples, (bytes / 4).max(TOO_FEW));
    for left in (0..GROWING).rev() {
        let samples = if left < GROWING / 2 { &samples } else { &few };
        let seen = round.count_symbols(samples, true, turns).await;
        let most = (most + most / 4).min(MOST);
        round = seen.candidates(&round, turns).await.best(most, turns).await?;
    }
    for left in (0..PRUNING).rev() {
        let seen = round.count_symbols(&samples, false, turns).await;
        let most = (most + most / 8 * left).min(MOST);
        round = seen.candidates(&round, turns).await.best(most, turns).await?;
    }
    let seen = round.count_symbols(&samples, false, turns).await;
    seen.table(&round, turns).await
}

/// Returns the binary logarithm, in 256ths.
fn log2(x: u64) -> u32 {
    let whole = x.max(1).ilog2();
    // The next eight bits. Between two powers the curve is a little above the straight line.
    let part = ((x.max(1) << 8 >> whole) & 0xff) as u32;
    whole << 8 | (part + ((part * (256 - part) * 88) >> 16)).min(255)
}

/// Returns the cost of a symbol that occurs `count` times of `total`, in 256ths of a bit.
fn cost(total: u64, count: u64) -> u32 {
    log2(total) - log2(count.clamp(1, total))
}

/// The symbols of a round, and how to find them.
struct TrainingRound {
    symbols: Vec<Symbol>,
    finder: Finder,
}

/// The counts of symbols in the samples.
struct SymbolCounts {
    /// How often each symbol occurs.
    counts: Vec<u32>,
    total: u64,
    pairs: PairCounts,
}

impl TrainingRound {
    async fn first(turns: &mut Turns) -> Option<Self> {
        Self::new(singles().collect(), |_| 8 * BIT, turns).await
    }

    async fn new(
        symbols: Vec<Symbol>,
        cost: impl Fn(u32) -> u32,
        turns: &mut Turns,
    ) -> Option<Self> {
        let finder = Finder::new(&symbols, cost, turns).await?;
        Some(Self { symbols, finder })
    }

    async fn count_symbols(
        &self,
        samples: &[&[u8]],
        with_pairs: bool,
        turns: &mut Turns,
    ) -> SymbolCounts {
        let mut counts = vec![0; self.symbols.len()];
        let bytes: usize = samples.iter().map(|sample| sample.len()).sum();
        let mut pairs = PairCounts::new(if with_pairs { bytes.min(PAIRS) } else { 1 });
        let mut steps = vec![0; WINDOW];
        let mut total = 0;
        for &sample in samples {
            let (mut last, mut left) = (None, sample);
            while !left.is_empty() {
                let rest = self.finder.parse_some(&self.symbols, left, &mut steps, |number| {
                    counts[number as usize] += 1;
                    total += 1;
                    if let Some(last) = last.replace(number).filter(|_| with_pairs) {
                        pairs.count(last, number);
                    }
                    Some(())
                });
                let rest = rest.unwrap_or_default();
                turns.spend(left.len() - rest.len()).await;
                left = rest;
            }
        }
        SymbolCounts { counts, total, pairs }
    }
}

fn singles() -> impl Iterator<Item = Symbol> {
    (0..=255).map(|byte| Symbol::new(&[byte]))
}

impl SymbolCounts {
    fn cost(&self, count: u32) -> u32 {
        cost(self.total, u64::from(count))
    }

    /// Returns the candidates of the next round, each once.
    async fn candidates(&self, round: &TrainingRound, turns: &mut Turns) -> Candidates {
        let mut list = Vec::new();
        for (number, &symbol) in round.symbols.iter().enumerate() {
            let count = self.counts[number];
            if symbol.len() > 1 && count > 1 {
                let without = self.without(symbol, round);
                let saved = without.saturating_sub(self.cost(count)).max(16);
                list.push(Candidate { symbol, saved: u64::from(saved) * u64::from(count), count });
            }
            turns.spend(symbol.len()).await;
        }
        for (at, pair) in self.pairs.iter().enumerate() {
            if at % 32 == 0 {
                turns.spend(1).await;
            }
            let Some((one, other, count)) = pair.filter(|&(.., count)| count >= SELDOM) else {
                continue;
            };
            turns.spend(2).await;
            let Some(symbol) = round.symbols[one].joined(round.symbols[other]) else { continue };
            let apart = self.cost(self.counts[one]) + self.cost(self.counts[other]);
            let saved = apart.saturating_sub(self.cost(count));
            if saved > 0 {
                list.push(Candidate { symbol, saved: u64::from(saved) * u64::from(count), count });
            }
        }
        sort(&mut list, |one, other| one.symbol.cmp(&other.symbol), turns).await;
        let all = list.len();
        list.dedup_by(|next, kept| {
            let same = next.symbol == kept.symbol;
            if same {
                kept.saved += next.saved;
                kept.count += next.count;
            }
            same
        });
        turns.spend(all / 8).await;
        Candidates { singles: self.counts[..SINGLES].into(), list }
    }

    /// Returns the cost of a symbol that is written with two others, or with its bytes.
    fn without(&self, symbol: Symbol, round: &TrainingRound) -> u32 {
        let of = |symbol: Symbol| {
            let number = round.finder.number(symbol, &round.symbols)?;
            Some(self.cost(self.counts[number]))
        };
        let in_two = (1..symbol.len()).filter_map(|length| {
            let (one, other) = symbol.split(length);
            Some(of(one)? + of(other)?)
        });
        in_two.min().unwrap_or_else(|| {
            let bytes = symbol.bytes();
            bytes[..symbol.len()].iter().map(|&b| self.cost(self.counts[usize::from(b)])).sum()
        })
    }

    /// Returns a table of the symbols by frequency, without those that do not occur.
    async fn table(&self, round: &TrainingRound, turns: &mut Turns) -> Option<SymbolTable> {
        let mut ranks: Vec<(u32, Symbol)> =
            self.counts.iter().copied().zip(round.symbols.iter().copied()).collect();
        ranks.retain(|&(count, symbol)| count > 1 || symbol.len() == 1);
        sort(&mut ranks, |one, other| other.cmp(one), turns).await;
        let counts: Vec<u32> = ranks.iter().map(|&(count, _)| count).collect();
        let symbols: Box<[Symbol]> = ranks.iter().map(|&(_, symbol)| symbol).collect();
        let classes = Classes::fitting(&counts, turns).await;
        SymbolTable::new(symbols, classes, turns).await
    }
}

/// A candidate for the next round.
struct Candidate {
    symbol: Symbol,
    saved: u64,
    count: u32,
}

struct Candidates {
    /// How often each single byte occurs. Single bytes always stay.
    singles: Box<[u32]>,
    list: Vec<Candidate>,
}

impl Candidates {
    /// Returns the `most` symbols that save most bits.
    async fn best(self, most: usize, turns: &mut Turns) -> Option<TrainingRound> {
        let Self { singles: mut counts, mut list } = self;
        let most = most - SINGLES;
        if list.len() > most {
            let order = |one: &Candidate, other: &Candidate| {
                (other.saved, other.symbol).cmp(&(one.saved, one.symbol))
            };
            list.select_nth_unstable_by(most, order);
            turns.spend(list.len() / 8).await;
            list.truncate(most);
        }
        let mut symbols: Vec<Symbol> = singles().collect();
        symbols.extend(list.iter().map(|candidate| candidate.symbol));
        let mut all = core::mem::take(&mut counts).into_vec();
        all.extend(list.iter().map(|candidate| candidate.count));
        let total = all.iter().map(|&count| u64::from(count)).sum();
        let cost = |number: u32| {
            let bits = cost(total, u64::from(all[number as usize]));
            // From 256ths of a bit to quarters.
            (bits * BIT).div_ceil(256).clamp(1, DEAREST)
        };
        TrainingRound::new(symbols, cost, turns).await
    }
}

/// How often each pair of symbols occurs.
struct PairCounts {
    /// The pair in the upper half of a word, its count in the lower; 0 is empty.
    places: Box<[u64]>,
}

impl PairCounts {
    /// The places that a pair may take.
    const NEAR: usize = 8;

    fn new(places: usize) -> Self {
        Self { places: vec![0; places.next_power_of_two()].into() }
    }

    /// Counts a pair, if there is a place for it. A full neighbourhood forgets its rarest pairs.
    fn count(&mut self, one: u32, other: u32) {
        let pair = one << 16 | other;
        let begin = (pair.wrapping_mul(0x9e37_79b1) >> 8) as usize;
        let mask = self.places.len() - 1;
        for at in begin..begin + Self::NEAR {
            let place = &mut self.places[at & mask];
            if *place == 0 {
                *place = u64::from(pair) << 32;
            }
            if *place >> 32 == u64::from(pair) {
                *place += 1;
                return;
            }
        }
        for at in begin..begin + Self::NEAR {
            let place = &mut self.places[at & mask];
            let count = *place & 0xffff_ffff;
            *place = if count > 1 { *place - 1 } else { 0 };
        }
    }

    /// Returns all places and their pairs.
    fn iter(&self) -> impl Iterator<Item = Option<(usize, usize, u32)>> {
        self.places.iter().map(|&place| {
            let pair = (place >> 32) as usize;
            (place != 0).then_some((pair >> 16, pair & 0xffff, place as u32))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_are_near() {
        for x in (1..5000).chain([1 << 20, 12_345_678, u64::from(u32::MAX)]) {
            #[expect(clippy::cast_precision_loss, reason = "the comparison is coarser")]
            let exact = (x as f64).log2() * 256.0;
            assert!((f64::from(log2(x)) - exact).abs() < 6.0, "{x}: {} {exact}", log2(x));
        }
    }

    #[test]
    fn frequent_pairs_stay() {
        let mut pairs = PairCounts::new(64);
        for number in 0..10_000 {
            pairs.count(7, 8);
            pairs.count(number % 1000, 3);
        }
        let found = pairs.iter().flatten().find(|&(one, other, _)| (one, other) == (7, 8));
        assert!(found.is_some_and(|(.., count)| count > 5000), "{found:?}");
    }
}
