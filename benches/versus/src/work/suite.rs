//! Suites: rows that belong together, because they have the same maps, kinds of
//! key and value, and one table.

use super::Workload::{
    self, Count, GetHit, GetLook, GetMany, GetMiss, Insert, InsertMany, Iterate, Mix, Remove,
    RemoveMany, Update, Upsert, Zipf,
};

/// A group of rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Suite {
    /// Numbers to numbers, uniformly chosen, one at a time.
    Words,
    /// Numbers to numbers, many in a call.
    Batches,
    /// Numbers to numbers, some far more often than others.
    Zipf,
    /// Counters that all threads share.
    Counters,
    /// Visits of all entries.
    Iterate,
    /// Numbers to values of this many bytes.
    Values(usize),
    /// Text to text.
    Strings,
}

impl Suite {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 9] = [
        Self::Words,
        Self::Batches,
        Self::Zipf,
        Self::Counters,
        Self::Iterate,
        Self::Values(8),
        Self::Values(64),
        Self::Values(256),
        Self::Strings,
    ];

    /// As the command line calls it: values of all sizes are one suite there.
    pub fn name(self) -> &'static str {
        match self {
            Self::Words => "words",
            Self::Batches => "batches",
            Self::Zipf => "zipf",
            Self::Counters => "counters",
            Self::Iterate => "iterate",
            Self::Values(_) => "values",
            Self::Strings => "strings",
        }
    }

    /// As the files of its plots are called.
    pub fn file(self) -> String {
        match self {
            Self::Values(bytes) => format!("values-{bytes}"),
            _ => self.name().into(),
        }
    }

    /// The headline of its table.
    pub fn title(self) -> String {
        match self {
            Self::Words => "u64 → u64".into(),
            Self::Batches => "u64 → u64, many keys in a call".into(),
            Self::Zipf => "u64 → u64, keys by Zipf's law".into(),
            Self::Counters => "u64 → u64, shared counters".into(),
            Self::Iterate => "u64 → u64, all entries".into(),
            Self::Values(bytes) => format!("u64 → {bytes} bytes"),
            Self::Strings => "String → String".into(),
        }
    }

    /// What its rows do, as far as the names do not say it.
    pub fn explanation(self) -> &'static str {
        match self {
            Self::Words => {
                "Mixes: of what is not a get, half are upserts and half insert or remove, keeping \
                 the size; 15 in 16 gets hit. update makes a value of the old one; upsert does \
                 not look."
            }
            Self::Batches => {
                "FlatMap is given that many keys in one call; all the others are asked in a loop, \
                 FlatMap singly too (it is no peer). insert-many overwrites; remove-many takes \
                 keys out of a map that stays nearly full."
            }
            Self::Zipf => {
                "The i-th most frequent key comes in proportion to 1 / i^0.99. What is not a get is \
                 an upsert. All keys are there."
            }
            Self::Counters => {
                "count: a key gets one more than it had, or one, by each map's own atomic way; keys \
                 as in the suite before. What was counted must add up, also with two threads."
            }
            Self::Iterate => "Nanoseconds an entry.",
            Self::Values(_) => {
                "A look-up reads the whole value: where a map lends it, in place, else from the copy."
            }
            Self::Strings => {
                "Keys and values of 16 to 64 characters. The caller has text that it does not own, \
                 as from a buffer; a map that wants a String makes one. get-look reads the value's \
                 text, get-hit only finds it. iterate: nanoseconds an entry, seeing its lengths."
            }
        }
    }

    /// Its work, in the order of its table.
    pub fn workloads(self) -> &'static [Workload] {
        match self {
            Self::Words => {
                &[GetHit, GetMiss, Insert, Upsert, Update, Remove, Mix(90), Mix(70), Mix(50)]
            }
            Self::Batches => {
                &[GetMany(1), GetMany(4), GetMany(16), GetMany(64), InsertMany(16), RemoveMany(16)]
            }
            Self::Zipf => &[Zipf(99), Zipf(90)],
            Self::Counters => &[Count],
            Self::Iterate => &[Iterate],
            Self::Values(_) => &[GetHit, Upsert],
            Self::Strings => &[GetHit, GetLook, GetMiss, Mix(90), Upsert, GetMany(16), Iterate],
        }
    }

    /// Keys in its maps, where nobody says otherwise.
    pub fn sizes(self) -> &'static [usize] {
        const K1: usize = 1 << 10;
        const K64: usize = 1 << 16;
        const M1: usize = 1 << 20;
        const M16: usize = 1 << 24;
        match self {
            Self::Words => &[K1, K64, M1, M16],
            Self::Batches => &[K64, M1, M16],
            Self::Zipf | Self::Counters | Self::Iterate | Self::Values(_) => &[K64, M1],
            Self::Strings => &[K1, M1],
        }
    }

    /// Its work at `n` keys, where nobody says otherwise: the largest maps take
    /// minutes to build, so there it is what says most.
    pub fn usual(self, workload: Workload, n: usize) -> bool {
        let most = matches!(
            workload,
            GetHit | GetMiss | Upsert | GetMany(16 | 64) | InsertMany(_) | RemoveMany(_)
        );
        n < 1 << 24 || most
    }

    /// Threads that it is for: waits for memory overlap in one thread.
    pub fn threads(self) -> &'static [usize] {
        if self == Self::Batches { &[1] } else { &[1, 2] }
    }

    /// The most keys for which there is room.
    pub fn most(self) -> usize {
        match self {
            Self::Values(bytes) => (1 << 30) / bytes.max(32),
            Self::Strings => 1 << 22,
            _ => 1 << 30,
        }
    }
}
