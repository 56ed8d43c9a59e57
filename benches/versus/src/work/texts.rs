//! Keys and values of text, and scripts for maps of them.

use super::script::{Call, Step, script};
use super::{CHUNK, Row, Workload};
use crate::keys::Rng;

/// Texts of a stream, in one piece of memory and in the order of their use, so
/// that reading them costs the same for all maps, and almost nothing.
pub struct TextStream {
    text: String,
    /// Key, value, and what to do.
    pub lines: Vec<Line>,
    /// The checksum of each [`CHUNK`] lines.
    pub sums: Vec<u64>,
}

/// One operation on text.
#[derive(Clone, Copy)]
pub struct Line {
    start: u32,
    key: u8,
    value: u8,
    /// The operation.
    pub ask: Call,
}

/// The share of a miss in a checksum.
pub const NOTHING: u64 = 1 << 40;

/// No stream of text is longer, or there is no room for the maps.
const LONGEST: usize = 1 << 20;

impl TextStream {
    /// Makes the texts of thread `thread` in `row`.
    pub fn new(row: &Row, thread: usize) -> Self {
        let mut steps = script(row, thread);
        // A mix returns to its start at its end, and so can only be taken whole.
        if !matches!(row.workload, Workload::Mix(_)) {
            steps.truncate(LONGEST);
        }
        let mut stream = Self { text: String::new(), lines: vec![], sums: vec![] };
        for chunk in steps.chunks(CHUNK) {
            let sum = chunk.iter().map(|&step| stream.push(step, row.workload)).sum();
            stream.sums.push(sum);
        }
        stream
    }

    fn push(&mut self, step: Step, workload: Workload) -> u64 {
        let start = u32::try_from(self.text.len()).expect("streams of text are short");
        let (key, value) = (key(step.index.into()), value(step.index.into()));
        let writes = step.ask != Call::Get || workload == Workload::Upsert;
        self.text.push_str(&key);
        if writes {
            self.text.push_str(&value);
        }
        let seen = if workload == Workload::GetLook { look(&value) } else { value.len() as u64 };
        let [key, value] = [key, value].map(|text| text.len() as u8);
        self.lines.push(Line { start, key, value: if writes { value } else { 0 }, ask: step.ask });
        if step.there { seen } else { NOTHING }
    }

    /// A line's key.
    #[inline]
    pub fn key(&self, line: Line) -> &str {
        &self.text[line.start as usize..][..line.key.into()]
    }

    /// A line's value.
    #[inline]
    pub fn value(&self, line: Line) -> &str {
        &self.text[line.start as usize + usize::from(line.key)..][..line.value.into()]
    }
}

/// The `i`-th key.
pub fn key(i: u64) -> String {
    text(i << 1)
}

/// The `i`-th key's value, always the same.
pub fn value(i: u64) -> String {
    text(i << 1 | 1)
}

/// Reads a text as far as a caller would who wants to use it: a part of each of
/// its ends.
#[inline]
pub fn look(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let [first, last] = [bytes.first(), bytes.last()].map(|b| u64::from(*b.unwrap_or(&0)));
    bytes.len() as u64 + (first << 8) + (last << 16)
}

/// 16 to 64 characters that belong to `seed`.
fn text(seed: u64) -> String {
    let mut rng = Rng::new(seed ^ 0x7465_7874);
    let length = 16 + rng.below(49);
    let letter = |_| char::from(b"abcdefghijklmnopqrstuvwxyz012345"[rng.below(32) as usize]);
    (0..length).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Row, Suite, Workload};
    use super::{TextStream, key, look, value};

    #[test]
    fn texts_are_of_the_promised_lengths_and_differ() {
        let mut keys: Vec<_> = (0..10_000).map(key).collect();
        assert!(keys.iter().all(|key| (16..=64).contains(&key.len())));
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 10_000);
    }

    #[test]
    fn a_stream_has_the_keys_and_values_of_its_script() {
        let row = Row { suite: Suite::Strings, workload: Workload::Upsert, n: 1024, threads: 1 };
        let stream = TextStream::new(&row, 0);
        let pairs: std::collections::HashMap<_, _> =
            (0..1024).map(|i| (key(i), value(i))).collect();
        for &line in &stream.lines {
            assert_eq!(pairs[stream.key(line)], stream.value(line));
        }
        assert_ne!(look("abc"), look("abd"));
    }
}
