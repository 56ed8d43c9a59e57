//! Hashes. A short one is in the order in which its fields were added; a longer one in that of a hash of the fields.

use super::choose::Entries;
use super::collection::{Collection, CollectionEdit, Form, PREFIX, key};
use crate::request::{TIME, ValueType, split_time};

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
            Collection::Packed(hash) if hash.has_times() => {
                hash.get(field).map(|value| split_time(value).1)
            }
            Collection::Packed(hash) => hash.get(field),
            Collection::Tree(hash) => hash.view().get(key(field)),
        }
    }

    /// Returns whether a field has expired, and was not removed yet.
    #[inline]
    pub(crate) fn has_expired(self, now: u64) -> bool {
        self.0.next_time().is_some_and(|time| time <= now)
    }

    /// Returns the value of a field that has not expired, and when it expires; 0 if it does not.
    pub(crate) fn get_timed(self, field: &[u8], now: u64) -> Option<(&'a [u8], u64)> {
        let (value, time) = match self.0 {
            Collection::Packed(hash) if hash.has_times() => {
                let (time, value) = split_time(hash.get(field)?);
                (value, time)
            }
            Collection::Packed(hash) => (hash.get(field)?, 0),
            Collection::Tree(hash) => (hash.view().get(key(field))?, hash.time_of(field)),
        };
        (time == 0 || time > now).then_some((value, time))
    }

    /// Returns some fields that have expired, at most this many.
    pub(crate) fn expired(self, now: u64, most: usize) -> Vec<&'a [u8]> {
        match self.0 {
            Collection::Packed(hash) => {
                let expired = hash.timed().filter(|(.., time)| *time != 0 && *time <= now);
                expired.map(|(field, ..)| field).take(most).collect()
            }
            Collection::Tree(hash) => {
                let expired = hash.queue().take_while(|(time, _)| *time <= now);
                expired.map(|(_, field)| field).take(most).collect()
            }
        }
    }

    /// Returns the field of an index below the number of fields, and its value.
    pub(crate) fn nth(self, index: usize) -> Option<(&'a [u8], &'a [u8])> {
        match self.0 {
            Collection::Packed(hash) => {
                hash.timed().nth(index).map(|(field, value, _)| (field, value))
            }
            Collection::Tree(hash) => {
                hash.view().nth(index).map(|(key, value)| (&key[PREFIX..], value))
            }
        }
    }

    /// Calls `each` with all fields and their values, until it returns false.
    pub(crate) fn visit(self, each: &mut dyn FnMut(&'a [u8], &'a [u8]) -> bool) {
        match self.0 {
            Collection::Packed(hash) if hash.has_times() => {
                let _ = hash.timed().all(|(field, value, _)| each(field, value));
            }
            stored => stored.visit(ValueType::Hash, each),
        }
    }

    /// Visits some `count` fields from a cursor on. Returns the next cursor, 0 at the end. A field that stays is
    /// visited exactly once.
    pub(crate) fn scan(
        self,
        cursor: u64,
        count: usize,
        each: &mut dyn FnMut(&'a [u8], &'a [u8]),
    ) -> u64 {
        match self.0 {
            Collection::Packed(hash) if hash.has_times() => {
                hash.timed().for_each(|(field, value, _)| each(field, value));
                0
            }
            stored => stored.scan(cursor, count, each),
        }
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
    /// Stores a field, which does not expire. Returns whether it was missing.
    pub(crate) fn set_field(&mut self, field: &[u8], value: &[u8]) -> bool {
        let is_new = match &mut self.form {
            Form::Packed(packer) if packer.packed().has_times() => {
                packer.set(field, &[&[0; TIME], value].concat())
            }
            Form::Packed(packer) => packer.set(field, value),
            Form::Tree(_) => {
                if self.has_times {
                    self.set_time(field, 0);
                }
                self.put_in_tree(field, value)
            }
        };
        self.note_stored(field, value);
        is_new
    }
}
