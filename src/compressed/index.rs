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
use super::record::{Head, Location};
use super::records::{Chain, CopiedChain, Records};
use crate::api::failure::Failure;
use crate::api::hash::KeyHash;
use crate::api::hasher::{DefaultHashBuilder, mixes_well};
use crate::sync::backoff::Backoff;
use crate::sync::words::Indirect;
use crate::table::Table;
use crate::table::walk::Position;
use crate::table::write::{Altered, Change};
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::hash::{BuildHasher, Hasher};
use core::mem::MaybeUninit;

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
    pub(super) fn only_record(&self) -> Option<(Head, &[u8])> {
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
            self.hash_of(Location::from(*entry))
        }
    }

    /// Returns the hash of the key of a stored record; an arbitrary hash if the record is changing.
    pub(super) fn hash_of(&self, at: Location) -> KeyHash {
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
    pub(super) fn find(&self, hash: KeyHash, wanted: impl Fn(Location) -> bool) -> bool {
        let wanted = |entry: &Indirect| wanted(Location::from(*entry));
        self.table.get(hash, wanted, |_| MaybeUninit::new(())).is_some()
    }

    /// Applies `decide` to the location of the entry that `wanted` accepts, and makes the change that it returns.
    /// Retries until nothing has changed between the lookup and the lock of the bin. Returns the location before, and
    /// the applied decision.
    #[inline(always)]
    pub(super) fn alter(
        &self,
        hash: KeyHash,
        wanted: impl Fn(Location) -> bool,
        decide: impl FnMut(Option<Location>) -> Change<Indirect, ()>,
    ) -> Result<Altered<Indirect, (), Indirect>, Failure> {
        self.alter_and_note(hash, wanted, decide, &Cell::new(false))
    }

    /// As `alter`. `is_stored` is set once a new entry is stored, also if the user's hasher panics afterwards: only
    /// then does the table grow and hash its entries.
    #[inline(always)]
    pub(super) fn alter_and_note(
        &self,
        hash: KeyHash,
        wanted: impl Fn(Location) -> bool,
        mut decide: impl FnMut(Option<Location>) -> Change<Indirect, ()>,
        is_stored: &Cell<bool>,
    ) -> Result<Altered<Indirect, (), Indirect>, Failure> {
        let wanted = |entry: &Indirect| wanted(Location::from(*entry));
        let decide = |found: Option<&Indirect>| decide(found.map(|entry| Location::from(*entry)));
        let backoff = Backoff::spinning();
        let rehash = self.rehash(is_stored);
        let altered = self.table.alter(hash, wanted, |entry| entry.key(), rehash, backoff, decide);
        is_stored.set(matches!(altered, Ok((_, Change::Entry(..)))));
        altered
    }

    /// Makes the entry that refers to `from`, as opened in `generation`, refer to `to`.
    pub(super) fn redirect(
        &self,
        hash: KeyHash,
        from: Location,
        generation: usize,
        to: Location,
    ) -> bool {
        let decide = |found: Option<Location>| match found {
            // In another generation the segment was swept, and another record has this location.
            Some(_) if self.records.generation(from) == generation => Change::Entry(to.entry(), ()),
            _ => Change::Keep,
        };
        let redirected = self.alter(hash, |at| at == from, decide);
        matches!(redirected, Ok((_, Change::Entry(..))))
    }

    /// Makes the entry that refers to `top` refer to `to`, and counts its old chain as dead. Returns the old chain,
    /// or `None` if the entry has changed.
    pub(super) fn replace_chain(
        &self,
        hash: KeyHash,
        top: Location,
        to: Location,
    ) -> Option<Chain> {
        let mut chain = Chain::default();
        let decide = |found: Option<Location>| {
            if found.is_none() {
                return Change::Keep;
            }
            self.records.chain_into(top, &mut chain);
            Change::Entry(to.entry(), ())
        };
        let done = self.alter(hash, |at| at == top, decide);
        let replaced = matches!(done, Ok((_, Change::Entry(..))));
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
        wanted: impl Fn(Location) -> bool,
        chain: &mut Chain,
    ) -> bool {
        let decide = |found: Option<Location>| {
            let Some(top) = found else { return Change::Keep };
            self.records.chain_into(top, chain);
            Change::Remove
        };
        let done = self.alter(hash, wanted, decide);
        let removed = matches!(done, Ok((Some(_), Change::Remove)));
        if removed {
            self.records.drop_chain(chain);
        }
        removed
    }

    /// Whether an entry refers to this record, directly or through the records above it.
    pub(super) fn is_linked(&self, hash: KeyHash, at: Location) -> bool {
        self.find(hash, |top| self.records.leads_to(top, at))
    }

    /// Links `to` instead of `from`, wherever in its chain that is, and counts `from` as dead. Returns false if `from`
    /// is not linked.
    pub(super) fn relink(&self, hash: KeyHash, from: Location, to: Location) -> bool {
        let wanted = |entry: &Indirect| self.records.leads_to(Location::from(*entry), from);
        let done = self.table.amend(hash, wanted, |top| {
            let mut above = Location::from(top);
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
    pub(super) fn relocate(&self, hash: KeyHash, from: Location, to: Location) {
        if !self.relink(hash, from, to) {
            self.records.drop_record(to);
        }
    }

    /// Copies the chain of the entry that `wanted` accepts.
    pub(super) fn copy_chain(
        &self,
        hash: KeyHash,
        wanted: impl Fn(Location) -> bool,
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
        position: Position,
        into: &mut Vec<EntryCopy>,
    ) -> Option<Position> {
        self.table.follow(position, |entry| {
            // `None` begins another attempt: the bin changed during the last one.
            let Some(entry) = entry else { return into.clear() };
            let top = Location::from(entry);
            let mut chain = CopiedChain::default();
            self.records.copy_chain(top, &mut chain);
            into.push(EntryCopy { key: self.records.key(top), chain });
        })
    }

    /// Returns the location that the key's entry refers to.
    #[cfg(all(test, not(hedgerow_shuttle)))]
    pub(super) fn top(&self, key: &[u8]) -> Option<Location> {
        let wanted = |entry: &Indirect| self.records.has_key(Location::from(*entry), key);
        self.table.get(self.hash(key), wanted, |entry| entry.key()).map(Location::from)
    }
}
