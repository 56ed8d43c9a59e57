//! Compaction of etcd by the primary: etcd keeps every version of a key until it is told to forget the old ones.
//!
//! Watches are hints to this protocol, and gaps are filled by reads of the newest versions. So a few seconds of history
//! are enough, for watches that are just behind.

use super::calls::Calls;
use super::clock;
use super::etcd::AlarmKind;
use std::collections::VecDeque;

/// The age of the revision up to which etcd forgets, in milliseconds.
const AGE: u64 = 5000;
/// How often etcd is compacted, in milliseconds.
const PERIOD: u64 = 5000;
/// Bytes of batches after which etcd is compacted sooner, and up to a younger revision.
const BYTES: u64 = 64 << 20;
/// The age of that revision.
const YOUNG: u64 = 1000;
/// Only one revision is remembered for each span of this many milliseconds.
const STEP: u64 = 500;
/// The part of etcd's quota, in percent, below which the alarm is disarmed.
const ROOM: u64 = 80;

/// The revisions that etcd had at some times, and the time of the last compaction.
#[derive(Default)]
pub(super) struct Compaction {
    revisions: VecDeque<(u64, u64)>,
    bytes: u64,
    compacted_at: u64,
    freed_at: u64,
}

impl Compaction {
    /// Notes etcd's revision.
    pub(super) fn note(&mut self, revision: u64, now: u64) {
        if self.revisions.back().is_none_or(|(at, _)| now >= at + STEP) {
            self.revisions.push_back((now, revision));
        }
    }

    /// Notes bytes that were written.
    pub(super) fn add_bytes(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// Compacts etcd if it is time.
    pub(super) fn compact(&mut self, calls: &Calls, now: u64) {
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
        let age = if self.bytes >= BYTES { YOUNG } else { AGE };
        if self.bytes < BYTES && now < self.compacted_at + PERIOD {
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
            (self.compacted_at, self.bytes) = (now, 0);
        }
        revision
    }

    /// Makes room in an etcd that has none left: forgets all history, and disarms the alarm once there is room.
    pub(super) fn free_space(&mut self, calls: &Calls) {
        let now = clock::now();
        if now < self.freed_at + YOUNG {
            return;
        }
        self.freed_at = now;
        let newest = self.revisions.back().map(|(_, revision)| *revision);
        let client = calls.client().clone();
        tokio::spawn(async move {
            if let Some(revision) = newest
                && let Err(why) = client.compact(revision).await
            {
                tracing::warn!("etcd has no space left, and cannot be compacted: {why}");
            }
            let statuses = client.status().await;
            let full =
                statuses.iter().filter_map(|(_, status)| status.as_ref().ok()).any(|status| {
                    status.quota.is_some_and(|quota| status.size_in_use * 100 > quota * ROOM)
                });
            if full {
                tracing::warn!(
                    "etcd has no space left. It is being trimmed; if this goes on, defragment its members one after \
                     the other (`etcdctl defrag`), or raise --quota-backend-bytes"
                );
                return;
            }
            for alarm in client.alarms().await.unwrap_or_default() {
                if alarm.kind == AlarmKind::NoSpace {
                    let disarmed = client.disarm(&alarm).await;
                    tracing::info!(
                        "etcd has space again; its alarm is disarmed: {}",
                        disarmed.is_ok()
                    );
                }
            }
        });
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
        assert_eq!(compaction.due(9000), Some(104), "five seconds old");
        assert_eq!(compaction.due(13_999), None, "not so soon again");
        assert_eq!(compaction.due(14_000), Some(109));
        assert_eq!(compaction.due(30_000), None, "nothing new");
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
}
