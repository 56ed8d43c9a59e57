//! The hash slots that this node's group has, in a cluster of several groups.
//!
//! Dispatch compares a command's slots with a view that may be old. So the session checks them here: for a change,
//! under its shard's lock before it is made; for a read, after its lookup and before its answer. One node has all
//! slots, and checks nothing.
//!
//! # Synchronization
//! The slots change under the locks of their shards only, so a change needs nothing else. A read has no lock. It may
//! have looked up its key before the group got the keys of the slot, or after it has lost them:
//!
//! - **[OW-1]** A slot that is lost is stored before any state without its keys is published → a read that has entered
//!   this state sees that the slot is lost, or that the slots have changed since it began.
//! - **[OW-2]** The count of changes is raised, with release, after the keys of a slot that is got were published, and
//!   before the slot is stored, with release → a read that sees the slot (acquire) sees the raised count. If it has
//!   loaded that count before its lookup (acquire), the lookup finds the keys; if not, the counts differ, and it looks
//!   again.
//!
//! No model checks these orderings, for the reason given in [`super`]. `session/ownership_tests.rs` checks the order of
//! lookup, check and count, by changes between them.

use crate::slot_set::SLOT_SET_BYTES;
use crate::slot_set::SlotSet;
use std::sync::atomic::{AtomicU64, Ordering};

/// The slots of one word.
const BITS: usize = 64;

/// The slots of this node's group; nothing if it has all slots for ever.
#[derive(Default)]
pub struct Ownership(Option<Box<OwnedSlots>>);

struct OwnedSlots {
    /// The number of changes.
    changes: AtomicU64,
    /// A bit for each slot.
    words: Box<[AtomicU64]>,
    /// The steps of a test before and behind the next confirmation.
    #[cfg(test)]
    hooks: [std::sync::Mutex<Option<Hook>>; 2],
}

#[cfg(test)]
pub(crate) type Hook = Box<dyn FnOnce() + Send>;

/// Whether a read may be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// The group had the slots when their keys were looked up.
    Owned,
    /// It has not all of them.
    NotOwned,
    /// Slots have changed since the read began: its keys must be looked up again.
    Again,
}

impl Ownership {
    /// Returns the ownership of these slots.
    pub(super) fn of(slots: &SlotSet) -> Self {
        let words = words(slots).map(AtomicU64::new).collect();
        Self(Some(Box::new(OwnedSlots {
            changes: AtomicU64::new(0),
            words,
            #[cfg(test)]
            hooks: Default::default(),
        })))
    }

    /// Returns the number of changes of slots, for [`confirm`](Self::confirm). Called before a read looks up its keys.
    #[inline]
    pub fn changes(&self) -> u64 {
        // [OW-2] Acquire: pairs with the release in `set`, so the lookup that follows finds the keys of slots that were
        // got before.
        self.0.as_ref().map_or(0, |slots| slots.changes.load(Ordering::Acquire))
    }

    /// Returns whether a read of these slots may be answered. Its keys were looked up after `changes` was loaded.
    #[inline]
    pub fn confirm(&self, changes: u64, mut slots: impl Iterator<Item = u16>) -> Confirmed {
        let Some(own) = &self.0 else { return Confirmed::Owned };
        #[cfg(test)]
        own.run_hook(0);
        let owned = slots.all(|slot| own.has(slot));
        // [OW-2] Relaxed: `has` has acquired the slots, so a change that they come from is counted here.
        let confirmed = match (owned, own.changes.load(Ordering::Relaxed) == changes) {
            (false, _) => Confirmed::NotOwned,
            (true, false) => Confirmed::Again,
            (true, true) => Confirmed::Owned,
        };
        #[cfg(test)]
        own.run_hook(1);
        confirmed
    }

    /// Sets what is done in the next confirmation: before it, or behind it.
    #[cfg(test)]
    pub(crate) fn set_hook(&self, behind: bool, hook: Hook) {
        if let Some(own) = &self.0 {
            *crate::lock::lock(&own.hooks[usize::from(behind)]) = Some(hook);
        }
    }

    /// Returns whether the group has a slot. The caller holds the lock of the slot's shard.
    #[inline]
    pub fn has(&self, slot: impl FnOnce() -> u16) -> bool {
        self.0.as_ref().is_none_or(|own| own.has(slot()))
    }

    /// Gives the group slots, or takes them away. The caller holds the locks of their shards. The keys of slots that
    /// are got are published; those of slots that are lost are still there.
    pub fn assign(&self, slots: &SlotSet, owned: bool) {
        let Some(own) = &self.0 else { return };
        // [OW-2] Release: pairs with the acquire in `changes`. It comes before the slots are stored.
        own.changes.fetch_add(1, Ordering::Release);
        for (word, bits) in own.words.iter().zip(words(slots)).filter(|(_, bits)| *bits != 0) {
            // Slots of other shards, whose locks the caller lacks, share the word.
            if owned {
                // [OW-2] Release: pairs with the acquire in `OwnedSlots::has`, so a read that sees the slot sees the
                // change counted.
                word.fetch_or(bits, Ordering::Release);
            } else {
                // [OW-1] Release: as above. Publishing a state without the slot's keys releases this store, too.
                word.fetch_and(!bits, Ordering::Release);
            }
        }
    }

    /// As [`assign`](Self::assign), of one slot.
    #[cfg(test)]
    pub fn set(&self, slot: u16, owned: bool) {
        self.assign(&SlotSet::of_range(slot..slot + 1), owned);
    }

    /// Returns the slots of the group. Exact if the caller holds the locks of all shards.
    pub fn slots(&self) -> SlotSet {
        let Some(own) = &self.0 else { return SlotSet::all() };
        let mut bits = [0; SLOT_SET_BYTES];
        for (word, bytes) in own.words.iter().zip(bits.chunks_exact_mut(BITS / 8)) {
            // [OW-2] Acquire: pairs with the release in `assign`, for a caller that looks at keys without a lock.
            let bits = word.load(Ordering::Acquire);
            bytes.copy_from_slice(&bits.to_le_bytes());
        }
        SlotSet::from_bits(&bits)
    }
}

/// Returns the words of a set.
fn words(slots: &SlotSet) -> impl Iterator<Item = u64> + '_ {
    let (words, _) = slots.bits().as_chunks::<{ BITS / 8 }>();
    words.iter().map(|bytes| u64::from_le_bytes(*bytes))
}

impl OwnedSlots {
    #[cfg(test)]
    fn run_hook(&self, at: usize) {
        let hook = crate::lock::lock(&self.hooks[at]).take();
        if let Some(hook) = hook {
            hook();
        }
    }

    #[inline]
    fn has(&self, slot: u16) -> bool {
        let word = &self.words[usize::from(slot) / BITS];
        // [OW-1] [OW-2] Acquire: pairs with the release in `set`. A read has acquired the state that it has entered
        // before, so a slot that was lost before that state is seen as lost, or as got again.
        word.load(Ordering::Acquire) & 1 << (usize::from(slot) % BITS) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots::SLOTS;
    use std::iter::once;

    #[test]
    fn slots_are_those_of_the_set() {
        let ownership = Ownership::of(&SlotSet::of_range(100..300));
        let owned: Vec<u16> = (0..SLOTS).filter(|slot| ownership.has(|| *slot)).collect();
        assert_eq!(owned, (100..300).collect::<Vec<u16>>());
        ownership.set(64, true);
        ownership.set(128, false);
        let has = |slot: u16| ownership.has(|| slot);
        assert_eq!([63, 64, 65, 127, 128, 129].map(has), [false, true, false, true, false, true]);
        assert!(Ownership::default().has(|| 7));
    }

    #[test]
    fn a_read_looks_again_if_slots_have_changed() {
        let ownership = Ownership::of(&SlotSet::all());
        let before = ownership.changes();
        assert_eq!(ownership.confirm(before, 0..3), Confirmed::Owned);
        ownership.set(9, false);
        assert_eq!(ownership.confirm(before, once(9)), Confirmed::NotOwned);
        assert_eq!(ownership.confirm(before, 0..3), Confirmed::Again);
        ownership.set(9, true);
        assert_eq!(ownership.confirm(before, once(9)), Confirmed::Again, "it was lost meanwhile");
        assert_eq!(ownership.confirm(ownership.changes(), once(9)), Confirmed::Owned);
        assert_eq!(Ownership::default().confirm(0, once(9)), Confirmed::Owned);
    }
}
