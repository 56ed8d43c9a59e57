//! Sets of hash slots.

use std::fmt;
use std::ops::Range;

/// Bytes of a set: a bit for each of the 16384 slots.
pub(crate) const SLOT_SET_BYTES: usize = 16384 / 8;

/// The most groups that the slots are divided among.
pub(crate) const MOST_GROUPS: u32 = 4096;

/// Returns the slots that a group has when a cluster of `groups` groups is made. Groups from `groups` on have none.
pub(crate) fn share(group: u32, groups: u32) -> Range<u16> {
    let begin =
        |group: u32| (u64::from(group.min(groups)) * 16384 / u64::from(groups.max(1))) as u16;
    begin(group)..begin(group.saturating_add(1))
}

/// A set of hash slots.
#[derive(Clone, PartialEq, Eq)]
pub struct SlotSet(Box<[u8; SLOT_SET_BYTES]>);

impl SlotSet {
    /// Returns the set of all slots.
    pub fn all() -> Self {
        Self(Box::new([0xFF; SLOT_SET_BYTES]))
    }

    /// Returns the set of the slots in a range.
    pub fn of_range(slots: Range<u16>) -> Self {
        let mut set = Box::new([0; SLOT_SET_BYTES]);
        for slot in slots {
            if let Some(byte) = set.get_mut(usize::from(slot / 8)) {
                *byte |= 1 << (slot % 8);
            }
        }
        Self(set)
    }

    /// Returns the set with these bits: slot `8 * n + b` is bit `b` of byte `n`.
    pub fn from_bits(bits: &[u8; SLOT_SET_BYTES]) -> Self {
        Self(Box::new(*bits))
    }

    /// Returns the bits.
    pub fn bits(&self) -> &[u8; SLOT_SET_BYTES] {
        &self.0
    }

    /// Returns whether a slot is in the set.
    pub fn contains(&self, slot: u16) -> bool {
        self.0.get(usize::from(slot / 8)).is_some_and(|byte| byte & (1 << (slot % 8)) != 0)
    }

    /// Returns the slots as ranges with their last slot.
    #[cfg(any(test, feature = "cluster"))]
    pub(crate) fn ranges(&self) -> Vec<(u16, u16)> {
        let mut ranges: Vec<(u16, u16)> = Vec::new();
        for slot in (0..16384).filter(|slot| self.contains(*slot)) {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == slot => *last = slot,
                _ => ranges.push((slot, slot)),
            }
        }
        ranges
    }

    /// Returns the number of slots.
    pub fn len(&self) -> usize {
        self.0.iter().map(|byte| byte.count_ones() as usize).sum()
    }

    /// Returns whether no slot is in the set.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for SlotSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SlotSet({} slots)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_of_a_new_cluster_have_all_slots_once() {
        for groups in [1, 2, 3, 7, 100, 4095, 4096] {
            let mut end = 0;
            for group in 0..groups {
                let slots = share(group, groups);
                assert_eq!(slots.start, end, "group {group} of {groups}");
                let (least, len) = (16384 / groups, u32::try_from(slots.len()).unwrap());
                assert!(len == least || len == least + 1, "group {group} of {groups}: {slots:?}");
                end = slots.end;
            }
            assert_eq!(end, 16384, "of {groups} groups");
            for group in [groups, groups + 1, u32::MAX] {
                assert!(share(group, groups).is_empty(), "group {group} of {groups}");
            }
        }
        assert_eq!([share(0, 2), share(1, 2)], [0..8192, 8192..16384]);
    }

    #[test]
    fn a_range_has_its_slots() {
        let set = SlotSet::of_range(5..300);
        assert!((0..16384).all(|slot| set.contains(slot) == (5..300).contains(&slot)));
        assert_eq!((set.len(), SlotSet::of_range(7..7).len()), (295, 0));
        assert_eq!(SlotSet::of_range(0..16384), SlotSet::all());
        assert_eq!((set.ranges(), SlotSet::all().ranges()), (vec![(5, 299)], vec![(0, 16383)]));
        assert_eq!(SlotSet::of_range(7..7).ranges(), []);
        let mut bits = [0; SLOT_SET_BYTES];
        (bits[0], bits[1]) = (0b1000_0001, 1);
        assert_eq!(SlotSet::from_bits(&bits).ranges(), [(0, 0), (7, 8)]);
    }
}
