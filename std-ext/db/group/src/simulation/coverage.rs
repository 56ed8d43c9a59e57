//! The cases that the runs have met. A test that never meets a case does not check it.

use crate::{GroupRole, TxnFailure};
use std::collections::BTreeMap;

/// A case that the runs must meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Case {
    /// The first node creates the group.
    Created,
    /// The lease of a primary ran out.
    TakenFromSilent,
    /// A released group is taken by the node that was chosen.
    TakenByChosen,
    /// A released group is taken by any.
    TakenFromNobody,
    /// A node has taken over from a process of its own that has ended.
    TakenBack,
    /// After that came a transaction of that process.
    LateTransactionOfTheDead,
    /// A node to which the group was handed over did not come.
    TakenFromAbsent,
    /// Three takeovers within six leases.
    TakenInARow,
    /// A transaction without an answer was done.
    UnknownThenDone,
    /// A transaction without an answer was not done.
    UnknownThenNot,
    /// A takeover without an answer was done.
    TakeoverUnheard,
    /// An entry in several parts was read.
    PartsJoined,
    /// Parts of an entry never got their end.
    PartsAbandoned,
    /// A node needed batches that were trimmed, and got the data of a peer.
    TrimmedThenResync,
    /// The batches behind a fetched folder were trimmed meanwhile: the spool has them.
    TrimmedDuringResync,
    /// A deposed primary had changes that were never committed, and started again.
    FencedUnsafe,
    /// A deposed primary followed its successor.
    FencedInPlace,
    /// The group was handed over to the node that was chosen.
    HandedOver,
    /// A process that stops released the group.
    Released,
    /// A handover was taken back.
    HandOverGivenUp,
    /// The store had no quota left, and has again.
    NoSpaceLeft,
    /// A node led, then another, then the first again.
    BackToTheFirst,
    /// A node read batches that the watch had not told.
    GapFilled,
    /// A watch began before the history that the store keeps.
    WatchCompacted,
    /// A machine lost entries that were not on its disk.
    PowerLost,
    /// A node had a part of its last batch when it started.
    RestartedInsideBatch,
    /// Answers were dropped when an epoch ended.
    RepliesClosed,
    /// A process ended or stopped between two actions.
    StoppedBetweenActions,
    /// A node stopped because the store went back.
    RestoreNoticed,
    /// A node has said in the store that it has more.
    Halted,
    /// A new store has all entries that the old one had.
    Adopted,
    /// The same, but without some entries.
    AdoptedWithLoss,
    /// An answer left because the lease had not ended.
    CheckByLease,
    /// An answer left because a transaction was sent after its evaluation.
    CheckByTransaction,
    /// Batches were trimmed.
    Trimmed,
    /// A disk was full.
    DiskFailed,
    /// It worked again.
    DiskMended,
    /// A line with another lease than the one before was written.
    LeaseChanged,
    /// Two nodes with the same id have run at once.
    Twins,
    /// A primary set its clock back.
    ClockSetBack,
    /// So did the line in the store.
    LineSetBack,
    /// A former primary started again because its successor begins earlier.
    RestartedByTime,
    /// A snapshot of a real program was kept.
    SnapshotKept,
    /// A real program began with a snapshot.
    SnapshotLoaded,
    /// A real program answered as a follower.
    FollowerRead,
}

/// A thing that a run has met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Milestone {
    /// A case.
    Case(Case),
    /// A fault has begun.
    Fault(&'static str),
    /// A node has changed its role.
    Role(&'static str, &'static str),
    /// The store has refused something, or has not answered.
    Refusal(&'static str),
    /// Something of the service.
    Own(&'static str),
}

/// The number of times that each thing was met.
#[derive(Clone, Debug, Default)]
pub struct Coverage(pub BTreeMap<Milestone, u64>);

impl Coverage {
    pub(super) fn met(&mut self, case: Case) {
        self.count(Milestone::Case(case));
    }

    /// Counts something.
    pub fn count(&mut self, met: Milestone) {
        *self.0.entry(met).or_default() += 1;
    }

    pub(super) fn role(&mut self, from: GroupRole, to: GroupRole) {
        self.count(Milestone::Role(name_of(from), name_of(to)));
    }

    pub(super) fn failure(&mut self, failure: &TxnFailure) {
        self.count(Milestone::Refusal(match failure {
            TxnFailure::Unknown(_) => "no answer",
            TxnFailure::Busy(_) => "busy",
            TxnFailure::TooLarge => "too large",
            TxnFailure::NoSpace => "no space",
            TxnFailure::Denied(_) => "denied",
            TxnFailure::Corrupt => "corrupt",
            TxnFailure::WentBack => "went back",
            TxnFailure::OtherCluster => "another cluster",
        }));
    }

    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Self) {
        for (met, times) in &other.0 {
            *self.0.entry(*met).or_default() += times;
        }
    }

    /// Returns what was met less often than it must be.
    pub fn missing(&self, required: &[(Milestone, u64)]) -> Vec<(Milestone, u64)> {
        let times = |met: &Milestone| self.0.get(met).copied().unwrap_or(0);
        let rare = required.iter().filter(|(met, least)| times(met) < *least);
        rare.map(|(met, _)| (*met, times(met))).collect()
    }
}

fn name_of(role: GroupRole) -> &'static str {
    match role {
        GroupRole::Loading => "loading",
        GroupRole::Follower => "follower",
        GroupRole::Primary => "primary",
    }
}

/// The number of seeds for which the lists say how often each thing must be met: half as often as it is.
pub const SEEDS: u64 = 300;

/// The cases that runs of any scenario with faults must meet.
pub const ALWAYS: &[(Milestone, u64)] = &[
    (Milestone::Case(Case::Created), 270),
    (Milestone::Case(Case::TakenFromSilent), 180),
    (Milestone::Case(Case::TakenByChosen), 8),
    (Milestone::Case(Case::TakenFromNobody), 15),
    (Milestone::Case(Case::UnknownThenDone), 60),
    (Milestone::Case(Case::UnknownThenNot), 100),
    (Milestone::Case(Case::TakeoverUnheard), 1),
    (Milestone::Case(Case::PartsJoined), 150),
    (Milestone::Case(Case::PartsAbandoned), 1),
    (Milestone::Case(Case::TrimmedThenResync), 8),
    (Milestone::Case(Case::FencedUnsafe), 30),
    (Milestone::Case(Case::FencedInPlace), 30),
    (Milestone::Case(Case::HandedOver), 8),
    (Milestone::Case(Case::Released), 20),
    (Milestone::Case(Case::NoSpaceLeft), 20),
    (Milestone::Case(Case::BackToTheFirst), 30),
    (Milestone::Case(Case::GapFilled), 1500),
    (Milestone::Case(Case::WatchCompacted), 15),
    (Milestone::Case(Case::PowerLost), 30),
    (Milestone::Case(Case::RepliesClosed), 5),
    (Milestone::Case(Case::StoppedBetweenActions), 100),
    (Milestone::Case(Case::CheckByLease), 20_000),
    (Milestone::Case(Case::CheckByTransaction), 10_000),
    (Milestone::Case(Case::Trimmed), 400),
    (Milestone::Case(Case::LeaseChanged), 15),
    (Milestone::Role("loading", "follower"), 500),
    (Milestone::Role("follower", "primary"), 300),
    (Milestone::Role("primary", "follower"), 60),
    // A node that needs a resync.
    (Milestone::Role("loading", "loading"), 6),
    (Milestone::Refusal("compared"), 50),
    (Milestone::Refusal("no answer"), 500),
    (Milestone::Refusal("busy"), 50),
    (Milestone::Refusal("no space"), 30),
    (Milestone::Fault("Crash"), 30),
    (Milestone::Fault("Freeze"), 30),
    (Milestone::Fault("CutTo"), 30),
    (Milestone::Fault("CutFrom"), 30),
    (Milestone::Fault("StorePause"), 30),
    (Milestone::Fault("Isolate"), 30),
    (Milestone::Fault("StoreSlow"), 12),
    (Milestone::Fault("StoreBusy"), 12),
    (Milestone::Fault("LoseAnswers"), 12),
    (Milestone::Fault("WatchStall"), 12),
    (Milestone::Fault("WatchCut"), 12),
    (Milestone::Fault("WatchRepeat"), 12),
    (Milestone::Fault("WatchSkip"), 12),
    (Milestone::Fault("Compact"), 12),
    (Milestone::Fault("Quota"), 12),
    (Milestone::Fault("SlowDisk"), 12),
    (Milestone::Fault("HandOver"), 12),
    (Milestone::Fault("Restart"), 12),
    (Milestone::Fault("Lease"), 12),
    (Milestone::Fault("Forget"), 12),
    (Milestone::Fault("Jump"), 12),
];

/// More cases, for runs without the real state: they are longer.
pub const CORE: &[(Milestone, u64)] = &[(Milestone::Case(Case::RestartedInsideBatch), 1)];

/// More cases, for runs with all kinds of faults.
pub const WIDE: &[(Milestone, u64)] = &[
    (Milestone::Case(Case::TakenFromAbsent), 1),
    (Milestone::Case(Case::TakenInARow), 60),
    (Milestone::Case(Case::TrimmedDuringResync), 1),
    (Milestone::Case(Case::DiskFailed), 20),
    (Milestone::Case(Case::DiskMended), 15),
    (Milestone::Case(Case::Twins), 30),
    (Milestone::Refusal("too large"), 1),
    (Milestone::Fault("Away"), 30),
    (Milestone::Fault("DiskFull"), 30),
    (Milestone::Fault("HandOverAndDie"), 30),
    (Milestone::Fault("Lost"), 30),
    (Milestone::Fault("Chase"), 30),
    (Milestone::Fault("Twin"), 20),
    (Milestone::Fault("Limit"), 20),
];

/// More cases, for runs with the whole state.
pub const WHOLE: &[(Milestone, u64)] = &[
    (Milestone::Case(Case::ClockSetBack), 30),
    (Milestone::Case(Case::LineSetBack), 50),
    (Milestone::Case(Case::SnapshotKept), 500),
    (Milestone::Case(Case::SnapshotLoaded), 80),
    (Milestone::Case(Case::FollowerRead), 2000),
];
