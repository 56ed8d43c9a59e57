//! Look-ups. They take no lock, and write nothing that another thread waits for.
//!
//! From the key's bin to what its entry leads to; the bytes are copied while they may be changing, and the bin's
//! state is looked at once more before anybody believes them ([CM-1]). Only then are they decompressed.

use super::codec::Corrupt;
use super::record::{Head, Location};
use super::segment::Scratch;
use super::store::{CHAIN, Store};
use crate::bins::tags::Hash;
use crate::sync::backoff::Backoff;
use crate::sync::words::{Afar, WORD};
use crate::table::write::Change;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::mem::MaybeUninit;

/// Stored bytes that are copied to the stack; longer ones need memory.
const ON_STACK: usize = if usize::BITS == 64 { 1024 } else { 192 };
const STACK_WORDS: usize = ON_STACK / WORD + 2;

/// A record that a look-up has found.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub(super) at: Location,
    pub(super) generation: usize,
    pub(super) head: Head,
    /// Whether its stored bytes were copied.
    copied: bool,
}

impl Found {
    fn none() -> Self {
        Self { at: Location::NONE, generation: 0, head: Head::raw(0, 0), copied: false }
    }
}

/// A key's value, folded, and what its entry led to.
pub(super) struct Resolved {
    pub(super) top: Location,
    pub(super) generation: usize,
    pub(super) value: Vec<u8>,
}

/// The records of a chain, copied one after the other.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) top: usize,
    generation: usize,
    links: Vec<(Head, usize)>,
    bytes: Vec<u8>,
}

impl Gathered {
    /// The only record, if it is one of a value.
    pub(super) fn alone(&self) -> Option<(Head, &[u8])> {
        match &self.links[..] {
            &[(head, from)] if !head.is_operand() => Some((head, &self.bytes[from..])),
            _ => None,
        }
    }
}

impl Store {
    /// The key's topmost record; its stored bytes are copied to `scratch` if there is room.
    #[inline(always)]
    fn find(&self, hash: Hash, key: &[u8], scratch: Option<&Scratch<'_>>) -> Option<Found> {
        let found = Cell::new(Found::none());
        let look = |afar: &Afar| self.look(Location::from(*afar), key, scratch, &found);
        self.table.get(hash, look, |_| MaybeUninit::new(()))?;
        Some(found.get())
    }

    /// Whether a record is the key's; what it says, if it is. All of it may be changing.
    #[inline(always)]
    fn look(
        &self,
        at: Location,
        key: &[u8],
        scratch: Option<&Scratch<'_>>,
        found: &Cell<Found>,
    ) -> bool {
        let Some((segment, start)) = self.place(at) else { return false };
        let Some((head, len)) = segment.head(start) else { return false };
        if head.key != key.len() || !segment.equals(start + len, key) {
            return false;
        }
        let copied = scratch
            .is_some_and(|scratch| segment.copy(start + len + head.key, head.stored, scratch));
        found.set(Found { at, generation: segment.generation(), head, copied });
        true
    }

    pub(super) fn contains(&self, key: &[u8]) -> bool {
        let hash = self.hash(key);
        self.find(hash, key, None).inspect(|found| self.touch(found.at)).is_some()
    }

    fn touch(&self, at: Location) {
        if let Some(segment) = self.pool.segment(self.shape().segment(at)) {
            segment.touch(self.shape().offset(at));
        }
    }

    /// Shows a key's topmost record to `give`, or the value that was folded. What `plain` then tells to be the value
    /// of a cold record may become hot, which takes a segment only if `may_allocate` says so.
    #[inline(always)]
    pub(super) fn with<R>(
        &self,
        key: &[u8],
        give: impl FnOnce(Head, &[u8]) -> R,
        plain: impl FnOnce(&R) -> Option<&[u8]>,
        may_allocate: bool,
    ) -> Option<R> {
        let hash = self.hash(key);
        let mut room = [const { MaybeUninit::uninit() }; STACK_WORDS];
        let mut scratch = Scratch::new(&mut room);
        let found = self.find(hash, key, Some(&scratch))?;
        if !found.copied || found.head.is_operand() {
            return self.with_effort(hash, key, found, give);
        }
        let given = give(found.head, scratch.bytes());
        if found.at.is_over() {
            self.touch(found.at);
            self.hits.add(1);
        } else {
            self.misses.add(1);
            if let Some(plain) = plain(&given) {
                self.was_read_cold(hash, key, found, plain, may_allocate);
            }
        }
        Some(given)
    }

    /// As `with`, of what is long or has to be folded.
    #[cold]
    fn with_effort<R>(
        &self,
        hash: Hash,
        key: &[u8],
        mut found: Found,
        give: impl FnOnce(Head, &[u8]) -> R,
    ) -> Option<R> {
        let mut words = Vec::new();
        loop {
            if found.head.is_operand() {
                let resolved = self.resolve(hash, |at| self.is_of(at, key), key)?;
                // What cannot be folded is shown as what cannot be decompressed.
                let Ok(Resolved { value, .. }) = resolved else {
                    let head = Head { kind: u8::MAX >> 1, key: 0, stored: 0, plain: 1 };
                    return Some(give(head, &[]));
                };
                return Some(give(Head::raw(key.len(), value.len()), &value));
            }
            words.resize(Scratch::words_for(found.head.stored) + 1, MaybeUninit::uninit());
            let mut scratch = Scratch::new(&mut words);
            found = self.find(hash, key, Some(&scratch))?;
            if found.copied && !found.head.is_operand() {
                self.touch(found.at);
                if found.at.is_over() {
                    self.hits.add(1)
                } else {
                    self.misses.add(1)
                };
                return Some(give(found.head, scratch.bytes()));
            }
        }
    }

    /// A cold record was read: the second time, or while there is room, it becomes hot.
    fn was_read_cold(
        &self,
        hash: Hash,
        key: &[u8],
        found: Found,
        plain: &[u8],
        may_allocate: bool,
    ) {
        let Some((segment, offset)) = self.place(found.at) else { return };
        let again = segment.touch(offset);
        if again || !self.is_scarce() {
            self.admit(hash, key, found, plain, may_allocate);
        }
    }

    /// Puts a plain copy on a cold record, if that is still what the entry leads to. Waits for nobody.
    fn admit(&self, hash: Hash, key: &[u8], found: Found, plain: &[u8], may_allocate: bool) {
        let head = Head::raw(key.len(), plain.len());
        let size = head.record(true);
        // No record that fills a good part of a segment: it would push out too much.
        if size > self.shape().room() / 4 {
            return;
        }
        let Some(at) = self.try_append_hot(found.at, head, key, plain, may_allocate) else {
            if may_allocate {
                self.sweep_some(2 * size);
            }
            return;
        };
        let swung = self.swing(hash, found.at, found.generation, at);
        if !swung {
            self.drop_record(at);
        }
        if may_allocate && self.is_scarce() {
            self.sweep_some(2 * size);
        }
    }

    /// Lets the entry that leads to `from`, as it was opened in `generation`, lead to `to`.
    fn swing(&self, hash: Hash, from: Location, generation: usize, to: Location) -> bool {
        let same = |afar: &Afar| Location::from(*afar) == from;
        let decide = |found: Option<&Afar>| match found {
            // Else the segment was swept, and it is another record that lies there.
            Some(_) if self.generation(from) == generation => Change::Entry(to.afar(), ()),
            _ => Change::Keep,
        };
        let rehash = |afar: &Afar| self.rehash(*afar);
        let swung =
            self.table.alter(hash, same, |entry| entry.key(), rehash, Backoff::spinning(), decide);
        matches!(swung, Ok((_, Change::Entry(..))))
    }

    /// Copies a record that may be changing, and all that it lies on.
    pub(super) fn gather(&self, top: Location, into: &mut Gathered) {
        into.links.clear();
        into.bytes.clear();
        into.top = top.0;
        into.generation = self.generation(top);
        let mut at = Some(top);
        while let Some(here) = at.filter(|_| into.links.len() < CHAIN) {
            let Some((segment, start)) = self.place(here) else { return };
            let Some((head, len)) = segment.head(start) else { return };
            let from = into.bytes.len();
            into.bytes.resize(from + head.stored, 0);
            segment.copy_out(start + len + head.key, &mut into.bytes[from..]);
            into.links.push((head, from));
            // Below a plain record lies a compressed one of the same value.
            at = if head.is_operand() { self.below(here) } else { None };
        }
    }

    /// The value of the entry that `wanted` knows by what it leads to.
    pub(super) fn resolve(
        &self,
        hash: Hash,
        wanted: impl Fn(Location) -> bool + Copy,
        key: &[u8],
    ) -> Option<Result<Resolved, Corrupt>> {
        let gathered = RefCell::new(Gathered::default());
        let look = |afar: &Afar| {
            let at = Location::from(*afar);
            let found = wanted(at);
            if found {
                self.gather(at, &mut gathered.borrow_mut());
            }
            found
        };
        self.table.get(hash, look, |_| MaybeUninit::new(()))?;
        let gathered = gathered.into_inner();
        let value = self.fold(key, &gathered);
        let (top, generation) = (Location(gathered.top), gathered.generation);
        Some(value.map(|value| Resolved { top, generation, value }))
    }

    /// The value that a chain stands for.
    pub(super) fn fold(&self, key: &[u8], gathered: &Gathered) -> Result<Vec<u8>, Corrupt> {
        let stored = |&(head, from): &(Head, usize)| &gathered.bytes[from..from + head.stored];
        let operands: Vec<&[u8]> = {
            let operands = gathered.links.iter().rev().filter(|(head, _)| head.is_operand());
            operands.map(stored).collect()
        };
        let base = gathered.links.last().filter(|(head, _)| !head.is_operand());
        let mut value = None;
        if let Some(link) = base {
            let mut plain = vec![0; link.0.plain];
            self.models.expand(link.0, stored(link), &mut plain)?;
            value = Some(plain);
        }
        match (&self.merge, value) {
            (_, Some(value)) if operands.is_empty() => Ok(value),
            (Some(merge), value) => Ok(merge.merge(key, value.as_deref(), &operands)),
            (None, _) => Err(Corrupt),
        }
    }

    pub(super) fn get(&self, key: &[u8]) -> Option<Result<Vec<u8>, Corrupt>> {
        let give = |head: Head, stored: &[u8]| {
            if head.model().is_none() {
                return Ok(stored.to_vec());
            }
            let mut plain = vec![0; head.plain];
            self.models.expand(head, stored, &mut plain).map(|()| plain)
        };
        self.with(key, give, |plain| plain.as_deref().ok(), true)
    }
}
