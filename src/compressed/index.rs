//! The index: the crate's hash table, whose entries are locations of records.
//!
//! The version of a bin covers its entries and the chains that they refer to. A change of either happens under the
//! bin's lock; see `segment` for the protocol with readers.
//!
//! An entry is one location of 36 bits. The bits of seven entries are packed in four words, and overflow lines have
//! half of the usual length: 13.5 bytes an entry, instead of 19.6 with whole words. A bin's words are packed within the
//! bin and written under its lock, so a thread that stores one location may load and store its neighbours. With 36
//! bits, the records of one map take 32 GiB at most.

use super::hash::KeyHasher;
use super::record::{RecordHead, RecordLocation};
use super::records::{Chain, CopiedChain, Records};
use crate::api::failure::Failure;
use crate::api::hash::KeyHash;
use crate::api::hasher::{DefaultHashBuilder, mixes_well};
use crate::bins::layout::Layout;
use crate::sync::backoff::Backoff;
use crate::sync::words::Indirect;
use crate::table::Table;
use crate::table::walk::WalkPosition;
use crate::table::write::{Altered, EntryChange};
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::hash::{BuildHasher, Hasher};
use core::mem::MaybeUninit;

/// The layout of the index's bins.
pub(super) type IndexLayout = Layout<Indirect, ()>;

/// The hash table, and the records that its entries refer to.
pub(super) struct Index {
    pub(super) table: Table<Indirect, ()>,
    hasher: KeyHasher,
    pub(super) records: Records,
}

/// A copy of an entry that a walk has met: its key and its records.
pub(super) struct EntryCopy {
    pub(super) key: Vec<u8>,
    pub(super) chain: CopiedChain,
}

impl EntryCopy {
    /// Returns the record's head and bytes, if one record holds the whole value.
    pub(super) fn only_record(&self) -> Option<(RecordHead, &[u8])> {
        self.chain.only()
    }
}

impl Index {
    /// Returns an empty index. With `in_segments` it takes its memory from the segments that it is given.
    pub(super) fn new(in_segments: bool, hasher: KeyHasher, records: Records) -> Self {
        let table = if in_segments { Table::new_in_arena() } else { Table::new() };
        Self { table, hasher, records }
    }

    /// Returns the hash of a key.
    #[inline(always)]
    pub(super) fn hash(&self, key: &[u8]) -> KeyHash {
        self.hasher.hash(key)
    }

    /// Returns the function that the table hashes its entries with when it grows: one for all changes. It sets
    /// `is_growing` before it calls the user's hasher, which may panic.
    #[inline(always)]
    pub(super) fn rehash<'a>(
        &'a self,
        is_growing: &'a Cell<bool>,
    ) -> impl Fn(&Indirect) -> KeyHash + Copy + 'a {
        move |entry| {
            is_growing.set(true);
            self.hash_of(RecordLocation::from(*entry))
        }
    }

    /// Returns the hash of the key of a stored record; an arbitrary hash if the record is changing.
    pub(super) fn hash_of(&self, at: RecordLocation) -> KeyHash {
        match &self.hasher {
            KeyHasher::Default(hasher) => {
                let mut hasher = hasher.build_hasher();
                if !self.records.feed_key(&mut hasher, at) {
                    return KeyHash(0);
                }
                KeyHash::spread(hasher.finish(), mixes_well::<DefaultHashBuilder>())
            }
            KeyHasher::Other(hasher) => {
                hasher.hash(&|hasher| _ = self.records.feed_key(hasher, at))
            }
        }
    }

    /// Whether there is an entry that `wanted` accepts by its location. If this returns true, the bytes of records that
    /// `wanted` has read were valid.
    #[inline(always)]
    pub(super) fn find(&self, hash: KeyHash, wanted: impl Fn(RecordLocation) -> bool) -> bool {
        let wanted = |entry: &Indirect| wanted(RecordLocation::from(*entry));
        self.table.get(hash, wanted, |_| MaybeUninit::new(())).is_some()
    }

    /// Applies `decide` to the location of the entry that `wanted` accepts, and makes the change that it returns.
    /// Retries until nothing has changed between the lookup and the lock of the bin. Returns the location before, and
    /// the applied decision.
    #[inline(always)]
    pub(super) fn alter(
        &self,
        hash: KeyHash,
        wanted: impl Fn(RecordLocation) -> bool,
        decide: impl FnMut(Option<RecordLocation>) -> EntryChange<Indirect, ()>,
    ) -> Result<Altered<Indirect, (), Indirect>, Failure> {
        self.alter_and_note(hash, wanted, decide, &Cell::new(false))
    }

    /// As `alter`. `is_stored` is set once a new entry is stored, also if the user's hasher panics afterwards: only
    /// then does the table grow and hash its entries.
    #[inline(always)]
    pub(super) fn alter_and_note(
        &self,
        hash: KeyHash,
        wanted: impl Fn(RecordLocation) -> bool,
        mut decide: impl FnMut(Option<RecordLocation>) -> EntryChange<Indirect, ()>,
        is_stored: &Cell<bool>,
    ) -> Result<Altered<Indirect, (), Indirect>, Failure> {
        let wanted = |entry: &Indirect| wanted(RecordLocation::from(*entry));
        let decide =
            |found: Option<&Indirect>| decide(found.map(|entry| RecordLocation::from(*entry)));
        let backoff = Backoff::spinning();
        let rehash = self.rehash(is_stored);
        let altered = self.table.alter(hash, wanted, |entry| entry.key(), rehash, backoff, decide);
        is_stored.set(matches!(altered, Ok((_, EntryChange::Entry(..)))));
        altered
    }

    /// Makes the entry that refers to `from`, as opened in `generation`, refer to `to`.
    pub(super) fn redirect(
        &self,
        hash: KeyHash,
        from: RecordLocation,
        generation: usize,
        to: RecordLocation,
    ) -> bool {
        let decide = |found: Option<RecordLocation>| match found {
            // In another generation the segment was swept, and another record has this location.
            Some(_) if self.records.generation(from) == generation => {
                EntryChange::Entry(to.entry(), ())
            }
            _ => EntryChange::Keep,
        };
        let redirected = self.alter(hash, |at| at == from, decide);
        matches!(redirected, Ok((_, EntryChange::Entry(..))))
    }

    /// Makes the entry that refers to `top` refer to `to`, and counts its old chain as dead. Returns the old chain,
    /// or `None` if the entry has changed.
    pub(super) fn replace_chain(
        &self,
        hash: KeyHash,
        top: RecordLocation,
        to: RecordLocation,
    ) -> Option<Chain> {
        let mut chain = Chain::default();
        let decide = |found: Option<RecordLocation>| {
            if found.is_none() {
                return EntryChange::Keep;
            }
            self.records.chain_into(top, &mut chain);
            EntryChange::Entry(to.entry(), ())
        };
        let done = self.alter(hash, |at| at == top, decide);
        let replaced = matches!(done, Ok((_, EntryChange::Entry(..))));
        replaced.then(|| {
            self.records.drop_chain(&chain);
            chain
        })
    }

    /// Removes the entry that `wanted` accepts, and counts its chain as dead. `chain`, empty at first, is then that
    /// chain. Returns whether there was an entry.
    pub(super) fn unlink(
        &self,
        hash: KeyHash,
        wanted: impl Fn(RecordLocation) -> bool,
        chain: &mut Chain,
    ) -> bool {
        let decide = |found: Option<RecordLocation>| {
            let Some(top) = found else { return EntryChange::Keep };
            self.records.chain_into(top, chain);
            EntryChange::Remove
        };
        let done = self.alter(hash, wanted, decide);
        let removed = matches!(done, Ok((Some(_), EntryChange::Remove)));
        if removed {
            self.records.drop_chain(chain);
        }
        removed
    }

    /// Whether an entry refers to this record, directly or through the records above it.
    pub(super) fn is_linked(&self, hash: KeyHash, at: RecordLocation) -> bool {
        self.find(hash, |top| self.records.leads_to(top, at))
    }

    /// Links `to` instead of `from`, wherever in its chain that is, and counts `from` as dead. Returns false if `from`
    /// is not linked.
    pub(super) fn relink(&self, hash: KeyHash, from: RecordLocation, to: RecordLocation) -> bool {
        let wanted = |entry: &Indirect| self.records.leads_to(RecordLocation::from(*entry), from);
        let done = self.table.update(hash, wanted, |top| {
            let mut above = RecordLocation::from(top);
            if above == from {
                return Some(to.entry());
            }
            // The entry stays; the record above `from` gets another link. The bin's lock protects it.
            while let Some(below) = self.records.below(above) {
                if below == from {
                    self.records.set_below(above, to);
                    break;
                }
                above = below;
            }
            None
        });
        if done {
            self.records.drop_record(from);
        }
        done
    }

    /// Links the copy `to` instead of `from`, and counts the one of the two that is unlinked afterwards as dead.
    pub(super) fn relocate(&self, hash: KeyHash, from: RecordLocation, to: RecordLocation) {
        if !self.relink(hash, from, to) {
            self.records.drop_record(to);
        }
    }

    /// Copies the chain of the entry that `wanted` accepts.
    pub(super) fn copy_chain(
        &self,
        hash: KeyHash,
        wanted: impl Fn(RecordLocation) -> bool,
    ) -> Option<CopiedChain> {
        let chain = RefCell::new(CopiedChain::default());
        let found = self.find(hash, |at| {
            let found = wanted(at);
            if found {
                self.records.copy_chain(at, &mut chain.borrow_mut());
            }
            found
        });
        found.then(|| chain.into_inner())
    }

    /// Copies the entries of the bin at `position`, consistent as of a single point in time. Returns the next position.
    pub(super) fn copy_bin(
        &self,
        position: WalkPosition,
        into: &mut Vec<EntryCopy>,
    ) -> Option<WalkPosition> {
        self.table.follow(position, |entry| {
            // `None` begins another attempt: the bin changed during the last one.
            let Some(entry) = entry else { return into.clear() };
            let top = RecordLocation::from(entry);
            let mut chain = CopiedChain::default();
            self.records.copy_chain(top, &mut chain);
            into.push(EntryCopy { key: self.records.key(top), chain });
        })
    }

    /// Returns the location that the key's entry refers to.
    #[cfg(all(test, not(hedgerow_shuttle)))]
    pub(super) fn top(&self, key: &[u8]) -> Option<RecordLocation> {
        let wanted = |entry: &Indirect| self.records.has_key(RecordLocation::from(*entry), key);
        self.table.get(self.hash(key), wanted, |entry| entry.key()).map(RecordLocation::from)
    }
}
