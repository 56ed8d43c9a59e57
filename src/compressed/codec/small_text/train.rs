//! Which symbols are worth having.
//!
//! All begins with the single bytes. In each round the samples are written with the symbols there are, in the
//! cheapest way; a symbol that follows another more often than chance would have it is a candidate together with
//! it. Of all candidates, and of the symbols so far, those stay that save most bits: how often each occurs, times
//! how much less it costs than the two that it would be written with. Symbols grow to twice their length in a
//! round at most. At last some more rounds drop those that the others have made useless.
//!
//! Time and memory are bounded: by how many bytes of samples are looked at, and by the table of pairs, which
//! forgets what it has no room for.

use super::classes::Classes;
use super::finder::{BIT, DEAREST, Finder, WINDOW};
use super::symbol::Symbol;
use super::table::Table;
use crate::compressed::codec::samples;
use crate::compressed::codec::training::{Turns, sort};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

/// So many bytes of samples are looked at,
const LOOKED_AT: usize = 512 << 10;
/// and with fewer than these nothing is learned.
const TOO_FEW: usize = 1 << 10;
/// Rounds in which symbols grow.
const GROWING: usize = 8;
/// Rounds in which those that are of little use go.
const PRUNING: usize = 2;
/// For each symbol beyond single bytes there are so many bytes of samples: of less it would learn by heart.
const BYTES_EACH: usize = 32;
/// Places for pairs at most.
const PAIRS: usize = 1 << 16;
/// A pair that is seen less often is none.
const SELDOM: u32 = 3;

/// Single bytes.
const SINGLES: usize = 256;

/// Learns at most so many symbols.
pub(super) async fn train(values: &[&[u8]], most: usize) -> Option<Table> {
    let turns = &mut Turns::default();
    let samples = samples::spread(values, LOOKED_AT);
    let bytes: usize = samples.iter().map(|sample| sample.len()).sum();
    if bytes < TOO_FEW {
        return None;
    }
    let most = most.min(SINGLES + bytes / BYTES_EACH);
    let mut round = Round::first(turns).await;
    // Short symbols, of which there are many in every sample, are found in fewer samples.
    let few = samples::spread(&samples, (bytes / 4).max(TOO_FEW));
    for left in (0..GROWING).rev() {
        let samples = if left < GROWING / 2 { &samples } else { &few };
        let seen = round.look(samples, true, turns).await;
        round = seen.candidates(&round, turns).await.best(most + most / 4, turns).await;
    }
    for left in (0..PRUNING).rev() {
        let seen = round.look(&samples, false, turns).await;
        let most = most + most / 8 * left;
        round = seen.candidates(&round, turns).await.best(most, turns).await;
    }
    let seen = round.look(&samples, false, turns).await;
    Some(seen.table(&round, turns).await)
}

/// Logarithm to the base of two, in 256ths.
fn log2(x: u64) -> u32 {
    let whole = x.max(1).ilog2();
    // The next eight bits; between two powers the curve is a little above the line.
    let part = ((x.max(1) << 8 >> whole) & 0xff) as u32;
    whole << 8 | (part + ((part * (256 - part) * 88) >> 16)).min(255)
}

/// What something costs, in 256ths of a bit, that occurs `count` times of `total`.
fn cost(total: u64, count: u64) -> u32 {
    log2(total) - log2(count.clamp(1, total))
}

/// Symbols, and how to find them.
struct Round {
    symbols: Vec<Symbol>,
    finder: Finder,
}

/// What the samples are made of.
struct Seen {
    /// How often each symbol occurs.
    counts: Vec<u32>,
    total: u64,
    pairs: Pairs,
}

impl Round {
    async fn first(turns: &mut Turns) -> Self {
        Self::new(singles().collect(), |_| 8 * BIT, turns).await
    }

    async fn new(symbols: Vec<Symbol>, cost: impl Fn(u32) -> u32, turns: &mut Turns) -> Self {
        let finder = Finder::new(&symbols, cost, turns).await;
        Self { symbols, finder }
    }

    async fn look(&self, samples: &[&[u8]], with_pairs: bool, turns: &mut Turns) -> Seen {
        let mut counts = vec![0; self.symbols.len()];
        let bytes: usize = samples.iter().map(|sample| sample.len()).sum();
        let mut pairs = Pairs::new(if with_pairs { bytes.min(PAIRS) } else { 1 });
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
        Seen { counts, total, pairs }
    }
}

fn singles() -> impl Iterator<Item = Symbol> {
    (0..=255).map(|byte| Symbol::new(&[byte]))
}

impl Seen {
    fn cost(&self, count: u32) -> u32 {
        cost(self.total, u64::from(count))
    }

    /// What might be symbols, each once.
    async fn candidates(&self, round: &Round, turns: &mut Turns) -> Candidates {
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

    /// What it costs to write a symbol with two others, or with its bytes.
    fn without(&self, symbol: Symbol, round: &Round) -> u32 {
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

    /// The symbols in order of how often they occur, without those that do not.
    async fn table(&self, round: &Round, turns: &mut Turns) -> Table {
        let mut ranks: Vec<(u32, Symbol)> =
            self.counts.iter().copied().zip(round.symbols.iter().copied()).collect();
        ranks.retain(|&(count, symbol)| count > 1 || symbol.len() == 1);
        sort(&mut ranks, |one, other| other.cmp(one), turns).await;
        let counts: Vec<u32> = ranks.iter().map(|&(count, _)| count).collect();
        let symbols: Box<[Symbol]> = ranks.iter().map(|&(_, symbol)| symbol).collect();
        let classes = Classes::fitting(&counts, turns).await;
        Table::new(symbols, classes, turns).await
    }
}

/// What might be a symbol.
struct Candidate {
    symbol: Symbol,
    saved: u64,
    count: u32,
}

struct Candidates {
    /// How often each single byte occurs: they stay.
    singles: Box<[u32]>,
    list: Vec<Candidate>,
}

impl Candidates {
    /// The `most` that save most.
    async fn best(self, most: usize, turns: &mut Turns) -> Round {
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
            // From 256ths to quarters.
            (bits * BIT).div_ceil(256).clamp(1, DEAREST)
        };
        Round::new(symbols, cost, turns).await
    }
}

/// Which symbol follows which, how often.
struct Pairs {
    /// The pair above, its count below; 0 is none.
    places: Box<[u64]>,
}

impl Pairs {
    /// How many places are looked at.
    const NEAR: usize = 8;

    fn new(places: usize) -> Self {
        Self { places: vec![0; places.next_power_of_two()].into() }
    }

    /// One more of this pair, if there is a place for it. A full neighbourhood forgets those that are seen least.
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

    /// All places, and what is there.
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
            #[expect(clippy::cast_precision_loss, reason = "what is compared is coarser")]
            let exact = (x as f64).log2() * 256.0;
            assert!((f64::from(log2(x)) - exact).abs() < 6.0, "{x}: {} {exact}", log2(x));
        }
    }

    #[test]
    fn frequent_pairs_stay() {
        let mut pairs = Pairs::new(64);
        for number in 0..10_000 {
            pairs.count(7, 8);
            pairs.count(number % 1000, 3);
        }
        let found = pairs.iter().flatten().find(|&(one, other, _)| (one, other) == (7, 8));
        assert!(found.is_some_and(|(.., count)| count > 5000), "{found:?}");
    }
}
