//! Lookups, changes and walks of [`Storage`], without hashers and `Borrow`.

use super::MOST_REACH;
use super::storage::Storage;
use crate::api::hash::KeyHash;
pub(super) use crate::api::op::Altered;
use crate::api::op::EntryChange;
use crate::bins::bin::{Bin, BinChanged, EntryWords};
use crate::bins::layout::{Layout, MAX_SLOTS};
use crate::bins::tags::Tags;
use crate::error::TryInsertError;
use crate::flat::lookup::value_of;
use crate::sync::backoff::{Backoff, WouldWait};
use crate::sync::seqlock::StateWord;
use core::mem::MaybeUninit;

/// The reason why an entry was not changed.
pub(super) enum ChangeFailure<K, V> {
    Busy,
    Full(K, V),
}

impl<K, V> ChangeFailure<K, V> {
    /// Returns the error of an insertion that stopped, with the caller's key and value.
    pub(super) fn hand_back<W>(self, key: K, value: W) -> TryInsertError<K, W> {
        match self {
            Self::Busy => TryInsertError::Busy { key, value },
            Self::Full(..) => TryInsertError::Full { key, value },
        }
    }
}

impl<K, V> From<WouldWait> for ChangeFailure<K, V> {
    fn from(_: WouldWait) -> Self {
        Self::Busy
    }
}

/// The numbers of a bin's displaced entries, in four counts, in the word that holds the overflow number of a growing
/// table's bin. On 64-bit targets two filter numbers share a count.
#[derive(Clone, Copy)]
struct DisplacedCounts(usize);

impl DisplacedCounts {
    const COUNTS: u32 = 4;
    const BITS: u32 = if StateWord::HAS_INDEX { 7 } else { 8 };
    const MOST: usize = (1 << Self::BITS) - 1;

    fn shift(hash: KeyHash) -> u32 {
        hash.filter() % Self::COUNTS * Self::BITS
    }

    fn count(self, hash: KeyHash) -> usize {
        self.0 >> Self::shift(hash) & Self::MOST
    }

    /// Returns the counts with one more displaced entry. Only keys whose hash changes can reach the end of a count.
    fn with(self, hash: KeyHash) -> Self {
        Self(self.0 + (usize::from(self.count(hash) < Self::MOST) << Self::shift(hash)))
    }

    /// Returns the counts with one displaced entry less. Only keys whose hash changes can find a count of 0 here.
    fn without(self, hash: KeyHash) -> Self {
        Self(self.0 - (usize::from(self.count(hash) > 0) << Self::shift(hash)))
    }

    /// Returns the home's tags after a displaced entry has gone: without the filter bits that none needs any more.
    fn prune(self, tags: Tags, gone: KeyHash) -> Tags {
        if self.count(gone) > 0 { tags } else { tags.without_filters(gone, Self::COUNTS) }
    }
}

const _: () = assert!((MOST_REACH - 1) * MAX_SLOTS <= DisplacedCounts::MOST);
const _: () = assert!(
    StateWord::INDEX_MAX.count_ones() + 1 >= DisplacedCounts::COUNTS * DisplacedCounts::BITS
);

/// A bin as it was read. A writer that locks it from `state` proves that it is unchanged.
pub(super) struct BinView<'a, K, V> {
    number: usize,
    bin: Bin<'a, K, V>,
    state: StateWord,
    tags: Tags,
}

impl<K, V> Clone for BinView<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K, V> Copy for BinView<'_, K, V> {}

impl<K: Copy, V: Copy> BinView<'_, K, V> {
    /// Returns the first entry with the hash's tag for which `eq` returns true.
    #[inline(always)]
    fn search<R>(
        self,
        hash: KeyHash,
        eq: impl Fn(&K) -> bool + Copy,
        read: impl Fn(EntryWords<'_, K, V>) -> MaybeUninit<R> + Copy,
    ) -> Result<Option<(usize, R)>, BinChanged> {
        for slot in self.tags.matches(hash) {
            if let Some(value) = self.bin.check(self.state, self.bin.entry(slot), eq, read)? {
                return Ok(Some((slot, value)));
            }
        }
        Ok(None)
    }

    fn free(self) -> Option<usize> {
        self.tags.free(Layout::<K, V>::SLOTS)
    }

    fn lock(self) -> bool {
        self.bin.seq().try_lock(self.state)
    }

    /// Returns the bin's counts of displaced entries: exact if the bin is locked, or is locked from `state` later.
    fn displaced_counts(self) -> DisplacedCounts {
        DisplacedCounts(self.bin.overflow(self.state))
    }

    /// Stores the counts and unlocks the bin.
    fn unlock(self, counts: DisplacedCounts) {
        self.bin.seq().unlock(self.bin.state_after(self.state, counts.0));
    }

    /// Unlocks the bin after a write that has not changed the counts of displaced entries.
    fn unlock_with_same_counts(self) {
        self.bin.seq().unlock(self.state.next(self.state.index()));
    }

    /// Locks two bins, or neither.
    fn lock_both(self, other: Self) -> bool {
        let (low, high) = if self.number < other.number { (self, other) } else { (other, self) };
        // [FX-4] in the order of numbers: two writers with the same pair cannot each hold one bin. Neither is waited
        // for.
        if !low.lock() {
            return false;
        }
        if high.lock() {
            return true;
        }
        // The first bin is unlocked with its old state: nothing was written there, so readers need not start again.
        low.bin.seq().give_back(low.state);
        false
    }
}

/// The bin and the slot of an entry, and the data that `read` fetched of it.
type FoundEntry<'a, K, V, R> = Option<(BinView<'a, K, V>, usize, R)>;

/// The result of a search: the key's home, and the entry if there is one.
struct HomeProbe<'a, K, V, R> {
    home: BinView<'a, K, V>,
    found: FoundEntry<'a, K, V, R>,
}

/// The result of an attempt to add an entry.
enum AddOutcome {
    Done,
    /// A bin changed since it was read.
    Raced,
    Full,
}

impl<K: Copy, V: Copy, const BINS: usize> Storage<K, V, BINS> {
    /// Reads a bin, the state first: if the tags are newer than the state, locking from it and validating it fail.
    #[inline(always)]
    fn view(&self, number: usize) -> BinView<'_, K, V> {
        let bin = self.bin(number);
        let state = bin.seq().begin();
        BinView { number, bin, state, tags: bin.tags() }
    }

    /// Looks up the key for which `eq` returns true; `read` fetches what the caller wants of its entry.
    #[inline(always)]
    pub(super) fn get<R>(
        &self,
        hash: KeyHash,
        eq: impl Fn(&K) -> bool + Copy,
        read: impl Fn(EntryWords<'_, K, V>) -> MaybeUninit<R> + Copy,
    ) -> Option<R> {
        let _operation = self.scheduled.operation();
        let number = Self::home(hash);
        // Started before the head is read, so that the two waits for memory overlap.
        self.bin(number).prefetch();
        let home = self.view(number);
        let slots = home.tags.matches(hash);
        if slots.is_empty() {
            // The filter bit is clear, so the key was not displaced: one load answers the miss, without validation.
            if !home.tags.may_overflow(hash) {
                return None;
            }
        } else if let Ok(Some(value)) =
            home.bin.check(home.state, home.bin.entry(slots.lowest()), eq, read)
        {
            return Some(value);
        }
        self.get_in_every_case(hash, eq, read, &mut Backoff::spinning()).unwrap_or(None)
    }

    /// Does what `get` does, waiting as `backoff` allows.
    #[inline]
    pub(super) fn get_slowly<R>(
        &self,
        hash: KeyHash,
        eq: impl Fn(&K) -> bool + Copy,
        read: impl Fn(EntryWords<'_, K, V>) -> MaybeUninit<R> + Copy,
        backoff: &mut Backoff,
    ) -> Result<Option<R>, WouldWait> {
        let _operation = self.scheduled.operation();
        self.get_in_every_case(hash, eq, read, backoff)
    }

    /// Does what `get` does, from the start and for every case, waiting as `backoff` allows.
    #[cold]
    #[inline(never)]
    fn get_in_every_case<R>(
        &self,
        hash: KeyHash,
        eq: impl Fn(&K) -> bool + Copy,
        read: impl Fn(EntryWords<'_, K, V>) -> MaybeUninit<R> + Copy,
        backoff: &mut Backoff,
    ) -> Result<Option<R>, WouldWait> {
        let probe = self.search(hash, eq, read, backoff)?;
        Ok(probe.found.map(|(_, _, value)| value))
    }

    /// Finds the home and the entry of a key. Starts again if a bin changed while it was searched.
    #[cfg_attr(target_pointer_width = "64", inline(always))]
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))] // Small targets have little flash.
    fn search<R>(
        &self,
        hash: KeyHash,
        eq: impl Fn(&K) -> bool + Copy,
        read: impl Fn(EntryWords<'_, K, V>) -> MaybeUninit<R> + Copy,
        backoff: &mut Backoff,
    ) -> Result<HomeProbe<'_, K, V, R>, WouldWait> {
        loop {
            let home = self.view(Self::home(hash));
            if let Ok(found) = self.search_from(home, hash, eq, read) {
                return Ok(HomeProbe { home, found });
            }
            backoff.spin()?;
        }
    }

    /// Searches the bins that can hold a key, from its home on.
    #[inline]
    fn search_from<'a, R>(
        &'a self,
        home: BinView<'a, K, V>,
        hash: KeyHash,
        eq: impl Fn(&K) -> bool + Copy,
        read: impl Fn(EntryWords<'_, K, V>) -> MaybeUninit<R> + Copy,
    ) -> Result<FoundEntry<'a, K, V, R>, BinChanged> {
        // The usual case has code of its own, except on small targets, which have little flash.
        let home_apart = cfg!(target_pointer_width = "64");
        if home_apart {
            if let Some((slot, value)) = home.search(hash, eq, read)? {
                return Ok(Some((home, slot, value)));
            }
            if !home.tags.may_overflow(hash) {
                return Ok(None);
            }
        }
        let (mut at, mut distance) = (home, 0);
        loop {
            if (distance > 0 || !home_apart)
                && let Some((slot, value)) = at.search(hash, eq, read)?
            {
                return Ok(Some((at, slot, value)));
            }
            distance += 1;
            let ends = distance == 1 && !home_apart && !home.tags.may_overflow(hash);
            if distance >= Self::REACH || ends {
                // [FX-2] the key was absent at some moment of the search, even if the home has changed since.
                return Ok(None);
            }
            at = self.view(Self::after(home.number, distance));
        }
    }

    /// Changes the entry for which `eq` returns true. `decide` sees its value and returns the change. Repeats both
    /// until nothing changed in between; returns the value before and the change that was made.
    #[inline]
    pub(super) fn alter(
        &self,
        hash: KeyHash,
        eq: impl Fn(&K) -> bool + Copy,
        backoff: Backoff,
        mut decide: impl FnMut(Option<&V>) -> EntryChange<K, V>,
    ) -> Result<Altered<K, V>, ChangeFailure<K, V>> {
        let _operation = self.scheduled.operation();
        if cfg!(target_pointer_width = "64") {
            self.alter_by(hash, eq, backoff, decide)
        } else {
            self.alter_by_any(hash, eq, backoff, &mut decide)
        }
    }

    /// Does what `alter` does, as one function for all operations: a call is cheaper than the flash for a copy.
    #[inline(never)]
    fn alter_by_any(
        &self,
        hash: KeyHash,
        eq: impl Fn(&K) -> bool + Copy,
        backoff: Backoff,
        decide: &mut dyn FnMut(Option<&V>) -> EntryChange<K, V>,
    ) -> Result<Altered<K, V>, ChangeFailure<K, V>> {
        self.alter_by(hash, eq, backoff, decide)
    }

    #[inline(always)]
    fn alter_by(
        &self,
        hash: KeyHash,
        eq: impl Fn(&K) -> bool + Copy,
        mut backoff: Backoff,
        mut decide: impl FnMut(Option<&V>) -> EntryChange<K, V>,
    ) -> Result<Altered<K, V>, ChangeFailure<K, V>> {
        loop {
            let HomeProbe { home, found } = self.search(hash, eq, value_of, &mut backoff)?;
            let change = decide(found.as_ref().map(|(_, _, before)| before));
            let done = match (&found, &change) {
                (_, EntryChange::Keep) => true,
                (&Some((at, slot, _)), EntryChange::Remove) => Self::take(home, at, slot, hash),
                (&Some((at, slot, _)), stored) => Self::overwrite(at, slot, stored),
                (None, &EntryChange::Entry(key, value)) => match self.add(home, hash, &key, &value)
                {
                    AddOutcome::Done => true,
                    AddOutcome::Full => return Err(ChangeFailure::Full(key, value)),
                    AddOutcome::Raced => false,
                },
                // The key is absent, so there is nothing to remove, and no value to replace.
                (None, _) => true,
            };
            if done {
                return Ok((found.map(|(_, _, before)| before), change));
            }
            backoff.spin()?;
        }
    }

    /// Replaces an entry or its value, if nothing was written to its bin since it was read.
    fn overwrite(at: BinView<'_, K, V>, slot: usize, change: &EntryChange<K, V>) -> bool {
        if !at.lock() {
            return false;
        }
        match change {
            EntryChange::Value(value) => at.bin.entry(slot).put_value(value),
            EntryChange::Entry(key, value) => at.bin.entry(slot).put(key, value),
            EntryChange::Keep | EntryChange::Remove => {}
        }
        at.unlock_with_same_counts();
        true
    }

    /// Removes an entry, if nothing was written to its bin and to its home since they were read.
    fn take(home: BinView<'_, K, V>, at: BinView<'_, K, V>, slot: usize, hash: KeyHash) -> bool {
        let is_displaced = home.number != at.number;
        // [FX-1] a displaced entry goes under both locks, so its home's counts and filter bits change with it.
        if !(if is_displaced { home.lock_both(at) } else { at.lock() }) {
            return false;
        }
        at.bin.set_tags(at.tags.without(slot));
        if is_displaced {
            let counts = home.displaced_counts().without(hash);
            // [FX-3] the filter bit goes with the last entry that needs it: left set, every miss would search all bins.
            home.bin.set_tags(counts.prune(home.tags, hash));
            at.unlock_with_same_counts();
            home.unlock(counts);
        } else {
            at.unlock_with_same_counts();
        }
        true
    }

    /// Adds an entry for a key that was absent when the home was read.
    fn add(&self, home: BinView<'_, K, V>, hash: KeyHash, key: &K, value: &V) -> AddOutcome {
        let free = home.free();
        let is_displaced = free.is_none();
        let at = if is_displaced { self.emptiest_after(home) } else { home };
        let Some(slot) = free.or_else(|| at.free()) else {
            // If the home is unchanged, the key is still absent and its home still full.
            return if home.bin.seq().validate(home.state) {
                AddOutcome::Full
            } else {
                AddOutcome::Raced
            };
        };
        // [FX-1] a displaced entry comes under both locks: the home's state proves that the key is still absent.
        if !(if is_displaced { home.lock_both(at) } else { home.lock() }) {
            return AddOutcome::Raced;
        }
        at.bin.entry(slot).put(key, value);
        at.bin.set_tags(at.tags.with(slot, hash.tag()));
        if is_displaced {
            // [FX-3] without this bit, searches would not leave the home.
            home.bin.set_tags(home.tags.with_overflow(hash));
            at.unlock_with_same_counts();
            home.unlock(home.displaced_counts().with(hash));
        } else {
            at.unlock_with_same_counts();
        }
        AddOutcome::Done
    }

    /// Returns the emptiest of the bins after `home` that can hold a key, which keeps the number of full bins low;
    /// `home` if all of them are full.
    fn emptiest_after<'a>(&'a self, home: BinView<'a, K, V>) -> BinView<'a, K, V> {
        let (mut emptiest, mut fewest) = (home, Layout::<K, V>::SLOTS);
        for distance in 1..Self::REACH {
            let near = self.view(Self::after(home.number, distance));
            let used = near.tags.used().count();
            if used < fewest {
                (emptiest, fewest) = (near, used);
            }
        }
        emptiest
    }

    /// Returns the first entry of a bin at or after `slot`.
    fn entry_from(
        &self,
        number: usize,
        slot: usize,
    ) -> Result<Option<WalkedEntry<'_, K, V>>, BinChanged> {
        let at = self.view(number);
        let Some(slot) = at.tags.used().find(|&used| used >= slot) else { return Ok(None) };
        let entry = at.bin.entry(slot);
        let (key, value) = (entry.key(), entry.value());
        if !at.bin.seq().validate(at.state) {
            return Err(BinChanged);
        }
        // SAFETY: the state is still the one that was read before, so nothing was written while key and value were
        // fetched; and a tag says that the slot holds an entry. So both are whole.
        let (key, value) = unsafe { (key.assume_init(), value.assume_init()) };
        Ok(Some(WalkedEntry { at, slot, key, value }))
    }

    /// Returns the first entry at or after a position, and the position after it. Waits while a writer is in its bin.
    pub(super) fn next_entry(
        &self,
        mut position: ResumePosition,
    ) -> Option<((K, V), ResumePosition)> {
        let _operation = self.scheduled.operation();
        let mut backoff = Backoff::spinning();
        while position.number < BINS {
            match self.entry_from(position.number, position.slot) {
                Ok(Some(WalkedEntry { slot, key, value, .. })) => {
                    return Some(((key, value), ResumePosition { slot: slot + 1, ..position }));
                }
                Ok(None) => position = ResumePosition { number: position.number + 1, slot: 0 },
                Err(BinChanged) => drop(backoff.spin()),
            }
        }
        None
    }

    /// Calls `keep` for every entry, with no lock held, and removes or rewrites the entry accordingly. If its bin
    /// changed meanwhile, calls `keep` for the entry again.
    pub(super) fn retain(
        &self,
        rehash: impl Fn(&K) -> KeyHash,
        mut keep: impl FnMut(&K, &mut V) -> bool,
    ) {
        for number in 0..BINS {
            let mut from = 0;
            let mut backoff = Backoff::spinning();
            loop {
                let _operation = self.scheduled.operation();
                if let Ok(met) = self.entry_from(number, from) {
                    let Some(WalkedEntry { at, slot, key, mut value }) = met else { break };
                    let done = if keep(&key, &mut value) {
                        Self::overwrite(at, slot, &EntryChange::Value(value))
                    } else {
                        let hash = rehash(&key);
                        let home = Self::home(hash);
                        let home = if home == number { at } else { self.view(home) };
                        Self::take(home, at, slot, hash)
                    };
                    if done {
                        from = slot + 1;
                        continue;
                    }
                }
                let _ = backoff.spin();
            }
        }
    }

    /// Returns the number of entries: exact if there are no concurrent writes.
    pub(super) fn len(&self) -> usize {
        let _operation = self.scheduled.operation();
        (0..BINS).map(|number| self.bin(number).tags().used().count()).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        let _operation = self.scheduled.operation();
        (0..BINS).all(|number| self.bin(number).tags().used().is_empty())
    }
}

/// An entry that a walk found.
struct WalkedEntry<'a, K, V> {
    at: BinView<'a, K, V>,
    slot: usize,
    key: K,
    value: V,
}

/// The position from which a walk continues.
#[derive(Clone, Copy, Default)]
pub(super) struct ResumePosition {
    pub(super) number: usize,
    pub(super) slot: usize,
}
