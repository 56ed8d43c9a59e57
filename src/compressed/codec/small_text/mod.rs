//! Short texts in short codes: a table of symbols of up to fifteen bytes, learned from samples.
//!
//! The idea is that of FSST (Boncz, Neumann, Leis: "FSST: Fast Random Access String Compression", VLDB 2020): what
//! is frequent in all values stands in a table once, and a value is a row of references to it, so that it is read
//! alone. FSST has 255 symbols of eight bytes, and a byte for each reference. Here there are some thousands of
//! fifteen bytes, a reference takes 3 to 16 bits, fewer for what is more frequent, and symbols are chosen by how many
//! bits they save. On four sets of real text values take 36 to 52 in a hundred less than with FSST, and 1.3 to 1.9
//! times as long to read; to write, 5 to 9 times.

mod classes;
mod finder;
mod symbol;
mod table;
mod train;

pub(super) use finder::WINDOW;

use super::training::at_once;
use super::{Codec, Corrupt, Model, Samples, TrainingTask};
use alloc::boxed::Box;
use alloc::vec::Vec;
use table::Table;

/// Tables of frequent symbols, for short texts that have words, names, numbers and syntax in common.
///
/// Needs training, which looks at half a mebibyte of samples at most: more samples make better tables, up to that.
/// It takes up to some tenths of a second and some mebibytes. A model takes about 42 bytes for each symbol. Text of
/// other words or another script than the samples' gets longer by it, not shorter. Compressing takes much longer than
/// decompressing: of all ways to write a value with symbols, nearly the shortest is found.
///
/// ```
/// use hedgerow::compressed::codec::{Codec, SmallText, Work};
///
/// let rows: Vec<String> = (0..500).map(|n| format!(r#"{{"id":{n},"name":"row {n}"}}"#)).collect();
/// let samples: Vec<&[u8]> = rows.iter().map(|row| row.as_bytes()).collect();
/// let model = SmallText::new().train(&samples, 1 << 20).unwrap();
///
/// let row = br#"{"id":7001,"name":"row 7001"}"#;
/// let (mut stored, mut back) = ([0; 29], [0; 29]);
/// let length = model.compress(row, &mut stored, &mut Work::new()).unwrap();
/// assert!(length < 10);
/// model.decompress(&stored[..length], &mut back)?;
/// assert_eq!(&back, row);
/// # Ok::<(), hedgerow::compressed::codec::Corrupt>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SmallText {
    symbols: usize,
}

/// Symbols with which it is worth while.
const FEWEST: usize = 300;

impl SmallText {
    /// With 4096 symbols at most, which take 170 KiB.
    pub const fn new() -> Self {
        Self { symbols: 1 << 12 }
    }

    /// With at most so many symbols, of which 256 are single bytes: more make values smaller, and the model larger.
    /// Less than 300 counts as 300, more than 8192 as 8192.
    #[must_use]
    pub const fn with_symbols(most: usize) -> Self {
        let symbols = if most < FEWEST { FEWEST } else { most };
        Self { symbols: if symbols > finder::MOST { finder::MOST } else { symbols } }
    }
}

impl Default for SmallText {
    fn default() -> Self {
        Self::new()
    }
}

impl Codec for SmallText {
    fn name(&self) -> &'static str {
        "small-text"
    }

    fn untrained(&self) -> Option<Box<dyn Model>> {
        None
    }

    fn train(&self, samples: &[&[u8]], room: usize) -> Option<Box<dyn Model>> {
        let most = self.symbols.min(Table::symbols_in(room)?);
        Some(Box::new(at_once(train::train(samples, most))?))
    }

    fn start_training(&self, samples: Samples, room: usize) -> Result<TrainingTask, Samples> {
        let most = Table::symbols_in(room).map(|fit| self.symbols.min(fit));
        Ok(Box::pin(async move {
            let values: Vec<&[u8]> = samples.iter().collect();
            Some(Box::new(train::train(&values, most?).await?) as Box<dyn Model>)
        }))
    }

    fn import(&self, bytes: &[u8]) -> Result<Box<dyn Model>, Corrupt> {
        Ok(Box::new(Table::import(bytes).ok_or(Corrupt)?))
    }
}
