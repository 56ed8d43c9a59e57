//! The record by which a node says that the store lost entries: `{"node": "<40 digits>", "epoch": 3, "seq": 80, ...}`.
//!
//! A store that was restored from a backup lacks entries that were acknowledged. Nodes that have them stop. A node
//! that was away since before the backup cannot see that anything is missing: it would take over, and write other
//! entries under the same numbers. So a node that finds the log shorter than its own puts `halt` before it stops, and a
//! takeover compares that record [C-14]. It stays until an operator fills the store again, which
//! deletes all keys of the groups.
//!
//! The record counts only while the log is shorter than it says. A node whose entries are of another cluster or
//! incarnation, or belong to no batch, puts none, so its folder cannot stop a healthy group.

use super::entry::{Epoch, MOST_NUMBER, NodeId, Seq};
use super::members::Members;
use super::tail::Tail;
use crate::entry::Lsn;
use serde::{Deserialize, Serialize};

/// The longest value that is read.
const MOST_BYTES: usize = 1024;
/// The numbers of a node with entries of a later incarnation tha store's. No log has them.
const LATER: u64 = MOST_NUMBER - 1;

/// The end of a node's copy of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Halt {
    /// The node.
    pub node: NodeId,
    /// The epoch of its last batch.
    pub epoch: Epoch,
    /// Its last batch.
    pub seq: Seq,
    /// Its last entry.
    pub lsn: Lsn,
}

#[derive(Serialize, Deserialize)]
struct HaltJson {
    node: String,
    epoch: u64,
    seq: u64,
    lsn: u64,
}

/// The result of comparing a node's copy of the log with the store, once the node says what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HaltOutcome {
    /// The log ends earlier, with this entry. The store has the record, or one of a node with more.
    Recorded(Lsn),
    /// The log has as many entries, or more.
    Complete(Lsn),
    /// The log ends earlier, with this entry, and another node has taken over since. Its entries have the same numbers
    /// as this node's. There is no record: it would not protect anything.
    TakenOver(Lsn),
    /// The store has another cluster, or a later incarnation of the log. There is no record.
    OtherCluster,
}

impl Halt {
    /// The record of a node with entries of a later incarnation tha store's, which was restored to before an
    /// adoption. Such a node does not read the log, so it cannot compare its numbers.
    pub fn of_a_later_incarnation(node: NodeId) -> Self {
        Self { node, epoch: LATER, seq: LATER, lsn: LATER }
    }

    /// Says which entries the node has, up to this one.
    pub fn entries(lsn: Lsn) -> String {
        match lsn {
            LATER => "entries of a later incarnation of the log".to_owned(),
            _ => format!("entries up to {lsn}"),
        }
    }

    /// Whether the last entry of a record means [a later incarnation](Self::of_a_later_incarnation).
    pub fn is_later(lsn: Lsn) -> bool {
        lsn == LATER
    }

    /// Reads the value of the key. `None` if it is no record.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let value = Some(bytes).filter(|bytes| bytes.len() <= MOST_BYTES)?;
        let HaltJson { node, epoch, seq, lsn } = serde_json::from_slice(value).ok()?;
        let fits = [epoch, seq, lsn].iter().all(|number| *number < MOST_NUMBER);
        Some(Self { node: node.parse().ok().filter(|_| fits)?, epoch, seq, lsn })
    }

    /// Returns the value to write.
    pub fn print(&self) -> String {
        let Self { node, epoch, seq, lsn } = self;
        format!(r#"{{"node":"{node}","epoch":{epoch},"seq":{seq},"lsn":{lsn}}}"#)
    }

    /// Returns whether the node has entries behind a line. Both numbers must be higher: parts of an entry without its
    /// end are batches without an entry, and a program without a cluster appends entries without a batch.
    pub fn exceeds(&self, tail: Option<&Tail>) -> bool {
        let (seq, lsn) = tail.map_or((0, 0), |tail| (tail.seq, tail.lsn));
        self.seq > seq && self.lsn > lsn
    }

    /// Compares a node's end of the log with the line and the record in the store. `None`: the record must be put.
    pub fn outcome(&self, tail: Option<&Tail>, found: Option<&Self>) -> Option<HaltOutcome> {
        let (epoch, lsn) = tail.map_or((0, 0), |tail| (tail.epoch, tail.lsn));
        if !self.exceeds(tail) {
            return Some(HaltOutcome::Complete(lsn));
        }
        if epoch > self.epoch {
            return Some(HaltOutcome::TakenOver(lsn));
        }
        // A record with fewer entries is replaced, because takeovers must wait for all that any node has.
        let covers = |found: &Self| found.seq >= self.seq && found.lsn >= self.lsn;
        found.is_some_and(covers).then_some(HaltOutcome::Recorded(lsn))
    }
}

/// What the store has that speaks against a takeover, as of the same revision as `tail`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Objections {
    /// The value of `halt`, if there is one.
    pub halt: Option<Vec<u8>>,
    /// The last batch on the disk of each node, as `durable/<node>` says.
    pub durable: Vec<(NodeId, Seq)>,
}

impl Objections {
    /// Returns why nobody may take over behind a line, if that is so.
    pub fn against(&self, tail: Option<&Tail>, members: &Members) -> Option<Objection> {
        let end = tail.map_or(0, |tail| tail.lsn);
        if let Some(text) = &self.halt {
            match Halt::parse(text) {
                Some(halt) if halt.exceeds(tail) => {
                    return Some(Objection::Said { end, node: halt.node, lsn: halt.lsn });
                }
                Some(_) => {}
                None => return Some(Objection::Unreadable),
            }
        }
        // A record of the disk is put once its batch is in the store, so a healthy store never shows a later one.
        let seq = tail.map_or(0, |tail| tail.seq);
        let later =
            self.durable.iter().find(|(node, on_disk)| members.has(*node) && *on_disk > seq);
        later.map(|(node, _)| Objection::OnDisk { end, node: *node })
    }
}

/// Why nobody may take over: the store lost entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Objection {
    /// A node has said that it has more.
    Said {
        /// The last entry of the log.
        end: Lsn,
        /// The node.
        node: NodeId,
        /// Its last entry: see [`Halt::is_later`].
        lsn: Lsn,
    },
    /// The record of a member says that it has later batches on its disk.
    OnDisk {
        /// The last entry of the log.
        end: Lsn,
        /// The member.
        node: NodeId,
    },
    /// The key `halt` cannot be read. A later version may have written it, which knows why.
    Unreadable,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BatchChain;

    fn halt(epoch: u64, seq: u64, lsn: u64) -> Halt {
        Halt { node: NodeId([2; 20]), epoch, seq, lsn }
    }

    fn tail() -> Tail {
        let (chain, node) = (BatchChain::default(), None);
        Tail { epoch: 3, node, nonce: 0, seq: 9, lsn: 40, time: 1, beat: 0, lease: 3000, chain }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let halt = halt(3, 12, 57);
        assert_eq!(Halt::parse(halt.print().as_bytes()), Some(halt));
        let negative = halt.print().replace("57", "-1");
        for wrong in ["", "{}", "[]", &negative, &halt.print().replace("02", "zz")] {
            assert_eq!(Halt::parse(wrong.as_bytes()), None, "{wrong:?}");
        }
    }

    #[test]
    fn only_batches_with_entries_behind_the_line_count() {
        let of = |epoch, seq, lsn| halt(epoch, seq, lsn).outcome(Some(&tail()), None);
        assert_eq!(of(3, 9, 40), Some(HaltOutcome::Complete(40)));
        assert_eq!(of(3, 11, 40), Some(HaltOutcome::Complete(40)), "parts of an entry");
        assert_eq!(of(3, 9, 45), Some(HaltOutcome::Complete(40)), "entries without a batch");
        assert_eq!(of(2, 10, 41), Some(HaltOutcome::TakenOver(40)));
        assert_eq!(of(3, 10, 41), None);
        assert_eq!(halt(3, 1, 1).outcome(None, None), None);
        let found = |seq, lsn| halt(3, 10, 41).outcome(Some(&tail()), Some(&halt(3, seq, lsn)));
        assert_eq!(found(10, 41), Some(HaltOutcome::Recorded(40)));
        assert_eq!(found(9, 40), None, "a node with fewer entries was first");
    }

    #[test]
    fn members_object_with_what_is_on_their_disks() {
        let members = Members::default().with(NodeId([1; 20]), 1);
        let against = |objections: &Objections| {
            objections.against(Some(&tail()), &members).map(|objection| objection.to_string())
        };
        let durable =
            |node, seq| Objections { halt: None, durable: vec![(NodeId([node; 20]), seq)] };
        assert_eq!(against(&Objections::default()), None);
        assert_eq!(against(&durable(1, 9)), None);
        assert!(against(&durable(1, 10)).is_some_and(|why| why.contains("ends with entry 40")));
        assert_eq!(against(&durable(2, 10)), None, "no member");
        let record = |text: &str| Objections { halt: Some(text.into()), ..Objections::default() };
        let why = against(&record(&halt(3, 10, 41).print())).unwrap_or_default();
        assert!(why.contains("has entries up to 41"), "{why}");
        assert_eq!(against(&record(&halt(3, 9, 40).print())), None, "the log has them by now");
        assert!(against(&record("?")).is_some(), "a record that cannot be read");
        let later = Halt::of_a_later_incarnation(NodeId([2; 20]));
        assert_eq!(Halt::parse(later.print().as_bytes()), Some(later));
        let why = against(&record(&later.print())).unwrap_or_default();
        assert!(why.contains("has entries of a later incarnation"), "{why}");
    }
}
