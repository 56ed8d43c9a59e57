//! Hashes: how they are stored, read, and changed.
//!
//! A short hash is packed in its record, in the order in which its fields were added; each change copies it, as a
//! change of a short string does. A longer one is a [tree](super::super::tree) in the order of a hash of its fields,
//! which versions share. It stays one, also if it becomes short again.

use crate::request::{HashPacker, PackedHash};
use crate::state::encoding_limits::HashLimits;
use crate::state::tree::{Edit, Key, Tree, TreePart, TreeView};
use std::marker::PhantomData;
use xxhash_rust::xxh3::xxh3_64;

/// The longest packed hash, in bytes, and the most fields of one. A search reads all of it, and each change copies it.
pub(crate) const LONGEST_PACKED: usize = 8 << 10;
const MOST_PACKED: usize = 512;
/// A part of a long hash ends once it has this many bytes.
const PART: usize = 64 << 10;
/// Bytes of a tree's key before the field.
const PREFIX: usize = size_of::<u32>();

/// A hash as a record stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashValue<'a> {
    /// The hash itself: at most [`LONGEST_PACKED`] bytes.
    Packed(PackedHash<'a>),
    /// A tree.
    Tree(HashTree<'a>),
}

/// The tree of a hash. The record that has it lives as long, so nobody changes or frees this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashTree<'a> {
    tree: Tree,
    is_table: bool,
    _record: PhantomData<&'a ()>,
}

impl<'a> HashTree<'a> {
    /// Returns the tree of a record.
    ///
    /// # Safety
    /// The version is neither changed nor freed during `'a`.
    pub(crate) unsafe fn new(tree: Tree, is_table: bool) -> Self {
        Self { tree, is_table, _record: PhantomData }
    }

    pub(crate) fn tree(self) -> Tree {
        self.tree
    }

    pub(crate) fn is_table(self) -> bool {
        self.is_table
    }

    fn view(self) -> TreeView<'a> {
        // SAFETY: by the contract of `new`.
        unsafe { self.tree.view() }
    }
}

/// Returns the number by which a tree orders a field.
#[inline]
fn order(field: &[u8]) -> u32 {
    (xxh3_64(field) >> 32) as u32
}

#[inline]
fn key(field: &[u8]) -> Key<'_> {
    Key::new(&order(field).to_be_bytes(), field)
}

impl<'a> HashValue<'a> {
    /// Returns the number of fields.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            Self::Packed(hash) => hash.len(),
            Self::Tree(hash) => hash.view().len(),
        }
    }

    /// Returns whether Redis would store it as a table.
    pub fn is_table(self) -> bool {
        match self {
            Self::Packed(hash) => hash.is_table(),
            Self::Tree(hash) => hash.is_table,
        }
    }

    /// Returns the value of a field.
    #[inline]
    pub fn get(self, field: &[u8]) -> Option<&'a [u8]> {
        match self {
            Self::Packed(hash) => hash.get(field),
            Self::Tree(hash) => hash.view().get(key(field)),
        }
    }

    /// Returns the field of an index below the number of fields, and its value.
    pub(crate) fn nth(self, index: usize) -> Option<(&'a [u8], &'a [u8])> {
        match self {
            Self::Packed(hash) => hash.iter().nth(index),
            Self::Tree(hash) => hash.view().nth(index).map(|(key, value)| (&key[PREFIX..], value)),
        }
    }

    /// Calls `each` with all fields and their values, until it returns false.
    pub(crate) fn visit(self, each: &mut dyn FnMut(&'a [u8], &'a [u8]) -> bool) {
        match self {
            Self::Packed(hash) => {
                let _ = hash.iter().all(|(field, value)| each(field, value));
            }
            Self::Tree(hash) => {
                let _ = hash.view().iter().all(|(key, value)| each(&key[PREFIX..], value));
            }
        }
    }

    /// Visits some `count` fields from a cursor on. Returns the next cursor, 0 at the end. A field that stays is
    /// visited exactly once: the cursor is a place in the order of the tree; all of a packed hash is visited at once.
    pub(crate) fn scan(
        self,
        cursor: u64,
        count: usize,
        each: &mut dyn FnMut(&'a [u8], &'a [u8]),
    ) -> u64 {
        let Self::Tree(hash) = self else {
            self.visit(&mut |field, value| {
                each(field, value);
                true
            });
            return 0;
        };
        let Ok(from) = u32::try_from(cursor) else { return 0 };
        let (mut visited, mut last) = (0, from);
        for (key, value) in hash.view().iter_from(Key::new(&from.to_be_bytes(), b"")) {
            let (prefix, field) = key.split_first_chunk().expect("each key begins with a number");
            let place = u32::from_be_bytes(*prefix);
            // Fields of one number are visited together: a cursor cannot point between them.
            if visited >= count && place != last {
                return place.into();
            }
            each(field, value);
            (visited, last) = (visited + 1, place);
        }
        0
    }

    /// Returns the approximate bytes that it takes in the log or in a dump.
    pub(crate) fn stored_bytes(self) -> usize {
        match self {
            Self::Packed(hash) => hash.bytes().len(),
            // The footprint, which is more.
            Self::Tree(hash) => hash.tree.bytes() as usize,
        }
    }

    /// Calls `with` with the whole hash, and returns the result. Copies a tree.
    pub(crate) fn with_packed<R>(self, with: impl FnOnce(PackedHash<'_>) -> R) -> R {
        match self {
            Self::Packed(hash) => with(hash),
            Self::Tree(hash) => {
                let mut packer = HashPacker::new();
                self.visit(&mut |field, value| {
                    packer.push(field, value);
                    true
                });
                packer.set_form(true, hash.is_table);
                with(packer.packed())
            }
        }
    }

    /// Calls `each` with the hash, in parts of some 64 KiB or one field.
    pub(crate) fn each_part(self, each: &mut dyn FnMut(PackedHash<'_>)) {
        let hash = match self {
            Self::Packed(hash) => return each(hash),
            Self::Tree(hash) => hash,
        };
        let begin = || {
            let mut packer = HashPacker::new();
            packer.set_form(true, hash.is_table);
            packer
        };
        let (mut packer, mut is_first) = (begin(), true);
        self.visit(&mut |field, value| {
            let bytes = packer.packed().bytes().len();
            if bytes + field.len() + value.len() > PART && !packer.packed().is_empty() {
                each(packer.packed());
                (packer, is_first) = (begin().continuing(), false);
            }
            packer.push(field, value);
            true
        });
        if is_first || !packer.packed().is_empty() {
            each(packer.packed());
        }
    }
}

/// A hash that is being changed.
pub(crate) struct HashEdit<'e> {
    form: Form,
    is_table: bool,
    limits: HashLimits,
    window: &'e mut dyn FnMut() -> u64,
    /// Parts of the version before that this one does not have.
    pub(super) replaced: Vec<TreePart>,
}

/// How the changed hash is stored.
pub(crate) enum Form {
    Packed(HashPacker),
    Tree(Tree),
}

impl<'e> HashEdit<'e> {
    /// Begins with a hash, or an empty one, in a buffer. `window` returns the number of the present window.
    ///
    /// # Safety
    /// The hash is the newest version, and its nodes are of windows before the present one, or of that one and not
    /// published.
    pub(crate) unsafe fn new(
        hash: Option<HashValue<'_>>,
        limits: HashLimits,
        window: &'e mut dyn FnMut() -> u64,
        buffer: &mut Vec<u8>,
    ) -> Self {
        let is_table = hash.is_some_and(HashValue::is_table);
        let form = match hash {
            None => Form::Packed(HashPacker::in_buffer(std::mem::take(buffer))),
            Some(HashValue::Packed(hash)) => {
                Form::Packed(HashPacker::copy(hash, std::mem::take(buffer)))
            }
            Some(HashValue::Tree(hash)) => Form::Tree(hash.tree),
        };
        Self { form, is_table, limits, window, replaced: Vec::new() }
    }

    /// Returns the number of fields.
    pub(crate) fn len(&self) -> usize {
        match &self.form {
            Form::Packed(packer) => packer.packed().len(),
            Form::Tree(tree) => tree.entries() as usize,
        }
    }

    /// Stores a field. Returns whether it was missing.
    pub(crate) fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        let is_new = self.put(field, value);
        let is_long = field.len().max(value.len()) > self.limits.value;
        self.is_table |= is_long || self.len() > self.limits.entries;
        if let Form::Packed(packer) = &self.form {
            let packed = packer.packed();
            if packed.bytes().len() > LONGEST_PACKED || packed.len() > MOST_PACKED {
                self.make_tree();
            }
        }
        is_new
    }

    fn put(&mut self, field: &[u8], value: &[u8]) -> bool {
        match &mut self.form {
            Form::Packed(packer) => packer.set(field, value),
            Form::Tree(tree) => {
                let mut edit = Edit { window: (self.window)(), replaced: &mut self.replaced };
                // SAFETY: by the contract of `new`.
                let inserted = unsafe { tree.insert(&mut edit, key(field), value) };
                // 2^32 fields take more memory than any machine that this has run on; one more is not stored.
                inserted.unwrap_or(false)
            }
        }
    }

    /// Removes a field. Returns whether it was there.
    pub(crate) fn remove(&mut self, field: &[u8]) -> bool {
        match &mut self.form {
            Form::Packed(packer) => packer.remove(field),
            Form::Tree(tree) => {
                let mut edit = Edit { window: (self.window)(), replaced: &mut self.replaced };
                // SAFETY: by the contract of `new`.
                unsafe { tree.remove(&mut edit, key(field)) }
            }
        }
    }

    /// Adds the fields of a stored hash, and stores them as it was. Those of a whole hash are different.
    pub(crate) fn add(&mut self, hash: PackedHash<'_>) {
        if hash.is_tree() {
            self.make_tree();
        }
        match &mut self.form {
            Form::Packed(packer)
                if packer.packed().is_empty()
                    && !hash.continues()
                    && hash.len() <= MOST_PACKED
                    && hash.bytes().len() <= LONGEST_PACKED =>
            {
                *packer = HashPacker::copy(hash, std::mem::take(packer).into_buffer());
                let longest = hash.iter().map(|(field, value)| field.len().max(value.len())).max();
                self.is_table |= longest.is_some_and(|longest| longest > self.limits.value)
                    || hash.len() > self.limits.entries;
            }
            _ => hash.iter().for_each(|(field, value)| {
                self.set(field, value);
            }),
        }
        self.is_table |= hash.is_table();
    }

    fn make_tree(&mut self) {
        let Form::Packed(packer) = &self.form else { return };
        let mut edit = Edit { window: (self.window)(), replaced: &mut self.replaced };
        let mut tree = Tree::new(edit.window);
        for (field, value) in packer.packed().iter() {
            // SAFETY: nobody else has the tree.
            // The packed hash has less than the most entries.
            let _ = unsafe { tree.insert(&mut edit, key(field), value) };
        }
        self.form = Form::Tree(tree);
    }

    /// Returns the changed hash and whether Redis would store it as a table, with what it does not have of the version
    /// before.
    pub(crate) fn finish(self) -> (Form, bool, Vec<TreePart>) {
        let Self { mut form, is_table, replaced, .. } = self;
        if let Form::Packed(packer) = &mut form {
            packer.set_form(false, is_table);
        }
        (form, is_table, replaced)
    }
}
