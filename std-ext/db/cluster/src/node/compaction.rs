//! Compaction of etcd by the primary: etcd keeps every version of a key until it is told to forget the old ones.
//!
//! Watches are hints to this protocol, and gaps are filled by reads of the newest versions. So a few seconds of history
//! are enough, for watches that are just behind.

use crate::node::calls::Calls;
use std::collections::VecDeque;

/// The age of the revision up to which etcd forgets, in milliseconds.
const AGE: u64 = 5000;
/// How often etcd is compacted, in milliseconds.
const PERIOD: u64 = 5000;
/// The same if no batch was written or trimmed since: beats and registrations leave little to forget.
const REST: u64 = 30_000;
/// Bytes of batches after which etcd is compacted sooner, and up to a younger revision.
const BYTES: u64 = 64 << 20;
/// The same as a part of etcd's quota, if that is less.
const PART: u64 = 32;
/// The age of that revision.
const YOUNG: u64 = 1000;
/// Only one revision is remembered for each span of this many milliseconds.
const STEP: u64 = 500;

/// The revisions that etcd had at some times, and the time of the last compaction.
#[derive(Default)]
pub(crate) struct Compaction {
    revisions: VecDeque<(u64, u64)>,
    bytes: u64,
    /// Whether batches were written or trimmed since the last compaction.
    has_batches: bool,
    compacted_at: u64,
    /// etcd's quota; 0 if it is not known.
    quota: u64,
    /// etcd has little of its quota left, so it forgets all but the last second, every second.
    short: bool,
}

impl Compaction {
    /// Notes etcd's revision.
    pub(crate) fn note(&mut self, revision: u64, now: u64) {
        if self.revisions.back().is_none_or(|(at, _)| now >= at + STEP) {
            self.revisions.push_back((now, revision));
        }
    }

    /// Notes bytes of a batch that were written; 0 if batches were trimmed, whose pages the next compaction frees.
    pub(crate) fn add_bytes(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.has_batches = true;
    }

    /// Sets etcd's quota, and whether little of it is left.
    pub(crate) fn set_quota(&mut self, quota: u64, short: bool) {
        (self.quota, self.short) = (quota, short);
    }

    /// Returns the bytes of batches after which etcd is compacted sooner. Compaction writes the pages anew that these
    /// batches have, so they are a small part of the quota.
    fn most_bytes(&self) -> u64 {
        if self.quota == 0 { BYTES } else { BYTES.min(self.quota / PART) }
    }

    /// Compacts etcd if it is time.
    pub(crate) fn compact(&mut self, calls: &Calls, now: u64) {
        if let Some(revision) = self.due(now) {
            let client = calls.client().clone();
            tokio::spawn(async move {
                if let Err(why) = client.compact(revision).await {
                    tracing::debug!("cannot compact etcd: {why}");
                }
            });
        }
    }

    /// Returns up to which revision etcd should forget, if it is time.
    fn due(&mut self, now: u64) -> Option<u64> {
        let hurry = self.bytes >= self.most_bytes() || self.short;
        let age = if hurry { YOUNG } else { AGE };
        let period = if self.has_batches { PERIOD } else { REST };
        if !hurry && now < self.compacted_at + period {
            return None;
        }
        let mut revision = None;
        while let Some((at, of)) = self.revisions.front().copied()
            && now >= at + age
        {
            revision = Some(of);
            self.revisions.pop_front();
        }
        if revision.is_some() {
            (self.compacted_at, self.bytes, self.has_batches) = (now, 0, false);
        }
        revision
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_old_revisions_are_forgotten() {
        let mut compaction = Compaction::default();
        for second in 0..10 {
            compaction.note(second + 100, second * 1000);
        }
        assert_eq!(compaction.due(4999), None);
        compaction.add_bytes(1);
        assert_eq!(compaction.due(9000), Some(104), "five seconds old");
        compaction.add_bytes(0);
        assert_eq!(compaction.due(13_999), None, "not so soon again");
        assert_eq!(compaction.due(14_000), Some(109));
        assert_eq!(compaction.due(50_000), None, "nothing new");
    }

    #[test]
    fn without_batches_etcd_is_compacted_seldom() {
        let mut compaction = Compaction { compacted_at: 1000, ..Compaction::default() };
        compaction.note(7, 2000);
        assert_eq!(compaction.due(1000 + REST - 1), None);
        assert_eq!(compaction.due(1000 + REST), Some(7));
    }

    #[test]
    fn many_bytes_are_forgotten_sooner() {
        let mut compaction = Compaction::default();
        compaction.note(7, 10_000);
        compaction.note(8, 10_900);
        compaction.add_bytes(BYTES);
        assert_eq!(compaction.due(10_999), None);
        assert_eq!(compaction.due(11_000), Some(7));
        compaction.add_bytes(1);
        assert_eq!(compaction.due(12_000), None);
    }

    #[test]
    fn a_full_etcd_forgets_all_but_the_last_second() {
        let mut compaction = Compaction::default();
        for second in 0..4 {
            compaction.note(second + 100, 10_000 + second * 1000);
        }
        compaction.compacted_at = 10_000;
        assert_eq!(compaction.due(13_999), None);
        compaction.set_quota(0, true);
        assert_eq!(compaction.due(13_999), Some(102));
        assert_eq!(compaction.due(14_000), Some(103));
        compaction.set_quota(32_000, false);
        compaction.note(104, 14_500);
        compaction.add_bytes(999);
        assert_eq!(compaction.due(16_000), None);
        compaction.add_bytes(1);
        assert_eq!(compaction.due(16_000), Some(104), "a small etcd is compacted sooner");
    }
}
