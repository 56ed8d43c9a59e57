//! The lengths of codes.
//!
//! Symbols are numbered by their frequency. A code begins with three bits that name one of eight classes. The class
//! says how many bits follow, and these select one of its symbols. Such codes are one or two percent longer than
//! Huffman codes, but need no table: one word holds all that is needed to find a code's end.

use crate::compressed::codec::training::Turns;

/// The number of classes.
pub(super) const CLASSES: usize = 8;
/// Bits that name a class.
pub(super) const NAME: u32 = 3;
/// The bits that select a symbol in the largest class.
pub(super) const WIDEST: u8 = 13;
/// The work of trying all widths of the other classes, after those of the first two are fixed.
const TRIED: usize = 128;
/// Bits of the longest code.
pub(super) const LONGEST_CODE: u32 = NAME + WIDEST as u32;

/// The classes of symbols, by the length of their codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Classes {
    /// Bits behind the name of each class.
    widths: [u8; CLASSES],
    /// The number of each class's first symbol.
    firsts: [u32; CLASSES],
    /// In each byte, the bits of a code of that class.
    lengths: u64,
}

/// A symbol's code, the first bit lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) bits: u64,
    pub(super) length: u32,
}

impl Classes {
    /// Returns classes of these widths; `None` if one is too wide.
    pub(super) fn new(widths: [u8; CLASSES]) -> Option<Self> {
        let (mut firsts, mut lengths, mut first) = ([0; CLASSES], 0, 0);
        for class in 0..CLASSES {
            if widths[class] > WIDEST {
                return None;
            }
            firsts[class] = first;
            first += 1 << widths[class];
            lengths |= (u64::from(widths[class]) + u64::from(NAME)) << (8 * class);
        }
        Some(Self { widths, firsts, lengths })
    }

    /// Returns the classes with which symbols of these counts, the most frequent first, take the fewest bits.
    pub(super) async fn fitting(counts: &[u32], turns: &mut Turns) -> Self {
        let mut sums = alloc::vec![0; counts.len() + 1];
        for (at, &count) in counts.iter().enumerate() {
            sums[at + 1] = sums[at] + u64::from(count);
        }
        let mut search =
            Search { sums: &sums, widths: [0; CLASSES], best: ([WIDEST; CLASSES], u64::MAX) };
        for one in 0..=WIDEST {
            let Some((first, bits)) = search.take(0, one, 0, 0) else { break };
            for other in one..=WIDEST {
                let Some((end, bits)) = search.take(1, other, first, bits) else { break };
                search.from(2, other, end, bits);
                turns.spend(TRIED).await;
            }
        }
        Self::new(search.best.0).expect("no class is too wide")
    }

    pub(super) fn widths(&self) -> [u8; CLASSES] {
        self.widths
    }

    /// Returns how many symbols have codes.
    pub(super) fn room(&self) -> usize {
        self.firsts[CLASSES - 1] as usize + (1 << self.widths[CLASSES - 1])
    }

    /// Returns the code of the symbol with this number.
    #[inline]
    pub(super) fn code(&self, number: u32) -> Code {
        let class = self.firsts.iter().filter(|&&first| first <= number).count() - 1;
        let bits = u64::from(number - self.firsts[class]) << NAME | class as u64;
        Code { bits, length: u32::from(self.widths[class]) + NAME }
    }

    /// Returns the number of the symbol whose code is lowest in `bits`, and the code's length.
    #[inline]
    pub(super) fn symbol(&self, bits: u64) -> (usize, u32) {
        let class = bits as usize % CLASSES;
        let length = (self.lengths >> (8 * class)) as u32 & 0xff;
        let rest = (bits & !(u64::MAX << (length & 31))) >> NAME;
        (self.firsts[class] as usize + rest as usize, length)
    }
}

/// A search of all nondecreasing widths, except those that cannot be the best.
struct Search<'a> {
    /// For each symbol, the sum of the counts before it.
    sums: &'a [u64],
    widths: [u8; CLASSES],
    best: ([u8; CLASSES], u64),
}

impl Search<'_> {
    /// Tries the classes from `class` on, at least this wide, for the symbols from `first` on.
    fn from(&mut self, class: usize, width: u8, first: usize, bits: u64) {
        let symbols = self.sums.len() - 1;
        // The rest takes at least as many bits as in this class.
        let left = self.sums[symbols] - self.sums[first];
        if bits + left * u64::from(width) >= self.best.1 && self.best.1 != u64::MAX {
            return;
        }
        if first == symbols {
            self.widths[class..].fill(width);
            self.best = (self.widths, bits);
            return;
        }
        for width in width..=WIDEST {
            let Some((end, bits)) = self.take(class, width, first, bits) else { return };
            self.from(class + 1, width, end, bits);
        }
    }

    /// Sets the width of a class. Returns the first symbol of the next class, and the bits of all symbols so far;
    /// `None` if the other classes cannot hold the rest.
    fn take(&mut self, class: usize, width: u8, first: usize, bits: u64) -> Option<(usize, u64)> {
        let symbols = self.sums.len() - 1;
        let most = CLASSES.saturating_sub(class) << WIDEST;
        if class == CLASSES || first + most < symbols {
            return None;
        }
        let end = (first + (1 << width)).min(symbols);
        self.widths[class] = width;
        Some((end, bits + (self.sums[end] - self.sums[first]) * u64::from(width)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compressed::codec::training::at_once;

    #[test]
    fn each_symbol_has_a_code_of_its_own() {
        let classes = Classes::new([0, 1, 1, 2, 3, 3, 5, 7]).unwrap();
        for number in 0..classes.room() {
            let code = classes.code(number as u32);
            for above in [0, u64::MAX << code.length] {
                assert_eq!(classes.symbol(code.bits | above), (number, code.length));
            }
        }
        assert_eq!(Classes::new([14; 8]), None);
    }

    fn fitting(counts: &[u32]) -> Classes {
        at_once(Classes::fitting(counts, &mut Turns::default()))
    }

    #[test]
    fn the_fewest_bits_are_found() {
        let counts: alloc::vec::Vec<u32> = (1..=100).map(|rank| 10_000 / rank).collect();
        let bits = |classes: &Classes| -> u32 {
            (0..100).map(|number| counts[number as usize] * classes.code(number).length).sum()
        };
        let found = fitting(&counts);
        assert!(found.room() >= 100);
        for widths in [[4; 8], [0, 1, 2, 3, 3, 4, 5, 6], [2, 2, 3, 3, 3, 4, 5, 5]] {
            let other = Classes::new(widths).unwrap();
            assert!(other.room() < 100 || bits(&found) <= bits(&other), "{found:?}");
        }
        assert!(fitting(&std::vec![1; 8 << 13]).room() == 8 << 13);
        assert!(fitting(&[1; 1]).room() >= 1);
    }
}
