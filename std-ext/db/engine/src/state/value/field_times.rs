//! When fields of hashes expire.
//!
//! A packed hash has the time in front of each value, once a field has one. The tree of a longer hash has two more
//! entries for each field that expires, after those of all fields:
//!
//! ```text
//! 0xFFFFFFFF | 0 | time | field -> nothing
//! 0xFFFFFFFF | 1 | field -> time
//! ```
//!
//! The first find what expires next. The entries of the fields are the same in both forms, so the first time that a
//! long hash gets is not paid for with a copy of it.

use super::collection::{CollectionEdit, CollectionTree, Form, key};
use super::time_entry::{BY_FIELD, QUEUE, in_queue, queue, time_in};
use crate::request::{Packed, TIME};
use crate::state::tree::Key;

impl<'a> CollectionTree<'a> {
    /// Returns when a field expires; 0 if it does not.
    pub(super) fn time_of(self, field: &[u8]) -> u64 {
        if self.next_time().is_none() { 0 } else { time_in(self.view(), field) }
    }

    /// Returns the fields that expire, with their times, in the order of these.
    pub(super) fn queue(self) -> impl Iterator<Item = (u64, &'a [u8])> {
        self.next_time().map(|_| queue(self.view())).into_iter().flatten()
    }
}

impl CollectionEdit<'_> {
    /// Returns the first time at which a field expires.
    pub(super) fn next_time(&self) -> Option<u64> {
        match &self.form {
            Form::Packed(packer) => packer.packed().next_time(),
            Form::Tree(_) if !self.has_times => None,
            // SAFETY: the version is neither changed nor freed before the time is copied.
            Form::Tree(tree) => queue(unsafe { tree.view() }).next().map(|(time, _)| time),
        }
    }

    /// Sets when a field expires, or with 0 that it does not. Does nothing if the field is missing.
    pub(crate) fn set_time(&mut self, field: &[u8], time: u64) {
        match &mut self.form {
            Form::Packed(packer) => {
                let Some(value) = packer.packed().get(field) else { return };
                if time == 0 && !packer.packed().has_times() {
                    return;
                }
                let begin = if packer.packed().has_times() { TIME } else { 0 };
                let value = [&time.to_le_bytes()[..], &value[begin..]].concat();
                packer.set_timed(true);
                packer.set(field, &value);
            }
            Form::Tree(tree) => {
                // SAFETY: as in `next_time`.
                let view = unsafe { tree.view() };
                if !self.has_times && time == 0 || view.get(key(field)).is_none() {
                    return;
                }
                let before = if self.has_times { time_in(view, field) } else { 0 };
                self.set_time_in_tree(field, before, time);
            }
        }
        if time != 0 {
            // Valkey stores such a hash in its larger form, and so do we say.
            (self.is_table, self.has_times) = (true, true);
            self.limit_packed();
        }
    }

    fn set_time_in_tree(&mut self, field: &[u8], before: u64, time: u64) {
        self.in_tree(|tree, edit| {
            // SAFETY: by the contract of `CollectionEdit::new`. With 2^32 entries nothing more is stored.
            unsafe {
                if before != 0 {
                    tree.remove(edit, Key::new(&QUEUE, &in_queue(before, field)));
                    if time == 0 {
                        tree.remove(edit, Key::new(&BY_FIELD, field));
                    }
                }
                if time != 0
                    && tree.insert(edit, Key::new(&BY_FIELD, field), &time.to_le_bytes()).is_ok()
                {
                    let _ = tree.insert(edit, Key::new(&QUEUE, &in_queue(time, field)), b"");
                }
            }
        });
    }

    /// Stores a field and when it expires; 0 if it does not. Returns whether it was missing.
    pub(crate) fn set_timed_field(&mut self, field: &[u8], value: &[u8], time: u64) -> bool {
        let is_new = self.set_field(field, value);
        if time != 0 {
            self.set_time(field, time);
        }
        is_new
    }

    /// Adds the fields of a stored value with times, or changes the times of fields.
    pub(super) fn add_timed(&mut self, value: Packed<'_>) {
        let only_times = value.has_only_times();
        for (field, value, time) in value.timed() {
            if only_times {
                self.set_time(field, time);
            } else {
                self.set_timed_field(field, value, time);
            }
        }
    }
}
