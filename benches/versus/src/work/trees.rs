//! The work of ordered maps, and its scripts: the work of other suites, and
//! operations by the order of keys.

use super::script::{Call, script};
use super::{CHUNK, Row, Workload};
use crate::keys::{self, Rng, fold, value};

/// Look-ups in a call.
pub const BATCH: usize = 16;

/// Entries of a scan.
pub const SCANNED: usize = 100;

/// The hot keys are neighbours, one in this many of all.
const HOT: usize = 16;

/// Of scans beside writers: so that each meets writes.
const SCAN_HOT: usize = 64;

/// Operations until a hot range has moved on by its length.
const STAY: usize = 64 * CHUNK;

/// No script is shorter, or the branch predictor learns it by heart.
const SHORTEST: usize = 64 * CHUNK;

/// No script is longer.
const LONGEST: usize = 2048 * CHUNK;

/// The steps of one thread, which it repeats.
pub struct Course {
    /// Keys; the first and last one of each scan; or `key << 2 | ask`.
    pub words: Vec<u64>,
    /// The sum of the answers for each [`CHUNK`] words.
    pub sums: Vec<u64>,
}

impl Course {
    /// Makes the steps of thread `thread` in `row`.
    pub fn new(row: &Row, thread: usize) -> Self {
        let mut rng = Rng::new((row.n as u64) << 8 | (thread as u64) << 4 | 7);
        match row.workload {
            Workload::Scan => Self::scans(row.n, row.n, &mut rng),
            Workload::ScanHot => Self::scans(row.n, row.n / SCAN_HOT, &mut rng),
            Workload::Ascend => Self { words: sorted(row.n), sums: vec![] },
            Workload::Hot(gets) => Self::hot(row.n, gets, false, &mut rng),
            Workload::Moving(gets) => Self::hot(row.n, gets, true, &mut rng),
            _ => Self::scripted(row, thread),
        }
    }

    /// As other suites have it, but that only look-ups and removals answer.
    fn scripted(row: &Row, thread: usize) -> Self {
        let mixed = matches!(row.workload, Workload::Mix(_) | Workload::Reported(_));
        let steps = script(row, thread).into_iter().map(|step| {
            let key = keys::key(step.index.into());
            let sum = match step.ask {
                Call::Get => fold(step.there.then(|| value(key, 0))),
                Call::Remove => step.there.into(),
                Call::Upsert | Call::Insert => 0,
            };
            (if mixed { key << 2 | step.ask as u64 } else { key }, sum)
        });
        Self::of(steps)
    }

    fn of(steps: impl Iterator<Item = (u64, u64)>) -> Self {
        let (words, sums): (Vec<u64>, Vec<u64>) = steps.unzip();
        Self { words, sums: sums.chunks(CHUNK).map(|chunk| chunk.iter().sum()).collect() }
    }

    /// Scans that begin at random within the first `among` of `n` keys, or a few
    /// more.
    fn scans(n: usize, among: usize, rng: &mut Rng) -> Self {
        let sorted = sorted(n);
        let last = (among.max(2 * SCANNED).min(n) - SCANNED) as u64;
        let one = |_| {
            let from = rng.below(last + 1) as usize;
            let all = &sorted[from..from + SCANNED];
            let sum = all.iter().map(|&key| fold(Some(key))).sum();
            [(all[0], sum), (all[SCANNED - 1], 0)]
        };
        Self::of((0..n.clamp(SHORTEST, LONGEST) / 2).flat_map(one))
    }

    /// Gets and upserts of keys within a range, which may move around among all.
    fn hot(n: usize, gets: u64, moves: bool, rng: &mut Rng) -> Self {
        let sorted = sorted(n);
        let hot = n / HOT;
        let one = |at: usize| {
            let begin = if moves { at * hot / STAY } else { n / 3 };
            let key = sorted[(begin + rng.below(hot as u64) as usize) % n];
            if rng.below(100) < gets {
                (key << 2 | Call::Get as u64, fold(Some(key)))
            } else {
                (key << 2 | Call::Upsert as u64, 0)
            }
        };
        // The range comes back to where it began.
        Self::of((0..if moves { HOT * STAY } else { LONGEST }).map(one))
    }
}

/// The first `n` keys in their order.
fn sorted(n: usize) -> Vec<u64> {
    let mut sorted: Vec<u64> = (0..n as u64).map(keys::key).collect();
    sorted.sort_unstable();
    sorted
}

#[cfg(test)]
mod tests {
    use super::super::{Row, Suite, Workload};
    use super::{CHUNK, Course, SCANNED, sorted};

    fn course(workload: Workload, n: usize) -> Course {
        Course::new(&Row { suite: Suite::Ordered, workload, n, threads: 1 }, 0)
    }

    #[test]
    fn scans_are_of_a_hundred_keys() {
        let keys = sorted(1 << 12);
        for work in [Workload::Scan, Workload::ScanHot] {
            let course = course(work, keys.len());
            for ends in course.words.as_chunks::<2>().0 {
                let [from, to] = ends.map(|key| keys.binary_search(&key).expect("it is there"));
                assert_eq!(to - from + 1, SCANNED);
            }
            assert_eq!(course.words.len(), course.sums.len() * CHUNK);
        }
    }

    #[test]
    fn a_hot_range_that_moves_has_been_everywhere() {
        let keys = sorted(1 << 12);
        let course = course(Workload::Moving(90), keys.len());
        let mut met = vec![false; keys.len()];
        for (at, word) in course.words.iter().enumerate() {
            let place = keys.binary_search(&(word >> 2)).expect("it is there");
            met[place] = true;
            let begin = keys.len() * at / course.words.len();
            assert!((place + keys.len() - begin) % keys.len() <= keys.len() / super::HOT);
        }
        assert!(met.iter().all(|&met| met));
    }
}
