//! The counts of slots on the wire.

use super::error::PeerError;
use super::wire::{Identity, SlotsResponse};
use hedgerow_db_engine::state::slot_counts::SlotCount;
use hedgerow_db_formats::slot_set::SLOT_SET_BYTES;
use hedgerow_db_formats::slot_set::SlotSet;

/// The keys and bytes of a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SlotSize {
    pub(crate) slot: u16,
    pub(crate) keys: u64,
    pub(crate) bytes: u64,
}

/// Returns the counts of the slots that a group has as a message.
pub(super) fn to_wire(of: Identity, counts: &[(u16, SlotCount)]) -> SlotsResponse {
    let mut bits = [0_u8; SLOT_SET_BYTES];
    for (slot, _) in counts {
        bits[usize::from(slot / 8)] |= 1 << (slot % 8);
    }
    SlotsResponse {
        of: Some(of),
        slots: bits.to_vec().into(),
        keys: counts.iter().map(|(_, count)| count.keys as u64).collect(),
        bytes: counts.iter().map(|(_, count)| count.bytes as u64).collect(),
    }
}

/// Reads what [`to_wire`] makes, without the sender.
pub(super) fn from_wire(sent: &SlotsResponse) -> Result<Vec<SlotSize>, PeerError> {
    let bits = sent.slots[..].try_into();
    let slots = SlotSet::from_bits(bits.map_err(|_| PeerError::Invalid("it has no set of slots"))?);
    if (sent.keys.len(), sent.bytes.len()) != (slots.len(), slots.len()) {
        return Err(PeerError::Invalid("the numbers of slots and counts differ"));
    }
    let slots = slots.ranges().into_iter().flat_map(|(first, last)| first..=last);
    let counts = sent.keys.iter().zip(&sent.bytes);
    let all = slots.zip(counts);
    Ok(all.map(|(slot, (keys, bytes))| SlotSize { slot, keys: *keys, bytes: *bytes }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_as_they_were_written() {
        let count = |keys, bytes| SlotCount { keys, with_ttl: 0, bytes };
        let counts = [(0, count(1, 2)), (9, count(0, 0)), (16_383, count(7, usize::MAX))];
        let wire = to_wire(Identity::default(), &counts);
        let read = from_wire(&wire).unwrap();
        let wanted = counts.map(|(slot, SlotCount { keys, bytes, .. })| SlotSize {
            slot,
            keys: keys as u64,
            bytes: bytes as u64,
        });
        assert_eq!(read, wanted);
        assert_eq!(from_wire(&to_wire(Identity::default(), &[])).unwrap(), []);
        let mut few = wire.clone();
        few.bytes.pop();
        let mut short = wire.clone();
        short.slots = vec![0; SLOT_SET_BYTES - 1].into();
        let mut other = wire;
        other.keys.push(1);
        for wrong in [few, short, other] {
            assert!(matches!(from_wire(&wrong), Err(PeerError::Invalid(_))), "{wrong:?} is taken");
        }
    }
}
