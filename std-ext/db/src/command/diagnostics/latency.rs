//! Events that took long, which LATENCY shows.

use crate::gauge::Gauge;
use crate::lock::lock;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

/// Samples that are kept of each event.
const SAMPLES: usize = 160;

/// An event that took long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::command) struct Sample {
    /// In seconds since 1970.
    pub(in crate::command) at: u64,
    pub(in crate::command) milliseconds: u64,
}

/// The samples of one kind of event.
#[derive(Clone, Debug, Default)]
pub(in crate::command) struct Events {
    /// The oldest first.
    pub(in crate::command) samples: VecDeque<Sample>,
    /// The longest one ever, in milliseconds.
    pub(in crate::command) longest: u64,
}

/// The events that took as long as `latency-monitor-threshold`.
#[derive(Debug, Default)]
pub(in crate::command) struct LatencyMonitor {
    /// In milliseconds; 0 if nothing is monitored.
    threshold: Gauge,
    events: Mutex<BTreeMap<&'static str, Events>>,
}

impl LatencyMonitor {
    /// Returns the time from which on events are kept, in milliseconds; 0 if nothing is kept.
    pub(in crate::command) fn threshold(&self) -> u64 {
        self.threshold.get()
    }

    pub(super) fn set_threshold(&self, milliseconds: u64) {
        self.threshold.set(milliseconds);
    }

    /// Keeps an event. Of several in one second, only the longest is kept.
    pub(in crate::command) fn note(&self, event: &'static str, at: u64, milliseconds: u64) {
        let mut all = lock(&self.events);
        let events = all.entry(event).or_default();
        events.longest = events.longest.max(milliseconds);
        match events.samples.back_mut() {
            Some(last) if last.at == at => last.milliseconds = last.milliseconds.max(milliseconds),
            _ => events.samples.push_back(Sample { at, milliseconds }),
        }
        if events.samples.len() > SAMPLES {
            events.samples.pop_front();
        }
    }

    /// Returns all kinds of events that have samples.
    pub(in crate::command) fn all(&self) -> BTreeMap<&'static str, Events> {
        lock(&self.events).clone()
    }

    /// Forgets the events of these names, or all, and returns how many kinds there were.
    pub(in crate::command) fn reset(&self, names: &[&[u8]]) -> usize {
        let mut all = lock(&self.events);
        let before = all.len();
        all.retain(|event, _| {
            let named = names.iter().any(|name| name.eq_ignore_ascii_case(event.as_bytes()));
            !names.is_empty() && !named
        });
        before - all.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sample_is_kept_of_each_second() {
        let monitor = LatencyMonitor::default();
        for (at, milliseconds) in [(1, 5), (1, 9), (1, 7), (2, 3)] {
            monitor.note("command", at, milliseconds);
        }
        let events = &monitor.all()["command"];
        let kept: Vec<(u64, u64)> =
            events.samples.iter().map(|sample| (sample.at, sample.milliseconds)).collect();
        assert_eq!((kept, events.longest), (vec![(1, 9), (2, 3)], 9));
        for at in 3..1000 {
            monitor.note("command", at, 1);
        }
        assert_eq!(monitor.all()["command"].samples.len(), SAMPLES, "samples take any memory");
        monitor.note("fast-command", 1, 1);
        assert_eq!(monitor.reset(&[b"none"]), 0);
        assert_eq!(monitor.reset(&[b"command"]), 1);
        assert_eq!(monitor.reset(&[]), 1);
        assert!(monitor.all().is_empty());
    }
}
