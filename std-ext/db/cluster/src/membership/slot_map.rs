//! The key `slots`: the group of each slot, as the groups have published it.
//!
//! It is a hint for clients and for nodes of other groups. The slots of a group stand in its log. Its primary publishes
//! them when it has got some, and looks every few seconds whether the map still gives them to its group.

use hedgerow_db_formats::slot_set::SlotSet;
use hedgerow_db_formats::slot_set::{MOST_GROUPS, SLOT_SET_BYTES, share};
use hedgerow_db_formats::slots::SLOTS;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The longest value that is read.
const MOST_BYTES: usize = 1 << 20;

/// The group of each slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SlotMap(Vec<u16>);

/// The value of the key.
#[derive(Serialize, Deserialize)]
struct SlotMapJson {
    /// The first slot, the last slot, and their group.
    owners: Vec<(u16, u16, u32)>,
}

impl SlotMap {
    /// Returns the map of a new cluster of this many groups.
    pub(crate) fn divided(groups: u32) -> Self {
        let groups = groups.clamp(1, MOST_GROUPS);
        let owners = (0..groups).flat_map(|group| share(group, groups).map(move |_| group as u16));
        Self(owners.collect())
    }

    /// Reads the value of the key.
    ///
    /// # Errors
    /// If it is not a map of all slots.
    pub(crate) fn parse(value: &[u8]) -> Result<Self, String> {
        let wrong = |why: &str| format!("the key `slots` in etcd is not a slot map: {why}");
        if value.len() > MOST_BYTES {
            return Err(wrong("it is too long"));
        }
        let written: SlotMapJson =
            serde_json::from_slice(value).map_err(|why| wrong(&why.to_string()))?;
        let mut owners = Vec::with_capacity(usize::from(SLOTS));
        for (first, last, group) in written.owners {
            if usize::from(first) != owners.len() || last < first || last >= SLOTS {
                return Err(wrong("its ranges do not follow each other"));
            }
            if group >= MOST_GROUPS {
                return Err(wrong("a group is out of range"));
            }
            owners.resize(usize::from(last) + 1, group as u16);
        }
        if owners.len() != usize::from(SLOTS) {
            return Err(wrong("slots are missing"));
        }
        Ok(Self(owners))
    }

    /// Returns the value of the key.
    pub(crate) fn print(&self) -> String {
        let mut first = 0;
        let ranges = self.0.chunk_by(|one, other| one == other).map(|slots| {
            let range = (first, first + (slots.len() - 1) as u16, u32::from(slots[0]));
            first += slots.len() as u16;
            range
        });
        serde_json::to_string(&SlotMapJson { owners: ranges.collect() }).unwrap_or_default()
    }

    /// Returns the group of each slot.
    pub(crate) fn owners(&self) -> &[u16] {
        &self.0
    }

    /// Returns the groups that have slots, in ascending order.
    pub(crate) fn groups(&self) -> BTreeSet<u32> {
        self.0.iter().map(|owner| (*owner).into()).collect()
    }

    /// Returns the slots of a group.
    #[cfg_attr(
        not(any(test, feature = "cli")),
        expect(dead_code, reason = "for the commands of the program")
    )]
    pub(crate) fn slots_of(&self, group: u32) -> SlotSet {
        let mut bits = [0; SLOT_SET_BYTES];
        for (slot, owner) in self.0.iter().enumerate() {
            bits[slot / 8] |= u8::from(u32::from(*owner) == group) << (slot % 8);
        }
        SlotSet::from_bits(&bits)
    }

    /// Returns the map in which a group has these slots. Those that it has here besides stay with it: only the group
    /// that has got them says so.
    pub(crate) fn with(&self, group: u32, slots: &SlotSet) -> Self {
        let owner = |(slot, owner): (usize, &u16)| {
            if slots.contains(slot as u16) { group as u16 } else { *owner }
        };
        Self(self.0.iter().enumerate().map(owner).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_read_as_it_was_printed() {
        let map = SlotMap::divided(2);
        assert_eq!(map.print(), r#"{"owners":[[0,8191,0],[8192,16383,1]]}"#);
        let moved = map.with(1, &SlotSet::of_range(100..200));
        assert_eq!(
            moved.print(),
            r#"{"owners":[[0,99,0],[100,199,1],[200,8191,0],[8192,16383,1]]}"#
        );
        assert!(moved.groups().into_iter().eq(0..2));
        for map in [map, moved, SlotMap::divided(4096)] {
            assert_eq!(SlotMap::parse(map.print().as_bytes()), Ok(map));
        }
    }

    #[test]
    fn a_map_has_each_slot_once() {
        for wrong in [
            "",
            r#"{"owners":[]}"#,
            r#"{"owners":[[0,16382,0]]}"#,
            r#"{"owners":[[1,16383,0]]}"#,
            r#"{"owners":[[0,16384,0]]}"#,
            r#"{"owners":[[0,100,0],[100,16383,1]]}"#,
            r#"{"owners":[[0,100,0],[102,16383,1]]}"#,
            r#"{"owners":[[0,16383,4096]]}"#,
            r#"{"owners":[[0,16383,0],[5,4,0]]}"#,
        ] {
            assert!(SlotMap::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
