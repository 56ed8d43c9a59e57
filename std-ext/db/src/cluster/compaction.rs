//! Compaction of etcd by the primary: etcd keeps every version of a key until it is told to forget the old ones.
//!
//! Watches are hints to this protocol, and gaps are filled by reads of the newest versions. So a few seconds of history
//! are enough, for watches that are just behind.

use super::calls::Calls;
use super::clock;
use super::etcd::{AlarmKind, Client, EtcdError, Status};
use super::space::EtcdSpace;
use std::collections::VecDeque;

/// The age of the revision up to which etcd forgets, in milliseconds.
const AGE: u64 = 5000;
/// How often etcd is compacted, in milliseconds.
const PERIOD: u64 = 5000;
/// Bytes of batches after which etcd is compacted sooner, and up to a younger revision.
const BYTES: u64 = 64 << 20;
/// The same as a part of etcd's quota, if that is less.
const PART: u64 = 32;
/// The age of that revision.
const YOUNG: u64 = 1000;
/// Only one revision is remembered for each span of this many milliseconds.
const STEP: u64 = 500;
/// How often the log says that etcd is full, in milliseconds.
const WARN: u64 = 10_000;

/// The revisions that etcd had at some times, and the time of the last compaction.
#[derive(Default)]
pub(super) struct Compaction {
    revisions: VecDeque<(u64, u64)>,
    bytes: u64,
    compacted_at: u64,
    freed_at: u64,
    warned_at: u64,
    /// etcd's quota; 0 if it is not known.
    quota: u64,
    /// etcd has little space left, so it forgets all but the last second, every second.
    short: bool,
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

    /// Sets etcd's quota, and whether it has little space left.
    pub(super) fn set_space(&mut self, quota: u64, short: bool) {
        (self.quota, self.short) = (quota, short);
    }

    /// Returns the bytes of batches after which etcd is compacted sooner. Compaction writes the pages anew that these
    /// batches have, so they are a small part of the quota.
    fn most_bytes(&self) -> u64 {
        if self.quota == 0 { BYTES } else { BYTES.min(self.quota / PART) }
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
        let hurry = self.bytes >= self.most_bytes() || self.short;
        let age = if hurry { YOUNG } else { AGE };
        if !hurry && now < self.compacted_at + PERIOD {
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

    /// Makes room in an etcd that has raised the alarm NOSPACE: forgets all history, and disarms the alarm once that
    /// helps. `quota` is `cluster-etcd-quota`.
    pub(super) fn free_space(&mut self, calls: &Calls, quota: u64) {
        let now = clock::now();
        if now < self.freed_at + YOUNG {
            return;
        }
        self.freed_at = now;
        let warn = now >= self.warned_at + WARN;
        if warn {
            self.warned_at = now;
        }
        let (client, tail) = (calls.client().clone(), calls.keys().tail());
        tokio::spawn(async move {
            if let Err(why) = free_space(&client, tail, quota, warn).await {
                tracing::warn!("etcd has no space left, and no room can be made yet: {why}");
            }
        });
    }
}

/// Compacts etcd, and disarms its alarm if there is room then.
async fn free_space(
    client: &Client,
    tail: String,
    quota: u64,
    warn: bool,
) -> Result<(), EtcdError> {
    // The present revision: nothing was put since the alarm, but batches and other keys were deleted.
    let revision = client.get(tail).await?.revision;
    client.compact(revision).await?;
    let members: Vec<Status> =
        client.status().await.into_iter().filter_map(|(_, status)| status.ok()).collect();
    if !EtcdSpace::of(&members, quota).is_some_and(|space| space.has_room()) {
        if warn {
            tracing::error!(
                "etcd has no space left (alarm NOSPACE), and changes wait. Defragment etcd's members one after the \
                 other (`etcdctl defrag`), or raise --quota-backend-bytes and cluster-etcd-quota. This node then \
                 disarms the alarm and goes on by itself. Nodes that are away can come back only after that: under the \
                 alarm etcd refuses what they put. Do not stop the primary: no other node trims"
            );
        }
        return Ok(());
    }
    for alarm in client.alarms().await? {
        if alarm.kind == AlarmKind::NoSpace {
            client.disarm(&alarm).await?;
            tracing::info!("etcd has space again; its alarm is disarmed");
        }
    }
    Ok(())
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

    #[test]
    fn a_full_etcd_forgets_all_but_the_last_second() {
        let mut compaction = Compaction::default();
        for second in 0..4 {
            compaction.note(second + 100, 10_000 + second * 1000);
        }
        compaction.compacted_at = 10_000;
        assert_eq!(compaction.due(13_999), None);
        compaction.set_space(0, true);
        assert_eq!(compaction.due(13_999), Some(102));
        assert_eq!(compaction.due(14_000), Some(103));
        compaction.set_space(32_000, false);
        compaction.note(104, 14_500);
        compaction.add_bytes(999);
        assert_eq!(compaction.due(16_000), None);
        compaction.add_bytes(1);
        assert_eq!(compaction.due(16_000), Some(104), "a small etcd is compacted sooner");
    }
}
