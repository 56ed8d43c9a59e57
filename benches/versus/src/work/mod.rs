//! The measured kinds of work, grouped into suites.

pub mod pairs;
pub mod script;
pub mod suite;
pub mod texts;
pub mod trees;
pub mod versions;
pub mod words;
pub mod zipf;

use pairs::Paired;
pub use suite::Suite;
use trees::SCANNED;
use versions::Work;

/// Operations between two looks at the clock.
pub const CHUNK: usize = 1024;

/// The row of one figure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// The suite, with its maps, keys and values.
    pub suite: Suite,
    /// The work.
    pub workload: Workload,
    /// Keys in the map.
    pub n: usize,
    /// Threads that work on it.
    pub threads: usize,
}

/// One kind of work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Workload {
    /// Look-ups of keys that are there.
    GetHit,
    /// The same, and the value is looked at, which the map may have elsewhere.
    GetLook,
    /// Look-ups of keys that are not there.
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
    /// This many gets in a hundred operations, the others upserts; some keys are
    /// asked for far more often than others.
    Zipf(u64),
    /// Counts keys, some far more often than others: each gets one more than it
    /// had, or one if it is new.
    Count,
    /// Visits of all entries; an operation is an entry.
    Iterate,
    /// Look-ups of keys that are there, this many in a call.
    GetMany(usize),
    /// Upserts, this many in a call.
    InsertMany(usize),
    /// Removals of keys that are there, this many in a call, from a map that
    /// stays nearly full.
    RemoveMany(usize),
    /// Scans of a hundred entries, from a random one on.
    Scan,
    /// The same in a small part of the map, each after an upsert of its first key.
    ScanHot,
    /// As [`Self::Insert`], in order of the keys.
    Ascend,
    /// This many gets in a hundred operations, the others upserts, all within a
    /// sixteenth of the keys, which lie side by side.
    Hot(u64),
    /// The same, with a hot range that moves.
    Moving(u64),
    /// A consistent view of all entries is taken and dropped.
    Snapshot,
    /// As [`Self::Mix`] by one thread, while a second one takes a snapshot each millisecond and visits all its entries.
    Reported(u64),
    /// Work of values whose clones are versions.
    Version(Work),
    /// Work of maps with one writer, whose changes show when they are published.
    Pair(Paired),
}

impl Workload {
    /// As the command line and the tables call it.
    pub fn name(self) -> String {
        match self {
            Self::GetHit => "get-hit".into(),
            Self::GetLook => "get-look".into(),
            Self::GetMiss => "get-miss".into(),
            Self::Insert => "insert".into(),
            Self::Upsert => "upsert".into(),
            Self::Update => "update".into(),
            Self::Remove => "remove".into(),
            Self::Mix(gets) => format!("{gets}/{}", 100 - gets),
            Self::Zipf(gets) => format!("zipf-{gets}/{}", 100 - gets),
            Self::Count => "count".into(),
            Self::Iterate => "iterate".into(),
            Self::GetMany(keys) => format!("get-many-{keys}"),
            Self::InsertMany(keys) => format!("insert-many-{keys}"),
            Self::RemoveMany(keys) => format!("remove-many-{keys}"),
            Self::Scan => format!("scan-{SCANNED}"),
            Self::ScanHot => format!("scan-{SCANNED}-written"),
            Self::Ascend => "ascend".into(),
            Self::Hot(gets) => format!("hot-{gets}/{}", 100 - gets),
            Self::Moving(gets) => format!("moving-{gets}/{}", 100 - gets),
            Self::Snapshot => "snapshot".into(),
            Self::Reported(gets) => format!("{gets}/{}-reported", 100 - gets),
            Self::Version(work) => work.name(),
            Self::Pair(work) => work.name(),
        }
    }

    /// Whether it leaves the map as the next row wants to find it.
    pub fn keeps_the_keys(self) -> bool {
        let whole = self.is_whole();
        !whole
            && !matches!(
                self,
                Self::Mix(_) | Self::Reported(_) | Self::Version(Work::Turn | Work::Edit)
            )
    }

    /// Whether it makes its own maps.
    pub fn is_whole(self) -> bool {
        let whole = matches!(self, Self::Insert | Self::Ascend | Self::Remove);
        whole || matches!(self, Self::Version(Work::Drop | Work::Push))
    }

    /// Whether each operation raises a value's stamp by one.
    pub fn stamps(self) -> bool {
        matches!(self, Self::Update | Self::Count)
    }
}
