//! Finds symbols at the beginning of a text, and the cheapest way to write a text.
//!
//! One table has all symbols by their hash. Two others, by the hashes of three and of six bytes, hold the lengths of
//! symbols with that beginning. There are few, so hardly any lookup is in vain. Only the longest symbol is looked up:
//! it refers to the next shorter one that it begins with.

use super::symbol::{COPIED, LONGEST, Symbol};
use crate::compressed::codec::training::Turns;
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

/// The most symbols.
pub(super) const MOST: usize = 1 << NUMBER_BITS;
const NUMBER_BITS: u32 = 13;
const NUMBER: u32 = (1 << NUMBER_BITS) - 1;
/// The number that means no symbol.
const NONE: u32 = NUMBER + 1;
/// One bit, in units of cost.
pub(super) const BIT: u32 = 4;
/// The highest cost of a symbol.
pub(super) const DEAREST: u32 = 16 * BIT;

/// The length of a symbol from which on single bytes are not tried.
const ALONE: usize = 5;

/// The least saving for which a path is followed, beside another that leads farther. With it, half of all places need
/// no lookup, and a text takes a percent more, or less.
const DETOUR: u32 = 2 * BIT;

/// The most places in a row that may be taken. Symbols of texts that nobody has chosen for it take about ten in a row.
/// Symbols that were made to collide would take all in a row, and each search would read them all.
const LONGEST_RUN: usize = 64;

/// The shortest symbols in the table for long ones, by this many bytes.
const MANY: usize = 6;
/// The bytes that select shorter symbols.
const SOME: usize = 3;

/// The cost and the length of a symbol, and the number of the next shorter one that it begins with.
#[derive(Clone, Copy)]
struct Link(u32);

impl Link {
    const COST: u32 = 0xff;

    fn new(cost: u32, length: usize, shorter: u32) -> Self {
        debug_assert!((1..=DEAREST).contains(&cost) && length <= LONGEST && shorter <= NONE);
        Self(shorter << 12 | (length as u32) << 8 | cost)
    }

    #[inline]
    fn cost(self) -> u32 {
        self.0 & Self::COST
    }

    #[inline]
    fn length(self) -> usize {
        (self.0 >> 8 & 15) as usize
    }

    #[inline]
    fn shorter(self) -> u32 {
        self.0 >> 12
    }
}

/// Finds symbols by their text.
pub(super) struct Finder {
    /// By the hash of a symbol, at most half full: its number plus one, and a part of its hash above. 0 is empty. A
    /// power of two many.
    entries: Box<[u32]>,
    /// By the hash of six bytes: a bit for each length of symbols with that beginning. A power of two many.
    long: Box<[u16]>,
    /// The same by the hash of three bytes, for shorter symbols.
    short: Box<[u8]>,
    /// By the symbol's number.
    links: Box<[Link]>,
    /// The numbers of the symbols of one byte.
    singles: Box<[u16; 256]>,
}

impl Finder {
    /// Returns a finder of at most [`MOST`] symbols with their costs. All symbols of one byte are among them. `None` if
    /// too many have nearly the same hash: somebody has made them to collide.
    pub(super) async fn new(
        symbols: &[Symbol],
        cost: impl Fn(u32) -> u32,
        turns: &mut Turns,
    ) -> Option<Self> {
        let size = Self::size(symbols.len());
        let mut finder = Self {
            entries: vec![0; 2 * size].into(),
            long: vec![0; size].into(),
            short: vec![0; size].into(),
            links: Box::default(),
            singles: Box::new([0; 256]),
        };
        for (number, &symbol) in symbols.iter().enumerate() {
            finder.add(symbol, number as u32)?;
            turns.spend(1).await;
        }
        if finder.longest_run() > LONGEST_RUN {
            return None;
        }
        let mut links = Vec::with_capacity(symbols.len());
        for (number, &symbol) in symbols.iter().enumerate() {
            let shorter = match symbol.len() {
                1 | 2 => NONE,
                length => finder.longest(&symbol.bytes(), length - 1, symbols),
            };
            let single = shorter == u32::from(finder.singles[usize::from(symbol.bytes()[0])]);
            let shorter = if single { NONE } else { shorter };
            links.push(Link::new(cost(number as u32), symbol.len(), shorter));
            turns.spend(2).await;
        }
        finder.links = links.into();
        Some(finder)
    }

    /// Adds a symbol. Returns `None` if all places near its own are taken.
    fn add(&mut self, symbol: Symbol, number: u32) -> Option<()> {
        let bytes = symbol.bytes();
        match symbol.len() {
            1 => {
                self.singles[usize::from(bytes[0])] = number as u16;
                return Some(());
            }
            2 => {}
            length @ SOME..MANY => self.short[self.of_some(&bytes)] |= 1 << length,
            length => self.long[self.of_many(&bytes)] |= 1 << length,
        }
        let mask = self.entries.len() - 1;
        let hash = symbol.hash();
        let home = (hash >> 32) as usize & mask;
        let mut places = (home..home + LONGEST_RUN).map(|at| at & mask);
        let at = places.find(|&at| self.entries[at] == 0)?;
        self.entries[at] = (hash as u32) << (NUMBER_BITS + 1) | (number + 1);
        Some(())
    }

    /// Returns how many places in a row are taken at most. The last is followed by the first.
    fn longest_run(&self) -> usize {
        let (mut run, mut longest) = (0, 0);
        for &entry in self.entries.iter().chain(&self.entries[..=LONGEST_RUN]) {
            run = if entry == 0 { 0 } else { run + 1 };
            longest = longest.max(run);
        }
        longest
    }

    #[inline]
    fn of_some(&self, bytes: &[u8; COPIED]) -> usize {
        let some = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]);
        (some.wrapping_mul(0x9e37_79b1) >> 15) as usize & (self.short.len() - 1)
    }

    #[inline]
    fn of_many(&self, bytes: &[u8; COPIED]) -> usize {
        let word = u64::from_le_bytes(*bytes.first_chunk().expect("eight bytes"));
        let many = word << (64 - 8 * MANY);
        (many.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize & (self.long.len() - 1)
    }

    /// Returns the places of each table for this many symbols.
    fn size(symbols: usize) -> usize {
        (2 * symbols).next_power_of_two()
    }

    /// Returns the bytes on the heap for this many symbols.
    pub(super) fn bytes_for(symbols: usize) -> usize {
        let place = 2 * size_of::<u32>() + size_of::<u16>() + size_of::<u8>();
        Self::size(symbols) * place + symbols * size_of::<Link>() + size_of::<[u16; 256]>()
    }

    /// Returns the bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.entries)
            + size_of_val(&*self.long)
            + size_of_val(&*self.short)
            + size_of_val(&*self.links)
            + size_of_val(&*self.singles)
    }

    /// Returns the number of a symbol of more than one byte. `symbols` are those of the finder.
    #[inline]
    fn entry(&self, symbol: Symbol, symbols: &[Symbol]) -> Option<u32> {
        const TAG: u32 = u32::MAX << (NUMBER_BITS + 1);
        let mask = self.entries.len() - 1;
        let hash = symbol.hash();
        let mut at = (hash >> 32) as usize & mask;
        loop {
            let entry = self.entries[at];
            if entry == 0 {
                return None;
            }
            let number = (entry & !TAG) - 1;
            if (entry ^ (hash as u32) << (NUMBER_BITS + 1)) & TAG == 0
                && symbols[number as usize] == symbol
            {
                return Some(number);
            }
            at = (at + 1) & mask;
        }
    }

    /// Returns the number of the longest symbol at the beginning of the bytes, of at most `most` bytes.
    #[inline]
    fn longest(&self, bytes: &[u8; COPIED], most: usize, symbols: &[Symbol]) -> u32 {
        let long = u32::from(self.long[self.of_many(bytes)]);
        let short = u32::from(self.short[self.of_some(bytes)]);
        // A symbol of two bytes has no bit in the tables, so it is always tried.
        let mut lengths = (long | short | 4) & ((2 << most) - 1);
        while lengths > 3 {
            let length = lengths.ilog2();
            if let Some(number) = self.entry(Symbol::starting(bytes, length as usize), symbols) {
                return number;
            }
            lengths ^= 1 << length;
        }
        u32::from(self.singles[usize::from(bytes[0])])
    }

    /// Returns the number of a symbol.
    pub(super) fn number(&self, symbol: Symbol, symbols: &[Symbol]) -> Option<usize> {
        let number = match symbol.len() {
            1 => u32::from(self.singles[usize::from(symbol.bytes()[0])]),
            _ => self.entry(symbol, symbols)?,
        };
        Some(number as usize)
    }

    /// Finds the cheapest way to write `text` with symbols. Calls `each` with their numbers in order, until it returns
    /// `None`.
    #[inline]
    pub(super) fn parse(
        &self,
        symbols: &[Symbol],
        mut text: &[u8],
        steps: &mut [u32],
        mut each: impl FnMut(u32) -> Option<()>,
    ) -> Option<()> {
        while !text.is_empty() {
            text = self.parse_some(symbols, text, steps, &mut each)?;
        }
        Some(())
    }

    /// Parses the beginning of `text` as `parse` does, of nearly as many bytes as `steps` has. Returns the rest.
    #[inline]
    pub(super) fn parse_some<'t>(
        &self,
        symbols: &[Symbol],
        text: &'t [u8],
        steps: &mut [u32],
        mut each: impl FnMut(u32) -> Option<()>,
    ) -> Option<&'t [u8]> {
        // Symbols may extend beyond the window, so that no symbol has to end there.
        let window = text.len().min(steps.len() - 1 - LONGEST);
        let steps = &mut steps[..=(window + LONGEST).min(text.len())];
        self.forward(symbols, text, steps, window);
        // The cost of a path for each byte. A path that ends later costs more, and has written more.
        let by_byte = |end: usize| (u64::from(steps[end] >> NUMBER_BITS) << 16) / end as u64;
        let end = (window..steps.len()).min_by_key(|&end| by_byte(end))?;
        self.back(&mut steps[..=end]);
        // The best path near the end depends on the text behind, which was not parsed yet.
        let sure = if window == text.len() { window } else { window - LONGEST };
        let mut done = 0;
        while done < sure {
            let number = steps[done];
            done += self.links[number as usize].length();
            each(number)?;
        }
        Some(&text[done..])
    }

    /// Finds, for each place in the window and just behind it, the cheapest path there: its cost and its last symbol. A
    /// single byte is not tried beside a long symbol, so that many places need no lookup.
    #[inline]
    fn forward(&self, symbols: &[Symbol], text: &[u8], steps: &mut [u32], window: usize) {
        let last = steps.len() - 1;
        steps.fill(u32::MAX);
        steps[0] = 0;
        let (mut farthest, mut cost_there) = (0, 0);
        for at in 0..window {
            let cost = steps[at] >> NUMBER_BITS;
            if steps[at] == u32::MAX || at < farthest && cost + DETOUR > cost_there {
                continue;
            }
            let bytes = Symbol::padded(&text[at..]);
            let mut number = self.longest(&bytes, (last - at).min(LONGEST), symbols);
            let link = self.links[number as usize];
            if at + link.length() > farthest {
                (farthest, cost_there) = (at + link.length(), cost + link.cost());
            }
            if link.length() < ALONE {
                let single = u32::from(self.singles[usize::from(bytes[0])]);
                let step = &mut steps[at + 1];
                *step = (*step)
                    .min((cost + self.links[single as usize].cost()) << NUMBER_BITS | single);
            }
            loop {
                let link = self.links[number as usize];
                let step = &mut steps[at + link.length()];
                *step = (*step).min((cost + link.cost()) << NUMBER_BITS | number);
                number = link.shorter();
                if number == NONE {
                    break;
                }
            }
        }
    }

    /// Reverses the cheapest path: stores at each of its places the symbol that begins there.
    #[inline]
    fn back(&self, steps: &mut [u32]) {
        let mut at = steps.len() - 1;
        let mut number = steps[at] & NUMBER;
        while at > 0 {
            at -= self.links[number as usize].length();
            number = core::mem::replace(&mut steps[at], number) & NUMBER;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compressed::codec::training::at_once;

    fn parsed(texts: &[(&str, u32)], text: &[u8], window: usize) -> Vec<(usize, u32)> {
        let mut symbols: Vec<Symbol> = (0..=255).map(|byte| Symbol::new(&[byte])).collect();
        symbols.extend(texts.iter().map(|(text, _)| Symbol::new(text.as_bytes())));
        let cost = |number: u32| match number.checked_sub(256) {
            None => 8 * BIT,
            Some(number) => texts[number as usize].1,
        };
        let finder = at_once(Finder::new(&symbols, cost, &mut Turns::default())).unwrap();
        let mut found = Vec::new();
        let mut at = 0;
        finder.parse(&symbols, text, &mut vec![0; window], |number| {
            let symbol = symbols[number as usize];
            assert_eq!(symbol, Symbol::new(&text[at..at + symbol.len()]));
            at += symbol.len();
            found.push((symbol.len(), cost(number)));
            Some(())
        });
        assert_eq!(at, text.len());
        found
    }

    #[test]
    fn the_cheapest_way_is_found() {
        let texts = [("ab", 20), ("abc", 41), ("bcdefg", 5), ("cdefghijklmnopq", 9)];
        let texts = &texts.map(|(text, cost)| (&text[..text.len().min(LONGEST)], cost));
        // The longest symbol at the beginning is not the best.
        assert_eq!(parsed(texts, b"abcdefg", 100), [(1, 32), (6, 5)]);
        assert_eq!(parsed(texts, b"abcdef", 100)[0], (3, 41));
        assert_eq!(parsed(texts, b"abcdefghijklmnopq", 100), [(2, 20), (15, 9)]);
        assert_eq!(parsed(texts, b"ab", 100), [(2, 20)]);
        // Two paths to the same place: the dearer one is found last.
        let way = parsed(&[("ab", 40), ("bc", 33)], b"abc", 100);
        assert_eq!(way, [(1, 32), (2, 33)], "the dearer way");
        assert_eq!(
            parsed(&[("ab", 32), ("bc", 40)], b"abc", 100),
            [(2, 32), (1, 32)],
            "the dearer way"
        );
        assert_eq!(parsed(texts, b"", 100), []);
    }

    #[test]
    fn dearer_and_shorter_paths_are_not_followed() {
        let texts = |cost| [("abc", cost), ("bcdefg", 5)];
        assert_eq!(parsed(&texts(32 + DETOUR), b"abcdefg", 100)[0], (1, 32));
        assert_eq!(parsed(&texts(31 + DETOUR), b"abcdefg", 100)[0], (3, 31 + DETOUR));
    }

    #[test]
    fn long_texts_are_parsed_window_by_window() {
        let texts = &[("aaaaaaaaaaaaaaa", 10), ("aa", 12), ("aaaaaab", 8)];
        for length in 0..200 {
            let mut text = vec![b'a'; length];
            text.push(b'b');
            let cost = |found: Vec<(usize, u32)>| found.iter().map(|&(_, cost)| cost).sum::<u32>();
            let whole = cost(parsed(texts, &text, 1000));
            let in_windows = cost(parsed(texts, &text, 64));
            assert!(in_windows <= 2 * whole, "{length}: {in_windows}, {whole}");
        }
    }
}
