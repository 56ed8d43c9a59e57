//! The steps of a move, and the faults of a run.

use hedgerow_db_group::simulation::Random;
use std::collections::BTreeMap;

/// A step of a move: a change of its record, or the first entry of a kind in a group's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// The administrator creates the record.
    Created,
    /// The target's primary claims the move.
    Claimed,
    /// The target's log gets an entry that removes what an earlier import has left, or says that there was nothing.
    Cleared,
    /// The target's log gets keys.
    Imported,
    Ready,
    Leaving,
    /// The source's log gets the entry that takes the slots away.
    Out,
    Moved,
    Arriving,
    /// The target's log gets the entry that gives it the slots.
    Own,
    /// The map of slots is published.
    Published,
    Done,
    /// The source's log gets an entry that removes keys of the slots.
    ClearedAtEnd,
    /// The record is deleted.
    Ended,
    Cancelled,
    Returned,
    /// The source's log gets the entry that gives the slots back.
    OwnBack,
    /// The move that was returned is cancelled.
    TurnedBack,
}

impl Step {
    pub(super) const ALL: [Self; 18] = [
        Self::Created,
        Self::Claimed,
        Self::Cleared,
        Self::Imported,
        Self::Ready,
        Self::Leaving,
        Self::Out,
        Self::Moved,
        Self::Arriving,
        Self::Own,
        Self::Published,
        Self::Done,
        Self::ClearedAtEnd,
        Self::Ended,
        Self::Cancelled,
        Self::Returned,
        Self::OwnBack,
        Self::TurnedBack,
    ];

    /// Whether it comes only after a cancel.
    fn needs_cancel(self) -> bool {
        self == Self::Cancelled
    }

    /// Whether it comes only after a return.
    fn needs_return(self) -> bool {
        matches!(self, Self::Returned | Self::OwnBack | Self::TurnedBack)
    }
}

/// A group's part in a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Source,
    Target,
}

/// Whether something comes before a step takes effect, or behind that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum When {
    Before,
    After,
}

/// A place of a run: a primary of this side, at this step.
pub(super) type Place = (Step, When, Side);

/// How a primary ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PrimaryEnd {
    /// Its process ends at once, and the next primary comes later.
    Crash,
    /// Another node takes over, and the process notices it later.
    Deposed,
}

/// All places, in an order that seeds go through.
pub(super) fn places() -> Vec<Place> {
    let sides = [Side::Source, Side::Target];
    let of = |step| sides.map(|side| [(step, When::Before, side), (step, When::After, side)]);
    Step::ALL.into_iter().flat_map(of).flatten().collect()
}

/// The faults of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// The primaries that end, and where. Each ends once.
    pub(super) ends: Vec<(Place, PrimaryEnd)>,
    /// How many of a thousand moves are cancelled, and how many returned once they can be.
    pub(super) cancels: u64,
    pub(super) returns: u64,
    /// How many of a thousand transactions lose their answer, and how many arrive late.
    pub(super) loses_answers: u64,
    pub(super) arrives_late: u64,
    /// How many of a thousand batches take long to be committed.
    pub(super) slow_commits: u64,
    /// Primaries also end at random times, so often in a thousand rounds of a tenth of a second.
    pub(super) ends_at_random: u64,
}

impl Plan {
    /// Makes the plan of a seed. Any `places().len() / 2` seeds in a row have all places.
    pub(super) fn of(seed: u64) -> Self {
        let (all, mut random) = (places(), Random::new(seed, 1));
        let count = all.len() as u64;
        let mut ends = Vec::new();
        for place in [2 * seed, 2 * seed + 1] {
            ends.push(all[(place % count) as usize]);
        }
        if random.chance(500) {
            ends.push(all[random.below(count) as usize]);
        }
        let cancels = ends.iter().any(|(step, ..)| step.needs_cancel());
        let returns = ends.iter().any(|(step, ..)| step.needs_return());
        let end = |place| {
            (place, if random.chance(600) { PrimaryEnd::Crash } else { PrimaryEnd::Deposed })
        };
        Self {
            ends: ends.into_iter().map(end).collect(),
            cancels: if cancels { 500 } else { 100 },
            returns: if returns { 900 } else { 50 },
            loses_answers: [0, 0, 50][random.below(3) as usize],
            arrives_late: [0, 0, 100][random.below(3) as usize],
            slow_commits: [0, 50, 200][random.below(3) as usize],
            ends_at_random: [0, 0, 30][random.below(3) as usize],
        }
    }

    /// Takes the end of a primary out of the plan, if it comes here.
    pub(super) fn take(&mut self, place: Place) -> Option<PrimaryEnd> {
        let at = self.ends.iter().position(|(of, _)| *of == place)?;
        Some(self.ends.remove(at).1)
    }

    /// All faults end.
    pub(super) fn heal(&mut self) {
        *self = Self::default();
    }
}

/// The places and cases that the runs have met.
#[derive(Clone, Debug, Default)]
pub(super) struct Coverage {
    /// How often a primary ended here.
    pub(super) places: BTreeMap<Place, u64>,
    /// How often other things happened.
    pub(super) cases: BTreeMap<&'static str, u64>,
}

impl Coverage {
    pub(super) fn add(&mut self, other: &Self) {
        for (place, count) in &other.places {
            *self.places.entry(*place).or_default() += count;
        }
        for (case, count) in &other.cases {
            *self.cases.entry(case).or_default() += count;
        }
    }

    pub(super) fn case(&mut self, case: &'static str) {
        *self.cases.entry(case).or_default() += 1;
    }

    /// Returns the places and cases that were not met.
    pub(super) fn missing(&self, cases: &[&'static str]) -> Vec<String> {
        let places = places().into_iter().filter(|place| !self.places.contains_key(place));
        let cases = cases.iter().filter(|case| !self.cases.contains_key(*case));
        places.map(|place| format!("{place:?}")).chain(cases.map(|case| case.to_string())).collect()
    }
}
