//! The slots that several groups claim: each slot should have exactly one group.

use hedgerow_db_formats::slot_set::SlotSet;
use hedgerow_db_formats::slots::SLOTS;
use std::collections::BTreeMap;

/// The slots that are claimed by no group, or by several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Disputed {
    /// Ranges with their last slot, and the groups that claim all slots of a range: none, or several.
    pub(crate) ranges: Vec<(u16, u16, Vec<u32>)>,
}

impl Disputed {
    /// Compares the claims of groups.
    pub(crate) fn of<'a>(claims: impl IntoIterator<Item = (u32, &'a SlotSet)>) -> Self {
        let claims: BTreeMap<u32, &SlotSet> = claims.into_iter().collect();
        let mut ranges: Vec<(u16, u16, Vec<u32>)> = Vec::new();
        for slot in 0..SLOTS {
            let owners = claims.iter().filter(|(_, slots)| slots.contains(slot));
            let owners: Vec<u32> = owners.map(|(group, _)| *group).collect();
            match ranges.last_mut() {
                Some((_, last, same)) if *same == owners => *last = slot,
                _ => ranges.push((slot, slot, owners)),
            }
        }
        ranges.retain(|(_, _, owners)| owners.len() != 1);
        Self { ranges }
    }

    /// Returns whether each slot has exactly one group.
    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Returns a sentence for each range, without the full stop.
    pub(crate) fn sentences(&self) -> Vec<String> {
        let one = |(first, last, owners): &(u16, u16, Vec<u32>)| match &owners[..] {
            [] => format!("the slots {first}-{last} have no group"),
            owners => {
                let groups: Vec<_> = owners.iter().map(u32::to_string).collect();
                format!("the slots {first}-{last} belong to the groups {}", groups.join(" and "))
            }
        };
        self.ranges.iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hedgerow_db_formats::slot_set::share;

    #[test]
    fn each_slot_has_one_group() {
        let claims = |ranges: &[(u32, std::ops::Range<u16>)]| {
            let sets =
                ranges.iter().map(|(group, slots)| (*group, SlotSet::of_range(slots.clone())));
            let sets: Vec<_> = sets.collect();
            Disputed::of(sets.iter().map(|(group, slots)| (*group, slots)))
        };
        for groups in [1, 2, 5] {
            let all: Vec<_> = (0..groups).map(|group| (group, share(group, groups))).collect();
            assert!(claims(&all).is_empty(), "{groups} groups");
        }
        let wrong = claims(&[(0, 0..100), (7, 90..16_000)]);
        assert_eq!(wrong.ranges, [(90, 99, vec![0, 7]), (16_000, 16_383, Vec::new())]);
        assert_eq!(
            wrong.sentences(),
            ["the slots 90-99 belong to the groups 0 and 7", "the slots 16000-16383 have no group"]
        );
        assert_eq!(claims(&[]).ranges, [(0, 16_383, Vec::new())]);
    }
}
