//! The work of one thread, key by key, for keys of any type: numbers of keys, the
//! operation on each, and whether the key will be present.

use super::versions::Work;
use super::zipf::Zipf;
use super::{Row, Workload};
use crate::keys::Rng;

/// No script is shorter, or the branch predictor learns it by heart.
const SHORTEST: usize = 32 * 1024;

/// No script is longer: this many random keys already pass through every cache
/// several times over.
const LONGEST: usize = 4 * 1024 * 1024;

/// The operation of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Call {
    /// A look-up.
    Get = 0,
    /// Another value for a key that is there.
    Upsert = 1,
    /// A key that is not there.
    Insert = 2,
    /// A key that is there.
    Remove = 3,
}

/// One operation.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The key's number: those below the map's size are there at first.
    pub index: u32,
    /// The operation on it.
    pub ask: Call,
    /// Whether it is there when its turn comes.
    pub there: bool,
}

/// Returns the steps of thread `thread` in `row`, which it repeats.
pub fn script(row: &Row, thread: usize) -> Vec<Step> {
    let n = row.n;
    let mut rng = Rng::new((n as u64) << 8 | (thread as u64) << 4 | row.threads as u64);
    let get = |index| Step { index, ask: Call::Get, there: true };
    match row.workload {
        Workload::Mix(gets) => Mixer::new(gets, n, thread, row.threads, rng).script(),
        // The second thread only reads.
        Workload::Reported(gets) => Mixer::new(gets, n, 0, 1, rng).script(),
        Workload::GetMiss => {
            let miss = |i| Step { index: n as u32 + i, ask: Call::Get, there: false };
            permutation(n, &mut rng, miss)
        }
        Workload::Zipf(gets) => {
            let ask = |rng: &mut Rng| if rng.below(100) < gets { Call::Get } else { Call::Upsert };
            skewed(n, rng, ask)
        }
        Workload::Count => skewed(n, rng, |_| Call::Get),
        // All keys, once: threads that fill or empty a map divide them.
        Workload::Insert
        | Workload::Remove
        | Workload::RemoveMany(_)
        | Workload::Version(Work::Drop) => {
            let mut order: Vec<u32> = (0..n as u32).collect();
            rng.shuffle(&mut order);
            order.into_iter().map(get).collect()
        }
        _ => permutation(n, &mut rng, get),
    }
}

/// Steps for some of `n` keys by Zipf's law. The frequent keys are the same for
/// all threads and independent of the order of insertion: maps that allocate for
/// each key would have the frequent ones side by side.
fn skewed(n: usize, mut rng: Rng, ask: impl Fn(&mut Rng) -> Call) -> Vec<Step> {
    let mut by_rank: Vec<u32> = (0..n as u32).collect();
    Rng::new(n as u64).shuffle(&mut by_rank);
    let zipf = Zipf::new(n);
    let step = |_| {
        let index = by_rank[zipf.draw(&mut rng) as usize];
        Step { index, ask: ask(&mut rng), there: true }
    };
    (0..(4 * n).clamp(SHORTEST, LONGEST)).map(step).collect()
}

/// Steps for `n` keys in random order; as many rounds of them as fill the
/// shortest script, or as many of them as the longest holds.
fn permutation(n: usize, rng: &mut Rng, step: impl Fn(u32) -> Step) -> Vec<Step> {
    let mut order: Vec<u32> = (0..n as u32).collect();
    let mut steps = Vec::with_capacity(n.clamp(SHORTEST, LONGEST));
    while steps.len() < SHORTEST {
        rng.shuffle(&mut order);
        steps.extend(order.iter().take(LONGEST).map(|&i| step(i)));
    }
    steps
}

/// Writes the script of one thread in a mix.
///
/// Three quarters of the keys are residents: any thread reads and overwrites
/// them. Of half as many again as the map holds in guests, each thread has its
/// own, half of them there at first, and only it inserts and removes them. So
/// each operation's answer is known beforehand, independent of the threads'
/// timing. The second half of the script undoes the insertions and removals of
/// the first in reverse, so that threads can repeat it.
struct Mixer {
    gets: u64,
    residents: u64,
    guests: Vec<u32>,
    present: Vec<bool>,
    rng: Rng,
    steps: Vec<Step>,
}

impl Mixer {
    fn new(gets: u64, n: usize, thread: usize, threads: usize, rng: Rng) -> Self {
        let residents = n / 4 * 3;
        let guests: Vec<_> = (residents..n + n / 4).skip(thread).step_by(threads).collect();
        Self {
            gets,
            residents: residents as u64,
            present: guests.iter().map(|&i| i < n).collect(),
            guests: guests.into_iter().map(|i| i as u32).collect(),
            rng,
            steps: Vec::new(),
        }
    }

    fn script(mut self) -> Vec<Step> {
        let half = (self.guests.len() * 2).clamp(SHORTEST, LONGEST / 2);
        let mut turned = Vec::with_capacity(half);
        for _ in 0..half {
            let turn = self.rng.below(100) >= self.gets && self.rng.below(2) == 0;
            let guest = turn.then(|| self.guest());
            self.step(guest);
            turned.push(guest);
        }
        for guest in turned.into_iter().rev() {
            self.step(guest);
        }
        self.steps
    }

    /// Lets `guest` come or go; without one, reads or overwrites something in
    /// the proportion that is left to these two.
    fn step(&mut self, guest: Option<usize>) {
        let reads = 2 * self.gets;
        let step = if let Some(guest) = guest {
            let there = self.present[guest];
            self.present[guest] = !there;
            let ask = if there { Call::Remove } else { Call::Insert };
            Step { index: self.guests[guest], ask, there }
        } else if self.rng.below(reads + 100 - self.gets) >= reads {
            Step { index: self.resident(), ask: Call::Upsert, there: true }
        } else if self.rng.below(8) == 0 {
            let guest = self.guest();
            Step { index: self.guests[guest], ask: Call::Get, there: self.present[guest] }
        } else {
            Step { index: self.resident(), ask: Call::Get, there: true }
        };
        self.steps.push(step);
    }

    fn guest(&mut self) -> usize {
        self.rng.below(self.guests.len() as u64) as usize
    }

    fn resident(&mut self) -> u32 {
        self.rng.below(self.residents) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Row, Suite, Workload};
    use super::{Call, script};
    use std::collections::HashSet;

    fn row(workload: Workload, n: usize, threads: usize) -> Row {
        Row { suite: Suite::Words, workload, n, threads }
    }

    /// Two threads' mixed scripts, run one after the other as they never would
    /// be, find what they promise and leave the map as it was.
    #[test]
    fn a_mix_answers_as_promised_and_returns_to_its_start() {
        let n = 4096;
        let mut map: HashSet<u32> = (0..n).collect();
        let mut asked = [0; 4];
        for thread in 0..2 {
            for step in script(&row(Workload::Mix(50), n as usize, 2), thread) {
                asked[step.ask as usize] += 1;
                let there = match step.ask {
                    Call::Get | Call::Upsert => map.contains(&step.index),
                    Call::Insert => !map.insert(step.index),
                    Call::Remove => map.remove(&step.index),
                };
                assert_eq!(there, step.there);
            }
        }
        assert_eq!(map, (0..n).collect());
        let total = f64::from(asked.iter().sum::<i32>());
        assert!((f64::from(asked[0]) / total - 0.5).abs() < 0.01, "{asked:?}");
        assert!((f64::from(asked[1]) / total - 0.25).abs() < 0.01, "{asked:?}");
    }

    #[test]
    fn every_key_is_looked_up_and_none_that_should_miss_is_there() {
        let hits = script(&row(Workload::GetHit, 1024, 1), 0);
        let seen: HashSet<_> = hits.iter().map(|step| step.index).collect();
        assert_eq!(seen, (0..1024).collect());
        let misses = script(&row(Workload::GetMiss, 1024, 1), 0);
        assert!(misses.iter().all(|step| step.index >= 1024 && !step.there));
    }
}
