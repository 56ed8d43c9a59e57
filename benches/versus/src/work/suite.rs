//! Suites: rows that belong together, because they have the same maps, kinds of
//! key and value, and one table.

use super::Workload::{
    self, Ascend, Count, GetHit, GetLook, GetMany, GetMiss, Hot, Insert, InsertMany, Iterate, Mix,
    Moving, Pair, Remove, RemoveMany, Reported, Scan, ScanHot, Snapshot, Update, Upsert, Version,
    Zipf,
};
use super::pairs::{How, Paired};
use super::versions::Work::{Diff, Drop, Edit, Kept, Push, Turn};

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
    /// Numbers to numbers, in maps with one writer and their alternatives.
    LeftRight,
    /// Numbers to numbers, in ordered maps.
    Ordered,
    /// Numbers to numbers, in ordered maps with snapshots.
    Snapshots,
    /// Numbers to numbers, in ordered maps whose clones are versions.
    Persistent,
    /// Text to numbers, in such maps.
    PersistentText,
    /// Numbers in sequences whose clones are versions.
    Sequences,
}

/// The work of [`Suite::LeftRight`]. Writes are published by hundreds where that
/// comes about within a round.
const PAIRED: [Workload; 17] = {
    const fn gets(how: How, zipf: bool) -> Workload {
        Pair(Paired::Gets { how, zipf })
    }
    const fn mix(every: usize, by: usize) -> Workload {
        Pair(Paired::Mix { every, by })
    }
    [
        gets(How::Single, false),
        gets(How::Held, false),
        gets(How::Many, false),
        gets(How::Single, true),
        gets(How::Held, true),
        gets(How::Many, true),
        mix(100_000, 1),
        mix(10_000, 1),
        mix(1000, 1),
        mix(100, 1),
        mix(2, 1),
        mix(1000, 100),
        mix(100, 100),
        mix(2, 100),
        Pair(Paired::Publish(1)),
        Pair(Paired::Publish(100)),
        Pair(Paired::Publish(10_000)),
    ]
};

/// The work of [`Suite::Persistent`].
const VERSIONED: [Workload; 10] = [
    GetHit,
    GetMiss,
    Scan,
    Iterate,
    Insert,
    Remove,
    Version(Drop),
    Version(Kept(1)),
    Version(Kept(100)),
    Version(Diff),
];

impl Suite {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 15] = [
        Self::Words,
        Self::Batches,
        Self::Zipf,
        Self::Counters,
        Self::Iterate,
        Self::Values(8),
        Self::Values(64),
        Self::Values(256),
        Self::Strings,
        Self::LeftRight,
        Self::Ordered,
        Self::Snapshots,
        Self::Persistent,
        Self::PersistentText,
        Self::Sequences,
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
            Self::LeftRight => "leftright",
            Self::Ordered => "ordered",
            Self::Snapshots => "snapshots",
            Self::Persistent => "persistent",
            Self::PersistentText => "persistent-text",
            Self::Sequences => "sequences",
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
            Self::LeftRight => "u64 → u64, one writer".into(),
            Self::Ordered => "u64 → u64, ordered".into(),
            Self::Snapshots => "u64 → u64, ordered, with snapshots".into(),
            Self::Persistent => "u64 → u64, persistent".into(),
            Self::PersistentText => "String → u64, persistent".into(),
            Self::Sequences => "u64, persistent sequences".into(),
        }
    }

    /// Explains its rows, as far as their names do not.
    pub fn explanation(self) -> &'static str {
        match self {
            Self::Words => {
                "Mixes: of all operations but gets, half are upserts and half insert or remove, keeping \
                 the size; 15 in 16 gets hit. update makes a value of the old one; upsert does \
                 not look."
            }
            Self::Batches => {
                "FlatMap gets that many keys in one call; all the others run a loop, \
                 FlatMap singly too (it is no peer). insert-many overwrites; remove-many takes \
                 keys out of a map that stays nearly full."
            }
            Self::Zipf => {
                "The i-th most frequent key comes in proportion to 1 / i^0.99. All other operations than \
                 gets are upserts. All keys are present."
            }
            Self::Counters => {
                "count: a key gets one more than it had, or one, by each map's own atomic way; keys \
                 as in the suite before. The counts must add up, also with two threads."
            }
            Self::Iterate => "Nanoseconds an entry.",
            Self::Values(_) => {
                "A look-up reads the whole value: in place if the map returns a reference, else from the copy."
            }
            Self::Strings => {
                "Keys and values of 16 to 64 characters. The caller has text that it does not own, \
                 as from a buffer; a map that wants a String makes one. get-look reads the value's \
                 text, get-hit only finds it. iterate: nanoseconds an entry, seeing its lengths."
            }
            Self::LeftRight => {
                "held-16: sixteen gets under one guard, if the map has guards; many-16: sixteen in a \
                 call, if it has batches; the yard does neither. -zipf: keys by Zipf's law, in all \
                 mixes too. reads-99: of a hundred operations one is a write, and each is published \
                 by itself, or a hundred at a time; of two threads one does this and the other only \
                 reads. publish-100: nanoseconds of publishing a hundred keys, all different, not of \
                 writing them, beside a reader that is idle or, with two threads, busy."
            }
            Self::Ordered => {
                "scan-100: nanoseconds of a scan of a hundred entries, of which the caller knows the \
                 first and the last key; -written: within a sixty-fourth of the map, each after an \
                 upsert of its first key, by both threads. Of ours, FenceMap scans eight entries at a time, the \
                 other one a consistent snapshot (it is no peer). get-many-16: in one call, or under one \
                 guard. ascend: insert in order. Mixes as in the first suite; hot: gets and upserts \
                 of a sixteenth of the keys, which are neighbours; moving: the hot keys move."
            }
            Self::Snapshots => {
                "snapshot: a consistent view of all entries is taken and dropped; a map that has none copies \
                 all entries. 90/10-reported: one thread's mix, while a second thread takes a snapshot each \
                 millisecond and visits all its entries; RwLock is locked for that time, imbl is not. The skip list \
                 has no consistent views."
            }
            Self::Persistent | Self::PersistentText => {
                "One thread; maps are changed in place where nothing is shared. scan-100: nanoseconds of a scan. \
                 drop, iterate: nanoseconds an entry. kept-100: present keys get other values, and after \
                 each hundred a version is kept, a hundred of them at a time; BTreeMap copies all entries for \
                 each, and has no figure where there are many. diff-100: nanoseconds a change, between \
                 versions with a hundred changes; rpds has none."
            }
            Self::Sequences => {
                "get-hit: by random index. kept-100: as for maps. insert-middle: an element is removed at a \
                 random place and inserted at another. split-append: cut at a random place, and the parts \
                 joined the other way round; for Vec, rotate_left."
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
            Self::LeftRight => &PAIRED,
            Self::Ordered => &[
                GetHit,
                GetMiss,
                GetMany(16),
                Scan,
                ScanHot,
                Insert,
                Ascend,
                Remove,
                Mix(90),
                Mix(50),
                Hot(90),
                Hot(50),
                Moving(90),
                Moving(50),
                Iterate,
            ],
            Self::Snapshots => &[GetHit, Scan, Insert, Remove, Mix(90), Snapshot, Reported(90)],
            Self::Persistent | Self::PersistentText => &VERSIONED,
            Self::Sequences => {
                &[GetHit, Iterate, Version(Push), Version(Kept(100)), Version(Edit), Version(Turn)]
            }
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
            Self::LeftRight
            | Self::Snapshots
            | Self::Persistent
            | Self::PersistentText
            | Self::Sequences => &[K1, K64, M1],
            Self::Batches => &[K64, M1, M16],
            Self::Zipf | Self::Counters | Self::Iterate | Self::Values(_) | Self::Ordered => {
                &[K64, M1]
            }
            Self::Strings => &[K1, M1],
        }
    }

    /// Its work at `n` keys, where nobody says otherwise: the largest maps take
    /// minutes to build, so there it is what says most.
    pub fn usual(self, workload: Workload, n: usize, threads: usize) -> bool {
        if let Pair(work) = workload {
            return work.usual(n, threads);
        }
        let most = matches!(
            workload,
            GetHit | GetMiss | Upsert | GetMany(16 | 64) | InsertMany(_) | RemoveMany(_)
        );
        // A reporter is a thread.
        (n < 1 << 24 || most) && (threads == 2 || !matches!(workload, Reported(_)))
    }

    /// Threads that it is for: waits for memory overlap in one thread.
    pub fn threads(self) -> &'static [usize] {
        match self {
            Self::Batches | Self::Persistent | Self::PersistentText | Self::Sequences => &[1],
            _ => &[1, 2],
        }
    }

    /// The most keys for which there is room.
    pub fn most(self) -> usize {
        match self {
            Self::Values(bytes) => (1 << 30) / bytes.max(32),
            Self::Strings
            | Self::LeftRight
            | Self::Ordered
            | Self::Snapshots
            | Self::Persistent
            | Self::PersistentText
            | Self::Sequences => 1 << 22,
            _ => 1 << 30,
        }
    }
}
