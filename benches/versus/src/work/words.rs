//! Scripts for maps of numbers, as the timed loops want them.

use super::script::{Step, script};
use super::{CHUNK, Row, Workload};
use crate::keys;

/// A sequence of keys for one thread, which it repeats, with the checksum that
/// each chunk must add in a right map.
pub struct Stream {
    /// Keys, or for a mix `key << 2 | ask`.
    pub words: Vec<u64>,
    /// The checksum of each [`CHUNK`] words.
    pub sums: Vec<u64>,
}

impl Stream {
    /// Makes the keys of thread `thread` in `row`.
    pub fn new(row: &Row, thread: usize) -> Self {
        let steps = script(row, thread);
        let mixed = matches!(row.workload, Workload::Mix(_) | Workload::Zipf(_));
        let key = |index: u32| keys::key(u64::from(index));
        let word = |step: &Step| {
            if mixed { key(step.index) << 2 | step.ask as u64 } else { key(step.index) }
        };
        let answer = |step: &Step| keys::fold(step.there.then(|| keys::value(key(step.index), 0)));
        let sums = steps.chunks(CHUNK).map(|chunk| chunk.iter().map(answer).sum()).collect();
        Self { words: steps.iter().map(word).collect(), sums }
    }
}
