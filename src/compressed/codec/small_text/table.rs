//! The model: symbols, their codes, compression and decompression.

use super::classes::{CLASSES, Classes, LONGEST_CODE};
use super::finder::{BIT, Finder, MOST};
use super::symbol::{COPIED, LONGEST, Symbol};
use crate::compressed::codec::training::{Turns, at_once};
use crate::compressed::codec::{Corrupt, Model, Work};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// The fewest symbols that are worth while.
pub(super) const FEWEST: usize = 300;
/// The first byte of an exported table.
const VERSION: u8 = 1;
/// Codes that a word holds after it was filled.
const CODES: u32 = 56 / LONGEST_CODE;

/// Symbols by their numbers, their codes, and how to find them.
pub(super) struct SymbolTable {
    symbols: Box<[Symbol]>,
    classes: Classes,
    finder: Finder,
}

impl SymbolTable {
    /// Returns a table of these symbols, the most frequent first. All symbols of one byte are among them, and no more
    /// than the classes have codes for. `None` if too many have nearly the same hash.
    pub(super) async fn new(
        symbols: Box<[Symbol]>,
        classes: Classes,
        turns: &mut Turns,
    ) -> Option<Self> {
        let most = classes.room().min(MOST);
        debug_assert!(symbols.len() <= most, "{} symbols, and codes for {most}", symbols.len());
        let cost = |number| classes.code(number).length * BIT;
        let finder = Finder::new(&symbols, cost, turns).await?;
        Some(Self { symbols, classes, finder })
    }

    /// Returns the symbols of the largest table that fits into `room` bytes; `None` if they would be too few.
    pub(super) fn symbols_in(room: usize) -> Option<usize> {
        let bytes_for = |symbols: usize| {
            size_of::<Self>() + symbols * size_of::<Symbol>() + Finder::bytes_for(symbols)
        };
        let (mut few, mut many) = (FEWEST, MOST + 1);
        // The bytes grow with the number of symbols, so a binary search finds it.
        while many - few > 1 {
            let middle = usize::midpoint(few, many);
            if bytes_for(middle) <= room { few = middle } else { many = middle }
        }
        (bytes_for(few) <= room).then_some(few)
    }

    pub(super) fn import(bytes: &[u8]) -> Option<Self> {
        let (&version, bytes) = bytes.split_first()?;
        let (widths, bytes) = bytes.split_first_chunk::<CLASSES>()?;
        let (count, mut bytes) = bytes.split_first_chunk()?;
        let count = usize::from(u16::from_le_bytes(*count));
        let classes = Classes::new(*widths)?;
        if version != VERSION || count > classes.room().min(MOST) {
            return None;
        }
        let mut symbols = Vec::with_capacity(count);
        let mut singles = [false; 256];
        for _ in 0..count {
            let (&length, rest) = bytes.split_first()?;
            let length = usize::from(length);
            if !(1..=LONGEST).contains(&length) || length > rest.len() {
                return None;
            }
            if length == 1 {
                singles[usize::from(rest[0])] = true;
            }
            symbols.push(Symbol::new(&rest[..length]));
            bytes = &rest[length..];
        }
        let complete = bytes.is_empty() && singles.iter().all(|&single| single);
        if !complete {
            return None;
        }
        let table = at_once(Self::new(symbols.into(), classes, &mut Turns::default()))?;
        table.has_each_once().then_some(table)
    }

    /// Whether no symbol comes twice. One that does is found by its first number or its last alone.
    fn has_each_once(&self) -> bool {
        let number = |symbol| self.finder.number(symbol, &self.symbols);
        self.symbols.iter().enumerate().all(|(at, &symbol)| number(symbol) == Some(at))
    }

    /// Reads the next code, and returns its symbol.
    #[inline]
    fn next(&self, bits: &mut CodeReader) -> Result<Symbol, Corrupt> {
        let (number, length) = self.classes.symbol(bits.word);
        bits.drop(length)?;
        self.symbols.get(number).copied().ok_or(Corrupt)
    }
}

impl Model for SymbolTable {
    fn compress(&self, plain: &[u8], into: &mut [u8], work: &mut Work) -> Option<usize> {
        let mut out = CodeWriter { into, used: 0, word: 0, have: 0 };
        self.finder.parse(&self.symbols, plain, work.steps(), |number| {
            let code = self.classes.code(number);
            out.push(code.bits, code.length)
        })?;
        out.end()
    }

    fn decompress(&self, stored: &[u8], into: &mut [u8]) -> Result<(), Corrupt> {
        let mut bits = CodeReader { stored, at: 0, word: 0, have: 0 };
        let mut done = 0;
        'wide: loop {
            bits.fill();
            for _ in 0..CODES {
                let Some(place) = into.get_mut(done..done + COPIED) else { break 'wide };
                let symbol = self.next(&mut bits)?;
                place.copy_from_slice(&symbol.bytes());
                done += symbol.len();
            }
        }
        // A whole symbol could be copied beyond the end, so the rest is written to a buffer first.
        let rest = &mut into[done..];
        let (mut narrow, mut done) = ([0; 2 * COPIED], 0);
        while done < rest.len() {
            bits.fill();
            let symbol = self.next(&mut bits)?;
            narrow[done..done + COPIED].copy_from_slice(&symbol.bytes());
            done += symbol.len();
        }
        if done != rest.len() {
            return Err(Corrupt);
        }
        rest.copy_from_slice(&narrow[..done]);
        bits.end()
    }

    fn export(&self, into: &mut dyn FnMut(&[u8])) {
        into(&[VERSION]);
        into(&self.classes.widths());
        into(&(self.symbols.len() as u16).to_le_bytes());
        for symbol in &self.symbols {
            into(&[symbol.len() as u8]);
            into(&symbol.bytes()[..symbol.len()]);
        }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.symbols) + self.finder.bytes()
    }
}

/// A reader of codes, the first bit lowest.
struct CodeReader<'a> {
    stored: &'a [u8],
    /// The first byte that `have` does not count.
    at: usize,
    word: u64,
    /// The valid bits of `word`. Those above are 0, or the same bits that the next fill adds.
    have: u32,
}

impl CodeReader<'_> {
    /// Fills the word to more than 55 bits, if there are as many.
    #[inline]
    fn fill(&mut self) {
        let left = self.stored.len() - self.at;
        let more = if left >= 8 {
            u64::from_le_bytes(*self.stored[self.at..].first_chunk().expect("eight bytes"))
        } else if let Some(last) = self.stored.last_chunk::<8>() {
            // With no bytes left the shift would be by all bits, which `checked_shr` turns into 0.
            u64::from_le_bytes(*last).checked_shr(64 - 8 * left as u32).unwrap_or(0)
        } else {
            let mut last = [0; 8];
            last[..left].copy_from_slice(&self.stored[self.at..]);
            u64::from_le_bytes(last)
        };
        self.word |= more << self.have;
        let bytes = ((63 - self.have) / 8).min(left as u32);
        self.at += bytes as usize;
        self.have += 8 * bytes;
    }

    #[inline]
    fn drop(&mut self, length: u32) -> Result<(), Corrupt> {
        self.have = self.have.checked_sub(length).ok_or(Corrupt)?;
        self.word >>= length;
        Ok(())
    }

    /// Checks that only the padding of the last byte is left.
    fn end(self) -> Result<(), Corrupt> {
        let filling = !(u64::MAX << self.have.min(63));
        let whole = self.at == self.stored.len() && self.have < 8 && self.word == filling;
        if whole { Ok(()) } else { Err(Corrupt) }
    }
}

/// A writer of codes.
struct CodeWriter<'a> {
    into: &'a mut [u8],
    used: usize,
    word: u64,
    have: u32,
}

impl CodeWriter<'_> {
    /// Writes a code. Returns `None` if there is no room.
    #[inline]
    fn push(&mut self, bits: u64, length: u32) -> Option<()> {
        self.word |= bits << self.have;
        self.have += length;
        if self.have >= 32 {
            let place = self.into.get_mut(self.used..self.used + 4)?;
            place.copy_from_slice(&(self.word as u32).to_le_bytes());
            self.used += 4;
            self.word >>= 32;
            self.have -= 32;
        }
        Some(())
    }

    /// Fills the last byte with ones. They are no code, because codes of the last class have more than seven bits.
    fn end(self) -> Option<usize> {
        let bytes = self.have.div_ceil(8) as usize;
        let place = self.into.get_mut(self.used..self.used + bytes)?;
        let word = self.word | u64::MAX << self.have;
        place.copy_from_slice(&word.to_le_bytes()[..bytes]);
        Some(self.used + bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn singles() -> Vec<Symbol> {
        (0..=255).map(|byte| Symbol::new(&[byte])).collect()
    }

    /// Whether a table of these symbols is imported.
    fn is_imported(symbols: &[Symbol]) -> bool {
        let mut bytes = vec![VERSION];
        // Wide enough for any number of symbols.
        bytes.extend([LONGEST_CODE as u8 - 3; CLASSES]);
        bytes.extend((symbols.len() as u16).to_le_bytes());
        for symbol in symbols {
            bytes.push(symbol.len() as u8);
            bytes.extend(&symbol.bytes()[..symbol.len()]);
        }
        SymbolTable::import(&bytes).is_some()
    }

    /// Returns the symbol of eight bytes that has this hash.
    fn of_hash(hash: u64) -> Symbol {
        // The inverse of the factor, by Newton's method: each step doubles the number of right bits.
        let factor = 0x9e37_79b9_7f4a_7c15_u64;
        let step = |x: u64, _| x.wrapping_mul(2_u64.wrapping_sub(factor.wrapping_mul(x)));
        let inverse = (0..6).fold(factor, step);
        let mixed = hash.wrapping_mul(inverse);
        let mixed = mixed ^ mixed >> 29 ^ mixed >> 58;
        let length = (8_u64 << 56).wrapping_mul(0xc2b2_ae3d_27d4_eb4f).rotate_left(32);
        let symbol = Symbol::new(&(mixed ^ length).to_le_bytes());
        assert_eq!(symbol.hash(), hash);
        symbol
    }

    /// With these tables, an import took quadratic time, and so did the compression of some values.
    #[test]
    fn symbols_that_collide_are_no_table() {
        let all = (MOST - 256) as u64;
        let with = |count: u64, hash: &dyn Fn(u64) -> u64| {
            let mut symbols = singles();
            symbols.extend((0..count).map(|n| of_hash(hash(n))));
            is_imported(&symbols)
        };
        // The upper half of a hash selects the place.
        assert!(with(all, &|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)), "hashes that are apart");
        assert!(!with(all, &|n| 7 << 32 | n), "symbols of one place");
        assert!(!with(all, &|n| n << 32 | n), "symbols of neighbouring places");
        assert!(!with(100, &|n| n.wrapping_sub(50) << 32 | n), "neighbours around the end");
    }

    #[test]
    fn a_symbol_comes_once() {
        let mut symbols = singles();
        symbols.extend([b"hazel", b"thorn"].map(|text| Symbol::new(text)));
        assert!(is_imported(&symbols));
        for again in [b"hazel".as_slice(), b"h"] {
            let mut symbols = symbols.clone();
            symbols.push(Symbol::new(again));
            assert!(!is_imported(&symbols), "{} bytes twice", again.len());
        }
        symbols[7] = Symbol::new(b"seven");
        assert!(!is_imported(&symbols), "a byte is missing");
    }
}
