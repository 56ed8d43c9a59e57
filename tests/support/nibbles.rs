//! A codec for tests: the fifteen bytes that were most frequent take half a byte, the others one and a half.

use hedgerow::compressed::codec::{Codec, Corrupt, Model, Work};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Trained by counting.
#[derive(Default)]
pub(crate) struct Nibbles;

struct Trained {
    common: [u8; 15],
}

/// How often any of them was trained.
pub(crate) static TRAINED: AtomicUsize = AtomicUsize::new(0);

impl Codec for Nibbles {
    fn name(&self) -> &'static str {
        "nibbles"
    }

    fn untrained(&self) -> Option<Box<dyn Model>> {
        None
    }

    fn train(&self, samples: &[&[u8]], _: usize) -> Option<Box<dyn Model>> {
        TRAINED.fetch_add(1, Ordering::Relaxed);
        let mut counts = [0usize; 256];
        samples.iter().copied().flatten().for_each(|&byte| counts[usize::from(byte)] += 1);
        let mut order: Vec<u8> = (0..=255).collect();
        order.sort_by_key(|&byte| std::cmp::Reverse(counts[usize::from(byte)]));
        let common = order[..15].try_into().expect("fifteen of them");
        (!samples.is_empty()).then(|| Box::new(Trained { common }) as Box<dyn Model>)
    }

    fn import(&self, bytes: &[u8]) -> Result<Box<dyn Model>, Corrupt> {
        match bytes.try_into() {
            Ok(common) => Ok(Box::new(Trained { common })),
            Err(_) => Err(Corrupt::new()),
        }
    }
}

impl Model for Trained {
    fn compress(&self, plain: &[u8], into: &mut [u8], _work: &mut Work) -> Option<usize> {
        let mut at = 0;
        let mut put = |nibble: u8| {
            let byte = into.get_mut(at / 2)?;
            *byte = if at % 2 == 0 { nibble } else { *byte | nibble << 4 };
            at += 1;
            Some(())
        };
        for &byte in plain {
            if let Some(nibble) = self.common.iter().position(|&other| other == byte) {
                put(nibble as u8)?;
            } else {
                put(15)?;
                put(byte & 15)?;
                put(byte >> 4)?;
            }
        }
        Some(at.div_ceil(2))
    }

    fn decompress(&self, stored: &[u8], into: &mut [u8]) -> Result<(), Corrupt> {
        let mut nibbles = stored.iter().flat_map(|byte| [byte & 15, byte >> 4]);
        let none = || Corrupt::new();
        for byte in into {
            *byte = match nibbles.next().ok_or_else(none)? {
                15 => {
                    let low = nibbles.next().ok_or_else(none)?;
                    low | nibbles.next().ok_or_else(none)? << 4
                }
                nibble => self.common[usize::from(nibble)],
            };
        }
        Ok(())
    }

    fn export(&self, into: &mut dyn FnMut(&[u8])) {
        into(&self.common);
    }

    fn bytes(&self) -> usize {
        0
    }
}
