//! What is measured: the operations, and the streams of keys they are given.

use crate::keys::{self, Rng};

/// Words between two looks at the clock.
pub const CHUNK: usize = 1024;

/// No stream is shorter, or the branch predictor learns it by heart.
const SHORTEST: usize = 32 * 1024;

/// No stream is longer: this many random keys already pass through every cache
/// several times over.
const LONGEST: usize = 4 * 1024 * 1024;

/// One kind of work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Workload {
    /// Lookups of keys that are there.
    GetHit,
    /// Lookups of keys that are not.
    GetMiss,
    /// A new map of default capacity is filled.
    Insert,
    /// Keys that are there get another value, blindly.
    Upsert,
    /// Keys that are there get a value made of their old one.
    Update,
    /// A full map is emptied key by key.
    Remove,
    /// This many gets in a hundred operations; of the others, half are upserts
    /// and half insert or remove, keeping the map's size. Of the gets, 15 in 16
    /// hit.
    Mix(u64),
}

impl Workload {
    /// All of them, as tables list them.
    pub const ALL: [Self; 9] = [
        Self::GetHit,
        Self::GetMiss,
        Self::Insert,
        Self::Upsert,
        Self::Update,
        Self::Remove,
        Self::Mix(90),
        Self::Mix(70),
        Self::Mix(50),
    ];

    /// As the command line and the tables call it.
    pub fn name(self) -> String {
        match self {
            Self::GetHit => "get-hit".into(),
            Self::GetMiss => "get-miss".into(),
            Self::Insert => "insert".into(),
            Self::Upsert => "upsert".into(),
            Self::Update => "update".into(),
            Self::Remove => "remove".into(),
            Self::Mix(gets) => format!("{gets}/{}", 100 - gets),
        }
    }

    /// Whether it leaves the map as the next thread count wants to find it.
    pub fn keeps_the_keys(self) -> bool {
        matches!(self, Self::GetHit | Self::GetMiss | Self::Upsert | Self::Update)
    }
}

/// What a mixed stream asks for, in the two bits beside the key.
pub mod ask {
    /// A lookup.
    pub const GET: u64 = 0;
    /// Another value for a key that is there.
    pub const UPSERT: u64 = 1;
    /// A key that is not there.
    pub const INSERT: u64 = 2;
    /// A key that is there.
    pub const REMOVE: u64 = 3;
}

/// A sequence of keys for one thread, walked again and again, and what each
/// chunk of it must add to the checksum in any map that is right.
pub struct Stream {
    /// Keys, or for a mix `key << 2 | ask`.
    pub words: Vec<u64>,
    /// The checksum of each [`CHUNK`] words; none for work that is done as a
    /// whole, which is checked as a whole.
    pub sums: Vec<u64>,
}

impl Stream {
    /// What thread `thread` of `threads` does in a map of `n` keys.
    pub fn new(workload: Workload, n: usize, thread: usize, threads: usize) -> Self {
        let mut rng = Rng::new((n as u64) << 8 | (thread as u64) << 4 | threads as u64);
        match workload {
            Workload::Mix(gets) => Mixer::new(gets, n, thread, threads, rng).stream(),
            Workload::GetMiss => {
                let words = permutation(n, &mut rng, n as u64);
                let sums = words.chunks(CHUNK).map(|c| c.len() as u64 * keys::fold(None)).collect();
                Self { words, sums }
            }
            Workload::Insert | Workload::Remove => {
                let mut words: Vec<_> = (0..n as u64).map(keys::key).collect();
                rng.shuffle(&mut words);
                Self { words, sums: Vec::new() }
            }
            _ => {
                let words = permutation(n, &mut rng, 0);
                let hit = |&key: &u64| keys::fold(Some(keys::value(key, 0)));
                let sums = words.chunks(CHUNK).map(|c| c.iter().map(hit).sum()).collect();
                Self { words, sums }
            }
        }
    }
}

/// The keys from `first` on, `n` of them, in random order; as many rounds of
/// them as fill the shortest stream, or as many of them as the longest holds.
fn permutation(n: usize, rng: &mut Rng, first: u64) -> Vec<u64> {
    let mut order: Vec<u32> = (0..n as u32).collect();
    let mut words = Vec::with_capacity(n.clamp(SHORTEST, LONGEST));
    while words.len() < SHORTEST {
        rng.shuffle(&mut order);
        words.extend(order.iter().take(LONGEST).map(|&i| keys::key(first + u64::from(i))));
    }
    words
}

/// Writes the stream of one thread in a mix.
///
/// Three quarters of the keys are residents: any thread reads and overwrites
/// them. Of half as many again as the map holds in guests, each thread has its
/// own, half of them there at first, and only it inserts and removes them. So
/// what each operation answers is known beforehand, whatever the threads'
/// timing. The second half of the stream undoes the insertions and removals of
/// the first in reverse, so that it can be walked for ever.
struct Mixer {
    gets: u64,
    residents: u64,
    guests: Vec<u64>,
    present: Vec<bool>,
    rng: Rng,
    words: Vec<u64>,
    answers: Vec<u64>,
}

impl Mixer {
    fn new(gets: u64, n: usize, thread: usize, threads: usize, rng: Rng) -> Self {
        let residents = n / 4 * 3;
        let guests: Vec<_> = (residents..n + n / 4).skip(thread).step_by(threads).collect();
        Self {
            gets,
            residents: residents as u64,
            present: guests.iter().map(|&i| i < n).collect(),
            guests: guests.into_iter().map(|i| keys::key(i as u64)).collect(),
            rng,
            words: Vec::new(),
            answers: Vec::new(),
        }
    }

    fn stream(mut self) -> Stream {
        let half = (self.guests.len() * 2).clamp(SHORTEST, LONGEST / 2);
        let mut turned = Vec::with_capacity(half);
        for _ in 0..half {
            let turn = self.rng.below(100) >= self.gets && self.rng.below(2) == 0;
            let guest = turn.then(|| self.rng.below(self.guests.len() as u64) as usize);
            self.step(guest);
            turned.push(guest);
        }
        for guest in turned.into_iter().rev() {
            self.step(guest);
        }
        let sums = self.answers.chunks(CHUNK).map(|c| c.iter().sum()).collect();
        Stream { words: self.words, sums }
    }

    /// Lets `guest` come or go; without one, reads or overwrites something in
    /// the proportion that is left to these two.
    fn step(&mut self, guest: Option<usize>) {
        let reads = 2 * self.gets;
        if let Some(guest) = guest {
            let there = self.present[guest];
            self.present[guest] = !there;
            let ask = if there { ask::REMOVE } else { ask::INSERT };
            self.push(self.guests[guest], ask, there);
        } else if self.rng.below(reads + 100 - self.gets) >= reads {
            let key = self.resident();
            self.push(key, ask::UPSERT, true);
        } else if self.rng.below(8) == 0 {
            let guest = self.rng.below(self.guests.len() as u64) as usize;
            self.push(self.guests[guest], ask::GET, self.present[guest]);
        } else {
            let key = self.resident();
            self.push(key, ask::GET, true);
        }
    }

    fn resident(&mut self) -> u64 {
        keys::key(self.rng.below(self.residents))
    }

    fn push(&mut self, key: u64, ask: u64, there: bool) {
        self.words.push(key << 2 | ask);
        self.answers.push(keys::fold(there.then(|| keys::value(key, 0))));
    }
}

#[cfg(test)]
mod tests {
    use super::{CHUNK, Stream, Workload, ask, keys};
    use std::collections::HashMap;

    fn start(n: usize) -> HashMap<u64, u64> {
        (0..n as u64).map(keys::key).map(|key| (key, keys::value(key, 0))).collect()
    }

    /// Two threads' mixed streams, run one after the other as they never would
    /// be, give the sums they promise and leave the map as it was.
    #[test]
    fn a_mix_answers_as_promised_and_returns_to_its_start() {
        let n = 4096;
        let mut map = start(n);
        let streams = [0, 1].map(|thread| Stream::new(Workload::Mix(50), n, thread, 2));
        let (mut gets, mut upserts, mut guests) = (0, 0, 0);
        for stream in &streams {
            for (words, &sum) in stream.words.chunks(CHUNK).zip(&stream.sums) {
                let answer = |&word: &u64| {
                    let key = word >> 2;
                    keys::fold(match word & 3 {
                        ask::GET => {
                            gets += 1;
                            map.get(&key).copied()
                        }
                        ask::UPSERT => {
                            upserts += 1;
                            map.insert(key, keys::value(key, 7))
                        }
                        ask::INSERT => {
                            guests += 1;
                            map.insert(key, keys::value(key, 7))
                        }
                        _ => {
                            guests += 1;
                            map.remove(&key)
                        }
                    })
                };
                assert_eq!(words.iter().map(answer).sum::<u64>(), sum);
            }
        }
        let mut left: Vec<_> = map.into_keys().collect();
        let mut want: Vec<_> = start(n).into_keys().collect();
        left.sort_unstable();
        want.sort_unstable();
        assert_eq!(left, want);
        let total = f64::from(gets + upserts + guests);
        assert!((f64::from(gets) / total - 0.5).abs() < 0.01, "{gets} of {total}");
        assert!((f64::from(upserts) / total - 0.25).abs() < 0.01, "{upserts} of {total}");
    }

    #[test]
    fn every_key_is_looked_up_and_none_that_should_miss_is_there() {
        let map = start(1024);
        let hits = Stream::new(Workload::GetHit, 1024, 0, 1);
        assert!(map.keys().all(|key| hits.words.contains(key)));
        assert!(hits.words.iter().all(|key| map.contains_key(key)));
        let misses = Stream::new(Workload::GetMiss, 1024, 0, 1);
        assert!(!misses.words.iter().any(|key| map.contains_key(key)));
    }
}
