//! Training of a dictionary: the bytes that occur in many samples.
//!
//! The algorithm is COVER (Liao, Petri, Moffat, Wirth: "Effective Construction of Relative Lempel-Ziv Dictionaries",
//! WWW 2016), in zstd's fast variant. It counts by hash in how many samples each run of eight bytes occurs. It cuts the
//! samples into as many parts as the dictionary has pieces. From each part it takes the piece whose runs occur in most
//! samples, and then sets the counts of these runs to zero. The best length of a piece differs, so several lengths are
//! tried, on samples from which the dictionary was not made.

use super::encode::{Dictionary, Encoder};
use crate::compressed::codec::training::Turns;
use crate::compressed::codec::{Work, samples};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

/// Bytes of samples from which dictionaries are made.
const LOOKED_AT: usize = 512 << 10;
/// Further bytes of samples, on which dictionaries are tried.
const TRIED_ON: usize = 64 << 10;
/// The least bytes of samples for each byte of the dictionary.
const BYTES_EACH: usize = 8;
/// The shortest dictionary that is worth while.
const SHORTEST: usize = 256;
/// The lengths of pieces that are tried.
const PIECES: [usize; 4] = [24, 48, 96, 240];
/// The bytes of a run.
const RUN: usize = 8;
/// The most hashes of runs, as a power of two.
const HASH_BITS: u32 = 17;

/// Returns a dictionary of at most `most` bytes, or `None` if no dictionary is worth while.
pub(super) async fn train(values: &[&[u8]], most: usize) -> Option<Dictionary> {
    let turns = &mut Turns::default();
    let all = samples::spread(values, LOOKED_AT + TRIED_ON);
    // One sample in eight is held back.
    let (mut seen, mut held) = (Vec::new(), Vec::new());
    for (at, &sample) in all.iter().enumerate() {
        if at % 8 == 7 { held.push(sample) } else { seen.push(sample) }
    }
    let held = samples::spread(&held, TRIED_ON);
    let bytes: usize = seen.iter().map(|sample| sample.len()).sum();
    let length = most.min(bytes / BYTES_EACH);
    if length < SHORTEST || held.is_empty() {
        return None;
    }
    let runs = Runs::of(&seen, turns).await;
    let plain = compressed(&held, &Dictionary::empty(), turns).await;
    // A dictionary must save a fiftieth, or it is not worth its memory.
    let mut best = (plain - plain / 50, None);
    for piece in PIECES {
        let bytes = runs.clone().pieces(&seen, length, piece, turns).await;
        let dictionary = Dictionary::new(bytes);
        turns.spend(length / BYTES_EACH).await;
        let length = compressed(&held, &dictionary, turns).await;
        if length < best.0 {
            best = (length, Some(dictionary));
        }
    }
    best.1
}

/// Returns the bytes of all samples, compressed.
async fn compressed(samples: &[&[u8]], dictionary: &Dictionary, turns: &mut Turns) -> usize {
    let mut work = Work::new();
    let longest = samples.iter().map(|sample| sample.len()).max().unwrap_or(0);
    let mut into = vec![0; longest];
    let mut length = 0;
    for plain in samples {
        let (places, first) = work.places(plain.len()).expect("samples are short");
        let encoder = Encoder { plain, dictionary, places, first };
        length += encoder.encode(&mut into).unwrap_or(plain.len());
        turns.spend(plain.len() / 4).await;
    }
    length
}

/// In how many samples each run of bytes occurs, by its hash.
#[derive(Clone)]
struct Runs {
    counts: Box<[u16]>,
}

/// Returns the hashes of all runs.
fn hashes(bytes: &[u8], bits: u32) -> impl Iterator<Item = usize> {
    bytes.windows(RUN).map(move |run| {
        let run = u64::from_le_bytes(run.try_into().expect("eight bytes"));
        (run.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - bits)) as usize
    })
}

impl Runs {
    async fn of(samples: &[&[u8]], turns: &mut Turns) -> Self {
        let bytes: usize = samples.iter().map(|sample| sample.len()).sum();
        let bits = bytes.max(1).ilog2().clamp(8, HASH_BITS);
        let mut counts: Box<[u16]> = vec![0; 1 << bits].into();
        // The last sample in which each run was seen. Within one sample a run counts once, because LZ4 finds the
        // repetition without a dictionary.
        let mut last = vec![u32::MAX; 1 << bits];
        for (number, sample) in (0..).zip(samples) {
            for hash in hashes(sample, bits) {
                if last[hash] != number {
                    last[hash] = number;
                    counts[hash] = counts[hash].saturating_add(1);
                }
            }
            turns.spend(sample.len() / 8).await;
        }
        // A run of one sample only is of no use to another.
        counts.iter_mut().for_each(|count| *count = count.saturating_sub(1));
        Self { counts }
    }

    fn worth(&self, hash: usize) -> u64 {
        u64::from(self.counts[hash])
    }

    /// Returns at most `length` bytes in pieces of about `piece` bytes, the best last.
    async fn pieces(
        mut self,
        samples: &[&[u8]],
        length: usize,
        piece: usize,
        turns: &mut Turns,
    ) -> Box<[u8]> {
        let all: usize = samples.iter().map(|sample| sample.len()).sum();
        let parts = (length / piece).max(1);
        let mut chosen = Vec::new();
        let mut part = Vec::new();
        for sample in samples {
            part.push(*sample);
            turns.spend(sample.len() / 8).await;
            if part.iter().map(|sample| sample.len()).sum::<usize>() >= all / parts {
                chosen.extend(self.best(&part, piece));
                part.clear();
            }
        }
        chosen.sort_unstable();
        // The best pieces stay, and come last.
        let mut left = length;
        let mut kept: Vec<&[u8]> = Vec::new();
        for (_, bytes) in chosen.into_iter().rev() {
            let bytes = &bytes[..bytes.len().min(left)];
            left -= bytes.len();
            kept.push(bytes);
        }
        kept.reverse();
        kept.concat().into()
    }

    /// Returns the best piece and its worth; `None` if nothing is worth anything. Its runs are worth nothing
    /// afterwards.
    fn best<'a>(&mut self, samples: &[&'a [u8]], piece: usize) -> Option<(u64, &'a [u8])> {
        let mut best: Option<(u64, &[u8])> = None;
        let runs = piece.saturating_sub(RUN) + 1;
        let bits = self.counts.len().ilog2();
        for &sample in samples {
            // The worth of the last `runs` runs. A run that occurs twice counts twice, which is rare.
            let mut worth = 0;
            let mut behind = hashes(sample, bits);
            for (at, hash) in hashes(sample, bits).enumerate() {
                worth += self.worth(hash);
                if at >= runs {
                    worth -= self.worth(behind.next().expect("it is behind"));
                }
                if worth > best.map_or(0, |(worth, _)| worth) {
                    best = Some((worth, &sample[(at + 1).saturating_sub(runs)..at + RUN]));
                }
            }
        }
        for hash in hashes(best?.1, bits) {
            self.counts[hash] = 0;
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compressed::codec::training::at_once;

    fn noise() -> impl FnMut() -> u8 {
        let mut word = 1_u64;
        move || {
            word = word.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (word >> 32) as u8
        }
    }

    #[test]
    fn runs_of_many_samples_are_found() {
        let mut noise = noise();
        let mut some = |len| (0..len).map(|_| noise()).collect::<Vec<u8>>();
        let (common, mut values) = (some(200), Vec::new());
        for number in 0..1000 {
            // Each value begins with bytes of its own, as long as the longest piece.
            let (begin, end) = (some(PIECES[3]), some(common.len()));
            values.push([begin, if number % 3 == 0 { common.clone() } else { end }].concat());
        }
        let values: Vec<&[u8]> = values.iter().map(|value| &**value).collect();
        let dictionary = at_once(train(&values, 4 << 10)).expect("there is much in common");
        let of_all = |bytes: &[u8]| common.windows(bytes.len()).any(|part| part == bytes);
        let found = dictionary.bytes.windows(PIECES[0]).any(of_all);
        assert!(found, "the dictionary has no run of many samples");
    }

    #[test]
    fn samples_without_common_runs_give_no_dictionary() {
        let mut noise = noise();
        let values: Vec<Vec<u8>> = (0..500).map(|_| (0..100).map(|_| noise()).collect()).collect();
        let values: Vec<&[u8]> = values.iter().map(|value| &**value).collect();
        assert!(at_once(train(&values, 4 << 10)).is_none());
        assert!(at_once(train(&[], 4 << 10)).is_none());
        assert!(at_once(train(&[&b"short"[..]; 20], 4 << 10)).is_none());
    }
}
