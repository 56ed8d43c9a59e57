//! The cases that the runs have met. A test that never meets a case does not check it.

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
    /// A swap without an answer was done.
    UnknownThenDone,
    /// A swap without an answer was not done.
    UnknownThenNot,
    /// A takeover without an answer was done.
    TakeoverUnheard,
    PartsJoined,
    PartsAbandoned,
    TrimmedThenResync,
    FencedUnsafe,
    FencedInPlace,
    HandedOver,
    Released,
    HandOverGivenUp,
    NoSpace,
    NoSpaceLeft,
    BackToTheFirst,
    GapFilled,
    WatchCompacted,
    PowerLost,
    RestartedInsideBatch,
    RepliesClosed,
    StoppedBetweenActions,
    RestoreNoticed,
    LeaseProof,
    SwapProof,
    Trimmed,
}

/// All cases but [`Case::RestoreNoticed`], which another scenario meets.
pub(super) const CASES: &[Case] = &[
    Case::Created,
    Case::TakenFromSilent,
    Case::TakenByChosen,
    Case::TakenFromNobody,
    Case::UnknownThenDone,
    Case::UnknownThenNot,
    Case::TakeoverUnheard,
    Case::PartsJoined,
    Case::PartsAbandoned,
    Case::TrimmedThenResync,
    Case::FencedUnsafe,
    Case::FencedInPlace,
    Case::HandedOver,
    Case::Released,
    Case::NoSpace,
    Case::NoSpaceLeft,
    Case::BackToTheFirst,
    Case::GapFilled,
    Case::WatchCompacted,
    Case::PowerLost,
    Case::RestartedInsideBatch,
    Case::RepliesClosed,
    Case::StoppedBetweenActions,
    Case::LeaseProof,
    Case::SwapProof,
    Case::Trimmed,
];

/// How often each case was met.
#[derive(Clone, Debug, Default)]
pub(super) struct Coverage(pub(super) BTreeMap<Case, u64>);

impl Coverage {
    pub(super) fn met(&mut self, case: Case) {
        *self.0.entry(case).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (case, times) in &other.0 {
            *self.0.entry(*case).or_default() += times;
        }
    }

    pub(super) fn missing(&self) -> Vec<Case> {
        CASES.iter().copied().filter(|case| !self.0.contains_key(case)).collect()
    }
}
