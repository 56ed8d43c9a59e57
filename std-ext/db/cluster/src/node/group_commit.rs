//! How many entries the driver waits for before it sends the next batch.
//!
//! Clients that were answered together send their next requests together, within a part of a transaction's time. If the
//! next transaction went at once, it would carry only the other clients' requests: each would carry half, and cost etcd
//! the same. So behind a batch the driver waits for most of as many entries again, and at most for [`WAIT`].
//!
//! Clients that do not wait for answers, or are far away, gain nothing by that. So a wait in vain is followed by
//! transactions without one: one at first, then twice as many after each further wait in vain. A lone writer never
//! waits.

/// How long the driver waits for more entries at most, in milliseconds.
const WAIT: u64 = 2;
/// The fewest entries of a batch behind which it waits.
const FEWEST: usize = 4;
/// The bytes that are worth a transaction however few their entries are.
const ENOUGH: u64 = 128 << 10;
/// The most transactions without a wait.
const MOST_WITHOUT: u32 = 64;

/// The entries that are worth a transaction.
#[derive(Default)]
pub(crate) struct GroupCommit {
    /// Entries that the protocol got since the last transaction was sent.
    given: usize,
    /// Entries of the last transaction.
    last: usize,
    /// The entries that are waited for until a time, or 0.
    wanted: usize,
    until: u64,
    /// Transactions without a wait: those to come, and those after the last wait in vain.
    without: u32,
    pause: u32,
}

impl GroupCommit {
    /// Notes entries that the protocol got.
    pub(crate) fn add(&mut self, entries: usize) {
        self.given += entries;
    }

    /// Notes that a transaction was sent.
    pub(crate) fn sent(&mut self) {
        self.last = std::mem::take(&mut self.given);
        let wanted = std::mem::take(&mut self.wanted);
        if wanted > self.last {
            self.pause = (2 * self.pause).clamp(1, MOST_WITHOUT);
            self.without = self.pause;
        } else if wanted > 0 {
            self.pause = 0;
        }
    }

    /// Notes that the transaction was answered: its clients are about to send again. Entries of this number and size
    /// wait already.
    pub(crate) fn answered(&mut self, waiting: (usize, u64), now: u64) {
        let (entries, bytes) = waiting;
        if self.last < FEWEST || bytes >= ENOUGH {
            return;
        }
        if self.without > 0 {
            self.without -= 1;
            return;
        }
        self.wanted = entries + self.last - self.last / 4;
        self.until = now + WAIT;
    }

    /// Returns how many entries are worth a transaction.
    pub(crate) fn least(&self, now: u64) -> usize {
        if now < self.until { self.wanted.max(1) } else { 1 }
    }

    /// Returns when fewer entries are worth a transaction, if that is later than now.
    pub(crate) fn due(&self, now: u64) -> Option<u64> {
        (self.least(now) > 1).then_some(self.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends a transaction with entries, and answers it while others wait.
    fn carry(group_commit: &mut GroupCommit, entries: usize, waiting: usize) {
        group_commit.add(entries);
        group_commit.sent();
        group_commit.answered((waiting, 0), 100);
    }

    #[test]
    fn clients_that_were_answered_together_are_waited_for() {
        let mut group_commit = GroupCommit::default();
        carry(&mut group_commit, 3, 5);
        assert_eq!((group_commit.least(100), group_commit.due(100)), (1, None), "few clients wait");
        carry(&mut group_commit, 32, 30);
        assert_eq!(
            (group_commit.least(100), group_commit.due(100)),
            (54, Some(102)),
            "half are left"
        );
        assert_eq!(
            (group_commit.least(102), group_commit.due(102)),
            (1, None),
            "they wait for ever"
        );
        group_commit.add(54);
        group_commit.sent();
        assert_eq!(group_commit.least(101), 1);
        group_commit.answered((10, ENOUGH), 100);
        assert_eq!(group_commit.least(100), 1, "long entries wait");
    }

    #[test]
    fn waits_in_vain_become_rare() {
        let mut group_commit = GroupCommit::default();
        let mut waits = Vec::new();
        for transaction in 0..40 {
            // More are waited for than ever come.
            carry(&mut group_commit, 10, 100);
            if group_commit.least(100) > 1 {
                waits.push(transaction);
            }
        }
        assert_eq!(waits, [0, 2, 5, 10, 19, 36], "waits in vain stay frequent");
        // Then clients come back in time.
        while group_commit.least(100) == 1 {
            carry(&mut group_commit, 10, 0);
        }
        for _ in 0..10 {
            carry(&mut group_commit, 10, 0);
            assert_eq!(group_commit.least(100), 8, "a wait that was rewarded is not repeated");
        }
    }
}
