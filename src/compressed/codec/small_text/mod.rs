//! Short codes for short texts: a table of symbols of up to fifteen bytes, learned from samples.
//!
//! The idea is that of FSST (Boncz, Neumann, Leis: "FSST: Fast Random Access String Compression", VLDB 2020): byte
//! strings that are frequent in all values are stored once, in a table. A value is a sequence of references to the
//! table, so it can be read alone. FSST has 255 symbols of eight bytes, and a byte for each reference. Here a table has
//! thousands of symbols of up to fifteen bytes. A reference takes 3 to 16 bits, fewer for a more frequent symbol.
//! Symbols are chosen by how many bits they save. On four sets of real text, values take 36 to 52 % less than with
//! FSST; reading takes 1.3 to 1.9 times as long, and writing 5 to 9 times.

mod classes;
mod finder;
mod symbol;
mod table;
mod train;

use super::training::at_once;
use super::{Codec, Corrupt, Model, Samples, TrainingTask};
use alloc::boxed::Box;
use alloc::vec::Vec;
use table::{FEWEST, SymbolTable};

/// A codec of frequent symbols, for short texts that have words, names, numbers and syntax in common.
///
/// It needs training, which reads up to 512 KiB of samples (more samples make better tables up to that), and takes up
/// to a few tenths of a second and a few MiB. A model takes about 42 bytes for each symbol. Text with other words, or
/// in another script, becomes longer. Compression takes much longer than decompression, because it finds nearly the
/// shortest sequence of symbols.
///
/// If samples were crafted so that their symbols collide in a table, training returns no model, and importing the table
/// fails, because both would take quadratic time.
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

impl SmallText {
    /// Returns the codec with at most 4096 symbols, which take 170 KiB.
    pub const fn new() -> Self {
        Self { symbols: 1 << 12 }
    }

    /// Returns the codec with at most `most` symbols, from 300 to 8192. Single bytes are 256 of them. More symbols make
    /// values shorter, and the model larger.
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
        let most = self.symbols.min(SymbolTable::symbols_in(room)?);
        Some(Box::new(at_once(train::train(samples, most))?))
    }

    fn start_training(&self, samples: Samples, room: usize) -> Result<TrainingTask, Samples> {
        let most = SymbolTable::symbols_in(room).map(|fit| self.symbols.min(fit));
        Ok(Box::pin(async move {
            let values: Vec<&[u8]> = samples.iter().collect();
            Some(Box::new(train::train(&values, most?).await?) as Box<dyn Model>)
        }))
    }

    fn import(&self, bytes: &[u8]) -> Result<Box<dyn Model>, Corrupt> {
        Ok(Box::new(SymbolTable::import(bytes).ok_or(Corrupt)?))
    }
}
