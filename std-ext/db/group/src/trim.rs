//! The rule for the batches that the store may forget.
//!
//! A batch may go once all members have it on disk [C-10]. Beyond a bound of bytes, `copies` of them suffice, and a
//! member that lacks it is resynced from a peer. Only the records of members count, never which nodes are alive: a
//! lease of the store that ended early must not make a batch go.

use super::entry::{NodeId, Seq};
use super::members::Members;

/// Returns the first batch that stays.
///
/// `durable` has the batch that each node begins with after a restart, so that batch itself stays. `pressed`: more
/// bytes are retained than wanted.
pub fn watermark(
    members: &Members,
    durable: &[(NodeId, Seq)],
    copies: usize,
    pressed: bool,
) -> Seq {
    let on_disk = |node: NodeId| {
        durable.iter().filter(|record| record.0 == node).map(|record| record.1).max().unwrap_or(0)
    };
    let mut reached: Vec<Seq> = members.0.iter().map(|member| on_disk(member.node)).collect();
    // Descending, so the nth is what n members have.
    reached.sort_unstable_by(|a, b| b.cmp(a));
    // With fewer members than copies, all of them must have it.
    let counted = if pressed { copies.clamp(1, reached.len().max(1)) } else { reached.len() };
    // Without members nothing may go.
    counted.checked_sub(1).and_then(|last| reached.get(last)).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::members::Member;

    fn node(number: u8) -> NodeId {
        NodeId([number; 20])
    }

    fn members(numbers: &[u8]) -> Members {
        Members(numbers.iter().map(|&n| Member { node: node(n), since: 0 }).collect())
    }

    #[test]
    fn a_batch_stays_until_all_members_have_it() {
        let three = members(&[1, 2, 3]);
        let durable = [(node(1), 9), (node(2), 7), (node(3), 4)];
        assert_eq!(watermark(&three, &durable, 2, false), 4);
        assert_eq!(
            watermark(&three, &durable[..2], 2, false),
            0,
            "a member without a record has none"
        );
        assert_eq!(watermark(&members(&[]), &durable, 2, false), 0);
        assert_eq!(watermark(&members(&[]), &durable, 2, true), 0);
    }

    #[test]
    fn under_pressure_the_copies_decide() {
        let three = members(&[1, 2, 3]);
        let durable = [(node(1), 9), (node(2), 7)];
        assert_eq!(watermark(&three, &durable, 2, true), 7, "two copies");
        assert_eq!(watermark(&three, &durable[..1], 2, true), 0, "too few copies");
        assert_eq!(watermark(&three, &durable, 5, true), 0, "more copies than members");
        assert_eq!(watermark(&members(&[1]), &durable, 2, true), 9, "a lone member suffices");
        assert_eq!(watermark(&three, &durable, 0, true), 9);
    }

    #[test]
    fn only_members_count() {
        let durable = [(node(1), 9), (node(8), 9), (node(9), 9)];
        assert_eq!(watermark(&members(&[1, 2]), &durable, 2, true), 0);
    }
}
