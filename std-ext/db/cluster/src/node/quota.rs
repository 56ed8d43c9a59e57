//! etcd's storage quota: from when on the primary economizes, and from when on it refuses changes.
//!
//! etcd has a quota. When its database reaches it, etcd raises the alarm NOSPACE and refuses everything that puts. Then
//! not even the primary's lease can be renewed, and only a person can end that: the database's file never shrinks by
//! itself. So the primary stops before:
//!
//! | part of the quota | the primary |
//! |---|---|
//! | from 75 % | compacts etcd at once, and keeps only batches that fewer than `cluster-copies` members have |
//! | from 85 % | refuses changes, until it is less than 80 % |
//!
//! While less than half of the quota is in use, only the bytes *in use* count: etcd uses the free pages of its file
//! again, so a file that was large once stops nobody. Else the file counts, too. It may be up to twice as large as its
//! used part, because a compaction writes the pages anew that have a key of before, those of whole batches among them.
//!
//! etcd says its size only when it is asked. Between two answers, the bytes that this node has sent are added.

use crate::etcd::Status;

/// The quota of an etcd that has no `--quota-backend-bytes`: 2 GiB.
const DEFAULT_QUOTA: u64 = 2 << 30;
/// The parts of the quota, in percent, from which on the quota is short, and below which it is not any more.
const SHORT: u64 = 75;
const SHORT_ENDS: u64 = 70;
/// The same for the refusal of changes.
const FULL: u64 = 85;
const FULL_ENDS: u64 = 80;
/// The part of the quota, in percent, that must be in use if the size of the file is to count; and while changes are
/// refused.
const HALF: u64 = 50;
const HALF_ENDS: u64 = 45;
/// The part of the quota, in percent, that the file may take when the alarm is disarmed. A larger one would raise it
/// again with the next change.
const FILE: u64 = 95;
/// How often etcd is asked, in milliseconds: by a primary that sends batches or is short of quota, and by the other
/// nodes. A primary without changes does not fill etcd, and asks at once when one comes.
const PERIOD: u64 = 1000;
const RESTING: u64 = 5000;
/// The primary asks sooner after it has sent this part of the quota.
const PART: u64 = 64;
/// Bytes that a batch takes in etcd's database besides its own: keys, and the line that is written with it.
const OVERHEAD: u64 = 512;

/// The storage quota of the member of etcd that has least of it left, and how much is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EtcdQuota {
    /// Bytes of the database's file.
    pub size: u64,
    /// The part of them that is in use.
    pub in_use: u64,
    /// The limit of the file. 0 until etcd has answered.
    pub quota: u64,
}

impl EtcdQuota {
    /// Returns the quota of the member that has least left; `None` without members. `setting` is the quota
    /// that the node knows of, by `cluster-etcd-quota` or by the alarm; 0 for the one that etcd reports.
    pub(crate) fn of(members: &[Status], setting: u64) -> Option<Self> {
        let quota = |member: &Status| Self {
            size: member.size,
            in_use: member.size_in_use,
            quota: known_quota(member, setting).unwrap_or(DEFAULT_QUOTA),
        };
        members.iter().map(quota).max_by_key(|quota| quota.percent(HALF))
    }

    /// Returns the part of the quota that counts, in percent. The file counts if `half` of the quota is in use.
    fn percent(&self, half: u64) -> u64 {
        let in_use = part(self.in_use, self.quota);
        if in_use < half { in_use } else { in_use.max(part(self.size, self.quota)) }
    }

    /// Returns whether etcd takes changes again once its alarm NOSPACE is disarmed.
    pub(crate) fn has_room(&self) -> bool {
        part(self.in_use, self.quota) < FULL_ENDS && part(self.size, self.quota) < FILE
    }
}

/// Returns the quota of a member, unless neither etcd nor the setting tells it. `setting` is as for [`EtcdQuota::of`].
pub(crate) fn known_quota(member: &Status, setting: u64) -> Option<u64> {
    let set = Some(setting).filter(|&quota| quota != 0);
    // A setting above the true quota must not hide it.
    set.into_iter().chain(member.quota).min()
}

/// Returns a part in percent.
fn part(bytes: u64, of: u64) -> u64 {
    let percent = u128::from(bytes) * 100 / u128::from(of.max(1));
    u64::try_from(percent).unwrap_or(u64::MAX)
}

/// How much of its storage quota etcd has left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum EtcdQuotaLevel {
    /// Enough.
    #[default]
    Enough,
    /// The primary economizes.
    Short,
    /// The primary refuses changes.
    Full,
}

impl EtcdQuotaLevel {
    /// Returns the level after this one. Levels end at a lower part than they begin, so that they do not alternate.
    fn next(self, percent: u64) -> Self {
        let full = if self == Self::Full { FULL_ENDS } else { FULL };
        let short = if self == Self::Enough { SHORT } else { SHORT_ENDS };
        match percent {
            _ if percent >= full => Self::Full,
            _ if percent >= short => Self::Short,
            _ => Self::Enough,
        }
    }
}

/// What a node knows about etcd's storage quota.
pub(crate) struct QuotaTracker {
    /// `cluster-etcd-quota`.
    setting: u64,
    /// The last answer.
    known: EtcdQuota,
    /// Bytes that were sent between the last two questions, and since the last one. The last answer may lack them.
    before: u64,
    since: u64,
    /// Whether a question has no answer yet.
    asked: bool,
    /// When etcd is asked next.
    due: u64,
    level: EtcdQuotaLevel,
}

impl QuotaTracker {
    pub(crate) fn new(setting: u64) -> Self {
        let (known, level) = (EtcdQuota::default(), EtcdQuotaLevel::default());
        Self { setting, known, before: 0, since: 0, asked: false, due: 0, level }
    }

    /// Returns `cluster-etcd-quota`.
    pub(crate) fn setting(&self) -> u64 {
        self.setting
    }

    /// Returns the last answer of etcd.
    pub(crate) fn known(&self) -> EtcdQuota {
        self.known
    }

    /// Returns the level that [`changed`](Self::changed) has returned last.
    pub(crate) fn level(&self) -> EtcdQuotaLevel {
        self.level
    }

    /// Adds the bytes of a batch that is sent.
    pub(crate) fn add(&mut self, bytes: usize) {
        self.since += bytes as u64 + OVERHEAD;
    }

    /// Returns whether to ask etcd now. Then [`answered`](Self::answered) must follow.
    pub(crate) fn is_due(&mut self, now: u64, leads: bool) -> bool {
        // Large batches must not fill etcd between two answers.
        let early = leads && self.known.quota > 0 && self.since > self.known.quota / PART;
        let is_busy =
            leads && (self.since + self.before > 0 || self.level != EtcdQuotaLevel::Enough);
        let due = if is_busy { self.due } else { self.due + (RESTING - PERIOD) };
        if self.asked || now < due && !early {
            return false;
        }
        (self.asked, self.due) = (true, now + PERIOD);
        self.before += std::mem::take(&mut self.since);
        true
    }

    /// Notes the answer; `None` if no member of etcd has answered.
    pub(crate) fn answered(&mut self, answer: Option<EtcdQuota>) {
        self.asked = false;
        if let Some(quota) = answer {
            (self.known, self.before) = (quota, 0);
        }
    }

    /// Returns the level if it is another one than before.
    pub(crate) fn changed(&mut self) -> Option<EtcdQuotaLevel> {
        if self.known.quota == 0 {
            return None;
        }
        let (sent, EtcdQuota { size, in_use, quota }) = (self.before + self.since, self.known);
        let most = EtcdQuota { size: size + sent, in_use: in_use + sent, quota };
        let half = if self.level == EtcdQuotaLevel::Full { HALF_ENDS } else { HALF };
        let level = self.level.next(most.percent(half));
        (std::mem::replace(&mut self.level, level) != level).then_some(level)
    }

    /// Returns why changes are refused, if they are.
    pub(crate) fn refusal(&self) -> Option<String> {
        let EtcdQuota { size, in_use, quota } = self.known;
        (self.level == EtcdQuotaLevel::Full).then(|| {
            format!(
                "etcd's storage quota is nearly used up: at least {in_use} of {quota} bytes are in use, and its \
                 file has {size} bytes"
            )
        })
    }

    /// Logs the level, at the primary.
    pub(crate) fn log(&self) {
        let EtcdQuota { size, in_use, quota } = self.known;
        match self.level {
            EtcdQuotaLevel::Enough => {
                tracing::info!("etcd has enough of its storage quota left again");
            }
            EtcdQuotaLevel::Short => tracing::warn!(
                "etcd has little of its storage quota left: {in_use} of {quota} bytes are in use, and its file has \
                 {size} bytes. It is being compacted, and keeps only changes that fewer than cluster-copies nodes \
                 have. If this continues, start the absent nodes, or raise --quota-backend-bytes and \
                 cluster-etcd-quota"
            ),
            EtcdQuotaLevel::Full => tracing::error!(
                "writes are refused, because at least {in_use} of {quota} bytes of etcd's storage quota are in use, \
                 and its file has {size} bytes. They are accepted again once enough of the quota is free. Start the \
                 absent nodes, so that the changes they lack can be deleted from etcd; or raise \
                 --quota-backend-bytes and cluster-etcd-quota"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(size: u64, size_in_use: u64, quota: Option<u64>) -> Status {
        Status {
            endpoint: String::new(),
            version: "3.5.16".to_owned(),
            cluster: 1,
            member: 1,
            leader: 1,
            raft_index: 1,
            raft_applied: 1,
            size,
            size_in_use,
            quota,
            learner: false,
            errors: Vec::new(),
        }
    }

    fn used(in_use: u64) -> EtcdQuota {
        EtcdQuota { size: in_use, in_use, quota: 1000 }
    }

    #[test]
    fn the_member_with_least_quota_left_counts() {
        let quota =
            |setting, told| EtcdQuota::of(&[member(9, 9, told)], setting).map(|found| found.quota);
        assert_eq!(quota(0, None), Some(2 << 30));
        assert_eq!(quota(0, Some(70)), Some(70));
        assert_eq!(quota(50, None), Some(50));
        assert_eq!(quota(50, Some(70)), Some(50));
        assert_eq!(quota(90, Some(70)), Some(70), "a setting hides the true quota");
        let members = [member(10, 10, Some(100)), member(30, 5, Some(20)), member(30, 20, None)];
        let wanted = EtcdQuota { size: 30, in_use: 5, quota: 20 };
        assert_eq!(EtcdQuota::of(&members, 0), Some(wanted));
        assert_eq!(EtcdQuota::of(&[], 0), None);
    }

    #[test]
    fn levels_end_at_a_lower_part_than_they_begin() {
        let mut tracker = QuotaTracker::new(0);
        assert_eq!(tracker.changed(), None, "nothing is known yet");
        let mut levels = |parts: &[(u64, Option<EtcdQuotaLevel>)]| {
            for &(in_use, wanted) in parts {
                tracker.answered(Some(used(in_use)));
                assert_eq!(tracker.changed(), wanted, "at {in_use}");
            }
        };
        levels(&[(749, None), (750, Some(EtcdQuotaLevel::Short)), (849, None), (700, None)]);
        levels(&[
            (850, Some(EtcdQuotaLevel::Full)),
            (800, None),
            (799, Some(EtcdQuotaLevel::Short)),
            (849, None),
        ]);
        levels(&[
            (699, Some(EtcdQuotaLevel::Enough)),
            (900, Some(EtcdQuotaLevel::Full)),
            (0, Some(EtcdQuotaLevel::Enough)),
        ]);
        levels(&[(u64::MAX / 200, Some(EtcdQuotaLevel::Full))]);
    }

    #[test]
    fn a_large_file_counts_if_much_of_it_is_in_use() {
        let mut tracker = QuotaTracker::new(0);
        for (size, in_use, wanted) in [
            (990, 499, None),
            (749, 500, None),
            (750, 500, Some(EtcdQuotaLevel::Short)),
            (850, 500, Some(EtcdQuotaLevel::Full)),
            (990, 450, None),
            (990, 449, Some(EtcdQuotaLevel::Enough)),
        ] {
            tracker.answered(Some(EtcdQuota { size, in_use, quota: 1000 }));
            assert_eq!(tracker.changed(), wanted, "{in_use} of {size} bytes");
        }
    }

    #[test]
    fn bytes_count_from_when_they_are_sent() {
        let mut tracker = QuotaTracker::new(0);
        let big = |in_use| EtcdQuota { size: in_use, in_use, quota: 1_000_000 };
        assert!(tracker.is_due(5000, true) && !tracker.is_due(9000, true), "asked twice");
        tracker.answered(Some(big(700_000)));
        assert_eq!(tracker.changed(), None);
        tracker.add(60_000);
        assert_eq!(tracker.changed(), Some(EtcdQuotaLevel::Short), "etcd has not said it yet");
        assert!(tracker.is_due(5001, true), "etcd is asked too late");
        tracker.add(100_000);
        assert_eq!(tracker.changed(), Some(EtcdQuotaLevel::Full));
        // The answer has what was sent before the question, and perhaps not the rest.
        tracker.answered(Some(big(700_000)));
        assert_eq!(tracker.changed(), None);
        assert!(tracker.is_due(6001, true));
        tracker.answered(None);
        assert_eq!(tracker.changed(), None, "no answer is no room");
        assert!(tracker.is_due(7001, true));
        tracker.answered(Some(big(100_000)));
        assert_eq!(tracker.changed(), Some(EtcdQuotaLevel::Enough));
    }

    #[test]
    fn only_a_primary_with_changes_asks_often() {
        for leads in [false, true] {
            let mut tracker = QuotaTracker::new(0);
            tracker.due = 1000;
            assert!(!tracker.is_due(4999, leads) && tracker.is_due(5000, leads), "{leads}");
            tracker.answered(None);
            tracker.add(1);
            assert_eq!(tracker.is_due(6000, leads), leads, "a primary asks at once after a change");
        }
        let mut full = QuotaTracker { known: used(900), due: 1000, ..QuotaTracker::new(0) };
        assert_eq!(full.changed(), Some(EtcdQuotaLevel::Full));
        assert!(
            full.is_due(1000, true),
            "a primary that refuses changes learns late that it need not"
        );
    }

    #[test]
    fn an_alarm_is_disarmed_only_if_that_helps() {
        let quota = |size, in_use| EtcdQuota { size, in_use, quota: 1000 };
        assert!(quota(949, 799).has_room());
        assert!(!quota(949, 800).has_room(), "too much is in use");
        assert!(!quota(950, 10).has_room(), "the file is still too large");
    }
}
