//! How long nodes have been gone, as one coordinator has seen it.
//!
//! No clock is compared with another: the coordinator counts from the first time that it misses a registration, by the
//! clock that also runs while the machine sleeps. A new coordinator counts anew, and so does one that has not looked
//! for a while: a node may have come and gone meanwhile.

use hedgerow_db_group::NodeId;
use std::collections::{BTreeMap, BTreeSet};

/// The longest time between two looks, in milliseconds. A registration outlives its node as long, so a node that was
/// there meanwhile is still seen, unless it has ended in order.
const MOST_BETWEEN: u64 = 5000;

/// The nodes that are missed.
#[derive(Debug, Default)]
pub(super) struct Absences {
    /// The term of the coordinator that counts.
    term: u64,
    /// The time of the last look.
    looked: u64,
    /// When each node was missed first.
    since: BTreeMap<NodeId, u64>,
}

/// For how many milliseconds nodes have been gone.
pub(super) type Gone = BTreeMap<NodeId, u64>;

impl Absences {
    /// Notes the nodes that are missed now, in a term of the coordinator. Returns for how long each has been.
    pub(super) fn look(&mut self, term: u64, missed: &BTreeSet<NodeId>, now: u64) -> Gone {
        if term != self.term || now > self.looked + MOST_BETWEEN {
            self.since.clear();
        }
        (self.term, self.looked) = (term, now);
        self.since.retain(|node, _| missed.contains(node));
        let since = |node: &NodeId| *self.since.entry(*node).or_insert(now);
        missed.iter().map(since).zip(missed).map(|(since, node)| (*node, now - since)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROSE: NodeId = NodeId([1; 20]);
    const LILY: NodeId = NodeId([2; 20]);

    fn look(absences: &mut Absences, term: u64, missed: &[NodeId], now: u64) -> Vec<(NodeId, u64)> {
        absences.look(term, &missed.iter().copied().collect(), now).into_iter().collect()
    }

    #[test]
    fn absence_counts_from_the_first_look_that_misses_a_node() {
        let mut absences = Absences::default();
        assert_eq!(look(&mut absences, 7, &[], 70_000), []);
        assert_eq!(look(&mut absences, 7, &[ROSE], 71_000), [(ROSE, 0)]);
        assert_eq!(look(&mut absences, 7, &[ROSE, LILY], 74_000), [(ROSE, 3000), (LILY, 0)]);
        assert_eq!(look(&mut absences, 7, &[LILY], 75_000), [(LILY, 1000)]);
        assert_eq!(look(&mut absences, 7, &[ROSE, LILY], 76_000), [(ROSE, 0), (LILY, 2000)]);
    }

    #[test]
    fn a_new_coordinator_counts_anew() {
        let mut absences = Absences::default();
        look(&mut absences, 7, &[ROSE], 70_000);
        assert_eq!(look(&mut absences, 7, &[ROSE], 73_000), [(ROSE, 3000)]);
        assert_eq!(look(&mut absences, 9, &[ROSE], 74_000), [(ROSE, 0)], "another term goes on");
        assert_eq!(look(&mut absences, 9, &[ROSE], 75_000), [(ROSE, 1000)]);
    }

    #[test]
    fn a_coordinator_that_was_stopped_counts_anew() {
        let mut absences = Absences::default();
        look(&mut absences, 7, &[ROSE], 70_000);
        let after = 70_000 + MOST_BETWEEN;
        assert_eq!(look(&mut absences, 7, &[ROSE], after), [(ROSE, MOST_BETWEEN)]);
        let later = after + MOST_BETWEEN + 1;
        assert_eq!(look(&mut absences, 7, &[ROSE], later), [(ROSE, 0)], "it may have been there");
    }
}
