//! The work of maps and sequences whose clones are versions, and its scripts.

use super::script::script;
use super::trees::SCANNED;
use super::{CHUNK, Row, Workload};
use crate::keys::{Rng, fold};
use crate::versions::Key;

/// Changes between the two versions of a diff.
pub const CHANGES: usize = 100;

/// One kind of work that needs versions, or is a sequence's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Work {
    /// Present keys, or elements, are overwritten, and after each so many a version is kept: the last hundred of them.
    Kept(usize),
    /// Two versions with [`CHANGES`] changes between them are compared; an operation is a change that is found.
    Diff,
    /// The only version is dropped; an operation is an entry.
    Drop,
    /// A new sequence is filled from its end.
    Push,
    /// An element is inserted at a random place, and another one removed.
    Edit,
    /// A sequence is cut at a random place, and its parts are joined in the other order.
    Turn,
}

impl Work {
    /// As the command line and the tables call it.
    pub fn name(self) -> String {
        match self {
            Self::Kept(every) => format!("kept-{every}"),
            Self::Diff => format!("diff-{CHANGES}"),
            Self::Drop => "drop".into(),
            Self::Push => "push".into(),
            Self::Edit => "insert-middle".into(),
            Self::Turn => "split-append".into(),
        }
    }
}

/// The keys of a thread, which it repeats.
pub struct Deeds<K> {
    /// Keys, in the order of their use; or the first and last key of each scan.
    pub keys: Vec<K>,
    /// The numbers of these keys, which are their values.
    pub numbers: Vec<u32>,
    /// The sum of the answers for each [`CHUNK`] keys.
    pub sums: Vec<u64>,
}

impl<K: Key> Deeds<K> {
    /// Makes the keys of thread `thread` in `row`.
    pub fn new(row: &Row, thread: usize) -> Self {
        if row.workload == Workload::Scan {
            return Self::scans(row.n);
        }
        let steps = script(row, thread).into_iter().map(|step| {
            let number = step.index;
            (K::make(number.into()), number, fold(step.there.then_some(number.into())))
        });
        Self::of(steps)
    }

    fn of(steps: impl Iterator<Item = (K, u32, u64)>) -> Self {
        let mut deeds = Self { keys: vec![], numbers: vec![], sums: vec![] };
        for (at, (key, number, sum)) in steps.enumerate() {
            if at % CHUNK == 0 {
                deeds.sums.push(0);
            }
            *deeds.sums.last_mut().expect("the chunk has begun") += sum;
            deeds.keys.push(key);
            deeds.numbers.push(number);
        }
        deeds
    }

    /// Scans that begin at random among `n` keys.
    fn scans(n: usize) -> Self {
        let mut sorted: Vec<(K, u32)> = (0..n as u32).map(|i| (K::make(i.into()), i)).collect();
        sorted.sort_unstable();
        let mut rng = Rng::new(n as u64);
        let one = |_| {
            let all = &sorted[rng.below((n - SCANNED) as u64 + 1) as usize..][..SCANNED];
            let sum = all.iter().map(|&(_, number)| u64::from(number)).sum();
            let [first, last] = [&all[0], &all[SCANNED - 1]];
            [(first.0.clone(), first.1, sum), (last.0.clone(), last.1, 0)]
        };
        Self::of((0..32 * CHUNK / 2).flat_map(one))
    }
}

/// The places of a thread in a sequence, which it repeats.
pub struct Places {
    /// Indices below the length.
    pub indices: Vec<usize>,
}

impl Places {
    /// Makes the places in a sequence of `row.n` elements.
    pub fn new(row: &Row, thread: usize) -> Self {
        let mut rng = Rng::new((row.n as u64) << 8 | thread as u64);
        let indices = 0..row.n.clamp(32 * CHUNK, 2048 * CHUNK);
        Self { indices: indices.map(|_| rng.below(row.n as u64) as usize).collect() }
    }
}
