//! The LZ4 codec: repeated bytes are encoded as distance and length.

mod encode;
mod train;

use super::training::at_once;
use super::{Codec, Corrupt, Model, Samples, TrainingTask, Work};
use alloc::boxed::Box;
use alloc::vec::Vec;
use encode::{Dictionary, Encoder};

/// The longest dictionary. Values of twice that length are still near enough to it.
const MOST: usize = 32 << 10;

/// A codec of LZ4 blocks, with or without a dictionary, based on `lz4_flex`.
///
/// Use it for values of a hundred bytes or more that repeat themselves or each other. Shorter values contain few
/// repetitions and need the dictionary.
///
/// ```
/// use hedgerow::compressed::codec::{Codec, Lz4};
/// assert_eq!(Lz4::new().name(), "lz4");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Lz4 {
    dictionary: usize,
}

impl Lz4 {
    /// Returns the codec with dictionaries of at most 16 KiB. A model then takes 48 KiB.
    pub const fn new() -> Self {
        Self { dictionary: 16 << 10 }
    }

    /// Returns the codec with dictionaries of at most `bytes` bytes, and of 32 KiB. A model takes three times as much.
    #[must_use]
    pub const fn with_dictionary(bytes: usize) -> Self {
        Self { dictionary: if bytes > MOST { MOST } else { bytes } }
    }
}

impl Lz4 {
    /// Returns the longest dictionary whose model fits into `room` bytes. A model takes three times as much.
    fn most(self, room: usize) -> usize {
        self.dictionary.min(room.saturating_sub(size_of::<Blocks>()) / 3)
    }
}

impl Default for Lz4 {
    fn default() -> Self {
        Self::new()
    }
}

impl Codec for Lz4 {
    fn name(&self) -> &'static str {
        "lz4"
    }

    fn untrained(&self) -> Option<Box<dyn Model>> {
        Some(Box::new(Blocks { dictionary: Dictionary::empty() }))
    }

    fn train(&self, samples: &[&[u8]], room: usize) -> Option<Box<dyn Model>> {
        let dictionary = at_once(train::train(samples, self.most(room)))?;
        Some(Box::new(Blocks { dictionary }))
    }

    fn start_training(&self, samples: Samples, room: usize) -> Result<TrainingTask, Samples> {
        let most = self.most(room);
        Ok(Box::pin(async move {
            let values: Vec<&[u8]> = samples.iter().collect();
            let dictionary = train::train(&values, most).await?;
            Some(Box::new(Blocks { dictionary }) as Box<dyn Model>)
        }))
    }

    fn import(&self, bytes: &[u8]) -> Result<Box<dyn Model>, Corrupt> {
        if bytes.len() > MOST {
            return Err(Corrupt);
        }
        Ok(Box::new(Blocks { dictionary: Dictionary::new(bytes.into()) }))
    }
}

struct Blocks {
    dictionary: Dictionary,
}

impl Model for Blocks {
    fn compress(&self, plain: &[u8], into: &mut [u8], work: &mut Work) -> Option<usize> {
        let (places, first) = work.places(plain.len())?;
        Encoder { plain, dictionary: &self.dictionary, places, first }.encode(into)
    }

    fn decompress(&self, stored: &[u8], into: &mut [u8]) -> Result<(), Corrupt> {
        let dictionary = &*self.dictionary.bytes;
        let length = if dictionary.is_empty() {
            lz4_flex::block::decompress_into(stored, into)
        } else {
            lz4_flex::block::decompress_into_with_dict(stored, into, dictionary)
        };
        if length.ok() == Some(into.len()) { Ok(()) } else { Err(Corrupt) }
    }

    fn export(&self, into: &mut dyn FnMut(&[u8])) {
        into(&self.dictionary.bytes);
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.dictionary.bytes()
    }
}
