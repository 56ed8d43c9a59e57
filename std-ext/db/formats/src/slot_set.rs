//! Sets of hash slots.

use std::fmt;
use std::ops::Range;

/// Bytes of a set: a bit for each of the 16384 slots.
pub const SLOT_SET_BYTES: usize = 16384 / 8;

/// The most groups that the slots are divided among.
pub const MOST_GROUPS: u32 = 4096;

/// Returns the slots that a group has when a cluster of `groups` groups is made. Groups from `groups` on have none.
pub fn share(group: u32, groups: u32) -> Range<u16> {
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
        let mut set = Self(Box::new([0; SLOT_SET_BYTES]));
        set.insert(slots);
        set
    }

    fn insert(&mut self, slots: Range<u16>) {
        for slot in slots {
            if let Some(byte) = self.0.get_mut(usize::from(slot / 8)) {
                *byte |= 1 << (slot % 8);
            }
        }
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
    pub fn ranges(&self) -> Vec<(u16, u16)> {
        let mut ranges: Vec<(u16, u16)> = Vec::new();
        let some = self.0.iter().zip(0_u16..).filter(|(byte, _)| **byte != 0);
        let slots = some.flat_map(|(_, at)| at * 8..at * 8 + 8);
        for slot in slots.filter(|slot| self.contains(*slot)) {
            match ranges.last_mut() {
                Some((_, last)) if *last + 1 == slot => *last = slot,
                _ => ranges.push((slot, slot)),
            }
        }
        ranges
    }

    /// Returns the set of the slots in these ranges with their last slot; `None` unless they are slots, ascend, and do
    /// not overlap.
    pub fn from_ranges(ranges: &[(u16, u16)]) -> Option<Self> {
        let mut set = Self::of_range(0..0);
        let mut begin = 0;
        for (first, last) in ranges.iter().copied() {
            if first < begin || last < first || last >= 16384 {
                return None;
            }
            set.insert(first..last + 1);
            begin = last + 1;
        }
        Some(set)
    }

    /// Returns the slots that are in one of the sets.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut set = self.clone();
        set.0.iter_mut().zip(other.0.iter()).for_each(|(byte, other)| *byte |= other);
        set
    }

    /// Returns the slots that are in this set and not in the other one.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut set = self.clone();
        set.0.iter_mut().zip(other.0.iter()).for_each(|(byte, other)| *byte &= !other);
        set
    }

    /// Returns whether a slot is in both sets.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0.iter()).any(|(byte, other)| byte & other != 0)
    }

    /// Returns whether all slots of the other set are in this one.
    pub fn contains_all(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0.iter()).all(|(byte, other)| other & !byte == 0)
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
    #[test]
    fn ranges_make_the_set_that_has_them() {
        for ranges in [vec![], vec![(0, 16383)], vec![(0, 0), (7, 8), (16383, 16383)]] {
            assert_eq!(SlotSet::from_ranges(&ranges).unwrap().ranges(), ranges);
        }
        assert_eq!(SlotSet::from_ranges(&[(0, 1), (2, 3)]).unwrap().ranges(), [(0, 3)]);
        for wrong in [
            vec![(0, 16384)],
            vec![(u16::MAX, u16::MAX)],
            vec![(5, 4)],
            vec![(0, 5), (5, 6)],
            vec![(9, 9), (0, 1)],
        ] {
            assert_eq!(SlotSet::from_ranges(&wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn sets_are_joined_and_compared() {
        let of = |ranges: &[(u16, u16)]| SlotSet::from_ranges(ranges).unwrap();
        let (low, high) = (of(&[(0, 99)]), of(&[(90, 199)]));
        assert_eq!(low.union(&high).ranges(), [(0, 199)]);
        assert_eq!(low.difference(&high).ranges(), [(0, 89)]);
        assert!(
            low.overlaps(&high) && !low.overlaps(&of(&[(100, 199)])) && !low.overlaps(&of(&[]))
        );
        assert!(low.contains_all(&of(&[(0, 0), (99, 99)])) && low.contains_all(&of(&[])));
        assert!(!low.contains_all(&of(&[(99, 100)])) && !of(&[]).contains_all(&low));
    }
}
