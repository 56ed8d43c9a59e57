//! Hashes. A short one is in the order in which its fields were added; a longer one in that of a hash of the fields.

use super::choose::Entries;
use super::collection::{Collection, CollectionEdit, Form, PREFIX, key};
use crate::request::ValueType;

/// A hash as a record stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashValue<'a>(pub(super) Collection<'a>);

impl<'a> HashValue<'a> {
    /// Returns the number of fields.
    #[inline]
    pub fn len(self) -> usize {
        self.0.len(ValueType::Hash)
    }

    /// Returns the value of a field.
    #[inline]
    pub fn get(self, field: &[u8]) -> Option<&'a [u8]> {
        match self.0 {
            Collection::Packed(hash) => hash.get(field),
            Collection::Tree(hash) => hash.view().get(key(field)),
        }
    }

    /// Returns the field of an index below the number of fields, and its value.
    pub(crate) fn nth(self, index: usize) -> Option<(&'a [u8], &'a [u8])> {
        match self.0 {
            Collection::Packed(hash) => hash.iter().nth(index),
            Collection::Tree(hash) => {
                hash.view().nth(index).map(|(key, value)| (&key[PREFIX..], value))
            }
        }
    }

    /// Calls `each` with all fields and their values, until it returns false.
    pub(crate) fn visit(self, each: &mut dyn FnMut(&'a [u8], &'a [u8]) -> bool) {
        self.0.visit(ValueType::Hash, each);
    }

    /// Visits some `count` fields from a cursor on. Returns the next cursor, 0 at the end. A field that stays is
    /// visited exactly once.
    pub(crate) fn scan(
        self,
        cursor: u64,
        count: usize,
        each: &mut dyn FnMut(&'a [u8], &'a [u8]),
    ) -> u64 {
        self.0.scan(cursor, count, each)
    }
}

impl<'a> Entries for HashValue<'a> {
    type Entry = (&'a [u8], &'a [u8]);

    fn number(self) -> usize {
        self.len()
    }

    fn at(self, index: usize) -> Option<Self::Entry> {
        self.nth(index)
    }

    fn each(self, each: &mut dyn FnMut(Self::Entry) -> bool) {
        self.visit(&mut |field, value| each((field, value)));
    }
}

impl CollectionEdit<'_> {
    /// Stores a field. Returns whether it was missing.
    pub(crate) fn set_field(&mut self, field: &[u8], value: &[u8]) -> bool {
        let is_new = match &mut self.form {
            Form::Packed(packer) => packer.set(field, value),
            Form::Tree(_) => self.put_in_tree(field, value),
        };
        self.note_stored(field, value);
        is_new
    }
}
