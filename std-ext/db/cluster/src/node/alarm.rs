//! The alarm NOSPACE of etcd: when a node disarms it, and what it learns if the alarm comes back.
//!
//! etcd raises the alarm when its file reaches the quota, and refuses everything that puts until the alarm is disarmed.
//! A node disarms it once there is room. But etcd 3.5 reports no quota, so the node goes by `cluster-etcd-quota`. If
//! that is larger than the true quota, the next change raises the alarm again. A node that disarmed it again and again
//! would take it away from everybody whom it protects. So an alarm that comes back soon is evidence: the true quota is
//! at most the size that the file has now. The node uses that size from then on.

use crate::etcd::{Alarm, AlarmKind, EtcdClient, EtcdError, Status};
use crate::measure::clock;
use crate::node::calls::Calls;
use crate::node::quota::EtcdQuota;
use hedgerow_db_engine::lock::lock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// How often a node tries to make room, in milliseconds.
const TRY: u64 = 1000;
/// How often the log says that etcd is full, in milliseconds.
const WARN: u64 = 10_000;
/// An alarm that is raised again within this time proves something. Later, another program may have filled etcd, and a
/// person may have defragmented it, before this node looks.
const SOON: u64 = 30_000;
/// No request to etcd has more bytes, by its default of `--max-request-bytes` with a margin. The alarm is raised by the
/// request that does not fit, so the quota may be this much above the file's size.
const REQUEST: u64 = 2 << 20;

/// What a node knows about the alarm.
#[derive(Default)]
pub(crate) struct NoSpaceAlarm {
    tried_at: u64,
    warned_at: u64,
    learned: Arc<Mutex<Learned>>,
}

/// What the alarm has taught.
#[derive(Default)]
struct Learned {
    /// The alarms that this node has disarmed: by etcd's member, when, and the size of its file then.
    disarmed: HashMap<u64, (u64, u64)>,
    /// The most that etcd's quota can be.
    quota: Option<u64>,
    /// The alarm that proved this is still raised, unless somebody else has disarmed it.
    stands: bool,
}

impl NoSpaceAlarm {
    /// Returns the quota to go by; 0 for the one that etcd reports. `setting` is `cluster-etcd-quota`.
    pub(crate) fn quota(&self, setting: u64) -> u64 {
        lock(&self.learned).limit(setting)
    }

    /// Notes that etcd has taken a change.
    pub(crate) fn confirmed(&self) {
        let mut learned = lock(&self.learned);
        // The file is as large as it was, and this node has not disarmed the alarm. So a person has, after raising the
        // quota.
        if std::mem::take(&mut learned.stands)
            && let Some(quota) = learned.quota.take()
        {
            tracing::info!(
                "etcd accepts writes again, so its quota is now more than {quota} bytes: cluster-etcd-quota applies \
                 again"
            );
        }
    }

    /// Makes room in an etcd that has raised the alarm: forgets all history, and disarms the alarm once that helps.
    /// `setting` is `cluster-etcd-quota`.
    pub(crate) fn make_room(&mut self, calls: &Calls, setting: u64) {
        let now = clock::now();
        if now < self.tried_at + TRY {
            return;
        }
        self.tried_at = now;
        let warn = now >= self.warned_at + WARN;
        if warn {
            self.warned_at = now;
        }
        let (client, tail) = (calls.client().clone(), calls.keys().tail());
        let learned = Arc::clone(&self.learned);
        tokio::spawn(async move {
            if let Err(why) = make_room(&client, tail, &learned, setting, warn).await {
                tracing::warn!(
                    "etcd is out of space, and none of its storage quota can be freed yet: {why}"
                );
            }
        });
    }
}

/// Compacts etcd, and disarms its alarm if there is room then.
async fn make_room(
    client: &EtcdClient,
    tail: String,
    learned: &Mutex<Learned>,
    setting: u64,
    warn: bool,
) -> Result<(), EtcdError> {
    // The present revision: nothing was put since the alarm, but batches and other keys were deleted.
    let revision = client.get(tail).await?.revision;
    client.compact(revision).await?;
    // Before the sizes: those of a member whose alarm is raised are of after that.
    let mut alarms = client.alarms().await?;
    alarms.retain(|alarm| alarm.kind == AlarmKind::NoSpace);
    if alarms.is_empty() {
        return Ok(());
    }
    let members: Vec<Status> =
        client.status().await.into_iter().filter_map(|(_, status)| status.ok()).collect();
    let (smaller, limit) = {
        let mut learned = lock(learned);
        (learned.look(&alarms, &members, setting, clock::now()), learned.limit(setting))
    };
    if let Some(Smaller { quota, believed }) = smaller {
        let source = match setting {
            0 => "without cluster-etcd-quota this node took it for",
            _ => "by cluster-etcd-quota it would be",
        };
        tracing::error!(
            "etcd's quota is at most {quota} bytes, and {source} {believed}: etcd raised the alarm NOSPACE again \
             right after this node disarmed it. From now on this node assumes {quota} bytes, and does not disarm \
             the alarm until etcd's file is smaller than that. Set cluster-etcd-quota to etcd's \
             --quota-backend-bytes. To accept writes again, defragment etcd's members one after the other (`etcdctl \
             defrag`); or raise --quota-backend-bytes, and disarm the alarm by hand (`etcdctl alarm disarm`)"
        );
    }
    let found = EtcdQuota::of(&members, limit);
    let Some(EtcdQuota { size, quota, .. }) = found.filter(EtcdQuota::has_room) else {
        if let Some(EtcdQuota { size, quota, .. }) = found.filter(|_| warn) {
            tracing::error!(
                "etcd is out of space (alarm NOSPACE), and writes wait: its file has {size} bytes, and its storage \
                 quota is {quota}. Defragment etcd's members one after the other (`etcdctl defrag`), after which this \
                 node disarms the alarm and resumes; or raise --quota-backend-bytes, and disarm the alarm by hand \
                 (`etcdctl alarm disarm`). Absent nodes cannot return before that, because etcd rejects their \
                 writes during the alarm. Do not stop the primary: no other node trims the log"
            );
        }
        return Ok(());
    };
    lock(learned).stands = false;
    for alarm in alarms {
        client.disarm(&alarm).await?;
        lock(learned).note(&alarm, &members, clock::now());
        tracing::info!(
            "etcd has storage quota left again (a file of {size} bytes, a quota of {quota}), and its alarm NOSPACE was \
             disarmed"
        );
    }
    Ok(())
}

/// A quota that is smaller than the one that this node believed in.
#[derive(Debug, PartialEq, Eq)]
struct Smaller {
    quota: u64,
    believed: u64,
}

impl Learned {
    fn limit(&self, setting: u64) -> u64 {
        Some(setting).filter(|&quota| quota != 0).into_iter().chain(self.quota).min().unwrap_or(0)
    }

    /// Notes that this node has disarmed an alarm.
    fn note(&mut self, alarm: &Alarm, members: &[Status], now: u64) {
        if let Some(member) = of_alarm(alarm, members) {
            self.disarmed.insert(alarm.member, (now, member.size));
        }
    }

    /// Looks at the alarms that are raised, and at the sizes measured after that. Returns the quota if it is smaller
    /// than this node believed.
    fn look(
        &mut self,
        alarms: &[Alarm],
        members: &[Status],
        setting: u64,
        now: u64,
    ) -> Option<Smaller> {
        let limit = self.limit(setting);
        let mut smallest: Option<Smaller> = None;
        for alarm in alarms {
            let Some((at, before)) = self.disarmed.remove(&alarm.member) else { continue };
            let Some(member) = of_alarm(alarm, members) else { continue };
            let believed = EtcdQuota::of(std::slice::from_ref(member), limit)?.quota;
            // A file that has shrunk was defragmented meanwhile: it may have been as large as the quota before.
            let proves = now < at + SOON && member.size >= before;
            if proves && member.size + REQUEST < believed {
                let found = Smaller { quota: member.size, believed };
                smallest =
                    Some(smallest.filter(|least| least.quota < found.quota).unwrap_or(found));
            }
        }
        if let Some(Smaller { quota, .. }) = smallest {
            (self.quota, self.stands) = (Some(quota), true);
        }
        smallest
    }
}

/// Returns the status of the member that an alarm is about. If that has no endpoint here, or does not answer, the one
/// with the largest file is the best guess.
fn of_alarm<'a>(alarm: &Alarm, members: &'a [Status]) -> Option<&'a Status> {
    let own = members.iter().find(|member| member.member == alarm.member);
    own.or_else(|| members.iter().max_by_key(|member| member.size))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const ALARM: Alarm = Alarm { member: 7, kind: AlarmKind::NoSpace };

    fn member(id: u64, mib: u64, quota: Option<u64>) -> Status {
        Status {
            endpoint: String::new(),
            version: "3.5.16".to_owned(),
            cluster: 1,
            member: id,
            leader: 1,
            raft_index: 1,
            raft_applied: 1,
            size: mib * MIB,
            size_in_use: MIB,
            quota,
            learner: false,
            errors: Vec::new(),
        }
    }

    /// Looks at an alarm that was disarmed when the file had 16 MiB.
    #[track_caller]
    fn look(learned: &mut Learned, after: u64, members: &[Status], setting: u64) -> Option<u64> {
        learned.note(&ALARM, &[member(7, 16, None)], 1000);
        learned.look(&[ALARM], members, setting * MIB, 1000 + after).map(|found| found.quota / MIB)
    }

    #[test]
    fn an_alarm_that_comes_back_proves_a_smaller_quota() {
        let mut learned = Learned::default();
        assert_eq!(learned.look(&[ALARM], &[member(7, 16, None)], 0, 0), None, "it is the first");
        let at = |size| vec![member(1, 60, None), member(7, size, None)];
        assert_eq!(look(&mut learned, 900, &at(17), 64), Some(17));
        assert_eq!(learned.limit(64 * MIB), 17 * MIB);
        assert_eq!(learned.limit(0), 17 * MIB);
        assert_eq!(learned.limit(MIB), MIB, "the setting is smaller still");
        let of = |after, members: &[Status], setting| {
            look(&mut Learned::default(), after, members, setting)
        };
        assert_eq!(of(900, &at(16), 0), Some(16), "2 GiB are believed");
        assert_eq!(of(900, &[member(1, 20, None)], 64), Some(20), "that member does not answer");
        assert_eq!(of(SOON, &at(17), 64), None, "another program may have filled it");
        assert_eq!(of(900, &at(15), 64), None, "it was defragmented");
        assert_eq!(of(900, &at(63), 64), None, "a change did not fit");
        assert_eq!(of(900, &[member(7, 17, Some(18 * MIB))], 64), None, "etcd says its quota");
        assert_eq!(of(900, &[], 64), None);
    }

    #[test]
    fn an_alarm_proves_something_once() {
        let mut learned = Learned::default();
        learned.note(&ALARM, &[member(7, 16, None)], 1000);
        assert_eq!(learned.look(&[ALARM], &[member(7, 64, None)], 64 * MIB, 2000), None);
        // Another program had filled it, and a person defragments it.
        let defragmented = learned.look(&[ALARM], &[member(7, 30, None)], 64 * MIB, 9000);
        assert_eq!(defragmented, None, "the same alarm is looked at twice");
    }

    #[test]
    fn a_change_that_etcd_takes_under_the_alarm_proves_a_larger_quota() {
        let alarm = NoSpaceAlarm::default();
        look(&mut lock(&alarm.learned), 900, &[member(7, 17, None)], 64);
        assert_eq!(alarm.quota(64 * MIB), 17 * MIB);
        alarm.confirmed();
        assert_eq!(alarm.quota(64 * MIB), 64 * MIB, "the smaller quota stays for ever");
        look(&mut lock(&alarm.learned), 900, &[member(7, 17, None)], 64);
        // This node has disarmed the alarm: the file has become smaller.
        lock(&alarm.learned).stands = false;
        alarm.confirmed();
        assert_eq!(alarm.quota(64 * MIB), 17 * MIB, "the smaller quota is forgotten");
    }
}
