//! Streams: names and values in the order of the names' bytes, as [`stream_key`] describes them.

use super::collection::{Collection, CollectionEdit, Form};
use crate::request::stream_key::{self, PendingEntry, StreamGroup, StreamMeta};
use crate::request::{NestedBuilder, StreamId, StreamRange};
use crate::state::tree::Key;
use std::ops::Range;

/// The entries of a node of Redis, with `stream-node-max-entries 100`. Nothing here has nodes.
pub(crate) const REDIS_NODE: usize = 100;

/// A stream as a record stores it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamValue<'a>(pub(super) Collection<'a>);

impl<'a> StreamValue<'a> {
    /// Returns the value of a name.
    pub(crate) fn get(self, name: &[u8]) -> Option<&'a [u8]> {
        match self.0 {
            Collection::Packed(stream) => stream.get(name),
            Collection::Tree(stream) => stream.view().get(Key::new(b"", name)),
        }
    }

    /// Returns how many names are before this one. O(log n).
    fn rank(self, name: &[u8]) -> usize {
        match self.0 {
            Collection::Packed(stream) => stream.names().take_while(|other| *other < name).count(),
            Collection::Tree(stream) => {
                stream.view().rank(Key::new(b"", name)).unwrap_or_else(|rank| rank)
            }
        }
    }

    /// Returns the places of the names from one on, up to another one.
    fn between(self, from: &[u8], to: &[u8]) -> Range<usize> {
        let start = self.rank(from);
        start..self.rank(to).max(start)
    }

    /// Returns the places of the names that begin with `prefix`.
    pub(crate) fn beginning(self, prefix: &[u8]) -> Range<usize> {
        self.between(prefix, &stream_key::behind(prefix))
    }

    /// Returns the places of the names that begin with `prefix` and have an ID behind it, between two.
    pub(crate) fn with_ids(self, prefix: &[u8], from: StreamId, to: StreamId) -> Range<usize> {
        let behind = match to.next() {
            Some(next) => stream_key::with_id(prefix, next),
            None => stream_key::behind(prefix),
        };
        self.between(&stream_key::with_id(prefix, from), &behind)
    }

    /// Calls `each` with the names at some places and their values, until it returns false.
    pub(crate) fn visit(
        self,
        places: Range<usize>,
        reverse: bool,
        each: &mut dyn FnMut(&'a [u8], &'a [u8]) -> bool,
    ) {
        let mut each = |(name, value)| each(name, value);
        let _ = match self.0 {
            Collection::Packed(stream) => {
                let mut entries = stream.iter().skip(places.start).take(places.len());
                if reverse {
                    let entries: Vec<_> = entries.collect();
                    entries.into_iter().rev().all(each)
                } else {
                    entries.all(&mut each)
                }
            }
            Collection::Tree(stream) => {
                let mut entries = stream.view().iter_range(places.start, places.end);
                if reverse { entries.rev().all(each) } else { entries.all(&mut each) }
            }
        };
    }

    /// Returns the name at a place, and its value.
    pub(crate) fn nth(self, place: usize) -> Option<(&'a [u8], &'a [u8])> {
        match self.0 {
            Collection::Packed(stream) => stream.iter().nth(place),
            Collection::Tree(stream) => stream.view().nth(place),
        }
    }

    /// Returns what the stream knows of its past.
    pub(crate) fn meta(self) -> StreamMeta {
        self.get(stream_key::META).and_then(StreamMeta::parse).unwrap_or_default()
    }

    /// Returns the places of all entries.
    pub(crate) fn entries(self) -> Range<usize> {
        self.between(stream_key::ENTRIES, stream_key::GROUPS)
    }

    /// Returns the number of entries.
    pub fn len(self) -> usize {
        self.entries().len()
    }

    /// Returns the places of the entries between two IDs.
    pub(crate) fn entry_range(self, from: StreamId, to: StreamId) -> Range<usize> {
        self.with_ids(stream_key::ENTRIES, from, to)
    }

    /// Returns the fields of an entry.
    pub(crate) fn entry(self, id: StreamId) -> Option<&'a [u8]> {
        self.get(&stream_key::entry(id))
    }

    /// Returns the ID of the first entry; the least one if there is none.
    pub(crate) fn first(self) -> StreamId {
        let entries = self.entries();
        let first = self.nth(entries.start).filter(|_| !entries.is_empty());
        first.map_or(StreamId::MIN, |(name, _)| stream_key::last_id(name))
    }

    /// Returns the ID of the last entry.
    pub(crate) fn last(self) -> Option<StreamId> {
        let entries = self.entries();
        let (name, _) = self.nth(entries.end.checked_sub(1).filter(|_| !entries.is_empty())?)?;
        Some(stream_key::last_id(name))
    }

    /// Returns a consumer group.
    pub(crate) fn group(self, name: &[u8]) -> Option<StreamGroup> {
        StreamGroup::parse(self.get(&stream_key::group(name))?)
    }

    /// Returns the places of the groups.
    pub(crate) fn groups(self) -> Range<usize> {
        self.between(stream_key::GROUPS, stream_key::BEHIND_GROUPS)
    }

    /// Returns a pending entry. `prefix` begins the names of those of the group.
    pub(crate) fn pending(self, prefix: &[u8], id: StreamId) -> Option<PendingEntry<'a>> {
        PendingEntry::parse(self.get(&stream_key::with_id(prefix, id))?)
    }

    /// Returns whether an entry was deleted from `from` on, as far as the stream knows.
    pub(crate) fn has_gap(self, from: StreamId) -> bool {
        let deleted = self.meta().deleted;
        // Deletions before the first entry make no gap: trimming leaves nothing there either.
        self.len() > 0 && deleted >= self.first() && from <= deleted
    }

    /// Returns how many entries were added up to this one, if that can be known: Redis's
    /// `streamEstimateDistanceFromFirstEverEntry`.
    pub(crate) fn distance(self, id: StreamId) -> Option<u64> {
        let (meta, len) = (self.meta(), self.len() as u64);
        if meta.added == 0 {
            return Some(0);
        }
        if len == 0 && id <= meta.last || id == meta.last {
            return Some(meta.added);
        }
        let first = self.first();
        if id > meta.last || meta.deleted != StreamId::MIN && meta.deleted >= first || id > first {
            return None;
        }
        Some(meta.added.saturating_sub(len) + u64::from(id == first))
    }

    /// Returns how many entries a group has not read, if that can be known.
    pub(crate) fn lag(self, group: StreamGroup) -> Option<i64> {
        let added = self.meta().added;
        if added == 0 {
            return Some(0);
        }
        let read = group.read.filter(|_| !self.has_gap(group.last));
        // It is negative if a client has set the number of entries read too high.
        Some(added.wrapping_sub(read.or_else(|| self.distance(group.last))?).cast_signed())
    }
}

/// Returns the first of these places, at most `count`.
pub(crate) fn first_of(places: Range<usize>, count: Option<u64>) -> Range<usize> {
    let count = count.map_or(places.len(), |count| usize::try_from(count).unwrap_or(usize::MAX));
    places.start..places.end.min(places.start.saturating_add(count))
}

/// Returns the error about a key without a stream or a group.
pub(crate) fn no_key_or_group(name: &[u8], group: &[u8]) -> Vec<u8> {
    let (name, group) = (shown(name), shown(group));
    let text: [&[u8]; 5] = [b"NOGROUP No such key '", name, b"' or consumer group '", group, b"'"];
    text.concat()
}

/// Returns the part of a name that Redis shows in an error: up to the first zero byte.
fn shown(name: &[u8]) -> &[u8] {
    name.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Returns the error about a stream without a group.
pub(crate) fn no_group(name: &[u8], group: &[u8]) -> Vec<u8> {
    let (name, group) = (shown(name), shown(group));
    let text: [&[u8]; 5] =
        [b"NOGROUP No such consumer group '", group, b"' for key name '", name, b"'"];
    text.concat()
}

impl CollectionEdit<'_> {
    /// Stores a name in its place.
    pub(super) fn put_in_order(&mut self, name: &[u8], value: &[u8]) {
        match &mut self.form {
            Form::Packed(packer) => {
                let at = packer.packed().names().take_while(|other| *other < name).count();
                let is_there = packer.packed().names().nth(at) == Some(name);
                packer.splice(at, usize::from(is_there), std::iter::once((name, value)));
            }
            Form::Tree(_) => {
                // SAFETY: by the contract of `CollectionEdit::new`. With 2^32 entries nothing more is stored.
                self.in_tree(|tree, edit| unsafe {
                    tree.insert(edit, Key::new(b"", name), value).is_ok()
                });
            }
        }
        self.limit_packed();
    }

    /// Removes a name of a stream. Returns whether it was there.
    pub(super) fn remove_in_order(&mut self, name: &[u8]) -> bool {
        match &mut self.form {
            Form::Packed(packer) => packer.remove(name),
            Form::Tree(_) => {
                // SAFETY: by the contract of `CollectionEdit::new`.
                let removed =
                    self.in_tree(|tree, edit| unsafe { tree.remove(edit, Key::new(b"", name)) });
                removed == Some(true)
            }
        }
    }

    /// Removes the names of a stream from one on, up to another one. O(log n) in a tree, and what is cut out.
    pub(crate) fn remove_between(&mut self, from: &[u8], to: &[u8]) {
        if let Form::Packed(packer) = &mut self.form {
            let before =
                |end: &[u8]| packer.packed().names().take_while(|name| *name < end).count();
            let (start, end) = (before(from), before(to));
            return packer.splice(start, end.saturating_sub(start), std::iter::empty());
        }
        self.in_tree(|tree, edit| {
            // SAFETY: by the contract of `CollectionEdit::new`; the view ends before the change.
            let rank =
                |name| unsafe { tree.view() }.rank(Key::new(b"", name)).unwrap_or_else(|at| at);
            let (start, end) = (rank(from), rank(to));
            // SAFETY: by the contract of `CollectionEdit::new`.
            unsafe { tree.remove_range(edit, start, end.saturating_sub(start)) };
        });
    }
}

/// Adds an entry to a reply: its ID, or its fields, too. An entry that was deleted has none.
pub(crate) fn reply_entry(
    stream: StreamValue<'_>,
    id: StreamId,
    with_fields: bool,
    reply: &mut NestedBuilder,
) {
    match stream.entry(id) {
        Some(fields) if with_fields => reply_fields(id, fields, reply),
        None if with_fields => {
            reply.array(2);
            reply.bytes(id.to_string());
            reply.nil_array();
        }
        _ => reply.bytes(id.to_string()),
    }
}

/// Adds an entry with its fields to a reply.
pub(crate) fn reply_fields(id: StreamId, fields: &[u8], reply: &mut NestedBuilder) {
    reply.array(2);
    reply.bytes(id.to_string());
    let fields = stream_key::entry_fields(fields);
    reply.array(fields.clone().count());
    fields.for_each(|field| reply.bytes(field));
}

/// Writes the entries in a range.
pub(crate) fn write_entries(
    stream: StreamValue<'_>,
    range: StreamRange,
    reply: &mut NestedBuilder,
) {
    // XRANGE with COUNT 0: the array is empty only if the key is missing.
    if range.count == Some(0) {
        return reply.nil_array();
    }
    let places = stream.entry_range(range.from, range.to);
    let count = first_of(places.clone(), range.count).len();
    let places = if range.reverse {
        places.end - count..places.end
    } else {
        places.start..places.start + count
    };
    reply.array(count);
    stream.visit(places, range.reverse, &mut |name, fields| {
        reply_fields(stream_key::last_id(name), fields, reply);
        !reply.is_full()
    });
}
