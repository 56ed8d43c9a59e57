//! What the runs have met. A test that never meets a case does not check it.

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

/// What runs of any scenario with faults must meet: how often in 100 seeds.
pub(super) const ALWAYS: &[(Met, u64)] = &[
    (Met::Case(Case::Created), 90),
    (Met::Case(Case::TakenFromSilent), 50),
    (Met::Case(Case::TakenByChosen), 5),
    (Met::Case(Case::TakenFromNobody), 5),
    (Met::Case(Case::UnknownThenDone), 5),
    (Met::Case(Case::UnknownThenNot), 5),
    (Met::Case(Case::TakeoverUnheard), 1),
    (Met::Case(Case::PartsJoined), 20),
    (Met::Case(Case::PartsAbandoned), 1),
    (Met::Case(Case::TrimmedThenResync), 1),
    (Met::Case(Case::FencedUnsafe), 5),
    (Met::Case(Case::FencedInPlace), 5),
    (Met::Case(Case::HandedOver), 5),
    (Met::Case(Case::Released), 5),
    (Met::Case(Case::NoSpaceLeft), 1),
    (Met::Case(Case::BackToTheFirst), 5),
    (Met::Case(Case::GapFilled), 20),
    (Met::Case(Case::WatchCompacted), 2),
    (Met::Case(Case::PowerLost), 2),
    (Met::Case(Case::RestartedInsideBatch), 1),
    (Met::Case(Case::RepliesClosed), 10),
    (Met::Case(Case::StoppedBetweenActions), 10),
    (Met::Case(Case::LeaseProof), 1000),
    (Met::Case(Case::SwapProof), 100),
    (Met::Case(Case::Trimmed), 20),
    (Met::Case(Case::LeaseChanged), 2),
    (Met::Role("loading", "follower"), 100),
    (Met::Role("follower", "primary"), 100),
    (Met::Role("primary", "follower"), 20),
    (Met::Refusal("compared"), 20),
    (Met::Refusal("no answer"), 20),
    (Met::Refusal("busy"), 10),
    (Met::Refusal("no space"), 2),
    (Met::Fault("Crash"), 20),
    (Met::Fault("Freeze"), 20),
    (Met::Fault("CutTo"), 20),
    (Met::Fault("CutFrom"), 20),
    (Met::Fault("EtcdPause"), 20),
    (Met::Fault("EtcdSlow"), 10),
    (Met::Fault("EtcdBusy"), 10),
    (Met::Fault("LoseAnswers"), 10),
    (Met::Fault("WatchStall"), 10),
    (Met::Fault("WatchCut"), 10),
    (Met::Fault("WatchRepeat"), 10),
    (Met::Fault("WatchSkip"), 10),
    (Met::Fault("Compact"), 10),
    (Met::Fault("Quota"), 10),
    (Met::Fault("SlowDisk"), 10),
    (Met::Fault("HandOver"), 10),
    (Met::Fault("Isolate"), 20),
    (Met::Fault("Restart"), 10),
    (Met::Fault("Lease"), 10),
    (Met::Fault("Forget"), 10),
    (Met::Fault("Jump"), 10),
];

/// What runs with all kinds of faults must meet besides.
pub(super) const WIDE: &[(Met, u64)] = &[
    (Met::Case(Case::TakenFromAbsent), 1),
    (Met::Case(Case::TakenInARow), 2),
    (Met::Case(Case::TrimmedDuringResync), 1),
    (Met::Case(Case::DiskFailed), 5),
    (Met::Case(Case::DiskMended), 2),
    (Met::Case(Case::Twins), 2),
    (Met::Refusal("too large"), 2),
    (Met::Fault("Away"), 10),
    (Met::Fault("DiskFull"), 10),
    (Met::Fault("HandOverAndDie"), 10),
    (Met::Fault("Lost"), 10),
    (Met::Fault("Chase"), 10),
    (Met::Fault("Twin"), 5),
    (Met::Fault("Limit"), 5),
];

/// What runs with the whole state must meet besides.
pub(super) const WHOLE: &[(Met, u64)] = &[
    (Met::Case(Case::ClockSetBack), 5),
    (Met::Case(Case::SnapshotKept), 50),
    (Met::Case(Case::SnapshotLoaded), 20),
    (Met::Case(Case::LockTaken), 100),
    (Met::Case(Case::LockRefused), 100),
    (Met::Case(Case::LockExpired), 20),
    (Met::Case(Case::FollowerRead), 100),
];
