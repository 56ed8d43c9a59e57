//! The work of maps with one writer, whose changes show when they are published,
//! and its scripts.

use super::zipf::Zipf;
use super::{CHUNK, Row, Workload};
use crate::keys::{self, Rng};

/// No script is shorter, or the branch predictor learns it by heart.
const SHORTEST: usize = 32 * CHUNK;

/// No script is longer.
const LONGEST: usize = 2048 * CHUNK;

/// A mix is cut into laps of no fewer operations, and each is like every other.
const SHORTEST_LAP: usize = 1000;

/// Look-ups under one guard, or in one call.
pub const HELD: usize = 16;

/// How look-ups follow each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// Each by itself.
    Single,
    /// [`HELD`] of them, one by one, under one guard.
    Held,
    /// [`HELD`] of them in one call.
    Many,
}

/// One kind of work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Paired {
    /// Look-ups of keys that are there.
    Gets {
        /// How they follow each other.
        how: How,
        /// Whether keys come by Zipf's law, or else in random order.
        zipf: bool,
    },
    /// One thread reads and writes, keys by Zipf's law; a second one only reads.
    Mix {
        /// One in as many operations is a write.
        every: usize,
        /// The number of writes in a publish.
        by: usize,
    },
    /// Writes and publishes this many different keys; a second thread only reads.
    Publish(usize),
}

impl Paired {
    /// As the command line and the tables call it.
    pub fn name(self) -> String {
        match self {
            Self::Gets { how, zipf } => {
                let how = match how {
                    How::Single => "get".into(),
                    How::Held => format!("held-{HELD}"),
                    How::Many => format!("many-{HELD}"),
                };
                how + if zipf { "-zipf" } else { "" }
            }
            Self::Mix { every, by } => {
                let reads = 100.0 - 100.0 / every as f64;
                let by = if by == 1 { String::new() } else { format!("-by-{by}") };
                format!("reads-{reads}{by}")
            }
            Self::Publish(keys) => format!("publish-{keys}"),
        }
    }

    /// Returns whether this is measured by default, with this many keys and threads.
    pub fn usual(self, n: usize, threads: usize) -> bool {
        let large = n >= 1 << 20;
        match self {
            Self::Gets { zipf, .. } => threads == 1 && (large || !zipf),
            _ => large,
        }
    }
}

/// The steps of one thread, which it repeats.
pub struct Script {
    /// Keys; in a mix with a bit below that is set for a write.
    pub words: Vec<u64>,
    /// Words of a lap.
    pub lap: usize,
    /// The sum of each lap's answers.
    pub sums: Vec<u64>,
}

impl Script {
    /// Makes the steps of thread `thread` in `row`; in all but look-ups the second
    /// one reads keys that the first one may be writing.
    pub fn new(row: &Row, thread: usize) -> Self {
        let Workload::Pair(work) = row.workload else {
            unreachable!("no pair of handles does {:?}", row.workload)
        };
        let seed = (row.n as u64) << 8 | (thread as u64) << 4 | 9;
        match work {
            Paired::Mix { every, by } if thread == 0 => Self::mix(row.n, every, by, seed),
            Paired::Publish(_) if thread == 0 => Self::gets(row.n, false, seed),
            Paired::Gets { zipf: false, .. } => Self::gets(row.n, false, seed),
            _ => Self::gets(row.n, true, seed),
        }
    }

    /// Look-ups of `n` keys, by Zipf's law or in random order.
    pub fn gets(n: usize, zipf: bool, seed: u64) -> Self {
        let words = indices(n, zipf, length(n, CHUNK), seed).map(keys::key).collect();
        Self::of(words, CHUNK, |word| word)
    }

    /// Each stretch of `every` words has one write, somewhere in it.
    fn mix(n: usize, every: usize, by: usize, seed: u64) -> Self {
        let period = every * by;
        let lap = SHORTEST_LAP.next_multiple_of(period);
        let mut rng = Rng::new(!seed);
        let mut words: Vec<_> =
            indices(n, true, length(n, lap), seed).map(|i| keys::key(i) << 1).collect();
        for stretch in words.chunks_exact_mut(every) {
            stretch[rng.below(every as u64) as usize] |= 1;
        }
        Self::of(words, lap, |word| word >> 1)
    }

    fn of(words: Vec<u64>, lap: usize, key: fn(u64) -> u64) -> Self {
        let answer = |&word: &u64| keys::fold(Some(keys::value(key(word), 0)));
        let sums = words.chunks_exact(lap).map(|lap| lap.iter().map(answer).sum()).collect();
        Self { words, lap, sums }
    }
}

/// As many words as make some of `n` keys pass through the caches, in whole laps.
fn length(n: usize, lap: usize) -> usize {
    ((4 * n).clamp(SHORTEST, LONGEST) / lap).max(1) * lap
}

/// Numbers of keys. In random order none comes again before all others came.
fn indices(n: usize, zipf: bool, length: usize, seed: u64) -> impl Iterator<Item = u64> {
    let mut order: Vec<u64> = (0..n as u64).collect();
    // The frequent keys are the same for all threads.
    Rng::new(n as u64).shuffle(&mut order);
    let law = zipf.then(|| Zipf::new(n));
    let mut rng = Rng::new(seed);
    (0..length).map(move |i| {
        if let Some(law) = &law {
            return order[law.draw(&mut rng) as usize];
        }
        if i.is_multiple_of(n) {
            rng.shuffle(&mut order);
        }
        order[i % n]
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Row, Suite, Workload};
    use super::{Paired, Script};

    fn script(n: usize, work: Paired, thread: usize) -> Script {
        let workload = Workload::Pair(work);
        Script::new(&Row { suite: Suite::LeftRight, workload, n, threads: 2 }, thread)
    }

    #[test]
    fn a_mix_has_its_writes_evenly_and_ends_its_laps_with_a_publish() {
        for (every, by) in [(2, 1), (100, 1), (1000, 100), (100_000, 1)] {
            let mix = script(1 << 12, Paired::Mix { every, by }, 0);
            assert!(!mix.sums.is_empty());
            for lap in mix.words.chunks_exact(mix.lap) {
                let writes = lap.iter().filter(|&word| word & 1 == 1).count();
                assert_eq!(writes, mix.lap / every);
                assert!(writes.is_multiple_of(by));
            }
        }
    }

    #[test]
    fn keys_to_publish_are_all_different() {
        let n = 1 << 12;
        let publish = script(n, Paired::Publish(100), 0);
        let mut keys = publish.words[..n].to_vec();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), n);
    }

    #[test]
    fn names_say_the_share_of_reads() {
        assert_eq!(Paired::Mix { every: 100_000, by: 1 }.name(), "reads-99.999");
        assert_eq!(Paired::Mix { every: 2, by: 100 }.name(), "reads-50-by-100");
    }
}
