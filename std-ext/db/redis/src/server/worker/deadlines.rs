//! When the clients of a worker that wait for elements give up.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// The times at which clients give up, with their places.
#[derive(Default)]
pub(super) struct Deadlines(BTreeSet<(Instant, usize)>);

impl Deadlines {
    /// Returns the time until the first of them.
    pub(super) fn until_first(&self, now: Instant) -> Option<Duration> {
        self.0.first().map(|(first, _)| first.saturating_duration_since(now))
    }

    pub(super) fn replace(&mut self, place: usize, old: Option<Instant>, new: Option<Instant>) {
        if let Some(old) = old {
            self.0.remove(&(old, place));
        }
        if let Some(new) = new {
            self.0.insert((new, place));
        }
    }

    pub(super) fn take_due(&mut self, now: Instant) -> Option<usize> {
        self.0.first().filter(|(first, _)| *first <= now)?;
        self.0.pop_first().map(|(_, place)| place)
    }
}
