//! The choice of a model for each value: the one that makes it shortest. Models that lose are tried less often.

use super::{Model, Work};
use core::fmt;

/// A value is stored compressed if that saves more than one part in this many.
const WORTH: usize = 10;
/// Models whose losses are counted.
const MODELS: usize = 4;
/// Classes of lengths: up to 16 bytes, to 64, to 256, and so on.
const LENGTHS: usize = 8;
/// Losses in a row after which a model is tried less often with each further loss.
const MAX_LOSSES: u8 = 8;
/// The rarest interval between two tries, as a power of two.
const SELDOM: u8 = 5;
/// A value longer than this is tried in part first.
const LONG: usize = 4 << 10;
/// The bytes of this part.
const PART: usize = 512;

/// Compresses each value with the model that makes it shortest.
///
/// For each range of lengths it counts which models have lost repeatedly, and tries those only occasionally, so that
/// values that no model compresses cost little. A caller that compresses keeps one `Choice`, and creates another when
/// the models change.
///
/// ```
/// use hedgerow::compressed::codec::{Choice, Codec, Lz4, Work};
///
/// let (plain, mut work) = (Lz4::new().untrained().unwrap(), Work::new());
/// let (mut choice, mut into, mut other) = (Choice::new(), [0; 200], [0; 200]);
/// let (by, length) = choice.best_of(&[&*plain], &[7; 200], &mut into, &mut other, &mut work).unwrap();
/// assert!(by == 0 && length < 20);
/// // What saves less than a tenth is not worth it.
/// assert_eq!(choice.best_of(&[&*plain], b"in brief", &mut into, &mut other, &mut work), None);
/// ```
#[derive(Clone)]
pub struct Choice {
    /// How often in a row each model has lost.
    losses: [[u8; MODELS]; LENGTHS],
    asked: u32,
}

impl Choice {
    /// Returns a choice that has tried no model.
    pub const fn new() -> Self {
        Self { losses: [[0; MODELS]; LENGTHS], asked: 0 }
    }

    /// Returns how long a compressed value may be to be worth storing: less than nine tenths of the value.
    pub const fn worth(plain: usize) -> usize {
        plain - plain / WORTH
    }

    /// Compresses `plain` into the front of `into` by one of the models. Returns the model's index and the bytes
    /// written. Returns `None` if no model saves a tenth, or the result does not fit into both buffers; `into` may hold
    /// anything then, as `other` always may. Allocates nothing.
    ///
    /// Models beyond the fourth share one count of losses.
    pub fn best_of(
        &mut self,
        models: &[&dyn Model],
        plain: &[u8],
        into: &mut [u8],
        other: &mut [u8],
        work: &mut Work,
    ) -> Option<(usize, usize)> {
        self.best_among(models.iter().copied(), plain, into, other, work)
    }

    /// Compresses as `best_of` does, by models from an iterator.
    pub(in crate::compressed) fn best_among<'m>(
        &mut self,
        models: impl Iterator<Item = &'m dyn Model>,
        plain: &[u8],
        into: &mut [u8],
        other: &mut [u8],
        work: &mut Work,
    ) -> Option<(usize, usize)> {
        if plain.is_empty() {
            return None;
        }
        self.asked = self.asked.wrapping_add(1);
        let class = (usize::BITS - (plain.len() / 16).leading_zeros()).div_ceil(2) as usize;
        let losses = &mut self.losses[class.min(LENGTHS - 1)];
        let mut best: Option<(usize, usize)> = None;
        let mut tried = 0_u32;
        for (place, model) in models.enumerate() {
            let lost = losses[place.min(MODELS - 1)];
            let seldom = (lost.saturating_sub(MAX_LOSSES) / 2).min(SELDOM);
            if !self.asked.is_multiple_of(1 << seldom) {
                continue;
            }
            tried |= 1 << place.min(31);
            // Only a shorter form than the best so far counts.
            let room =
                best.map_or(Self::worth(plain.len()), |(_, length)| length).saturating_sub(1);
            let target = if best.is_none() { &mut *into } else { &mut *other };
            let room = room.min(target.len());
            let made = compressed(model, plain, &mut target[..room], work);
            // A caller's model may return any length. One beyond the buffer is not believed.
            let Some(length) = made.filter(|&length| length <= room) else { continue };
            if best.is_some() {
                let Some(front) = into.get_mut(..length) else { continue };
                front.copy_from_slice(&other[..length]);
            }
            best = Some((place, length));
        }
        for place in 0..u32::BITS as usize {
            let lost = &mut losses[place.min(MODELS - 1)];
            if best.is_some_and(|(winner, _)| winner == place) {
                *lost = 0;
            } else if tried & 1 << place != 0 {
                *lost = lost.saturating_add(1);
            }
        }
        best
    }
}

/// Compresses `plain` by the model. Tries parts of a long value first, and stops if neither becomes shorter.
fn compressed(model: &dyn Model, plain: &[u8], into: &mut [u8], work: &mut Work) -> Option<usize> {
    if plain.len() > LONG {
        let middle = plain.len() / 2;
        let hope = |part: &[u8], into: &mut [u8], work: &mut Work| {
            let room = Choice::worth(PART).min(into.len());
            model.compress(part, &mut into[..room], work).is_some()
        };
        // One part is enough: a value that begins with a header may go on differently.
        if !hope(&plain[..PART], into, work) && !hope(&plain[middle..middle + PART], into, work) {
            return None;
        }
    }
    model.compress(plain, into, work)
}

impl Default for Choice {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Choice").field("asked", &self.asked).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Corrupt;
    use super::*;
    use std::sync::Mutex;

    /// A model that makes each value this much shorter, and counts its calls.
    struct Fixed {
        saves: usize,
        asked: Mutex<usize>,
    }

    impl Fixed {
        fn saving(saves: usize) -> Self {
            Self { saves, asked: Mutex::new(0) }
        }

        fn asked(&self) -> usize {
            *self.asked.lock().unwrap()
        }
    }

    impl Model for Fixed {
        fn compress(&self, plain: &[u8], into: &mut [u8], _: &mut Work) -> Option<usize> {
            *self.asked.lock().unwrap() += 1;
            let length = plain.len().checked_sub(self.saves)?;
            into.get_mut(..length)?.fill(self.saves as u8);
            Some(length)
        }

        fn decompress(&self, _: &[u8], _: &mut [u8]) -> Result<(), Corrupt> {
            Err(Corrupt)
        }

        fn export(&self, _: &mut dyn FnMut(&[u8])) {}

        fn bytes(&self) -> usize {
            0
        }
    }
    fn best(choice: &mut Choice, models: &[&Fixed], length: usize) -> Option<(usize, usize)> {
        let models: alloc::vec::Vec<&dyn Model> = models.iter().map(|&model| model as _).collect();
        let (mut into, mut other) = ([0; 8000], [0; 8000]);
        let plain = alloc::vec![1; length];
        let best = choice.best_of(&models, &plain, &mut into, &mut other, &mut Work::small());
        if let Some((_, length)) = best {
            let saved =
                into[..length].iter().all(|&byte| usize::from(byte) == plain.len() - length);
            assert!(saved, "the front holds the best result");
        }
        best
    }

    #[test]
    fn the_smallest_wins_if_it_saves_a_tenth() {
        let models = [11, 50, 10, 49, 50].map(Fixed::saving);
        let models: alloc::vec::Vec<&Fixed> = models.iter().collect();
        assert_eq!(best(&mut Choice::new(), &models, 100), Some((1, 50)));
        assert_eq!(best(&mut Choice::new(), &models[..1], 100), Some((0, 89)));
        assert_eq!(best(&mut Choice::new(), &models[2..3], 100), None);
        assert_eq!(best(&mut Choice::new(), &[], 100), None);
        assert_eq!(best(&mut Choice::new(), &models, 0), None);
    }

    #[test]
    fn models_that_lose_are_tried_less_often() {
        let (winner, loser) = (Fixed::saving(50), Fixed::saving(20));
        let mut choice = Choice::new();
        for _ in 0..10_000 {
            assert_eq!(best(&mut choice, &[&loser, &winner], 100), Some((1, 50)));
        }
        assert_eq!(winner.asked(), 10_000);
        let asked = loser.asked();
        assert!((300..500).contains(&asked), "the loser was tried {asked} times");
        // The losses of other lengths are counted separately.
        best(&mut choice, &[&loser, &winner], 1000);
        assert_eq!(loser.asked(), asked + 1);
    }

    #[test]
    fn of_long_values_a_part_is_tried_first() {
        let hopeless = Fixed::saving(20);
        assert_eq!(best(&mut Choice::new(), &[&hopeless], 8000), None);
        assert_eq!(hopeless.asked(), 2, "two parts, and not the whole");
    }
}
