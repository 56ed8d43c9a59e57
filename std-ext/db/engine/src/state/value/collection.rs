//! What the values of other types than string have in common: how they are stored, and changed.
//!
//! A short one is packed in its record; each change copies it, as a change of a short string does. A longer one is a
//! [tree](super::super::tree), which versions share. It stays one, also if it becomes short again.
//!
//! The trees of hashes and sets are in the order of a hash of the name; that of a list is in the list's order, and its
//! keys are empty. That of a sorted set has each member twice: see [`super::sorted_set`]. That of a
//! stream is in the order of the names: see [`super::stream`].

use super::{scored_entry, time_entry};
use crate::request::{OwnedValue, Packed, Packer, ValueType};
use crate::state::encoding_limits::SharedEncodingLimits;
use crate::state::tree::{Edit, Key, Tree, TreePart, TreeView};
use std::marker::PhantomData;
use xxhash_rust::xxh3::xxh3_64;

/// The longest packed value, in bytes, and the most entries of one. A search reads all of it, and each change copies
/// it.
pub(crate) const LONGEST_PACKED: usize = 8 << 10;
const MOST_PACKED: usize = 512;
/// A part of a long value ends once it has this many bytes.
const PART: usize = 64 << 10;
/// Bytes of a tree's key before the name, in the tree of a hash or a set.
pub(super) const PREFIX: usize = size_of::<u32>();

/// A value of another type than string as a record stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collection<'a> {
    /// The value itself: at most [`LONGEST_PACKED`] bytes.
    Packed(Packed<'a>),
    /// A tree.
    Tree(CollectionTree<'a>),
}

/// The tree of a value. The record that has it lives as long, so nobody changes or frees this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollectionTree<'a> {
    tree: Tree,
    is_table: bool,
    /// The first time at which a field of a hash expires; 0 if none does.
    next_time: u64,
    _record: PhantomData<&'a ()>,
}

impl<'a> CollectionTree<'a> {
    /// Returns the tree of a record.
    ///
    /// # Safety
    /// The version is neither changed nor freed during `'a`.
    pub(crate) unsafe fn new(tree: Tree, is_table: bool) -> Self {
        Self { tree, is_table, next_time: 0, _record: PhantomData }
    }

    /// Says that a field of the hash expires, and none before this time.
    pub(crate) fn with_next_time(self, next_time: u64) -> Self {
        Self { next_time, ..self }
    }

    #[inline]
    pub(crate) fn next_time(self) -> Option<u64> {
        (self.next_time != 0).then_some(self.next_time)
    }

    pub(crate) fn tree(self) -> Tree {
        self.tree
    }

    pub(crate) fn is_table(self) -> bool {
        self.is_table
    }

    /// Visits the entries from an index on, as [`Collection::visit`].
    fn visit_from(
        self,
        value_type: ValueType,
        from: usize,
        each: &mut dyn FnMut(&'a [u8], &'a [u8]) -> bool,
    ) {
        let view = self.view();
        let _ = match value_type {
            ValueType::List => view.iter_from_nth(from).all(|(_, element)| each(element, b"")),
            ValueType::Stream => view.iter_from_nth(from).all(|(name, value)| each(name, value)),
            ValueType::SortedSet => scored_entry::entries_from(view, from)
                .all(|entry| each(scored_entry::member(entry), scored_entry::stored_score(entry))),
            _ => {
                let mut entries = view.iter_range(from, Collection::Tree(self).len(value_type));
                entries.all(|(key, value)| each(&key[PREFIX..], value))
            }
        };
    }

    /// Returns the part of the value that begins at an index, of some `most` bytes or one entry, and the index of the
    /// next part, if there is one.
    fn part(self, value_type: ValueType, from: usize, most: usize) -> (Packer, Option<usize>) {
        let mut packer = Packer::new(value_type);
        let has_times = self.next_time != 0;
        if has_times {
            packer = packer.with_times();
        }
        packer.set_form(true, self.is_table);
        if from > 0 {
            packer = packer.continuing();
        }
        let (mut at, mut next) = (from, None);
        self.visit_from(value_type, from, &mut |name, value| {
            let bytes = packer.packed().bytes().len();
            if at > from && bytes + name.len() + value.len() > most {
                next = Some(at);
                return false;
            }
            if has_times {
                packer.push_timed(name, value, self.time_of(name));
            } else {
                packer.push(name, value);
            }
            at += 1;
            true
        });
        (packer, next)
    }

    /// Returns a part of some 64 KiB that begins at an index, as [`Collection::each_part`] has it, and the index of the
    /// next one.
    pub(crate) fn owned_part(
        self,
        value_type: ValueType,
        from: usize,
    ) -> (OwnedValue, Option<usize>) {
        let (part, next) = self.part(value_type, from, PART);
        (part.into_owned(), next)
    }

    #[inline]
    pub(super) fn view(self) -> TreeView<'a> {
        // SAFETY: by the contract of `new`.
        unsafe { self.tree.view() }
    }
}

/// Returns the number by which a tree orders a name.
#[inline]
pub(super) fn order(name: &[u8]) -> u32 {
    (xxh3_64(name) >> 32) as u32
}

/// Returns the key of a name in the tree of a hash or a set.
#[inline]
pub(super) fn key(name: &[u8]) -> Key<'_> {
    // The last number is that of the entries about times: see `field_times`.
    Key::new(&order(name).min(u32::MAX - 1).to_be_bytes(), name)
}

impl<'a> Collection<'a> {
    /// Returns the first time at which a field of a hash expires.
    #[inline]
    pub(crate) fn next_time(self) -> Option<u64> {
        match self {
            Self::Packed(packed) => packed.next_time(),
            Self::Tree(tree) => tree.next_time(),
        }
    }

    /// Returns whether Redis would store it in its larger form.
    pub(super) fn is_table(self) -> bool {
        match self {
            Self::Packed(packed) => packed.is_table(),
            Self::Tree(tree) => tree.is_table,
        }
    }

    /// Returns the number of entries.
    #[inline]
    pub(super) fn len(self, value_type: ValueType) -> usize {
        match self {
            Self::Packed(packed) => packed.len(),
            Self::Tree(tree) if tree.next_time != 0 => time_entry::fields(tree.view()),
            Self::Tree(tree) => tree_len(tree.tree, value_type),
        }
    }

    /// Calls `each` with all names and their values, until it returns false. A list and a sorted set are visited in
    /// their order.
    pub(super) fn visit(
        self,
        value_type: ValueType,
        each: &mut dyn FnMut(&'a [u8], &'a [u8]) -> bool,
    ) {
        match self {
            Self::Packed(packed) => _ = packed.iter().all(|(name, value)| each(name, value)),
            Self::Tree(tree) => tree.visit_from(value_type, 0, each),
        }
    }

    /// Visits some `count` names from a cursor on, of the tree of a hash or a set. Returns the next cursor, 0 at the
    /// end. A name that stays is visited exactly once: the cursor is a place in the order of the tree; all of a packed
    /// value is visited at once.
    pub(super) fn scan(
        self,
        cursor: u64,
        count: usize,
        each: &mut dyn FnMut(&'a [u8], &'a [u8]),
    ) -> u64 {
        let tree = match self {
            Self::Packed(packed) => {
                packed.iter().for_each(|(name, value)| each(name, value));
                return 0;
            }
            Self::Tree(tree) => tree,
        };
        let Ok(from) = u32::try_from(cursor) else { return 0 };
        let (view, len) = (tree.view(), self.len(ValueType::Hash));
        let from_index = view.rank(Key::new(&from.to_be_bytes(), b"")).unwrap_or_else(|rank| rank);
        let entries = view.iter_range(from_index, len);
        scan_entries(entries, (from, count), each)
    }

    /// Returns the approximate bytes that it takes in the log or in a dump.
    pub(super) fn stored_bytes(self) -> usize {
        match self {
            Self::Packed(packed) => packed.bytes().len(),
            // The footprint, which is more.
            Self::Tree(tree) => tree.tree.bytes() as usize,
        }
    }

    /// Calls `with` with the whole value, and returns the result. Copies a tree.
    pub(super) fn with_packed<R>(
        self,
        value_type: ValueType,
        with: impl FnOnce(Packed<'_>) -> R,
    ) -> R {
        match self {
            Self::Packed(packed) => with(packed),
            Self::Tree(tree) => with(tree.part(value_type, 0, usize::MAX).0.packed()),
        }
    }

    /// Calls `each` with the value, in parts of some 64 KiB or one entry.
    pub(super) fn each_part(self, value_type: ValueType, each: &mut dyn FnMut(Packed<'_>)) {
        let tree = match self {
            Self::Packed(packed) => return each(packed),
            Self::Tree(tree) => tree,
        };
        let mut from = Some(0);
        while let Some(index) = from {
            let (part, next) = tree.part(value_type, index, PART);
            each(part.packed());
            from = next;
        }
    }
}

/// Visits some `count` of the names that a tree orders by a number, from a number on. Returns the number of the next
/// one, 0 at the end.
pub(super) fn scan_entries<'a>(
    entries: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    (from, count): (u32, usize),
    each: &mut dyn FnMut(&'a [u8], &'a [u8]),
) -> u64 {
    let (mut visited, mut last) = (0, from);
    for (key, value) in entries {
        let (prefix, name) = key.split_first_chunk().expect("each key begins with a number");
        let place = u32::from_be_bytes(*prefix);
        // Names of one number are visited together: a cursor cannot point between them.
        if visited >= count && place != last {
            return place.into();
        }
        each(name, value);
        (visited, last) = (visited + 1, place);
    }
    0
}

/// Returns the number of entries of a value that a tree stores.
fn tree_len(tree: Tree, value_type: ValueType) -> usize {
    // A sorted set has each member twice.
    tree.entries() as usize / if value_type == ValueType::SortedSet { 2 } else { 1 }
}

/// A value that is being changed. Each type has its own changes, in its file.
pub(crate) struct CollectionEdit<'e> {
    pub(crate) value_type: ValueType,
    pub(super) form: Form,
    pub(super) is_table: bool,
    /// Whether the tree may have entries about times.
    pub(super) has_times: bool,
    limits: &'e SharedEncodingLimits,
    window: &'e mut dyn FnMut() -> u64,
    /// Parts of the version before that this one does not have.
    replaced: Vec<TreePart>,
}

/// How the changed value is stored.
pub(crate) enum Form {
    Packed(Packer),
    Tree(Tree),
}

impl<'e> CollectionEdit<'e> {
    /// Begins with a value, or an empty one, in a buffer. `window` returns the number of the present window.
    ///
    /// # Safety
    /// The value is the newest version, and its nodes are of windows before the present one, or of that one and not
    /// published.
    pub(crate) unsafe fn new(
        value_type: ValueType,
        before: Option<Collection<'_>>,
        limits: &'e SharedEncodingLimits,
        window: &'e mut dyn FnMut() -> u64,
        buffer: &mut Vec<u8>,
    ) -> Self {
        let is_table = before.is_some_and(Collection::is_table);
        let form = match before {
            None => Form::Packed(Packer::in_buffer(value_type, std::mem::take(buffer))),
            Some(Collection::Packed(packed)) => {
                Form::Packed(Packer::copy(packed, std::mem::take(buffer)))
            }
            Some(Collection::Tree(tree)) => Form::Tree(tree.tree),
        };
        let has_times = before
            .is_some_and(|before| matches!(before, Collection::Tree(tree) if tree.next_time != 0));
        Self { value_type, form, is_table, has_times, limits, window, replaced: Vec::new() }
    }

    /// Returns the number of entries.
    pub(crate) fn len(&self) -> usize {
        match &self.form {
            Form::Packed(packer) => packer.packed().len(),
            // SAFETY: the version is neither changed nor freed here.
            Form::Tree(tree) if self.has_times => time_entry::fields(unsafe { tree.view() }),
            Form::Tree(tree) => tree_len(*tree, self.value_type),
        }
    }

    /// Calls `with` with the tree and where a change of it is made, if the value is a tree.
    pub(super) fn in_tree<R>(
        &mut self,
        with: impl FnOnce(&mut Tree, &mut Edit<'_>) -> R,
    ) -> Option<R> {
        let Form::Tree(tree) = &mut self.form else { return None };
        let mut edit = Edit { window: (self.window)(), replaced: &mut self.replaced };
        Some(with(tree, &mut edit))
    }

    /// Adds the entries of a stored value, and stores them as it was. The names of a whole one are different.
    pub(crate) fn add(&mut self, value: Packed<'_>) {
        if value.is_tree() {
            self.make_tree();
        }
        match &mut self.form {
            Form::Packed(packer)
                if packer.packed().is_empty() && !value.continues() && is_short(value) =>
            {
                *packer = Packer::copy(
                    value,
                    std::mem::replace(packer, Packer::new(self.value_type)).into_buffer(),
                );
                self.is_table |= self.limits.is_packed_table(value);
            }
            _ if value.has_times() => self.add_timed(value),
            _ => value.iter().for_each(|(name, value)| self.add_entry(name, value)),
        }
        self.is_table |= value.is_table();
    }

    pub(crate) fn add_entry(&mut self, name: &[u8], value: &[u8]) {
        match self.value_type {
            ValueType::List => self.splice(self.len(), 0, &[name]),
            ValueType::Set => _ = self.add_member(name),
            ValueType::SortedSet => self.store_score(name, value),
            ValueType::Stream => self.put_in_order(name, value),
            ValueType::Hash | ValueType::String => _ = self.set_field(name, value),
        }
    }

    /// Removes a name. Returns whether it was there.
    pub(crate) fn remove(&mut self, name: &[u8]) -> bool {
        if self.value_type == ValueType::SortedSet {
            return self.remove_scored(name);
        }
        if self.value_type == ValueType::Stream {
            return self.remove_in_order(name);
        }
        match &mut self.form {
            Form::Packed(packer) => packer.remove(name),
            Form::Tree(_) => {
                if self.has_times {
                    self.set_time(name, 0);
                }
                // SAFETY: by the contract of `new`.
                self.in_tree(|tree, edit| unsafe { tree.remove(edit, key(name)) }) == Some(true)
            }
        }
    }

    /// Stores a name in the tree of a hash or a set. Returns whether it was missing.
    pub(super) fn put_in_tree(&mut self, name: &[u8], value: &[u8]) -> bool {
        // SAFETY: by the contract of `new`.
        let inserted = self.in_tree(|tree, edit| unsafe { tree.insert(edit, key(name), value) });
        // 2^32 entries take more memory than any machine that this has run on; one more is not stored.
        inserted.is_some_and(|inserted| inserted.unwrap_or(false))
    }

    /// Notes that an entry was stored: Redis may store the value in its larger form now, and a packed value that has
    /// become long is a tree from now on.
    #[inline]
    pub(super) fn note_stored(&mut self, name: &[u8], value: &[u8]) {
        self.is_table |= self.limits.is_table(self.value_type, self.len(), (name, value));
        self.limit_packed();
    }

    /// Returns whether Redis would store the value in its larger form, once this name was stored.
    pub(super) fn will_be_table(&self, name: &[u8], is_new: bool) -> bool {
        let entries = self.len() + usize::from(is_new);
        self.is_table || is_new && self.limits.is_table(self.value_type, entries, (name, b""))
    }

    pub(super) fn limit_packed(&mut self) {
        if let Form::Packed(packer) = &self.form
            && !is_short(packer.packed())
        {
            self.make_tree();
        }
    }

    fn make_tree(&mut self) {
        let Form::Packed(packer) = &mut self.form else { return };
        let packer = std::mem::replace(packer, Packer::new(self.value_type));
        self.form = Form::Tree(Tree::new((self.window)()));
        if packer.packed().has_times() {
            return self.add_timed(packer.packed());
        }
        for (name, value) in packer.packed().iter() {
            self.add_entry(name, value);
        }
    }

    /// Returns the changed value; whether Redis would store it in its larger form, and the first time at which a field
    /// expires, 0 if none does; and what it does not have of the version before.
    pub(crate) fn finish(self) -> (Form, (bool, u64), Vec<TreePart>) {
        let next_time = self.next_time().unwrap_or(0);
        let Self { mut form, is_table, replaced, .. } = self;
        if let Form::Packed(packer) = &mut form {
            packer.set_form(false, is_table);
            if next_time == 0 {
                packer.set_timed(false);
            }
        }
        (form, (is_table, next_time), replaced)
    }
}

fn is_short(packed: Packed<'_>) -> bool {
    packed.len() <= MOST_PACKED && packed.bytes().len() <= LONGEST_PACKED
}
