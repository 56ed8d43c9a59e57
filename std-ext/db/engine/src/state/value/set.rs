//! Sets. A short one is in the order in which its members were added; a longer one in that of a hash of the members.

use super::choose::Entries;
use super::collection::{Collection, CollectionEdit, Form, PREFIX, key};
use crate::number;
use crate::request::ValueType;

/// A set as a record stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetValue<'a>(pub(super) Collection<'a>);

impl<'a> SetValue<'a> {
    /// Returns the number of members.
    #[inline]
    pub fn len(self) -> usize {
        self.0.len(ValueType::Set)
    }

    /// Returns whether it has a member.
    #[inline]
    pub fn contains(self, member: &[u8]) -> bool {
        match self.0 {
            Collection::Packed(set) => set.get(member).is_some(),
            Collection::Tree(set) => set.view().get(key(member)).is_some(),
        }
    }

    /// Returns the member of an index below the number of members.
    pub(crate) fn nth(self, index: usize) -> Option<&'a [u8]> {
        match self.0 {
            Collection::Packed(set) => set.names().nth(index),
            Collection::Tree(set) => set.view().nth(index).map(|(key, _)| &key[PREFIX..]),
        }
    }

    /// Calls `each` with all members, until it returns false. Integers that Redis would store sorted are in that order.
    pub(crate) fn visit(self, each: &mut dyn FnMut(&'a [u8]) -> bool) {
        if self.0.is_table() {
            return self.visit_unsorted(each);
        }
        let mut members = Vec::with_capacity(self.len());
        self.visit_unsorted(&mut |member| {
            members.push(member);
            true
        });
        sort_integers(&mut members);
        let _ = members.into_iter().all(each);
    }

    /// As `visit`, in any order.
    pub(crate) fn visit_unsorted(self, each: &mut dyn FnMut(&'a [u8]) -> bool) {
        self.0.visit(ValueType::Set, &mut |member, _| each(member));
    }

    /// Visits some `count` members from a cursor on. Returns the next cursor, 0 at the end. A member that stays is
    /// visited exactly once.
    pub(crate) fn scan(self, cursor: u64, count: usize, each: &mut dyn FnMut(&'a [u8])) -> u64 {
        if !self.0.is_table() {
            self.visit(&mut |member| {
                each(member);
                true
            });
            return 0;
        }
        self.0.scan(cursor, count, &mut |member, _| each(member))
    }
}

/// Sorts texts of integers by the numbers.
pub(crate) fn sort_integers(members: &mut [&[u8]]) {
    // An integer has one text.
    members.sort_unstable_by_key(|member| number::integer(member));
}

impl<'a> Entries for SetValue<'a> {
    type Entry = &'a [u8];

    fn number(self) -> usize {
        self.len()
    }

    fn at(self, index: usize) -> Option<Self::Entry> {
        self.nth(index)
    }

    fn each(self, each: &mut dyn FnMut(Self::Entry) -> bool) {
        self.visit(each);
    }
}

impl CollectionEdit<'_> {
    /// Adds a member. Returns whether it was missing.
    pub(crate) fn add_member(&mut self, member: &[u8]) -> bool {
        let is_new = match &mut self.form {
            Form::Packed(packer) => packer.set(member, b""),
            Form::Tree(_) => self.put_in_tree(member, b""),
        };
        self.note_stored(member, b"");
        is_new
    }
}
