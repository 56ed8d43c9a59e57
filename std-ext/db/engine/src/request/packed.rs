//! Values of other types than string, packed into bytes: in records, the log, snapshots and backups, and between nodes.
//!
//! ```text
//! packed value: head 8 | number of entries 32 | entries
//! head: type 3 bits | HAS_TIMES | ONLY_TIMES | IS_TREE | IS_TABLE | CONTINUES
//! entry: name's length, varint | name | for a hash, a sorted set or a stream: value's length, varint | value
//! ```
//!
//! A name is a field of a hash, a member of a set or a sorted set, or an element of a list. The value of a member of a
//! sorted set is its [`Score`]. What a stream has is in [`stream_key`](super::stream_key).
//!
//! A long value is several parts, each of which is packed like this. All but the first have [`CONTINUES`] set: their
//! entries are added to those before. So nobody needs the memory for a whole one.

use super::lengths::{push, take, varint};
use super::score::Score;
use super::stream_key::is_valid;
use super::value_type::ValueType;
use std::collections::HashSet;
use std::fmt;

/// The type in the head: the number of a [`ValueType`].
const TYPE: u8 = 0x07;
/// Each value of this hash begins with the time at which its field expires: see [`TIME`]. Versions without such times
/// read this bit as a part of the type, and refuse the value.
const HAS_TIMES: u8 = 1 << 3;
/// Each value consists only of the time. Such a part changes the times of fields that are there already.
const ONLY_TIMES: u8 = 1 << 4;
/// The value is stored in a tree. Without it a hash would be in another order after a restart.
const IS_TREE: u8 = 1 << 5;
/// Redis would store the value in its larger form.
const IS_TABLE: u8 = 1 << 6;
/// This is a further part of the value of the same key.
const CONTINUES: u8 = 1 << 7;
/// Bytes before the first entry.
const HEAD: usize = 5;
/// Bytes of the time at the beginning of a value, in milliseconds since 1970; 0 if the field does not expire.
pub(crate) const TIME: usize = size_of::<u64>();

/// Splits the time off a value of a hash with times. Its form was checked.
#[inline]
pub(crate) fn split_time(value: &[u8]) -> (u64, &[u8]) {
    let (time, value) = value.split_first_chunk().expect("each value begins with a time");
    (u64::from_le_bytes(*time), value)
}

/// Returns the type in a head; `None` for that of strings, which are not packed.
#[inline]
fn type_of(head: u8) -> Option<ValueType> {
    let number = usize::from(head & TYPE);
    ValueType::ALL.get(number).copied().filter(|value_type| *value_type != ValueType::String)
}

/// A value of another type than string, or a part of one, packed into bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Packed<'a> {
    bytes: &'a [u8],
}

impl<'a> Packed<'a> {
    /// Returns the value of these bytes if they have the right form. O(n). Does not compare the names.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let packed = Self::parse_entries(bytes)?;
        let mut values = packed.iter().map(|(_, value)| value);
        let is_valid = match packed.value_type() {
            ValueType::SortedSet => values.all(|score| Score::parse(score).is_some()),
            ValueType::Stream => packed.iter().all(|(name, value)| is_valid(name, value)),
            ValueType::Hash if packed.has_only_times() => values.all(|time| time.len() == TIME),
            ValueType::Hash if packed.has_times() => values.all(|value| value.len() >= TIME),
            _ => true,
        };
        is_valid.then_some(packed)
    }

    /// As `parse`, of entries whose values mean nothing.
    pub(crate) fn parse_names(bytes: &'a [u8]) -> Option<Self> {
        Self::parse_entries(bytes).filter(|packed| !packed.has_times())
    }

    fn parse_entries(bytes: &'a [u8]) -> Option<Self> {
        let head = *bytes.first()?;
        let value_type = type_of(head)?;
        let is_valid = match head & (HAS_TIMES | ONLY_TIMES) {
            0 => true,
            HAS_TIMES => value_type == ValueType::Hash,
            // A whole value has values.
            ONLY_TIMES => false,
            _ => value_type == ValueType::Hash && head & CONTINUES != 0,
        };
        if !is_valid {
            return None;
        }
        bytes.get(..HEAD)?;
        let packed = Self { bytes };
        let (mut entries, mut left) = (packed.iter(), packed.len());
        while !entries.rest.is_empty() {
            entries.next()?;
            left = left.checked_sub(1)?;
        }
        (left == 0).then_some(packed)
    }

    /// As `parse`, of bytes that have the right form.
    pub(crate) fn trusted(bytes: &'a [u8]) -> Self {
        debug_assert!(Self::parse(bytes).is_some(), "bytes that were never packed");
        Self { bytes }
    }

    /// Returns the type. It is never string.
    #[inline]
    pub fn value_type(self) -> ValueType {
        type_of(self.bytes[0]).unwrap_or(ValueType::Hash)
    }

    /// Returns the bytes that a part with these entries takes.
    pub(crate) fn len_of<'p>(
        value_type: ValueType,
        entries: impl Iterator<Item = (&'p [u8], &'p [u8])>,
    ) -> usize {
        let long = |bytes: &[u8]| varint(bytes.len(), &mut [0; 10]).len() + bytes.len();
        let has_values = value_type.has_values();
        let entries =
            entries.map(|(name, value)| long(name) + if has_values { long(value) } else { 0 });
        HEAD + entries.sum::<usize>()
    }

    /// Writes a part with these entries, whose names may be the same.
    pub(crate) fn write_part<'p>(
        value_type: ValueType,
        entries: impl ExactSizeIterator<Item = (&'p [u8], &'p [u8])>,
        into: &mut Vec<u8>,
    ) {
        into.push(value_type as u8 | CONTINUES);
        into.extend_from_slice(&(entries.len() as u32).to_le_bytes());
        for (name, value) in entries {
            push(name, into);
            if value_type.has_values() {
                push(value, into);
            }
        }
    }

    /// Returns all bytes.
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Returns the number of entries.
    #[inline]
    pub fn len(self) -> usize {
        let number = self.bytes[1..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        number as usize
    }

    /// Returns whether there are no entries.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Returns whether two names are the same. O(n).
    pub fn has_name_twice(self) -> bool {
        let names: HashSet<_> = self.names().collect();
        names.len() < self.len()
    }

    /// Returns whether Redis would store the value in its larger form: a table, or a skip list.
    pub fn is_table(self) -> bool {
        self.bytes[0] & IS_TABLE != 0
    }

    /// Returns whether the values of this hash begin with a time.
    #[inline]
    pub fn has_times(self) -> bool {
        Self::is_timed(self.bytes[0])
    }

    /// As `has_times`, of the first byte.
    #[inline]
    pub(crate) fn is_timed(head: u8) -> bool {
        head & HAS_TIMES != 0
    }

    /// Returns whether this part has only times.
    #[inline]
    pub fn has_only_times(self) -> bool {
        self.bytes[0] & ONLY_TIMES != 0
    }

    /// Returns the fields of a hash, each with its value, and the time at which it expires, in milliseconds since 1970;
    /// 0 if it does not.
    pub fn timed(self) -> impl Iterator<Item = (&'a [u8], &'a [u8], u64)> + use<'a> {
        let has_times = self.has_times();
        self.iter().map(move |(field, value)| {
            let (time, value) = if has_times { split_time(value) } else { (0, value) };
            (field, value, time)
        })
    }

    /// Returns the first time at which a field expires. O(n).
    pub(crate) fn next_time(self) -> Option<u64> {
        if !self.has_times() {
            return None;
        }
        self.timed().map(|(_, _, time)| time).filter(|time| *time != 0).min()
    }

    /// Returns whether the value is stored in a tree.
    pub(crate) fn is_tree(self) -> bool {
        self.bytes[0] & IS_TREE != 0
    }

    /// Returns whether the entries are to be added to those of the key's value.
    pub fn continues(self) -> bool {
        self.bytes[0] & CONTINUES != 0
    }

    /// Returns the entries: names and their values. The values of lists and sets are empty.
    #[inline]
    pub fn iter(self) -> PackedEntries<'a> {
        PackedEntries { rest: &self.bytes[HEAD..], has_values: self.value_type().has_values() }
    }

    /// Returns the names.
    pub fn names(self) -> impl Iterator<Item = &'a [u8]> + Clone + use<'a> {
        self.iter().map(|(name, _)| name)
    }

    /// Returns the value of a name. O(n).
    pub(crate) fn get(self, name: &[u8]) -> Option<&'a [u8]> {
        self.iter().find(|(other, _)| *other == name).map(|(_, value)| value)
    }
}

impl fmt::Debug for Packed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.value_type().name())?;
        f.debug_map().entries(self.iter()).finish()
    }
}

/// The entries of a [`Packed`] value: names and their values.
#[derive(Clone, Debug)]
pub struct PackedEntries<'a> {
    rest: &'a [u8],
    has_values: bool,
}

impl<'a> Iterator for PackedEntries<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = take(self.rest)?;
        let (value, rest) = if self.has_values { take(rest)? } else { (&rest[..0], rest) };
        self.rest = rest;
        Some((name, value))
    }
}

/// Packs a value, or a part of one.
#[derive(Clone, Debug)]
pub struct Packer {
    bytes: Vec<u8>,
}

impl Packer {
    /// Begins an empty value of a type other than string.
    pub fn new(value_type: ValueType) -> Self {
        Self::in_buffer(value_type, Vec::with_capacity(64))
    }

    /// As `new`, in a buffer whose contents are not needed.
    pub(crate) fn in_buffer(value_type: ValueType, mut bytes: Vec<u8>) -> Self {
        debug_assert_ne!(value_type, ValueType::String, "strings are not packed");
        bytes.clear();
        bytes.extend_from_slice(&[value_type as u8, 0, 0, 0, 0]);
        Self { bytes }
    }

    /// Begins with a copy of a value, in a buffer.
    pub(crate) fn copy(value: Packed<'_>, mut bytes: Vec<u8>) -> Self {
        bytes.clear();
        bytes.extend_from_slice(value.bytes);
        Self { bytes }
    }

    /// Says that the entries are to be added to those of the key's value.
    pub fn continuing(mut self) -> Self {
        self.bytes[0] |= CONTINUES;
        self
    }

    /// Says that this is a hash whose values begin with a time. There are no entries yet.
    pub fn with_times(mut self) -> Self {
        self.bytes[0] |= HAS_TIMES;
        self
    }

    /// Says that the part has only the times of fields. There are no entries yet.
    pub(crate) fn with_only_times(mut self) -> Self {
        self.bytes[0] |= HAS_TIMES | ONLY_TIMES | CONTINUES;
        self
    }

    /// As [`push`](Self::push), of a field and the time at which it expires; 0 if it does not.
    pub fn push_timed(&mut self, field: &[u8], value: &[u8], time: u64) {
        push(field, &mut self.bytes);
        self.bytes.extend_from_slice(varint(TIME + value.len(), &mut [0; 10]));
        self.bytes.extend_from_slice(&time.to_le_bytes());
        self.bytes.extend_from_slice(value);
        self.set_len(self.packed().len() + 1);
    }

    /// Adds a time to each value, or removes them.
    pub(crate) fn set_timed(&mut self, has_times: bool) {
        let packed = self.packed();
        if packed.has_times() == has_times {
            return;
        }
        let mut other = Self::new(ValueType::Hash);
        other.bytes[0] = self.bytes[0] ^ HAS_TIMES;
        for (field, value, time) in packed.timed() {
            if has_times {
                other.push_timed(field, value, time);
            } else {
                other.push(field, value);
            }
        }
        *self = other;
    }

    /// Says how the value is stored. It does not continue another.
    pub(crate) fn set_form(&mut self, is_tree: bool, is_table: bool) {
        let (tree, table) =
            (if is_tree { IS_TREE } else { 0 }, if is_table { IS_TABLE } else { 0 });
        self.bytes[0] = self.bytes[0] & (TYPE | HAS_TIMES) | tree | table;
    }

    /// Adds an entry at the end. The caller makes sure that the name is not there, unless this is a list. Lists and
    /// sets have no values.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        push(name, &mut self.bytes);
        if self.packed().value_type().has_values() {
            push(value, &mut self.bytes);
        }
        self.set_len(self.packed().len() + 1);
    }

    /// Stores the value of a name, in its place if it is there. Returns whether the name was missing. O(n).
    pub(crate) fn set(&mut self, name: &[u8], value: &[u8]) -> bool {
        let Some((_, at, end)) = self.find(name) else {
            self.push(name, value);
            return true;
        };
        if !self.packed().value_type().has_values() {
            return false;
        }
        let (mut head, length) = ([0; 10], value.len());
        let head = varint(length, &mut head);
        if end - at == head.len() + length {
            self.bytes[end - length..end].copy_from_slice(value);
        } else {
            drop(self.bytes.splice(at..end, head.iter().chain(value).copied()));
        }
        false
    }

    /// Removes a name. Returns whether it was there. O(n).
    pub(crate) fn remove(&mut self, name: &[u8]) -> bool {
        let Some((begin, _, end)) = self.find(name) else { return false };
        drop(self.bytes.drain(begin..end));
        self.set_len(self.packed().len() - 1);
        true
    }

    /// Removes entries from an index on, and puts others in their place. There are as many. O(n).
    pub(crate) fn splice<'p>(
        &mut self,
        at: usize,
        remove: usize,
        entries: impl Iterator<Item = (&'p [u8], &'p [u8])>,
    ) {
        let mut rest = self.packed().iter();
        let mut offset = |entries: usize| {
            rest.by_ref().take(entries).for_each(drop);
            self.bytes.len() - rest.rest.len()
        };
        let (begin, end) = (offset(at), offset(remove));
        let has_values = self.packed().value_type().has_values();
        let (mut inserted, mut number) = (Vec::new(), 0);
        for (name, value) in entries {
            push(name, &mut inserted);
            if has_values {
                push(value, &mut inserted);
            }
            number += 1;
        }
        drop(self.bytes.splice(begin..end, inserted));
        self.set_len(self.packed().len() - remove + number);
    }

    /// Returns where a name's entry begins, where its value does, and where the entry ends.
    fn find(&self, name: &[u8]) -> Option<(usize, usize, usize)> {
        let (mut entries, mut begin) = (self.packed().iter(), HEAD);
        loop {
            let (other, _) = entries.next()?;
            let end = self.bytes.len() - entries.rest.len();
            if other == name {
                let name = varint(name.len(), &mut [0; 10]).len() + name.len();
                return Some((begin, begin + name, end));
            }
            begin = end;
        }
    }

    fn set_len(&mut self, len: usize) {
        // Entries take memory, of which there is less.
        self.bytes[1..HEAD].copy_from_slice(&(len as u32).to_le_bytes());
    }

    /// Returns the value.
    #[inline]
    pub fn packed(&self) -> Packed<'_> {
        Packed { bytes: &self.bytes }
    }

    pub(crate) fn into_buffer(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::StoredValue;

    #[test]
    fn a_packed_hash_has_what_was_put_into_it() {
        let mut packer = Packer::new(ValueType::Hash);
        let long = vec![7; 40_000];
        let pairs: [(&[u8], &[u8]); 4] =
            [(b"one", b"1"), (b"", b"empty"), (&long, b""), (b"long", &long)];
        for (field, value) in pairs {
            assert!(packer.set(field, value));
        }
        let packed = packer.packed();
        assert_eq!(packed.iter().collect::<Vec<_>>(), pairs);
        assert_eq!(
            (packed.len(), packed.get(b""), packed.get(b"none")),
            (4, Some(&b"empty"[..]), None)
        );
        // Longer, shorter, and of the same length.
        for value in [&long[..], b"", b"x", b"y"] {
            assert!(!packer.set(b"one", value));
            assert_eq!(packer.packed().get(b"one"), Some(value));
            assert_eq!(packer.packed().get(b""), Some(&b"empty"[..]));
        }
        assert!(packer.remove(b"") && !packer.remove(b""));
        assert_eq!(packer.packed().len(), 3);
        let bytes = packer.packed().bytes().to_vec();
        assert_eq!(StoredValue::of_typed(&bytes), Some(StoredValue::Packed(packer.packed())));
        let owned = packer.clone().continuing().into_owned();
        assert!(owned.stored().continues() && !packer.packed().continues());
    }

    #[test]
    fn entries_of_a_list_are_replaced_by_their_places() {
        let mut packer = Packer::new(ValueType::List);
        let long = vec![7; 300];
        let elements = |elements: &[&'static [u8]]| {
            elements.iter().map(|element| (*element, &b""[..])).collect::<Vec<_>>().into_iter()
        };
        packer.splice(0, 0, elements(&[b"a", b"b", b"c"]));
        packer.splice(3, 0, std::iter::once((&long[..], &b""[..])));
        packer.splice(1, 1, elements(&[b"x", b"y"]));
        packer.splice(0, 1, elements(&[]));
        let found: Vec<_> = packer.packed().names().collect();
        assert_eq!(found, [&b"x"[..], b"y", b"c", &long]);
        assert_eq!(packer.packed().len(), 4);
        let bytes = packer.packed().bytes().to_vec();
        assert_eq!(StoredValue::of_typed(&bytes), Some(StoredValue::Packed(packer.packed())));
    }

    #[test]
    fn bytes_of_another_form_are_refused() {
        let mut packer = Packer::new(ValueType::Hash);
        packer.push(b"field", &[9; 300]);
        packer.push(b"other", b"value");
        let bytes = packer.packed().bytes();
        for end in 0..bytes.len() {
            assert_eq!(StoredValue::of_typed(&bytes[..end]), None, "{end} bytes");
        }
        let mut wrong = bytes.to_vec();
        wrong[1] = 3;
        assert_eq!(StoredValue::of_typed(&wrong), None, "a field is missing");
        wrong[1] = 1;
        assert_eq!(StoredValue::of_typed(&wrong), None, "a field too many");
        for number in [0, 6, 15] {
            wrong[0] = number;
            assert_eq!(StoredValue::of_typed(&wrong), None, "no type");
        }
        // A length of more than 64 bits.
        assert_eq!(
            StoredValue::of_typed(&[[1, 1, 0, 0, 0].as_slice(), &[0xFF; 20]].concat()),
            None
        );
        let mut packer = Packer::new(ValueType::SortedSet);
        packer.push(b"member", b"score");
        assert_eq!(StoredValue::of_typed(packer.packed().bytes()), None, "no score");
    }
}
