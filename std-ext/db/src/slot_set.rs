//! Sets of hash slots.

use std::fmt;

/// Bytes of a set: a bit for each of the 16384 slots.
pub(crate) const SLOT_SET_BYTES: usize = 16384 / 8;

/// A set of hash slots.
#[derive(Clone, PartialEq, Eq)]
pub struct SlotSet(Box<[u8; SLOT_SET_BYTES]>);

impl SlotSet {
    /// Returns the set of all slots.
    pub fn all() -> Self {
        Self(Box::new([0xFF; SLOT_SET_BYTES]))
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
