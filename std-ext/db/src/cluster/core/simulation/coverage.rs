//! The cases that the runs have met. A test that never meets a case does not check it.

use crate::cluster::core::{Failure, Role};
use std::collections::BTreeMap;

/// A case that the runs must meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Case {
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
    LateSwapOfTheDead,
    /// A node to which the group was handed over did not come.
    TakenFromAbsent,
    /// Three takeovers within six leases.
    TakenInARow,
    /// A swap without an answer was done.
    UnknownThenDone,
    /// A swap without an answer was not done.
    UnknownThenNot,
    /// A takeover without an answer was done.
    TakeoverUnheard,
    PartsJoined,
    PartsAbandoned,
    TrimmedThenResync,
    /// The batches behind a fetched folder were trimmed meanwhile: the spool has them.
    TrimmedDuringResync,
    FencedUnsafe,
    FencedInPlace,
    HandedOver,
    Released,
    HandOverGivenUp,
    NoSpaceLeft,
    BackToTheFirst,
    GapFilled,
    WatchCompacted,
    PowerLost,
    RestartedInsideBatch,
    RepliesClosed,
    StoppedBetweenActions,
    RestoreNoticed,
    /// A node has said in etcd that it has more.
    Halted,
    /// A new etcd has all entries that the old one had.
    Adopted,
    AdoptedWithLoss,
    LeaseProof,
    SwapProof,
    Trimmed,
    DiskFailed,
    DiskMended,
    /// A line with another lease than the one before was written.
    LeaseChanged,
    /// Two nodes with the same id have run at once.
    Twins,
    /// A primary set its clock back.
    ClockSetBack,
    /// So did the line in etcd.
    LineSetBack,
    /// A former primary started again because its successor begins earlier.
    RestartedByTime,
    SnapshotKept,
    SnapshotLoaded,
    LockTaken,
    LockRefused,
    /// A lock was taken whose time was over.
    LockExpired,
    FollowerRead,
}

/// A thing that a run has met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Met {
    Case(Case),
    /// A fault has begun.
    Fault(&'static str),
    /// A node has changed its role.
    Role(&'static str, &'static str),
    /// etcd has refused something, or has not answered.
    Refusal(&'static str),
}

/// The number of times that each thing was met.
#[derive(Clone, Debug, Default)]
pub(super) struct Coverage(pub(super) BTreeMap<Met, u64>);

impl Coverage {
    pub(super) fn met(&mut self, case: Case) {
        self.count(Met::Case(case));
    }

    pub(super) fn count(&mut self, met: Met) {
        *self.0.entry(met).or_default() += 1;
    }

    pub(super) fn role(&mut self, from: Role, to: Role) {
        self.count(Met::Role(name_of(from), name_of(to)));
    }

    pub(super) fn failure(&mut self, failure: &Failure) {
        self.count(Met::Refusal(match failure {
            Failure::Unknown(_) => "no answer",
            Failure::Busy(_) => "busy",
            Failure::TooLarge => "too large",
            Failure::NoSpace => "no space",
            Failure::Denied(_) => "denied",
            Failure::Corrupt => "corrupt",
            Failure::WentBack => "went back",
            Failure::OtherCluster => "another cluster",
        }));
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (met, times) in &other.0 {
            *self.0.entry(*met).or_default() += times;
        }
    }

    /// Returns what was met less often than it must be.
    pub(super) fn missing(&self, required: &[(Met, u64)]) -> Vec<(Met, u64)> {
        let times = |met: &Met| self.0.get(met).copied().unwrap_or(0);
        let rare = required.iter().filter(|(met, least)| times(met) < *least);
        rare.map(|(met, _)| (*met, times(met))).collect()
    }
}

fn name_of(role: Role) -> &'static str {
    match role {
        Role::Loading => "loading",
        Role::Follower => "follower",
        Role::Primary => "primary",
    }
}

/// The number of seeds for which the lists say how often each thing must be met: half as often as it is.
pub(super) const SEEDS: u64 = 300;

/// The cases that runs of any scenario with faults must meet.
pub(super) const ALWAYS: &[(Met, u64)] = &[
    (Met::Case(Case::Created), 270),
    (Met::Case(Case::TakenFromSilent), 180),
    (Met::Case(Case::TakenByChosen), 8),
    (Met::Case(Case::TakenFromNobody), 15),
    (Met::Case(Case::UnknownThenDone), 60),
    (Met::Case(Case::UnknownThenNot), 100),
    (Met::Case(Case::TakeoverUnheard), 1),
    (Met::Case(Case::PartsJoined), 150),
    (Met::Case(Case::PartsAbandoned), 1),
    (Met::Case(Case::TrimmedThenResync), 8),
    (Met::Case(Case::FencedUnsafe), 30),
    (Met::Case(Case::FencedInPlace), 30),
    (Met::Case(Case::HandedOver), 8),
    (Met::Case(Case::Released), 20),
    (Met::Case(Case::NoSpaceLeft), 20),
    (Met::Case(Case::BackToTheFirst), 30),
    (Met::Case(Case::GapFilled), 1500),
    (Met::Case(Case::WatchCompacted), 15),
    (Met::Case(Case::PowerLost), 30),
    (Met::Case(Case::RepliesClosed), 5),
    (Met::Case(Case::StoppedBetweenActions), 100),
    (Met::Case(Case::LeaseProof), 20_000),
    (Met::Case(Case::SwapProof), 10_000),
    (Met::Case(Case::Trimmed), 400),
    (Met::Case(Case::LeaseChanged), 15),
    (Met::Role("loading", "follower"), 500),
    (Met::Role("follower", "primary"), 300),
    (Met::Role("primary", "follower"), 60),
    // A node that needs a resync.
    (Met::Role("loading", "loading"), 6),
    (Met::Refusal("compared"), 50),
    (Met::Refusal("no answer"), 500),
    (Met::Refusal("busy"), 50),
    (Met::Refusal("no space"), 30),
    (Met::Fault("Crash"), 30),
    (Met::Fault("Freeze"), 30),
    (Met::Fault("CutTo"), 30),
    (Met::Fault("CutFrom"), 30),
    (Met::Fault("EtcdPause"), 30),
    (Met::Fault("Isolate"), 30),
    (Met::Fault("EtcdSlow"), 12),
    (Met::Fault("EtcdBusy"), 12),
    (Met::Fault("LoseAnswers"), 12),
    (Met::Fault("WatchStall"), 12),
    (Met::Fault("WatchCut"), 12),
    (Met::Fault("WatchRepeat"), 12),
    (Met::Fault("WatchSkip"), 12),
    (Met::Fault("Compact"), 12),
    (Met::Fault("Quota"), 12),
    (Met::Fault("SlowDisk"), 12),
    (Met::Fault("HandOver"), 12),
    (Met::Fault("Restart"), 12),
    (Met::Fault("Lease"), 12),
    (Met::Fault("Forget"), 12),
    (Met::Fault("Jump"), 12),
];

/// More cases, for runs without the real state: they are longer.
pub(super) const CORE: &[(Met, u64)] = &[(Met::Case(Case::RestartedInsideBatch), 1)];

/// More cases, for runs with all kinds of faults.
pub(super) const WIDE: &[(Met, u64)] = &[
    (Met::Case(Case::TakenFromAbsent), 1),
    (Met::Case(Case::TakenInARow), 60),
    (Met::Case(Case::TrimmedDuringResync), 1),
    (Met::Case(Case::DiskFailed), 20),
    (Met::Case(Case::DiskMended), 15),
    (Met::Case(Case::Twins), 30),
    (Met::Refusal("too large"), 1),
    (Met::Fault("Away"), 30),
    (Met::Fault("DiskFull"), 30),
    (Met::Fault("HandOverAndDie"), 30),
    (Met::Fault("Lost"), 30),
    (Met::Fault("Chase"), 30),
    (Met::Fault("Twin"), 20),
    (Met::Fault("Limit"), 20),
];

/// More cases, for runs with the whole state.
pub(super) const WHOLE: &[(Met, u64)] = &[
    (Met::Case(Case::ClockSetBack), 30),
    (Met::Case(Case::LineSetBack), 50),
    (Met::Case(Case::SnapshotKept), 500),
    (Met::Case(Case::SnapshotLoaded), 80),
    (Met::Case(Case::LockTaken), 800),
    (Met::Case(Case::LockRefused), 1500),
    (Met::Case(Case::LockExpired), 60),
    (Met::Case(Case::FollowerRead), 2000),
];
